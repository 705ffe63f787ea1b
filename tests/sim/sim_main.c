/* SPDX-License-Identifier: Apache-2.0
 *
 * sim [--worlds W,W] [--seeds N] [--first S] [--jobs J]
 *                    N seeds from S on: how many fail, and the story of the first
 * sim [--worlds W,W] --seed S     one seed, with a log of its events
 * sim --bug B [--seeds N]         with one of the bugs of artemis-core/base/sim_bug.h
 * sim --list                      the table of worlds
 * sim --costs                     what nodes send each other while nothing changes
 *
 * Without --worlds each seed chooses from the worlds that are on by default.
 */
#include "tests/sim/sim.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "artemis-server/log.h"

enum { FAILURES_SHOWN = 5, COSTS_FROM_MS = 30000, COSTS_MS = 60000 };

#ifdef ARTEMIS_SIM_BUG
int sim_bug;
#endif

static uint64_t chosen_worlds; /* 0: the defaults */

static void drop_event(sim_event *call, void *context)
{
    if (!net_drop(call, context))
        call_drop(call, context);
}

/* With that number of nodes; 0: as many as the worlds choose. */
static void start_world(struct sim *sim, uint64_t seed, uint32_t nodes, bool verbose)
{
    *sim = (struct sim){.seed = seed,
                        .random = seed * 2654435761 + 88172645463325252,
                        .verbose = verbose,
                        .failed_client = -1};
    sim->now_ms = WORLD_EPOCH_MS;
    disks_clear(sim);
    worlds_prepare(sim, chosen_worlds ? chosen_worlds : worlds_of_seed(seed));
    if (nodes)
        sim->node_count = nodes;
    sim_log(sim, "%u nodes, %u clients%s; %s", sim->node_count, sim->client_count,
            sim->guarded ? ", guarded" : "", sim->worlds);
    for (uint32_t id = 0; id < sim->node_count; id++) {
        sim->nodes[id].id = id;
        sim->nodes[id].wall_offset_ms = (int64_t)sim_random(sim, 4000) - 2000;
    }
    members_start(sim);
}

static void end_world(struct sim *sim)
{
    sim_clear_events(drop_event);
    for (uint32_t id = 0; id < sim->node_count; id++)
        if (sim->nodes[id].running)
            node_crash(sim, &sim->nodes[id]);
}

/* Runs one seed; a failure is in sim->failure. */
static void run_seed(struct sim *sim, uint64_t seed, bool verbose)
{
    start_world(sim, seed, 0, verbose);
    clients_start(sim);
    events_start(sim);
    faults_start(sim);
    oracle_start(sim);
    sim_run(sim, sim_faults_end_ms(sim));
    if (!sim->failure[0])
        faults_end(sim);
    sim_run(sim, sim_end_ms(sim));
    if (!sim->failure[0])
        oracle_end(sim);
    end_world(sim);
}

/* --- costs ------------------------------------------------------------------------------------ */

struct costs {
    uint64_t sent[MESSAGE_KINDS];
};

static struct costs read_costs(const struct sim *sim)
{
    struct costs costs = {0};
    for (uint32_t peer = 1; peer < sim->node_count; peer++) {
        struct peer_view view;
        replicator_view(sim->nodes[0].replicator, peer, node_now(sim, &sim->nodes[0]), &view);
        for (int kind = 0; kind < MESSAGE_KINDS; kind++)
            costs.sent[kind] += view.sent[kind];
    }
    return costs;
}

/* The requests of one node in a cluster without faults, in which clients renew. Every other node
 * sends as many, so a node receives as many as it sends. */
static void measure_costs(struct sim *sim, uint32_t nodes)
{
    if (!worlds_parse("quiet", &chosen_worlds))
        abort();
    start_world(sim, 1, nodes, false);
    clients_start(sim);
    sim_run(sim, WORLD_EPOCH_MS + COSTS_FROM_MS);
    struct costs before = read_costs(sim);
    sim_run(sim, WORLD_EPOCH_MS + COSTS_FROM_MS + COSTS_MS);
    struct costs after = read_costs(sim);
    printf("%5u", nodes);
    for (int kind = 0; kind < MESSAGE_KINDS; kind++)
        after.sent[kind] -= before.sent[kind];
    const uint64_t sums[] = {after.sent[MESSAGE_HEALTH], after.sent[MESSAGE_DIGEST],
                             after.sent[MESSAGE_LIST] + after.sent[MESSAGE_FETCH],
                             after.sent[MESSAGE_LEASE_CHECK]};
    for (size_t i = 0; i < sizeof(sums) / sizeof(*sums); i++)
        printf(" %12.2f", (double)sums[i] * 1000 / COSTS_MS);
    printf("\n");
    end_world(sim);
}

