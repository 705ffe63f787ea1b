/* SPDX-License-Identifier: Apache-2.0
 *
 * lease_state - the states of a lease and the legal transitions between them.
 *
 *       active, or loaded (from storage) ----+
 *                   | with peers             | without peers
 *                   v                        v
 *                 confirming --> due --> expired --> guarded
 *                   |                        ^
 *                   +------------------------+ not confirmed within its time limit
 *
 * When the time of a lease runs out and a peer is up, the expiry is confirmed with the peers.
 * Without a peer the lease becomes expired at once. An expired lease is evicted in the same tick,
 * or becomes guarded. A renewal makes a lease of any state active again. Eviction, and
 * unregistering in any state, end in LEASE_NONE.
 *
 * A loaded lease is one that nobody has renewed since it was loaded. Whether its instance is alive
 * is not known: it is served, its time runs out one time-to-live after the start, and the guards do
 * not count it as ended before.
 *
 * Words: a lease is "ended" when it is expired or guarded; WHEEL_ENDED and the counter `ended` are
 * about these. A lease "comes up" when the wheel hands it out. "Due" as a state is LEASE_DUE alone.
 * "Guarded" is a state of a lease; the states of a guard are off, engaged and released (guard.h).
 *
 * Pure. Only shard_leases.c changes the state of a lease.
 */
#pragma once

#include <stdbool.h>

enum lease_state {
    LEASE_NONE,       /* no lease: a tombstone, or a record that is not in use */
    LEASE_ACTIVE,     /* time is left, or the wheel has not handed the lease out yet */
    LEASE_CONFIRMING, /* its time has run out; a lease check is made. Clients can renew it */
    LEASE_DUE,        /* no peer has a later renewal; the next tick makes it expired */
    LEASE_EXPIRED,    /* counted by the guards; waits for eviction in this tick */
    LEASE_GUARDED,    /* ended, and kept by an engaged guard. Clients can renew it */
    LEASE_LOADED,     /* loaded from storage and not renewed since. Clients can renew it */
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
        LOADED = 1 << LEASE_LOADED,
    };
    static const unsigned char next[LEASE_STATES] = {
        [LEASE_NONE] = ACTIVE,
        [LEASE_ACTIVE] = NONE | CONFIRMING | EXPIRED | LOADED,
        [LEASE_CONFIRMING] = NONE | ACTIVE | DUE | EXPIRED,
        [LEASE_DUE] = NONE | ACTIVE | EXPIRED,
        [LEASE_EXPIRED] = NONE | ACTIVE | GUARDED,
        [LEASE_GUARDED] = NONE | ACTIVE,
        [LEASE_LOADED] = NONE | ACTIVE | CONFIRMING | EXPIRED,
    };
    return next[from] >> to & 1;
}

/* The instance is served although its last known renewal is older than a time-to-live. */
static inline bool lease_state_is_held(enum lease_state state)
{
    return state == LEASE_GUARDED || state == LEASE_LOADED;
}

/* The end was counted by the guards. */
static inline bool lease_state_is_ended(enum lease_state state)
{
    return state == LEASE_EXPIRED || state == LEASE_GUARDED;
}
