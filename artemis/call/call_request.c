/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/call/call_request.h"

#include "artemis-core/base/suggest.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Maps an option to a field. */
struct mapping {
    const char *option;
    const char *field;
    bool number;
};

static const struct mapping instance_fields[] = {
    {"ip", "ip", false},
    {"port", "port", true},
    {"url", "url", false},
    {"status", "status", false},
    {"weight", "weight", true},
    {"protocol", "protocol", false},
    {"machine", "machine_name", false},
    {"health-url", "health_check_url", false},
    {NULL, NULL, false},
};

static enum error set(json_t *object, const char *field, json_t *value)
{
    return json_object_set_new(object, field, value) == 0 ? ERR_NONE : ERR_NO_MEMORY;
}

static enum error set_fields(json_t *object, const struct mapping *mapping, const struct args *args)
{
    for (; mapping->option; mapping++) {
        const char *text = args_text(args, mapping->option);
        if (!text)
            continue;
        json_t *value =
            mapping->number ? json_integer(args_number(args, mapping->option)) : json_string(text);
        if (set(object, mapping->field, value))
            return ERR_NO_MEMORY;
    }
    return ERR_NONE;
}

static enum error set_key(json_t *object, const struct key_args *key)
{
    const char *const fields[][2] = {
        {"service_id", key->service},
        {"instance_id", key->instance},
        {"region_id", key->region},
        {"zone_id", key->zone},
        {"group_id", *key->group ? key->group : NULL},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (fields[i][1] && set(object, fields[i][0], json_string(fields[i][1])))
            return ERR_NO_MEMORY;
    return ERR_NONE;
}

static enum error set_metadata(json_t *object, const struct args *args)
{
    size_t position = 0;
    const char *pair = args_next(args, "meta", &position);
    if (!pair)
        return ERR_NONE;
    json_t *metadata = json_object();
    if (set(object, "metadata", metadata))
        return ERR_NO_MEMORY;
    for (; pair; pair = args_next(args, "meta", &position)) {
        size_t name_length = strcspn(pair, "=");
        char *name = strndup(pair, name_length);
        enum error error =
            name ? set(metadata, name, json_string(pair + name_length + 1)) : ERR_NO_MEMORY;
        free(name);
        if (error)
            return error;
    }
    return ERR_NONE;
}

/* --- checks ----------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static enum error invalid(char problem[ARGS_PROBLEM_MAX],
                                                                const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem, ARGS_PROBLEM_MAX, format, arguments);
    va_end(arguments);
    return ERR_INVALID_FIELD;
}

static bool is_ip(const char *text)
{
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
}

/* SCHEME://HOST..., without blanks. */
static bool is_url(const char *text)
{
    static const char scheme[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.";
    size_t length = strspn(text, scheme);
    if (length == 0 || strncmp(text + length, "://", 3) != 0)
        return false;
    const char *host = text + length + 3;
    return *host != '\0' && !strchr("/?#:", *host) && !strpbrk(text, " \t\r\n");
}

static enum error check_url(const struct args *args, const char *name,
                            char problem[ARGS_PROBLEM_MAX])
{
    const char *url = args_text(args, name);
    if (!url || is_url(url))
        return ERR_NONE;
    return invalid(problem, "--%s must be a URL such as http://HOST:PORT, is %.128s", name,
                   *url ? url : "empty");
}

static enum error check_metadata(const struct args *args, char problem[ARGS_PROBLEM_MAX])
{
    size_t position = 0;
    for (const char *pair; (pair = args_next(args, "meta", &position));) {
        size_t name_length = strcspn(pair, "=");
        if (name_length == 0 || pair[name_length] == '\0')
            return invalid(problem, "--meta must be KEY=VALUE, is %.64s", *pair ? pair : "empty");
    }
    return ERR_NONE;
}

enum error call_request_check_status(const char *what, const char *status,
                                     char problem[ARGS_PROBLEM_MAX])
{
    struct suggestion near = {.word = status};
    for (enum instance_status known = STATUS_UP; known <= STATUS_UNKNOWN; known++) {
        struct slice name = instance_status_name(known);
        if (strlen(status) == name.size && memcmp(status, name.data, name.size) == 0)
            return ERR_NONE;
        suggest_consider(&near, name.data);
    }
    return invalid(problem, "%s must be up, down, starting, unhealthy or unknown, is %.64s%s%s%s",
                   what, *status ? status : "empty", near.best ? "; did you mean " : "",
                   near.best ? near.best : "", near.best ? "?" : "");
}

enum error call_request_check_instance(const struct args *args, char problem[ARGS_PROBLEM_MAX])
{
    const char *ip = args_text(args, "ip");
    const char *status = args_text(args, "status");
    if (!ip && !args_has(args, "url"))
        return invalid(problem, "the address is missing: give --ip IP --port N, or --url URL");
    if (ip && !is_ip(ip))
        return invalid(problem,
                       "--ip must be an IPv4 or IPv6 address, is %.64s; for a host name "
                       "give --url http://HOST:PORT",
                       *ip ? ip : "empty");
    if (check_url(args, "url", problem) || check_url(args, "health-url", problem) ||
        check_metadata(args, problem))
        return ERR_INVALID_FIELD;
    return status ? call_request_check_status("--status", status, problem) : ERR_NONE;
}

/* --- bodies ----------------------------------------------------------------------------------- */

enum error call_request_wrap(const char *list, json_t *item, json_t **body)
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

enum error call_request_instance(const struct args *args, const struct key_args *key, json_t **body)
{
    json_t *instance = json_object();
    if (!instance || set_key(instance, key) || set_fields(instance, instance_fields, args) ||
        set_metadata(instance, args)) {
        json_decref(instance);
        return ERR_NO_MEMORY;
    }
    return call_request_wrap("instances", instance, body);
}

enum error call_request_key(const struct key_args *key, json_t **body)
{
    json_t *object = json_object();
    if (!object || set_key(object, key)) {
        json_decref(object);
        return ERR_NO_MEMORY;
    }
    return call_request_wrap("instance_keys", object, body);
}

/* --- paths ------------------------------------------------------------------------------------ */

/* All but the unreserved characters of RFC 3986 are encoded. */
void call_request_escape(struct text *to, const char *from)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    for (; *from; from++)
        if (strchr(plain, *from))
            text_append_char(to, *from);
        else
            text_printf(to, "%%%02X", (unsigned)(unsigned char)*from);
}

void call_request_service_path(const char *service, bool all, struct text *path)
{
    text_append_string(path, "/api/discovery/service?service_id=");
    call_request_escape(path, service);
    if (all)
        text_append_string(path, "&status=all");
}
