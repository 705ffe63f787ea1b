/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/watch.h"

#include "artemis/call/library_client.h"
#include "artemis/call/server_call.h"
#include "artemis/cmd/commands.h"
#include "artemis/filter/filter_args.h"
#include "artemis/output/table.h"
#include "artemis/output/view_watch.h"
#include "artemis/terminal/exit_code.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* --- watch NAME ------------------------------------------------------------------------------- */

static const struct args_option options[] = {
    SERVER_OPTIONS,
    FILTER_OPTIONS,
    {.name = "json", .description = "print each change as a JSON object on a line"},
    {.name = NULL},
};

static const struct args_command command = {
    .name = "watch",
    .usage = {"watch NAME [options]"},
    .about = "Prints each change of a service until SIGINT or SIGTERM: time, kind of change,\n"
             "instance, address and status. NAME may be '*': all services. After a lost\n"
             "connection it uses the next server, or waits for one, and prints what has\n"
             "changed in between. With a filter, an instance that begins to match is new, and\n"
             "one that does not match any more is deleted.\n",
    .example = "artemis watch orders --server http://10.0.0.7:8080,http://10.0.0.8:8080\n"
               "artemis watch '*' --zone eu-1a --status up\n",
    .positionals = {"NAME"},
    .options = options,
};

struct printer {
    bool json;
};

/* Called by the thread of the library. Flushes each line for the reader of a pipe; ends the command
 * when the reader has closed the pipe. */
static void on_change(const struct artemis_change *change, void *context)
{
    const struct printer *printer = context;
    if (!printer->json)
        view_change(change, stdout);
    else if (view_change_json(change, stdout))
        (void)server_call_no_memory();
    if (fflush(stdout) != 0 || ferror(stdout))
        kill(getpid(), SIGTERM);
}

/* Watches with the filter of the command line. */
static int begin_watch(const struct library_client *library, const struct args *args,
                       const char *service, artemis_change_fn *callback, void *context,
                       struct artemis_watch **watch)
{
    struct library_filter filter;
    struct artemis_problem problem;
    int exit_code = EXIT_DONE;
    if (filter_args_library(args, &filter))
        exit_code = server_call_no_memory();
    else if (artemis_watch_filtered(library->client, service, &filter.filter, 0, callback, context,
                                    library->timeout_ms, watch, &problem))
        exit_code = library_client_print_error(&problem);
    filter_args_free(&filter);
    return exit_code;
}

static int watch(struct library_client *library, const struct args *args)
{
    struct printer printer = {.json = args_has(args, "json")};
    struct artemis_watch *watch = NULL;
    int exit_code = begin_watch(library, args, args->positionals[0], on_change, &printer, &watch);
    if (exit_code != EXIT_DONE)
        return exit_code;
    while (library_client_wait(library, -1) != LIBRARY_INTERRUPTED)
        ;
    artemis_unwatch(watch);
    return EXIT_DONE;
}

static int run(const struct args *args)
{
    char problem[ARGS_PROBLEM_MAX];
    struct instance_filter filter;
    struct library_client library;
    if (filter_args_read(args, false, &filter, problem))
        return args_usage_error(&command, problem);
    int exit_code = library_client_begin(&library);
    if (exit_code != EXIT_DONE)
        return exit_code;
    exit_code = library_client_open(&library, args, NULL);
    if (exit_code == EXIT_DONE)
        exit_code = watch(&library, args);
    library_client_end(&library);
    return exit_code;
}

int command_watch(int argc, char **argv)
{
    return args_run(&command, argc, argv, run);
}

/* --- services --watch ------------------------------------------------------------------------- */

enum { REDRAW_MS = 200 }; /* changes within this time are drawn together */

#define CLEAR_SCREEN "\x1b[H\x1b[2J"

static void on_any_change(const struct artemis_change *change, void *context)
{
    (void)change;
    library_client_wake(context);
}

static int draw(struct library_client *library, const struct args *args, bool first)
{
    const struct artemis_service *all = NULL;
    struct library_filter filter;
    struct artemis_problem problem;
    bool json = args_has(args, "json");
    enum error error = filter_args_library(args, &filter);
    enum artemis_error failure =
        error ? ARTEMIS_NO_MEMORY
              : artemis_discover_filtered(library->client, "*", &filter.filter, library->timeout_ms,
                                          &all, &problem);
    filter_args_free(&filter);
    if (failure)
        return error ? server_call_no_memory() : library_client_print_error(&problem);
    bool terminal = isatty(STDOUT_FILENO);
    if (terminal && !json)
        fputs(CLEAR_SCREEN, stdout);
    else if (!first && !json)
        fputc('\n', stdout);
    error =
        json ? view_registry_json(all, stdout) : view_registry(all, stdout, table_width_of(stdout));
    artemis_service_free(all);
    if (error)
        return server_call_no_memory();
    return fflush(stdout) == 0 && !ferror(stdout) ? EXIT_DONE : EXIT_REFUSED;
}

static int redraw_on_change(struct library_client *library, const struct args *args)
{
    struct artemis_watch *watch = NULL;
    int exit_code = begin_watch(library, args, "*", on_any_change, library, &watch);
    if (exit_code == EXIT_DONE)
        exit_code = draw(library, args, true);
    while (exit_code == EXIT_DONE && !library_client_sleep(library, REDRAW_MS) &&
           library_client_wait(library, -1) == LIBRARY_WOKEN)
        exit_code = draw(library, args, false);
    artemis_unwatch(watch);
    return exit_code;
}

int watch_services(const struct args *args)
{
    struct library_client library;
    int exit_code = library_client_begin(&library);
    if (exit_code != EXIT_DONE)
        return exit_code;
    exit_code = library_client_open(&library, args, NULL);
    if (exit_code == EXIT_DONE)
        exit_code = redraw_on_change(&library, args);
    library_client_end(&library);
    return exit_code;
}
