/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/cluster/providers/provider_http.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    TYPE_BYTES = 128,
    DETAIL_BYTES_MAX = 180,
    EMPTY_LINES_MAX = 1000, /* in a row; a server that sends nothing else would cost a core */
    URL_SHOWN_BYTES_MAX = 240,
    POLL_MS_MAX = 60000,
    /* A connection that is silent is probed after that time, and ends without an answer to a few
     * probes. A stream of a host that is gone would last forever. */
    KEEPALIVE_IDLE_SECS = 5,
    KEEPALIVE_INTERVAL_SECS = 3,
    UNACKNOWLEDGED_MS_MAX = 10000,
};

#define BLANKS " \t\r\n"

struct provider_http_call {
    LIST_ENTRY(provider_http_call) link;
    struct provider_http *http;
    CURL *curl;
    struct curl_slist *headers;
    bool (*on_line)(void *context, struct slice line);
    void (*on_end)(void *context, const struct provider_http_response *response);
    void *context;
    size_t bytes_max;
    struct text sent;                /* the body of the request */
    struct text received;            /* the body of the response, or the line that has begun */
    unsigned empty_lines;            /* since the last line that is not empty */
    const char *reason;              /* why the response is not read further; NULL: it is */
    char shown[URL_SHOWN_BYTES_MAX]; /* the url without secrets */
    char detail[CURL_ERROR_SIZE];
    char problem[PROVIDER_HTTP_PROBLEM_BYTES];
};

struct provider_http {
    CURLM *multi;
    LIST_HEAD(, provider_http_call) calls;  /* in flight */
    LIST_HEAD(, provider_http_call) failed; /* could not start; run ends them */
    struct provider_http_options options;
};

/* --- the response ----------------------------------------------------------------------------- */

static long status_of(const struct provider_http_call *call)
{
    long status = 0;
    curl_easy_getinfo(call->curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static bool append(struct provider_http_call *call, struct slice data)
{
    if (data.size > call->bytes_max - call->received.size) {
        call->reason = "the response is too large";
        return false;
    }
    text_append_slice(&call->received, data);
    if (text_failed(&call->received))
        call->reason = error_info(ERR_NO_MEMORY)->message;
    return !call->reason;
}

/* Passes on the line that has been received. */
static bool end_line(struct provider_http_call *call)
{
    struct slice line = {call->received.data, call->received.size};
    if (line.size > 0 && line.data[line.size - 1] == '\r')
        line.size--;
    call->empty_lines = line.size > 0 ? 0 : call->empty_lines + 1;
    if (call->empty_lines > EMPTY_LINES_MAX)
        call->reason = "the response has too many empty lines";
    else if (line.size > 0 && !call->on_line(call->context, line))
        call->reason = "the response was refused";
    text_clear(&call->received);
    return !call->reason;
}

static bool read_lines(struct provider_http_call *call, struct slice data)
{
    const char *end;
    while (data.size > 0 && (end = memchr(data.data, '\n', data.size))) {
        size_t size = (size_t)(end - data.data);
        if (!append(call, (struct slice){data.data, size}) || !end_line(call))
            return false;
        data = (struct slice){end + 1, data.size - size - 1};
    }
    return append(call, data);
}

static bool has_lines(const struct provider_http_call *call)
{
    return call->on_line && status_of(call) / 100 == 2;
}

static size_t on_body(char *data, size_t one, size_t size, void *context)
{
    struct provider_http_call *call = context;
    struct slice slice = {data, size * one};
    bool is_read = has_lines(call) ? read_lines(call, slice) : append(call, slice);
    return is_read ? slice.size : 0;
}

static bool is_printable(const char *text)
{
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
            return false;
    return text[0] && strlen(text) <= DETAIL_BYTES_MAX;
}

static void write_problem(struct provider_http_call *call, CURLcode code)
{
    long status = status_of(call);
    if (call->problem[0])
        return; /* it could not start */
    if (!call->reason && code != CURLE_OK)
        call->reason = is_printable(call->detail) ? call->detail : curl_easy_strerror(code);
    if (call->reason)
        snprintf(call->problem, sizeof(call->problem), "%s: %s", call->shown, call->reason);
    else if (status / 100 != 2)
        snprintf(call->problem, sizeof(call->problem), "%s: HTTP %ld", call->shown, status);
}

/* --- a call ----------------------------------------------------------------------------------- */

static void free_call(struct provider_http_call *call)
{
    curl_slist_free_all(call->headers);
    text_free(&call->sent);
    text_free(&call->received);
    if (call->curl)
        curl_easy_cleanup(call->curl);
    free(call);
}

static void end_call(struct provider_http_call *call, CURLcode code)
{
    if (code == CURLE_OK && has_lines(call) && call->received.size > 0)
        (void)end_line(call); /* the last one has no end */
    write_problem(call, code);
    struct provider_http_response response = {
        .status = status_of(call),
        .body = {call->received.data, call->received.size},
        .problem = call->problem,
        .call = call,
    };
    if (has_lines(call))
        response.body = (struct slice){NULL, 0};
    call->on_end(call->context, &response);
    free_call(call);
}

const char *provider_http_header(const struct provider_http_response *response, const char *name)
{
    struct curl_header *header;
    if (curl_easy_header(response->call->curl, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return NULL;
    return header->value;
}

/* The url without what may be secret: its query and its user. */
static void show_url(struct provider_http_call *call, const char *url)
{
    const char *scheme_end = strstr(url, "://");
    const char *host = scheme_end ? scheme_end + 3 : url;
    const char *user_end = memchr(host, '@', strcspn(host, "/?#"));
    const char *rest = user_end ? user_end + 1 : host;
    snprintf(call->shown, sizeof(call->shown), "%.*s%.*s", (int)(host - url), url,
             (int)strcspn(rest, "?#"), rest);
}

/* --- options of libcurl ----------------------------------------------------------------------- */

static int on_socket_open(void *context, curl_socket_t socket, curlsocktype purpose)
{
    unsigned timeout_ms = UNACKNOWLEDGED_MS_MAX;
    (void)context;
    if (purpose == CURLSOCKTYPE_IPCXN)
        (void)setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
    return CURL_SOCKOPT_OK;
}

static void set_connection(const struct provider_http *http, CURL *curl, uint64_t timeout_ms)
{
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L); /* a lookup that hangs is abandoned */
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)http->options.connect_timeout_ms);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_IDLE_SECS);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_INTERVAL_SECS);
    curl_easy_setopt(curl, CURLOPT_SOCKOPTFUNCTION, on_socket_open);
}

