/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis-core/base/text.h"
#include "artemis/call/library_client.h"
#include "artemis/call/server_call.h"
#include "artemis/output/view_event.h"
#include "artemis/terminal/args.h"
#include "artemis/terminal/exit_code.h"
#include "artemis/terminal/terminal_text.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PAYLOAD_SHOWN = 112 }; /* bytes of a payload in a message */

static const struct args_option options[] = {
    {.name = "count",
     .value = "N",
     .min = 1,
     .max = 1000000000,
     .description = "watch: end after this number of events"},
    SERVER_OPTIONS,
    {.name = "json", .description = "fire: print the response; watch: a JSON object per event"},
    {.name = NULL},
};

static const struct args_command command = {
    .name = "event",
    .usage = {"event fire TOPIC PAYLOAD [options]", "event watch TOPIC... [--count N] [options]"},
    .about = "fire: publishes an event to the subscribers of a topic at all nodes. PAYLOAD is\n"
             "JSON, 4,096 bytes at most. With several servers, the next one is called when one\n"
             "does not respond, so the event may be published twice.\n"
             "watch: prints the events of topics as they come, until SIGINT or SIGTERM: time,\n"
             "topic, the node that published it, and payload. Lost events are reported on\n"
             "standard error. After a lost connection it uses the next server, or waits for\n"
             "one. --timeout is the time for the first connection.\n",
    .example = "artemis event fire deploys '{\"service\":\"orders\",\"version\":7}'\n"
               "artemis event watch deploys artemis.cluster --count 10\n",
    .positionals = {"fire or watch", "TOPIC", "PAYLOAD or TOPIC"},
    .positionals_optional = true,
    .positionals_repeat = true,
    .options = options,
};

/* --- event fire ------------------------------------------------------------------------------- */

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

/* Names what is wrong, and the payload. Plain text is the usual mistake. */
static int refuse_payload(const char *text, const json_error_t *problem)
{
    char why[ARGS_PROBLEM_MAX];
    char shown[PAYLOAD_SHOWN];
    bool is_plain = *text && !strchr("{[\"-0123456789", *text);
    text_quote(shown, sizeof shown, slice_of(text));
    snprintf(why, sizeof why, "PAYLOAD must be JSON, is %s: %.100s", shown,
             is_plain ? "a text needs quotes: '\"text\"'" : problem->text);
    return args_usage_error(&command, why);
}

static int fire(const struct args *args)
{
    struct server_call_result result;
    const char *text = args->positionals[2];
    json_error_t problem;
    json_t *payload = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &problem);
    if (!payload)
        return refuse_payload(text, &problem);
    json_t *body = json_object();
    json_t *topic = json_string(args->positionals[1]);
    bool failed = json_object_set_new(body, "payload", payload) != 0; /* accepts NULL */
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

/* --- event watch ------------------------------------------------------------------------------ */

struct printer {
    struct library_client *library;
    bool json;
    long left; /* events to print; 0: no limit. Of the library's thread */
    atomic_bool done;
};

/* Called by the thread of the library. Flushes each line for the reader of a pipe; ends the command
 * when the reader has closed the pipe. */
static void on_event(const struct artemis_event *event, void *context)
{
    struct printer *printer = context;
    if (atomic_load(&printer->done))
        return;
    if (event->type == ARTEMIS_EVENTS_LOST) {
        view_events_lost(event, stderr);
        return;
    }
    if (!printer->json)
        view_event(event, stdout);
    else if (view_event_json(event, stdout))
        (void)server_call_no_memory();
    if (fflush(stdout) != 0 || ferror(stdout))
        kill(getpid(), SIGTERM);
    if (printer->left == 0 || --printer->left > 0)
        return;
    atomic_store(&printer->done, true);
    library_client_wake(printer->library);
}

/* The subscriptions end with the client. */
static int run_watch(struct printer *printer, const char *const topics[], size_t count)
{
    struct library_client *library = printer->library;
    struct artemis_subscription *subscription;
    struct artemis_problem problem;
    enum artemis_error error = ARTEMIS_OK;
    for (size_t i = 0; i < count && !error; i++)
        error = artemis_subscribe_topic(library->client, topics[i], on_event, printer,
                                        library->timeout_ms, &subscription, &problem);
    if (error)
        return library_client_print_error(&problem);
    while (!atomic_load(&printer->done) && library_client_wait(library, -1) != LIBRARY_INTERRUPTED)
        ;
    return EXIT_DONE;
}

/* Runs until a signal, or until --count events are printed. */
static int watch(const struct args *args, const char *const topics[], size_t count)
{
    struct library_client library;
    struct printer printer = {.library = &library,
                              .json = args_has(args, "json"),
                              .left = args_has(args, "count") ? args_number(args, "count") : 0};
    int exit_code = library_client_begin(&library);
    if (exit_code != EXIT_DONE)
        return exit_code;
    exit_code = library_client_open(&library, args, NULL);
    if (exit_code == EXIT_DONE)
        exit_code = run_watch(&printer, topics, count);
    library_client_end(&library);
    return exit_code;
}

/* --- event ------------------------------------------------------------------------------------ */

static int run(const struct args *args)
{
    const char *subcommand = args->positionals[0] ? args->positionals[0] : "";
    bool watches = strcmp(subcommand, "watch") == 0;
    bool fires = strcmp(subcommand, "fire") == 0;
    if (watches && args->all_count >= 2)
        return watch(args, args->all_positionals + 1, args->all_count - 1);
    if (!fires || args->all_count != 3)
        return args_form_error(args, "event fire TOPIC PAYLOAD, or event watch TOPIC...");
    if (args_has(args, "count"))
        return args_usage_error(&command, "--count belongs to watch");
    return fire(args);
}

int command_event(int argc, char **argv)
{
    return args_run(&command, argc, argv, run);
}
