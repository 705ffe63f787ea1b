/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/replication/peer_requests.h"

#include <inttypes.h>
#include <stdio.h>

#include "artemis-core/json/codec_event.h"
#include "artemis-core/json/codec_peer.h"

#define BASE "/api/replication/registry/"

static const struct {
    const char *path;
    bool is_get;
    const char *list; /* name of the list of items; NULL: no items */
    bool instances;   /* the items are instances, not keys */
} requests[MESSAGE_KINDS] = {
    [MESSAGE_HEALTH] = {"/health", true, NULL, false},
    [MESSAGE_REGISTER] = {BASE "register.json", false, "instances", true},
    [MESSAGE_UNREGISTER] = {BASE "unregister.json", false, "instance_keys", false},
    [MESSAGE_RENEW] = {BASE "heartbeat.json", false, "instance_keys", false},
    [MESSAGE_LEASE_CHECK] = {BASE "lease-check", false, "instance_keys", false},
    [MESSAGE_DIGEST] = {BASE "digest", true, NULL, false},
    [MESSAGE_LIST] = {BASE "records", false, NULL, false},
    [MESSAGE_FETCH] = {BASE "records", false, "instance_keys", false},
    [MESSAGE_SNAPSHOT] = {BASE "services.json", true, NULL, false},
    [MESSAGE_RELEASE] = {BASE "release-guard", false, NULL, false},
    [MESSAGE_BLOCKS] = {"/api/replication/cluster/blocks", false, NULL, false},
    [MESSAGE_EVENTS] = {BASE "events", false, NULL, false},
    [MESSAGE_GOODBYE] = {BASE "heartbeat.json", false, "instance_keys", false},
};

const char *peer_request_path(enum message_kind kind)
{
    return requests[kind].path;
}

bool peer_request_is_get(enum message_kind kind)
{
    return requests[kind].is_get;
}

static void write_buckets(const struct bucket_set *set, struct json_writer *w)
{
    jw_name(w, "buckets");
    jw_open(w, '[');
    for (uint32_t bucket = 0; bucket < DIGEST_BUCKETS; bucket++)
        if (bucket_set_has(set, bucket))
            jw_u64(w, bucket);
    jw_close(w, ']');
}

static void write_release(const struct message *message, struct json_writer *w)
{
    if (message->service_id.size) {
        jw_name(w, "service_id");
        jw_text(w, message->service_id);
    }
    jw_name(w, "clock_ms");
    jw_u64(w, message->release_clock_ms);
}

static void write_events(const struct event_batch *events, struct json_writer *w)
{
    jw_name(w, "run");
    jw_text(w, events->items[0]->run);
    if (events->to_epoch) {
        char to_run[EVENT_RUN_BYTES];
        snprintf(to_run, sizeof(to_run), "%016" PRIx64, events->to_epoch);
        jw_name(w, "to_run");
        jw_string(w, to_run);
    }
    jw_name(w, "events");
    jw_open(w, '[');
    for (size_t i = 0; i < events->count; i++) {
        const struct event *event = events->items[i];
        codec_write_peer_event(
            w, &(struct event_item){event->number, event->wall_ms, event->topic, event->payload});
    }
    jw_close(w, ']');
}

/* A request does not say how a lease is kept here, nor the weight. */
static void write_key(struct wire_record *record, bool is_legacy, struct json_writer *w)
{
    record->is_guarded = record->is_confirming = record->has_weight = false;
    codec_write_peer_key(w, record, is_legacy);
}

static void write_items(const struct message *message, const struct registry *registry,
                        bool is_legacy, struct moment now, struct json_writer *w)
{
    jw_name(w, requests[message->kind].list);
    jw_open(w, '[');
    for (size_t i = 0; i < message->count; i++) {
        struct wire_record record = registry_wire_record(registry, &message->items[i], now);
        if (requests[message->kind].instances)
            codec_write_peer_instance(w, &record, is_legacy);
        else
            write_key(&record, is_legacy, w);
    }
    jw_close(w, ']');
}

void peer_request_write_body(const struct message *message, const struct registry *registry,
                             bool is_legacy, struct moment now, struct text *out)
{
    struct json_writer w = jw_to(out, CASING_SNAKE);
    jw_open(&w, '{');
    if (message->kind == MESSAGE_LIST)
        write_buckets(&message->buckets, &w);
    else if (message->kind == MESSAGE_RELEASE)
        write_release(message, &w);
    else if (message->kind == MESSAGE_EVENTS)
        write_events(&message->events, &w);
    else if (requests[message->kind].list)
        write_items(message, registry, is_legacy, now, &w);
    if (is_legacy && requests[message->kind].list && !requests[message->kind].instances) {
        w.casing = CASING_CAMEL; /* legacy versions read one spelling or the other */
        write_items(message, registry, is_legacy, now, &w);
    }
    jw_close(&w, '}');
}
