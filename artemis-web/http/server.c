/* SPDX-License-Identifier: Apache-2.0
 *
 * Where libmicrohttpd calls in. For each request it calls `on_request` once with the header, then
 * for each piece of the body, then once more when all is there; the answer is queued in that last
 * call, so that connections stay open. What is wrong with the header is decided at once and told at
 * the end: a client that is still sending would not hear it.
 */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "artemis-server/clock.h"
#include "artemis-server/log.h"
#include "artemis-web/api/handlers.h"
#include "artemis-web/http/acceptor.h"
#include "artemis-web/http/library_overrides.h"
#include "artemis-web/http/listener.h"
#include "artemis-web/http/response.h"
#include "artemis-web/http/web_internal.h"

enum {
    /* libmicrohttpd's buffer for a connection: header and bookkeeping. It is cleared at every
     * request, so all of it is resident: 10,000 requests that wait hold 10,000 of it. */
    CONNECTION_BUFFER_BYTES = 12 * 1024,
    /* A body buffer larger than that is not kept for the connection's next request. */
    REUSED_BODY_BYTES_MAX = 8 * 1024,
    /* Too large a body is swallowed before it is refused, up to here: a client that is still
     * sending does not hear us, and finds its connection reset. */
    DISCARDED_BODY_BYTES_MAX = 64 * 1024 * 1024,
    BUFFERED_BODIES_BYTES_MAX = 256 * 1024 * 1024,
    SPARE_FILES = 64,
    NS_PER_MS = 1000000,
    NS_PER_US = 1000,
    ADDRESS_BYTES = INET6_ADDRSTRLEN + sizeof("[]:65535"),
    DRAIN_POLL_MS = 5,
    DRAIN_QUIET_MS = 250,
    CLOSE_WAIT_MS = 500,
};

/* --- requests --------------------------------------------------------------------------------- */

/* What the header alone decides. */
static enum error check_header(const struct session *session, const char *method,
                               const char *version)
{
    const struct request *request = &session->request;
    const char *reason;
    enum error error = framing_check(&session->framing, version, &reason);
    if (error)
        return error;
    if (!request->route)
        return ERR_NO_SUCH_PATH;
    bool get = strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, "HEAD") == 0;
    bool post = strcmp(method, MHD_HTTP_METHOD_POST) == 0;
    if (!(get && request->route->methods & METHOD_GET) &&
        !(post && request->route->methods & METHOD_POST))
        return ERR_WRONG_METHOD;
    const char *length = request_header(request, MHD_HTTP_HEADER_CONTENT_LENGTH);
    if (length && strtoull(length, NULL, 10) > request->engine->config->server.max_body_bytes)
        return ERR_BODY_TOO_LARGE;
    return ERR_NONE;
}

/* A refusal is sent before the body is read where the end of the body is unknown, where the client
 * waits for it, and where the body is huge. The connection is closed after it. */
static bool refuse_unread(const struct request *request)
{
    const char *length = request_header(request, MHD_HTTP_HEADER_CONTENT_LENGTH);
    if (request->refused == ERR_MALFORMED_REQUEST || request->refused == ERR_HEADER_TOO_LARGE)
        return true;
    return request->refused && (request_header(request, MHD_HTTP_HEADER_EXPECT) ||
                                (length && strtoull(length, NULL, 10) > DISCARDED_BODY_BYTES_MAX));
}

/* The message for what the header, the rate limit or the size of the body decided. */
static void describe_error(const struct session *session, const char *url, const char *method,
                           enum error refused, char message[MESSAGE_BYTES])
{
    char quoted[160];
    const char *reason;
    const struct request *request = &session->request;
    const struct config *config = request->engine->config;
    const char *length = request_header(request, MHD_HTTP_HEADER_CONTENT_LENGTH);
    switch ((int)refused) {
    case ERR_MALFORMED_REQUEST:
    case ERR_HEADER_TOO_LARGE:
        if (framing_check(&session->framing, request->http_version, &reason) == refused)
            snprintf(message, MESSAGE_BYTES, "%s", reason);
        break;
    case ERR_NO_SUCH_PATH:
        text_quote(quoted, sizeof(quoted), slice_of(url));
        snprintf(message, MESSAGE_BYTES, "path: there is no %s; the API is below /api", quoted);
        break;
    case ERR_WRONG_METHOD:
        text_quote(quoted, sizeof(quoted), slice_of(method));
        snprintf(message, MESSAGE_BYTES, "method: %s does not take %s", request->route->path,
                 quoted);
        break;
    case ERR_BODY_TOO_LARGE:
        snprintf(message, MESSAGE_BYTES,
                 "body: must be at most %llu bytes (server.max_body_bytes), is %.20s",
                 (unsigned long long)config->server.max_body_bytes, length ? length : "more");
        break;
    case ERR_RATE_LIMITED:
        snprintf(message, MESSAGE_BYTES, "over ratelimit.requests_per_second = %u (burst %u)",
                 config->ratelimit.requests_per_second, config->ratelimit.burst_size);
        break;
    case ERR_NOT_A_PEER:
    case ERR_CLUSTER_MISMATCH:
        peer_explain(request, refused, message);
        break;
    default:
        message[0] = '\0';
    }
}

