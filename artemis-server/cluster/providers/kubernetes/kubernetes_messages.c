/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/cluster/providers/kubernetes/kubernetes_messages.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "artemis-core/json/codec.h"
#include "artemis-core/json/json_writer.h"

enum { MS_PER_SEC = 1000, LEASE_SECS_MAX = 3600, PORT_NAME_BYTES = 64 };

#define VERSION_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._"

/* --- members ---------------------------------------------------------------------------------- */

/* Copies an optional text; null counts as absent. False: it has another type or is too long. */
static bool read_text(json_t *object, const char *name, char *out, size_t size)
{
    json_t *value = json_object_get(object, name);
    out[0] = '\0';
    if (!value || json_is_null(value))
        return true;
    if (!json_is_string(value) || json_string_length(value) >= size)
        return false;
    memcpy(out, json_string_value(value), json_string_length(value) + 1);
    return true;
}

static bool read_flag(json_t *object, const char *name, bool *out)
{
    json_t *value = json_object_get(object, name);
    *out = json_is_true(value);
    return !value || json_is_boolean(value) || json_is_null(value);
}

/* An optional list. */
static bool is_list(json_t *value)
{
    return !value || json_is_array(value) || json_is_null(value);
}

/* Writes the usual form of a numeric address, so that equal ones are equal as text. */
static bool read_address(const char *text, char out[INET6_ADDRSTRLEN])
{
    unsigned char bytes[sizeof(struct in6_addr)];
    for (size_t i = 0; i < 2; i++) {
        int family = i == 0 ? AF_INET : AF_INET6;
        if (inet_pton(family, text, bytes) == 1)
            return inet_ntop(family, bytes, out, INET6_ADDRSTRLEN) != NULL;
    }
    return false;
}

/* --- EndpointSlices --------------------------------------------------------------------------- */

/* Writes the port that `wanted` names, or the only one; 0: there is none, or it is not clear. */
static bool read_port(json_t *slice, const char *wanted, uint16_t *out)
{
    json_t *ports = json_object_get(slice, "ports");
    json_t *port;
    size_t i;
    *out = 0;
    if (!is_list(ports))
        return false;
    if (wanted[0] >= '0' && wanted[0] <= '9' && wanted[strspn(wanted, "0123456789")] == '\0') {
        *out = (uint16_t)strtoul(wanted, NULL, 10);
        return true;
    }
    json_array_foreach(ports, i, port)
    {
        char name[PORT_NAME_BYTES];
        json_t *number = json_object_get(port, "port");
        if (!read_text(port, "name", name, sizeof(name)))
            return false;
        if (wanted[0] ? strcmp(name, wanted) != 0 : json_array_size(ports) != 1)
            continue;
        if (json_integer_value(number) > 0 && json_integer_value(number) <= UINT16_MAX)
            *out = (uint16_t)json_integer_value(number);
    }
    return true;
}

/* The addresses of an endpoint are interchangeable; the first one is used. */
static bool read_endpoint(json_t *value, struct kubernetes_endpoint *out, bool *is_usable)
{
    json_t *addresses = json_object_get(value, "addresses");
    json_t *target = json_object_get(value, "targetRef");
    const char *address = json_string_value(json_array_get(addresses, 0));
    *is_usable = false;
    if (!json_is_object(value) || !is_list(addresses) ||
        !read_flag(json_object_get(value, "conditions"), "terminating", &out->is_terminating) ||
        !read_text(target, "uid", out->pod, sizeof(out->pod)) ||
        !read_text(value, "zone", out->zone, sizeof(out->zone)))
        return false;
    *is_usable = address && read_address(address, out->address);
    return true;
}

static bool read_slice(json_t *value, const char *port, struct kubernetes_object *out)
{
    json_t *endpoints = json_object_get(value, "endpoints");
    json_t *item;
    size_t i;
    uint16_t number;
    if (!is_list(endpoints) || !read_port(value, port, &number))
        return false;
    json_array_foreach(endpoints, i, item)
    {
        struct kubernetes_endpoint endpoint = {.port = number};
        bool is_usable;
        if (!read_endpoint(item, &endpoint, &is_usable))
            return false;
        if (!is_usable)
            continue;
        if (out->count == KUBERNETES_ENDPOINTS_MAX)
            out->left_out++;
        else
            out->endpoints[out->count++] = endpoint;
    }
    return true;
}

