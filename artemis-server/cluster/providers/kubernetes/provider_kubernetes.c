/* SPDX-License-Identifier: Apache-2.0
 *
 * The membership provider `kubernetes`: the pods of cluster.kubernetes.service, and a Lease for
 * each node.
 *
 * A thread lists and watches the EndpointSlices of the service and the Leases of its nodes, and
 * renews the Lease of this node. After a reload it lists all again with the new settings, and keeps
 * the Lease. kubernetes_view.h decides who is a member, kubernetes_watch.h and kubernetes_lease.h
 * what is requested when.
 */
#include "artemis-server/cluster/providers/provider.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "artemis-server/clock.h"
#include "artemis-server/cluster/providers/kubernetes/kubernetes_lease.h"
#include "artemis-server/cluster/providers/kubernetes/kubernetes_view.h"
#include "artemis-server/cluster/providers/kubernetes/kubernetes_watch.h"
#include "artemis-server/cluster/providers/kubernetes/provider_kubernetes_settings.h"
#include "artemis-server/cluster/providers/provider_http.h"
#include "artemis-server/cluster/providers/provider_settings.h"
#include "artemis-server/log.h"

enum {
    MS_PER_SEC = 1000,
    REQUEST_TIMEOUT_MS = 5000, /* or a third of the Lease, if that is less */
    WATCH_SECS = 240,          /* after which the server ends a watch */
    WATCH_TIMEOUT_MS = (WATCH_SECS + 10) * MS_PER_SEC,
    LEAVE_MS = 2000, /* for the deletion of the Lease */
    TICK_MS = 1000,  /* the longest sleep */
    RESPONSE_BYTES_MAX = 8 << 20,
    URL_BYTES = KUBERNETES_SERVER_BYTES + 512,
    REPORT_BYTES = 512,
};

struct kubernetes;

/* The EndpointSlices of the service, or the Leases of its nodes. */
struct collection {
    struct kubernetes *owner;
    struct kubernetes_source source;
    struct kubernetes_watch watch;
    struct provider_http_call *call; /* NULL: none is in flight */
    char url[URL_BYTES];             /* of the list */
    uint64_t asked_ms;
    int64_t
        line_error; /* why a line has ended the watch: the code of an ERROR event, or -1; or 0 */
    char problem[REPORT_BYTES]; /* of watch.failing */
};

struct kubernetes {
    struct provider *provider;
    pthread_t thread;
    atomic_bool is_stopping;
    struct provider_settings reloaded;
    /* Of the thread alone: */
    struct kubernetes_settings settings;
    const char *settings_problem; /* why they are older than `reloaded`; NULL: they are not */
    uint64_t timeout_ms, acquired_wall_ms;
    struct provider_http *http;
    struct collection collections[KUBERNETES_KINDS];
    struct kubernetes_lease lease;
    struct provider_http_call *lease_call; /* NULL: none is in flight */
    char lease_problem[REPORT_BYTES];      /* "": it was renewed since the last failure */
    struct kubernetes_view view;
    struct kubernetes_event event;  /* the one that is being read */
    bool has_published, has_failed; /* a request has failed since the last report */
    struct member_list members;     /* the last published */
    size_t left_out;                /* members beyond MEMBERS_MAX */
    char reported[REPORT_BYTES];    /* "": none */
};

static const struct {
    const char *path, *resource, *label;
} kinds[] = {
    [KUBERNETES_SLICES] = {"/apis/discovery.k8s.io/v1", "endpointslices",
                           "kubernetes.io%2Fservice-name"},
    [KUBERNETES_LEASES] = {"/apis/coordination.k8s.io/v1", "leases", "artemis%2Fservice"},
};

static uint64_t random_number(void)
{
    uint64_t number = 0;
    (void)!getrandom(&number, sizeof(number), 0);
    return number;
}

/* --- failures --------------------------------------------------------------------------------- */

/* How long the server demands to wait; 0: it does not, or there is no response. */
static uint64_t wait_of(const struct provider_http_response *response)
{
    uint64_t secs = 0;
    const char *value = response->status ? provider_http_header(response, "Retry-After") : NULL;
    if (!value || !slice_to_u64(slice_of(value), &secs) || secs > KUBERNETES_RETRY_MAX_MS)
        return 0;
    return secs * MS_PER_SEC;
}

