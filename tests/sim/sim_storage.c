/* SPDX-License-Identifier: Apache-2.0
 *
 * The storage of a node: what the engine and the storage thread do with it, and the promises about
 * it: a crash loses nothing that was acknowledged more than a second before.
 */
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

#include "artemis-core/model/stamp.h"
#include "artemis-server/registry/registry_storage.h"
#include "artemis-server/storage/storage.h"

enum { COMMIT_INTERVAL_MS = 200 };

/* --- the storage thread ----------------------------------------------------------------------- */

static void commit(const struct sim *sim, struct sim_node *node, bool is_last)
{
    disk_set_clock(node_now(sim, node));
    storage_commit(node->storage, is_last);
}

static void on_commit(struct sim *sim, void *context, uint32_t id, uint32_t life)
{
    (void)context;
    struct sim_node *node = &sim->nodes[id];
    if (node->life != life)
        return;
    sim_at(sim->now_ms + COMMIT_INTERVAL_MS, on_commit, NULL, id, life);
    if (node_is_running(node) && !disk_is_busy(id))
        commit(sim, node, false);
}

/* --- start and end ---------------------------------------------------------------------------- */

void store_open(struct sim *sim, struct sim_node *node, struct registry_options *options)
{
    char problem[DATABASE_PROBLEM_BYTES];
    if (!sim->settings.has_storage || node->is_legacy)
        return;
    disk_set_clock(node_now(sim, node));
    if (storage_open(node->name, COMMIT_INTERVAL_MS, &node->storage, problem))
        abort();
    struct storage_bounds bounds = storage_bounds(node->storage);
    options->storing = true;
    options->hlc_floor = bounds.hlc;
    options->revision_floor = bounds.revision;
}

/* What the node must have stored is here again. */
static void check_loaded(struct sim *sim, struct sim_node *node)
{
    struct sim_stored *stored = &node->stored;
    if (registry_highest_hlc(node->registry, node_now(sim, node)) < stored->hlc)
        sim_fail(sim, 7, -1, "the stamps of %s are below those of its last process", node->name);
    if (registry_revision(node->registry) < stored->revision)
        sim_fail(sim, 7, -1, "the revisions of %s are below those of its last process", node->name);
    for (uint32_t i = 0; i < sim->client_count; i++) {
        struct record_order required = stored->required[i];
        struct record_order order = oracle_order_at(node, &sim->clients[i]);
        if (required.stamp.hlc && oracle_is_lower(order, required))
            sim_fail(sim, 7, (int)i, "%s has stored i%u with stamp %llu and loads it with %llu",
                     node->name, i, (unsigned long long)required.stamp.hlc,
                     (unsigned long long)order.stamp.hlc);
    }
}

void store_load(struct sim *sim, struct sim_node *node)
{
    if (!node->storage)
        return;
    if (storage_load(node->storage, node->registry, TTL_MS, node_now(sim, node)))
        abort();
    commit(sim, node, false); /* as storage_start does */
    disk_flush(node->id);
    check_loaded(sim, node);
    memset(&node->stored, 0, sizeof(node->stored));
    store_check(sim, node);
    sim_at(sim->now_ms + COMMIT_INTERVAL_MS, on_commit, NULL, node->id, node->life);
    struct storage_status status;
    storage_status(node->storage, &status);
    sim->counts.loaded += status.loaded_instances;
    node->has_loaded = status.loaded_instances > 0;
    for (uint32_t i = 0; i < sim->client_count; i++)
        if (content_at(node, &sim->clients[i]))
            node->held_ms[i] = sim->now_ms;
    node->away_ms = status.is_away_known ? status.away_ms : UINT64_MAX;
    sim_log(sim, "%s loads %llu instances and %llu tombstones", node->name,
            (unsigned long long)status.loaded_instances,
            (unsigned long long)status.loaded_tombstones);
}

bool store_has_data(const struct sim_node *node)
{
    return node->storage && storage_has_data(node->storage);
}

/* After a short time away, a node evicts what a peer has evicted that has held it. */
static void check_evicted(struct sim *sim, const struct sim_node *node, const bool *was_here)
{
    uint64_t epoch = storage_bounds(node->storage).shared.epoch;
    const struct sim_node *sharer = &sim->nodes[epoch >> 32];
    if (node->away_ms > TTL_MS || sharer->life != (uint32_t)epoch)
        return; /* or it has ended after the comparison */
    for (uint32_t i = 0; i < sim->client_count; i++)
        if (was_here[i] && !content_at(node, &sim->clients[i]) &&
            sharer->held_ms[i] < sharer->started_ms)
            sim_fail(sim, 2, (int)i, "%s evicts i%u, which %s has never held", node->name, i,
                     sharer->name);
}

static uint64_t evict_loaded(struct sim *sim, struct sim_node *node, bool has_sharer)
{
    bool was_here[CLIENTS_MAX];
    for (uint32_t i = 0; i < sim->client_count; i++)
        was_here[i] = content_at(node, &sim->clients[i]) != 0;
    uint64_t evicted =
        storage_evict_loaded(node->storage, has_sharer, ANTI_ENTROPY_MS, node_now(sim, node));
    check_evicted(sim, node, was_here);
    return evicted;
}

/* The leases that end one time-to-live after the start, because nobody has renewed them, and no
 * peer has sent when they end. */
