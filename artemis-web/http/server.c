/* SPDX-License-Identifier: Apache-2.0
 *
 * Start, drain and stop of the HTTP server.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "artemis-server/clock.h"
#include "artemis-server/log.h"
#include "artemis-server/tls/credential_store.h"
#include "artemis-web/http/exchange.h"
#include "artemis-web/http/library_overrides.h"
#include "artemis-web/http/listeners.h"
#include "artemis-web/http/routes.h"
#include "artemis-web/http/web_internal.h"
#include "artemis-web/http/web_threads.h"
#include "artemis-web/metrics/metrics_tls.h"

enum {
    /* Descriptors for everything but client connections. */
    FILES_FOR_PROCESS = 64, /* standard streams, configuration, storage, listener, DNS */
    FILES_FOR_THREAD = 5,   /* epoll and event descriptors of a web thread */
    FILES_FOR_PEER = 4,
    FILES_FOR_TLS_WEBSOCKET = 4, /* a pair of sockets of libmicrohttpd, and one of ours */
    TLS_WEBSOCKETS_MIN = 64,     /* that are served however few descriptors there are */
    MS_PER_SEC = 1000,
    DRAIN_POLL_MS = 5,
    DRAIN_QUIET_MS = 250,
    CLOSE_WAIT_MS = 500,
    HURRIED_MS = 1000,
};

static bool uses_tls(const struct config *config)
{
    for (enum config_listener kind = 0; kind < CONFIG_LISTENERS; kind++)
        if (config_listener_address(config, kind)[0] && config_listener_has_tls(config, kind))
            return true;
    return false;
}

/* Descriptors for everything but connections and WebSockets with TLS. */
static uint32_t reserved_files(const struct config *config)
{
    uint32_t threads = config->server.threads * (uses_tls(config) ? 2 : 1);
    return FILES_FOR_PROCESS + FILES_FOR_THREAD * threads +
           (config->cluster.enabled ? FILES_FOR_PEER * MEMBERS_MAX : 0);
}

/* Raises the process's limit of descriptors as far as needed and allowed. Returns the number of
 * connections for which these suffice: server.max_connections or less. */
static uint32_t limit_connections(const struct config *config)
{
    uint32_t wanted = config->server.max_connections;
    uint32_t reserved = reserved_files(config);
    rlim_t files = connections_files(wanted, reserved);
    struct rlimit limit;
    if (config->server.tls_listen_addr[0]) {
        reserved += FILES_FOR_TLS_WEBSOCKET * TLS_WEBSOCKETS_MIN;
        files += FILES_FOR_TLS_WEBSOCKET * (rlim_t)wanted;
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return wanted;
    if (limit.rlim_cur < files) {
        limit.rlim_cur = limit.rlim_max < files ? limit.rlim_max : files;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0 && getrlimit(RLIMIT_NOFILE, &limit) != 0)
            return wanted;
    }
    uint32_t possible = connections_limit(wanted, limit.rlim_cur, reserved);
    if (possible < wanted)
        log_event(LOG_LEVEL_WARN,
                  "server.max_connections exceeds what the limit of open files allows; raise it "
                  "(ulimit -n) or lower the setting",
                  LOG_NUMBER("max_connections", wanted),
                  LOG_NUMBER("allowed_connections", possible), LOG_NUMBER("files", limit.rlim_cur),
                  LOG_NUMBER("needed_files", files));
    return possible;
}

/* Sets the URL at which clients reach this node. Port 0 becomes the port that was bound. */
static void set_url(struct engine *engine, const struct web *web)
{
    const struct config *config = engine->config;
    const struct web_listener *listener = listeners_advertised(web);
    const char *scheme = listener->kind == CONFIG_LISTENER_TLS ? "https" : "http";
    const char *advertised = config->cluster.advertise_addr;
    const char *port = strrchr(advertised, ':');
    if (!port || strcmp(advertised, config_listener_address(config, listener->kind)) == 0)
        snprintf(engine->url, sizeof(engine->url), "%s://%s", scheme, listener->address);
    else
        snprintf(engine->url, sizeof(engine->url), "%s://%.*s%s", scheme, (int)(port - advertised),
                 advertised, strcmp(port, ":0") == 0 ? strrchr(listener->address, ':') : port);
}

static bool is_every_interface(const char *address)
{
    return strncmp(address, "0.0.0.0:", strlen("0.0.0.0:")) == 0 ||
           strncmp(address, "[::]:", strlen("[::]:")) == 0;
}

