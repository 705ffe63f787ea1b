/* SPDX-License-Identifier: Apache-2.0
 *
 * input - receives a request: checks its header, admits it, and collects its body.
 *
 * The first check that fails decides the response (`request.refused`). It is sent at once where the
 * end of the body is unknown, where the client waits for permission to send it, and where the body
 * is huge; the connection is closed after that. Otherwise the body is read and discarded first,
 * since a client that is still sending does not read.
 *
 * A connection belongs to its web thread.
 */
#pragma once

#include <stdbool.h>

#include "artemis-web/http/web_internal.h"

enum { SILENT_MS = 1000 }; /* a request after a longer silence: request.was_silent */

/* Starts the next request, whose header is complete and recorded in request.header. */
void input_begin(struct http_connection *http, struct MHD_Connection *mhd, const char *url,
                 const char *method, const char *version);
/* Returns true when the response has to be sent before the body is read. */
bool input_is_final(const struct http_connection *http);
/* Takes a part of the body. Returns false when the connection has to be closed. */
MUST_USE bool input_receive(struct http_connection *http, const char *data, size_t size);
/* Checks what followed the body; the request is refused if its trailers leave doubt where they end.
 * To be called when the whole request has arrived. */
void input_check_trailers(struct http_connection *http);
/* Gives the memory of the body back. With `keep` the body itself stays readable. */
void input_release_body(struct request *request, bool keep);
/* Writes the message for `request.refused`. */
void input_describe_error(const struct http_connection *http, const char *url, const char *method,
                          char message[MESSAGE_BYTES]);
