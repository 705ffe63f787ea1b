/* SPDX-License-Identifier: Apache-2.0
 *
 * rate_limiter - a token bucket for the whole node, in one atomic integer.
 *
 * It stores the time at which the bucket is full again (the generic cell rate algorithm). A request
 * moves that time forward by one interval; it is refused when the time would be further ahead than
 * the burst allows. Any thread may call. It has no lock and reads no clock.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct rate_limiter {
    _Atomic uint64_t full_at_ns;  /* monotonic */
    _Atomic uint64_t interval_ns; /* between two requests at the allowed rate; 0: no limit */
    _Atomic uint64_t burst_ns;
};

/* requests_per_second 0 means no limit. */
void rate_limiter_init(struct rate_limiter *limiter, uint32_t requests_per_second,
                       uint32_t burst_size);
/* Changes the limit, and fills the bucket if it differs. Any thread. */
void rate_limiter_set(struct rate_limiter *limiter, uint32_t requests_per_second,
                      uint32_t burst_size);
/* Takes a token; false when the bucket is empty. */
bool rate_limiter_admit(struct rate_limiter *limiter, uint64_t now_ms);
