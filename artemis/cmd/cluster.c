/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis/call/server_call.h"
#include "artemis/output/table.h"
#include "artemis/output/view_cluster.h"
#include "artemis/output/view_cluster_events.h"
#include "artemis/terminal/args.h"

#include <stdio.h>
#include <string.h>

static const struct args_option options[] = {
    CALL_OPTIONS,
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
             "FAILS     consecutive failed requests\n"
             "HEARD     time since its last response\n"
             "COMPARED  time of the last digest comparison, and its result\n"
             "Exit code 0: this node and all its peers are up and ready, or it has no peers,\n"
             "and cluster.expected_nodes are up; otherwise 1.\n"
             "events: lists the last 256 members that joined or left the topology of the\n"
             "node, and failures of its membership providers, with the reason.\n"
             "block: all other nodes refuse NODE, a node id or an address, and contact it no\n"
             "more, until unblock. It needs the role admin, and goes to any other node.\n",
    .example = "artemis cluster --server http://10.0.0.7:8080\n"
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
    server_call_result_free(&result);
    return exit_code;
}

static int run(const struct args *args)
{
    const char *subcommand = args->positionals[0];
    const char *node = args->positionals[1];
    if (!subcommand)
        return show_nodes(args);
    if (strcmp(subcommand, "events") == 0 && !node)
        return show_events(args);
    bool blocks = strcmp(subcommand, "block") == 0;
    if (node && (blocks || strcmp(subcommand, "unblock") == 0))
        return order(args, node, blocks);
    char problem[ARGS_PROBLEM_MAX];
    snprintf(problem, sizeof problem,
             "\"%.64s\": the form is: cluster, cluster events, cluster block NODE, or cluster "
             "unblock NODE",
             subcommand);
    return args_usage_error(&command, problem);
}

int command_cluster(int argc, char **argv)
{
    return args_run(&command, argc, argv, run);
}
