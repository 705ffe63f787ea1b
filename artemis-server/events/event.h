/* SPDX-License-Identifier: Apache-2.0
 *
 * event - one event of a topic: immutable and reference-counted.
 *
 * A node numbers the events that it publishes. Any thread may hold a reference.
 */
#pragma once

#include <stdatomic.h>

#include "artemis-core/base/text.h"

struct event {
    _Atomic uint32_t refs;
    uint64_t number; /* of its publisher, from 1 on; set before other threads see the event */
    uint64_t wall_ms;
    struct slice node_id; /* of the publisher, as the run */
    struct slice run;     /* its process */
    struct slice topic;
    struct slice payload; /* compact JSON */
    char bytes[];         /* of the slices */
};

struct event_content {
    uint64_t number;
    uint64_t wall_ms;
    struct slice node_id, run, topic, payload;
};

/* Copies the content; one reference. NULL: no memory. */
struct event *event_create(const struct event_content *content);
struct event *event_ref(struct event *event); /* returns it */
void event_unref(struct event *event);        /* accepts NULL */
