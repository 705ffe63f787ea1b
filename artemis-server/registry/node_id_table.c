/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/registry/node_id_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct node_id {
    struct node_id_table *table; /* NULL: the table was freed */
    _Atomic uint32_t references; /* becomes 0 only under the lock of the table */
    uint32_t index_hash;
    uint16_t number;
    uint16_t peer_slot; /* counted there, unless it is NO_PEER */
    uint64_t hash;
    size_t size;
    char name[];
};

enum { NO_PEER = NODE_ID_PEER_SLOTS };

/* --- the table -------------------------------------------------------------------------------- */

static bool matches(const void *context, uint32_t element, const void *wanted)
{
    const struct node_id_table *node_ids = context;
    return slice_equal(node_id_name(node_ids->table[element - 1]), *(const struct slice *)wanted);
}

static uint32_t index_hash(const struct node_id_table *node_ids, struct slice name)
{
    return (uint32_t)XXH3_64bits_withSeed(name.data, name.size, node_ids->hash_seed);
}

static uint16_t slot_of(uint32_t peer)
{
    if (peer == 0)
        return NO_PEER;
    if (peer <= NODE_ID_MEMBERS)
        return (uint16_t)(peer - 1);
    return (uint16_t)(NODE_ID_MEMBERS + peer % (NODE_ID_PEER_SLOTS - NODE_ID_MEMBERS));
}

static bool is_caller(uint16_t slot)
{
    return slot >= NODE_ID_MEMBERS && slot != NO_PEER;
}

/* The number of ids that the peer may have in use. */
static uint32_t share_of(const struct node_id_table *node_ids, uint16_t slot)
{
    uint32_t members = node_ids->members ? node_ids->members : 1;
    uint32_t share = (NODE_IDS_MAX - NODE_IDS_OF_CALLERS_MAX) / members;
    return is_caller(slot) || share > NODE_IDS_OF_PEER_MAX ? NODE_IDS_OF_PEER_MAX : share;
}

static bool is_full(const struct node_id_table *node_ids, uint16_t slot)
{
    if (slot != NO_PEER && node_ids->of_peer[slot] >= share_of(node_ids, slot))
        return true;
    if (is_caller(slot) && node_ids->of_callers >= NODE_IDS_OF_CALLERS_MAX)
        return true;
    return node_ids->free_count == 0 && node_ids->used == NODE_IDS_MAX;
}

static void count_id(struct node_id_table *node_ids, uint16_t slot)
{
    if (slot != NO_PEER)
        node_ids->of_peer[slot]++;
    node_ids->of_callers += is_caller(slot);
}

static void uncount_id(struct node_id_table *node_ids, uint16_t slot)
{
    if (slot != NO_PEER)
        node_ids->of_peer[slot]--;
    node_ids->of_callers -= is_caller(slot);
}

/* Adds an id with one reference. */
static enum error add(struct node_id_table *node_ids, struct slice name, uint16_t slot,
                      uint16_t *number)
{
    if (is_full(node_ids, slot)) {
        atomic_fetch_add_explicit(&node_ids->refused, 1, memory_order_relaxed);
        return ERR_TOO_MANY_ITEMS;
    }
    enum error error = hash_index_reserve(&node_ids->index);
    struct node_id *id = error ? NULL : malloc(sizeof(*id) + name.size);
    if (!id)
        return ERR_NO_MEMORY;
    *number = node_ids->free_count ? node_ids->free_numbers[--node_ids->free_count]
                                   : (uint16_t)node_ids->used++;
    *id = (struct node_id){
        .table = node_ids,
        .references = 1,
        .index_hash = index_hash(node_ids, name),
        .number = *number,
        .peer_slot = slot,
        .hash = XXH3_64bits(name.data, name.size),
        .size = name.size,
    };
    if (name.size)
        memcpy(id->name, name.data, name.size);
    count_id(node_ids, slot);
    node_ids->table[*number] = id;
    hash_index_insert(&node_ids->index, id->index_hash, *number + 1u);
    atomic_fetch_add_explicit(&node_ids->count, 1, memory_order_relaxed);
    return ERR_NONE;
}

static void remove_id(struct node_id_table *node_ids, struct node_id *id)
{
    hash_index_remove(&node_ids->index, id->index_hash, id->number + 1u);
    node_ids->table[id->number] = NULL;
    node_ids->free_numbers[node_ids->free_count++] = id->number;
    uncount_id(node_ids, id->peer_slot);
    atomic_fetch_sub_explicit(&node_ids->count, 1, memory_order_relaxed);
    free(id);
}

