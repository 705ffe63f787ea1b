/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis/client/client_call.h"
#include "artemis/output/client_view.h"
#include "artemis/terminal/client_args.h"

#include <stdio.h>

static const struct client_option options[] = {
    CLIENT_CALL_OPTIONS,
    {.name = NULL},
};

static const struct client_command command = {
    .name = "status",
    .usage = {"status [options]"},
    .about = "Shows one node: its identity, whether it is ready, what it stores, and whether\n"
             "the mass-expiry guard is engaged.\n",
    .example = "artemis status --server http://10.0.0.7:8080\n",
    .options = options,
};

static void print(const struct client_args *args, const struct client_result *status)
{
    const struct client_request ready_request = {.path = "/ready"};
    const struct client_request leases_request = {.path = "/api/status/leases"};
    struct client_result ready;
    struct client_result leases;
    client_call_again(args, status, &ready_request, &ready);
    client_call_again(args, status, &leases_request, &leases);
    client_view_status(status->root, &ready.response, leases.root, stdout);
    client_result_free(&leases);
    client_result_free(&ready);
}

int command_status(int argc, char **argv)
{
    struct client_args args;
    int exit_code = 0;
    if (!client_args_start(&args, &command, argc, argv, &exit_code))
        return exit_code;
    const struct client_request request = {
        .path = "/api/status/node",
        .data = "node_status.node",
    };
    struct client_result status;
    client_call(&args, &request, &status);
    exit_code = client_call_report(&args, &status);
    if (client_call_prints_text(&args, &status))
        print(&args, &status);
    client_result_free(&status);
    client_args_free(&args);
    return exit_code;
}
