/* SPDX-License-Identifier: Apache-2.0
 *
 * slab - elements of one size, named by a 32-bit number instead of a pointer.
 *
 * Half the size of a pointer in every list and index, no malloc header an element, and elements
 * never move. Numbers start at 1; 0 means none. Memory of freed elements is used again, and
 * returned when the slab is freed. Not thread-safe: the shard's lock guards it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "artemis-core/base/error.h"

struct slab {
    size_t element_size; /* at least 4 */
    char **chunks;
    uint32_t chunk_count;
    uint32_t chunk_capacity;
    uint32_t end;        /* the lowest number never given out */
    uint32_t first_free; /* the numbers given back, linked by their first four bytes */
};

void slab_init(struct slab *slab, size_t element_size);
void slab_free(struct slab *slab);
/* A zeroed element's number. ERR_NO_MEMORY. */
MUST_USE enum error slab_alloc(struct slab *slab, uint32_t *out);
void slab_release(struct slab *slab, uint32_t number);

enum { SLAB_CHUNK_ELEMENTS = 64 };

/* The element's address; it stays until the element is given back. */
static inline void *slab_at(const struct slab *slab, uint32_t number)
{
    uint32_t index = number - 1;
    return slab->chunks[index / SLAB_CHUNK_ELEMENTS] +
           (size_t)(index % SLAB_CHUNK_ELEMENTS) * slab->element_size;
}
