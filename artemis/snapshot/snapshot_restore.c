/* SPDX-License-Identifier: Apache-2.0
 *
 * `snapshot restore`: reads the whole file once and checks it, so that a cut or damaged file
 * restores nothing. Then it reads the file again and sends the records to the node, some hundred in
 * each call.
 */
#include "artemis-core/json/codec_snapshot.h"
#include "artemis/call/peer_call.h"
#include "artemis/output/view_snapshot.h"
#include "artemis/snapshot/snapshot.h"
#include "artemis/snapshot/snapshot_file.h"
#include "artemis/terminal/terminal_text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_RECORDS_MAX = 500, BATCH_BYTES = 512 * 1024 };

struct restore {
    const struct args *args;
    const char *path;
    struct call_peer peer;
    struct snapshot_reader *reader;
    struct snapshot_check check; /* after the first reading: the whole file */
    uint64_t line;               /* number of the line that was read last, in the second reading */
    struct text body;            /* of the next call */
    uint64_t lines[BATCH_RECORDS_MAX]; /* of the records in `body` */
    size_t count;
    struct snapshot_restored restored;
    struct snapshot_progress progress;
    char problem[SNAPSHOT_PROBLEM_MAX];
};

static int report_file(struct restore *restore, enum error error)
{
    snapshot_progress_clear(&restore->progress);
    if (error == ERR_NO_MEMORY)
        return server_call_no_memory();
    terminal_text_print_error(stderr, NULL, "%s", restore->problem);
    return error == ERR_INVALID_FIELD ? EXIT_USAGE : EXIT_REFUSED;
}

/* --- the first reading: checks ---------------------------------------------------------------- */

static int report_damage(struct restore *restore, uint64_t line, const char *message)
{
    static const char no_snapshot[] =
        "nothing was restored; name a file that `artemis snapshot save` has written";
    const char *hint = line == 1 ? no_snapshot
                                 : "nothing was restored; use another copy of the file, or correct "
                                   "the line";
    snapshot_progress_clear(&restore->progress);
    if (restore->check.lines == 0)
        terminal_text_print_error(stderr, no_snapshot, "%.128s holds no snapshot: %s",
                                  restore->path, message);
    else if (line)
        terminal_text_print_error(stderr, hint, "%.128s: line %llu: %s", restore->path,
                                  (unsigned long long)line, message);
    else
        terminal_text_print_error(stderr, "nothing was restored; use another copy of the file",
                                  "%.128s: %s, after line %llu", restore->path, message,
                                  (unsigned long long)restore->check.lines);
    return EXIT_REFUSED;
}

static int check_file(struct restore *restore)
{
    struct slice line;
    bool ended = false;
    enum snapshot_line kind;
    char message[MESSAGE_BYTES] = "";
    while (true) {
        enum error error = snapshot_reader_next(restore->reader, &line, &ended, restore->problem);
        if (error == ERR_INVALID_JSON)
            return report_damage(restore, 0, restore->problem);
        if (error)
            return report_file(restore, error);
        if (ended)
            break;
        error = snapshot_check_line(&restore->check, line, &kind, message);
        if (error == ERR_NO_MEMORY)
            return server_call_no_memory();
        if (error)
            return report_damage(restore, restore->check.lines, message);
        snapshot_progress_show(&restore->progress, "checked", restore->check.lines);
    }
    return snapshot_check_end(&restore->check, message) ? report_damage(restore, 0, message)
                                                        : EXIT_DONE;
}

static int check_cluster(const struct restore *restore)
{
    if (strcmp(restore->check.head.cluster_id, restore->peer.cluster) == 0)
        return EXIT_DONE;
    terminal_text_print_error(stderr,
                              "name a node of that cluster with --server; to move the records, "
                              "change cluster_id in line 1",
                              "%.128s: line 1: cluster_id: the file is of the cluster %s, and %s "
                              "belongs to %s",
                              restore->path, restore->check.head.cluster_id,
                              restore->peer.url.shown, restore->peer.cluster);
    return EXIT_REFUSED;
}

