/* SPDX-License-Identifier: Apache-2.0
 *
 * shared_state - the state of the push thread that its modules share. push_internal.h describes how
 * the modules work together. All of it belongs to the push thread, except for what is marked.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "artemis-server/engine.h"
#include "artemis-web/push/client.h"
#include "artemis-web/push/topics.h"

struct dispatch;
struct long_polls;
struct websocket;

enum client_kind { CLIENT_WEBSOCKET, CLIENT_LONG_POLL };

/* The common part of a WebSocket and a long poll: their first member. Another thread allocates the
 * client and hands it over to the push thread, which owns it from then on. */
struct push_client {
    enum client_kind kind;
    STAILQ_ENTRY(push_client) link; /* in the list of arrivals, later in that of ended clients */
};
STAILQ_HEAD(push_client_list, push_client);
TAILQ_HEAD(subscription_queue, subscription);
LIST_HEAD(websocket_list, websocket);
TAILQ_HEAD(websocket_queue, websocket);

/* Any thread may read these. */
struct push_counters {
    _Atomic uint64_t clients, websockets, subscriptions, long_polls;
    _Atomic uint64_t filters, filters_refused;
    _Atomic uint64_t frames, bytes, resyncs, messages, long_polls_started, refused;
    _Atomic uint64_t closed_idle, closed_slow, closed_errors;
    _Atomic uint64_t events, events_lost; /* sent or queued, and dropped, for each subscription */
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
    atomic_bool wake_is_due; /* long polls have arrived since the thread was woken last */
    atomic_bool stop;
    atomic_bool tokens_changed;  /* and not checked yet */
    _Atomic uint64_t dispatched; /* revision; written by the push thread only */

    struct moment now;          /* of this turn */
    uint64_t checked_ms;        /* when timeouts were checked last */
    bool drained;               /* push_drain has taken effect */
    bool reregister_over;       /* clients have had time to register again after the start */
    struct topics topics;       /* services */
    struct topics event_topics; /* topics of events */
    struct long_polls *long_polls;
    struct dispatch *dispatch;
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
