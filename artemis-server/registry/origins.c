/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/registry/origins.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct origin {
    uint64_t hash;
    size_t size;
    char name[];
};

static enum error add(struct origins *origins, struct slice name, uint16_t *out)
{
    uint32_t count = atomic_load_explicit(&origins->count, memory_order_relaxed);
    if (count == ORIGINS_MAX)
        return ERR_TOO_MANY_ITEMS;
    struct origin *origin = malloc(sizeof(*origin) + name.size);
    if (!origin)
        return ERR_NO_MEMORY;
    origin->hash = XXH3_64bits(name.data, name.size);
    origin->size = name.size;
    if (name.size)
        memcpy(origin->name, name.data, name.size);
    origins->table[count] = origin;
    atomic_store_explicit(&origins->count, count + 1, memory_order_release);
    *out = (uint16_t)count;
    return ERR_NONE;
}

enum error origins_init(struct origins *origins, struct slice self)
{
    *origins = (struct origins){.table = calloc(ORIGINS_MAX, sizeof(struct origin *))};
    if (!origins->table)
        return ERR_NO_MEMORY;
    pthread_mutex_init(&origins->adding, NULL);
    uint16_t number;
    enum error error = add(origins, self, &number);
    if (error)
        origins_free(origins);
    return error;
}

void origins_free(struct origins *origins)
{
    if (!origins->table)
        return;
    uint32_t count = atomic_load_explicit(&origins->count, memory_order_acquire);
    for (uint32_t i = 0; i < count; i++)
        free(origins->table[i]);
    free(origins->table);
    pthread_mutex_destroy(&origins->adding);
    origins->table = NULL;
}

static bool find(const struct origins *origins, struct slice name, uint16_t *out)
{
    /* From the newest: of many names in a long run, the latest are the ones in use. */
    for (uint32_t i = atomic_load_explicit(&origins->count, memory_order_acquire); i-- > 0;) {
        const struct origin *origin = origins->table[i];
        if (slice_equal((struct slice){origin->name, origin->size}, name)) {
            *out = (uint16_t)i;
            return true;
        }
    }
    return false;
}

enum error origins_number(struct origins *origins, struct slice name, uint16_t *out)
{
    if (find(origins, name, out))
        return ERR_NONE;
    enum error error = ERR_NONE;
    pthread_mutex_lock(&origins->adding);
    if (!find(origins, name, out)) /* another thread may have been quicker */
        error = add(origins, name, out);
    pthread_mutex_unlock(&origins->adding);
    return error;
}

struct slice origins_name(const struct origins *origins, uint16_t number)
{
    assert(number < atomic_load_explicit(&origins->count, memory_order_acquire));
    const struct origin *origin = origins->table[number];
    return (struct slice){origin->name, origin->size};
}

uint64_t origins_hash(const struct origins *origins, uint16_t number)
{
    assert(number < atomic_load_explicit(&origins->count, memory_order_acquire));
    return origins->table[number]->hash;
}
