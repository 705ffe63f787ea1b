/* SPDX-License-Identifier: Apache-2.0
 *
 * Applies the records of peers to the store.
 */
#include <assert.h>
#include <xxhash.h>

#include "artemis-core/base/sim_bug.h"
#include "artemis-server/registry/registry_internal.h"

/* Counts a stamp that is refused. */
static enum error check_stamp(struct registry *registry, const struct wire_record *record,
                              struct moment now)
{
    if (hlc_accepts(&registry->clock, hlc_to_ms(record->stamp.hlc), now))
        return ERR_NONE;
    atomic_fetch_add_explicit(&registry->refused_stamps, 1, memory_order_relaxed);
    return ERR_VERSION_AHEAD;
}

enum error registry_take_stamp(struct registry *registry, const struct wire_record *record,
                               struct moment now, struct stored_stamp *out)
{
    if (record->stamp.hlc == 0) {
        *out = registry_next_stamp(registry, now);
        return ERR_NONE;
    }
    enum error error = check_stamp(registry, record, now);
    if (!error)
        error = node_id_table_take(&registry->node_ids, record->stamp.node_id, record->peer,
                                   &out->node);
    if (error)
        return error;
    out->hlc = record->stamp.hlc;
    hlc_observe_value(&registry->clock, out->hlc, now);
    return ERR_NONE;
}

static struct stamp full_stamp(const struct registry *registry, struct stored_stamp stamp)
{
    return (struct stamp){stamp.hlc, node_id_table_name(&registry->node_ids, stamp.node)};
}

/* What a peer sends about a key: its client revision and its stamp. */
struct peer_change {
    uint64_t client_revision;
    struct stored_stamp stamp;
    uint32_t peer; /* as wire_record.peer */
};

static struct record_order order_of(const struct registry *registry, struct peer_change change)
{
    return (struct record_order){change.client_revision, full_stamp(registry, change.stamp)};
}

static int compare(const struct registry *registry, const struct record *record,
                   struct stored_stamp own, struct record_order other)
{
    uint64_t client_revision = instance_client_revision(record->instance);
    return record_order_compare(order_of(registry, (struct peer_change){client_revision, own, 0}),
                                other);
}

static bool is_older_than(const struct registry *registry, const struct record *record,
                          struct record_order other)
{
    struct stored_stamp own = {record->hlc, record->node};
    return compare(registry, record, own, other) < 0;
}

static bool is_older(const struct registry *registry, const struct record *record,
                     struct peer_change change)
{
    if (SIM_BUG(1))
        return true; /* the last record to arrive wins */
    return is_older_than(registry, record, order_of(registry, change));
}

/* Whether a client has registered the stored content here again after this change. That
 * registration is the later write, although it left the stored stamp as it was. */
static bool is_reregistered_after(const struct registry *registry, const struct record *record,
                                  struct peer_change change)
{
    struct stored_stamp reregistered = {record->reregistered_hlc, NODE_NUMBER_SELF};
    return compare(registry, record, reregistered, order_of(registry, change)) > 0;
}

/* Stamps the stored content with the time of that registration, and sends it to all peers: they may
 * have taken over the change that it supersedes. A later time would also supersede changes that
 * were made since. True: marked as changed. */
static bool stamp_as_reregistered(struct registry *registry, const struct locked_key *key)
{
    struct stored_stamp reregistered = {key->record->reregistered_hlc, NODE_NUMBER_SELF};
    registry_set_stamp(registry, key->shard, key->record, reregistered);
    registry_note_received(registry, 0, reregistered.hlc);
    return registry_mark_changed(registry, key);
}

static bool beats_tombstone(const struct registry *registry, const struct record *tombstone,
                            struct peer_change change)
{
    if (SIM_BUG(2))
        return false; /* a registration after an unregistration is lost */
    return is_older(registry, tombstone, change);
}

/* The end of a span that began `age_ms` ago; 0: it has ended. */
static uint64_t end_of(struct moment now, uint64_t age_ms, uint64_t span_ms)
{
    return age_ms < span_ms ? now.mono_ms + (span_ms - age_ms) : 0;
}

