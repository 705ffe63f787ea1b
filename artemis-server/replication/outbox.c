/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/replication/outbox.h"

#include <xxhash.h>

struct entry {
    uint32_t next; /* in its queue; first: a slab overwrites it */
    uint32_t prev;
    struct peer_state state;
    uint32_t hash;
    uint8_t queue;
};

static struct entry *entry_at(const struct outbox *outbox, uint32_t number)
{
    return slab_at(&outbox->entries, number);
}

void outbox_init(struct outbox *outbox, uint64_t hash_seed)
{
    *outbox = (struct outbox){.hash_seed = hash_seed};
    slab_init(&outbox->entries, sizeof(struct entry));
}

void outbox_clear(struct outbox *outbox)
{
    for (int queue = 0; queue < QUEUE_COUNT; queue++)
        for (uint32_t number = outbox->queues[queue].first; number;
             number = entry_at(outbox, number)->next)
            peer_state_drop(&entry_at(outbox, number)->state);
    slab_free(&outbox->entries);
    hash_index_free(&outbox->index);
    outbox_init(outbox, outbox->hash_seed);
}

/* --- queues ----------------------------------------------------------------------------------- */

static void unlink_entry(struct outbox *outbox, uint32_t number)
{
    struct entry *entry = entry_at(outbox, number);
    if (entry->prev)
        entry_at(outbox, entry->prev)->next = entry->next;
    else
        outbox->queues[entry->queue].first = entry->next;
    if (entry->next)
        entry_at(outbox, entry->next)->prev = entry->prev;
    else
        outbox->queues[entry->queue].last = entry->prev;
    outbox->queues[entry->queue].count--;
}

static void append_entry(struct outbox *outbox, uint32_t number, enum outbox_queue queue)
{
    struct entry *entry = entry_at(outbox, number);
    entry->queue = (uint8_t)queue;
    entry->next = 0;
    entry->prev = outbox->queues[queue].last;
    if (entry->prev)
        entry_at(outbox, entry->prev)->next = number;
    else
        outbox->queues[queue].first = number;
    outbox->queues[queue].last = number;
    outbox->queues[queue].count++;
}

/* --- keys ------------------------------------------------------------------------------------- */

static bool key_matches(const void *context, uint32_t number, const void *wanted)
{
    return slice_equal(instance_packed_key(entry_at(context, number)->state.instance),
                       *(const struct slice *)wanted);
}

static uint32_t find(const struct outbox *outbox, const struct peer_state *state, uint32_t *hash)
{
    struct slice key = instance_packed_key(state->instance);
    *hash = (uint32_t)XXH3_64bits_withSeed(key.data, key.size, outbox->hash_seed);
    return hash_index_find(&outbox->index, *hash, key_matches, outbox, &key);
}

static enum error add(struct outbox *outbox, struct peer_state *state, uint32_t hash,
                      enum outbox_queue queue)
{
    uint32_t number;
    enum error error = hash_index_reserve(&outbox->index);
    if (!error)
        error = slab_take(&outbox->entries, &number);
    if (error)
        return error;
    *entry_at(outbox, number) = (struct entry){.state = *state, .hash = hash};
    hash_index_insert(&outbox->index, hash, number);
    append_entry(outbox, number, queue);
    return ERR_NONE;
}

/* Where the latest state belongs, when the key already waits in a queue. A renewal says less than
 * the change that is pending; after an unregistration it means that there was a registration. */
static enum outbox_queue merged(enum outbox_queue pending, enum outbox_queue latest)
{
    if (latest == QUEUE_RENEW && pending != QUEUE_RENEW)
        return QUEUE_REGISTER;
    return latest;
}

static void move_entry(struct outbox *outbox, uint32_t number, enum outbox_queue queue)
{
    if (entry_at(outbox, number)->queue == queue)
        return;
    unlink_entry(outbox, number);
    append_entry(outbox, number, queue);
}

static void replace(struct outbox *outbox, uint32_t number, struct peer_state *state,
                    enum outbox_queue queue)
{
    struct entry *entry = entry_at(outbox, number);
    peer_state_drop(&entry->state);
    entry->state = *state;
    move_entry(outbox, number, merged(entry->queue, queue));
}

enum error outbox_put(struct outbox *outbox, struct peer_state *state, enum outbox_queue queue)
{
    uint32_t hash;
    uint32_t number = find(outbox, state, &hash);
    if (!number)
        return add(outbox, state, hash, queue);
    replace(outbox, number, state, queue);
    return ERR_NONE;
}

enum error outbox_put_back(struct outbox *outbox, struct peer_state *state, enum outbox_queue queue)
{
    uint32_t hash;
    uint32_t number = find(outbox, state, &hash);
    if (!number)
        return add(outbox, state, hash, queue);
    struct entry *entry = entry_at(outbox, number);
    /* Messages of two kinds may come back in any order: what waits can be the older one. */
    if (state->stamp > entry->state.stamp) {
        replace(outbox, number, state, queue);
        return ERR_NONE;
    }
    peer_state_drop(state);
    /* The peer lacks what came back, so the renewal that waits would not be understood. */
    if (queue != QUEUE_RENEW && entry->queue == QUEUE_RENEW)
        move_entry(outbox, number, QUEUE_REGISTER);
    return ERR_NONE;
}

static void take_out(struct outbox *outbox, uint32_t number)
{
    struct entry *entry = entry_at(outbox, number);
    unlink_entry(outbox, number);
    hash_index_remove(&outbox->index, entry->hash, number);
    slab_give_back(&outbox->entries, number);
}

size_t outbox_take(struct outbox *outbox, enum outbox_queue queue, struct peer_state *out,
                   size_t max, size_t bytes_max)
{
    size_t count = 0;
    size_t bytes = 0;
    while (count < max && outbox->queues[queue].first) {
        uint32_t number = outbox->queues[queue].first;
        const struct entry *entry = entry_at(outbox, number);
        bytes += instance_size(entry->state.instance);
        if (count && bytes > bytes_max)
            break;
        out[count++] = entry->state;
        take_out(outbox, number);
    }
    return count;
}

uint32_t outbox_count(const struct outbox *outbox, enum outbox_queue queue)
{
    return outbox->queues[queue].count;
}

size_t outbox_bytes(const struct outbox *outbox)
{
    return (size_t)outbox->entries.chunk_count * SLAB_CHUNK_ELEMENTS * sizeof(struct entry) +
           (size_t)outbox->index.capacity * sizeof(struct hash_slot);
}

uint64_t outbox_oldest_ms(const struct outbox *outbox)
{
    uint64_t oldest_ms = UINT64_MAX;
    for (int queue = 0; queue < QUEUE_COUNT; queue++) {
        uint32_t first = outbox->queues[queue].first;
        if (first && entry_at(outbox, first)->state.touched_ms < oldest_ms)
            oldest_ms = entry_at(outbox, first)->state.touched_ms;
    }
    return oldest_ms;
}
