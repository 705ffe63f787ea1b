/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis/client/client_call.h"
#include "artemis/cmd/lease_call.h"
#include "artemis/output/client_table.h"
#include "artemis/output/client_view_leases.h"
#include "artemis/terminal/client_args.h"

#include <stdio.h>

static const struct client_option options[] = {
    CLIENT_CALL_OPTIONS,
    {.name = NULL},
};

static const struct client_command command = {
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
    struct client_args args;
    int exit_code = 0;
    if (!client_args_start(&args, &command, argc, argv, &exit_code))
        return exit_code;
    struct client_result result;
    lease_call_get(&args, args.positionals[0], "leases", &result);
    exit_code = client_call_report(&args, &result);
    if (client_call_prints_text(&args, &result))
        client_view_leases(result.root, stdout, client_table_width_of(stdout));
    client_result_free(&result);
    client_args_free(&args);
    return exit_code;
}
