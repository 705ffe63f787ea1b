/* SPDX-License-Identifier: Apache-2.0
 *
 * What a shard keeps for the peers: tombstones, and notes of what they have yet to be told.
 */
#include "artemis-server/registry/shard.h"

#include <stdlib.h>

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
}

static void link_tombstone(struct shard *shard, uint32_t number, uint64_t until_ms)
{
    if (shard->tombstones.count >= shard->tombstones.max)
        shard_remove_tombstone(shard, shard->tombstones.first);
    struct record *record = shard_record(shard, number);
    record->deleted = true;
    record->service = 0;
    record->lease = (struct wheel_timer){.deadline_ms = until_ms, .prev = shard->tombstones.last};
    if (shard->tombstones.last)
        shard_record(shard, shard->tombstones.last)->lease.next = number;
    else
        shard->tombstones.first = number;
    shard->tombstones.last = number;
    shard->tombstones.count++;
}

void shard_make_tombstone(struct shard *shard, uint32_t number, uint32_t record_hash,
                          uint64_t now_ms, uint64_t until_ms)
{
    struct record *record = shard_record(shard, number);
    shard_leave_service(shard, number, now_ms);
    struct instance *key_only = instance_of_key(instance_packed_key(record->instance));
    if (key_only) {
        instance_unref(record->instance);
        record->instance = key_only;
    }
    record->tombstone_hash = record_hash;
    link_tombstone(shard, number, until_ms);
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
    record->tombstone_hash = record_hash;
    hash_index_insert(&shard->record_index, record_hash, *out);
    link_tombstone(shard, *out, until_ms);
    return ERR_NONE;
}

void shard_remove_tombstone(struct shard *shard, uint32_t number)
{
    struct record *record = shard_record(shard, number);
    unlink_tombstone(shard, number);
    hash_index_remove(&shard->record_index, record->tombstone_hash, number);
    instance_unref(record->instance);
    record->instance = NULL;
    slab_release(&shard->records, number);
}

void shard_extend_tombstone(struct shard *shard, uint32_t number, uint64_t until_ms)
{
    if (until_ms <= shard_record(shard, number)->lease.deadline_ms)
        return;
    unlink_tombstone(shard, number);
    link_tombstone(shard, number, until_ms);
}

void shard_expire_tombstones(struct shard *shard, uint64_t now_ms)
{
    while (shard->tombstones.first &&
           shard_record(shard, shard->tombstones.first)->lease.deadline_ms <= now_ms)
        shard_remove_tombstone(shard, shard->tombstones.first);
}

/* --- notes ------------------------------------------------------------------------------------ */

static enum error reserve(struct dirty_list *list, uint32_t more)
{
    uint32_t wanted = list->count + more;
    if (wanted <= list->capacity)
        return ERR_NONE;
    uint32_t capacity = list->capacity ? list->capacity * 2 : 16;
    if (capacity < wanted)
        capacity = wanted;
    uint32_t *numbers = realloc(list->numbers, capacity * sizeof(*numbers));
    if (!numbers)
        return ERR_NO_MEMORY;
    list->numbers = numbers;
    list->capacity = capacity;
    return ERR_NONE;
}

enum error shard_reserve_dirty(struct shard *shard)
{
    uint32_t records = shard->record_index.count + 1;
    enum error error = reserve(&shard->changed, records);
    if (!error)
        error = reserve(&shard->renewed, records);
    return error ? error : reserve(&shard->ended, records);
}

static void add(struct dirty_list *list, uint32_t number)
{
    assert(list->count < list->capacity);
    list->numbers[list->count++] = number;
}

void shard_mark_changed(struct shard *shard, uint32_t number)
{
    struct record *record = shard_record(shard, number);
    if (!record->change_dirty)
        add(&shard->changed, number);
    record->change_dirty = true;
}

void shard_mark_renewed(struct shard *shard, uint32_t number)
{
    struct record *record = shard_record(shard, number);
    if (!record->renewal_dirty)
        add(&shard->renewed, number);
    record->renewal_dirty = true;
}

void shard_mark_lease_check(struct shard *shard, uint32_t number)
{
    struct record *record = shard_record(shard, number);
    if (!record->lease_check_dirty)
        add(&shard->ended, number);
    record->lease_check_dirty = true;
}

uint32_t dirty_list_pop(struct dirty_list *list)
{
    return list->count ? list->numbers[--list->count] : 0;
}
