/* SPDX-License-Identifier: Apache-2.0
 *
 * The guarantees of docs/REPLICATION.md. Some are checked every second of the virtual world, the
 * others at the end.
 */
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

enum {
    CHECK_INTERVAL_MS = 1000,
    /* A node that changes could reach for this long must have them: the longest backoff, the probe
     * of a peer that was down, two anti-entropy rounds, a TTL and some timeouts. */
    CONVERGENCE_MS = BACKOFF_MAX_MS + DOWN_PROBE_MS + 2 * ANTI_ENTROPY_MS + TTL_MS + 3 * TIMEOUT_MS,
    SNAPSHOT_MS = 8000,
    FORGOTTEN_MS = TIMEOUT_MS + 2000, /* time until an unregistration is on every node */
    CLOCKS_APART_MS = 100,            /* allowed distance: drift and travel times */
};

/* The content of a client's instance at a node; 0: not registered there. */
static uint32_t content_at(struct sim *sim, const struct sim_node *node,
                           const struct sim_client *client)
{
    (void)sim;
    struct instance_key key = client_key(client);
    struct key_state state;
    uint32_t content = 0;
    if (!registry_read_key(node->registry, instance_key_packed(&key), &state))
        return 0;
    if (!state.deleted)
        content = instance_port(state.instance);
    key_state_unref(&state);
    return content;
}

static uint32_t wanted_content(const struct sim_client *client)
{
    return 1 + client->content % 60000;
}

/* Whether this content is allowed at a node. Changes that only a crashed node had are lost, and of
 * two contents the one with the higher stamp wins. */
static bool is_expected(const struct sim_client *client, uint32_t content)
{
    if (client->ack_node_crashed || client->ack_node_isolated || client->ack_node_clock_late)
        return content != 0;
    return content == wanted_content(client);
}

/* --- reachability ----------------------------------------------------------------------------- */

static bool are_connected(const struct sim *sim, uint32_t a, uint32_t b)
{
    return node_is_running(&sim->nodes[a]) && node_is_running(&sim->nodes[b]) &&
           !sim->links[a][b].cut && !sim->links[b][a].cut;
}

static bool is_calm(const struct sim *sim)
{
    return sim->loss_percent == 0 && sim->delay_max_ms <= 500;
}

/* Updates which nodes reach each other over links that work in both directions. Loss and delay
 * count as faults, too. */
static void update_reachability(struct sim *sim)
{
    bool calm = is_calm(sim);
    if (!calm)
        sim->calm_since_ms = 0;
    else if (!sim->calm_since_ms)
        sim->calm_since_ms = sim->now_ms;
    for (uint32_t a = 0; a < sim->node_count; a++) {
        bool reached[NODES_MAX] = {0};
        reached[a] = node_is_running(&sim->nodes[a]) && calm;
        for (uint32_t round = 0; round < sim->node_count; round++)
            for (uint32_t b = 0; b < sim->node_count; b++)
                for (uint32_t c = 0; c < sim->node_count && reached[b]; c++)
                    reached[c] = reached[c] || are_connected(sim, b, c);
        for (uint32_t b = 0; b < sim->node_count; b++) {
            if (!reached[b])
                sim->reaches_since_ms[a][b] = 0;
            else if (!sim->reaches_since_ms[a][b])
                sim->reaches_since_ms[a][b] = sim->now_ms;
        }
    }
}

static bool has_reached(const struct sim *sim, uint32_t from, uint32_t to, uint64_t for_ms)
{
    uint64_t since_ms = sim->reaches_since_ms[from][to];
    return since_ms && sim->now_ms - since_ms >= for_ms;
}

/* A client that changed at an isolated node and renews elsewhere keeps its older content: at the
 * isolated node its lease expired. */
void oracle_node_evicted(struct sim *sim, const struct sim_node *node)
{
    memset(sim->nodes[node->id].stamps, 0, sizeof(node->stamps));
    for (uint32_t i = 0; i < sim->client_count; i++) {
        struct sim_client *client = &sim->clients[i];
        if (client->ack_node == node->id && client->wanted && !content_at(sim, node, client) &&
            !has_reached(sim, node->id, client->node, TTL_MS))
            client->ack_node_isolated = true;
    }
}

/* --- every second ----------------------------------------------------------------------------- */

/* Guarantees 2 and 4: every node that could be reached for long holds an instance that is
 * renewed. */
static void check_live_instances(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->client_count; i++) {
        const struct sim_client *client = &sim->clients[i];
        if (!client_is_steady(sim, client, CONVERGENCE_MS))
            continue;
        for (uint32_t n = 0; n < sim->node_count; n++) {
            const struct sim_node *node = &sim->nodes[n];
            if (!has_reached(sim, client->node, n, CONVERGENCE_MS) ||
                sim->now_ms - node->started_ms < CONVERGENCE_MS)
                continue;
            uint32_t content = content_at(sim, node, client);
            if (!is_expected(client, content))
                sim_fail(sim, "i%u renews at n%u, but %s has its content %u instead of %u", i,
                         client->node, node->name, content, wanted_content(client));
        }
    }
}

/* A record or tombstone is never replaced by an older one. A key that the node no longer has may
 * get an older record. */
static void check_stamps_grow(struct sim *sim, struct sim_node *node)
{
    for (uint32_t i = 0; node->running && i < sim->client_count; i++) {
        struct instance_key key = client_key(&sim->clients[i]);
        struct key_state state;
        if (!registry_read_key(node->registry, instance_key_packed(&key), &state)) {
            node->stamps[i] = 0;
            continue;
        }
        if (state.hlc < node->stamps[i])
            sim_fail(sim, "%s replaced i%u by an older record", node->name, i);
        node->stamps[i] = state.hlc;
        key_state_unref(&state);
    }
}

