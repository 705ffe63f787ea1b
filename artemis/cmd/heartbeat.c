/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis/call/call_request.h"
#include "artemis/call/server_call.h"
#include "artemis/cmd/instance_command.h"
#include "artemis/cmd/keep_alive.h"
#include "artemis/terminal/args.h"

static const struct args_option options[] = {
    KEEP_ALIVE_OPTIONS,
    KEY_OPTIONS,
    CALL_OPTIONS,
    {.name = NULL},
};

static const struct args_command command = {
    .name = "heartbeat",
    .usage = {"heartbeat SERVICE INSTANCE [options]"},
    .about = "Renews the lease of an instance. Exit code 1 when the server does not know the\n"
             "instance: register it again. With --every, sends heartbeats until SIGINT or\n"
             "SIGTERM, and retries while the server is down or busy. At the end the lease is\n"
             "left to expire, unless --unregister is given.\n",
    .example = "artemis heartbeat orders orders-1 --every 10\n",
    .positionals = {"SERVICE", "INSTANCE"},
    .options = options,
};

static int heartbeat(const struct args *args)
{
    struct key_args key;
    struct server_call_result result;
    if (instance_command_lacks_every(args))
        return args_usage_error(&command, instance_command_needs_every);
    char problem[ARGS_PROBLEM_MAX];
    if (key_args_check(args, problem))
        return args_usage_error(&command, problem);
    if (args_has(args, "every"))
        return keep_alive(args, false);
    int exit_code = key_args_resolve(args, &key);
    if (exit_code != EXIT_DONE)
        return exit_code;
    instance_command_post_key(args, &key, "/api/registry/heartbeat", &result);
    return instance_command_finish(args, &result, "renewed");
}

int command_heartbeat(int argc, char **argv)
{
    return args_run(&command, argc, argv, heartbeat);
}
