/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis/client/client_call.h"
#include "artemis/client/client_request.h"
#include "artemis/cmd/client_args.h"
#include "artemis/cmd/instance_command.h"

static const struct client_option options[] = {
    CLIENT_KEY_OPTIONS,
    CLIENT_CALL_OPTIONS,
    {.name = NULL},
};

static const struct client_command command = {
    .name = "unregister",
    .usage = {"unregister SERVICE INSTANCE [options]"},
    .about = "Removes an instance from the registry at once. An unknown instance counts as\n"
             "done.\n",
    .example = "artemis unregister orders orders-1\n",
    .positionals = {"SERVICE", "INSTANCE"},
    .options = options,
};

int command_unregister(int argc, char **argv)
{
    struct client_args args;
    int exit_code = 0;
    if (!client_args_start(&args, &command, argc, argv, &exit_code))
        return exit_code;
    struct client_result result;
    instance_command_post_key(&args, "/api/registry/unregister", &result);
    exit_code = instance_command_finish(&args, &result, "unregistered");
    client_args_free(&args);
    return exit_code;
}
