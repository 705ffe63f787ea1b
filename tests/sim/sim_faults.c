/* SPDX-License-Identifier: Apache-2.0
 *
 * What fails, and how it is repaired.
 */
#include "tests/sim/sim.h"

#include <stdlib.h>

enum {
    FAULT_INTERVAL_MS = 3000,
    FIRST_FAULT_MS = 5000,
    RESTART_MS = 3000,
    RESTART_POLL_MS = 7,
    AFTER_RESTARTS_MS = 2000,
    AHEAD_START_MS = 3000, /* the others have noticed by then that the node is down */
    AHEAD_CALL_MS = 150,   /* from the start to the calls of a client, */
    AHEAD_CRASH_MS = 150,  /* and from there to the crash */
    AHEAD_STEP_MS = 400000,
    AHEAD_INTERVAL_MS = 12000,
    THIRD_CUT_MS = 6000,   /* longer than the interval of comparisons */
    THIRD_CRASH_MS = 7500, /* the record has arrived */
    THIRD_INTERVAL_MS = 18000,
    DISK_FAULT_MS = 12000,
    DISK_INTERVAL_MS = 12000,
};

/* --- links ------------------------------------------------------------------------------------ */

static void set_link(struct sim *sim, uint32_t from, uint32_t to, bool cut)
{
    struct sim_link *link = &sim->links[from][to];
    if (link->cut && !cut)
        link->fine_since_ms = sim->now_ms;
    link->cut = cut;
    oracle_update_reachability(sim);
}

static void on_link_restored(struct sim *sim, void *context, uint32_t from, uint32_t to)
{
    (void)context;
    set_link(sim, from, to, false);
    sim_log(sim, "link n%u -> n%u works again", from, to);
}

