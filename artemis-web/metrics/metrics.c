/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/metrics/metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "artemis-server/log.h"
#include "artemis-server/process_stats.h"
#include "artemis-web/metrics/metrics_cluster.h"
#include "artemis-web/metrics/metrics_events.h"
#include "artemis-web/metrics/metrics_limits.h"
#include "artemis-web/metrics/metrics_peers.h"
#include "artemis-web/metrics/metrics_tls.h"

/* All values of the page. They are collected first and then printed from the table. */
struct metric_values {
    struct registry_stats registry;
    struct response_cache_stats responses;
    struct connections_view connections;
    struct push_status push;
    uint64_t request_bytes;
    uint64_t response_bytes;
    uint64_t long_polls_deferred;
    uint64_t unread_bytes;
    uint64_t stalls;
    uint64_t auth_failures;
    uint64_t auth_delayed;
    uint64_t writes_delayed;
    uint64_t writes_dropped;
    uint64_t releases_refused;
    uint64_t fetches_cut;
    uint64_t log_dropped;
    uint64_t reloads, reloads_failed;
    struct audit_stats audit;
    uint64_t uptime_secs;
    uint64_t ready;
    uint64_t node_guard_engaged;
    uint64_t connections_limit;
    uint64_t subscriptions_limit;
    uint64_t filters_limit;
};