/* `verb` is that of a rule of RBAC. */
static void describe(const struct kubernetes *kubernetes, enum kubernetes_kind kind,
                     const char *verb, const struct provider_http_response *response,
                     char out[REPORT_BYTES])
{
    struct kubernetes_status status = {0};
    const char *token_file = kubernetes->settings.token_file;
    if (response->status == 401)
        snprintf(out, REPORT_BYTES, "401: the API server %s%s",
                 token_file[0] ? "does not accept the token in "
                               : "wants a token: set cluster.kubernetes.account_dir",
                 token_file);
    else if (response->status == 403)
        snprintf(out, REPORT_BYTES,
                 "403: the Role of the service account lacks the verb \"%s\" for %s (%s) in the "
                 "namespace %s",
                 verb, kinds[kind].resource,
                 kind == KUBERNETES_SLICES ? "discovery.k8s.io" : "coordination.k8s.io",
                 kubernetes->settings.namespace);
    else
        kubernetes_read_status(response->body, &status);
    if (response->status != 401 && response->status != 403)
        snprintf(out, REPORT_BYTES, "%s of %s: %.250s%s%s", verb, kinds[kind].resource,
                 response->problem, status.message[0] ? ": " : "", status.message);
    text_drop_partial(out);
}

static void note_failure(struct kubernetes *kubernetes, uint64_t now_ms)
{
    kubernetes_view_on_failure(&kubernetes->view, now_ms);
    kubernetes->has_failed = true;
}

/* --- lists and watches ------------------------------------------------------------------------ */

/* The request has ended without a result. `status` as in kubernetes_watch_failed. */
static void fail(struct collection *collection, const struct provider_http_response *response,
                 int64_t status)
{
    struct kubernetes *kubernetes = collection->owner;
    uint64_t now_ms = clock_now().mono_ms;
    const char *verb = collection->watch.running == KUBERNETES_LIST ? "list" : "watch";
    if (!kubernetes_watch_failed(&collection->watch, status, wait_of(response), random_number(),
                                 now_ms))
        return;
    describe(kubernetes, collection->source.kind, verb, response, collection->problem);
    note_failure(kubernetes, now_ms);
}

static void on_list_end(void *context, const struct provider_http_response *response)
{
    static const char unreadable[] = "the response cannot be read";
    struct collection *collection = context;
    struct kubernetes *kubernetes = collection->owner;
    struct provider_http_response refused = *response;
    char version[KUBERNETES_VERSION_BYTES];
    uint64_t now_ms = clock_now().mono_ms;
    collection->call = NULL;
    refused.problem = unreadable;
    refused.body = SLICE("");
    if (response->problem[0])
        fail(collection, response, response->status);
    else if (kubernetes_view_list(&kubernetes->view, &collection->source, response->body,
                                  &kubernetes->event.object, collection->asked_ms, now_ms, version))
        kubernetes_watch_listed(&collection->watch, version, now_ms);
    else
        fail(collection, &refused, -1);
}

static bool on_line(void *context, struct slice line)
{
    struct collection *collection = context;
    struct kubernetes *kubernetes = collection->owner;
    struct kubernetes_event *event = &kubernetes->event;
    if (!kubernetes_read_event(&collection->source, line, event)) {
        collection->line_error = -1;
        return false;
    }
    if (event->type == KUBERNETES_ERROR) {
        collection->line_error = event->status.code > 0 ? event->status.code : -1;
        return false;
    }
    kubernetes_view_event(&kubernetes->view, collection->source.kind, event, clock_now().mono_ms);
    kubernetes_watch_moved(&collection->watch, event->object.version);
    return true;
}

static void on_watch_end(void *context, const struct provider_http_response *response)
{
    struct collection *collection = context;
    struct provider_http_response refused = *response;
    char problem[64];
    collection->call = NULL;
    snprintf(problem, sizeof(problem), "the watch has ended with the error %ld",
             (long)collection->line_error);
    refused.problem = collection->line_error > 0 ? problem : "an event cannot be read";
    if (collection->line_error != 0)
        fail(collection, &refused, collection->line_error);
    else if (response->status / 100 == 2)
        kubernetes_watch_ended(&collection->watch, clock_now().mono_ms);
    else
        fail(collection, response, response->status);
}

