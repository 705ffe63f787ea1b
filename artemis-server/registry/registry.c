/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/registry/registry.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "artemis-core/base/sim_bug.h"
#include "artemis-server/registry/registry_internal.h"

/* --- create and free -------------------------------------------------------------------------- */

static struct lease_options lease_options_of(const struct registry_options *options)
{
    return (struct lease_options){
        .ttl_ms = options->ttl_ms,
        .cleanup_interval_ms = options->cleanup_interval_ms,
        .guard_percent = options->guard_percent,
        .guard_min_leases = options->guard_min_leases,
        .guard_max_ms = options->guard_max_ms,
    };
}

static void set_lease_values(struct registry *registry, const struct lease_options *options)
{
    struct lease_values *values = &registry->leases;
    atomic_store_explicit(&values->ttl_ms, options->ttl_ms, memory_order_relaxed);
    atomic_store_explicit(&values->cleanup_interval_ms, options->cleanup_interval_ms,
                          memory_order_relaxed);
    atomic_store_explicit(&values->guard_max_ms, options->guard_max_ms, memory_order_relaxed);
    atomic_store_explicit(&values->guard_percent, options->guard_percent, memory_order_relaxed);
    atomic_store_explicit(&values->guard_min_leases, options->guard_min_leases,
                          memory_order_relaxed);
}

void registry_set_lease_options(struct registry *registry, const struct lease_options *options)
{
    set_lease_values(registry, options);
    for (int i = 0; i < SHARD_COUNT; i++) {
        pthread_mutex_lock(&registry->shards[i].lock);
        registry->shards[i].shard.settings.empty_ms = options->cleanup_interval_ms;
        pthread_mutex_unlock(&registry->shards[i].lock);
    }
}

static void init_shards(struct registry *registry, uint64_t now_ms)
{
    const struct registry_options *options = &registry->options;
    struct shard_settings settings = {
        .unused_ms = options->cache_expiry_ms,
        .empty_ms = options->cleanup_interval_ms,
        .tombstones_max = options->tombstones_max ? options->tombstones_max : TOMBSTONES_MAX,
        .tombstones_of_node = &registry->tombstones,
        .hash_seed = options->hash_seed,
        .storing = options->storing,
        .node_ids = &registry->node_ids,
    };
    for (int i = 0; i < SHARD_COUNT; i++) {
        pthread_mutex_init(&registry->shards[i].lock, NULL);
        shard_init(&registry->shards[i].shard, now_ms, settings);
    }
}

struct lease_options registry_lease_options(const struct registry *registry)
{
    const struct guard_settings guard = registry_guard_settings(registry);
    return (struct lease_options){
        .ttl_ms = guard.window_ms,
        .cleanup_interval_ms =
            atomic_load_explicit(&registry->leases.cleanup_interval_ms, memory_order_relaxed),
        .guard_percent = guard.percent,
        .guard_min_leases = guard.min_leases,
        .guard_max_ms = guard.max_ms,
    };
}

enum error registry_create(const struct registry_options *options, struct moment now,
                           struct registry **out)
{
    struct registry *registry = aligned_alloc(_Alignof(struct registry), sizeof(*registry));
    if (!registry)
        return ERR_NO_MEMORY;
    memset(registry, 0, sizeof(*registry));
    registry->options = *options;
    const struct lease_options leases = lease_options_of(options);
    set_lease_values(registry, &leases);
    enum error error =
        node_id_table_init(&registry->node_ids, slice_of(options->node_id), options->hash_seed);
    if (!error)
        error = change_log_init(&registry->log, options->change_log_capacity,
                                options->revision_floor, now);
    if (error) {
        node_id_table_free(&registry->node_ids);
        free(registry);
        return error;
    }
    hlc_init(&registry->clock, options->hlc_floor, options->max_clock_skew_ms, now);
    init_shards(registry, now.mono_ms);
    pthread_mutex_init(&registry->node_guard.lock, NULL);
    pthread_mutex_init(&registry->shared.lock, NULL);
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
    change_log_free(&registry->log);
    node_id_table_free(&registry->node_ids);
    pthread_mutex_destroy(&registry->node_guard.lock);
    pthread_mutex_destroy(&registry->shared.lock);
    free(registry);
}

