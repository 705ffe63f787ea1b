/* SPDX-License-Identifier: Apache-2.0
 *
 * What a shard keeps for replication and storage: tombstones, the records of each digest bucket,
 * the dirty lists, and the removed keys.
 */
#include "artemis-server/registry/shard.h"

#include <stdlib.h>
#include <xxhash.h>

/* --- buckets ---------------------------------------------------------------------------------- */

uint32_t bucket_of_key(struct slice packed_key)
{
    return (uint32_t)(XXH3_64bits(packed_key.data, packed_key.size) % DIGEST_BUCKETS);
}

void shard_link_bucket(struct shard *shard, uint32_t number, uint32_t bucket)
{
    struct record *record = shard_record(shard, number);
    record->bucket = bucket & (DIGEST_BUCKETS - 1);
    record->bucket_prev = 0;
    record->bucket_next = shard->buckets[bucket];
    shard->buckets[bucket] = number;
}

/* Links the records at the front of a list back that are not linked back yet. */
static void link_back(struct shard *shard, uint32_t bucket)
{
    uint32_t before = shard->buckets[bucket];
    uint32_t number = shard_record(shard, before)->bucket_next;
    while (number && !shard_record(shard, number)->bucket_prev) {
        struct record *record = shard_record(shard, number);
        record->bucket_prev = before;
        before = number;
        number = record->bucket_next;
    }
}

void shard_unlink_bucket(struct shard *shard, uint32_t number)
{
    const struct record *record = shard_record(shard, number);
    link_back(shard, record->bucket);
    if (record->bucket_prev)
        shard_record(shard, record->bucket_prev)->bucket_next = record->bucket_next;
    else
        shard->buckets[record->bucket] = record->bucket_next;
    if (record->bucket_next)
        shard_record(shard, record->bucket_next)->bucket_prev = record->bucket_prev;
}

/* --- tombstones ------------------------------------------------------------------------------- */

static void unlink_tombstone(struct shard *shard, uint32_t number)
{
    struct wheel_timer *links = &shard_record(shard, number)->lease;
    if (links->prev)
        shard_record(shard, links->prev)->lease.next = links->next;
    else
        shard->tombstones.first = links->next;
    if (links->next)
        shard_record(shard, links->next)->lease.prev = links->prev;
    else
        shard->tombstones.last = links->prev;
    shard->tombstones.count--;
    atomic_fetch_sub_explicit(shard->settings.tombstones_of_node, 1, memory_order_relaxed);
}

static void link_tombstone(struct shard *shard, uint32_t number, uint64_t until_ms)
{
    uint32_t of_node =
        atomic_fetch_add_explicit(shard->settings.tombstones_of_node, 1, memory_order_relaxed);
    if (of_node >= shard->settings.tombstones_max && shard->tombstones.first)
        shard_remove_tombstone(shard, shard->tombstones.first);
    struct record *record = shard_record(shard, number);
    record->service = 0;
    record->lease = (struct wheel_timer){.deadline_ms = until_ms, .prev = shard->tombstones.last};
    if (shard->tombstones.last)
        shard_record(shard, shard->tombstones.last)->lease.next = number;
    else
        shard->tombstones.first = number;
    shard->tombstones.last = number;
    shard->tombstones.count++;
}

/* Exchanges the instance of a record for one of its key and a client revision. */
static void keep_key(struct record *record, uint64_t client_revision)
{
    struct instance *key_only =
        instance_of_key(instance_packed_key(record->instance), client_revision);
    if (!key_only)
        return;
    instance_unref(record->instance);
    record->instance = key_only;
}

void shard_make_tombstone(struct shard *shard, uint32_t number, uint64_t client_revision,
                          uint64_t now_ms, uint64_t until_ms)
{
    struct record *record = shard_record(shard, number);
    uint64_t stored = instance_client_revision(record->instance);
    shard_leave_service(shard, number, now_ms);
    keep_key(record, client_revision > stored ? client_revision : stored);
    link_tombstone(shard, number, until_ms);
}

void shard_raise_client_revision(struct shard *shard, uint32_t number, uint64_t client_revision)
{
    struct record *record = shard_record(shard, number);
    if (client_revision > instance_client_revision(record->instance))
        keep_key(record, client_revision);
}

