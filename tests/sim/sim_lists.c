/* SPDX-License-Identifier: Apache-2.0
 *
 * The invariants of the lists that nodes serve: 1, 6 and 8.
 */
#include "tests/sim/sim.h"

enum {
    /* Two intervals, and one message that is repeated. */
    AGREE_MS = 2 * ANTI_ENTROPY_MS + TIMEOUT_MS,
    /* A lease of this age is in its lease check at some nodes, and evicted at others. */
    ENDING_FROM_MS = TTL_MS - 1000,
    ENDING_UNTIL_MS = TTL_MS + TTL_MS / 3 + 2000,
    /* A second, a lease check, and what is in transit meanwhile. */
    RELEASED_MS = 1000,                 /* messages over four hops, and ticks */
    STARTING_MS = DOWN_PROBE_MS + 1000, /* its peers have seen that a node is ready */
    /* A comparison that old is repeated, and its messages take as long again. */
    COMPARED_MS = 2000,
    /* A peer is out of reach: a health check that began just before fails. */
    NOTICED_MS = CHECK_INTERVAL_MS + DOWN_PROBE_MS + 2 * TIMEOUT_MS,
    SEARCH_MS = REREGISTER_MS - BOOTSTRAP_REFILL_MS, /* the first part of the grace */
    GUARDS_END_MS = 1000 + TTL_MS / 3 + 500 + 2 * TIMEOUT_MS,
};

static bool serves(const struct sim_node *node)
{
    return node_is_running(node) && node->is_ready && !node->is_legacy;
}

/* --- invariant 8 ------------------------------------------------------------------------------ */

/* The lists of two nodes that reach each other differ in this instance for too long. */
static void check_pair(struct sim *sim, uint32_t n, uint32_t m, const struct sim_client *client)
{
    uint64_t *since_ms = &sim->differs_since_ms[n][m][client->id];
    uint32_t a = content_at(&sim->nodes[n], client);
    uint32_t b = content_at(&sim->nodes[m], client);
    if (a == b || sim->now_ms - client->changed_ms < PEER_UP_MS) {
        *since_ms = 0;
        return;
    }
    if (!*since_ms)
        *since_ms = sim->now_ms;
    if (sim->now_ms - *since_ms > AGREE_MS)
        sim_fail(sim, 8, (int)client->id, "i%u has content %u at n%u and %u at n%u for %llu ms",
                 client->id, a, n, b, m, (unsigned long long)(sim->now_ms - *since_ms));
}

static bool is_pair_up(const struct sim *sim, uint32_t n, uint32_t m)
{
    uint64_t since_ms = sim->connected_since_ms[n][m];
    return serves(&sim->nodes[n]) && serves(&sim->nodes[m]) && since_ms &&
           sim->now_ms - since_ms >= PEER_UP_MS;
}

static void check_pairs(struct sim *sim)
{
    for (uint32_t n = 0; n < sim->node_count; n++)
        for (uint32_t m = n + 1; m < sim->node_count; m++)
            for (uint32_t i = 0; i < sim->client_count; i++)
                if (is_pair_up(sim, n, m))
                    check_pair(sim, n, m, &sim->clients[i]);
                else
                    sim->differs_since_ms[n][m][i] = 0;
}

/* --- invariant 3 ------------------------------------------------------------------------------ */

/* Nodes do not keep leases for each other when no guard is engaged any more. */
static void check_guards_end(struct sim *sim)
{
    for (uint32_t n = 0; n < sim->node_count; n++) {
        struct sim_node *node = &sim->nodes[n];
        struct registry_stats stats = {0};
        if (node->running)
            registry_stats(node->registry, &stats);
        if (stats.node_guard.state == GUARD_ENGAGED || stats.engaged_services || stats.loaded ||
            node->paused)
            sim->engaged_ms = sim->now_ms;
        if (!stats.guarded)
            node->guards_since_ms = 0;
        else if (!node->guards_since_ms)
            node->guards_since_ms = sim->now_ms;
    }
    for (uint32_t n = 0; n < sim->node_count; n++) {
        const struct sim_node *node = &sim->nodes[n];
        if (node->guards_since_ms && sim->now_ms - node->guards_since_ms > GUARDS_END_MS &&
            sim->now_ms - sim->engaged_ms > GUARDS_END_MS)
            sim_fail(sim, 3, -1, "%s guards leases, although no guard is engaged for %llu ms",
                     node->name, (unsigned long long)(sim->now_ms - sim->engaged_ms));
    }
}

