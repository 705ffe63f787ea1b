/* SPDX-License-Identifier: Apache-2.0
 *
 * client_args - parses the command line of a command by its table of options, and prints the help
 * from the same table.
 *
 * Options may stand before, between and after the other arguments; `--` ends the options. The
 * parser checks what the table states: numbers and their range, UTF-8. Every command has --help
 * without a row for it. Asking for an option that is not in the table is a programming error.
 *
 * Parsing reorders `argv`. The result borrows from `argv` and from the table. Not thread-safe:
 * getopt_long(3) has global state.
 */
#pragma once

#include "artemis-core/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define CLIENT_POSITIONALS_MAX 3
#define CLIENT_PROBLEM_MAX     256

struct client_option {
    const char *name;          /* without the dashes; NULL ends the table */
    const char *value;         /* name of the value in the help; NULL: a flag without a value */
    const char *description;   /* for the help; no full stop */
    const char *default_value; /* used when the option is not given; NULL: none */
    long min, max;             /* min < max: a whole number in this range; otherwise text */
};

struct client_command {
    const char *name;
    const char *usage[3];                            /* each form without "artemis"; at least one */
    const char *about;                               /* what it does; lines end in \n */
    const char *example;                             /* lines end in \n */
    const char *positionals[CLIENT_POSITIONALS_MAX]; /* their names, in order; then NULL */
    bool positionals_optional;                       /* the command checks which are required */
    const struct client_option *options;
};

struct client_given {
    const struct client_option *option;
    const char *value; /* NULL for a flag */
};

struct client_args {
    const struct client_command *command;
    const char *positionals[CLIENT_POSITIONALS_MAX]; /* NULL where none was given */
    bool help;
    struct client_given *given; /* in the order of the command line */
    size_t given_count;
};

/* argv[0] is the name of the command. ERR_INVALID_FIELD: `problem` names the argument and what is
 * allowed; ERR_NO_MEMORY. After success, release with client_args_free. */
MUST_USE enum error client_args_read(struct client_args *args, const struct client_command *command,
                                     int argc, char **argv, char problem[CLIENT_PROBLEM_MAX]);
void client_args_free(struct client_args *args);

/* Parses, and handles --help and errors itself. False: the command ends with *exit_code. True: the
 * caller releases `args`. */
MUST_USE bool client_args_start(struct client_args *args, const struct client_command *command,
                                int argc, char **argv, int *exit_code);

/* Prints a usage error that the table cannot express. Returns CLIENT_USAGE. */
int client_args_usage_error(const struct client_command *command, const char *problem);

/* The last value given, or the default, or NULL. */
const char *client_args_text(const struct client_args *args, const char *name);

/* The same for an option with a range, which was given or has a default. */
long client_args_number(const struct client_args *args, const char *name);

/* True if the option was given on the command line. */
bool client_args_has(const struct client_args *args, const char *name);

/* For an option that may be repeated: the next value, NULL after the last. *position starts at 0.
 */
const char *client_args_next(const struct client_args *args, const char *name, size_t *position);

void client_args_help(const struct client_command *command, FILE *out);
