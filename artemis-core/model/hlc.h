/* SPDX-License-Identifier: Apache-2.0
 *
 * hlc - the hybrid logical clock of a node, which issues stamps (artemis-core/model/stamp.h).
 *
 * It is set once from the wall clock and then runs by the monotonic clock: setting the wall clock
 * does not change which of two registrations is later. It catches up with any clock of another node
 * that is ahead, so connected nodes agree on the time to within the network delay. It is never set
 * back. A stamp is issued once.
 *
 * Any thread may call; no call blocks. No clock is read.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "artemis-core/base/moment.h"

#define CLOCK_AHEAD_MAX_MS (100 * 366 * 86400000ull) /* a hundred years */

struct hlc {
    _Atomic uint64_t last;     /* the highest value that was issued or observed */
    _Atomic int64_t offset_ms; /* its time when the monotonic clock stood at 0 */
};

/* Stamps are above `floor`, whatever the clocks say. */
void hlc_init(struct hlc *clock, uint64_t floor, struct moment now);
uint64_t hlc_ms(const struct hlc *clock, struct moment now);
/* A value above all that were issued or observed. */
uint64_t hlc_next(struct hlc *clock, struct moment now);
/* False for a time more than CLOCK_AHEAD_MAX_MS ahead, more than any wrong clock. Following it
 * could exhaust the clock. */
bool hlc_accepts(const struct hlc *clock, uint64_t ms, struct moment now);
/* Catches up with a stamp, or with the clock, of another node. One that is not accepted is
 * ignored. */
void hlc_observe_value(struct hlc *clock, uint64_t stamp, struct moment now);
void hlc_observe_ms(struct hlc *clock, uint64_t ms, struct moment now);
