/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis/call/server_call.h"
#include "artemis/local/admin_call.h"
#include "artemis/output/view_admin.h"
#include "artemis/terminal/args.h"
#include "artemis/terminal/exit_code.h"

#include <stdio.h>

static const struct args_option options[] = {
    SOCKET_OPTION,
    CONFIG_OPTION,
    CALL_OPTIONS,
    {.name = NULL},
};

static const struct args_command command = {
    .name = "reload",
    .usage = {"reload [options]"},
    .about = "Has a node read its settings and certificates again, as SIGHUP does, and prints\n"
             "what has changed and what needs a restart. A file that is not valid changes\n"
             "nothing; the message says why, and the exit code is 1. It is 1 also if a\n"
             "certificate cannot be used; the node keeps the earlier one.\n"
             "Calls the admin socket if one is given and --server is not; otherwise the HTTP\n"
             "API, which needs a token with the role admin where tokens are set.\n",
    .example = "artemis reload --socket /run/artemis/admin.sock\n"
               "artemis reload --server https://10.0.0.7:8443 --token-file admin.token\n",
    .options = options,
};

static int reload_by_socket(const struct args *args, const char *path)
{
    struct admin_call_result result;
    int exit_code = admin_call(args, path, json_pack("{s:s}", "command", "reload"), &result);
    if (exit_code == EXIT_DONE && !args_has(args, "json"))
        view_reload(result.root, stdout);
    if (exit_code == EXIT_DONE && view_reload_has_failed(result.root))
        exit_code = EXIT_REFUSED;
    admin_call_result_free(&result);
    return exit_code;
}

static int reload_by_http(const struct args *args)
{
    struct server_call_result result;
    server_call_post(args, "/api/admin/reload", json_object(), &result);
    int exit_code = server_call_report(args, &result);
    if (server_call_prints_text(args, &result))
        view_reload(result.root, stdout);
    if (exit_code == EXIT_DONE && view_reload_has_failed(result.root))
        exit_code = EXIT_REFUSED;
    server_call_result_free(&result);
    return exit_code;
}

int command_reload(int argc, char **argv)
{
    struct args args;
    char path[CONFIG_TEXT_BYTES] = "";
    int exit_code = 0;
    if (!args_start(&args, &command, argc, argv, &exit_code))
        return exit_code;
    if (!args_has(&args, "server"))
        exit_code = node_setting_read(&args, "socket", "admin.socket", path);
    if (exit_code == EXIT_DONE && !path[0] && args_has(&args, "config") &&
        !args_has(&args, "server"))
        exit_code = args_usage_error(
            &command, "admin.socket is not set in --config FILE; set it, or give --server URL");
    if (exit_code == EXIT_DONE)
        exit_code = path[0] ? reload_by_socket(&args, path) : reload_by_http(&args);
    args_free(&args);
    return exit_code;
}
