/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of worlds. Each world sets a part of struct sim_settings; worlds can be combined. The
 * worlds that are on by default hold; the others fail, for the reason in the table. The fix of a
 * finding switches its worlds on.
 */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <string.h>

enum {
    FEW_NODES = 9,
    TOPOLOGY_NODES_MIN = 4,
    LIMITED_SEEDS = 3, /* each third one */
    FETCH_MAX = 8,
    CHECK_MIN = 3,
};

/* --- topologies ------------------------------------------------------------------------------- */

/* In a topology no other fault interferes, and clients change little: the oracle of guarantee 4
 * needs clients that only renew for a while. */
static void make_steady(struct sim *sim)
{
    sim->settings.actions_percent = 2;
    sim->settings.delay_max_ms = 20;
}

static void remove_links_except(struct sim *sim,
                                bool (*is_link)(uint32_t a, uint32_t b, uint32_t n))
{
    for (uint32_t a = 0; a < sim->node_count; a++)
        for (uint32_t b = 0; b < sim->node_count; b++)
            if (a != b && !is_link(a, b, sim->node_count) && !is_link(b, a, sim->node_count))
                sim->links[a][b].absent = true;
}

static bool is_chain(uint32_t a, uint32_t b, uint32_t n)
{
    (void)n;
    return a + 1 == b;
}

static bool is_ring(uint32_t a, uint32_t b, uint32_t n)
{
    return (a + 1) % n == b;
}

static bool is_star(uint32_t a, uint32_t b, uint32_t n)
{
    (void)b;
    (void)n;
    return a == 0;
}

/* Two full meshes with one link between them. */
static bool is_bridge(uint32_t a, uint32_t b, uint32_t n)
{
    uint32_t half = n / 2;
    return (a < half) == (b < half) || (a == half - 1 && b == half);
}

static void link_chain(struct sim *sim)
{
    remove_links_except(sim, is_chain);
}

static void link_ring(struct sim *sim)
{
    remove_links_except(sim, is_ring);
}

static void link_star(struct sim *sim)
{
    remove_links_except(sim, is_star);
}

static void link_bridge(struct sim *sim)
{
    remove_links_except(sim, is_bridge);
}

/* Two full meshes, and links between all of their nodes that are slower. */
static void link_regions(struct sim *sim)
{
    for (uint32_t n = 0; n < sim->node_count; n++)
        sim->nodes[n].region = n < (sim->node_count + 1) / 2 ? 0 : 1;
    for (uint32_t a = 0; a < sim->node_count; a++)
        for (uint32_t b = 0; b < sim->node_count; b++)
            if (sim->nodes[a].region != sim->nodes[b].region)
                sim->links[a][b].delay_ms = REGION_DELAY_MS;
}

/* Three nodes with slow links, one of which is missing: the lease check of n2 for a client of n0
 * goes by n1. */
static void link_slow(struct sim *sim)
{
    uint32_t delay_ms = 260 + (uint32_t)sim_random(sim, 500);
    for (uint32_t a = 0; a < sim->node_count; a++)
        for (uint32_t b = 0; b < sim->node_count; b++)
            if (a != b)
                sim->links[a][b].delay_ms = delay_ms;
    sim->links[0][2].absent = sim->links[2][0].absent = true;
}

/* --- worlds ----------------------------------------------------------------------------------- */

static void plain(struct sim *sim)
{
    sim->settings.faults |= FAULTS_ALL;
}

static void topology(struct sim *sim)
{
    make_steady(sim);
    if (sim->settings.nodes_min < TOPOLOGY_NODES_MIN)
        sim->settings.nodes_min = TOPOLOGY_NODES_MIN;
}

static void small_chain(struct sim *sim)
{
    make_steady(sim);
    sim->settings.nodes_min = sim->settings.nodes_max = 3;
}

static void late(struct sim *sim)
{
    sim->settings.calls_travel = true;
    sim->settings.late_calls_percent = 10;
    sim->settings.extra_ms = LATE_MAX_MS;
}