enum error node_id_table_init(struct node_id_table *node_ids, struct slice self, uint64_t hash_seed)
{
    *node_ids = (struct node_id_table){
        .table = calloc(NODE_IDS_MAX, sizeof(struct node_id *)),
        .free_numbers = calloc(NODE_IDS_MAX, sizeof(uint16_t)),
        .hash_seed = hash_seed,
    };
    pthread_mutex_init(&node_ids->lock, NULL);
    uint16_t number;
    enum error error = node_ids->table && node_ids->free_numbers
                           ? add(node_ids, self, NO_PEER, &number)
                           : ERR_NO_MEMORY;
    if (error)
        node_id_table_free(node_ids);
    return error;
}

void node_id_table_free(struct node_id_table *node_ids)
{
    for (uint32_t i = 0; node_ids->table && i < node_ids->used; i++)
        if (node_ids->table[i])
            node_ids->table[i]->table = NULL;
    if (node_ids->used)
        node_id_unref(node_ids->table[NODE_NUMBER_SELF]); /* that of the table */
    free(node_ids->table);
    free(node_ids->free_numbers);
    hash_index_free(&node_ids->index);
    if (node_ids->table || node_ids->free_numbers)
        pthread_mutex_destroy(&node_ids->lock);
    *node_ids = (struct node_id_table){0};
}

void node_id_table_add_peer(struct node_id_table *node_ids, uint32_t peer)
{
    assert(peer > 0 && peer <= NODE_ID_MEMBERS);
    pthread_mutex_lock(&node_ids->lock);
    node_ids->members++;
    pthread_mutex_unlock(&node_ids->lock);
}

void node_id_table_remove_peer(struct node_id_table *node_ids, uint32_t peer)
{
    assert(peer > 0 && peer <= NODE_ID_MEMBERS);
    uint16_t slot = slot_of(peer);
    pthread_mutex_lock(&node_ids->lock);
    node_ids->members--;
    for (uint32_t i = 0; node_ids->of_peer[slot] && i < node_ids->used; i++) {
        struct node_id *id = node_ids->table[i];
        if (!id || id->peer_slot != slot)
            continue;
        uncount_id(node_ids, slot);
        id->peer_slot = NO_PEER;
    }
    pthread_mutex_unlock(&node_ids->lock);
}

enum error node_id_table_take(struct node_id_table *node_ids, struct slice name, uint32_t peer,
                              uint16_t *number)
{
    enum error error = ERR_NONE;
    pthread_mutex_lock(&node_ids->lock);
    uint32_t element =
        hash_index_find(&node_ids->index, index_hash(node_ids, name), matches, node_ids, &name);
    if (element) {
        *number = (uint16_t)(element - 1);
        node_id_table_ref(node_ids, *number);
    } else {
        error = add(node_ids, name, slot_of(peer), number);
    }
    pthread_mutex_unlock(&node_ids->lock);
    return error;
}

/* --- numbers ---------------------------------------------------------------------------------- */

struct node_id *node_id_table_id(const struct node_id_table *node_ids, uint16_t number)
{
    struct node_id *id = number < NODE_IDS_MAX ? node_ids->table[number] : NULL;
    assert(id);
    return id;
}

void node_id_table_ref(const struct node_id_table *node_ids, uint16_t number)
{
    if (number != NODE_NUMBER_SELF)
        node_id_ref(node_id_table_id(node_ids, number));
}

void node_id_table_unref(const struct node_id_table *node_ids, uint16_t number)
{
    if (number != NODE_NUMBER_SELF)
        node_id_unref(node_id_table_id(node_ids, number));
}

struct slice node_id_table_name(const struct node_id_table *node_ids, uint16_t number)
{
    return node_id_name(node_id_table_id(node_ids, number));
}

uint64_t node_id_table_hash(const struct node_id_table *node_ids, uint16_t number)
{
    return node_id_table_id(node_ids, number)->hash;
}

/* --- references ------------------------------------------------------------------------------- */

struct node_id *node_id_ref(struct node_id *id)
{
    if (id)
        atomic_fetch_add_explicit(&id->references, 1, memory_order_relaxed);
    return id;
}

void node_id_unref(struct node_id *id)
{
    if (!id)
        return;
    uint32_t references = atomic_load_explicit(&id->references, memory_order_relaxed);
    while (references > 1)
        if (atomic_compare_exchange_weak_explicit(&id->references, &references, references - 1,
                                                  memory_order_release, memory_order_relaxed))
            return;
    /* Perhaps the last one. Under the lock no lookup finds the id meanwhile. */
    struct node_id_table *node_ids = id->table;
    if (!node_ids) {
        if (atomic_fetch_sub_explicit(&id->references, 1, memory_order_acq_rel) == 1)
            free(id);
        return;
    }
    pthread_mutex_lock(&node_ids->lock);
    if (atomic_fetch_sub_explicit(&id->references, 1, memory_order_acq_rel) == 1)
        remove_id(node_ids, id);
    pthread_mutex_unlock(&node_ids->lock);
}

struct slice node_id_name(const struct node_id *id)
{
    return id ? (struct slice){id->name, id->size} : (struct slice){"", 0};
}
