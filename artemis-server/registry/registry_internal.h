/* SPDX-License-Identifier: Apache-2.0
 *
 * registry_internal - what the files of the registry share. Not for other rooms.
 */
#pragma once

#include <pthread.h>

#include "artemis-server/registry/change_log.h"
#include "artemis-server/registry/hlc.h"
#include "artemis-server/registry/node_id_table.h"
#include "artemis-server/registry/registry_replication.h"
#include "artemis-server/registry/shard.h"

enum { SHARD_BITS = 6, SHARD_COUNT = 1 << SHARD_BITS };

struct locked_shard {
    pthread_mutex_t lock;
    struct shard shard;         /* guarded by lock */
} __attribute__((aligned(64))); /* no two shards' locks in one cache line */

/* A version as a record keeps it: the node by its number. */
struct stored_stamp {
    uint64_t hlc;
    uint16_t node;
};

struct registry {
    struct registry_options options;      /* constant */
    struct guard_settings guard_settings; /* constant */
    struct locked_shard shards[SHARD_COUNT];
    struct change_log log;
    struct node_id_table node_ids;
    _Atomic uint64_t digests[DIGEST_BUCKETS];
    atomic_bool replicating; /* changes and renewals are noted; ended leases wait for the peers */
    registry_changed *notify;
    void *notify_context;
    struct hlc clock;
    struct cache_budget service_responses; /* those that the shards keep */
    struct {
        pthread_mutex_t lock;
        struct guard guard;
    } node_guard;
    struct {
        pthread_mutex_t building; /* guarded by the one that builds; taken before any other lock */
        pthread_mutex_t lock;
        struct cached_response *responses[DIALECT_COUNT];
        struct cache_budget budget;
    } all_services; /* the latest responses with every service */
};

/* Where a service lives: its shard by the upper bits, its place there by the lower. */
struct service_location {
    struct locked_shard *home;
    uint32_t hash;
};
struct service_location registry_locate(struct registry *registry, struct slice service_id);
uint32_t registry_record_hash(const struct registry *registry, struct slice packed_key);

/* Gives a record its version, and the digests theirs. The shard is locked. */
void registry_set_stamp(struct registry *registry, struct record *record,
                        struct stored_stamp stamp);
/* A record is about to leave: the digests forget it. The shard is locked. */
void registry_clear_stamp(struct registry *registry, const struct record *record);
/* As it is now, with a reference. The shard is locked. */
struct key_state registry_key_state(const struct registry *registry, const struct record *record);
static inline bool registry_is_replicating(const struct registry *registry)
{
    return atomic_load_explicit(&registry->replicating, memory_order_relaxed);
}
static inline uint64_t tombstones_until(const struct registry *registry, struct moment since)
{
    return since.mono_ms + registry->options.tombstone_ms;
}
/* Adds a new instance with its version and lease. Takes a tombstone's place where there is one. */
MUST_USE enum error registry_insert(struct registry *registry, struct service_location place,
                                    uint32_t record_hash, struct instance *instance,
                                    struct stored_stamp stamp, uint64_t deadline_ms,
                                    struct moment now, uint32_t *out);
/* Takes an instance out, and leaves a tombstone where those are kept. */
void registry_unregister_record(struct registry *registry, struct shard *shard, uint32_t number,
                                uint32_t record_hash, struct stored_stamp stamp, uint64_t until_ms,
                                struct moment now);
/* Unlocks, wakes who awaits a change, and frees the responses that were evicted_responses under the
 * lock. */
void registry_unlock(struct registry *registry, struct locked_shard *home);

/* Logs a change of a record's service and stamps its new version. The shard is locked. */
void registry_log_change(struct registry *registry, struct shard *shard, uint32_t service,
                         struct instance *instance, enum change_type type, struct moment now);
