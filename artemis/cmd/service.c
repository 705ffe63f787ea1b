/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis/call/call_request.h"
#include "artemis/call/server_call.h"
#include "artemis/filter/filter_args.h"
#include "artemis/output/table.h"
#include "artemis/output/view.h"
#include "artemis/terminal/args.h"

#include <stdio.h>

static const struct args_option options[] = {
    {.name = "wide", .description = "show protocol, weight, machine and metadata, too"},
    {.name = "all", .description = "list instances of every status, not only those that are up"},
    FILTER_OPTIONS,
    NEAR_OPTION,
    CALL_OPTIONS,
    {.name = NULL},
};

static const struct args_command command = {
    .name = "service",
    .usage = {"service NAME [options]"},
    .about = "Lists the instances of one service that are up, with the address of each. A\n"
             "terminal of 120 columns or more shows the wide list. With --near, the last line\n"
             "says how many are in the zone, elsewhere in the region, and beyond.\n",
    .example = "artemis service orders --all\n"
               "artemis service orders --near eu-1/eu-1a --meta version=3\n",
    .positionals = {"NAME"},
    .options = options,
};

static int list(const struct args *args)
{
    char problem[ARGS_PROBLEM_MAX] = "--all and --status exclude each other";
    const char *name = args->positionals[0];
    struct instance_filter filter;
    if ((args_has(args, "all") && args_has(args, "status")) ||
        filter_args_read(args, true, &filter, problem))
        return args_usage_error(&command, problem);
    const struct service_view view = {
        .service = name,
        .all = args_has(args, "all"),
        .filtered = !instance_filter_is_plain(&filter) || args_has(args, "status"),
        .wide = args_has(args, "wide"),
        .columns_max = table_width_of(stdout),
    };
    struct text path = {0};
    call_request_service_path(name, view.all, &path);
    filter_args_append(args, true, &path);
    struct server_call_result result;
    server_call_get(args, &path, "service.instances", &result);
    int exit_code = server_call_report(args, &result);
    if (server_call_prints_text(args, &result))
        view_service(result.root, &view, stdout);
    server_call_result_free(&result);
    return exit_code;
}

int command_service(int argc, char **argv)
{
    return args_run(&command, argc, argv, list);
}
