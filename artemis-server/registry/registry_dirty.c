/* SPDX-License-Identifier: Apache-2.0
 *
 * What the replicator takes from the registry: copies of records, dirty lists, lease checks.
 */
#include "artemis-server/registry/registry_internal.h"

/* --- copies of records ------------------------------------------------------------------------ */

void record_copy_unref(struct record_copy *copy)
{
    instance_unref(copy->instance);
    node_id_unref(copy->node);
    copy->instance = NULL;
    copy->node = NULL;
}

struct record_copy record_copy_ref(const struct record_copy *copy)
{
    instance_ref(copy->instance);
    node_id_ref(copy->node);
    return *copy;
}

struct stamp record_copy_stamp(const struct record_copy *copy)
{
    return (struct stamp){copy->hlc, node_id_name(copy->node)};
}

struct wire_record registry_wire_record(const struct registry *registry,
                                        const struct record_copy *copy, struct moment now)
{
    uint64_t age_ms = now.mono_ms > copy->touched_ms ? now.mono_ms - copy->touched_ms : 0;
    uint64_t ttl_ms = lease_ttl_ms(registry);
    bool is_guarded = copy->lease_state == LEASE_GUARDED || copy->lease_state == LEASE_LOADED;
    /* What is guarded for a peer is not offered to others: its guard alone decides. */
    bool is_kept = copy->deleted || lease_state_is_held(copy->lease_state);
    return (struct wire_record){
        .instance = copy->instance,
        .stamp = record_copy_stamp(copy),
        .age_ms = age_ms,
        .client_revision = instance_client_revision(copy->instance),
        .has_weight = instance_weight(copy->instance) != WEIGHT_DEFAULT,
        .deleted = copy->deleted,
        .is_guarded = is_guarded && age_ms < ttl_ms + guard_max_ms(registry),
        .is_confirming = !is_kept && age_ms >= ttl_ms,
    };
}

/* The deadline of a lease that ended when it was loaded. */
static uint64_t hidden_deadline_ms(const struct registry *registry)
{
    uint64_t until_ms = atomic_load_explicit(&registry->loaded.until_ms, memory_order_relaxed);
    return until_ms - registry->options.ttl_ms;
}

struct record_copy registry_copy_record(const struct registry *registry,
                                        const struct record *record)
{
    bool is_tombstone = record_is_tombstone(record);
    bool is_hidden = registry_is_hidden(registry, record);
    uint64_t span_ms = is_tombstone ? registry->options.tombstone_ms : lease_ttl_ms(registry);
    uint64_t deadline_ms = record->lease.deadline_ms;
    if (is_hidden) /* when it was renewed is not known: its lease may have ended */
        deadline_ms = hidden_deadline_ms(registry);
    return (struct record_copy){
        .instance = instance_ref(record->instance),
        .hlc = record->hlc,
        .touched_ms = deadline_ms > span_ms ? deadline_ms - span_ms : 0,
        .node = node_id_ref(node_id_table_id(&registry->node_ids, record->node)),
        .lease_state = is_hidden ? LEASE_PEER_GUARDED : record->lease_state,
        .deleted = is_tombstone,
    };
}

bool registry_read_key(struct registry *registry, struct slice packed_key, struct record_copy *out)
{
    struct locked_key key = registry_lock_key(registry, packed_key);
    if (key.record)
        *out = registry_copy_record(registry, key.record);
    registry_unlock(registry, key.locked);
    return key.record != NULL;
}

/* --- dirty lists ------------------------------------------------------------------------------ */

void registry_set_replicating(struct registry *registry, bool on)
{
    atomic_store(&registry->replicating, on);
}

void registry_set_dirty_notify(struct registry *registry, registry_dirty_notify *notify,
                               void *context)
{
    registry->notify = notify;
    registry->notify_context = context;
}

/* Copies records of a shard from the cursor on; then the cursor is at the next shard, unless
 * `max` was reached. */
static size_t drain_shard(struct registry *registry, enum dirty_kind kind, struct record_copy *out,
                          size_t max)
{
    struct drain_cursor *cursor = &registry->drained[kind];
    struct locked_shard *locked = &registry->shards[cursor->shard];
    size_t count = 0;
    pthread_mutex_lock(&locked->lock);
    while (count < max &&
           (cursor->number = shard_drain_dirty(&locked->shard, kind, cursor->number)))
        out[count++] = registry_copy_record(registry, shard_record(&locked->shard, cursor->number));
    pthread_mutex_unlock(&locked->lock);
    if (!cursor->number)
        cursor->shard = (cursor->shard + 1) % SHARD_COUNT;
    return count;
}