/* clang-format off */
#define SINGLE_METRICS(X) \
    X("artemis_uptime_seconds",                "gauge",   uptime_secs,                    "Seconds since this node started.") \
    X("artemis_ready",                         "gauge",   ready,                          "1 while /ready succeeds, else 0: the node is ready, and not drained.") \
    X("artemis_instances",                     "gauge",   registry.instances,             "Registered instances.") \
    X("artemis_services",                      "gauge",   registry.services,              "Services in the store, with or without instances.") \
    X("artemis_version",                       "gauge",   registry.revision,              "Version of the newest change.") \
    X("artemis_changelog_entries",             "gauge",   registry.change_log_size,       "Changes kept in the change log for services-delta and delta=1.") \
    X("artemis_changelog_bytes",               "gauge",   registry.change_log_bytes,      "Memory of the instances in the change log.") \
    X("artemis_registrations_total",           "counter", registry.registered,            "Instances registered that were not in the store.") \
    X("artemis_changes_total",                 "counter", registry.changed,               "Registrations that changed the content of an instance.") \
    X("artemis_renewals_total",                "counter", registry.renewed,               "Leases renewed by a heartbeat or an identical registration.") \
    X("artemis_unregistrations_total",         "counter", registry.unregistered,          "Instances unregistered by their clients.") \
    X("artemis_evictions_total",               "counter", registry.evicted,               "Instances evicted because their lease expired.") \
    X("artemis_leases_due_total",              "counter", registry.ended,                 "Leases that ran out, whether evicted or guarded.") \
    X("artemis_leases_held",                   "gauge",   registry.guarded,               "Leases that ran out and are kept by a guard.") \
    X("artemis_leases_loaded",                 "gauge",   registry.loaded,                "Leases that were loaded from the storage and not renewed since; their time runs out one lease.ttl_secs after the start.") \
    X("artemis_guard_node_active",             "gauge",   node_guard_engaged,             "1 while the mass-expiry guard of the node suspends evictions, else 0.") \
    X("artemis_guard_services_active",         "gauge",   registry.engaged_services,      "Services whose mass-expiry guard suspends evictions.") \
    X("artemis_guard_node_expected_renewals",  "gauge",   registry.node_guard.expected,   "Renewals expected in the last window of the node's guard.") \
    X("artemis_guard_node_renewals",           "gauge",   registry.node_guard.renewed,    "Renewals received in the last window of the node's guard.") \
    X("artemis_guard_releases_refused_total",  "counter", releases_refused,               "Releases of guards refused because the guards of 256 services were released within one lease.ttl_secs.") \
    X("artemis_cached_answers",                "gauge",   registry.cached_responses,      "Responses for single services in the response cache.") \
    X("artemis_cached_answer_bytes",           "gauge",   responses.service_bytes,        "Memory of the cached responses for single services, gzip forms included.") \
    X("artemis_cached_filtered_bytes",         "gauge",   responses.filtered_bytes,       "Memory of the cached responses to requests with a filter, gzip forms included.") \
    X("artemis_cached_all_services_bytes",     "gauge",   responses.all_services_bytes,   "Memory of the cached responses with all services, gzip forms included.") \
    X("artemis_answers_built_total",           "counter", registry.responses_built,       "Responses for single services encoded because none was cached.") \
    X("artemis_delta_bytes",                   "gauge",   responses.delta_bytes,          "Bytes of the responses with the changes of a service (delta=1), cached or being sent.") \
    X("artemis_deltas_built_total",            "counter", responses.deltas_built,         "Responses with the changes of a service (delta=1) encoded because none was cached.") \
    X("artemis_deltas_whole_total",            "counter", responses.deltas_gone,          "Requests with delta=1 that got the whole service, because the change log lacked changes, the service had fewer instances than changes, or a limit was reached.") \
    X("artemis_log_dropped_lines_total",       "counter", log_dropped,                    "Log lines dropped because stderr was not read in time.") \
    X("artemis_reloads_total",                 "counter", reloads,                        "Reloads of the settings.") \
    X("artemis_reloads_failed_total",          "counter", reloads_failed,                 "Reloads that changed nothing, because a setting was not valid.") \
    X("artemis_audit_records_total",           "counter", audit.records,                  "Records of the audit log.") \
    X("artemis_audit_dropped_total",           "counter", audit.dropped,                  "Records of the audit log that are missing in its file, because the disk was full, failing or too slow.") \
    X("artemis_audit_left_out_total",          "counter", audit.left_out,                 "Failures of authentication that the audit log counts without a record for each.") \
    X("artemis_audit_failing",                 "gauge",   audit.failing,                  "1 while the file of the audit log cannot be written, else 0.") \
    X("artemis_peer_fetches_cut_total",        "counter", fetches_cut,                    "Responses to peers that left out records beyond 16 MiB; the peer fetches them with another request.") \
    X("artemis_stalls_total",                  "counter", stalls,                         "Times that the process did not run for more than a third of the time-to-live.") \
    X("artemis_auth_failures_total",           "counter", auth_failures,                  "Requests refused because their token was missing, not known, expired or did not allow them.") \
    X("artemis_auth_delayed_total",            "counter", auth_delayed,                   "Error responses delayed because their address had several failures.") \
    X("artemis_writes_delayed_total",          "counter", writes_delayed,                 "Registrations and unregistrations suspended for two round trips because their connection had been silent for more than a second.") \
    X("artemis_writes_dropped_total",          "counter", writes_dropped,                 "Registrations and unregistrations not executed because their client had closed the connection.") \
    X("artemis_connections",                   "gauge",   connections.open,               "Open connections.") \
    X("artemis_connections_busy",              "gauge",   connections.busy,               "Connections with a request in progress.") \
    X("artemis_connections_limit",             "gauge",   connections_limit,              "Maximum number of open connections: server.max_connections, or less where the process may open too few files.") \
    X("artemis_connections_accepted_total",    "counter", connections.counters.accepted,  "Connections accepted.") \
    X("artemis_connections_refused_total",     "counter", connections.counters.refused,   "Connections refused at the limit.") \
    X("artemis_connections_refused_by_address_total", "counter", connections.counters.refused_by_address, "Connections refused because their address had server.max_connections_per_address.") \
    X("artemis_connections_displaced_total",   "counter", connections.counters.displaced, "Idle connections closed to admit new ones at a limit.") \
    X("artemis_connections_timed_out_total",   "counter", connections.counters.timed_out, "Connections closed because they were too slow or idle for too long.") \
    X("artemis_connections_closed_slow_total", "counter", connections.counters.closed_slow, "Connections closed because the client read less than 4 KiB/s of what was sent; also in artemis_connections_timed_out_total.") \
    X("artemis_handshakes_refused_total",      "counter", connections.counters.handshakes_refused, "Connections closed because their address had tls.max_handshakes_per_address.") \
    X("artemis_websockets",                    "gauge",   push.websockets,                "Open WebSockets.") \
    X("artemis_subscriptions",                 "gauge",   push.subscriptions,             "Subscriptions of all WebSockets.") \
    X("artemis_subscriptions_limit",           "gauge",   subscriptions_limit,            "Maximum number of subscriptions of all WebSockets.") \
    X("artemis_subscription_filters",          "gauge",   push.filters,                   "Different filters of the subscriptions to each service, added up.") \
    X("artemis_subscription_filters_limit",    "gauge",   filters_limit,                  "Maximum number of different filters of subscriptions.") \
    X("artemis_subscription_filters_refused_total", "counter", push.filters_refused,      "Subscriptions refused at a limit of filters: of the connection, the service or the node.") \
    X("artemis_waiting_requests",              "gauge",   push.long_polls,                "Long polls in progress.") \
    X("artemis_push_clients_limit",            "gauge",   push.clients_max,               "Maximum number of WebSockets and long polls together.") \
    X("artemis_push_clients_refused_total",    "counter", push.refused,                   "WebSockets and long polls refused at the limit.") \
    X("artemis_push_behind",                   "gauge",   push.pending_changes,           "Changes not yet dispatched to subscribers and long polls.") \
    X("artemis_push_frames_total",             "counter", push.frames,                    "WebSocket frames sent or queued for sending.") \
    X("artemis_push_bytes_total",              "counter", push.bytes,                     "Bytes sent on WebSockets.") \
    X("artemis_push_reloads_total",            "counter", push.resyncs,                   "Resyncs: current states sent to lagging subscriptions.") \
    X("artemis_websocket_messages_total",      "counter", push.messages,                  "Messages received on WebSockets.") \
    X("artemis_waits_total",                   "counter", push.long_polls_started,        "Long polls started.") \
    X("artemis_waits_deferred_total",          "counter", long_polls_deferred,            "Times that a long poll was deferred because its web thread had enough others to handle first.") \
    X("artemis_websockets_closed_idle_total",  "counter", push.closed_idle,               "WebSockets closed because the client sent nothing for too long.") \
    X("artemis_websockets_closed_slow_total",  "counter", push.closed_slow,               "WebSockets closed because the client did not read.") \
    X("artemis_websockets_closed_errors_total", "counter", push.closed_errors,             "WebSockets closed because the client violated the protocol.") \
    X("artemis_http_request_bytes_total",      "counter", request_bytes,                  "Bytes of request bodies received, before decompression.") \
    X("artemis_http_response_bytes_total",     "counter", response_bytes,                 "Bytes of response bodies sent, after compression.") \
    X("artemis_http_unread_response_bytes",    "gauge",   unread_bytes,                   "Memory of responses above 64 KiB that clients have not read yet, without shared ones.")