static int print_costs(void)
{
    static struct sim sim;
    printf("Requests per second that one node sends, with health checks every %d s and comparisons "
           "every %d s:\n",
           HEALTH_INTERVAL_MS / 1000, QUIET_ANTI_ENTROPY_MS / 1000);
    printf("%5s %12s %12s %12s %12s\n", "nodes", "health", "digest", "list, fetch", "lease check");
    measure_costs(&sim, 4);
    measure_costs(&sim, 16);
    measure_costs(&sim, 64);
    return 0;
}

/* --- many seeds ------------------------------------------------------------------------------- */

struct report {
    uint64_t seeds;
    uint64_t failed;
    uint64_t first_failed; /* seed; 0: none */
    int first_client;      /* that its failure concerns */
    struct sim_counts counts;
};

static void add_counts(struct sim_counts *sum, const struct sim_counts *counts)
{
    const uint64_t *from = (const uint64_t *)counts;
    uint64_t *to = (uint64_t *)sum;
    for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++)
        to[i] += from[i];
}

/* The seeds of one process: every jobs-th. */
static void run_share(uint64_t first, uint64_t seeds, unsigned job, unsigned jobs, int out)
{
    static struct sim sim;
    struct report report = {0};
    for (uint64_t i = job; i < seeds; i += jobs) {
        run_seed(&sim, first + i, false);
        report.seeds++;
        add_counts(&report.counts, &sim.counts);
        if (sim.failure[0] && report.failed++ < FAILURES_SHOWN)
            printf("seed %llu (%s): %s\n", (unsigned long long)(first + i), sim.worlds,
                   sim.failure);
        if (sim.failure[0] && !report.first_failed) {
            report.first_failed = first + i;
            report.first_client = sim.failed_client;
        }
        if (report.seeds % 100 == 0 && job == 0)
            fprintf(stderr, "sim: about %llu of %llu seeds\n",
                    (unsigned long long)(report.seeds * jobs), (unsigned long long)seeds);
    }
    fflush(stdout);
    if (write(out, &report, sizeof(report)) != sizeof(report))
        exit(1);
}

static bool collect(int in, unsigned jobs, struct report *sum)
{
    for (unsigned job = 0; job < jobs; job++) {
        struct report report;
        if (read(in, &report, sizeof(report)) != sizeof(report))
            return false;
        sum->seeds += report.seeds;
        sum->failed += report.failed;
        if (report.first_failed &&
            (!sum->first_failed || report.first_failed < sum->first_failed)) {
            sum->first_failed = report.first_failed;
            sum->first_client = report.first_client;
        }
        add_counts(&sum->counts, &report.counts);
    }
    return true;
}

static void print_report(const struct report *report, double secs)
{
    const struct sim_counts *c = &report->counts;
    for (int i = 0; i < INVARIANTS; i++)
        if (c->failed_by[i])
            printf("invariant %d: %llu seeds failed\n", i, (unsigned long long)c->failed_by[i]);
    printf("%llu seeds, %llu failed, %.1f s\n", (unsigned long long)report->seeds,
           (unsigned long long)report->failed, secs);
    printf("%llu events, %llu messages (%llu lost, %llu repeated), %llu crashes, %llu pauses, "
           "%llu clock jumps, %llu stamps refused\n",
           (unsigned long long)c->events, (unsigned long long)c->messages,
           (unsigned long long)c->lost, (unsigned long long)c->repeated,
           (unsigned long long)c->crashes, (unsigned long long)c->pauses,
           (unsigned long long)c->jumps, (unsigned long long)c->refused_stamps);
    printf("%llu registrations, %llu heartbeats (%llu refused), %llu unregistrations, "
           "%llu evictions, %llu refuted\n",
           (unsigned long long)c->registrations, (unsigned long long)c->heartbeats,
           (unsigned long long)c->refused, (unsigned long long)c->unregistrations,
           (unsigned long long)c->evictions, (unsigned long long)c->refuted);
    printf("%llu calls timed out, %llu executed after that, %llu dropped, %llu stale; "
           "%llu calls got 503, %llu stalls\n",
           (unsigned long long)c->timeouts, (unsigned long long)c->late_calls,
           (unsigned long long)c->dropped_calls, (unsigned long long)c->stale_calls,
           (unsigned long long)c->not_ready, (unsigned long long)c->stalls);
    printf("%llu repairs, %llu comparisons, %llu incomplete, %llu records fetched by them, "
           "%llu lists cut\n",
           (unsigned long long)c->repairs, (unsigned long long)c->comparisons,
           (unsigned long long)c->incomplete, (unsigned long long)c->fetched,
           (unsigned long long)c->lists_cut);
    printf("%llu instances loaded, %llu of them evicted before ready, %llu commits lost, "
           "%llu disk faults, %llu changes of members\n",
           (unsigned long long)c->loaded, (unsigned long long)c->loaded_evicted,
           (unsigned long long)c->commits_lost, (unsigned long long)c->disk_faults,
           (unsigned long long)c->member_changes);
    printf("%llu events published, %llu arrived, %llu dropped, %llu missed; %llu batches\n",
           (unsigned long long)c->events_published, (unsigned long long)c->events_arrived,
           (unsigned long long)c->events_dropped, (unsigned long long)c->events_missed,
           (unsigned long long)c->batches);
}

