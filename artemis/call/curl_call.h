/* SPDX-License-Identifier: Apache-2.0
 *
 * curl_call - sends HTTP requests to servers with libcurl and receives the responses.
 *
 * A call always produces a response: `transfer` states how it ended (call_response), so callers
 * handle errors in one place. Limits: 3 s to connect, the given timeout for the whole call, 512 MiB
 * of response body after decompression. Responses may be gzipped. Redirects are not followed, so
 * that nothing is posted to an address that the user did not name. For a loopback address the proxy
 * settings of the environment are ignored.
 *
 * Blocks. Not thread-safe, because libcurl is initialised by the first call.
 */
#pragma once

#include "artemis/call/call_response.h"
#include "artemis/call/server_credentials.h"
#include "artemis/call/server_url.h"

struct call_request {
    const char *path;           /* with its query, escaped; starts with '/' */
    const char *body;           /* JSON to post; NULL: GET */
    size_t size_bytes;          /* of `body` */
    const char *const *headers; /* additional headers, "Name: value", up to NULL; may be NULL */
    const struct server_credentials *credentials; /* of the client; NULL: none */
    const char *authorization;                    /* value of the Authorization field; NULL: none */
    const char *data; /* array or object that a response must have, as a path such as
                                 * "service.instances"; checked by server_call_run; may be NULL */
    /* Receives the body of a response with HTTP 200 piece by piece, in place of response.body, and
     * without its limit. False ends the call. The time limit is then that of a pause in which
     * nothing arrives. May be NULL. */
    bool (*receive)(void *context, struct slice piece);
    void *context;
};

/* One of several calls. */
struct curl_call {
    const struct server_url *url;
    const struct call_request *request;
    struct call_response *response; /* filled; released with curl_call_free */
};

/* Carries out all calls at the same time, so that servers which do not respond cost one timeout
 * together. `timeout_secs` limits each call. */
void curl_call_send_all(const struct curl_call calls[], size_t count, long timeout_secs);
/* The same for one call. */
void curl_call_send(const struct server_url *url, const struct call_request *request,
                    long timeout_secs, struct call_response *response);
void curl_call_free(struct call_response *response);
