/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/http/metrics.h"

#include <inttypes.h>
#include <string.h>

#include "artemis-web/http/metrics_peers.h"

/* Everything that the page shows is gathered first, then printed from the table. */
struct gathered {
    struct registry_stats registry;
    struct connections_view connections;
    struct push_view push;
    uint64_t request_bytes;
    uint64_t response_bytes;
    uint64_t rate_limited;
    uint64_t uptime_secs;
    uint64_t ready;
    uint64_t node_guarded;
    uint64_t connections_limit;
    uint64_t subscriptions_limit;
};

/* clang-format off */
#define SINGLE_METRICS(X) \
    X("artemis_uptime_seconds",                "gauge",   uptime_secs,                    "Time since the start.") \
    X("artemis_ready",                         "gauge",   ready,                          "1 while the node serves clients.") \
    X("artemis_instances",                     "gauge",   registry.instances,             "Registered instances.") \
    X("artemis_services",                      "gauge",   registry.services,              "Known services.") \
    X("artemis_version",                       "counter", registry.version,               "Version of the newest change.") \
    X("artemis_changelog_entries",             "gauge",   registry.change_log_size,       "Changes that services-delta can look back.") \
    X("artemis_registrations_total",           "counter", registry.registered,            "New instances.") \
    X("artemis_changes_total",                 "counter", registry.changed,               "Instances registered again with other content.") \
    X("artemis_renewals_total",                "counter", registry.renewed,               "Leases renewed, by heartbeat or by the same registration.") \
    X("artemis_unregistrations_total",         "counter", registry.unregistered,          "Instances taken out by their clients.") \
    X("artemis_evictions_total",               "counter", registry.expired,               "Instances evicted because their lease ended.") \
    X("artemis_leases_due_total",              "counter", registry.due,                   "Leases that ended, evicted or held.") \
    X("artemis_leases_held",                   "gauge",   registry.held,                  "Ended leases that a guard keeps.") \
    X("artemis_guard_node_active",             "gauge",   node_guarded,                   "1 while the node's mass-expiry guard stops evictions.") \
    X("artemis_guard_services_active",         "gauge",   registry.guarded_services,      "Services whose mass-expiry guard stops evictions.") \
    X("artemis_guard_node_expected_renewals",  "gauge",   registry.node_guard.expected,   "Renewals the guard's last window should have had.") \
    X("artemis_guard_node_renewals",           "gauge",   registry.node_guard.renewed,    "Renewals the guard's last window had.") \
    X("artemis_cached_answers",                "gauge",   registry.answers,               "Answers kept for single services.") \
    X("artemis_cached_answer_bytes",           "gauge",   registry.answer_bytes,          "Memory of the answers kept for single services, with their gzip forms.") \
    X("artemis_cached_all_services_bytes",     "gauge",   registry.all_answer_bytes,      "Memory of the answers kept with all services, with their gzip forms.") \
    X("artemis_answers_built_total",           "counter", registry.answers_built,         "Answers for single services built anew.") \
    X("artemis_rate_limited_total",            "counter", rate_limited,                   "Client calls refused by the rate limiter.") \
    X("artemis_connections",                   "gauge",   connections.open,               "Open connections.") \
    X("artemis_connections_busy",              "gauge",   connections.busy,               "Connections with a request under way.") \
    X("artemis_connections_limit",             "gauge",   connections_limit,              "server.max_connections.") \
    X("artemis_connections_accepted_total",    "counter", connections.counters.accepted,  "Connections accepted.") \
    X("artemis_connections_refused_total",     "counter", connections.counters.refused,   "Connections refused at the limit.") \
    X("artemis_connections_displaced_total",   "counter", connections.counters.displaced, "Idle connections closed to make room.") \
    X("artemis_connections_timed_out_total",   "counter", connections.counters.timed_out, "Connections closed because they were too slow or idle too long.") \
    X("artemis_websockets",                    "gauge",   push.websockets,                "Open WebSockets.") \
    X("artemis_subscriptions",                 "gauge",   push.subscriptions,             "Subscriptions to services, of all WebSockets.") \
    X("artemis_subscriptions_limit",           "gauge",   subscriptions_limit,            "Subscriptions that there may be, of all WebSockets.") \
    X("artemis_waiting_requests",              "gauge",   push.long_polls,                   "Requests that wait for a change.") \
    X("artemis_push_clients_limit",            "gauge",   push.clients_max,               "WebSockets and waiting requests that there may be together.") \
    X("artemis_push_clients_refused_total",    "counter", push.refused,                   "WebSockets and waiting requests refused at the limit.") \
    X("artemis_push_behind",                   "gauge",   push.pending_changes,                    "Changes that were not yet pushed to those who watch.") \
    X("artemis_push_frames_total",             "counter", push.frames,                    "WebSocket frames sent, or queued to be.") \
    X("artemis_push_bytes_total",              "counter", push.bytes,                     "Bytes sent on WebSockets.") \
    X("artemis_push_reloads_total",            "counter", push.resyncs,                   "Newest states sent to subscribers that had missed something.") \
    X("artemis_websocket_messages_total",      "counter", push.messages,                  "Messages received on WebSockets.") \
    X("artemis_waits_total",                   "counter", push.long_polls_started,                     "Requests that waited for a change.") \
    X("artemis_websockets_closed_idle_total",  "counter", push.closed_idle,               "WebSockets closed because their client was silent.") \
    X("artemis_websockets_closed_slow_total",  "counter", push.closed_slow,               "WebSockets closed because their client did not read.") \
    X("artemis_websockets_closed_errors_total", "counter", push.closed_errors,            "WebSockets closed because their client broke the protocol.") \
    X("artemis_http_request_bytes_total",      "counter", request_bytes,                  "Bytes of request bodies received.") \
    X("artemis_http_response_bytes_total",     "counter", response_bytes,                 "Bytes of answer bodies sent.")
