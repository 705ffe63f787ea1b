/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/engine.h"

#include <stdlib.h>
#include <sys/random.h>

#include "artemis-server/clock.h"

enum { MS_PER_SEC = 1000 };

static struct registry_options options_of(const struct config *config)
{
    struct registry_options options = {
        .ttl_ms = config->lease.ttl_secs * (uint64_t)MS_PER_SEC,
        .cleanup_interval_ms = config->lease.cleanup_interval_secs * (uint64_t)MS_PER_SEC,
        .guard_percent = config->lease.guard_percent,
        .guard_min_leases = config->lease.guard_min_leases,
        .guard_max_ms = config->lease.guard_max_secs * (uint64_t)MS_PER_SEC,
        .cache_enabled = config->cache.enabled,
        .cache_expiry_ms = config->cache.expiry_secs * (uint64_t)MS_PER_SEC,
        .change_log_capacity = CHANGE_LOG_CAPACITY,
        .node_id = config->server.node_id,
        .tombstone_ms =
            config->cluster.enabled ? config->replication.tombstone_secs * (uint64_t)MS_PER_SEC : 0,
    };
    return options;
}

enum error engine_create(const struct config *config, struct engine **out)
{
    struct engine *engine = calloc(1, sizeof(*engine));
    if (!engine)
        return ERR_NO_MEMORY;
    engine->config = config;
    engine->started = clock_now();
    atomic_init(&engine->state, NODE_STARTING);
    rate_limiter_init(&engine->limiter,
                      config->ratelimit.enabled ? config->ratelimit.requests_per_second : 0,
                      config->ratelimit.burst_size);

    struct registry_options options = options_of(config);
    enum error error = ERR_SYSTEM;
    if (getrandom(&options.hash_seed, sizeof(options.hash_seed), 0) !=
        (ssize_t)sizeof(options.hash_seed))
        goto out;
    error = registry_create(&options, engine->started, &engine->registry);
    if (!error)
        error = lease_thread_start(engine->registry, &engine->leases);
    if (error)
        goto out;
    *out = engine;
    return ERR_NONE;
out:
    engine_free(engine);
    return error;
}

void engine_free(struct engine *engine)
{
    if (!engine)
        return;
    lease_thread_stop(engine->leases);
    registry_free(engine->registry);
    free(engine);
}

void engine_set_state(struct engine *engine, enum node_state state)
{
    atomic_store(&engine->state, state);
}

enum node_state engine_state(const struct engine *engine)
{
    return atomic_load_explicit(&engine->state, memory_order_relaxed);
}

const char *engine_state_word(enum node_state state)
{
    static const char *const words[] = {
        [NODE_STARTING] = "starting",
        [NODE_READY] = "ready",
        [NODE_DRAINING] = "draining",
    };
    return words[state];
}

enum error engine_admit(struct engine *engine, struct moment now)
{
    switch (engine_state(engine)) {
    case NODE_STARTING:
        return ERR_NOT_READY;
    case NODE_DRAINING:
        return ERR_DRAINING;
    case NODE_READY:
        break;
    }
    return rate_limiter_admit(&engine->limiter, now.mono_ms) ? ERR_NONE : ERR_RATE_LIMITED;
}
