/* SPDX-License-Identifier: Apache-2.0
 *
 * sim - a cluster in one thread: real registries, replicators and storages, virtual clocks, a
 * faulty network, disks in memory.
 *
 * Everything follows from the seed and the worlds, so a failing seed can be replayed. A world is a
 * named set of faults, topologies and clients (sim_worlds.c). First the faults: links are cut, in
 * one direction too; messages are delayed, reordered, repeated and lost; nodes crash and restart,
 * empty or with what they stored, stop and continue; clocks drift and jump; clients register,
 * renew, change, move to another node, time out, unregister and die. Then the recovery: all faults
 * end. The oracle checks the invariants during both and at the end.
 *
 *   sim_main.c      seeds, processes, the report
 *   sim_worlds.c    the table of worlds; topologies
 *   sim_time.c      virtual time, the event queue, random numbers, the log
 *   sim_node.c      a node: its registry and replicator
 *   sim_storage.c   its storage, in the worlds with storage
 *   sim_disk.c      the disks: they lose the last commit, fail, or are slow
 *   sim_net.c       messages between nodes in transit, and how a node serves them
 *   sim_calls.c     calls of clients in transit, and how a node serves them
 *   sim_clients.c   what clients do
 *   sim_events.c    events of topics: what nodes publish and get
 *   sim_members.c   who is in the cluster: nodes join, leave, die and are replaced
 *   sim_faults.c    what fails
 *   sim_oracle.c    invariants of single instances
 *   sim_lists.c     invariants of the lists that nodes serve
 *
 * Invariants. 1 to 5 are the guarantees of docs/REPLICATION.md:
 *   1  agreement: after the faults all nodes hold the same records
 *   2  no lost registration
 *   3  no resurrection; a lease that is not renewed ends
 *   4  no eviction of living instances; their leases are renewed long before they end
 *   5  bounded memory: the outbox
 *   6  a node that becomes ready serves what every living node serves, guarded leases included
 *   7  the last acknowledged change of a client is the final one, whichever nodes it used, if it
 *      saw each response, or its time-out, before the next call
 *   8  nodes that reach each other serve the same list within two intervals of anti-entropy
 *   9  an event of a topic arrives at most once, in order, and each loss is counted (sim_events.c)
 * With storage, a crash loses nothing that was acknowledged more than a second before, and stamps
 * and revisions are never below those of earlier processes (7). While a disk fails or is slow, and
 * for DISK_RECOVERY_MS after that, this holds for what was acknowledged more than a second before
 * the disk failed and has not changed since.
 *
 * Times are milliseconds of the virtual world. Not thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "artemis-core/model/record_order.h"
#include "artemis-server/events/event_hub.h"
#include "artemis-server/replication/replicator.h"

enum {
    NODES_MAX = REPLICATOR_PEERS_MAX,
    CLIENTS_MAX = 40,
    TTL_MS = 9000,
    GUARD_PERCENT = 50,
    GUARD_MIN_LEASES = 10,
    MAX_CLOCK_SKEW_MS = 3600 * 1000, /* nodes may start with clocks that are further apart */
    ANTI_ENTROPY_MS = 4000,
    QUIET_ANTI_ENTROPY_MS = 10000,
    BATCH_INTERVAL_MS = 250,
    REMOTE_BATCH_MS = 1000,
    TRAVEL_MS = 20,         /* of a message, beside delays */
    RECOVERY_DELAY_MS = 50, /* of one message in ten after the faults, at most */
    REGION_DELAY_MS = 75,   /* of each message between two regions: a round trip takes 150 ms */
    CALL_INTERVAL_MS = TTL_MS / 4, /* at which a client renews */
    HEALTH_INTERVAL_MS = 5000,
    TIMEOUT_MS = 3000,
    EXPIRE_TICK_MS = 100,
    FAULTS_MS = 90000,
    RECOVERY_MS = 60000,       /* at least; a world can extend it */
    MEMBER_INTERVAL_MS = 5000, /* between two changes of members, at least */
    QUIET_MS = 25000,          /* the last part, in which clients only renew */
    LATE_MAX_MS = 60000,       /* how late a call or a message can arrive */
    REREGISTER_MS = 30000,
    BOOTSTRAP_REFILL_MS = TTL_MS / 3 + 5000,
    STALL_MS = TTL_MS / 3, /* a longer pause is a stall */
    INVARIANTS = 10,       /* 0: the simulator itself */
    WORLD_EPOCH_MS = 1000000000,
    STORED_MS = 1000, /* what is older is on the disk */
};