static void note_kept(struct sim *sim, const struct sim_node *node)
{
    for (uint32_t i = 0; i < sim->client_count; i++) {
        struct sim_client *client = &sim->clients[i];
        struct instance_key key = client->key;
        struct record_copy state;
        if (!registry_read_key(node->registry, instance_key_packed(&key), &state))
            continue;
        bool is_kept = !state.deleted && state.lease_state != LEASE_ACTIVE;
        if (is_kept && client->kept_ms < node->started_ms)
            client->kept_ms = node->started_ms;
        record_copy_unref(&state);
    }
}

/* As the engine does. */
void store_node_ready(struct sim *sim, struct sim_node *node)
{
    struct replicator_stats stats;
    if (!node->storage || node->was_ready)
        return;
    node->was_ready = true;
    replicator_stats(node->replicator, &stats);
    bool has_list = stats.has_snapshot && stats.snapshot_records;
    uint64_t evicted = has_list ? evict_loaded(sim, node, stats.has_sharer) : 0;
    sim_log(sim, "%s was away for %lld ms%s, and evicts %llu loaded instances", node->name,
            (long long)node->away_ms, has_list ? "" : " and has no snapshot",
            (unsigned long long)evicted);
    sim->counts.loaded_evicted += evicted;
    registry_share_loaded(node->registry);
    storage_set_complete(node->storage);
    if (has_list && node->away_ms > TTL_MS)
        lists_node_returns(sim, node);
    note_kept(sim, node);
}

bool store_has_committed(const struct sim *sim, const struct sim_node *node, uint64_t since_ms)
{
    uint64_t trouble_ms = disk_trouble_ms(node->id);
    uint64_t until_ms = trouble_ms < sim->now_ms ? trouble_ms : sim->now_ms;
    return node->storage && since_ms + STORED_MS <= until_ms && !node->paused &&
           (!node->continued_ms || sim->now_ms - node->continued_ms >= STORED_MS);
}

static bool is_same(struct record_order a, struct record_order b)
{
    return a.client_revision == b.client_revision && a.stamp.hlc == b.stamp.hlc;
}

static uint64_t evictions(const struct sim_node *node)
{
    struct registry_stats stats;
    registry_stats(node->registry, &stats);
    return stats.evicted;
}

/* No stamp up to it may be issued again. If a clock that is ahead has moved the stamps further than
 * a bound is ahead, the next commit may be lost. */
static uint64_t used_hlc(const struct sim *sim, const struct sim_node *node, bool is_clean)
{
    enum { BOUND_HOLDS_MS = 4000 };
    const struct sim_stored *stored = &node->stored;
    uint64_t highest = registry_highest_hlc(node->registry, node_now(sim, node));
    bool is_steady = stored->earlier_highest &&
                     hlc_to_ms(highest) - hlc_to_ms(stored->earlier_highest) < BOUND_HOLDS_MS;
    return is_clean || is_steady ? highest : stored->earlier_hlc;
}

/* What has not changed for a second. An instance that was evicted and has returned since may be
 * lost. */
static void require(struct sim *sim, struct sim_node *node, bool is_clean)
{
    struct sim_stored *stored = &node->stored;
    bool has_evicted = evictions(node) != stored->earlier_evicted;
    for (uint32_t i = 0; i < sim->client_count; i++) {
        struct record_order order = oracle_order_at(node, &sim->clients[i]);
        bool is_old =
            !has_evicted && is_same(order, stored->recent[i]) && is_same(order, stored->earlier[i]);
        if (is_clean || is_old)
            stored->required[i] = order;
    }
    stored->hlc = used_hlc(sim, node, is_clean);
    stored->revision = registry_revision(node->registry);
}

void store_close(struct sim *sim, struct sim_node *node, bool is_clean)
{
    if (!node->storage)
        return;
    memset(node->stored.required, 0, sizeof(node->stored.required));
    node->stored.hlc = node->stored.revision = 0;
    if (store_has_committed(sim, node, node->started_ms) || is_clean)
        require(sim, node, is_clean);
    if (is_clean) {
        commit(sim, node, true);
        disk_flush(node->id);
    } else {
        disk_crash(node->id);
    }
    storage_close(node->storage); /* its thread does not run, so it commits nothing */
    node->storage = NULL;
}

void store_check(struct sim *sim, struct sim_node *node)
{
    if (!node->storage || !node_is_running(node))
        return;
    struct sim_stored *stored = &node->stored;
    for (uint32_t i = 0; i < sim->client_count; i++) {
        uint64_t hlc = oracle_order_at(node, &sim->clients[i]).stamp.hlc;
        if (stored->left_hlc < hlc)
            stored->left_hlc = hlc;
    }
    if (disk_trouble_ms(node->id) <= sim->now_ms)
        return; /* only what has not changed since before is required */
    memcpy(stored->earlier, stored->recent, sizeof(stored->earlier));
    stored->earlier_hlc = stored->recent_hlc;
    stored->earlier_highest = stored->recent_highest;
    stored->recent_highest = registry_highest_hlc(node->registry, node_now(sim, node));
    stored->earlier_evicted = stored->recent_evicted;
    stored->recent_evicted = evictions(node);
    stored->recent_hlc = stored->left_hlc;
    for (uint32_t i = 0; i < sim->client_count; i++)
        stored->recent[i] = oracle_order_at(node, &sim->clients[i]);
}
