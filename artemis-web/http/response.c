/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/http/response.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-server/clock.h"
#include "artemis-web/connections/loop.h"
#include "artemis-web/http/authentication.h"
#include "artemis-web/http/etag.h"
#include "artemis-web/http/library_overrides.h"
#include "artemis-web/http/response_budget.h"
#include "artemis-web/http/routes.h"
#include "artemis-web/http/web_internal.h"
#include "artemis-web/http/web_threads.h"
#include "artemis-web/tls/tls_forward.h"

static void header(struct MHD_Response *mhd_response, const char *name, const char *value)
{
    /* Fails only without memory; the response is valid without the header. */
    (void)MHD_add_response_header(mhd_response, name, value);
}

/* Below /artemis/ errors of the registry have status 200; a refused handshake has its own. */
static int status_of(const struct request *request, const struct error_info *info)
{
    bool handshake = request->route && route_is_websocket(request->route);
    return request->java && !handshake ? info->java_http_status : info->http_status;
}

/* Replaces the response by that of an error. */
static void write_error(struct request *request, struct response *response, enum error error,
                        const char *message)
{
    response_clear(response);
    const struct error_info *info = error_info(error);
    *response = (struct response){
        .outcome = error,
        .status = (unsigned)status_of(request, info),
    };
    codec_write_error(&response->body, request_dialect(request), error,
                      message[0] ? message : NULL);
}

/* --- WebSockets ------------------------------------------------------------------------------- */

static bool watch(void *context, struct watch *watch, uint32_t events)
{
    struct http_connection *http = context;
    return web_thread_watch(http->thread, watch, events);
}

static void unwatch(void *context, struct watch *watch)
{
    struct http_connection *http = context;
    web_thread_unwatch(http->thread, watch);
}

static void end_forward(void *context)
{
    struct http_connection *http = context;
    http->tls->forward = NULL;
    web_thread_end_upgraded(http->thread, http);
}

static const struct tls_forward_calls forward_calls = {
    .watch = watch,
    .unwatch = unwatch,
    .end = end_forward,
};