/* clang-format on */

static const struct {
    const char *name, *type, *sentence;
} labelled[] = {
    {"artemis_build_info", "gauge", "Always 1; the label tells the version."},
    {"artemis_http_requests_total", "counter",
     "Requests by route and outcome (status: of the native API)."},
    {"artemis_http_request_duration_seconds", "histogram",
     "Time from a request's header to its queued answer, by route."},
};

/* Upper bounds of the histogram's buckets. */
static const struct {
    uint64_t us;
    const char *label;
} bounds[LATENCY_BUCKETS] = {
    {50, "0.00005"}, {100, "0.0001"},  {250, "0.00025"}, {500, "0.0005"},
    {1000, "0.001"}, {2500, "0.0025"}, {5000, "0.005"},  {10000, "0.01"},
    {50000, "0.05"}, {250000, "0.25"}, {1000000, "1"},   {5000000, "5"},
};

static void add(_Atomic uint64_t *counter, uint64_t value)
{
    atomic_fetch_add_explicit(counter, value, memory_order_relaxed);
}

static uint64_t get(_Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void metrics_count(struct metrics *metrics, const struct route *route, enum error outcome,
                   uint64_t duration_ns)
{
    struct route_metrics *of = &metrics->routes[route ? route - routes : ROUTE_COUNT];
    uint64_t us = duration_ns / 1000;
    int bucket = 0;
    while (bucket < LATENCY_BUCKETS && us > bounds[bucket].us)
        bucket++;
    add(&of->outcomes[outcome], 1);
    add(&of->latency[bucket], 1);
    add(&of->latency_sum_us, us);
}

/* --- the page --------------------------------------------------------------------------------- */

static void write_head(struct text *out, const char *name, const char *type, const char *sentence)
{
    text_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, sentence, name, type);
}

static const char *route_name(int index)
{
    return index < ROUTE_COUNT ? routes[index].name : "none";
}

