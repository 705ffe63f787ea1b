/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis/call/server_call.h"
#include "artemis/output/graph/graph_dot.h"
#include "artemis/output/graph/graph_text.h"
#include "artemis/output/table.h"
#include "artemis/output/view_cluster.h"
#include "artemis/output/view_cluster_events.h"
#include "artemis/terminal/args.h"
#include "artemis/terminal/terminal_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct args_option options[] = {
    {.name = "graph", .description = "draw all nodes and the links between them"},
    {.name = "dot", .description = "the same in the DOT language of Graphviz"},
    SERVER_OPTIONS,
    {.name = "json", .description = "print the response unchanged; with --graph, the graph"},
    {.name = "reason", .value = "TEXT", .description = "block, unblock: why, for the status"},
    {.name = NULL},
};

static const struct args_command command = {
    .name = "cluster",
    .usage = {"cluster [options]", "cluster events [options]",
              "cluster block|unblock NODE [options]"},
    .about = "Shows the nodes of a cluster as one of them sees them. Columns of a peer:\n"
             "HEALTH    up, not ready, suspect (up, but silent), down, new,\n"
             "          incompatible (refuses everything),\n"
             "          unauthorized (refuses the token of this node),\n"
             "          stranger (other cluster), twin (same node id), blocked, or self\n"
             "LAG       age of the oldest change or renewal that it has not acknowledged; if\n"
             "          there is none, the time from the last one to its acknowledgement\n"
             "BACKLOG   number of keys whose change it has not received\n"
             "FAILS     consecutive failed requests, without refused connections\n"
             "HEARD     time since its last response\n"
             "COMPARED  time of the last digest comparison, and its result\n"
             "Exit code 0: this node and all its peers are up and ready, or it has no peers,\n"
             "no membership provider fails, and cluster.expected_nodes are up; otherwise 1.\n"
             "--graph: calls all nodes at the same time, with the same token, certificates and\n"
             "time limit, and draws them by region and zone, with the lag or the state of the\n"
             "link from each node to each other as the former reports it. With more than 8\n"
             "nodes, only links that are not well are drawn. Exit code 0: all nodes have\n"
             "reported and are ready, except blocked ones, all links are well, and the code\n"
             "without --graph is 0; otherwise 1.\n"
             "events: lists the last 256 members that joined or left the topology of the\n"
             "node, and failures of its membership providers, with the reason.\n"
             "block: all other nodes refuse NODE, a node id or an address, and contact it no\n"
             "more, until unblock. It needs the role admin, and goes to any other node. NODE\n"
             "may be down. If no peer has this id or address, a note on standard error says\n"
             "so.\n",
    .example = "artemis cluster --server http://10.0.0.7:8080\n"
               "artemis cluster --graph --timeout 3\n"
               "artemis cluster --dot | dot -Tsvg > cluster.svg\n"
               "artemis cluster events --json\n"
               "artemis cluster block n3 --reason 'broken disk'\n",
    .positionals = {"events, block or unblock", "NODE"},
    .positionals_optional = true,
    .options = options,
};

static int show_nodes(const struct args *args)
{
    const struct call_request request = {
        .path = "/api/status/cluster",
        .data = "nodes_status",
    };
    struct server_call_result result;
    server_call_run(args, &request, &result);
    int exit_code = server_call_report(args, &result);
    if (server_call_prints_text(args, &result))
        view_cluster(result.root, stdout, table_width_of(stdout));
    if (exit_code == EXIT_DONE && !view_cluster_is_healthy(result.root))
        exit_code = EXIT_REFUSED;
    server_call_result_free(&result);
    return exit_code;
}

/* --- graph ------------------------------------------------------------------------------------ */

/* The calls of the peers of the node that was called first. */
struct peer_calls {
    size_t count;                     /* peers */
    struct graph_response *responses; /* one for each peer */
    size_t called;                    /* those of them that are called */
    size_t *peers;                    /* their places */
    struct server_url *urls;
    struct server_call_result *results;
};

static void free_calls(struct peer_calls *calls)
{
    for (size_t i = 0; i < calls->called; i++)
        server_call_result_free(&calls->results[i]);
    free(calls->responses);
    free(calls->peers);
    free(calls->urls);
    free(calls->results);
}

/* One more than needed, as there may be no peer. */
static enum error allocate_calls(struct peer_calls *calls, size_t count)
{
    *calls = (struct peer_calls){
        .count = count,
        .responses = calloc(count + 1, sizeof *calls->responses),
        .peers = calloc(count + 1, sizeof *calls->peers),
        .urls = calloc(count + 1, sizeof *calls->urls),
        .results = calloc(count + 1, sizeof *calls->results),
    };
    bool done = calls->responses && calls->peers && calls->urls && calls->results;
    return done ? ERR_NONE : ERR_NO_MEMORY;
}

/* Chooses the peers that are called. A token that was sent with TLS is not sent without it. */
static enum error choose_peers(struct peer_calls *calls, const json_t *root, bool needs_tls)
{
    for (size_t i = 0; i < calls->count; i++) {
        const char **problem = &calls->responses[i].problem;
        const char *address = cluster_graph_url_to_call(root, i, problem);
        struct server_url *url = &calls->urls[calls->called];
        enum error error = address ? server_url_read(url, address, needs_tls) : ERR_INVALID_FIELD;
        if (error == ERR_NO_MEMORY)
            return error;
        if (address && error)
            *problem = "it is not called: its address is not valid";
        else if (address && needs_tls && strncmp(url->base, "https:", strlen("https:")) != 0)
            *problem = "it is not called: its address has no TLS, unlike that of --server";
        else if (address)
            calls->peers[calls->called++] = i;
    }
    return ERR_NONE;
}