/* --- stamps ----------------------------------------------------------------------------------- */

/* A digest names changes by their stamps. It also contains each weight that is not the default: a
 * node of an earlier version stores the change without it. */
static void update_digest(struct registry *registry, const struct record *record)
{
    const uint64_t odd = UINT64_C(0x9E3779B97F4A7C15);
    struct slice key = instance_packed_key(record->instance);
    uint64_t weight = instance_weight(record->instance) ^ WEIGHT_DEFAULT;
    uint64_t seed =
        record->hlc ^ node_id_table_hash(&registry->node_ids, record->node) ^ weight * odd;
    atomic_fetch_xor_explicit(&registry->digests[record->bucket],
                              XXH3_64bits_withSeed(key.data, key.size, seed), memory_order_relaxed);
}

void registry_set_stamp(struct registry *registry, struct shard *shard, struct record *record,
                        struct stored_stamp stamp)
{
    if (record->hlc)
        update_digest(registry, record);
    shard_set_stamp(shard, record, stamp.hlc, stamp.node);
    update_digest(registry, record);
}

void registry_replace(struct registry *registry, const struct locked_key *key,
                      struct instance *instance, struct stored_stamp stamp, struct moment now)
{
    struct record *record = key->record;
    struct instance *old = instance_ref(record->instance);
    update_digest(registry, record);
    shard_replace(key->shard, key->number, instance);
    shard_set_stamp(key->shard, record, stamp.hlc, stamp.node);
    update_digest(registry, record);
    registry_log_replacement(registry, key->shard, record->service, record->instance, old, now);
    instance_unref(old);
}

void registry_clear_stamp(struct registry *registry, const struct record *record)
{
    update_digest(registry, record);
}

struct stored_stamp registry_next_stamp(struct registry *registry, struct moment now)
{
    return (struct stored_stamp){hlc_next(&registry->clock, now), NODE_NUMBER_SELF};
}

/* --- changes ---------------------------------------------------------------------------------- */

void registry_log_change(struct registry *registry, struct shard *shard, uint32_t service,
                         struct instance *instance, enum change_type type, struct moment now)
{
    struct service *changed = shard_service(shard, service);
    uint64_t revision = change_log_append(&registry->log, changed->revision, instance, type, now);
    shard_set_revision(shard, changed, revision);
}

void registry_log_replacement(struct registry *registry, struct shard *shard, uint32_t service,
                              struct instance *instance, const struct instance *old,
                              struct moment now)
{
    struct service *changed = shard_service(shard, service);
    uint64_t revision = change_log_replace(&registry->log, changed->revision, instance, old, now);
    shard_set_revision(shard, changed, revision);
}

enum error registry_insert(struct registry *registry, struct locked_key *key,
                           struct instance *instance, struct stored_stamp stamp,
                           uint64_t deadline_ms, struct moment now)
{
    uint32_t number;
    enum error error =
        shard_insert(key->shard, key->location.hash, key->hash, instance, deadline_ms, &number);
    if (error)
        return error;
    if (key->number)
        shard_remove_tombstone(key->shard, key->number);
    key->number = number;
    key->record = shard_record(key->shard, number);
    registry_set_stamp(registry, key->shard, key->record, stamp);
    registry_log_change(registry, key->shard, key->record->service, key->record->instance,
                        CHANGE_NEW, now);
    shard_mark_stored(key->shard, number);
    key->shard->counters.registered++;
    return ERR_NONE;
}