/* clang-format on */

/* Names and meanings as in the client libraries of Prometheus. */
/* clang-format off */
#define PROCESS_METRICS(X) \
    X("process_cpu_seconds_total",      "counter", stats.cpu_seconds,              "Processor time of this process in user and system mode, in seconds.") \
    X("process_resident_memory_bytes",  "gauge",   (double)stats.resident_bytes,   "Resident memory of this process in bytes.") \
    X("process_virtual_memory_bytes",   "gauge",   (double)stats.virtual_bytes,    "Virtual memory of this process in bytes.") \
    X("process_open_fds",               "gauge",   (double)stats.open_files,       "Open file descriptors of this process.") \
    X("process_max_fds",                "gauge",   (double)stats.max_files,        "Maximum number of open file descriptors.") \
    X("process_start_time_seconds",     "gauge",   (double)started_wall_ms / 1e3,  "Start of this process in seconds since the Unix epoch.")
/* clang-format on */

/* On the page only if storage.data_dir is set. */
/* clang-format off */
#define STORAGE_METRICS(X) \
    X("artemis_storage_up",                    "gauge",   up,               "1 while commits to the storage succeed, else 0: records are in memory only.") \
    X("artemis_storage_unstored",              "gauge",   unstored,         "Approximate number of changes that are not committed to the storage yet.") \
    X("artemis_storage_bytes",                 "gauge",   bytes,            "Size of the storage file and its log on the disk.") \
    X("artemis_storage_commits_total",         "counter", commits,          "Commits to the storage.") \
    X("artemis_storage_rows_total",            "counter", rows_written,     "Records written to the storage.") \
    X("artemis_storage_failed_commits_total",  "counter", failed_commits,   "Commits to the storage that failed.") \
    X("artemis_storage_rewrites_total",        "counter", rewrites,         "Commits that wrote all records, after a failure or too many removals at once.") \
    X("artemis_storage_files_set_aside_total", "counter", files_set_aside,  "Storage files that were damaged or not of this version, and got a new name.") \
    X("artemis_storage_loaded_instances",      "gauge",   loaded_instances, "Instances loaded from the storage at the start of this node.")
