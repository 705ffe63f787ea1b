/* SPDX-License-Identifier: Apache-2.0
 *
 * sim - a cluster in one thread: real registries and replicas, virtual clocks, a hostile network.
 *
 * Everything that happens follows from the seed, so a seed that fails replays. First chaos: links
 * are cut, one way too, messages delayed, reordered, repeated and lost, nodes crash, forget and
 * return, stop and go on, clocks drift and jump; clients register, renew, change, move, unregister
 * and die. Then peace; then the oracle asks whether what docs/REPLICATION.md promises came true.
 *
 *   sim_main.c      seeds, processes, the report
 *   sim_world.c     virtual time and the queue of events
 *   sim_node.c      a node: its registry and replica, and how it serves a message
 *   sim_net.c       messages on their way
 *   sim_clients.c   what clients do
 *   sim_faults.c    what goes wrong
 *   sim_oracle.c    what must hold
 *
 * Times are ms of the virtual world. Nothing in here is thread-safe.
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
    RECOVERY_MS = 60000, /* of which the last part is quiet: clients only renew */
    QUIET_MS = 25000,
    WORLD_EPOCH_MS = 1000000000,
};

struct sim_node {
    uint32_t id;
    char name[8];
    uint32_t life; /* counts its processes */
    bool running;
    bool paused;
    bool was_paused; /* since it started */
    struct registry *registry;
    struct replicator *replicator;
    uint64_t started_ms;
    int64_t drift_ppm;
    int64_t wall_offset_ms;
    bool was_ready;
    uint64_t evictions;
    uint64_t
        stamps[CLIENTS_MAX]; /* of what it held of each client when it was last looked; 0: none */
    uint64_t work_at_ms;     /* when its next turn is scheduled */
};

/* What a client wants, and what it was told. */
struct sim_client {
    uint32_t id;
    bool wanted; /* it is to be registered */
    bool dead;   /* it has stopped without a word */
    uint32_t content;
    uint32_t node;            /* where it calls */
    uint64_t since_ms;        /* registered without a change, a move or a refusal since */
    uint64_t failed_ms;       /* when a call of it last failed */
    uint64_t ended_ms;        /* when it unregistered, or died */
    bool acknowledged;        /* its last registration was */
    uint32_t ack_node;        /* who acknowledged its last registration or unregistration, */
    uint64_t ack_ms;          /* when, */
    bool ack_node_crashed;    /* and has crashed since, maybe before it told anybody */
    bool ack_node_isolated;   /* which then was out of reach until the lease had ended there */
    bool ack_node_clock_late; /* and had yet to hear of a clock that was ahead of its own */
};

/* Links are one way: [from][to]. */
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
    bool verbose; /* tell what happens */
    uint32_t node_count;
    uint32_t client_count;
    bool guarded; /* the mass-expiry guard is on */
    uint32_t loss_percent;
    uint32_t repeat_percent;
    uint64_t delay_max_ms;
    uint64_t calm_since_ms; /* nothing is lost, and little late, since then; 0: not now */
    struct sim_node nodes[NODES_MAX];
    struct sim_client clients[CLIENTS_MAX];
    struct sim_link links[NODES_MAX][NODES_MAX];
    /* Since when b has been able to hear of what a knows, by whatever way; 0: it is not. */
    uint64_t reaches_since_ms[NODES_MAX][NODES_MAX];
    struct sim_counts counts;
    char failure[512]; /* "": none */
};

/* --- sim_world.c --- */
typedef void sim_event(struct sim *sim, void *context, uint32_t a, uint32_t b);
/* Calls back at that time. The context is the event's. */
void sim_at(uint64_t when_ms, sim_event *call, void *context, uint32_t a, uint32_t b);
/* Runs events until that time. */
void sim_run(struct sim *sim, uint64_t until_ms);
/* Forgets all events; contexts are freed by `drop`. */
void sim_clear_events(void (*drop)(sim_event *call, void *context));
uint64_t sim_random(struct sim *sim, uint64_t below);
bool sim_chance(struct sim *sim, uint32_t percent);
void sim_log(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_fail(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* --- sim_node.c --- */
struct moment node_now(const struct sim *sim, const struct sim_node *node);
void node_start(struct sim *sim, struct sim_node *node);
void node_crash(struct sim *sim, struct sim_node *node);
bool node_is_running(const struct sim_node *node); /* it runs, and is not stopped */
/* Lets it do what is to be done, now. */
void node_work(struct sim *sim, struct sim_node *node);

/* --- sim_net.c --- */
void net_send(struct sim *sim, struct sim_node *from, struct message *message);
void net_drop(sim_event *call, void *context);

/* --- sim_clients.c --- */
struct instance *client_instance(const struct sim_client *client, uint32_t content);
struct instance_key client_key(const struct sim_client *client);
void clients_start(struct sim *sim);
/* How far the clock of a node's versions is behind that of another. */
uint64_t node_hlc_lag_ms(const struct sim *sim, const struct sim_node *node);
/* Alive, registered, and renewed for so long without a failure. */
bool client_is_steady(const struct sim *sim, const struct sim_client *client, uint64_t for_ms);

void clients_note_crash(struct sim *sim, const struct sim_node *node);

/* --- sim_faults.c --- */
void faults_start(struct sim *sim);
void faults_end(struct sim *sim); /* peace: all that was broken is whole again */

/* --- sim_oracle.c --- */
void oracle_start(struct sim *sim);
void oracle_node_evicted(struct sim *sim, const struct sim_node *node);
void oracle_node_ready(struct sim *sim, const struct sim_node *node);
void oracle_end(struct sim *sim);
