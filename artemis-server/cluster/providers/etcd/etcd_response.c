/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/cluster/providers/etcd/etcd_response.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "artemis-core/base/base64.h"
#include "artemis-core/json/codec.h"
#include "artemis-server/cluster/providers/json_text.h"

/* --- values ----------------------------------------------------------------------------------- */

static json_t *parse(struct slice text)
{
    char message[MESSAGE_BYTES];
    json_t *root = NULL;
    if (!text.data || json_read(text, 0, &root, message))
        return NULL;
    if (json_is_object(root))
        return root;
    json_decref(root);
    return NULL;
}

/* Reads a number, or a text with one; 0 if the field is missing, as etcd leaves it out then. */
static bool read_number(const json_t *object, const char *name, uint64_t *out)
{
    const json_t *value = json_object_get(object, name);
    *out = 0;
    if (!value)
        return true;
    if (json_is_string(value))
        return slice_to_u64((struct slice){json_string_value(value), json_string_length(value)},
                            out);
    *out = (uint64_t)json_integer_value(value);
    return json_is_integer(value) && json_integer_value(value) >= 0;
}

/* Appends the bytes of a field in base64; none if it is missing. */
static bool read_bytes(const json_t *object, const char *name, struct text *out)
{
    const json_t *value = json_object_get(object, name);
    if (!value)
        return true;
    return json_is_string(value) &&
           base64_read((struct slice){json_string_value(value), json_string_length(value)}, out);
}

static void copy_message(const json_t *value, char out[ETCD_MESSAGE_BYTES])
{
    json_text_copy_printable(slice_of(json_string_value(value)), out, ETCD_MESSAGE_BYTES);
}

/* --- keys ------------------------------------------------------------------------------------- */

static bool read_key(const json_t *object, bool is_deleted, etcd_key_handler *on_key, void *context)
{
    struct text key = {0};
    struct text value = {0};
    struct etcd_key read = {.is_deleted = is_deleted};
    bool is_valid = json_is_object(object) && read_bytes(object, "key", &key) &&
                    read_bytes(object, "value", &value) &&
                    read_number(object, "lease", &read.lease) && key.size > 0;
    read.key = (struct slice){key.data, key.size};
    read.value = (struct slice){value.data, value.size};
    if (is_valid)
        on_key(context, &read);
    text_free(&key);
    text_free(&value);
    return is_valid;
}

bool etcd_read_range(struct slice body, etcd_key_handler *on_key, void *context, uint64_t *revision)
{
    json_t *root = parse(body);
    const json_t *header = json_object_get(root, "header");
    const json_t *keys = json_object_get(root, "kvs");
    bool is_valid = json_is_object(header) && read_number(header, "revision", revision) &&
                    *revision > 0 && (!keys || json_is_array(keys));
    for (size_t i = 0; i < json_array_size(keys) && is_valid; i++)
        is_valid = read_key(json_array_get(keys, i), false, on_key, context);
    json_decref(root);
    return is_valid;
}

static bool read_event(const json_t *event, etcd_key_handler *on_key, void *context)
{
    const char *type = json_string_value(json_object_get(event, "type"));
    bool is_deleted = type && strcmp(type, "DELETE") == 0;
    return read_key(json_object_get(event, "kv"), is_deleted, on_key, context);
}

static bool read_end(const json_t *result, struct etcd_watch_line *out)
{
    uint64_t compacted;
    if (!json_is_true(json_object_get(result, "canceled")))
        return true;
    if (!read_number(result, "compact_revision", &compacted))
        return false;
    out->is_compacted = compacted > 0;
    copy_message(json_object_get(result, "cancel_reason"), out->problem);
    if (!out->problem[0])
        snprintf(out->problem, sizeof(out->problem), "etcd has cancelled the watch");
    return true;
}

bool etcd_read_watch(struct slice line, etcd_key_handler *on_key, void *context,
                     struct etcd_watch_line *out)
{
    json_t *root = parse(line);
    const json_t *error = json_object_get(root, "error");
    const json_t *result = json_object_get(root, "result");
    const json_t *events = json_object_get(result, "events");
    bool is_valid = json_is_object(error) || json_is_object(result);
    *out = (struct etcd_watch_line){0};
    if (json_is_object(error))
        copy_message(json_object_get(error, "message"), out->problem);
    if (json_is_object(error) && !out->problem[0])
        snprintf(out->problem, sizeof(out->problem), "etcd has ended the watch");
    is_valid = is_valid && (!events || json_is_array(events)) && read_end(result, out);
    for (size_t i = 0; i < json_array_size(events) && is_valid; i++)
        is_valid = read_event(json_array_get(events, i), on_key, context);
    json_decref(root);
    return is_valid;
}

/* --- other responses -------------------------------------------------------------------------- */

bool etcd_read_lease(struct slice body, uint64_t *lease, uint64_t *ttl_secs)
{
    json_t *root = parse(body);
    const json_t *result = json_object_get(root, "result"); /* of a renewal */
    const json_t *object = result ? result : root;
    bool is_valid = json_is_object(object) && read_number(object, "ID", lease) &&
                    read_number(object, "TTL", ttl_secs) && *lease > 0;
    json_decref(root);
    return is_valid;
}

bool etcd_read_voters(struct slice body, size_t *voters)
{
    json_t *root = parse(body);
    const json_t *members = json_object_get(root, "members");
    bool is_valid = json_array_size(members) > 0;
    *voters = 0;
    for (size_t i = 0; i < json_array_size(members); i++)
        *voters += !json_is_true(json_object_get(json_array_get(members, i), "isLearner"));
    json_decref(root);
    return is_valid;
}

bool etcd_read_token(struct slice body, char out[ETCD_TOKEN_BYTES])
{
    json_t *root = parse(body);
    bool is_valid = json_text_copy(json_object_get(root, "token"), out, ETCD_TOKEN_BYTES) &&
                    out[0] && !strpbrk(out, "\r\n");
    json_decref(root);
    return is_valid;
}

void etcd_read_message(struct slice body, char out[ETCD_MESSAGE_BYTES])
{
    json_t *root = parse(body);
    copy_message(json_object_get(root, "message"), out);
    json_decref(root);
}

bool etcd_read_url(struct slice value, char out[MEMBER_URL_BYTES])
{
    json_t *root = parse(value);
    bool is_valid = json_text_copy(json_object_get(root, "url"), out, MEMBER_URL_BYTES);
    json_decref(root);
    return is_valid;
}