/* A lease that a peer knows is not taken for a loaded one, which is recognised by its deadline. */
static uint64_t apart_from_loaded(const struct registry *registry, uint64_t deadline_ms)
{
    bool is_equal = deadline_ms == registry->loaded.deadline_ms;
    return deadline_ms - (deadline_ms && is_equal);
}

/* The end of a lease that a record of a peer brings; 0: it ended too long ago to be stored. One
 * that has ended, and that the peer keeps, is confirmed here in the next tick. */
static uint64_t new_deadline_ms(const struct registry *registry, const struct wire_record *record,
                                struct moment now)
{
    uint64_t ttl_ms = lease_ttl_ms(registry);
    uint64_t kept_ms = 0; /* how long it is kept after its end */
    if (record->is_guarded)
        kept_ms = guard_max_ms(registry);
    else if (record->is_confirming)
        kept_ms = registry_lease_check_max_ms(registry);
    if (record->age_ms >= ttl_ms + kept_ms)
        return 0;
    uint64_t deadline_ms = now.mono_ms + ttl_ms;
    return record->age_ms < deadline_ms ? apart_from_loaded(registry, deadline_ms - record->age_ms)
                                        : 1;
}

/* Extends the lease by a renewal that a peer has seen, if that is later. True: it had ended. */
static bool extend_lease(struct registry *registry, struct locked_key *key, uint64_t age_ms,
                         struct moment now)
{
    uint64_t deadline_ms = apart_from_loaded(registry, end_of(now, age_ms, lease_ttl_ms(registry)));
    bool is_refuted = key->record->lease_state != LEASE_ACTIVE;
    if (deadline_ms <= key->record->lease.deadline_ms)
        return false;
    key->shard->counters.refuted += is_refuted;
    shard_renew(key->shard, key->number, now.mono_ms, deadline_ms);
    key->shard->counters.renewed_by_peers++;
    return is_refuted;
}

bool registry_refute_expiry(struct registry *registry, const struct wire_record *renewal,
                            struct moment now)
{
    struct locked_key key = registry_lock_key(registry, wire_record_key(renewal));
    bool is_held = key.record && !record_is_tombstone(key.record);
    bool is_refuted = is_held && extend_lease(registry, &key, renewal->age_ms, now);
    registry_unlock(registry, key.locked);
    return is_refuted;
}

/* A peer holds an instance that was loaded here: it is not dropped as one that no peer holds. The
 * peer knows when its lease ends, and this node does not, unless a guard keeps it or the peer has
 * loaded it too. */
static void confirm_loaded(const struct registry *registry, const struct locked_key *key,
                           const struct wire_record *record, struct moment now)
{
    if (!registry_is_loaded_only(registry, key->record))
        return;
    uint64_t deadline_ms = new_deadline_ms(registry, record, now);
    bool is_known = !record->is_guarded && key->record->lease_state == LEASE_LOADED;
    if (deadline_ms && is_known)
        shard_adopt_deadline(key->shard, key->number, deadline_ms);
    if (deadline_ms && registry_is_loaded_only(registry, key->record))
        key->record->lease.deadline_ms--; /* differs from registry->loaded.deadline_ms */
}

/* Operators have released the guard of the service: nothing is guarded there until the release
 * ends. The state changes later, when a lease of the service ends here. */
static bool is_released(const struct locked_key *key, const struct wire_record *record,
                        struct moment now)
{
    if (!record->is_guarded)
        return false;
    uint32_t number = shard_find_service(key->shard, key->location.hash,
                                         instance_text(record->instance, FIELD_SERVICE));
    if (!number)
        return false;
    const struct guard *guard = &shard_service(key->shard, number)->guard;
    return guard->state == GUARD_RELEASED && now.mono_ms < guard->until_ms;
}

/* Adds an instance of a peer. One that a peer guards comes up in the next tick, as guarded for that
 * peer: the guards of this node count it at once, and a lease check follows if they do not keep
 * it. */
