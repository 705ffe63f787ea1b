/* SPDX-License-Identifier: Apache-2.0
 *
 * slab - elements of one size, named by a 32-bit number instead of a pointer.
 *
 * A number takes half the memory of a pointer in lists and indexes, an element has no malloc
 * header, and elements never move. An element of 64 bytes is in one cache line. Numbers start at 1;
 * 0 means none.
 *
 * Elements live in chunks of 64. A chunk whose last element is released is freed, unless no other
 * chunk has a free element; its numbers are given out again. The table of chunks (24 bytes a
 * chunk) becomes smaller only by slab_shrink. Not thread-safe: the owner's lock protects it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "artemis-core/base/error.h"

enum { SLAB_CHUNK_ELEMENTS = 64 };

/* Links are chunk numbers from 1; 0 means none. */
struct slab_chunk {
    char *elements; /* NULL: freed */
    uint32_t next;  /* of the chunks with free elements, or of the freed chunks */
    uint32_t prev;  /* of the chunks with free elements */
    uint8_t used;
    uint8_t fresh;      /* elements that were given out at least once: the first ones */
    uint8_t first_free; /* released elements, linked by their first byte; index + 1, 0: none */
};

struct slab {
    size_t element_size; /* at least 1 */
    struct slab_chunk *chunks;
    uint32_t chunk_count;
    uint32_t chunk_capacity;
    uint32_t live_chunks; /* with memory for their elements */
    uint32_t with_free;   /* first of the chunks with free elements */
    uint32_t freed;       /* first of the chunks without memory */
};

void slab_init(struct slab *slab, size_t element_size);
void slab_free(struct slab *slab);
/* A zeroed element's number. ERR_NO_MEMORY. */
MUST_USE enum error slab_alloc(struct slab *slab, uint32_t *out);
void slab_release(struct slab *slab, uint32_t number);
/* Frees the chunk that was kept for the next element, and what a table that is mostly empty has
 * after its last chunk: slab_end may be lower then. Costs a pass over such a table. */
void slab_shrink(struct slab *slab);
/* Memory of the elements and of the table, in bytes. */
size_t slab_bytes(const struct slab *slab);

/* The element's address; it stays until the element is released. */
static inline void *slab_at(const struct slab *slab, uint32_t number)
{
    uint32_t index = number - 1;
    return slab->chunks[index / SLAB_CHUNK_ELEMENTS].elements +
           (size_t)(index % SLAB_CHUNK_ELEMENTS) * slab->element_size;
}

/* As slab_at, for a number below slab_end that may have been released: NULL when its chunk was
 * freed. */
static inline void *slab_find(const struct slab *slab, uint32_t number)
{
    return slab->chunks[(number - 1) / SLAB_CHUNK_ELEMENTS].elements ? slab_at(slab, number) : NULL;
}

/* All numbers are below it. For walks with slab_find; an element that was never given out reads as
 * zero. */
static inline uint32_t slab_end(const struct slab *slab)
{
    return slab->chunk_count * SLAB_CHUNK_ELEMENTS + 1;
}
