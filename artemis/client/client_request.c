/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/client/client_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Maps an option to a field. */
struct mapping {
    const char *option;
    const char *field;
    bool number;
};

static const struct mapping key_fields[] = {
    {"region", "region_id", false},
    {"zone", "zone_id", false},
    {"group", "group_id", false},
    {NULL, NULL, false},
};

static const struct mapping instance_fields[] = {
    {"ip", "ip", false},
    {"port", "port", true},
    {"url", "url", false},
    {"status", "status", false},
    {"protocol", "protocol", false},
    {"machine", "machine_name", false},
    {"health-url", "health_check_url", false},
    {NULL, NULL, false},
};

static enum error set(json_t *object, const char *field, json_t *value)
{
    return json_object_set_new(object, field, value) == 0 ? ERR_NONE : ERR_NO_MEMORY;
}

static enum error set_fields(json_t *object, const struct mapping *mapping,
                             const struct client_args *args)
{
    for (; mapping->option; mapping++) {
        const char *text = client_args_text(args, mapping->option);
        if (!text)
            continue;
        json_t *value = mapping->number ? json_integer(client_args_number(args, mapping->option))
                                        : json_string(text);
        if (set(object, mapping->field, value))
            return ERR_NO_MEMORY;
    }
    return ERR_NONE;
}

static enum error set_key(json_t *object, const struct client_args *args)
{
    if (set(object, "service_id", json_string(args->positionals[0])) ||
        set(object, "instance_id", json_string(args->positionals[1])))
        return ERR_NO_MEMORY;
    return set_fields(object, key_fields, args);
}

static enum error set_metadata(json_t *object, const struct client_args *args,
                               char problem[CLIENT_PROBLEM_MAX])
{
    size_t position = 0;
    const char *pair = client_args_next(args, "meta", &position);
    if (!pair)
        return ERR_NONE;
    json_t *metadata = json_object();
    if (set(object, "metadata", metadata))
        return ERR_NO_MEMORY;
    for (; pair; pair = client_args_next(args, "meta", &position)) {
        size_t name_length = strcspn(pair, "=");
        if (name_length == 0 || pair[name_length] == '\0') {
            snprintf(problem, CLIENT_PROBLEM_MAX, "--meta must be KEY=VALUE, is %.64s",
                     *pair ? pair : "empty");
            return ERR_INVALID_FIELD;
        }
        char *name = strndup(pair, name_length);
        enum error error =
            name ? set(metadata, name, json_string(pair + name_length + 1)) : ERR_NO_MEMORY;
        free(name);
        if (error)
            return error;
    }
    return ERR_NONE;
}

/* Builds {list:[item]}. Consumes the item, also on failure. */
static enum error wrap(const char *list, json_t *item, json_t **body)
{
    json_t *items = json_array();
    if (json_array_append_new(items, item) != 0) {
        json_decref(items);
        return ERR_NO_MEMORY;
    }
    json_t *wrapped = json_object();
    if (set(wrapped, list, items)) {
        json_decref(wrapped);
        return ERR_NO_MEMORY;
    }
    *body = wrapped;
    return ERR_NONE;
}

enum error client_request_instance(const struct client_args *args, json_t **body,
                                   char problem[CLIENT_PROBLEM_MAX])
{
    if (!client_args_has(args, "ip") && !client_args_has(args, "url")) {
        snprintf(problem, CLIENT_PROBLEM_MAX,
                 "the address is missing: give --ip IP --port N, or --url URL");
        return ERR_INVALID_FIELD;
    }
    json_t *instance = json_object();
    enum error error = instance ? set_key(instance, args) : ERR_NO_MEMORY;
    if (!error)
        error = set_fields(instance, instance_fields, args);
    if (!error)
        error = set_metadata(instance, args, problem);
    if (error) {
        json_decref(instance);
        return error;
    }
    return wrap("instances", instance, body);
}

enum error client_request_key(const struct client_args *args, json_t **body)
{
    json_t *key = json_object();
    enum error error = key ? set_key(key, args) : ERR_NO_MEMORY;
    if (error) {
        json_decref(key);
        return error;
    }
    return wrap("instance_keys", key, body);
}

/* Percent-encodes all but the unreserved characters of RFC 3986. */
static void escape(struct text *to, const char *from)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    for (; *from; from++)
        if (strchr(plain, *from))
            text_append_char(to, *from);
        else
            text_printf(to, "%%%02X", (unsigned)(unsigned char)*from);
}

void client_request_service_path(const char *service, bool all, struct text *path)
{
    text_append_string(path, "/api/discovery/service?service_id=");
    escape(path, service);
    if (all)
        text_append_string(path, "&status=all");
}
