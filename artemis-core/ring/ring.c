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

void ring_search_offer(struct ring_search *search, uint64_t identity, uint32_t weight,
                       uint32_t index)
{
    uint32_t segment = search->first + search->step;
    uint32_t turned = segment - (uint32_t)(identity >> 56); /* instances begin at any segment */
    uint32_t count = virtual_nodes_of(weight);
    for (uint32_t node = reverse_bits(turned % RING_SEGMENTS); node < count;
         node += RING_SEGMENTS) {
        uint32_t place = place_of(identity, node);
        bool is_behind = search->step == 0 && place < search->place;
        bool is_better = !search->found || place < search->best_place ||
                         (place == search->best_place && identity < search->best_identity);
        if (is_behind || !is_better)
            continue;
        search->found = true;
        search->index = index;
        search->best_place = place;
        search->best_identity = identity;
    }
}

bool ring_search_continues(struct ring_search *search)
{
    /* An instance with a weight has virtual nodes in more than one segment. */
    return !search->found && ++search->step < RING_SEGMENTS;
}
