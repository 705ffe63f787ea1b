/* SPDX-License-Identifier: Apache-2.0
 *
 * web_threads - the threads that serve connections: a libmicrohttpd daemon and its loop each.
 *
 * A daemon of libmicrohttpd speaks TLS on all its connections or on none. There are therefore
 * server.threads threads for plain connections, and as many for TLS if a listener has it. A new
 * connection goes to the thread that has the fewest. It stays there until it ends.
 *
 * libmicrohttpd 0.9.75 retries the handshake of a TLS connection in each turn of the loop, however
 * long the client takes. A connection is therefore suspended while its handshake waits for the
 * client (web_thread_await_input).
 */
#pragma once

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "artemis-core/base/error.h"
#include "artemis-web/tls/watch.h"

struct http_connection;
struct long_poll_share;
struct thread_metrics;
struct web;
struct web_listener;
struct web_thread;
struct web_threads;

/* The callbacks of libmicrohttpd and of the web threads. The context of on_connection is the
 * thread, of the other callbacks of libmicrohttpd the web. */
struct web_thread_callbacks {
    MHD_NotifyConnectionCallback on_connection;
    void *(*on_target)(void *context, const char *target, struct MHD_Connection *mhd);
    MHD_AccessHandlerCallback on_request;
    MHD_RequestCompletedCallback on_completed;
    /* On the thread, for a WebSocket with TLS that web_thread_close_upgraded has closed: forwards
     * what is left (with `now`: drops it) and calls web_thread_end_upgraded, then or later. */
    void (*on_close)(struct http_connection *http, bool now);
    /* On the thread, for a connection that web_thread_end_later has named. */
    void (*on_end)(struct http_connection *http);
    /* On the thread, for each connection with TLS, after web_threads_verify_again. */
    void (*on_verify_again)(struct http_connection *http);
};

/* The responses that the thread keeps: those of constant bodies. */
enum { THREAD_BODIES = 4 };

struct web_thread_bodies {
    struct {
        const char *data; /* of the body */
        struct MHD_Response *response;
    } bodies[THREAD_BODIES];
    int count;
};

/* Starts the threads, with TLS or without. They serve `web`, which must outlive them.
 * ERR_NO_MEMORY, ERR_SYSTEM. */
MUST_USE enum error web_threads_start(struct web *web, const struct web_thread_callbacks *callbacks,
                                      bool tls, struct web_threads **out);
/* Takes over a non-blocking socket of an admitted connection. Called by an acceptor. */
void web_threads_add(struct web_threads *threads, int socket, const struct sockaddr *address,
                     socklen_t size, struct web_listener *listener);
/* Ends the threads and all connections. No connection may be suspended. Accepts NULL. */
void web_threads_stop(struct web_threads *threads);

/* Has threads with TLS call on_verify_again for each of their connections. Any thread. Accepts
 * NULL. */
void web_threads_verify_again(struct web_threads *threads);

/* A connection of the thread begins and ends. Called by the callbacks of libmicrohttpd. */
struct web *web_thread_started_connection(struct web_thread *thread);
/* The listener of the connection that begins. */
struct web_listener *web_thread_listener(const struct web_thread *thread);
/* The number of the thread among those of its kind, from 0 on. */
uint32_t web_thread_number(const struct web_thread *thread);
/* The responses that the thread keeps. Called on the thread itself. */
struct web_thread_bodies *web_thread_bodies(struct web_thread *thread);
/* The long polls that it handles in this turn. Only the thread itself uses it. */
struct long_poll_share *web_thread_long_poll_share(struct web_thread *thread);
/* The counters of the thread. Only the thread itself changes them. */
struct thread_metrics *web_thread_metrics(struct web_thread *thread);
void web_thread_ended_connection(struct web_thread *thread, bool upgraded);
/* A connection with TLS begins and ends. */
void web_thread_add_tls(struct web_thread *thread, struct http_connection *http);
void web_thread_remove_tls(struct web_thread *thread, struct http_connection *http);
/* Suspends the request of a connection until a time (monotonic, ms); then its handler is called
 * once more. Called on the thread itself. */
void web_thread_delay(struct web_thread *thread, struct http_connection *http, uint64_t until_ms);
/* Closes an upgraded connection. Any thread. With TLS, the thread of the connection does it:
 * libmicrohttpd 0.9.75 shuts the socket down before it records that, and a thread that handles the
 * first without the second never ends the connection. */
void web_thread_close_upgraded(struct web_thread *thread, struct http_connection *http);
/* Has libmicrohttpd end a WebSocket with TLS. Called on the thread itself. */
void web_thread_end_upgraded(struct web_thread *thread, struct http_connection *http);
/* Adds a descriptor, or changes its events; removes it. Called on the thread itself. False: no
 * memory. */
bool web_thread_watch(struct web_thread *thread, struct watch *watch, uint32_t events);
void web_thread_unwatch(struct web_thread *thread, struct watch *watch);
/* Suspends a connection whose handshake needs more bytes of the client until they arrive. Called on
 * the thread itself. */
void web_thread_await_input(struct web_thread *thread, struct http_connection *http);
/* Has the thread call on_end for a connection, unless it ends before. Any thread. */
void web_thread_end_later(struct web_thread *thread, struct http_connection *http);
/* The connection ends, and no thread calls web_thread_end_later any more. On the thread itself. */
void web_thread_forget_ending(struct web_thread *thread, struct http_connection *http);
/* Has the thread process a connection that another thread has resumed or closed. */
void web_thread_wake(struct web_thread *thread);
