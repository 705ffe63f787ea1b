/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis/client/client_call.h"
#include "artemis/output/client_table.h"
#include "artemis/output/client_view_cluster.h"
#include "artemis/terminal/client_args.h"

#include <stdio.h>

static const struct client_option options[] = {
    CLIENT_CALL_OPTIONS,
    {.name = NULL},
};

static const struct client_command command = {
    .name = "cluster",
    .usage = {"cluster [options]"},
    .about = "Shows the nodes of a cluster as one of them sees them. Columns of a peer:\n"
             "HEALTH    up, not ready, down, new, incompatible (refuses everything),\n"
             "          stranger (other cluster), twin (same node id), or self\n"
             "LAG       age of the oldest change that it has not received\n"
             "BACKLOG   number of keys that it has not received\n"
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
    struct client_args args;
    int exit_code = 0;
    if (!client_args_start(&args, &command, argc, argv, &exit_code))
        return exit_code;
    const struct client_request request = {
        .path = "/api/status/cluster",
        .data = "nodes_status",
    };
    struct client_result result;
    client_call(&args, &request, &result);
    exit_code = client_call_report(&args, &result);
    if (client_call_prints_text(&args, &result))
        client_view_cluster(result.root, stdout, client_table_width_of(stdout));
    if (exit_code == CLIENT_DONE && !client_view_cluster_is_healthy(result.root))
        exit_code = CLIENT_REFUSED;
    client_result_free(&result);
    client_args_free(&args);
    return exit_code;
}