/* clang-format on */

static const struct {
    const char *name, *type, *description;
} labelled[] = {
    {"artemis_build_info", "gauge", "Always 1; the label version is the version of Artemis."},
    {"artemis_http_requests_total", "counter",
     "Requests by route and outcome; the label status is the HTTP status outside of the Java API."},
    {"artemis_http_request_duration_seconds", "histogram",
     "Time from the header of a request to its queued response, by route."},
};

enum { STATUS_NOT_MODIFIED = 304 };

/* Upper bounds of the buckets of the histogram. */
static const struct {
    uint64_t us;
    const char *label;
} bounds[LATENCY_BUCKETS] = {
    {50, "0.00005"}, {100, "0.0001"},  {250, "0.00025"}, {500, "0.0005"},
    {1000, "0.001"}, {2500, "0.0025"}, {5000, "0.005"},  {10000, "0.01"},
    {50000, "0.05"}, {250000, "0.25"}, {1000000, "1"},   {5000000, "5"},
};

static uint64_t get(_Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void metrics_init(struct metrics *metrics, const char *const *names, size_t count)
{
    assert(count <= METRIC_ROUTES_MAX);
    metrics->route_names = names;
    metrics->route_count = count;
    SLIST_INIT(&metrics->threads);
}

void metrics_add_thread(struct metrics *metrics, struct thread_metrics *thread)
{
    thread->route_count = metrics->route_count;
    SLIST_INSERT_HEAD(&metrics->threads, thread, link);
}

void metrics_count(struct thread_metrics *thread, size_t route, enum error outcome, unsigned status,
                   uint64_t duration_ns)
{
    struct route_metrics *counts =
        &thread->routes[route < thread->route_count ? route : thread->route_count];
    uint64_t us = duration_ns / 1000;
    int bucket = 0;
    while (bucket < LATENCY_BUCKETS && us > bounds[bucket].us)
        bucket++;
    metrics_add(status == STATUS_NOT_MODIFIED ? &counts->not_modified : &counts->outcomes[outcome],
                1);
    metrics_add(&counts->latency[bucket], 1);
    metrics_add(&counts->latency_sum_us, us);
}

/* Adds the counters of a route up into `sum`, which must be zero. */
static void sum_route(struct metrics *metrics, size_t route, struct route_metrics *sum)
{
    struct thread_metrics *thread;
    SLIST_FOREACH (thread, &metrics->threads, link) {
        struct route_metrics *counts = &thread->routes[route];
        for (enum error error = 0; error < ERROR_COUNT; error++)
            metrics_add(&sum->outcomes[error], get(&counts->outcomes[error]));
        metrics_add(&sum->not_modified, get(&counts->not_modified));
        for (int i = 0; i <= LATENCY_BUCKETS; i++)
            metrics_add(&sum->latency[i], get(&counts->latency[i]));
        metrics_add(&sum->latency_sum_us, get(&counts->latency_sum_us));
    }
}

/* --- the page --------------------------------------------------------------------------------- */

static void write_head(struct text *out, const char *name, const char *type,
                       const char *description)
{
    text_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, description, name, type);
}

