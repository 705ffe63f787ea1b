/* SPDX-License-Identifier: Apache-2.0
 *
 * engine - a node without its face: identity, life, registry, rate limiter and the lease thread.
 *
 * The binary makes one from the settings; the web asks it everything. Life goes starting → ready →
 * draining → gone, and never back; a single node is ready as soon as it runs.
 *
 * Any thread may read and use what is in here; create and free belong to the main thread.
 */
#pragma once

#include <stdatomic.h>

#include "artemis-core/config.h"
#include "artemis-server/lease_thread.h"
#include "artemis-server/registry/rate_limiter.h"
#include "artemis-server/registry/registry.h"

enum node_state { NODE_STARTING, NODE_READY, NODE_DRAINING };

enum { NODE_URL_BYTES = 320 };

struct engine {
    const struct config *config; /* borrowed; constant */
    struct registry *registry;
    struct rate_limiter limiter;
    struct lease_thread *leases;
    struct moment started;
    char url[NODE_URL_BYTES]; /* where others reach this node; set by the web before it serves */
    _Atomic enum node_state state;
};

/* Makes the engine from settings that must outlive it, and starts its threads. ERR_NO_MEMORY,
 * ERR_SYSTEM (a thread cannot be started). */
MUST_USE enum error engine_create(const struct config *config, struct engine **out);
/* Stops the threads and frees all. */
void engine_free(struct engine *engine);

void engine_set_state(struct engine *engine, enum node_state state);
enum node_state engine_state(const struct engine *engine);
const char *engine_state_word(enum node_state state);
/* ERR_NONE when client calls may be served; ERR_NOT_READY, ERR_DRAINING, ERR_RATE_LIMITED. */
enum error engine_admit(struct engine *engine, struct moment now);