static void repeated(struct sim *sim)
{
    sim->settings.calls_travel = true;
    sim->settings.repeated_calls_percent = 10;
    sim->settings.revisions_percent = 100;
}

/* Calls of any age are executed, also at nodes that are cut off, for less than a lease. Clients
 * make their last changes before the last faults: no later change hides that an earlier one won. */
static void revision(struct sim *sim)
{
    sim->settings.calls_travel = true;
    sim->settings.late_calls_percent = 15;
    sim->settings.repeated_calls_percent = 15;
    sim->settings.executes_closed_calls = true;
    sim->settings.revisions_percent = 100;
    sim->settings.actions_percent = 40;
    sim->settings.quiet_ms = FAULTS_MS - 2 * TTL_MS;
    sim->settings.faults |= FAULT_LINK | FAULT_ISOLATE | FAULT_PAUSE | FAULT_CLOCK | FAULT_CRASH;
    sim->settings.fault_max_ms = TTL_MS - 2000;
    sim->settings.extra_ms = LATE_MAX_MS;
}

static void mixed(struct sim *sim)
{
    revision(sim);
    sim->settings.revisions_percent = 50;
}

static void stall(struct sim *sim)
{
    sim->settings.calls_travel = true;
    sim->settings.faults |= FAULT_PAUSE;
}

/* The connections of calls that timed out say nothing: a proxy keeps them open. */
static void stall_behind_proxies(struct sim *sim)
{
    stall(sim);
    sim->settings.executes_closed_calls = true;
    sim->settings.call_timeout_ms = STALL_MS + 500;
}

static void toggle(struct sim *sim)
{
    sim->settings.calls_travel = true;
    sim->settings.toggles = true;
    sim->settings.actions_percent = 40;
}

static void hop(struct sim *sim)
{
    toggle(sim);
    sim->settings.toggles_grow = true;
}

static void toggle_cut(struct sim *sim)
{
    toggle(sim);
    sim->settings.faults |= FAULT_LINK | FAULT_ISOLATE;
    sim->settings.fault_max_ms = TTL_MS / 2;
}

static void guard(struct sim *sim)
{
    sim->settings.guard_percent_of_seeds = 100;
    sim->settings.guard_max_ms = 40000;
    sim->settings.clients_min = 30;
    sim->settings.returns = false;
    sim->settings.actions_percent = 2;
    sim->settings.delay_max_ms = 20;
}

static void guard_restart(struct sim *sim)
{
    guard(sim);
    sim->settings.deaths = DEATHS_AT_ONCE;
}

static void guard_turns(struct sim *sim)
{
    guard(sim);
    sim->settings.deaths = DEATHS_AND_RESTARTS;
    sim->settings.nodes_min = 3;
    sim->settings.nodes_max = 5;
}

static void guard_and_release(struct sim *sim)
{
    guard_turns(sim);
    sim->settings.deaths = DEATHS_AND_RELEASE;
}

static void guard_gradual(struct sim *sim)
{
    guard(sim);
    sim->settings.deaths = DEATHS_GRADUAL;
}

static void late_messages(struct sim *sim)
{
    sim->settings.late_messages_percent = 3;
    sim->settings.messages_are_late = true;
    sim->settings.extra_ms = LATE_MAX_MS;
}

static void transit(struct sim *sim)
{
    sim->settings.faults |= FAULT_PAUSE;
}

static void regions(struct sim *sim)
{
    sim->settings.faults |= FAULT_REGION;
    sim->settings.delay_max_ms = 20;
}

static void regions_and_faults(struct sim *sim)
{
    plain(sim);
    sim->settings.faults |= FAULT_REGION;
}

static void members(struct sim *sim)
{
    sim->settings.faults |= FAULT_MEMBER;
    sim->settings.members_min = 3;
    sim->settings.members_keep = 3;
    sim->settings.nodes_min = sim->settings.nodes_max = 16;
    sim->settings.delay_max_ms = 20;
}

static void members_and_faults(struct sim *sim)
{
    members(sim);
    plain(sim);
}

