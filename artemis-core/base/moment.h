/* SPDX-License-Identifier: Apache-2.0
 *
 * moment - a point in time, passed as an argument.
 *
 * Code that decides does not read a clock: it takes a `struct moment` named `now`, so a test moves
 * time by an addition. Each clock has its own field. Durations and deadlines use `mono_ms`, which
 * nobody can set. `wall_ms` is for values that people or other nodes see (change times, stamps).
 */
#pragma once

#include <stdint.h>

struct moment {
    uint64_t mono_ms; /* ms since an arbitrary start; never goes back */
    uint64_t wall_ms; /* ms since 1970, UTC; may jump either way */
};
