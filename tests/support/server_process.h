/* SPDX-License-Identifier: Apache-2.0
 *
 * server_process - a real Artemis server beside the test, on a port of its own.
 *
 * It runs $ARTEMIS_BINARY on port 0 and reads from its stdout where it listens. What it logs is
 * kept, and printed only if a test fails: every main ends with return
 * server_process_finish(cmocka_run_group_tests(tests, NULL, NULL)); which also ends what a failed
 * test left running. All calls come from one thread; whatever goes wrong fails the test.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct server_process {
    pid_t pid; /* 0 once it has ended */
    int stdout_fd;
    int log_fd; /* its stderr, a file */
    uint16_t port;
    char address[32];  /* 127.0.0.1:PORT */
    char url[40];      /* http://127.0.0.1:PORT */
    char banner[4096]; /* what it printed, up to the address it listens on */
};

/* Comes back once it listens. Lists as in command.h; `args` follow `server --addr 127.0.0.1:0`. */
void server_process_start(struct server_process *server, const char *const args[],
                          const char *const env[]);

/* The same on a port that others know already. */
void server_process_start_at(struct server_process *server, uint16_t port, const char *const args[],
                             const char *const env[]);

/* The same on a free port with stderr at `stderr_fd`, such as a pipe. */
void server_process_start_with_stderr(struct server_process *server, const char *const args[],
                                      int stderr_fd);

void server_process_signal(const struct server_process *server, int signal);

/* Waits for its end and returns the exit code; fails the test when patience ends first. */
int server_process_wait(struct server_process *server);

/* TERM, and it must exit with 0. Does nothing when it has ended already. */
void server_process_stop(struct server_process *server);

/* The same, and returns all that it has logged; the caller frees it. */
char *server_process_stop_and_read_log(struct server_process *server);

/* As a power cut would end it. */
void server_process_kill(struct server_process *server);

/* Resident memory, the highest ever, in KiB. */
long server_process_peak_kib(const struct server_process *server);

/* Processor time it has used so far, in ms. */
long server_process_cpu_ms(const struct server_process *server);

/* How many descriptors it has open. */
int server_process_open_files(const struct server_process *server);

/* Prints the log of each server if a test failed, kills what still runs; returns the exit code. */
int server_process_finish(int failed);
