/* SPDX-License-Identifier: Apache-2.0
 *
 * hlc - the hybrid logical clock of a node, which issues stamps (artemis-core/model/stamp.h).
 *
 * It is set once from the wall clock and then runs by the monotonic clock: setting the wall clock
 * does not change which of two registrations is later. It catches up with any clock of another node
 * that is ahead, so connected nodes agree on the time to within the network delay. It is never set
 * back. A stamp is issued once.
 *
 * What a caller sends is not trusted blindly. A stamp never moves the time; the stamps that this
 * node issues later are above it. They continue from it at half the speed of the time, until the
 * time has passed them. So nodes that know the same stamp agree which of two later changes comes
 * first, also while they cannot reach each other, and the effect of a stamp of the future ends.
 *
 * Only members that this node itself has asked move the time. The clock also keeps the highest
 * clock of all members: the wall clocks with which they started, as far as they are known. A stamp
 * is accepted if it is at most max_ahead_ms above that, or above the wall clock of this node, which
 * then counts as one of those: the monotonic clock of a virtual machine that was suspended is
 * behind. So no number of calls raises the stamps of a cluster further, and a node whose clock is
 * honestly ahead is followed.
 *
 * Any thread may call; no call blocks. No clock is read.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "artemis-core/base/moment.h"

/* How far the clock of a member may be ahead of the one with which this node started: a hundred
 * years, more than any wrong clock. Also the limit for stamps where none is set. */
#define CLOCK_AHEAD_MAX_MS (100 * 366 * 86400000ull)

struct hlc {
    _Atomic uint64_t last; /* the highest value that was issued or observed */
    /* Where stamps continue that are ahead of the time: twice their time, less the monotonic
     * clock. Constant while they run, so the highest one is the latest. */
    _Atomic int64_t stamps_line_ms;
    /* Times when the monotonic clock stood at 0: */
    _Atomic int64_t offset_ms;         /* of this clock */
    _Atomic int64_t members_offset_ms; /* of the highest clock of all members */
    int64_t start_offset_ms;           /* of the wall clock at the start; constant */
    uint64_t max_ahead_ms;             /* constant */
};

/* Stamps are above `floor`, whatever the clocks say. It is the highest stamp of earlier runs or
 * above that, and stays acceptable; restarts do not raise the limit further. max_ahead_ms 0:
 * CLOCK_AHEAD_MAX_MS. */
void hlc_init(struct hlc *clock, uint64_t floor, uint64_t max_ahead_ms, struct moment now);
uint64_t hlc_ms(const struct hlc *clock, struct moment now);
/* The highest clock of all members. */
uint64_t hlc_members_ms(const struct hlc *clock, struct moment now);
/* A value above all that were issued or observed. */
uint64_t hlc_next(struct hlc *clock, struct moment now);
/* The next value is this or above it; none above it has been issued or observed. */
uint64_t hlc_highest(const struct hlc *clock, struct moment now);
/* Whether the time of a stamp is at most max_ahead_ms above the highest clock of all members or the
 * wall clock. */
bool hlc_accepts(const struct hlc *clock, uint64_t ms, struct moment now);
/* The next stamps are above that of another node; and the time catches up with that of a member.
 * What is not accepted is ignored. hlc_observe_ms: false if so. */
void hlc_observe_value(struct hlc *clock, uint64_t stamp, struct moment now);
bool hlc_observe_ms(struct hlc *clock, uint64_t ms, struct moment now);
/* Raises the highest clock of all members to one that a member reports. Ignored if it is more than
 * CLOCK_AHEAD_MAX_MS above the clock with which this node started. */
void hlc_observe_members_ms(struct hlc *clock, uint64_t ms, struct moment now);
