/* SPDX-License-Identifier: Apache-2.0
 *
 * The invariants of single instances. Some are checked every virtual second, the others at the end.
 * sim_lists.c checks those of whole lists.
 */
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

enum {
    /* A node that changes could reach for this long must have them: the longest backoff, the probe
     * of a peer that was down, two intervals of anti-entropy, a TTL and some timeouts. */
    CONVERGENCE_MS = BACKOFF_MAX_MS + DOWN_PROBE_MS + 2 * ANTI_ENTROPY_MS + TTL_MS + 3 * TIMEOUT_MS,
    BATCH_TRAVELS = 2 * 4 + 1, /* four messages with their responses, and the one of the renewal */
    FORGOTTEN_MS = TIMEOUT_MS + 2000, /* time until an unregistration is on every node, */
    DETOUR_MS = 2 * ANTI_ENTROPY_MS + TIMEOUT_MS,      /* and longer by way of another node */
    STAMPS_KNOWN_MS = HEALTH_INTERVAL_MS + TIMEOUT_MS, /* a health check, and its repetition */
    /* The promised end of a lease that nobody renews, after its time: a lease check, and another
     * one at a node that took the record over from one that was still checking. A node that was
     * paused, or has just started, begins its check then. */
    CHECKS_APART_MS = 350, /* interval of lease checks, and of the turns of a node */
    LEFTOVER_MS = 2 * (TTL_MS / 3) + LEASE_CHECK_SLACK_MS + 3 * EXPIRE_TICK_MS + CLOCKS_APART_MS,
};

/* The content of a client's instance at a node; 0: not registered there. */
uint32_t content_at(const struct sim_node *node, const struct sim_client *client)
{
    struct instance_key key = client->key;
    struct record_copy state;
    uint32_t content = 0;
    if (!registry_read_key(node->registry, instance_key_packed(&key), &state))
        return 0;
    if (!state.deleted)
        content = instance_port(state.instance);
    record_copy_unref(&state);
    return content;
}

struct record_order oracle_order_at(const struct sim_node *node, const struct sim_client *client)
{
    struct instance_key key = client->key;
    struct record_copy state;
    if (!registry_read_key(node->registry, instance_key_packed(&key), &state))
        return (struct record_order){0};
    struct record_order order = {instance_client_revision(state.instance), {.hlc = state.hlc}};
    record_copy_unref(&state);
    return order;
}

/* The pair of revision and stamp. record_order_compare is not transitive: it compares two steps. */
bool oracle_is_lower(struct record_order a, struct record_order b)
{
    if (a.client_revision != b.client_revision)
        return a.client_revision < b.client_revision;
    return stamp_compare(a.stamp, b.stamp) < 0;
}

static uint32_t wanted_content(const struct sim_client *client)
{
    return 1 + client->content % 60000;
}

/* Clients that send revisions with some of their changes get no promise about their order. */
static bool mixes_revisions(const struct sim *sim)
{
    return sim->settings.revisions_percent % 100 != 0;
}

/* The time in which changes reach every node: also late messages, and each further hop. */
static uint64_t convergence_ms(const struct sim *sim)
{
    uint64_t hops = sim->settings.hops - 1;
    uint64_t late_ms = sim->settings.late_messages_percent ? 3 * TIMEOUT_MS : 0;
    return CONVERGENCE_MS + hops * 2 * ANTI_ENTROPY_MS + late_ms;
}

/* Whether this content is allowed at a node. Changes that only a crashed node had are lost. Of two
 * contents without a revision the one with the higher stamp wins. A change that a node has stored
 * is known to nobody else until the node is back. */
static bool is_expected(const struct sim *sim, const struct sim_client *client,
                        const struct sim_node *node, uint32_t content)
{
    bool is_away = client->ack_node_restarted &&
                   !oracle_has_reached(sim, client->ack_node, node->id, convergence_ms(sim));
    bool is_late = client->ack_node_clock_late && !sim->settings.revisions_percent;
    if (client->ack_node_crashed || client->ack_node_isolated || is_late || is_away ||
        client->revision_forgotten || mixes_revisions(sim))
        return content != 0;
    return content == wanted_content(client);
}

