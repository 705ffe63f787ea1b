/* SPDX-License-Identifier: Apache-2.0
 *
 * lease_thread - the thread that expires leases: every tick it calls registry_tick, and once a
 * second it cleans up the registry and the response cache.
 *
 * When a quarter of the stored data has gone, it returns the freed memory to the system
 * (malloc_trim), at most once a second.
 *
 * Start and stop belong to one thread.
 */
#pragma once

#include "artemis-server/events/event_hub.h"
#include "artemis-server/response_cache.h"
#include "artemis-server/stall.h"

struct lease_thread;

struct lease_thread_options {
    struct registry *registry; /* borrowed, as the next two */
    struct response_cache *cache;
    struct stall *stall;
    struct event_hub *events; /* borrowed; for events of guards. NULL: there are none */
    /* A stall of the process has ended; called by the thread before it evicts leases. */
    void (*on_stall)(void *context, uint64_t length_ms);
    void *context;
};

/* ERR_NO_MEMORY, ERR_SYSTEM. */
MUST_USE enum error lease_thread_start(const struct lease_thread_options *options,
                                       struct lease_thread **out);
/* Ends the thread and waits for it. Accepts NULL. */
void lease_thread_stop(struct lease_thread *thread);

/* --- memory, for tests ------------------------------------------------------------------------ */

/* Whether memory is returned to the system: a quarter of the highest number of bytes since the last
 * time is free. *highest_bytes belongs to the function. */
bool should_return_memory(uint64_t *highest_bytes, uint64_t bytes);
