/* SPDX-License-Identifier: Apache-2.0
 *
 * http - calls to servers, many under way at once, none of which blocks.
 *
 * One curl_multi handle carries them all, and keeps connections for the next. A call always ends:
 * with an answer, or with what kept it from one. Answers are taken gzipped, and redirects are not
 * followed. To a loopback address no proxy is used.
 *
 * One thread; only http_wake may be called by others.
 */
#pragma once

#include "libartemis/settings.h"

#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"

#include <curl/curl.h>

enum { HTTP_PROBLEM_MAX = 320, HTTP_ETAG_MAX = 96 };

/* Begin with zeros; the caller owns it, and the call from http_start to http_take. */
struct http_call {
    struct http_call *next;
    size_t server; /* number of its URL */
    struct text path;
    struct text body; /* to post; empty: get */
    char if_none_match[HTTP_ETAG_MAX];
    void *about; /* whatever the caller wants to know again */

    /* The answer. */
    bool answered;
    int status;
    uint64_t retry_after_ms;
    char etag[HTTP_ETAG_MAX];
    struct text answer;
    char problem[HTTP_PROBLEM_MAX]; /* where there is none */

    CURL *easy;
    struct curl_slist *headers;
    char detail[CURL_ERROR_SIZE];
};

struct http;

/* Settings are borrowed. ERR_NO_MEMORY. */
MUST_USE enum error http_create(const struct settings *settings, struct http **out);
void http_free(struct http *http); /* takes NULL; all calls must have been taken */

/* ERR_NO_MEMORY: it has not begun. */
MUST_USE enum error http_start(struct http *http, struct http_call *call);
/* Ends all calls, unanswered. */
void http_cancel_all(struct http *http);
void http_call_free(struct http_call *call); /* takes NULL */

/* Moves all calls forward. */
void http_run(struct http *http);
/* One that has ended, if any. */
struct http_call *http_take(struct http *http);
/* Has anything ended since it was last asked for? Then there is nothing to wait for. */
bool http_has_ended(const struct http *http);

/* For handles that others put in, beside the calls: see push_socket. */
CURLM *http_multi(struct http *http);
/* Options that every handle of this server has. ERR_NO_MEMORY. */
MUST_USE enum error http_set_common(CURL *easy, const struct settings *settings, size_t server);
/* Has that handle ended? *code is how. */
bool http_ended(struct http *http, CURL *easy, CURLcode *code);

/* Waits for something to happen, for this long at most; `more` may be NULL. */
void http_wait(struct http *http, struct curl_waitfd *more, uint64_t wait_ms);
/* Ends that wait, or the next. Any thread. */
void http_wake(struct http *http);