static const char *route_name(const struct metrics *metrics, size_t route)
{
    return route < metrics->route_count ? metrics->route_names[route] : "none";
}

static void write_request_count(struct text *out, const char *route, enum error outcome, int status,
                                uint64_t count)
{
    const struct error_info *info = error_info(outcome);
    text_printf(out, "%s{route=\"%s\",outcome=\"%s\",reason=\"%s\",status=\"%d\"} %" PRIu64 "\n",
                labelled[1].name, route, info->code, info->reason, status, count);
}

static void write_requests(struct metrics *metrics, struct text *out)
{
    write_head(out, labelled[1].name, labelled[1].type, labelled[1].description);
    for (size_t route = 0; route <= metrics->route_count; route++) {
        struct route_metrics counts = {0};
        sum_route(metrics, route, &counts);
        const char *name = route_name(metrics, route);
        for (enum error error = 0; error < ERROR_COUNT; error++) {
            uint64_t count = get(&counts.outcomes[error]);
            if (count || error == ERR_NONE)
                write_request_count(out, name, error, error_info(error)->http_status, count);
        }
        uint64_t not_modified = get(&counts.not_modified);
        if (not_modified)
            write_request_count(out, name, ERR_NONE, STATUS_NOT_MODIFIED, not_modified);
    }
}

static void write_latency(struct metrics *metrics, struct text *out)
{
    const char *name = labelled[2].name;
    write_head(out, name, labelled[2].type, labelled[2].description);
    for (size_t route = 0; route <= metrics->route_count; route++) {
        struct route_metrics counts = {0};
        sum_route(metrics, route, &counts);
        const char *label = route_name(metrics, route);
        uint64_t count = 0;
        for (int i = 0; i < LATENCY_BUCKETS; i++) {
            count += get(&counts.latency[i]);
            text_printf(out, "%s_bucket{route=\"%s\",le=\"%s\"} %" PRIu64 "\n", name, label,
                        bounds[i].label, count);
        }
        count += get(&counts.latency[LATENCY_BUCKETS]);
        uint64_t sum_us = get(&counts.latency_sum_us);
        text_printf(out, "%s_bucket{route=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", name, label, count);
        text_printf(out, "%s_sum{route=\"%s\"} %" PRIu64 ".%06" PRIu64 "\n", name, label,
                    sum_us / 1000000, sum_us % 1000000);
        text_printf(out, "%s_count{route=\"%s\"} %" PRIu64 "\n", name, label, count);
    }
}

static void write_process(uint64_t started_wall_ms, struct text *out)
{
    struct process_stats stats;
    process_stats(&stats);
#define X(name, type, value, description)                                                          \
    write_head(out, name, type, description);                                                      \
    text_printf(out, "%s %.15g\n", name, value);
    PROCESS_METRICS(X)
#undef X
}

static void write_storage(struct engine *engine, struct text *out)
{
    if (!engine->storage)
        return;
    struct storage_status status;
    storage_status(engine->storage, &status);
#define X(name, type, field, description)                                                          \
    write_head(out, name, type, description);                                                      \
    text_printf(out, "%s %" PRIu64 "\n", name, (uint64_t)status.field);
    STORAGE_METRICS(X)
#undef X
}

