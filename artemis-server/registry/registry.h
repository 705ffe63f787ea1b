/* SPDX-License-Identifier: Apache-2.0
 *
 * registry - the store of a node: registers, renews, unregisters and finds instances.
 *
 * The store has 64 shards with a lock each. Every change takes the next revision of the change log.
 * A change by a client also takes the next stamp of the node; a replicated one keeps its stamp, and
 * an eviction takes none. Registering identical content is a renewal: the record keeps its
 * stamp, and nothing is added to the change log. A client revision (instance.h) separates late
 * requests from new ones. Responses are encoded by the response cache
 * (artemis-server/response_cache.h), which stores them here, beside their service.
 *
 * The time of a lease runs out `ttl_ms` after its last renewal. registry_tick evicts the instance
 * within two ticks (of 20 ms), unless a lease check is made first or a guard is engaged, but
 * guard_max_ms after that time at the latest (lease_state.h). Until then the instance is in every
 * response. One thread calls registry_tick every tick, and registry_cleanup. Any thread may call
 * all other functions. Nothing here reads a clock; nothing encodes or calls out while it holds the
 * lock of a shard.
 *
 * Lock order: one shard (never two), then the change log, the node id table or the shared records.
 * The lock of the node's guard is held alone.
 *
 * Replication uses registry_replication.h, storage uses registry_storage.h.
 */
#pragma once

#include <stdbool.h>

#include "artemis-core/base/moment.h"
#include "artemis-core/json/codec.h"
#include "artemis-server/cache/cached_response.h"
#include "artemis-server/leases/guard.h"
#include "artemis-server/registry/change_log.h"

struct registry_options {
    uint64_t hash_seed; /* random for each process: nobody can choose keys that collide */
    uint64_t ttl_ms;    /* of a lease; registry_set_lease_options changes it and the next four */
    uint64_t cleanup_interval_ms; /* how long a service without members stays known */
    uint32_t guard_percent;
    uint32_t guard_min_leases;
    uint64_t guard_max_ms;        /* how long a guard keeps a lease after its end */
    uint64_t cache_expiry_ms;     /* how long a cached response stays without being handed out */
    uint32_t change_log_capacity; /* changes that the log can hold; a power of two */
    const char *node_id;          /* of this node, part of its stamps; NULL: "" */
    const char *reserved_service; /* has no quota; NULL: none */
    uint64_t tombstone_ms;        /* how long a tombstone is kept; 0: there are none */
    uint32_t tombstones_max;      /* of the node; 0: TOMBSTONES_MAX */
    bool storing;                 /* changes are listed for storage, see registry_storage.h */
    uint64_t hlc_floor;           /* stamps are above it */
    uint64_t max_clock_skew_ms; /* of a stamp to the clocks of all members; 0: CLOCK_AHEAD_MAX_MS */
    uint64_t revision_floor;    /* revisions are above it */
};

enum {
    CHANGE_LOG_CAPACITY = 65536,
    /* Beyond it each new tombstone removes the oldest of its shard. A shard keeps at least one. */
    TOMBSTONES_MAX = 1 << 20,
    TICK_PAUSE_MS = 1000, /* ticks that are further apart are a pause of the process */
};

struct registry;

/* The options that can change while the registry is used; see struct registry_options. */
struct lease_options {
    uint64_t ttl_ms;
    uint64_t cleanup_interval_ms;
    uint32_t guard_percent;
    uint32_t guard_min_leases;
    uint64_t guard_max_ms;
};

MUST_USE enum error registry_create(const struct registry_options *options, struct moment now,
                                    struct registry **out);
void registry_free(struct registry *registry);
/* Changes these options. The guards use them from their next decision on. A lease gets the new
 * time-to-live with its next renewal; if that is shorter than the old one, the lease keeps its end
 * until a renewal would make it later. A service that has no members stays known for the old
 * interval at least. */
void registry_set_lease_options(struct registry *registry, const struct lease_options *options);
struct lease_options registry_lease_options(const struct registry *registry);

/* --- instances -------------------------------------------------------------------------------- */

/* Registers, changes or renews; takes its own reference, or copies a temporary instance. An
 * instance without a client revision takes over that of the record of its key. ERR_STALE_REVISION:
 * the client revision is below that of the record, or equal to it, and the content is another one.
 * ERR_OVER_QUOTA: the instance is not registered yet, and its service has as many as
 * registry_set_quota allows. ERR_NO_MEMORY. All change nothing. */
MUST_USE enum error registry_register(struct registry *registry, struct instance *instance,
                                      struct moment now);
enum { REGISTRY_KEYS_MAX = 128 };
/* Registers up to REGISTRY_KEYS_MAX instances, and locks each shard once: those of a shard in their
 * order. errors[i] is the result of registry_register. */
void registry_register_all(struct registry *registry, struct instance *const instances[],
                           size_t count, struct moment now, enum error errors[]);
/* ERR_INSTANCE_NOT_FOUND: not registered, or the time of its lease has run out. A confirming,
 * guarded or loaded lease can be renewed. */
