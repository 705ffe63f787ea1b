/* SPDX-License-Identifier: Apache-2.0
 *
 * record - an instance as the callers of the library see it, with its texts, in one allocation.
 *
 * Immutable and counted by reference, so that what is known, what was given out and what is still
 * to be told share it. References may be taken and given back in any thread. Pure.
 */
#pragma once

#include "libartemis/artemis.h"

#include "artemis-core/base/error.h"
#include "artemis-core/model/instance.h"

struct record {
    _Atomic uint32_t refs;
    struct artemis_instance view; /* every text is there */
    char bytes[];
};

/* With one reference, the caller's. ERR_NO_MEMORY. */
MUST_USE enum error record_create(const struct instance *instance, struct record **out);
struct record *record_ref(struct record *record); /* returns it */
void record_unref(struct record *record);         /* takes NULL */

/* The order of identity: service, group, instance, region, zone; as strcmp. */
int record_compare(const struct record *a, const struct record *b);
/* The same content, for two of one identity. */
bool record_same(const struct record *a, const struct record *b);
bool record_is_up(const struct record *record);

/* What a caller gives us, as the core knows it. Where region or zone is absent, these stand in.
 * Checks all but the address of a key. ERR_INVALID_FIELD with *problem, ERR_NO_MEMORY. */
MUST_USE enum error record_read_instance(const struct artemis_instance *from, const char *region_id,
                                         const char *zone_id, struct instance **out,
                                         struct field_problem *problem);
MUST_USE enum error record_read_key(const struct artemis_instance *from, const char *region_id,
                                    const char *zone_id, struct instance_key *out,
                                    struct field_problem *problem);
/* The same instance with another status. ERR_INVALID_FIELD with *problem, ERR_NO_MEMORY. */
MUST_USE enum error record_with_status(const struct instance *from, const char *status,
                                       struct instance **out, struct field_problem *problem);
