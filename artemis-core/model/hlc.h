/* SPDX-License-Identifier: Apache-2.0
 *
 * hlc - the hybrid logical clock of a node, which gives stamps (artemis-core/model/stamp.h).
 *
 * It is set once from the wall clock and then runs by the monotonic clock: setting the wall clock
 * does not change which of two registrations is later. It catches up with any clock of another node
 * that is ahead, so connected nodes agree on the time to within the network delay. It is never set
 * back. A stamp is given once.
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
    _Atomic uint64_t last;     /* the highest stamp that was given or observed */
    _Atomic int64_t offset_ms; /* its time when the monotonic clock stood at 0 */
};

/* Stamps are above `floor`, whatever the clocks say. */
void hlc_init(struct hlc *clock, uint64_t floor, struct moment now);
uint64_t hlc_ms(const struct hlc *clock, struct moment now);
/* A stamp above all that were given or observed. */
uint64_t hlc_next(struct hlc *clock, struct moment now);
/* Whether a stamp or a clock can be another node's: it is at most CLOCK_AHEAD_MAX_MS ahead, more
 * than any wrong clock. A node that followed an arbitrary number could issue no later stamp. */
bool hlc_accepts(const struct hlc *clock, uint64_t ms, struct moment now);
/* Catches up with a stamp, or with the clock, of another node. One that is not accepted is
 * ignored. */
void hlc_observe_stamp(struct hlc *clock, uint64_t stamp, struct moment now);
void hlc_observe_ms(struct hlc *clock, uint64_t ms, struct moment now);
