/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/call/curl_call.h"

#include <assert.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CONNECT_TIMEOUT_MS 3000L
#define BODY_MAX_BYTES     (512u << 20)

enum { RETRY_AFTER_SECS_MAX = 24 * 60 * 60, POLL_MS = 1000 };

/* Filled by the callbacks during a call. */
struct receiver {
    CURL *curl;
    const struct call_request *request;
    struct call_response *response;
    enum transfer_result transfer; /* why receiving was stopped; otherwise TRANSFER_DONE */
};

static const struct {
    const char *name;
    size_t offset; /* of the text in struct call_response */
} headers[] = {
    {"location", offsetof(struct call_response, location)},
    {"x-artemis-node", offsetof(struct call_response, node)},
    {"x-artemis-cluster", offsetof(struct call_response, cluster)},
    {"x-artemis-state", offsetof(struct call_response, state)},
};

static const struct {
    CURLcode code;
    enum transfer_result transfer;
} transfers[] = {
    {CURLE_OK, TRANSFER_DONE},
    {CURLE_COULDNT_RESOLVE_HOST, TRANSFER_NO_HOST},
    {CURLE_COULDNT_RESOLVE_PROXY, TRANSFER_NO_PROXY},
    {CURLE_COULDNT_CONNECT, TRANSFER_NO_LISTENER},
    {CURLE_OPERATION_TIMEDOUT, TRANSFER_TIMED_OUT},
    {CURLE_SSL_CONNECT_ERROR, TRANSFER_NO_TLS},
    {CURLE_PEER_FAILED_VERIFICATION, TRANSFER_NOT_TRUSTED},
    {CURLE_SSL_CACERT_BADFILE, TRANSFER_NO_TLS},
    {CURLE_SSL_CERTPROBLEM, TRANSFER_NO_TLS},
    {CURLE_UNSUPPORTED_PROTOCOL, TRANSFER_NOT_HTTP}, /* for a response without a status line */
    {CURLE_WEIRD_SERVER_REPLY, TRANSFER_NOT_HTTP},
    {CURLE_OUT_OF_MEMORY, TRANSFER_NO_MEMORY},
};

/* libcurl does not report whether the proxy refused the connection. */
static bool may_be_proxied(const struct server_url *url)
{
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                        "ALL_PROXY"};
    for (size_t i = 0; i < sizeof names / sizeof *names && !url->loopback; i++)
        if (getenv(names[i]))
            return true;
    return false;
}

static enum transfer_result transfer_of(CURLcode code, const struct server_url *url)
{
    if (code == CURLE_COULDNT_CONNECT && may_be_proxied(url))
        return TRANSFER_NO_PROXY;
    for (size_t i = 0; i < sizeof transfers / sizeof *transfers; i++)
        if (transfers[i].code == code)
            return transfers[i].transfer;
    return TRANSFER_INTERRUPTED;
}

/* Passes a piece on to the caller. 0 ends the call. */
static size_t pass_on(struct receiver *receiver, struct slice piece)
{
    if (receiver->request->receive(receiver->request->context, piece))
        return piece.size;
    receiver->transfer = TRANSFER_INTERRUPTED;
    return 0;
}

static bool is_passed_on(const struct receiver *receiver)
{
    long http_status = 0;
    curl_easy_getinfo(receiver->curl, CURLINFO_RESPONSE_CODE, &http_status);
    return receiver->request->receive && http_status == 200;
}

static size_t receive_body(char *data, size_t size, size_t count, void *context)
{
    struct receiver *receiver = context;
    struct text *body = &receiver->response->body;
    size_t length = size * count;
    if (is_passed_on(receiver))
        return pass_on(receiver, (struct slice){data, length});
    if (body->size + length > BODY_MAX_BYTES) {
        receiver->transfer = TRANSFER_TOO_LARGE;
        return 0;
    }
    text_append(body, data, length);
    if (text_failed(body)) {
        receiver->transfer = TRANSFER_NO_MEMORY;
        return 0;
    }
    return length;
}