static void many_nodes(struct sim *sim)
{
    members(sim);
    sim->settings.members_min = 30;
    sim->settings.members_keep = 50;
    sim->settings.nodes_min = sim->settings.nodes_max = NODES_MAX;
    sim->settings.clients_min = 3;
    sim->settings.clients_max = 6;
    sim->settings.faults_ms = 20000;
    sim->settings.member_interval_ms = 1000;
}

static void quiet(struct sim *sim)
{
    sim->settings.anti_entropy_ms = QUIET_ANTI_ENTROPY_MS;
    sim->settings.clients_min = CLIENTS_MAX;
    sim->settings.actions_percent = 0;
    sim->settings.guard_percent_of_seeds = 0;
    sim->settings.grace_percent_of_seeds = 0;
    sim->settings.delay_max_ms = 1;
}

static void legacy(struct sim *sim)
{
    sim->settings.has_legacy = true;
    sim->settings.nodes_min = 3;
    sim->settings.faults |= FAULT_LINK | FAULT_ISOLATE | FAULT_CRASH;
}

static void cold(struct sim *sim)
{
    sim->settings.is_cold = true;
    sim->settings.grace_percent_of_seeds = 100;
    sim->settings.faults |= FAULT_COLD;
}

static void retention(struct sim *sim)
{
    sim->settings.tombstone_ms = TTL_MS + 3000;
    sim->settings.faults |= FAULT_ISOLATE | FAULT_PAUSE;
}

static void ahead(struct sim *sim)
{
    sim->settings.faults |= FAULT_AHEAD;
    sim->settings.nodes_min = 3;
    sim->settings.delay_max_ms = 20;
}

/* Nodes crash or stop, for less or more than a lease, also in the middle of other faults. */
static void stored(struct sim *sim)
{
    plain(sim);
    sim->settings.has_storage = true;
    sim->settings.clean_stops_percent = 30;
    sim->settings.away_max_ms = 2 * TTL_MS;
}

static void stored_disks(struct sim *sim)
{
    stored(sim);
    sim->settings.disks_fail = true;
}

static void stored_cold(struct sim *sim)
{
    cold(sim);
    sim->settings.has_storage = true;
}

static void stored_retention(struct sim *sim)
{
    retention(sim);
    sim->settings.faults = FAULT_ISOLATE | FAULT_CRASH | FAULT_CLOCK;
    sim->settings.guard_percent_of_seeds = 0; /* a guard keeps leases beyond the tombstones */
    sim->settings.has_storage = true;
    sim->settings.clean_stops_percent = 30;
    sim->settings.away_max_ms = 4 * TTL_MS;
}

static void stored_third(struct sim *sim)
{
    sim->settings.faults |= FAULT_THIRD;
    sim->settings.has_storage = true;
    sim->settings.nodes_min = 3;
    sim->settings.delay_max_ms = 20;
}

