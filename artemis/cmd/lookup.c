/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis/call/call_request.h"
#include "artemis/call/server_call.h"
#include "artemis/filter/filter_args.h"
#include "artemis/terminal/args.h"
#include "artemis/terminal/terminal_text.h"

#include <stdio.h>
#include <string.h>

static const struct args_option options[] = {
    {.name = "strategy",
     .value = "S",
     .description = "random or round-robin",
     .default_value = "random"},
    FILTER_OPTIONS,
    NEAR_OPTION,
    CALL_OPTIONS,
    {.name = NULL},
};

static const struct args_command command = {
    .name = "lookup",
    .usage = {"lookup SERVICE [options]"},
    .about = "Prints the URL of one instance of a service that is up. The server picks it: at\n"
             "random, or in turn (round-robin). With --near, one of the nearest.\n",
    .example = "artemis lookup orders --strategy round-robin\n"
               "artemis lookup orders --near eu-1/eu-1a --meta version=3\n"
               "curl \"$(artemis lookup orders)/health\"\n",
    .positionals = {"SERVICE"},
    .options = options,
};

static int look_up(const struct args *args)
{
    const char *strategy = args_text(args, "strategy");
    if (strcmp(strategy, "random") != 0 && strcmp(strategy, "round-robin") != 0) {
        char problem[ARGS_PROBLEM_MAX];
        snprintf(problem, sizeof problem, "--strategy must be random or round-robin, is %.64s",
                 *strategy ? strategy : "empty");
        return args_usage_error(&command, problem);
    }
    char problem[ARGS_PROBLEM_MAX];
    struct instance_filter filter;
    if (filter_args_read(args, true, &filter, problem))
        return args_usage_error(&command, problem);
    struct text path = {0};
    text_append_string(&path, "/api/discovery/lookup?strategy=");
    text_append_string(&path, strategy);
    text_append_string(&path, "&service_id=");
    call_request_escape(&path, args->positionals[0]);
    filter_args_append(args, true, &path);
    const struct call_request request = {.path = text_string(&path), .data = "instance"};
    struct server_call_result result;
    if (text_failed(&path))
        server_call_set_no_memory(&result);
    else
        server_call_run(args, &request, &result);
    text_free(&path);
    int exit_code = server_call_report(args, &result);
    if (server_call_prints_text(args, &result)) {
        const json_t *instance = call_response_field(result.root, "instance");
        terminal_text_print(stdout, call_response_text(instance, "url"), 0);
        fputc('\n', stdout);
    }
    server_call_result_free(&result);
    return exit_code;
}

int command_lookup(int argc, char **argv)
{
    return args_run(&command, argc, argv, look_up);
}