/* A release has no effect at a node that is just starting and has no guarded lease yet. It gets the
 * release again when its peers see that it is ready, unless the release has ended by then. */
static bool knows_release(const struct sim *sim, const struct sim_node *node)
{
    uint64_t seen_ms = node->ready_ms + STARTING_MS;
    uint64_t since_ms = seen_ms > sim->released_ms ? seen_ms : sim->released_ms;
    return since_ms < sim->released_ms + TTL_MS && sim->now_ms >= since_ms + RELEASED_MS;
}

/* What had ended when an operator released the guards has left every node, for good. */
static void check_release(struct sim *sim)
{
    if (!sim->released_ms)
        return;
    for (uint32_t i = 0; i < sim->client_count; i++) {
        const struct sim_client *client = &sim->clients[i];
        if (!client->dead || client->touched_ms + TTL_MS > sim->released_ms)
            continue;
        for (uint32_t n = 0; n < sim->node_count; n++)
            if (serves(&sim->nodes[n]) && knows_release(sim, &sim->nodes[n]) &&
                content_at(&sim->nodes[n], client))
                sim_fail(sim, 3, (int)i, "n%u serves i%u %llu ms after the release of its guard", n,
                         i, (unsigned long long)(sim->now_ms - sim->released_ms));
    }
}

void lists_check(struct sim *sim)
{
    check_release(sim);
    check_pairs(sim);
    check_guards_end(sim);
}

/* --- invariant 6 ------------------------------------------------------------------------------ */

/* A peer that the node could copy from since long before it was ready. */
static bool is_source(const struct sim *sim, const struct sim_node *node, uint32_t p)
{
    /* Long enough for the round trips of a snapshot and of a comparison. */
    uint64_t for_ms = SNAPSHOT_MS + 8 * sim->links[node->id][p].delay_ms;
    return p != node->id && serves(&sim->nodes[p]) &&
           sim->now_ms - sim->nodes[p].ready_ms >= for_ms && oracle_can_ask(sim, node->id, p) &&
           oracle_has_reached(sim, p, p, for_ms) && node->listed_since_ms[p] <= node->started_ms &&
           sim->now_ms - sim->links[p][node->id].fine_since_ms >= for_ms &&
           sim->now_ms - sim->links[node->id][p].fine_since_ms >= for_ms;
}

static bool is_ending(const struct sim *sim, const struct sim_node *node,
                      const struct record_copy *copy)
{
    uint64_t age_ms = node_now(sim, node).mono_ms - copy->touched_ms;
    return age_ms > ENDING_FROM_MS && age_ms < ENDING_UNTIL_MS;
}

bool lists_lease_is_ending(const struct sim *sim, const struct sim_node *node,
                           const struct sim_client *client)
{
    struct instance_key key = client->key;
    struct record_copy copy;
    if (!registry_read_key(node->registry, instance_key_packed(&key), &copy))
        return false;
    bool ending = is_ending(sim, node, &copy);
    record_copy_unref(&copy);
    return ending;
}

/* The node serves the instance, and its lease is not about to end. Sets *is_kept if it is not about
 * to be evicted either: a lease that every node guards for its peers alone is evicted as soon as
 * they have asked each other. */
static bool serves_steadily(const struct sim *sim, const struct sim_node *node,
                            const struct sim_client *client, bool *is_kept)
{
    struct instance_key key = client->key;
    struct record_copy state;
    if (!registry_read_key(node->registry, instance_key_packed(&key), &state))
        return false;
    bool is_served = !state.deleted && !is_ending(sim, node, &state);
    *is_kept |= state.lease_state == LEASE_ACTIVE || state.lease_state == LEASE_CONFIRMING ||
                state.lease_state == LEASE_GUARDED;
    record_copy_unref(&state);
    return is_served;
}

