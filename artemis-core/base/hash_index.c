/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/base/hash_index.h"

#include <assert.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 16 };

void hash_index_free(struct hash_index *index)
{
    free(index->slots);
    *index = (struct hash_index){0};
}

static void place(struct hash_slot *slots, uint32_t capacity, struct hash_slot slot)
{
    uint32_t at = slot.hash & (capacity - 1);
    while (slots[at].element)
        at = (at + 1) & (capacity - 1);
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
    return resize(index, index->capacity ? index->capacity * 2 : FIRST_CAPACITY);
}

void hash_index_shrink(struct hash_index *index)
{
    uint32_t capacity = index->capacity;
    while (capacity > FIRST_CAPACITY && (uint64_t)index->count * 8 < capacity)
        capacity /= 2;
    if (capacity < index->capacity && resize(index, capacity))
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
    uint32_t mask = index->capacity - 1;
    for (uint32_t at = hash & mask; index->slots[at].element; at = (at + 1) & mask) {
        const struct hash_slot *slot = &index->slots[at];
        if (slot->hash == hash && matches(context, slot->element, wanted))
            return slot->element;
    }
    return 0;
}

void hash_index_remove(struct hash_index *index, uint32_t hash, uint32_t element)
{
    uint32_t mask = index->capacity - 1;
    uint32_t hole = hash & mask;
    while (index->slots[hole].element != element) {
        assert(index->slots[hole].element);
        hole = (hole + 1) & mask;
    }
    /* Shift back each follower whose home lies at or before the hole. */
    for (uint32_t at = (hole + 1) & mask; index->slots[at].element; at = (at + 1) & mask) {
        uint32_t home = index->slots[at].hash & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            index->slots[hole] = index->slots[at];
            hole = at;
        }
    }
    index->slots[hole] = (struct hash_slot){0};
    index->count--;
}
