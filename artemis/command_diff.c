/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/command_diff.h"

#include "artemis-core/json/codec_peer.h"
#include "artemis-server/registry/registry_replication.h"
#include "artemis/client_answer.h"
#include "artemis/client_args.h"
#include "artemis/client_call.h"
#include "artemis/client_diff.h"
#include "artemis/client_http.h"
#include "artemis/client_table.h"
#include "artemis/client_text.h"
#include "artemis/client_url.h"
#include "artemis/client_view_diff.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SECOND_LOOK_SECS = 1, BUCKETS_AT_ONCE = 64 };

static const struct client_option options[] = {
    {.name = "json", .sentence = "print the result as JSON"},
    {.name = NULL},
};

static const struct client_command command = {
    .name = "diff",
    .usage = {"diff NODE NODE [options]"},
    .about = "Lists the instances on which two nodes of a cluster disagree: which of them\n"
             "lacks one, has deleted it, or has an older version of it. NODE is a URL or\n"
             "HOST:PORT. Nodes change while they are asked, and a change takes a moment from\n"
             "one to the other: so what differs is looked at a second time, a second later,\n"
             "and listed only if the node that was behind is still where it was.\n"
             "Ends with 0 when they agree, 1 when they differ or are of two clusters.\n",
    .example = "artemis diff 10.0.0.7:8080 10.0.0.8:8080\n",
    .positionals = {"NODE", "NODE"},
    .options = options,
};

/* --- asking a node ---------------------------------------------------------------------------- */

struct node {
    struct client_url url;
    char name[CLIENT_HEADER_MAX];
    char cluster[CLIENT_HEADER_MAX];
    char cluster_header[CLIENT_HEADER_MAX + 32];
    uint64_t digests[DIGEST_BUCKETS];
    size_t digest_count;
    struct diff_list keys;
    uint64_t instances;
};

/* What went wrong with the answer, said in the words of the other commands. */
static int complain(const struct node *node, const struct client_answer *answer)
{
    struct client_verdict verdict;
    json_t *root = NULL;
    char hint[CLIENT_URL_MAX + 64];
    client_answer_judge(answer, node->url.shown, &verdict, &root);
    json_decref(root);
    snprintf(hint, sizeof hint, "look at the node: artemis status --server %s", node->url.shown);
    if (verdict.exit_code == CLIENT_DONE) {
        client_text_complain(stderr, hint, "%s answers with something else than was asked for",
                             node->url.shown);
        return CLIENT_UNREACHABLE;
    }
    client_text_complain(stderr, hint, "%s", verdict.message);
    return (int)verdict.exit_code;
}

static void take_record(void *context, enum peer_list list, const struct wire_record *record)
{
    struct node *node = context;
    if (list == PEER_LIST_KEYS)
        client_diff_hear(&node->keys, record);
}

static void take_number(void *context, uint64_t number)
{
    struct node *node = context;
    if (node->digest_count < DIGEST_BUCKETS)
        node->digests[node->digest_count] = number;
    node->digest_count++;
}

/* Reads the answer to a question of peers; false when it is none. */
static bool take(struct node *node, const struct client_answer *answer, enum error *error)
{
    struct peer_reader *reader = NULL;
    *error = ERR_NONE;
    if (answer->fate != CLIENT_ANSWERED || answer->http_status != 200)
        return false;
    *error = peer_reader_create(take_record, take_number, node, &reader);
    if (*error)
        return false;
    *error = peer_reader_feed(reader, (struct slice){answer->body.data, answer->body.size});
    bool whole = !*error && peer_reader_ended(reader) && peer_reader_invalid(reader) == 0;
    peer_reader_free(reader);
    return whole;
}

/* Asks as a peer of its cluster; `body` is NULL to get. Returns an exit code. */
static int ask(struct node *node, const char *path, struct text *body)
{
    const char *const headers[] = {"X-Artemis-Replication: true", node->cluster_header, NULL};
    struct client_request request = {.path = path, .headers = headers};
    if (body) {
        request.body = text_string(body);
        request.size_bytes = body->size;
        if (text_failed(body))
            return client_call_no_memory();
    }
    struct client_answer answer;
    enum error error = ERR_NONE;
    client_http_send(&node->url, &request, &answer);
    int exit_code = CLIENT_DONE;
    if (!take(node, &answer, &error))
        exit_code = error == ERR_NO_MEMORY ? client_call_no_memory() : complain(node, &answer);
    client_http_free(&answer);
    return exit_code;
}

