/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis-core/json/codec.h"
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
     .description = "how the server picks the instance",
     .default_value = "random"},
    FILTER_OPTIONS,
    NEAR_OPTION,
    {.name = "hash-key", .value = "K", .description = "key of consistent-hash, such as a user"},
    CALL_OPTIONS,
    {.name = NULL},
};

static const struct args_command command = {
    .name = "lookup",
    .usage = {"lookup SERVICE [options]"},
    .about = "Prints the URL of one instance of a service: of those that are up, or of those\n"
             "with another status that --status names. The server picks it:\n"
             "  random           at random\n"
             "  round-robin      each in turn\n"
             "  weighted         at random, in proportion to the weights\n"
             "  consistent-hash  the same one for the same key, on every server\n"
             "With --near, it is one of the nearest.\n",
    .example = "artemis lookup orders --strategy round-robin\n"
               "artemis lookup orders --strategy consistent-hash --hash-key user-7\n"
               "artemis lookup orders --near eu-1/eu-1a --meta version=3\n"
               "curl \"$(artemis lookup orders)/health\"\n",
    .positionals = {"SERVICE"},
    .options = options,
};

/* False: *problem names the option. */
static bool check_strategy(const char *name, const char *hash_key, char problem[ARGS_PROBLEM_MAX])
{
    enum lookup_strategy strategy = LOOKUP_RANDOM;
    while (strategy < LOOKUP_STRATEGIES && strcmp(name, discovery_strategy_name(strategy)) != 0)
        strategy++;
    if (strategy == LOOKUP_STRATEGIES)
        snprintf(problem, ARGS_PROBLEM_MAX,
                 "--strategy must be random, round-robin, weighted or consistent-hash, is %.64s",
                 *name ? name : "empty");
    else if (strategy == LOOKUP_CONSISTENT_HASH && (!hash_key || !*hash_key))
        snprintf(problem, ARGS_PROBLEM_MAX, "--strategy consistent-hash needs --hash-key KEY");
    else if (strategy != LOOKUP_CONSISTENT_HASH && hash_key)
        snprintf(problem, ARGS_PROBLEM_MAX, "--hash-key needs --strategy consistent-hash");
    else
        return true;
    return false;
}

static int look_up(const struct args *args)
{
    char problem[ARGS_PROBLEM_MAX];
    const char *strategy = args_text(args, "strategy");
    const char *hash_key = args_text(args, "hash-key");
    if (!check_strategy(strategy, hash_key, problem))
        return args_usage_error(&command, problem);
    struct instance_filter filter;
    if (filter_args_read(args, true, &filter, problem))
        return args_usage_error(&command, problem);
    struct text path = {0};
    text_append_string(&path, "/api/discovery/lookup?strategy=");
    text_append_string(&path, strategy);
    text_append_string(&path, "&service_id=");
    call_request_escape(&path, args->positionals[0]);
    filter_args_append(args, true, &path);
    if (hash_key) {
        text_append_string(&path, "&hash_key=");
        call_request_escape(&path, hash_key);
    }
    struct server_call_result result;
    server_call_get(args, &path, "instance", &result);
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