static enum error insert_instance(struct registry *registry, struct locked_key *key,
                                  struct instance *instance, struct stored_stamp stamp,
                                  const struct wire_record *record, uint64_t deadline_ms,
                                  struct moment now)
{
    enum error error = registry_insert(registry, key, instance, stamp, deadline_ms, now);
    if (!error)
        registry_note_received(registry, record->peer, stamp.hlc);
    if (!error && record->is_guarded && deadline_ms <= now.mono_ms)
        shard_guard_for_peer(key->shard, key->number, now.mono_ms);
    return error;
}

/* Newer content, the same content with a newer stamp, or the same change with its weight. True:
 * marked as changed. */
static bool replace_content(struct registry *registry, struct locked_key *key,
                            struct instance *instance, struct peer_change change, struct moment now)
{
    bool is_same = instance_equal(key->record->instance, instance);
    if (!is_same && is_reregistered_after(registry, key->record, change))
        return stamp_as_reregistered(registry, key);
    registry_note_received(registry, change.peer, change.stamp.hlc);
    shard_mark_stored(key->shard, key->number);
    if (is_same) {
        registry_set_stamp(registry, key->shard, key->record, change.stamp);
        return false;
    }
    registry_replace(registry, key, instance, change.stamp, now);
    key->record->reregistered_hlc = 0;
    key->shard->counters.changed++;
    return false;
}

/* The record here is newer than the peer's change, or the same change. It takes over a higher
 * client revision, as it would have kept it if it had come second. */
static void take_client_revision(struct registry *registry, struct locked_key *key,
                                 uint64_t client_revision, struct moment now)
{
    struct record *record = key->record;
    if (client_revision <= instance_client_revision(record->instance))
        return;
    if (record_is_tombstone(record)) {
        shard_raise_client_revision(key->shard, key->number, client_revision);
    } else {
        struct instance *instance =
            instance_with_client_revision(record->instance, client_revision);
        if (!instance)
            return;
        shard_replace(key->shard, key->number, instance);
        registry_log_replacement(registry, key->shard, record->service, record->instance, instance,
                                 now); /* only the client revision differs */
        instance_unref(instance);
    }
    shard_mark_stored(key->shard, key->number);
}

/* The same change, which was stored here without its weight: by an earlier version of this program,
 * or as a peer of an earlier version sent it. */
static bool lacks_weight(const struct registry *registry, const struct record *record,
                         const struct instance *instance, struct peer_change change)
{
    struct stored_stamp own = {record->hlc, record->node};
    return instance_weight(record->instance) == WEIGHT_DEFAULT &&
           instance_weight(instance) != WEIGHT_DEFAULT &&
           compare(registry, record, own, order_of(registry, change)) == 0;
}

/* `instance` has the client revision of the record of its key, if it came without one. */
static enum error apply_instance(struct registry *registry, struct locked_key *key,
                                 struct instance *instance, const struct wire_record *record,
                                 struct peer_change change, bool *is_dirty, struct moment now)
{
    uint64_t deadline_ms = new_deadline_ms(registry, record, now);
    if (key->record && !record_is_tombstone(key->record)) {
        bool is_legacy_renewal =
            record->stamp.hlc == 0 && instance_equal(key->record->instance, instance);
        if (!is_legacy_renewal && (is_older(registry, key->record, change) ||
                                   lacks_weight(registry, key->record, instance, change)))
            *is_dirty = replace_content(registry, key, instance, change, now);
        else
            take_client_revision(registry, key, change.client_revision, now);
        extend_lease(registry, key, record->age_ms, now);
        confirm_loaded(registry, key, record, now);
        return ERR_NONE;
    }
    bool is_unregistered = key->record && !beats_tombstone(registry, key->record, change);
    if (is_unregistered)
        take_client_revision(registry, key, change.client_revision, now);
    if (!deadline_ms || is_released(key, record, now) || is_unregistered)
        return ERR_NONE;
    return insert_instance(registry, key, instance, change.stamp, record, deadline_ms, now);
}

