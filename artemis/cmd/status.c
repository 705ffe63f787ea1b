/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis/client/client_call.h"
#include "artemis/cmd/client_args.h"
#include "artemis/output/client_view.h"

#include <stdio.h>

static const struct client_option options[] = {
    CLIENT_CALL_OPTIONS,
    {.name = NULL},
};

static const struct client_command command = {
    .name = "status",
    .usage = {"status [options]"},
    .about = "Shows one node: its identity, whether it is ready, and what it stores.\n",
    .example = "artemis status --server http://10.0.0.7:8080\n",
    .options = options,
};

int command_status(int argc, char **argv)
{
    struct client_args args;
    int exit_code = 0;
    if (!client_args_start(&args, &command, argc, argv, &exit_code))
        return exit_code;
    struct client_request status_request = {.path = "/api/status/node"};
    struct client_result status;
    client_call(&args, &status_request, &status);
    exit_code = client_call_report(&args, &status);
    if (client_call_prints_text(&args, &status)) {
        struct client_request ready_request = {.path = "/ready"};
        struct client_result ready;
        client_call(&args, &ready_request, &ready);
        client_view_status(status.root, &ready.response, stdout);
        client_result_free(&ready);
    }
    client_result_free(&status);
    client_args_free(&args);
    return exit_code;
}
