/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis/call/call_request.h"
#include "artemis/call/server_call.h"
#include "artemis/cmd/instance_command.h"
#include "artemis/cmd/keep_alive.h"
#include "artemis/terminal/args.h"
#include "artemis/terminal/input_file.h"

#include <stdio.h>
#include <string.h>

static const struct args_option options[] = {
    INSTANCE_OPTIONS,
    KEY_OPTIONS,
    KEEP_ALIVE_OPTIONS,
    {.name = "file",
     .value = "FILE",
     .description = "post this JSON request unchanged; - is stdin"},
    CALL_OPTIONS,
    {.name = NULL},
};

static const struct args_command command = {
    .name = "register",
    .usage = {"register SERVICE INSTANCE --ip IP --port N [options]",
              "register SERVICE INSTANCE --url URL [options]", "register --file FILE [options]"},
    .about = "Registers an instance of a service, or changes it. Its lease expires when no\n"
             "heartbeat arrives for lease.ttl_secs (30 s); see: artemis heartbeat.\n"
             "With --every, keeps the instance registered until SIGINT or SIGTERM: sends\n"
             "heartbeats, retries while the server is down or busy, and registers again when\n"
             "the server has lost the instance. At the end the lease is left to expire,\n"
             "unless --unregister is given.\n",
    .example = "artemis register orders orders-1 --ip 10.0.0.7 --port 8080 --meta version=3\n"
               "artemis register orders orders-1 --ip 10.0.0.7 --port 8080 --every 10\n"
               "artemis register --file instances.json\n",
    .positionals = {"SERVICE", "INSTANCE"},
    .positionals_optional = true,
    .options = options,
};

/* With --file, options that describe an instance are usage errors: the file describes it. */
static bool has_only_file_options(const struct args *args, char problem[ARGS_PROBLEM_MAX])
{
    static const char *const allowed[] = {"file", "server", "timeout", "json"};
    if (args->positionals[0]) {
        snprintf(problem, ARGS_PROBLEM_MAX, "--file replaces SERVICE and INSTANCE");
        return false;
    }
    for (size_t i = 0; i < args->given_count; i++) {
        const char *name = args->given[i].option->name;
        bool is_allowed = false;
        for (size_t k = 0; k < sizeof allowed / sizeof *allowed; k++)
            is_allowed |= strcmp(allowed[k], name) == 0;
        if (strcmp(name, "every") == 0 || strcmp(name, "unregister") == 0) {
            snprintf(problem, ARGS_PROBLEM_MAX, "--%s needs SERVICE and INSTANCE, not --file",
                     name);
            return false;
        }
        if (!is_allowed) {
            snprintf(problem, ARGS_PROBLEM_MAX, "--file replaces --%s", name);
            return false;
        }
    }
    return true;
}

static int register_file(const struct args *args, const char *path)
{
    char problem[ARGS_PROBLEM_MAX];
    if (!has_only_file_options(args, problem))
        return args_usage_error(&command, problem);
    struct text body = {0};
    enum error error = input_file_read(path, &body, problem);
    int exit_code = EXIT_DONE;
    if (error == ERR_NO_MEMORY) {
        exit_code = server_call_no_memory();
    } else if (error) {
        exit_code = args_usage_error(&command, problem);
    } else {
        struct call_request request = {
            .path = "/api/registry/register", .body = text_string(&body), .size_bytes = body.size};
        struct server_call_result result;
        server_call_run(args, &request, &result);
        exit_code = instance_command_finish(args, &result, "registered");
    }
    text_free(&body);
    return exit_code;
}

static int register_one(const struct args *args)
{
    char problem[ARGS_PROBLEM_MAX] = "SERVICE and INSTANCE are missing, or --file FILE";
    if (args->positionals[0])
        snprintf(problem, sizeof problem, "INSTANCE is missing");
    if (!args->positionals[1])
        return args_usage_error(&command, problem);
    if (instance_command_lacks_every(args))
        return args_usage_error(&command, instance_command_needs_every);

    if (call_request_check_instance(args, problem))
        return args_usage_error(&command, problem);
    if (key_args_check(args, problem))
        return args_usage_error(&command, problem);
    if (args_has(args, "every"))
        return keep_alive(args, true);
    struct key_args key;
    int exit_code = key_args_resolve(args, &key);
    if (exit_code != EXIT_DONE)
        return exit_code;
    json_t *body = NULL;
    enum error error = call_request_instance(args, &key, &body);
    struct server_call_result result;
    server_call_post(args, "/api/registry/register", error ? NULL : body, &result);
    return instance_command_finish(args, &result, "registered");
}

int command_register(int argc, char **argv)
{
    struct args args;
    int exit_code = 0;
    if (!args_start(&args, &command, argc, argv, &exit_code))
        return exit_code;
    const char *path = args_text(&args, "file");
    exit_code = path ? register_file(&args, path) : register_one(&args);
    args_free(&args);
    return exit_code;
}
