/* SPDX-License-Identifier: Apache-2.0
 *
 * event_order - admits each event of a publisher at most once, in the order of its numbers.
 *
 * A publisher is one process of a node: its node id and its run. It numbers its events from 1. An
 * event is admitted if its number is above those of all admitted events of its publisher. A message
 * that is repeated, or delivered late, therefore admits nothing twice and nothing out of order.
 *
 * The publishers are kept in a table of EVENT_PUBLISHERS_MAX. A new one replaces the one that was
 * used least recently, of which an event may then be admitted twice. Messages between nodes are
 * refused when they are older than replication.timeout_secs, so this happens only if more than
 * EVENT_PUBLISHERS_MAX processes publish within that time.
 *
 * Pure. One thread at a time.
 */
#pragma once

#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"

enum {
    EVENT_PUBLISHERS_MAX = 256,
    EVENT_NODE_ID_BYTES = 256, /* of a node id, with a terminating zero */
    EVENT_RUN_BYTES = 17,      /* of a run, 16 hexadecimal digits, with a terminating zero */
};

struct event_publisher {
    char node_id[EVENT_NODE_ID_BYTES];
    char run[EVENT_RUN_BYTES];
    uint64_t number;  /* the highest that was admitted */
    uint64_t used_ms; /* monotonic */
};

struct event_order {
    struct event_publisher *publishers; /* NULL: none yet */
    size_t count;
};

void event_order_free(struct event_order *order);

/* Whether a run is 16 digits of 0-9 and a-f. */
bool event_run_is_valid(struct slice run);

/* Whether the event is admitted. *missed is the number of events that its publisher numbered since
 * the last admitted one, and that were not admitted; 0 for the first event of a publisher. The node
 * id must fit, and the run be valid. ERR_NO_MEMORY. */
MUST_USE enum error event_order_admit(struct event_order *order, struct slice node_id,
                                      struct slice run, uint64_t number, uint64_t now_ms,
                                      bool *is_admitted, uint64_t *missed);
