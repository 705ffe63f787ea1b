/* SPDX-License-Identifier: Apache-2.0
 *
 * shared_instance - an instance as the callers of the library see it (struct artemis_instance), in
 * one allocation with its texts.
 *
 * Immutable and reference-counted: caches, published services and queued callbacks share it.
 * References can be taken and released in any thread. Pure.
 */
#pragma once

#include "libartemis/artemis.h"

#include "artemis-core/base/error.h"
#include "artemis-core/model/instance.h"

struct shared_instance {
    _Atomic uint32_t refs;
    uint64_t identity;            /* on the ring (ring.h) */
    struct artemis_instance view; /* no text is NULL */
    char bytes[];
};

/* Creates a copy with one reference, which the caller owns. ERR_NO_MEMORY. */
MUST_USE enum error shared_instance_create(const struct instance *instance,
                                           struct shared_instance **out);
struct shared_instance *shared_instance_ref(struct shared_instance *shared); /* returns it */
void shared_instance_unref(struct shared_instance *shared);                  /* accepts NULL */

/* The text of a field; NULL if the caller of the library left it out. */
const char *instance_view_text(const struct artemis_instance *view, enum instance_field field);

/* Compares identities: service, group, instance, region, zone, in this order; as strcmp. */
int shared_instance_compare(const struct shared_instance *a, const struct shared_instance *b);
/* Compares the content of two with the same identity. */
bool shared_instance_equal(const struct shared_instance *a, const struct shared_instance *b);
bool shared_instance_is_up(const struct shared_instance *shared);
