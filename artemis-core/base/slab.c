/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/base/slab.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { SLAB_ALIGNMENT = 64 }; /* a cache line */

void slab_init(struct slab *slab, size_t element_size)
{
    assert(element_size >= 1);
    *slab = (struct slab){.element_size = element_size};
}

void slab_free(struct slab *slab)
{
    for (uint32_t i = 0; i < slab->chunk_count; i++)
        free(slab->chunks[i].elements);
    free(slab->chunks);
    slab_init(slab, slab->element_size);
}

size_t slab_bytes(const struct slab *slab)
{
    return slab->chunk_capacity * sizeof(*slab->chunks) +
           (size_t)slab->live_chunks * SLAB_CHUNK_ELEMENTS * slab->element_size;
}

static struct slab_chunk *chunk_at(const struct slab *slab, uint32_t number)
{
    return &slab->chunks[number - 1];
}

static void link_with_free(struct slab *slab, uint32_t number)
{
    struct slab_chunk *chunk = chunk_at(slab, number);
    chunk->prev = 0;
    chunk->next = slab->with_free;
    if (chunk->next)
        chunk_at(slab, chunk->next)->prev = number;
    slab->with_free = number;
}

static void unlink_with_free(struct slab *slab, uint32_t number)
{
    const struct slab_chunk *chunk = chunk_at(slab, number);
    if (chunk->prev)
        chunk_at(slab, chunk->prev)->next = chunk->next;
    else
        slab->with_free = chunk->next;
    if (chunk->next)
        chunk_at(slab, chunk->next)->prev = chunk->prev;
}

static enum error grow_table(struct slab *slab)
{
    if (slab->chunk_count < slab->chunk_capacity)
        return ERR_NONE;
    uint32_t capacity = slab->chunk_capacity ? slab->chunk_capacity * 2 : 8;
    struct slab_chunk *chunks = realloc(slab->chunks, capacity * sizeof(*chunks));
    if (!chunks)
        return ERR_NO_MEMORY;
    slab->chunks = chunks;
    slab->chunk_capacity = capacity;
    return ERR_NONE;
}

/* Gives memory to a freed chunk, or to a new one. */
static enum error add_chunk(struct slab *slab)
{
    enum error error = slab->freed ? ERR_NONE : grow_table(slab);
    if (error)
        return error;
    const size_t bytes = SLAB_CHUNK_ELEMENTS * slab->element_size;
    char *elements = aligned_alloc(SLAB_ALIGNMENT, bytes);
    if (!elements)
        return ERR_NO_MEMORY;
    memset(elements, 0, bytes);
    uint32_t number = slab->freed;
    if (number)
        slab->freed = chunk_at(slab, number)->next;
    else
        number = ++slab->chunk_count;
    *chunk_at(slab, number) = (struct slab_chunk){.elements = elements};
    slab->live_chunks++;
    link_with_free(slab, number);
    return ERR_NONE;
}

enum error slab_alloc(struct slab *slab, uint32_t *out)
{
    enum error error = slab->with_free ? ERR_NONE : add_chunk(slab);
    if (error)
        return error;
    uint32_t number = slab->with_free;
    struct slab_chunk *chunk = chunk_at(slab, number);
    uint32_t index = chunk->first_free ? chunk->first_free - 1u : chunk->fresh++;
    char *element = chunk->elements + index * slab->element_size;
    if (chunk->first_free)
        chunk->first_free = (uint8_t)*element;
    chunk->used++;
    if (chunk->used == SLAB_CHUNK_ELEMENTS)
        unlink_with_free(slab, number);
    memset(element, 0, slab->element_size);
    *out = (number - 1) * SLAB_CHUNK_ELEMENTS + index + 1;
    return ERR_NONE;
}

static void free_chunk(struct slab *slab, uint32_t number)
{
    struct slab_chunk *chunk = chunk_at(slab, number);
    unlink_with_free(slab, number);
    free(chunk->elements);
    *chunk = (struct slab_chunk){.next = slab->freed};
    slab->freed = number;
    slab->live_chunks--;
}

/* Cuts off the freed chunks at the end of a table that is mostly empty. */
static void shrink_table(struct slab *slab)
{
    enum { SMALLEST_TABLE = 8 };
    uint32_t count = slab->chunk_count;
    while (count && !chunk_at(slab, count)->elements)
        count--;
    if (count == 0) {
        slab_free(slab);
        return;
    }
    uint32_t capacity = count * 2 > SMALLEST_TABLE ? count * 2 : SMALLEST_TABLE;
    if (capacity > slab->chunk_capacity / 2)
        return;
    struct slab_chunk *chunks = realloc(slab->chunks, capacity * sizeof(*chunks));
    if (!chunks)
        return; /* it stays as it is */
    slab->chunks = chunks;
    slab->chunk_capacity = capacity;
    slab->chunk_count = count;
    slab->freed = 0;
    for (uint32_t number = count; number; number--) {
        if (chunk_at(slab, number)->elements)
            continue;
        chunk_at(slab, number)->next = slab->freed;
        slab->freed = number;
    }
}

void slab_shrink(struct slab *slab)
{
    if (slab->with_free && chunk_at(slab, slab->with_free)->used == 0)
        free_chunk(slab, slab->with_free);
    if (slab->live_chunks < slab->chunk_capacity / 4)
        shrink_table(slab);
}

void slab_release(struct slab *slab, uint32_t number)
{
    assert(number && number < slab_end(slab));
    uint32_t index = (number - 1) % SLAB_CHUNK_ELEMENTS;
    uint32_t chunk_number = (number - 1) / SLAB_CHUNK_ELEMENTS + 1;
    struct slab_chunk *chunk = chunk_at(slab, chunk_number);
    assert(chunk->used);
    *(uint8_t *)slab_at(slab, number) = chunk->first_free;
    chunk->first_free = (uint8_t)(index + 1);
    if (chunk->used-- == SLAB_CHUNK_ELEMENTS)
        link_with_free(slab, chunk_number);
    bool is_only_one = slab->with_free == chunk_number && !chunk->next;
    if (chunk->used == 0 && !is_only_one)
        free_chunk(slab, chunk_number);
}