/* --- Leases ----------------------------------------------------------------------------------- */

void kubernetes_read_url(const char *url, char out[INET6_ADDRSTRLEN])
{
    char host[INET6_ADDRSTRLEN];
    const char *start = strstr(url, "://");
    const char *end = strrchr(url, ':');
    start = start ? start + strlen("://") : url;
    out[0] = '\0';
    if (!end || end <= start)
        return;
    if (*start == '[' && end[-1] == ']') {
        start++;
        end--;
    }
    if ((size_t)(end - start) >= sizeof(host))
        return;
    memcpy(host, start, (size_t)(end - start));
    host[end - start] = '\0';
    (void)read_address(host, out);
}

static bool read_lease(json_t *value, struct kubernetes_object *out)
{
    json_t *spec = json_object_get(value, "spec");
    json_t *holder = json_object_get(spec, "holderIdentity");
    json_t *duration = json_object_get(spec, "leaseDurationSeconds");
    if ((holder && !json_is_string(holder) && !json_is_null(holder)) ||
        !read_text(spec, "renewTime", out->renewed, sizeof(out->renewed)) ||
        (duration && !json_is_integer(duration) && !json_is_null(duration)))
        return false;
    json_int_t secs = json_integer_value(duration);
    secs = secs < 1 ? 1 : secs;
    out->ttl_ms = (uint64_t)(secs > LEASE_SECS_MAX ? LEASE_SECS_MAX : secs) * MS_PER_SEC;
    kubernetes_read_url(json_is_string(holder) ? json_string_value(holder) : "", out->holder);
    return true;
}

/* --- objects, lists, events ------------------------------------------------------------------- */

static json_t *load(struct slice bytes)
{
    char message[MESSAGE_BYTES];
    json_t *root = NULL;
    return bytes.data && !json_read(bytes, 0, &root, message) ? root : NULL;
}

/* A version becomes a part of a URL. */
static bool read_metadata(json_t *value, struct kubernetes_object *out)
{
    json_t *metadata = json_object_get(value, "metadata");
    return read_text(metadata, "name", out->name, sizeof(out->name)) &&
           read_text(metadata, "resourceVersion", out->version, sizeof(out->version)) &&
           !out->version[strspn(out->version, VERSION_CHARACTERS)];
}

static void clear_object(struct kubernetes_object *object)
{
    object->name[0] = object->version[0] = object->holder[0] = object->renewed[0] = '\0';
    object->count = object->left_out = 0;
    object->ttl_ms = 0;
}

static bool read_object(const struct kubernetes_source *source, json_t *value,
                        struct kubernetes_object *out)
{
    clear_object(out);
    if (!json_is_object(value) || !read_metadata(value, out) || !out->name[0])
        return false;
    if (source->kind == KUBERNETES_LEASES)
        return read_lease(value, out);
    return read_slice(value, source->port, out);
}

/* All objects are checked before the first one is passed on. */
static bool read_items(const struct kubernetes_source *source, json_t *items,
                       struct kubernetes_object *space, const struct kubernetes_reader *reader)
{
    json_t *item;
    size_t i;
    if (!is_list(items))
        return false;
    json_array_foreach(items, i, item) if (!read_object(source, item, space)) return false;
    reader->begin(reader->context);
    json_array_foreach(items, i, item) if (read_object(source, item, space))
        reader->put(reader->context, space);
    return true;
}

bool kubernetes_read_list(const struct kubernetes_source *source, struct slice body,
                          char version[KUBERNETES_VERSION_BYTES], struct kubernetes_object *space,
                          const struct kubernetes_reader *reader)
{
    char found[KUBERNETES_VERSION_BYTES] = "";
    json_t *root = load(body);
    clear_object(space);
    bool is_read = json_is_object(root) && read_metadata(root, space) && space->version[0];
    memcpy(found, space->version, sizeof(found));
    is_read = is_read && read_items(source, json_object_get(root, "items"), space, reader);
    if (is_read)
        memcpy(version, found, sizeof(found));
    json_decref(root);
    return is_read;
}