static void start_request(struct collection *collection, enum kubernetes_request request,
                          uint64_t now_ms)
{
    struct kubernetes *kubernetes = collection->owner;
    char url[URL_BYTES + 160];
    bool is_watch = request == KUBERNETES_WATCH;
    snprintf(url, sizeof(url), "%s", collection->url);
    if (is_watch)
        snprintf(url, sizeof(url),
                 "%s&watch=1&allowWatchBookmarks=true&timeoutSeconds=%d&resourceVersion=%s",
                 collection->url, WATCH_SECS, collection->watch.version);
    const struct provider_http_request sent = {
        .method = "GET",
        .url = url,
        .timeout_ms = is_watch ? WATCH_TIMEOUT_MS : kubernetes->timeout_ms,
        .bytes_max = RESPONSE_BYTES_MAX,
        .on_line = is_watch ? on_line : NULL,
        .on_end = is_watch ? on_watch_end : on_list_end,
        .context = collection,
    };
    collection->asked_ms = now_ms;
    collection->line_error = 0;
    collection->call = provider_http_start(kubernetes->http, &sent);
    kubernetes_watch_started(&collection->watch, request, now_ms);
    if (!collection->call)
        fail(collection,
             &(struct provider_http_response){.problem = error_info(ERR_NO_MEMORY)->message}, 0);
}

static_assert((int)KUBERNETES_STEADY_MS > (int)KUBERNETES_CONNECT_MS,
              "a connection that hangs fails");

static void step_collection(struct collection *collection, uint64_t now_ms)
{
    kubernetes_watch_tick(&collection->watch, now_ms);
    enum kubernetes_request next = kubernetes_watch_next(&collection->watch, now_ms);
    if (next == KUBERNETES_NONE)
        return;
    provider_http_cancel(collection->owner->http, collection->call);
    collection->call = NULL;
    kubernetes_watch_cancelled(&collection->watch);
    start_request(collection, next, now_ms);
}

/* --- the Lease of this node ------------------------------------------------------------------- */

static const char *const verbs[] = {
    [KUBERNETES_READ] = "get", [KUBERNETES_CREATE] = "create", [KUBERNETES_REPLACE] = "update"};
static const char *const methods[] = {
    [KUBERNETES_READ] = "GET", [KUBERNETES_CREATE] = "POST", [KUBERNETES_REPLACE] = "PUT"};

static void fail_lease(struct kubernetes *kubernetes, const struct provider_http_response *response)
{
    uint64_t now_ms = clock_now().mono_ms;
    const char *verb = verbs[kubernetes->lease.step];
    if (!kubernetes_lease_on_failure(&kubernetes->lease, response->status, wait_of(response),
                                     random_number(), now_ms))
        return;
    describe(kubernetes, KUBERNETES_LEASES, verb, response, kubernetes->lease_problem);
    note_failure(kubernetes, now_ms);
}

static void on_lease_end(void *context, const struct provider_http_response *response)
{
    struct kubernetes *kubernetes = context;
    struct provider_http_response refused = {.problem = "the response cannot be read"};
    struct kubernetes_object *object = &kubernetes->event.object;
    bool is_renewal = kubernetes->lease.step != KUBERNETES_READ;
    const struct kubernetes_source *source = &kubernetes->collections[KUBERNETES_LEASES].source;
    kubernetes->lease_call = NULL;
    if (response->problem[0]) {
        fail_lease(kubernetes, response);
        return;
    }
    if (!kubernetes_read_object(source, response->body, object)) {
        fail_lease(kubernetes, &refused);
        return;
    }
    kubernetes_lease_on_response(&kubernetes->lease, object->version, clock_now().mono_ms);
    if (is_renewal)
        kubernetes->lease_problem[0] = '\0';
}

static void lease_url(const struct kubernetes *kubernetes, bool has_name, char out[URL_BYTES])
{
    snprintf(out, URL_BYTES, "%s%s/namespaces/%s/leases%s%s", kubernetes->settings.server,
             kinds[KUBERNETES_LEASES].path, kubernetes->settings.namespace, has_name ? "/" : "",
             has_name ? kubernetes->lease.name : "");
}