static void cut_link(struct sim *sim, uint32_t from, uint32_t to, uint64_t for_ms)
{
    if (from == to || sim->links[from][to].absent)
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

/* A region that is cut off: all links between two regions. */
static void cut_regions(struct sim *sim, uint64_t for_ms)
{
    for (uint32_t a = 0; a < sim->node_count; a++)
        for (uint32_t b = 0; b < sim->node_count; b++)
            if (sim->nodes[a].region != sim->nodes[b].region)
                cut_link(sim, a, b, for_ms);
}

/* --- nodes ------------------------------------------------------------------------------------ */

static void on_restart(struct sim *sim, void *context, uint32_t id, uint32_t life)
{
    (void)context;
    if (sim->nodes[id].life == life && !is_in(sim->retired, id))
        node_start(sim, &sim->nodes[id]);
}

static void crash(struct sim *sim, struct sim_node *node, uint64_t for_ms)
{
    if (!node->running)
        return;
    bool is_clean = sim_chance(sim, sim->settings.clean_stops_percent) && !node->paused &&
                    !disk_fails(node->id);
    sim->counts.crashes++;
    sim_log(sim, is_clean ? "%s stops" : "%s crashes", node->name);
    clients_note_crash(sim, node, is_clean);
    if (is_clean)
        node_stop(sim, node);
    else
        node_crash(sim, node);
    oracle_update_reachability(sim);
    sim_at(sim->now_ms + for_ms, on_restart, NULL, node->id, node->life);
}

/* The engine notices that the process did not run. */
static void end_stall(struct sim *sim, struct sim_node *node)
{
    sim->counts.stalls++;
    node->stalled_ms = sim->now_ms;
    replicator_recompare(node->replicator, node_now(sim, node));
    if (!replicator_is_ready(node->replicator))
        node->is_ready = false;
    else
        lists_node_continues(sim, node);
}

static void on_resume(struct sim *sim, void *context, uint32_t id, uint32_t life)
{
    (void)context;
    struct sim_node *node = &sim->nodes[id];
    if (node->life != life || !node->paused)
        return;
    node->paused = false;
    node->continued_ms = sim->now_ms;
    sim_log(sim, "%s continues", node->name);
    if (node_hlc_lag_ms(sim, node) > CLOCKS_APART_MS)
        sim->behind_ms = sim->now_ms;
    if (sim->now_ms - node->paused_ms > STALL_MS)
        end_stall(sim, node);
    node_work(sim, node);
}

static void pause_node(struct sim *sim, struct sim_node *node, uint64_t for_ms)
{
    if (!node_is_running(node))
        return;
    sim->counts.pauses++;
    node->paused = true;
    node->was_paused = true;
    node->paused_ms = sim->now_ms;
    oracle_update_reachability(sim);
    sim_log(sim, "%s is paused", node->name);
    sim_at(sim->now_ms + for_ms, on_resume, NULL, node->id, node->life);
}

static void jump_clock(struct sim *sim, struct sim_node *node)
{
    node->wall_offset_ms += (int64_t)sim_random(sim, 7200000) - 3600000;
    sim->counts.jumps++;
    sim_log(sim, "the clock of %s jumps to %+lld ms", node->name, (long long)node->wall_offset_ms);
}

/* Nodes that start while they reach no peer with data. */
static void start_cold(struct sim *sim, uint32_t one, uint64_t for_ms)
{
    bool all = sim_chance(sim, 30); /* a power failure */
    for (uint32_t id = 0; id < sim->node_count; id++)
        if (all || id == one)
            crash(sim, &sim->nodes[id], 200 + sim_random(sim, 3000));
    if (!all)
        isolate(sim, one, for_ms);
}

/* --- a clock that is ahead -------------------------------------------------------------------- */

static void on_ahead_crash(struct sim *sim, void *context, uint32_t id, uint32_t b)
{
    (void)context;
    (void)b;
    sim->nodes[id].wall_offset_ms -= sim->ahead_ms;
    crash(sim, &sim->nodes[id], AHEAD_START_MS);
}

static void on_ahead_call(struct sim *sim, void *context, uint32_t id, uint32_t b)
{
    (void)context;
    (void)b;
    if (node_is_running(&sim->nodes[id]))
        client_visit(sim, id, true);
}

/* A node restarts with a clock that is further ahead than any before, and reaches one other node.
 * It issues stamps and crashes. Most times the other node has its tombstone then, and has not asked
 * it for its clock: only the stamps of the other node are ahead. */
static void start_ahead(struct sim *sim, uint32_t one, uint32_t reached)
{
    uint64_t calls_ms = sim->now_ms + AHEAD_START_MS + AHEAD_CALL_MS;
    if (one == reached || !sim->nodes[one].running || sim->now_ms < sim->planned_ms)
        return;
    sim->planned_ms = sim->now_ms + AHEAD_INTERVAL_MS;
    sim->ahead_ms += AHEAD_STEP_MS;
    sim->nodes[one].wall_offset_ms += sim->ahead_ms;
    for (uint32_t other = 0; other < sim->node_count; other++)
        if (other != reached) {
            cut_link(sim, one, other, 2 * AHEAD_START_MS);
            cut_link(sim, other, one, 2 * AHEAD_START_MS);
        }
    crash(sim, &sim->nodes[one], AHEAD_START_MS);
    sim_at(calls_ms, on_ahead_call, NULL, one, 0);
    sim_at(calls_ms + AHEAD_CRASH_MS, on_ahead_crash, NULL, one, 0);
}

/* --- a change of a third node ----------------------------------------------------------------- */

static void on_third_crash(struct sim *sim, void *context, uint32_t one, uint32_t third)
{
    (void)context;
    crash(sim, &sim->nodes[third], THIRD_CUT_MS);
    crash(sim, &sim->nodes[one], 200 + sim_random(sim, 500));
}

/* A client registers at a node that is cut off. Then one other node gets the record, whose stamp is
 * older than the last comparison of that node with its peers. Both crash, and the other returns:
 * its peers have not evicted the instance. */
static void start_third(struct sim *sim, uint32_t one, uint32_t third)
{
    if (one == third || !sim->nodes[third].running || sim->now_ms < sim->planned_ms)
        return;
    sim->planned_ms = sim->now_ms + THIRD_INTERVAL_MS;
    for (uint32_t other = 0; other < sim->node_count; other++) {
        uint64_t for_ms = other == one ? THIRD_CUT_MS : 2 * THIRD_CUT_MS;
        cut_link(sim, third, other, for_ms);
        cut_link(sim, other, third, for_ms);
    }
    client_visit(sim, third, false);
    sim_at(sim->now_ms + THIRD_CRASH_MS, on_third_crash, NULL, one, third);
}

/* --- disks ------------------------------------------------------------------------------------ */

static void on_disk_works(struct sim *sim, void *context, uint32_t id, uint32_t b)
{
    (void)context;
    (void)b;
    disk_set_state(id, DISK_WORKS);
    sim_log(sim, "the disk of n%u works again", id);
}

static void on_disk_fault(struct sim *sim, void *context, uint32_t a, uint32_t b)
{
    enum disk_state state = sim_chance(sim, 50) ? DISK_FAILS : DISK_IS_SLOW;
    uint32_t id = (uint32_t)sim_random(sim, sim->node_count);
    if (sim->now_ms >= sim_faults_end_ms(sim))
        return;
    sim->counts.disk_faults++;
    disk_set_state(id, state);
    sim_log(sim, state == DISK_FAILS ? "the disk of n%u fails" : "the disk of n%u is slow", id);
    sim_at(sim->now_ms + 500 + sim_random(sim, DISK_FAULT_MS), on_disk_works, NULL, id, 0);
    sim_at(sim->now_ms + 1 + sim_random(sim, DISK_INTERVAL_MS), on_disk_fault, context, a, b);
}

/* --- deaths of clients ------------------------------------------------------------------------ */

static void on_death(struct sim *sim, void *context, uint32_t id, uint32_t b)
{
    (void)context;
    (void)b;
    if (sim->clients[id].wanted && !sim->clients[id].dead)
        client_die(sim, &sim->clients[id]);
}

static void on_planned_restart(struct sim *sim, void *context, uint32_t id, uint32_t b)
{
    (void)context;
    (void)b;
    crash(sim, &sim->nodes[id], 500);
}

static void on_restarts_end(struct sim *sim, void *context, uint32_t a, uint32_t b)
{
    (void)context;
    (void)a;
    (void)b;
    lists_restarts_end(sim);
}

/* Each node restarts as soon as the one before is ready. */
static void on_next_restart(struct sim *sim, void *context, uint32_t id, uint32_t b)
{
    if (id == 0)
        lists_restarts_begin(sim);
    const struct sim_node *before = id ? &sim->nodes[id - 1] : NULL;
    if (before && (!node_is_running(before) || !before->is_ready)) {
        sim_at(sim->now_ms + RESTART_POLL_MS, on_next_restart, context, id, b);
        return;
    }
    if (id == sim->node_count) {
        sim_at(sim->now_ms + AFTER_RESTARTS_MS, on_restarts_end, context, 0, 0);
        return;
    }
    crash(sim, &sim->nodes[id], 20 + sim_random(sim, 500));
    sim_at(sim->now_ms + RESTART_POLL_MS, on_next_restart, context, id + 1, b);
}

/* An operator releases the guards at one node. */
static void on_release(struct sim *sim, void *context, uint32_t id, uint32_t b)
{
    (void)context;
    (void)b;
    struct sim_node *node = &sim->nodes[id];
    struct moment now = node_now(sim, node);
    sim->released_ms = sim->now_ms;
    sim_log(sim, "the guards are released at %s", node->name);
    if (registry_release_guard(node->registry, (struct slice){0}, now))
        abort();
    node_put_release(node, registry_clock_ms(node->registry, now), now);
    node_work(sim, node);
}

static void plan_deaths(struct sim *sim)
{
    uint64_t first_ms = sim->now_ms + 15000 + sim_random(sim, 5000);
    uint64_t spread_ms = sim->settings.deaths == DEATHS_GRADUAL ? 13000 : 1000;
    for (uint32_t id = 0; id < sim->client_count; id++)
        if (sim_chance(sim, 75))
            sim_at(first_ms + sim_random(sim, spread_ms), on_death, NULL, id, 0);
    uint64_t restart_ms = first_ms + TTL_MS + 4000;
    if (sim->settings.deaths == DEATHS_AND_RESTARTS)
        sim_at(restart_ms, on_next_restart, NULL, 0, 0);
    if (sim->settings.deaths == DEATHS_AND_RELEASE)
        sim_at(restart_ms, on_release, NULL, (uint32_t)sim_random(sim, sim->node_count), 0);
    for (uint32_t id = 0; id < sim->node_count && sim->settings.deaths == DEATHS_AT_ONCE; id++)
        sim_at(restart_ms + (uint64_t)id * RESTART_MS, on_planned_restart, NULL, id, 0);
}

/* --- the schedule ----------------------------------------------------------------------------- */

static enum sim_fault choose_fault(struct sim *sim)
{
    static const enum sim_fault weighted[] = {
        FAULT_LINK,  FAULT_LINK,   FAULT_LINK,    FAULT_ISOLATE, FAULT_CRASH,
        FAULT_PAUSE, FAULT_CLOCK,  FAULT_NETWORK, FAULT_COLD,    FAULT_AHEAD,
        FAULT_THIRD, FAULT_REGION, FAULT_MEMBER,
    };
    enum sim_fault fault;
    do
        fault = weighted[sim_random(sim, sizeof(weighted) / sizeof(*weighted))];
    while (!(sim->settings.faults & fault));
    return fault;
}

static uint64_t away_ms(struct sim *sim, uint64_t fault_ms)
{
    uint64_t max_ms = sim->settings.away_max_ms;
    return max_ms ? 500 + sim_random(sim, max_ms) : fault_ms / 3;
}

static void start_fault(struct sim *sim, enum sim_fault fault)
{
    uint64_t for_ms = 500 + sim_random(sim, sim->settings.fault_max_ms);
    uint32_t one = (uint32_t)sim_random(sim, sim->node_count);
    uint32_t other = (uint32_t)sim_random(sim, sim->node_count);
    switch (fault) {
    case FAULT_LINK:
        cut_link(sim, one, other, for_ms);
        if (sim_chance(sim, 33))
            cut_link(sim, other, one, for_ms);
        break;
    case FAULT_ISOLATE:
        isolate(sim, one, for_ms);
        break;
    case FAULT_CRASH:
        crash(sim, &sim->nodes[one], away_ms(sim, for_ms));
        break;
    case FAULT_PAUSE:
        pause_node(sim, &sim->nodes[one], for_ms);
        break;
    case FAULT_CLOCK:
        jump_clock(sim, &sim->nodes[one]);
        break;
    case FAULT_COLD:
        start_cold(sim, one, for_ms);
        break;
    case FAULT_MEMBER:
        members_change(sim);
        break;
    case FAULT_REGION:
        cut_regions(sim, for_ms);
        break;
    case FAULT_THIRD:
        start_third(sim, one, other);
        break;
    case FAULT_AHEAD:
        start_ahead(sim, one, other);
        break;
    default:
        sim->loss_percent = (uint32_t)sim_random(sim, 3) * 10;
        sim->delay_max_ms = sim_random(sim, 3) * 1000;
    }
}

static void on_fault(struct sim *sim, void *context, uint32_t a, uint32_t b)
{
    (void)context;
    (void)a;
    (void)b;
    if (sim->now_ms >= sim_faults_end_ms(sim))
        return;
    start_fault(sim, choose_fault(sim));
    sim_at(sim->now_ms + 1 + sim_random(sim, FAULT_INTERVAL_MS), on_fault, NULL, 0, 0);
}

void faults_start(struct sim *sim)
{
    sim->delay_max_ms = sim->settings.delay_max_ms;
    if (sim->settings.faults & FAULT_NETWORK)
        sim->repeat_percent = (uint32_t)sim_random(sim, 10);
    if (sim->settings.faults)
        sim_at(sim->now_ms + FIRST_FAULT_MS, on_fault, NULL, 0, 0);
    if (sim->settings.disks_fail)
        sim_at(sim->now_ms + FIRST_FAULT_MS, on_disk_fault, NULL, 0, 0);
    if (sim->settings.deaths != DEATHS_FEW)
        plan_deaths(sim);
}

void faults_end(struct sim *sim)
{
    sim_log(sim, "all faults end");
    sim->loss_percent = 0;
    if (sim->delay_max_ms > RECOVERY_DELAY_MS)
        sim->delay_max_ms = RECOVERY_DELAY_MS;
    sim->repeat_percent = 0;
    sim->settings.late_calls_percent = 0;
    sim->settings.repeated_calls_percent = 0;
    sim->settings.late_messages_percent = 0;
    members_end(sim);
    for (uint32_t one = 0; one < sim->node_count; one++) {
        disk_set_state(one, DISK_WORKS);
        for (uint32_t other = 0; other < sim->node_count; other++)
            set_link(sim, one, other, false);
        if (!sim->nodes[one].running && is_in(sim->members, one))
            node_start(sim, &sim->nodes[one]);
        on_resume(sim, NULL, one, sim->nodes[one].life);
    }
}
