/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/http/response.h"

#include <assert.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-core/base/gzip.h"
#include "artemis-web/http/etag.h"
#include "artemis-web/http/response_budget.h"
#include "artemis-web/http/web_internal.h"
#include "artemis-web/http/web_threads.h"

enum {
    GZIP_FROM_BYTES = 1024,
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
    struct form form = {.may_vary = body->size > GZIP_FROM_BYTES};
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

/* The session holds the reference until the library has sent the response. */
static struct MHD_Response *share_cached(struct request *request, struct response *response)
{
    struct cached_response *cached = response->cached;
    if (!response->send_etag || !cached_response_is_sent_again(cached))
        return NULL;
    struct form form = choose_form(request, response);
    struct kept_form *kept =
        (struct kept_form *)cached_response_object(cached, form_number(response, &form));
    struct MHD_Response *mhd_response =
        kept ? kept->mhd_response : create_kept(request, response, &form);
    if (!mhd_response)
        return NULL;
    session_of_request(request)->sent = cached_response_ref(cached);
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
    struct MHD_Response *mhd_response =
        kept_by_thread(web_thread_bodies(session_of_request(request)->thread), request, response);
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