enum error registry_insert_tombstone(struct locked_key *key, struct slice packed_key,
                                     uint64_t client_revision, struct stored_stamp stamp,
                                     uint64_t until_ms)
{
    struct instance *key_only = instance_of_key(packed_key, client_revision);
    if (!key_only)
        return ERR_NO_MEMORY;
    enum error error =
        shard_insert_tombstone(key->shard, key->hash, key_only, until_ms, &key->number);
    instance_unref(key_only);
    if (error)
        return error;
    key->record = shard_record(key->shard, key->number);
    shard_set_stamp(key->shard, key->record, stamp.hlc, stamp.node);
    shard_mark_stored(key->shard, key->number);
    return ERR_NONE;
}

void registry_change_tombstone(struct locked_key *key, uint64_t client_revision,
                               struct stored_stamp stamp, uint64_t until_ms)
{
    shard_raise_client_revision(key->shard, key->number, client_revision);
    shard_set_stamp(key->shard, key->record, stamp.hlc, stamp.node);
    shard_extend_tombstone(key->shard, key->number, until_ms);
}

void registry_remove(struct registry *registry, struct locked_key *key, uint64_t client_revision,
                     struct stored_stamp stamp, uint64_t until_ms, struct moment now)
{
    struct record *record = key->record;
    registry_log_change(registry, key->shard, record->service, record->instance, CHANGE_DELETE,
                        now);
    registry_clear_stamp(registry, record);
    key->shard->counters.unregistered++;
    if (registry->options.tombstone_ms == 0) {
        shard_remove(key->shard, key->number, now.mono_ms);
        key->number = 0;
        key->record = NULL;
        return;
    }
    shard_set_stamp(key->shard, record, stamp.hlc, stamp.node);
    shard_make_tombstone(key->shard, key->number, client_revision, now.mono_ms, until_ms);
    shard_mark_stored(key->shard, key->number);
}

bool registry_mark_changed(struct registry *registry, const struct locked_key *key)
{
    if (!key->record)
        return false; /* removed without a tombstone: the list of removed keys has it */
    shard_mark_stored(key->shard, key->number);
    if (!registry_is_replicating(registry))
        return false;
    shard_mark_dirty(key->shard, key->number, DIRTY_CHANGE);
    return true;
}

static void mark_renewed(struct registry *registry, const struct locked_key *key)
{
    if (registry_is_replicating(registry))
        shard_mark_dirty(key->shard, key->number, DIRTY_RENEWAL);
}

void registry_notify(struct registry *registry, bool is_dirty)
{
    if (is_dirty && registry->notify)
        registry->notify(registry->notify_context);
}

/* A client can renew the lease. */
static bool is_renewable(const struct registry *registry, const struct record *record,
                         struct moment now)
{
    uint64_t deadline_ms = record->lease.deadline_ms;
    return now.mono_ms < deadline_ms || lease_state_is_held(record->lease_state) ||
           record->lease_state == LEASE_CONFIRMING ||
           now.mono_ms < registry_lease_end_ms(registry, deadline_ms, now.mono_ms);
}

/* --- client revisions ------------------------------------------------------------------------- */

struct instance *registry_inherit_revision(const struct record *record, struct instance *instance)
{
    uint64_t stored = record ? instance_client_revision(record->instance) : 0;
    if (!stored || instance_client_revision(instance))
        return instance_keep(instance);
    return instance_with_client_revision(instance, stored);
}

/* The client has made a later change of the instance: this one is a late request. */
static bool is_stale(const struct record *record, const struct instance *instance)
{
    uint64_t given = instance_client_revision(instance);
    uint64_t stored = record ? instance_client_revision(record->instance) : 0;
    if (!given || given > stored)
        return false;
    return given < stored || record_is_tombstone(record) ||
           !instance_equal(record->instance, instance);
}

uint64_t registry_stored_revision(struct registry *registry, struct slice packed_key)
{
    struct locked_key key = registry_lock_key(registry, packed_key);
    uint64_t stored = key.record ? instance_client_revision(key.record->instance) : 0;
    registry_unlock(registry, key.locked);
    return stored;
}

/* --- registrations and unregistrations -------------------------------------------------------- */

/* A registration of a known key: identical content is a renewal. If the client sends no revision,
 * the time of the renewal is kept (see registry_apply). True: marked as changed. */
