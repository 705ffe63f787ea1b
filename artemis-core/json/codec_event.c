/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/json/codec_event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-core/json/codec_internal.h"
#include "artemis-core/model/event_order.h"
#include "artemis-core/model/topic_name.h"

#define WALL_MS_MAX 253402300799999ULL /* the end of the year 9999 */

struct event_message {
    struct document document;
    char run[EVENT_RUN_BYTES];
    char to_run[EVENT_RUN_BYTES];
    char *payloads[EVENTS_PER_MESSAGE_MAX]; /* compact JSON, terminated */
    struct event_item items[EVENTS_PER_MESSAGE_MAX];
    size_t count;
};

/* --- payloads --------------------------------------------------------------------------------- */

static bool is_too_deep(json_t *value, unsigned depth)
{
    if (!json_is_object(value) && !json_is_array(value))
        return false;
    if (depth == 0)
        return true;
    for (size_t i = 0; i < json_array_size(value); i++) /* 0 for an object */
        if (is_too_deep(json_array_get(value, i), depth - 1))
            return true;
    void *member = json_object_iter(value); /* NULL for an array */
    for (; member; member = json_object_iter_next(value, member))
        if (is_too_deep(json_object_iter_value(member), depth - 1))
            return true;
    return false;
}

/* Encodes the value again. */
static enum error encode_payload(json_t *value, const char *where, char **out, size_t *out_size,
                                 char message[MESSAGE_BYTES])
{
    if (is_too_deep(value, EVENT_PAYLOAD_DEPTH_MAX)) {
        snprintf(message, MESSAGE_BYTES, "%spayload: must have at most %d levels", where,
                 EVENT_PAYLOAD_DEPTH_MAX);
        return ERR_INVALID_FIELD;
    }
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!text)
        return ERR_NO_MEMORY;
    size_t size = strlen(text);
    if (size > EVENT_PAYLOAD_BYTES_MAX) {
        snprintf(message, MESSAGE_BYTES, "%spayload: must be at most %d bytes as JSON, is %zu",
                 where, EVENT_PAYLOAD_BYTES_MAX, size);
        free(text);
        return ERR_BODY_TOO_LARGE;
    }
    *out = text;
    *out_size = size;
    return ERR_NONE;
}

static enum error take_payload(struct event_message *events, json_t *value, const char *where,
                               char message[MESSAGE_BYTES])
{
    char *text;
    size_t size;
    enum error error = encode_payload(value, where, &text, &size, message);
    if (error)
        return error;
    events->payloads[events->count] = text;
    events->items[events->count].payload = (struct slice){text, size};
    return ERR_NONE;
}

enum error event_payload_read(struct slice json, char **compact, char message[MESSAGE_BYTES])
{
    json_t *value = NULL;
    size_t size;
    char problem[MESSAGE_BYTES];
    enum error error = json_read(json, JSON_DECODE_ANY, &value, problem);
    if (error == ERR_NO_MEMORY)
        return error;
    if (error) {
        char quoted[96];
        text_quote(quoted, sizeof(quoted), json);
        snprintf(message, MESSAGE_BYTES,
                 "payload: must be JSON in UTF-8 (a text needs quotes), is %s", quoted);
        return ERR_INVALID_FIELD;
    }
    error = encode_payload(value, "", compact, &size, message);
    json_decref(value);
    return error;
}

static enum error read_payload(struct event_message *events, const json_t *object,
                               char message[MESSAGE_BYTES])
{
    json_t *value = json_object_get(object, "payload");
    if (!value) {
        snprintf(message, MESSAGE_BYTES, "payload: is required (any JSON value)");
        return ERR_INVALID_FIELD;
    }
    return take_payload(events, value, "", message);
}

/* Of a peer: a text with the JSON. */
static enum error read_payload_text(struct event_message *events, const json_t *object,
                                    const char *where, char message[MESSAGE_BYTES])
{
    const json_t *text = json_object_get(object, "payload");
    json_t *value = NULL;
    if (!json_is_string(text) || json_string_length(text) > EVENT_PAYLOAD_BYTES_MAX) {
        snprintf(message, MESSAGE_BYTES, "%spayload: must be a string of at most %d bytes of JSON",
                 where, EVENT_PAYLOAD_BYTES_MAX);
        return ERR_INVALID_FIELD;
    }
    enum error error = json_read((struct slice){json_string_value(text), json_string_length(text)},
                                 JSON_DECODE_ANY, &value, message);
    if (error) {
        snprintf(message, MESSAGE_BYTES, "%spayload: is not JSON", where);
        return error == ERR_NO_MEMORY ? error : ERR_INVALID_FIELD;
    }
    error = take_payload(events, value, where, message);
    json_decref(value);
    return error;
}

/* --- members ---------------------------------------------------------------------------------- */

static enum error read_topic(struct event_message *events, const json_t *object, const char *where,
                             char message[MESSAGE_BYTES])
{
    const json_t *value = json_object_get(object, "topic");
    struct slice topic = {0};
    if (json_is_string(value))
        topic = (struct slice){json_string_value(value), json_string_length(value)};
    if (!topic_name_is_valid(topic)) {
        char excerpt[128] = "missing";
        if (value)
            json_excerpt(value, excerpt, sizeof(excerpt));
        snprintf(message, MESSAGE_BYTES, "%stopic: %s, is %s", where, topic_name_rule, excerpt);
        return ERR_INVALID_FIELD;
    }
    events->items[events->count].topic = topic;
    return ERR_NONE;
}

