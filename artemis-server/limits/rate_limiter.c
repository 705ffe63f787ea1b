/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/limits/rate_limiter.h"

enum { NS_PER_MS = 1000000 };

bool rate_limit_set(struct rate_limit *limit, uint32_t requests_per_second, uint32_t burst_size)
{
    uint64_t interval_ns = requests_per_second ? 1000ull * NS_PER_MS / requests_per_second : 0;
    uint64_t burst_ns = interval_ns * (burst_size ? burst_size : 1);
    /* Time advances in milliseconds: a bucket that holds less than one millisecond of requests
     * would admit fewer than the rate. */
    if (interval_ns < NS_PER_MS && burst_ns < NS_PER_MS)
        burst_ns = NS_PER_MS;
    if (interval_ns == atomic_load_explicit(&limit->interval_ns, memory_order_relaxed) &&
        burst_ns == atomic_load_explicit(&limit->burst_ns, memory_order_relaxed))
        return false;
    atomic_store_explicit(&limit->interval_ns, interval_ns, memory_order_relaxed);
    atomic_store_explicit(&limit->burst_ns, burst_ns, memory_order_relaxed);
    return true;
}

bool rate_limit_next(const struct rate_limit *limit, uint64_t full_at_ns, uint64_t now_ms,
                     uint64_t *next_ns)
{
    uint64_t now_ns = now_ms * NS_PER_MS;
    uint64_t from = full_at_ns > now_ns ? full_at_ns : now_ns;
    *next_ns = from + atomic_load_explicit(&limit->interval_ns, memory_order_relaxed);
    return *next_ns <= now_ns + atomic_load_explicit(&limit->burst_ns, memory_order_relaxed);
}

void rate_limiter_init(struct rate_limiter *limiter, uint32_t requests_per_second,
                       uint32_t burst_size)
{
    atomic_init(&limiter->full_at_ns, 0);
    atomic_init(&limiter->limit.interval_ns, 0);
    atomic_init(&limiter->limit.burst_ns, 0);
    rate_limiter_set(limiter, requests_per_second, burst_size);
}

void rate_limiter_set(struct rate_limiter *limiter, uint32_t requests_per_second,
                      uint32_t burst_size)
{
    if (rate_limit_set(&limiter->limit, requests_per_second, burst_size))
        atomic_store_explicit(&limiter->full_at_ns, 0, memory_order_relaxed);
}

bool rate_limiter_admit(struct rate_limiter *limiter, uint64_t now_ms)
{
    if (!rate_limit_is_on(&limiter->limit))
        return true;
    uint64_t next_ns;
    uint64_t full_at_ns = atomic_load_explicit(&limiter->full_at_ns, memory_order_relaxed);
    while (rate_limit_next(&limiter->limit, full_at_ns, now_ms, &next_ns))
        if (atomic_compare_exchange_weak_explicit(&limiter->full_at_ns, &full_at_ns, next_ns,
                                                  memory_order_relaxed, memory_order_relaxed))
            return true;
    return false;
}