/* What the storage of a node must have kept: orders of its records, stamp 0: none. */
struct sim_stored {
    struct record_order recent[CLIENTS_MAX];   /* at the last check, */
    struct record_order earlier[CLIENTS_MAX];  /* and at the one before */
    struct record_order required[CLIENTS_MAX]; /* after the next start */
    uint64_t recent_hlc, earlier_hlc;          /* the highest of all records until then, */
    uint64_t recent_highest, earlier_highest;  /* the highest stamp that the node knew, */
    uint64_t recent_evicted, earlier_evicted;  /* and the number of evictions */
    uint64_t hlc, revision;                    /* that the last process has used */
    uint64_t left_hlc;                         /* the highest of its records, also after its end */
};

/* A node. */
struct sim_node {
    uint32_t id;
    bool is_legacy;  /* an older Artemis: it knows no stamps */
    uint32_t region; /* the peers of other regions are remote */
    char name[8];
    uint32_t life; /* number of its processes so far */
    bool running;
    bool is_leaving;                     /* it sends what is pending, and stops then, */
    uint64_t leaving_ms;                 /* since when */
    uint64_t topology;                   /* bit set of the nodes that it has as peers */
    uint64_t listed_since_ms[NODES_MAX]; /* since when it has had each of them */
    bool paused;
    bool was_paused;                  /* since its start */
    uint64_t paused_ms;               /* since when, if paused */
    uint64_t stalled_ms;              /* end of its last stall; 0: none since its start */
    uint64_t continued_ms;            /* end of its last pause; 0: none since its start */
    uint64_t alone_ms;                /* when it last had no peer that was up */
    uint64_t refused_ms[CLIENTS_MAX]; /* when it last responded 503 to a heartbeat */
    struct registry *registry;
    struct replicator *replicator;
    struct storage *storage;  /* NULL: it has none */
    struct sim_stored stored; /* by the storage; of the last process after its end */
    bool has_loaded;          /* instances from the storage */
    bool was_ready;           /* since its start; with storage */
    uint64_t away_ms;         /* as its wall clock shows it; UINT64_MAX: it went back */
    struct release_list releases;
    struct event_hub *events;
    char run[EVENT_RUN_BYTES];
    uint64_t published;   /* events, by this process */
    uint64_t admitted;    /* numbers of events of its peers, from the first of each that it got */
    bool has_late_events; /* of a process that had ended; `admitted` lacks them */
    uint64_t started_ms;
    int64_t drift_ppm;
    int64_t wall_offset_ms;
    bool is_ready;     /* as seen at its last turn */
    uint64_t ready_ms; /* since when */
    uint64_t evictions;
    struct record_order orders[CLIENTS_MAX]; /* of the records at the last check; stamp 0: none */
    uint64_t held_ms[CLIENTS_MAX]; /* when it last had the instance, of any of its processes */
    uint64_t steady_since_ms[CLIENTS_MAX];   /* it has had it, the lease not about to end; 0: not */
    uint32_t contents[CLIENTS_MAX];          /* at the last check, */
    uint64_t contents_since_ms[CLIENTS_MAX]; /* and the check that saw it first */
    uint64_t guards_since_ms;                /* since when it has guarded leases; 0: it has none */
    uint64_t work_at_ms;                     /* time of its next scheduled turn */
};