enum error registry_apply(struct registry *registry, const struct wire_record *record,
                          struct moment now)
{
    bool is_dirty = false;
    struct peer_change change = {.client_revision = wire_record_client_revision(record),
                                 .peer = record->peer};
    enum error error = registry_take_stamp(registry, record, now, &change.stamp);
    if (error)
        return error;
    struct locked_key key = registry_lock_key(registry, instance_packed_key(record->instance));
    struct instance *instance = registry_inherit_revision(key.record, record->instance);
    if (instance)
        error = apply_instance(registry, &key, instance, record, change, &is_dirty, now);
    else
        error = ERR_NO_MEMORY;
    registry_unlock(registry, key.locked);
    node_id_table_unref(&registry->node_ids, change.stamp.node);
    instance_unref(instance);
    registry_notify(registry, is_dirty);
    return error;
}

/* A stamp below those of all clocks. It depends on the content, so that two contents never have the
 * same stamp. */
static struct stored_stamp lowest_stamp(const struct instance *instance)
{
    enum { HASH_BITS = 48 }; /* as a time, in the year 1970 */
    uint64_t hash = (uint64_t)instance_status(instance) << 16 | instance_port(instance);
    /* 0 for the default: the stamp is the same as at a node of an earlier version. */
    hash |= (uint64_t)(instance_weight(instance) ^ WEIGHT_DEFAULT) << 32;
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++) {
        struct slice text = instance_text(instance, field);
        hash = XXH3_64bits_withSeed(text.data, text.size, hash);
    }
    struct metadata_entry entry;
    for (size_t cursor = 0; instance_next_metadata(instance, &cursor, &entry);) {
        hash = XXH3_64bits_withSeed(entry.name.data, entry.name.size, hash);
        hash = XXH3_64bits_withSeed(entry.value.data, entry.value.size, hash);
    }
    return (struct stored_stamp){1 + (hash >> (64 - HASH_BITS)), NODE_NUMBER_SELF};
}

enum error registry_apply_unstamped(struct registry *registry, const struct wire_record *record,
                                    struct moment now)
{
    enum error error = ERR_NONE;
    uint64_t deadline_ms =
        apart_from_loaded(registry, end_of(now, record->age_ms, lease_ttl_ms(registry)));
    struct locked_key key = registry_lock_key(registry, instance_packed_key(record->instance));
    if (!key.record && deadline_ms)
        error = insert_instance(registry, &key, record->instance, lowest_stamp(record->instance),
                                record, deadline_ms, now);
    else if (key.record)
        confirm_loaded(registry, &key, record, now);
    registry_unlock(registry, key.locked);
    return error;
}

/* A renewal of a peer. The shard is locked. */
static enum error apply_renewal(struct registry *registry, struct locked_key *key,
                                const struct wire_record *record, struct stored_stamp stamp,
                                struct moment now)
{
    struct peer_change change = {.client_revision = wire_record_client_revision(record),
                                 .stamp = stamp};
    if (!key->record)
        return ERR_INSTANCE_NOT_FOUND;
    bool is_legacy = record->stamp.hlc == 0;
    bool is_tombstone = record_is_tombstone(key->record);
    bool is_unknown = is_legacy ? is_tombstone : is_older(registry, key->record, change);
    if (!is_tombstone) {
        extend_lease(registry, key, record->age_ms, now);
        confirm_loaded(registry, key, record, now);
    }
    return is_unknown ? ERR_INSTANCE_NOT_FOUND : ERR_NONE;
}

struct peer_renewals {
    const struct wire_record *records;
    struct stored_stamp stamps[REGISTRY_KEYS_MAX];
    size_t indexes[REGISTRY_KEYS_MAX]; /* of the records whose stamps are taken, in `records` */
    enum error *errors;
    struct moment now;
};

static void apply_one(struct registry *registry, struct locked_key *key, size_t index,
                      void *context)
{
    struct peer_renewals *renewals = context;
    size_t at = renewals->indexes[index];
    renewals->errors[at] =
        apply_renewal(registry, key, &renewals->records[at], renewals->stamps[at], renewals->now);
}

