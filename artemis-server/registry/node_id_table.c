/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/registry/node_id_table.h"

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

static enum error add(struct node_id_table *origins, struct slice name, uint16_t *out)
{
    uint32_t count = atomic_load_explicit(&origins->count, memory_order_relaxed);
    if (count == NODE_IDS_MAX)
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

enum error node_id_table_init(struct node_id_table *origins, struct slice self)
{
    *origins = (struct node_id_table){.table = calloc(NODE_IDS_MAX, sizeof(struct origin *))};
    if (!origins->table)
        return ERR_NO_MEMORY;
    pthread_mutex_init(&origins->adding, NULL);
    uint16_t number;
    enum error error = add(origins, self, &number);
    if (error)
        node_id_table_free(origins);
    return error;
}

void node_id_table_free(struct node_id_table *origins)
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

static bool find(const struct node_id_table *origins, struct slice name, uint16_t *out)
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

enum error node_id_table_number(struct node_id_table *origins, struct slice name, uint16_t *out)
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

struct slice node_id_table_name(const struct node_id_table *origins, uint16_t number)
{
    assert(number < atomic_load_explicit(&origins->count, memory_order_acquire));
    const struct origin *origin = origins->table[number];
    return (struct slice){origin->name, origin->size};
}

uint64_t node_id_table_hash(const struct node_id_table *origins, uint16_t number)
{
    assert(number < atomic_load_explicit(&origins->count, memory_order_acquire));
    return origins->table[number]->hash;
}
