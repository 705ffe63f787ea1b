/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/metrics/metrics_peers.h"

#include <stdio.h>
#include <stdlib.h>

#include "artemis-server/clock.h"

/* clang-format off */
#define NODE_METRICS(X) \
    X("artemis_bootstrap_seconds",              "gauge",   (double)stats.bootstrap_ms / 1e3,  "Time from the start of this node until it was ready.") \
    X("artemis_bootstrap_records",              "gauge",   (double)stats.snapshot_records, "Records copied from a peer during bootstrap.") \
    X("artemis_anti_entropy_rounds_total",      "counter", (double)stats.comparisons,       "Completed anti-entropy comparisons with peers.") \
    X("artemis_anti_entropy_differences_total", "counter", (double)stats.differences,  "Digests that differed in anti-entropy comparisons.") \
    X("artemis_anti_entropy_fetched_total",     "counter", (double)stats.fetched,      "Records fetched from peers by anti-entropy.") \
    X("artemis_anti_entropy_lists_cut_total",   "counter", (double)stats.lists_cut,    "Lists of keys in anti-entropy comparisons with more than 10,000 records to fetch: 10,000 were fetched first, the others after another list.") \
    X("artemis_anti_entropy_incomplete_total",  "counter", (double)stats.incomplete,   "Anti-entropy comparisons that did not count because a record was refused, memory was short, or they took too long.") \
    X("artemis_refutation_questions_total",     "counter", (double)stats.lease_checks,    "Leases whose expiry was checked with peers.") \
    X("artemis_refutations_total",              "counter", (double)stats.refuted,      "Lease expiries refuted by a peer.") \
    X("artemis_tombstones",                     "gauge",   (double)registry.tombstones, "Tombstones in the store.") \
    X("artemis_replication_refused_stamps_total", "counter", (double)registry.refused_stamps, "Records of peers refused because their stamp was more than cluster.max_clock_skew_secs ahead of the clocks of all members.") \
    X("artemis_clock_ahead_seconds",            "gauge",   ((double)registry_members_clock_ms(engine->registry, now) - (double)now.wall_ms) / 1e3,  "How far the clock of the cluster is ahead of the wall clock of this node: about 0 while all clocks are right.") \
    X("artemis_node_ids",                       "gauge",   (double)registry.node_ids,   "Node ids in the stamps of records, this node included.") \
    X("artemis_node_ids_refused_total",         "counter", (double)registry.refused_node_ids, "Records of peers refused because too many node ids were in use.") \
    X("artemis_renewals_by_peers_total",        "counter", (double)registry.renewed_by_peers, "Leases extended by renewals from peers.")

#define PEER_METRICS(X) \
    X("artemis_peer_up",                        "gauge",   (double)(view->health == PEER_UP),    "1 while the peer is up, else 0.") \
    X("artemis_peer_remote",                    "gauge",   (double)view->is_remote,     "1 if the peer is in another region than this node, else 0.") \
    X("artemis_peer_suspect",                   "gauge",   (double)view->is_suspect,          "1 while the peer is up but has not responded for one and a half cluster.health_interval_secs, else 0.") \
    X("artemis_peer_clock_offset_seconds",      "gauge",   (double)peers[i].clock_offset_ms / 1e3, "Wall clock of the peer minus that of this node, to about a second, when it last responded.") \
    X("artemis_peer_failures",                  "gauge",   (double)view->failures,      "Consecutive failed requests to the peer. A refused connection, which makes it down at once, does not count.") \
    X("artemis_replication_outbox_keys",        "gauge",   (double)view->backlog,       "Keys in the outbox of the peer.") \
    X("artemis_replication_outbox_bytes",       "gauge",   (double)view->outbox_bytes,  "Memory of the outbox of the peer.") \
    X("artemis_replication_outbox_oldest_seconds", "gauge", (double)view->oldest_ms / 1e3,      "Age of the oldest change or renewal that the peer has not acknowledged; 0 if there is none.") \
    X("artemis_replication_sent_bytes_total",   "counter", (double)peers[i].sent_bytes, "Bytes of the messages to the peer, compressed, without HTTP headers.") \
    X("artemis_replication_received_bytes_total", "counter", (double)peers[i].received_bytes, "Bytes of the responses of the peer, compressed, without HTTP headers.") \
    X("artemis_replication_dropped_total",      "counter", (double)view->items_rejected, "Records rejected by the peer and dropped.") \
    X("artemis_replication_deferred_total",     "counter", (double)(view->items_dropped - view->items_rejected), "Records left to anti-entropy because the peer was down or memory was short.") \
    X("artemis_replication_repairs_total",      "counter", (double)view->repairs,       "Records sent because the peer lacked them.") \
    X("artemis_anti_entropy_differing",         "gauge",   (double)view->differing,     "Digests that differed in the last anti-entropy comparison with the peer.") \
    X("artemis_peer_events_waiting",            "gauge",   (double)view->events_waiting, "Events of topics that wait for the peer; 1,280 at most.") \
    X("artemis_peer_events_delivered_total",    "counter", (double)view->events_delivered, "Events of topics that the peer accepted.")
