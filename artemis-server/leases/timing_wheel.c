/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/leases/timing_wheel.h"

#include <assert.h>
#include <string.h>

/* In `prev`: not a lease but the number of a list. */
#define LIST_FLAG 0x80000000u

static struct wheel_timer *at(const struct timing_wheel *wheel, uint32_t lease)
{
    return slab_at(wheel->leases, lease);
}

static void link_first(struct timing_wheel *wheel, uint32_t list, uint32_t lease)
{
    struct wheel_timer *linked = at(wheel, lease);
    assert(linked->prev == 0);
    linked->next = wheel->lists[list];
    linked->prev = LIST_FLAG | list;
    if (linked->next)
        at(wheel, linked->next)->prev = lease;
    wheel->lists[list] = lease;
}

static uint32_t take_first(struct timing_wheel *wheel, uint32_t list)
{
    uint32_t lease = wheel->lists[list];
    if (lease)
        timing_wheel_disarm(wheel, lease);
    return lease;
}

void timing_wheel_init(struct timing_wheel *wheel, struct slab *leases, uint64_t now_ms)
{
    memset(wheel, 0, sizeof(*wheel));
    wheel->leases = leases;
    wheel->tick = now_ms / WHEEL_TICK_MS;
}

/* Level 0 counts ticks; a slot of level n spans all of level n - 1. */
static int level_shift(int level)
{
    return level == 0 ? 0 : WHEEL_FIRST_BITS + (level - 1) * WHEEL_LEVEL_BITS;
}

static uint32_t list_of(int level, uint64_t tick)
{
    if (level == 0)
        return (uint32_t)(tick & (WHEEL_FIRST_SLOTS - 1));
    return (uint32_t)(WHEEL_FIRST_SLOTS + (level - 1) * WHEEL_LEVEL_SLOTS) +
           (uint32_t)((tick >> level_shift(level)) & (WHEEL_LEVEL_SLOTS - 1));
}

/* Links by tick. What lies beyond the last level comes up early, and is armed again then. */
static void arm_tick(struct timing_wheel *wheel, uint32_t lease, uint64_t tick)
{
    if (tick < wheel->tick)
        tick = wheel->tick;
    int level = 0;
    while (level < WHEEL_LEVELS - 1 && tick - wheel->tick >= 1ull << level_shift(level + 1))
        level++;
    uint64_t reach = (uint64_t)(WHEEL_LEVEL_SLOTS - 1) << level_shift(WHEEL_LEVELS - 1);
    if (tick - wheel->tick > reach)
        tick = wheel->tick + reach;
    link_first(wheel, list_of(level, tick), lease);
}

void timing_wheel_arm(struct timing_wheel *wheel, uint32_t lease, uint64_t when_ms)
{
    /* Up to the next tick, so that a lease never comes up before its deadline. */
    arm_tick(wheel, lease, (when_ms + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS);
}

void timing_wheel_disarm(struct timing_wheel *wheel, uint32_t lease)
{
    struct wheel_timer *unlinked = at(wheel, lease);
    if (unlinked->prev == 0)
        return;
    if (unlinked->prev & LIST_FLAG)
        wheel->lists[unlinked->prev & ~LIST_FLAG] = unlinked->next;
    else
        at(wheel, unlinked->prev)->next = unlinked->next;
    if (unlinked->next)
        at(wheel, unlinked->next)->prev = unlinked->prev;
    unlinked->next = unlinked->prev = 0;
}

/* Moves one lease of the slot that is being spread over the levels below; false when that is done.
 */
static bool cascade_step(struct timing_wheel *wheel)
{
    uint32_t lease = take_first(wheel, list_of(wheel->cascade_level, wheel->tick));
    if (lease) {
        uint64_t tick = (at(wheel, lease)->deadline_ms + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS;
        arm_tick(wheel, lease, tick);
        return true;
    }
    /* This level has come around once: the next one moves on too. */
    bool around =
        ((wheel->tick >> level_shift(wheel->cascade_level)) & (WHEEL_LEVEL_SLOTS - 1)) == 0;
    wheel->cascade_level =
        around && wheel->cascade_level < WHEEL_LEVELS - 1 ? wheel->cascade_level + 1 : 0;
    return wheel->cascade_level != 0;
}

uint32_t timing_wheel_next(struct timing_wheel *wheel, uint64_t now_ms, unsigned *steps)
{
    uint64_t now_tick = now_ms / WHEEL_TICK_MS;
    while (*steps > 0 && wheel->tick <= now_tick) {
        (*steps)--;
        if (wheel->cascade_level && cascade_step(wheel))
            continue;
        uint32_t lease = take_first(wheel, list_of(0, wheel->tick));
        if (lease)
            return lease;
        if (wheel->tick == now_tick)
            return 0; /* stays here: more may be armed for this tick */
        wheel->tick++;
        if ((wheel->tick & (WHEEL_FIRST_SLOTS - 1)) == 0)
            wheel->cascade_level = 1;
    }
    return 0;
}

void timing_wheel_add_ended(struct timing_wheel *wheel, uint32_t lease)
{
    link_first(wheel, WHEEL_ENDED, lease);
}

uint32_t timing_wheel_pop_ended(struct timing_wheel *wheel)
{
    return take_first(wheel, WHEEL_ENDED);
}

void timing_wheel_add_deferred(struct timing_wheel *wheel, uint32_t lease)
{
    link_first(wheel, WHEEL_DEFERRED, lease);
}

uint32_t timing_wheel_pop_deferred(struct timing_wheel *wheel)
{
    return take_first(wheel, WHEEL_DEFERRED);
}
