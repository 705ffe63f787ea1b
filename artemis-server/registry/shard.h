/* SPDX-License-Identifier: Apache-2.0
 *
 * shard - one part of the store: services, their records, and the wheel of their leases.
 *
 * All instances of a service live in one shard, so one lock guards a whole service: a change, its
 * members and its cached responses move together. The shard itself has no lock, thread or clock:
 * its owner (registry) holds the lock around every call here, and passes time in.
 *
 * A record is an instance with its lease. A service stays known for a while after its last member
 * left, so that "known, but none" can be told from a name that was never there.
 *
 * Housekeeping costs what is due, not what is there: a second wheel holds the services that have
 * cached responses or no members. It is as lazy as that of the leases: handing out an response does
 * not touch it; a service that comes up cleanup_wheel when its responses were last used, and is
 * armed again.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>

#include "artemis-core/json/codec.h"
#include "artemis-server/cache/cached_response.h"
#include "artemis-server/registry/guard.h"
#include "artemis-server/registry/hash_index.h"
#include "artemis-server/registry/lease_wheel.h"

/* A cached response for each spelling, for what is up and for every status. */
enum { VIEW_COUNT = DIALECT_COUNT * 2 };

struct record {
    struct wheel_timer lease; /* first: the wheel finds it here; of a tombstone, when it goes */
    struct instance *instance;
    uint64_t hlc; /* with node, the stamp of this content */
    uint32_t service;
    union {
        uint32_t member;         /* its place in the service's list */
        uint32_t tombstone_hash; /* of a tombstone: its place in the index */
    };
    uint16_t node;
    uint16_t bucket;  /* of the digests */
    bool deleted : 1; /* a tombstone: in the index, but no member of a service */
    /* Invariant: not two of these. */
    bool due : 1;        /* ended, and waiting for a decision */
    bool guarded : 1;    /* ended, but kept by a guard; still renewable */
    bool confirming : 1; /* ended, and peers are asked for a later renewal; still renewable */

    bool expiry_confirmed : 1; /* ended, and no peer knew better */
    bool change_dirty : 1;
    bool renewal_dirty : 1;
    bool lease_check_dirty : 1;
};
static_assert(sizeof(struct record) == 48, "a record is small: there are millions");

/* Numbers of records, noted for whoever tells the peers. A number may be stale. */
struct dirty_list {
    uint32_t *numbers;
    uint32_t count;
    uint32_t capacity;
};

struct service {
    struct wheel_timer
        cleanup; /* first: the wheel finds it here. deadline_ms 0: nothing to cleanup at */
    uint32_t hash;
    uint32_t round_robin;
    char *id; /* NULL: not in use. Lower case, not terminated */
    size_t id_size;
    uint64_t revision; /* of its last change */
    uint32_t *members; /* record numbers, in no order */
    uint32_t member_count;
    uint32_t member_capacity;
    struct cached_response *responses[VIEW_COUNT]; /* Invariant: each has the service's revision */
    uint64_t empty_since_ms;                       /* meaningful while member_count is 0 */
    struct guard guard;
    bool evictions_suspended; /* its guard has resolved that evictions stop */
    bool in_guard_queue;      /* linked into the list of services whose guard must resolve */
    uint32_t guard_queue_next;
    uint32_t due;     /* members that are due */
    uint32_t guarded; /* members that are guarded */
};

struct shard_counters {
    uint64_t registered; /* new instances */
    uint64_t changed;    /* registered again with other content */
    uint64_t renewed;    /* by heartbeat or by the same registration */
    uint64_t unregistered;
    uint64_t expired;
    uint64_t due; /* leases that came up in the wheel */
    uint64_t renewed_by_peers;
    uint64_t refuted; /* had ended here, but a peer knew a later renewal */
    uint64_t responses_built;
};

/* How long housekeeping lets things be. */
struct shard_retention {
    uint64_t unused_ms; /* an response that nobody asks for */
    uint64_t empty_ms;  /* a service without members */
};

struct shard {
    struct shard_retention retention; /* constant */
    struct slab records;
    struct slab services;
    struct hash_index record_index;
    struct hash_index service_index;
    struct lease_wheel wheel;
    struct lease_wheel cleanup_wheel; /* when housekeeping cleanup_wheel at which service */
    uint32_t guard_queue;             /* the first of the services whose guard must resolve */
    uint32_t due;                     /* records that are due */
    uint32_t guarded;                 /* records that are guarded */
    uint32_t engaged_services;        /* services whose guard is on */
    uint32_t released_services;       /* services whose guard is released */
    uint32_t responses;               /* cached */
    struct cached_response
        *evicted_responses; /* responses that the owner frees when it has unlocked */
    /* Invariant of the lists: there is room for every record, so that a note cannot fail. */
    struct dirty_list changed;
    struct dirty_list renewed;
    struct dirty_list ended; /* whose peers are to be asked */
    struct {
        uint32_t first; /* linked by lease.next and lease.prev, the oldest first */
        uint32_t last;
        uint32_t count;
        uint32_t max;
    } tombstones;
    struct shard_counters counters;
};

void shard_init(struct shard *shard, uint64_t now_ms, struct shard_retention retention);
void shard_free(struct shard *shard);