static enum error dispatch(struct session *session, struct response *reply, const char *url,
                           const char *method, char message[MESSAGE_BYTES])
{
    struct request *request = &session->request;
    enum error error = request->refused;
    if (error) {
        describe_error(session, url, method, error, message);
        return error;
    }
    if (!request->long_poll_done) /* else it was */
        error = request_inflate(request, message);
    return error ? error : request->route->handle(request, reply, message);
}

/* The body is not under way any more; but for that of a POST that waits, it has served. */
static void release_body(struct request *request, bool is_kept)
{
    if (request->buffered_bytes) /* all threads share the count */
        atomic_fetch_sub_explicit(&request->web->buffered_bytes, request->buffered_bytes,
                                  memory_order_relaxed);
    request->buffered_bytes = 0;
    if (!is_kept && request->body.capacity > REUSED_BODY_BYTES_MAX)
        text_free(&request->body);
}

/* "127.0.0.1:4711" or "[::1]:4711"; "" when the address is unknown. */
static void write_client(struct MHD_Connection *mhd, char out[ADDRESS_BYTES])
{
    char host[INET6_ADDRSTRLEN] = "";
    const struct sockaddr *address =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
    out[0] = '\0';
    if (address && address->sa_family == AF_INET) {
        const struct sockaddr_in *ip = (const void *)address;
        inet_ntop(AF_INET, &ip->sin_addr, host, sizeof(host));
        snprintf(out, ADDRESS_BYTES, "%s:%u", host, ntohs(ip->sin_port));
    } else if (address && address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *ip = (const void *)address;
        inet_ntop(AF_INET6, &ip->sin6_addr, host, sizeof(host));
        snprintf(out, ADDRESS_BYTES, "[%s]:%u", host, ntohs(ip->sin6_port));
    }
}

static void log_request(const struct request *request, const char *url, const char *method,
                        enum error outcome, bool sent)
{
    char client[ADDRESS_BYTES];
    write_client(request->mhd, client);
    log_event(LOG_LEVEL_DEBUG, "request", LOG_TEXT("client", client), LOG_TEXT("method", method),
              LOG_TEXT("path", url), LOG_TEXT("outcome", error_info(outcome)->code),
              LOG_TEXT("problem", sent ? NULL : "the response was not sent"),
              LOG_NUMBER("duration_us", (clock_mono_ns() - request->started_ns) / NS_PER_US));
}

static enum MHD_Result respond(struct session *session, const char *url, const char *method)
{
    struct request *request = &session->request;
    struct web *web = request->web;
    char message[MESSAGE_BYTES] = "";
    struct response reply = {0};
    enum error outcome;
    enum error error = dispatch(session, &reply, url, method, message);
    /* Now, since an answer may be under way for long, and a WebSocket stays. */
    release_body(request, reply.waits && !request->is_get);
    if (!error && reply.waits) {
        request->push_slot_reserved = false; /* handed over */
        MHD_suspend_connection(request->mhd);
        push_add_long_poll(web->push, &reply.wait, request->mhd, session->connection.socket);
        return MHD_YES;
    }
    bool sent = response_send(request, &reply, error, message, &outcome);
    metrics_count(&web->metrics, request->route, outcome, clock_mono_ns() - request->started_ns);
    if (log_enabled(LOG_LEVEL_DEBUG))
        log_request(request, url, method, outcome, sent);
    return sent ? MHD_YES : MHD_NO;
}

static enum error check_admission(const struct request *request)
{
    switch (request->route->class) {
    case ROUTE_REGISTRY:
    case ROUTE_DISCOVERY:
        return engine_admit(request->engine, request->route->class == ROUTE_DISCOVERY,
                            request->now);
    case ROUTE_PEER:
        return peer_check(request);
    case ROUTE_OPERATOR:
        break;
    }
    return ERR_NONE;
}

