/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/model/hlc.h"

#include "artemis-core/model/stamp.h"

void hlc_init(struct hlc *clock, uint64_t floor, struct moment now)
{
    atomic_init(&clock->last, floor);
    atomic_init(&clock->offset_ms, (int64_t)now.wall_ms - (int64_t)now.mono_ms);
}

uint64_t hlc_ms(const struct hlc *clock, struct moment now)
{
    int64_t ms =
        atomic_load_explicit(&clock->offset_ms, memory_order_relaxed) + (int64_t)now.mono_ms;
    return ms > 0 ? (uint64_t)ms : 0;
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
    return ms <= hlc_ms(clock, now) + CLOCK_AHEAD_MAX_MS;
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
    hlc_observe_ms(clock, hlc_to_ms(stamp), now);
}

void hlc_observe_ms(struct hlc *clock, uint64_t ms, struct moment now)
{
    if (!hlc_accepts(clock, ms, now))
        return;
    int64_t observed = (int64_t)ms - (int64_t)now.mono_ms;
    int64_t own = atomic_load_explicit(&clock->offset_ms, memory_order_relaxed);
    while (own < observed &&
           !atomic_compare_exchange_weak_explicit(&clock->offset_ms, &own, observed,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}
