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
#include "artemis-web/connections/acceptor.h"
#include "artemis-web/connections/listener.h"
#include "artemis-web/http/exchange.h"
#include "artemis-web/http/library_overrides.h"
#include "artemis-web/http/routes.h"
#include "artemis-web/http/web_internal.h"
#include "artemis-web/http/web_threads.h"

enum {
    /* Descriptors for everything but client connections. */
    FILES_FOR_PROCESS = 64, /* standard streams, configuration, storage, listener, DNS */
    FILES_FOR_THREAD = 4,   /* epoll and event descriptors of a web thread */
    FILES_FOR_PEER = 4,
    DRAIN_POLL_MS = 5,
    DRAIN_QUIET_MS = 250,
    CLOSE_WAIT_MS = 500,
};

/* Raises the process's limit of descriptors as far as needed and allowed. Returns the number of
 * connections for which these suffice: server.max_connections or less. */
static uint32_t limit_connections(const struct config *config)
{
    uint32_t wanted = config->server.max_connections;
    uint32_t reserved = FILES_FOR_PROCESS + FILES_FOR_THREAD * config->server.threads +
                        (config->cluster.enabled ? FILES_FOR_PEER * MEMBERS_MAX : 0);
    rlim_t files = connections_files(wanted, reserved);
    struct rlimit limit;
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

/* Sets the URL at which other hosts reach this node. Port 0 becomes the port that was bound. */
static void set_url(struct engine *engine, const struct web *web)
{
    const struct config *config = engine->config;
    const char *advertised = config->cluster.advertise_addr;
    const char *port = strrchr(advertised, ':');
    if (!port || strcmp(advertised, config->server.listen_addr) == 0)
        snprintf(engine->url, sizeof(engine->url), "http://%s", web->address);
    else
        snprintf(engine->url, sizeof(engine->url), "http://%.*s%s", (int)(port - advertised),
                 advertised, strcmp(port, ":0") == 0 ? strrchr(web->address, ':') : port);
}

static void on_accepted(void *context, int socket, const struct sockaddr *address, socklen_t size)
{
    struct web *web = context;
    if (connections_admit(&web->connections, socket, clock_now().mono_ms))
        web_threads_add(web->threads, socket, address, size);
    else
        close(socket);
}

/* A tenth of the connections is left for requests that are answered at once. */
static uint32_t subscribers_max(const struct web *web)
{
    uint32_t connections = web->connections.limit;
    uint32_t left = connections / 10;
    return connections - (left ? left : 1);
}

/* Starts the threads. On success the acceptor owns the listener. */
static enum error start_threads(struct web *web, int listener)
{
    enum error error = library_overrides_init();
    if (!error)
        error = push_start(web->engine, subscribers_max(web), &exchange_push_calls, &web->push);
    if (error)
        return error;
    error = web_threads_start(web, &exchange_callbacks, &web->threads);
    if (!error)
        error = acceptor_start(listener, on_accepted, web, &web->acceptor);
    if (!error)
        return ERR_NONE;
    push_stop(web->push);
    web_threads_stop(web->threads);
    push_free(web->push);
    return error;
}

enum error web_start(struct engine *engine, struct web **out, char problem[WEB_PROBLEM_BYTES])
{
    struct web *web = calloc(1, sizeof(*web));
    snprintf(problem, WEB_PROBLEM_BYTES, "out of memory");
    if (!web)
        return ERR_NO_MEMORY;
    web->engine = engine;
    connections_init(&web->connections, limit_connections(engine->config));
    int listener;
    enum error error = listener_open(engine->config->server.listen_addr, &listener, web->address,
                                     sizeof(web->address), problem, WEB_PROBLEM_BYTES);
    if (error) {
        connections_free(&web->connections);
        free(web);
        return error;
    }
    set_url(engine, web);
    metrics_init(&web->metrics, route_names(), route_count);
    error = start_threads(web, listener);
    if (error) {
        snprintf(problem, WEB_PROBLEM_BYTES, "cannot start the HTTP server's threads");
        close(listener);
        connections_free(&web->connections);
        free(web);
        return error;
    }
    *out = web;
    return ERR_NONE;
}

const char *web_address(const struct web *web)
{
    return web->address;
}

void web_tick(struct web *web, struct moment now)
{
    connections_sweep(&web->connections, now.mono_ms);
}

/* Waits until no request is being served and none has been for DRAIN_QUIET_MS, or until the
 * deadline. */
static void wait_for_quiet(struct web *web, uint64_t deadline_ms)
{
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
    } while (now_ms < deadline_ms);
    log_event(LOG_LEVEL_WARN, "draining timed out; the requests being served are aborted",
              LOG_NUMBER("requests", view.busy));
}

void web_drain(struct web *web, uint64_t drain_ms)
{
    uint64_t deadline_ms = clock_now().mono_ms + drain_ms;
    acceptor_stop(web->acceptor);
    web->acceptor = NULL;
    push_drain(web->push);
    wait_for_quiet(web, deadline_ms);
}

void web_stop(struct web *web)
{
    if (!web)
        return;
    acceptor_stop(web->acceptor);
    push_stop(web->push);
    connections_close_idle(&web->connections);
    struct connections_view view;
    uint64_t until_ms = clock_now().mono_ms + CLOSE_WAIT_MS;
    do {
        usleep(DRAIN_POLL_MS * 1000);
        connections_view(&web->connections, &view);
    } while (view.open + view.closing > 0 && clock_now().mono_ms < until_ms);
    web_threads_stop(web->threads);
    push_free(web->push);
    connections_free(&web->connections);
    free(web);
}
