/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/model/hlc.h"

#include "artemis-core/model/stamp.h"

static int64_t offset_of(uint64_t ms, struct moment now)
{
    return (int64_t)ms - (int64_t)now.mono_ms;
}

static int64_t line_of(uint64_t ms, struct moment now)
{
    return 2 * (int64_t)ms - (int64_t)now.mono_ms;
}

void hlc_init(struct hlc *clock, uint64_t floor, uint64_t max_ahead_ms, struct moment now)
{
    int64_t offset_ms = offset_of(now.wall_ms, now);
    clock->start_offset_ms = offset_ms;
    clock->max_ahead_ms = max_ahead_ms ? max_ahead_ms : CLOCK_AHEAD_MAX_MS;
    int64_t members_offset_ms = offset_of(hlc_to_ms(floor), now) - (int64_t)clock->max_ahead_ms;
    atomic_init(&clock->last, floor);
    atomic_init(&clock->stamps_line_ms, line_of(hlc_to_ms(floor), now));
    atomic_init(&clock->offset_ms, offset_ms);
    atomic_init(&clock->members_offset_ms,
                offset_ms > members_offset_ms ? offset_ms : members_offset_ms);
}

static uint64_t time_at(int64_t offset_ms, struct moment now)
{
    int64_t ms = offset_ms + (int64_t)now.mono_ms;
    return ms > 0 ? (uint64_t)ms : 0;
}

static void raise_to(_Atomic int64_t *own_ms, int64_t observed_ms)
{
    int64_t own = atomic_load_explicit(own_ms, memory_order_relaxed);
    while (own < observed_ms &&
           !atomic_compare_exchange_weak_explicit(own_ms, &own, observed_ms, memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
}

uint64_t hlc_ms(const struct hlc *clock, struct moment now)
{
    return time_at(atomic_load_explicit(&clock->offset_ms, memory_order_relaxed), now);
}

uint64_t hlc_members_ms(const struct hlc *clock, struct moment now)
{
    return time_at(atomic_load_explicit(&clock->members_offset_ms, memory_order_relaxed), now);
}

/* The time from which stamps are issued: that of the clock, or of a stamp that is ahead of it. */
static uint64_t stamps_ms(const struct hlc *clock, struct moment now)
{
    uint64_t own_ms = hlc_ms(clock, now);
    uint64_t ahead_ms =
        time_at(atomic_load_explicit(&clock->stamps_line_ms, memory_order_relaxed), now) / 2;
    return own_ms > ahead_ms ? own_ms : ahead_ms;
}

uint64_t hlc_highest(const struct hlc *clock, struct moment now)
{
    uint64_t last = atomic_load_explicit(&clock->last, memory_order_relaxed);
    uint64_t next = hlc_after(last, stamps_ms(clock, now));
    return next > last ? next : last;
}

uint64_t hlc_next(struct hlc *clock, struct moment now)
{
    uint64_t ms = stamps_ms(clock, now);
    uint64_t last = atomic_load_explicit(&clock->last, memory_order_relaxed);
    uint64_t next;
    do
        next = hlc_after(last, ms);
    while (!atomic_compare_exchange_weak_explicit(&clock->last, &last, next, memory_order_relaxed,
                                                  memory_order_relaxed));
    return next;
}

bool hlc_accepts(const struct hlc *clock, uint64_t ms, struct moment now)
{
    uint64_t limit_ms = hlc_members_ms(clock, now);
    if (now.wall_ms > limit_ms)
        limit_ms = now.wall_ms;
    return ms <= limit_ms || ms - limit_ms <= clock->max_ahead_ms;
}

/* What is taken because the wall clock of this node is ahead of the limit raises the limit, which
 * members report: otherwise the others would refuse the later stamps of this node. */
static bool accept(struct hlc *clock, uint64_t ms, struct moment now)
{
    if (!hlc_accepts(clock, ms, now))
        return false;
    if (ms > hlc_members_ms(clock, now) + clock->max_ahead_ms)
        raise_to(&clock->members_offset_ms, offset_of(now.wall_ms, now));
    return true;
}

void hlc_observe_value(struct hlc *clock, uint64_t stamp, struct moment now)
{
    uint64_t last = atomic_load_explicit(&clock->last, memory_order_relaxed);
    if (stamp <= last || !accept(clock, hlc_to_ms(stamp), now))
        return;
    raise_to(&clock->stamps_line_ms, line_of(hlc_to_ms(stamp), now));
    while (last < stamp &&
           !atomic_compare_exchange_weak_explicit(&clock->last, &last, stamp, memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
}

bool hlc_observe_ms(struct hlc *clock, uint64_t ms, struct moment now)
{
    bool is_accepted = accept(clock, ms, now);
    if (is_accepted)
        raise_to(&clock->offset_ms, offset_of(ms, now));
    return is_accepted;
}

void hlc_observe_members_ms(struct hlc *clock, uint64_t ms, struct moment now)
{
    if (ms <= time_at(clock->start_offset_ms, now) + CLOCK_AHEAD_MAX_MS)
        raise_to(&clock->members_offset_ms, offset_of(ms, now));
}
