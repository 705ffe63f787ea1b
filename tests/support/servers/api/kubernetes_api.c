/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/servers/api/kubernetes_api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/servers/api/kubernetes_api_internal.h"

enum { FIRST_REVISION = 1000 };

const struct api_kind api_kinds[API_KINDS] = {
    [API_SLICES] = {"discovery.k8s.io/v1",
                    "/apis/discovery.k8s.io/v1/namespaces/prod/endpointslices",
                    "kubernetes.io/service-name", "EndpointSliceList"},
    [API_LEASES] = {"coordination.k8s.io/v1", "/apis/coordination.k8s.io/v1/namespaces/prod/leases",
                    "artemis/service", "LeaseList"},
};

/* --- objects ---------------------------------------------------------------------------------- */

static json_t *objects_of(struct kubernetes_api *api, enum kubernetes_api_kind kind)
{
    return kind == API_SLICES ? api->slices : api->leases;
}

static bool is_selected(enum kubernetes_api_kind kind, json_t *object, const char *selector)
{
    char text[160];
    json_t *labels = json_object_get(json_object_get(object, "metadata"), "labels");
    const char *value = json_string_value(json_object_get(labels, api_kinds[kind].label));
    snprintf(text, sizeof text, "%s=%s", api_kinds[kind].label, value ? value : "");
    return !selector || strcmp(selector, text) == 0;
}

/* Gives the object the next version and appends the change to the history. The lock is held. */
static void change(struct kubernetes_api *api, enum kubernetes_api_kind kind, const char *type,
                   json_t *object)
{
    char version[24];
    struct api_change *added = &api->changes[api->change_count++];
    json_t *labels = json_object_get(json_object_get(object, "metadata"), "labels");
    const char *value = json_string_value(json_object_get(labels, api_kinds[kind].label));
    assert_true(api->change_count < API_CHANGES_MAX);
    snprintf(version, sizeof version, "%llu", (unsigned long long)++api->revision);
    json_object_set_new(json_object_get(object, "metadata"), "resourceVersion",
                        json_string(version));
    json_t *event = json_pack("{s:s, s:O}", "type", type, "object", object);
    *added = (struct api_change){api->revision, kind, json_dumps(event, JSON_COMPACT), NULL};
    assert_true(asprintf(&added->labels, "%s=%s", api_kinds[kind].label, value ? value : "") > 0);
    json_decref(event);
    pthread_cond_broadcast(&api->http.on_change);
}

/* Takes over the object. */
static void store(struct kubernetes_api *api, enum kubernetes_api_kind kind, json_t *object)
{
    json_t *objects = objects_of(api, kind);
    const char *name =
        json_string_value(json_object_get(json_object_get(object, "metadata"), "name"));
    bool is_new = !json_object_get(objects, name);
    json_object_set_new(objects, name, object);
    change(api, kind, is_new ? "ADDED" : "MODIFIED", object);
}

static void discard(struct kubernetes_api *api, enum kubernetes_api_kind kind, const char *name)
{
    json_t *object = json_incref(json_object_get(objects_of(api, kind), name));
    json_object_del(objects_of(api, kind), name);
    change(api, kind, "DELETED", object);
    json_decref(object);
}

/* --- EndpointSlices --------------------------------------------------------------------------- */

static json_t *endpoint_of(const struct kubernetes_pod *pod)
{
    json_t *endpoint = json_pack(
        "{s:[s], s:{s:b, s:b, s:b}, s:{s:s, s:s, s:s, s:s+}, s:s}", "addresses", pod->address,
        "conditions", "ready", pod->is_ready && !pod->is_terminating, "serving", pod->is_ready,
        "terminating", pod->is_terminating, "targetRef", "kind", "Pod", "namespace", "prod", "name",
        pod->name, "uid", "uid-", pod->name, "nodeName", "worker-1");
    if (pod->zone)
        json_object_set_new(endpoint, "zone", json_string(pod->zone));
    return endpoint;
}

