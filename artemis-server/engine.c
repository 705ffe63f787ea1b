/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <xxhash.h>

#include "artemis-server/clock.h"
#include "artemis-server/cluster/providers/member_records.h"
#include "artemis-server/events/cluster_events.h"
#include "artemis-server/log.h"
#include "artemis-server/registry/registry_storage.h"
#include "artemis-server/storage/block_file.h"

enum { MS_PER_SEC = 1000, AUDIT_STOP_MS = 2000, FLUSH_STEP_MS = 50 };

static struct lease_options lease_options_of(const struct config *config)
{
    return (struct lease_options){
        .ttl_ms = config->lease.ttl_secs * (uint64_t)MS_PER_SEC,
        .cleanup_interval_ms = config->lease.cleanup_interval_secs * (uint64_t)MS_PER_SEC,
        .guard_percent = config->lease.guard_percent,
        .guard_min_leases = config->lease.guard_min_leases,
        .guard_max_ms = config->lease.guard_max_secs * (uint64_t)MS_PER_SEC,
    };
}

static struct registry_options options_of(const struct config *config,
                                          const struct storage *storage)
{
    const struct lease_options leases = lease_options_of(config);
    struct storage_bounds bounds = {0};
    if (storage)
        bounds = storage_bounds(storage);
    struct registry_options options = {
        .ttl_ms = leases.ttl_ms,
        .cleanup_interval_ms = leases.cleanup_interval_ms,
        .guard_percent = leases.guard_percent,
        .guard_min_leases = leases.guard_min_leases,
        .guard_max_ms = leases.guard_max_ms,
        .cache_expiry_ms = config->cache.expiry_secs * (uint64_t)MS_PER_SEC,
        .change_log_capacity = CHANGE_LOG_CAPACITY,
        .node_id = config->server.node_id,
        .reserved_service = MEMBER_SERVICE,
        .tombstone_ms =
            config->cluster.enabled ? config->replication.tombstone_secs * (uint64_t)MS_PER_SEC : 0,
        .storing = storage != NULL,
        .hlc_floor = bounds.hlc,
        .max_clock_skew_ms = config->cluster.max_clock_skew_secs * (uint64_t)MS_PER_SEC,
        .revision_floor = bounds.revision,
    };
    return options;
}

static bool replicates(const struct config *config)
{
    return config->cluster.enabled && config->replication.enabled;
}

/* A node that was away has missed evictions of its peers. */
static void evict_loaded(struct engine *engine, bool has_sharer)
{
    uint64_t interval_ms = engine->config->replication.anti_entropy_secs * (uint64_t)MS_PER_SEC;
    uint64_t evicted = storage_evict_loaded(engine->storage, has_sharer, interval_ms, clock_now());
    struct storage_status status;
    if (!evicted)
        return;
    storage_status(engine->storage, &status);
    log_event(LOG_LEVEL_INFO, "loaded instances that no peer holds are evicted",
              LOG_NUMBER("count", evicted), LOG_NUMBER("away_ms", status.away_ms));
}

/* False: a stall has asked for another comparison since that one. */
static bool is_newest(struct engine *engine, uint64_t recompare)
{
    pthread_mutex_lock(&engine->state_lock);
    bool is_newest = engine->recompares == recompare;
    pthread_mutex_unlock(&engine->state_lock);
    return is_newest;
}

/* False: it is not the newest comparison, or the node is draining. */
static bool set_ready(struct engine *engine, uint64_t recompare)
{
    pthread_mutex_lock(&engine->state_lock);
    bool may = engine->recompares == recompare && engine->state == NODE_STARTING;
    if (may)
        atomic_store(&engine->state, NODE_READY);
    pthread_mutex_unlock(&engine->state_lock);
    return may;
}

/* May evict loaded instances first. A node that is draining already stays so. */
static void become_ready(struct engine *engine, uint64_t recompare)
{
    struct replicator_stats stats = {0};
    if (engine->replication)
        replication_thread_stats(engine->replication, &stats);
    bool is_again = atomic_exchange(&engine->was_ready, true);
    if (engine->storage && stats.has_snapshot && stats.snapshot_records && !is_again)
        evict_loaded(engine, stats.has_sharer);
    registry_share_loaded(engine->registry);
    if (engine->storage)
        storage_set_complete(engine->storage);
    if (!set_ready(engine, recompare) || !engine->replication)
        return;
    if (is_again) {
        log_line(LOG_LEVEL_INFO, "ready again after a stall");
        return;
    }
    log_event(LOG_LEVEL_INFO, "ready", LOG_NUMBER("duration_ms", stats.bootstrap_ms),
              LOG_NUMBER("copied_records", stats.snapshot_records));
}

