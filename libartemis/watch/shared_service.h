/* SPDX-License-Identifier: Apache-2.0
 *
 * shared_service - the struct artemis_service that artemis_discover returns: a service at one
 * moment.
 *
 * Immutable except for the counters of artemis_pick, and reference-counted in any thread. It shares
 * its instances with the service cache and with other published services.
 */
#pragma once

#include "libartemis/watch/instance_set.h"
#include "libartemis/watch/view_filter.h"

struct shared_service {
    struct artemis_service view;
    _Atomic uint32_t refs;
    _Atomic uint64_t next_index;     /* of round robin */
    _Atomic uint64_t random_counter; /* of random picks */
    uint64_t contact_ms;             /* last contact with a server, on the monotonic clock */
};

struct shared_service_spec {
    const char *service_id;
    uint64_t revision;
    bool stale;
    uint64_t contact_ms;
    uint64_t next_index;
    bool only_up;
    const struct instance_filter *filter; /* NULL: none */
};

/* Creates a service with one reference, which the caller owns. ERR_NO_MEMORY. */
MUST_USE enum error shared_service_create(const struct instance_set *set,
                                          const struct shared_service_spec *spec,
                                          struct shared_service **out);