static void write_lease(const struct kubernetes *kubernetes, struct text *out)
{
    const struct provider *provider = kubernetes->provider;
    bool is_new = kubernetes->lease.step == KUBERNETES_CREATE;
    const struct kubernetes_lease_spec spec = {
        .name = kubernetes->lease.name,
        .service = kubernetes->settings.service,
        .holder = provider->node->peer_url,
        .version = is_new ? "" : kubernetes->lease.version,
        .ttl_secs = (uint32_t)(kubernetes->lease.ttl_ms / MS_PER_SEC),
        .acquired_wall_ms = kubernetes->acquired_wall_ms,
        .renewed_wall_ms = clock_now().wall_ms,
    };
    kubernetes_write_lease(out, &spec);
}

static void start_lease(struct kubernetes *kubernetes)
{
    char url[URL_BYTES];
    struct text body = {0};
    enum kubernetes_lease_step step = kubernetes->lease.step;
    lease_url(kubernetes, step != KUBERNETES_CREATE, url);
    if (step != KUBERNETES_READ)
        write_lease(kubernetes, &body);
    const struct provider_http_request sent = {
        .method = methods[step],
        .url = url,
        .body = {body.data, body.size},
        .timeout_ms = kubernetes->timeout_ms,
        .bytes_max = RESPONSE_BYTES_MAX,
        .on_end = on_lease_end,
        .context = kubernetes,
    };
    kubernetes_lease_started(&kubernetes->lease);
    kubernetes->lease_call =
        text_failed(&body) ? NULL : provider_http_start(kubernetes->http, &sent);
    text_free(&body);
    if (!kubernetes->lease_call)
        fail_lease(kubernetes,
                   &(struct provider_http_response){.problem = error_info(ERR_NO_MEMORY)->message});
}

static void on_deleted(void *context, const struct provider_http_response *response)
{
    struct kubernetes *kubernetes = context;
    kubernetes->lease_call = NULL;
    if (response->problem[0] && response->status != 404)
        log_event(LOG_LEVEL_WARN, "the Lease of this node was not deleted; it ends by itself",
                  LOG_TEXT("lease", kubernetes->lease.name), LOG_TEXT("reason", response->problem));
}

/* The other nodes remove this node at once. */
static void delete_lease(struct kubernetes *kubernetes)
{
    char url[URL_BYTES];
    uint64_t end_ms = clock_now().mono_ms + LEAVE_MS;
    const struct provider_http_request sent = {.method = "DELETE",
                                               .url = url,
                                               .timeout_ms = LEAVE_MS,
                                               .bytes_max = RESPONSE_BYTES_MAX,
                                               .on_end = on_deleted,
                                               .context = kubernetes};
    for (size_t i = 0; i < KUBERNETES_KINDS; i++)
        provider_http_cancel(kubernetes->http, kubernetes->collections[i].call);
    provider_http_cancel(kubernetes->http, kubernetes->lease_call);
    kubernetes->lease_call = NULL;
    if (!kubernetes->lease.may_exist)
        return;
    lease_url(kubernetes, true, url);
    kubernetes->lease_call = provider_http_start(kubernetes->http, &sent);
    for (uint64_t now_ms; kubernetes->lease_call && (now_ms = clock_now().mono_ms) < end_ms;)
        provider_http_run(kubernetes->http, end_ms - now_ms);
}

/* --- what is published ------------------------------------------------------------------------ */

static void write_reason(const struct kubernetes *kubernetes, const struct member_list *members,
                         char out[REPORT_BYTES])
{
    snprintf(out, REPORT_BYTES, "a pod was removed, or its Lease was deleted or has run out");
    for (size_t i = 0; i < members->count; i++) {
        const char *url = members->items[i].url;
        if (member_list_has(&kubernetes->members, url))
            continue;
        const char *zone = kubernetes_view_zone(&kubernetes->view, url);
        snprintf(out, REPORT_BYTES, "a pod was added%s%s", zone[0] ? " in the zone " : "", zone);
        return;
    }
}

static void publish(struct kubernetes *kubernetes)
{
    struct member_list members;
    char reason[REPORT_BYTES];
    if (!kubernetes->view.has_slices || !kubernetes_view_is_usable(&kubernetes->view))
        return;
    kubernetes->left_out =
        kubernetes_view_members(&kubernetes->view, kubernetes->provider->config, &members);
    if (kubernetes->has_published && member_list_equal(&members, &kubernetes->members))
        return;
    write_reason(kubernetes, &members, reason);
    kubernetes->members = members;
    kubernetes->has_published = true;
    provider_publish(kubernetes->provider, &members, reason);
}