/* Sets the URL at which peers reach this node: that of the listener for peers if there is one. */
static void set_peer_url(struct engine *engine, const struct web *web)
{
    const struct config *config = engine->config;
    const char *advertised = config->cluster.advertise_addr;
    const char *address = web->listeners[CONFIG_LISTENER_PEER].address;
    if (!config_listener_address(config, CONFIG_LISTENER_PEER)[0]) {
        snprintf(engine->peer_url, sizeof(engine->peer_url), "%s", engine->url);
        return;
    }
    const char *host = is_every_interface(address) ? advertised : address;
    snprintf(engine->peer_url, sizeof(engine->peer_url), "%s://%.*s%s",
             config_listener_has_tls(config, CONFIG_LISTENER_PEER) ? "https" : "http",
             (int)(strrchr(host, ':') - host), host, strrchr(address, ':'));
}

/* How many WebSockets with TLS the descriptors suffice for. */
static uint64_t tls_websockets_max(const struct config *config, uint32_t connections)
{
    struct rlimit limit;
    uint64_t used = connections_files(connections, reserved_files(config));
    if (!config->server.tls_listen_addr[0] || getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return UINT32_MAX;
    uint64_t count = limit.rlim_cur > used ? (limit.rlim_cur - used) / FILES_FOR_TLS_WEBSOCKET : 0;
    return count > 0 ? count : 1;
}

/* A tenth of the connections is left for requests that are answered at once. */
static uint32_t subscribers_max(const struct web *web)
{
    uint32_t connections = web->connections.limit;
    uint32_t left = connections / 10;
    uint32_t max = connections - (left ? left : 1);
    uint64_t tls_max = tls_websockets_max(web->engine->config, connections);
    return tls_max < max ? (uint32_t)tls_max : max;
}

/* Starts the threads. On success the acceptors own the sockets. */
static enum error start_threads(struct web *web, struct opened_listeners *opened)
{
    enum error error = library_overrides_init();
    if (!error)
        error = push_start(web->engine, subscribers_max(web), &exchange_push_calls, &web->push);
    if (error)
        return error;
    error = web_threads_start(web, &exchange_callbacks, false, &web->threads);
    if (!error && uses_tls(web->engine->config))
        error = web_threads_start(web, &exchange_callbacks, true, &web->tls_threads);
    if (!error)
        error = listeners_start(web, opened);
    if (!error)
        return ERR_NONE;
    listeners_stop(web);
    push_stop(web->push);
    web_threads_stop(web->threads);
    web_threads_stop(web->tls_threads);
    push_free(web->push);
    return error;
}

static void free_web(struct web *web)
{
    credential_store_close(web->credentials);
    connections_free(&web->connections);
    free(web);
}

enum error web_start(struct engine *engine, const struct route_table *routes, struct web **out,
                     char problem[WEB_PROBLEM_BYTES])
{
    struct web *web = calloc(1, sizeof(*web));
    snprintf(problem, WEB_PROBLEM_BYTES, "out of memory");
    if (!web)
        return ERR_NO_MEMORY;
    web->engine = engine;
    web->routes = routes;
    const struct config *config = engine->config;
    connections_init(&web->connections, limit_connections(config));
    struct opened_listeners opened;
    enum error error =
        connections_limit_addresses(&web->connections, config->server.max_connections_per_address,
                                    config->tls.max_handshakes_per_address, engine->hash_seed);
    if (!error)
        error = listeners_open(web, &opened, problem);
    if (error) {
        free_web(web);
        return error;
    }
    set_url(engine, web);
    set_peer_url(engine, web);
    metrics_init(&web->metrics, route_names(routes), routes->count);
    error = start_threads(web, &opened);
    if (error) {
        snprintf(problem, WEB_PROBLEM_BYTES, "cannot start the HTTP server's threads");
        listeners_close(&opened);
        free_web(web);
        return error;
    }
    *out = web;
    return ERR_NONE;
}

const char *web_address(const struct web *web, enum config_listener listener)
{
    return web->listeners[listener].address;
}

static uint64_t count_reloads(struct credential_store *store, struct moment now)
{
    return store ? credential_store_status(store, now).reloads : 0;
}

/* Returns the number of changes up to now after which the certificate of a client may be refused:
 * reloads of certificates, and members that have left. */
static uint64_t count_changes(struct web *web, struct moment now)
{
    return count_reloads(web->credentials, now) +
           count_reloads(web->engine->peer_credentials, now) +
           cluster_departures(&web->engine->cluster);
}

void web_tick(struct web *web, struct moment now)
{
    connections_sweep(&web->connections, now.mono_ms);
    connections_report(&web->connections, now.mono_ms, false);
}

void web_check_credentials(struct web *web, bool force, struct moment now)
{
    uint64_t interval_ms = CREDENTIAL_CHECK_SECS * (uint64_t)MS_PER_SEC;
    if (!force && now.mono_ms < web->credentials_checked_ms + interval_ms)
        return;
    web->credentials_checked_ms = now.mono_ms;
    credential_store_check(web->credentials, force, now);
    uint64_t changes = count_changes(web, now);
    if (!force && changes != web->verified_changes)
        web_threads_verify_again(web->tls_threads);
    web->verified_changes = changes;
}

bool web_is_certificate_failing(struct web *web)
{
    return credential_store_is_failing(web->credentials);
}

void web_check_clients(struct web *web)
{
    push_check_tokens(web->push);
    web_threads_verify_again(web->tls_threads);
}

void web_load(struct web *web, struct web_load *load)
{
    struct connections_view view;
    connections_view(&web->connections, &view);
    *load = (struct web_load){view.open, view.busy, web->connections.limit};
}

static uint64_t count_unprotected(struct engine *engine)
{
    uint64_t count = 0;
    pthread_mutex_lock(&engine->settings_lock); /* tokens protect a listener */
    for (enum config_listener i = 0; i < CONFIG_LISTENERS; i++)
        count += !config_listener_is_protected(engine->config, i);
    pthread_mutex_unlock(&engine->settings_lock);
    return count;
}

static void write_tls_metrics(struct web *web, struct moment now, struct text *out)
{
    struct tls_counters *counters = &web->tls_counters;
    const struct tls_metrics values = {
        .unprotected = count_unprotected(web->engine),
        .established = atomic_load_explicit(&counters->established, memory_order_relaxed),
        .failed = atomic_load_explicit(&counters->failed, memory_order_relaxed),
        .timed_out = atomic_load_explicit(&counters->timed_out, memory_order_relaxed),
        .client = web->credentials,
        .peer = web->engine->peer_credentials,
    };
    metrics_write_tls(&values, now, out);
}

void web_write_metrics(struct web *web, struct moment now, struct text *out)
{
    metrics_write(&web->metrics, web->engine, &web->connections, web->push, now, out);
    write_tls_metrics(web, now, out);
}

/* Waits until no request is being served and none has been for DRAIN_QUIET_MS, or until the
 * deadline. */
static void wait_for_quiet(struct web *web, uint64_t deadline_ms, const atomic_bool *is_hurried)
{
    bool was_hurried = false;
    struct connections_view view;
    uint64_t now_ms;
    uint64_t started_ms = clock_now().mono_ms;
    do {
        usleep(DRAIN_POLL_MS * 1000);
        struct moment now = clock_now();
        now_ms = now.mono_ms;
        web_tick(web, now);
        connections_view(&web->connections, &view);
        uint64_t served_ms = atomic_load_explicit(&web->served_ms, memory_order_relaxed);
        uint64_t since_ms = served_ms > started_ms ? served_ms : started_ms;
        if (view.open + view.closing == 0 ||
            (view.busy == 0 && now_ms - since_ms >= DRAIN_QUIET_MS))
            return;
        if (!was_hurried && atomic_load(is_hurried) && deadline_ms > now_ms + HURRIED_MS)
            deadline_ms = now_ms + HURRIED_MS;
        was_hurried = atomic_load(is_hurried);
    } while (now_ms < deadline_ms);
    log_event(LOG_LEVEL_WARN, "draining timed out; the requests being served are aborted",
              LOG_NUMBER("requests", view.busy));
}

void web_drain(struct web *web, uint64_t drain_ms, const atomic_bool *is_hurried)
{
    uint64_t deadline_ms = clock_now().mono_ms + drain_ms;
    listeners_stop(web);
    push_drain(web->push);
    wait_for_quiet(web, deadline_ms, is_hurried);
    connections_report(&web->connections, clock_now().mono_ms, true);
}

void web_stop(struct web *web)
{
    if (!web)
        return;
    listeners_stop(web);
    push_stop(web->push);
    connections_close_idle(&web->connections);
    struct connections_view view;
    uint64_t until_ms = clock_now().mono_ms + CLOSE_WAIT_MS;
    do {
        usleep(DRAIN_POLL_MS * 1000);
        connections_view(&web->connections, &view);
    } while (view.open + view.closing > 0 && clock_now().mono_ms < until_ms);
    web_threads_stop(web->threads);
    web_threads_stop(web->tls_threads);
    push_free(web->push);
    free_web(web);
}
