/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t node_number(struct slice name)
{
    uint32_t number = 0;
    for (size_t i = 1; i < name.size; i++)
        number = 10 * number + (uint32_t)(name.data[i] - '0');
    return number;
}

uint64_t node_age_ms(const struct sim *sim, const struct sim_node *node)
{
    int64_t passed = (int64_t)(sim->now_ms - node->started_ms);
    return (uint64_t)(passed + passed * node->drift_ppm / 1000000);
}

/* The node's clocks: the monotonic one drifts, the wall clock also jumps. */
struct moment node_now(const struct sim *sim, const struct sim_node *node)
{
    return (struct moment){
        .mono_ms = 5000000 + node_age_ms(sim, node), /* arbitrary start */
        .wall_ms = (uint64_t)((int64_t)1790000000000 + (int64_t)(sim->now_ms - WORLD_EPOCH_MS) +
                              node->wall_offset_ms),
    };
}

uint64_t node_stamps_ms(const struct sim *sim, const struct sim_node *node)
{
    return hlc_to_ms(registry_highest_hlc(node->registry, node_now(sim, node)));
}

static uint64_t clock_ms(const struct sim *sim, const struct sim_node *node)
{
    return registry_clock_ms(node->registry, node_now(sim, node));
}

static uint64_t lag_ms(const struct sim *sim, const struct sim_node *node,
                       uint64_t (*time_ms)(const struct sim *sim, const struct sim_node *node))
{
    uint64_t own_ms = time_ms(sim, node);
    uint64_t highest_ms = own_ms;
    for (uint32_t n = 0; n < sim->node_count; n++) {
        const struct sim_node *other = &sim->nodes[n];
        uint64_t ms = other->running && !other->is_legacy ? time_ms(sim, other) : 0;
        if (!other->running && sim->settings.has_storage && time_ms == node_stamps_ms)
            ms = hlc_to_ms(other->stored.left_hlc); /* it may return with its records */
        if (ms > highest_ms)
            highest_ms = ms;
    }
    return highest_ms - own_ms;
}

uint64_t node_hlc_lag_ms(const struct sim *sim, const struct sim_node *node)
{
    return lag_ms(sim, node, clock_ms);
}

uint64_t node_stamps_lag_ms(const struct sim *sim, const struct sim_node *node)
{
    return lag_ms(sim, node, node_stamps_ms);
}

uint32_t node_for_client(struct sim *sim)
{
    uint32_t first = sim->settings.has_legacy ? 1 : 0;
    uint32_t node;
    do
        node = first + (uint32_t)sim_random(sim, sim->node_count - first);
    while (!is_in(sim->members, node));
    return node;
}

bool node_is_running(const struct sim_node *node)
{
    return node->running && !node->paused;
}

bool node_accepts_calls(const struct sim_node *node)
{
    return node_is_running(node) && !node->is_leaving;
}

void node_put_release(struct sim_node *node, uint64_t clock_ms, struct moment now)
{
    uint64_t until_ms = registry_release_until_ms(node->registry, clock_ms, now);
    if (release_list_put(&node->releases, (struct slice){0}, clock_ms, until_ms, now.mono_ms))
        abort();
    replicator_set_releases(node->replicator, &node->releases);
}

/* --- threads ---------------------------------------------------------------------------------- */

static void on_turn(struct sim *sim, void *context, uint32_t id, uint32_t life);

/* Schedules a turn of the replication thread, unless an earlier one is scheduled. */
static void schedule(struct sim *sim, struct sim_node *node, uint64_t when_ms)
{
    if (when_ms <= sim->now_ms)
        when_ms = sim->now_ms + 1;
    if (node->work_at_ms > sim->now_ms && node->work_at_ms <= when_ms)
        return;
    node->work_at_ms = when_ms;
    sim_at(when_ms, on_turn, NULL, node->id, node->life);
}

static bool has_peer_up(const struct sim *sim, const struct sim_node *node)
{
    for (uint32_t peer = 0; peer < sim->node_count; peer++) {
        struct peer_view view;
        replicator_view(node->replicator, peer, node_now(sim, node), &view);
        if (view.health == PEER_UP)
            return true;
    }
    return false;
}

void node_work(struct sim *sim, struct sim_node *node)
{
    if (!node_is_running(node))
        return;
    struct moment now = node_now(sim, node);
    if (node->was_paused && !has_peer_up(sim, node))
        node->alone_ms = sim->now_ms;
    struct message *message;
    events_for_peers(node);
    replicator_drain_dirty(node->replicator, now);
    while ((message = replicator_next(node->replicator, now)))
        net_send(sim, node, message);
    if (!node->is_ready && replicator_is_ready(node->replicator)) {
        node->is_ready = true;
        node->ready_ms = sim->now_ms;
        sim_log(sim, "%s is ready", node->name);
        store_node_ready(sim, node);
        if (node->stalled_ms)
            lists_node_continues(sim, node);
        else
            lists_node_ready(sim, node);
    }
    uint64_t due_ms = replicator_due_ms(node->replicator, now);
    schedule(sim, node, sim->now_ms + (due_ms - now.mono_ms) + 1);
}

static void on_turn(struct sim *sim, void *context, uint32_t id, uint32_t life)
{
    (void)context;
    struct sim_node *node = &sim->nodes[id];
    if (node->life == life && node->work_at_ms == sim->now_ms)
        node_work(sim, node);
}

static void note_evictions(struct sim *sim, struct sim_node *node)
{
    struct registry_stats stats;
    registry_stats(node->registry, &stats);
    if (stats.evicted != node->evictions)
        oracle_node_evicted(sim, node);
    node->evictions = stats.evicted;
}

