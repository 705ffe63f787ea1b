/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/version.h"

enum { COUNTER_BITS = 16 };

uint64_t version_next(uint64_t last, uint64_t wall_ms)
{
    uint64_t by_clock = wall_ms << COUNTER_BITS;
    return by_clock > last ? by_clock : last + 1;
}

uint64_t version_wall_ms(uint64_t version)
{
    return version >> COUNTER_BITS;
}