static const struct world {
    const char *name;
    const char *what;
    const char *finding; /* of issue 9 that it shows; NULL: it holds */
    bool on;             /* by default */
    void (*set)(struct sim *sim);
    void (*link)(struct sim *sim); /* NULL: a full mesh */
    bool hops_grow;                /* with the number of nodes */
    uint32_t hops;                 /* the longest way; unless hops_grow */
} worlds[] = {
    {"plain", "cuts, loss, delay, crashes, pauses and clock jumps in a full mesh", NULL, true,
     plain, NULL, false, 1},
    {"chain3", "three nodes in a chain", NULL, true, small_chain, link_chain, false, 2},
    {"chain", "4 to 9 nodes in a chain", NULL, true, topology, link_chain, true, 0},
    {"ring", "4 to 9 nodes in a ring", NULL, true, topology, link_ring, true, 0},
    {"star", "4 to 9 nodes that reach each other by n0", NULL, true, topology, link_star, false, 2},
    {"bridge", "two meshes with one link between them", NULL, true, topology, link_bridge, false,
     3},
    {"slow", "a chain of three nodes with round trips above 500 ms", NULL, true, small_chain,
     link_slow, false, 2},
    {"late", "calls time out and arrive up to 60 s late", NULL, true, late, NULL, false, 1},
    {"repeated", "calls with revisions are executed twice, up to 15 s apart", NULL, true, repeated,
     NULL, false, 1},
    {"revision", "clients send revisions, and nodes execute late and repeated calls", NULL, true,
     revision, NULL, false, 1},
    {"mixed", "clients send revisions with half of their changes", NULL, true, mixed, NULL, false,
     1},
    {"stall", "nodes pause, and then execute the calls that timed out", NULL, true, stall, NULL,
     false, 1},
    {"stall-proxy", "nodes pause, and proxies keep the connections of calls that timed out", NULL,
     true, stall_behind_proxies, NULL, false, 1},
    {"toggle", "clients alternate between two contents at different nodes", NULL, true, toggle,
     NULL, false, 1},
    {"hop", "clients change to new contents at different nodes, some ms apart", NULL, true, hop,
     NULL, false, 1},
    {"toggle-cut", "as toggle, and links are cut for less than a lease", NULL, true, toggle_cut,
     NULL, false, 1},
    {"guard-restart", "most clients die at once, then each node restarts", NULL, true,
     guard_restart, NULL, false, 1},
    {"guard-turns", "the same, each node as soon as the one before is ready", NULL, true,
     guard_turns, NULL, false, 1},
    {"guard-chain", "as guard-turns, in a chain", NULL, true, guard_turns, link_chain, true, 0},
    {"guard-release", "most clients die at once, then an operator releases the guards", NULL, true,
     guard_and_release, NULL, false, 1},
    {"release-chain", "as guard-release, in a chain", NULL, true, guard_and_release, link_chain,
     true, 0},
    {"guard-gradual", "most clients die one by one", NULL, true, guard_gradual, NULL, false, 1},
    {"late-messages", "messages between nodes arrive up to 60 s late", NULL, true, late_messages,
     NULL, false, 1},
    {"transit", "nodes pause with messages in their sockets", NULL, true, transit, NULL, false, 1},
    {"legacy", "n0 is a legacy node; cuts and crashes", NULL, true, legacy, NULL, false, 1},
    {"cold", "nodes start while they reach no peer with data", NULL, true, cold, NULL, false, 1},
    {"retention", "nodes return after the tombstones have ended", NULL, true, retention, NULL,
     false, 1},
    {"regions", "two regions with 150 ms between them, and all links between them are cut", NULL,
     true, regions, link_regions, false, 1},
    {"regions-all", "as regions, and the faults of plain", NULL, true, regions_and_faults,
     link_regions, false, 1},
    {"members", "nodes join, leave, and die and are replaced; each node learns it later", NULL,
     true, members, NULL, false, 1},
    {"members-all", "as members, and the faults of plain", NULL, true, members_and_faults, NULL,
     false, 1},
    {"many", "as members, with 30 to 64 nodes", NULL, false, many_nodes, NULL, false, 1},
    {"quiet", "without faults and changes, for --costs", NULL, false, quiet, NULL, false, 1},
    {"ahead", "a node with a clock that is ahead issues stamps, and crashes", NULL, true, ahead,
     NULL, false, 1},
    {"stored", "as plain, and nodes keep their records over crashes and stops", NULL, true, stored,
     NULL, false, 1},
    {"stored-third", "nodes with storage crash after they got a change of a third node", NULL, true,
     stored_third, NULL, false, 1},
    {"stored-disks", "as stored, and disks fail or are slow for a time", NULL, true, stored_disks,
     NULL, false, 1},
    {"stored-cold", "as cold, also all nodes at once, and they keep their records", NULL, true,
     stored_cold, NULL, false, 1},
    {"stored-late", "as retention, with storage: nodes return after the tombstones have ended",
     NULL, true, stored_retention, NULL, false, 1},
};
enum { WORLDS = sizeof(worlds) / sizeof(*worlds) };

/* --- selection -------------------------------------------------------------------------------- */

