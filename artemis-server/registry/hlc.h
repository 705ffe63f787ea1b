/* SPDX-License-Identifier: Apache-2.0
 *
 * hlc - the clock that stamps versions (artemis-core/model/stamp.h), which all nodes of a
 * cluster share.
 *
 * It is set once from the wall clock, and runs by the monotonic clock from then on: nobody who sets
 * the wall clock back or ahead changes which of two registrations is the later. Hearing of a clock
 * that is ahead, it catches up, so nodes that hear each other agree on the time to within their
 * distance, whatever their wall clocks say. It is never set back. A stamp is given once.
 *
 * Any thread may call; nothing here waits. No clock is read.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "artemis-core/base/moment.h"

#define CLOCK_AHEAD_MAX_MS (100 * 366 * 86400000ull) /* a hundred years */

struct hlc {
    _Atomic uint64_t last;     /* the highest stamp that was given or observed of */
    _Atomic int64_t offset_ms; /* its time when the monotonic clock stood at 0 */
};

void hlc_init(struct hlc *clock, struct moment now);
uint64_t hlc_ms(const struct hlc *clock, struct moment now);
/* A stamp above all that were given or observed of. */
uint64_t hlc_next(struct hlc *clock, struct moment now);
/* Whether a stamp, or a clock, may be another node's: it is not further ahead than any clock that
 * is merely wrong. Following one that is garbage would leave no later time to go on to. */
bool hlc_accepts(const struct hlc *clock, uint64_t ms, struct moment now);
/* A stamp that another node gave; and the time of another node's clock. One that it does not
 * believe is ignored. */
void hlc_observe_stamp(struct hlc *clock, uint64_t stamp, struct moment now);
void hlc_observe_ms(struct hlc *clock, uint64_t ms, struct moment now);