/* clang-format on */

enum { REQUESTS, DELIVERED, FAILURES, RECORDS, LAG, EVENTS_DROPPED };

static const struct {
    const char *name, *type, *description;
} labelled[] = {
    [REQUESTS] = {"artemis_replication_requests_total", "counter",
                  "Requests sent to the peer, by kind of message."},
    [DELIVERED] = {"artemis_replication_delivered_total", "counter",
                   "Requests that the peer accepted, by kind of message."},
    [FAILURES] = {"artemis_replication_failures_total", "counter",
                  "Failed requests to the peer, by send result."},
    [RECORDS] = {"artemis_replication_records_total", "counter",
                 "Records in requests to the peer, by kind of message."},
    [LAG] = {"artemis_replication_lag_seconds", "histogram",
             "Time from a change or renewal to its acknowledgement by the peer."},
    [EVENTS_DROPPED] = {"artemis_peer_events_dropped_total", "counter",
                        "Events of topics that were not sent to the peer, or that it refused, by "
                        "reason: peer-down, queue-full, refused, peer-restarted."},
};

static const char *const kinds[MESSAGE_KINDS] = {
    [MESSAGE_HEALTH] = "health",
    [MESSAGE_REGISTER] = "register",
    [MESSAGE_UNREGISTER] = "unregister",
    [MESSAGE_RENEW] = "renew",
    [MESSAGE_LEASE_CHECK] = "question",
    [MESSAGE_DIGEST] = "digest",
    [MESSAGE_LIST] = "list",
    [MESSAGE_FETCH] = "fetch",
    [MESSAGE_SNAPSHOT] = "snapshot",
    [MESSAGE_RELEASE] = "release",
    [MESSAGE_BLOCKS] = "blocks",
    [MESSAGE_EVENTS] = "events",
    [MESSAGE_GOODBYE] = "goodbye",
};

static const char *const results[SEND_RESULTS] = {
    [SEND_RETRYABLE] = "temporary",    [SEND_UNREACHABLE] = "absent",
    [SEND_REJECTED] = "permanent",     [SEND_TOO_LARGE] = "too_large",
    [SEND_WRONG_CLUSTER] = "stranger", [SEND_UNAUTHORIZED] = "unauthorized",
    [SEND_BLOCKED] = "blocked",
};

struct page {
    struct text *out;
    const struct peer_status *peers;
    size_t count;
};

static void write_head(struct text *out, const char *name, const char *type,
                       const char *description)
{
    text_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, description, name, type);
}

/* Writes peer="..." with the escapes of the Prometheus text format. Peers that share a node id are
 * labelled with their url, so that no series is duplicated. */
static void write_peer_label(struct text *out, const struct peer_status *peer)
{
    text_append_string(out, "peer=\"");
    bool has_own_id = peer->node_id[0] && !peer->shares_node_id;
    for (const char *c = has_own_id ? peer->node_id : peer->url; *c; c++) {
        if (*c == '"' || *c == '\\')
            text_append_char(out, '\\');
        text_append_char(out, *c);
    }
    text_append_char(out, '"');
}

static void write_sample(struct text *out, const char *name, const struct peer_status *peer,
                         const char *label, const char *label_value, double value)
{
    text_printf(out, "%s{", name);
    write_peer_label(out, peer);
    if (label)
        text_printf(out, ",%s=\"%s\"", label, label_value);
    text_printf(out, "} %.15g\n", value);
}

static void write_requests(const struct page *page)
{
    for (int i = REQUESTS; i <= DELIVERED; i++) {
        write_head(page->out, labelled[i].name, labelled[i].type, labelled[i].description);
        for (size_t peer = 0; peer < page->count; peer++) {
            const struct peer_view *view = &page->peers[peer].view;
            for (int kind = 0; kind < MESSAGE_KINDS; kind++)
                write_sample(page->out, labelled[i].name, &page->peers[peer], "kind", kinds[kind],
                             (double)(i == REQUESTS ? view->sent[kind] : view->delivered[kind]));
        }
    }
}

