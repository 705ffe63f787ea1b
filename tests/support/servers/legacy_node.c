/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/servers/legacy_node.h"

#include "tests/support/client/http.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/quoted_json.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BASE "/api/replication/registry/"

enum { BODY_MAX = 2 * 1024 * 1024, NAME_BYTES = 200 };

struct received {
    char name[NAME_BYTES]; /* service/instance */
    bool lives;
    int renewals;
};

struct legacy_node {
    enum legacy_version version;
    struct MHD_Daemon *daemon;
    uint16_t port;
    char *services;
    pthread_mutex_t lock; /* protects the members below */
    struct received received[LEGACY_NODE_KEYS_MAX];
    int received_count;
    char violation[512];
};

struct body {
    char *bytes;
    size_t size;
};

/* --- types ------------------------------------------------------------------------------------ */

static void record_violation(struct legacy_node *node, const char *violation, const char *where)
{
    if (!node->violation[0])
        snprintf(node->violation, sizeof node->violation, "%s: %.400s", violation, where);
}

/* The name in the casing of this version. */
static const char *cased(const struct legacy_node *node, const char *snake, const char *camel)
{
    return node->version == LEGACY_CAMEL ? camel : snake;
}

static bool has_text(const json_t *item, const char *name)
{
    return json_is_string(json_object_get(item, name));
}

static bool has_ids(const struct legacy_node *node, const json_t *item)
{
    return has_text(item, cased(node, "region_id", "regionId")) &&
           has_text(item, cased(node, "zone_id", "zoneId")) &&
           has_text(item, cased(node, "service_id", "serviceId")) &&
           has_text(item, cased(node, "instance_id", "instanceId"));
}

static bool is_key(const struct legacy_node *node, const json_t *item)
{
    return has_ids(node, item) && has_text(item, cased(node, "group_id", "groupId"));
}

static bool is_instance(const struct legacy_node *node, const json_t *item)
{
    static const char *const words[] = {"starting", "up", "down", "unhealthy", "unknown"};
    const char *status = json_string_value(json_object_get(item, "status"));
    json_int_t port = json_integer_value(json_object_get(item, "port"));
    bool known = false;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        known |= status && strcmp(status, words[i]) == 0;
    return known && has_ids(node, item) && has_text(item, "ip") && has_text(item, "url") &&
           json_is_integer(json_object_get(item, "port")) && port >= 0 && port <= 65535;
}

static struct received *find(struct legacy_node *node, const char *service_id,
                             const char *instance_id)
{
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "%s/%s", service_id, instance_id);
    for (int i = 0; i < node->received_count; i++)
        if (strcmp(node->received[i].name, name) == 0)
            return &node->received[i];
    if (node->received_count == LEGACY_NODE_KEYS_MAX)
        abort();
    struct received *received = &node->received[node->received_count++];
    *received = (struct received){0};
    memcpy(received->name, name, sizeof name);
    return received;
}

static struct received *find_item(struct legacy_node *node, const json_t *item)
{
    const char *service = cased(node, "service_id", "serviceId");
    const char *instance = cased(node, "instance_id", "instanceId");
    return find(node, json_string_value(json_object_get(item, service)),
                json_string_value(json_object_get(item, instance)));
}

/* --- calls ------------------------------------------------------------------------------------ */

/* Applies the items. Returns the JSON of the response, or NULL if they were not readable. */
static json_t *take(struct legacy_node *node, const char *path, const json_t *body)
{
    bool whole = strstr(path, "register.json") && !strstr(path, "unregister");
    const char *keys = cased(node, "instance_keys", "instanceKeys");
    const json_t *items = json_object_get(body, whole ? "instances" : keys);
    json_t *failed = json_array();
    size_t i;
    json_t *item;
    bool ok = json_is_array(items);
    json_array_foreach(items, i, item)
    {
        ok = ok && (whole ? is_instance(node, item) : is_key(node, item));
        if (!ok)
            break;
        struct received *received = find_item(node, item);
        if (strstr(path, "heartbeat") && !received->lives)
            json_array_append(failed, item);
        if (strstr(path, "heartbeat"))
            received->renewals += received->lives;
        else
            received->lives = whole;
    }
    bool any_failed = json_array_size(failed) > 0;
    json_t *response = ok ? json_pack("{s:{s:s}}", cased(node, "response_status", "responseStatus"),
                                      cased(node, "error_code", "errorCode"),
                                      any_failed ? "bad-request" : "success")
                          : NULL;
    if (response && any_failed)
        json_object_set(response, cased(node, "failed_instance_keys", "failedInstanceKeys"),
                        failed);
    json_decref(failed);
    return response;
}

