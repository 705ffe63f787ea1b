/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis-core/json/codec_peer.h"
#include "artemis-server/registry/registry_replication.h"
#include "artemis/call/peer_call.h"
#include "artemis/call/record_diff.h"
#include "artemis/call/server_call.h"
#include "artemis/output/table.h"
#include "artemis/output/view_diff.h"
#include "artemis/terminal/args.h"
#include "artemis/terminal/terminal_text.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CONFIRM_DELAY_SECS = 1, BUCKETS_AT_ONCE = 64 };

static const struct args_option options[] = {
    {.name = "timeout",
     .value = "SECS",
     .description = "time limit for each call",
     .default_value = "10",
     .min = 1,
     .max = 3600},
    SERVER_CREDENTIAL_OPTIONS,
    TOKEN_OPTIONS,
    {.name = "json", .description = "print the result as JSON"},
    {.name = NULL},
};

static const struct args_command command = {
    .name = "diff",
    .usage = {"diff NODE NODE [options]"},
    .about = "Lists the instances that differ between two nodes of a cluster: one of the nodes\n"
             "has no record, has deleted it, has an older record, or lacks the weight (nodes\n"
             "of earlier versions drop it). NODE is a URL or HOST:PORT. A change takes a\n"
             "moment to reach the other node. Therefore every difference is checked again one\n"
             "second later, and it is listed only if the node that is behind has not changed.\n"
             "Where nodes have cluster.listen_addr, NODE is that address. Where they also have\n"
             "cluster.tls, the command needs the certificate of a node (--cacert, --cert and\n"
             "--key) and no token. Otherwise it needs a token of the role operator, if tokens\n"
             "are set.\n"
             "Exit code 0: no difference; 1: differences, or two different clusters.\n",
    .example = "artemis diff 10.0.0.7:8080 10.0.0.8:8080\n"
               "artemis diff a:9443 b:9443 --cacert ca.pem --cert node.pem --key node.key\n",
    .positionals = {"NODE", "NODE"},
    .options = options,
};

/* --- calls to a node  */

struct node {
    struct call_peer peer;
    uint64_t digests[DIGEST_BUCKETS];
    size_t digest_count;
    struct diff_list keys;
    uint64_t instances;
};

static void take_record(void *context, enum peer_list list, const struct wire_record *record)
{
    struct node *node = context;
    if (list == PEER_LIST_KEYS)
        record_diff_add(&node->keys, record);
}

static void take_number(void *context, uint64_t number)
{
    struct node *node = context;
    if (node->digest_count < DIGEST_BUCKETS)
        node->digests[node->digest_count] = number;
    node->digest_count++;
}

/* Parses a response of the peer interface; false if it is not one. */
static bool parse(struct node *node, const struct call_response *response, enum error *error)
{
    struct peer_reader *reader = NULL;
    *error = ERR_NONE;
    if (response->transfer != TRANSFER_DONE || response->http_status != 200)
        return false;
    *error = peer_reader_create(take_record, take_number, node, &reader);
    if (*error)
        return false;
    *error = peer_reader_feed(reader, (struct slice){response->body.data, response->body.size});
    bool whole = !*error && peer_reader_ended(reader) && peer_reader_invalid(reader) == 0;
    peer_reader_free(reader);
    return whole;
}

/* Calls the node as a peer of its cluster; `body` NULL: GET. Returns an exit code. */
static int call_as_peer(struct node *node, const char *path, struct text *body)
{
    struct call_request request = {
        .path = path, .headers = node->peer.headers, .credentials = &node->peer.credentials};
    if (body) {
        request.body = text_string(body);
        request.size_bytes = body->size;
        if (text_failed(body))
            return server_call_no_memory();
    }
    struct call_response response;
    enum error error = ERR_NONE;
    curl_call_send(&node->peer.url, &request, node->peer.timeout_secs, &response);
    int exit_code = EXIT_DONE;
    if (!parse(node, &response, &error))
        exit_code = error == ERR_NO_MEMORY ? server_call_no_memory()
                                           : peer_call_report(&node->peer, &response);
    curl_call_free(&response);
    return exit_code;
}

