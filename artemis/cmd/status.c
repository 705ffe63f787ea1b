/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis/call/server_call.h"
#include "artemis/output/view.h"
#include "artemis/terminal/args.h"

#include <stdio.h>
#include <string.h>

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

/* The details of the guards need the role operator, so they are requested only if there are some. A
 * node of an earlier version does not say whether there are. */
static bool has_guard_details(const struct server_call_result *status)
{
    json_t *node_status = call_response_field(status->root, "node_status");
    return strcmp(call_response_text(node_status, "guard"), "off") != 0;
}

static void print(const struct args *args, const struct server_call_result *status)
{
    const struct call_request ready_request = {.path = "/ready"};
    const struct call_request leases_request = {.path = "/api/status/leases"};
    struct server_call_result ready;
    struct server_call_result leases = {0};
    server_call_again(args, status, &ready_request, &ready);
    if (has_guard_details(status))
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
