/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics - the counters of the web layer, and the metrics page, which also shows the numbers of
 * the engine.
 *
 * Each web thread has counters of its own for what it does for each request, so that no two threads
 * write the same cache line; the page adds them up. A counter is an atomic integer that is changed
 * without ordering and read without a lock. Any thread may write the page. Metric names begin with
 * artemis_ and contain their unit; the name of a counter ends in _total. The tables of metrics in
 * metrics.c and metrics_peers.c also generate the table of docs/OPERATING.md.
 */
#pragma once

#include <stdatomic.h>
#include <sys/queue.h>

#include "artemis-web/connections/connections.h"
#include "artemis-web/push/push.h"

enum { LATENCY_BUCKETS = 12, METRIC_ROUTES_MAX = 64 };

struct route_metrics {
    _Atomic uint64_t outcomes[ERROR_COUNT];
    _Atomic uint64_t not_modified; /* responses with status 304; not in `outcomes` */
    _Atomic uint64_t latency[LATENCY_BUCKETS + 1]; /* the last counts what exceeds all bounds */
    _Atomic uint64_t latency_sum_us;
};

/* The counters of one web thread. It alone changes them, by metrics_add. */
struct thread_metrics {
    SLIST_ENTRY(thread_metrics) link;
    size_t route_count;
    struct route_metrics
        routes[METRIC_ROUTES_MAX + 1]; /* at route_count: requests without a route */
    _Atomic uint64_t request_bytes;    /* of bodies as received */
    _Atomic uint64_t response_bytes;   /* of bodies as sent */
    _Atomic uint64_t long_polls_deferred;
};

struct metrics {
    const char *const *route_names; /* constant */
    size_t route_count;
    SLIST_HEAD(, thread_metrics) threads; /* constant once connections are served */
    _Atomic uint64_t unread_bytes;   /* of bodies being sent now; response_budget.h limits it */
    _Atomic uint64_t writes_delayed; /* registrations and unregistrations, see exchange.c */
    _Atomic uint64_t writes_dropped;
};

/* `names` must outlive the metrics; at most METRIC_ROUTES_MAX. */
void metrics_init(struct metrics *metrics, const char *const *names, size_t count);
/* Adds the counters of a web thread. They must be zero, and outlive the last page. */
void metrics_add_thread(struct metrics *metrics, struct thread_metrics *thread);

/* Increases a counter that only the calling thread changes. */
static inline void metrics_add(_Atomic uint64_t *counter, uint64_t value)
{
    uint64_t before = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, before + value, memory_order_relaxed);
}

/* Counts a request, on its web thread. `route` is the index of its route, route_count or more for
 * none. `status` is the HTTP status that was sent. */
void metrics_count(struct thread_metrics *thread, size_t route, enum error outcome, unsigned status,
                   uint64_t duration_ns);

/* Appends the page in the Prometheus text format. */
void metrics_write(struct metrics *metrics, struct engine *engine, struct connections *connections,
                   struct push *push, struct moment now, struct text *out);
/* Appends a Markdown table of all metrics. */
void metrics_write_reference(struct text *out);