/* The peer has served the instance since the node started, or since it is ready itself. A lease
 * that was about to end at the peer may have ended at the node, which had it from there, before a
 * renewal reached the peer. */
static bool has_served(const struct sim *sim, const struct sim_node *node,
                       const struct sim_node *peer, const struct sim_client *client, bool *is_kept)
{
    uint64_t from_ms = node->started_ms;
    uint64_t since_ms = peer->steady_since_ms[client->id];
    if (!is_source(sim, node, peer->id) && from_ms < peer->ready_ms + CHECK_INTERVAL_MS)
        from_ms = peer->ready_ms + CHECK_INTERVAL_MS;
    return since_ms && since_ms <= from_ms && serves_steadily(sim, peer, client, is_kept);
}

/* The node's record of the client's instance is missing, or older than that of another node. */
static bool is_replaced(const struct sim_node *node, const struct sim_node *by,
                        const struct sim_client *client)
{
    struct instance_key key = client->key;
    struct record_order orders[2] = {0};
    const struct sim_node *nodes[2] = {node, by};
    struct record_copy copies[2] = {0};
    for (int i = 0; i < 2; i++)
        if (registry_read_key(nodes[i]->registry, instance_key_packed(&key), &copies[i]))
            orders[i] = (struct record_order){instance_client_revision(copies[i].instance),
                                              record_copy_stamp(&copies[i])};
    bool is_older = record_order_compare(orders[0], orders[1]) < 0;
    for (int i = 0; i < 2; i++)
        record_copy_unref(&copies[i]);
    return is_older;
}

/* Every ready peer in reach has served the instance, and a source keeps it. The node copies the
 * list of one of them, whichever that is, also if it is ready for a moment only. Where the node has
 * a later unregistration, the peer does not know it yet. */
static bool is_served_by_all(const struct sim *sim, const struct sim_node *node,
                             const struct sim_client *client)
{
    bool is_kept = false;
    for (uint32_t p = 0; p < sim->node_count; p++) {
        const struct sim_node *peer = &sim->nodes[p];
        bool is_kept_here = false;
        if (p == node->id || !serves(peer) || !oracle_can_ask(sim, node->id, p))
            continue;
        if (!has_served(sim, node, peer, client, &is_kept_here) || is_replaced(peer, node, client))
            return false;
        is_kept |= is_kept_here && is_source(sim, node, p);
    }
    return is_kept;
}

static void check_ready(struct sim *sim, const struct sim_node *node)
{
    for (uint32_t i = 0; i < sim->client_count; i++) {
        const struct sim_client *client = &sim->clients[i];
        /* Without a guard only a message that was late renews an ended lease; invariant 3 is about
         * that. */
        bool has_ended =
            client->dead && !sim->guarded && sim->now_ms - client->touched_ms >= TTL_MS;
        bool is_steady = client->dead || (client_is_steady(sim, client, SNAPSHOT_MS) &&
                                          is_source(sim, node, client->node));
        if (!is_steady || has_ended || client->ack_node_clock_late ||
            sim->now_ms - client->changed_ms < SNAPSHOT_MS || content_at(node, client) ||
            !is_served_by_all(sim, node, client))
            continue;
        sim_fail(sim, 6, (int)i, "%s is ready without i%u, which every living node has", node->name,
                 i);
    }
}

/* A ready peer ends the grace, although it may have been isolated until now. So does one that has
 * sent its snapshot and cannot be reached any more. */
static bool has_ready_peer(const struct sim *sim, const struct sim_node *node)
{
    struct replicator_stats stats;
    replicator_stats(node->replicator, &stats);
    if (stats.has_snapshot)
        return true;
    for (uint32_t p = 0; p < sim->node_count; p++)
        if (p != node->id && serves(&sim->nodes[p]) && oracle_are_connected(sim, p, node->id))
            return true;
    return false;
}

