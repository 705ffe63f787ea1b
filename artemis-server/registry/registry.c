/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/registry/registry.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "artemis-server/registry/registry_internal.h"

/* --- life ------------------------------------------------------------------------------------- */

enum error registry_create(const struct registry_options *options, struct moment now,
                           struct registry **out)
{
    struct registry *registry = aligned_alloc(_Alignof(struct registry), sizeof(*registry));
    if (!registry)
        return ERR_NO_MEMORY;
    *registry = (struct registry){
        .options = *options,
        .guard_settings = {.percent = options->guard_percent,
                           .min_leases = options->guard_min_leases,
                           .max_ms = options->guard_max_ms,
                           .window_ms = options->ttl_ms},
    };
    enum error error = node_id_table_init(&registry->node_ids, slice_of(options->node_id));
    if (!error)
        error = change_log_init(&registry->log, options->change_log_capacity, now);
    if (error) {
        node_id_table_free(&registry->node_ids);
        free(registry);
        return error;
    }
    hlc_init(&registry->clock, now);
    struct shard_retention retention = {options->cache_expiry_ms, options->cleanup_interval_ms};
    for (int i = 0; i < SHARD_COUNT; i++) {
        pthread_mutex_init(&registry->shards[i].lock, NULL);
        shard_init(&registry->shards[i].shard, now.mono_ms, retention);
        registry->shards[i].shard.tombstones.max = TOMBSTONES_MAX / SHARD_COUNT;
    }
    pthread_mutex_init(&registry->node_guard.lock, NULL);
    pthread_mutex_init(&registry->all_services.building, NULL);
    pthread_mutex_init(&registry->all_services.lock, NULL);
    *out = registry;
    return ERR_NONE;
}

void registry_free(struct registry *registry)
{
    if (!registry)
        return;
    for (int i = 0; i < SHARD_COUNT; i++) {
        shard_free(&registry->shards[i].shard);
        pthread_mutex_destroy(&registry->shards[i].lock);
    }
    struct cached_response *evicted_responses = NULL;
    for (int i = 0; i < DIALECT_COUNT; i++)
        if (registry->all_services.responses[i])
            cached_response_evict(registry->all_services.responses[i], &evicted_responses);
    cached_response_free_evicted(evicted_responses);
    change_log_free(&registry->log);
    node_id_table_free(&registry->node_ids);
    pthread_mutex_destroy(&registry->node_guard.lock);
    pthread_mutex_destroy(&registry->all_services.building);
    pthread_mutex_destroy(&registry->all_services.lock);
    free(registry);
}

/* --- places ----------------------------------------------------------------------------------- */

struct service_location registry_locate(struct registry *registry, struct slice service_id)
{
    uint64_t hash =
        XXH3_64bits_withSeed(service_id.data, service_id.size, registry->options.hash_seed);
    return (struct service_location){&registry->shards[hash >> (64 - SHARD_BITS)], (uint32_t)hash};
}

uint32_t registry_record_hash(const struct registry *registry, struct slice packed_key)
{
    return (uint32_t)XXH3_64bits_withSeed(packed_key.data, packed_key.size,
                                          registry->options.hash_seed);
}

void registry_unlock(struct registry *registry, struct locked_shard *home)
{
    struct cached_response *evicted_responses = home->shard.evicted_responses;
    home->shard.evicted_responses = NULL;
    pthread_mutex_unlock(&home->lock);
    change_log_wake(&registry->log);
    cached_response_free_evicted(evicted_responses);
}

/* --- versions --------------------------------------------------------------------------------- */

static void update_digest(struct registry *registry, const struct record *record)
{
    struct slice key = instance_packed_key(record->instance);
    uint64_t seed = record->hlc ^ node_id_table_hash(&registry->node_ids, record->node);
    atomic_fetch_xor_explicit(&registry->digests[record->bucket],
                              XXH3_64bits_withSeed(key.data, key.size, seed), memory_order_relaxed);
}

void registry_set_stamp(struct registry *registry, struct record *record, struct stored_stamp stamp)
{
    if (record->hlc)
        update_digest(registry, record);
    else
        record->bucket = (uint16_t)registry_bucket(instance_packed_key(record->instance));
    record->hlc = stamp.hlc;
    record->node = stamp.node;
    update_digest(registry, record);
}

void registry_clear_stamp(struct registry *registry, const struct record *record)
{
    update_digest(registry, record);
}

static struct stored_stamp next_stamp(struct registry *registry, struct moment now)
{
    return (struct stored_stamp){hlc_next(&registry->clock, now), NODE_NUMBER_SELF};
}

/* --- changes ---------------------------------------------------------------------------------- */

void registry_log_change(struct registry *registry, struct shard *shard, uint32_t service,
                         struct instance *instance, enum change_type type, struct moment now)
{
    uint64_t revision = change_log_append(&registry->log, instance, type, now);
    shard_set_revision(shard, shard_service(shard, service), revision);
}

