/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is in the cluster. A membership provider has the list of members; each node reads it when it
 * starts, and gets each change of it after a delay of its own, which is long sometimes: until then
 * its topology is the one before. A node that joins has a new name and no data. One that leaves in
 * order sends what is pending before it stops; the provider removes it before or after that. One
 * that dies is removed when it has been silent for a while, and another node takes its place.
 */
#include "tests/sim/sim.h"

enum {
    DELAY_MS = 2000, /* of a change at a node, at most */
    LONG_DELAY_MS = 15000,
    LONG_DELAY_PERCENT = 5,
    LEAVE_MS = 5000, /* a node that leaves stops by then at the latest */
    LEAVE_POLL_MS = 20,
    LAST_CALLS = 3,      /* just before a node leaves */
    SILENCE_MS = TTL_MS, /* until a node that has died is removed, at most */
    REPLACED_MS = 8000,  /* until another one takes its place, at most */
};

static uint64_t bit_of(uint32_t id)
{
    return (uint64_t)1 << id;
}

static uint32_t count(uint64_t nodes)
{
    return (uint32_t)__builtin_popcountll(nodes);
}

/* One of these nodes; NODES_MAX: there is none. */
static uint32_t choose(struct sim *sim, uint64_t nodes)
{
    uint32_t number = nodes ? (uint32_t)sim_random(sim, count(nodes)) : 0;
    uint32_t id = 0;
    while (id < sim->node_count && !(is_in(nodes, id) && number-- == 0))
        id++;
    return id < sim->node_count ? id : NODES_MAX;
}

/* --- the list --------------------------------------------------------------------------------- */

void members_read(struct sim *sim, struct sim_node *node)
{
    struct moment now = node_now(sim, node);
    for (uint32_t id = 0; id < sim->node_count; id++) {
        bool is_listed = is_in(sim->members, id);
        if (is_listed == is_in(node->topology, id))
            continue;
        node->topology ^= bit_of(id);
        node->listed_since_ms[id] = sim->now_ms;
        events_note_peer(sim, node, id);
        if (is_listed)
            replicator_add_peer(node->replicator, id, now); /* also the node itself */
        else
            replicator_remove_peer(node->replicator, id);
    }
}

static void on_list(struct sim *sim, void *context, uint32_t id, uint32_t life)
{
    (void)context;
    struct sim_node *node = &sim->nodes[id];
    if (node->life != life)
        return;
    members_read(sim, node);
    oracle_update_reachability(sim);
    node_work(sim, node);
}

static void publish(struct sim *sim, uint32_t id, bool is_member)
{
    sim->members = is_member ? sim->members | bit_of(id) : sim->members & ~bit_of(id);
    sim_log(sim, is_member ? "n%u joins the cluster" : "n%u is no member any more", id);
    for (uint32_t n = 0; n < sim->node_count; n++) {
        const struct sim_node *node = &sim->nodes[n];
        uint64_t delay_ms = 1 + sim_random(sim, DELAY_MS);
        if (sim_chance(sim, LONG_DELAY_PERCENT))
            delay_ms += sim_random(sim, LONG_DELAY_MS);
        if (node->running)
            sim_at(sim->now_ms + delay_ms, on_list, NULL, n, node->life);
    }
}

static void on_removed(struct sim *sim, void *context, uint32_t id, uint32_t b)
{
    (void)context;
    (void)b;
    if (is_in(sim->members, id))
        publish(sim, id, false);
}

/* --- join ------------------------------------------------------------------------------------- */

static void on_join(struct sim *sim, void *context, uint32_t a, uint32_t b)
{
    (void)context;
    (void)a;
    (void)b;
    uint64_t unused = 0;
    for (uint32_t id = 0; id < sim->node_count; id++)
        if (sim->nodes[id].life == 0)
            unused |= bit_of(id);
    uint32_t id = choose(sim, unused);
    if (id == NODES_MAX || sim->now_ms >= sim_faults_end_ms(sim))
        return;
    node_start(sim, &sim->nodes[id]);
    publish(sim, id, true);
}

/* --- leave ------------------------------------------------------------------------------------ */