static int ask_digests(struct node *node)
{
    node->digest_count = 0;
    int exit_code = ask(node, "/api/replication/registry/digest", NULL);
    if (exit_code != CLIENT_DONE || node->digest_count == DIGEST_BUCKETS)
        return exit_code;
    client_text_complain(stderr, "use the artemis that is as new as the nodes",
                         "%s tells %zu digests, not %d", node->url.shown, node->digest_count,
                         DIGEST_BUCKETS);
    return CLIENT_REFUSED;
}

static int ask_keys(struct node *node, const uint32_t *buckets, size_t count)
{
    struct text body = {0};
    text_append_string(&body, "{\"buckets\":[");
    for (size_t i = 0; i < count; i++)
        text_printf(&body, "%s%u", i > 0 ? "," : "", (unsigned)buckets[i]);
    text_append_string(&body, "]}");
    int exit_code = ask(node, "/api/replication/registry/records", &body);
    text_free(&body);
    return exit_code;
}

/* --- who they are ----------------------------------------------------------------------------- */

static int ask_who(struct node *node)
{
    struct client_request request = {.path = "/health"};
    struct client_answer answer;
    client_http_send(&node->url, &request, &answer);
    int exit_code = CLIENT_DONE;
    if (answer.fate != CLIENT_ANSWERED) {
        exit_code = complain(node, &answer);
    } else if (!answer.cluster[0]) {
        client_text_complain(stderr, "is it the address of an Artemis, and not of an older one?",
                             "%s does not say of which cluster it is", node->url.shown);
        exit_code = CLIENT_UNREACHABLE;
    }
    snprintf(node->name, sizeof node->name, "%s", answer.node);
    snprintf(node->cluster, sizeof node->cluster, "%s", answer.cluster);
    snprintf(node->cluster_header, sizeof node->cluster_header, "X-Artemis-Cluster: %s",
             answer.cluster);
    client_http_free(&answer);
    return exit_code;
}

static int ask_count(struct node *node)
{
    struct client_request request = {.path = "/api/status/node"};
    struct client_answer answer;
    struct client_verdict verdict;
    json_t *root = NULL;
    client_http_send(&node->url, &request, &answer);
    client_answer_judge(&answer, node->url.shown, &verdict, &root);
    const json_t *status = client_answer_field(root, "node_status");
    node->instances = (uint64_t)json_integer_value(client_answer_field(status, "instances"));
    int exit_code = verdict.exit_code == CLIENT_DONE ? CLIENT_DONE : complain(node, &answer);
    json_decref(root);
    client_http_free(&answer);
    return exit_code;
}

static int read_node(struct node *node, const char *text)
{
    char mistake[CLIENT_MISTAKE_MAX];
    enum error error = client_url_read(&node->url, text);
    if (error == ERR_NO_MEMORY)
        return client_call_no_memory();
    if (!error)
        return CLIENT_DONE;
    snprintf(mistake, sizeof mistake, "NODE must be a URL of http, or HOST:PORT, is %.64s",
             strchr(text, '@') ? "not shown, since it may hold a password" : text);
    return client_args_mistake(&command, mistake);
}

static int meet(const struct client_args *args, struct node nodes[2])
{
    int exit_code = CLIENT_DONE;
    for (int i = 0; i < 2 && exit_code == CLIENT_DONE; i++)
        exit_code = read_node(&nodes[i], args->positionals[i]);
    for (int i = 0; i < 2 && exit_code == CLIENT_DONE; i++)
        exit_code = ask_who(&nodes[i]);
    if (exit_code != CLIENT_DONE)
        return exit_code;
    if (strcmp(nodes[0].cluster, nodes[1].cluster) != 0) {
        client_text_complain(stderr, "compare two nodes of one cluster (cluster.cluster_id)",
                             "%s is of the cluster %s, and %s is of %s", nodes[0].url.shown,
                             nodes[0].cluster, nodes[1].url.shown, nodes[1].cluster);
        return CLIENT_REFUSED;
    }
    /* Two of one name, or none, are told apart by their addresses. */
    if (strcmp(nodes[0].name, nodes[1].name) == 0 || !nodes[0].name[0] || !nodes[1].name[0])
        for (int i = 0; i < 2; i++)
            snprintf(nodes[i].name, sizeof nodes[i].name, "%.255s", nodes[i].url.shown);
    return CLIENT_DONE;
}

