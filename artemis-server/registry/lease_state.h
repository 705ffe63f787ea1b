/* SPDX-License-Identifier: Apache-2.0
 *
 * lease_state - the states of a lease and the legal transitions between them.
 *
 *   active -> confirming -> due -> expired -> guarded
 *
 * A lease whose time runs out is confirmed with the peers first; without peers it becomes expired
 * at once. Expired leases are evicted in the same tick, or guarded. A renewal makes every lease
 * active again. Removal of the instance ends in LEASE_NONE from every state.
 *
 * Pure. shard_leases.c is the only user of a transition.
 */
#pragma once

#include <stdbool.h>

enum lease_state {
    LEASE_NONE,       /* no lease: a tombstone, or a record that is not in use */
    LEASE_ACTIVE,     /* the wheel has not seen its end */
    LEASE_CONFIRMING, /* ended; peers are asked for a later renewal. Clients can renew it */
    LEASE_DUE,        /* no peer has a later renewal; the next tick makes it expired */
    LEASE_EXPIRED,    /* counted by the guards; waits for eviction in this tick */
    LEASE_GUARDED,    /* kept although it ended, because a guard is engaged. Clients can renew it */
    LEASE_STATES,
};

static inline bool lease_state_is_legal(enum lease_state from, enum lease_state to)
{
    enum {
        NONE = 1 << LEASE_NONE,
        ACTIVE = 1 << LEASE_ACTIVE,
        CONFIRMING = 1 << LEASE_CONFIRMING,
        DUE = 1 << LEASE_DUE,
        EXPIRED = 1 << LEASE_EXPIRED,
        GUARDED = 1 << LEASE_GUARDED,
    };
    static const unsigned char next[LEASE_STATES] = {
        [LEASE_NONE] = ACTIVE,
        [LEASE_ACTIVE] = NONE | CONFIRMING | EXPIRED,
        [LEASE_CONFIRMING] = NONE | ACTIVE | DUE | EXPIRED,
        [LEASE_DUE] = NONE | ACTIVE | EXPIRED,
        [LEASE_EXPIRED] = NONE | ACTIVE | GUARDED,
        [LEASE_GUARDED] = NONE | ACTIVE,
    };
    return next[from] >> to & 1;
}

/* The end was counted by the guards. */
static inline bool lease_state_is_ended(enum lease_state state)
{
    return state == LEASE_EXPIRED || state == LEASE_GUARDED;
}
