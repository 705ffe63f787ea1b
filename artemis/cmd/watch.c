/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/watch.h"

#include "artemis/call/library_client.h"
#include "artemis/call/server_call.h"
#include "artemis/cmd/commands.h"
#include "artemis/output/table.h"
#include "artemis/output/view_watch.h"
#include "artemis/terminal/exit_code.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* --- watch NAME ------------------------------------------------------------------------------- */

static const struct args_option options[] = {
    SERVER_OPTIONS,
    {.name = "json", .description = "print each change as a JSON object on a line"},
    {.name = NULL},
};

static const struct args_command command = {
    .name = "watch",
    .usage = {"watch NAME [options]"},
    .about = "Prints each change of a service until SIGINT or SIGTERM: time, kind of change,\n"
             "instance, address and status. NAME may be '*': all services. After a lost\n"
             "connection it uses the next server, or waits for one, and prints what has\n"
             "changed in between.\n",
    .example = "artemis watch orders --server http://10.0.0.7:8080,http://10.0.0.8:8080\n",
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

static int watch(struct library_client *library, const struct args *args)
{
    struct printer printer = {.json = args_has(args, "json")};
    struct artemis_problem problem;
    struct artemis_watch *watch = NULL;
    if (artemis_watch(library->client, args->positionals[0], 0, on_change, &printer,
                      library->timeout_ms, &watch, &problem))
        return library_client_print_error(&problem);
    while (library_client_wait(library, -1) != LIBRARY_INTERRUPTED)
        ;
    artemis_unwatch(watch);
    return EXIT_DONE;
}

int command_watch(int argc, char **argv)
{
    struct args args;
    struct library_client library;
    int exit_code = 0;
    if (!args_start(&args, &command, argc, argv, &exit_code))
        return exit_code;
    exit_code = library_client_begin(&library);
    if (exit_code == EXIT_DONE) {
        exit_code = library_client_open(&library, &args, NULL);
        if (exit_code == EXIT_DONE)
            exit_code = watch(&library, &args);
        library_client_end(&library);
    }
    args_free(&args);
    return exit_code;
}

/* --- services --watch ------------------------------------------------------------------------- */

enum { REDRAW_MS = 200 }; /* changes within this time are drawn together */

#define CLEAR_SCREEN "\x1b[H\x1b[2J"

static void on_any_change(const struct artemis_change *change, void *context)
{
    (void)change;
    library_client_wake(context);
}

static int draw(struct library_client *library, bool json, bool first)
{
    const struct artemis_service *all = NULL;
    struct artemis_problem problem;
    if (artemis_discover_all(library->client, "*", library->timeout_ms, &all, &problem))
        return library_client_print_error(&problem);
    bool terminal = isatty(STDOUT_FILENO);
    if (terminal && !json)
        fputs(CLEAR_SCREEN, stdout);
    else if (!first && !json)
        fputc('\n', stdout);
    enum error error =
        json ? view_registry_json(all, stdout) : view_registry(all, stdout, table_width_of(stdout));
    artemis_service_free(all);
    if (error)
        return server_call_no_memory();
    return fflush(stdout) == 0 && !ferror(stdout) ? EXIT_DONE : EXIT_REFUSED;
}

static int redraw_on_change(struct library_client *library, bool json)
{
    struct artemis_problem problem;
    struct artemis_watch *watch = NULL;
    if (artemis_watch(library->client, "*", 0, on_any_change, library, library->timeout_ms, &watch,
                      &problem))
        return library_client_print_error(&problem);
    int exit_code = draw(library, json, true);
    while (exit_code == EXIT_DONE && !library_client_sleep(library, REDRAW_MS) &&
           library_client_wait(library, -1) == LIBRARY_WOKEN)
        exit_code = draw(library, json, false);
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
        exit_code = redraw_on_change(&library, args_has(args, "json"));
    library_client_end(&library);
    return exit_code;
}