static void call_peers(const struct args *args, const struct call_request *request,
                       struct peer_calls *calls)
{
    if (calls->called > 0)
        server_call_run_all(args, request, calls->urls, calls->called, calls->results);
    for (size_t i = 0; i < calls->called; i++) {
        const struct server_call_result *result = &calls->results[i];
        bool done = result->outcome.exit_code == EXIT_DONE;
        calls->responses[calls->peers[i]] =
            (struct graph_response){done ? result->root : NULL, result->outcome.message};
    }
}

static enum error print_graph(const struct args *args, const json_t *root,
                              const struct cluster_graph *graph)
{
    struct text json = {0};
    enum error error = ERR_NONE;
    if (args_has(args, "json")) {
        cluster_graph_write_json(graph, &json);
        error = text_failed(&json) ? ERR_NO_MEMORY : ERR_NONE;
        if (!error)
            terminal_text_print_json(stdout, json.data, json.size);
        text_free(&json);
    } else if (args_has(args, "dot")) {
        graph_dot(graph, stdout);
    } else {
        error = graph_text(graph, stdout, table_width_of(stdout));
        if (!error)
            view_cluster_notes(root, stdout);
    }
    return error;
}

/* Calls the peers of the node that has sent `root`, and prints the graph. Returns an exit code. */
static int draw(const struct args *args, const struct call_request *request, const json_t *root,
                bool needs_tls)
{
    struct peer_calls calls;
    struct cluster_graph graph = {0};
    enum error error = allocate_calls(&calls, cluster_graph_peer_count(root));
    if (!error)
        error = choose_peers(&calls, root, needs_tls);
    if (!error) {
        call_peers(args, request, &calls);
        error = cluster_graph_read(&graph, root, calls.responses);
    }
    bool is_well = !error && cluster_graph_is_well(&graph) && view_cluster_is_healthy(root);
    if (!error)
        error = print_graph(args, root, &graph);
    cluster_graph_free(&graph);
    free_calls(&calls);
    if (error)
        return server_call_no_memory();
    return is_well ? EXIT_DONE : EXIT_REFUSED;
}

static int show_graph(const struct args *args)
{
    const struct call_request request = {.path = "/api/status/cluster", .data = "nodes_status"};
    struct server_call_result result;
    struct server_list servers;
    server_call_run(args, &request, &result);
    int exit_code = result.outcome.exit_code == EXIT_DONE ? server_call_servers(args, &servers)
                                                          : server_call_report(args, &result);
    if (exit_code == EXIT_DONE) {
        const char *base = servers.urls[result.server].base;
        bool needs_tls = strncmp(base, "https:", strlen("https:")) == 0;
        server_list_free(&servers);
        exit_code = draw(args, &request, result.root, needs_tls);
    }
    server_call_result_free(&result);
    return exit_code;
}

/* --- events and orders ------------------------------------------------------------------------ */

static int show_events(const struct args *args)
{
    const struct call_request request = {.path = "/api/cluster/events", .data = "events"};
    struct server_call_result result;
    server_call_run(args, &request, &result);
    int exit_code = server_call_report(args, &result);
    if (server_call_prints_text(args, &result))
        view_cluster_events(result.root, stdout, table_width_of(stdout));
    server_call_result_free(&result);
    return exit_code;
}

static bool set_text(json_t *body, const char *name, const char *text)
{
    return !text || json_object_set_new(body, name, json_string(text)) == 0;
}

static int order(const struct args *args, const char *node, bool blocks)
{
    struct server_call_result result;
    json_t *body = json_object();
    if (!set_text(body, "node", node) || !set_text(body, "reason", args_text(args, "reason"))) {
        json_decref(body);
        body = NULL;
    }
    server_call_post(args, blocks ? "/api/cluster/block" : "/api/cluster/unblock", body, &result);
    int exit_code = server_call_report(args, &result);
    if (server_call_prints_text(args, &result))
        view_cluster_order(result.root, blocks, stdout);
    if (exit_code == EXIT_DONE)
        view_cluster_unknown(result.root, stderr);
    server_call_result_free(&result);
    return exit_code;
}

static int run(const struct args *args)
{
    const char *subcommand = args->positionals[0];
    const char *node = args->positionals[1];
    bool is_graph = args_has(args, "graph") || args_has(args, "dot");
    if (args_has(args, "dot") && args_has(args, "json"))
        return args_usage_error(&command, "--dot and --json exclude each other");
    if (subcommand && is_graph)
        return args_usage_error(
            &command, "--graph and --dot show the nodes: leave out events, block and unblock");
    if (!subcommand)
        return is_graph ? show_graph(args) : show_nodes(args);
    if (strcmp(subcommand, "events") == 0 && !node)
        return show_events(args);
    bool blocks = strcmp(subcommand, "block") == 0;
    if (node && (blocks || strcmp(subcommand, "unblock") == 0))
        return order(args, node, blocks);
    return args_form_error(args,
                           "cluster, cluster events, cluster block NODE, or cluster unblock NODE");
}

int command_cluster(int argc, char **argv)
{
    return args_run(&command, argc, argv, run);
}
