/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/registry/slab.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void slab_init(struct slab *slab, size_t element_size)
{
    assert(element_size >= sizeof(uint32_t));
    *slab = (struct slab){.element_size = element_size, .end = 1};
}

void slab_free(struct slab *slab)
{
    for (uint32_t i = 0; i < slab->chunk_count; i++)
        free(slab->chunks[i]);
    free(slab->chunks);
    slab_init(slab, slab->element_size);
}

static enum error add_chunk(struct slab *slab)
{
    if (slab->chunk_count == slab->chunk_capacity) {
        uint32_t capacity = slab->chunk_capacity ? slab->chunk_capacity * 2 : 8;
        char **chunks = realloc(slab->chunks, capacity * sizeof(*chunks));
        if (!chunks)
            return ERR_NO_MEMORY;
        slab->chunks = chunks;
        slab->chunk_capacity = capacity;
    }
    char *chunk = malloc(slab->element_size * SLAB_CHUNK_ELEMENTS);
    if (!chunk)
        return ERR_NO_MEMORY;
    slab->chunks[slab->chunk_count++] = chunk;
    return ERR_NONE;
}

enum error slab_alloc(struct slab *slab, uint32_t *out)
{
    uint32_t number = slab->first_free;
    if (number) {
        memcpy(&slab->first_free, slab_at(slab, number), sizeof(slab->first_free));
    } else {
        if (slab->end > slab->chunk_count * SLAB_CHUNK_ELEMENTS) {
            enum error error = add_chunk(slab);
            if (error)
                return error;
        }
        number = slab->end++;
    }
    memset(slab_at(slab, number), 0, slab->element_size);
    *out = number;
    return ERR_NONE;
}

void slab_release(struct slab *slab, uint32_t number)
{
    assert(number && number < slab->end);
    memcpy(slab_at(slab, number), &slab->first_free, sizeof(slab->first_free));
    slab->first_free = number;
}
