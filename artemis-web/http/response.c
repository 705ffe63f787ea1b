/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/http/response.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-core/base/gzip.h"
#include "artemis-server/clock.h"
#include "artemis-web/http/etag.h"
#include "artemis-web/http/library_overrides.h"
#include "artemis-web/http/loop.h"
#include "artemis-web/http/routes.h"
#include "artemis-web/http/web_internal.h"

enum { GZIP_FROM_BYTES = 1024 };

static void header(struct MHD_Response *response, const char *name, const char *value)
{
    /* Fails only without memory; the answer is complete without it. */
    (void)MHD_add_response_header(response, name, value);
}

/* Below /artemis/api/ most errors have the status 200. A refused WebSocket has its own. */
static int status_of(const struct request *request, const struct error_info *info)
{
    bool handshake = request->route && strncmp(request->route->path, "/ws", strlen("/ws")) == 0;
    return request->java && !handshake ? info->java_http_status : info->http_status;
}

/* The error's answer in place of whatever was begun. */
static void write_refusal(struct request *request, struct response *reply, enum error error,
                          const char *message)
{
    if (reply->stream.context)
        reply->stream.free(reply->stream.context);
    cached_response_unref(reply->answer);
    text_free(&reply->body);
    const struct error_info *info = error_info(error);
    *reply = (struct response){
        .outcome = error,
        .status = (unsigned)status_of(request, info),
    };
    codec_write_error(&reply->body, request_dialect(request), error, message[0] ? message : NULL);
}

/* --- bodies ----------------------------------------------------------------------------------- */

static void drop_answer(void *answer)
{
    cached_response_unref(answer);
}

/* Hands a reference to the library: the body stays while it is being sent. */
static struct MHD_Response *from_answer(struct cached_response *answer, struct slice bytes)
{
    struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback_cls(
        bytes.size, (char *)(uintptr_t)bytes.data, drop_answer, answer); /* only read */
    if (response)
        cached_response_ref(answer);
    return response;
}

static struct MHD_Response *from_text(struct text *body)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        body->size, body->size ? body->data : (char *)(uintptr_t) "",
        body->size ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
    if (response && body->size)
        *body = (struct text){0};
    return response;
}

/* Compresses the body in place where that works out; else leaves it. */
static bool compress_text(struct text *body)
{
    struct text compressed = {0};
    if (gzip_compress((struct slice){body->data, body->size}, &compressed) != ERR_NONE) {
        text_free(&compressed);
        return false;
    }
    text_free(body);
    *body = compressed;
    return true;
}

static void add_etag(struct MHD_Response *response, const struct engine *engine,
                     const struct cached_response *answer, bool compressed)
{
    char tag[ETAG_BYTES];
    etag_write(tag, engine->epoch, answer->revision, compressed);
    header(response, MHD_HTTP_HEADER_ETAG, tag);
}

/* A 304 is made of the same body as the 200, though libmicrohttpd sends none of it: it cannot be
 * kept from writing a Content-Length, and that must be the 200's (RFC 9110, 8.6). Of the other
 * headers a 304 has those that are not about its body (15.4.5). */
static struct MHD_Response *make_response(struct request *request, struct response *reply)
{
    struct cached_response *answer = reply->answer;
    size_t size = answer ? answer->body.size : reply->body.size;
    bool with_body = reply->status != MHD_HTTP_NOT_MODIFIED;
    bool compressed = false;
    bool may_vary = size > GZIP_FROM_BYTES;
    struct MHD_Response *response;
    struct slice bytes = {0};
    if (may_vary && request_accepts_gzip(request))
        compressed =
            answer ? cached_response_gzip(answer, &bytes) == ERR_NONE : compress_text(&reply->body);
    if (answer && !compressed)
        bytes = (struct slice){answer->body.data, answer->body.size};
    if (!answer)
        bytes.size = reply->body.size;
    response = answer ? from_answer(answer, bytes) : from_text(&reply->body);
    if (!response)
        return NULL;
    if (may_vary)
        header(response, MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_ACCEPT_ENCODING);
    if (reply->send_etag && answer)
        add_etag(response, request->engine, answer, compressed);
    if (!with_body)
        return response;
    header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
           reply->content_type ? reply->content_type : "application/json");
    if (compressed)
        header(response, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
    atomic_fetch_add_explicit(&request->web->metrics.response_bytes, bytes.size,
                              memory_order_relaxed);
    return response;
}

/* --- streams ---------------------------------------------------------------------------------- */

enum { STREAM_BLOCK_BYTES = 64 * 1024 };

struct stream {
    struct response_stream source;
    _Atomic uint64_t *sent_bytes;
    struct text piece;
    size_t at;
    bool ended;
};

static void free_stream(void *context)
{
    struct stream *stream = context;
    stream->source.free(stream->source.context);
    text_free(&stream->piece);
    free(stream);
}

static ssize_t read_stream(void *context, uint64_t position, char *out, size_t max)
{
    (void)position;
    struct stream *stream = context;
    loop_note_progress();
    while (stream->at == stream->piece.size) {
        if (stream->ended)
            return MHD_CONTENT_READER_END_OF_STREAM;
        text_clear(&stream->piece);
        stream->at = 0;
        if (stream->source.next(stream->source.context, &stream->piece, &stream->ended))
            return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    size_t size = stream->piece.size - stream->at;
    if (size > max)
        size = max;
    memcpy(out, stream->piece.data + stream->at, size);
    stream->at += size;
    atomic_fetch_add_explicit(stream->sent_bytes, size, memory_order_relaxed);
    return (ssize_t)size;
}

static struct MHD_Response *from_stream(struct request *request, struct response *reply)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    if (!stream)
        return NULL;
    stream->source = reply->stream;
    stream->sent_bytes = &request->web->metrics.response_bytes;
    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES, read_stream, stream, free_stream);
    if (response)
        reply->stream.context = NULL; /* the library's now */
    else
        free(stream);
    return response;
}