/* A Retry-After that is not a number of seconds, or more than a day of them, is ignored. */
static void read_retry_after(struct slice value, struct call_response *response)
{
    uint64_t secs;
    if (slice_to_u64(value, &secs) && secs <= RETRY_AFTER_SECS_MAX)
        response->retry_after_secs = (unsigned)secs;
}

/* A header that does not fit is cut: these headers are only displayed. */
static size_t receive_header(char *data, size_t size, size_t count, void *context)
{
    struct receiver *receiver = context;
    size_t length = size * count;
    const char *colon = memchr(data, ':', length);
    if (!colon)
        return length;
    size_t name_length = (size_t)(colon - data);
    const char *end = data + length;
    const char *value = colon + 1;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' '))
        end--;

    char text[CALL_HEADER_MAX];
    snprintf(text, sizeof text, "%.*s", (int)(end - value), value);
    if (name_length == strlen("retry-after") && strncasecmp(data, "retry-after", name_length) == 0)
        read_retry_after(slice_of(text), receiver->response);
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        if (strlen(headers[i].name) == name_length &&
            strncasecmp(data, headers[i].name, name_length) == 0)
            memcpy((char *)receiver->response + headers[i].offset, text, sizeof text);
    return length;
}

static void set_receiver(CURL *curl, struct receiver *receiver, long timeout_secs)
{
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, receiver->response->detail);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, receiver);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, receive_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, receiver);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    if (receiver->request->receive) {
        curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, timeout_secs);
    } else {
        curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_secs * 1000);
    }
}

static void set_body(CURL *curl, const struct call_request *request)
{
    if (!request->body)
        return;
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->size_bytes);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body); /* borrowed, not copied */
}

/* Only text options can fail, because libcurl copies them. */
static CURLcode set_texts(CURL *curl, const char *address, bool loopback,
                          const struct server_credentials *credentials)
{
    static const struct server_credentials none;
    const struct server_credentials *own = credentials ? credentials : &none;
    const struct {
        CURLoption option;
        const char *text;
    } texts[] = {
        {CURLOPT_URL, address},
        {CURLOPT_ACCEPT_ENCODING, "gzip"},
        {CURLOPT_USERAGENT, "artemis/" ARTEMIS_VERSION},
        {CURLOPT_PROXY, loopback ? "" : NULL}, /* NULL: use the environment */
        {CURLOPT_SSLCERT, own->cert},
        {CURLOPT_SSLKEY, own->key ? own->key : own->cert}, /* one file may hold both */
    };
    CURLcode code = CURLE_OK;
    for (size_t i = 0; i < sizeof texts / sizeof *texts && code == CURLE_OK; i++)
        code = curl_easy_setopt(curl, texts[i].option, texts[i].text);
    if (code == CURLE_OK && own->cacert) /* instead of the authorities of the system */
        code = curl_easy_setopt(curl, CURLOPT_CAINFO, own->cacert);
    if (code == CURLE_OK && own->cacert)
        code = curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
    return code;
}

/* Adds the lines up to NULL; false without memory. */
static bool add_headers(struct curl_slist **list, const char *const *lines)
{
    for (; lines && *lines; lines++) {
        struct curl_slist *longer = curl_slist_append(*list, *lines);
        if (!longer)
            return false;
        *list = longer;
    }
    return true;
}

static bool add_authorization(struct curl_slist **list, const char *value)
{
    char *line = NULL;
    if (asprintf(&line, "Authorization: %s", value) < 0)
        return false;
    bool added = add_headers(list, (const char *const[]){line, NULL});
    explicit_bzero(line, strlen(line));
    free(line);
    return added;
}

/* NULL without memory. */
static struct curl_slist *request_headers(const struct call_request *request)
{
    static const char *const lines[] = {
        "Content-Type: application/json",
        "Accept: application/json",
        "Expect:", /* send the body without asking first */
        NULL,
    };
    struct curl_slist *list = NULL;
    if (add_headers(&list, lines) && add_headers(&list, request->headers) &&
        (!request->authorization || add_authorization(&list, request->authorization)))
        return list;
    curl_slist_free_all(list);
    return NULL;
}

