/* SPDX-License-Identifier: Apache-2.0
 *
 * What peers say, applied; and what they are told. Comparing is in registry_compare.c.
 */
#include "artemis-server/registry/registry_replication.h"

#include <string.h>

#include "artemis-server/registry/registry_internal.h"

/* --- states ----------------------------------------------------------------------------------- */

void peer_state_drop(struct peer_state *state)
{
    instance_unref(state->instance);
    state->instance = NULL;
}

struct slice registry_origin(const struct registry *registry, uint16_t origin)
{
    return node_id_table_name(&registry->origins, origin);
}

struct wire_record registry_tell(const struct registry *registry, const struct peer_state *state,
                                 struct moment now)
{
    return (struct wire_record){
        .instance = state->instance,
        .stamp = {state->stamp, registry_origin(registry, state->origin)},
        .age_ms = now.mono_ms > state->touched_ms ? now.mono_ms - state->touched_ms : 0,
        .deleted = state->deleted,
    };
}

struct peer_state registry_state_of(const struct registry *registry, const struct record *record)
{
    uint64_t span_ms = record->deleted ? registry->options.tombstone_ms : registry->options.ttl_ms;
    uint64_t deadline_ms = record->lease.deadline_ms;
    return (struct peer_state){
        .instance = instance_ref(record->instance),
        .stamp = record->stamp,
        .touched_ms = deadline_ms > span_ms ? deadline_ms - span_ms : 0,
        .origin = record->origin,
        .deleted = record->deleted,
    };
}

/* --- outgoing --------------------------------------------------------------------------------- */

void registry_set_gathering(struct registry *registry, bool on)
{
    atomic_store(&registry->gathering, on);
}

void registry_on_change(struct registry *registry, registry_changed *notify, void *context)
{
    registry->notify = notify;
    registry->notify_context = context;
}

enum note { NOTE_CHANGE, NOTE_RENEWAL, NOTE_QUESTION };

static struct number_list *list_of(struct shard *shard, enum note note)
{
    switch (note) {
    case NOTE_CHANGE:
        return &shard->changed;
    case NOTE_RENEWAL:
        return &shard->renewed;
    case NOTE_QUESTION:
        break;
    }
    return &shard->ended;
}

/* Takes the note off a record. False: the number is stale, or its note is of no interest any
 * more. */
static bool take_note(struct record *record, enum note note)
{
    if (!record->instance)
        return false;
    bool noted = false;
    switch (note) {
    case NOTE_CHANGE:
        noted = record->change_noted;
        record->change_noted = false;
        return noted;
    case NOTE_RENEWAL:
        noted = record->renewal_noted && !record->deleted;
        record->renewal_noted = false;
        return noted;
    case NOTE_QUESTION:
        noted = record->question_noted && record->asking;
        record->question_noted = false;
        return noted;
    }
    return false;
}

static size_t take_noted(struct registry *registry, enum note note, struct peer_state *out,
                         size_t max)
{
    size_t count = 0;
    for (int i = 0; i < SHARD_COUNT && count < max; i++) {
        struct shard *shard = &registry->shards[i].shard;
        uint32_t number;
        pthread_mutex_lock(&registry->shards[i].lock);
        while (count < max && (number = number_list_take(list_of(shard, note)))) {
            struct record *record = shard_record(shard, number);
            if (take_note(record, note))
                out[count++] = registry_state_of(registry, record);
        }
        pthread_mutex_unlock(&registry->shards[i].lock);
    }
    return count;
}

size_t registry_take_changes(struct registry *registry, struct peer_state *out, size_t max)
{
    return take_noted(registry, NOTE_CHANGE, out, max);
}

size_t registry_take_renewals(struct registry *registry, struct peer_state *out, size_t max)
{
    return take_noted(registry, NOTE_RENEWAL, out, max);
}

size_t registry_take_questions(struct registry *registry, struct peer_state *out, size_t max)
{
    return take_noted(registry, NOTE_QUESTION, out, max);
}