/* Most records of a message are of one node: the number of its id is looked up once. */
static enum error take_renewal_stamp(struct registry *registry, struct peer_renewals *renewals,
                                     size_t index)
{
    const struct wire_record *record = &renewals->records[index];
    struct stored_stamp *stamp = &renewals->stamps[index];
    *stamp = (struct stored_stamp){0};
    if (record->stamp.hlc == 0)
        return ERR_NONE;
    bool is_of_the_same_node = index > 0 && !renewals->errors[index - 1] && record[-1].stamp.hlc &&
                               slice_equal(record->stamp.node_id, record[-1].stamp.node_id);
    if (!is_of_the_same_node)
        return registry_take_stamp(registry, record, renewals->now, stamp);
    enum error error = check_stamp(registry, record, renewals->now);
    if (error)
        return error;
    *stamp = (struct stored_stamp){record->stamp.hlc, stamp[-1].node};
    node_id_table_ref(&registry->node_ids, stamp->node);
    hlc_observe_value(&registry->clock, stamp->hlc, renewals->now);
    return ERR_NONE;
}

void registry_apply_renewals(struct registry *registry, const struct wire_record records[],
                             size_t count, struct moment now, enum error errors[])
{
    struct peer_renewals renewals; /* the arrays are filled as far as needed */
    renewals.records = records;
    renewals.errors = errors;
    renewals.now = now;
    const struct instance_key *keys[REGISTRY_KEYS_MAX];
    size_t taken = 0;
    assert(count <= REGISTRY_KEYS_MAX);
    for (size_t i = 0; i < count; i++) {
        errors[i] = take_renewal_stamp(registry, &renewals, i);
        if (errors[i])
            continue;
        renewals.indexes[taken] = i;
        keys[taken++] = records[i].key;
    }
    if (taken > 0)
        registry_visit_keys(registry, keys, taken, false, apply_one, &renewals);
    for (size_t i = 0; i < taken; i++)
        node_id_table_unref(&registry->node_ids, renewals.stamps[renewals.indexes[i]].node);
}

enum error registry_apply_renewal(struct registry *registry, const struct wire_record *record,
                                  struct moment now)
{
    bool is_legacy = record->stamp.hlc == 0;
    struct stored_stamp stamp = {0};
    enum error error = is_legacy ? ERR_NONE : registry_take_stamp(registry, record, now, &stamp);
    if (error)
        return error;
    struct locked_key key = registry_lock_key(registry, wire_record_key(record));
    error = apply_renewal(registry, &key, record, stamp, now);
    registry_unlock(registry, key.locked);
    node_id_table_unref(&registry->node_ids, stamp.node);
    return error;
}

/* A known key: an older record or tombstone becomes a tombstone. True: marked as changed. */
static bool unregister_known(struct registry *registry, struct locked_key *key,
                             struct peer_change change, uint64_t until_ms, struct moment now)
{
    if (!is_older(registry, key->record, change)) {
        take_client_revision(registry, key, change.client_revision, now);
        return false;
    }
    if (record_is_tombstone(key->record)) {
        registry_change_tombstone(key, change.client_revision, change.stamp, until_ms);
        shard_mark_stored(key->shard, key->number);
        return false;
    }
    if (is_reregistered_after(registry, key->record, change))
        return stamp_as_reregistered(registry, key);
    registry_remove(registry, key, change.client_revision, change.stamp,
                    until_ms ? until_ms : now.mono_ms, now);
    return false;
}

enum error registry_apply_unregister(struct registry *registry, const struct wire_record *record,
                                     struct moment now)
{
    if (SIM_BUG(3))
        return ERR_NONE; /* the instance stays until its lease ends */
    bool is_dirty = false;
    struct peer_change change = {.client_revision = wire_record_client_revision(record)};
    enum error error = registry_take_stamp(registry, record, now, &change.stamp);
    if (error)
        return error;
    struct slice packed_key = wire_record_key(record);
    uint64_t until_ms = end_of(now, record->age_ms, registry->options.tombstone_ms);
    struct locked_key key = registry_lock_key(registry, packed_key);
    if (key.record)
        is_dirty = unregister_known(registry, &key, change, until_ms, now);
    else if (until_ms && record->stamp.hlc)
        error = registry_insert_tombstone(&key, packed_key, change.client_revision, change.stamp,
                                          until_ms);
    registry_unlock(registry, key.locked);
    node_id_table_unref(&registry->node_ids, change.stamp.node);
    registry_notify(registry, is_dirty);
    return error;
}

