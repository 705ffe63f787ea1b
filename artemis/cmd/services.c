/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis/call/server_call.h"
#include "artemis/cmd/watch.h"
#include "artemis/filter/filter_args.h"
#include "artemis/output/table.h"
#include "artemis/output/view.h"
#include "artemis/terminal/args.h"

#include <stdio.h>

static const struct args_option options[] = {
    {.name = "watch", .description = "keep running, and show each change"},
    FILTER_OPTIONS,
    CALL_OPTIONS,
    {.name = NULL},
};

static const struct args_command command = {
    .name = "services",
    .usage = {"services [options]"},
    .about = "Lists the services: the number of instances of each, and how many are up.\n"
             "With --watch, runs until SIGINT or SIGTERM: on a terminal it redraws the list\n"
             "at each change; in a pipe it prints the list again, with --json as one document\n"
             "on a line.\n",
    .example = "artemis services --server http://10.0.0.7:8080\n"
               "artemis services --watch --region eu-1 --status up\n",
    .options = options,
};

static int list(const struct args *args)
{
    struct text path = {0};
    text_append_string(&path, "/api/discovery/services");
    filter_args_append(args, false, &path);
    struct server_call_result result;
    server_call_get(args, &path, "services", &result);
    int exit_code = server_call_report(args, &result);
    if (server_call_prints_text(args, &result) &&
        view_services(result.root, stdout, table_width_of(stdout)))
        exit_code = server_call_no_memory();
    server_call_result_free(&result);
    return exit_code;
}

static int run(const struct args *args)
{
    char problem[ARGS_PROBLEM_MAX];
    struct instance_filter filter;
    if (filter_args_read(args, false, &filter, problem))
        return args_usage_error(&command, problem);
    return args_has(args, "watch") ? watch_services(args) : list(args);
}

int command_services(int argc, char **argv)
{
    return args_run(&command, argc, argv, run);
}