static int read_digests(struct node *node)
{
    node->digest_count = 0;
    int exit_code = call_as_peer(node, "/api/replication/registry/digest", NULL);
    if (exit_code != EXIT_DONE || node->digest_count == DIGEST_BUCKETS)
        return exit_code;
    terminal_text_print_error(stderr, "use an artemis of the same version as the nodes",
                              "%s sent %zu digests, expected %d", node->peer.url.shown,
                              node->digest_count, DIGEST_BUCKETS);
    return EXIT_REFUSED;
}

static int read_keys(struct node *node, const uint32_t *buckets, size_t count)
{
    struct text body = {0};
    text_append_string(&body, "{\"buckets\":[");
    for (size_t i = 0; i < count; i++)
        text_printf(&body, "%s%u", i > 0 ? "," : "", (unsigned)buckets[i]);
    text_append_string(&body, "]}");
    int exit_code = call_as_peer(node, "/api/replication/registry/records", &body);
    text_free(&body);
    return exit_code;
}

/* --- identity  */

static int read_instance_count(struct node *node)
{
    struct call_request request = {.path = "/api/status/node",
                                   .headers = node->peer.headers,
                                   .credentials = &node->peer.credentials};
    struct call_response response;
    struct call_outcome outcome;
    json_t *root = NULL;
    curl_call_send(&node->peer.url, &request, node->peer.timeout_secs, &response);
    call_response_evaluate(&response, node->peer.url.shown, &outcome, &root);
    const json_t *status = call_response_field(root, "node_status");
    node->instances = (uint64_t)json_integer_value(call_response_field(status, "instances"));
    int exit_code =
        outcome.exit_code == EXIT_DONE ? EXIT_DONE : peer_call_report(&node->peer, &response);
    json_decref(root);
    curl_call_free(&response);
    return exit_code;
}

static int read_node(struct node *node, const char *text)
{
    char problem[ARGS_PROBLEM_MAX];
    if (!server_credentials_are_readable(&node->peer.credentials, problem))
        return args_usage_error(&command, problem);
    enum error error = server_url_read(&node->peer.url, text,
                                       server_credentials_are_given(&node->peer.credentials));
    if (error == ERR_NO_MEMORY)
        return server_call_no_memory();
    if (!error)
        return EXIT_DONE;
    snprintf(problem, sizeof problem, "NODE must be a URL or HOST:PORT, is %.64s",
             strchr(text, '@') ? "not shown, since it may hold a password" : text);
    return args_usage_error(&command, problem);
}

static int connect_nodes(const struct args *args, struct node nodes[2])
{
    int exit_code = EXIT_DONE;
    for (int i = 0; i < 2 && exit_code == EXIT_DONE; i++) {
        nodes[i].peer.timeout_secs = args_number(args, "timeout");
        server_credentials_read(args, &nodes[i].peer.credentials);
        exit_code = read_node(&nodes[i], args->positionals[i]);
    }
    for (int i = 0; i < 2 && exit_code == EXIT_DONE; i++)
        exit_code = peer_call_identify(&nodes[i].peer, args);
    if (exit_code != EXIT_DONE)
        return exit_code;
    if (strcmp(nodes[0].peer.cluster, nodes[1].peer.cluster) != 0) {
        terminal_text_print_error(stderr, "compare two nodes of one cluster (cluster.cluster_id)",
                                  "%s belongs to the cluster %s, %s to %s", nodes[0].peer.url.shown,
                                  nodes[0].peer.cluster, nodes[1].peer.url.shown,
                                  nodes[1].peer.cluster);
        return EXIT_REFUSED;
    }
    /* Nodes with the same name, or none, are distinguished by address. */
    if (strcmp(nodes[0].peer.name, nodes[1].peer.name) == 0 || !nodes[0].peer.name[0] ||
        !nodes[1].peer.name[0])
        for (int i = 0; i < 2; i++)
            snprintf(nodes[i].peer.name, sizeof nodes[i].peer.name, "%.255s",
                     nodes[i].peer.url.shown);
    return EXIT_DONE;
}

/* --- comparing -------------------------------------------------------------------------------- */