/* A peer that has got everything; NODES_MAX: it is not certain that there is one. */
static uint32_t find_successor(const struct sim *sim, const struct sim_node *node)
{
    if (!replicator_is_idle(node->replicator))
        return NODES_MAX;
    for (uint32_t peer = 0; peer < sim->node_count; peer++) {
        struct peer_view view;
        if (!is_in(node->topology, peer) || !is_in(sim->members & ~sim->retired, peer))
            continue;
        replicator_view(node->replicator, peer, node_now(sim, node), &view);
        if (view.health == PEER_UP && sim->nodes[peer].running)
            return peer;
    }
    return NODES_MAX;
}

static void stop(struct sim *sim, struct sim_node *node)
{
    uint32_t successor = find_successor(sim, node);
    if (successor == NODES_MAX)
        clients_note_crash(sim, node, false);
    else
        clients_note_left(sim, node, successor);
    sim_log(sim, successor == NODES_MAX ? "%s stops, and no peer has everything" : "%s stops",
            node->name);
    node_stop(sim, node);
    oracle_update_reachability(sim);
}

static void on_leaving(struct sim *sim, void *context, uint32_t id, uint32_t life)
{
    (void)context;
    struct sim_node *node = &sim->nodes[id];
    bool is_late = sim->now_ms >= node->leaving_ms + LEAVE_MS;
    if (node->life == life && !replicator_is_idle(node->replicator) && !is_late) {
        sim_at(sim->now_ms + LEAVE_POLL_MS, on_leaving, NULL, id, life);
        return;
    }
    if (node->life == life)
        stop(sim, node);
    on_removed(sim, NULL, id, 0);
}

static void leave(struct sim *sim, struct sim_node *node)
{
    clients_unregister(sim, node->id, LAST_CALLS); /* most of them wait in the outbox */
    sim_log(sim, "%s leaves", node->name);
    sim->retired |= bit_of(node->id);
    node->is_leaving = true;
    node->leaving_ms = sim->now_ms;
    replicator_flush(node->replicator);
    if (sim_chance(sim, 50))
        publish(sim, node->id, false);
    node_work(sim, node);
    sim_at(sim->now_ms + LEAVE_POLL_MS, on_leaving, NULL, node->id, node->life);
}

/* --- die -------------------------------------------------------------------------------------- */

static void die(struct sim *sim, struct sim_node *node)
{
    sim_log(sim, "%s dies", node->name);
    sim->counts.crashes++;
    sim->retired |= bit_of(node->id);
    clients_note_crash(sim, node, false);
    node_crash(sim, node);
    oracle_update_reachability(sim);
    sim_at(sim->now_ms + 1 + sim_random(sim, SILENCE_MS), on_removed, NULL, node->id, 0);
    sim_at(sim->now_ms + 1 + sim_random(sim, REPLACED_MS), on_join, NULL, 0, 0);
}

/* --- changes ---------------------------------------------------------------------------------- */

void members_change(struct sim *sim)
{
    uint64_t staying = sim->members & ~sim->retired;
    bool may_shrink = count(staying) > sim->settings.members_keep;
    uint32_t id = choose(sim, staying);
    struct sim_node *node = &sim->nodes[id < NODES_MAX ? id : 0];
    if (sim->now_ms < sim->planned_ms)
        return;
    sim->planned_ms = sim->now_ms + sim->settings.member_interval_ms;
    sim->counts.member_changes++;
    if (!may_shrink || sim_chance(sim, 40))
        on_join(sim, NULL, 0, 0);
    else if (node_is_running(node) && sim_chance(sim, 60))
        leave(sim, node);
    else if (node->running)
        die(sim, node);
}

void members_start(struct sim *sim)
{
    uint32_t first =
        sim->settings.members_min
            ? sim->settings.members_min + (uint32_t)sim_random(sim, sim->settings.members_min + 1)
            : sim->node_count;
    sim->members = first < 64 ? bit_of(first) - 1 : UINT64_MAX;
    for (uint32_t id = 0; id < first; id++)
        node_start(sim, &sim->nodes[id]);
}

void members_end(struct sim *sim)
{
    for (uint32_t id = 0; id < sim->node_count; id++) {
        struct sim_node *node = &sim->nodes[id];
        if (node->running && !node->paused && is_in(sim->retired, id))
            stop(sim, node);
        else if (node->running && is_in(sim->retired, id))
            node_crash(sim, node);
    }
    sim->members &= ~sim->retired;
    for (uint32_t id = 0; id < sim->node_count; id++)
        if (sim->nodes[id].running)
            sim_at(sim->now_ms + 1 + sim_random(sim, DELAY_MS), on_list, NULL, id,
                   sim->nodes[id].life);
}
