/* SPDX-License-Identifier: Apache-2.0
 *
 * client_session - for commands that run until a signal: a libartemis client, and the signals.
 *
 * --server may name several servers, separated by commas; the library uses the next one when one
 * does not respond.
 *
 * SIGINT and SIGTERM are blocked for the whole process and end client_session_wait. Used by one
 * thread; only client_session_wake may be called by any thread, also from callbacks of the library.
 */
#pragma once

#include "artemis/terminal/client_args.h"
#include "libartemis/artemis.h"

#include <stdbool.h>

enum client_event {
    CLIENT_INTERRUPTED,
    CLIENT_WOKEN, /* client_session_wake was called */
    CLIENT_TIMED_OUT,
};

struct client_session {
    struct artemis_client *client;
    int signals_fd;
    int wake_fd;
    int timeout_ms;    /* --timeout, for calls of the library */
    bool disconnected; /* of the library's thread: the loss was printed */
};

/* Blocks the signals. Returns an exit code after printing the error; CLIENT_DONE: release with
 * client_session_end. `session` must not move. */
int client_session_begin(struct client_session *session);

/* Opens the client of the library for the servers of the command line (CLIENT_SERVER_OPTIONS). The
 * servers and the timeout of `options` are set here. NULL: the client prints on stderr that a
 * connection is lost, and that it is back. Prints the error; returns an exit code. */
int client_session_open(struct client_session *session, const struct client_args *args,
                        const struct artemis_options *options);
void client_session_end(struct client_session *session);

/* timeout_ms -1: no timeout. */
enum client_event client_session_wait(const struct client_session *session, int timeout_ms);
/* Waits only for signals. Returns true if there was one. */
bool client_session_sleep(const struct client_session *session, int sleep_ms);
void client_session_wake(const struct client_session *session);

/* Prints an error of the library; returns the exit code. */
int client_session_print_error(const struct artemis_problem *problem);
