/* SPDX-License-Identifier: Apache-2.0
 *
 * web_threads - the threads that serve connections, server.threads of them: a libmicrohttpd daemon
 * and its loop each.
 *
 * A new connection goes to the thread that has the fewest. It stays there until it ends.
 */
#pragma once

#include <microhttpd.h>
#include <stdint.h>
#include <sys/socket.h>

#include "artemis-core/base/error.h"

struct session;
struct web;
struct web_thread;
struct web_threads;

/* What libmicrohttpd calls. The context of on_connection is the thread, of the others the web. */
struct web_thread_callbacks {
    MHD_NotifyConnectionCallback on_connection;
    void *(*on_target)(void *context, const char *target, struct MHD_Connection *mhd);
    MHD_AccessHandlerCallback on_request;
    MHD_RequestCompletedCallback on_completed;
};

/* Starts the threads. They serve `web`, which must outlive them. ERR_NO_MEMORY, ERR_SYSTEM. */
MUST_USE enum error web_threads_start(struct web *web, const struct web_thread_callbacks *callbacks,
                                      struct web_threads **out);
/* Takes over a non-blocking socket of an admitted connection. Called by the acceptor. */
void web_threads_add(struct web_threads *threads, int socket, const struct sockaddr *address,
                     socklen_t size);
/* Ends the threads and all connections. No connection may be suspended. Accepts NULL. */
void web_threads_stop(struct web_threads *threads);

/* A connection of the thread begins and ends. Called by the callbacks of libmicrohttpd. */
struct web *web_thread_started_connection(struct web_thread *thread);
void web_thread_ended_connection(struct web_thread *thread);
/* Suspends the request of a connection until a time (monotonic, ms); then its handler is called
 * once more. Called on the thread itself. */
void web_thread_delay(struct web_thread *thread, struct session *session, uint64_t until_ms);
/* Has the thread process a connection that another thread has resumed or closed. */
void web_thread_wake(struct web_thread *thread);