static inline struct record *shard_record(const struct shard *shard, uint32_t number)
{
    return slab_at(&shard->records, number);
}

static inline struct service *shard_service(const struct shard *shard, uint32_t number)
{
    return slab_at(&shard->services, number);
}

/* The number of a service by its canonical id, or 0. */
uint32_t shard_find_service(const struct shard *shard, uint32_t hash, struct slice id);
/* The number of a record by its packed key, a tombstone too, or 0. */
uint32_t shard_find(const struct shard *shard, uint32_t hash, struct slice packed_key);
/* Registered instances: records that are not tombstones. */
uint32_t shard_instances(const struct shard *shard);

/* Adds a record (and its service, if that is new) with its lease armed. Takes a reference to the
 * instance. ERR_NO_MEMORY leaves the shard as it was. */
MUST_USE enum error shard_insert(struct shard *shard, uint32_t service_hash, uint32_t record_hash,
                                 struct instance *instance, uint64_t deadline_ms, uint32_t *out);
void shard_replace(struct shard *shard, uint32_t number, struct instance *instance);
void shard_remove(struct shard *shard, uint32_t number, uint32_t record_hash, uint64_t now_ms);
/* The record is no member any more: what shard_remove and shard_make_tombstone have in common. */
void shard_leave_service(struct shard *shard, uint32_t number, uint64_t now_ms);
/* Moves the end of a lease; one that was due or guarded is alive again. */
void shard_renew(struct shard *shard, uint32_t number, uint64_t now_ms, uint64_t deadline_ms);

/* The lease of a record has ended: it waits for a decision in the wheel's due list. */
void shard_mark_due(struct shard *shard, uint32_t number);
/* Peers are asked about it. */
void shard_start_lease_check(struct shard *shard, uint32_t number);
/* Has those that are asked about come up again at until_ms. The wheel has come to the present.
 * Costs *budget as lease_wheel_next does, and is done when some is left. */
void shard_arm_lease_checks(struct shard *shard, uint64_t until_ms, unsigned *budget);
/* They have answered, or time is up: the lease comes up in the wheel once more. */
void shard_confirm_expiry(struct shard *shard, uint32_t number, uint64_t now_ms);
/* The decision is to keep it, and to cleanup again at again_ms. */
void shard_guard_lease(struct shard *shard, uint32_t number, uint64_t again_ms);
/* Has the guarded members of a service looked at again at once. */
void shard_recheck_guarded(struct shard *shard, struct service *service, uint64_t now_ms);

/* --- tombstones and notes (shard_peers.c) ----------------------------------------------------- */

/* Makes a tombstone of a record, until until_ms. The instance is exchanged for one of its key alone
 * where there is memory for that. Drops the oldest tombstone where there are too many. */
void shard_make_tombstone(struct shard *shard, uint32_t number, uint32_t record_hash,
                          uint64_t now_ms, uint64_t until_ms);
/* Adds a tombstone for a key that is not known. Takes a reference. ERR_NO_MEMORY. */
MUST_USE enum error shard_insert_tombstone(struct shard *shard, uint32_t record_hash,
                                           struct instance *key_only, uint64_t until_ms,
                                           uint32_t *out);
void shard_remove_tombstone(struct shard *shard, uint32_t number);
/* Has a tombstone stay until until_ms, where that is later. */
void shard_extend_tombstone(struct shard *shard, uint32_t number, uint64_t until_ms);
/* Removes those whose time has come. */
void shard_expire_tombstones(struct shard *shard, uint64_t now_ms);

/* Room in the lists for one more record. */
MUST_USE enum error shard_reserve_dirty(struct shard *shard);
void shard_mark_changed(struct shard *shard, uint32_t number);
void shard_mark_renewed(struct shard *shard, uint32_t number);
void shard_mark_lease_check(struct shard *shard, uint32_t number);
/* Takes the last of a list, or 0. */
uint32_t dirty_list_pop(struct dirty_list *list);

/* --- responses ----------------------------------------------------------------------------------
 */

/* Gives the service its new revision and drops its cached responses. */
void shard_set_revision(struct shard *shard, struct service *service, uint64_t revision);
/* Caches an response of the service's revision, whose view has none. It has been kept
 * (cached_response_put)
 * and used; takes over the reference. */
void shard_cache_response(struct shard *shard, uint32_t service, int view,
                          struct cached_response *response);
/* Counts a guard that was in state `before`. To be called wherever a service's guard may change. */
void shard_guard_changed(struct shard *shard, enum guard_state before, enum guard_state now);
/* Drops responses that are unused and services that are empty for too long, up to a tick later.
 * Costs *budget as lease_wheel_next does, and is done when some is left. */
void shard_cleanup(struct shard *shard, uint64_t now_ms, unsigned *budget);

/* References to the members of a service (all, or those that are up) in a new array, *out; NULL
 * when there are none. ERR_NO_MEMORY. */
MUST_USE enum error shard_copy_members(const struct shard *shard, const struct service *service,
                                       bool all_statuses, struct instance ***out, size_t *count);
void shard_free_members(struct instance **instances, size_t count);

/* States the invariants, for tests: asserts them all. Slow. */
void shard_validate(const struct shard *shard);
