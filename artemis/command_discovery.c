/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/command_discovery.h"

#include "artemis/client_args.h"
#include "artemis/client_call.h"
#include "artemis/client_request.h"
#include "artemis/client_table.h"
#include "artemis/client_view.h"
#include "artemis/command_watch.h"

#include <stdio.h>

static const struct client_option services_options[] = {
    {.name = "watch", .sentence = "go on until interrupted, and show each change"},
    CLIENT_CALL_OPTIONS,
    {.name = NULL},
};

static const struct client_command services_command = {
    .name = "services",
    .usage = {"services [options]"},
    .about = "Lists every service: how many instances it has, and how many of them are up.\n"
             "With --watch, a terminal shows the list as it is now; a pipe gets it anew at\n"
             "each change, under --json as a document on a line. --server may then name\n"
             "several servers, with commas between.\n",
    .example = "artemis services --server http://10.0.0.7:8080\n",
    .options = services_options,
};

int command_services(int argc, char **argv)
{
    struct client_args args;
    int exit_code = 0;
    if (!client_args_start(&args, &services_command, argc, argv, &exit_code))
        return exit_code;
    if (client_args_has(&args, "watch")) {
        exit_code = command_watch_services(&args);
        client_args_free(&args);
        return exit_code;
    }
    struct client_request request = {.path = "/api/discovery/services"};
    struct client_reply reply;
    client_call(&args, &request, &reply);
    exit_code = client_call_report(&args, &reply);
    if (client_call_shows(&args, &reply) &&
        client_view_services(reply.root, stdout, client_table_room(stdout)))
        exit_code = client_call_no_memory();
    client_reply_free(&reply);
    client_args_free(&args);
    return exit_code;
}

static const struct client_option service_options[] = {
    {.name = "all", .sentence = "instances of every status, not only those that are up"},
    CLIENT_CALL_OPTIONS,
    {.name = NULL},
};

static const struct client_command service_command = {
    .name = "service",
    .usage = {"service NAME [options]"},
    .about = "Lists the instances of one service that are up, with the address of each.\n",
    .example = "artemis service orders --all\n",
    .positionals = {"NAME"},
    .options = service_options,
};

int command_service(int argc, char **argv)
{
    struct client_args args;
    int exit_code = 0;
    if (!client_args_start(&args, &service_command, argc, argv, &exit_code))
        return exit_code;
    const char *name = args.positionals[0];
    bool all = client_args_has(&args, "all");
    struct text path = {0};
    client_request_service_path(name, all, &path);
    struct client_request request = {.path = text_string(&path)};
    if (text_failed(&path)) {
        exit_code = client_call_no_memory();
        goto out;
    }
    struct client_reply reply;
    client_call(&args, &request, &reply);
    exit_code = client_call_report(&args, &reply);
    if (client_call_shows(&args, &reply))
        client_view_service(reply.root, name, all, stdout, client_table_room(stdout));
    client_reply_free(&reply);
out:
    text_free(&path);
    client_args_free(&args);
    return exit_code;
}
