/* SPDX-License-Identifier: Apache-2.0
 *
 * push_internal - the state that the files of the push thread share. Not for other modules.
 *
 * The files call each other in one direction only:
 *
 *   push.c                            the thread: one turn of its loop after the other
 *     websocket_input.c               reads frames
 *       protocol.c                    handles the messages of clients
 *         websocket_subscriptions.c   adds and removes subscriptions
 *     dispatch_resync.c               sends full states to lagging subscriptions
 *       dispatch.c                    sends changes to subscriptions and ends long polls
 *         sender_pool.c               sends one frame to many sockets
 *         long_polls.c                starts and ends long polls
 *     websocket.c                     state and output of a WebSocket; all files above call it
 *       send_queue.c, frame.c         queued frames
 *     topics.c                        topics by service id; all files above call it
 *
 * A turn handles the events of epoll, starts the clients that arrived, dispatches changes, resyncs
 * WebSockets, checks timeouts, and frees what has ended. Nothing is freed before that: a WebSocket,
 * a subscription, a long poll or a topic that ends within a turn stays valid until the turn's end.
 *
 * Everything belongs to the push thread, except for what is marked.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "artemis-web/push/dispatch.h"
#include "artemis-web/push/long_polls.h"
#include "artemis-web/push/push.h"
#include "artemis-web/push/topics.h"
#include "artemis-web/push/websocket.h"

struct epoll_event;

/* Any thread may read these. */
struct push_counters {
    _Atomic uint64_t clients, websockets, subscriptions, long_polls;
    _Atomic uint64_t frames, bytes, resyncs, messages, long_polls_started, refused;
    _Atomic uint64_t closed_idle, closed_slow, closed_errors;
};

struct push {
    struct engine *engine; /* constant, as the next five */
    struct push_http http;
    uint32_t clients_max;
    pthread_t thread;
    int epoll; /* events point to a struct push_client, or are NULL for `wake` */
    int wake;  /* an eventfd */
    struct push_counters counters;
    struct {
        pthread_mutex_t lock;
        struct push_client_list arrivals; /* handed over by other threads */
        bool stopped;                     /* nothing more may arrive */
    } _shared;
    atomic_bool draining;
    atomic_bool stop;
    _Atomic uint64_t dispatched; /* revision; written by the push thread only */

    struct moment now;   /* of this turn */
    uint64_t checked_ms; /* when timeouts were checked last */
    bool drained;        /* push_drain has taken effect */
    struct topics topics;
    struct long_polls long_polls;
    struct dispatch dispatch;
    struct websocket_list websockets;              /* those that have not ended */
    struct websocket_queue resyncs;                /* those in OUTPUT_RESYNC */
    struct push_client_list ended_clients;         /* freed at the end of the turn, */
    struct subscription_queue ended_subscriptions; /* as these */
};

static inline void push_count(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}
static inline void push_uncount(_Atomic uint64_t *counter)
{
    atomic_fetch_sub_explicit(counter, 1, memory_order_relaxed);
}

/* Initialises everything but the thread. push_clear is called also after a failure. ERR_NO_MEMORY,
 * ERR_SYSTEM. */
MUST_USE enum error push_init(struct engine *engine, uint32_t clients_max,
                              const struct push_http *http, struct push *push);
void push_clear(struct push *push);
/* Starts a client that arrived. */
void push_start_client(struct push *push, struct push_client *client);
/* One turn. */
void push_turn(struct push *push, const struct epoll_event *events, int count, struct moment now);
/* How long epoll may wait for the next turn; -1: without limit. */
int push_wait_ms(struct push *push);
/* Ends every client and frees it. */
void push_end_all(struct push *push);
