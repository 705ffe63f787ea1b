/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis/local/admin_call.h"
#include "artemis/output/view_admin.h"
#include "artemis/terminal/args.h"
#include "artemis/terminal/exit_code.h"
#include "artemis/terminal/terminal_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct args_option options[] = {
    SOCKET_OPTION,
    CONFIG_OPTION,
    {.name = "timeout",
     .value = "SECS",
     .default_value = "30",
     .min = 1,
     .max = 3600,
     .description = "time limit for the call"},
    {.name = "json", .description = "print the node's response unchanged"},
    {.name = NULL},
};

static const struct args_command command = {
    .name = "admin",
    .usage = {"admin status | reload | dump [options]", "admin guard-release [SERVICE] [options]",
              "admin log-level LEVEL | drain [off] [options]"},
    .about = "Commands for the node on this host, through its admin socket (admin.socket).\n"
             "They work when the node accepts no HTTP request. Only the user of the node\n"
             "and root may call, and each call is recorded in the audit log.\n"
             "status: shows the state of the node in short.\n"
             "reload: reads the settings and certificates again, as SIGHUP does.\n"
             "log-level: changes log.level until the next reload.\n"
             "guard-release: as `artemis guard release`.\n"
             "drain: lets /ready fail, so that load balancers send no clients; the node goes\n"
             "on serving. `drain off` ends that.\n"
             "dump: prints settings, peers, services and metrics as JSON.\n",
    .example = "artemis admin status --socket /run/artemis/admin.sock\n"
               "artemis admin log-level debug --config /etc/artemis/node.toml\n",
    .positionals = {"command", "argument"},
    .positionals_optional = true,
    .options = options,
};

enum argument { NO_ARGUMENT, OPTIONAL_ARGUMENT, ARGUMENT };

static void print_ok(const json_t *root)
{
    (void)root;
    puts("done");
}

static void print_status(const json_t *root)
{
    view_admin_status(root, stdout);
}

static void print_reload(const json_t *root)
{
    view_reload(root, stdout);
}

static void print_release(const json_t *root)
{
    puts(json_is_true(json_object_get(root, "was_engaged"))
             ? "released"
             : "no guard is engaged there; nothing to release");
}

static void print_drain(const json_t *root)
{
    puts(json_is_true(json_object_get(root, "drained"))
             ? "/ready fails now; the node goes on serving"
             : "/ready succeeds again when the node is ready");
}

static void print_dump(const json_t *root)
{
    /* Escaped for a terminal: without control characters and characters beyond ASCII. */
    json_dumpf(root, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    putchar('\n');
}

static const struct {
    const char *name;
    const char *command; /* of the protocol */
    enum argument argument;
    const char *member; /* of the request, for the argument */
    const char *fallback;
    void (*print)(const json_t *root);
} subcommands[] = {
    {"status", "status", NO_ARGUMENT, NULL, NULL, print_status},
    {"reload", "reload", NO_ARGUMENT, NULL, NULL, print_reload},
    {"dump", "dump", NO_ARGUMENT, NULL, NULL, print_dump},
    {"log-level", "log-level", ARGUMENT, "level", NULL, print_ok},
    {"guard-release", "release-guard", OPTIONAL_ARGUMENT, "service_id", NULL, print_release},
    {"drain", "drain", OPTIONAL_ARGUMENT, "value", "on", print_drain},
};
enum { SUBCOMMANDS = sizeof(subcommands) / sizeof(subcommands[0]) };

static json_t *request_of(size_t number, const char *argument)
{
    json_t *request = json_object();
    const char *value = argument ? argument : subcommands[number].fallback;
    bool failed =
        json_object_set_new(request, "command", json_string(subcommands[number].command)) != 0;
    if (value)
        failed |= json_object_set_new(request, subcommands[number].member, json_string(value)) != 0;
    if (!failed)
        return request;
    json_decref(request);
    return NULL;
}

static int call(const struct args *args, size_t number)
{
    char path[CONFIG_TEXT_BYTES];
    struct admin_call_result result;
    int exit_code = node_setting_read(args, "socket", "admin.socket", path);
    if (exit_code != EXIT_DONE)
        return exit_code;
    if (!path[0])
        return args_usage_error(
            &command, "no admin socket is given: use --socket PATH, ARTEMIS_ADMIN_SOCKET, "
                      "or --config FILE with admin.socket");
    exit_code = admin_call(args, path, request_of(number, args->positionals[1]), &result);
    if (exit_code == EXIT_DONE && !args_has(args, "json"))
        subcommands[number].print(result.root);
    if (exit_code == EXIT_DONE && view_reload_has_failed(result.root))
        exit_code = EXIT_REFUSED;
    admin_call_result_free(&result);
    return exit_code;
}

static int run(const struct args *args)
{
    const char *name = args->positionals[0] ? args->positionals[0] : "";
    const char *argument = args->positionals[1];
    for (size_t i = 0; i < SUBCOMMANDS; i++) {
        if (strcmp(name, subcommands[i].name) != 0)
            continue;
        if (argument && subcommands[i].argument == NO_ARGUMENT)
            break;
        if (!argument && subcommands[i].argument == ARGUMENT)
            break;
        return call(args, i);
    }
    return args_form_error(args, "admin status, reload, dump, log-level LEVEL, guard-release "
                                 "[SERVICE], or drain [off]");
}

int command_admin(int argc, char **argv)
{
    return args_run(&command, argc, argv, run);
}
