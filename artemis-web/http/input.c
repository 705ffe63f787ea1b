/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/http/input.h"

#include <assert.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>

#include "artemis-server/clock.h"
#include "artemis-web/http/authentication.h"
#include "artemis-web/http/routes.h"
#include "artemis-web/http/web_threads.h"

enum {
    /* A larger body buffer is not kept for the next request of the connection. */
    REUSED_BODY_BYTES_MAX = 8 * 1024,
    /* Memory for so much of a body is allocated with its first part. */
    RESERVED_BODY_BYTES_MAX = 64 * 1024,
    /* A refused body is read and discarded up to this size; then the connection is closed. */
    DISCARDED_BODY_BYTES_MAX = 64 * 1024 * 1024,
    /* All bodies that are being received together; at least one of server.max_body_bytes. */
    BUFFERED_BODIES_BYTES_MAX = 256 * 1024 * 1024,
    NS_PER_MS = 1000000,
};

/* --- header ----------------------------------------------------------------------------------- */

/* Whether a route is served at a listener. Peers check the health of a node where they replicate,
 * and `artemis diff` counts its instances there. */
static bool is_served(const struct web_listener *listener, const struct route *route)
{
    if (route->class == ROUTE_PEER)
        return listener->serves_peers;
    return listener->serves_clients || route->class == ROUTE_NODE;
}

static enum error check_header(struct http_connection *http, const char *method,
                               const char *version)
{
    const struct request *request = &http->request;
    const char *reason;
    enum error error = framing_check(request->header, version, &reason);
    if (!error && auth_is_required(&request->engine->auth))
        error = authentication_check(http);
    if (error)
        return error;
    if (!request->route || !is_served(http->listener, request->route))
        return ERR_NO_SUCH_PATH;
    bool known = !request->is_get || request->is_head || strcmp(method, MHD_HTTP_METHOD_GET) == 0;
    if (!known || !(request->route->methods & (request->is_get ? METHOD_GET : METHOD_POST)))
        return ERR_WRONG_METHOD;
    if (request->header->content_length > request->engine->config->server.max_body_bytes)
        return ERR_BODY_TOO_LARGE;
    return ERR_NONE;
}

/* The kind of a call of clients; CALL_KINDS for other routes. */
static enum call_kind call_kind_of(enum route_class class)
{
    switch (class) {
    case ROUTE_REGISTRY:
        return CALL_HEARTBEAT;
    case ROUTE_WRITE:
        return CALL_CHANGE;
    case ROUTE_DISCOVERY:
        return CALL_DISCOVERY;
    case ROUTE_EVENT:
        return CALL_EVENT;
    case ROUTE_PEER:
    case ROUTE_OPERATOR:
    case ROUTE_NODE:
        break;
    }
    return CALL_KINDS;
}

static enum error check_admission(const struct http_connection *http)
{
    const struct request *request = &http->request;
    const struct client client = {request->token ? request->token->name : NULL,
                                  &http->connection.from.address};
    enum call_kind kind = call_kind_of(request->route->class);
    if (request->route->class == ROUTE_PEER)
        return authentication_check_peer(request);
    return kind == CALL_KINDS ? ERR_NONE
                              : engine_admit(request->engine, kind, &client, request->now);
}

static size_t header_bytes(struct MHD_Connection *mhd)
{
    return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE)->header_size;
}

