/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/load_balancer.h"

uint32_t load_balancer_next(uint32_t count, load_balancer_fits *fits, const void *context,
                            uint32_t *position)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = (uint32_t)(((uint64_t)*position + i) % count);
        if (!fits(context, index))
            continue;
        *position = index + 1;
        return index;
    }
    return count;
}

uint32_t load_balancer_random(uint32_t count, load_balancer_fits *fits, const void *context,
                              uint32_t random)
{
    enum { TRIES = 8 };
    /* Usually most fit, so that a few tries find one. */
    for (int i = 0; i < TRIES && count; i++) {
        if (fits(context, random % count))
            return random % count;
        random = random * 1664525u + 1013904223u;
        random ^= random >> 16;
    }
    uint32_t fitting = 0;
    for (uint32_t i = 0; i < count; i++)
        fitting += fits(context, i);
    uint32_t wanted = fitting ? random % fitting : 0;
    for (uint32_t i = 0; i < count; i++)
        if (fits(context, i) && wanted-- == 0)
            return i;
    return count;
}
