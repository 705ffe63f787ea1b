/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/ring/ring.h"

#include <murmurhash.h>

#include "artemis-core/model/instance.h"

uint64_t ring_identity(struct slice packed_key)
{
    uint64_t hash[2];
    lmmh_x64_128(packed_key.data, (unsigned)packed_key.size, 0, hash);
    return hash[0];
}

void ring_search_begin(struct ring_search *search, struct slice hash_key)
{
    uint64_t hash[2];
    lmmh_x64_128(hash_key.data, (unsigned)hash_key.size, 0, hash);
    *search = (struct ring_search){.first = (uint32_t)(hash[0] >> 56), .place = (uint32_t)hash[0]};
}

static uint32_t place_of(uint64_t identity, uint32_t virtual_node)
{
    uint32_t place;
    lmmh_x86_32(&identity, sizeof(identity), virtual_node, &place);
    return place;
}

/* Reversing the bits of 0, 1, 2... gives segments that are spread evenly, however many. */
static uint32_t reverse_bits(uint32_t byte)
{
    byte = (byte & 0xF0) >> 4 | (byte & 0x0F) << 4;
    byte = (byte & 0xCC) >> 2 | (byte & 0x33) << 2;
    return (byte & 0xAA) >> 1 | (byte & 0x55) << 1;
}

static uint32_t virtual_nodes_of(uint32_t weight)
{
    return (weight * RING_SEGMENTS + WEIGHT_DEFAULT - 1) / WEIGHT_DEFAULT;
}

/* Whether a virtual node of the candidate is the best one `step` segments after that of the key.
 * *has_node: it has one there, not before the key. */
static bool search_segment(struct ring_search *search, uint64_t identity, uint32_t count,
                           uint32_t step, bool *has_node)
{
    bool is_best = false;
    uint32_t turned = search->first + step - (uint32_t)(identity >> 56); /* each begins elsewhere */
    for (uint32_t node = reverse_bits(turned % RING_SEGMENTS); node < count;
         node += RING_SEGMENTS) {
        uint32_t place = place_of(identity, node);
        if (step == 0 && place < search->place)
            continue;
        *has_node = true;
        if (search->found && step == search->best_step &&
            (place > search->best_place ||
             (place == search->best_place && identity >= search->best_identity)))
            continue;
        is_best = search->found = true;
        search->best_step = step;
        search->best_place = place;
        search->best_identity = identity;
    }
    return is_best;
}

void ring_search_offer(struct ring_search *search, uint64_t identity, uint32_t weight,
                       uint32_t index)
{
    bool has_node = false;
    uint32_t count = virtual_nodes_of(weight);
    /* With a weight, it has virtual nodes in more than one segment. */
    uint32_t last = search->found ? search->best_step : RING_SEGMENTS - 1;
    for (uint32_t step = 0; count && step <= last && !has_node; step++)
        if (search_segment(search, identity, count, step, &has_node))
            search->index = index;
}
