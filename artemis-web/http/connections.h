/* SPDX-License-Identifier: Apache-2.0
 *
 * connections - what libmicrohttpd does not do for us: a limit that keeps a flood of idle clients
 * from locking the others out, and a deadline for requests that drip in and answers that nobody
 * takes.
 *
 *   - A request must arrive within REQUEST_SECS, and a second more for every 16 KiB of body that
 *     came: one byte a second earns nothing. Else it gets 408 and the connection is closed.
 *   - A request whose client left midway is dropped.
 *   - A client that takes nothing of its answer for STALLED_SECS loses its connection, and the rest
 *     of the answer. What counts is what the client's system has acknowledged, so a slow reader
 *     stays as long as it makes room there now and then.
 *   - A connection that waits between requests is closed after IDLE_SECS.
 *   - At the limit, the connection that has been idle for longest (a second at least) makes room
 *     for a new one; where none is, the new one gets 503 and never reaches libmicrohttpd.
 *
 * A connection is made and ended by libmicrohttpd's threads. To end one from outside, its socket is
 * shut down, and libmicrohttpd sees its end. All is guarded by the table's one lock, which is held
 * for a few steps at a time; so either a request is served or it is timed out, never both, and no
 * socket is shut down after it was closed.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "artemis-core/base/error.h"

enum {
    REQUEST_SECS = 10,
    BODY_BYTES_A_SEC = 16 * 1024,
    IDLE_SECS = 75,
    STALLED_SECS = 10,
    IDLE_BEFORE_DISPLACED_MS = 1000,
};

enum connection_state {
    CONNECTION_NEW,     /* no request yet */
    CONNECTION_IDLE,    /* between requests */
    CONNECTION_READING, /* a request is coming in */
    CONNECTION_SERVING, /* it is here, and being answered */
    CONNECTION_CLOSING, /* shut down by us */
    CONNECTION_STATES,
};

/* Guarded by the table's lock. */
struct connection {
    struct connection *next;
    struct connection *prev;
    int socket;
    enum connection_state state;
    uint64_t since_ms;   /* of the state, monotonic */
    uint64_t body_bytes; /* that came for this request */
    /* Of one that is serving for more than a moment: */
    uint64_t looked_ms;   /* when it was last looked how much the client has taken, */
    uint64_t taken_bytes; /* how much that was, since it connected, */
    uint64_t taken_ms;    /* and when that was seen to grow */
};

struct connection_list { /* of one state; who has been in it for longest is first */
    struct connection *first;
    struct connection *last;
    uint32_t count;
};

struct connection_counters {
    uint64_t accepted, refused, displaced, timed_out;
};

struct connections {
    uint32_t limit;
    struct {
        pthread_mutex_t lock;
        struct connection_list lists[CONNECTION_STATES];
        uint32_t admitted; /* not closing: those in lists, and those on their way there */
        struct connection_counters counters;
    } _shared;
};

void connections_init(struct connections *table, uint32_t limit);
void connections_free(struct connections *table); /* must be empty */

/* Writes a whole answer to a plain socket, past libmicrohttpd, which must not be sending. What does
 * not fit the socket's buffer at once is dropped: the connection is about to end. `message` may be
 * NULL. */
void connection_refuse(int socket, enum error error, const char *message);

/* May a connection that was just accepted stay? At the limit it displaces an idle one; where there
 * is none it is told so, and the caller closes it. An admitted one is either entered or given
 * up. */
bool connections_admit(struct connections *table, int socket, uint64_t now_ms);
void connections_give_up(struct connections *table);
/* Enters an admitted connection; `connection` is the caller's memory until it is removed. */
void connections_add(struct connections *table, struct connection *connection, int socket,
                     uint64_t now_ms);
void connections_remove(struct connections *table, struct connection *connection);

/* A request begins, some of its body came, it has arrived whole (false: too late, it was timed
 * out), and has been answered. */
void connection_reading(struct connections *table, struct connection *connection, uint64_t now_ms);
void connection_received(struct connections *table, struct connection *connection,
                         uint64_t body_bytes);
bool connection_serving(struct connections *table, struct connection *connection, uint64_t now_ms);
void connection_idle(struct connections *table, struct connection *connection, uint64_t now_ms);

/* Closes what is overdue. Call it every second or so, from one thread. */
void connections_sweep(struct connections *table, uint64_t now_ms);
/* Ends the connections without a request, when the node goes. */
void connections_close_idle(struct connections *table);

struct connections_view {
    uint32_t open; /* not counting those that we are closing */
    uint32_t closing;
    uint32_t busy; /* reading or serving */
    struct connection_counters counters;
};
void connections_view(struct connections *table, struct connections_view *view);