/* --- reachability ----------------------------------------------------------------------------- */

bool oracle_can_ask(const struct sim *sim, uint32_t node, uint32_t other)
{
    return node_is_running(&sim->nodes[node]) && node_is_running(&sim->nodes[other]) &&
           link_works(sim, node, other) && link_works(sim, other, node) &&
           is_in(sim->nodes[node].topology, other);
}

bool oracle_are_connected(const struct sim *sim, uint32_t a, uint32_t b)
{
    return oracle_can_ask(sim, a, b) && is_in(sim->nodes[b].topology, a);
}

static bool is_calm(const struct sim *sim)
{
    return sim->loss_percent == 0 && sim->delay_max_ms <= 500;
}

static void note_since(const struct sim *sim, uint64_t *since_ms, bool is_so)
{
    if (!is_so)
        *since_ms = 0;
    else if (!*since_ms)
        *since_ms = sim->now_ms;
}

/* Whether both nodes know that the link works: a health check that was sent while it was cut ends
 * after its time-out, and the next one follows a second later. */
static bool is_link_noticed(const struct sim *sim, uint32_t a, uint32_t b)
{
    uint64_t since_ms = sim->connected_since_ms[a][b];
    return oracle_are_connected(sim, a, b) && since_ms &&
           sim->now_ms - since_ms >= TIMEOUT_MS + DOWN_PROBE_MS;
}

/* The nodes that changes at this one reach directly. */
static uint64_t noticed_links(const struct sim *sim, uint32_t from)
{
    uint64_t nodes = 0;
    for (uint32_t to = 0; to < sim->node_count && !sim->nodes[from].is_legacy; to++)
        if (is_link_noticed(sim, from, to))
            nodes |= (uint64_t)1 << to;
    return nodes;
}

static void update_reached(struct sim *sim, bool calm)
{
    uint64_t links[NODES_MAX];
    for (uint32_t n = 0; n < sim->node_count; n++)
        links[n] = noticed_links(sim, n);
    for (uint32_t from = 0; from < sim->node_count; from++) {
        bool is_start = node_is_running(&sim->nodes[from]) && calm;
        uint64_t reached = is_start ? (uint64_t)1 << from : 0;
        for (uint64_t before = 0; before != reached;) {
            before = reached;
            for (uint32_t n = 0; n < sim->node_count; n++)
                reached |= is_in(before, n) ? links[n] : 0;
        }
        for (uint32_t to = 0; to < sim->node_count; to++)
            note_since(sim, &sim->reaches_since_ms[from][to], is_in(reached, to));
    }
}

/* Updates which nodes reach each other over links that work in both directions, and are known to.
 * Loss and delay count as faults, too. */
void oracle_update_reachability(struct sim *sim)
{
    bool calm = is_calm(sim);
    if (!calm)
        sim->calm_since_ms = 0;
    else if (!sim->calm_since_ms)
        sim->calm_since_ms = sim->now_ms;
    for (uint32_t a = 0; a < sim->node_count; a++)
        for (uint32_t b = 0; b < sim->node_count; b++) {
            bool is_connected = oracle_are_connected(sim, a, b);
            note_since(sim, &sim->connected_since_ms[a][b], calm && is_connected);
            if (is_connected)
                sim->contact_ms[a][b] = sim->now_ms;
        }
    update_reached(sim, calm);
}

bool oracle_has_reached(const struct sim *sim, uint32_t from, uint32_t to, uint64_t for_ms)
{
    uint64_t since_ms = sim->reaches_since_ms[from][to];
    return since_ms && sim->now_ms - since_ms >= for_ms;
}

/* A client that changed at an isolated node and renews elsewhere keeps its older content: at the
 * isolated node its lease expired. */
