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

/* How far a slot is behind another one, around the end. */
static uint32_t distance(uint32_t from, uint32_t to, uint32_t capacity)
{
    return to >= from ? to - from : to + capacity - from;
}

static void place(struct hash_slot *slots, uint32_t capacity, struct hash_slot slot)
{
    uint32_t at = hash_index_home(slot.hash, capacity);
    while (slots[at].element)
        at = hash_index_next(at, capacity);
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
    if (capacity == 0) {
        hash_index_free(index);
        return;
    }
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

void hash_index_remove(struct hash_index *index, uint32_t hash, uint32_t element)
{
    const uint32_t capacity = index->capacity;
    uint32_t hole = hash_index_home(hash, capacity);
    while (index->slots[hole].element != element) {
        assert(index->slots[hole].element);
        hole = hash_index_next(hole, capacity);
    }
    /* Shift back each follower whose home lies at or before the hole. */
    for (uint32_t at = hash_index_next(hole, capacity); index->slots[at].element;
         at = hash_index_next(at, capacity)) {
        uint32_t home = hash_index_home(index->slots[at].hash, capacity);
        if (distance(home, at, capacity) >= distance(hole, at, capacity)) {
            index->slots[hole] = index->slots[at];
            hole = at;
        }
    }
    index->slots[hole] = (struct hash_slot){0};
    index->count--;
}