/* A change that only a crashed node had is lost. A change at a node whose HLC was behind can lose
 * against an older one; then the lease ends it. */
static bool may_be_forgotten(const struct sim_client *client)
{
    return client->ack_node_crashed || client->ack_node_clock_late;
}

/* Guarantee 3, checked where no fault interfered: the time is shorter than a lease, so expiry does
 * not hide a failure. */
static void check_unregistered(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->client_count; i++) {
        const struct sim_client *client = &sim->clients[i];
        if (client->wanted || may_be_forgotten(client) ||
            sim->now_ms - client->ended_ms < FORGOTTEN_MS)
            continue;
        for (uint32_t n = 0; n < sim->node_count; n++)
            if (has_reached(sim, client->ack_node, n, CONVERGENCE_MS) &&
                content_at(sim, &sim->nodes[n], client))
                sim_fail(sim, "i%u unregistered at n%u, but n%u still has it", i, client->ack_node,
                         n);
    }
}

/* Guarantee 5. */
static void check_outbox_sizes(struct sim *sim)
{
    for (uint32_t n = 0; n < sim->node_count; n++) {
        const struct sim_node *node = &sim->nodes[n];
        if (!node->running)
            continue;
        for (uint32_t peer = 0; peer < sim->node_count; peer++) {
            struct peer_view view;
            replicator_view(node->replicator, peer, node_now(sim, node), &view);
            if (view.backlog > sim->client_count)
                sim_fail(sim, "the outbox of %s for n%u has %llu keys for %u instances", node->name,
                         peer, (unsigned long long)view.backlog, sim->client_count);
        }
    }
}

static void on_check(struct sim *sim, void *context, uint32_t a, uint32_t b)
{
    (void)context;
    (void)a;
    (void)b;
    update_reachability(sim);
    check_live_instances(sim);
    check_unregistered(sim);
    for (uint32_t n = 0; n < sim->node_count; n++)
        check_stamps_grow(sim, &sim->nodes[n]);
    check_outbox_sizes(sim);
    sim_at(sim->now_ms + CHECK_INTERVAL_MS, on_check, NULL, 0, 0);
}

void oracle_start(struct sim *sim)
{
    sim_at(sim->now_ms, on_check, NULL, 0, 0);
}

/* A node that becomes ready holds everything that a reachable ready peer has held for a while. */
void oracle_node_ready(struct sim *sim, const struct sim_node *node)
{
    if (sim->calm_since_ms == 0 || sim->calm_since_ms > node->started_ms || node->was_paused)
        return; /* peers whose messages are lost are not waited for; a paused node has old data */
    for (uint32_t p = 0; p < sim->node_count; p++) {
        const struct sim_node *peer = &sim->nodes[p];
        if (p == node->id || !are_connected(sim, p, node->id) || !peer->was_ready ||
            !has_reached(sim, p, p, SNAPSHOT_MS) ||
            sim->now_ms - sim->links[p][node->id].fine_since_ms < SNAPSHOT_MS ||
            sim->now_ms - sim->links[node->id][p].fine_since_ms < SNAPSHOT_MS)
            continue;
        for (uint32_t i = 0; i < sim->client_count; i++) {
            const struct sim_client *client = &sim->clients[i];
            if (client->node != p || client->ack_node_clock_late ||
                !client_is_steady(sim, client, SNAPSHOT_MS) || !content_at(sim, peer, client))
                continue;
            if (!content_at(sim, node, client))
                sim_fail(sim, "%s is ready without i%u, which %s has", node->name, i, peer->name);
        }
    }
}

/* --- at the end ------------------------------------------------------------------------------- */

/* Guarantee 1. */
static void compare_nodes(struct sim *sim)
{
    uint64_t first[DIGEST_BUCKETS];
    uint64_t other[DIGEST_BUCKETS];
    registry_digests(sim->nodes[0].registry, first);
    for (uint32_t n = 1; n < sim->node_count; n++) {
        registry_digests(sim->nodes[n].registry, other);
        for (uint32_t bucket = 0; bucket < DIGEST_BUCKETS; bucket++)
            if (first[bucket] != other[bucket])
                sim_fail(sim, "n0 and n%u differ in bucket %u", n, bucket);
    }
}

/* Guarantees 2 and 3, and expiry. */
static void check_client(struct sim *sim, const struct sim_client *client)
{
    for (uint32_t n = 0; n < sim->node_count; n++) {
        uint32_t content = content_at(sim, &sim->nodes[n], client);
        if (!client->wanted && content)
            sim_fail(sim, "i%u unregistered, but n%u still has it", client->id, n);
        if (client->wanted && client->dead && content)
            sim_fail(sim, "i%u died, but n%u still has it", client->id, n);
        if (client->wanted && !client->dead && !is_expected(client, content))
            sim_fail(sim, "i%u is registered with content %u, but n%u has %u", client->id,
                     wanted_content(client), n, content);
    }
}

void oracle_end(struct sim *sim)
{
    for (uint32_t n = 0; n < sim->node_count; n++) {
        registry_validate(sim->nodes[n].registry);
        if (!replicator_is_ready(sim->nodes[n].replicator))
            sim_fail(sim, "n%u is not ready", n);
        uint64_t late_ms = node_hlc_lag_ms(sim, &sim->nodes[n]);
        if (late_ms > CLOCKS_APART_MS)
            sim_fail(sim, "the HLC of n%u is %llu ms behind", n, (unsigned long long)late_ms);
    }
    for (uint32_t i = 0; i < sim->client_count; i++)
        check_client(sim, &sim->clients[i]);
    compare_nodes(sim);
}