/* --- snapshot files --------------------------------------------------------------------------- */

/* How long ago the key of a tombstone was unregistered. Its stamp says it: a file may be old. */
static uint64_t tombstone_age_ms(const struct registry *registry, const struct wire_record *record,
                                 struct moment now)
{
    uint64_t since_ms = hlc_to_ms(record->stamp.hlc);
    uint64_t clock_ms = hlc_ms(&registry->clock, now);
    return clock_ms > since_ms ? clock_ms - since_ms : 0;
}

static enum restore_result restore_result_of(const struct registry *registry,
                                             const struct record *known,
                                             const struct wire_record *record, uint64_t until_ms)
{
    struct stored_stamp reregistered = {known ? known->reregistered_hlc : 0, NODE_NUMBER_SELF};
    struct record_order order = record_order_of(record);
    if (!known)
        return record->deleted && !until_ms ? RESTORE_ENDED : RESTORE_TAKEN;
    if (!is_older_than(registry, known, order) ||
        (!record_is_tombstone(known) && compare(registry, known, reregistered, order) > 0))
        return RESTORE_NEWER;
    return record->deleted && record_is_tombstone(known) && !until_ms ? RESTORE_ENDED
                                                                      : RESTORE_TAKEN;
}

static enum error restore_instance(struct registry *registry, struct locked_key *key,
                                   struct instance *given, struct peer_change change,
                                   struct moment now)
{
    uint64_t deadline_ms = now.mono_ms + lease_ttl_ms(registry);
    struct instance *instance = registry_inherit_revision(key->record, given);
    enum error error = ERR_NONE;
    if (!instance)
        return ERR_NO_MEMORY;
    if (!key->record || record_is_tombstone(key->record)) {
        error = registry_insert(registry, key, instance, change.stamp, deadline_ms, now);
        registry_note_received(registry, 0, change.stamp.hlc);
    } else {
        replace_content(registry, key, instance, change, now);
        shard_renew(key->shard, key->number, now.mono_ms, deadline_ms);
    }
    instance_unref(instance);
    return error;
}

static enum error restore_tombstone(struct registry *registry, struct locked_key *key,
                                    struct slice packed_key, struct peer_change change,
                                    uint64_t until_ms, struct moment now)
{
    if (!key->record)
        return registry_insert_tombstone(key, packed_key, change.client_revision, change.stamp,
                                         until_ms);
    if (record_is_tombstone(key->record))
        registry_change_tombstone(key, change.client_revision, change.stamp, until_ms);
    else
        registry_remove(registry, key, change.client_revision, change.stamp,
                        until_ms ? until_ms : now.mono_ms, now);
    return ERR_NONE;
}

enum error registry_restore(struct registry *registry, const struct wire_record *record,
                            bool dry_run, struct moment now, enum restore_result *result)
{
    bool is_dirty = false;
    struct peer_change change = {.client_revision = wire_record_client_revision(record)};
    if (!record->stamp.hlc)
        return ERR_INVALID_FIELD;
    enum error error = dry_run ? check_stamp(registry, record, now)
                               : registry_take_stamp(registry, record, now, &change.stamp);
    if (error)
        return error;
    struct slice packed_key = wire_record_key(record);
    uint64_t until_ms = 0;
    if (record->deleted)
        until_ms =
            end_of(now, tombstone_age_ms(registry, record, now), registry->options.tombstone_ms);
    struct locked_key key = registry_lock_key(registry, packed_key);
    *result = restore_result_of(registry, key.record, record, until_ms);
    if (*result == RESTORE_TAKEN && !dry_run) {
        error = record->deleted
                    ? restore_tombstone(registry, &key, packed_key, change, until_ms, now)
                    : restore_instance(registry, &key, record->instance, change, now);
        if (!error)
            is_dirty = registry_mark_changed(registry, &key);
    }
    registry_unlock(registry, key.locked);
    node_id_table_unref(&registry->node_ids, change.stamp.node);
    registry_notify(registry, is_dirty);
    return error;
}