static enum error read_number(const json_t *object, const char *name, uint64_t min, uint64_t max,
                              const char *where, uint64_t *out, char message[MESSAGE_BYTES])
{
    const json_t *value = json_object_get(object, name);
    json_int_t number = json_is_integer(value) ? json_integer_value(value) : -1;
    if (number < 0 || (uint64_t)number < min || (uint64_t)number > max) {
        snprintf(message, MESSAGE_BYTES, "%s%s: must be a number from %llu to %llu", where, name,
                 (unsigned long long)min, (unsigned long long)max);
        return ERR_INVALID_FIELD;
    }
    *out = (uint64_t)number;
    return ERR_NONE;
}

static enum error read_run(const json_t *object, const char *name, bool is_required,
                           char out[EVENT_RUN_BYTES], char message[MESSAGE_BYTES])
{
    const json_t *value = json_object_get(object, name);
    struct slice run = {0};
    if (!value && !is_required)
        return ERR_NONE;
    if (json_is_string(value))
        run = (struct slice){json_string_value(value), json_string_length(value)};
    if (!event_run_is_valid(run)) {
        snprintf(message, MESSAGE_BYTES, "%s: must be 16 hexadecimal digits", name);
        return ERR_INVALID_FIELD;
    }
    memcpy(out, run.data, run.size);
    return ERR_NONE;
}

static enum error read_item(struct event_message *events, const json_t *object,
                            char message[MESSAGE_BYTES])
{
    struct event_item *item = &events->items[events->count];
    char where[32];
    snprintf(where, sizeof(where), "events[%zu].", events->count);
    if (!json_is_object(object)) {
        snprintf(message, MESSAGE_BYTES, "events[%zu]: must be an object", events->count);
        return ERR_INVALID_FIELD;
    }
    enum error error = read_number(object, "number", 1, INT64_MAX, where, &item->number, message);
    if (!error)
        error = read_number(object, "time_ms", 0, WALL_MS_MAX, where, &item->wall_ms, message);
    if (!error)
        error = read_topic(events, object, where, message);
    if (!error)
        error = read_payload_text(events, object, where, message);
    events->count += !error;
    return error;
}

static enum error read_items(struct event_message *events, char message[MESSAGE_BYTES])
{
    const json_t *list = json_object_get(events->document.root, "events");
    if (!json_is_array(list)) {
        snprintf(message, MESSAGE_BYTES, "events: must be a list");
        return ERR_INVALID_FIELD;
    }
    if (json_array_size(list) > EVENTS_PER_MESSAGE_MAX) {
        snprintf(message, MESSAGE_BYTES, "events: must be at most %d, are %zu",
                 EVENTS_PER_MESSAGE_MAX, json_array_size(list));
        return ERR_TOO_MANY_ITEMS;
    }
    enum error error = ERR_NONE;
    for (size_t i = 0; i < json_array_size(list) && !error; i++)
        error = read_item(events, json_array_get(list, i), message);
    return error;
}

/* --- messages --------------------------------------------------------------------------------- */

typedef enum error read_members(struct event_message *events, char message[MESSAGE_BYTES]);

static enum error read_published(struct event_message *events, char message[MESSAGE_BYTES])
{
    const json_t *root = events->document.root;
    enum error error = read_topic(events, root, "", message);
    if (!error)
        error = read_payload(events, root, message);
    events->count += !error;
    return error;
}

static enum error read_peer(struct event_message *events, char message[MESSAGE_BYTES])
{
    const json_t *root = events->document.root;
    enum error error = read_run(root, "run", true, events->run, message);
    if (!error)
        error = read_run(root, "to_run", false, events->to_run, message);
    return error ? error : read_items(events, message);
}

static enum error read_message(struct slice body, read_members *read, struct event_message **out,
                               char message[MESSAGE_BYTES])
{
    struct event_message *events = calloc(1, sizeof(*events));
    if (!events)
        return ERR_NO_MEMORY;
    enum error error = document_open(body, &events->document, message);
    if (!error)
        error = read(events, message);
    if (error) {
        event_message_free(events);
        return error;
    }
    *out = events;
    return ERR_NONE;
}

enum error event_message_read_published(struct slice body, struct event_message **out,
                                        char message[MESSAGE_BYTES])
{
    return read_message(body, read_published, out, message);
}

enum error event_message_read_peer(struct slice body, struct event_message **out,
                                   char message[MESSAGE_BYTES])
{
    return read_message(body, read_peer, out, message);
}

void event_message_free(struct event_message *events)
{
    if (!events)
        return;
    for (size_t i = 0; i < EVENTS_PER_MESSAGE_MAX; i++)
        free(events->payloads[i]);
    if (events->document.root)
        document_close(&events->document);
    free(events);
}

size_t event_message_count(const struct event_message *events)
{
    return events->count;
}

struct event_item event_message_item(const struct event_message *events, size_t index)
{
    return events->items[index];
}

struct slice event_message_run(const struct event_message *events)
{
    return slice_of(events->run);
}

struct slice event_message_to_run(const struct event_message *events)
{
    return slice_of(events->to_run);
}

void codec_write_peer_event(struct json_writer *w, const struct event_item *item)
{
    jw_open(w, '{');
    jw_name(w, "number");
    jw_u64(w, item->number);
    jw_name(w, "time_ms");
    jw_u64(w, item->wall_ms);
    jw_name(w, "topic");
    jw_text(w, item->topic);
    jw_name(w, "payload");
    jw_text(w, item->payload);
    jw_close(w, '}');
}