static void write_requests(struct metrics *metrics, struct text *out)
{
    write_head(out, labelled[1].name, labelled[1].type, labelled[1].sentence);
    for (int route = 0; route <= ROUTE_COUNT; route++) {
        for (enum error error = 0; error < ERROR_COUNT; error++) {
            uint64_t count = get(&metrics->routes[route].outcomes[error]);
            if (count == 0 && error != ERR_NONE)
                continue;
            const struct error_info *info = error_info(error);
            text_printf(out,
                        "%s{route=\"%s\",outcome=\"%s\",reason=\"%s\",status=\"%d\"} %" PRIu64 "\n",
                        labelled[1].name, route_name(route), info->code, info->reason,
                        info->http_status, count);
        }
    }
}

static void write_latency(struct metrics *metrics, struct text *out)
{
    const char *name = labelled[2].name;
    write_head(out, name, labelled[2].type, labelled[2].sentence);
    for (int route = 0; route <= ROUTE_COUNT; route++) {
        struct route_metrics *of = &metrics->routes[route];
        const char *label = route_name(route);
        uint64_t count = 0;
        for (int i = 0; i < LATENCY_BUCKETS; i++) {
            count += get(&of->latency[i]);
            text_printf(out, "%s_bucket{route=\"%s\",le=\"%s\"} %" PRIu64 "\n", name, label,
                        bounds[i].label, count);
        }
        count += get(&of->latency[LATENCY_BUCKETS]);
        uint64_t sum_us = get(&of->latency_sum_us);
        text_printf(out, "%s_bucket{route=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", name, label, count);
        text_printf(out, "%s_sum{route=\"%s\"} %" PRIu64 ".%06" PRIu64 "\n", name, label,
                    sum_us / 1000000, sum_us % 1000000);
        text_printf(out, "%s_count{route=\"%s\"} %" PRIu64 "\n", name, label, count);
    }
}

static void gather(struct metrics *metrics, struct engine *engine, struct connections *connections,
                   struct push *push, struct moment now, struct gathered *all)
{
    memset(all, 0, sizeof(*all));
    registry_stats(engine->registry, &all->registry);
    connections_view(connections, &all->connections);
    push_view(push, &all->push);
    all->connections_limit = connections->limit;
    all->subscriptions_limit = SUBSCRIPTIONS_ALL_MAX;
    all->request_bytes = get(&metrics->request_bytes);
    all->response_bytes = get(&metrics->response_bytes);
    for (int route = 0; route <= ROUTE_COUNT; route++)
        all->rate_limited += get(&metrics->routes[route].outcomes[ERR_RATE_LIMITED]);
    all->uptime_secs = (now.mono_ms - engine->started.mono_ms) / 1000;
    all->ready = engine_state(engine) == NODE_READY;
    all->node_guarded = all->registry.node_guard.state == GUARD_ON;
}

void metrics_write(struct metrics *metrics, struct engine *engine, struct connections *connections,
                   struct push *push, struct moment now, struct text *out)
{
    struct gathered all;
    gather(metrics, engine, connections, push, now, &all);
    write_head(out, labelled[0].name, labelled[0].type, labelled[0].sentence);
    text_printf(out, "%s{version=\"%s\"} 1\n", labelled[0].name, ARTEMIS_VERSION);
#define X(name, type, field, sentence)                                                             \
    write_head(out, name, type, sentence);                                                         \
    text_printf(out, "%s %" PRIu64 "\n", name, (uint64_t)all.field);
    SINGLE_METRICS(X)
#undef X
    write_requests(metrics, out);
    write_latency(metrics, out);
    metrics_write_peers(engine, out);
}

void metrics_write_reference(struct text *out)
{
    text_append_string(out, "| metric | type | what it tells |\n| --- | --- | --- |\n");
    for (size_t i = 0; i < sizeof(labelled) / sizeof(labelled[0]); i++)
        text_printf(out, "| `%s` | %s | %s |\n", labelled[i].name, labelled[i].type,
                    labelled[i].sentence);
#define X(name, type, field, sentence)                                                             \
    text_printf(out, "| `%s` | %s | %s |\n", name, type, sentence);
    SINGLE_METRICS(X)
#undef X
    metrics_write_peers_reference(out);
}