static void write_failures(const struct page *page)
{
    write_head(page->out, labelled[FAILURES].name, labelled[FAILURES].type,
               labelled[FAILURES].description);
    for (size_t i = 0; i < page->count; i++)
        for (int result = SEND_RETRYABLE; result < SEND_RESULTS; result++)
            write_sample(page->out, labelled[FAILURES].name, &page->peers[i], "why",
                         results[result], (double)page->peers[i].view.failed[result]);
}

static void write_records(const struct page *page)
{
    write_head(page->out, labelled[RECORDS].name, labelled[RECORDS].type,
               labelled[RECORDS].description);
    for (size_t i = 0; i < page->count; i++)
        for (int kind = MESSAGE_REGISTER; kind <= MESSAGE_RENEW; kind++)
            write_sample(page->out, labelled[RECORDS].name, &page->peers[i], "kind", kinds[kind],
                         (double)page->peers[i].view.items[kind]);
}

static void write_events_dropped(const struct page *page)
{
    write_head(page->out, labelled[EVENTS_DROPPED].name, labelled[EVENTS_DROPPED].type,
               labelled[EVENTS_DROPPED].description);
    for (size_t i = 0; i < page->count; i++)
        for (enum event_drop reason = 0; reason < EVENT_DROPS; reason++)
            write_sample(page->out, labelled[EVENTS_DROPPED].name, &page->peers[i], "reason",
                         event_drop_word(reason),
                         (double)page->peers[i].view.events_dropped[reason]);
}

static void write_lag(const struct page *page)
{
    char part[96];
    char bound[32];
    write_head(page->out, labelled[LAG].name, labelled[LAG].type, labelled[LAG].description);
    for (size_t i = 0; i < page->count; i++) {
        const struct peer_status *peer = &page->peers[i];
        uint64_t count = 0;
        snprintf(part, sizeof(part), "%s_bucket", labelled[LAG].name);
        for (int b = 0; b <= LAG_BOUNDS; b++) {
            count += peer->view.lag[b];
            if (b < LAG_BOUNDS)
                snprintf(bound, sizeof(bound), "%g", (double)lag_bounds_ms[b] / 1e3);
            else
                snprintf(bound, sizeof(bound), "+Inf");
            write_sample(page->out, part, peer, "le", bound, (double)count);
        }
        snprintf(part, sizeof(part), "%s_sum", labelled[LAG].name);
        write_sample(page->out, part, peer, NULL, NULL, (double)peer->view.lag_sum_ms / 1e3);
        snprintf(part, sizeof(part), "%s_count", labelled[LAG].name);
        write_sample(page->out, part, peer, NULL, NULL, (double)count);
    }
}

static void write_node_metrics(struct engine *engine, struct text *out)
{
    struct replicator_stats stats;
    struct registry_stats registry;
    replication_thread_stats(engine->replication, &stats);
    registry_stats(engine->registry, &registry);
    struct moment now = clock_now();
#define X(name, type, value, description)                                                          \
    write_head(out, name, type, description);                                                      \
    text_printf(out, "%s %.15g\n", name, value);
    NODE_METRICS(X)
#undef X
}

void metrics_write_peers(struct engine *engine, struct text *out)
{
    if (!engine->replication)
        return;
    struct peer_status *peers = malloc(MEMBERS_MAX * sizeof(*peers));
    if (!peers) {
        out->failed = true;
        return;
    }
    struct page page = {out, peers, engine_peers(engine, peers)};
    write_node_metrics(engine, out);
#define X(name, type, value, description)                                                          \
    write_head(out, name, type, description);                                                      \
    for (size_t i = 0; i < page.count; i++) {                                                      \
        const struct peer_view *view = &peers[i].view;                                             \
        (void)view;                                                                                \
        write_sample(out, name, &peers[i], NULL, NULL, value);                                     \
    }
    PEER_METRICS(X)
#undef X
    write_requests(&page);
    write_failures(&page);
    write_records(&page);
    write_lag(&page);
    write_events_dropped(&page);
    free(peers);
}

void metrics_write_peers_reference(struct text *out)
{
#define X(name, type, value, description)                                                          \
    text_printf(out, "| `%s` | %s | %s |\n", name, type, description);
    NODE_METRICS(X)
    PEER_METRICS(X)
#undef X
    for (size_t i = 0; i < sizeof(labelled) / sizeof(labelled[0]); i++)
        text_printf(out, "| `%s` | %s | %s |\n", labelled[i].name, labelled[i].type,
                    labelled[i].description);
}
