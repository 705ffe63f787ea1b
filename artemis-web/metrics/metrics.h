/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics - the counters of the web layer, and the metrics page, which also shows the numbers of
 * the engine.
 *
 * A counter is an atomic integer that is increased without ordering and read without a lock. Any
 * thread may count and write the page. Metric names begin with artemis_ and contain their unit; the
 * name of a counter ends in _total. The tables of metrics in metrics.c and metrics_peers.c also
 * generate the table of docs/OPERATING.md.
 */
#pragma once

#include <stdatomic.h>

#include "artemis-web/connections/connections.h"
#include "artemis-web/push/push.h"

enum { LATENCY_BUCKETS = 12, METRIC_ROUTES_MAX = 64 };

struct route_metrics {
    _Atomic uint64_t outcomes[ERROR_COUNT];
    _Atomic uint64_t not_modified; /* responses with status 304; not in `outcomes` */
    _Atomic uint64_t latency[LATENCY_BUCKETS + 1]; /* the last counts what exceeds all bounds */
    _Atomic uint64_t latency_sum_us;
};

struct metrics {
    const char *const *route_names; /* constant */
    size_t route_count;
    struct route_metrics
        routes[METRIC_ROUTES_MAX + 1]; /* at route_count: requests without a route */
    _Atomic uint64_t request_bytes;    /* of bodies as received */
    _Atomic uint64_t response_bytes;   /* of bodies as sent */
    _Atomic uint64_t unread_bytes;     /* of bodies being sent now; response_budget.h limits it */
    _Atomic uint64_t writes_delayed;   /* registrations and unregistrations, see exchange.c */
    _Atomic uint64_t writes_dropped;
};

/* `names` must outlive the metrics; at most METRIC_ROUTES_MAX. */
void metrics_init(struct metrics *metrics, const char *const *names, size_t count);
/* Counts a request. `route` is the index of its route, route_count or more for none. `status` is
 * the HTTP status that was sent. */
void metrics_count(struct metrics *metrics, size_t route, enum error outcome, unsigned status,
                   uint64_t duration_ns);

/* Appends the page in the Prometheus text format. */
void metrics_write(struct metrics *metrics, struct engine *engine, struct connections *connections,
                   struct push *push, struct moment now, struct text *out);
/* Appends a Markdown table of all metrics. */
void metrics_write_reference(struct text *out);
