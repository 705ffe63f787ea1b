/* SPDX-License-Identifier: Apache-2.0
 *
 * connections - what libmicrohttpd does not do for us: a limit that keeps a flood of idle clients
 * from locking the others out, and a deadline for requests that drip in.
 *
 *   - A request must arrive within REQUEST_SECS, and a second more for every 16 KiB of body that
 * came: one byte a second earns nothing. Else it gets 408 and the connection is closed.
 *   - A request whose client left midway is dropped.
 *   - A connection that waits between requests is closed after IDLE_SECS.
 *   - At the limit, connections that have been idle for a second make room for a new one; where
 * none is, the new one gets 503.
 *
 * A connection is made and ended by libmicrohttpd's threads. To end one from outside, its socket is
 * shut down, and libmicrohttpd sees its end. The step from "reading" to "serving" is an atomic
 * swap, so either the request is served or it is timed out, never both.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "artemis-core/error.h"

enum {
    REQUEST_SECS = 10,
    BODY_BYTES_A_SEC = 16 * 1024,
    IDLE_SECS = 75,
    IDLE_BEFORE_DISPLACED_MS = 1000,
    DISPLACED_AT_ONCE = 32,
};

enum connection_state {
    CONNECTION_NEW,     /* no request yet */
    CONNECTION_IDLE,    /* between requests */
    CONNECTION_READING, /* a request is coming in */
    CONNECTION_SERVING, /* it is here, and being answered */
    CONNECTION_CLOSING, /* shut down by us */
};

struct connection {
    struct connection *next; /* in order of arrival; guarded by the table's lock */
    struct connection *prev;
    int socket;
    _Atomic enum connection_state state;
    _Atomic uint64_t since_ms;   /* of the state, monotonic */
    _Atomic uint64_t body_bytes; /* that came for this request */
};

struct connection_counters {
    uint64_t accepted, refused, displaced, timed_out;
};

struct connections {
    uint32_t limit;
    struct {
        pthread_mutex_t lock;
        struct connection *first;
        struct connection *last;
        uint32_t count;
        struct connection_counters counters;
    } _shared;
};

void connections_init(struct connections *table, uint32_t limit);
void connections_free(struct connections *table); /* must be empty */

/* Writes a whole answer to a plain socket, past libmicrohttpd, which must not be sending. What does not
 * fit the socket's buffer at once is dropped: the connection is about to end. `message` may be NULL. */
void connection_refuse(int socket, enum error error, const char *message);

/* Enters a connection that was accepted; `connection` is the caller's memory until it is removed.
 * Over the limit it is told so and shut down, but entered all the same. */
void connections_add(struct connections *table, struct connection *connection, int socket,
                     uint64_t now_ms);
void connections_remove(struct connections *table, struct connection *connection);

/* A request begins, has arrived whole (false: too late, it was timed out), and has been answered.
 */
void connection_reading(struct connection *connection, uint64_t now_ms);
bool connection_serving(struct connection *connection, uint64_t now_ms);
void connection_idle(struct connection *connection, uint64_t now_ms);

/* Closes what is overdue. Call it every second or so, from one thread. */
void connections_sweep(struct connections *table, uint64_t now_ms);
/* Ends the connections without a request, when the node goes. */
void connections_close_idle(struct connections *table);

struct connections_view {
    uint32_t open;
    uint32_t busy; /* reading or serving */
    struct connection_counters counters;
};
void connections_view(struct connections *table, struct connections_view *view);
