/* SPDX-License-Identifier: Apache-2.0
 *
 * server_process - runs an Artemis server for a test, on its own port.
 *
 * It runs $ARTEMIS_BINARY on port 0 and reads the port from its stdout. Its log is kept, and
 * printed only if a test fails: every main ends with return
 * server_process_finish(cmocka_run_group_tests(tests, NULL, NULL)); which also ends servers that a
 * failed test left running. One thread makes all calls; an error fails the test.
 *
 * With TEST_OVER_TLS in the environment, every server also listens with TLS, and `port` is that of
 * a tunnel to it (client/tls_tunnel.h): the whole test then speaks TLS.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct server_process {
    pid_t pid; /* 0 after it has ended */
    int stdout_fd;
    int log_fd; /* a file with its stderr */
    uint16_t port;
    uint16_t tls_port;  /* of server.tls_listen_addr; 0: none */
    uint16_t peer_port; /* of cluster.listen_addr; 0: none */
    char address[32];   /* 127.0.0.1:PORT */
    char url[40];       /* http://127.0.0.1:PORT */
    char banner[4096];  /* its stdout up to the address on which it listens */
};

/* For the few checks that do not hold then (docs/SECURITY.md). */
bool server_process_over_tls(void);

/* Returns when it listens. Lists as in command.h; `args` follow `server --addr 127.0.0.1:0`. */
void server_process_start(struct server_process *server, const char *const args[],
                          const char *const env[]);

/* The same on a given port. */
void server_process_start_at(struct server_process *server, uint16_t port, const char *const args[],
                             const char *const env[]);

/* The same on a free port with stderr at `stderr_fd`, such as a pipe. */
void server_process_start_with_stderr(struct server_process *server, const char *const args[],
                                      int stderr_fd);

void server_process_signal(const struct server_process *server, int signal);

/* Stops all of its threads (SIGSTOP), and returns when they have stopped. */
void server_process_suspend(const struct server_process *server);
void server_process_continue(const struct server_process *server); /* SIGCONT */

/* Waits for its end and returns the exit code; fails the test at the deadline. */
int server_process_wait(struct server_process *server);

/* Sends SIGTERM; the exit code must be 0. Does nothing if it has ended. */
void server_process_stop(struct server_process *server);

/* The same for several, which end at the same time. */
void server_process_stop_all(struct server_process *const servers[], size_t count);

/* server_process_stop, and returns its log; the caller frees it. */
char *server_process_stop_and_read_log(struct server_process *server);

/* Sends SIGKILL. */
void server_process_kill(struct server_process *server);

/* Peak resident memory in KiB. */
long server_process_peak_kib(const struct server_process *server);

/* Processor time used so far, in ms. */
long server_process_cpu_ms(const struct server_process *server);

/* The number of open descriptors. */
int server_process_open_files(const struct server_process *server);

/* Prints the logs if a test failed and kills servers that still run; returns the exit code. */
int server_process_finish(int failed);
