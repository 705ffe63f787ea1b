/* SPDX-License-Identifier: Apache-2.0
 *
 * engine - a whole node without its HTTP layer: identity, state, registry, limits, cluster
 * and threads.
 *
 * The binary creates one engine from the settings; the HTTP layer calls it. The state goes from
 * starting to ready to draining. A single node is ready as soon as it runs. A node of a cluster is
 * ready when it has copied a ready peer and compared itself with the others, or when no peer has
 * data (replicator_bootstrap.c). After a stall (stall.h) it is starting again until it has compared
 * itself with every ready peer.
 *
 * Any thread may use the engine. The main thread creates and frees it.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "artemis-core/config/config.h"
#include "artemis-server/audit/audit.h"
#include "artemis-server/auth/auth.h"
#include "artemis-server/cluster/blocks.h"
#include "artemis-server/cluster/event_log.h"
#include "artemis-server/cluster/providers/membership.h"
#include "artemis-server/events/event_hub.h"
#include "artemis-server/lease_thread.h"
#include "artemis-server/limits/call_limits.h"
#include "artemis-server/registry/registry.h"
#include "artemis-server/replication/replication_thread.h"
#include "artemis-server/response_cache.h"
#include "artemis-server/stall.h"
#include "artemis-server/storage/storage.h"
#include "artemis-server/tls/credential_store.h"

enum node_state { NODE_STARTING, NODE_READY, NODE_DRAINING };

/* Limits of what clients can register. */
enum quota {
    QUOTA_INSTANCES, /* of a service: registry.max_instances_per_service */
    QUOTA_SERVICES,  /* of a token: auth.tokens.max_services */
    QUOTAS,
};

enum {
    NODE_URL_BYTES = 320,
    EPOCH_BYTES = 17,
};

struct reload_thread;

struct engine {
    const struct config *config; /* borrowed; its reloadable settings change: see reload.h */
    pthread_mutex_t settings_lock;
    _Atomic uint64_t reloads, reloads_failed; /* counted by the binary */
    /* Reads settings and certificates again (reload_thread.h). Constant; the binary sets it before
     * the node serves. NULL: there is none. */
    struct reload_thread *reload_thread;
    struct registry *registry;
    struct storage *storage; /* NULL: nothing is stored */
    struct audit *audit;
    struct auth auth;
    struct call_limits limits;
    struct response_cache *responses;
    struct lease_thread *leases;
    struct stall stall;
    struct cluster cluster;
    struct provider_node provider_node;
    struct membership membership;
    struct event_log events;                   /* of the cluster */
    struct blocks blocks;                      /* nodes that operators have blocked */
    struct event_hub event_hub;                /* events of topics */
    struct replication_thread *replication;    /* NULL: cluster or replication is off */
    struct credential_store *peer_credentials; /* of cluster.tls; NULL: peers use plain HTTP */
    uint64_t credentials_checked_ms;
    uint64_t hash_seed;      /* random for each process */
    char epoch[EPOCH_BYTES]; /* of the change log, in hex; `run` on the wire */
    struct moment started;
    /* Where clients and peers reach this node. The HTTP layer sets it before it serves. */
    char url[NODE_URL_BYTES];
    char peer_url[NODE_URL_BYTES]; /* where peers reach it; set with the url */
    pthread_mutex_t state_lock;    /* of changes of the next two */
    _Atomic enum node_state state;
    uint64_t recompares;                 /* comparisons with all peers that stalls have asked for */
    pthread_mutex_t release_lock;        /* a release is put and applied at once */
    _Atomic uint64_t releases_refused;   /* at the limit of release_list.h */
    _Atomic uint64_t fetches_cut;        /* responses to peers without records beyond a limit */
    _Atomic uint64_t over_quota[QUOTAS]; /* registrations of clients that were refused */
    _Atomic uint32_t snapshots;          /* that are being sent to peers */
    atomic_bool was_ready;
    atomic_bool is_drained; /* an operator takes the node out of load balancers: see engine_drain */
    atomic_bool refilling;  /* starting, and no peer has data: clients register again */
    bool has_loaded;        /* instances from storage, at the start */
};

enum { ENGINE_PROBLEM_BYTES = DATABASE_PROBLEM_BYTES + CREDENTIALS_PROBLEM_BYTES };

/* Creates the engine, loads what is stored, and starts the threads, except for the replication
 * thread, which engine_join starts. The settings must outlive it.
 * ERR_NO_MEMORY, ERR_SYSTEM (a thread cannot be started, or the storage cannot be used); *problem
 * says why. */
MUST_USE enum error engine_create(const struct config *config, struct engine **out,
                                  char problem[ENGINE_PROBLEM_BYTES]);
/* Starts the replication thread, which makes the node ready. A node that does not replicate becomes
 * ready at once. The HTTP layer must serve already. ERR_SYSTEM, ERR_TOO_MANY_ITEMS. */
MUST_USE enum error engine_join(struct engine *engine);
/* Begins the shutdown: the state is draining, and the node leaves the topologies of the others that
 * it has registered with. */
void engine_begin_shutdown(struct engine *engine);
/* Sends the pending changes and a goodbye to the peers, for timeout_ms at most, and for hurried_ms
 * more once *is_hurried. */
void engine_leave(struct engine *engine, uint64_t timeout_ms, uint64_t hurried_ms,
                  const atomic_bool *is_hurried);
