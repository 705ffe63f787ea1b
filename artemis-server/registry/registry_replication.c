/* SPDX-License-Identifier: Apache-2.0
 *
 * What peers say, applied; and what they are told. Comparing is in registry_compare.c.
 */
#include "artemis-server/registry/registry_replication.h"

#include <string.h>

#include "artemis-server/registry/registry_internal.h"

/* --- states ----------------------------------------------------------------------------------- */

void key_state_unref(struct key_state *state)
{
    instance_unref(state->instance);
    state->instance = NULL;
}

struct slice registry_node_id(const struct registry *registry, uint16_t node)
{
    return node_id_table_name(&registry->node_ids, node);
}

struct wire_record registry_wire_record(const struct registry *registry,
                                        const struct key_state *state, struct moment now)
{
    return (struct wire_record){
        .instance = state->instance,
        .stamp = {state->hlc, registry_node_id(registry, state->node)},
        .age_ms = now.mono_ms > state->touched_ms ? now.mono_ms - state->touched_ms : 0,
        .deleted = state->deleted,
    };
}

struct key_state registry_key_state(const struct registry *registry, const struct record *record)
{
    uint64_t span_ms = record->deleted ? registry->options.tombstone_ms : registry->options.ttl_ms;
    uint64_t deadline_ms = record->lease.deadline_ms;
    return (struct key_state){
        .instance = instance_ref(record->instance),
        .hlc = record->hlc,
        .touched_ms = deadline_ms > span_ms ? deadline_ms - span_ms : 0,
        .node = record->node,
        .deleted = record->deleted,
    };
}

/* --- outgoing --------------------------------------------------------------------------------- */

void registry_set_replicating(struct registry *registry, bool on)
{
    atomic_store(&registry->replicating, on);
}

void registry_on_change(struct registry *registry, registry_changed *notify, void *context)
{
    registry->notify = notify;
    registry->notify_context = context;
}

enum note { DIRTY_CHANGE, DIRTY_RENEWAL, DIRTY_LEASE_CHECK };

static struct dirty_list *list_of(struct shard *shard, enum note note)
{
    switch (note) {
    case DIRTY_CHANGE:
        return &shard->changed;
    case DIRTY_RENEWAL:
        return &shard->renewed;
    case DIRTY_LEASE_CHECK:
        break;
    }
    return &shard->ended;
}

/* Takes the note off a record. False: the number is stale, or its note is of no interest any
 * more. */
static bool clear_dirty(struct record *record, enum note note)
{
    if (!record->instance)
        return false;
    bool noted = false;
    switch (note) {
    case DIRTY_CHANGE:
        noted = record->change_dirty;
        record->change_dirty = false;
        return noted;
    case DIRTY_RENEWAL:
        noted = record->renewal_dirty && !record->deleted;
        record->renewal_dirty = false;
        return noted;
    case DIRTY_LEASE_CHECK:
        noted = record->lease_check_dirty && record->confirming;
        record->lease_check_dirty = false;
        return noted;
    }
    return false;
}

static size_t drain_dirty(struct registry *registry, enum note note, struct key_state *out,
                          size_t max)
{
    size_t count = 0;
    for (int i = 0; i < SHARD_COUNT && count < max; i++) {
        struct shard *shard = &registry->shards[i].shard;
        uint32_t number;
        pthread_mutex_lock(&registry->shards[i].lock);
        while (count < max && (number = dirty_list_pop(list_of(shard, note)))) {
            struct record *record = shard_record(shard, number);
            if (clear_dirty(record, note))
                out[count++] = registry_key_state(registry, record);
        }
        pthread_mutex_unlock(&registry->shards[i].lock);
    }
    return count;
}

size_t registry_drain_changes(struct registry *registry, struct key_state *out, size_t max)
{
    return drain_dirty(registry, DIRTY_CHANGE, out, max);
}

size_t registry_drain_renewals(struct registry *registry, struct key_state *out, size_t max)
{
    return drain_dirty(registry, DIRTY_RENEWAL, out, max);
}

size_t registry_drain_lease_checks(struct registry *registry, struct key_state *out, size_t max)
{
    return drain_dirty(registry, DIRTY_LEASE_CHECK, out, max);
}

/* --- places by packed key --------------------------------------------------------------------- */

