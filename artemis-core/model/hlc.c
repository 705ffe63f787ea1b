/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/model/hlc.h"

#include "artemis-core/model/stamp.h"

void hlc_init(struct hlc *clock, uint64_t floor, uint64_t max_ahead_ms, struct moment now)
{
    int64_t offset_ms = (int64_t)now.wall_ms - (int64_t)now.mono_ms;
    int64_t floor_offset_ms = (int64_t)hlc_to_ms(floor) + 1 - (int64_t)now.mono_ms;
    clock->start_offset_ms = offset_ms;
    clock->max_ahead_ms = max_ahead_ms ? max_ahead_ms : CLOCK_AHEAD_MAX_MS;
    atomic_init(&clock->last, floor);
    atomic_init(&clock->offset_ms, offset_ms);
    atomic_init(&clock->members_offset_ms,
                offset_ms > floor_offset_ms ? offset_ms : floor_offset_ms);
}

static uint64_t time_at(int64_t offset_ms, struct moment now)
{
    int64_t ms = offset_ms + (int64_t)now.mono_ms;
    return ms > 0 ? (uint64_t)ms : 0;
}

static void raise_to(_Atomic int64_t *offset_ms, uint64_t ms, struct moment now)
{
    int64_t observed = (int64_t)ms - (int64_t)now.mono_ms;
    int64_t own = atomic_load_explicit(offset_ms, memory_order_relaxed);
    while (own < observed &&
           !atomic_compare_exchange_weak_explicit(offset_ms, &own, observed, memory_order_relaxed,
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

uint64_t hlc_next(struct hlc *clock, struct moment now)
{
    uint64_t ms = hlc_ms(clock, now);
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

void hlc_observe_value(struct hlc *clock, uint64_t stamp, struct moment now)
{
    if (!hlc_accepts(clock, hlc_to_ms(stamp), now))
        return;
    uint64_t last = atomic_load_explicit(&clock->last, memory_order_relaxed);
    while (last < stamp &&
           !atomic_compare_exchange_weak_explicit(&clock->last, &last, stamp, memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
}

void hlc_observe_ms(struct hlc *clock, uint64_t ms, struct moment now)
{
    if (hlc_accepts(clock, ms, now))
        raise_to(&clock->offset_ms, ms, now);
}

void hlc_observe_members_ms(struct hlc *clock, uint64_t ms, struct moment now)
{
    if (ms <= time_at(clock->start_offset_ms, now) + CLOCK_AHEAD_MAX_MS)
        raise_to(&clock->members_offset_ms, ms, now);
}