/* A node that starts takes a peer that is starting too for one without data. If messages between
 * the two are lost meanwhile, it may miss what clients register there (docs/REPLICATION.md), unless
 * it has noticed in the first part of the grace that the peer is out of reach. */
static bool may_miss(const struct sim *sim, const struct sim_node *node, uint32_t peer)
{
    uint64_t contact_ms = sim->contact_ms[node->id][peer];
    uint64_t since_ms = sim->connected_since_ms[node->id][peer];
    bool is_noticed = contact_ms < node->started_ms || (sim->now_ms - contact_ms >= NOTICED_MS &&
                                                        node_age_ms(sim, node) < SEARCH_MS);
    uint64_t started_ms = node->started_ms > sim->nodes[peer].started_ms
                              ? node->started_ms
                              : sim->nodes[peer].started_ms;
    bool is_undisturbed = since_ms && since_ms <= started_ms + CHECK_INTERVAL_MS;
    return peer != node->id && !is_noticed && !is_undisturbed;
}

/* A node that reaches no peer with data is not ready before its grace ends. */
static void check_cold_start(struct sim *sim, const struct sim_node *node)
{
    if (node_age_ms(sim, node) >= REREGISTER_MS)
        return;
    for (uint32_t i = 0; i < sim->client_count; i++) {
        const struct sim_client *client = &sim->clients[i];
        if (client_is_steady(sim, client, SNAPSHOT_MS) && !content_at(node, client) &&
            !may_miss(sim, node, client->node))
            sim_fail(sim, 6, (int)i,
                     "%s is ready %llu ms after its start, without i%u, which is "
                     "alive",
                     node->name, (unsigned long long)(sim->now_ms - node->started_ms), i);
    }
}

/* Clients had the time to register again at a node that becomes ready without data. */
static void check_refused(struct sim *sim, const struct sim_node *node)
{
    for (uint32_t i = 0; i < sim->client_count; i++) {
        const struct sim_client *client = &sim->clients[i];
        uint64_t refused_ms = node->refused_ms[i];
        bool is_alive = client->wanted && !client->dead && !client->is_leaving;
        if (is_alive && refused_ms && sim->now_ms - refused_ms < TTL_MS / 3 &&
            client->touched_ms <= refused_ms && !content_at(node, client))
            sim_fail(sim, 6, (int)i, "%s is ready without i%u, whose heartbeat got 503 %llu ms ago",
                     node->name, i, (unsigned long long)(sim->now_ms - refused_ms));
    }
}

void lists_node_ready(struct sim *sim, const struct sim_node *node)
{
    if (node->is_legacy)
        return;
    if (sim->settings.is_cold && !node->has_loaded && !has_ready_peer(sim, node)) {
        check_cold_start(sim, node);
        check_refused(sim, node);
    }
    if (sim->calm_since_ms == 0 || sim->calm_since_ms > node->started_ms || node->was_paused)
        return; /* peers whose messages are lost are not waited for; a paused node has old data */
    check_ready(sim, node);
}

static bool was_gone(const struct sim_node *node, const struct sim_client *client, uint64_t ms)
{
    return node->held_ms[client->id] + CHECK_INTERVAL_MS < ms &&
           !(node->running && content_at(node, client));
}

/* A node that was away for longer than a lease brings nothing back that no other node serves: it
 * may have been unregistered longer ago than tombstones are kept. */
void lists_node_returns(struct sim *sim, const struct sim_node *node)
{
    for (uint32_t i = 0; i < sim->client_count; i++) {
        const struct sim_client *client = &sim->clients[i];
        bool is_gone = (!client->wanted || client->dead) && client->touched_ms < node->started_ms;
        for (uint32_t n = 0; n < sim->node_count; n++)
            is_gone &= n == node->id || was_gone(&sim->nodes[n], client, node->started_ms);
        if (is_gone && content_at(node, client))
            sim_fail(sim, 3, (int)i, "%s was away for %llu ms and brings i%u back", node->name,
                     (unsigned long long)node->away_ms, i);
    }
}

