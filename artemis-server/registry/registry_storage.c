/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/registry/registry_storage.h"

#include <stdlib.h>

#include "artemis-core/model/stamp.h"
#include "artemis-server/registry/registry_internal.h"

/* --- what must be stored ---------------------------------------------------------------------- */

size_t registry_drain_stored(struct registry *registry, struct record_copy *out, size_t max)
{
    return registry_drain_dirty(registry, DIRTY_STORE, out, max);
}

size_t registry_drain_removed(struct registry *registry, struct instance **out, size_t max,
                              bool *overflowed)
{
    size_t count = 0;
    for (int i = 0; i < SHARD_COUNT && count < max; i++) {
        struct removed_list *list = &registry->shards[i].shard.removed;
        struct instance **unused = NULL;
        pthread_mutex_lock(&registry->shards[i].lock);
        while (count < max && list->count)
            out[count++] = list->instances[--list->count];
        *overflowed |= list->overflowed;
        list->overflowed = false;
        if (!list->count) { /* the next one is small again */
            unused = list->instances;
            list->instances = NULL;
            list->capacity = 0;
        }
        pthread_mutex_unlock(&registry->shards[i].lock);
        free(unused);
    }
    return count;
}

uint64_t registry_unstored(struct registry *registry)
{
    uint64_t count = 0;
    for (int i = 0; i < SHARD_COUNT; i++) {
        const struct shard *shard = &registry->shards[i].shard;
        pthread_mutex_lock(&registry->shards[i].lock);
        count += shard->dirty[DIRTY_STORE].count + shard->removed.count;
        pthread_mutex_unlock(&registry->shards[i].lock);
    }
    return count;
}

/* --- loading ---------------------------------------------------------------------------------- */

/* The end of a span that began age_ms ago, also if that is in the past; above 0. */
static uint64_t span_end_ms(struct moment now, uint64_t age_ms, uint64_t span_ms)
{
    uint64_t end_ms = now.mono_ms + span_ms;
    return age_ms < end_ms ? end_ms - age_ms : 1;
}

/* The end of a loaded lease: `now` at the earliest, because renewals are not stored. */
static uint64_t loaded_deadline_ms(const struct registry *registry,
                                   const struct wire_record *record, struct moment now)
{
    uint64_t ttl_ms = lease_ttl_ms(registry);
    return span_end_ms(now, record->age_ms < ttl_ms ? record->age_ms : ttl_ms, ttl_ms);
}

static enum error load_instance(struct registry *registry, struct locked_key *key,
                                const struct wire_record *record, struct stored_stamp stamp,
                                struct moment now)
{
    struct shard *shard = key->shard;
    uint64_t deadline_ms = loaded_deadline_ms(registry, record, now);
    enum error error = shard_insert(shard, key->location.hash, key->hash, record->instance,
                                    deadline_ms, &key->number);
    if (error)
        return error;
    key->record = shard_record(shard, key->number);
    registry_set_stamp(registry, shard, key->record, stamp);
    struct service *service = shard_service(shard, key->record->service);
    uint64_t revision = registry_revision(registry);
    if (service->revision < revision)
        shard_set_revision(shard, service, revision);
    uint64_t until_ms = now.mono_ms + lease_ttl_ms(registry);
    atomic_store_explicit(&registry->loaded.until_ms, until_ms, memory_order_relaxed);
    shard_start_loaded(shard, key->number, until_ms);
    return ERR_NONE;
}

static enum error load_tombstone(struct registry *registry, struct locked_key *key,
                                 const struct wire_record *record, struct stored_stamp stamp,
                                 struct moment now)
{
    struct instance *key_only = instance_of_key(wire_record_key(record), record->client_revision);
    if (!key_only)
        return ERR_NO_MEMORY;
    uint64_t until_ms = span_end_ms(now, record->age_ms, registry->options.tombstone_ms);
    enum error error =
        shard_insert_tombstone(key->shard, key->hash, key_only, until_ms, &key->number);
    instance_unref(key_only);
    if (error)
        return error;
    key->record = shard_record(key->shard, key->number);
    shard_set_stamp(key->shard, key->record, stamp.hlc, stamp.node);
    return ERR_NONE;
}

enum error registry_load(struct registry *registry, const struct wire_record *record,
                         struct moment now)
{
    struct stored_stamp stamp;
    enum error error = registry_take_stamp(registry, record, now, &stamp);
    if (error)
        return error;
    struct locked_key key = registry_lock_key(registry, wire_record_key(record));
    if (!key.record)
        error = record->deleted ? load_tombstone(registry, &key, record, stamp, now)
                                : load_instance(registry, &key, record, stamp, now);
    if (!error && !record->deleted)
        registry->loaded.deadline_ms = loaded_deadline_ms(registry, record, now);
    registry_unlock(registry, key.locked);
    node_id_table_unref(&registry->node_ids, stamp.node);
    return error;
}

void registry_share_loaded(struct registry *registry)
{
    atomic_store_explicit(&registry->loaded.is_shared, true, memory_order_relaxed);
}

/* --- after the load --------------------------------------------------------------------------- */

/* No ready peer holds this instance, and it is of a time up to which they held all. */
static bool is_evicted_elsewhere(const struct registry *registry, const struct record *record,
                                 uint64_t hlc_max)
{
    return record->instance && registry_is_loaded_only(registry, record) &&
           record->hlc <= hlc_max && !bucket_set_has(&registry->loaded.equal, record->bucket);
}

/* Evicts from the next records of a shard from *number on; false if there are no more. */
static bool evict_some(struct registry *registry, struct locked_shard *locked, uint32_t *number,
                       uint64_t hlc_max, struct moment now, uint64_t *evicted)
{
    enum { VISITS_PER_LOCK = 128 };
    struct shard *shard = &locked->shard;
    pthread_mutex_lock(&locked->lock);
    uint32_t end = registry->loaded.deadline_ms ? slab_end(&shard->records) : 0;
    for (int i = 0; i < VISITS_PER_LOCK && *number < end; i++, ++*number) {
        const struct record *record = slab_find(&shard->records, *number);
        if (!record || !is_evicted_elsewhere(registry, record, hlc_max))
            continue;
        registry_evict(registry, shard, *number, now);
        ++*evicted;
    }
    registry_unlock(registry, locked);
    return *number < end;
}

uint64_t registry_evict_loaded(struct registry *registry, uint64_t hlc_max, struct moment now)
{
    uint64_t evicted = 0;
    for (int i = 0; i < SHARD_COUNT; i++) {
        uint32_t number = 1;
        while (evict_some(registry, &registry->shards[i], &number, hlc_max, now, &evicted))
            continue;
    }
    return evicted;
}
