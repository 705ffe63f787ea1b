/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis/call/server_call.h"
#include "artemis/output/view.h"
#include "artemis/terminal/args.h"

#include <stdio.h>

static const struct args_option options[] = {
    CALL_OPTIONS,
    {.name = NULL},
};

static const struct args_command command = {
    .name = "status",
    .usage = {"status [options]"},
    .about = "Shows one node: its identity, whether it is ready, what it stores, and whether\n"
             "the mass-expiry guard is engaged.\n",
    .example = "artemis status --server http://10.0.0.7:8080\n",
    .options = options,
};

static void print(const struct args *args, const struct server_call_result *status)
{
    const struct call_request ready_request = {.path = "/ready"};
    const struct call_request leases_request = {.path = "/api/status/leases"};
    struct server_call_result ready;
    struct server_call_result leases;
    server_call_again(args, status, &ready_request, &ready);
    server_call_again(args, status, &leases_request, &leases);
    view_status(status->root, &ready.response, leases.root, stdout);
    server_call_result_free(&leases);
    server_call_result_free(&ready);
}

int command_status(int argc, char **argv)
{
    struct args args;
    int exit_code = 0;
    if (!args_start(&args, &command, argc, argv, &exit_code))
        return exit_code;
    const struct call_request request = {
        .path = "/api/status/node",
        .data = "node_status.node",
    };
    struct server_call_result status;
    server_call_run(&args, &request, &status);
    exit_code = server_call_report(&args, &status);
    if (server_call_prints_text(&args, &status))
        print(&args, &status);
    server_call_result_free(&status);
    args_free(&args);
    return exit_code;
}
