/* SPDX-License-Identifier: Apache-2.0
 *
 * registry_internal - what the files of the registry share. Not for other rooms.
 */
#pragma once

#include <pthread.h>

#include "artemis-server/registry/change_log.h"
#include "artemis-server/registry/registry.h"
#include "artemis-server/registry/shard.h"

enum { SHARD_BITS = 6, SHARD_COUNT = 1 << SHARD_BITS };

struct locked_shard {
    pthread_mutex_t lock;
    struct shard shard;         /* guarded by lock */
} __attribute__((aligned(64))); /* no two shards' locks in one cache line */

struct registry {
    struct registry_options options;      /* constant */
    struct guard_settings guard_settings; /* constant */
    struct locked_shard shards[SHARD_COUNT];
    struct change_log log;
    _Atomic uint64_t last_stamp;          /* of the hybrid logical clock */
    struct answer_budget service_answers; /* those that the shards keep */
    struct {
        pthread_mutex_t lock;
        struct guard guard;
    } node_guard;
    struct {
        pthread_mutex_t building; /* held by the one that builds; taken before any other lock */
        pthread_mutex_t lock;
        struct answer *answers[DIALECT_COUNT];
        struct answer_budget budget;
    } all_services; /* the latest answers with every service */
};

/* Where a service lives: its shard by the upper bits, its place there by the lower. */
struct service_place {
    struct locked_shard *home;
    uint32_t hash;
};
struct service_place registry_place(struct registry *registry, struct slice service_id);
uint32_t registry_record_hash(const struct registry *registry, struct slice packed_key);

/* Unlocks, and then frees the answers that were dropped under the lock. */
void registry_unlock(struct locked_shard *home);

/* Logs a change of a record's service and stamps its new version. The shard is locked. */
void registry_log_change(struct registry *registry, struct shard *shard, uint32_t service,
                         struct instance *instance, enum change_type type, struct moment now);