/* After a stall a node does not serve what its peers have replaced meanwhile. It may be the only
 * one that still has the last change: if that was made at a node that was cut off, and its lease
 * ended there. Then its peers take it over. What another node that continues gives to a peer after
 * the comparison with that peer is not known here yet. */
void lists_node_continues(struct sim *sim, const struct sim_node *node)
{
    for (uint32_t i = 0; i < sim->client_count && !node->is_legacy; i++) {
        const struct sim_client *client = &sim->clients[i];
        if (!sim->calm_since_ms || !client_is_steady(sim, client, SNAPSHOT_MS) ||
            sim->now_ms - client->changed_ms < SNAPSHOT_MS || client->ack_node_clock_late ||
            !is_source(sim, node, client->node))
            continue;
        const struct sim_node *other = &sim->nodes[client->node];
        uint32_t own_content = content_at(node, client);
        uint32_t content = content_at(other, client);
        bool is_compared = content == other->contents[i] &&
                           sim->now_ms - other->contents_since_ms[i] >= COMPARED_MS;
        if (own_content != content && is_compared && is_replaced(node, other, client))
            sim_fail(sim, 6, (int)i, "%s serves i%u with content %u after its stall, n%u with %u",
                     node->name, i, own_content, client->node, content);
    }
}

/* The guard of the node itself keeps the lease. */
static bool guards(const struct sim_node *node, const struct sim_client *client)
{
    struct instance_key key = client->key;
    struct record_copy state;
    if (!serves(node) || !registry_read_key(node->registry, instance_key_packed(&key), &state))
        return false;
    bool is_guarded = state.lease_state == LEASE_GUARDED;
    record_copy_unref(&state);
    return is_guarded;
}

/* A new node would guard what this one does: without the evictions of the last time-to-live, which
 * a node that restarts does not count, the renewed share is low too. */
static bool is_low_without_evictions(const struct sim_node *node)
{
    struct registry_stats stats;
    registry_stats(node->registry, &stats);
    uint32_t leases = stats.node_guard.renewed + (uint32_t)stats.guarded;
    return leases >= GUARD_MIN_LEASES &&
           stats.node_guard.renewed * 100 < leases * (uint32_t)GUARD_PERCENT;
}

void lists_restarts_begin(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->client_count; i++) {
        sim->guarded_before[i] = true;
        for (uint32_t n = 0; n < sim->node_count; n++)
            sim->guarded_before[i] &= guards(&sim->nodes[n], &sim->clients[i]) &&
                                      is_low_without_evictions(&sim->nodes[n]);
    }
}

/* Nothing is lost, although each node started with what the others have. */
void lists_restarts_end(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->client_count; i++) {
        const struct sim_client *client = &sim->clients[i];
        uint64_t end_ms = client->touched_ms + TTL_MS + sim->settings.guard_max_ms;
        for (uint32_t n = 0; n < sim->node_count && sim->now_ms < end_ms; n++)
            if (sim->guarded_before[i] && !guards(&sim->nodes[n], client))
                sim_fail(sim, 6, (int)i, "%s does not guard i%u after the restarts",
                         sim->nodes[n].name, i);
    }
}

/* --- invariant 1 ------------------------------------------------------------------------------ */

void lists_end(struct sim *sim)
{
    uint64_t first[DIGEST_BUCKETS];
    uint64_t other[DIGEST_BUCKETS];
    uint32_t from = sim->nodes[0].is_legacy ? 1 : 0;
    while (!is_in(sim->members, from))
        from++;
    registry_digests(sim->nodes[from].registry, first);
    for (uint32_t n = from + 1; n < sim->node_count; n++) {
        if (!is_in(sim->members, n))
            continue;
        registry_digests(sim->nodes[n].registry, other);
        for (uint32_t bucket = 0; bucket < DIGEST_BUCKETS; bucket++)
            if (first[bucket] != other[bucket])
                sim_fail(sim, 1, -1, "n%u and n%u differ in bucket %u", from, n, bucket);
    }
}
