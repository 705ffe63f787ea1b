/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis/call/lease_call.h"
#include "artemis/call/server_call.h"
#include "artemis/output/table.h"
#include "artemis/output/view_leases.h"
#include "artemis/terminal/args.h"

#include <stdio.h>

static const struct args_option options[] = {
    CALL_OPTIONS,
    {.name = NULL},
};

static const struct args_command command = {
    .name = "leases",
    .usage = {"leases SERVICE [options]"},
    .about = "Lists the leases of a service: the time since the last renewal, the time until\n"
             "the lease expires, and whether the mass-expiry guard suspends its eviction.\n",
    .example = "artemis leases orders\n",
    .positionals = {"SERVICE"},
    .options = options,
};

int command_leases(int argc, char **argv)
{
    struct args args;
    int exit_code = 0;
    if (!args_start(&args, &command, argc, argv, &exit_code))
        return exit_code;
    struct server_call_result result;
    lease_call_get(&args, args.positionals[0], "leases", &result);
    exit_code = server_call_report(&args, &result);
    if (server_call_prints_text(&args, &result))
        view_leases(result.root, stdout, table_width_of(stdout));
    server_call_result_free(&result);
    args_free(&args);
    return exit_code;
}