/* --- results ---------------------------------------------------------------------------------- */

static bool add_line(struct line_list *list, uint64_t line)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 64;
        uint64_t *lines = realloc(list->lines, capacity * sizeof *lines);
        if (!lines)
            return false;
        list->lines = lines;
        list->capacity = capacity;
    }
    list->lines[list->count++] = line;
    return true;
}

/* The line of a record of the last call; 0 if the index is out of range. */
static uint64_t line_of(const struct restore *restore, const json_t *index)
{
    json_int_t number = json_is_integer(index) ? json_integer_value(index) : -1;
    return number >= 0 && (size_t)number < restore->count ? restore->lines[number] : 0;
}

static bool add_lines(struct restore *restore, const json_t *indexes, struct line_list *list)
{
    size_t i;
    json_t *index;
    json_array_foreach(indexes, i, index)
    {
        uint64_t line = line_of(restore, index);
        if (line && !add_line(list, line))
            return false;
    }
    return true;
}

/* "instances[3].port: ..." names the item of the call; the line replaces it. */
static const char *without_item(const char *message)
{
    size_t size = strcspn(message, "]");
    if (strncmp(message, "instances[", strlen("instances[")) != 0 || !message[size])
        return message;
    message += size + 1;
    return message + strspn(message, ".: ");
}

static bool add_refused(struct snapshot_restored *restored, uint64_t line, const json_t *item)
{
    if (restored->refused_count == restored->refused_capacity) {
        size_t capacity = restored->refused_capacity ? restored->refused_capacity * 2 : 16;
        struct refused_line *grown = realloc(restored->refused, capacity * sizeof *grown);
        if (!grown)
            return false;
        restored->refused = grown;
        restored->refused_capacity = capacity;
    }
    struct refused_line refused = {
        .line = line,
        .message = strdup(without_item(call_response_text(item, "error_message"))),
        .reason = strdup(call_response_text(item, "reason")),
    };
    restored->refused[restored->refused_count++] = refused;
    return refused.message && refused.reason;
}

/* Adds the results of a call. False: out of memory. */
static bool add_results(struct restore *restore, const json_t *root)
{
    struct snapshot_restored *restored = &restore->restored;
    const json_t *refused = call_response_field(root, "refused");
    size_t i;
    json_t *item;
    restored->taken += (uint64_t)json_integer_value(call_response_field(root, "taken"));
    if (!add_lines(restore, call_response_field(root, "newer"), &restored->newer) ||
        !add_lines(restore, call_response_field(root, "ended"), &restored->ended))
        return false;
    json_array_foreach(refused, i, item)
    {
        uint64_t line = line_of(restore, json_object_get(item, "index"));
        if (!add_refused(restored, line, item))
            return false;
    }
    return true;
}

static void free_results(struct snapshot_restored *restored)
{
    for (size_t i = 0; i < restored->refused_count; i++) {
        free(restored->refused[i].message);
        free(restored->refused[i].reason);
    }
    free(restored->refused);
    free(restored->newer.lines);
    free(restored->ended.lines);
}

/* --- the second reading: calls ---------------------------------------------------------------- */

static void report_progress_so_far(struct restore *restore)
{
    char count[VIEW_COUNT_MAX];
    if (restore->restored.dry_run || restore->lines[0] <= 2)
        return;
    fprintf(stderr,
            "the lines before %s are restored; the same command continues, because records that\n"
            "are there already are kept\n",
            terminal_text_count(restore->lines[0], count));
}

static int evaluate(struct restore *restore, const struct call_response *response)
{
    struct call_outcome outcome;
    json_t *root = NULL;
    call_response_evaluate(response, restore->peer.url.shown, &outcome, &root);
    int exit_code = EXIT_DONE;
    if (response->http_status == 200 && json_is_integer(call_response_field(root, "taken"))) {
        if (!add_results(restore, root))
            exit_code = server_call_no_memory();
    } else {
        snapshot_progress_clear(&restore->progress);
        exit_code = peer_call_report(&restore->peer, response);
        report_progress_so_far(restore);
    }
    json_decref(root);
    return exit_code;
}