enum error registry_insert(struct registry *registry, struct service_location place,
                           uint32_t record_hash, struct instance *instance,
                           struct stored_stamp stamp, uint64_t deadline_ms, struct moment now,
                           uint32_t *out)
{
    struct shard *shard = &place.home->shard;
    uint32_t tombstone = shard_find(shard, record_hash, instance_packed_key(instance));
    enum error error = shard_insert(shard, place.hash, record_hash, instance, deadline_ms, out);
    if (error)
        return error;
    if (tombstone)
        shard_remove_tombstone(shard, tombstone);
    struct record *record = shard_record(shard, *out);
    registry_set_stamp(registry, record, stamp);
    registry_log_change(registry, shard, record->service, instance, CHANGE_NEW, now);
    shard->counters.registered++;
    return ERR_NONE;
}

void registry_unregister_record(struct registry *registry, struct shard *shard, uint32_t number,
                                uint32_t record_hash, struct stored_stamp stamp, uint64_t until_ms,
                                struct moment now)
{
    struct record *record = shard_record(shard, number);
    registry_log_change(registry, shard, record->service, record->instance, CHANGE_DELETE, now);
    registry_clear_stamp(registry, record);
    shard->counters.unregistered++;
    if (registry->options.tombstone_ms == 0) {
        shard_remove(shard, number, record_hash, now.mono_ms);
        return;
    }
    record->hlc = stamp.hlc;
    record->node = stamp.node;
    shard_make_tombstone(shard, number, record_hash, now.mono_ms, until_ms);
}

/* A node that gathers tells the peers, after the lock is gone. */
static void mark_changed(struct registry *registry, struct shard *shard, uint32_t number,
                         bool *noted)
{
    if (!registry_is_replicating(registry))
        return;
    shard_mark_changed(shard, number);
    *noted = true;
}

static void mark_renewed(struct registry *registry, struct shard *shard, uint32_t number)
{
    if (registry_is_replicating(registry))
        shard_mark_renewed(shard, number);
}

static void notify(struct registry *registry, bool noted)
{
    if (noted && registry->notify)
        registry->notify(registry->notify_context);
}

/* The lease still counts: it has not ended, or a guard holds it, or peers are being asked. */
static bool is_alive(const struct record *record, struct moment now)
{
    return record->guarded || record->confirming || now.mono_ms < record->lease.deadline_ms;
}

/* A registration of a known key: the same content only renews. */
static void register_again(struct registry *registry, struct shard *shard, uint32_t number,
                           struct instance *instance, struct moment now, bool *noted)
{
    struct record *record = shard_record(shard, number);
    shard_renew(shard, number, now.mono_ms, now.mono_ms + registry->options.ttl_ms);
    if (instance_equal(record->instance, instance)) {
        shard->counters.renewed++;
        mark_renewed(registry, shard, number);
        return;
    }
    shard_replace(shard, number, instance);
    registry_set_stamp(registry, record, next_stamp(registry, now));
    registry_log_change(registry, shard, record->service, instance, CHANGE_CHANGE, now);
    mark_changed(registry, shard, number, noted);
    shard->counters.changed++;
}

enum error registry_register(struct registry *registry, struct instance *instance,
                             struct moment now)
{
    struct slice key = instance_packed_key(instance);
    uint32_t hash = registry_record_hash(registry, key);
    struct service_location place =
        registry_locate(registry, instance_text(instance, FIELD_SERVICE));
    struct shard *shard = &place.home->shard;
    enum error error = ERR_NONE;
    bool noted = false;

    pthread_mutex_lock(&place.home->lock);
    uint32_t number = shard_find(shard, hash, key);
    if (number && !shard_record(shard, number)->deleted) {
        register_again(registry, shard, number, instance, now, &noted);
    } else {
        error = registry_insert(registry, place, hash, instance, next_stamp(registry, now),
                                now.mono_ms + registry->options.ttl_ms, now, &number);
        if (!error)
            mark_changed(registry, shard, number, &noted);
    }
    registry_unlock(registry, place.home);
    notify(registry, noted);
    return error;
}

enum error registry_renew(struct registry *registry, const struct instance_key *key,
                          struct moment now)
{
    struct slice packed = instance_key_packed(key);
    uint32_t hash = registry_record_hash(registry, packed);
    struct locked_shard *home =
        registry_locate(registry, instance_key_part(key, FIELD_SERVICE)).home;
    enum error error = ERR_INSTANCE_NOT_FOUND;

