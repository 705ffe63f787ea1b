/* SPDX-License-Identifier: Apache-2.0
 *
 * engine - a node without its face: identity, life, registry, rate limiter, cluster and threads.
 *
 * The binary makes one from the settings; the web asks it everything. Life goes starting → ready →
 * draining → gone, and never back. A single node is ready as soon as it runs; one of a cluster when
 * it holds what the cluster holds.
 *
 * Any thread may read and use what is in here; create and free belong to the main thread.
 */
#pragma once

#include <stdatomic.h>

#include "artemis-core/config/config.h"
#include "artemis-server/cluster/provider.h"
#include "artemis-server/lease_thread.h"
#include "artemis-server/rate_limiter.h"
#include "artemis-server/registry/registry.h"
#include "artemis-server/replication/replication_thread.h"

enum node_state { NODE_STARTING, NODE_READY, NODE_DRAINING };

enum { NODE_URL_BYTES = 320, EPOCH_BYTES = 17 };

struct engine {
    const struct config *config; /* borrowed; constant */
    struct registry *registry;
    struct rate_limiter limiter;
    struct lease_thread *leases;
    struct cluster cluster;
    struct provider provider;
    struct replication_thread *replication; /* NULL: this node stands alone */
    char epoch[EPOCH_BYTES];                /* of this process, in hex */
    struct moment started;
    char url[NODE_URL_BYTES]; /* where others reach this node; set by the web before it serves */
    _Atomic enum node_state state;
};

/* Makes the engine from settings that must outlive it, and starts its threads. ERR_NO_MEMORY,
 * ERR_SYSTEM (a thread cannot be started). */
MUST_USE enum error engine_create(const struct config *config, struct engine **out);
/* Joins the cluster, or is ready at once where there is none. The web serves already. ERR_SYSTEM,
 * ERR_TOO_MANY_ITEMS. */
MUST_USE enum error engine_join(struct engine *engine);
/* Tells the peers what they do not know yet, and that this node leaves; timeout_ms at most. May be
 * asked for twice. */
void engine_leave(struct engine *engine, uint64_t timeout_ms);
/* Stops the threads and frees all. */
void engine_free(struct engine *engine);

void engine_set_state(struct engine *engine, enum node_state state);
enum node_state engine_state(const struct engine *engine);
const char *engine_state_word(enum node_state state);
/* ERR_NONE when client calls may be served; ERR_NOT_READY, ERR_DRAINING, ERR_RATE_LIMITED. */
enum error engine_admit(struct engine *engine, bool discovery, struct moment now);
/* A peer said that it leaves. */
void engine_on_peer_goodbye(struct engine *engine, const char *node_id);
/* The peers, as replication_thread_peers; none where this node stands alone. */
size_t engine_peers(struct engine *engine, struct peer_status out[MEMBERS_MAX]);
