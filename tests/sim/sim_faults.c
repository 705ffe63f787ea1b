/* SPDX-License-Identifier: Apache-2.0
 *
 * What fails, and how it is repaired.
 */
#include "tests/sim/sim.h"

enum { FAULT_INTERVAL_MS = 3000, FAULT_MAX_MS = 30000 };

/* --- links ------------------------------------------------------------------------------------ */

static void set_link(struct sim *sim, uint32_t from, uint32_t to, bool cut)
{
    struct sim_link *link = &sim->links[from][to];
    if (link->cut && !cut)
        link->fine_since_ms = sim->now_ms;
    link->cut = cut;
}

static void on_link_restored(struct sim *sim, void *context, uint32_t from, uint32_t to)
{
    (void)context;
    set_link(sim, from, to, false);
    sim_log(sim, "link n%u -> n%u works again", from, to);
}

static void cut_link(struct sim *sim, uint32_t from, uint32_t to, uint64_t for_ms)
{
    if (from == to)
        return;
    set_link(sim, from, to, true);
    sim_log(sim, "link n%u -> n%u is cut", from, to);
    sim_at(sim->now_ms + for_ms, on_link_restored, NULL, from, to);
}

static void isolate(struct sim *sim, uint32_t node, uint64_t for_ms)
{
    for (uint32_t other = 0; other < sim->node_count; other++) {
        cut_link(sim, node, other, for_ms);
        cut_link(sim, other, node, for_ms);
    }
}

/* --- nodes ------------------------------------------------------------------------------------ */

static void on_restart(struct sim *sim, void *context, uint32_t id, uint32_t life)
{
    (void)context;
    if (sim->nodes[id].life == life)
        node_start(sim, &sim->nodes[id]);
}

static void crash(struct sim *sim, struct sim_node *node, uint64_t for_ms)
{
    if (!node->running)
        return;
    sim->counts.crashes++;
    sim_log(sim, "%s crashes", node->name);
    node_crash(sim, node);
    clients_note_crash(sim, node);
    for (uint32_t other = 0; other < sim->node_count; other++) {
        sim->links[node->id][other].fine_since_ms = sim->now_ms;
        sim->links[other][node->id].fine_since_ms = sim->now_ms;
    }
    sim_at(sim->now_ms + for_ms, on_restart, NULL, node->id, node->life);
}

static void on_resume(struct sim *sim, void *context, uint32_t id, uint32_t life)
{
    (void)context;
    struct sim_node *node = &sim->nodes[id];
    if (node->life != life || !node->paused)
        return;
    node->paused = false;
    sim_log(sim, "%s continues", node->name);
    node_work(sim, node);
}

static void pause_node(struct sim *sim, struct sim_node *node, uint64_t for_ms)
{
    if (!node_is_running(node))
        return;
    sim->counts.pauses++;
    node->paused = true;
    node->was_paused = true;
    sim_log(sim, "%s is paused", node->name);
    sim_at(sim->now_ms + for_ms, on_resume, NULL, node->id, node->life);
}

static void jump_clock(struct sim *sim, struct sim_node *node)
{
    node->wall_offset_ms += (int64_t)sim_random(sim, 7200000) - 3600000;
    sim->counts.jumps++;
    sim_log(sim, "the clock of %s jumps to %+lld ms", node->name, (long long)node->wall_offset_ms);
}

/* --- the schedule ----------------------------------------------------------------------------- */

static void on_fault(struct sim *sim, void *context, uint32_t a, uint32_t b)
{
    (void)context;
    (void)a;
    (void)b;
    if (sim->now_ms >= WORLD_EPOCH_MS + FAULTS_MS)
        return;
    uint64_t for_ms = 500 + sim_random(sim, FAULT_MAX_MS);
    uint32_t one = (uint32_t)sim_random(sim, sim->node_count);
    uint32_t other = (uint32_t)sim_random(sim, sim->node_count);
    switch (sim_random(sim, 8)) {
    case 0:
    case 1:
        cut_link(sim, one, other, for_ms);
        break;
    case 2:
        cut_link(sim, one, other, for_ms);
        cut_link(sim, other, one, for_ms);
        break;
    case 3:
        isolate(sim, one, for_ms);
        break;
    case 4:
        crash(sim, &sim->nodes[one], for_ms / 3);
        break;
    case 5:
        pause_node(sim, &sim->nodes[one], for_ms);
        break;
    case 6:
        jump_clock(sim, &sim->nodes[one]);
        break;
    default:
        sim->loss_percent = (uint32_t)sim_random(sim, 3) * 10;
        sim->delay_max_ms = sim_random(sim, 3) * 1000;
    }
    sim_at(sim->now_ms + 1 + sim_random(sim, FAULT_INTERVAL_MS), on_fault, NULL, 0, 0);
}

void faults_start(struct sim *sim)
{
    sim->repeat_percent = (uint32_t)sim_random(sim, 10);
    sim->delay_max_ms = 500;
    sim_at(sim->now_ms + 5000, on_fault, NULL, 0, 0);
}

void faults_end(struct sim *sim)
{
    sim_log(sim, "all faults end");
    sim->loss_percent = 0;
    sim->delay_max_ms = 50;
    sim->repeat_percent = 0;
    for (uint32_t one = 0; one < sim->node_count; one++) {
        for (uint32_t other = 0; other < sim->node_count; other++)
            set_link(sim, one, other, false);
        if (!sim->nodes[one].running)
            node_start(sim, &sim->nodes[one]);
        on_resume(sim, NULL, one, sim->nodes[one].life);
    }
}