/* A client: what it wants, and what was acknowledged. */
struct sim_client {
    uint32_t id;
    struct instance_key key;
    bool wanted;     /* it wants to be registered */
    bool dead;       /* it stopped without unregistering */
    bool is_leaving; /* its unregistration is not acknowledged yet */
    uint32_t content;
    uint64_t revision;        /* of its last change */
    uint32_t node;            /* the node that it calls */
    uint32_t call;            /* number of its call in transit; 0: none */
    uint32_t calls;           /* numbers used so far */
    uint64_t changed_ms;      /* when a node last executed a change of it, late ones included */
    uint64_t touched_ms;      /* when a node last executed any call of it */
    uint32_t changed_node;    /* the node that last executed a change of it, */
    uint64_t changed_hlc_ms;  /* and the time of its stamps after that */
    uint64_t since_ms;        /* last change, move or refused call */
    uint64_t failed_ms;       /* last failed call */
    uint64_t ended_ms;        /* when it unregistered or died */
    uint64_t kept_ms;         /* start of the last node that loaded it and kept it; 0: none did */
    bool acknowledged;        /* its last registration was acknowledged */
    uint32_t ack_node;        /* the node that acknowledged its last change, */
    uint64_t ack_ms;          /* when that was, */
    bool ack_node_crashed;    /* that node crashed since, perhaps before it sent the change */
    bool ack_node_restarted;  /* that node crashed since, and has stored the change */
    bool ack_node_isolated;   /* that node was isolated until the lease expired there */
    bool ack_node_clock_late; /* that node's stamps were behind; see is_clock_late */
    bool revision_forgotten;  /* a late call arrived where nobody knows the instance any more */
};

/* Directed links: [from][to]. */
struct sim_link {
    bool absent; /* never exists */
    bool cut;
    uint32_t delay_ms; /* of each message, beside the random one */
    uint64_t fine_since_ms;
};

/* Events of one node for another one. */
struct sim_event_pair {
    uint32_t life, receiver_life; /* the processes of the last event, */
    uint64_t number;              /* and its number */
    uint64_t before;              /* published before the other one became a peer, */
    uint64_t arrived;             /* and those that it has got since */
    uint64_t due_ms;              /* when all have arrived, without failures and halvings */
};

struct sim_counts {
    uint64_t events, messages, lost, repeated, registrations, heartbeats, refused, not_ready,
        unregistrations, crashes, pauses, stalls, jumps, late, refuted, repairs, fetched,
        comparisons, evictions, timeouts, late_calls, dropped_calls, stale_calls, refused_stamps,
        lists_cut, incomplete, loaded, loaded_evicted, commits_lost, disk_faults, member_changes,
        events_published, events_arrived, events_dropped, events_missed, batches;
    uint64_t failed_by[INVARIANTS]; /* seeds that failed, by invariant */
};

enum sim_fault {
    FAULT_LINK = 1 << 0,    /* a link is cut */
    FAULT_ISOLATE = 1 << 1, /* all links of a node are cut */
    FAULT_CRASH = 1 << 2,
    FAULT_PAUSE = 1 << 3,
    FAULT_CLOCK = 1 << 4,
    FAULT_NETWORK = 1 << 5, /* loss and delay */
    FAULT_COLD = 1 << 6,    /* a node, or all, crash and start while they reach no ready peer */
    FAULT_AHEAD = 1 << 7,   /* a node starts with a clock that is ahead, and crashes soon */
    FAULT_THIRD = 1 << 8,   /* a node gets an old change of a third node, and both crash */
    FAULT_REGION = 1 << 9,  /* the links between two regions are cut */
    FAULT_MEMBER = 1 << 10, /* a node joins, leaves, or dies and is replaced */
    FAULTS_ALL =
        FAULT_LINK | FAULT_ISOLATE | FAULT_CRASH | FAULT_PAUSE | FAULT_CLOCK | FAULT_NETWORK,
};

enum sim_deaths {
    DEATHS_FEW,
    DEATHS_AT_ONCE,      /* most clients die at once; then the nodes restart one by one */
    DEATHS_AND_RESTARTS, /* the same, and a node restarts as soon as the one before is ready */
    DEATHS_AND_RELEASE,  /* most clients die at once; then an operator releases the guards */
    DEATHS_GRADUAL,      /* most clients die one by one */
};

