/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/http/library_overrides.h"

#include <dlfcn.h>
#include <string.h>

#include "artemis-core/json/codec.h"
#include "artemis-web/http/web_internal.h"
#include "artemis-web/http/web_threads.h"

typedef enum MHD_Result queue_function(struct MHD_Connection *, unsigned, struct MHD_Response *);
typedef enum MHD_Result set_value_function(struct MHD_Connection *, enum MHD_ValueKind,
                                           const char *, size_t, const char *, size_t);

/* The overrides belong to the process, and so do these. Constant after library_overrides_init. */
static queue_function *queue_in_library;
static set_value_function *set_value_in_library;

enum error library_overrides_init(void)
{
    void *queue = dlsym(RTLD_NEXT, "MHD_queue_response");
    void *set_value = dlsym(RTLD_NEXT, "MHD_set_connection_value_n");
    if (!queue || !set_value)
        return ERR_SYSTEM;
    memcpy(&queue_in_library, &queue, sizeof(queue)); /* ISO C has no cast for this */
    memcpy(&set_value_in_library, &set_value, sizeof(set_value));
    return ERR_NONE;
}

enum MHD_Result library_queue_response(struct MHD_Connection *connection, unsigned status,
                                       struct MHD_Response *response)
{
    return queue_in_library(connection, status, response);
}

static struct http_connection *http_connection_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* What libmicrohttpd answers by itself, by its status. */
static const struct library_error {
    unsigned status;
    enum error error;
    const char *message;
} library_errors[] = {
    {MHD_HTTP_BAD_REQUEST, ERR_MALFORMED_REQUEST, "request: is not valid HTTP/1.1"},
    {MHD_HTTP_URI_TOO_LONG, ERR_HEADER_TOO_LARGE, REQUEST_HEADER_TOO_LARGE},
    {MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE, ERR_HEADER_TOO_LARGE, REQUEST_HEADER_TOO_LARGE},
    {MHD_HTTP_CONTENT_TOO_LARGE, ERR_BODY_TOO_LARGE,
     "body: the size of a chunk must be at most server.max_body_bytes"},
    {MHD_HTTP_HTTP_VERSION_NOT_SUPPORTED, ERR_MALFORMED_REQUEST,
     "request: must be HTTP/1.0 or 1.1"},
    {MHD_HTTP_INTERNAL_SERVER_ERROR, ERR_HEADER_TOO_LARGE, CHUNK_HEADER_TOO_LARGE},
};

static const struct library_error *find_library_error(unsigned status)
{
    for (size_t i = 0; i < sizeof(library_errors) / sizeof(library_errors[0]); i++)
        if (library_errors[i].status == status)
            return &library_errors[i];
    return NULL;
}

/* NULL without memory. libmicrohttpd adds "Connection: close". */
static struct MHD_Response *make_error_response(const struct library_error *found)
{
    struct text body = {0};
    codec_write_error(&body, DIALECT_SNAKE, found->error, found->message);
    struct MHD_Response *response =
        text_failed(&body)
            ? NULL
            : MHD_create_response_from_buffer(body.size, body.data, MHD_RESPMEM_MUST_FREE);
    if (!response)
        text_free(&body);
    else
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    return response;
}

/* Called by the library alone. Without memory, or for a status that is not known here, the page of
 * the library is sent. */
enum MHD_Result MHD_queue_response(struct MHD_Connection *connection, unsigned status,
                                   struct MHD_Response *response)
{
    const struct library_error *found = find_library_error(status);
    struct http_connection *http = http_connection_of(connection);
    struct MHD_Response *own = found && http ? make_error_response(found) : NULL;
    if (!own)
        return queue_in_library(connection, status, response);
    status = (unsigned)error_info(found->error)->http_status;
    metrics_count(web_thread_metrics(http->thread), METRIC_ROUTES_MAX, found->error, status, 0);
    enum MHD_Result result = queue_in_library(connection, status, own);
    MHD_destroy_response(own);
    return result;
}

static enum framing_result add_value(struct framing *framing, enum MHD_ValueKind kind,
                                     struct slice name, struct slice value)
{
    switch ((int)kind) {
    case MHD_GET_ARGUMENT_KIND:
        return framing_add_argument(framing, name, value);
    case MHD_HEADER_KIND:
        return framing_add_field(framing, name, value);
    case MHD_FOOTER_KIND:
        return framing_add_trailer(framing, name, value);
    default:
        return FRAMING_SKIP;
    }
}

/* Called by the library alone, for each argument, field and trailer of a request. MHD_NO makes it
 * answer 431, which it does right for fields and trailers. */
enum MHD_Result MHD_set_connection_value_n(struct MHD_Connection *connection,
                                           enum MHD_ValueKind kind, const char *key,
                                           size_t key_size, const char *value, size_t value_size)
{
    struct http_connection *http = http_connection_of(connection);
    if (!http) /* on_request refuses the request */
        return MHD_YES;
    struct framing *framing = http->request.header;
    struct slice name = {key, key_size};
    struct slice text = {value, value_size};
    switch (add_value(framing, kind, name, text)) {
    case FRAMING_SKIP:
        break;
    case FRAMING_REFUSE:
        return MHD_NO;
    case FRAMING_STORE:
        if (set_value_in_library(connection, kind, key, key_size, value, value_size) != MHD_YES)
            return MHD_NO;
        framing->stored = true; /* at the end of the connection's buffer */
    }
    if (kind == MHD_HEADER_KIND || kind == MHD_FOOTER_KIND)
        framing_check_line(framing, name, text);
    return MHD_YES;
}