void oracle_node_evicted(struct sim *sim, const struct sim_node *node)
{
    memset(sim->nodes[node->id].orders, 0, sizeof(node->orders));
    for (uint32_t i = 0; i < sim->client_count; i++) {
        struct sim_client *client = &sim->clients[i];
        if (client->ack_node == node->id && client->wanted && !content_at(node, client) &&
            !oracle_has_reached(sim, node->id, client->node, TTL_MS))
            client->ack_node_isolated = true;
    }
}

/* --- every second ----------------------------------------------------------------------------- */

static void check_content(struct sim *sim, const struct sim_client *client,
                          const struct sim_node *node)
{
    uint32_t content = content_at(node, client);
    if (is_expected(sim, client, node, content))
        return;
    int id = (int)client->id;
    if (content)
        sim_fail(sim, 7, id, "i%d has content %u of n%u, but %s has %u", id, wanted_content(client),
                 client->ack_node, node->name, content);
    else
        sim_fail(sim, node->held_ms[id] > client->since_ms ? 4 : 2, id,
                 "i%d renews at n%u, but %s lacks it", id, client->node, node->name);
}

/* Invariants 2, 4 and 7: every node that could be reached for long holds an instance that is
 * renewed. */
static void check_live_instances(struct sim *sim)
{
    uint64_t for_ms = convergence_ms(sim);
    for (uint32_t i = 0; i < sim->client_count && !mixes_revisions(sim); i++) {
        const struct sim_client *client = &sim->clients[i];
        if (!client_is_steady(sim, client, for_ms))
            continue;
        for (uint32_t n = 0; n < sim->node_count; n++) {
            const struct sim_node *node = &sim->nodes[n];
            if (!node->is_legacy && oracle_has_reached(sim, client->node, n, for_ms) &&
                sim->now_ms - node->started_ms >= for_ms)
                check_content(sim, client, node);
        }
    }
}

/* The two nodes have reached each other directly for this long. */
static bool are_connected_for(const struct sim *sim, uint32_t a, uint32_t b, uint64_t for_ms)
{
    uint64_t since_ms = sim->connected_since_ms[a][b];
    return since_ms && sim->now_ms - since_ms >= for_ms;
}

/* The age that a lease has at most at another node while its client renews it. The renewal waits
 * for the intervals of the client and of the batch, for the response to the batch before, and for
 * those to batches of 4, 8 and 16 renewals, while the batches grow. */
static uint64_t lease_age_max_ms(const struct sim *sim, uint32_t from, uint32_t to)
{
    bool is_remote = sim->nodes[from].region != sim->nodes[to].region;
    uint64_t batch_ms = BATCH_INTERVAL_MS + (is_remote ? REMOTE_BATCH_MS : 0);
    uint64_t travel_ms = TRAVEL_MS + sim->delay_max_ms + sim->links[from][to].delay_ms;
    return CALL_INTERVAL_MS + batch_ms + BATCH_TRAVELS * travel_ms + 2 * CLOCKS_APART_MS;
}

/* Invariant 4. Otherwise each lease would be checked with all peers. Peers send nothing to a node
 * that leaves. */
static void check_lease_ages(struct sim *sim)
{
    uint64_t for_ms = convergence_ms(sim);
    for (uint32_t i = 0; i < sim->client_count; i++) {
        const struct sim_client *client = &sim->clients[i];
        if (sim->settings.messages_are_late || !client_is_steady(sim, client, for_ms))
            continue;
        for (uint32_t n = 0; n < sim->node_count; n++) {
            const struct sim_node *node = &sim->nodes[n];
            struct record_copy copy;
            if (node->is_legacy || node->is_leaving ||
                !are_connected_for(sim, client->node, n, for_ms) ||
                !registry_read_key(node->registry, instance_key_packed(&client->key), &copy))
                continue;
            uint64_t age_ms = node_now(sim, node).mono_ms - copy.touched_ms;
            uint64_t max_ms = lease_age_max_ms(sim, client->node, n);
            record_copy_unref(&copy);
            if (age_ms > max_ms)
                sim_fail(sim, 4, (int)i, "i%u renews at n%u, but its lease at %s is %llu ms old", i,
                         client->node, node->name, (unsigned long long)age_ms);
        }
    }
}

