/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/http/response.h"

#include <assert.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-core/base/gzip.h"
#include "artemis-web/connections/loop.h"
#include "artemis-web/http/etag.h"
#include "artemis-web/http/response_budget.h"
#include "artemis-web/http/web_internal.h"
#include "artemis-web/http/web_threads.h"

enum {
    GZIP_FROM_BYTES = 1024,
    STREAM_BLOCK_BYTES = 64 * 1024, /* that libmicrohttpd asks for at once */
    PART_BYTES = 32 * 1024,         /* of a large response; at most one step more */
    STEP_INSTANCES = 16,            /* that are encoded at once, */
    STEP_BYTES = 4 * 1024,          /* of these, at most one instance more */
    LARGE_PLAIN_BYTES = 128 * 1024, /* of all buffers of a large response, with libmicrohttpd's */
    LARGE_GZIP_BYTES = 512 * 1024,  /* the same, with those of zlib */
    KEPT_BYTES = 640, /* about what libmicrohttpd allocates for a response and its headers */
};

static struct thread_metrics *metrics_of(struct request *request)
{
    return web_thread_metrics(http_connection_of_request(request)->thread);
}

static void count_bytes(struct request *request, size_t bytes)
{
    metrics_add(&metrics_of(request)->response_bytes, bytes);
}

/* --- forms ------------------------------------------------------------------------------------ */

/* The bytes that are sent. */
struct form {
    struct slice bytes;
    bool is_gzip;
    bool may_vary; /* with the codings that the client accepts */
};

/* Compresses the body in place. Returns false without memory; the body is unchanged then. */
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

static struct form choose_form(struct request *request, struct response *response)
{
    if (response->kind == RESPONSE_CONSTANT)
        return (struct form){.bytes = response->constant};
    struct cached_response *cached = response->kind == RESPONSE_CACHED ? response->cached : NULL;
    struct text *body = cached ? &cached->body : &response->body;
    bool is_large = cached && cached->large;
    struct form form = {.may_vary = is_large || body->size > GZIP_FROM_BYTES};
    if (is_large) {
        form.is_gzip = request_accepts_gzip(request);
        return form;
    }
    if (form.may_vary && request_accepts_gzip(request))
        form.is_gzip =
            cached ? cached_response_gzip(cached, &form.bytes) == ERR_NONE : compress_text(body);
    if (!cached || !form.is_gzip)
        form.bytes = (struct slice){body->data, body->size};
    return form;
}

static bool add(struct MHD_Response *mhd_response, const char *name, const char *value)
{
    return MHD_add_response_header(mhd_response, name, value) == MHD_YES;
}

static bool add_etag(struct MHD_Response *mhd_response, const struct engine *engine,
                     const struct cached_response *cached, bool is_gzip)
{
    char tag[ETAG_BYTES];
    if (cached->since) /* the same request can be answered with the whole service later */
        etag_write_weak(tag, engine->epoch, cached->revision);
    else
        etag_write(tag, engine->epoch, cached->revision, is_gzip);
    return add(mhd_response, MHD_HTTP_HEADER_ETAG, tag);
}

/* Returns false without memory. Such a response is not sent: a compressed body cannot be read
 * without its Content-Encoding, and a shared response would lack the header for all clients. */
