/* SPDX-License-Identifier: Apache-2.0
 *
 * shard - one part of the store: services, their records, and the wheel of their leases.
 *
 * All instances of a service are in one shard, so one lock protects a whole service: a change, the
 * members and the cached responses change together. The shard has no lock, thread or clock: its
 * owner (registry) holds the lock around every call and passes the time in.
 *
 * A record is the stored entry for one key: an instance with its lease, or a tombstone. A service
 * stays known for `empty_ms` after its last member left, so that "known, but empty" differs from a
 * name that was never registered.
 *
 * The cost of a cleanup follows what has come up, not what is stored. A second wheel holds the
 * services that have cached responses or no members. It is lazy: handing out a response does not
 * touch it; when a service comes up, its responses are checked and the service is armed again.
 *
 * Instances with the same common texts (instance.h) share them: the shard finds a record whose
 * instance holds them. They keep that instance as long as they need its texts, also when the record
 * is gone. At most a quarter of the records are indexed for it.
 *
 * Four files: shard.c (services, records, cached responses), shard_leases.c (lease states),
 * shard_texts.c (shared texts) and shard_replication.c (tombstones, buckets, dirty lists).
 */
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "artemis-core/base/hash_index.h"
#include "artemis-core/base/number_set.h"
#include "artemis-core/model/instance.h"
#include "artemis-server/cache/cached_response.h"
#include "artemis-server/leases/guard.h"
#include "artemis-server/leases/lease_state.h"
#include "artemis-server/leases/timing_wheel.h"
#include "artemis-server/registry/node_id_table.h"

enum {
    DIGEST_BUCKET_BITS = 10,
    DIGEST_BUCKETS = 1 << DIGEST_BUCKET_BITS,
    SERVICE_DELTAS_MAX = 8, /* cached; the oldest is displaced */
    /* Filtered responses and their deltas that are cached for a service. They have a list and a
     * budget of their own: clients with many filters displace nothing else. */
    SERVICE_FILTERED_MAX = 16,
};

/* Why a record is in a dirty list. There is a list for each kind. */
enum dirty_kind {
    DIRTY_CHANGE,
    DIRTY_RENEWAL,
    DIRTY_LEASE_CHECK,
    DIRTY_GUARDED, /* a guard of this node keeps the lease; peers may know a later renewal */
    DIRTY_STORE,   /* last: without storage there is no such list */
    DIRTY_KINDS
};

enum {
    RECORD_ROUNDS_BITS = 3,
    RECORD_ROUNDS_MAX = (1 << RECORD_ROUNDS_BITS) - 1,
    /* Beyond it a removed key is not listed for storage, which then writes everything again. */
    REMOVED_KEYS_MAX = 1 << 16,
};

struct record {
    struct wheel_timer lease;  /* first: the wheel finds it here. Of a tombstone: when it ends */
    struct instance *instance; /* of a tombstone: often the key alone. NULL: not in use */
    uint64_t hlc;              /* with node, the stamp of this content */
    uint64_t reregistered_hlc; /* HLC time of the last identical registration here; 0: none */
    uint32_t service;          /* 0: a tombstone */
    uint32_t member;           /* index in the service's members */
    uint32_t hash;             /* of the key, for the index */
    uint32_t bucket_next;      /* the list of the bucket, of this shard alone */
    uint32_t bucket_prev;      /* 0: the first, or not linked back yet */
    uint16_t node;             /* number in the node id table, a reference */
    uint16_t bucket : DIGEST_BUCKET_BITS;
    uint16_t lease_state : 3;
    uint16_t rounds : RECORD_ROUNDS_BITS; /* completed rounds of its lease check */
};
static_assert(sizeof(struct record) == 64, "a record is small: there are millions");

static inline bool record_is_tombstone(const struct record *record)
{
    return record->lease_state == LEASE_NONE;
}

/* Keys whose record was removed since storage last drained the list. A key may have a record
 * again. */
struct removed_list {
    struct instance **instances; /* references; only the key counts */
    uint32_t count;
    uint32_t capacity;
    bool overflowed; /* a key is missing */
};

struct service {
    struct wheel_timer cleanup; /* first: the wheel finds it here. deadline_ms 0: not armed */
    uint32_t hash;
    uint32_t round_robin; /* where the load balancer continues */
    char *id;             /* NULL: not in use. Lower case, not terminated */
    size_t id_size;
    uint64_t revision; /* of its last change */
    uint32_t *members; /* record numbers, in no order */
    uint32_t member_count;
    uint32_t member_capacity;
    struct cached_responses responses; /* one of a view. Invariant: of the service's revision */
    struct cached_responses deltas;    /* the same; at most SERVICE_DELTAS_MAX */
    struct cached_responses filtered;  /* and their deltas; at most SERVICE_FILTERED_MAX */
    uint64_t empty_since_ms;           /* meaningful while member_count is 0 */
    struct guard guard;
    bool evictions_suspended; /* the last decision of its guard */
    bool in_guard_queue;      /* its guard is evaluated before the tick's evictions */
    uint32_t guard_queue_next;
    uint32_t expired; /* members whose lease is in this state */
    uint32_t guarded; /* members whose lease is guarded or peer_guarded */
};

