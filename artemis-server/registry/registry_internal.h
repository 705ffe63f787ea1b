/* SPDX-License-Identifier: Apache-2.0
 *
 * registry_internal - what the files of the registry share. Not for other modules.
 */
#pragma once

#include <pthread.h>

#include "artemis-core/model/hlc.h"
#include "artemis-core/model/record_order.h"
#include "artemis-server/registry/change_log.h"
#include "artemis-server/registry/node_id_table.h"
#include "artemis-server/registry/registry_replication.h"
#include "artemis-server/registry/shard.h"

#ifndef REGISTRY_SHARD_BITS /* the simulator has fewer: each of its registries holds little */
#define REGISTRY_SHARD_BITS 6
#endif

enum {
    SHARD_BITS = REGISTRY_SHARD_BITS,
    SHARD_COUNT = 1 << SHARD_BITS,
};

enum { FILTERED_TURNS = 64 };

struct locked_shard {
    pthread_mutex_t lock;
    struct shard shard;                      /* protected by lock, as the next one */
    uint32_t filtered_turns[FILTERED_TURNS]; /* where round robin with a filter continues */
} __attribute__((aligned(64)));              /* no two locks in one cache line */

/* A stamp as a record stores it: the node by its number in the node id table. */
struct stored_stamp {
    uint64_t hlc;
    uint16_t node;
};

/* What registry_set_lease_options changes while other threads read it. Each value counts by itself:
 * nothing depends on two of them being of the same reload. */
struct lease_values {
    _Atomic uint64_t ttl_ms;
    _Atomic uint64_t cleanup_interval_ms;
    _Atomic uint64_t guard_max_ms;
    _Atomic uint32_t guard_percent;
    _Atomic uint32_t guard_min_leases;
};

/* Where the last drain of a dirty list ended. The next one goes on from there, so that each record
 * is drained in turn, although others become dirty again and again. */
struct drain_cursor {
    uint32_t shard;
    uint32_t number; /* of the last record; 0: the shard comes next */
};

struct registry {
    struct registry_options options; /* constant; see also `leases` */
    struct lease_values leases;
    struct locked_shard shards[SHARD_COUNT];
    struct change_log log;
    struct node_id_table node_ids;
    struct hlc clock;
    _Atomic uint64_t refused_stamps;
    _Atomic uint32_t quota; /* see registry_set_quota */
    _Atomic uint64_t digests[DIGEST_BUCKETS];
    _Atomic uint32_t tombstones;
    atomic_bool replicating;                  /* a peer is up; see registry_set_replicating */
    _Atomic uint64_t checks_drained_ms;       /* when leases were last taken for a check */
    struct drain_cursor drained[DIRTY_KINDS]; /* each belongs to the thread that drains it */
    registry_dirty_notify *notify;
    void *notify_context;
    /* Leases that were loaded from storage. */
    struct {
        uint64_t deadline_ms;      /* of each of them until it is renewed */
        _Atomic uint64_t until_ms; /* none of them is evicted before */
        atomic_bool is_shared;     /* peers get them, as guarded leases */
        struct bucket_set equal;   /* of the thread of the replicator: its records are held by a
                                      ready peer, too */
    } loaded;
    struct {
        pthread_mutex_t lock;
        struct shared_records value;
        uint32_t peer; /* with which value is shared; 0: not known */
        /* Of comparisons that have begun, by peer; hlc 0: none. Peer 0 is not used. */
        struct shared_records open[NODE_ID_MEMBERS + 1];
    } shared;
    struct {
        pthread_mutex_t lock;
        struct guard guard;
    } node_guard;
    /* The last pause of the lease thread. Written by registry_tick. */
    struct {
        _Atomic uint64_t last_tick_ms; /* 0: no tick yet */
        _Atomic uint64_t start_ms;
        _Atomic uint64_t end_ms;
        _Atomic uint64_t length_ms; /* of all pauses that still count */
    } pause;
};

