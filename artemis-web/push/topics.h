/* SPDX-License-Identifier: Apache-2.0
 *
 * topics - the subscribers of each service: subscriptions of WebSockets and long polls.
 *
 * A topic exists while it has subscribers, whether or not its service exists. A topic without
 * subscribers is idle and stays valid until topics_free_idle. The topic "*" stands for every
 * service and is never freed. While it has subscriptions, dispatch.c creates an idle topic for each
 * changed service. The cost of a change follows the number of subscribers of its own topic and of
 * "*".
 *
 * The subscriptions of a topic that see the same instances are a view: one view of all instances,
 * and one for each filter. What a view gets is encoded once for each form. A filtered view exists
 * while it has subscriptions.
 *
 * A view also caches the full state of its service, encoded, for lagging subscriptions
 * (dispatch_resync.c). Belongs to the push thread.
 */
#pragma once

#include <stdbool.h>
#include <sys/queue.h>

#include "artemis-core/base/hash_index.h"
#include "artemis-core/base/slab.h"
#include "artemis-core/base/text.h"
#include "artemis-core/model/instance_filter.h"
#include "artemis-web/push/messages.h"

struct frame;
struct long_poll;
struct subscription;

LIST_HEAD(subscription_list, subscription);
LIST_HEAD(long_poll_list, long_poll);
LIST_HEAD(filtered_view_list, filtered_view);

struct topic_view {
    const struct instance_filter *filter; /* NULL: all instances */
    struct subscription_list subscriptions;
    uint32_t form_subscriptions[FORM_COUNT]; /* number of subscriptions with each form */
    struct frame *state[FORM_COUNT];         /* the cached full state; NULL: not cached */
};

struct filtered_view {
    struct topic_view view;
    LIST_ENTRY(filtered_view) link;
    struct instance_filter filter; /* its texts are in `key` */
    size_t key_size;
    char key[]; /* instance_filter_key */
};

struct topic {
    uint32_t number; /* in the slab */
    uint32_t hash;
    char *id;
    size_t id_size;
    struct topic_view plain;            /* of all instances */
    struct filtered_view_list filtered; /* one for each filter */
    uint32_t filtered_count;
    struct long_poll_list long_polls;
    bool in_idle_list;
    SLIST_ENTRY(topic) idle_link;
    /* While a batch of changes is dispatched: the first and the last change of this service, as
     * positions in the batch that start at 1; 0: none. */
    uint32_t first_change;
    uint32_t last_change;
    STAILQ_ENTRY(topic) changed_link;
    uint32_t cached_states; /* of all views and forms */
    uint64_t state_revision;
    LIST_ENTRY(topic) cached_link; /* where a state is cached */
};
STAILQ_HEAD(topic_queue, topic);

struct topics {
    uint64_t seed;
    struct slab slab;
    struct hash_index index;
    struct topic *all; /* "*" */
    SLIST_HEAD(, topic) idle;
    LIST_HEAD(, topic) cached; /* topics with a cached state */
    size_t cached_bytes;       /* of all states cached since topics_drop_states */
};

/* The seed is random for each process, so that clients cannot choose ids that collide.
 * ERR_NO_MEMORY. */
MUST_USE enum error topics_init(struct topics *topics, uint64_t seed);
/* Frees everything. There are no subscribers any more. */
void topics_free(struct topics *topics);

/* Returns the topic, or NULL. */
struct topic *topics_find(const struct topics *topics, struct slice id);
/* Returns the topic, and creates it where there is none. A new topic is idle. NULL: no memory. */
struct topic *topics_get(struct topics *topics, struct slice id);
/* To be called when a subscriber has been removed from the topic. */
void topics_subscriber_removed(struct topics *topics, struct topic *topic);
/* Frees the topics that have no subscribers. */
void topics_free_idle(struct topics *topics);

/* Returns the view with the key of a filter, or NULL. */
struct filtered_view *topic_find_view(const struct topic *topic, struct slice key);
/* Adds a view without subscriptions. NULL: no memory. */
struct filtered_view *topic_add_view(struct topic *topic, struct slice key);
/* Frees a filtered view that has no subscriptions. */
void topic_remove_view(struct topic *topic, struct filtered_view *filtered);

static inline struct filtered_view *topic_filtered(struct topic_view *view)
{
    return (struct filtered_view *)view; /* its first member */
}
static inline bool topic_has_subscriptions(const struct topic *topic)
{
    return !LIST_EMPTY(&topic->plain.subscriptions) || !LIST_EMPTY(&topic->filtered);
}

/* Caches a state of a view; takes over the reference to the frame. */
void topic_cache_state(struct topics *topics, struct topic *topic, struct topic_view *view,
                       enum push_form form, struct frame *frame);
void topic_drop_states(struct topic *topic);
void topics_drop_states(struct topics *topics); /* of all topics */

static inline struct slice topic_id(const struct topic *topic)
{
    return (struct slice){topic->id, topic->id_size};
}