/* The cached response of a view, or NULL. Most services have one or two responses. */
static inline struct cached_response *service_response(const struct service *service, unsigned view)
{
    struct cached_response *response = SLIST_FIRST(&service->responses);
    while (response && response->view != view)
        response = SLIST_NEXT(response, link);
    return response;
}

struct shard_counters {
    uint64_t registered; /* new instances */
    uint64_t changed;    /* registered again with other content */
    uint64_t renewed;    /* by heartbeat or by the same registration */
    uint64_t unregistered;
    uint64_t ended;   /* leases that became expired; then evicted or guarded */
    uint64_t evicted; /* instances removed because their lease had ended */
    uint64_t renewed_by_peers;
    uint64_t refuted;         /* time had run out here, but a peer had a later renewal */
    uint64_t responses_built; /* by the response cache */
    uint64_t visited;         /* records and services that a walk looked at; for tests of cost */
};

struct shard_settings {
    uint64_t unused_ms;      /* how long a cached response stays without being handed out */
    uint64_t empty_ms;       /* how long a service without members stays known */
    uint32_t tombstones_max; /* of the node */
    uint64_t hash_seed;      /* of common texts; the owner passes the hashes of keys and ids */
    bool storing;            /* changes and removed keys are listed for storage */
    _Atomic uint32_t *tombstones_of_node; /* shared by all shards */
    struct node_id_table *node_ids; /* shared by all shards; NULL: all records are of this node */
};

/* Services whose guard is engaged, and their leases in any state; updated at every change. */
struct engaged_count {
    uint32_t services;
    uint32_t leases;
    uint32_t ended; /* leases that are expired, guarded or peer_guarded */
};

struct shard {
    struct shard_settings settings; /* constant, except for empty_ms */
    struct slab records;
    struct slab services;
    struct hash_index record_index;
    struct hash_index service_index;
    struct hash_index text_holders; /* by common texts: records whose instance holds them */
    struct timing_wheel wheel;
    struct timing_wheel cleanup_wheel;
    uint32_t guard_queue; /* first of the services whose guard must be evaluated */
    uint32_t expired;     /* leases in this state */
    uint32_t guarded;     /* leases that are guarded or peer_guarded */
    uint32_t loaded;      /* leases in this state */
    struct engaged_count engaged;
    uint32_t released_services;                /* services whose guard is released */
    uint32_t responses;                        /* cached */
    struct cached_responses evicted_responses; /* the owner frees them after it unlocks */
    /* Records that the replicator or storage drains. Invariant: each has memory for every record,
     * so that adding cannot fail. */
    struct number_set dirty[DIRTY_KINDS];
    struct removed_list removed;
    struct {
        uint32_t first; /* linked by lease.next and lease.prev, in the order of insertion */
        uint32_t last;
        uint32_t count;
    } tombstones;
    uint32_t buckets[DIGEST_BUCKETS]; /* first record of each bucket, tombstones included */
    size_t member_bytes;              /* of the members arrays */
    struct shard_counters counters;
};

void shard_init(struct shard *shard, uint64_t now_ms, struct shard_settings settings);
void shard_free(struct shard *shard);

static inline struct record *shard_record(const struct shard *shard, uint32_t number)
{
    return slab_at(&shard->records, number);
}

static inline struct service *shard_service(const struct shard *shard, uint32_t number)
{
    return slab_at(&shard->services, number);
}

/* The service of a number below slab_end(&shard->services), NULL if it is not in use; for walks. */
static inline struct service *shard_live_service(const struct shard *shard, uint32_t number)
{
    struct service *service = slab_find(&shard->services, number);
    return service && service->id ? service : NULL;
}

/* --- services and records (shard.c) ----------------------------------------------------------- */

/* The number of a service by its canonical id, or 0. */
uint32_t shard_find_service(const struct shard *shard, uint32_t hash, struct slice id);
/* The number of a record by its packed key, a tombstone too, or 0. */
uint32_t shard_find(const struct shard *shard, uint32_t hash, struct slice packed_key);
/* Registered instances: records that are not tombstones. */
uint32_t shard_instances(const struct shard *shard);

/* Adds a record (and its service, if that is new) with its lease armed. The record has a reference
 * to the instance, or one with the same content that shares its texts or is a copy of a temporary
 * one. ERR_NO_MEMORY leaves the shard as it was. */
