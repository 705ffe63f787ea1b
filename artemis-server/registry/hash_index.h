/* SPDX-License-Identifier: Apache-2.0
 *
 * hash_index - from a 32-bit hash to the number of an element that lives elsewhere (in a slab).
 *
 * Open addressing with linear probing; eight bytes a slot, and the elements are only looked at when
 * their hash matches. Removal shifts the followers back, so there are no tombstones and no rebuild.
 * Hashes must be seeded by the process, so that nobody can choose keys that collide.
 *
 * Not thread-safe: the shard's lock guards it. An insert after a successful reserve cannot fail.
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
    uint32_t capacity; /* a power of two, or 0 */
    uint32_t count;
};

/* Is `element` the one that `wanted` describes? */
typedef bool hash_index_matches(const void *context, uint32_t element, const void *wanted);

void hash_index_free(struct hash_index *index);
MUST_USE enum error hash_index_reserve(struct hash_index *index); /* room for one more */
void hash_index_insert(struct hash_index *index, uint32_t hash, uint32_t element);
/* The element that matches, or 0. */
uint32_t hash_index_find(const struct hash_index *index, uint32_t hash, hash_index_matches *matches,
                         const void *context, const void *wanted);
/* `element` must be there. */
void hash_index_remove(struct hash_index *index, uint32_t hash, uint32_t element);