/* A slice for each family of addresses, written again. The lock is held. */
static void write_slice(struct kubernetes_api *api, bool is_ipv6)
{
    json_t *endpoints = json_array();
    const char *name = is_ipv6 ? "artemis-six" : "artemis-four";
    for (size_t i = 0; i < api->pod_count; i++)
        if ((strchr(api->pods[i].address, ':') != NULL) == is_ipv6)
            json_array_append_new(endpoints, endpoint_of(&api->pods[i]));
    store(api, API_SLICES,
          json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:s, s:s}}, s:s, s:o, s:[{s:s, s:i, s:s}]}",
                    "apiVersion", api_kinds[API_SLICES].group, "kind", "EndpointSlice", "metadata",
                    "name", name, "namespace", "prod", "labels", "kubernetes.io/service-name",
                    "artemis", "endpointslice.kubernetes.io/managed-by",
                    "endpointslice-controller.k8s.io", "addressType", is_ipv6 ? "IPv6" : "IPv4",
                    "endpoints", endpoints, "ports", "name", "peer", "port", (int)api->peer_port,
                    "protocol", "TCP"));
}

void kubernetes_api_put_pod(struct kubernetes_api *api, const struct kubernetes_pod *pod)
{
    size_t i = 0;
    pthread_mutex_lock(&api->http.lock);
    while (i < api->pod_count && strcmp(api->pods[i].name, pod->name) != 0)
        i++;
    assert_true(i < API_PODS_MAX);
    api->pod_count += i == api->pod_count;
    api->pods[i] = *pod;
    write_slice(api, strchr(pod->address, ':') != NULL);
    pthread_mutex_unlock(&api->http.lock);
}

void kubernetes_api_remove_pod(struct kubernetes_api *api, const char *name)
{
    pthread_mutex_lock(&api->http.lock);
    for (size_t i = 0; i < api->pod_count; i++) {
        if (strcmp(api->pods[i].name, name) != 0)
            continue;
        bool is_ipv6 = strchr(api->pods[i].address, ':') != NULL;
        api->pods[i] = api->pods[--api->pod_count];
        write_slice(api, is_ipv6);
        break;
    }
    pthread_mutex_unlock(&api->http.lock);
}

void kubernetes_api_set_pods(struct kubernetes_api *api, const struct kubernetes_pod *pods,
                             size_t count)
{
    assert_true(count <= API_PODS_MAX);
    pthread_mutex_lock(&api->http.lock);
    memcpy(api->pods, pods, count * sizeof *pods);
    api->pod_count = count;
    write_slice(api, false);
    pthread_mutex_unlock(&api->http.lock);
}

/* --- responses -------------------------------------------------------------------------------- */

/* Takes over the object. */
static enum MHD_Result respond(struct MHD_Connection *connection, unsigned status, json_t *object)
{
    const char *headers[] = {"Content-Type", "application/json", "Retry-After", "1", NULL};
    char *text = json_dumps(object, JSON_COMPACT);
    assert_non_null(text);
    if (status != 429)
        headers[2] = NULL;
    enum MHD_Result result = json_api_respond(connection, status, text, headers);
    free(text);
    json_decref(object);
    return result;
}

json_t *api_status(unsigned code, const char *reason, const char *message)
{
    return json_pack("{s:s, s:s, s:{}, s:s, s:s, s:s, s:i}", "kind", "Status", "apiVersion", "v1",
                     "metadata", "status", code < 300 ? "Success" : "Failure", "reason", reason,
                     "message", message, "code", (int)code);
}

enum MHD_Result api_respond_status(struct MHD_Connection *connection, unsigned code,
                                   const char *reason)
{
    return respond(connection, code, api_status(code, reason, reason));
}

static enum MHD_Result respond_list(struct kubernetes_api *api, struct MHD_Connection *connection,
                                    enum kubernetes_api_kind kind)
{
    char version[24];
    const char *name;
    json_t *object;
    json_t *items = json_array();
    pthread_mutex_lock(&api->http.lock);
    api->lists[kind]++;
    snprintf(version, sizeof version, "%llu", (unsigned long long)api->revision);
    json_object_foreach(
        objects_of(api, kind), name,
        object) if (is_selected(kind, object, json_api_argument(connection, "labelSelector")))
        json_array_append_new(items, json_deep_copy(object));
    pthread_cond_broadcast(&api->http.on_change);
    pthread_mutex_unlock(&api->http.lock);
    return respond(connection, 200,
                   json_pack("{s:s, s:s, s:{s:s}, s:o}", "kind", api_kinds[kind].list, "apiVersion",
                             api_kinds[kind].group, "metadata", "resourceVersion", version, "items",
                             items));
}

