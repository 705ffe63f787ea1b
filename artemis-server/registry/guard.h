/* SPDX-License-Identifier: Apache-2.0
 *
 * guard - the mass-expiry guard: when too many leases end at once, the fault is more likely between
 * the clients and this node than in all the clients, and evicting them would make it an outage.
 *
 * Each lease promises at least one renewal per time-to-live. So in a window of one time-to-live a
 * scope (a service, or the node) expects as many renewals as it has leases; those that ended,
 * evicted or not, are missing. When the renewed share falls below `percent`, evictions in the scope
 * stop: GUARD_ENGAGED. It ends when the share recovers, when `max_ms` have passed, or when an
 * operator releases it; after the latter two the scope evicts freely for one window, so that the
 * guard does not close again over the same dead. Scopes of less than `min_leases` are never
 * guarded.
 *
 * Pure; the owner's lock guards it, and `now_ms` is monotonic.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { GUARD_BUCKETS = 8 };

struct guard_settings {
    uint32_t percent; /* 0 turns the guard off */
    uint32_t min_leases;
    uint64_t max_ms;
    uint64_t window_ms; /* one time-to-live */
};

enum guard_state {
    GUARD_OFF,
    GUARD_ENGAGED,  /* evictions have evictions_suspended */
    GUARD_RELEASED, /* evicts freely, until until_ms */
};

/* Zero-initialized is off. The window is a ring of buckets. */
struct guard {
    enum guard_state state;
    uint64_t since_ms; /* of the state */
    uint64_t until_ms; /* the end of GUARD_ENGAGED or GUARD_RELEASED at the latest */
    uint64_t bucket;   /* number of the newest bucket: now / (window / GUARD_BUCKETS) */
    uint32_t evicted[GUARD_BUCKETS];
    uint32_t expected; /* renewals that the window should have had, at the last judgement */
    uint32_t renewed;  /* and those it had */
};

/* Decides whether evictions stop. `leases` are in the store, of which `expired` have ended. */
bool guard_evaluate(struct guard *guard, const struct guard_settings *settings, uint64_t now_ms,
                    uint32_t leases, uint32_t expired);
/* Counts evictions by lease end. */
void guard_count_evictions(struct guard *guard, const struct guard_settings *settings,
                           uint64_t now_ms, uint32_t count);
/* An operator's word: evict what is expired, for one window. */
void guard_release(struct guard *guard, const struct guard_settings *settings, uint64_t now_ms);
/* GUARD_ENGAGED ends because nothing is guarded any more. */
void guard_clear(struct guard *guard, uint64_t now_ms);
