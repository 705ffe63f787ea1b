/* SPDX-License-Identifier: Apache-2.0
 *
 * response - sends the response that a handler filled in: errors, ETag and 304, gzip, headers.
 *
 * Creating a response of libmicrohttpd with its headers and freeing it costs a sixth of a
 * heartbeat. Two kinds are therefore made once and sent many times: those of constant bodies, which
 * each web thread keeps, and cached responses that are sent again, which keep theirs.
 *
 * Called by the web thread of the request.
 */
#pragma once

#include "artemis-web/http/request.h"

struct MHD_Response;

/* Queues the response and frees its contents. `error` and `message` are the handler's result; an
 * empty message stands for the error's own. *outcome receives the error that the metrics count.
 * Returns false when nothing could be queued; the connection must then be closed. */
bool response_send(struct request *request, struct response *response, enum error error,
                   const char *message, enum error *outcome);

/* --- for the files of this module (response_body.c) ------------------------------------------- */

/* A response of the body that only this request has; takes over the content of response->body.
 * Headers can be added. NULL without memory. */
struct MHD_Response *response_body_create(struct request *request, struct response *response);
/* A response that is produced while it is sent; takes the stream over, and clears its context.
 * `size` may be MHD_SIZE_UNKNOWN. NULL without memory; the stream is unchanged then. */
struct MHD_Response *response_body_stream(struct request *request, struct response_stream *source,
                                          uint64_t size);
/* The memory of the body until the client has read it. A shared body counts 0. */
size_t response_body_bytes(const struct request *request, const struct response *response);
/* A response of the body that others send too: it must not be changed or destroyed. NULL: there is
 * none. */
struct MHD_Response *response_body_share(struct request *request, struct response *response);
