/* SPDX-License-Identifier: Apache-2.0
 *
 * rate_limiter - a token bucket in one integer.
 *
 * It stores the time at which the bucket is full again (the generic cell rate algorithm). A request
 * moves that time forward by one interval; it is refused when the time would be further ahead than
 * the burst allows. A refused request that comes again after one interval is admitted, unless
 * another one comes before it; the interval is a second at most.
 *
 * Any thread may call. It has no lock and reads no clock.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* A rate that any number of buckets share. */
struct rate_limit {
    _Atomic uint64_t interval_ns; /* between two requests at the allowed rate; 0: no limit */
    _Atomic uint64_t burst_ns;
};

/* A bucket with a rate of its own. */
struct rate_limiter {
    struct rate_limit limit;
    _Atomic uint64_t full_at_ns; /* monotonic */
};

/* requests_per_second 0 means no limit. Returns whether the rate has changed. Any thread. */
bool rate_limit_set(struct rate_limit *limit, uint32_t requests_per_second, uint32_t burst_size);
static inline bool rate_limit_is_on(const struct rate_limit *limit)
{
    return atomic_load_explicit(&limit->interval_ns, memory_order_relaxed) != 0;
}
/* Computes when a bucket is full again if it admits a request. False: it must not. */
bool rate_limit_next(const struct rate_limit *limit, uint64_t full_at_ns, uint64_t now_ms,
                     uint64_t *next_ns);

void rate_limiter_init(struct rate_limiter *limiter, uint32_t requests_per_second,
                       uint32_t burst_size);
/* Changes the limit, and fills the bucket if it differs. Any thread. */
void rate_limiter_set(struct rate_limiter *limiter, uint32_t requests_per_second,
                      uint32_t burst_size);
/* Takes a token; false when the bucket is empty. */
bool rate_limiter_admit(struct rate_limiter *limiter, uint64_t now_ms);