/* What the worlds of a seed choose. */
struct sim_settings {
    uint32_t faults; /* set of enum sim_fault */
    uint64_t anti_entropy_ms;
    uint64_t faults_ms, fault_max_ms;
    uint32_t nodes_min, nodes_max;
    uint32_t clients_min, clients_max;
    uint64_t delay_max_ms;
    uint64_t extra_ms;           /* added to the recovery */
    uint64_t quiet_ms;           /* since when clients only renew; 0: the last part */
    bool calls_travel;           /* calls take time; false: they are executed at once */
    uint32_t late_calls_percent; /* of the requests and of the responses to clients */
    uint32_t repeated_calls_percent;
    bool executes_closed_calls; /* nodes do not drop calls of closed connections */
    uint32_t revisions_percent; /* of the changes carry the client's revision */
    uint64_t call_timeout_ms;
    uint32_t late_messages_percent; /* of the messages between nodes and of their responses */
    bool messages_are_late;   /* the same, also of those that were sent before the faults end */
    uint32_t actions_percent; /* of the turns in which a client does not only renew */
    bool toggles;             /* clients alternate between two contents at different nodes */
    bool toggles_grow;        /* new contents instead */
    bool returns;             /* clients that died or unregistered return */
    uint32_t guard_percent_of_seeds;
    uint64_t guard_max_ms;
    uint32_t grace_percent_of_seeds;
    enum sim_deaths deaths;
    uint64_t tombstone_ms;
    uint32_t members_min;  /* at the start, up to twice as many; 0: all nodes, for good */
    uint32_t members_keep; /* nodes leave as long as there are more */
    uint64_t member_interval_ms;
    bool has_legacy; /* n0 is a legacy node */
    bool is_cold;    /* nodes start without reaching a peer */
    bool has_storage;
    bool disks_fail;              /* for a time, or are slow */
    uint32_t clean_stops_percent; /* of the crashes are stops that store everything */
    uint64_t away_max_ms;         /* how long a node that crashed is away; 0: a third of a fault */
    uint32_t hops;                /* the longest way between two nodes; 1: a full mesh */
};

struct sim {
    uint64_t seed;
    uint64_t random;
    uint64_t now_ms;
    bool verbose;       /* log each event */
    const char *worlds; /* names of its worlds, for the report */
    struct sim_settings settings;
    uint32_t node_count;
    uint32_t client_count;
    bool guarded;          /* the mass-expiry guard is on */
    uint64_t grace_ms;     /* of the bootstrap */
    uint32_t fetch_max;    /* records that a node fetches after one list; 0: without this limit, */
    uint32_t response_max; /* and those in one response to it */
    uint32_t check_max;    /* leases in a lease check; 0: without this limit */
    uint32_t loss_percent;
    uint32_t repeat_percent;
    uint64_t delay_max_ms;
    uint64_t calm_since_ms; /* since when no message is lost or late; 0: not now */
    uint64_t behind_ms;     /* when a node last continued with its HLC behind; 0: never */
    int64_t ahead_ms;       /* how far the last clock was ahead that was wrong; see FAULT_AHEAD */
    uint64_t planned_ms;    /* no other FAULT_AHEAD or FAULT_THIRD begins before */
    uint64_t members;       /* bit set: who is in the cluster, as the provider knows it */
    uint64_t retired;       /* bit set: nodes that leave or have left for good */
    struct sim_node nodes[NODES_MAX];
    struct sim_client clients[CLIENTS_MAX];
    struct sim_link links[NODES_MAX][NODES_MAX];
    struct sim_event_pair event_pairs[NODES_MAX][NODES_MAX]; /* [from][to] */
    /* Since when changes at a can reach b, directly or through others; 0: they cannot. */
    uint64_t reaches_since_ms[NODES_MAX][NODES_MAX];
    uint64_t connected_since_ms[NODES_MAX][NODES_MAX]; /* the same, directly */
    uint64_t contact_ms[NODES_MAX][NODES_MAX]; /* when messages last passed, lost ones apart */
    uint64_t engaged_ms;              /* when a guard of any node was engaged, or a node paused */
    uint64_t released_ms;             /* when an operator released the guards; 0: not yet */
    bool guarded_before[CLIENTS_MAX]; /* every node guarded the lease before the restarts in turn */
    uint64_t differs_since_ms[NODES_MAX][NODES_MAX][CLIENTS_MAX]; /* lists of n and m; 0: equal */
    uint64_t behind_since_ms[NODES_MAX][NODES_MAX]; /* stamps of n, behind those of m; 0: are not */
    struct sim_counts counts;
    char failure[512]; /* "": no failure */
    int failed_client; /* -1: none */
};