/* --- comparing -------------------------------------------------------------------------------- */

/* Takes in the keys of some buckets from both, and notes what differs. */
static int compare_stretch(struct node nodes[2], const uint32_t *buckets, size_t count,
                           struct diff_report *report)
{
    for (int i = 0; i < 2; i++) {
        int exit_code = ask_keys(&nodes[i], buckets, count);
        if (exit_code != CLIENT_DONE)
            return exit_code;
    }
    client_diff_merge(&nodes[0].keys, &nodes[1].keys, report);
    return report->failed ? client_call_no_memory() : CLIENT_DONE;
}

/* Looks at the buckets that are marked and differ, and leaves the mark on those that do. */
static int look(struct node nodes[2], bool marked[DIGEST_BUCKETS], struct diff_report *report)
{
    uint32_t buckets[DIGEST_BUCKETS];
    size_t count = 0;
    int exit_code = CLIENT_DONE;
    for (int i = 0; i < 2 && exit_code == CLIENT_DONE; i++)
        exit_code = ask_digests(&nodes[i]);
    for (uint32_t i = 0; i < DIGEST_BUCKETS && exit_code == CLIENT_DONE; i++) {
        marked[i] = marked[i] && nodes[0].digests[i] != nodes[1].digests[i];
        if (marked[i])
            buckets[count++] = i;
    }
    for (size_t i = 0; i < count && exit_code == CLIENT_DONE; i += BUCKETS_AT_ONCE) {
        size_t rest = count - i;
        exit_code = compare_stretch(nodes, buckets + i,
                                    rest < BUCKETS_AT_ONCE ? rest : BUCKETS_AT_ONCE, report);
    }
    return exit_code;
}

/* Leaves in `report` what differed twice. */
static int look_twice(struct node nodes[2], struct diff_report *report)
{
    const struct timespec pause = {.tv_sec = SECOND_LOOK_SECS};
    bool marked[DIGEST_BUCKETS];
    struct diff_report first = {0};
    for (size_t i = 0; i < DIGEST_BUCKETS; i++)
        marked[i] = true;
    int exit_code = look(nodes, marked, &first);
    if (exit_code == CLIENT_DONE && first.count > 0) {
        nanosleep(&pause, NULL);
        exit_code = look(nodes, marked, report);
        client_diff_confirm(&first, report);
    }
    client_diff_free(&first);
    for (int i = 0; i < 2 && exit_code == CLIENT_DONE; i++)
        exit_code = ask_count(&nodes[i]);
    return exit_code;
}

static int show(const struct client_args *args, const struct node nodes[2],
                struct diff_report *report)
{
    const struct diff_node shown[2] = {
        {nodes[0].name, nodes[0].url.shown, nodes[0].instances},
        {nodes[1].name, nodes[1].url.shown, nodes[1].instances},
    };
    client_diff_sort(report);
    if (client_args_has(args, "json")) {
        struct text out = {0};
        client_view_diff_json(report, shown, &out);
        bool failed = text_failed(&out);
        if (!failed)
            client_text_print_json(stdout, out.data, out.size);
        text_free(&out);
        if (failed)
            return client_call_no_memory();
    } else {
        client_view_diff(report, shown, stdout, client_table_room(stdout));
    }
    return report->count > 0 ? CLIENT_REFUSED : CLIENT_DONE;
}

int command_diff(int argc, char **argv)
{
    struct client_args args;
    int exit_code = 0;
    if (!client_args_start(&args, &command, argc, argv, &exit_code))
        return exit_code;
    struct diff_report report = {0};
    struct node *nodes = calloc(2, sizeof *nodes);
    exit_code = nodes ? meet(&args, nodes) : client_call_no_memory();
    if (exit_code == CLIENT_DONE)
        exit_code = look_twice(nodes, &report);
    if (exit_code == CLIENT_DONE)
        exit_code = show(&args, nodes, &report);
    client_diff_free(&report);
    for (int i = 0; nodes && i < 2; i++)
        client_diff_free_list(&nodes[i].keys);
    free(nodes);
    client_args_free(&args);
    return exit_code;
}
