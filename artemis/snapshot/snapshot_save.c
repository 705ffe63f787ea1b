/* SPDX-License-Identifier: Apache-2.0
 *
 * `snapshot save`: writes the snapshot of a node, as for a peer that bootstraps, to a file.
 */
#include "artemis-core/json/codec_peer.h"
#include "artemis-core/json/codec_snapshot.h"
#include "artemis/call/peer_call.h"
#include "artemis/output/view_snapshot.h"
#include "artemis/snapshot/snapshot.h"
#include "artemis/snapshot/snapshot_file.h"
#include "artemis/terminal/terminal_text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { BUFFER_BYTES = 256 * 1024 };

struct save {
    const struct args *args;
    const char *path;
    struct call_peer peer;
    struct snapshot_writer *writer;
    struct peer_reader *reader;
    struct text lines; /* not written yet */
    struct snapshot_saved saved;
    struct snapshot_progress progress;
    enum error error; /* of the file, or of the response */
    char problem[SNAPSHOT_PROBLEM_MAX];
};

static int report_file(const struct save *save, enum error error)
{
    if (error == ERR_NO_MEMORY)
        return server_call_no_memory();
    terminal_text_print_error(stderr, NULL, "%s", save->problem);
    return error == ERR_INVALID_FIELD ? EXIT_USAGE : EXIT_REFUSED;
}

/* --- records ---------------------------------------------------------------------------------- */

static enum error write_lines(struct save *save)
{
    if (text_failed(&save->lines))
        return ERR_NO_MEMORY;
    struct slice lines = {save->lines.data, save->lines.size};
    enum error error = snapshot_writer_add(save->writer, lines, save->problem);
    text_clear(&save->lines);
    return error;
}

static void take_record(void *context, enum peer_list list, const struct wire_record *record)
{
    struct save *save = context;
    if (save->error)
        return;
    save->saved.instances += list == PEER_LIST_INSTANCES;
    save->saved.tombstones += list == PEER_LIST_KEYS;
    codec_write_snapshot_record(&save->lines, record);
    if (save->lines.size >= BUFFER_BYTES)
        save->error = write_lines(save);
}

static bool receive(void *context, struct slice piece)
{
    struct save *save = context;
    enum error error = peer_reader_feed(save->reader, piece);
    if (!save->error && error) {
        save->error = error;
        snprintf(save->problem, sizeof save->problem, "%s sent an unexpected response",
                 save->peer.url.shown);
    }
    snapshot_progress_show(&save->progress, "saved",
                           save->saved.instances + save->saved.tombstones);
    return !save->error;
}

/* --- the file --------------------------------------------------------------------------------- */

static uint64_t wall_ms(void)
{
    struct timespec time = {0};
    clock_gettime(CLOCK_REALTIME, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

static void write_head(struct save *save)
{
    struct snapshot_head head = {0};
    snprintf(head.cluster_id, sizeof head.cluster_id, "%s", save->peer.cluster);
    snprintf(head.node_id, sizeof head.node_id, "%s", save->peer.name);
    codec_write_snapshot_head(&save->lines, &head, wall_ms());
}

static int finish_file(struct save *save)
{
    codec_write_snapshot_end(&save->lines, save->saved.instances, save->saved.tombstones);
    enum error error = write_lines(save);
    if (!error)
        error = snapshot_writer_finish(save->writer, &save->saved.bytes, save->problem);
    return error ? report_file(save, error) : EXIT_DONE;
}

/* --- the call --------------------------------------------------------------------------------- */

static int evaluate(const struct save *save, const struct call_response *response)
{
    if (save->error)
        return report_file(save, save->error);
    if (response->transfer != TRANSFER_DONE || response->http_status != 200)
        return peer_call_report(&save->peer, response);
    if (peer_reader_complete(save->reader) && !peer_reader_invalid(save->reader))
        return EXIT_DONE;
    terminal_text_print_error(stderr, "try again, or name another node with --server",
                              "%s sent an incomplete snapshot", save->peer.url.shown);
    return EXIT_UNREACHABLE;
}

static int copy_records(struct save *save)
{
    struct call_request request = {
        .path = "/api/replication/registry/services",
        .headers = save->peer.headers,
        .credentials = &save->peer.credentials,
        .receive = receive,
        .context = save,
    };
    struct call_response response;
    curl_call_send(&save->peer.url, &request, save->peer.timeout_secs, &response);
    snapshot_progress_clear(&save->progress);
    int exit_code = evaluate(save, &response);
    curl_call_free(&response);
    return exit_code;
}

static int write_file(struct save *save)
{
    enum error error = peer_reader_create(take_record, NULL, save, &save->reader);
    if (!error)
        error = snapshot_writer_open(save->path, &save->writer, save->problem);
    if (error)
        return report_file(save, error);
    write_head(save);
    int exit_code = copy_records(save);
    return exit_code == EXIT_DONE ? finish_file(save) : exit_code;
}

static int print(struct save *save)
{
    struct text out = {0};
    save->saved.node = save->peer.name[0] ? save->peer.name : save->peer.url.shown;
    save->saved.cluster = save->peer.cluster;
    save->saved.file = save->path;
    if (strcmp(save->path, "-") == 0) {
        view_saved(&save->saved, stderr);
    } else if (args_has(save->args, "json")) {
        view_saved_json(&save->saved, &out);
        if (text_failed(&out))
            return server_call_no_memory();
        terminal_text_print_json(stdout, out.data, out.size);
        text_free(&out);
    } else {
        view_saved(&save->saved, stdout);
    }
    return EXIT_DONE;
}

int snapshot_save(const struct args *args, const char *path)
{
    struct save save = {.args = args, .path = path};
    int exit_code = peer_call_find(&save.peer, args);
    if (exit_code == EXIT_DONE)
        exit_code = write_file(&save);
    if (exit_code == EXIT_DONE)
        exit_code = print(&save);
    snapshot_writer_free(save.writer);
    peer_reader_free(save.reader);
    text_free(&save.lines);
    peer_call_free(&save.peer);
    return exit_code;
}
