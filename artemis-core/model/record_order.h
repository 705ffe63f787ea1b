/* SPDX-License-Identifier: Apache-2.0
 *
 * record_order - which of two records of one key replaces the other.
 *
 * If both have a client revision, the higher one wins. Otherwise, and if they are equal, the higher
 * stamp wins. Equal stamps name the same change. A record without a client revision that wins takes
 * over that of the record it replaces (registry_inherit_revision). So the pair (client revision,
 * stamp) of a stored record only grows, and two nodes that exchange their records end with the same
 * one, whatever the order of arrival. The comparison alone is not transitive:
 * docs/decisions/0010-client-revision.md.
 *
 * Pure. Node ids are borrowed.
 */
#pragma once

#include "artemis-core/model/stamp.h"
#include "artemis-core/model/wire_record.h"

struct record_order {
    uint64_t client_revision; /* 0: none */
    struct stamp stamp;
};

/* Below 0: `b` replaces `a`. 0: the same change. Above 0: `a` stays. */
int record_order_compare(struct record_order a, struct record_order b);

static inline struct record_order record_order_of(const struct wire_record *record)
{
    return (struct record_order){wire_record_client_revision(record), record->stamp};
}
