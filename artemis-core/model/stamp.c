/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/model/stamp.h"

#include <string.h>

enum { COUNTER_BITS = 16 };

uint64_t hlc_after(uint64_t last, uint64_t clock_ms)
{
    uint64_t by_clock = clock_ms << COUNTER_BITS;
    return by_clock > last ? by_clock : last + 1;
}

uint64_t hlc_to_ms(uint64_t hlc)
{
    return hlc >> COUNTER_BITS;
}

static int compare_ids(struct slice a, struct slice b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size ? memcmp(a.data, b.data, size) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

int stamp_compare(struct stamp a, struct stamp b)
{
    if (a.hlc != b.hlc)
        return a.hlc < b.hlc ? -1 : 1;
    return compare_ids(a.node_id, b.node_id);
}
