/* SPDX-License-Identifier: Apache-2.0
 *
 * guard - the mass-expiry guard of a scope: a service, or the node.
 *
 * If many leases end at once, the fault is more likely between the clients and this node than in
 * all the clients, and evictions would make it an outage.
 *
 * Each lease should be renewed at least once per time-to-live. So in a window of one time-to-live
 * a scope expects as many renewals as it has leases, plus those that were evicted in the window.
 * When the renewed share falls below `percent`, the guard engages and evictions in the scope are
 * suspended. It disengages when the share recovers. When an operator releases it, the scope evicts
 * for one window, so that the guard does not engage again for the same leases. The owner evicts
 * each lease `max_ms` after its end at the latest, on every node at the same time, and does not
 * count these evictions.
 * The guard does not engage in a scope that expects fewer than `min_leases` renewals; once engaged,
 * it stays engaged when the scope shrinks.
 *
 * The guard does not know single leases: its owner keeps the leases that an engaged guard does not
 * let be evicted, in the state "guarded" (lease_state.h).
 *
 * Pure; the owner's lock protects it, and `now_ms` is monotonic.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { GUARD_BUCKETS = 8 };

struct guard_settings {
    uint32_t percent; /* 0 turns the guard off */
    uint32_t min_leases;
    uint64_t max_ms;    /* how long a lease is kept after its end */
    uint64_t window_ms; /* one time-to-live */
};

enum guard_state {
    GUARD_OFF,
    GUARD_ENGAGED,  /* evictions are suspended */
    GUARD_RELEASED, /* evictions go on until until_ms, whatever the share is */
};

/* Zero-initialized is off. The window is a ring of buckets. */
struct guard {
    enum guard_state state;
    uint64_t since_ms; /* of the state */
    uint64_t until_ms; /* the end of GUARD_RELEASED; of GUARD_ENGAGED: when the leases that had
                          ended before are evicted at the latest */
    uint64_t bucket;   /* number of the newest bucket: now / (window / GUARD_BUCKETS) */
    uint32_t evicted[GUARD_BUCKETS];
    uint32_t expected; /* renewals in the window, as of the last evaluation */
    uint32_t renewed;  /* of them, those that came */
};

/* Returns whether evictions are suspended. `leases` are stored, of which `ended` have ended. */
bool guard_evaluate(struct guard *guard, const struct guard_settings *settings, uint64_t now_ms,
                    uint32_t leases, uint32_t ended);
/* Counts evictions of ended leases. */
void guard_count_evictions(struct guard *guard, const struct guard_settings *settings,
                           uint64_t now_ms, uint32_t count);
/* Lets the scope evict until one window after the release, which was made `age_ms` ago. False: that
 * window has ended, or the guard knows the release already. The clocks of nodes differ a little. */
bool guard_release(struct guard *guard, const struct guard_settings *settings, uint64_t now_ms,
                   uint64_t age_ms);
/* Disengages the guard because no lease is guarded any more. */
void guard_clear(struct guard *guard, uint64_t now_ms);