MUST_USE enum error shard_insert(struct shard *shard, uint32_t service_hash, uint32_t record_hash,
                                 struct instance *instance, uint64_t deadline_ms, uint32_t *out);
/* Gives a record other content, as shard_insert does; its lease stays. The instance is not
 * temporary. */
void shard_replace(struct shard *shard, uint32_t number, struct instance *instance);
/* Gives a record another stamp, with a reference of its own to the node id. */
void shard_set_stamp(struct shard *shard, struct record *record, uint64_t hlc, uint16_t node);
/* Removes an instance with its record. Its service stays known for empty_ms. */
void shard_remove(struct shard *shard, uint32_t number, uint64_t now_ms);
/* The common part of shard_remove and shard_make_tombstone: the record is no member any more. */
void shard_leave_service(struct shard *shard, uint32_t number, uint64_t now_ms);

/* References to the members of a service (all, or those that are up) in a new array, *out; NULL
 * when there are none. ERR_NO_MEMORY. */
MUST_USE enum error shard_copy_members(const struct shard *shard, const struct service *service,
                                       bool all_statuses, struct instance ***out, size_t *count);
void shard_free_members(struct instance **instances, size_t count);

/* Shrinks tables that are mostly empty. Costs a pass over each table that shrinks. */
void shard_shrink(struct shard *shard);
/* Memory of the shard's own structures: slabs, indexes, lists. Without instances and responses. */
size_t shard_bytes(const struct shard *shard);
/* Asserts the invariants, for tests. Slow. */
void shard_validate(const struct shard *shard);

/* --- shared texts (shard_texts.c) ------------------------------------------------------------- */

/* A reference to what a record stores for an instance: the instance, a copy of a temporary one, or
 * one with the same content that shares the common texts of another record. NULL: out of memory for
 * a temporary one. */
struct instance *shard_share_texts(struct shard *shard, uint32_t number, struct instance *instance);
/* The instance of the record is about to leave it: no further instance shares its texts. */
void shard_stop_sharing(struct shard *shard, uint32_t number);
/* A part of shard_validate. */
void shard_validate_texts(const struct shard *shard);

/* --- leases (shard_leases.c) ------------------------------------------------------------------ */

/* LEASE_NONE to active, for a new member. */
void shard_start_lease(struct shard *shard, uint32_t number, uint64_t deadline_ms);
/* Any state to LEASE_NONE, for a member that leaves. */
void shard_end_lease(struct shard *shard, uint32_t number, uint64_t now_ms);
/* Extends a lease; any state to active. A lease never gets shorter. */
void shard_renew(struct shard *shard, uint32_t number, uint64_t now_ms, uint64_t deadline_ms);
/* Active or loaded to confirming: the record goes into the dirty list of lease checks, and its
 * lease is deferred. */
void shard_start_lease_check(struct shard *shard, uint32_t number);
/* A confirming lease comes up again after the time limit of a check, from the next call of
 * shard_arm_lease_checks on. */
void shard_defer_lease_check(struct shard *shard, uint32_t number);
/* Whether a confirming lease is still in the dirty list of lease checks. */
bool shard_waits_for_check(const struct shard *shard, uint32_t number);
/* Arms the leases that were deferred to come up again at until_ms. Call it after
 * timing_wheel_next has returned 0 with steps left. Costs *steps as timing_wheel_next does;
 * complete when some is left. */
void shard_arm_lease_checks(struct shard *shard, uint64_t until_ms, unsigned *steps);
/* Confirming or peer_guarded to due. The wheel hands the lease out in the next tick, which makes it
 * expired. */
void shard_confirm_expiry(struct shard *shard, uint32_t number, uint64_t now_ms);
/* To expired; a guarded or peer_guarded lease stays so. The record waits in the wheel's list of
 * ended leases, and its service in the guard queue. */
void shard_expire(struct shard *shard, uint32_t number);
/* Expired or peer_guarded to guarded; the lease comes up again at again_ms. */
void shard_guard_lease(struct shard *shard, uint32_t number, uint64_t again_ms);
/* Confirming or guarded to peer_guarded; the lease comes up again at again_ms. */
void shard_guard_for_peer(struct shard *shard, uint32_t number, uint64_t again_ms);
/* Active to loaded: the lease comes up at until_ms, whatever its deadline is. */
void shard_start_loaded(struct shard *shard, uint32_t number, uint64_t until_ms);
/* Loaded to active, with the deadline that a peer knows; it may be earlier. */
void shard_adopt_deadline(struct shard *shard, uint32_t number, uint64_t deadline_ms);
/* Arms the guarded and peer_guarded leases of a service to come up at once. */
void shard_recheck_guarded(struct shard *shard, struct service *service, uint64_t now_ms);
/* Updates the counts after a service's guard changed from the state `before`. */
void shard_guard_changed(struct shard *shard, const struct service *service,
                         enum guard_state before);