MUST_USE enum error registry_renew(struct registry *registry, const struct instance_key *key,
                                   struct moment now);
/* Renews the leases of up to REGISTRY_KEYS_MAX keys, and locks each shard once. is_renewed[i] is
 * false where registry_renew would fail. */
void registry_renew_all(struct registry *registry, const struct instance_key *const keys[],
                        size_t count, struct moment now, bool is_renewed[]);
/* An instance that is not registered counts as done. ERR_STALE_REVISION: the client revision (0:
 * none) is below that of the record. */
MUST_USE enum error registry_unregister(struct registry *registry, const struct instance_key *key,
                                        uint64_t client_revision, struct moment now);
/* The client revision of the record of a key, also of a tombstone; 0: none. */
uint64_t registry_stored_revision(struct registry *registry, struct slice packed_key);
/* Limits the instances of a service that clients can register; 0: no limit. Guarded ones do not
 * count, but a service with twice the limit gets no more. What peers send and what is loaded from
 * storage is never refused. */
void registry_set_quota(struct registry *registry, uint32_t instances_per_service);

/* --- queries ---------------------------------------------------------------------------------- */

/* Whether an instance is registered. */
bool registry_has_instance(struct registry *registry, struct slice packed_key);
/* The number of instances of a service. `id` is canonical. */
uint32_t registry_count_members(struct registry *registry, struct slice id);
/* The seed of the options, for tables of what clients choose. */
uint64_t registry_hash_seed(const struct registry *registry);

/* The members of a service at one revision. Released with registry_members_free. */
struct registry_members {
    struct instance **instances; /* references; NULL: none */
    size_t count;
    uint64_t revision;
    struct near_counts near; /* set by registry_members_filter */
};
/* Members of a service: all, or those that are up. `id` is canonical. ERR_SERVICE_NOT_FOUND,
 * ERR_NO_MEMORY; both leave *out empty. */
MUST_USE enum error registry_members(struct registry *registry, struct slice id, bool all_statuses,
                                     struct registry_members *out);
/* Removes the members that do not match, and orders the others. */
void registry_members_filter(struct registry_members *members,
                             const struct instance_filter *filter);
void registry_members_free(struct registry_members *members);

/* Walks over all services with members. Start with a zeroed cursor. *id is the service's, stored in
 * id_buffer. out->count 0: the end. ERR_NO_MEMORY. */
struct registry_cursor {
    uint32_t shard;
    uint32_t number; /* of the last service or record that was visited */
    bool tombstones; /* registry_snapshot_next: all services were copied */
};
MUST_USE enum error registry_next_service(struct registry *registry, struct registry_cursor *cursor,
                                          char id_buffer[ID_BYTES_MAX], struct slice *id,
                                          struct registry_members *out);

/* One instance of a service that matches the filter, chosen by `choice`; the caller's reference.
 * If the filter has a near place, one of the nearest instances that match; *near counts all that
 * match. Costs a hash for each instance with a strategy that hashes. With one that hashes or
 * weighs, and with a near place, the filter is evaluated once for each of PICK_EVALUATED_MAX
 * instances, and up to three times for those beyond. ERR_SERVICE_NOT_FOUND, ERR_INSTANCE_NOT_FOUND
 * (none matches). */
enum { PICK_EVALUATED_MAX = 16 * 1024 };
MUST_USE enum error registry_pick(struct registry *registry, struct slice id,
                                  const struct instance_filter *filter,
                                  const struct lookup_choice *choice, uint32_t random,
                                  struct instance **out, struct near_counts *near);

struct lease_status {
    struct instance *instance; /* borrowed for the call */
    uint64_t renewed_ms_ago;
    uint64_t ends_in_ms; /* 0: ended */
    bool guarded;
    uint64_t changed_wall_ms;
};
/* Calls `visit` for each lease of a service, without a lock. ERR_SERVICE_NOT_FOUND,
 * ERR_NO_MEMORY. */
typedef void registry_visit_lease(void *context, const struct lease_status *lease);
MUST_USE enum error registry_each_lease(struct registry *registry, struct slice id,
                                        struct moment now, registry_visit_lease *visit,
                                        void *context);

/* --- cached responses, for the response cache ------------------------------------------------- */

/* Identifies a response of a service. */
struct response_key {
    unsigned view;
    uint64_t since;      /* of a delta; 0: not a delta */
    struct slice filter; /* as text (instance_filter_key); size 0: not filtered */
};
/* The cached response with a key, a reference; or else NULL and the members (all, or those that are
 * up) to encode one from. One lock. ERR_SERVICE_NOT_FOUND, ERR_NO_MEMORY; both leave no response
 * and no members. */
MUST_USE enum error registry_find_response(struct registry *registry, struct slice id,
                                           const struct response_key *key, bool all_statuses,
                                           struct moment now, struct cached_response **response,
                                           struct registry_members *members);
enum {
    SERVICE_DELTA_CHANGES_MAX = 4096,
    SERVICE_DELTA_BYTES_MAX = 8 * 1024 * 1024, /* of the instances in the changes */
};
/* The changes of a service that lead from one revision of it to its present one. Released with
 * registry_delta_free. */