static void on_phase(void *context, enum bootstrap_phase phase, uint64_t recompare)
{
    struct engine *engine = context;
    atomic_store(&engine->refilling, phase == BOOTSTRAP_REFILLING);
    if (phase == BOOTSTRAP_REFILLING)
        log_line(LOG_LEVEL_INFO, "no peer has data; discovery gets 503 until clients have had the "
                                 "time to register again");
    if (phase == BOOTSTRAP_READY && is_newest(engine, recompare))
        become_ready(engine, recompare);
}

/* The list of a peer that is not valid changes nothing. */
static uint64_t on_blocks(void *context, struct slice text)
{
    char message[MESSAGE_BYTES];
    uint64_t hash = 0;
    (void)!engine_merge_blocks(context, text, clock_now(), &hash, message);
    return hash;
}

/* Called by the lease thread. Peers may have accepted newer writes meanwhile, so that a node of a
 * cluster compares itself with them before it serves discovery again. */
static void on_stall(void *context, uint64_t length_ms)
{
    struct engine *engine = context;
    log_line(LOG_LEVEL_WARN,
             "the process did not run for %llu ms; registrations that were queued get 503%s",
             (unsigned long long)length_ms,
             engine->replication ? ", and the node compares itself with its peers" : "");
    if (!engine->replication)
        return;
    pthread_mutex_lock(&engine->state_lock);
    uint64_t number = ++engine->recompares;
    if (engine->state == NODE_READY)
        atomic_store(&engine->state, NODE_STARTING);
    pthread_mutex_unlock(&engine->state_lock);
    replication_thread_recompare(engine->replication, number);
}

static bool has_loaded_data(struct engine *engine)
{
    return engine->storage && storage_has_data(engine->storage);
}

static enum error create_replication_thread(struct engine *engine)
{
    struct replication_thread_options options = {
        .config = engine->config,
        .credentials = engine->peer_credentials,
        .registry = engine->registry,
        .epoch = engine->epoch,
        .events = &engine->event_hub,
        .has_data = has_loaded_data(engine),
        .has_loaded = engine->has_loaded,
        .on_phase = on_phase,
        .blocks = &engine->blocks,
        .on_blocks = on_blocks,
        .context = engine,
    };
    enum error error = replication_thread_create(&options, &engine->replication);
    if (error)
        return error;
    /* The log is first: it reads the ids of members that leave from the status of the peers. */
    cluster_subscribe(&engine->cluster, event_log_on_event, &engine->events);
    cluster_subscribe(&engine->cluster, cluster_events_on_event, &engine->event_hub);
    cluster_subscribe(&engine->cluster, replication_thread_on_topology, engine->replication);
    return error;
}

static enum error start_lease_thread(struct engine *engine)
{
    struct lease_thread_options options = {
        .registry = engine->registry,
        .cache = engine->responses,
        .stall = &engine->stall,
        .events = &engine->event_hub,
        .on_stall = on_stall,
        .context = engine,
    };
    stall_init(&engine->stall, engine->config->lease.ttl_secs * (uint64_t)MS_PER_SEC,
               clock_now().mono_ms);
    return lease_thread_start(&options, &engine->leases);
}

static enum error open_peer_credentials(struct engine *engine, char problem[ENGINE_PROBLEM_BYTES])
{
    struct credential_source source;
    if (!credential_source_of(engine->config, CONFIG_LISTENER_PEER, &source))
        return ERR_NONE;
    return credential_store_open(&source, engine->started, &engine->peer_credentials, problem);
}

void engine_check_credentials(struct engine *engine, bool force, struct moment now)
{
    uint64_t interval_ms = CREDENTIAL_CHECK_SECS * (uint64_t)MS_PER_SEC;
    if (!force && now.mono_ms < engine->credentials_checked_ms + interval_ms)
        return;
    engine->credentials_checked_ms = now.mono_ms;
    credential_store_check(engine->peer_credentials, force, now);
}

static enum error open_storage(struct engine *engine, char problem[ENGINE_PROBLEM_BYTES])
{
    const struct config *config = engine->config;
    char reason[DATABASE_PROBLEM_BYTES];
    enum error error = storage_open(config->storage.data_dir, config->storage.commit_interval_ms,
                                    &engine->storage, reason);
    if (error)
        snprintf(problem, ENGINE_PROBLEM_BYTES, "storage.data_dir: %s", reason);
    return error;
}