enum error shard_insert_tombstone(struct shard *shard, uint32_t record_hash,
                                  struct instance *key_only, uint64_t until_ms, uint32_t *out)
{
    enum error error = hash_index_reserve(&shard->record_index);
    if (!error)
        error = shard_reserve_dirty(shard);
    if (!error)
        error = slab_alloc(&shard->records, out);
    if (error)
        return error;
    struct record *record = shard_record(shard, *out);
    record->instance = instance_ref(key_only);
    record->hash = record_hash;
    hash_index_insert(&shard->record_index, record_hash, *out);
    shard_link_bucket(shard, *out, bucket_of_key(instance_packed_key(key_only)));
    link_tombstone(shard, *out, until_ms);
    return ERR_NONE;
}

void shard_remove_tombstone(struct shard *shard, uint32_t number)
{
    struct record *record = shard_record(shard, number);
    unlink_tombstone(shard, number);
    shard_unlink_bucket(shard, number);
    hash_index_remove(&shard->record_index, record->hash, number);
    shard_list_removed(shard, record->instance);
    record->instance = NULL;
    if (record->node != NODE_NUMBER_SELF)
        node_id_table_unref(shard->settings.node_ids, record->node);
    shard_clear_dirty(shard, number);
    slab_release(&shard->records, number);
}

void shard_extend_tombstone(struct shard *shard, uint32_t number, uint64_t until_ms)
{
    if (until_ms <= shard_record(shard, number)->lease.deadline_ms)
        return;
    unlink_tombstone(shard, number);
    link_tombstone(shard, number, until_ms);
}

void shard_expire_tombstones(struct shard *shard, uint64_t now_ms, unsigned *steps)
{
    uint32_t first;
    for (; *steps > 0 && (first = shard->tombstones.first) &&
           shard_record(shard, first)->lease.deadline_ms <= now_ms;
         --*steps)
        shard_remove_tombstone(shard, first);
}

/* --- dirty lists ------------------------------------------------------------------------------ */

static_assert((int)NUMBER_SET_WORD_BITS == SLAB_CHUNK_ELEMENTS, "a word for each chunk of records");

enum error shard_reserve_dirty(struct shard *shard)
{
    enum error error = ERR_NONE;
    uint32_t words = shard->records.chunk_count + 1; /* a new record may open a new chunk */
    for (int kind = 0; !error && kind < (shard->settings.storing ? DIRTY_KINDS : DIRTY_STORE);
         kind++)
        error = number_set_reserve(&shard->dirty[kind], words);
    return error;
}

void shard_shrink_dirty(struct shard *shard)
{
    for (int kind = 0; kind < DIRTY_KINDS; kind++)
        number_set_shrink(&shard->dirty[kind], shard->records.chunk_count);
}

void shard_mark_dirty(struct shard *shard, uint32_t number, enum dirty_kind kind)
{
    number_set_add(&shard->dirty[kind], number);
}

void shard_clear_dirty(struct shard *shard, uint32_t number)
{
    for (int kind = 0; kind < DIRTY_KINDS; kind++)
        number_set_remove(&shard->dirty[kind], number);
}

/* False: the reason why the record was marked has gone. */
static bool is_still_dirty(const struct record *record, enum dirty_kind kind)
{
    if (kind == DIRTY_RENEWAL)
        return !record_is_tombstone(record);
    if (kind == DIRTY_GUARDED)
        return record->lease_state == LEASE_GUARDED;
    return kind != DIRTY_LEASE_CHECK || lease_state_is_confirming(record->lease_state);
}

uint32_t shard_drain_dirty(struct shard *shard, enum dirty_kind kind, uint32_t after)
{
    uint32_t number = after;
    while ((number = number_set_pop(&shard->dirty[kind], number))) {
        const struct record *record = shard_record(shard, number);
        if (!is_still_dirty(record, kind))
            continue;
        if (kind == DIRTY_LEASE_CHECK && record->lease_state == LEASE_CONFIRMING)
            shard_defer_lease_check(shard, number);
        return number;
    }
    return 0;
}

/* --- removed keys ----------------------------------------------------------------------------- */

static bool reserve_removed(struct removed_list *list)
{
    enum { FIRST_CAPACITY = 16 };
    if (list->count < list->capacity)
        return true;
    if (list->count >= REMOVED_KEYS_MAX)
        return false;
    uint32_t capacity = list->capacity ? list->capacity * 2 : FIRST_CAPACITY;
    struct instance **instances = realloc(list->instances, capacity * sizeof(struct instance *));
    if (!instances)
        return false;
    list->instances = instances;
    list->capacity = capacity;
    return true;
}

void shard_list_removed(struct shard *shard, struct instance *instance)
{
    struct removed_list *list = &shard->removed;
    if (!shard->settings.storing) {
        instance_unref(instance);
    } else if (reserve_removed(list)) {
        list->instances[list->count++] = instance;
    } else {
        list->overflowed = true;
        instance_unref(instance);
    }
}