bool worlds_parse(const char *names, uint64_t *set)
{
    *set = 0;
    while (*names) {
        size_t size = strcspn(names, ",");
        uint32_t i = 0;
        while (i < WORLDS &&
               (strlen(worlds[i].name) != size || memcmp(worlds[i].name, names, size) != 0))
            i++;
        if (i == WORLDS)
            return false;
        *set |= (uint64_t)1 << i;
        names += size;
        names += *names == ',';
    }
    return *set != 0;
}

void worlds_print(void)
{
    printf("%-14s %-7s %-14s %s\n", "world", "default", "shows finding", "what it does");
    for (uint32_t i = 0; i < WORLDS; i++)
        printf("%-14s %-7s %-14s %s\n", worlds[i].name, worlds[i].on ? "on" : "off",
               worlds[i].finding ? worlds[i].finding : "-", worlds[i].what);
}

/* Half of the seeds are plain worlds. */
uint64_t worlds_of_seed(uint64_t seed)
{
    uint32_t on[WORLDS];
    uint32_t count = 0;
    for (uint32_t i = 1; i < WORLDS; i++)
        if (worlds[i].on)
            on[count++] = i;
    return seed % 2 == 0 || count == 0 ? 1 : (uint64_t)1 << on[seed / 2 % count];
}

static void set_names(struct sim *sim, uint64_t set)
{
    static char names[256];
    size_t at = 0;
    names[0] = '\0';
    for (uint32_t i = 0; i < WORLDS; i++)
        if (set >> i & 1)
            at += (size_t)snprintf(names + at, sizeof(names) - at, "%s%s", at ? "," : "",
                                   worlds[i].name);
    sim->worlds = names;
}

/* A node has fewer records here than it may fetch at a time. In some seeds it may fetch less. */
static void limit_fetches(struct sim *sim)
{
    if (sim->seed % LIMITED_SEEDS != 0)
        return;
    sim->fetch_max = 1 + (uint32_t)(sim->seed / LIMITED_SEEDS % FETCH_MAX);
    sim->response_max = 1 + sim->fetch_max / 2;
    sim->check_max = CHECK_MIN + sim->fetch_max;
}

void worlds_prepare(struct sim *sim, uint64_t set)
{
    struct sim_settings *settings = &sim->settings;
    *settings = (struct sim_settings){.anti_entropy_ms = ANTI_ENTROPY_MS,
                                      .faults_ms = FAULTS_MS,
                                      .fault_max_ms = 30000,
                                      .member_interval_ms = MEMBER_INTERVAL_MS,
                                      .nodes_min = 2,
                                      .nodes_max = FEW_NODES,
                                      .clients_min = 10,
                                      .clients_max = CLIENTS_MAX,
                                      .delay_max_ms = 500,
                                      .actions_percent = 16,
                                      .returns = true,
                                      .guard_percent_of_seeds = 20,
                                      .guard_max_ms = 5000,
                                      .grace_percent_of_seeds = 50,
                                      .call_timeout_ms = 2000,
                                      .tombstone_ms = 600000,
                                      .hops = 1};
    set_names(sim, set);
    limit_fetches(sim);
    for (uint32_t i = 0; i < WORLDS; i++)
        if (set >> i & 1)
            worlds[i].set(sim);
    sim->node_count = settings->nodes_min +
                      (uint32_t)sim_random(sim, settings->nodes_max - settings->nodes_min + 1);
    sim->client_count =
        settings->clients_min +
        (uint32_t)sim_random(sim, settings->clients_max + 1 - settings->clients_min);
    sim->guarded = sim_chance(sim, settings->guard_percent_of_seeds);
    if (sim_chance(sim, settings->grace_percent_of_seeds))
        sim->grace_ms = REREGISTER_MS;
    for (uint32_t i = 0; i < WORLDS; i++) {
        if (!(set >> i & 1))
            continue;
        if (worlds[i].link)
            worlds[i].link(sim);
        uint32_t hops = worlds[i].hops_grow ? sim->node_count - 1 : worlds[i].hops;
        if (hops > settings->hops)
            settings->hops = hops;
    }
    settings->extra_ms += (settings->hops - 1) * 2 * ANTI_ENTROPY_MS;
    if (settings->has_legacy)
        sim->nodes[0].is_legacy = true;
}
