/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/registry/node_id_table.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct node_id {
    uint64_t hash;
    size_t size;
    char name[];
};

static enum error add(struct node_id_table *node_ids, struct slice name, uint16_t *out)
{
    uint32_t count = atomic_load_explicit(&node_ids->count, memory_order_relaxed);
    if (count == NODE_IDS_MAX)
        return ERR_TOO_MANY_ITEMS;
    struct node_id *id = malloc(sizeof(*id) + name.size);
    if (!id)
        return ERR_NO_MEMORY;
    id->hash = XXH3_64bits(name.data, name.size);
    id->size = name.size;
    if (name.size)
        memcpy(id->name, name.data, name.size);
    node_ids->table[count] = id;
    atomic_store_explicit(&node_ids->count, count + 1, memory_order_release);
    *out = (uint16_t)count;
    return ERR_NONE;
}

enum error node_id_table_init(struct node_id_table *node_ids, struct slice self)
{
    *node_ids = (struct node_id_table){.table = calloc(NODE_IDS_MAX, sizeof(struct node_id *))};
    if (!node_ids->table)
        return ERR_NO_MEMORY;
    pthread_mutex_init(&node_ids->adding, NULL);
    uint16_t number;
    enum error error = add(node_ids, self, &number);
    if (error)
        node_id_table_free(node_ids);
    return error;
}

void node_id_table_free(struct node_id_table *node_ids)
{
    if (!node_ids->table)
        return;
    uint32_t count = atomic_load_explicit(&node_ids->count, memory_order_acquire);
    for (uint32_t i = 0; i < count; i++)
        free(node_ids->table[i]);
    free(node_ids->table);
    pthread_mutex_destroy(&node_ids->adding);
    node_ids->table = NULL;
}

static bool find(const struct node_id_table *node_ids, struct slice name, uint16_t *out)
{
    /* From the newest: of many ids in a long run, the latest are in use. */
    for (uint32_t i = atomic_load_explicit(&node_ids->count, memory_order_acquire); i-- > 0;) {
        const struct node_id *id = node_ids->table[i];
        if (slice_equal((struct slice){id->name, id->size}, name)) {
            *out = (uint16_t)i;
            return true;
        }
    }
    return false;
}

enum error node_id_table_number(struct node_id_table *node_ids, struct slice name, uint16_t *out)
{
    if (find(node_ids, name, out))
        return ERR_NONE;
    enum error error = ERR_NONE;
    pthread_mutex_lock(&node_ids->adding);
    if (!find(node_ids, name, out)) /* another thread may have added it */
        error = add(node_ids, name, out);
    pthread_mutex_unlock(&node_ids->adding);
    return error;
}

struct slice node_id_table_name(const struct node_id_table *node_ids, uint16_t number)
{
    assert(number < atomic_load_explicit(&node_ids->count, memory_order_acquire));
    const struct node_id *id = node_ids->table[number];
    return (struct slice){id->name, id->size};
}

uint64_t node_id_table_hash(const struct node_id_table *node_ids, uint16_t number)
{
    assert(number < atomic_load_explicit(&node_ids->count, memory_order_acquire));
    return node_ids->table[number]->hash;
}
