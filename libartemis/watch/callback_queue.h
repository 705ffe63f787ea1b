/* SPDX-License-Identifier: Apache-2.0
 *
 * callback_queue - callbacks that the client's thread will make, in order, when it holds no lock.
 *
 * Changes for watches, events of topics, lines for the log and events of registrations share one
 * queue, so callers get them in the order in which they happened. An operation that fails half-way
 * removes what it queued: it takes a mark first (callback_queue_mark) and calls
 * callback_queue_rewind. Pure; one thread at a time.
 */
#pragma once

#include "artemis-core/model/instance_filter.h"
#include "artemis-core/model/topic_name.h"
#include "libartemis/wire/wire.h"

#include <sys/queue.h>

/* What artemis_watch returns. */
struct artemis_watch {
    LIST_ENTRY(artemis_watch) link; /* in the watches of its service cache */
    struct artemis_client *client;
    struct service_cache *cache; /* NULL after the watch has ended: no more callbacks */
    artemis_change_fn *callback;
    void *context;
    unsigned flags;
    bool has_filter;
    struct instance_filter filter;
    char *filter_texts; /* owned */
    unsigned refs;      /* of the caller, the service cache, and each queued callback */
};

/* What artemis_subscribe_topic returns. */
struct artemis_subscription {
    LIST_ENTRY(artemis_subscription) link; /* in its topic */
    struct artemis_client *client;
    struct event_topic *topic; /* NULL after the subscription has ended: no more callbacks */
    artemis_event_fn *callback;
    void *context;
    char name[TOPIC_BYTES_MAX + 1];
    bool is_active;      /* a server has confirmed it at least once */
    uint64_t lost;       /* events whose loss is not queued yet */
    bool is_interrupted; /* the same, for an unknown number */
    unsigned refs;       /* of the caller, the topic, and each queued callback */
};

enum callback_kind { CALLBACK_CHANGE, CALLBACK_LOG, CALLBACK_REGISTRATION, CALLBACK_TOPIC_EVENT };

struct queued_callback {
    TAILQ_ENTRY(queued_callback) link;
    enum callback_kind kind;
    struct artemis_watch *watch; /* of a change: a reference */
    enum artemis_change_type type;
    struct shared_instance *before; /* of a change: a reference, or NULL */
    struct shared_instance *now;    /* of a change (may be NULL) or event: a reference */
    int64_t time_ms;
    enum artemis_log_level level;
    enum artemis_registration_state state;
    const char *server;                        /* of an event: in `text` */
    struct artemis_subscription *subscription; /* of an event of a topic: a reference */
    struct shared_event *topic_event;          /* a reference; NULL: events were lost */
    uint64_t lost;                             /* their number; 0: unknown */
    char reason[WIRE_WORD_MAX];
    char text[]; /* the line of the log, or the message of an event and its server */
};

TAILQ_HEAD(callback_list, queued_callback);

struct callback_queue {
    struct callback_list list;
    size_t count;
};

void callback_queue_init(struct callback_queue *queue);

/* ERR_NO_MEMORY. */
MUST_USE enum error callback_queue_add_change(struct callback_queue *queue,
                                              struct artemis_watch *watch,
                                              enum artemis_change_type type,
                                              struct shared_instance *before,
                                              struct shared_instance *now, int64_t time_ms);
/* A line is dropped when there is no memory for it. */
void callback_queue_add_log(struct callback_queue *queue, enum artemis_log_level level,
                            const char *line);

/* Takes over the reference to the instance. ERR_NO_MEMORY. */
MUST_USE enum error callback_queue_add_event(struct callback_queue *queue,
                                             const struct artemis_registration_event *event,
                                             struct shared_instance *instance);

/* `event` NULL: `lost` events were lost; 0: an unknown number. ERR_NO_MEMORY. */
MUST_USE enum error callback_queue_add_topic_event(struct callback_queue *queue,
                                                   struct artemis_subscription *subscription,
                                                   struct shared_event *event, uint64_t lost);

/* The last callback; NULL if the queue is empty. */
struct queued_callback *callback_queue_mark(const struct callback_queue *queue);
/* Removes all callbacks that were added after `mark`. */
void callback_queue_rewind(struct callback_queue *queue, struct queued_callback *mark);

/* Removes and returns the first callback, which the caller then owns; NULL if there is none. */
struct queued_callback *callback_queue_take(struct callback_queue *queue);
void queued_callback_free(struct queued_callback *item);

/* Release a reference; accept NULL. */
void watch_unref(struct artemis_watch *watch);
void subscription_unref(struct artemis_subscription *subscription);