static void find_problem(const struct kubernetes *kubernetes, char out[REPORT_BYTES])
{
    char problem[KUBERNETES_PROBLEM_BYTES];
    snprintf(out, REPORT_BYTES, "%s",
             kubernetes->settings_problem ? kubernetes->settings_problem : "");
    for (size_t i = 0; i < KUBERNETES_KINDS && !out[0]; i++)
        if (kubernetes->collections[i].watch.failing)
            snprintf(out, REPORT_BYTES, "%s", kubernetes->collections[i].problem);
    if (!out[0])
        snprintf(out, REPORT_BYTES, "%s", kubernetes->lease_problem);
    if (!out[0] &&
        kubernetes_view_problem(&kubernetes->view, kubernetes->provider->config, problem))
        snprintf(out, REPORT_BYTES, "%s", problem);
    if (!out[0] && kubernetes->left_out > 0)
        snprintf(out, REPORT_BYTES, "the service has %zu pods more than a topology can have",
                 kubernetes->left_out);
}

static void report(struct kubernetes *kubernetes)
{
    char problem[REPORT_BYTES];
    find_problem(kubernetes, problem);
    if (problem[0] && (kubernetes->has_failed || strcmp(problem, kubernetes->reported) != 0))
        provider_fail(kubernetes->provider, problem);
    else if (!problem[0] && kubernetes->reported[0])
        provider_recover(kubernetes->provider);
    kubernetes->has_failed = false;
    memcpy(kubernetes->reported, problem, sizeof(problem));
}

/* --- settings --------------------------------------------------------------------------------- */

static void init_requests(struct kubernetes *kubernetes)
{
    const struct config *config = kubernetes->provider->config; /* what no reload changes */
    uint64_t lease_ms =
        kubernetes->reloaded.current->cluster.kubernetes.lease_secs * (uint64_t)MS_PER_SEC;
    kubernetes->timeout_ms = lease_ms / 3 < REQUEST_TIMEOUT_MS ? lease_ms / 3 : REQUEST_TIMEOUT_MS;
    kubernetes->lease.ttl_ms = lease_ms;
    kubernetes_lease_name(kubernetes->settings.service, config->server.node_id,
                          kubernetes->lease.name);
    for (size_t i = 0; i < KUBERNETES_KINDS; i++) {
        struct collection *collection = &kubernetes->collections[i];
        collection->owner = kubernetes;
        collection->source = (struct kubernetes_source){(enum kubernetes_kind)i,
                                                        config->cluster.kubernetes.peer_port};
        snprintf(collection->url, URL_BYTES, "%s%s/namespaces/%s/%s?labelSelector=%s%%3D%s",
                 kubernetes->settings.server, kinds[i].path, kubernetes->settings.namespace,
                 kinds[i].resource, kinds[i].label, kubernetes->settings.service);
    }
}

/* Goes on with the settings of a reload, as soon as they can be read: a folder may be mounted
 * later. The client reads the paths of its files for each request. */
static void take_settings(struct kubernetes *kubernetes)
{
    struct kubernetes_settings next = {0};
    uint64_t now_ms = clock_now().mono_ms;
    bool is_new = provider_settings_take(&kubernetes->reloaded);
    if (!is_new && !kubernetes->settings_problem)
        return;
    kubernetes->settings_problem = kubernetes_settings_read(&next, kubernetes->reloaded.current);
    if (kubernetes->settings_problem) {
        if (is_new)
            log_event(LOG_LEVEL_ERROR, "a membership provider keeps its earlier settings",
                      LOG_TEXT("section", "cluster.kubernetes"),
                      LOG_TEXT("reason", kubernetes->settings_problem));
        kubernetes->has_failed |= is_new;
        return;
    }
    kubernetes->settings = next;
    init_requests(kubernetes);
    for (size_t i = 0; i < KUBERNETES_KINDS; i++) {
        struct collection *collection = &kubernetes->collections[i];
        provider_http_cancel(kubernetes->http, collection->call);
        collection->call = NULL;
        kubernetes_watch_restart(&collection->watch, now_ms);
    }
    provider_http_cancel(kubernetes->http, kubernetes->lease_call);
    kubernetes->lease_call = NULL;
    kubernetes_lease_restart(&kubernetes->lease, now_ms);
}