/* A call that libcurl carries out. */
struct exchange {
    const struct curl_call *call;
    struct receiver receiver;
    struct curl_slist *headers;
    CURLcode code; /* CURLE_OUT_OF_MEMORY until it has ended */
};

/* Sets up a call. False without memory. */
static bool prepare(struct exchange *exchange, const struct curl_call *call, long timeout_secs)
{
    static_assert(CALL_HEADER_MAX >= CURL_ERROR_SIZE, "libcurl writes its errors to `detail`");
    const struct call_request *request = call->request;
    char *address = NULL;
    *exchange = (struct exchange){.call = call, .code = CURLE_OUT_OF_MEMORY};
    exchange->receiver = (struct receiver){.curl = curl_easy_init(),
                                           .request = request,
                                           .response = call->response,
                                           .transfer = TRANSFER_DONE};
    CURL *curl = exchange->receiver.curl;
    exchange->headers = request_headers(request);
    if (!curl || !exchange->headers ||
        asprintf(&address, "%s%s", call->url->base, request->path) < 0)
        return false;
    set_receiver(curl, &exchange->receiver, timeout_secs);
    set_body(curl, request);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, exchange->headers);
    curl_easy_setopt(curl, CURLOPT_PRIVATE, exchange);
    CURLcode code = set_texts(curl, address, call->url->loopback, request->credentials);
    free(address);
    return code == CURLE_OK;
}

/* Carries out the calls of `multi` until all have ended. */
static void perform(CURLM *multi)
{
    int running = 1;
    int left;
    while (curl_multi_perform(multi, &running) == CURLM_OK && running > 0 &&
           curl_multi_poll(multi, NULL, 0, POLL_MS, NULL) == CURLM_OK) {
    }
    for (CURLMsg *message; (message = curl_multi_info_read(multi, &left));) {
        struct exchange *exchange = NULL;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &exchange);
        if (message->msg == CURLMSG_DONE)
            exchange->code = message->data.result;
    }
}

/* Completes the response, and releases what the call had. */
static void finish(struct exchange *exchange, CURLM *multi)
{
    struct call_response *response = exchange->call->response;
    CURL *curl = exchange->receiver.curl;
    response->transfer = exchange->receiver.transfer != TRANSFER_DONE
                             ? exchange->receiver.transfer
                             : transfer_of(exchange->code, exchange->call->url);
    if (!response->detail[0])
        snprintf(response->detail, sizeof response->detail, "%s",
                 curl_easy_strerror(exchange->code));
    if (response->transfer == TRANSFER_DONE) {
        long http_status = 0;
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &http_status);
        response->http_status = (int)http_status;
    }
    curl_multi_remove_handle(multi, curl);
    curl_easy_cleanup(curl);
    curl_slist_free_all(exchange->headers);
}

void curl_call_send_all(const struct curl_call calls[], size_t count, long timeout_secs)
{
    CURLM *multi = curl_multi_init();
    struct exchange *exchanges = calloc(count, sizeof *exchanges);
    for (size_t i = 0; i < count; i++)
        *calls[i].response = (struct call_response){.transfer = TRANSFER_NO_MEMORY};
    if (!multi || !exchanges)
        goto out;
    for (size_t i = 0; i < count; i++)
        if (prepare(&exchanges[i], &calls[i], timeout_secs))
            curl_multi_add_handle(multi, exchanges[i].receiver.curl);
    perform(multi);
    for (size_t i = 0; i < count; i++)
        finish(&exchanges[i], multi);
out:
    free(exchanges);
    curl_multi_cleanup(multi);
}

void curl_call_send(const struct server_url *url, const struct call_request *request,
                    long timeout_secs, struct call_response *response)
{
    const struct curl_call call = {url, request, response};
    curl_call_send_all(&call, 1, timeout_secs);
}

void curl_call_free(struct call_response *response)
{
    if (!response)
        return;
    text_free(&response->body);
}
