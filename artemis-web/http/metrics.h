/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics - what the web layer counts, and the page that shows it together with the engine's
 * numbers.
 *
 * Counting is an atomic add without order: cheap, from any thread, and read without a lock. Names
 * begin with artemis_ and carry their unit. The table of gauges and counters in metrics.c is also
 * what `docs/OPERATING.md` is printed from.
 */
#pragma once

#include <stdatomic.h>

#include "artemis-web/http/connections.h"
#include "artemis-web/http/routes.h"
#include "artemis-web/push/push.h"

enum { LATENCY_BUCKETS = 12 };

struct route_metrics {
    _Atomic uint64_t outcomes[ERROR_COUNT];
    _Atomic uint64_t latency[LATENCY_BUCKETS + 1]; /* the last: above all bounds */
    _Atomic uint64_t latency_sum_us;
};

struct metrics {
    struct route_metrics routes[ROUTE_COUNT + 1]; /* the last: no such path, or not even HTTP */
    _Atomic uint64_t request_bytes;               /* bodies as received */
    _Atomic uint64_t response_bytes;              /* bodies as sent */
};

void metrics_count(struct metrics *metrics, const struct route *route, enum error outcome,
                   uint64_t duration_ns);

/* Appends the page in Prometheus' text format. */
void metrics_write(struct metrics *metrics, struct engine *engine, struct connections *connections,
                   struct push *push, struct moment now, struct text *out);
/* Appends a Markdown table of all metrics. */
void metrics_write_reference(struct text *out);