static int send_batch(struct restore *restore)
{
    if (restore->count == 0)
        return EXIT_DONE;
    text_append_string(&restore->body, "]}");
    struct call_request request = {
        .path = restore->restored.dry_run ? "/api/replication/registry/restore?dry_run=true"
                                          : "/api/replication/registry/restore",
        .headers = restore->peer.headers,
        .credentials = &restore->peer.credentials,
        .body = text_string(&restore->body),
        .size_bytes = restore->body.size,
    };
    if (text_failed(&restore->body))
        return server_call_no_memory();
    struct call_response response;
    curl_call_send(&restore->peer.url, &request, restore->peer.timeout_secs, &response);
    int exit_code = evaluate(restore, &response);
    curl_call_free(&response);
    text_clear(&restore->body);
    restore->count = 0;
    snapshot_progress_show(&restore->progress, "sent", restore->line);
    return exit_code;
}

static int add_record(struct restore *restore, struct slice line)
{
    text_append_string(&restore->body, restore->count ? "," : "{\"instances\":[");
    text_append_slice(&restore->body, line);
    restore->lines[restore->count++] = restore->line;
    if (restore->count < BATCH_RECORDS_MAX && restore->body.size < BATCH_BYTES)
        return EXIT_DONE;
    return send_batch(restore);
}

/* The first line and the last one are no records. */
static int send_file(struct restore *restore)
{
    struct slice line;
    bool ended = false;
    enum error error = snapshot_reader_rewind(restore->reader, restore->problem);
    int exit_code = error ? report_file(restore, error) : EXIT_DONE;
    while (exit_code == EXIT_DONE && restore->line + 1 < restore->check.lines) {
        error = snapshot_reader_next(restore->reader, &line, &ended, restore->problem);
        if (error || ended)
            return report_file(restore, error ? error : ERR_SYSTEM);
        if (++restore->line > 1)
            exit_code = add_record(restore, line);
    }
    return exit_code == EXIT_DONE ? send_batch(restore) : exit_code;
}

/* --- the command ------------------------------------------------------------------------------ */

static int print(struct restore *restore)
{
    struct snapshot_restored *restored = &restore->restored;
    struct text out = {0};
    restored->file = restore->path;
    restored->node = restore->peer.name[0] ? restore->peer.name : restore->peer.url.shown;
    restored->cluster = restore->peer.cluster;
    snapshot_progress_clear(&restore->progress);
    if (args_has(restore->args, "json")) {
        view_restored_json(restored, &out);
        if (text_failed(&out))
            return server_call_no_memory();
        terminal_text_print_json(stdout, out.data, out.size);
        text_free(&out);
    } else {
        view_restored(restored, stdout);
    }
    return restored->refused_count ? EXIT_REFUSED : EXIT_DONE;
}

static int run(struct restore *restore)
{
    enum error error = snapshot_reader_open(restore->path, &restore->reader, restore->problem);
    int exit_code = error ? report_file(restore, error) : check_file(restore);
    if (exit_code == EXIT_DONE)
        exit_code = peer_call_find(&restore->peer, restore->args);
    if (exit_code == EXIT_DONE)
        exit_code = check_cluster(restore);
    if (exit_code == EXIT_DONE)
        exit_code = send_file(restore);
    return exit_code == EXIT_DONE ? print(restore) : exit_code;
}

int snapshot_restore(const struct args *args, const char *path)
{
    struct restore *restore = calloc(1, sizeof *restore);
    if (!restore)
        return server_call_no_memory();
    restore->args = args;
    restore->path = path;
    restore->restored.dry_run = args_has(args, "dry-run");
    int exit_code = run(restore);
    snapshot_reader_free(restore->reader);
    free_results(&restore->restored);
    text_free(&restore->body);
    peer_call_free(&restore->peer);
    free(restore);
    return exit_code;
}