/* --- Leases ----------------------------------------------------------------------------------- */

/* The API wants microseconds: "2026-02-14T08:00:00.123000Z". */
static bool is_time(json_t *value)
{
    const char *text = json_string_value(value);
    return text && strlen(text) == 27 && text[10] == 'T' && text[19] == '.' && text[26] == 'Z';
}

static bool is_lease(json_t *lease, const char *name)
{
    json_t *spec = json_object_get(lease, "spec");
    const char *named =
        json_string_value(json_object_get(json_object_get(lease, "metadata"), "name"));
    return named && (!name || strcmp(named, name) == 0) &&
           named[strspn(named, "abcdefghijklmnopqrstuvwxyz0123456789-.")] == '\0' &&
           json_integer_value(json_object_get(spec, "leaseDurationSeconds")) > 0 &&
           is_time(json_object_get(spec, "acquireTime")) &&
           is_time(json_object_get(spec, "renewTime"));
}

static const char *version_of(json_t *object)
{
    return json_string_value(
        json_object_get(json_object_get(object, "metadata"), "resourceVersion"));
}

static enum MHD_Result create_lease(struct kubernetes_api *api, struct MHD_Connection *connection,
                                    json_t *lease)
{
    const char *name =
        json_string_value(json_object_get(json_object_get(lease, "metadata"), "name"));
    if (json_object_get(api->leases, name))
        return api_respond_status(connection, 409, "AlreadyExists");
    store(api, API_LEASES, json_incref(lease));
    return respond(connection, 201, json_incref(lease));
}

static enum MHD_Result replace_lease(struct kubernetes_api *api, struct MHD_Connection *connection,
                                     json_t *lease, json_t *before)
{
    if (!version_of(lease))
        return api_respond_status(connection, 422, "Invalid");
    if (strcmp(version_of(lease), version_of(before)) != 0)
        return api_respond_status(connection, 409, "Conflict");
    store(api, API_LEASES, json_incref(lease));
    return respond(connection, 200, json_incref(lease));
}

/* `name` NULL: the collection. The lock is held. */
static enum MHD_Result respond_lease(struct kubernetes_api *api, struct MHD_Connection *connection,
                                     const char *method, const char *name, const char *body)
{
    enum MHD_Result result;
    json_t *lease = body[0] ? json_loads(body, JSON_REJECT_DUPLICATES, NULL) : NULL;
    json_t *before = name ? json_object_get(api->leases, name) : NULL;
    bool is_write = strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0;
    if (is_write && !is_lease(lease, name))
        result = api_respond_status(connection, 400, "BadRequest");
    else if (strcmp(method, "POST") == 0)
        result = create_lease(api, connection, lease);
    else if (!before)
        result = api_respond_status(connection, 404, "NotFound");
    else if (strcmp(method, "PUT") == 0)
        result = replace_lease(api, connection, lease, before);
    else if (strcmp(method, "DELETE") == 0) {
        discard(api, API_LEASES, name);
        result = api_respond_status(connection, 200, "Deleted");
    } else {
        result = respond(connection, 200, json_deep_copy(before));
    }
    json_decref(lease);
    return result;
}

bool kubernetes_api_has_lease(struct kubernetes_api *api, const char *name)
{
    pthread_mutex_lock(&api->http.lock);
    bool has = json_object_get(api->leases, name) != NULL;
    pthread_mutex_unlock(&api->http.lock);
    return has;
}

/* --- requests --------------------------------------------------------------------------------- */

static bool has_token(struct kubernetes_api *api, struct MHD_Connection *connection)
{
    char expected[96];
    const char *given = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization");
    pthread_mutex_lock(&api->http.lock);
    snprintf(expected, sizeof expected, "Bearer %s", api->token);
    bool has = given && strcmp(given, expected) == 0;
    api->rejected_tokens += !has;
    pthread_cond_broadcast(&api->http.on_change);
    pthread_mutex_unlock(&api->http.lock);
    return has;
}