    pthread_mutex_lock(&home->lock);
    uint32_t number = shard_find(&home->shard, hash, packed);
    struct record *record = number ? shard_record(&home->shard, number) : NULL;
    if (record && !record->deleted && is_alive(record, now)) {
        shard_renew(&home->shard, number, now.mono_ms, now.mono_ms + registry->options.ttl_ms);
        mark_renewed(registry, &home->shard, number);
        home->shard.counters.renewed++;
        error = ERR_NONE;
    }
    pthread_mutex_unlock(&home->lock);
    return error;
}

/* A key that is not known here may be known to a peer, and on its way: it is remembered as
 * unregistered. Without memory for that it is as if the peer's word had come later. */
static void insert_unregistered(struct registry *registry, struct shard *shard, uint32_t hash,
                                struct slice packed_key, struct moment now, bool *noted)
{
    struct instance *key_only = instance_of_key(packed_key);
    uint32_t number;
    if (!key_only)
        return;
    if (!shard_insert_tombstone(shard, hash, key_only, tombstones_until(registry, now), &number)) {
        struct record *record = shard_record(shard, number);
        record->bucket = (uint16_t)registry_bucket(packed_key);
        record->hlc = hlc_next(&registry->clock, now);
        mark_changed(registry, shard, number, noted);
    }
    instance_unref(key_only);
}

/* A key that was unregistered before may be registered at a peer by now, and on its way: this time
 * counts, and is told. */
static void unregister_again(struct registry *registry, struct shard *shard, uint32_t number,
                             struct moment now, bool *noted)
{
    struct record *record = shard_record(shard, number);
    struct stored_stamp stamp = next_stamp(registry, now);
    record->hlc = stamp.hlc;
    record->node = stamp.node;
    shard_extend_tombstone(shard, number, tombstones_until(registry, now));
    mark_changed(registry, shard, number, noted);
}

void registry_unregister(struct registry *registry, const struct instance_key *key,
                         struct moment now)
{
    struct slice packed = instance_key_packed(key);
    uint32_t hash = registry_record_hash(registry, packed);
    struct locked_shard *home =
        registry_locate(registry, instance_key_part(key, FIELD_SERVICE)).home;
    struct shard *shard = &home->shard;
    bool noted = false;

    pthread_mutex_lock(&home->lock);
    uint32_t number = shard_find(shard, hash, packed);
    if (!number) {
        if (registry->options.tombstone_ms)
            insert_unregistered(registry, shard, hash, packed, now, &noted);
    } else if (shard_record(shard, number)->deleted) {
        unregister_again(registry, shard, number, now, &noted);
    } else {
        registry_unregister_record(registry, shard, number, hash, next_stamp(registry, now),
                                   tombstones_until(registry, now), now);
        mark_changed(registry, shard, number, &noted);
    }
    registry_unlock(registry, home);
    notify(registry, noted);
}

/* --- what operators see ----------------------------------------------------------------------- */

uint64_t registry_revision(const struct registry *registry)
{
    return change_log_revision(&registry->log);
}

static void add_shard_stats(const struct shard *shard, struct registry_stats *stats)
{
    stats->instances += shard_instances(shard);
    stats->tombstones += shard->tombstones.count;
    stats->services += shard->service_index.count;
    stats->guarded += shard->guarded;
    stats->guarded_services += shard->engaged_services;
    stats->cached_responses += shard->responses;
    stats->registered += shard->counters.registered;
    stats->changed += shard->counters.changed;
    stats->renewed += shard->counters.renewed;
    stats->unregistered += shard->counters.unregistered;
    stats->expired += shard->counters.expired;
    stats->due += shard->counters.due;
    stats->responses_built += shard->counters.responses_built;
    stats->renewed_by_peers += shard->counters.renewed_by_peers;
    stats->refuted += shard->counters.refuted;
}

void registry_stats(struct registry *registry, struct registry_stats *stats)
{
    *stats = (struct registry_stats){0};
    for (int i = 0; i < SHARD_COUNT; i++) {
        pthread_mutex_lock(&registry->shards[i].lock);
        add_shard_stats(&registry->shards[i].shard, stats);
        pthread_mutex_unlock(&registry->shards[i].lock);
    }
    stats->revision = registry_revision(registry);
    stats->cached_response_bytes = atomic_load(&registry->service_responses.used_bytes);
    stats->all_services_response_bytes = atomic_load(&registry->all_services.budget.used_bytes);
    stats->change_log_size = change_log_size(&registry->log);
    pthread_mutex_lock(&registry->node_guard.lock);
    stats->node_guard = registry->node_guard.guard;
    pthread_mutex_unlock(&registry->node_guard.lock);
}

void registry_validate(struct registry *registry)
{
    for (int i = 0; i < SHARD_COUNT; i++) {
        pthread_mutex_lock(&registry->shards[i].lock);
        shard_validate(&registry->shards[i].shard);
        assert(!registry->shards[i].shard.evicted_responses);
        pthread_mutex_unlock(&registry->shards[i].lock);
    }
}