static void note_held(struct sim *sim, struct sim_node *node)
{
    for (uint32_t i = 0; i < sim->client_count; i++) {
        uint32_t content = node->running ? content_at(node, &sim->clients[i]) : 0;
        bool is_held = content != 0;
        note_since(sim, &node->steady_since_ms[i],
                   is_held && !lists_lease_is_ending(sim, node, &sim->clients[i]));
        if (content != node->contents[i])
            node->contents_since_ms[i] = sim->now_ms;
        node->contents[i] = content;
        if (is_held)
            node->held_ms[i] = sim->now_ms;
        else if (node->running && node->held_ms[i] == sim->now_ms - CHECK_INTERVAL_MS)
            sim_log(sim, "i%u has left %s", i, node->name);
    }
}

/* Invariants 1 and 7. A record or tombstone is never replaced by an older one. Where the client
 * numbers its changes, an earlier change of it has won. A key that the node no longer has may
 * get an older record; where tombstones end early, that can be between two checks. */
static void check_stamps_grow(struct sim *sim, struct sim_node *node)
{
    if (sim->settings.tombstone_ms < FAULTS_MS)
        return;
    for (uint32_t i = 0; node->running && !node->is_legacy && i < sim->client_count; i++) {
        struct record_order order = oracle_order_at(node, &sim->clients[i]);
        if (!order.stamp.hlc) {
            node->orders[i] = order;
            continue;
        }
        uint64_t revision = node->orders[i].client_revision;
        if (order.client_revision < revision)
            sim_fail(sim, 7, (int)i, "%s replaced revision %llu of i%u by %llu", node->name,
                     (unsigned long long)revision, i, (unsigned long long)order.client_revision);
        if (oracle_is_lower(order, node->orders[i]))
            sim_fail(sim, 1, (int)i, "%s replaced i%u by an older record", node->name, i);
        node->orders[i] = order;
    }
}

/* A change that only a crashed node had is lost. A change at a node whose HLC was behind can lose
 * against an older one; then the lease ends it. */
static bool may_be_forgotten(const struct sim_client *client)
{
    return client->ack_node_crashed || client->ack_node_clock_late;
}

/* Health responses carry the highest stamp. While a node does not know it, what it accepts may
 * count as older: is_clock_late excepts that. So nodes that reach each other must know it soon. */
static void check_stamps_are_known(struct sim *sim)
{
    for (uint32_t n = 0; n < sim->node_count; n++)
        for (uint32_t m = 0; m < sim->node_count; m++) {
            const struct sim_node *node = &sim->nodes[n];
            const struct sim_node *other = &sim->nodes[m];
            uint64_t *since_ms = &sim->behind_since_ms[n][m];
            uint64_t apart_ms =
                CLOCKS_APART_MS + sim->links[n][m].delay_ms + sim->links[m][n].delay_ms;
            bool is_behind = !node->is_legacy && !other->is_legacy &&
                             are_connected_for(sim, n, m, PEER_UP_MS) &&
                             node_stamps_ms(sim, node) + apart_ms < node_stamps_ms(sim, other);
            note_since(sim, since_ms, is_behind);
            if (is_behind && sim->now_ms - *since_ms > STAMPS_KNOWN_MS)
                sim_fail(sim, 7, -1, "the stamps of n%u are behind those of n%u for %llu ms", n, m,
                         (unsigned long long)(sim->now_ms - *since_ms));
        }
}

/* After the time of a lease that nobody renews: the promised end, and the time in which it waits
 * for both checks, where one contains few leases. */
static uint64_t leftover_ms(const struct sim *sim)
{
    uint64_t turn = sim->check_max ? CLIENTS_MAX / sim->check_max + 1 : 0;
    return LEFTOVER_MS + 2 * turn * CHECKS_APART_MS;
}