void input_begin(struct http_connection *http, struct MHD_Connection *mhd, const char *url,
                 const char *method, const char *version)
{
    struct request *request = &http->request;
    struct web *web = request->web;
    const struct route *last = request->route; /* clients tend to repeat it */
    bool is_get = strcmp(method, MHD_HTTP_METHOD_POST) != 0;
    struct text body = request->body; /* the buffer is reused */
    text_clear(&body);
    *request = (struct request){
        .web = web,
        .engine = web->engine,
        .push = web->push,
        .long_poll_share = web_thread_long_poll_share(http->thread),
        .mhd = mhd,
        .http_version = version,
        .header = request->header,
        .is_get = is_get,
        .is_head = is_get && strcmp(method, MHD_HTTP_METHOD_HEAD) == 0,
        .body = body,
        .started_ns = clock_mono_ns(),
    };
    request->now.mono_ms = request->started_ns / NS_PER_MS;
    request->route =
        last && strcmp(last->path, url) == 0 ? last : route_find(web->routes, url, &request->java);
    if (request->header->nul_in_path)
        request->route = NULL; /* `url` ends early */
    framing_check_end(request->header, method + header_bytes(mhd));
    request->refused = check_header(http, method, version);
    if (!request->refused)
        request->refused = check_admission(http);
    if (http->connection.is_excess)
        request->refused = ERR_TOO_MANY_CONNECTIONS;
    request->was_silent =
        connection_reading(&web->connections, &http->connection, request->now.mono_ms) > SILENT_MS;
}

bool input_is_final(const struct http_connection *http)
{
    const struct request *request = &http->request;
    return request->refused &&
           (request->refused == ERR_MALFORMED_REQUEST || request->refused == ERR_HEADER_TOO_LARGE ||
            request->refused == ERR_TOO_MANY_CONNECTIONS ||
            request_header(request, HEADER_EXPECT) ||
            request->header->content_length > DISCARDED_BODY_BYTES_MAX);
}

/* --- body ------------------------------------------------------------------------------------- */

static uint64_t buffered_bytes_max(const struct web *web)
{
    uint64_t one = web->engine->config->server.max_body_bytes;
    return one > BUFFERED_BODIES_BYTES_MAX ? one : BUFFERED_BODIES_BYTES_MAX;
}

/* Allocates memory for a body of which the first part has arrived. */
static void reserve_body(struct request *request, size_t size)
{
    uint64_t length = request->header->content_length;
    if (request->body.size > 0 || length <= size)
        return;
    if (length > RESERVED_BODY_BYTES_MAX)
        length = RESERVED_BODY_BYTES_MAX;
    (void)text_reserve(&request->body, length); /* the text remembers a failure */
}

static enum error buffer_body(struct request *request, const char *data, size_t size)
{
    if (request->body.size + size > request->engine->config->server.max_body_bytes)
        return ERR_BODY_TOO_LARGE;
    uint64_t others =
        atomic_fetch_add_explicit(&request->web->buffered_bytes, size, memory_order_relaxed);
    request->buffered_bytes += size;
    if (others + size > buffered_bytes_max(request->web))
        return ERR_OVERLOADED;
    reserve_body(request, size);
    text_append(&request->body, data, size);
    return text_failed(&request->body) ? ERR_NO_MEMORY : ERR_NONE;
}

bool input_receive(struct http_connection *http, const char *data, size_t size)
{
    struct request *request = &http->request;
    struct thread_metrics *metrics = web_thread_metrics(http->thread);
    connection_received(&http->connection, size);
    metrics_add(&metrics->request_bytes, size);
    if (!request->refused) {
        request->refused = buffer_body(request, data, size);
        return true;
    }
    request->discarded_bytes += size;
    if (request->discarded_bytes <= DISCARDED_BODY_BYTES_MAX)
        return true;
    metrics_count(metrics, route_index(request->web->routes, request->route), request->refused,
                  (unsigned)error_info(request->refused)->http_status, 0);
    /* libmicrohttpd takes no response before the end of the body */
    char response[ERROR_RESPONSE_BYTES];
    size_t bytes = connection_write_error(request->refused, NULL, response);
    if (http->tls)
        tls_session_send_last(http->tls, response, bytes);
    else
        connection_refuse(http->connection.socket, request->refused, NULL);
    return false;
}

void input_check_trailers(struct http_connection *http)
{
    const char *reason;
    if (!http->request.header->has_trailers)
        return;
    enum error error = framing_check(http->request.header, http->request.http_version, &reason);
    if (error)
        http->request.refused = error;
}

