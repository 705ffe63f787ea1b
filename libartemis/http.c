/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    ANSWER_BYTES_MAX = 512 << 20,
    FETCH_TIMES = 20, /* a long answer may take so many attempts' time, as long as it flows */
    RETRY_AFTER_SECS_MAX = 3600,
    WAIT_MAX_MS = 60000,
};

struct http {
    const struct settings *settings;
    CURLM *multi;
    struct http_call *under_way;
    struct http_call *ended;
    CURL *other; /* the last handle that ended and is no call's */
    CURLcode other_code;
};

enum error http_create(const struct settings *settings, struct http **out)
{
    struct http *http = calloc(1, sizeof *http);
    CURLM *multi = curl_multi_init();
    if (!http || !multi) {
        free(http);
        curl_multi_cleanup(multi);
        return ERR_NO_MEMORY;
    }
    http->settings = settings;
    http->multi = multi;
    *out = http;
    return ERR_NONE;
}

void http_free(struct http *http)
{
    if (!http)
        return;
    curl_multi_cleanup(http->multi);
    free(http);
}

/* --- the answer ------------------------------------------------------------------------------- */

static size_t on_body(char *data, size_t one, size_t count, void *context)
{
    struct http_call *call = context;
    size_t size = one * count;
    if (call->answer.size + size > ANSWER_BYTES_MAX)
        return 0;
    text_append(&call->answer, data, size);
    return text_failed(&call->answer) ? 0 : size;
}

static bool header_value(const struct http_call *call, const char *name, char *out, size_t size)
{
    struct curl_header *header;
    if (curl_easy_header(call->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return false;
    snprintf(out, size, "%s", header->value);
    return true;
}

static void read_answer(struct http_call *call)
{
    long status = 0;
    char text[HTTP_ETAG_MAX];
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    call->answered = true;
    call->status = (int)status;
    header_value(call, "ETag", call->etag, sizeof call->etag);
    if (header_value(call, "Retry-After", text, sizeof text)) {
        unsigned long secs = strtoul(text, NULL, 10);
        call->retry_after_ms =
            1000 * (uint64_t)(secs < RETRY_AFTER_SECS_MAX ? secs : RETRY_AFTER_SECS_MAX);
    }
}

static void tear_down(struct http_call *call)
{
    curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->headers);
    call->easy = NULL;
    call->headers = NULL;
}

static void take_out(struct http *http, struct http_call *call)
{
    struct http_call **at = &http->under_way;
    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    curl_multi_remove_handle(http->multi, call->easy);
    tear_down(call);
}

static void end(struct http *http, struct http_call *call, CURLcode code)
{
    if (code == CURLE_OK)
        read_answer(call);
    else
        snprintf(call->problem, sizeof call->problem, "%s",
                 call->detail[0] ? call->detail : curl_easy_strerror(code));
    take_out(http, call);
    call->next = http->ended;
    http->ended = call;
}

/* --- the call --------------------------------------------------------------------------------- */

enum error http_set_common(CURL *easy, const struct settings *settings, size_t server)
{
    long attempt_ms = (long)settings->attempt_timeout_ms;
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* A name that cannot be looked up holds nobody: its thread is left behind. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, attempt_ms);
    CURLcode code = CURLE_OK;
    if (settings->loopback[server])
        code = curl_easy_setopt(easy, CURLOPT_PROXY, "");
    return code == CURLE_OK ? ERR_NONE : ERR_NO_MEMORY;
}

static bool add_header(struct http_call *call, const char *line)
{
    struct curl_slist *longer = curl_slist_append(call->headers, line);
    if (longer)
        call->headers = longer;
    return longer != NULL;
}

static bool add_named(struct http_call *call, const char *name, const char *value)
{
    char *line = NULL;
    if (asprintf(&line, "%s: %s", name, value) < 0)
        return false;
    bool added = add_header(call, line);
    free(line);
    return added;
}

