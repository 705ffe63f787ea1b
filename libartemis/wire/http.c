/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/wire/http.h"

#include "libartemis/base/clock.h"
#include "libartemis/base/servers.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    GET_TIMEOUT_FACTOR = 20, /* a long response may take this many attempt timeouts */
    WAIT_MAX_MS = 60000,
};

struct http {
    const struct settings *settings;
    CURLM *multi;
    struct http_calls active;
    struct http_calls ended;
    CURL *foreign; /* the last foreign handle that ended */
    CURLcode foreign_code;
    atomic_bool stopped;
    uint64_t run_end_ms; /* of the current http_run */
    size_t run_bytes;    /* passed on in it */
    bool has_paused;
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
    TAILQ_INIT(&http->active);
    TAILQ_INIT(&http->ended);
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

/* --- response --------------------------------------------------------------------------------- */

/* libcurl ends the call when a callback returns another size than that of its data. */
static size_t on_header(char *data, size_t one, size_t count, void *context)
{
    struct http_call *call = context;
    size_t size = one * count;
    (void)data;
    call->header_bytes += size;
    if (call->header_bytes <= HTTP_HEADER_BYTES_MAX)
        return size;
    call->body_error = ERR_BODY_TOO_LARGE;
    return 0;
}

static size_t on_body(char *data, size_t one, size_t count, void *context)
{
    struct http_call *call = context;
    size_t size = one * count;
    struct http *http = call->http;
    if (atomic_load(&http->stopped))
        return 0;
    call->paused = http->run_bytes >= HTTP_RUN_BYTES_MIN && client_clock_ms() >= http->run_end_ms;
    http->has_paused |= call->paused;
    if (call->paused)
        return CURL_WRITEFUNC_PAUSE; /* libcurl keeps the piece */
    http->run_bytes += size;
    call->body_bytes += size;
    call->body_error = call->body_bytes > http->settings->response_bytes_max
                           ? ERR_BODY_TOO_LARGE
                           : call->on_body(call->context, (struct slice){data, size});
    return call->body_error ? 0 : size;
}

static bool header_value(const struct http_call *call, const char *name, char *out, size_t size)
{
    struct curl_header *header;
    if (curl_easy_header(call->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return false;
    snprintf(out, size, "%s", header->value);
    return true;
}

static void read_response(struct http_call *call)
{
    long status = 0;
    char text[HTTP_ETAG_MAX];
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    call->answered = true;
    call->status = (int)status;
    header_value(call, "ETag", call->etag, sizeof call->etag);
    header_value(call, "X-Artemis-Run", call->run, sizeof call->run);
    if (header_value(call, "Retry-After", text, sizeof text))
        call->retry_after_ms = servers_retry_after_ms(slice_of(text));
}

static void release_handle(struct http_call *call)
{
    curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->headers);
    call->easy = NULL;
    call->headers = NULL;
}

static void end(struct http *http, struct http_call *call, CURLcode code)
{
    if (code == CURLE_OK || call->body_error)
        read_response(call);
    else
        snprintf(call->problem, sizeof call->problem, "%s",
                 call->detail[0] ? call->detail : curl_easy_strerror(code));
    TAILQ_REMOVE(&http->active, call, link);
    curl_multi_remove_handle(http->multi, call->easy);
    release_handle(call);
    TAILQ_INSERT_TAIL(&http->ended, call, link);
}

/* --- request ---------------------------------------------------------------------------------- */

enum error http_set_common(CURL *easy, const struct settings *settings, size_t server)
{
    long attempt_ms = (long)settings->attempt_timeout_ms;
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* Do not wait for the resolver thread of an unfinished name lookup. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, attempt_ms);
    /* A TLS library may keep the authorities for a day, even if their file changes. */
    curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
    CURLcode code = CURLE_OK;
    if (settings->servers.each[server].is_loopback)
        code = curl_easy_setopt(easy, CURLOPT_PROXY, "");
    if (code == CURLE_OK && settings->cacert) /* instead of the authorities of the system */
        code = curl_easy_setopt(easy, CURLOPT_CAINFO, settings->cacert);
    if (code == CURLE_OK && settings->cacert)
        code = curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    if (code == CURLE_OK && settings->cert)
        code = curl_easy_setopt(easy, CURLOPT_SSLCERT, settings->cert);
    if (code == CURLE_OK && settings->cert)
        code = curl_easy_setopt(easy, CURLOPT_SSLKEY, settings->key);
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
    bool added = add_header(call, "Content-Type: application/json") &&
                 add_header(call, "Accept: application/json") && add_header(call, "Expect:");
    if (added && settings->authorization)
        added = add_named(call, "Authorization", settings->authorization);
    if (added && call->if_none_match[0])
        added = add_named(call, "If-None-Match", call->if_none_match);
    curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
    return added;
}

static size_t on_send(char *to, size_t one, size_t count, void *context)
{
    struct http_call *call = context;
    size_t size = one * count;
    size_t left = call->body.size - call->sent_bytes;
    if (call->sent_bytes == 0 && !call->may_send(call->context))
        return CURL_READFUNC_ABORT;
    size = size < left ? size : left;
    memcpy(to, call->body.data + call->sent_bytes, size);
    call->sent_bytes += size;
    return size;
}

/* libcurl wants to send the body again. */
static int on_seek(void *context, curl_off_t offset, int origin)
{
    (void)context;
    (void)offset;
    (void)origin;
    return CURL_SEEKFUNC_FAIL;
}

static void set_body(struct http_call *call)
{
    CURL *easy = call->easy;
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.size);
    if (!call->may_send) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body.data);
        return;
    }
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_send);
    curl_easy_setopt(easy, CURLOPT_READDATA, call);
    curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
}

