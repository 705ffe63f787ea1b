/* SPDX-License-Identifier: Apache-2.0
 *
 * wire_record - the latest record of one key, as nodes send it to each other.
 *
 * A renewal has a key, a stamp and an age. A registration has the instance as well. An
 * unregistration is marked `deleted`. Ages are durations, so the clocks of two nodes need not
 * agree. A legacy node sends no stamp; the receiver stamps its records on receipt.
 *
 * A record whose lease has ended is kept for a time: see `is_guarded` and `is_confirming`.
 *
 * Everything is borrowed. The stamp is called `version` and `origin` on the wire.
 */
#pragma once

#include "artemis-core/model/instance.h"
#include "artemis-core/model/stamp.h"

struct wire_record {
    const struct instance_key *key; /* NULL if `instance` is set */
    struct instance *instance;      /* NULL if only the key is known */
    struct stamp stamp;             /* hlc 0: from a legacy node */
    uint64_t age_ms;                /* since the last renewal, or since the unregistration */
    uint64_t client_revision;       /* of a key; that of an instance is in `instance`. 0: none */
    bool has_weight;                /* of a key: the instance has a weight, not the default */
    bool deleted;
    bool is_guarded;    /* its lease has ended, and a guard of the sender keeps it */
    bool is_confirming; /* its lease has ended, and the sender asks its peers for a later renewal */
    uint64_t rounds;    /* completed rounds of that lease check */
    uint32_t peer;      /* identifies the sender; 0: this node. It is not sent */
};

static inline uint64_t wire_record_client_revision(const struct wire_record *record)
{
    return record->instance ? instance_client_revision(record->instance) : record->client_revision;
}

/* Copies all but key, instance and peer. */
static inline void wire_record_copy_stamp(struct wire_record *to, const struct wire_record *from)
{
    to->stamp = from->stamp;
    to->age_ms = from->age_ms;
    to->client_revision = from->client_revision;
    to->has_weight = from->has_weight;
    to->deleted = from->deleted;
    to->is_guarded = from->is_guarded;
    to->is_confirming = from->is_confirming;
    to->rounds = from->rounds;
}

/* Adds the time that the record was in transit. */
static inline void wire_record_add_age(struct wire_record *record, uint64_t transit_ms)
{
    bool is_out_of_range = record->age_ms > UINT64_MAX - transit_ms;
    record->age_ms = is_out_of_range ? UINT64_MAX : record->age_ms + transit_ms;
}

static inline struct slice wire_record_key(const struct wire_record *record)
{
    return record->instance ? instance_packed_key(record->instance)
                            : instance_key_packed(record->key);
}
