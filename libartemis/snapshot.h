/* SPDX-License-Identifier: Apache-2.0
 *
 * snapshot - a service at one moment, as artemis_discover gives it out.
 *
 * Made from what is known at the time, never changed, counted by reference in any thread. It shares
 * its records with the cache and with other snapshots.
 */
#pragma once

#include "libartemis/cache.h"

struct snapshot {
    struct artemis_service view;
    _Atomic uint32_t refs;
    _Atomic uint64_t turn; /* of round robin */
    _Atomic uint64_t dice; /* of random picks */
    uint64_t heard_ms;     /* when a server was last heard of, on the monotonic clock */
};

struct snapshot_facts {
    const char *service_id;
    uint64_t version;
    bool stale;
    uint64_t heard_ms;
    uint64_t turn;
    bool only_up;
};

/* With one reference, the caller's. ERR_NO_MEMORY. */
MUST_USE enum error snapshot_create(const struct cache *cache, const struct snapshot_facts *facts,
                                    struct snapshot **out);