static bool register_again(struct registry *registry, const struct locked_key *key,
                           struct instance *instance, bool has_revision, struct moment now)
{
    struct shard *shard = key->shard;
    shard_renew(shard, key->number, now.mono_ms, now.mono_ms + lease_ttl_ms(registry));
    if (instance_equal(key->record->instance, instance)) {
        if (!has_revision)
            key->record->reregistered_hlc = hlc_next(&registry->clock, now);
        shard->counters.renewed++;
        mark_renewed(registry, key);
        return false;
    }
    struct stored_stamp stamp = registry_next_stamp(registry, now);
    if (SIM_BUG(7)) /* a change without a new stamp does not reach the peers */
        stamp = (struct stored_stamp){key->record->hlc, key->record->node};
    registry_replace(registry, key, instance, stamp, now);
    shard->counters.changed++;
    return registry_mark_changed(registry, key);
}

void registry_set_quota(struct registry *registry, uint32_t instances_per_service)
{
    atomic_store_explicit(&registry->quota, instances_per_service, memory_order_relaxed);
}

/* Whether the service of the key has as many instances as clients can register. Instances that a
 * guard keeps may have been replaced by new ones, which must not be refused; as many of them as the
 * quota do not count. */
static bool is_over_quota(const struct registry *registry, const struct locked_key *key,
                          const struct instance *instance)
{
    uint32_t quota = atomic_load_explicit(&registry->quota, memory_order_relaxed);
    const char *reserved = registry->options.reserved_service;
    struct slice service_id = instance_text(instance, FIELD_SERVICE);
    if (quota == 0 || (reserved && slice_equal(service_id, slice_of(reserved))))
        return false;
    uint32_t number = shard_find_service(key->shard, key->location.hash, service_id);
    if (number == 0)
        return false;
    const struct service *service = shard_service(key->shard, number);
    return service->member_count - service->guarded >= quota ||
           service->member_count >= 2 * (uint64_t)quota;
}

static enum error insert_new(struct registry *registry, struct locked_key *key,
                             struct instance *instance, bool *is_dirty, struct moment now)
{
    if (is_over_quota(registry, key, instance))
        return ERR_OVER_QUOTA;
    enum error error = registry_insert(registry, key, instance, registry_next_stamp(registry, now),
                                       now.mono_ms + lease_ttl_ms(registry), now);
    if (!error)
        *is_dirty |= registry_mark_changed(registry, key);
    return error;
}

/* Registers an instance in its locked shard. Sets *is_dirty if it is marked as changed. */
static enum error register_locked(struct registry *registry, struct locked_key *key,
                                  struct instance *instance, bool *is_dirty, struct moment now)
{
    enum error error = ERR_NONE;
    if (is_stale(key->record, instance))
        return ERR_STALE_REVISION;
    if (!key->record)
        return insert_new(registry, key, instance, is_dirty, now);
    struct instance *stored = registry_inherit_revision(key->record, instance);
    if (!stored)
        return ERR_NO_MEMORY;
    bool has_revision = instance_client_revision(instance) != 0;
    if (record_is_tombstone(key->record))
        error = insert_new(registry, key, stored, is_dirty, now);
    else if (register_again(registry, key, stored, has_revision, now))
        *is_dirty = true;
    instance_unref(stored);
    return error;
}

enum error registry_register(struct registry *registry, struct instance *instance,
                             struct moment now)
{
    bool is_dirty = false;
    struct locked_key key = registry_lock_key(registry, instance_packed_key(instance));
    enum error error = register_locked(registry, &key, instance, &is_dirty, now);
    registry_unlock(registry, key.locked);
    registry_notify(registry, is_dirty);
    return error;
}

struct registrations {
    struct instance *const *instances;
    struct moment now;
    enum error *errors;
    bool is_dirty;
};

