/* SPDX-License-Identifier: Apache-2.0
 *
 * timing_wheel - hands out the leases whose time has come up, at a cost that follows their number.
 *
 * A hierarchical timing wheel: 256 slots of one tick (20 ms), then three levels of 64 slots, each
 * slot as long as the whole level below it; together 15 days. A lease is linked into the slot of
 * its deadline, and moves down a level when its slot comes up.
 *
 * A renewal does not touch the wheel: it only moves `deadline_ms` later. When the old slot comes
 * up, the owner sees that the deadline has moved and arms the lease again. So a heartbeat costs a
 * store, and a lease that is renewed is visited once per time-to-live.
 *
 * Timers are in a slab, as the first member of a record (or service). The wheel has two lists for
 * its owner: WHEEL_ENDED for ended leases (lease_state.h), which this tick evicts or guards, and
 * WHEEL_DEFERRED for leases that are armed after the wheel has handed out all that has come up. Not
 * thread-safe; time is an argument.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "artemis-core/base/slab.h"

enum {
    WHEEL_TICK_MS = 20,
    WHEEL_FIRST_BITS = 8,
    WHEEL_LEVEL_BITS = 6,
    WHEEL_LEVELS = 4,
    WHEEL_FIRST_SLOTS = 1 << WHEEL_FIRST_BITS,
    WHEEL_LEVEL_SLOTS = 1 << WHEEL_LEVEL_BITS,
    WHEEL_ENDED = WHEEL_FIRST_SLOTS + (WHEEL_LEVELS - 1) * WHEEL_LEVEL_SLOTS,
    WHEEL_DEFERRED,
    WHEEL_LISTS,
};

/* A lease, or the cleanup of a service. Links are private to the wheel. */
struct wheel_timer {
    uint64_t deadline_ms; /* monotonic; the time of the lease has run out from then on */
    uint32_t next;
    uint32_t prev; /* a lease, or the list this one is the first of; 0: not linked */
};

struct timing_wheel {
    struct slab *leases; /* borrowed */
    uint64_t tick;       /* everything before it has been handed out */
    int cascade_level;   /* the level whose slot is being moved down; 0: none */
    uint32_t lists[WHEEL_LISTS];
};

void timing_wheel_init(struct timing_wheel *wheel, struct slab *leases, uint64_t now_ms);

/* Links a lease that is not linked so that it comes up at when_ms, or up to a tick later. */
void timing_wheel_arm(struct timing_wheel *wheel, uint32_t lease, uint64_t when_ms);
/* Unlinks a lease, from WHEEL_ENDED and WHEEL_DEFERRED too. No-op when it is not linked. */
void timing_wheel_disarm(struct timing_wheel *wheel, uint32_t lease);

/* Unlinks and returns the next lease whose slot has come up by now_ms, or 0. Each step costs one of
 * *steps; at 0 the caller unlocks, and continues later. Complete when 0 returns with steps
 * left. */
uint32_t timing_wheel_next(struct timing_wheel *wheel, uint64_t now_ms, unsigned *steps);

/* The list of ended leases, which this tick evicts or guards. */
void timing_wheel_add_ended(struct timing_wheel *wheel, uint32_t lease);
uint32_t timing_wheel_pop_ended(struct timing_wheel *wheel);

/* The list of leases that come up again later than their deadline. They are armed after
 * timing_wheel_next has handed out all that has come up. If a lease is armed before, the wheel
 * moves it down a level by its deadline, which has passed, and hands it out too early. */
void timing_wheel_add_deferred(struct timing_wheel *wheel, uint32_t lease);
uint32_t timing_wheel_pop_deferred(struct timing_wheel *wheel);
