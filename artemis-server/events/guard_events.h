/* SPDX-License-Identifier: Apache-2.0
 *
 * guard_events - publishes to the topic artemis.guard when a mass-expiry guard engages, and when it
 * is released or disengages.
 *
 * It compares the guards with those of the last call. It follows the guards of GUARD_SERVICES_MAX
 * services at a time, each until its guard is off; each event has the number of all services with
 * an engaged guard. Belongs to one thread.
 */
#pragma once

#include "artemis-server/events/event_hub.h"
#include "artemis-server/registry/registry.h"

enum { GUARD_SERVICES_MAX = 64 };

struct guarded_service {
    char id[ID_BYTES_MAX];
    size_t id_size;
};

struct guarded_services {
    struct guarded_service items[GUARD_SERVICES_MAX];
    size_t count;
};

struct guard_events {
    bool is_node_engaged;
    struct guarded_services services; /* whose guard is engaged */
};

/* Publishes what has changed since the last call. `hub` NULL: nowhere. */
void guard_events_publish(struct guard_events *events, struct event_hub *hub,
                          struct registry *registry, const struct registry_stats *stats,
                          struct moment now);
