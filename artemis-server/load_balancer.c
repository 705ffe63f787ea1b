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
    if (!fitting)
        return count;
    uint32_t wanted = random % fitting;
    for (uint32_t i = 0; i < count; i++)
        if (fits(context, i) && wanted-- == 0)
            return i;
    return count;
}

uint64_t load_balancer_total(uint32_t count, load_balancer_fits *fits, load_balancer_weight *weight,
                             const void *context)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < count; i++)
        total += fits(context, i) ? weight(context, i) : 0;
    return total;
}

uint32_t load_balancer_weighted(uint32_t count, load_balancer_fits *fits,
                                load_balancer_weight *weight, const void *context, uint32_t random)
{
    uint64_t total = load_balancer_total(count, fits, weight, context);
    uint64_t wanted = total * random >> 32; /* below total, which is below 2^32 */
    if (total == 0)
        return load_balancer_random(count, fits, context, random);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t own = fits(context, i) ? weight(context, i) : 0;
        if (wanted < own)
            return i;
        wanted -= own;
    }
    return count;
}