static void begin_request(struct session *session, struct web *web, struct MHD_Connection *mhd,
                          const char *url, const char *method, const char *version)
{
    struct request *request = &session->request;
    struct text body = request->body; /* the buffer serves again */
    text_clear(&body);
    *request = (struct request){
        .web = web,
        .engine = web->engine,
        .mhd = mhd,
        .http_version = version,
        .is_get = strcmp(method, MHD_HTTP_METHOD_POST) != 0,
        .is_head = strcmp(method, MHD_HTTP_METHOD_HEAD) == 0,
        .body = body,
        .started_ns = clock_mono_ns(),
    };
    request->now.mono_ms = request->started_ns / NS_PER_MS;
    request->route = route_find(url, &request->java);
    if (session->framing.nul_in_path)
        request->route = NULL; /* `url` ends early */
    request->refused = check_header(session, method, version);
    if (!request->refused)
        request->refused = check_admission(request);
    connection_reading(&web->connections, &session->connection, request->now.mono_ms);
}

/* Bodies under way may fill so much memory together, or one of the largest size at the least. */
static uint64_t buffered_bytes_max(const struct web *web)
{
    uint64_t one = web->engine->config->server.max_body_bytes;
    return one > BUFFERED_BODIES_BYTES_MAX ? one : BUFFERED_BODIES_BYTES_MAX;
}

static enum error buffer_body(struct request *request, const char *data, size_t size)
{
    if (request->body.size + size > request->engine->config->server.max_body_bytes)
        return ERR_BODY_TOO_LARGE;
    uint64_t held =
        atomic_fetch_add_explicit(&request->web->buffered_bytes, size, memory_order_relaxed);
    request->buffered_bytes += size;
    if (held + size > buffered_bytes_max(request->web))
        return ERR_OVERLOADED;
    text_append(&request->body, data, size);
    return text_failed(&request->body) ? ERR_NO_MEMORY : ERR_NONE;
}

/* Takes a piece of the body; of a refused one it is only counted. False when that is enough. */
static bool receive_body(struct session *session, const char *data, size_t size)
{
    struct request *request = &session->request;
    connection_received(&request->web->connections, &session->connection, size);
    atomic_fetch_add_explicit(&request->web->metrics.request_bytes, size, memory_order_relaxed);
    if (!request->refused) {
        request->refused = buffer_body(request, data, size);
        return true;
    }
    request->discarded_bytes += size;
    if (request->discarded_bytes <= DISCARDED_BODY_BYTES_MAX)
        return true;
    metrics_count(&request->web->metrics, request->route, request->refused, 0);
    connection_refuse(session->connection.socket, request->refused, NULL);
    return false;
}

static struct session *session_of(struct MHD_Connection *mhd)
{
    return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* A request begins; `uri` is its target as it was sent. */
static void *on_uri(void *context, const char *uri, struct MHD_Connection *mhd)
{
    (void)context;
    struct session *session = session_of(mhd);
    if (!session)
        return NULL;
    framing_begin(&session->framing, uri);
    return NULL;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *mhd, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **request_context)
{
    struct session *session = session_of(mhd);
    if (!session)
        return MHD_NO; /* there was no memory for it */
    if (*request_context != session) {
        *request_context = session;
        begin_request(session, context, mhd, url, method, version);
        return refuse_unread(&session->request) ? respond(session, url, method) : MHD_YES;
    }
    if (*size > 0) {
        bool more = receive_body(session, data, *size);
        *size = 0;
        return more ? MHD_YES : MHD_NO;
    }
    session->request.now = clock_now();
    if (session->request.long_poll_done)
        session->request.started_ns = clock_mono_ns(); /* waiting is not work */
    if (!connection_serving(&session->request.web->connections, &session->connection,
                            session->request.now.mono_ms))
        return MHD_NO; /* it came too late, and has been told */
    return respond(session, url, method);
}

static void on_completed(void *context, struct MHD_Connection *mhd, void **request_context,
                         enum MHD_RequestTerminationCode how)
{
    (void)mhd;
    (void)how;
    struct web *web = context;
    struct session *session = *request_context;
    if (!session)
        return; /* the request never got as far as on_request */
    release_body(&session->request, false);
    if (session->request.push_slot_reserved)
        push_release(web->push);
    session->request.push_slot_reserved = false;
    uint64_t now_ms = clock_mono_ns() / NS_PER_MS;
    if (!session->request.route || session->request.route->class != ROUTE_PEER)
        atomic_store_explicit(&web->served_ms, now_ms, memory_order_relaxed);
    connection_idle(&web->connections, &session->connection, now_ms);
    *request_context = NULL;
}

/* --- connections ------------------------------------------------------------------------------ */

static void on_connection(void *context, struct MHD_Connection *mhd, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct web *web = context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        struct session *session = calloc(1, sizeof(*session));
        *socket_context = session;
        if (!session) {
            connections_cancel(&web->connections);
            return;
        }
        session->request.web = web;
        connections_add(&web->connections, &session->connection,
                        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd,
                        clock_now().mono_ms);
        return;
    }
    struct session *session = *socket_context;
    if (!session)
        return;
    connections_remove(&web->connections, &session->connection);
    text_free(&session->request.body);
    free(session);
}