/* --- cached responses and cleanup (shard.c) --------------------------------------------------- */

/* Gives the service its new revision and evicts its cached responses. */
void shard_set_revision(struct shard *shard, struct service *service, uint64_t revision);
/* Stores a response of the service's revision in an empty view. It is in the budget
 * (cached_response_put) and its use is recorded; takes over the reference. */
void shard_cache_response(struct shard *shard, uint32_t service, struct cached_response *response);
/* The same for a delta that leads to the service's revision. */
void shard_cache_delta(struct shard *shard, uint32_t service, struct cached_response *delta);
/* The delta of a view with the changes after `since`; NULL: it is not cached. */
struct cached_response *shard_find_delta(const struct service *service, unsigned view,
                                         uint64_t since);
/* The same for a filtered response or delta of the service's revision. If there are
 * SERVICE_FILTERED_MAX, the one that is unused for longest is evicted. */
void shard_cache_filtered(struct shard *shard, uint32_t service, struct cached_response *response);
/* The response of a view with this filter, and of a delta with `since`; NULL: it is not cached. */
struct cached_response *shard_find_filtered(const struct service *service, unsigned view,
                                            uint64_t since, struct slice filter);
/* Evicts responses that are unused and services that are empty for too long, up to a tick later.
 * Costs *steps as timing_wheel_next does; complete when some is left. */
void shard_cleanup(struct shard *shard, uint64_t now_ms, unsigned *steps);

/* --- tombstones, buckets, dirty lists (shard_replication.c) ----------------------------------- */

/* Makes a tombstone of a record, until until_ms. The instance is exchanged for one of its key and
 * the higher client revision alone, if there is memory. If the node has too many tombstones, the
 * oldest of this shard is removed. */
void shard_make_tombstone(struct shard *shard, uint32_t number, uint64_t client_revision,
                          uint64_t now_ms, uint64_t until_ms);
/* Raises the client revision of a tombstone. Without memory it stays as it is. */
void shard_raise_client_revision(struct shard *shard, uint32_t number, uint64_t client_revision);
/* Adds a tombstone for a key that is not known. Takes a reference. ERR_NO_MEMORY. */
MUST_USE enum error shard_insert_tombstone(struct shard *shard, uint32_t record_hash,
                                           struct instance *key_only, uint64_t until_ms,
                                           uint32_t *out);
void shard_remove_tombstone(struct shard *shard, uint32_t number);
/* Extends a tombstone to until_ms, if that is later. */
void shard_extend_tombstone(struct shard *shard, uint32_t number, uint64_t until_ms);
/* Removes tombstones that have ended, in the order of insertion; stops at the first that has not
 * ended. Each costs one of *steps; complete when some is left. */
void shard_expire_tombstones(struct shard *shard, uint64_t now_ms, unsigned *steps);

/* The digest bucket of a key, the same on every node. */
uint32_t bucket_of_key(struct slice packed_key);
/* Puts a new record at the front of the list of its bucket. The record that was there is not linked
 * back: it is rarely in the cache. The records that are not linked back are always the first ones
 * of a list. */
void shard_link_bucket(struct shard *shard, uint32_t number, uint32_t bucket);
/* Costs a visit of each record that was put into the list since the last removal from it. */
void shard_unlink_bucket(struct shard *shard, uint32_t number);

/* Memory in the dirty lists for one more record. */
MUST_USE enum error shard_reserve_dirty(struct shard *shard);
/* Returns memory of the dirty lists that the records do not need. */
void shard_shrink_dirty(struct shard *shard);
/* Adds a record to a dirty list, unless it is in it. */
void shard_mark_dirty(struct shard *shard, uint32_t number, enum dirty_kind kind);
/* Marks a record whose content or stamp is new for storage, if there is storage. */
static inline void shard_mark_stored(struct shard *shard, uint32_t number)
{
    if (shard->settings.storing)
        shard_mark_dirty(shard, number, DIRTY_STORE);
}
/* Lists the key of a record that is being removed for storage, if there is storage. Takes over the
 * reference. */
void shard_list_removed(struct shard *shard, struct instance *instance);
/* Takes a record that is about to be removed off the dirty lists. */
void shard_clear_dirty(struct shard *shard, uint32_t number);
/* Removes and returns the lowest number above `after` from a dirty list; 0 if there is none. Skips
 * records whose reason has gone. A confirming lease is deferred: its check begins now. */
uint32_t shard_drain_dirty(struct shard *shard, enum dirty_kind kind, uint32_t after);
