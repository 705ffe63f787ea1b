/* SPDX-License-Identifier: Apache-2.0
 *
 * client_session - a command that goes on until it is interrupted: the client library, and the
 * signals.
 *
 * --server may name several servers, with commas between; the library turns to the next when one
 * does not answer. What it has to say about that goes to stderr, a line each: that the connection
 * was lost, and that it is there again.
 *
 * SIGINT and SIGTERM are blocked for the whole process and end client_session_wait. One thread; but
 * client_session_wake may be called by any, so also in callbacks of the library.
 */
#pragma once

#include "artemis/client_args.h"
#include "libartemis/artemis.h"

#include <stdbool.h>

/* Rows for a command's table. */
/* clang-format off */
#define CLIENT_SESSION_OPTIONS(json_sentence)                                                      \
    {.name = "server", .value = "URL",                                                             \
     .sentence = "whom to ask, or several with commas (ARTEMIS_URL)"},      \
    {.name = "json", .sentence = (json_sentence)}
/* clang-format on */

enum { CLIENT_SESSION_PATIENCE_MS = 10000 }; /* for the first answer */

enum client_event {
    CLIENT_INTERRUPTED,
    CLIENT_WOKEN, /* client_session_wake was called */
    CLIENT_QUIET, /* nothing of that, and the time is over */
};

struct client_session {
    struct artemis_client *client;
    int signals_fd;
    int wake_fd;
    bool troubled; /* the library's thread: that was told */
};

/* False: it has complained, and *exit_code is how the command ends. When true, it is ended with
 * client_session_end. `session` stays where it is. */
MUST_USE bool client_session_begin(struct client_session *session, const struct client_args *args,
                                   int *exit_code);
void client_session_end(struct client_session *session);

/* -1 waits for ever. */
enum client_event client_session_wait(const struct client_session *session, int timeout_ms);
/* The same for interruptions alone; true: there was one. */
bool client_session_rest(const struct client_session *session, int rest_ms);
void client_session_wake(const struct client_session *session);

/* Complains about what the library could not do; returns the exit code. */
int client_session_complain(const struct artemis_problem *problem);
