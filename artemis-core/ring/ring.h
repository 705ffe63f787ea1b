/* SPDX-License-Identifier: Apache-2.0
 *
 * ring - consistent hashing: which instance of a service gets a key. Equal instances give equal
 * answers on every node and in the client library, in whatever order they are.
 *
 * The ring has 256 segments of 2^32 places. An instance of the default weight has 256 virtual
 * nodes, one in each segment; another one has them in proportion, rounded up. The places come from
 * MurmurHash3. A key gets the instance whose virtual node is the next one from the place of the key
 * on. So an instance that joins takes keys for itself only, one that leaves loses only its own, and
 * both in proportion to the weights.
 *
 * Nothing is stored: the next virtual node is nearly always in the segment of the key, where an
 * instance of the default weight has one. A search computes one hash for an instance, not 256. An
 * instance with less than the default weight is in some of the segments, at places that it keeps.
 *
 *     ring_search_begin(&search, hash_key);
 *     for each candidate
 *         ring_search_offer(&search, identity, weight, index);
 *
 * Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "artemis-core/base/text.h"

enum { RING_SEGMENTS = 256 }; /* virtual nodes of an instance of the default weight */

struct ring_search {
    uint32_t first; /* segment of the key */
    uint32_t place; /* of the key in it */
    bool found;
    uint32_t index;     /* of the best candidate, if one was found */
    uint32_t best_step; /* how many segments its virtual node is after that of the key */
    uint32_t best_place;
    uint64_t best_identity;
};

/* The hash of an instance by which the ring knows it. `packed_key` as instance_packed_key. */
uint64_t ring_identity(struct slice packed_key);

void ring_search_begin(struct ring_search *search, struct slice hash_key);
/* Considers a candidate. One with a weight of 0 is never found. */
void ring_search_offer(struct ring_search *search, uint64_t identity, uint32_t weight,
                       uint32_t index);