size_t registry_drain_dirty(struct registry *registry, enum dirty_kind kind,
                            struct record_copy *out, size_t max)
{
    size_t count = 0;
    /* The first shard comes up again in the end, for the numbers up to the cursor. */
    for (int visits = 0; visits <= SHARD_COUNT && count < max; visits++)
        count += drain_shard(registry, kind, out + count, max - count);
    return count;
}

size_t registry_drain_changes(struct registry *registry, struct record_copy *out, size_t max)
{
    return registry_drain_dirty(registry, DIRTY_CHANGE, out, max);
}

size_t registry_drain_renewals(struct registry *registry, struct record_copy *out, size_t max)
{
    return registry_drain_dirty(registry, DIRTY_RENEWAL, out, max);
}

/* --- lease checks ----------------------------------------------------------------------------- */

size_t registry_drain_lease_checks(struct registry *registry, struct record_copy *out, size_t max,
                                   struct moment now)
{
    atomic_store_explicit(&registry->checks_drained_ms, now.mono_ms, memory_order_relaxed);
    return registry_drain_dirty(registry, DIRTY_LEASE_CHECK, out, max);
}

size_t registry_drain_guarded(struct registry *registry, struct record_copy *out, size_t max)
{
    return registry_drain_dirty(registry, DIRTY_GUARDED, out, max);
}

uint64_t registry_ttl_ms(const struct registry *registry)
{
    return lease_ttl_ms(registry);
}

uint64_t registry_lease_check_max_ms(const struct registry *registry)
{
    /* Together with the slack it fits into the first level of the wheel. From a higher level the
     * wheel would hand out a confirming lease too early, because its deadline has passed. */
    static_assert(LEASE_CHECK_MAX_MS + LEASE_CHECK_SLACK_MS < WHEEL_FIRST_SLOTS * WHEEL_TICK_MS,
                  "a confirming lease is in the first level");
    uint64_t third_ms = lease_ttl_ms(registry) / 3;
    if (third_ms < LEASE_CHECK_MIN_MS)
        return LEASE_CHECK_MIN_MS;
    return third_ms < LEASE_CHECK_MAX_MS ? third_ms : LEASE_CHECK_MAX_MS;
}

bool registry_complete_round(struct registry *registry, struct slice packed_key, uint32_t rounds)
{
    struct locked_key key = registry_lock_key(registry, packed_key);
    bool is_confirming = key.record && lease_state_is_confirming(key.record->lease_state);
    if (is_confirming)
        key.record->rounds = rounds & RECORD_ROUNDS_MAX;
    registry_unlock(registry, key.locked);
    return is_confirming;
}

/* A lease that is due or expired has been confirmed: it is about to be evicted. */
static bool has_lease_response(enum lease_state copy)
{
    return copy == LEASE_ACTIVE || lease_state_is_held(copy) || copy == LEASE_CONFIRMING;
}

bool registry_respond_lease_check(struct registry *registry, struct slice packed_key,
                                  struct moment now, struct wire_record *out, struct node_id **node)
{
    struct locked_key key = registry_lock_key(registry, packed_key);
    bool is_held = key.record && has_lease_response(key.record->lease_state);
    if (is_held) {
        struct record_copy copy = registry_copy_record(registry, key.record);
        *out = registry_wire_record(registry, &copy, now);
        out->instance = NULL;
        out->is_confirming |= copy.lease_state == LEASE_PEER_GUARDED;
        out->rounds = lease_state_is_confirming(key.record->lease_state) ? key.record->rounds : 0;
        *node = node_id_ref(copy.node);
        record_copy_unref(&copy);
    }
    registry_unlock(registry, key.locked);
    return is_held;
}

void registry_confirm_expiry(struct registry *registry, struct slice packed_key, struct moment now)
{
    struct locked_key key = registry_lock_key(registry, packed_key);
    if (key.record && lease_state_is_confirming(key.record->lease_state))
        shard_confirm_expiry(key.shard, key.number, now.mono_ms);
    registry_unlock(registry, key.locked);
}

bool registry_guard_for_peer(struct registry *registry, struct slice packed_key, struct moment now)
{
    struct locked_key key = registry_lock_key(registry, packed_key);
    bool is_kept = key.record && lease_state_is_confirming(key.record->lease_state) &&
                   !registry_is_out_of_time(registry, key.record, now.mono_ms);
    if (is_kept)
        shard_guard_for_peer(key.shard, key.number, now.mono_ms + GUARDED_RECHECK_MS);
    registry_unlock(registry, key.locked);
    return is_kept;
}
