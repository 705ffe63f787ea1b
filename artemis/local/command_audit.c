/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/cmd/commands.h"

#include "artemis-server/clock.h"
#include "artemis/local/audit_merge.h"
#include "artemis/local/node_setting.h"
#include "artemis/output/table.h"
#include "artemis/output/view_audit.h"
#include "artemis/terminal/args.h"
#include "artemis/terminal/exit_code.h"
#include "artemis/terminal/terminal_text.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LAST_MAX = 1000000, FOLLOW_MS = 250, NS_PER_MS = 1000000 };

static const struct args_option options[] = {
    {.name = "data-dir",
     .value = "DIR",
     .description = "storage.data_dir of the node (or ARTEMIS_STORAGE_DATA_DIR)"},
    CONFIG_OPTION,
    {.name = "token", .value = "NAME", .description = "only what this token did"},
    {.name = "action", .value = "ACTION", .description = "only this action, such as release-guard"},
    {.name = "object", .value = "OBJECT", .description = "only this service, setting or path"},
    {.name = "since",
     .value = "TIME",
     .description = "15m, 2h or 3d ago, 2026-01-31, or 2026-01-31T12:00:00Z"},
    {.name = "last",
     .value = "N",
     .min = 1,
     .max = LAST_MAX,
     .description = "only the last N of these records"},
    {.name = "follow", .description = "print further records as they are written"},
    {.name = "json", .description = "print the records unchanged, one JSON object per line"},
    {.name = NULL},
};