/* --- WebSockets ------------------------------------------------------------------------------- */

/* The connection is not libmicrohttpd's any more, but for closing it. */
static void on_upgraded(void *endpoint, struct MHD_Connection *connection, void *context,
                        const char *received, size_t received_bytes, MHD_socket socket,
                        struct MHD_UpgradeResponseHandle *upgraded)
{
    (void)connection;
    struct session *session = context;
    struct request *request = &session->request;
    request->push_slot_reserved = false; /* the push thread owns it now */
    session->upgraded = upgraded;
    push_add_websocket(request->web->push, (enum endpoint)(uintptr_t)endpoint, socket, session,
                       (struct slice){received, received_bytes});
}

static struct MHD_Response *from_upgrade(const struct response *reply)
{
    struct MHD_Response *response =
        MHD_create_response_for_upgrade(on_upgraded, (void *)(uintptr_t)reply->upgrade.endpoint);
    if (!response)
        return NULL;
    header(response, MHD_HTTP_HEADER_UPGRADE, "websocket");
    header(response, MHD_HTTP_HEADER_SEC_WEBSOCKET_ACCEPT, reply->upgrade.accept);
    return response;
}

/* --- headers ---------------------------------------------------------------------------------- */

static void add_allow(struct MHD_Response *response, const struct route *route)
{
    static const char *const allowed[] = {
        [METHOD_GET] = "GET, HEAD",
        [METHOD_POST] = "POST",
        [METHOD_GET_POST] = "GET, HEAD, POST",
    };
    header(response, MHD_HTTP_HEADER_ALLOW, allowed[route->methods]);
}

static void add_clock(struct MHD_Response *response, const struct engine *engine)
{
    char text[24];
    snprintf(text, sizeof(text), "%llu",
             (unsigned long long)registry_clock_ms(engine->registry, clock_now()));
    header(response, "X-Artemis-Clock", text);
}

static void add_headers(struct request *request, const struct response *reply,
                        struct MHD_Response *response)
{
    const struct engine *engine = request->engine;
    enum node_state state = engine_state(engine);
    if (reply->outcome == ERR_WRONG_METHOD)
        add_allow(response, request->route);
    if (reply->outcome == ERR_UPGRADE_REQUIRED) {
        header(response, MHD_HTTP_HEADER_UPGRADE, "websocket");
        header(response, MHD_HTTP_HEADER_SEC_WEBSOCKET_VERSION, "13");
    }
    if (reply->send_epoch)
        header(response, "X-Artemis-Run", engine->epoch);
    if (reply->status == 429 || reply->status == 503)
        header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    if (reply->identity_headers) {
        header(response, "X-Artemis-Node", engine->config->server.node_id);
        header(response, "X-Artemis-Cluster", engine->config->cluster.cluster_id);
        header(response, "X-Artemis-State", engine_state_word(state));
        header(response, "X-Artemis-Region", engine->config->server.region);
        header(response, "X-Artemis-Zone", engine->config->server.zone);
        header(response, "X-Artemis-Run", engine->epoch);
        add_clock(response, engine);
    }
    if (state == NODE_DRAINING || reply->outcome == ERR_BODY_TOO_LARGE ||
        reply->outcome == ERR_MALFORMED_REQUEST || reply->outcome == ERR_HEADER_TOO_LARGE)
        header(response, MHD_HTTP_HEADER_CONNECTION, "close");
}

/* The client has this version already. */
static bool is_not_modified(const struct request *request, const struct response *reply)
{
    if (!request->is_get || !reply->send_etag || !reply->answer)
        return false;
    const char *known = request_header(request, MHD_HTTP_HEADER_IF_NONE_MATCH);
    return known && etag_matches(known, request->engine->epoch, reply->answer->revision);
}

bool response_send(struct request *request, struct response *reply, enum error error,
                   const char *message, enum error *outcome)
{
    if (!error && text_failed(&reply->body))
        error = ERR_NO_MEMORY;
    if (error)
        write_refusal(request, reply, error, message);
    if (reply->status == 0)
        reply->status = reply->upgrade.accept ? MHD_HTTP_SWITCHING_PROTOCOLS : MHD_HTTP_OK;
    *outcome = reply->outcome;

    if (reply->not_modified || is_not_modified(request, reply))
        reply->status = MHD_HTTP_NOT_MODIFIED;
    struct MHD_Response *response = NULL;
    if (reply->stream.context)
        response = from_stream(request, reply);
    else if (reply->upgrade.accept)
        response = from_upgrade(reply);
    else if (!text_failed(&reply->body))
        response = make_response(request, reply);
    bool queued = false;
    if (response) {
        add_headers(request, reply, response);
        queued = library_queue_response(request->mhd, reply->status, response) == MHD_YES;
        MHD_destroy_response(response);
    }
    if (reply->stream.context)
        reply->stream.free(reply->stream.context);
    cached_response_unref(reply->answer);
    text_free(&reply->body);
    return queued;
}
