/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/http/library_responses.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <string.h>

typedef enum MHD_Result queue_function(struct MHD_Connection *, unsigned, struct MHD_Response *);

/* The symbol is the process's, and so is this. */
static queue_function *library_function;
static struct metrics *_Atomic counted_in;

enum error library_responses_start(struct metrics *metrics)
{
    void *symbol = dlsym(RTLD_NEXT, "MHD_queue_response");
    if (!symbol)
        return ERR_SYSTEM;
    memcpy(&library_function, &symbol, sizeof(symbol)); /* ISO C has no cast for this */
    atomic_store(&counted_in, metrics);
    return ERR_NONE;
}

enum MHD_Result library_queue_response(struct MHD_Connection *connection, unsigned status,
                                       struct MHD_Response *response)
{
    return library_function(connection, status, response);
}

static const struct {
    unsigned status;
    enum error error;
    const char *message;
} replies[] = {
    {MHD_HTTP_BAD_REQUEST, ERR_MALFORMED_REQUEST, "request: is not valid HTTP/1.1"},
    {MHD_HTTP_URI_TOO_LONG, ERR_HEADER_TOO_LARGE,
     "request line: must fit the 12 KiB of a request header"},
    {MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE, ERR_HEADER_TOO_LARGE,
     "request header: must be at most 12 KiB, is larger"},
    {MHD_HTTP_CONTENT_TOO_LARGE, ERR_BODY_TOO_LARGE,
     "body: its size must be a number of at most server.max_body_bytes"},
    {MHD_HTTP_HTTP_VERSION_NOT_SUPPORTED, ERR_MALFORMED_REQUEST,
     "request: must be HTTP/1.0 or 1.1"},
    {MHD_HTTP_NOT_IMPLEMENTED, ERR_MALFORMED_REQUEST, "request: must be plain HTTP/1.1"},
    {MHD_HTTP_INTERNAL_SERVER_ERROR, ERR_NO_MEMORY, NULL},
};

/* Called by the library alone. Saying MHD_NO makes it close the connection. */
enum MHD_Result MHD_queue_response(struct MHD_Connection *connection, unsigned status,
                                   struct MHD_Response *response)
{
    struct metrics *metrics = atomic_load(&counted_in);
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        if (replies[i].status != status)
            continue;
        connection_refuse(
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd,
            replies[i].error, replies[i].message);
        if (metrics)
            metrics_count(metrics, NULL, replies[i].error, 0);
        return MHD_NO;
    }
    return library_function(connection, status, response);
}
