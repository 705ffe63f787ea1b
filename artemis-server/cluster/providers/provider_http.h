/* SPDX-License-Identifier: Apache-2.0
 *
 * provider_http - an HTTP client for membership providers that use a JSON API.
 *
 * Requests of one client run at the same time, over connections that are kept alive. Each response
 * is collected, or passed on line by line as it arrives. Only provider_http_run blocks; it calls
 * the callbacks. One thread, except for provider_http_wake. Create a client before that thread
 * starts.
 *
 * A problem is a sentence for operators: what was called, and what failed. It has no header and no
 * query, so it has no secret. Redirections are not followed, and the proxies of the environment are
 * not used.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"

enum { PROVIDER_HTTP_PROBLEM_BYTES = 512, PROVIDER_HTTP_SECRET_BYTES = 16384 };

struct provider_http_options {
    const char *ca;         /* PEM file of the authorities; "": those of the system */
    const char *cert, *key; /* PEM files of the client's certificate; "": none */
    /* A file with a secret that each request sends; "": none. It is read for each request. */
    const char *token_file;
    const char *token_prefix; /* "Authorization: Bearer ", "X-Consul-Token: " */
    uint64_t connect_timeout_ms;
};

struct provider_http;
struct provider_http_call; /* a request that has started; valid until its on_end returns */

struct provider_http_response {
    long status;         /* of HTTP; 0: there was no response */
    struct slice body;   /* empty with on_line and a 2xx */
    const char *problem; /* "": the status is 2xx and the response is complete */
    const struct provider_http_call *call;
};

/* Everything is borrowed until provider_http_start returns, except for `context`. */
struct provider_http_request {
    const char *method;       /* "GET", "POST", "PUT", "PATCH", "DELETE" */
    const char *url;          /* http:// or https:// */
    struct slice body;        /* .data NULL: none */
    const char *content_type; /* of the body; NULL: application/json */
    const char *header;       /* one more, which may be secret: "Authorization: ..."; NULL: none */
    uint64_t timeout_ms;      /* of the request with its response; 0: none, for a stream */
    size_t bytes_max;         /* of the response, or with on_line of a line */
    /* Each line of a 2xx response, without its end; empty lines are left out. The line is borrowed.
     * Calls nothing of the client. False ends the request: on_end gets a problem. So do more than
     * 1,000 empty lines in a row. NULL: the response is collected. */
    bool (*on_line)(void *context, struct slice line);
    /* The request has ended. Called once, unless it is cancelled. May start and cancel others. */
    void (*on_end)(void *context, const struct provider_http_response *response);
    void *context;
};

/* ERR_NO_MEMORY. The texts of the options are borrowed until provider_http_free. */
MUST_USE enum error provider_http_create(const struct provider_http_options *options,
                                         struct provider_http **out);
/* Replaces the options, for the requests that start from now on. */
void provider_http_set_options(struct provider_http *http,
                               const struct provider_http_options *options);
/* Aborts the requests, without a call of on_end. Accepts NULL. */
void provider_http_free(struct provider_http *http);
/* Returns NULL without memory. All other failures come to on_end, in provider_http_run. */
struct provider_http_call *provider_http_start(struct provider_http *http,
                                               const struct provider_http_request *request);
/* Aborts the request. Its on_end is not called. Accepts NULL. */
void provider_http_cancel(struct provider_http *http, struct provider_http_call *call);
/* Sleeps until data can be moved, provider_http_wake is called, or timeout_ms has passed; then
 * moves data and calls the callbacks. */
void provider_http_run(struct provider_http *http, uint64_t timeout_ms);
void provider_http_wake(struct provider_http *http); /* any thread */
/* The value of a response header, within on_end; NULL: there is none. */
const char *provider_http_header(const struct provider_http_response *response, const char *name);
/* Reads a file of one line, which is a secret, without the blanks around it. On failure, `problem`
 * is written. */
bool provider_http_read_secret(const char *path, char out[PROVIDER_HTTP_SECRET_BYTES],
                               char problem[PROVIDER_HTTP_PROBLEM_BYTES]);
