/* SPDX-License-Identifier: Apache-2.0
 *
 * hash_index - maps a 32-bit hash to the number of an element that lives elsewhere (in a slab).
 *
 * Open addressing with linear probing and eight bytes a slot. An element is compared only when its
 * hash matches. Removal shifts the followers back, so no slot is wasted and nothing is rebuilt.
 * A small table doubles when it is full. A large one grows by a quarter: 60 to 75 % of its slots
 * are in use, 11 to 13 bytes an element.
 * Hashes must be seeded by the process, so that nobody can choose keys that collide. Their upper
 * bits select the slot.
 *
 * Not thread-safe: the owner's lock protects it. An insert after a successful reserve cannot fail.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "artemis-core/base/error.h"

struct hash_slot {
    uint32_t hash;
    uint32_t element; /* 0: free */
};

struct hash_index {
    struct hash_slot *slots;
    uint32_t capacity; /* in slots */
    uint32_t count;
};

/* Is `element` the one that `wanted` describes? */
typedef bool hash_index_matches(const void *context, uint32_t element, const void *wanted);

void hash_index_free(struct hash_index *index);
MUST_USE enum error hash_index_reserve(struct hash_index *index); /* memory for one more */
/* Makes a table smaller that has less than a quarter in use, and frees an empty one. Costs a pass
 * over the table. */
void hash_index_shrink(struct hash_index *index);
void hash_index_insert(struct hash_index *index, uint32_t hash, uint32_t element);
/* The slot where the search for a hash begins. Any capacity will do, not only a power of two. */
static inline uint32_t hash_index_home(uint32_t hash, uint32_t capacity)
{
    return (uint32_t)((uint64_t)hash * capacity >> 32);
}

static inline uint32_t hash_index_next(uint32_t at, uint32_t capacity)
{
    return at + 1 == capacity ? 0 : at + 1;
}

/* The element that matches, or 0. Inline, and so is the callback then. */
static inline uint32_t hash_index_find(const struct hash_index *index, uint32_t hash,
                                       hash_index_matches *matches, const void *context,
                                       const void *wanted)
{
    if (index->capacity == 0)
        return 0;
    for (uint32_t at = hash_index_home(hash, index->capacity); index->slots[at].element;
         at = hash_index_next(at, index->capacity)) {
        const struct hash_slot *slot = &index->slots[at];
        if (slot->hash == hash && matches(context, slot->element, wanted))
            return slot->element;
    }
    return 0;
}
/* Loads the slots where the search for this hash begins. */
static inline void hash_index_prefetch(const struct hash_index *index, uint32_t hash)
{
    if (index->capacity)
        __builtin_prefetch(&index->slots[hash_index_home(hash, index->capacity)]);
}
/* The first element with this hash, or 0; it may not match. To prefetch it. */
static inline uint32_t hash_index_guess(const struct hash_index *index, uint32_t hash)
{
    if (index->capacity == 0)
        return 0;
    uint32_t at = hash_index_home(hash, index->capacity);
    while (index->slots[at].element && index->slots[at].hash != hash)
        at = hash_index_next(at, index->capacity);
    return index->slots[at].element;
}
/* `element` must be there. */
void hash_index_remove(struct hash_index *index, uint32_t hash, uint32_t element);