static enum MHD_Result respond_kind(struct kubernetes_api *api, struct MHD_Connection *connection,
                                    enum kubernetes_api_kind kind, const char *method,
                                    const char *rest, const char *body)
{
    static const char *const reasons[] = {"Forbidden", "TooManyRequests", "InternalError"};
    unsigned status = json_api_count(&api->http, &api->status[kind]);
    const char *watch = json_api_argument(connection, "watch");
    if (status) {
        pthread_mutex_lock(&api->http.lock);
        api->odd_responses += rest[0] != '\0';
        pthread_cond_broadcast(&api->http.on_change);
        pthread_mutex_unlock(&api->http.lock);
        return api_respond_status(connection, status,
                                  reasons[status == 403   ? 0
                                          : status == 429 ? 1
                                                          : 2]);
    }
    if (rest[0] == '\0' && strcmp(method, "GET") == 0)
        return watch && watch[0] != '0' && watch[0] != 'f'
                   ? api_respond_watch(api, connection, kind)
                   : respond_list(api, connection, kind);
    if (kind != API_LEASES || (rest[0] != '\0' && rest[0] != '/'))
        return api_respond_status(connection, 404, "NotFound");
    pthread_mutex_lock(&api->http.lock);
    enum MHD_Result result =
        respond_lease(api, connection, method, rest[0] ? rest + 1 : NULL, body);
    pthread_mutex_unlock(&api->http.lock);
    return result;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *method,
                              const char *path, const char *body)
{
    struct kubernetes_api *api = context;
    if (!has_token(api, connection))
        return api_respond_status(connection, 401, "Unauthorized");
    for (int kind = 0; kind < API_KINDS; kind++)
        if (strncmp(path, api_kinds[kind].path, strlen(api_kinds[kind].path)) == 0)
            return respond_kind(api, connection, (enum kubernetes_api_kind)kind, method,
                                path + strlen(api_kinds[kind].path), body);
    return api_respond_status(connection, 404, "NotFound");
}

/* --- what tests set and read ------------------------------------------------------------------ */

static void write_token(struct kubernetes_api *api, unsigned number)
{
    pthread_mutex_lock(&api->http.lock);
    snprintf(api->token, sizeof api->token, "token-of-the-service-account-%u", number);
    temp_folder_write(&api->http.folder, "token", api->token);
    pthread_mutex_unlock(&api->http.lock);
}

void kubernetes_api_rotate_token(struct kubernetes_api *api)
{
    write_token(api, (unsigned)strtoul(strrchr(api->token, '-') + 1, NULL, 10) + 1);
}

void kubernetes_api_drop_watches(struct kubernetes_api *api)
{
    pthread_mutex_lock(&api->http.lock);
    api->drops++;
    pthread_cond_broadcast(&api->http.on_change);
    pthread_mutex_unlock(&api->http.lock);
}

void kubernetes_api_forget(struct kubernetes_api *api)
{
    pthread_mutex_lock(&api->http.lock);
    api->oldest = ++api->revision;
    pthread_mutex_unlock(&api->http.lock);
}

void kubernetes_api_set_status(struct kubernetes_api *api, enum kubernetes_api_kind kind,
                               unsigned status)
{
    pthread_mutex_lock(&api->http.lock);
    api->status[kind] = status;
    pthread_mutex_unlock(&api->http.lock);
}

/* --- start and stop --------------------------------------------------------------------------- */

void kubernetes_api_init(struct kubernetes_api *api, uint16_t peer_port, bool has_tls)
{
    memset(api, 0, sizeof *api);
    json_api_init(&api->http, has_tls, handle, api);
    api->peer_port = peer_port;
    api->revision = api->oldest = FIRST_REVISION;
    api->changes = calloc(API_CHANGES_MAX, sizeof *api->changes);
    api->leases = json_object();
    api->slices = json_object();
    assert_non_null(api->changes);
    temp_folder_write(&api->http.folder, "namespace", "prod");
    write_token(api, 1);
}

void kubernetes_api_start(struct kubernetes_api *api)
{
    json_api_start(&api->http);
}

void kubernetes_api_stop(struct kubernetes_api *api)
{
    json_api_stop(&api->http);
}

void kubernetes_api_free(struct kubernetes_api *api)
{
    json_api_stop(&api->http);
    for (size_t i = 0; i < api->change_count; i++) {
        free(api->changes[i].line);
        free(api->changes[i].labels);
    }
    free(api->changes);
    json_decref(api->leases);
    json_decref(api->slices);
    json_api_free(&api->http);
    memset(api, 0, sizeof *api);
}
