/* SPDX-License-Identifier: Apache-2.0
 *
 * shared_event - an event of a topic as the callers of the library see it (struct artemis_event),
 * in one allocation with its texts.
 *
 * Immutable and reference-counted: the queued callbacks of all subscriptions share it. References
 * can be taken and released in any thread. Pure.
 */
#pragma once

#include "libartemis/artemis.h"

#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"

struct shared_event {
    _Atomic uint32_t refs;
    struct artemis_event view; /* no text is NULL */
    char bytes[];
};

/* The parts of an event; borrowed. */
struct event_parts {
    struct slice topic, node_id, run;
    struct slice payload; /* compact JSON */
    uint64_t number;
    int64_t time_ms;
};

/* Copies the parts; one reference, which the caller owns. ERR_NO_MEMORY. */
MUST_USE enum error shared_event_create(const struct event_parts *parts, struct shared_event **out);
struct shared_event *shared_event_ref(struct shared_event *event); /* returns it */
void shared_event_unref(struct shared_event *event);               /* accepts NULL */