/* Where a key lives, and its record there, found under the shard's lock. */
struct located {
    struct service_location place;
    struct shard *shard;
    uint32_t hash;
    uint32_t number; /* 0: not known */
    struct record *record;
};

/* The service of a packed key: its third part. */
static struct slice service_of(struct slice packed_key)
{
    uint16_t end[KEY_FIELDS];
    memcpy(end, packed_key.data, sizeof(end));
    return (struct slice){packed_key.data + sizeof(end) + end[FIELD_SERVICE - 1],
                          (size_t)(end[FIELD_SERVICE] - end[FIELD_SERVICE - 1])};
}

static struct located lock_key(struct registry *registry, struct slice packed_key)
{
    struct located located = {
        .place = registry_locate(registry, service_of(packed_key)),
        .hash = registry_record_hash(registry, packed_key),
    };
    located.shard = &located.place.home->shard;
    pthread_mutex_lock(&located.place.home->lock);
    located.number = shard_find(located.shard, located.hash, packed_key);
    located.record = located.number ? shard_record(located.shard, located.number) : NULL;
    return located;
}

static void unlock_key(struct registry *registry, struct located *located)
{
    registry_unlock(registry, located->place.home);
}

void registry_retry_lease_check(struct registry *registry, struct slice packed_key)
{
    struct located located = lock_key(registry, packed_key);
    if (located.record && !located.record->deleted && located.record->confirming)
        shard_mark_lease_check(located.shard, located.number);
    unlock_key(registry, &located);
}

void registry_confirm_expiry(struct registry *registry, struct slice packed_key, struct moment now)
{
    struct located located = lock_key(registry, packed_key);
    if (located.record && !located.record->deleted && located.record->confirming)
        shard_confirm_expiry(located.shard, located.number, now.mono_ms);
    unlock_key(registry, &located);
}

bool registry_read_key(struct registry *registry, struct slice packed_key, struct key_state *out)
{
    struct located located = lock_key(registry, packed_key);
    if (located.record)
        *out = registry_key_state(registry, located.record);
    unlock_key(registry, &located);
    return located.record != NULL;
}

/* --- incoming --------------------------------------------------------------------------------- */

/* The stamp of what a peer says. One without a stamp is of an older Artemis, and counts as
 * given here and now. */
static enum error stamp_of(struct registry *registry, const struct wire_record *record,
                           struct moment now, struct stored_stamp *out)
{
    if (record->stamp.hlc == 0) {
        *out = (struct stored_stamp){hlc_next(&registry->clock, now), NODE_NUMBER_SELF};
        return ERR_NONE;
    }
    if (!hlc_accepts(&registry->clock, hlc_to_ms(record->stamp.hlc), now))
        return ERR_VERSION_AHEAD;
    out->hlc = record->stamp.hlc;
    enum error error = node_id_table_number(&registry->node_ids, record->stamp.node_id, &out->node);
    if (!error)
        hlc_observe_stamp(&registry->clock, out->hlc, now);
    return error;
}

uint64_t registry_clock_ms(const struct registry *registry, struct moment now)
{
    return hlc_ms(&registry->clock, now);
}

void registry_observe_clock(struct registry *registry, uint64_t clock_ms, struct moment now)
{
    hlc_observe_ms(&registry->clock, clock_ms, now);
}

/* Below 0: the record is older than the stamp. */
static int compare(const struct registry *registry, const struct record *record,
                   struct stored_stamp stamp)
{
    struct stamp a = {record->hlc, node_id_table_name(&registry->node_ids, record->node)};
    struct stamp b = {stamp.hlc, node_id_table_name(&registry->node_ids, stamp.node)};
#ifdef ARTEMIS_SIM_BUG
    return -1; /* for `make sim-bug`: what comes last wins */
#endif
    return stamp_compare(a, b);
}

/* The end of a span that began `age` ago. */
static uint64_t end_of(struct moment now, uint64_t age_ms, uint64_t span_ms)
{
    return age_ms < span_ms ? now.mono_ms + (span_ms - age_ms) : 0;
}

/* A renewal that a peer knows of. */
static void extend_lease(struct registry *registry, struct located *located, uint64_t age_ms,
                         struct moment now)
{
    uint64_t deadline_ms = end_of(now, age_ms, registry->options.ttl_ms);
    if (deadline_ms <= located->record->lease.deadline_ms)
        return;
    if (located->record->confirming || located->record->expiry_confirmed)
        located->shard->counters.refuted++;
    shard_renew(located->shard, located->number, now.mono_ms, deadline_ms);
    located->shard->counters.renewed_by_peers++;
}