/* Prints the last events of a seed that failed, without those of other clients. */
static void print_story(uint64_t seed, int client)
{
    static struct sim sim;
    sim_start_story(client);
    run_seed(&sim, seed, true);
    printf("\nseed %llu (%s): %s\nIts last events, in seconds:\n", (unsigned long long)seed,
           sim.worlds, sim.failure);
    sim_print_story();
    printf("all events: sim%s%s --seed %llu\n\n", chosen_worlds ? " --worlds " : "",
           chosen_worlds ? sim.worlds : "", (unsigned long long)seed);
}

static int run_many(uint64_t first, uint64_t seeds, unsigned jobs)
{
    int ends[2];
    struct timespec begin;
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    if (pipe(ends))
        return 1;
    for (unsigned job = 0; job < jobs; job++) {
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL); /* ends with its parent */
            run_share(first, seeds, job, jobs, ends[1]);
            exit(0);
        }
    }
    close(ends[1]);
    struct report sum = {0};
    bool whole = collect(ends[0], jobs, &sum);
    while (wait(NULL) > 0)
        ;
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (sum.first_failed)
        print_story(sum.first_failed, sum.first_client);
    print_report(&sum,
                 (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9);
    if (!whole)
        printf("a process ended early: an assertion failed or it crashed\n");
    return whole && sum.failed == 0 ? 0 : 1;
}

static int run_one(uint64_t seed)
{
    static struct sim sim;
    run_seed(&sim, seed, true);
    printf("seed %llu: %s\n", (unsigned long long)seed, sim.failure[0] ? sim.failure : "passed");
    return sim.failure[0] ? 1 : 0;
}

static uint64_t number(const char *text)
{
    char *end;
    errno = 0;
    uint64_t value = strtoull(text ? text : "", &end, 10);
    if (errno || !text || *end || end == text) {
        fprintf(stderr, "sim: %s is not a number\n", text ? text : "(nothing)");
        exit(2);
    }
    return value;
}

static int usage(void)
{
    fprintf(stderr, "usage: sim [--worlds W,W] [--seeds N] [--first S] [--jobs J] | --seed S | "
                    "--list | --costs\n");
    return 2;
}

static void switch_bug_on(uint64_t bug)
{
#ifdef ARTEMIS_SIM_BUG
    sim_bug = (int)bug;
#else
    (void)bug;
    fprintf(stderr, "sim: this build has no bugs; make sim-bug\n");
    exit(2);
#endif
}

int main(int argc, char **argv)
{
    uint64_t seeds = 1000;
    uint64_t first = 1;
    uint64_t seed = 0;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned jobs = cores > 0 ? (unsigned)cores : 1;
    /* None: disks that fail are logged as errors. */
    log_setup((enum log_level)(LOG_LEVEL_ERROR + 1), LOG_FORMAT_TEXT, NULL);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--list") == 0)
            return worlds_print(), 0;
        if (strcmp(argv[i], "--costs") == 0)
            return print_costs();
        if (strcmp(argv[i], "--worlds") == 0 && argv[i + 1]) {
            if (!worlds_parse(argv[++i], &chosen_worlds))
                return fprintf(stderr, "sim: unknown world; sim --list\n"), 2;
        } else if (strcmp(argv[i], "--seed") == 0)
            seed = number(argv[++i]);
        else if (strcmp(argv[i], "--seeds") == 0)
            seeds = number(argv[++i]);
        else if (strcmp(argv[i], "--first") == 0)
            first = number(argv[++i]);
        else if (strcmp(argv[i], "--bug") == 0)
            switch_bug_on(number(argv[++i]));
        else if (strcmp(argv[i], "--jobs") == 0)
            jobs = (unsigned)number(argv[++i]);
        else
            return usage();
    }
    return seed ? run_one(seed) : run_many(first, seeds, jobs ? jobs : 1);
}
