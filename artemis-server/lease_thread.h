/* SPDX-License-Identifier: Apache-2.0
 *
 * lease_thread - the thread that expires leases. Each tick it lets the registry evict the leases
 * that are due; once a second it lets the registry free unused memory and logs changes of guards.
 *
 * It owns no data. Start and stop it from the same thread.
 */
#pragma once

#include "artemis-server/registry/registry.h"

struct lease_thread;

/* The registry must outlive the thread. ERR_NO_MEMORY, ERR_SYSTEM. */
MUST_USE enum error lease_thread_start(struct registry *registry, struct lease_thread **out);
/* Ends the thread and waits for it. Takes NULL. */
void lease_thread_stop(struct lease_thread *thread);