static bool set_headers(struct http_call *call, const struct settings *settings)
{
    bool well = add_header(call, "Content-Type: application/json") &&
                add_header(call, "Accept: application/json") && add_header(call, "Expect:");
    if (well && settings->authorization)
        well = add_named(call, "Authorization", settings->authorization);
    if (well && call->if_none_match[0])
        well = add_named(call, "If-None-Match", call->if_none_match);
    curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
    return well;
}

/* Borrowed by libcurl until the call ends: body, headers, buffers. */
static void set_behaviour(struct http_call *call, const struct settings *settings)
{
    CURL *easy = call->easy;
    long attempt_ms = (long)settings->attempt_timeout_ms;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->detail);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    if (call->body.size > 0) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.size);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body.data);
        curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, attempt_ms);
        return;
    }
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, attempt_ms * FETCH_TIMES);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (attempt_ms + 999) / 1000);
}

static enum error set_up(struct http *http, struct http_call *call)
{
    const struct settings *settings = http->settings;
    char *address = NULL;
    call->easy = curl_easy_init();
    if (!call->easy || text_failed(&call->path) || text_failed(&call->body) ||
        http_set_common(call->easy, settings, call->server))
        return ERR_NO_MEMORY;
    set_behaviour(call, settings);
    if (asprintf(&address, "%s%s", settings->urls[call->server], text_string(&call->path)) < 0)
        return ERR_NO_MEMORY;
    CURLcode code = curl_easy_setopt(call->easy, CURLOPT_URL, address);
    free(address);
    if (code == CURLE_OK)
        code = curl_easy_setopt(call->easy, CURLOPT_ACCEPT_ENCODING, "gzip");
    if (code == CURLE_OK)
        code = curl_easy_setopt(call->easy, CURLOPT_USERAGENT, "libartemis/" ARTEMIS_VERSION);
    return code == CURLE_OK && set_headers(call, settings) ? ERR_NONE : ERR_NO_MEMORY;
}

enum error http_start(struct http *http, struct http_call *call)
{
    enum error error = set_up(http, call);
    if (!error && curl_multi_add_handle(http->multi, call->easy) != CURLM_OK)
        error = ERR_NO_MEMORY;
    if (error) {
        tear_down(call);
        return error;
    }
    call->next = http->under_way;
    http->under_way = call;
    return ERR_NONE;
}

void http_cancel_all(struct http *http)
{
    while (http->under_way)
        end(http, http->under_way, CURLE_ABORTED_BY_CALLBACK);
}

void http_call_free(struct http_call *call)
{
    if (!call)
        return;
    text_free(&call->path);
    text_free(&call->body);
    text_free(&call->answer);
    free(call);
}

/* --- the wheel -------------------------------------------------------------------------------- */

void http_run(struct http *http)
{
    int running = 0;
    int left = 0;
    CURLMsg *message;
    curl_multi_perform(http->multi, &running);
    while ((message = curl_multi_info_read(http->multi, &left))) {
        struct http_call *call = NULL;
        CURLcode code = message->data.result;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
        if (call) {
            end(http, call, code);
            continue;
        }
        http->other = message->easy_handle;
        http->other_code = code;
    }
}

struct http_call *http_take(struct http *http)
{
    struct http_call *call = http->ended;
    if (call)
        http->ended = call->next;
    return call;
}

bool http_has_ended(const struct http *http)
{
    return http->ended || http->other;
}

CURLM *http_multi(struct http *http)
{
    return http->multi;
}

bool http_ended(struct http *http, CURL *easy, CURLcode *code)
{
    if (http->other != easy)
        return false;
    http->other = NULL;
    *code = http->other_code;
    return true;
}

void http_wait(struct http *http, struct curl_waitfd *more, uint64_t wait_ms)
{
    int timeout_ms = wait_ms < WAIT_MAX_MS ? (int)wait_ms : WAIT_MAX_MS;
    curl_multi_poll(http->multi, more, more ? 1 : 0, timeout_ms, NULL);
}

void http_wake(struct http *http)
{
    curl_multi_wakeup(http->multi);
}
