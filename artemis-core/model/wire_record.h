/* SPDX-License-Identifier: Apache-2.0
 *
 * wire_record - what one node tells another about one key: its latest state, never a log entry.
 *
 * A renewal is a key with a version and an age; a registration has the instance too; an
 * unregistration is marked `deleted`. Ages are durations, so the clocks of two nodes need not
 * agree. A node of an older Artemis sends no version: its word is taken at the time of receipt.
 */
#pragma once

#include "artemis-core/model/instance.h"
#include "artemis-core/model/stamp.h"

struct wire_record {
    const struct instance_key *key; /* borrowed; NULL where `instance` is given */
    struct instance *instance;      /* borrowed; NULL where only the key is known */
    struct stamp stamp;             /* stamp 0: from a node that knows no versions */
    uint64_t age_ms;                /* since the last renewal, or since it was unregistered */
    bool deleted;
};

static inline struct slice wire_record_key(const struct wire_record *record)
{
    return record->instance ? instance_packed_key(record->instance)
                            : instance_key_packed(record->key);
}
