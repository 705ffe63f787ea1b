/* SPDX-License-Identifier: Apache-2.0
 *
 * push - the thread that tells clients what changes: it owns every WebSocket and every request that
 * waits, and wakes when the registry's version grows.
 *
 * A change is encoded once for each form in which it is read, and sent to the subscribers of its
 * service, in the order of versions. A socket that is full waits alone: its frames queue up to
 * a limit (send_queue.h), then they are dropped, and when the socket takes something again it gets
 * a "reload" and the newest state of what it missed. One that takes nothing at all is closed by the
 * sweep of connections.h. A request that waits is resumed when what it waits for has changed, when
 * its time is over, or when its client has left; it then decides anew what to answer.
 *
 * push_reserve, push_release, push_add_long_poll and push_add_websocket may be called by any
 * thread; the push thread does the rest. Start, drain, stop and free belong to the main thread.
 */
#pragma once

#include "artemis-server/engine.h"

struct MHD_Connection;
struct MHD_UpgradeResponseHandle;
struct push;

enum {
    LONG_POLL_MS_MAX = 60 * 1000,
    WEBSOCKET_PING_MS = 30 * 1000, /* a silent client is asked whether it is there, */
    WEBSOCKET_IDLE_MS = 60 * 1000, /* and closed when it stays silent */
    WEBSOCKET_CLOSE_MS = 2 * 1000, /* until the other side of a closing handshake comes */
    WEBSOCKET_MESSAGE_BYTES_MAX = 64 * 1024,
    SUBSCRIPTIONS_MAX = 1000, /* of one WebSocket */
    SUBSCRIPTIONS_ALL_MAX = 1000 * 1000,
};

/* What a WebSocket speaks. */
enum endpoint {
    ENDPOINT_NATIVE,
    ENDPOINT_JAVA_HEARTBEAT,
    ENDPOINT_JAVA_CHANGES,
    ENDPOINT_JAVA_ALL_CHANGES,
    ENDPOINT_COUNT,
};

/* The engine must outlive it. `clients_max` is how many WebSockets and waiting requests there may
 * be together. ERR_NO_MEMORY, ERR_SYSTEM. */
MUST_USE enum error push_start(struct engine *engine, uint32_t clients_max, struct push **out);
/* Every wait ends, every WebSocket is closed as "going away", and so is all that comes later. */
void push_drain(struct push *push);
/* Ends the thread, and all that is left with it. Takes NULL. */
void push_stop(struct push *push);
void push_free(struct push *push); /* after MHD_stop_daemon. Takes NULL */

/* Reserves a place for one WebSocket or long poll; false at the limit. push_add_long_poll and
 * push_add_websocket take the place over. */
MUST_USE bool push_reserve(struct push *push);
void push_release(struct push *push);
uint32_t push_clients_max(const struct push *push);

/* What a request waits for. */
struct long_poll_condition {
    char id[ID_BYTES_MAX]; /* of the service, canonical */
    size_t id_size;        /* 0: every service */
    uint64_t version;      /* it ends when there is a later one, */
    uint64_t until_ms;     /* or then, monotonic */
};
/* Suspends the connection until the wait is over: the request's handler is called once more then.
 * Called by that handler, with room reserved. Returns at once, also when it is over already. */
void push_add_long_poll(struct push *push, const struct long_poll_condition *wait,
                        struct MHD_Connection *connection, int socket);
/* Takes over a connection that was just upgraded, with what the client has sent already. Where that
 * cannot be, it is closed. */
void push_add_websocket(struct push *push, enum endpoint endpoint, int socket,
                        struct MHD_UpgradeResponseHandle *upgraded, struct slice received);

struct push_view {
    uint64_t websockets, subscriptions, long_polls, clients_max;            /* now */
    uint64_t frames, bytes, resyncs, messages, long_polls_started, refused; /* since the start */
    uint64_t closed_idle, closed_slow, closed_errors;
    uint64_t pending_changes; /* changes that are not handed out yet */
};
void push_view(struct push *push, struct push_view *view);
