/* SPDX-License-Identifier: Apache-2.0
 *
 * topics - the subscribers of each service. A topic exists while it has subscribers, whether its
 * service exists or not.
 *
 * A subscriber is embedded in its owner, a subscription of a WebSocket or a long poll, and is
 * linked into its topic. The topic "*" is every service. The cost of a change follows the number of
 * subscribers of its own topic. Belongs to the push thread.
 */
#pragma once

#include <stdbool.h>

#include "artemis-core/base/text.h"
#include "artemis-server/registry/hash_index.h"
#include "artemis-server/registry/slab.h"
#include "artemis-web/push/messages.h"

struct frame;
struct topic;

struct subscriber {
    struct subscriber *next;
    struct subscriber *prev;
    struct topic *topic; /* NULL: not linked */
};

enum subscriber_kind { SUBSCRIBER_WEBSOCKET, SUBSCRIBER_LONG_POLL, SUBSCRIBER_KINDS };

struct topic {
    uint32_t number;
    uint32_t hash;
    char *id;
    size_t id_size;
    struct subscriber *subscribers[SUBSCRIBER_KINDS];
    uint32_t readers[FORM_COUNT]; /* subscriptions of each form */
    /* While changes are handed out: the first and the last of this service's. */
    struct topic *next_changed;
    uint32_t first_change; /* by its place in the batch, from 1; 0: none */
    uint32_t last_change;
    bool pinned; /* it stays, topic_of_change or not */
    /* The newest state of the service, for those who need all of it. */
    struct frame *state[FORM_COUNT];
    uint64_t state_version;
    struct topic *next_kept; /* of those with a state */
    struct topic **kept_by;  /* NULL: it has none */
};

struct topics {
    uint64_t seed;
    struct slab slab;
    struct hash_index index;
    struct topic *all; /* "*", there for good */
    struct topic *kept;
    size_t kept_bytes; /* of all states that were kept since topics_drop_states */
};

/* The seed is random for each process: nobody can choose names that collide. ERR_NO_MEMORY. */
MUST_USE enum error topics_init(struct topics *topics, uint64_t seed);
void topics_free(struct topics *topics); /* nobody watches any more */

struct topic *topics_find(const struct topics *topics, struct slice id); /* or NULL */
/* The topic, made where there is none. NULL: out of memory. */
struct topic *topics_take(struct topics *topics, struct slice id);
/* Removes the topic if nobody watches it. */
void topics_release(struct topics *topics, struct topic *topic);

void topic_link(struct topic *topic, enum subscriber_kind kind, struct subscriber *subscriber);
/* The topic stays, until topics_release. */
void topic_unlink(struct subscriber *subscriber, enum subscriber_kind kind);
/* Keeps a frame, a reference of which it takes over, for the next who asks. */
void topic_keep_state(struct topics *topics, struct topic *topic, enum push_form form,
                      struct frame *frame);
void topic_drop_state(struct topic *topic);
void topics_drop_states(struct topics *topics); /* of all topics */

static inline struct slice topic_id(const struct topic *topic)
{
    return (struct slice){topic->id, topic->id_size};
}