static enum MHD_Result response(struct MHD_Connection *connection, unsigned status,
                                const char *text)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        strlen(text), (char *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result respond_to_post(struct legacy_node *node, struct MHD_Connection *connection,
                                       const char *path, const struct body *body)
{
    static const char *const paths[] = {BASE "register.json", BASE "unregister.json",
                                        BASE "heartbeat.json", BASE "batch-register.json",
                                        BASE "batch-unregister.json"};
    bool known = false;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        known |= strcmp(path, paths[i]) == 0;
    json_t *json =
        json_loadb(body->bytes ? body->bytes : "", body->size, JSON_REJECT_DUPLICATES, NULL);
    bool is_read = known && json && node->version != LEGACY_REJECTS;
    json_t *response_json = is_read ? take(node, path, json) : NULL;
    if (!known)
        record_violation(node, "unknown path", path);
    else if (!response_json && node->version != LEGACY_REJECTS)
        record_violation(node, "unreadable body", body->bytes ? body->bytes : "");
    char *text =
        response_json ? json_dumps(response_json, JSON_COMPACT) : strdup("Failed to deserialize");
    enum MHD_Result result = response(connection, response_json ? 200 : known ? 422 : 404, text);
    free(text);
    json_decref(response_json);
    json_decref(json);
    return result;
}

static enum MHD_Result respond_to_get(struct legacy_node *node, struct MHD_Connection *connection,
                                      const char *path)
{
    if (strcmp(path, "/health") == 0)
        return response(connection, 200, "OK");
    if (strcmp(path, BASE "services.json") != 0) {
        record_violation(node, "unknown path", path);
        return response(connection, 404, "");
    }
    if (!MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "regionId")) {
        record_violation(node, "without regionId", path);
        return response(connection, 400, "missing field `regionId`");
    }
    return response(connection, 200, node->services);
}

static void check_head(struct legacy_node *node, struct MHD_Connection *connection,
                       const char *path)
{
    const char *type = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Type");
    if (!type || strcmp(type, "application/json") != 0)
        record_violation(node, "not sent as application/json", path);
    if (MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Encoding"))
        record_violation(node, "compressed body", path);
    if (!MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "X-Artemis-Replication"))
        record_violation(node, "without X-Artemis-Replication", path);
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **request)
{
    (void)version;
    struct legacy_node *node = context;
    struct body *body = *request;
    if (!body) {
        *request = calloc(1, sizeof *body);
        return *request ? MHD_YES : MHD_NO;
    }
    if (*size) {
        body->bytes = realloc(body->bytes, body->size + *size + 1);
        if (!body->bytes || body->size + *size > BODY_MAX)
            abort();
        memcpy(body->bytes + body->size, data, *size);
        body->size += *size;
        body->bytes[body->size] = '\0';
        *size = 0;
        return MHD_YES;
    }
    enum MHD_Result result;
    pthread_mutex_lock(&node->lock);
    if (strcmp(method, "POST") == 0) {
        check_head(node, connection, path);
        result = respond_to_post(node, connection, path, body);
    } else {
        result = respond_to_get(node, connection, path);
    }
    pthread_mutex_unlock(&node->lock);
    return result;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **request,
                         enum MHD_RequestTerminationCode why)
{
    (void)context;
    (void)connection;
    (void)why;
    struct body *body = *request;
    if (body)
        free(body->bytes);
    free(body);
    *request = NULL;
}

/* --- start and stop --------------------------------------------------------------------------- */

struct legacy_node *legacy_node_start(enum legacy_version version, const char *services)
{
    struct legacy_node *node = calloc(1, sizeof *node);
    assert_non_null(node);
    pthread_mutex_init(&node->lock, NULL);
    node->version = version;
    node->services = quoted_text(
        "{'%s':{'%s':'success'},'services':%s}", cased(node, "response_status", "responseStatus"),
        cased(node, "error_code", "errorCode"), services ? services : "[]");
    for (char *at = strchr(node->services, '\''); at; at = strchr(at, '\''))
        *at = '"';
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    node->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, handle, node,
                                    MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_NOTIFY_COMPLETED,
                                    on_completed, NULL, MHD_OPTION_END);
    assert_non_null(node->daemon);
    node->port = MHD_get_daemon_info(node->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    return node;
}

uint16_t legacy_node_port(const struct legacy_node *node)
{
    return node->port;
}

bool legacy_node_has(struct legacy_node *node, const char *service_id, const char *instance_id)
{
    pthread_mutex_lock(&node->lock);
    bool lives = find(node, service_id, instance_id)->lives;
    pthread_mutex_unlock(&node->lock);
    return lives;
}

int legacy_node_renewals(struct legacy_node *node, const char *service_id, const char *instance_id)
{
    pthread_mutex_lock(&node->lock);
    int renewals = find(node, service_id, instance_id)->renewals;
    pthread_mutex_unlock(&node->lock);
    return renewals;
}

void legacy_node_stop(struct legacy_node *node)
{
    char violation[sizeof node->violation];
    MHD_stop_daemon(node->daemon);
    memcpy(violation, node->violation, sizeof violation);
    pthread_mutex_destroy(&node->lock);
    free(node->services);
    free(node);
    if (violation[0])
        fail_msg("the legacy node got what it cannot read: %s", violation);
}