/* Less than a lease ago. */
static bool has_happened(const struct sim *sim, uint64_t ms)
{
    return ms && sim->now_ms - ms < TTL_MS + leftover_ms(sim);
}

/* Where tombstones end early, a node can bring an instance back that was cut off and then away for
 * less than a lease, or whose peers have no record at all. Each node that starts meanwhile, and has
 * it stored too, keeps it for one TTL after its own start (docs/REPLICATION.md). */
static bool may_return(const struct sim *sim, const struct sim_client *client)
{
    return sim->settings.tombstone_ms < FAULTS_MS && has_happened(sim, client->kept_ms);
}

/* Invariant 3. Where no fault interfered, the time is shorter than a lease, so expiry does not hide
 * a failure. Where the direct link was cut, the tombstone goes by another node: two intervals of
 * anti-entropy. */
static void check_unregistered(struct sim *sim)
{
    uint64_t late_ms = sim->settings.late_messages_percent ? 3 * TIMEOUT_MS : 0;
    uint64_t hops_ms = (sim->settings.hops - 1) * 2 * ANTI_ENTROPY_MS;
    uint64_t direct_ms = FORGOTTEN_MS + late_ms + hops_ms;
    for (uint32_t i = 0; i < sim->client_count; i++) {
        const struct sim_client *client = &sim->clients[i];
        uint64_t since_ms = sim->now_ms - client->ended_ms;
        if (client->wanted || may_be_forgotten(client) || mixes_revisions(sim) ||
            since_ms < direct_ms || may_return(sim, client))
            continue;
        for (uint32_t n = 0; n < sim->node_count; n++) {
            const struct sim_node *node = &sim->nodes[n];
            bool is_direct = sim->settings.hops > 1 ||
                             are_connected_for(sim, client->ack_node, n, convergence_ms(sim));
            if (!node->is_legacy && (is_direct || since_ms >= direct_ms + DETOUR_MS) &&
                oracle_has_reached(sim, client->ack_node, n, convergence_ms(sim)) &&
                content_at(node, client))
                sim_fail(sim, 3, (int)i, "i%u unregistered at n%u, but n%u still has it", i,
                         client->ack_node, n);
        }
    }
}

/* A node without a peer that was paused extends its leases, at most to a TTL after the pause. */
static bool extends_leases(const struct sim *sim, const struct sim_node *node)
{
    return node->continued_ms && node->alone_ms >= node->continued_ms &&
           sim->now_ms - node->continued_ms < TTL_MS + leftover_ms(sim);
}

/* The node extends them, or has started since and may have copied them. */
static bool has_extended_leases(const struct sim *sim, const struct sim_node *node)
{
    for (uint32_t n = 0; n < sim->node_count; n++) {
        const struct sim_node *other = &sim->nodes[n];
        bool is_source = other == node || node->started_ms >= other->continued_ms;
        if (is_source && extends_leases(sim, other))
            return true;
    }
    return false;
}

/* Invariant 3: a lease ends one TTL after the last call that any node executed, whatever is in
 * transit. The guard keeps leases longer, and a legacy node sends no ages. A node that is not ready
 * serves nobody, and its comparison may take the record from a node that is still checking. If the
 * HLCs went ahead while a node was paused, because a node with a wrong clock started, the paused
 * node does not know how long the renewals in its sockets were in transit: it counts them from when
 * it continues. Leases that a node has loaded and keeps last for one TTL after its start. */
