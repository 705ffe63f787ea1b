/* SPDX-License-Identifier: Apache-2.0
 *
 * random - random numbers that depend on the seed alone (splitmix64).
 */
#pragma once

#include <stdint.h>

static inline uint64_t next_random(uint64_t *seed)
{
    uint64_t z = *seed += 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

static inline uint32_t random_below(uint64_t *seed, uint64_t limit)
{
    return (uint32_t)(next_random(seed) % limit);
}