/* --- places by packed key --------------------------------------------------------------------- */

/* Where a key lives, and its record there, found under the shard's lock. */
struct spot {
    struct service_place place;
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

static struct spot lock_spot(struct registry *registry, struct slice packed_key)
{
    struct spot spot = {
        .place = registry_place(registry, service_of(packed_key)),
        .hash = registry_record_hash(registry, packed_key),
    };
    spot.shard = &spot.place.home->shard;
    pthread_mutex_lock(&spot.place.home->lock);
    spot.number = shard_find(spot.shard, spot.hash, packed_key);
    spot.record = spot.number ? shard_record(spot.shard, spot.number) : NULL;
    return spot;
}

static void unlock_spot(struct registry *registry, struct spot *spot)
{
    registry_unlock(registry, spot->place.home);
}

void registry_ask_again(struct registry *registry, struct slice packed_key)
{
    struct spot spot = lock_spot(registry, packed_key);
    if (spot.record && !spot.record->deleted && spot.record->asking)
        shard_note_question(spot.shard, spot.number);
    unlock_spot(registry, &spot);
}

void registry_settle(struct registry *registry, struct slice packed_key, struct moment now)
{
    struct spot spot = lock_spot(registry, packed_key);
    if (spot.record && !spot.record->deleted && spot.record->asking)
        shard_settle(spot.shard, spot.number, now.mono_ms);
    unlock_spot(registry, &spot);
}

bool registry_read(struct registry *registry, struct slice packed_key, struct peer_state *out)
{
    struct spot spot = lock_spot(registry, packed_key);
    if (spot.record)
        *out = registry_state_of(registry, spot.record);
    unlock_spot(registry, &spot);
    return spot.record != NULL;
}

/* --- incoming --------------------------------------------------------------------------------- */

/* The version of what a peer says. One without a version is of an older Artemis, and counts as
 * given here and now. */
static enum error version_of(struct registry *registry, const struct wire_record *record,
                             struct moment now, struct stored_version *out)
{
    if (record->stamp.hlc == 0) {
        *out = (struct stored_version){hlc_next(&registry->clock, now), NODE_NUMBER_SELF};
        return ERR_NONE;
    }
    if (!hlc_accepts(&registry->clock, hlc_to_ms(record->stamp.hlc), now))
        return ERR_VERSION_AHEAD;
    out->stamp = record->stamp.hlc;
    enum error error =
        node_id_table_number(&registry->origins, record->stamp.node_id, &out->origin);
    if (!error)
        hlc_observe_stamp(&registry->clock, out->stamp, now);
    return error;
}

uint64_t registry_clock_ms(const struct registry *registry, struct moment now)
{
    return hlc_ms(&registry->clock, now);
}

void registry_hear_clock(struct registry *registry, uint64_t clock_ms, struct moment now)
{
    hlc_observe_ms(&registry->clock, clock_ms, now);
}

/* Below 0: the record is older than the version. */
static int compare(const struct registry *registry, const struct record *record,
                   struct stored_version version)
{
    struct stamp a = {record->stamp, node_id_table_name(&registry->origins, record->origin)};
    struct stamp b = {version.stamp, node_id_table_name(&registry->origins, version.origin)};
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
static void move_lease(struct registry *registry, struct spot *spot, uint64_t age_ms,
                       struct moment now)
{
    uint64_t deadline_ms = end_of(now, age_ms, registry->options.ttl_ms);
    if (deadline_ms <= spot->record->lease.deadline_ms)
        return;
    if (spot->record->asking || spot->record->settled)
        spot->shard->counters.refuted++;
    shard_renew(spot->shard, spot->number, now.mono_ms, deadline_ms);
    spot->shard->counters.renewed_by_peers++;
}

/* Newer content, or the same under a newer version. */
static void take_over(struct registry *registry, struct spot *spot, struct instance *instance,
                      struct stored_version version, struct moment now)
{
    bool same = instance_equal(spot->record->instance, instance);
    registry_set_version(registry, spot->record, version);
    if (same)
        return;
    shard_replace(spot->shard, spot->number, instance);
    registry_log_change(registry, spot->shard, spot->record->service, instance, CHANGE_CHANGE, now);
    spot->shard->counters.changed++;
}

enum error registry_apply(struct registry *registry, const struct wire_record *record,
                          struct moment now)
{
    struct stored_version version;
    enum error error = version_of(registry, record, now, &version);
    if (error)
        return error;
    uint64_t deadline_ms = end_of(now, record->age_ms, registry->options.ttl_ms);
    struct spot spot = lock_spot(registry, instance_packed_key(record->instance));
    if (spot.record && !spot.record->deleted) {
        bool is_plain_renewal =
            record->stamp.hlc == 0 && instance_equal(spot.record->instance, record->instance);
        if (!is_plain_renewal && compare(registry, spot.record, version) < 0)
            take_over(registry, &spot, record->instance, version, now);
        move_lease(registry, &spot, record->age_ms, now);
    } else if (deadline_ms && (!spot.record || compare(registry, spot.record, version) < 0)) {
        error = registry_insert(registry, spot.place, spot.hash, record->instance, version,
                                deadline_ms, now, &spot.number);
    }
    unlock_spot(registry, &spot);
    return error;
}

enum error registry_apply_renewal(struct registry *registry, const struct wire_record *record,
                                  struct moment now)
{
    bool plain = record->stamp.hlc == 0;
    struct stored_version version = {0};
    enum error error = plain ? ERR_NONE : version_of(registry, record, now, &version);
    if (error)
        return error;
    struct spot spot = lock_spot(registry, wire_record_key(record));
    if (!spot.record) {
        error = ERR_INSTANCE_NOT_FOUND;
    } else {
        bool older = !plain && compare(registry, spot.record, version) < 0;
        if (older || (plain && spot.record->deleted))
            error = ERR_INSTANCE_NOT_FOUND;
        if (!spot.record->deleted)
            move_lease(registry, &spot, record->age_ms, now);
    }
    unlock_spot(registry, &spot);
    return error;
}

/* A tombstone for a key that is not known here. */
static enum error bury_unknown(struct spot *spot, struct slice packed_key,
                               struct stored_version version, uint64_t until_ms)
{
    struct instance *key_only = instance_of_key(packed_key);
    if (!key_only)
        return ERR_NO_MEMORY;
    enum error error =
        shard_insert_tombstone(spot->shard, spot->hash, key_only, until_ms, &spot->number);
    instance_unref(key_only);
    if (error)
        return error;
    struct record *record = shard_record(spot->shard, spot->number);
    record->bucket = (uint16_t)registry_bucket(packed_key);
    record->stamp = version.stamp;
    record->origin = version.origin;
    return ERR_NONE;
}

enum error registry_apply_unregister(struct registry *registry, const struct wire_record *record,
                                     struct moment now)
{
    struct stored_version version;
    enum error error = version_of(registry, record, now, &version);
    if (error)
        return error;
    struct slice key = wire_record_key(record);
    uint64_t until_ms = end_of(now, record->age_ms, registry->options.tombstone_ms);
    struct spot spot = lock_spot(registry, key);
    if (!spot.record) {
        if (until_ms && record->stamp.hlc)
            error = bury_unknown(&spot, key, version, until_ms);
    } else if (compare(registry, spot.record, version) < 0) {
        if (!spot.record->deleted) {
            registry_take_out(registry, spot.shard, spot.number, spot.hash, version,
                              until_ms ? until_ms : now.mono_ms, now);
        } else {
            spot.record->stamp = version.stamp;
            spot.record->origin = version.origin;
            shard_prolong_tombstone(spot.shard, spot.number, until_ms);
        }
    }
    unlock_spot(registry, &spot);
    return error;
}
