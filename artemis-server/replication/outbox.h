/* SPDX-License-Identifier: Apache-2.0
 *
 * outbox - what one peer has yet to be told: the latest state of each key, in the order of their
 * first change.
 *
 * A key is in it once, however often it changes, so its size is bounded by the number of instances.
 * There are three queues, one for each kind of message; a key stands in the one that its latest
 * state needs, and a registration is never put back behind a mere renewal of the same version.
 *
 * Not thread-safe: it belongs to its replica. States in it hold references.
 */
#pragma once

#include "artemis-server/registry/hash_index.h"
#include "artemis-server/registry/registry_replication.h"
#include "artemis-server/registry/slab.h"

enum outbox_queue { QUEUE_REGISTER, QUEUE_UNREGISTER, QUEUE_RENEW, QUEUE_COUNT };

struct outbox {
    struct slab entries;
    struct hash_index index; /* by key */
    uint64_t hash_seed;
    struct {
        uint32_t first;
        uint32_t last;
        uint32_t count;
    } queues[QUEUE_COUNT];
};

void outbox_init(struct outbox *outbox, uint64_t hash_seed);
/* Drops all, and its memory. */
void outbox_clear(struct outbox *outbox);

/* Takes over the state, which is the latest of its key. ERR_NO_MEMORY: not taken. */
MUST_USE enum error outbox_put(struct outbox *outbox, struct peer_state *state,
                               enum outbox_queue queue);
/* The same for a state that came back unsent: a later one that stands there stays. */
MUST_USE enum error outbox_put_back(struct outbox *outbox, struct peer_state *state,
                                    enum outbox_queue queue);
/* Takes at most `max` from the head of a queue, with their references. Stops before their
 * instances sum up to more than bytes_max, but takes at least one. */
size_t outbox_take(struct outbox *outbox, enum outbox_queue queue, struct peer_state *out,
                   size_t max, size_t bytes_max);
uint32_t outbox_count(const struct outbox *outbox, enum outbox_queue queue);
size_t outbox_bytes(const struct outbox *outbox); /* of its own memory */
/* Since when the longest-waiting state is as it is (monotonic); UINT64_MAX: none waits. */
uint64_t outbox_oldest_ms(const struct outbox *outbox);
