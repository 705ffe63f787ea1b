/* SPDX-License-Identifier: Apache-2.0
 *
 * moment - a point in time, as an argument.
 *
 * Nothing in artemis-core, the store or the wheel reads a clock: what decides takes a `struct
 * moment` as `now`, so a test moves time by an addition. The two clocks have two fields, so they
 * cannot be mixed up: leases are measured on `mono_ms`, which no operator can set back; `wall_ms`
 * only labels (change times, versions) and may jump.
 */
#pragma once

#include <stdint.h>

struct moment {
    uint64_t mono_ms; /* ms since an arbitrary start; never goes back */
    uint64_t wall_ms; /* ms since 1970, UTC; may jump either way */
};