/* Stops the threads and frees the engine. Accepts NULL. */
void engine_free(struct engine *engine);

/* Reads the credentials for peers again if their files have changed, which it finds out every
 * CREDENTIAL_CHECK_SECS; with `force` in any case. The reload thread calls it every second. */
void engine_check_credentials(struct engine *engine, bool force, struct moment now);
/* Puts the lease, guard and rate-limit settings of engine.config into force, after a reload. */
void engine_reload_limits(struct engine *engine);
void engine_set_state(struct engine *engine, enum node_state state);
enum node_state engine_state(const struct engine *engine);
/* Begins or ends a drain: /ready fails, so that load balancers send no clients; everything goes on
 * being served, and peers notice nothing. Returns whether the node was drained before. */
bool engine_drain(struct engine *engine, bool is_drained);
bool engine_is_drained(const struct engine *engine);
const char *engine_state_word(enum node_state state);
/* Not ready again after a stall. */
static inline bool engine_is_comparing(const struct engine *engine)
{
    return engine_state(engine) == NODE_STARTING && atomic_load(&engine->was_ready);
}
/* True for cluster.bootstrap_grace_secs after the start, in which clients register again. */
bool engine_is_recently_started(const struct engine *engine, struct moment now);
/* Returns true while peers may hold instances that this node has not copied: a heartbeat for an
 * unknown instance must not make its client register again. */
bool engine_may_lack_instances(const struct engine *engine, struct moment now);
/* Decides whether a request of a client is served: ERR_NOT_READY, ERR_DRAINING, ERR_RATE_LIMITED,
 * ERR_CLIENT_RATE_LIMITED. */
MUST_USE enum error engine_admit(struct engine *engine, enum call_kind kind,
                                 const struct client *client, struct moment now);
/* Writes which limit one of the latter two names. */
void engine_describe_limit(struct engine *engine, enum call_kind kind, enum error error,
                           char message[MESSAGE_BYTES]);
/* Whether there is a guard to release: of a service, or of the node or any service if the id is
 * empty. */
bool engine_is_guard_engaged(struct engine *engine, struct slice service_id, struct moment now);
/* Releases the guard of a service, or of the node and all services if the id is empty; at the peers
 * too. As registry_release_guard. ERR_TOO_MANY_RELEASES: the peers would not get it; nothing is
 * released. */
MUST_USE enum error engine_release_guard(struct engine *engine, struct slice service_id,
                                         struct moment now);
/* A peer has sent the release of a guard, as registry_apply_release. This node sends it on if it
 * has an effect here or concerns all guards: its own peers may not reach the node where it was
 * made. ERR_TOO_MANY_RELEASES: it could not be sent on, and nothing is released; the peer sends it
 * again. */
MUST_USE enum error engine_apply_release(struct engine *engine, struct slice service_id,
                                         uint64_t clock_ms, struct moment now);
/* A hash that only this process knows. */
uint32_t engine_hash(const struct engine *engine, struct slice value);
/* Sends changes of the calling web thread on to the peers: replication_thread_wake_deferred. */
void engine_wake_replication(struct engine *engine);
/* A peer has sent its goodbye. */
void engine_on_peer_goodbye(struct engine *engine, const char *node_id);
/* The record of a peer was refused as too far ahead: the clock of a member may be wrong, and this
 * node asks for it at once. */
void engine_on_stamp_ahead(struct engine *engine);
void engine_init_cluster(struct engine *engine); /* called by engine_create */
/* Nodes that serve: this one if it is ready, and each peer that is up and ready. */
struct cluster_size {
    uint32_t nodes_up;
    uint32_t nodes_expected; /* cluster.expected_nodes; 0: not set */
};
struct cluster_size engine_cluster_size(struct engine *engine);
static inline bool cluster_size_is_low(struct cluster_size size)
{
    return size.nodes_up < size.nodes_expected;
}
/* Blocks the node with this id or address, here and at all nodes; `order` has `by` and `reason`,
 * and receives the whole entry. *known: it is a peer, or was one when it was blocked; it need not
 * be, as it may be down, or come later.
 * ERR_INVALID_FIELD, ERR_TOO_MANY_ITEMS (both fill *message); ERR_NO_MEMORY. */
MUST_USE enum error engine_block_node(struct engine *engine, struct slice node, struct block *order,
                                      struct moment now, bool *known, char message[MESSAGE_BYTES]);
/* The same to unblock it. ERR_INVALID_FIELD too if it is not blocked. */
MUST_USE enum error engine_unblock_node(struct engine *engine, struct slice node,
                                        struct block *order, struct moment now,
                                        char message[MESSAGE_BYTES]);
/* Merges the block list of a peer; *hash is that of the list. The errors of codec_read_blocks. */
MUST_USE enum error engine_merge_blocks(struct engine *engine, struct slice text, struct moment now,
                                        uint64_t *hash, char message[MESSAGE_BYTES]);
/* Whether this node is blocked, as a peer that refuses it says. */
bool engine_is_blocked(struct engine *engine);
/* Stores the block list if it has changed and there is a folder for it; blocks on the disk. The
 * reload thread calls it every second. */
void engine_store_blocks(struct engine *engine);
/* Copies the status of the peers and returns their number; 0 without a replication thread. */
size_t engine_peers(struct engine *engine, struct peer_status out[MEMBERS_MAX]);
