/* SPDX-License-Identifier: Apache-2.0
 *
 * http - HTTP calls to the servers; several run at the same time, and none blocks.
 *
 * One curl_multi handle carries them and reuses connections. A call always ends: with a response,
 * or with a problem. Responses may be compressed with gzip; redirects are not followed. For
 * loopback addresses no proxy is used. A response body is not kept: its pieces go to on_body. A
 * call ends early when the decoded body is over the limit of the settings, or the header over
 * HTTP_HEADER_BYTES_MAX. One http_run passes on pieces for HTTP_RUN_MS_MAX, and HTTP_RUN_BYTES_MIN
 * even if that takes longer; the rest follows in the next one. libcurl copies what it keeps at each
 * pause, so a run must make progress.
 *
 * One thread; any thread may call http_wake and http_stop.
 */
#pragma once

#include "libartemis/base/settings.h"

#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"

#include <curl/curl.h>
#include <sys/queue.h>

enum {
    HTTP_PROBLEM_MAX = 320,
    HTTP_ETAG_MAX = 96,
    HTTP_HEADER_BYTES_MAX = 64 * 1024,
    HTTP_RUN_MS_MAX = 20,
    HTTP_RUN_BYTES_MIN = 64 * 1024,
};

/* The next piece of a response body, decoded; borrowed for the call. An error ends the call. */
typedef enum error http_body(void *context, struct slice piece);

/* Called before the first byte of the body is sent. False: it must not be sent any more; the call
 * ends without a response. */
typedef bool http_may_send(void *context);

struct http;

/* Allocated and zeroed by the caller, who owns it except from http_start to http_take. */
struct http_call {
    TAILQ_ENTRY(http_call) link;
    size_t server; /* its number in the settings */
    struct text path;
    struct text body; /* of a POST; empty: GET */
    char if_none_match[HTTP_ETAG_MAX];
    http_body *on_body;
    /* NULL: libcurl may send the body again, when a connection that it reuses is closed. Otherwise
     * the body is sent at most once: the call ends with a problem instead. */
    http_may_send *may_send;
    void *context; /* of the caller, of on_body and of may_send */

    /* The response. */
    bool answered;         /* there is one; its body may have ended early */
    enum error body_error; /* of on_body; ERR_BODY_TOO_LARGE: over a limit; ERR_NONE */
    int status;
    uint64_t retry_after_ms;
    char etag[HTTP_ETAG_MAX];
    char run[HTTP_ETAG_MAX];        /* X-Artemis-Run; "" if absent */
    char problem[HTTP_PROBLEM_MAX]; /* if there is no response */

    struct http *http;
    CURL *easy;
    struct curl_slist *headers;
    size_t sent_bytes;               /* of the body, with may_send */
    size_t header_bytes, body_bytes; /* received, decoded */
    bool paused;                     /* until the next http_run */
    char detail[CURL_ERROR_SIZE];
};

TAILQ_HEAD(http_calls, http_call);

/* Borrows the settings. ERR_NO_MEMORY. */
MUST_USE enum error http_create(const struct settings *settings, struct http **out);
void http_free(struct http *http); /* accepts NULL; no calls may be left */

/* ERR_NO_MEMORY: the call has not started. */
MUST_USE enum error http_start(struct http *http, struct http_call *call);
/* Ends all calls, without a response. */
void http_cancel_all(struct http *http);
/* Sets is_busy[] for the server of each call that was not taken yet. */
void http_mark_servers(const struct http *http, bool is_busy[SERVER_NUMBERS_MAX]);
void http_call_free(struct http_call *call); /* accepts NULL */

/* Sends and receives what is possible without waiting. */
void http_run(struct http *http);
/* Removes and returns a call that has ended; NULL: none. */
struct http_call *http_take(struct http *http);
/* A call or a foreign handle has ended, or http_run left pieces: there is no need to wait. */
bool http_has_work(const struct http *http);

/* For foreign handles in the same curl_multi handle: see push_socket. */
CURLM *http_multi(struct http *http);
/* Sets the options that every handle for this server has. ERR_NO_MEMORY. */
MUST_USE enum error http_set_common(CURL *easy, const struct settings *settings, size_t server);
/* True once the foreign handle has ended, with *code as its result. */
bool http_ended(struct http *http, CURL *easy, CURLcode *code);

/* Waits for an event of the calls or of `more` (may be NULL), at most wait_ms. */
void http_wait(struct http *http, struct curl_waitfd *more, uint64_t wait_ms);
/* Ends the current or the next http_wait. Any thread. */
void http_wake(struct http *http);
/* Ends all calls at the next piece of their bodies, for shutdown. Any thread. */
void http_stop(struct http *http);
