/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis/call/server_call.h"
#include "artemis/terminal/args.h"
#include "artemis/terminal/terminal_text.h"

#include <stdio.h>
#include <string.h>

static const struct args_option options[] = {
    CALL_OPTIONS,
    {.name = NULL},
};

static const struct args_command command = {
    .name = "event",
    .usage = {"event fire TOPIC PAYLOAD [options]"},
    .about = "fire: publishes an event to the subscribers of a topic at all nodes. PAYLOAD is\n"
             "JSON, 4,096 bytes at most. With several servers, the next one is called when one\n"
             "does not respond, so the event may be published twice.\n",
    .example = "artemis event fire deploys '{\"service\":\"orders\",\"version\":7}'\n",
    .positionals = {"fire", "TOPIC", "PAYLOAD"},
    .options = options,
};

static void print_published(const struct args *args, const json_t *root)
{
    const char *node_id = json_string_value(json_object_get(root, "node_id"));
    printf("published event %" JSON_INTEGER_FORMAT " of ",
           json_integer_value(json_object_get(root, "number")));
    terminal_text_print(stdout, node_id ? node_id : "", 0);
    fputs(" to ", stdout);
    terminal_text_print(stdout, args->positionals[1], 0);
    putchar('\n');
}

static int fire(const struct args *args)
{
    struct server_call_result result;
    const char *text = args->positionals[2];
    json_error_t problem;
    json_t *payload = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &problem);
    if (!payload)
        return args_usage_error(&command, "PAYLOAD must be JSON; a text needs quotes: '\"text\"'");
    json_t *body = json_object();
    json_t *topic = json_string(args->positionals[1]);
    bool failed = json_object_set_new(body, "payload", payload) != 0; /* takes NULL */
    failed |= json_object_set_new(body, "topic", topic) != 0;
    if (failed) {
        json_decref(body);
        body = NULL;
    }
    server_call_post(args, "/api/events/publish", body, &result);
    int exit_code = server_call_report(args, &result);
    if (server_call_prints_text(args, &result))
        print_published(args, result.root);
    server_call_result_free(&result);
    return exit_code;
}

static int run(const struct args *args)
{
    if (strcmp(args->positionals[0], "fire") != 0)
        return args_usage_error(&command, "the form is: event fire TOPIC PAYLOAD");
    return fire(args);
}

int command_event(int argc, char **argv)
{
    return args_run(&command, argc, argv, run);
}