static void collect(struct metrics *metrics, struct engine *engine, struct connections *connections,
                    struct push *push, struct moment now, struct metric_values *values)
{
    memset(values, 0, sizeof(*values));
    registry_stats(engine->registry, &values->registry);
    response_cache_stats(engine->responses, &values->responses);
    connections_view(connections, &values->connections);
    push_status(push, &values->push);
    values->connections_limit = connections->limit;
    values->subscriptions_limit = SUBSCRIPTIONS_ALL_MAX;
    values->filters_limit = FILTERS_ALL_MAX;
    struct thread_metrics *thread;
    SLIST_FOREACH (thread, &metrics->threads, link) {
        values->request_bytes += get(&thread->request_bytes);
        values->response_bytes += get(&thread->response_bytes);
        values->long_polls_deferred += get(&thread->long_polls_deferred);
    }
    values->stalls = atomic_load(&engine->stall.count);
    values->auth_failures = get(&engine->auth.failures);
    values->auth_delayed = get(&engine->auth.delayed);
    values->writes_delayed = get(&metrics->writes_delayed);
    values->writes_dropped = get(&metrics->writes_dropped);
    values->unread_bytes = get(&metrics->unread_bytes);
    values->releases_refused = get(&engine->releases_refused);
    values->fetches_cut = get(&engine->fetches_cut);
    values->log_dropped = log_dropped();
    values->reloads = atomic_load_explicit(&engine->reloads, memory_order_relaxed);
    values->reloads_failed = atomic_load_explicit(&engine->reloads_failed, memory_order_relaxed);
    values->uptime_secs = (now.mono_ms - engine->started.mono_ms) / 1000;
    values->ready = engine_state(engine) == NODE_READY && !engine_is_drained(engine);
    audit_stats(engine->audit, &values->audit);
    values->node_guard_engaged = values->registry.node_guard.state == GUARD_ENGAGED;
}

void metrics_write(struct metrics *metrics, struct engine *engine, struct connections *connections,
                   struct push *push, struct moment now, struct text *out)
{
    struct metric_values values;
    collect(metrics, engine, connections, push, now, &values);
    write_head(out, labelled[0].name, labelled[0].type, labelled[0].description);
    text_printf(out, "%s{version=\"%s\"} 1\n", labelled[0].name, ARTEMIS_VERSION);
#define X(name, type, field, description)                                                          \
    write_head(out, name, type, description);                                                      \
    text_printf(out, "%s %" PRIu64 "\n", name, (uint64_t)values.field);
    SINGLE_METRICS(X)
#undef X
    metrics_write_limits(engine, out);
    metrics_write_events(engine, &values.push, out);
    write_requests(metrics, out);
    write_latency(metrics, out);
    metrics_write_cluster(engine, out);
    metrics_write_peers(engine, out);
    write_storage(engine, out);
    write_process(engine->started.wall_ms, out);
}

void metrics_write_reference(struct text *out)
{
    text_append_string(out, "| metric | type | description |\n| --- | --- | --- |\n");
    for (size_t i = 0; i < sizeof(labelled) / sizeof(labelled[0]); i++)
        text_printf(out, "| `%s` | %s | %s |\n", labelled[i].name, labelled[i].type,
                    labelled[i].description);
#define X(name, type, field, description)                                                          \
    text_printf(out, "| `%s` | %s | %s |\n", name, type, description);
    SINGLE_METRICS(X)
#undef X
    metrics_write_limits_reference(out);
    metrics_write_events_reference(out);
    metrics_write_cluster_reference(out);
    metrics_write_peers_reference(out);
    metrics_write_tls_reference(out);
#define X(name, type, field, description)                                                          \
    text_printf(out, "| `%s` | %s | %s |\n", name, type, description);
    STORAGE_METRICS(X)
#undef X
#define X(name, type, value, description)                                                          \
    text_printf(out, "| `%s` | %s | %s |\n", name, type, description);
    PROCESS_METRICS(X)
#undef X
}