static void check_ended_leases(struct sim *sim)
{
    if (sim->settings.has_legacy || sim->guarded || has_happened(sim, sim->behind_ms))
        return;
    for (uint32_t i = 0; i < sim->client_count; i++) {
        const struct sim_client *client = &sim->clients[i];
        if (!client->dead || has_happened(sim, client->touched_ms) ||
            has_happened(sim, client->kept_ms))
            continue;
        for (uint32_t n = 0; n < sim->node_count; n++) {
            const struct sim_node *node = &sim->nodes[n];
            if (!node->is_legacy && node->is_ready &&
                oracle_has_reached(sim, n, n, leftover_ms(sim)) &&
                !has_extended_leases(sim, node) && content_at(node, client))
                sim_fail(sim, 3, (int)i,
                         "i%u died, and its last call was %llu ms ago, but n%u "
                         "still has it",
                         i, (unsigned long long)(sim->now_ms - client->touched_ms), n);
        }
    }
}

/* Invariant 5. */
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
                sim_fail(sim, 5, -1, "the outbox of %s for n%u has %llu keys for %u instances",
                         node->name, peer, (unsigned long long)view.backlog, sim->client_count);
            if (view.backlog && view.health == PEER_DOWN && !view.is_tried)
                sim_fail(sim, 5, -1, "the outbox of %s has %llu keys for n%u, which is down",
                         node->name, (unsigned long long)view.backlog, peer);
        }
    }
}

static void on_check(struct sim *sim, void *context, uint32_t a, uint32_t b)
{
    (void)context;
    (void)a;
    (void)b;
    oracle_update_reachability(sim);
    check_live_instances(sim);
    check_lease_ages(sim);
    check_stamps_are_known(sim);
    check_unregistered(sim);
    check_ended_leases(sim);
    lists_check(sim);
    for (uint32_t n = 0; n < sim->node_count; n++) {
        note_held(sim, &sim->nodes[n]);
        check_stamps_grow(sim, &sim->nodes[n]);
        store_check(sim, &sim->nodes[n]);
    }
    check_outbox_sizes(sim);
    sim_at(sim->now_ms + CHECK_INTERVAL_MS, on_check, NULL, 0, 0);
}

void oracle_start(struct sim *sim)
{
    sim_at(sim->now_ms, on_check, NULL, 0, 0);
}

/* --- at the end ------------------------------------------------------------------------------- */

/* Invariants 2, 3 and 7. */
static void check_client(struct sim *sim, const struct sim_client *client)
{
    int id = (int)client->id;
    for (uint32_t n = 0; n < sim->node_count; n++) {
        const struct sim_node *node = &sim->nodes[n];
        if (node->is_legacy || !is_in(sim->members, n))
            continue;
        uint32_t content = content_at(node, client);
        if (!client->wanted && content)
            sim_fail(sim, 3, id, "i%d unregistered, but n%u still has it", id, n);
        if (client->wanted && client->dead && content)
            sim_fail(sim, 3, id, "i%d died, but n%u still has it", id, n);
        if (client->wanted && !client->dead)
            check_content(sim, client, node);
    }
}

void oracle_end(struct sim *sim)
{
    for (uint32_t n = 0; n < sim->node_count; n++) {
        const struct sim_node *node = &sim->nodes[n];
        if (!is_in(sim->members, n))
            continue;
        registry_validate(node->registry);
        if (!replicator_is_ready(node->replicator))
            sim_fail(sim, 0, -1, "n%u is not ready", n);
        uint64_t late_ms = node_hlc_lag_ms(sim, node);
        uint64_t hop_ms = CLOCKS_APART_MS + sim->links[n][(n + 1) % sim->node_count].delay_ms;
        if (late_ms > sim->settings.hops * hop_ms && !node->is_legacy)
            sim_fail(sim, 0, -1, "the HLC of n%u is %llu ms behind", n,
                     (unsigned long long)late_ms);
        uint64_t stamps_late_ms = node_stamps_lag_ms(sim, node);
        if (stamps_late_ms > sim->settings.hops * hop_ms && !node->is_legacy)
            sim_fail(sim, 0, -1, "the stamps of n%u are %llu ms behind", n,
                     (unsigned long long)stamps_late_ms);
    }
    for (uint32_t i = 0; i < sim->client_count; i++)
        check_client(sim, &sim->clients[i]);
    lists_end(sim);
    events_end(sim);
}