static void register_one(struct registry *registry, struct locked_key *key, size_t index,
                         void *context)
{
    struct registrations *all = context;
    struct instance *instance = all->instances[index];
    all->errors[index] = register_locked(registry, key, instance, &all->is_dirty, all->now);
}

void registry_register_all(struct registry *registry, struct instance *const instances[],
                           size_t count, struct moment now, enum error errors[])
{
    const struct instance_key *keys[REGISTRY_KEYS_MAX];
    struct registrations all = {.instances = instances, .now = now, .errors = errors};
    assert(count <= REGISTRY_KEYS_MAX);
    if (SIM_BUG(20)) /* the last one is left out */
        errors[--count] = ERR_NONE;
    if (count == 1) {
        errors[0] = registry_register(registry, instances[0], now);
        return;
    }
    for (size_t i = 0; i < count; i++)
        keys[i] = (const void *)instance_packed_key(instances[i]).data;
    registry_visit_keys(registry, keys, count, true, register_one, &all);
    registry_notify(registry, all.is_dirty);
}

/* Renews the lease of a key in a locked shard. */
static bool renew(struct registry *registry, const struct locked_key *key, struct moment now)
{
    if (!key->record || record_is_tombstone(key->record) ||
        !is_renewable(registry, key->record, now))
        return false;
    shard_renew(key->shard, key->number, now.mono_ms, now.mono_ms + lease_ttl_ms(registry));
    mark_renewed(registry, key);
    key->shard->counters.renewed++;
    return true;
}

enum error registry_renew(struct registry *registry, const struct instance_key *packed,
                          struct moment now)
{
    struct locked_key key = registry_lock_key(registry, instance_key_packed(packed));
    bool is_renewed = renew(registry, &key, now);
    pthread_mutex_unlock(&key.locked->lock);
    return is_renewed ? ERR_NONE : ERR_INSTANCE_NOT_FOUND;
}

struct renewals {
    struct moment now;
    bool *is_renewed;
};

static void renew_one(struct registry *registry, struct locked_key *key, size_t index,
                      void *context)
{
    const struct renewals *renewals = context;
    renewals->is_renewed[index] = renew(registry, key, renewals->now);
}

void registry_renew_all(struct registry *registry, const struct instance_key *const keys[],
                        size_t count, struct moment now, bool is_renewed[])
{
    struct renewals renewals = {now, is_renewed};
    if (count == 1)
        is_renewed[0] = registry_renew(registry, keys[0], now) == ERR_NONE;
    else
        registry_visit_keys(registry, keys, count, false, renew_one, &renewals);
}

enum error registry_unregister(struct registry *registry, const struct instance_key *packed,
                               uint64_t client_revision, struct moment now)
{
    bool is_dirty = false;
    enum error error = ERR_NONE;
    struct slice bytes = instance_key_packed(packed);
    struct locked_key key = registry_lock_key(registry, bytes);
    uint64_t until_ms = tombstone_end_ms(registry, now);
    uint64_t stored = key.record ? instance_client_revision(key.record->instance) : 0;
    if (client_revision && client_revision < stored) {
        error = ERR_STALE_REVISION;
    } else if (!key.record) {
        /* A peer may know the key. Without memory for a tombstone it is as if the peer's
         * registration came later. */
        struct stored_stamp stamp = registry_next_stamp(registry, now);
        if (registry->options.tombstone_ms &&
            !registry_insert_tombstone(&key, bytes, client_revision, stamp, until_ms))
            is_dirty = registry_mark_changed(registry, &key);
    } else if (record_is_tombstone(key.record)) {
        /* A peer may have registered the key since: the later unregistration counts. */
        registry_change_tombstone(&key, client_revision, registry_next_stamp(registry, now),
                                  until_ms);
        is_dirty = registry_mark_changed(registry, &key);
    } else {
        registry_remove(registry, &key, client_revision, registry_next_stamp(registry, now),
                        until_ms, now);
        is_dirty = registry_mark_changed(registry, &key);
    }
    registry_unlock(registry, key.locked);
    registry_notify(registry, is_dirty);
    return error;
}