/* From here on libmicrohttpd only closes the connection. */
static void on_upgraded(void *endpoint, struct MHD_Connection *connection, void *context,
                        const char *received, size_t received_bytes, MHD_socket socket,
                        struct MHD_UpgradeResponseHandle *upgraded)
{
    (void)connection;
    struct http_connection *http = context;
    struct request *request = &http->request;
    request->has_reservation = false; /* the push thread owns it now */
    http->upgraded = upgraded;
    free(http->request.header); /* a WebSocket lives long, and has no further header */
    http->request.header = NULL;
    request->header = NULL;
    struct tls_session *tls = http->tls;
    if (tls) {
        int on = 1; /* libmicrohttpd has switched Nagle's algorithm on */
        setsockopt(http->connection.socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        tls->forward =
            tls_forward_start(tls, tls->handshake_watch.is_added, &forward_calls, http, &socket);
    }
    if (tls && !tls->forward) {
        push_release(request->web->push);
        web_thread_close_upgraded(http->thread, http);
        return;
    }
    const struct push_caller caller = {request->token, http->connection.from.address};
    push_add_websocket(request->web->push, (enum endpoint)(uintptr_t)endpoint, socket, http,
                       &caller, (struct slice){received, received_bytes});
}

static struct MHD_Response *from_upgrade(const struct response *response)
{
    struct MHD_Response *mhd_response =
        MHD_create_response_for_upgrade(on_upgraded, (void *)(uintptr_t)response->upgrade.endpoint);
    if (!mhd_response)
        return NULL;
    header(mhd_response, MHD_HTTP_HEADER_UPGRADE, "websocket");
    header(mhd_response, MHD_HTTP_HEADER_SEC_WEBSOCKET_ACCEPT, response->upgrade.accept);
    return mhd_response;
}

/* --- headers ---------------------------------------------------------------------------------- */

static void add_allow(struct MHD_Response *mhd_response, const struct route *route)
{
    static const char *const allowed[] = {
        [METHOD_GET] = "GET, HEAD",
        [METHOD_POST] = "POST",
        [METHOD_GET_POST] = "GET, HEAD, POST",
    };
    header(mhd_response, MHD_HTTP_HEADER_ALLOW, allowed[route->methods]);
}

/* RFC 6750, section 3. By it a peer recognizes a 403 about its token. */
static void add_challenge(struct MHD_Response *mhd_response, enum error error)
{
    static const char realm[] = "Bearer realm=\"artemis\"";
    const char *code = error == ERR_NO_TOKEN        ? ""
                       : error == ERR_NO_PERMISSION ? ", error=\"insufficient_scope\""
                                                    : ", error=\"invalid_token\"";
    char challenge[96];
    snprintf(challenge, sizeof(challenge), "%s%s", realm, code);
    header(mhd_response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, challenge);
}

static void add_number(struct MHD_Response *mhd_response, const char *name, uint64_t number)
{
    char digits[24];
    struct text text = {.data = digits, .capacity = sizeof(digits)}; /* large enough: never grows */
    text_append_u64(&text, number);
    header(mhd_response, name, text_string(&text));
}

/* What members need to issue later stamps than this node. Only the time, if it is no health
 * response. */
static void add_clocks(struct MHD_Response *mhd_response, const struct engine *engine,
                       bool is_health)
{
    struct moment now = clock_now();
    add_number(mhd_response, "X-Artemis-Clock", registry_clock_ms(engine->registry, now));
    if (!is_health)
        return;
    add_number(mhd_response, "X-Artemis-Members-Clock",
               registry_members_clock_ms(engine->registry, now));
    add_number(mhd_response, "X-Artemis-Blocks", blocks_hash(&engine->blocks));
    add_number(mhd_response, "X-Artemis-Stamp", registry_highest_hlc(engine->registry, now));
}

/* For peers. A node that is blocked says so to those that do not know it yet. */
static const char *state_word(struct engine *engine, enum node_state state)
{
    if (state != NODE_DRAINING && engine_is_blocked(engine))
        return "blocked";
    return engine_is_comparing(engine) ? "comparing" : engine_state_word(state);
}

static void add_headers(struct request *request, const struct response *response,
                        struct MHD_Response *mhd_response)
{
    struct engine *engine = request->engine;
    enum node_state state = engine_state(engine);
    if (response->outcome == ERR_WRONG_METHOD)
        add_allow(mhd_response, request->route);
    if (response->outcome == ERR_UPGRADE_REQUIRED) {
        header(mhd_response, MHD_HTTP_HEADER_UPGRADE, "websocket");
        header(mhd_response, MHD_HTTP_HEADER_SEC_WEBSOCKET_VERSION, "13");
    }
    if (response->status / 100 == 4 && authentication_has_failed(response->outcome))
        add_challenge(mhd_response, response->outcome);
    if (response->status == 429 || response->status == 503)
        header(mhd_response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    if (response->identity_headers) {
        header(mhd_response, "X-Artemis-Node", engine->config->server.node_id);
        header(mhd_response, "X-Artemis-Cluster", engine->config->cluster.cluster_id);
        header(mhd_response, "X-Artemis-State", state_word(engine, state));
        header(mhd_response, "X-Artemis-Region", engine->config->server.region);
        header(mhd_response, "X-Artemis-Zone", engine->config->server.zone);
        header(mhd_response, "X-Artemis-Run", engine->epoch);
        header(mhd_response, "X-Artemis-Loaded", engine->has_loaded ? "true" : "false");
        if (config_listener_address(engine->config, CONFIG_LISTENER_PEER)[0])
            header(mhd_response, "X-Artemis-Url", engine->url); /* peers use another one */
    }
    if (response->outcome == ERR_NODE_BLOCKED ||
        (response->identity_headers && request_is_of_blocked(request)))
        header(mhd_response, "X-Artemis-Blocked", "true");
    if (response->identity_headers || (request->route && request->route->class == ROUTE_PEER))
        add_clocks(mhd_response, engine, response->identity_headers);
    if (state == NODE_DRAINING || response->outcome == ERR_BODY_TOO_LARGE ||
        response->outcome == ERR_MALFORMED_REQUEST || response->outcome == ERR_HEADER_TOO_LARGE ||
        response->outcome == ERR_TOO_MANY_CONNECTIONS)
        header(mhd_response, MHD_HTTP_HEADER_CONNECTION, "close");
}

/* Returns true when the client has this revision already. */
static bool is_not_modified(const struct request *request, const struct response *response)
{
    if (!request->is_get || !response->send_etag || response->kind != RESPONSE_CACHED)
        return false;
    const char *known = request_header(request, HEADER_IF_NONE_MATCH);
    return known && etag_matches(known, request->engine->epoch, response->cached->revision);
}

/* Whether the response has no headers but those of its body: none of add_headers applies. */
static bool has_body_headers_only(const struct request *request, const struct response *response)
{
    return response->status == MHD_HTTP_OK && !response->outcome && !response->identity_headers &&
           request->route->class != ROUTE_PEER && engine_state(request->engine) != NODE_DRAINING;
}

/* A response for this request alone, with all its headers. NULL without memory. */
static struct MHD_Response *make_response(struct request *request, struct response *response)
{
    struct MHD_Response *mhd_response = NULL;
    if (response->kind == RESPONSE_STREAM)
        mhd_response = response_body_stream(request, &response->stream, MHD_SIZE_UNKNOWN);
    else if (response->kind == RESPONSE_UPGRADE)
        mhd_response = from_upgrade(response);
    else if (response->kind != RESPONSE_TEXT || !text_failed(&response->body))
        mhd_response = response_body_create(request, response);
    if (mhd_response)
        add_headers(request, response, mhd_response);
    return mhd_response;
}

static bool queue(struct request *request, struct response *response)
{
    struct MHD_Response *mhd_response =
        has_body_headers_only(request, response) ? response_body_share(request, response) : NULL;
    bool is_shared = mhd_response != NULL;
    if (!is_shared)
        mhd_response = make_response(request, response);
    if (!mhd_response)
        return false;
    bool queued = library_queue_response(request->mhd, response->status, mhd_response) == MHD_YES;
    if (!is_shared)
        MHD_destroy_response(mhd_response);
    return queued;
}

bool response_send(struct request *request, struct response *response, enum error error,
                   const char *message, enum error *outcome)
{
    if (!error && response->kind == RESPONSE_TEXT && text_failed(&response->body))
        error = ERR_NO_MEMORY;
    bool is_known = !error && (response->not_modified || is_not_modified(request, response));
    if (!error && !is_known &&
        response_budget_exceeded(request->web, response_body_bytes(request, response))) {
        error = ERR_OVERLOADED;
        message = "too many large responses are not read yet";
    }
    if (error)
        write_error(request, response, error, message);
    if (response->status == 0)
        response->status =
            response->kind == RESPONSE_UPGRADE ? MHD_HTTP_SWITCHING_PROTOCOLS : MHD_HTTP_OK;
    *outcome = response->outcome;

    if (is_known)
        response->status = MHD_HTTP_NOT_MODIFIED;
    bool queued = queue(request, response);
    response_clear(response);
    return queued;
}
