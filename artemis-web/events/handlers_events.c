/* SPDX-License-Identifier: Apache-2.0
 *
 * Events of topics, from clients and from peers.
 */
#include "artemis-web/api/handlers.h"

#include <stdio.h>
#include <stdlib.h>

#include "artemis-core/model/topic_name.h"
#include "artemis-web/api/status_writer.h"

/* --- of clients ------------------------------------------------------------------------------- */

/* The services of a token limit the topics, too. */
static enum error check_topic(const struct request *request, struct slice topic,
                              char message[MESSAGE_BYTES])
{
    if (topic_name_is_reserved(topic)) {
        snprintf(message, MESSAGE_BYTES,
                 "topic: names that begin with \"artemis.\" are reserved for events of nodes, is "
                 "\"%.*s\"",
                 (int)topic.size, topic.data);
        return ERR_INVALID_FIELD;
    }
    if (token_may_write(request->token, topic))
        return ERR_NONE;
    snprintf(message, MESSAGE_BYTES, "topic: token \"%s\" may not publish to \"%.*s\"",
             request->token->name, (int)topic.size, topic.data);
    return ERR_NO_PERMISSION;
}

static enum error publish(struct request *request, struct response *response,
                          const struct event_item *item, char message[MESSAGE_BYTES])
{
    struct event_hub *hub = &request->engine->event_hub;
    uint64_t number = 0;
    enum error error = check_topic(request, item->topic, message);
    if (!error)
        error = event_hub_publish(hub, item->topic, item->payload, request->now, &number);
    if (error == ERR_TOO_MANY_EVENTS)
        snprintf(message, MESSAGE_BYTES,
                 "EVENTS_WAITING_MAX (%d) events wait to be delivered; this one was not published",
                 EVENTS_WAITING_MAX);
    if (error)
        return error;
    struct json_writer w = status_begin(request, response);
    named_string(&w, "node_id", request->engine->config->server.node_id);
    named_string(&w, "run", request->engine->epoch);
    named_u64(&w, "number", number);
    jw_close(&w, '}');
    return ERR_NONE;
}

enum error handle_publish_event(struct request *request, struct response *response,
                                char message[MESSAGE_BYTES])
{
    struct event_message *event;
    enum error error = event_message_read_published(request_body(request), &event, message);
    if (error)
        return error;
    const struct event_item item = event_message_item(event, 0);
    error = publish(request, response, &item, message);
    event_message_free(event);
    return error;
}

/* --- of peers --------------------------------------------------------------------------------- */

/* Events for an earlier process of this node may have been delivered by it. */
static enum error receive(struct request *request, const struct event_message *events,
                          char message[MESSAGE_BYTES])
{
    struct engine *engine = request->engine;
    struct slice node_id = slice_of(request_header(request, HEADER_PEER_NODE));
    struct slice to_run = event_message_to_run(events);
    if (node_id.size == 0 || node_id.size >= EVENT_NODE_ID_BYTES || !text_is_utf8(node_id)) {
        snprintf(message, MESSAGE_BYTES, "%s: must be 1 to %d bytes of UTF-8",
                 framing_field_name(HEADER_PEER_NODE), EVENT_NODE_ID_BYTES - 1);
        return ERR_INVALID_FIELD;
    }
    if (to_run.size && !slice_equal(to_run, slice_of(engine->epoch))) {
        snprintf(message, MESSAGE_BYTES,
                 "to_run: the events are for an earlier process of this node");
        return ERR_INVALID_FIELD;
    }
    return event_hub_receive(&engine->event_hub, node_id, events, request->now);
}

/* The sender of a request that was in transit for longer than its timeout has sent it again. */
static enum error check_transit(const struct request *request, char message[MESSAGE_BYTES])
{
    const char *header = request_header(request, HEADER_PEER_CLOCK);
    uint64_t clock_ms = header ? strtoull(header, NULL, 10) : 0;
    uint64_t max_ms = request->engine->config->replication.timeout_secs * (uint64_t)1000;
    uint64_t transit = registry_transit_ms(request->engine->registry, clock_ms, request->now);
    if (transit <= max_ms)
        return ERR_NONE;
    snprintf(message, MESSAGE_BYTES,
             "%s: the request was in transit for %llu ms; at most %llu ms are allowed "
             "(replication.timeout_secs)",
             framing_field_name(HEADER_PEER_CLOCK), (unsigned long long)transit,
             (unsigned long long)max_ms);
    return ERR_REQUEST_TIMEOUT;
}

enum error handle_peer_events(struct request *request, struct response *response,
                              char message[MESSAGE_BYTES])
{
    struct event_message *events;
    enum error error = check_transit(request, message);
    if (!error)
        error = event_message_read_peer(request_body(request), &events, message);
    if (error)
        return error;
    error = receive(request, events, message);
    event_message_free(events);
    if (error)
        return error;
    struct json_writer w = jw_to(&response->body, CASING_SNAKE);
    jw_open(&w, '{');
    codec_write_status(&w, DIALECT_SNAKE, ERR_NONE, NULL, false);
    jw_close(&w, '}');
    return ERR_NONE;
}
