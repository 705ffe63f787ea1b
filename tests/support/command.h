/* SPDX-License-Identifier: Apache-2.0
 *
 * command - runs $ARTEMIS_BINARY, to its end or in parallel with the test.
 *
 * Lists of arguments and of environment entries ("NAME=value") end with NULL; a NULL list is an
 * empty one. Variables named ARTEMIS_* of the test's own environment are removed. A child is
 * killed when the test ends.
 */
#pragma once

#include <sys/types.h>

struct command_result {
    int exit_code; /* 128 + N when signal N ended it */
    char *out;     /* its stdout */
    char *err;
};

/* Starts the command with these as stdout and stderr. Fails the test when that fails. */
pid_t command_spawn(const char *const args[], const char *const env[], int out_fd, int err_fd);
/* The same, with `in_fd` as stdin in place of /dev/null. */
pid_t command_spawn_reading(const char *const args[], const char *const env[], int in_fd,
                            int out_fd, int err_fd);

/* Waits for the child until the deadline. Returns its exit code; -1 when it still runs. */
int command_wait(pid_t pid, long long deadline_ms);

/* Runs the command to its end. One that exceeds the deadline of tests is killed and fails the test.
 */
struct command_result command_run(const char *const args[], const char *const env[]);
/* Runs `artemis reload` with more arguments, which end in NULL, and a token (NULL: none). */
struct command_result command_run_reload(const char *const more[], const char *token);
void command_free(struct command_result *result);

/* Returns the whole file behind `fd`, NUL-terminated; the caller frees it. */
char *command_read_all(int fd);

/* Creates a file without a name; closing the descriptor deletes it. */
int command_temp_file(void);
