/* SPDX-License-Identifier: Apache-2.0
 *
 * registry - who serves what, right now: the engine behind registration, renewal and discovery.
 *
 * 64 shards, each with its own lock beside what it guards; a change log that numbers every change;
 * and responses that are built when they are first asked for after a change, then shared.
 * Registering the same content again is a renewal: no version, no event.
 *
 * A lease ends exactly `ttl_ms` after its last renewal; registry_expire takes ended ones out of
 * every response and must be called about every tick (20 ms), by one thread. All other functions
 * may be called by any thread. Nothing here reads a clock, or encodes or calls out while it holds a
 * shard's lock.
 *
 * Locks, in their order: the builder of all services; a shard (never two); then, each alone, the
 * change log, the node's guard, the responses with all services.
 */
#pragma once

#include <stdbool.h>

#include "artemis-core/base/moment.h"
#include "artemis-core/json/codec.h"
#include "artemis-server/cache/cached_response.h"
#include "artemis-server/registry/guard.h"

struct registry_options {
    uint64_t hash_seed; /* random for each process: nobody can choose colliding keys */
    uint64_t ttl_ms;
    uint64_t cleanup_interval_ms; /* how long a service without members stays known */
    uint32_t guard_percent;
    uint32_t guard_min_leases;
    uint64_t guard_max_ms;
    bool cache_enabled;
    uint64_t cache_expiry_ms;     /* an response unused for so long is freed */
    uint32_t change_log_capacity; /* changes that services-delta can cleanup back; a power of two */
    const char *node_id;          /* of this node, the node of its versions; NULL: "" */
    uint64_t tombstone_ms;        /* how long an unregistered key is remembered; 0: not at all */
};

enum { CHANGE_LOG_CAPACITY = 65536 };

/* What the cached responses of a node may take in memory (see response.h), so that neither kind
 * crowds out the other. What finds no room is built for each who asks. */
enum {
    SERVICE_RESPONSES_BYTES_MAX = 256 * 1024 * 1024,      /* of single services */
    ALL_SERVICES_RESPONSES_BYTES_MAX = 512 * 1024 * 1024, /* with all services */
};

struct registry;

MUST_USE enum error registry_create(const struct registry_options *options, struct moment now,
                                    struct registry **out);
void registry_free(struct registry *registry);

/* --- instances -------------------------------------------------------------------------------- */

/* Registers, changes or renews; takes its own reference. ERR_NO_MEMORY changes nothing. */
MUST_USE enum error registry_register(struct registry *registry, struct instance *instance,
                                      struct moment now);
/* ERR_INSTANCE_NOT_FOUND: unknown, or its lease has ended. */
MUST_USE enum error registry_renew(struct registry *registry, const struct instance_key *key,
                                   struct moment now);
/* An unknown instance counts as done. */
void registry_unregister(struct registry *registry, const struct instance_key *key,
                         struct moment now);

/* --- discovery -------------------------------------------------------------------------------- */

/* The response for one service, the caller's reference. `id` is canonical. ERR_SERVICE_NOT_FOUND,
 * ERR_NO_MEMORY. */
MUST_USE enum error registry_service(struct registry *registry, struct slice id,
                                     enum dialect dialect, bool all_statuses, struct moment now,
                                     struct cached_response **out);
/* The same, but the Service object alone, appended to an response that is being written. */
MUST_USE enum error registry_write_service(struct registry *registry, struct slice id,
                                           enum dialect dialect, bool all_statuses,
                                           struct json_writer *w);
/* The response with all services that have members, of any status. */
MUST_USE enum error registry_services(struct registry *registry, enum dialect dialect,
                                      struct moment now, struct cached_response **out);
/* Appends the response with all changes since a version. ERR_VERSION_GONE, ERR_NO_MEMORY. */
MUST_USE enum error registry_delta(struct registry *registry, uint64_t since, enum dialect dialect,
                                   struct text *out);
/* One instance of a service, by turns or by `random`; the caller's reference.
 * ERR_SERVICE_NOT_FOUND, ERR_INSTANCE_NOT_FOUND (none that fits). */
MUST_USE enum error registry_pick(struct registry *registry, struct slice id, bool all_statuses,
                                  enum lookup_strategy strategy, uint32_t random,
                                  struct instance **out);

/* --- leases ----------------------------------------------------------------------------------- */

/* Evicts what has ended by now, unless a guard holds it. One thread only. */
void registry_expire(struct registry *registry, struct moment now);
/* Frees what nobody asked for in a long time. Call it every second or so, in the thread of
 * registry_expire. */
void registry_cleanup(struct registry *registry, struct moment now);
/* Releases the guard of a service, or of the node and of every service where `id` is empty. Where
 * no guard is on and nothing is guarded there is nothing to release: nothing changes, and that is
 * no error. ERR_SERVICE_NOT_FOUND. */
MUST_USE enum error registry_release_guard(struct registry *registry, struct slice id,
                                           struct moment now);

/* --- what operators see ----------------------------------------------------------------------- */

struct registry_stats {
    uint64_t instances;
    uint64_t services; /* known: with members, or empty for a short time */
    uint64_t revision;
    uint64_t guarded; /* ended, kept by a guard */
    uint64_t guarded_services;
    struct guard node_guard;
    uint64_t change_log_size;
    uint64_t cached_responses;            /* cached, of single services */
    uint64_t cached_response_bytes;       /* of them, with their gzip forms */
    uint64_t all_services_response_bytes; /* of the cached responses with all services, likewise */
    uint64_t tombstones;
    /* since the start */
    uint64_t registered, changed, renewed, unregistered, expired, due, responses_built;
    uint64_t renewed_by_peers, refuted;
};

void registry_stats(struct registry *registry, struct registry_stats *stats);
uint64_t registry_revision(const struct registry *registry);

/* Calls `visit` for each service whose guard is on, or released and not yet back in force. */
typedef void registry_visit_guard(void *context, struct slice service_id, const struct guard *guard,
                                  uint32_t guarded);
void registry_each_guard(struct registry *registry, struct moment now, registry_visit_guard *visit,
                         void *context);

struct lease_view {
    struct instance *instance; /* borrowed for the call */
    uint64_t renewed_ms_ago;
    uint64_t ends_in_ms; /* 0: ended */
    bool guarded;
    uint64_t changed_wall_ms;
};
/* Calls `visit` for each lease of a service, outside of any lock. ERR_SERVICE_NOT_FOUND,
 * ERR_NO_MEMORY. */
typedef void registry_visit_lease(void *context, const struct lease_view *lease);
MUST_USE enum error registry_each_lease(struct registry *registry, struct slice id,
                                        struct moment now, registry_visit_lease *visit,
                                        void *context);

/* Asserts the invariants of every shard; for tests. */
void registry_validate(struct registry *registry);
