/* SPDX-License-Identifier: Apache-2.0
 *
 * Events of topics: what the client publishes and subscribes to, and what servers push.
 */
#include "libartemis/wire/wire_internal.h"

#include "artemis-core/json/codec_event.h"
#include "artemis-core/json/json_writer.h"
#include "artemis-core/model/event_order.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- requests and messages of the client ------------------------------------------------------ */

void wire_write_event(struct text *out, const char *topic, struct slice payload)
{
    struct json_writer w = jw_to(out, CASING_SNAKE);
    jw_open(&w, '{');
    jw_name(&w, "topic");
    jw_string(&w, topic);
    jw_name(&w, "payload");
    jw_raw(&w, payload);
    jw_close(&w, '}');
}

void wire_write_topic(struct text *out, const char *topic, bool subscribes)
{
    struct json_writer w = jw_to(out, CASING_SNAKE);
    jw_open(&w, '{');
    jw_name(&w, "type");
    jw_string(&w, subscribes ? "subscribe_topic" : "unsubscribe_topic");
    jw_name(&w, "topic");
    jw_string(&w, topic);
    jw_close(&w, '}');
}

/* --- responses -------------------------------------------------------------------------------- */

void wire_read_published(const json_t *root, struct artemis_published *published)
{
    *published = (struct artemis_published){.number = wire_number_of(root, "number")};
    snprintf(published->node_id, sizeof published->node_id, "%s", wire_text_of(root, "node_id"));
    snprintf(published->run, sizeof published->run, "%s", wire_text_of(root, "run"));
}

/* --- pushes ----------------------------------------------------------------------------------- */

/* Of a valid event. The payload is NULL if there was no memory to encode it. */
static enum error create_event(const struct event_parts *parts, char *payload,
                               struct shared_event **out)
{
    struct event_parts complete = *parts;
    if (!payload)
        return ERR_NO_MEMORY;
    complete.payload = slice_of(payload);
    return complete.payload.size <= EVENT_PAYLOAD_BYTES_MAX ? shared_event_create(&complete, out)
                                                            : ERR_NONE;
}

static enum error read_event(const json_t *root, const char *topic, struct shared_event **out)
{
    const json_t *value = json_object_get(root, "payload");
    const struct event_parts parts = {
        .topic = slice_of(topic),
        .node_id = slice_of(wire_text_of(root, "node_id")),
        .run = slice_of(wire_text_of(root, "run")),
        .number = wire_number_of(root, "number"),
        .time_ms = wire_read_time(wire_text_of(root, "time")),
    };
    bool is_valid = value && parts.number > 0 && parts.node_id.size > 0 &&
                    parts.node_id.size < EVENT_NODE_ID_BYTES && event_run_is_valid(parts.run);
    if (!is_valid)
        return ERR_NONE;
    char *payload = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    enum error error = create_event(&parts, payload, out);
    free(payload);
    return error;
}

enum error wire_read_topic_message(const json_t *root, struct push_message *message)
{
    struct slice topic = slice_of(wire_text_of(root, "topic"));
    if (!topic_name_is_valid(topic))
        return ERR_NONE;
    memcpy(message->topic, topic.data, topic.size);
    message->topic[topic.size] = '\0';
    message->lost = wire_number_of(root, "count");
    return message->type == PUSH_EVENT ? read_event(root, message->topic, &message->event)
                                       : ERR_NONE;
}
