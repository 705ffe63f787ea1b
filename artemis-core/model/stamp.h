/* SPDX-License-Identifier: Apache-2.0
 *
 * stamp - stamps of the hybrid logical clock (HLC), which order changes between nodes.
 *
 * An HLC value is one integer: 48 bits of milliseconds and 16 bits of counter. A higher value is
 * later. It follows the clock while the clock moves forward; it counts up while the clock stands
 * still or jumps back. So a node never issues a value twice, and never a lower one. A counter that
 * overflows carries into the milliseconds.
 *
 * A node that receives a higher value continues above it. So a change made with knowledge of
 * another change is the later one, whatever the clocks of the nodes say.
 *
 * A stamp is an HLC value and the id of the node that issued it. The id orders stamps with equal
 * values, in the same way on every node.
 *
 * Pure. Node ids are borrowed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "artemis-core/base/text.h"

/* The highest value that is accepted from outside (about the year 4200). The range above it is left
 * for counting up. */
#define HLC_MAX ((uint64_t)1 << 62)

struct stamp {
    uint64_t hlc;
    struct slice node_id; /* of the node that issued it; borrowed */
};

/* The value to issue after `last` when the clock shows `clock_ms`, in ms since 1970. */
uint64_t hlc_after(uint64_t last, uint64_t clock_ms);

/* The time of a value, in ms since 1970. */
uint64_t hlc_to_ms(uint64_t hlc);

/* Below 0: `a` is older than `b`. 0: the same. Above 0: `a` is newer. */
int stamp_compare(struct stamp a, struct stamp b);
