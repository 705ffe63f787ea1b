/* SPDX-License-Identifier: Apache-2.0
 *
 * outbox - the keys that are pending for one peer, each with its latest record.
 *
 * A key is in it at most once, so its size is bounded by the number of instances. There are three
 * queues, one for each kind of message. A key is in the queue that its latest record needs, and
 * keeps its place there when a later record replaces the pending one. A key that changes its queue,
 * or is put back, goes to the end. A renewal of a key that waits as a registration stays a
 * registration.
 *
 * Not thread-safe: it belongs to its replicator. The records hold references to instances.
 */
#pragma once

#include "artemis-core/base/hash_index.h"
#include "artemis-core/base/slab.h"
#include "artemis-server/registry/registry_replication.h"

enum outbox_queue { QUEUE_REGISTER, QUEUE_UNREGISTER, QUEUE_RENEW, QUEUE_COUNT };

struct outbox {
    struct slab keys;
    struct hash_index index; /* by key */
    uint64_t hash_seed;
    struct {
        uint32_t first;
        uint32_t last;
        uint32_t count;
    } queues[QUEUE_COUNT];
};

void outbox_init(struct outbox *outbox, uint64_t hash_seed);
/* Removes all keys and frees the memory. */
void outbox_clear(struct outbox *outbox);

/* Adds the latest record of a key; takes ownership of it. ERR_NO_MEMORY: not taken. */
MUST_USE enum error outbox_put(struct outbox *outbox, struct record_copy *copy,
                               enum outbox_queue queue);
/* Puts a record of a failed message back; a later record of the key is kept instead. */
MUST_USE enum error outbox_put_back(struct outbox *outbox, struct record_copy *copy,
                                    enum outbox_queue queue);
/* Removes at most `max` records from the head of a queue and passes their references on. Stops
 * before the sizes of their instances exceed bytes_max, but removes at least one. */
size_t outbox_take(struct outbox *outbox, enum outbox_queue queue, struct record_copy *out,
                   size_t max, size_t bytes_max);
uint32_t outbox_count(const struct outbox *outbox, enum outbox_queue queue);
size_t outbox_bytes(const struct outbox *outbox); /* of the outbox itself */
/* The monotonic time of the oldest pending change; UINT64_MAX: the outbox is empty. */
uint64_t outbox_oldest_ms(const struct outbox *outbox);
