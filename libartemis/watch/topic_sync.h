/* SPDX-License-Identifier: Apache-2.0
 *
 * topic_sync - keeps the client subscribed to topics of events at one server: decides what to send,
 * and queues a callback for each event.
 *
 * On a new connection each topic is subscribed to again. A subscription that was active before then
 * gets a callback with an unknown number of lost events: a server keeps no events. One that lagged
 * gets the number that the server has sent. Events that could not be queued for lack of memory are
 * counted, and reported when there is memory again.
 *
 * An event that arrives again, from the same server or another, is dropped (event_order.h), so each
 * subscription gets each event at most once, in the order of its publisher. A topic whose events
 * have arrived needs 74 KiB for that.
 *
 * A topic that the server refuses is repeated after TOPIC_RETRY_MS, and so is one that it does not
 * confirm in time, unless it confirms that one later.
 *
 * Pure; one thread at a time. `now_ms` is on the monotonic clock.
 */
#pragma once

#include "libartemis/watch/callback_queue.h"

#include "artemis-core/model/event_order.h"

enum {
    TOPICS_MAX = 100,                /* the limit of a server for one connection */
    TOPIC_CONFIRM_TIMEOUT_MS = 5000, /* for the server to confirm a subscription */
    TOPIC_RETRY_MS = 60000,
    TOPIC_LIMITED_MS = 1000, /* until a subscription over a rate limit is repeated */
    TOPIC_NO_MEMORY_MS = 1000,
};

enum topic_phase {
    TOPIC_UNSUBSCRIBED, /* subscribe_topic must be sent, from due_ms on */
    TOPIC_SUBSCRIBING,  /* it was sent; refused if it is not confirmed by due_ms */
    TOPIC_ACTIVE,
};

struct event_topic {
    LIST_ENTRY(event_topic) link;
    LIST_HEAD(, artemis_subscription) subscriptions; /* empty: it must be unsubscribed */
    char name[TOPIC_BYTES_MAX + 1];
    enum topic_phase phase;
    uint64_t due_ms;
    bool refused; /* by the server of the current connection, for this reason */
    bool is_late; /* refused because it was not confirmed in time; it may be confirmed still */
    char reason[WIRE_MESSAGE_MAX];
    struct event_order order; /* of what has arrived */
};

struct topic_sync {
    LIST_HEAD(, event_topic) topics;
    size_t count;                     /* topics that have subscriptions */
    struct callback_queue *callbacks; /* borrowed */
    bool connected;                   /* over a WebSocket */
    bool polls;                       /* the server has none */
};

void topic_sync_init(struct topic_sync *sync, struct callback_queue *callbacks);
/* Ends the subscriptions, and releases the references of their callers. */
void topic_sync_free(struct topic_sync *sync);

/* Adds the subscription to the topic of its name. ERR_NO_MEMORY; ERR_TOO_MANY_ITEMS: there are
 * TOPICS_MAX others. */
MUST_USE enum error topic_sync_add(struct topic_sync *sync,
                                   struct artemis_subscription *subscription);
void topic_sync_remove(struct topic_sync *sync, struct artemis_subscription *subscription);

/* `polls`: the server has no WebSocket, and refuses all topics. */
void topic_sync_connected(struct topic_sync *sync, bool polls);
void topic_sync_disconnected(struct topic_sync *sync); /* also the initial state */

/* True: *message must be sent now, and is freed by the caller. False: nothing is due before *at_ms
 * (UINT64_MAX: before an event). */
MUST_USE bool topic_sync_next(struct topic_sync *sync, uint64_t now_ms, struct text *message,
                              uint64_t *at_ms);

/* Applies a message that the server pushed, if it is about a topic. */
void topic_sync_push(struct topic_sync *sync, const struct push_message *message, uint64_t now_ms);