/* Newer content, or the same under a newer stamp. */
static void replace_content(struct registry *registry, struct located *located,
                            struct instance *instance, struct stored_stamp stamp, struct moment now)
{
    bool same = instance_equal(located->record->instance, instance);
    registry_set_stamp(registry, located->record, stamp);
    if (same)
        return;
    shard_replace(located->shard, located->number, instance);
    registry_log_change(registry, located->shard, located->record->service, instance, CHANGE_CHANGE,
                        now);
    located->shard->counters.changed++;
}

enum error registry_apply(struct registry *registry, const struct wire_record *record,
                          struct moment now)
{
    struct stored_stamp stamp;
    enum error error = stamp_of(registry, record, now, &stamp);
    if (error)
        return error;
    uint64_t deadline_ms = end_of(now, record->age_ms, registry->options.ttl_ms);
    struct located located = lock_key(registry, instance_packed_key(record->instance));
    if (located.record && !located.record->deleted) {
        bool is_plain_renewal =
            record->stamp.hlc == 0 && instance_equal(located.record->instance, record->instance);
        if (!is_plain_renewal && compare(registry, located.record, stamp) < 0)
            replace_content(registry, &located, record->instance, stamp, now);
        extend_lease(registry, &located, record->age_ms, now);
    } else if (deadline_ms && (!located.record || compare(registry, located.record, stamp) < 0)) {
        error = registry_insert(registry, located.place, located.hash, record->instance, stamp,
                                deadline_ms, now, &located.number);
    }
    unlock_key(registry, &located);
    return error;
}

enum error registry_apply_renewal(struct registry *registry, const struct wire_record *record,
                                  struct moment now)
{
    bool plain = record->stamp.hlc == 0;
    struct stored_stamp stamp = {0};
    enum error error = plain ? ERR_NONE : stamp_of(registry, record, now, &stamp);
    if (error)
        return error;
    struct located located = lock_key(registry, wire_record_key(record));
    if (!located.record) {
        error = ERR_INSTANCE_NOT_FOUND;
    } else {
        bool older = !plain && compare(registry, located.record, stamp) < 0;
        if (older || (plain && located.record->deleted))
            error = ERR_INSTANCE_NOT_FOUND;
        if (!located.record->deleted)
            extend_lease(registry, &located, record->age_ms, now);
    }
    unlock_key(registry, &located);
    return error;
}

/* A tombstone for a key that is not known here. */
static enum error insert_tombstone(struct located *located, struct slice packed_key,
                                   struct stored_stamp stamp, uint64_t until_ms)
{
    struct instance *key_only = instance_of_key(packed_key);
    if (!key_only)
        return ERR_NO_MEMORY;
    enum error error =
        shard_insert_tombstone(located->shard, located->hash, key_only, until_ms, &located->number);
    instance_unref(key_only);
    if (error)
        return error;
    struct record *record = shard_record(located->shard, located->number);
    record->bucket = (uint16_t)registry_bucket(packed_key);
    record->hlc = stamp.hlc;
    record->node = stamp.node;
    return ERR_NONE;
}

enum error registry_apply_unregister(struct registry *registry, const struct wire_record *record,
                                     struct moment now)
{
    struct stored_stamp stamp;
    enum error error = stamp_of(registry, record, now, &stamp);
    if (error)
        return error;
    struct slice key = wire_record_key(record);
    uint64_t until_ms = end_of(now, record->age_ms, registry->options.tombstone_ms);
    struct located located = lock_key(registry, key);
    if (!located.record) {
        if (until_ms && record->stamp.hlc)
            error = insert_tombstone(&located, key, stamp, until_ms);
    } else if (compare(registry, located.record, stamp) < 0) {
        if (!located.record->deleted) {
            registry_unregister_record(registry, located.shard, located.number, located.hash, stamp,
                                       until_ms ? until_ms : now.mono_ms, now);
        } else {
            located.record->hlc = stamp.hlc;
            located.record->node = stamp.node;
            shard_extend_tombstone(located.shard, located.number, until_ms);
        }
    }
    unlock_key(registry, &located);
    return error;
}
