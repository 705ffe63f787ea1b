/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis/call/lease_call.h"
#include "artemis/call/server_call.h"
#include "artemis/output/table.h"
#include "artemis/output/view_leases.h"
#include "artemis/terminal/args.h"
#include "artemis/terminal/terminal_text.h"

#include <stdio.h>
#include <string.h>

static const struct args_option options[] = {
    CALL_OPTIONS,
    {.name = NULL},
};

static const struct args_command command = {
    .name = "guard",
    .usage = {"guard status [SERVICE] [options]", "guard release [SERVICE] [options]"},
    .about = "The mass-expiry guard suspends evictions when the renewals of a service, or of\n"
             "all services of a node, collapse.\n"
             "status: shows the guard of the node and of each service where it is engaged.\n"
             "release: lets the node evict again, for one service, or for the node and all its\n"
             "services. A guard that is not engaged is reported, and counts as done.\n",
    .example = "artemis guard status\n"
               "artemis guard release orders\n",
    .positionals = {"status or release", "SERVICE"},
    .positionals_optional = true,
    .options = options,
};

static int show(const struct args *args, const char *service)
{
    struct server_call_result result;
    lease_call_get(args, service, "guard.node", &result);
    int exit_code = server_call_report(args, &result);
    if (server_call_prints_text(args, &result))
        view_guards(result.root, service, stdout, table_width_of(stdout));
    server_call_result_free(&result);
    return exit_code;
}

static void post_release(const struct args *args, const char *service,
                         struct server_call_result *result)
{
    json_t *body = json_object();
    bool failed = service && json_object_set_new(body, "service_id", json_string(service)) != 0;
    if (failed) {
        json_decref(body);
        body = NULL;
    }
    server_call_post(args, "/api/status/leases/release", body, result);
}

static void print_released(const char *service, bool engaged)
{
    if (!service) {
        puts(engaged ? "the guards of the node and of its services are released"
                     : "no guard is engaged; nothing to release");
        return;
    }
    fputs("the guard of ", stdout);
    terminal_text_print(stdout, service, 0);
    puts(engaged ? " is released" : " is not engaged; nothing to release");
}

static int release(const struct args *args, const char *service)
{
    struct server_call_result before;
    struct server_call_result result;
    lease_call_get(args, service, "guard.node", &before);
    if (before.outcome.exit_code != EXIT_DONE) {
        int exit_code = server_call_report(args, &before);
        server_call_result_free(&before);
        return exit_code;
    }
    post_release(args, service, &result);
    int exit_code = server_call_report(args, &result);
    if (server_call_prints_text(args, &result))
        print_released(service, view_guard_is_engaged(before.root, service));
    server_call_result_free(&result);
    server_call_result_free(&before);
    return exit_code;
}

static int run(const struct args *args)
{
    const char *subcommand = args->positionals[0] ? args->positionals[0] : "";
    if (strcmp(subcommand, "status") == 0)
        return show(args, args->positionals[1]);
    if (strcmp(subcommand, "release") == 0)
        return release(args, args->positionals[1]);
    return args_form_error(args, "guard status [SERVICE], or guard release [SERVICE]");
}

int command_guard(int argc, char **argv)
{
    return args_run(&command, argc, argv, run);
}