static bool set_tls(const struct provider_http *http, CURL *curl)
{
    const struct {
        CURLoption option;
        const char *path;
    } paths[] = {
        {CURLOPT_CAINFO, http->options.ca},
        {CURLOPT_SSLCERT, http->options.cert},
        {CURLOPT_SSLKEY, http->options.key},
    };
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(curl, CURLOPT_CA_CACHE_TIMEOUT, 0L); /* the file is read for each connection */
    if (http->options.ca[0])
        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL); /* no other authorities */
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (paths[i].path[0] && curl_easy_setopt(curl, paths[i].option, paths[i].path) != CURLE_OK)
            return false;
    return curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
}

static bool add_header(struct provider_http_call *call, const char *header)
{
    struct curl_slist *longer = curl_slist_append(call->headers, header);
    if (longer)
        call->headers = longer;
    return longer;
}

/* Returns the size, or -1 with a reason. Only regular files are read: a FIFO would block the
 * provider. */
static ssize_t read_file(const char *path, char out[PROVIDER_HTTP_SECRET_BYTES],
                         const char **reason)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool is_open = fd >= 0 && fstat(fd, &status) == 0;
    bool is_regular = is_open && S_ISREG(status.st_mode);
    ssize_t size = is_regular ? read(fd, out, PROVIDER_HTTP_SECRET_BYTES - 1) : -1;
    *reason = size < 0 ? strerror(errno) : NULL;
    if (is_open && !is_regular)
        *reason = "it is not a regular file";
    if (fd >= 0)
        close(fd);
    return size;
}

bool provider_http_read_secret(const char *path, char out[PROVIDER_HTTP_SECRET_BYTES],
                               char problem[PROVIDER_HTTP_PROBLEM_BYTES])
{
    const char *reason;
    ssize_t size = read_file(path, out, &reason);
    if (size == PROVIDER_HTTP_SECRET_BYTES - 1)
        reason = "the file is too large";
    if (size < 0)
        size = 0;
    while (size > 0 && strchr(BLANKS, out[size - 1]))
        size--;
    out[size] = '\0';
    size_t blanks = strspn(out, BLANKS);
    memmove(out, out + blanks, (size_t)size - blanks + 1);
    if (!reason && (!out[0] || strpbrk(out, "\r\n")))
        reason = "the file must have one line";
    if (reason)
        snprintf(problem, PROVIDER_HTTP_PROBLEM_BYTES, "%.*s: %s", URL_SHOWN_BYTES_MAX, path,
                 reason);
    return !reason;
}

static bool add_token(struct provider_http_call *call)
{
    char secret[PROVIDER_HTTP_SECRET_BYTES];
    struct text header = {0};
    const struct provider_http_options *options = &call->http->options;
    if (!options->token_file[0])
        return true;
    if (!provider_http_read_secret(options->token_file, secret, call->problem))
        return false;
    text_printf(&header, "%s%s", options->token_prefix, secret);
    bool is_added = add_header(call, text_string(&header)) && !text_failed(&header);
    text_free(&header);
    return is_added;
}

