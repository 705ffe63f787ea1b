/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/replication/outbox.h"

#include <xxhash.h>

#include "artemis-core/model/record_order.h"

struct pending_key {
    uint32_t next; /* in its queue; the first member, which a slab uses while it is free */
    uint32_t prev;
    struct record_copy copy;
    uint32_t hash;
    uint8_t queue;
};

static struct pending_key *pending_at(const struct outbox *outbox, uint32_t number)
{
    return slab_at(&outbox->keys, number);
}

void outbox_init(struct outbox *outbox, uint64_t hash_seed)
{
    *outbox = (struct outbox){.hash_seed = hash_seed};
    slab_init(&outbox->keys, sizeof(struct pending_key));
}

void outbox_clear(struct outbox *outbox)
{
    for (int queue = 0; queue < QUEUE_COUNT; queue++)
        for (uint32_t number = outbox->queues[queue].first; number;
             number = pending_at(outbox, number)->next)
            record_copy_unref(&pending_at(outbox, number)->copy);
    slab_free(&outbox->keys);
    hash_index_free(&outbox->index);
    outbox_init(outbox, outbox->hash_seed);
}

/* --- queues ----------------------------------------------------------------------------------- */

static void unlink_pending(struct outbox *outbox, uint32_t number)
{
    struct pending_key *pending = pending_at(outbox, number);
    if (pending->prev)
        pending_at(outbox, pending->prev)->next = pending->next;
    else
        outbox->queues[pending->queue].first = pending->next;
    if (pending->next)
        pending_at(outbox, pending->next)->prev = pending->prev;
    else
        outbox->queues[pending->queue].last = pending->prev;
    outbox->queues[pending->queue].count--;
}

static void append_pending(struct outbox *outbox, uint32_t number, enum outbox_queue queue)
{
    struct pending_key *pending = pending_at(outbox, number);
    pending->queue = (uint8_t)queue;
    pending->next = 0;
    pending->prev = outbox->queues[queue].last;
    if (pending->prev)
        pending_at(outbox, pending->prev)->next = number;
    else
        outbox->queues[queue].first = number;
    outbox->queues[queue].last = number;
    outbox->queues[queue].count++;
}

/* --- keys ------------------------------------------------------------------------------------- */

static bool key_matches(const void *context, uint32_t number, const void *wanted)
{
    return slice_equal(instance_packed_key(pending_at(context, number)->copy.instance),
                       *(const struct slice *)wanted);
}

static uint32_t find(const struct outbox *outbox, const struct record_copy *copy, uint32_t *hash)
{
    struct slice key = instance_packed_key(copy->instance);
    *hash = (uint32_t)XXH3_64bits_withSeed(key.data, key.size, outbox->hash_seed);
    return hash_index_find(&outbox->index, *hash, key_matches, outbox, &key);
}

static enum error add(struct outbox *outbox, struct record_copy *copy, uint32_t hash,
                      enum outbox_queue queue)
{
    uint32_t number;
    enum error error = hash_index_reserve(&outbox->index);
    if (!error)
        error = slab_alloc(&outbox->keys, &number);
    if (error)
        return error;
    *pending_at(outbox, number) = (struct pending_key){.copy = *copy, .hash = hash};
    hash_index_insert(&outbox->index, hash, number);
    append_pending(outbox, number, queue);
    return ERR_NONE;
}

/* The queue for the latest record of a key that is pending already. A renewal does not replace a
 * pending change; after a pending unregistration it implies a registration in between. */
static enum outbox_queue merged_queue(enum outbox_queue current, enum outbox_queue latest)
{
    if (latest == QUEUE_RENEW && current != QUEUE_RENEW)
        return QUEUE_REGISTER;
    return latest;
}

static void move_pending(struct outbox *outbox, uint32_t number, enum outbox_queue queue)
{
    if (pending_at(outbox, number)->queue == queue)
        return;
    unlink_pending(outbox, number);
    append_pending(outbox, number, queue);
}

static void replace(struct outbox *outbox, uint32_t number, struct record_copy *copy,
                    enum outbox_queue queue)
{
    struct pending_key *pending = pending_at(outbox, number);
    record_copy_unref(&pending->copy);
    pending->copy = *copy;
    move_pending(outbox, number, merged_queue(pending->queue, queue));
}

enum error outbox_put(struct outbox *outbox, struct record_copy *copy, enum outbox_queue queue)
{
    uint32_t hash;
    uint32_t number = find(outbox, copy, &hash);
    if (!number)
        return add(outbox, copy, hash, queue);
    replace(outbox, number, copy, queue);
    return ERR_NONE;
}

static bool is_later(const struct record_copy *a, const struct record_copy *b)
{
    struct record_order of_a = {instance_client_revision(a->instance), {.hlc = a->hlc}};
    struct record_order of_b = {instance_client_revision(b->instance), {.hlc = b->hlc}};
    return record_order_compare(of_a, of_b) > 0;
}

enum error outbox_put_back(struct outbox *outbox, struct record_copy *copy, enum outbox_queue queue)
{
    uint32_t hash;
    uint32_t number = find(outbox, copy, &hash);
    if (!number)
        return add(outbox, copy, hash, queue);
    struct pending_key *pending = pending_at(outbox, number);
    /* Messages of two kinds can fail in any order: the pending record can be the older one. */
    if (is_later(copy, &pending->copy)) {
        replace(outbox, number, copy, queue);
        return ERR_NONE;
    }
    record_copy_unref(copy);
    /* The peer lacks the record, so it would reject the pending renewal. */
    if (queue != QUEUE_RENEW && pending->queue == QUEUE_RENEW)
        move_pending(outbox, number, QUEUE_REGISTER);
    return ERR_NONE;
}

static void remove_pending(struct outbox *outbox, uint32_t number)
{
    struct pending_key *pending = pending_at(outbox, number);
    unlink_pending(outbox, number);
    hash_index_remove(&outbox->index, pending->hash, number);
    slab_release(&outbox->keys, number);
}

size_t outbox_take(struct outbox *outbox, enum outbox_queue queue, struct record_copy *out,
                   size_t max, size_t bytes_max)
{
    size_t count = 0;
    size_t bytes = 0;
    while (count < max && outbox->queues[queue].first) {
        uint32_t number = outbox->queues[queue].first;
        const struct pending_key *pending = pending_at(outbox, number);
        bytes += instance_size(pending->copy.instance);
        if (count && bytes > bytes_max)
            break;
        out[count++] = pending->copy;
        remove_pending(outbox, number);
    }
    return count;
}

uint32_t outbox_count(const struct outbox *outbox, enum outbox_queue queue)
{
    return outbox->queues[queue].count;
}

size_t outbox_bytes(const struct outbox *outbox)
{
    return (size_t)outbox->keys.chunk_count * SLAB_CHUNK_ELEMENTS * sizeof(struct pending_key) +
           (size_t)outbox->index.capacity * sizeof(struct hash_slot);
}

uint64_t outbox_oldest_ms(const struct outbox *outbox)
{
    uint64_t oldest_ms = UINT64_MAX;
    for (int queue = 0; queue < QUEUE_COUNT; queue++) {
        uint32_t first = outbox->queues[queue].first;
        if (first && pending_at(outbox, first)->copy.touched_ms < oldest_ms)
            oldest_ms = pending_at(outbox, first)->copy.touched_ms;
    }
    return oldest_ms;
}
