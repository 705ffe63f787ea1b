/* SPDX-License-Identifier: Apache-2.0
 *
 * args - parses the command line of a command by its table of options, and prints the help
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

#define ARGS_POSITIONALS_MAX 3
#define ARGS_PROBLEM_MAX     256

struct args_option {
    const char *name;          /* without the dashes; NULL ends the table */
    const char *value;         /* name of the value in the help; NULL: a flag without a value */
    const char *description;   /* for the help; no full stop */
    const char *default_value; /* used when the option is not given; NULL: none */
    long min, max;             /* min < max: a whole number in this range; otherwise text */
};

struct args_command {
    const char *name;
    const char *usage[3];                          /* each form without "artemis"; at least one */
    const char *about;                             /* what it does; lines end in \n */
    const char *example;                           /* lines end in \n */
    const char *positionals[ARGS_POSITIONALS_MAX]; /* their names, in order; then NULL */
    bool positionals_optional;                     /* the command checks which are required */
    bool positionals_repeat;                       /* the last one may be given many times */
    const struct args_option *options;
};

struct args_given {
    const struct args_option *option;
    const char *value; /* NULL for a flag */
};

struct args {
    const struct args_command *command;
    const char *positionals[ARGS_POSITIONALS_MAX]; /* NULL where none was given */
    const char *const *all_positionals;            /* as given, also those that repeat */
    size_t all_count;
    bool help;
    struct args_given *given; /* in the order of the command line */
    size_t given_count;
};

/* argv[0] is the name of the command. ERR_INVALID_FIELD: `problem` names the argument and what is
 * allowed; ERR_NO_MEMORY. After success, release with args_free. */
MUST_USE enum error args_read(struct args *args, const struct args_command *command, int argc,
                              char **argv, char problem[ARGS_PROBLEM_MAX]);
void args_free(struct args *args);

/* Parses, and handles --help and errors itself. False: the command ends with *exit_code. True: the
 * caller releases `args`. */
MUST_USE bool args_start(struct args *args, const struct args_command *command, int argc,
                         char **argv, int *exit_code);

/* Parses the arguments, calls `run` with them and frees them. Returns the exit code. */
int args_run(const struct args_command *command, int argc, char **argv,
             int (*run)(const struct args *args));

/* Prints a usage error that the table cannot express. Returns EXIT_USAGE. */
int args_usage_error(const struct args_command *command, const char *problem);

/* The same for a first argument that names no subcommand, or misses its other arguments: prints it
 * and `forms`, such as "guard status [SERVICE], or guard release [SERVICE]". Returns EXIT_USAGE. */
int args_form_error(const struct args *args, const char *forms);

/* The last value given, or the default, or NULL. */
const char *args_text(const struct args *args, const char *name);

/* The same for an option with a range, which was given or has a default. */
long args_number(const struct args *args, const char *name);

/* True if the option was given on the command line. */
bool args_has(const struct args *args, const char *name);

/* For an option that may be repeated: the next value, NULL after the last. *position starts at 0.
 */
const char *args_next(const struct args *args, const char *name, size_t *position);

void args_help(const struct args_command *command, FILE *out);
