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
    PART_BYTES = 32 * 1024, /* of a large response; at most PART_INSTANCES more */
    PART_INSTANCES = 16,
    LARGE_BLOCK_BYTES = 64 * 1024, /* that libmicrohttpd asks for at once */
    KEPT_BYTES = 640, /* about what libmicrohttpd allocates for a response and its headers */
};

static void count_bytes(struct request *request, size_t bytes)
{
    atomic_fetch_add_explicit(&request->web->metrics.response_bytes, bytes, memory_order_relaxed);
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

/* --- large responses -------------------------------------------------------------------------- */

/* The state of one request. */
struct large_stream {
    struct cached_response *cached; /* a reference */
    _Atomic uint64_t *all_bytes;    /* the metric */
    uint64_t sent_bytes;
    struct gzip_stream *gzip; /* NULL: not compressed */
    size_t next;              /* instance to encode */
    struct text part;         /* that is being sent */
    size_t at;
    struct text plain; /* before compression */
};

static void free_large(void *context)
{
    struct large_stream *stream = context;
    cached_response_unref(stream->cached);
    gzip_stream_free(stream->gzip);
    text_free(&stream->part);
    text_free(&stream->plain);
    free(stream);
}

/* Encodes the next part. Returns false without memory. */
static bool encode_next(struct large_stream *stream)
{
    const struct large_response *large = stream->cached->large;
    struct text *out = stream->gzip ? &stream->plain : &stream->part;
    text_clear(&stream->part);
    text_clear(&stream->plain);
    stream->at = 0;
    while (stream->next < large->count && out->size < PART_BYTES) {
        size_t left = large->count - stream->next;
        size_t to = stream->next + (left < PART_INSTANCES ? left : PART_INSTANCES);
        large->encode(stream->cached, stream->next, to, out);
        stream->next = to;
    }
    if (text_failed(out))
        return false;
    return !stream->gzip ||
           gzip_stream_compress(stream->gzip, (struct slice){out->data, out->size},
                                stream->next == large->count, &stream->part) == ERR_NONE;
}

static ssize_t read_large(void *context, uint64_t position, char *out, size_t max)
{
    (void)position;
    struct large_stream *stream = context;
    loop_note_progress();
    while (stream->at == stream->part.size) {
        if (stream->next == stream->cached->large->count) {
            large_response_set_bytes(stream->cached->large, stream->gzip != NULL,
                                     stream->sent_bytes);
            return MHD_CONTENT_READER_END_OF_STREAM;
        }
        if (!encode_next(stream))
            return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    size_t size = stream->part.size - stream->at;
    if (size > max)
        size = max;
    memcpy(out, stream->part.data + stream->at, size);
    stream->at += size;
    stream->sent_bytes += size;
    atomic_fetch_add_explicit(stream->all_bytes, size, memory_order_relaxed);
    return (ssize_t)size;
}

/* A response with a body is chunked. One without (HEAD, 304) has the length of the body, if that
 * was sent before; otherwise the connection is closed after it, because libmicrohttpd 0.9.75 ends
 * each chunked response with an empty chunk, which the client would read as the next response. */
static struct MHD_Response *create_large(struct large_stream *stream, bool has_body)
{
    uint64_t size = large_response_bytes(stream->cached->large, stream->gzip != NULL);
    if (has_body || !size)
        size = MHD_SIZE_UNKNOWN;
    struct MHD_Response *mhd_response =
        MHD_create_response_from_callback(size, LARGE_BLOCK_BYTES, read_large, stream, free_large);
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
    stream->cached = cached_response_ref(response->cached);
    stream->all_bytes = &request->web->metrics.response_bytes;
    bool is_created = !is_gzip || gzip_stream_create(true, &stream->gzip) == ERR_NONE;
    struct MHD_Response *mhd_response = is_created ? create_large(stream, has_body) : NULL;
    if (!mhd_response)
        free_large(stream);
    return mhd_response;
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

/* What a cached response keeps. */
struct kept_form {
    struct cached_object object;
    struct MHD_Response *mhd_response;
};

static void free_kept(struct cached_object *object)
{
    struct kept_form *kept = (struct kept_form *)object;
    if (kept->mhd_response)
        MHD_destroy_response(kept->mhd_response);
    free(kept);
}

static unsigned form_number(const struct response *response, const struct form *form)
{
    static_assert(CACHED_FORMS == 4, "two bits");
    return (form->is_gzip ? 1U : 0) | (response->send_epoch ? 2U : 0);
}

static struct MHD_Response *create_kept(const struct request *request,
                                        const struct response *response, const struct form *form)
{
    struct kept_form *kept = calloc(1, sizeof(*kept));
    if (!kept)
        return NULL;
    kept->object.free = free_kept;
    kept->mhd_response = from_bytes(form->bytes);
    if (!kept->mhd_response || !add_headers(kept->mhd_response, request, response, form)) {
        free_kept(&kept->object);
        return NULL;
    }
    kept = (struct kept_form *)cached_response_keep(response->cached, form_number(response, form),
                                                    &kept->object, KEPT_BYTES);
    return kept->mhd_response;
}

/* The http holds the reference until the library has sent the response. */
static struct MHD_Response *share_cached(struct request *request, struct response *response)
{
    struct cached_response *cached = response->cached;
    if (!response->send_etag || cached->large || !cached_response_is_sent_again(cached))
        return NULL;
    struct form form = choose_form(request, response);
    struct kept_form *kept =
        (struct kept_form *)cached_response_object(cached, form_number(response, &form));
    struct MHD_Response *mhd_response =
        kept ? kept->mhd_response : create_kept(request, response, &form);
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
    struct MHD_Response *mhd_response = kept->count < THREAD_BODIES ? from_bytes(form.bytes) : NULL;
    if (!mhd_response)
        return NULL;
    if (!add_headers(mhd_response, request, response, &form)) {
        MHD_destroy_response(mhd_response);
        return NULL;
    }
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