/* --- the thread ------------------------------------------------------------------------------- */

static void start_due(struct kubernetes *kubernetes, uint64_t now_ms)
{
    if (kubernetes_view_due_ms(&kubernetes->view) <= now_ms)
        kubernetes_watch_refresh(&kubernetes->collections[KUBERNETES_LEASES].watch);
    for (size_t i = 0; i < KUBERNETES_KINDS; i++)
        step_collection(&kubernetes->collections[i], now_ms);
    if (kubernetes_lease_is_due(&kubernetes->lease, now_ms))
        start_lease(kubernetes);
}

static uint64_t sleep_ms(const struct kubernetes *kubernetes, uint64_t now_ms)
{
    const struct kubernetes_watch *leases = &kubernetes->collections[KUBERNETES_LEASES].watch;
    /* A list that is wanted is due when its watch says so; one that runs ends with its response. */
    uint64_t due_ms =
        leases->is_refreshing ? UINT64_MAX : kubernetes_view_due_ms(&kubernetes->view);
    for (size_t i = 0; i < KUBERNETES_KINDS; i++) {
        uint64_t watch_ms = kubernetes_watch_due_ms(&kubernetes->collections[i].watch);
        due_ms = watch_ms < due_ms ? watch_ms : due_ms;
    }
    if (!kubernetes->lease.is_running && kubernetes->lease.due_ms < due_ms)
        due_ms = kubernetes->lease.due_ms;
    if (due_ms <= now_ms)
        return 0;
    return due_ms - now_ms < TICK_MS ? due_ms - now_ms : TICK_MS;
}

static void *run(void *argument)
{
    struct kubernetes *kubernetes = argument;
    while (!atomic_load(&kubernetes->is_stopping)) {
        take_settings(kubernetes);
        start_due(kubernetes, clock_now().mono_ms);
        publish(kubernetes);
        report(kubernetes);
        provider_http_run(kubernetes->http, sleep_ms(kubernetes, clock_now().mono_ms));
    }
    delete_lease(kubernetes);
    return NULL;
}

/* --- the provider ----------------------------------------------------------------------------- */

static void free_kubernetes(struct kubernetes *kubernetes)
{
    if (!kubernetes)
        return;
    provider_http_free(kubernetes->http);
    provider_settings_free(&kubernetes->reloaded);
    free(kubernetes);
}

static enum error start(struct provider *provider, const char **reason)
{
    struct kubernetes *kubernetes = calloc(1, sizeof(*kubernetes));
    *reason = "the client of the Kubernetes API cannot start";
    if (!kubernetes)
        return ERR_NO_MEMORY;
    kubernetes->provider = provider;
    kubernetes->acquired_wall_ms = clock_now().wall_ms;
    enum error error =
        provider_settings_init(&kubernetes->reloaded, "cluster.kubernetes.", provider->config);
    const char *problem =
        error ? NULL : kubernetes_settings_read(&kubernetes->settings, provider->config);
    if (problem) {
        *reason = problem;
        error = ERR_INVALID_FIELD;
    }
    if (!error) {
        init_requests(kubernetes);
        error = kubernetes_settings_open(&kubernetes->settings, &kubernetes->http);
    }
    if (!error && pthread_create(&kubernetes->thread, NULL, run, kubernetes) != 0)
        error = ERR_SYSTEM;
    if (error) {
        free_kubernetes(kubernetes);
        return error;
    }
    pthread_setname_np(kubernetes->thread, "kubernetes");
    provider->state = kubernetes;
    return ERR_NONE;
}

static void reload(struct provider *provider)
{
    struct kubernetes *kubernetes = provider->state;
    if (provider_settings_reload(&kubernetes->reloaded, provider->config))
        provider_http_wake(kubernetes->http);
}

static void stop(struct provider *provider)
{
    struct kubernetes *kubernetes = provider->state;
    atomic_store(&kubernetes->is_stopping, true);
    provider_http_wake(kubernetes->http);
    pthread_join(kubernetes->thread, NULL);
    provider->state = NULL;
    free_kubernetes(kubernetes);
}

const struct provider_kind provider_kubernetes = {"kubernetes", start, reload, stop};
