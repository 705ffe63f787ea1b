/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/command_cluster.h"

#include "artemis/client_args.h"
#include "artemis/client_call.h"
#include "artemis/client_table.h"
#include "artemis/client_view_cluster.h"

#include <stdio.h>

static const struct client_option options[] = {
    CLIENT_CALL_OPTIONS,
    {.name = NULL},
};

static const struct client_command command = {
    .name = "cluster",
    .usage = {"cluster [options]"},
    .about = "Shows the nodes of a cluster as one of them sees them. Of each peer: health\n"
             "(up, not ready, down, new, stranger, twin, self), how old what it has yet to be\n"
             "told is (lag), how many keys that are (backlog), failures in a row, when it was\n"
             "heard last, when both compared what they hold, and how many digests differed.\n"
             "Ends with 0 when this node and all its peers are up and ready, or when it has\n"
             "no peers; else with 1.\n",
    .example = "artemis cluster --server http://10.0.0.7:8080\n",
    .options = options,
};

int command_cluster(int argc, char **argv)
{
    struct client_args args;
    int exit_code = 0;
    if (!client_args_start(&args, &command, argc, argv, &exit_code))
        return exit_code;
    struct client_request request = {.path = "/api/status/cluster"};
    struct client_reply reply;
    client_call(&args, &request, &reply);
    exit_code = client_call_report(&args, &reply);
    if (client_call_shows(&args, &reply))
        client_view_cluster(reply.root, stdout, client_table_room(stdout));
    if (exit_code == CLIENT_DONE && !client_view_cluster_is_well(reply.root))
        exit_code = CLIENT_REFUSED;
    client_reply_free(&reply);
    client_args_free(&args);
    return exit_code;
}
