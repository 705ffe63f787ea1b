/* SPDX-License-Identifier: Apache-2.0
 *
 * stamp - hybrid logical clock stamps, which order the changes of a record between nodes.
 *
 * A stamp is 48 bits of milliseconds and 16 bits of counter in one integer, so that
 * higher is later. It follows the clock where that moves forward and counts on where it stands
 * still or jumps back: a stamp never repeats and never goes back within a node. An overflowing
 * counter carries into the milliseconds, which is harmless: the clock only runs ahead a little.
 * A node that is told of a higher stamp goes on above it, so a change that was made in knowledge of
 * another is always the later one, whatever the clocks say.
 *
 * A version is a stamp with the node that gave it: equal stamps of two nodes are told apart by the
 * node's name, alike on every node. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "artemis-core/base/text.h"

/* Stamps beyond it (the year 4000 and some) are refused: a clock must have room to go on. */
#define HLC_MAX ((uint64_t)1 << 62)

struct stamp {
    uint64_t hlc;
    struct slice node_id; /* the id of the node that gave it; borrowed */
};

/* The stamp that follows `last` at that time of the clock, ms since 1970. */
uint64_t hlc_after(uint64_t last, uint64_t clock_ms);

/* The time of a stamp, ms since 1970. */
uint64_t hlc_to_ms(uint64_t stamp);

/* Below 0: a is older than b; 0: the same; above 0: newer. */
int stamp_compare(struct stamp a, struct stamp b);
