/* SPDX-License-Identifier: Apache-2.0
 *
 * event_hub - takes the events that are published at this node and those of its peers, and hands
 * them to the push thread and to the replication thread.
 *
 * The path of an event:
 *   1. A client publishes it (handlers_events.c), or this node does. event_hub_publish numbers it,
 *      and puts it into two queues: for the subscribers of this node, and for the peers.
 *   2. The push thread takes the first queue (event_hub_take_local) and sends each event to the
 *      subscribers of its topic.
 *   3. The replication thread takes the second one (event_hub_take_for_peers) and gives it to the
 *      replicator, which sends it to every peer that is up (replicator_events.c).
 *   4. The peer's handler calls event_hub_receive. It drops what it has admitted before
 *      (event_order.h), and puts the rest into its queue for subscribers. It forwards nothing.
 *
 * Each queue holds at most EVENTS_WAITING_MAX events. An event is published into both queues, or it
 * is refused: so no event reaches some only because a queue of this node is full. While nobody
 * subscribes at this node, its events for subscribers are dropped, and are not counted.
 *
 * Any thread may call. The two wakeups are called under the lock of the hub.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "artemis-core/base/moment.h"
#include "artemis-core/json/codec_event.h"
#include "artemis-core/model/event_order.h"
#include "artemis-server/events/event.h"

enum { EVENTS_WAITING_MAX = 1024 };

struct event_queue {
    struct event *items[EVENTS_WAITING_MAX]; /* a ring */
    uint32_t first, count;
};

typedef void event_wakeup(void *context);

/* Totals since the start. */
struct event_counters {
    _Atomic uint64_t published;                    /* of clients and of this node */
    _Atomic uint64_t refused;                      /* a queue was full */
    _Atomic uint64_t received;                     /* of peers, admitted */
    _Atomic uint64_t duplicates;                   /* of peers, not admitted */
    _Atomic uint64_t missed;                       /* of peers: numbers that never came */
    _Atomic uint64_t dropped_full, dropped_memory; /* for the subscribers of this node */
};

struct event_hub {
    struct slice node_id, run;      /* of this process; constant */
    _Atomic uint64_t subscriptions; /* to topics, at this node */
    struct event_counters counters;
    struct {
        pthread_mutex_t lock;
        uint64_t last;            /* number of the last event that this process published */
        struct event_order order; /* of the peers */
        struct event_queue local, peers;
        event_wakeup *wake_local, *wake_peers; /* NULL: nobody takes that queue */
        void *local_context, *peers_context;
    } _shared;
};

/* The node id and the run are borrowed. */
void event_hub_init(struct event_hub *hub, const char *node_id, const char *run);
void event_hub_free(struct event_hub *hub);

/* Set the takers of the events for subscribers, and of those for peers. `wake` is called when the
 * first event enters an empty queue. NULL: nobody any more; the queue is emptied. */
void event_hub_set_local(struct event_hub *hub, event_wakeup *wake, void *context);
void event_hub_set_peers(struct event_hub *hub, event_wakeup *wake, void *context);
/* Move up to `max` events, the oldest first, to `out`, with their references. Return their
 * number. */
size_t event_hub_take_local(struct event_hub *hub, struct event **out, size_t max);
size_t event_hub_take_for_peers(struct event_hub *hub, struct event **out, size_t max);

/* Publishes an event of this node. *number is its number. ERR_TOO_MANY_EVENTS: a queue is full;
 * ERR_NO_MEMORY. */
MUST_USE enum error event_hub_publish(struct event_hub *hub, struct slice topic,
                                      struct slice payload, struct moment now, uint64_t *number);
/* Takes the events of a peer. ERR_NO_MEMORY: the first of them were taken. */
MUST_USE enum error event_hub_receive(struct event_hub *hub, struct slice node_id,
                                      const struct event_message *events, struct moment now);
