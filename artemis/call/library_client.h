/* SPDX-License-Identifier: Apache-2.0
 *
 * library_client - for commands that run until a signal: a libartemis client, and the signals.
 *
 * --server may name several servers, separated by commas; the library uses the next one when one
 * does not respond.
 *
 * SIGINT and SIGTERM are blocked for the whole process and end library_client_wait. Used by one
 * thread; any thread may call library_client_wake, also from callbacks of the library.
 */
#pragma once

#include "artemis/terminal/args.h"
#include "libartemis/artemis.h"

#include <stdbool.h>

enum library_event {
    LIBRARY_INTERRUPTED,
    LIBRARY_WOKEN, /* library_client_wake was called */
    LIBRARY_TIMED_OUT,
};

struct library_client {
    struct artemis_client *client;
    int signals_fd;
    int wake_fd;
    int timeout_ms;    /* --timeout, for calls of the library */
    bool disconnected; /* of the library's thread: the loss was printed */
};

/* Blocks the signals. Returns an exit code after printing the error; EXIT_DONE: release with
 * library_client_end. `library` must not move. */
int library_client_begin(struct library_client *library);

/* Opens the client of the library for the servers of the command line (SERVER_OPTIONS). The servers
 * and the timeout of `options` are set here. `options` NULL: the defaults, and a lost connection,
 * and its return, are printed on stderr. Prints the error; returns an exit code. */
int library_client_open(struct library_client *library, const struct args *args,
                        const struct artemis_options *options);
void library_client_end(struct library_client *library);

/* timeout_ms -1: no timeout. */
enum library_event library_client_wait(const struct library_client *library, int timeout_ms);
/* Waits only for signals. Returns true if there was one. */
bool library_client_sleep(const struct library_client *library, int sleep_ms);
void library_client_wake(const struct library_client *library);

/* Prints an error of the library; returns the exit code. */
int library_client_print_error(const struct artemis_problem *problem);