static void on_library_log(void *context, const char *format, va_list arguments)
{
    (void)context;
    if (!log_enabled(LOG_LEVEL_DEBUG))
        return;
    char line[512];
    vsnprintf(line, sizeof(line), format, arguments);
    log_line(LOG_LEVEL_DEBUG, "libmicrohttpd: %s", line);
}

/* --- life ------------------------------------------------------------------------------------- */

/* Each connection is a file. Warns when the system allows less than the settings promise. */
static void raise_file_limit(uint32_t connections)
{
    struct rlimit limit;
    rlim_t wanted = (rlim_t)connections + connections / 8 + SPARE_FILES;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    if (limit.rlim_max < wanted)
        log_line(LOG_LEVEL_WARN,
                 "server.max_connections is %u, but this process may open only %llu files; "
                 "raise the limit (ulimit -n) or lower the setting",
                 connections, (unsigned long long)limit.rlim_max);
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static struct MHD_Daemon *start_daemon(struct web *web)
{
    const struct config *config = web->engine->config;
    uint32_t threads = config->server.threads;
    struct MHD_OptionItem pool[] = {
        {MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)threads, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    if (threads < 2) /* one thread needs no pool */
        pool[0] = pool[1];
    /* The limit is ours to keep (connections.h); the library's is only there to be above it, as it
     * is divided between the threads and reached by one of them before the others. */
    unsigned library_limit = config->server.max_connections * 2 + SPARE_FILES;
    return MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC | MHD_USE_TURBO |
            MHD_ALLOW_UPGRADE | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG,
        0, NULL, NULL, on_request, web, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, NULL,
        MHD_OPTION_CONNECTION_LIMIT, library_limit, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_BUFFER_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECS,
        MHD_OPTION_URI_LOG_CALLBACK, on_uri, NULL, MHD_OPTION_NOTIFY_CONNECTION, on_connection, web,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, web, MHD_OPTION_ARRAY, pool, MHD_OPTION_END);
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

static void on_accepted(void *context, int socket, const struct sockaddr *peer, socklen_t size)
{
    struct web *web = context;
    if (!connections_admit(&web->connections, socket, clock_now().mono_ms))
        close(socket);
    else if (MHD_add_connection(web->daemon, socket, peer, size) != MHD_YES)
        connections_cancel(&web->connections); /* it has been closed */
}

/* Some connections are always left for requests that are answered at once. */
static uint32_t subscribers_max(const struct web *web)
{
    uint32_t connections = web->engine->config->server.max_connections;
    uint32_t left = connections / 10;
    return connections - (left ? left : 1);
}

/* --- calls of the push thread ----------------------------------------------------------------- */

static void resume_connection(void *connection)
{
    MHD_resume_connection(connection);
}

static void close_upgraded(void *upgraded)
{
    MHD_upgrade_action(upgraded, MHD_UPGRADE_ACTION_CLOSE);
}

static const struct push_http push_http = {.resume = resume_connection, .close = close_upgraded};

/* Starts the threads. The listener is the acceptor's when this succeeds. */
static enum error start_threads(struct web *web, int listener)
{
    enum error error = library_overrides_init();
    if (!error)
        error = push_start(web->engine, subscribers_max(web), &push_http, &web->push);
    if (error)
        return error;
    web->daemon = start_daemon(web);
    error = web->daemon ? acceptor_start(listener, on_accepted, web, &web->acceptor) : ERR_SYSTEM;
    if (!error)
        return ERR_NONE;
    push_stop(web->push);
    if (web->daemon)
        MHD_stop_daemon(web->daemon);
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
    raise_file_limit(engine->config->server.max_connections);
    int listener;
    enum error error = listener_open(engine->config->server.listen_addr, &listener, web->address,
                                     sizeof(web->address), problem, WEB_PROBLEM_BYTES);
    if (error) {
        free(web);
        return error;
    }
    set_url(engine, web);
    connections_init(&web->connections, engine->config->server.max_connections);
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

/* Waits until nothing is under way and nothing has been for a moment, or until the deadline. */
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
    log_line(LOG_LEVEL_WARN, "%u requests were still under way when the time to drain was over",
             view.busy);
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
    MHD_stop_daemon(web->daemon);
    push_free(web->push);
    connections_free(&web->connections);
    free(web);
}
