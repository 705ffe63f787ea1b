/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis/call/server_call.h"
#include "artemis/output/table.h"
#include "artemis/output/view_cluster.h"
#include "artemis/terminal/args.h"

#include <stdio.h>

static const struct args_option options[] = {
    CALL_OPTIONS,
    {.name = NULL},
};

static const struct args_command command = {
    .name = "cluster",
    .usage = {"cluster [options]"},
    .about = "Shows the nodes of a cluster as one of them sees them. Columns of a peer:\n"
             "HEALTH    up, not ready, down, new, incompatible (refuses everything),\n"
             "          unauthorized (refuses the token of this node),\n"
             "          stranger (other cluster), twin (same node id), or self\n"
             "LAG       age of the oldest change or renewal that it has not received; if none\n"
             "          is pending, the time from the last one to the response of the peer\n"
             "BACKLOG   number of keys whose change it has not received\n"
             "FAILS     consecutive failed requests\n"
             "HEARD     time since its last response\n"
             "COMPARED  time of the last digest comparison, and its result\n"
             "Exit code 0: this node and all its peers are up and ready, or it has no peers;\n"
             "otherwise 1.\n",
    .example = "artemis cluster --server http://10.0.0.7:8080\n",
    .options = options,
};

int command_cluster(int argc, char **argv)
{
    struct args args;
    int exit_code = 0;
    if (!args_start(&args, &command, argc, argv, &exit_code))
        return exit_code;
    const struct call_request request = {
        .path = "/api/status/cluster",
        .data = "nodes_status",
    };
    struct server_call_result result;
    server_call_run(&args, &request, &result);
    exit_code = server_call_report(&args, &result);
    if (server_call_prints_text(&args, &result))
        view_cluster(result.root, stdout, table_width_of(stdout));
    if (exit_code == EXIT_DONE && !view_cluster_is_healthy(result.root))
        exit_code = EXIT_REFUSED;
    server_call_result_free(&result);
    args_free(&args);
    return exit_code;
}
