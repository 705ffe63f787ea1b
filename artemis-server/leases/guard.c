/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/leases/guard.h"

#include <string.h>

static void enter(struct guard *guard, enum guard_state state, uint64_t now_ms, uint64_t until_ms)
{
    guard->state = state;
    guard->since_ms = now_ms;
    guard->until_ms = until_ms;
}

/* Clears the buckets that have left the window. */
static void slide(struct guard *guard, const struct guard_settings *settings, uint64_t now_ms)
{
    uint64_t length = settings->window_ms / GUARD_BUCKETS;
    uint64_t bucket = now_ms / (length ? length : 1);
    uint64_t steps = bucket - guard->bucket;
    if (steps >= GUARD_BUCKETS)
        memset(guard->evicted, 0, sizeof(guard->evicted));
    else
        while (guard->bucket < bucket)
            guard->evicted[++guard->bucket % GUARD_BUCKETS] = 0;
    guard->bucket = bucket;
}

static bool share_is_low(const struct guard *guard, const struct guard_settings *settings)
{
    /* An engaged guard stays engaged when the scope shrinks below min_leases: clients that
     * unregister must not cause the mass eviction. */
    bool counts = guard->state == GUARD_ENGAGED || guard->expected >= settings->min_leases;
    return settings->percent > 0 && counts &&
           (uint64_t)guard->renewed * 100 < (uint64_t)guard->expected * settings->percent;
}

bool guard_evaluate(struct guard *guard, const struct guard_settings *settings, uint64_t now_ms,
                    uint32_t leases, uint32_t ended)
{
    slide(guard, settings, now_ms);
    uint32_t evicted = 0;
    for (int i = 0; i < GUARD_BUCKETS; i++)
        evicted += guard->evicted[i];
    guard->expected = leases + evicted;
    guard->renewed = leases - ended;

    if (guard->state == GUARD_RELEASED && now_ms < guard->until_ms)
        return false;
    if (!share_is_low(guard, settings)) {
        if (guard->state != GUARD_OFF)
            enter(guard, GUARD_OFF, now_ms, 0);
        return false;
    }
    if (guard->state != GUARD_ENGAGED)
        enter(guard, GUARD_ENGAGED, now_ms, now_ms + settings->max_ms);
    return true;
}

void guard_count_evictions(struct guard *guard, const struct guard_settings *settings,
                           uint64_t now_ms, uint32_t count)
{
    if (guard->state == GUARD_RELEASED)
        return; /* intended evictions: the guard must not engage again for them */
    slide(guard, settings, now_ms);
    guard->evicted[guard->bucket % GUARD_BUCKETS] += count;
}

bool guard_release(struct guard *guard, const struct guard_settings *settings, uint64_t now_ms,
                   uint64_t age_ms)
{
    if (age_ms >= settings->window_ms)
        return false;
    uint64_t until_ms = now_ms + (settings->window_ms - age_ms);
    if (guard->state == GUARD_RELEASED &&
        until_ms <= guard->until_ms + settings->window_ms / GUARD_BUCKETS)
        return false;
    enter(guard, GUARD_RELEASED, now_ms, until_ms);
    memset(guard->evicted, 0, sizeof(guard->evicted));
    return true;
}

void guard_clear(struct guard *guard, uint64_t now_ms)
{
    if (guard->state == GUARD_ENGAGED)
        enter(guard, GUARD_OFF, now_ms, 0);
}
