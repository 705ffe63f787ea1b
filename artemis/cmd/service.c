/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis/client/client_call.h"
#include "artemis/client/client_request.h"
#include "artemis/output/client_table.h"
#include "artemis/output/client_view.h"
#include "artemis/terminal/client_args.h"

#include <stdio.h>

static const struct client_option options[] = {
    {.name = "wide", .description = "show protocol, machine and metadata, too"},
    {.name = "all", .description = "list instances of every status, not only those that are up"},
    CLIENT_CALL_OPTIONS,
    {.name = NULL},
};

static const struct client_command command = {
    .name = "service",
    .usage = {"service NAME [options]"},
    .about = "Lists the instances of one service that are up, with the address of each. A\n"
             "terminal of 120 columns or more shows the wide list.\n",
    .example = "artemis service orders --all\n",
    .positionals = {"NAME"},
    .options = options,
};

int command_service(int argc, char **argv)
{
    struct client_args args;
    int exit_code = 0;
    if (!client_args_start(&args, &command, argc, argv, &exit_code))
        return exit_code;
    const char *name = args.positionals[0];
    const struct client_service_view view = {
        .service = name,
        .all = client_args_has(&args, "all"),
        .wide = client_args_has(&args, "wide"),
        .columns_max = client_table_width_of(stdout),
    };
    struct text path = {0};
    client_request_service_path(name, view.all, &path);
    const struct client_request request = {
        .path = text_string(&path),
        .data = "service.instances",
    };
    if (text_failed(&path)) {
        exit_code = client_call_no_memory();
        goto out;
    }
    struct client_result result;
    client_call(&args, &request, &result);
    exit_code = client_call_report(&args, &result);
    if (client_call_prints_text(&args, &result))
        client_view_service(result.root, &view, stdout);
    client_result_free(&result);
out:
    text_free(&path);
    client_args_free(&args);
    return exit_code;
}
