/* SPDX-License-Identifier: Apache-2.0
 *
 * push - the thread that pushes changes to clients. It owns every WebSocket and every long poll.
 *
 * The path of a push:
 *   1. A change in the registry takes the next revision. When the shard is unlocked, the change log
 *      wakes the push thread, if it has armed the wakeup.
 *   2. The thread reads the changes since the revision that it dispatched last, and groups them by
 *      service. A service that has subscribers is a topic (topics.h); while "*" has subscriptions,
 *      every changed service is one.
 *   3. It encodes the changes of a topic once for each form that is subscribed (messages.h), as one
 *      WebSocket frame (frame.h), and sends the same bytes to all subscriptions of the topic and of
 *      "*". Several threads share the sending (sender_pool.h). For subscriptions with a filter it
 *      encodes them once for each filter and form.
 *   4. It resumes the long polls of the topic. Their handlers run again and respond.
 *   5. Bytes that a socket does not accept are queued (send_queue.h). A full queue is dropped and
 *      its subscriptions lag: they get no more changes.
 *   6. When the queue is empty, each lagging subscription is resynced: it gets a "reload" and the
 *      full state of the service at a revision up to which all changes have been dispatched. State
 *      and changes therefore join without a gap and without an overlap.
 *
 * A long poll also ends when its time has run out and when its client disconnects. A WebSocket
 * whose client sends nothing is pinged after WEBSOCKET_PING_MS and closed after WEBSOCKET_IDLE_MS.
 * One whose client accepts no bytes is closed by connections.h. A WebSocket whose token expires is
 * closed within a second. A token that is revoked ends its WebSockets and its long polls at once.
 *
 * The main thread starts, drains, stops and frees the push thread. Any thread may call the other
 * functions. push/ does not know the HTTP server: it gets two callbacks (struct push_http).
 */
#pragma once

#include "artemis-server/engine.h"
#include "artemis-web/push/client.h"

struct push;

/* Starts the thread. The engine must outlive it. `clients_max` is the maximum number of WebSockets
 * and long polls together. ERR_NO_MEMORY, ERR_SYSTEM. */
MUST_USE enum error push_start(struct engine *engine, uint32_t clients_max,
                               const struct push_http *http, struct push **out);
/* Ends the long polls and WebSockets whose token is not valid any more. To be called after a change
 * of the tokens. */
void push_check_tokens(struct push *push);
/* Ends all long polls and closes all WebSockets as "going away", those that arrive later too. */
void push_drain(struct push *push);
/* Ends the thread, every long poll and every WebSocket. Accepts NULL. */
void push_stop(struct push *push);
/* Frees what push_stop left. To be called when no thread calls push_add_* any more. Accepts NULL.
 */
void push_free(struct push *push);

/* Reserves a place for one WebSocket or long poll; false at the limit. push_add_long_poll and
 * push_add_websocket take the place over; push_release returns an unused one. */
MUST_USE bool push_reserve(struct push *push);
void push_release(struct push *push);
uint32_t push_clients_max(const struct push *push);

/* Adds a long poll, for which a place is reserved. The caller has suspended the connection;
 * `resume` is called when the poll ends, possibly before this returns. The push thread is not
 * woken for each poll: a web thread that has added some calls push_wake_for_long_polls before it
 * waits. */
void push_add_long_poll(struct push *push, const struct long_poll_condition *condition,
                        void *connection, int socket);
void push_wake_for_long_polls(struct push *push);
/* Adds a WebSocket after its handshake; a place is reserved for it. The token of the caller limits
 * what it may do and for how long; the WebSocket takes its own reference. `received` are the bytes
 * that followed the handshake. Without memory the WebSocket is closed. */
void push_add_websocket(struct push *push, enum endpoint endpoint, int socket, void *upgraded,
                        const struct push_caller *caller, struct slice received);

struct push_status {
    /* Current numbers. */
    uint64_t websockets, subscriptions, long_polls, clients_max;
    uint64_t filters;         /* of subscriptions, that differ */
    uint64_t pending_changes; /* changes that are not dispatched yet */
    /* Totals since the start. */
    uint64_t frames, bytes;      /* frames sent or queued; bytes sent */
    uint64_t resyncs;            /* full states sent to lagging subscriptions */
    uint64_t messages;           /* messages received on WebSockets */
    uint64_t long_polls_started; /* long polls suspended */
    uint64_t refused;            /* clients refused at the limit */
    uint64_t filters_refused;    /* subscriptions refused at a limit of filters */
    uint64_t closed_idle, closed_slow, closed_errors; /* WebSockets closed, by reason */
    /* Events sent or queued, and those dropped because a subscriber was slow: for each
     * subscription. */
    uint64_t events, events_lost;
};
void push_status(struct push *push, struct push_status *view);
