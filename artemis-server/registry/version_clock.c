/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/registry/version_clock.h"

#include "artemis-core/version.h"

void version_clock_init(struct version_clock *clock, struct moment now)
{
    atomic_init(&clock->last, 0);
    atomic_init(&clock->zero_ms, (int64_t)now.wall_ms - (int64_t)now.mono_ms);
}

uint64_t version_clock_ms(const struct version_clock *clock, struct moment now)
{
    int64_t ms = atomic_load_explicit(&clock->zero_ms, memory_order_relaxed) + (int64_t)now.mono_ms;
    return ms > 0 ? (uint64_t)ms : 0;
}

uint64_t version_clock_next(struct version_clock *clock, struct moment now)
{
    uint64_t ms = version_clock_ms(clock, now);
    uint64_t last = atomic_load_explicit(&clock->last, memory_order_relaxed);
    uint64_t next;
    do
        next = version_next(last, ms);
    while (!atomic_compare_exchange_weak_explicit(&clock->last, &last, next, memory_order_relaxed,
                                                  memory_order_relaxed));
    return next;
}

bool version_clock_believes(const struct version_clock *clock, uint64_t ms, struct moment now)
{
    return ms <= version_clock_ms(clock, now) + CLOCK_AHEAD_MAX_MS;
}

void version_clock_hear_stamp(struct version_clock *clock, uint64_t stamp, struct moment now)
{
    if (!version_clock_believes(clock, version_ms(stamp), now))
        return;
    uint64_t last = atomic_load_explicit(&clock->last, memory_order_relaxed);
    while (last < stamp &&
           !atomic_compare_exchange_weak_explicit(&clock->last, &last, stamp, memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
    version_clock_hear_ms(clock, version_ms(stamp), now);
}

void version_clock_hear_ms(struct version_clock *clock, uint64_t ms, struct moment now)
{
    if (!version_clock_believes(clock, ms, now))
        return;
    int64_t heard = (int64_t)ms - (int64_t)now.mono_ms;
    int64_t own = atomic_load_explicit(&clock->zero_ms, memory_order_relaxed);
    while (own < heard &&
           !atomic_compare_exchange_weak_explicit(&clock->zero_ms, &own, heard,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}
