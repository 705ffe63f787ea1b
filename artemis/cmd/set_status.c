/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis/call/call_request.h"
#include "artemis/call/key_args.h"
#include "artemis/call/server_call.h"
#include "artemis/cmd/instance_command.h"
#include "artemis/terminal/args.h"
#include "artemis/terminal/terminal_text.h"

#include <stdio.h>

static const struct args_option options[] = {
    {.name = "region", .value = "R", .description = "region of the instance"},
    {.name = "zone", .value = "Z", .description = "zone of the instance"},
    {.name = "group", .value = "G", .description = "group of the instance"},
    CALL_OPTIONS,
    {.name = NULL},
};

static const struct args_command command = {
    .name = "set-status",
    .usage = {"set-status SERVICE INSTANCE STATUS [options]"},
    .about = "Changes the status of an instance: up, down, starting, unhealthy or unknown. All\n"
             "other fields stay unchanged, metadata included. When the program of the instance\n"
             "registers it again, its own status replaces this one. Region, zone and group are\n"
             "needed only when several instances have this id.\n",
    .example = "artemis set-status orders orders-1 down\n",
    .positionals = {"SERVICE", "INSTANCE", "STATUS"},
    .options = options,
};

/* The only instance that the arguments match. NULL: prints the error, and sets *exit_code. */
static json_t *find_instance(const struct args *args, const json_t *instances, int *exit_code)
{
    json_t *found = NULL;
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(instances); i++) {
        json_t *instance = json_array_get(instances, i);
        if (!key_args_matches_given(args, instance))
            continue;
        found = instance;
        count++;
    }
    if (count == 1)
        return found;
    *exit_code = EXIT_REFUSED;
    if (count == 0)
        terminal_text_print_error(stderr, "list the instances: artemis service NAME --all",
                                  "the instance is not registered: %s/%s", args->positionals[0],
                                  args->positionals[1]);
    else
        terminal_text_print_error(stderr, "name one with --region, --zone and --group",
                                  "%zu instances have the id %s/%s", count, args->positionals[0],
                                  args->positionals[1]);
    return NULL;
}

/* Registers the instance with the new status. */
static int post_status(const struct args *args, json_t *instance)
{
    struct server_call_result result;
    json_t *body = NULL;
    json_t *changed = json_copy(instance);
    const char *status = args->positionals[2];
    bool failed = json_object_set_new(changed, "status", json_string(status)) != 0;
    if (failed)
        json_decref(changed);
    else
        failed = call_request_wrap("instances", changed, &body) != ERR_NONE;
    server_call_post(args, "/api/registry/register", failed ? NULL : body, &result);
    return instance_command_finish(args, &result, "changed");
}

static int set_status(const struct args *args)
{
    char problem[ARGS_PROBLEM_MAX];
    if (key_args_check(args, problem) ||
        call_request_check_status("STATUS", args->positionals[2], problem))
        return args_usage_error(&command, problem);
    struct server_call_result list;
    instance_command_get_service(args, &list);
    int exit_code = EXIT_DONE;
    const json_t *instances = instance_command_instances(&list);
    json_t *instance = instances ? find_instance(args, instances, &exit_code) : NULL;
    if (!instances)
        exit_code = server_call_report(args, &list);
    if (instance)
        exit_code = post_status(args, instance);
    server_call_result_free(&list);
    return exit_code;
}

int command_set_status(int argc, char **argv)
{
    return args_run(&command, argc, argv, set_status);
}