static void read_status(json_t *value, struct kubernetes_status *out)
{
    const char *message = json_string_value(json_object_get(value, "message"));
    out->code = json_integer_value(json_object_get(value, "code"));
    snprintf(out->message, sizeof(out->message), "%s", message ? message : "");
    text_drop_partial(out->message);
}

static bool read_event(const struct kubernetes_source *source, json_t *root,
                       struct kubernetes_event *out)
{
    static const char *const types[] = {"ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"};
    const char *type = json_string_value(json_object_get(root, "type"));
    json_t *object = json_object_get(root, "object");
    size_t i = 0;
    while (i < sizeof(types) / sizeof(types[0]) && (!type || strcmp(type, types[i]) != 0))
        i++;
    if (i == sizeof(types) / sizeof(types[0]) || !json_is_object(object))
        return false;
    out->type = (enum kubernetes_event_type)i;
    clear_object(&out->object);
    read_status(object, &out->status);
    if (out->type == KUBERNETES_ERROR)
        return true;
    if (out->type == KUBERNETES_BOOKMARK)
        return read_metadata(object, &out->object) && out->object.version[0];
    return read_object(source, object, &out->object) && out->object.version[0];
}

bool kubernetes_read_event(const struct kubernetes_source *source, struct slice line,
                           struct kubernetes_event *out)
{
    json_t *root = load(line);
    bool is_read = read_event(source, root, out);
    json_decref(root);
    return is_read;
}

bool kubernetes_read_object(const struct kubernetes_source *source, struct slice body,
                            struct kubernetes_object *out)
{
    json_t *root = load(body);
    bool is_read = read_object(source, root, out) && out->version[0];
    json_decref(root);
    return is_read;
}

void kubernetes_read_status(struct slice body, struct kubernetes_status *out)
{
    json_t *root = load(body);
    read_status(root, out);
    json_decref(root);
}

/* --- writing ---------------------------------------------------------------------------------- */

/* The API wants six digits of a second: "2026-02-14T08:00:00.123000Z". */
static void write_time(struct json_writer *w, const char *name, uint64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / MS_PER_SEC);
    char date[32] = "";
    char out[KUBERNETES_TIME_BYTES + 16];
    struct tm utc;
    if (gmtime_r(&seconds, &utc))
        strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out, sizeof(out), "%s.%03u000Z", date, (unsigned)(wall_ms % MS_PER_SEC));
    jw_name(w, name);
    jw_string(w, out);
}

void kubernetes_write_lease(struct text *out, const struct kubernetes_lease_spec *spec)
{
    struct json_writer w = jw_to(out, CASING_CAMEL);
    jw_open(&w, '{');
    jw_name(&w, "api_version");
    jw_string(&w, "coordination.k8s.io/v1");
    jw_name(&w, "kind");
    jw_string(&w, "Lease");
    jw_name(&w, "metadata");
    jw_open(&w, '{');
    jw_name(&w, "name");
    jw_string(&w, spec->name);
    if (spec->version[0]) {
        jw_name(&w, "resource_version");
        jw_string(&w, spec->version);
    }
    jw_name(&w, "labels");
    jw_open(&w, '{');
    jw_verbatim_name(&w, slice_of(KUBERNETES_LEASE_LABEL));
    jw_string(&w, spec->service);
    jw_close(&w, '}');
    jw_close(&w, '}');
    jw_name(&w, "spec");
    jw_open(&w, '{');
    jw_name(&w, "holder_identity");
    jw_string(&w, spec->holder);
    jw_name(&w, "lease_duration_seconds");
    jw_u64(&w, spec->ttl_secs);
    write_time(&w, "acquire_time", spec->acquired_wall_ms);
    write_time(&w, "renew_time", spec->renewed_wall_ms);
    jw_close(&w, '}');
    jw_close(&w, '}');
}
