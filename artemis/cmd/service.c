/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis/call/call_request.h"
#include "artemis/call/server_call.h"
#include "artemis/output/table.h"
#include "artemis/output/view.h"
#include "artemis/terminal/args.h"

#include <stdio.h>

static const struct args_option options[] = {
    {.name = "wide", .description = "show protocol, weight, machine and metadata, too"},
    {.name = "all", .description = "list instances of every status, not only those that are up"},
    CALL_OPTIONS,
    {.name = NULL},
};

static const struct args_command command = {
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
    struct args args;
    int exit_code = 0;
    if (!args_start(&args, &command, argc, argv, &exit_code))
        return exit_code;
    const char *name = args.positionals[0];
    const struct service_view view = {
        .service = name,
        .all = args_has(&args, "all"),
        .wide = args_has(&args, "wide"),
        .columns_max = table_width_of(stdout),
    };
    struct text path = {0};
    call_request_service_path(name, view.all, &path);
    const struct call_request request = {
        .path = text_string(&path),
        .data = "service.instances",
    };
    if (text_failed(&path)) {
        exit_code = server_call_no_memory();
        goto out;
    }
    struct server_call_result result;
    server_call_run(&args, &request, &result);
    exit_code = server_call_report(&args, &result);
    if (server_call_prints_text(&args, &result))
        view_service(result.root, &view, stdout);
    server_call_result_free(&result);
out:
    text_free(&path);
    args_free(&args);
    return exit_code;
}