/* libcurl borrows body, headers and buffers until the call ends. */
static void set_options(struct http_call *call, const struct settings *settings)
{
    CURL *easy = call->easy;
    long attempt_ms = (long)settings->attempt_timeout_ms;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->detail);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    if (call->body.size > 0) {
        set_body(call);
        curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, attempt_ms);
        return;
    }
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, attempt_ms * GET_TIMEOUT_FACTOR);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (attempt_ms + 999) / 1000);
}

static enum error prepare(struct http *http, struct http_call *call)
{
    const struct settings *settings = http->settings;
    call->http = http;
    char *address = NULL;
    call->easy = curl_easy_init();
    if (!call->easy || text_failed(&call->path) || text_failed(&call->body) ||
        http_set_common(call->easy, settings, call->server))
        return ERR_NO_MEMORY;
    set_options(call, settings);
    if (asprintf(&address, "%s%s", settings->servers.each[call->server].url,
                 text_string(&call->path)) < 0)
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
    enum error error = prepare(http, call);
    if (!error && curl_multi_add_handle(http->multi, call->easy) != CURLM_OK)
        error = ERR_NO_MEMORY;
    if (error) {
        release_handle(call);
        return error;
    }
    TAILQ_INSERT_HEAD(&http->active, call, link);
    return ERR_NONE;
}

void http_cancel_all(struct http *http)
{
    struct http_call *call;
    while ((call = TAILQ_FIRST(&http->active)))
        end(http, call, CURLE_ABORTED_BY_CALLBACK);
}

static void mark(const struct http_calls *calls, bool is_busy[SERVER_NUMBERS_MAX])
{
    const struct http_call *call;
    TAILQ_FOREACH (call, calls, link)
        is_busy[call->server] = true;
}

void http_mark_servers(const struct http *http, bool is_busy[SERVER_NUMBERS_MAX])
{
    mark(&http->active, is_busy);
    mark(&http->ended, is_busy);
}

void http_call_free(struct http_call *call)
{
    if (!call)
        return;
    text_free(&call->path);
    text_free(&call->body);
    free(call);
}

/* --- progress --------------------------------------------------------------------------------- */

/* libcurl passes on the pieces that it has kept, or pauses the call again. */
static void resume_paused(struct http *http)
{
    struct http_call *call;
    http->run_end_ms = client_clock_ms() + HTTP_RUN_MS_MAX;
    http->run_bytes = 0;
    http->has_paused = false;
    TAILQ_FOREACH (call, &http->active, link) {
        if (call->paused) {
            call->paused = false;
            curl_easy_pause(call->easy, CURLPAUSE_CONT);
        }
    }
}

void http_run(struct http *http)
{
    int running = 0;
    int left = 0;
    CURLMsg *message;
    resume_paused(http);
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
        http->foreign = message->easy_handle;
        http->foreign_code = code;
    }
}

struct http_call *http_take(struct http *http)
{
    struct http_call *call = TAILQ_FIRST(&http->ended);
    if (call)
        TAILQ_REMOVE(&http->ended, call, link);
    return call;
}

bool http_has_work(const struct http *http)
{
    return !TAILQ_EMPTY(&http->ended) || http->foreign || http->has_paused;
}

CURLM *http_multi(struct http *http)
{
    return http->multi;
}

bool http_ended(struct http *http, CURL *easy, CURLcode *code)
{
    if (http->foreign != easy)
        return false;
    http->foreign = NULL;
    *code = http->foreign_code;
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

void http_stop(struct http *http)
{
    atomic_store(&http->stopped, true);
}
