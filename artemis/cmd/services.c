/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis/client/client_call.h"
#include "artemis/cmd/watch.h"
#include "artemis/output/client_table.h"
#include "artemis/output/client_view.h"
#include "artemis/terminal/client_args.h"

#include <stdio.h>

static const struct client_option options[] = {
    {.name = "watch", .description = "keep running, and show each change"},
    CLIENT_CALL_OPTIONS,
    {.name = NULL},
};

static const struct client_command command = {
    .name = "services",
    .usage = {"services [options]"},
    .about = "Lists the services: the number of instances of each, and how many are up.\n"
             "With --watch, runs until SIGINT or SIGTERM: on a terminal it redraws the list\n"
             "at each change; in a pipe it prints the list again, with --json as one document\n"
             "on a line.\n",
    .example = "artemis services --server http://10.0.0.7:8080\n",
    .options = options,
};

static int list(const struct client_args *args)
{
    const struct client_request request = {
        .path = "/api/discovery/services",
        .data = "services",
    };
    struct client_result result;
    client_call(args, &request, &result);
    int exit_code = client_call_report(args, &result);
    if (client_call_prints_text(args, &result) &&
        client_view_services(result.root, stdout, client_table_width_of(stdout)))
        exit_code = client_call_no_memory();
    client_result_free(&result);
    return exit_code;
}

int command_services(int argc, char **argv)
{
    struct client_args args;
    int exit_code = 0;
    if (!client_args_start(&args, &command, argc, argv, &exit_code))
        return exit_code;
    exit_code = client_args_has(&args, "watch") ? watch_services(&args) : list(&args);
    client_args_free(&args);
    return exit_code;
}