static enum error draw_random(struct engine *engine)
{
    uint64_t random[2];
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return ERR_SYSTEM;
    engine->hash_seed = random[0];
    snprintf(engine->epoch, sizeof(engine->epoch), "%016llx", (unsigned long long)random[1]);
    return ERR_NONE;
}

/* Creates the registry and, with storage, loads the stored records into it. */
static enum error create_registry(struct engine *engine, char problem[ENGINE_PROBLEM_BYTES])
{
    const struct config *config = engine->config;
    enum error error = ERR_NONE;
    if (config->storage.data_dir[0])
        error = open_storage(engine, problem);
    if (error)
        return error;
    struct registry_options options = options_of(config, engine->storage);
    options.hash_seed = engine->hash_seed;
    error = registry_create(&options, engine->started, &engine->registry);
    if (error)
        return error;
    if (engine->storage)
        block_file_load(config->storage.data_dir, &engine->blocks);
    engine->provider_node.registry = engine->registry;
    registry_set_quota(engine->registry, config->registry.max_instances_per_service);
    if (!engine->storage)
        return ERR_NONE;
    error = storage_load(engine->storage, engine->registry, options.ttl_ms, engine->started);
    if (error)
        return error;
    struct storage_status status;
    storage_status(engine->storage, &status);
    engine->has_loaded = status.loaded_instances > 0;
    return storage_start(engine->storage);
}

static enum error start_audit(struct engine *engine)
{
    const struct config *config = engine->config;
    const struct audit_options options = {
        .folder = config->storage.data_dir,
        .file_bytes_max = config->audit.max_file_bytes,
        .files_max = config->audit.max_files,
        .node_id = config->server.node_id,
    };
    return audit_start(&options, &engine->audit);
}

enum error engine_create(const struct config *config, struct engine **out,
                         char problem[ENGINE_PROBLEM_BYTES])
{
    problem[0] = '\0';
    struct engine *engine = calloc(1, sizeof(*engine));
    if (!engine) {
        snprintf(problem, ENGINE_PROBLEM_BYTES, "%s", error_info(ERR_NO_MEMORY)->message);
        return ERR_NO_MEMORY;
    }
    engine->config = config;
    pthread_mutex_init(&engine->settings_lock, NULL);
    pthread_mutex_init(&engine->release_lock, NULL);
    pthread_mutex_init(&engine->state_lock, NULL);
    engine->started = clock_now();
    atomic_init(&engine->state, NODE_STARTING);

    engine_init_cluster(engine);

    enum error error = draw_random(engine);
    event_hub_init(&engine->event_hub, config->server.node_id, engine->epoch);
    call_limits_init(&engine->limits, engine->hash_seed);
    call_limits_set(&engine->limits, config);
    if (!error)
        error = auth_init(&engine->auth, config);
    if (!error)
        error = open_peer_credentials(engine, problem);
    if (!error)
        error = create_registry(engine, problem);
    if (!error) /* its folder exists now, and belongs to this process */
        error = start_audit(engine);
    if (!error && replicates(config))
        error = create_replication_thread(engine);
    if (!error)
        error = response_cache_create(
            engine->registry,
            (struct response_cache_settings){.enabled = config->cache.enabled,
                                             .expiry_ms =
                                                 config->cache.expiry_secs * (uint64_t)MS_PER_SEC},
            &engine->responses);
    if (!error)
        error = start_lease_thread(engine);
    if (error)
        goto out;
    *out = engine;
    return ERR_NONE;
out:
    if (!problem[0])
        snprintf(problem, ENGINE_PROBLEM_BYTES, "%s", error_info(error)->message);
    engine_free(engine);
    return error;
}

void engine_reload_limits(struct engine *engine)
{
    const struct config *config = engine->config;
    const struct lease_options leases = lease_options_of(config);
    registry_set_lease_options(engine->registry, &leases);
    stall_set_limit(&engine->stall, leases.ttl_ms);
    call_limits_set(&engine->limits, config);
    registry_set_quota(engine->registry, config->registry.max_instances_per_service);
}

