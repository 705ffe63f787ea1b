/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/base/hash_index.h"

#include <assert.h>
#include <stdlib.h>

enum {
    FIRST_CAPACITY = 16,
    LARGE_CAPACITY = 1024, /* a table doubles up to here, then it grows by a quarter */
};

void hash_index_free(struct hash_index *index)
{
    free(index->slots);
    *index = (struct hash_index){0};
}

/* The slot where the search for a hash begins. Any capacity will do, not only a power of two. */
static inline uint32_t home_of(uint32_t hash, uint32_t capacity)
{
    return (uint32_t)((uint64_t)hash * capacity >> 32);
}

static inline uint32_t next_slot(uint32_t at, uint32_t capacity)
{
    return at + 1 == capacity ? 0 : at + 1;
}

/* How far a slot is behind another one, around the end. */
static uint32_t distance(uint32_t from, uint32_t to, uint32_t capacity)
{
    return to >= from ? to - from : to + capacity - from;
}

static void place(struct hash_slot *slots, uint32_t capacity, struct hash_slot slot)
{
    uint32_t at = home_of(slot.hash, capacity);
    while (slots[at].element)
        at = next_slot(at, capacity);
    slots[at] = slot;
}

static enum error resize(struct hash_index *index, uint32_t capacity)
{
    struct hash_slot *slots = calloc(capacity, sizeof(*slots));
    if (!slots)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < index->capacity; i++)
        if (index->slots[i].element)
            place(slots, capacity, index->slots[i]);
    free(index->slots);
    index->slots = slots;
    index->capacity = capacity;
    return ERR_NONE;
}

enum error hash_index_reserve(struct hash_index *index)
{
    /* At most three quarters full: probes stay short. */
    if ((uint64_t)(index->count + 1) * 4 <= (uint64_t)index->capacity * 3)
        return ERR_NONE;
    if (!index->capacity)
        return resize(index, FIRST_CAPACITY);
    return resize(index, index->capacity < LARGE_CAPACITY ? index->capacity * 2
                                                          : index->capacity + index->capacity / 4);
}

void hash_index_shrink(struct hash_index *index)
{
    uint64_t capacity = (uint64_t)index->count * 2;
    if (capacity < FIRST_CAPACITY)
        capacity = FIRST_CAPACITY;
    if (capacity < index->capacity / 2 && resize(index, (uint32_t)capacity))
        return; /* without memory it stays as it is */
}

void hash_index_insert(struct hash_index *index, uint32_t hash, uint32_t element)
{
    assert(element && index->count < index->capacity);
    place(index->slots, index->capacity, (struct hash_slot){hash, element});
    index->count++;
}

uint32_t hash_index_find(const struct hash_index *index, uint32_t hash, hash_index_matches *matches,
                         const void *context, const void *wanted)
{
    if (index->capacity == 0)
        return 0;
    for (uint32_t at = home_of(hash, index->capacity); index->slots[at].element;
         at = next_slot(at, index->capacity)) {
        const struct hash_slot *slot = &index->slots[at];
        if (slot->hash == hash && matches(context, slot->element, wanted))
            return slot->element;
    }
    return 0;
}

void hash_index_remove(struct hash_index *index, uint32_t hash, uint32_t element)
{
    const uint32_t capacity = index->capacity;
    uint32_t hole = home_of(hash, capacity);
    while (index->slots[hole].element != element) {
        assert(index->slots[hole].element);
        hole = next_slot(hole, capacity);
    }
    /* Shift back each follower whose home lies at or before the hole. */
    for (uint32_t at = next_slot(hole, capacity); index->slots[at].element;
         at = next_slot(at, capacity)) {
        uint32_t home = home_of(index->slots[at].hash, capacity);
        if (distance(home, at, capacity) >= distance(hole, at, capacity)) {
            index->slots[hole] = index->slots[at];
            hole = at;
        }
    }
    index->slots[hole] = (struct hash_slot){0};
    index->count--;
}