/* --- sim_worlds.c ----------------------------------------------------------------------------- */
enum { WORLDS_MAX = 64 };
/* Reads a list of names into a set; false: one is unknown. */
bool worlds_parse(const char *names, uint64_t *set);
void worlds_print(void);
/* The worlds of a seed, chosen from those that are on by default. */
uint64_t worlds_of_seed(uint64_t seed);
/* Sets sim->settings, the number of nodes and clients, and the links. */
void worlds_prepare(struct sim *sim, uint64_t set);

/* --- sim_time.c ------------------------------------------------------------------------------- */
typedef void sim_event(struct sim *sim, void *context, uint32_t a, uint32_t b);
/* Schedules an event. The context belongs to the event. */
void sim_at(uint64_t when_ms, sim_event *call, void *context, uint32_t a, uint32_t b);
/* Runs all events up to that time. */
void sim_run(struct sim *sim, uint64_t until_ms);
/* Removes all events; `drop` frees their contexts. */
void sim_clear_events(void (*drop)(sim_event *call, void *context));
uint64_t sim_random(struct sim *sim, uint64_t below);
bool sim_chance(struct sim *sim, uint32_t percent);
/* When the faults end, when the world ends, and when clients begin to renew only. */
uint64_t sim_faults_end_ms(const struct sim *sim);
uint64_t sim_end_ms(const struct sim *sim);
uint64_t sim_quiet_ms(const struct sim *sim);
void sim_log(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Records the first failure: which invariant, and the client that it concerns (-1: none). */
void sim_fail(struct sim *sim, int invariant, int client, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Stores the log lines that concern this client or no client, instead of printing them. */
void sim_start_story(int client);
void sim_print_story(void); /* the last lines */

/* --- sim_node.c ------------------------------------------------------------------------------- */
uint32_t node_number(struct slice name); /* n7: 7 */
struct moment node_now(const struct sim *sim, const struct sim_node *node);
uint64_t node_age_ms(const struct sim *sim, const struct sim_node *node); /* by its own clock */
void node_start(struct sim *sim, struct sim_node *node);
void node_crash(struct sim *sim, struct sim_node *node);
/* Ends a node, which stores everything before. */
void node_stop(struct sim *sim, struct sim_node *node);
bool node_is_running(const struct sim_node *node); /* running and not paused */
bool node_accepts_calls(const struct sim_node *node);
/* One turn of its replication thread. */
void node_work(struct sim *sim, struct sim_node *node);
/* Sends on that all guards were released when the clock of the cluster showed clock_ms. */
void node_put_release(struct sim_node *node, uint64_t clock_ms, struct moment now);
/* A node that clients call. */
uint32_t node_for_client(struct sim *sim);
/* How far the node's HLC is behind the highest of the cluster. */
uint64_t node_hlc_lag_ms(const struct sim *sim, const struct sim_node *node);
/* The time of the next stamp that the node issues, and how far it is behind the highest one. */
uint64_t node_stamps_ms(const struct sim *sim, const struct sim_node *node);
uint64_t node_stamps_lag_ms(const struct sim *sim, const struct sim_node *node);

/* --- sim_members.c ---------------------------------------------------------------------------- */
static inline bool is_in(uint64_t nodes, uint32_t id)
{
    return nodes >> id & 1;
}
void members_start(struct sim *sim); /* starts the first members */
/* A node that starts reads the list of the provider. */
void members_read(struct sim *sim, struct sim_node *node);
/* One node joins, leaves, or dies and is replaced; if there are enough. */
void members_change(struct sim *sim);
void members_end(
    struct sim *sim); /* nodes that leave have left, and the others get the last list */

/* --- sim_storage.c ---------------------------------------------------------------------------- */
/* The way of a node's storage; without one they do nothing. store_open sets the bounds. */
void store_open(struct sim *sim, struct sim_node *node, struct registry_options *options);
void store_load(struct sim *sim, struct sim_node *node);
bool store_has_data(const struct sim_node *node);
void store_node_ready(struct sim *sim, struct sim_node *node);
void store_close(struct sim *sim, struct sim_node *node, bool is_clean);
void store_check(struct sim *sim, struct sim_node *node); /* every second */
/* What the node has since then is on its disk: after a second, if the disk works. */
bool store_has_committed(const struct sim *sim, const struct sim_node *node, uint64_t since_ms);

/* --- sim_disk.c ------------------------------------------------------------------------------- */
enum disk_state { DISK_WORKS, DISK_FAILS, DISK_IS_SLOW };
enum { DISK_RECOVERY_MS = BACKOFF_MAX_MS + STORED_MS }; /* everything is stored again by then */
void disks_clear(struct sim *sim);                      /* before a seed */
void disk_set_state(uint32_t node, enum disk_state state);
bool disk_fails(uint32_t node);
bool disk_is_busy(uint32_t node); /* with a commit, for which the storage thread waits */
/* Since when the disk fails or is slow, or has not stored everything after that; UINT64_MAX: it has
 * stored everything that is older than STORED_MS. */
uint64_t disk_trouble_ms(uint32_t node);
void disk_set_clock(struct moment now);
void disk_flush(uint32_t node); /* the last commit is on the disk, */
void disk_crash(uint32_t node); /* or lost, if it is not there yet */

/* --- sim_net.c -------------------------------------------------------------------------------- */
void net_send(struct sim *sim, struct sim_node *from, struct message *message);
bool net_drop(sim_event *call, void *context); /* false: not an event of this file */
static inline bool link_works(const struct sim *sim, uint32_t from, uint32_t to)
{
    return !sim->links[from][to].cut && !sim->links[from][to].absent;
}

/* --- sim_events.c ----------------------------------------------------------------------------- */
void events_start(struct sim *sim);
void events_node_start(struct sim *sim, struct sim_node *node);
void events_node_end(struct sim *sim, struct sim_node *node); /* before its name changes */
void events_note_peer(struct sim *sim, const struct sim_node *node, uint32_t peer); /* is added */
/* Moves what was published to the replicator. */
void events_for_peers(struct sim_node *node);
/* Serves a request with events. */
enum send_result events_serve(struct sim *sim, struct sim_node *node, const struct sim_node *from,
                              struct slice body);
void events_check_peer(struct sim *sim, const struct sim_node *node, uint32_t peer,
                       const struct peer_view *view);
void events_end(struct sim *sim);

/* --- sim_calls.c ------------------------------------------------------------------------------ */
enum { BATCH_MAX = 8 }; /* clients of call_register_all */
enum call_kind { CALL_REGISTER, CALL_HEARTBEAT, CALL_UNREGISTER };
enum call_result {
    CALL_DONE,
    CALL_UNKNOWN,   /* a heartbeat: not registered */
    CALL_NOT_READY, /* 503: not executed */
    CALL_REFUSED,   /* no process accepts the connection */
    CALL_STALE,     /* the node has a later revision */
    CALL_TIMEOUT,
};
/* A copy of the client's state at the time of the call. */
struct sim_call {
    enum call_kind kind;
    uint32_t client;
    uint32_t number;
    uint32_t node;
    uint32_t content;
    uint64_t revision; /* 0: the call carries none */
    uint64_t sent_ms;
    uint64_t queued_ms; /* since when it is in the socket of a paused node; 0: it is not */
    bool is_repeated;   /* by a proxy, over a connection that stays open */
    enum call_result result;
    bool clock_late; /* its stamps were behind when the node executed the call; see is_clock_late */
    uint32_t node_life;    /* the node's process when it executed the call */
    struct sim_call *next; /* another registration in the same request; NULL: none */
};
/* Sends a call to client->node. The result arrives by client_on_result. */
void call_send(struct sim *sim, struct sim_client *client, enum call_kind kind);
/* Registers several clients with one request to the node of the first one. */
void call_register_all(struct sim *sim, struct sim_client *const clients[], uint32_t count);
bool call_drop(sim_event *call, void *context); /* as net_drop */

/* --- sim_clients.c ---------------------------------------------------------------------------- */
struct instance *client_instance(const struct sim_client *client, uint32_t content,
                                 uint64_t revision);
void clients_start(struct sim *sim);
void client_on_result(struct sim *sim, const struct sim_call *call);
void client_die(struct sim *sim, struct sim_client *client);
/* A client that is not registered registers at a node, and unregisters there if it leaves. */
void client_visit(struct sim *sim, uint32_t node, bool leaves);
/* So many clients that are registered unregister at a node. */
void clients_unregister(struct sim *sim, uint32_t node, uint32_t count);
/* Registered, alive and renewed without a failure for this long. */
bool client_is_steady(const struct sim *sim, const struct sim_client *client, uint64_t for_ms);

/* The node has left, and this peer has all that it had. */
void clients_note_left(struct sim *sim, const struct sim_node *node, uint32_t peer);
/* Before the end of a node. is_clean: it stores everything. */
void clients_note_crash(struct sim *sim, const struct sim_node *node, bool is_clean);

/* --- sim_faults.c ----------------------------------------------------------------------------- */
void faults_start(struct sim *sim);
void faults_end(struct sim *sim); /* ends all faults */

/* --- sim_oracle.c ----------------------------------------------------------------------------- */
enum {
    CHECK_INTERVAL_MS = 1000,
    CLOCKS_APART_MS = 100, /* allowed distance of HLCs: drift and travel times */
    SNAPSHOT_MS = 8000,
    /* A peer that could be reached for this long is up: the longest backoff, the health message to
     * a peer that was down, and some timeouts. */
    PEER_UP_MS = BACKOFF_MAX_MS + DOWN_PROBE_MS + 3 * TIMEOUT_MS,
};
void oracle_start(struct sim *sim);
/* Also after each fault: one may begin and end between two checks. */
void oracle_update_reachability(struct sim *sim);
void oracle_node_evicted(struct sim *sim, const struct sim_node *node);
void oracle_end(struct sim *sim);
/* The record of a client's instance at a node; stamp 0: none. */
struct record_order oracle_order_at(const struct sim_node *node, const struct sim_client *client);
bool oracle_is_lower(struct record_order a, struct record_order b);
/* The content of a client's instance at a node; 0: not registered there. */
uint32_t content_at(const struct sim_node *node, const struct sim_client *client);
bool oracle_are_connected(const struct sim *sim, uint32_t a, uint32_t b);
/* The node has the other one as a peer, and messages pass in both directions. */
bool oracle_can_ask(const struct sim *sim, uint32_t node, uint32_t other);
/* Changes at one node could reach the other for this long. */
bool oracle_has_reached(const struct sim *sim, uint32_t from, uint32_t to, uint64_t for_ms);

/* --- sim_lists.c ------------------------------------------------------------------------------ */
void lists_check(struct sim *sim); /* every second */
/* The lease of the instance at the node is near its end, or in its lease check. */
bool lists_lease_is_ending(const struct sim *sim, const struct sim_node *node,
                           const struct sim_client *client);
void lists_node_ready(struct sim *sim, const struct sim_node *node);
void lists_node_continues(struct sim *sim, const struct sim_node *node); /* after a stall, ready */
/* A node that was away for longer than a lease, and holds all records of a peer, is about to
 * serve. */
void lists_node_returns(struct sim *sim, const struct sim_node *node);
/* Before the nodes restart in turn, and after it. */
void lists_restarts_begin(struct sim *sim);
void lists_restarts_end(struct sim *sim);
void lists_end(struct sim *sim);