void input_release_body(struct request *request, bool keep)
{
    if (request->buffered_bytes) /* all threads share the count */
        atomic_fetch_sub_explicit(&request->web->buffered_bytes, request->buffered_bytes,
                                  memory_order_relaxed);
    request->buffered_bytes = 0;
    if (!keep && request->body.capacity > REUSED_BODY_BYTES_MAX)
        text_free(&request->body);
}

/* --- messages --------------------------------------------------------------------------------- */

static_assert((int)MESSAGE_BYTES >= (int)LIMIT_MESSAGE_BYTES, "the message of a limit fits");

/* Names the setting of the listener that serves the path; a path of no route is quoted. */
static void describe_path(const struct request *request, const char *url,
                          char message[MESSAGE_BYTES])
{
    char quoted[160];
    const struct route *route = request->route;
    text_quote(quoted, sizeof(quoted), slice_of(url));
    if (!route)
        snprintf(message, MESSAGE_BYTES, "path: there is no %s; the API is below /api", quoted);
    else if (route->class == ROUTE_PEER)
        snprintf(message, MESSAGE_BYTES,
                 "path: %s is served at the listener for peers (cluster.listen_addr) alone",
                 route->path);
    else
        snprintf(message, MESSAGE_BYTES,
                 "path: %s is served at the listeners for clients (server.listen_addr, "
                 "server.tls_listen_addr); this one is for peers (cluster.listen_addr)",
                 route->path);
}

void input_describe_error(const struct http_connection *http, const char *url, const char *method,
                          char message[MESSAGE_BYTES])
{
    char quoted[160];
    const char *reason;
    const struct request *request = &http->request;
    const struct config *config = request->engine->config;
    const struct framing *framing = http->request.header;
    switch ((int)request->refused) {
    case ERR_MALFORMED_REQUEST:
    case ERR_HEADER_TOO_LARGE:
        if (framing_check(framing, request->http_version, &reason) == request->refused)
            snprintf(message, MESSAGE_BYTES, "%s", reason);
        break;
    case ERR_NO_SUCH_PATH:
        describe_path(request, url, message);
        break;
    case ERR_WRONG_METHOD:
        text_quote(quoted, sizeof(quoted), slice_of(method));
        snprintf(message, MESSAGE_BYTES, "method: %s does not take %s", request->route->path,
                 quoted);
        break;
    case ERR_BODY_TOO_LARGE:
        snprintf(quoted, sizeof(quoted), "%llu", (unsigned long long)framing->content_length);
        snprintf(message, MESSAGE_BYTES,
                 "body: must be at most %llu bytes (server.max_body_bytes), is %s",
                 (unsigned long long)config->server.max_body_bytes,
                 framing->content_lengths && !framing->length_too_large ? quoted : "more");
        break;
    case ERR_NOT_READY:
        if (request->route->class == ROUTE_WRITE)
            snprintf(message, MESSAGE_BYTES,
                     "the request waited while this node did not run; it was not executed");
        break;
    case ERR_REQUEST_TIMEOUT:
        snprintf(message, MESSAGE_BYTES,
                 "request: not executed, because the client has closed the connection or its "
                 "sending side");
        break;
    case ERR_OVERLOADED:
        snprintf(message, MESSAGE_BYTES,
                 "body: too many bodies are being received at the same time; send it again later");
        break;
    case ERR_RATE_LIMITED:
    case ERR_CLIENT_RATE_LIMITED:
        engine_describe_limit(request->engine, call_kind_of(request->route->class),
                              request->refused, message);
        break;
    case ERR_TOO_MANY_CONNECTIONS:
        connections_describe_limit(&http->request.web->connections, message);
        break;
    case ERR_NOT_A_PEER:
    case ERR_CLUSTER_MISMATCH:
    case ERR_NODE_BLOCKED:
        authentication_describe_peer(request, request->refused, message);
        break;
    default:
        authentication_describe(http, request->refused, message);
    }
}
