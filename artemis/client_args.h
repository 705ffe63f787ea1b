/* SPDX-License-Identifier: Apache-2.0
 *
 * client_args - what a command takes, in one table: it is read by the table, and the help is
 * printed from it.
 *
 * Options may stand before, between and after the other arguments; `--` ends them. Values are
 * checked here as far as the table knows (numbers and their range, UTF-8), so a command reads what
 * is right. Every command has --help without a row for it. A name that is not in the table is a
 * mistake of the programmer.
 *
 * Reading permutes `argv`. What is read borrows from `argv` and from the table. One thread at a
 * time, because getopt_long(3) is used.
 */
#pragma once

#include "artemis-core/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define CLIENT_POSITIONALS_MAX 2
#define CLIENT_MISTAKE_MAX     256

struct client_option {
    const char *name;     /* without the dashes; NULL ends the table */
    const char *value;    /* what stands for the value in the help; NULL: a flag, takes none */
    const char *sentence; /* for the help; no full stop */
    const char *fallback; /* the value when it is not given; NULL: none */
    long min, max;        /* min < max: a whole number within; else text */
};

struct client_command {
    const char *name;
    const char *usage[3];                            /* each form without "artemis"; at least one */
    const char *about;                               /* what it does; lines end in \n */
    const char *example;                             /* lines end in \n */
    const char *positionals[CLIENT_POSITIONALS_MAX]; /* their names, in order; then NULL */
    bool positionals_optional;                       /* the command itself says when they must be */
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

/* argv[0] is the name of the command. ERR_INVALID_FIELD: `mistake` says what to mend;
 * ERR_NO_MEMORY. */
MUST_USE enum error client_args_read(struct client_args *args, const struct client_command *command,
                                     int argc, char **argv, char mistake[CLIENT_MISTAKE_MAX]);
void client_args_free(struct client_args *args);

/* Reads, and answers --help and mistakes on the terminal: false means that the command is over, and
 * *exit_code is how. When true, the caller frees `args`. */
MUST_USE bool client_args_start(struct client_args *args, const struct client_command *command,
                                int argc, char **argv, int *exit_code);

/* Complains about a mistake that the table cannot know. Returns CLIENT_USAGE. */
int client_args_mistake(const struct client_command *command, const char *mistake);

/* The value given last, or the fallback, or NULL. */
const char *client_args_text(const struct client_args *args, const char *name);

/* The same of an option with a range, which was given or has a fallback. */
long client_args_number(const struct client_args *args, const char *name);

/* Was it given on the command line? */
bool client_args_has(const struct client_args *args, const char *name);

/* For an option that may be repeated: the next value, NULL after the last. *position begins at 0.
 */
const char *client_args_next(const struct client_args *args, const char *name, size_t *position);

void client_args_help(const struct client_command *command, FILE *out);