/* Where a service is stored: its shard by the upper bits of the hash, its index slot by the
 * lower. */
struct service_location {
    struct locked_shard *locked;
    uint32_t hash;
};
struct service_location registry_locate(struct registry *registry, struct slice service_id);

/* A service and its shard, which is locked until registry_unlock. */
struct locked_service {
    struct locked_shard *locked;
    struct shard *shard;
    uint32_t number;
    struct service *service; /* NULL: not known */
};
struct locked_service registry_lock_service(struct registry *registry, struct slice service_id);

/* A key and its record in the shard, which is locked until registry_unlock. */
struct locked_key {
    struct service_location location;
    struct locked_shard *locked;
    struct shard *shard;
    uint32_t hash;
    uint32_t number;       /* 0: not known */
    struct record *record; /* NULL: not known; may be a tombstone */
};
struct locked_key registry_lock_key(struct registry *registry, struct slice packed_key);

/* Visits the records of up to REGISTRY_KEYS_MAX keys. Each shard is locked once, while the visitor
 * is called for its keys, in their order. `inserts`: the visitor inserts or removes records. */
typedef void key_visitor(struct registry *registry, struct locked_key *key, size_t index,
                         void *context);
void registry_visit_keys(struct registry *registry, const struct instance_key *const keys[],
                         size_t count, bool inserts, key_visitor *visit, void *context);

/* Unlocks, calls the wakeup of the change log if it is armed for an older revision, and frees the
 * responses that were evicted under the lock. */
void registry_unlock(struct registry *registry, struct locked_shard *locked);

/* The next stamp of this node. */
struct stored_stamp registry_next_stamp(struct registry *registry, struct moment now);
/* Sets the stamp of a record and updates the digests. The shard is locked. */
void registry_set_stamp(struct registry *registry, struct shard *shard, struct record *record,
                        struct stored_stamp stamp);
/* Replaces content and stamp of an instance, updates the digests and logs the change. The shard is
 * locked. */
void registry_replace(struct registry *registry, const struct locked_key *key,
                      struct instance *instance, struct stored_stamp stamp, struct moment now);
/* The stamp of a record from outside, with a reference to its node id: node_id_table_unref it. One
 * without a stamp comes from a legacy node and gets the next stamp of this node. ERR_VERSION_AHEAD,
 * ERR_NO_MEMORY, ERR_TOO_MANY_ITEMS. */
MUST_USE enum error registry_take_stamp(struct registry *registry, const struct wire_record *record,
                                        struct moment now, struct stored_stamp *out);
/* Takes a record that is about to be removed out of the digests. The shard is locked. */
void registry_clear_stamp(struct registry *registry, const struct record *record);
/* A copy of a record, with a reference to its instance. The shard is locked. */
struct record_copy registry_copy_record(const struct registry *registry,
                                        const struct record *record);

static inline uint64_t lease_ttl_ms(const struct registry *registry)
{
    return atomic_load_explicit(&registry->leases.ttl_ms, memory_order_relaxed);
}

static inline uint64_t guard_max_ms(const struct registry *registry)
{
    return atomic_load_explicit(&registry->leases.guard_max_ms, memory_order_relaxed);
}

static inline struct guard_settings registry_guard_settings(const struct registry *registry)
{
    return (struct guard_settings){
        .percent = atomic_load_explicit(&registry->leases.guard_percent, memory_order_relaxed),
        .min_leases =
            atomic_load_explicit(&registry->leases.guard_min_leases, memory_order_relaxed),
        .max_ms = guard_max_ms(registry),
        .window_ms = lease_ttl_ms(registry),
    };
}

static inline bool registry_is_replicating(const struct registry *registry)
{
    return atomic_load_explicit(&registry->replicating, memory_order_relaxed);
}

static inline uint64_t tombstone_end_ms(const struct registry *registry, struct moment since)
{
    return since.mono_ms + registry->options.tombstone_ms;
}

