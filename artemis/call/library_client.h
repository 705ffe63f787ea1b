/* SPDX-License-Identifier: Apache-2.0
 *
 * library_session - for commands that run until a signal: a libartemis client, and the signals.
 *
 * --server may name several servers, separated by commas; the library uses the next one when one
 * does not respond.
 *
 * SIGINT and SIGTERM are blocked for the whole process and end library_session_wait. Used by one
 * thread; any thread may call library_session_wake, also from callbacks of the library.
 */
#pragma once

#include "artemis/terminal/args.h"
#include "libartemis/artemis.h"

#include <stdbool.h>

enum session_event {
    SESSION_INTERRUPTED,
    SESSION_WOKEN, /* library_session_wake was called */
    SESSION_TIMED_OUT,
};

struct library_session {
    struct artemis_client *client;
    int signals_fd;
    int wake_fd;
    int timeout_ms;    /* --timeout, for calls of the library */
    bool disconnected; /* of the library's thread: the loss was printed */
};

/* Blocks the signals. Returns an exit code after printing the error; EXIT_DONE: release with
 * library_session_end. `session` must not move. */
int library_session_begin(struct library_session *session);

/* Opens the client of the library for the servers of the command line (SERVER_OPTIONS). The
 * servers and the timeout of `options` are set here. NULL: a lost
 * connection, and its return, are printed on stderr. Prints the error; returns an exit code. */
int library_session_open(struct library_session *session, const struct args *args,
                         const struct artemis_options *options);
void library_session_end(struct library_session *session);

/* timeout_ms -1: no timeout. */
enum session_event library_session_wait(const struct library_session *session, int timeout_ms);
/* Waits only for signals. Returns true if there was one. */
bool library_session_sleep(const struct library_session *session, int sleep_ms);
void library_session_wake(const struct library_session *session);

/* Prints an error of the library; returns the exit code. */
int library_session_print_error(const struct artemis_problem *problem);
