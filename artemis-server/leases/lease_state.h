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
 *         active, confirming --> peer_guarded <--> guarded
 *                                      |
 *                                      v
 *                                     due
 *
 * When the time of a lease runs out and a peer is up, the expiry is confirmed with the peers.
 * Without a peer the lease becomes expired at once. An expired lease is evicted in the same tick,
 * or becomes guarded. When no guard of this node keeps a guarded lease any more, it becomes
 * peer_guarded, and a lease check is made every second: while the guard of a peer keeps the lease,
 * so does this node. A record that arrives from a peer as guarded is active for a moment, and then
 * peer_guarded: the guards of this node count it in the next tick. A renewal makes a lease of any
 * state active again. Eviction, and unregistering in any state, end in LEASE_NONE.
 *
 * A loaded lease is one that nobody has renewed since it was loaded. Whether its instance is alive
 * is not known: it is served, its time runs out one time-to-live after the start, and the guards do
 * not count it as ended before. It becomes active, with the deadline of a peer, when a ready peer
 * holds the instance.
 *
 * The path of an expiring lease in a cluster:
 *   1. The lease thread calls registry_tick every 20 ms. The wheel (timing_wheel.h) hands out the
 *      leases that come up. One that was renewed is armed again.
 *   2. The time of the others has run out. While a peer is up they become confirming, and their
 *      records go into the dirty list of lease checks.
 *   3. The replication thread drains that list every LEASE_CHECK_INTERVAL_MS, and sends a lease
 *      check to every peer that is up (replicator.h). A peer responds with what it knows
 *      (registry_respond_lease_check).
 *   4. A later renewal makes the lease active again (registry_refute_expiry). The guard of a peer
 *      makes it peer_guarded (registry_guard_for_peer). Otherwise it becomes due
 *      (registry_confirm_expiry).
 *   5. The next tick makes it expired. When all expired leases of the tick are counted, the guards
 *      of their services and of the node are evaluated (guard.h).
 *   6. In the same tick each expired lease is evicted or guarded. An eviction is a change for
 *      subscribers and long polls. It leaves no tombstone and is not sent to peers.
 *
 * Words: the time of a lease "has run out", and this is its "end", when its deadline has passed. A
 * lease is "ended" when it is expired, guarded or peer_guarded; WHEEL_ENDED and the counter `ended`
 * are about these. A lease "comes up" when the wheel hands it out. "Due" as a state is LEASE_DUE
 * alone. "Guarded" is a state of a lease; the states of a guard are off, engaged and released
 * (guard.h).
 *
 * Pure. Only shard_leases.c changes the state of a lease.
 */
#pragma once

#include <stdbool.h>

enum lease_state {
    LEASE_NONE,         /* no lease: a tombstone, or a record that is not in use */
    LEASE_ACTIVE,       /* time is left, or the wheel has not handed the lease out yet */
    LEASE_CONFIRMING,   /* its time has run out; a lease check is made. Clients can renew it */
    LEASE_DUE,          /* no peer has a later renewal; the next tick makes it expired */
    LEASE_EXPIRED,      /* counted by the guards; waits for eviction in this tick */
    LEASE_GUARDED,      /* ended, and kept by an engaged guard. Clients can renew it */
    LEASE_PEER_GUARDED, /* the same, by the guard of a peer, or while the peers are asked */
    LEASE_LOADED,       /* loaded from storage and not renewed since. Clients can renew it */
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
        PEER_GUARDED = 1 << LEASE_PEER_GUARDED,
        LOADED = 1 << LEASE_LOADED,
    };
    static const unsigned char next[LEASE_STATES] = {
        [LEASE_NONE] = ACTIVE,
        [LEASE_ACTIVE] = NONE | CONFIRMING | EXPIRED | PEER_GUARDED | LOADED,
        [LEASE_CONFIRMING] = NONE | ACTIVE | DUE | EXPIRED | PEER_GUARDED,
        [LEASE_DUE] = NONE | ACTIVE | EXPIRED,
        [LEASE_EXPIRED] = NONE | ACTIVE | GUARDED,
        [LEASE_GUARDED] = NONE | ACTIVE | PEER_GUARDED,
        [LEASE_PEER_GUARDED] = NONE | ACTIVE | DUE | GUARDED,
        [LEASE_LOADED] = NONE | ACTIVE | CONFIRMING | EXPIRED,
    };
    return next[from] >> to & 1;
}

/* Kept by a guard of this node or of a peer. */
static inline bool lease_state_is_guarded(enum lease_state state)
{
    return state == LEASE_GUARDED || state == LEASE_PEER_GUARDED;
}

/* The instance is served although its last known renewal is older than a time-to-live. */
static inline bool lease_state_is_held(enum lease_state state)
{
    return lease_state_is_guarded(state) || state == LEASE_LOADED;
}

/* Peers are asked about the lease. */
static inline bool lease_state_is_confirming(enum lease_state state)
{
    return state == LEASE_CONFIRMING || state == LEASE_PEER_GUARDED;
}

/* The end was counted by the guards. */
static inline bool lease_state_is_ended(enum lease_state state)
{
    return state == LEASE_EXPIRED || lease_state_is_guarded(state);
}