/* Adds a new instance with its stamp and lease. Replaces the tombstone of its key. */
MUST_USE enum error registry_insert(struct registry *registry, struct locked_key *key,
                                    struct instance *instance, struct stored_stamp stamp,
                                    uint64_t deadline_ms, struct moment now);
/* Adds a tombstone for a key that is not known. ERR_NO_MEMORY. */
MUST_USE enum error registry_insert_tombstone(struct locked_key *key, struct slice packed_key,
                                              uint64_t client_revision, struct stored_stamp stamp,
                                              uint64_t until_ms);
/* Gives a tombstone a later stamp, and the client revision if that is higher. */
void registry_change_tombstone(struct locked_key *key, uint64_t client_revision,
                               struct stored_stamp stamp, uint64_t until_ms);
/* Marks a change for storage and for the replicator; true if the replicator takes it. Does nothing
 * if nothing is left of the record. The shard is locked. */
bool registry_mark_changed(struct registry *registry, const struct locked_key *key);
/* Wakes the replicator after a marked change. No lock is held. */
void registry_notify(struct registry *registry, bool is_dirty);
/* Removes an instance and leaves a tombstone until until_ms, if tombstones are kept. It has the
 * higher of the client revision and that of the record. If they are not kept, the key has no record
 * any more. */
void registry_remove(struct registry *registry, struct locked_key *key, uint64_t client_revision,
                     struct stored_stamp stamp, uint64_t until_ms, struct moment now);
/* The form of an instance that replaces the record of its key (NULL: not known), a reference to
 * it or to a copy: an instance without a client revision takes over that of the record. NULL: out
 * of memory. */
struct instance *registry_inherit_revision(const struct record *record, struct instance *instance);
/* Appends a new or deleted instance to the log and gives the service its revision. The shard is
 * locked. */
void registry_log_change(struct registry *registry, struct shard *shard, uint32_t service,
                         struct instance *instance, enum change_type type, struct moment now);
/* The same for an instance that has replaced another one. */
void registry_log_replacement(struct registry *registry, struct shard *shard, uint32_t service,
                              struct instance *instance, const struct instance *old,
                              struct moment now);
/* Copies at most `max` records of the dirty lists of one kind and takes them off; 0 when the lists
 * are empty. */
size_t registry_drain_dirty(struct registry *registry, enum dirty_kind kind,
                            struct record_copy *out, size_t max);
/* A lease that was loaded and has not been renewed since. */
static inline bool registry_is_loaded_only(const struct registry *registry,
                                           const struct record *record)
{
    return record->lease_state != LEASE_NONE &&
           record->lease.deadline_ms == registry->loaded.deadline_ms;
}
/* Peers may have evicted it meanwhile: they do not get it before this node has compared itself. */
static inline bool registry_is_hidden(const struct registry *registry, const struct record *record)
{
    return registry_is_loaded_only(registry, record) &&
           !atomic_load_explicit(&registry->loaded.is_shared, memory_order_relaxed);
}
/* This node has got a record from this peer, or not from a peer (0): other peers may lack it. The
 * shard is locked, so that storage does not read a higher bound with the record. */
void registry_note_received(struct registry *registry, uint32_t peer, uint64_t hlc);
/* Removes an instance whose lease has expired, or is loaded. The shard is locked. */
void registry_evict(struct registry *registry, struct shard *shard, uint32_t number,
                    struct moment now);
/* Whether a lease is kept by no guard any more, because it ended too long ago. */
static inline bool registry_is_out_of_time(const struct registry *registry,
                                           const struct record *record, uint64_t now_ms)
{
    return now_ms >= record->lease.deadline_ms + guard_max_ms(registry);
}
/* The end of a lease, later than its deadline if this node was paused meanwhile. */
uint64_t registry_lease_end_ms(const struct registry *registry, uint64_t deadline_ms,
                               uint64_t now_ms);