void engine_free(struct engine *engine)
{
    if (!engine)
        return;
    membership_stop(&engine->membership);
    lease_thread_stop(engine->leases); /* it calls the replication thread */
    replication_thread_free(engine->replication);
    engine_store_blocks(engine);
    storage_close(engine->storage);
    registry_free(engine->registry);
    response_cache_free(engine->responses);
    membership_free(&engine->membership);
    cluster_free(&engine->cluster);
    event_log_free(&engine->events);
    blocks_free(&engine->blocks);
    event_hub_free(&engine->event_hub);
    credential_store_close(engine->peer_credentials);
    audit_stop(engine->audit, AUDIT_STOP_MS);
    auth_free(&engine->auth);
    call_limits_free(&engine->limits);
    pthread_mutex_destroy(&engine->settings_lock);
    pthread_mutex_destroy(&engine->release_lock);
    pthread_mutex_destroy(&engine->state_lock);
    free(engine);
}

enum error engine_join(struct engine *engine)
{
    if (!engine->replication) {
        become_ready(engine, 0);
        if (!has_loaded_data(engine))
            log_line(LOG_LEVEL_INFO, "single node starts without data; clients register again "
                                     "after their next heartbeat");
        return ERR_NONE;
    }
    enum error error = membership_start(&engine->membership, &engine->cluster);
    if (error)
        return error;
    error = replication_thread_start(engine->replication);
    if (error)
        membership_stop(&engine->membership);
    return error;
}

void engine_begin_shutdown(struct engine *engine)
{
    engine_set_state(engine, NODE_DRAINING);
    membership_leave(&engine->membership);
}

/* Waits for the peers in steps: a second signal shortens the wait. */
static bool flush(struct engine *engine, uint64_t timeout_ms, uint64_t hurried_ms,
                  const atomic_bool *is_hurried)
{
    uint64_t deadline_ms = clock_now().mono_ms + timeout_ms;
    bool was_hurried = false;
    for (uint64_t now_ms; (now_ms = clock_now().mono_ms) < deadline_ms;) {
        uint64_t left_ms = deadline_ms - now_ms;
        if (!was_hurried && atomic_load(is_hurried) && left_ms > hurried_ms)
            deadline_ms = now_ms + (left_ms = hurried_ms);
        was_hurried = atomic_load(is_hurried);
        if (replication_thread_flush(engine->replication,
                                     left_ms < FLUSH_STEP_MS ? left_ms : FLUSH_STEP_MS))
            return true;
    }
    return false;
}

void engine_leave(struct engine *engine, uint64_t timeout_ms, uint64_t hurried_ms,
                  const atomic_bool *is_hurried)
{
    if (!engine->replication)
        return;
    membership_stop(&engine->membership);
    uint64_t started_ms = clock_now().mono_ms;
    log_line(LOG_LEVEL_INFO, "sending pending changes and a goodbye to the peers");
    if (!flush(engine, timeout_ms, hurried_ms, is_hurried))
        log_event(LOG_LEVEL_WARN,
                  "changes did not reach all peers in time; anti-entropy delivers them",
                  LOG_NUMBER("waited_ms", clock_now().mono_ms - started_ms));
}

struct guard_search {
    struct slice service_id;
    bool is_engaged;
};

static void match_guard(void *context, struct slice service_id, const struct guard *guard,
                        uint32_t guarded)
{
    struct guard_search *search = context;
    (void)guarded;
    if (slice_equal(service_id, search->service_id))
        search->is_engaged = guard->state == GUARD_ENGAGED;
}

bool engine_is_guard_engaged(struct engine *engine, struct slice service_id, struct moment now)
{
    struct guard_search search = {service_id, false};
    struct registry_stats stats;
    registry_stats(engine->registry, &stats);
    if (service_id.size == 0)
        return stats.node_guard.state == GUARD_ENGAGED || stats.engaged_services > 0;
    if (stats.engaged_services == 0)
        return false;
    registry_each_guard(engine->registry, now, match_guard, &search);
    return search.is_engaged;
}

/* Counts a release that is refused. */
static enum error refuse_release(struct engine *engine, enum error error)
{
    atomic_fetch_add_explicit(&engine->releases_refused, 1, memory_order_relaxed);
    return error;
}

enum error engine_release_guard(struct engine *engine, struct slice service_id, struct moment now)
{
    if (!engine->replication)
        return registry_release_guard(engine->registry, service_id, now);
    uint64_t clock_ms = registry_clock_ms(engine->registry, now);
    pthread_mutex_lock(&engine->release_lock);
    enum error error =
        replication_thread_put_release(engine->replication, service_id, clock_ms, now);
    pthread_mutex_unlock(&engine->release_lock);
    if (error)
        return refuse_release(engine, error);
    /* It is put first: a peer may know a service that this node does not. */
    return registry_release_guard(engine->registry, service_id, now);
}

