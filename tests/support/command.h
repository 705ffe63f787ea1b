/* SPDX-License-Identifier: Apache-2.0
 *
 * command - runs $ARTEMIS_BINARY, to its end or beside the test.
 *
 * Lists of arguments and of environment entries ("NAME=value") end with NULL; a NULL list is an
 * empty one. Nothing named ARTEMIS_* comes through from the test's own environment. A child dies
 * with the test.
 */
#pragma once

#include <sys/types.h>

struct command_result {
    int exit_code; /* 128 + N when signal N ended it */
    char *out;     /* all it printed */
    char *err;
};

/* Starts it with these as stdout and stderr. Fails the test when it cannot. */
pid_t command_spawn(const char *const args[], const char *const env[], int out_fd, int err_fd);

/* The exit code of a child, waiting until the deadline; -1 when it still runs then. */
int command_wait(pid_t pid, long long deadline_ms);

/* Runs it to its end; a command that outlives patience is killed and fails the test. */
struct command_result command_run(const char *const args[], const char *const env[]);
void command_free(struct command_result *result);

/* Everything in the file behind `fd`, from its start, NUL-terminated; the caller frees it. */
char *command_read_all(int fd);

/* A file without a name that goes away with its descriptor. */
int command_temp_file(void);