/* The lease thread. It does not run while the process is paused. */
static void on_tick(struct sim *sim, void *context, uint32_t id, uint32_t life)
{
    (void)context;
    struct sim_node *node = &sim->nodes[id];
    if (node->life != life)
        return;
    sim_at(sim->now_ms + EXPIRE_TICK_MS, on_tick, NULL, id, life);
    if (!node_is_running(node))
        return;
    registry_tick(node->registry, node_now(sim, node));
    note_evictions(sim, node);
    if (sim->now_ms / EXPIRE_TICK_MS % 10 == 0)
        registry_cleanup(node->registry, node_now(sim, node));
    node_work(sim, node); /* leases may be due */
}

/* --- start and crash -------------------------------------------------------------------------- */

static void on_change(void *context)
{
    (void)context; /* the caller runs node_work */
}

static struct registry_options registry_settings(const struct sim *sim, const struct sim_node *node)
{
    return (struct registry_options){
        .hash_seed = sim->seed * 31 + node->id + '0',
        .ttl_ms = TTL_MS,
        .cleanup_interval_ms = 30000,
        .guard_percent = sim->guarded ? GUARD_PERCENT : 0,
        .guard_min_leases = GUARD_MIN_LEASES,
        .guard_max_ms = sim->settings.guard_max_ms,
        .change_log_capacity = 256,
        .node_id = node->name,
        .max_clock_skew_ms = MAX_CLOCK_SKEW_MS,
        .tombstone_ms = node->is_legacy ? 0 : sim->settings.tombstone_ms,
    };
}

static void create_registry(struct sim *sim, struct sim_node *node)
{
    struct registry_options settings = registry_settings(sim, node);
    store_open(sim, node, &settings);
    if (registry_create(&settings, node_now(sim, node), &node->registry))
        abort();
    store_load(sim, node);
}

static void create_replicator(struct sim *sim, struct sim_node *node)
{
    struct replicator_options options = {
        .batch_size = 4,
        .batch_interval_ms = BATCH_INTERVAL_MS,
        .remote_batch_ms = REMOTE_BATCH_MS,
        .max_retries = 3,
        .anti_entropy_ms = sim->settings.anti_entropy_ms,
        .fetch_max = sim->fetch_max,
        .check_max = sim->check_max,
        .health_interval_ms = HEALTH_INTERVAL_MS,
        .snapshot_timeout_ms = 12 * TIMEOUT_MS,
        .bootstrap_grace_ms = sim->grace_ms,
        .bootstrap_refill_ms = sim->grace_ms ? BOOTSTRAP_REFILL_MS : 0,
        .starts_empty = !node->has_loaded,
        .seed = sim_random(sim, UINT32_MAX) + 1,
    };
    if (store_has_data(node))
        options.bootstrap_grace_ms = options.bootstrap_refill_ms = 0;
    if (replicator_create(&options, node->registry, node_now(sim, node), &node->replicator))
        abort();
    registry_set_dirty_notify(node->registry, on_change, NULL);
}

void node_start(struct sim *sim, struct sim_node *node)
{
    snprintf(node->name, sizeof(node->name), "n%u", node->id);
    node->life++;
    node->running = true;
    node->paused = false;
    node->was_paused = false;
    node->stalled_ms = 0;
    node->continued_ms = 0;
    node->alone_ms = 0;
    node->is_leaving = false;
    node->topology = 0;
    node->evictions = 0;
    memset(&node->releases, 0, sizeof(node->releases));
    memset(node->orders, 0, sizeof(node->orders));
    memset(node->refused_ms, 0, sizeof(node->refused_ms));
    node->is_ready = false;
    node->was_ready = false;
    node->has_loaded = false;
    node->started_ms = sim->now_ms;
    node->work_at_ms = 0;
    node->drift_ppm = (int64_t)sim_random(sim, 2001) - 1000;
    sim_log(sim, "%s starts", node->name);
    events_node_start(sim, node);
    create_registry(sim, node);
    create_replicator(sim, node);
    members_read(sim, node);
    oracle_update_reachability(sim);
    sim_at(sim->now_ms + 1 + sim_random(sim, EXPIRE_TICK_MS), on_tick, NULL, node->id, node->life);
    schedule(sim, node, sim->now_ms + 1);
}

static void end(struct sim *sim, struct sim_node *node, bool is_clean)
{
    struct replicator_stats stats;
    struct registry_stats held;
    registry_validate(node->registry);
    replicator_stats(node->replicator, &stats);
    registry_stats(node->registry, &held);
    sim->counts.refuted += stats.refuted;
    sim->counts.fetched += stats.fetched;
    sim->counts.comparisons += stats.comparisons;
    sim->counts.lists_cut += stats.lists_cut;
    sim->counts.incomplete += stats.incomplete;
    sim->counts.evictions += held.evicted;
    for (uint32_t peer = 0; peer < sim->node_count; peer++) {
        struct peer_view view;
        replicator_view(node->replicator, peer, node_now(sim, node), &view);
        sim->counts.repairs += view.repairs;
        events_check_peer(sim, node, peer, &view);
    }
    events_node_end(sim, node);
    replicator_free(node->replicator);
    store_close(sim, node, is_clean);
    registry_free(node->registry);
    node->replicator = NULL;
    node->registry = NULL;
    node->running = false;
    node->paused = false;
    node->life++;
}

void node_crash(struct sim *sim, struct sim_node *node)
{
    end(sim, node, false);
}

void node_stop(struct sim *sim, struct sim_node *node)
{
    end(sim, node, true);
}