static const struct args_command command = {
    .name = "audit",
    .usage = {"audit [options]"},
    .about = "Shows the audit log of the node on this host, oldest record first: what\n"
             "operators and administrators have written, reloads, calls of the admin socket,\n"
             "and failed authentications. Reads audit.log, audit-failures.log and their\n"
             "earlier files in storage.data_dir; the node need not run. Times are UTC.\n",
    .example = "artemis audit --data-dir /var/lib/artemis --since 1d\n"
               "artemis audit --config /etc/artemis/node.toml --token ops --follow\n",
    .options = options,
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

/* What is printed, and the last lines while there may be later ones. */
struct audit_output {
    bool json;
    size_t columns;
    struct audit_filter filter;
    char **last; /* a ring; NULL: every line is printed at once */
    size_t last_max;
    size_t count; /* of selected lines */
    size_t invalid;
};

/* --- lines ------------------------------------------------------------------------------------ */

static void print_line(const struct audit_output *output, const char *line)
{
    if (output->json) {
        terminal_text_print_json(stdout, line, strlen(line));
        return;
    }
    json_t *record = json_loads(line, 0, NULL);
    view_audit_record(record, stdout, output->columns);
    json_decref(record);
}

static bool is_selected(struct audit_output *output, const char *line)
{
    json_t *record = json_loads(line, 0, NULL);
    bool selected = record && audit_filter_matches(&output->filter, record);
    output->invalid += !record;
    json_decref(record);
    return selected;
}

/* Prints a line, or keeps it. False: out of memory. */
static bool take_line(struct audit_output *output, const char *line)
{
    if (!is_selected(output, line))
        return true;
    size_t slot = output->last_max ? output->count % output->last_max : 0;
    output->count++;
    if (!output->last) {
        print_line(output, line);
        return true;
    }
    free(output->last[slot]);
    output->last[slot] = strdup(line);
    return output->last[slot] != NULL;
}

static void print_last(struct audit_output *output)
{
    size_t kept = output->count < output->last_max ? output->count : output->last_max;
    for (size_t i = output->count - kept; output->last && i < output->count; i++)
        if (output->last[i % output->last_max])
            print_line(output, output->last[i % output->last_max]);
}

static void free_last(struct audit_output *output)
{
    for (size_t i = 0; output->last && i < output->last_max; i++)
        free(output->last[i]);
    free(output->last);
    output->last = NULL;
}

/* --- reading ---------------------------------------------------------------------------------- */

static bool take_lines(struct audit_output *output, struct audit_merge *merge)
{
    const char *line;
    while (!interrupted && (line = audit_merge_next(merge)))
        if (!take_line(output, line))
            return false;
    return true;
}

static void follow(struct audit_output *output, struct audit_merge *merge)
{
    const struct timespec pause = {.tv_nsec = FOLLOW_MS * NS_PER_MS};
    while (!interrupted && !ferror(stdout)) {
        (void)take_lines(output, merge);
        fflush(stdout);
        nanosleep(&pause, NULL);
    }
}

static int show(const struct args *args, struct audit_output *output, struct audit_merge *merge)
{
    bool done = take_lines(output, merge);
    print_last(output);
    free_last(output);
    if (!done) {
        terminal_text_print_error(stderr, NULL, "out of memory");
        return EXIT_REFUSED;
    }
    if (output->count == 0 && !output->json)
        terminal_text_print_error(stderr, NULL, "no record was found");
    if (args_has(args, "follow"))
        follow(output, merge);
    if (output->invalid)
        terminal_text_print_error(stderr, NULL, "%zu line%s skipped: no valid record",
                                  output->invalid, output->invalid == 1 ? " was" : "s were");
    return EXIT_DONE;
}

static int open_and_show(const struct args *args, struct audit_output *output, const char *folder)
{
    struct audit_merge merge;
    if (audit_merge_open(&merge, folder)) {
        int number = errno;
        const char *hint =
            number == EACCES
                ? "call it as the user of the node, or as root"
                : "is this storage.data_dir of the node? It has this file from the first record on";
        terminal_text_print_error(stderr, hint, "%s/" AUDIT_FILE_NAME ": %s", folder,
                                  strerror(number));
        return EXIT_REFUSED;
    }
    int exit_code = show(args, output, &merge);
    audit_merge_close(&merge);
    return exit_code;
}

/* --- the command line ------------------------------------------------------------------------- */

static int read_options(const struct args *args, struct audit_output *output)
{
    const char *since = args_text(args, "since");
    output->json = args_has(args, "json");
    output->columns = table_width_of(stdout);
    output->filter.token = args_text(args, "token");
    output->filter.action = args_text(args, "action");
    output->filter.object = args_text(args, "object");
    if (since && !audit_filter_since(&output->filter, since, clock_now().wall_ms)) {
        char problem[ARGS_PROBLEM_MAX];
        snprintf(problem, sizeof(problem),
                 "--since must be like 15m, 2h, 3d, 2026-01-31 or 2026-01-31T12:00:00Z, is %.64s",
                 since);
        return args_usage_error(&command, problem);
    }
    if (!args_has(args, "last"))
        return EXIT_DONE;
    output->last_max = (size_t)args_number(args, "last");
    output->last = calloc(output->last_max, sizeof(*output->last));
    return output->last ? EXIT_DONE : EXIT_REFUSED;
}

static int run(const struct args *args)
{
    char folder[CONFIG_TEXT_BYTES];
    struct audit_output output = {0};
    const struct sigaction interrupt = {.sa_handler = on_interrupt};
    int exit_code = node_setting_read(args, "data-dir", "storage.data_dir", folder);
    if (exit_code != EXIT_DONE)
        return exit_code;
    if (!folder[0])
        return args_usage_error(&command, "no audit log is given: use --data-dir DIR, "
                                          "ARTEMIS_STORAGE_DATA_DIR, or --config FILE with "
                                          "storage.data_dir");
    exit_code = read_options(args, &output);
    sigaction(SIGINT, &interrupt, NULL);
    if (exit_code == EXIT_DONE)
        exit_code = open_and_show(args, &output, folder);
    free_last(&output);
    return exit_code;
}

int command_audit(int argc, char **argv)
{
    return args_run(&command, argc, argv, run);
}