enum error engine_apply_release(struct engine *engine, struct slice service_id, uint64_t clock_ms,
                                struct moment now)
{
    enum error error = ERR_NONE;
    if (!engine->replication || !clock_ms) {
        (void)registry_apply_release(engine->registry, service_id, clock_ms, now);
        return ERR_NONE;
    }
    clock_ms = registry_release_clock_ms(engine->registry, clock_ms, now);
    pthread_mutex_lock(&engine->release_lock);
    if (!replication_thread_can_put_release(engine->replication, service_id, clock_ms, now))
        error = ERR_TOO_MANY_RELEASES;
    else if (registry_apply_release(engine->registry, service_id, clock_ms, now) ||
             service_id.size == 0)
        error = replication_thread_put_release(engine->replication, service_id, clock_ms, now);
    pthread_mutex_unlock(&engine->release_lock);
    return error ? refuse_release(engine, error) : ERR_NONE;
}

uint32_t engine_hash(const struct engine *engine, struct slice value)
{
    return (uint32_t)XXH3_64bits_withSeed(value.data, value.size, engine->hash_seed);
}

void engine_wake_replication(struct engine *engine)
{
    if (engine->replication)
        replication_thread_wake_deferred(engine->replication);
}

void engine_set_state(struct engine *engine, enum node_state state)
{
    pthread_mutex_lock(&engine->state_lock);
    atomic_store(&engine->state, state);
    pthread_mutex_unlock(&engine->state_lock);
}

enum node_state engine_state(const struct engine *engine)
{
    return atomic_load_explicit(&engine->state, memory_order_relaxed);
}

bool engine_drain(struct engine *engine, bool is_drained)
{
    return atomic_exchange(&engine->is_drained, is_drained);
}

bool engine_is_drained(const struct engine *engine)
{
    return atomic_load_explicit(&engine->is_drained, memory_order_relaxed);
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

bool engine_is_recently_started(const struct engine *engine, struct moment now)
{
    return now.mono_ms < engine->started.mono_ms +
                             engine->config->cluster.bootstrap_grace_secs * (uint64_t)MS_PER_SEC;
}

/* A stall has ended, and the lease thread has not run since. */
static bool has_new_stall(const struct engine *engine, struct moment now)
{
    return engine->replication && stall_is_unrecorded(&engine->stall, now.mono_ms);
}

bool engine_may_lack_instances(const struct engine *engine, struct moment now)
{
    if (has_new_stall(engine, now))
        return true;
    return engine_state(engine) == NODE_STARTING &&
           !atomic_load_explicit(&engine->refilling, memory_order_relaxed);
}

enum error engine_admit(struct engine *engine, enum call_kind kind, const struct client *client,
                        struct moment now)
{
    /* A node that is starting knows no peers yet, which would not get an event. */
    bool needs_ready = kind == CALL_DISCOVERY || kind == CALL_EVENT;
    switch (engine_state(engine)) {
    case NODE_STARTING: /* its data is incomplete, but registrations are accepted */
        if (needs_ready)
            return ERR_NOT_READY;
        break;
    case NODE_DRAINING:
        return ERR_DRAINING;
    case NODE_READY:
        if (needs_ready && has_new_stall(engine, now))
            return ERR_NOT_READY;
        break;
    }
    if (!call_limits_are_on(&engine->limits))
        return ERR_NONE;
    return call_limits_admit(&engine->limits, kind, client, now.mono_ms);
}

void engine_describe_limit(struct engine *engine, enum call_kind kind, enum error error,
                           char message[MESSAGE_BYTES])
{
    const struct config *config = engine->config;
    bool is_client = error == ERR_CLIENT_RATE_LIMITED;
    pthread_mutex_lock(&engine->settings_lock);
    if (is_client && kind == CALL_EVENT)
        snprintf(message, MESSAGE_BYTES, "over ratelimit.client_events_per_second = %u",
                 config->ratelimit.client_events_per_second);
    else
        snprintf(message, MESSAGE_BYTES, "over ratelimit.%s = %u (burst %u)",
                 is_client ? "client_requests_per_second" : "requests_per_second",
                 is_client ? config->ratelimit.client_requests_per_second
                           : config->ratelimit.requests_per_second,
                 is_client ? config->ratelimit.client_burst_size : config->ratelimit.burst_size);
    pthread_mutex_unlock(&engine->settings_lock);
}