static bool add_headers(struct MHD_Response *mhd_response, const struct request *request,
                        const struct response *response, const struct form *form)
{
    const char *type = response->content_type ? response->content_type : "application/json";
    bool added = true;
    if (form->may_vary)
        added &= add(mhd_response, MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_ACCEPT_ENCODING);
    if (response->send_epoch)
        added &= add(mhd_response, "X-Artemis-Run", request->engine->epoch);
    if (response->send_etag && response->kind == RESPONSE_CACHED)
        added &= add_etag(mhd_response, request->engine, response->cached, form->is_gzip);
    if (response->status == MHD_HTTP_NOT_MODIFIED)
        return added;
    added &= add(mhd_response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (form->is_gzip)
        added &= add(mhd_response, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
    return added;
}

/* --- own responses ---------------------------------------------------------------------------- */

static void unref_cached(void *cached)
{
    cached_response_unref(cached);
}

/* The library holds a reference while it sends the body. */
static struct MHD_Response *from_cached(struct cached_response *cached, struct slice bytes)
{
    struct MHD_Response *mhd_response = MHD_create_response_from_buffer_with_free_callback_cls(
        bytes.size, (char *)(uintptr_t)bytes.data, unref_cached, cached); /* only read */
    if (mhd_response)
        cached_response_ref(cached);
    return mhd_response;
}

/* --- streams ---------------------------------------------------------------------------------- */

struct stream {
    struct response_stream source;
    _Atomic uint64_t *sent_bytes; /* the metric */
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
    metrics_add(stream->sent_bytes, size);
    return (ssize_t)size;
}

struct MHD_Response *response_body_stream(struct request *request, struct response_stream *source,
                                          uint64_t size)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    if (!stream)
        return NULL;
    stream->source = *source;
    stream->sent_bytes = &metrics_of(request)->response_bytes;
    struct MHD_Response *mhd_response = MHD_create_response_from_callback(
        size, STREAM_BLOCK_BYTES, read_stream, stream, free_stream);
    if (mhd_response)
        source->context = NULL; /* the library owns it now */
    else
        free(stream);
    return mhd_response;
}

/* --- large responses -------------------------------------------------------------------------- */

/* The state of one request. */
struct large_stream {
    struct web *web;
    struct cached_response *cached; /* a reference */
    size_t counted_bytes;           /* in the budget */
    uint64_t encoded_bytes;         /* in all parts so far */
    struct gzip_stream *gzip;       /* NULL: not compressed, or without a body */
    size_t next;                    /* instance to encode */
    struct text plain;              /* before compression */
};

static void free_large(void *context)
{
    struct large_stream *stream = context;
    response_budget_subtract(stream->web, stream->counted_bytes);
    cached_response_unref(stream->cached);
    gzip_stream_free(stream->gzip);
    text_free(&stream->plain);
    free(stream);
}

/* The end of the instances that are encoded at once. One with 8 KiB of metadata takes up to 50 KiB
 * of JSON. */
static size_t end_of_step(const struct large_response *large, size_t from)
{
    size_t bytes = 0;
    size_t to = from;
    while (to < large->count && to - from < STEP_INSTANCES && bytes < STEP_BYTES)
        bytes += instance_size(large->instances[to++]);
    return to;
}

static enum error next_part(void *context, struct text *piece, bool *ended)
{
    struct large_stream *stream = context;
    struct large_response *large = stream->cached->large;
    struct text *out = stream->gzip ? &stream->plain : piece;
    text_clear(&stream->plain);
    while (stream->next < large->count && out->size < PART_BYTES) {
        size_t to = end_of_step(large, stream->next);
        large->encode(stream->cached, stream->next, to, out);
        stream->next = to;
    }
    *ended = stream->next == large->count;
    enum error error = text_failed(out) ? ERR_NO_MEMORY : ERR_NONE;
    if (!error && stream->gzip)
        error =
            gzip_stream_compress(stream->gzip, (struct slice){out->data, out->size}, *ended, piece);
    stream->encoded_bytes += piece->size;
    if (!error && *ended)
        large_response_set_bytes(large, stream->gzip != NULL, stream->encoded_bytes);
    return error;
}

/* A response with a body is chunked. One without (HEAD, 304) has the length of the body, if that
 * was sent before; otherwise the connection is closed after it, because libmicrohttpd 0.9.75 ends
 * each chunked response with an empty chunk, which the client would read as the next response. */
static struct MHD_Response *create_large(struct request *request, struct large_stream *large,
                                         bool has_body, bool is_gzip)
{
    struct response_stream source = {next_part, free_large, large};
    uint64_t size = large_response_bytes(large->cached->large, is_gzip);
    if (has_body || !size)
        size = MHD_SIZE_UNKNOWN;
    struct MHD_Response *mhd_response = response_body_stream(request, &source, size);
    if (mhd_response && !has_body && size == MHD_SIZE_UNKNOWN)
        MHD_set_response_options(mhd_response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
    return mhd_response;
}

static struct MHD_Response *from_large(struct request *request, const struct response *response,
                                       bool is_gzip)
{
    bool has_body = !request->is_head && response->status != MHD_HTTP_NOT_MODIFIED;
    struct large_stream *stream = calloc(1, sizeof(*stream));
    if (!stream)
        return NULL;
    stream->web = request->web;
    stream->cached = cached_response_ref(response->cached);
    stream->counted_bytes = has_body ? response_body_bytes(request, response) : 0;
    response_budget_add(stream->web, stream->counted_bytes);
    bool is_created = !has_body || !is_gzip || gzip_stream_create(true, &stream->gzip) == ERR_NONE;
    struct MHD_Response *mhd_response =
        is_created ? create_large(request, stream, has_body, is_gzip) : NULL;
    if (!mhd_response)
        free_large(stream);
    return mhd_response;
}

size_t response_body_bytes(const struct request *request, const struct response *response)
{
    if (response->kind == RESPONSE_TEXT)
        return response->body.capacity;
    if (response->kind != RESPONSE_CACHED || !response->cached->large || request->is_head)
        return 0;
    return request_accepts_gzip(request) ? LARGE_GZIP_BYTES : LARGE_PLAIN_BYTES;
}

/* The bytes live as long as the library's response. */
static struct MHD_Response *from_bytes(struct slice bytes)
{
    return MHD_create_response_from_buffer(bytes.size,
                                           (char *)(uintptr_t)bytes.data, /* only read */
                                           MHD_RESPMEM_PERSISTENT);
}

static struct MHD_Response *create(struct request *request, struct response *response,
                                   const struct form *form)
{
    if (response->kind == RESPONSE_CACHED && response->cached->large)
        return from_large(request, response, form->is_gzip);
    if (response->kind == RESPONSE_CACHED)
        return from_cached(response->cached, form->bytes);
    if (response->kind == RESPONSE_CONSTANT)
        return from_bytes(form->bytes);
    return response_budget_create(request->web, &response->body);
}

/* A 304 gets the same body as a 200, although libmicrohttpd does not send it: libmicrohttpd always
 * writes a Content-Length, which must be that of the 200 (RFC 9110, 8.6). Headers about the body
 * are left out (15.4.5). */
struct MHD_Response *response_body_create(struct request *request, struct response *response)
{
    struct form form = choose_form(request, response);
    struct MHD_Response *mhd_response = create(request, response, &form);
    if (!mhd_response)
        return NULL;
    if (!add_headers(mhd_response, request, response, &form)) {
        MHD_destroy_response(mhd_response);
        return NULL;
    }
    if (response->status != MHD_HTTP_NOT_MODIFIED)
        count_bytes(request, form.bytes.size);
    return mhd_response;
}

/* --- shared responses ------------------------------------------------------------------------- */

static void destroy(void *mhd_response)
{
    MHD_destroy_response(mhd_response);
}

static unsigned form_number(const struct response *response, const struct form *form)
{
    static_assert(CACHED_FORMS == 4, "two bits");
    return (form->is_gzip ? 1U : 0) | (response->send_epoch ? 2U : 0);
}

/* A response for bytes that live as long. NULL without memory. */
static struct MHD_Response *create_shared(const struct request *request,
                                          const struct response *response, const struct form *form)
{
    struct MHD_Response *mhd_response = from_bytes(form->bytes);
    if (mhd_response && !add_headers(mhd_response, request, response, form)) {
        MHD_destroy_response(mhd_response);
        return NULL;
    }
    return mhd_response;
}

static struct MHD_Response *create_kept(const struct request *request,
                                        const struct response *response, const struct form *form)
{
    struct MHD_Response *mhd_response = create_shared(request, response, form);
    return mhd_response ? cached_response_keep(response->cached, form_number(response, form),
                                               mhd_response, KEPT_BYTES, destroy)
                        : NULL;
}

/* The http holds the reference until the library has sent the response. */
static struct MHD_Response *share_cached(struct request *request, struct response *response)
{
    struct cached_response *cached = response->cached;
    if (!response->send_etag || cached->large || !cached_response_is_sent_again(cached))
        return NULL;
    struct form form = choose_form(request, response);
    struct MHD_Response *mhd_response =
        cached_response_object(cached, form_number(response, &form));
    if (!mhd_response)
        mhd_response = create_kept(request, response, &form);
    if (!mhd_response)
        return NULL;
    http_connection_of_request(request)->sent = cached_response_ref(cached);
    count_bytes(request, form.bytes.size);
    return mhd_response;
}

/* The response that a web thread keeps for a constant body. */
static struct MHD_Response *kept_by_thread(struct web_thread_bodies *kept,
                                           const struct request *request,
                                           const struct response *response)
{
    const struct form form = {.bytes = response->constant};
    for (int i = 0; i < kept->count; i++)
        if (kept->bodies[i].data == form.bytes.data)
            return kept->bodies[i].response;
    struct MHD_Response *mhd_response =
        kept->count < THREAD_BODIES ? create_shared(request, response, &form) : NULL;
    if (!mhd_response)
        return NULL;
    kept->bodies[kept->count].data = form.bytes.data;
    kept->bodies[kept->count++].response = mhd_response;
    return mhd_response;
}

static struct MHD_Response *share_constant(struct request *request, const struct response *response)
{
    struct MHD_Response *mhd_response = kept_by_thread(
        web_thread_bodies(http_connection_of_request(request)->thread), request, response);
    if (mhd_response)
        count_bytes(request, response->constant.size);
    return mhd_response;
}

struct MHD_Response *response_body_share(struct request *request, struct response *response)
{
    if (response->kind == RESPONSE_CACHED)
        return share_cached(request, response);
    return response->kind == RESPONSE_CONSTANT ? share_constant(request, response) : NULL;
}
