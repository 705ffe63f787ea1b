/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/command_status.h"

#include "artemis/client_args.h"
#include "artemis/client_call.h"
#include "artemis/client_view.h"

#include <stdio.h>

static const struct client_option status_options[] = {
    CLIENT_CALL_OPTIONS,
    {.name = NULL},
};

static const struct client_command status_command = {
    .name = "status",
    .usage = {"status [options]"},
    .about = "Shows one node: who it is, whether it is ready, and what it holds.\n",
    .example = "artemis status --server http://10.0.0.7:8080\n",
    .options = status_options,
};

int command_status(int argc, char **argv)
{
    struct client_args args;
    int exit_code = 0;
    if (!client_args_start(&args, &status_command, argc, argv, &exit_code))
        return exit_code;
    struct client_request ask_status = {.path = "/api/status/node"};
    struct client_reply status;
    client_call(&args, &ask_status, &status);
    exit_code = client_call_report(&args, &status);
    if (client_call_shows(&args, &status)) {
        struct client_request ask_ready = {.path = "/ready"};
        struct client_reply ready;
        client_call(&args, &ask_ready, &ready);
        client_view_status(status.root, &ready.answer, stdout);
        client_reply_free(&ready);
    }
    client_reply_free(&status);
    client_args_free(&args);
    return exit_code;
}
