/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis/call/key_args.h"
#include "artemis/call/server_call.h"
#include "artemis/cmd/instance_command.h"
#include "artemis/terminal/args.h"
#include "artemis/terminal/terminal_text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const struct args_option options[] = {
    KEY_OPTIONS,
    CALL_OPTIONS,
    {.name = NULL},
};

static const struct args_command command = {
    .name = "unregister",
    .usage = {"unregister SERVICE INSTANCE [options]"},
    .about = "Removes an instance from the registry at once. An instance that is not\n"
             "registered is reported, and counts as done.\n",
    .example = "artemis unregister orders orders-1\n",
    .positionals = {"SERVICE", "INSTANCE"},
    .options = options,
};

/* False if the list of instances does not have the key. *other is set to an instance of the same id
 * with another key. Without a list only an unknown service is known not to have the instance. */
static bool may_be_registered(const struct key_args *key, const struct server_call_result *list,
                              const json_t **other)
{
    const json_t *instances = instance_command_instances(list);
    for (size_t i = 0; i < json_array_size(instances); i++) {
        const json_t *instance = json_array_get(instances, i);
        if (key_args_equals(key, instance))
            return true;
        if (strcmp(call_response_text(instance, "instance_id"), key->instance) == 0)
            *other = instance;
    }
    const json_t *status = call_response_field(list->root, "response_status");
    return !instances && strcmp(call_response_text(status, "reason"), "service-not-found") != 0;
}

static void print_part(const char *option, const char *value)
{
    if (!*value)
        return;
    printf(" %s ", option);
    terminal_text_print(stdout, value, 0);
}

static void print_not_registered(const struct args *args, const json_t *other)
{
    instance_command_print_done(args, "not registered:");
    if (!other)
        return;
    fputs("  an instance of this id has another key:", stdout);
    print_part("--region", call_response_text(other, "region_id"));
    print_part("--zone", call_response_text(other, "zone_id"));
    print_part("--group", call_response_text(other, "group_id"));
    fputc('\n', stdout);
}

static int unregister(const struct args *args)
{
    struct key_args key;
    int exit_code = key_args_resolve(args, &key);
    if (exit_code != EXIT_DONE)
        return exit_code;
    struct server_call_result list;
    struct server_call_result result;
    const json_t *other = NULL;
    instance_command_get_service(args, &list);
    bool registered = may_be_registered(&key, &list, &other);
    instance_command_post_key(args, &key, "/api/registry/unregister", &result);
    exit_code = server_call_report(args, &result);
    if (server_call_prints_text(args, &result) && registered)
        instance_command_print_done(args, "unregistered");
    else if (server_call_prints_text(args, &result))
        print_not_registered(args, other);
    server_call_result_free(&result);
    server_call_result_free(&list);
    return exit_code;
}

int command_unregister(int argc, char **argv)
{
    return args_run(&command, argc, argv, unregister);
}