/* Reads the keys of some buckets from both nodes, and adds the differences. */
static int compare_buckets(struct node nodes[2], const uint32_t *buckets, size_t count,
                           struct diff_report *report)
{
    for (int i = 0; i < 2; i++) {
        int exit_code = read_keys(&nodes[i], buckets, count);
        if (exit_code != EXIT_DONE)
            return exit_code;
    }
    record_diff_merge(&nodes[0].keys, &nodes[1].keys, report);
    return report->failed ? server_call_no_memory() : EXIT_DONE;
}

/* Compares the marked buckets, and unmarks those whose digests are equal. */
static int compare_marked(struct node nodes[2], bool marked[DIGEST_BUCKETS],
                          struct diff_report *report)
{
    uint32_t buckets[DIGEST_BUCKETS];
    size_t count = 0;
    int exit_code = EXIT_DONE;
    for (int i = 0; i < 2 && exit_code == EXIT_DONE; i++)
        exit_code = read_digests(&nodes[i]);
    for (uint32_t i = 0; i < DIGEST_BUCKETS && exit_code == EXIT_DONE; i++) {
        marked[i] = marked[i] && nodes[0].digests[i] != nodes[1].digests[i];
        if (marked[i])
            buckets[count++] = i;
    }
    for (size_t i = 0; i < count && exit_code == EXIT_DONE; i += BUCKETS_AT_ONCE) {
        size_t rest = count - i;
        exit_code = compare_buckets(nodes, buckets + i,
                                    rest < BUCKETS_AT_ONCE ? rest : BUCKETS_AT_ONCE, report);
    }
    return exit_code;
}

/* Leaves the confirmed differences in `report`. */
static int compare_and_confirm(struct node nodes[2], struct diff_report *report)
{
    const struct timespec pause = {.tv_sec = CONFIRM_DELAY_SECS};
    bool marked[DIGEST_BUCKETS];
    struct diff_report first = {0};
    for (size_t i = 0; i < DIGEST_BUCKETS; i++)
        marked[i] = true;
    int exit_code = compare_marked(nodes, marked, &first);
    if (exit_code == EXIT_DONE && first.count > 0) {
        nanosleep(&pause, NULL);
        exit_code = compare_marked(nodes, marked, report);
        record_diff_confirm(&first, report);
    }
    record_diff_free(&first);
    for (int i = 0; i < 2 && exit_code == EXIT_DONE; i++)
        exit_code = read_instance_count(&nodes[i]);
    return exit_code;
}

static int print_report(const struct args *args, const struct node nodes[2],
                        struct diff_report *report)
{
    const struct diff_node shown[2] = {
        {nodes[0].peer.name, nodes[0].peer.url.shown, nodes[0].instances},
        {nodes[1].peer.name, nodes[1].peer.url.shown, nodes[1].instances},
    };
    record_diff_sort(report);
    if (args_has(args, "json")) {
        struct text out = {0};
        view_diff_json(report, shown, &out);
        bool failed = text_failed(&out);
        if (!failed)
            terminal_text_print_json(stdout, out.data, out.size);
        text_free(&out);
        if (failed)
            return server_call_no_memory();
    } else {
        view_diff(report, shown, stdout, table_width_of(stdout));
    }
    return report->count > 0 ? EXIT_REFUSED : EXIT_DONE;
}

int command_diff(int argc, char **argv)
{
    struct args args;
    int exit_code = 0;
    if (!args_start(&args, &command, argc, argv, &exit_code))
        return exit_code;
    struct diff_report report = {0};
    struct node *nodes = calloc(2, sizeof *nodes);
    exit_code = nodes ? connect_nodes(&args, nodes) : server_call_no_memory();
    if (exit_code == EXIT_DONE)
        exit_code = compare_and_confirm(nodes, &report);
    if (exit_code == EXIT_DONE)
        exit_code = print_report(&args, nodes, &report);
    record_diff_free(&report);
    for (int i = 0; nodes && i < 2; i++) {
        record_diff_free_list(&nodes[i].keys);
        peer_call_free(&nodes[i].peer);
    }
    free(nodes);
    args_free(&args);
    return exit_code;
}