static bool set_body(struct provider_http_call *call, const struct provider_http_request *request)
{
    char type[TYPE_BYTES];
    if (!request->body.data)
        return true;
    snprintf(type, sizeof(type), "Content-Type: %s",
             request->content_type ? request->content_type : "application/json");
    text_append_slice(&call->sent, request->body);
    if (!add_header(call, type) || text_failed(&call->sent))
        return false;
    curl_easy_setopt(call->curl, CURLOPT_POST, 1L);
    curl_easy_setopt(call->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->sent.size);
    curl_easy_setopt(call->curl, CURLOPT_POSTFIELDS, call->sent.data);
    return true;
}

static bool set_request(struct provider_http_call *call,
                        const struct provider_http_request *request)
{
    CURL *curl = call->curl;
    set_connection(call->http, curl, request->timeout_ms);
    if (!set_tls(call->http, curl) || !add_header(call, "Accept: application/json") ||
        !set_body(call, request) || !add_token(call) ||
        (request->header && !add_header(call, request->header)) ||
        curl_easy_setopt(curl, CURLOPT_URL, request->url) != CURLE_OK)
        return false;
    if (curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method) != CURLE_OK)
        return false;
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, call->headers);
    curl_easy_setopt(curl, CURLOPT_PRIVATE, call);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, call->detail);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, call);
    return true;
}

/* --- the client ------------------------------------------------------------------------------- */

struct provider_http_call *provider_http_start(struct provider_http *http,
                                               const struct provider_http_request *request)
{
    struct provider_http_call *call = calloc(1, sizeof(*call));
    if (!call)
        return NULL;
    call->http = http;
    call->on_line = request->on_line;
    call->on_end = request->on_end;
    call->context = request->context;
    call->bytes_max = request->bytes_max;
    show_url(call, request->url);
    call->curl = curl_easy_init();
    bool is_set = call->curl && set_request(call, request);
    if (is_set && curl_multi_add_handle(http->multi, call->curl) == CURLM_OK) {
        LIST_INSERT_HEAD(&http->calls, call, link);
        return call;
    }
    if (call->problem[0]) {
        LIST_INSERT_HEAD(&http->failed, call, link);
        return call;
    }
    free_call(call);
    return NULL;
}

static bool has_call(const struct provider_http *http, const struct provider_http_call *sought)
{
    const struct provider_http_call *call;
    LIST_FOREACH (call, &http->calls, link)
        if (call == sought)
            return true;
    return false;
}

void provider_http_cancel(struct provider_http *http, struct provider_http_call *call)
{
    if (!call)
        return;
    if (has_call(http, call))
        curl_multi_remove_handle(http->multi, call->curl);
    LIST_REMOVE(call, link);
    free_call(call);
}

void provider_http_run(struct provider_http *http, uint64_t timeout_ms)
{
    struct provider_http_call *call;
    CURLMsg *ended;
    int count;
    if (LIST_EMPTY(&http->failed))
        curl_multi_poll(http->multi, NULL, 0,
                        timeout_ms < POLL_MS_MAX ? (int)timeout_ms : POLL_MS_MAX, &count);
    curl_multi_perform(http->multi, &count);
    while ((ended = curl_multi_info_read(http->multi, &count))) {
        if (ended->msg != CURLMSG_DONE)
            continue;
        CURLcode code = ended->data.result;
        curl_easy_getinfo(ended->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        curl_multi_remove_handle(http->multi, call->curl);
        LIST_REMOVE(call, link);
        end_call(call, code);
    }
    while ((call = LIST_FIRST(&http->failed))) {
        LIST_REMOVE(call, link);
        end_call(call, CURLE_OK);
    }
}

void provider_http_wake(struct provider_http *http)
{
    curl_multi_wakeup(http->multi);
}

enum error provider_http_create(const struct provider_http_options *options,
                                struct provider_http **out)
{
    struct provider_http *http = calloc(1, sizeof(*http));
    if (!http)
        return ERR_NO_MEMORY;
    http->options = *options;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
        http->multi = curl_multi_init();
    if (!http->multi) {
        free(http);
        return ERR_NO_MEMORY;
    }
    *out = http;
    return ERR_NONE;
}

void provider_http_set_options(struct provider_http *http,
                               const struct provider_http_options *options)
{
    http->options = *options;
}

void provider_http_free(struct provider_http *http)
{
    struct provider_http_call *call;
    if (!http)
        return;
    while ((call = LIST_FIRST(&http->calls)))
        provider_http_cancel(http, call);
    while ((call = LIST_FIRST(&http->failed)))
        provider_http_cancel(http, call);
    curl_multi_cleanup(http->multi);
    free(http);
}