struct registry_delta {
    struct change *changes; /* oldest first */
    size_t count;
    uint64_t revision;
};
/* The cached delta with a key, a reference; or else NULL and the changes to encode one from, those
 * that do not match the filter included. ERR_VERSION_GONE: the change log does not have all
 * changes, or they are more than the members of the service, or than the limits above.
 * ERR_SERVICE_NOT_FOUND, ERR_NO_MEMORY. All leave no response and no changes. */
MUST_USE enum error registry_find_delta(struct registry *registry, struct slice id,
                                        const struct response_key *key, struct moment now,
                                        struct cached_response **response,
                                        struct registry_delta *delta);
void registry_delta_free(struct registry_delta *delta);
/* Caches a response or a delta under its view, `since` and filter, unless the service has changed
 * since, there is one, or the budget (NULL: nothing is cached) is spent. */
void registry_cache_response(struct registry *registry, struct slice id,
                             struct cached_response *response, struct cache_budget *budget);

/* --- changes ---------------------------------------------------------------------------------- */

/* The revision of the newest change. */
uint64_t registry_revision(const struct registry *registry);
/* The revision of a service's last change; 0: not known. `id` is canonical. */
uint64_t registry_service_revision(struct registry *registry, struct slice id);
/* Whether the service, or any if `id` is "*", has changed after `revision`. Also true if the
 * revision is not of this node's log, or the service is no longer known. */
bool registry_has_newer(struct registry *registry, struct slice id, uint64_t revision);
/* As change_log_since: all changes after a revision. */
MUST_USE enum error registry_changes_since(struct registry *registry, uint64_t revision,
                                           struct change **out, size_t *count, uint64_t *newest);
/* As change_log_read: at most `max` changes after a revision. */
MUST_USE enum error registry_changes(struct registry *registry, uint64_t revision,
                                     struct change *out, size_t max, size_t *count);
/* Sets the function that an armed wakeup calls; before any change is made. */
void registry_set_wakeup(struct registry *registry, change_log_wakeup *wakeup, void *context);
/* As change_log_arm_wakeup, for one thread. False: there is a change after `revision` already. */
MUST_USE bool registry_arm_wakeup(struct registry *registry, uint64_t revision);
/* As change_log_disarm_wakeup; to be called before the context of the wakeup is freed. */
void registry_disarm_wakeup(struct registry *registry);

/* --- leases ----------------------------------------------------------------------------------- */

/* Expires the leases whose time has run out and evicts their instances, unless a guard is engaged.
 * While a peer is up, a lease check comes first. After a pause of the caller (a stopped process, a
 * suspended machine) leases that could not be renewed meanwhile are extended by the pause, unless a
 * peer is up. One thread only. */
void registry_tick(struct registry *registry, struct moment now);
/* registry_tick without the detection of a pause. Tests use it. */
void registry_expire(struct registry *registry, struct moment now);
/* Removes what is unused and shrinks what is mostly empty. To be called about every second by the
 * thread of registry_tick. */
void registry_cleanup(struct registry *registry, struct moment now);
/* Releases the guard of a service, or of the node and of every service if `id` is empty. Does
 * nothing if no guard is engaged and no lease is guarded. ERR_SERVICE_NOT_FOUND. */
MUST_USE enum error registry_release_guard(struct registry *registry, struct slice id,
                                           struct moment now);

/* Calls `visit` for each service whose guard is engaged, or released and not yet in force again. */
typedef void registry_visit_guard(void *context, struct slice service_id, const struct guard *guard,
                                  uint32_t guarded);
void registry_each_guard(struct registry *registry, struct moment now, registry_visit_guard *visit,
                         void *context);

/* --- status ----------------------------------------------------------------------------------- */

struct registry_stats {
    uint64_t instances;
    uint64_t services; /* known: with members, or empty for a short time */
    uint64_t revision;
    uint64_t guarded;          /* leases that a guard keeps */
    uint64_t loaded;           /* leases in this state */
    uint64_t engaged_services; /* services whose guard is engaged */
    struct guard node_guard;
    uint64_t change_log_size;
    uint64_t change_log_bytes; /* of the instances that the log references */
    uint64_t cached_responses; /* of single services */
    uint64_t tombstones;
    uint64_t store_bytes; /* slabs, indexes and lists; without instances */
    /* since the start */
    uint64_t registered, changed, renewed, unregistered;
    uint64_t ended;   /* leases that became expired; then evicted or guarded */
    uint64_t evicted; /* instances removed because their lease had ended */
    uint64_t responses_built;
    uint64_t renewed_by_peers, refuted;
    uint64_t refused_stamps;   /* too far ahead of the clocks of all members */
    uint64_t refused_node_ids; /* the table of node ids, or the share of a peer in it, was full */
    uint64_t node_ids;         /* in use */
    uint64_t visited;          /* records and services that walks looked at */
};

void registry_stats(struct registry *registry, struct registry_stats *stats);
/* Asserts the invariants of every shard; for tests. */
void registry_validate(struct registry *registry);
