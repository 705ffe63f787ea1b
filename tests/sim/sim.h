/* SPDX-License-Identifier: Apache-2.0
 *
 * sim - a cluster in one thread: real registries and replicators, virtual clocks, a faulty network.
 *
 * Everything follows from the seed, so a failing seed can be replayed. First the faults: links are
 * cut, in one direction too; messages are delayed, reordered, repeated and lost; nodes crash and
 * restart empty, stop and continue; clocks drift and jump; clients register, renew, change, move to
 * another node, unregister and die. Then the recovery: all faults end. The oracle checks the
 * guarantees of docs/REPLICATION.md during both and at the end.
 *
 *   sim_main.c      seeds, processes, the report
 *   sim_world.c     virtual time and the event queue
 *   sim_node.c      a node: its registry and replicator, and how it serves a message
 *   sim_net.c       messages in transit
 *   sim_clients.c   what clients do
 *   sim_faults.c    what fails
 *   sim_oracle.c    what must hold
 *
 * Times are milliseconds of the virtual world. Not thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "artemis-server/replication/replicator.h"

enum {
    NODES_MAX = 7,
    CLIENTS_MAX = 40,
    TTL_MS = 9000,
    ANTI_ENTROPY_MS = 4000,
    BATCH_INTERVAL_MS = 250,
    HEALTH_INTERVAL_MS = 5000,
    TIMEOUT_MS = 3000,
    EXPIRE_TICK_MS = 100,
    FAULTS_MS = 90000,
    RECOVERY_MS = 60000, /* in the last part clients only renew */
    QUIET_MS = 25000,
    WORLD_EPOCH_MS = 1000000000,
};

struct sim_node {
    uint32_t id;
    char name[8];
    uint32_t life; /* number of its processes so far */
    bool running;
    bool paused;
    bool was_paused; /* since its start */
    struct registry *registry;
    struct replicator *replicator;
    uint64_t started_ms;
    int64_t drift_ppm;
    int64_t wall_offset_ms;
    bool was_ready;
    uint64_t evictions;
    uint64_t stamps[CLIENTS_MAX]; /* HLC stamps of the clients at the last check; 0: none */
    uint64_t work_at_ms;          /* time of its next scheduled turn */
};

/* A client: what it wants, and what was acknowledged. */
struct sim_client {
    uint32_t id;
    bool wanted; /* it wants to be registered */
    bool dead;   /* it stopped without unregistering */
    uint32_t content;
    uint32_t node;            /* the node that it calls */
    uint64_t since_ms;        /* last change, move or refused call */
    uint64_t failed_ms;       /* last failed call */
    uint64_t ended_ms;        /* when it unregistered or died */
    bool acknowledged;        /* its last registration was acknowledged */
    uint32_t ack_node;        /* the node that acknowledged its last change, */
    uint64_t ack_ms;          /* when that was, */
    bool ack_node_crashed;    /* that node crashed since, perhaps before it sent the change */
    bool ack_node_isolated;   /* that node was isolated until the lease expired there */
    bool ack_node_clock_late; /* that node's HLC was behind the cluster's */
};

/* Directed links: [from][to]. */
struct sim_link {
    bool cut;
    uint64_t fine_since_ms;
};

struct sim_counts {
    uint64_t events, messages, lost, repeated, registrations, heartbeats, refused, unregistrations,
        crashes, pauses, jumps, late, refuted, repairs, fetched, rounds, evictions;
};

struct sim {
    uint64_t seed;
    uint64_t random;
    uint64_t now_ms;
    bool verbose; /* log each event */
    uint32_t node_count;
    uint32_t client_count;
    bool guarded; /* the mass-expiry guard is on */
    uint32_t loss_percent;
    uint32_t repeat_percent;
    uint64_t delay_max_ms;
    uint64_t calm_since_ms; /* since when no message is lost or late; 0: not now */
    struct sim_node nodes[NODES_MAX];
    struct sim_client clients[CLIENTS_MAX];
    struct sim_link links[NODES_MAX][NODES_MAX];
    /* Since when changes at a can reach b, directly or through others; 0: they cannot. */
    uint64_t reaches_since_ms[NODES_MAX][NODES_MAX];
    struct sim_counts counts;
    char failure[512]; /* "": no failure */
};

/* --- sim_world.c ------------------------------------------------------------------------------ */
typedef void sim_event(struct sim *sim, void *context, uint32_t a, uint32_t b);
/* Schedules an event. The context belongs to the event. */
void sim_at(uint64_t when_ms, sim_event *call, void *context, uint32_t a, uint32_t b);
/* Runs all events up to that time. */
void sim_run(struct sim *sim, uint64_t until_ms);
/* Removes all events; `drop` frees their contexts. */
void sim_clear_events(void (*drop)(sim_event *call, void *context));
uint64_t sim_random(struct sim *sim, uint64_t below);
bool sim_chance(struct sim *sim, uint32_t percent);
void sim_log(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_fail(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* --- sim_node.c ------------------------------------------------------------------------------- */
struct moment node_now(const struct sim *sim, const struct sim_node *node);
void node_start(struct sim *sim, struct sim_node *node);
void node_crash(struct sim *sim, struct sim_node *node);
bool node_is_running(const struct sim_node *node); /* running and not paused */
/* One turn of its replication thread. */
void node_work(struct sim *sim, struct sim_node *node);

/* --- sim_net.c -------------------------------------------------------------------------------- */
void net_send(struct sim *sim, struct sim_node *from, struct message *message);
void net_drop(sim_event *call, void *context);

/* --- sim_clients.c ---------------------------------------------------------------------------- */
struct instance *client_instance(const struct sim_client *client, uint32_t content);
struct instance_key client_key(const struct sim_client *client);
void clients_start(struct sim *sim);
/* How far the node's HLC is behind the highest of the cluster. */
uint64_t node_hlc_lag_ms(const struct sim *sim, const struct sim_node *node);
/* Registered, alive and renewed without a failure for this long. */
bool client_is_steady(const struct sim *sim, const struct sim_client *client, uint64_t for_ms);

void clients_note_crash(struct sim *sim, const struct sim_node *node);

/* --- sim_faults.c ----------------------------------------------------------------------------- */
void faults_start(struct sim *sim);
void faults_end(struct sim *sim); /* ends all faults */

/* --- sim_oracle.c ----------------------------------------------------------------------------- */
void oracle_start(struct sim *sim);
void oracle_node_evicted(struct sim *sim, const struct sim_node *node);
void oracle_node_ready(struct sim *sim, const struct sim_node *node);
void oracle_end(struct sim *sim);
