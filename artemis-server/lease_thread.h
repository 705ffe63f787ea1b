/* SPDX-License-Identifier: Apache-2.0
 *
 * lease_thread - the thread that makes leases end: it wakes every tick and lets the registry evict
 * what is due, and once a second lets it free what nobody asks for.
 *
 * It owns nothing but itself. Start and stop belong to one thread.
 */
#pragma once

#include "artemis-server/registry/registry.h"

struct lease_thread;

/* The registry must outlive the thread. ERR_NO_MEMORY, ERR_SYSTEM. */
MUST_USE enum error lease_thread_start(struct registry *registry, struct lease_thread **out);
/* Ends the thread and waits for it. Takes NULL. */
void lease_thread_stop(struct lease_thread *thread);
