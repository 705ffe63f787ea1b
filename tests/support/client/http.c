/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/client/http.h"

#include "artemis-core/base/text.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/quoted_json.h"
#include "tests/support/wait.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct http {
    CURL *curl;
    uint16_t port;
    long connections;
    struct text head;
    struct text body;
    struct http_response response;
    char why[CURL_ERROR_SIZE];
};

/* What a chunked body still has to send. */
struct outgoing {
    const char *bytes;
    size_t left;
};

static size_t append(struct text *text, const char *bytes, size_t size)
{
    text_append(text, bytes, size);
    return text_failed(text) ? 0 : size;
}

static size_t take_head(char *bytes, size_t size, size_t count, void *context)
{
    struct http *http = context;
    if (size * count > 5 && memcmp(bytes, "HTTP/", 5) == 0) {
        text_free(&http->head); /* an earlier head was 100 Continue */
        return size * count;
    }
    return append(&http->head, bytes, size * count);
}

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
    struct http *http = context;
    return append(&http->body, bytes, size * count);
}

static size_t give_body(char *bytes, size_t size, size_t count, void *context)
{
    struct outgoing *outgoing = context;
    size_t given = size * count < outgoing->left ? size * count : outgoing->left;
    memcpy(bytes, outgoing->bytes, given);
    outgoing->bytes += given;
    outgoing->left -= given;
    return given;
}

struct http *http_new(uint16_t port)
{
    struct http *http = calloc(1, sizeof *http);
    assert_non_null(http);
    http->curl = curl_easy_init();
    assert_non_null(http->curl);
    http->port = port;
    return http;
}

void http_response_clear(struct http_response *response)
{
    free(response->head);
    free(response->body);
    json_decref(response->json);
    *response = (struct http_response){0};
}

void http_free(struct http *http)
{
    if (http == NULL) {
        return;
    }
    curl_easy_cleanup(http->curl);
    http_response_clear(&http->response);
    text_free(&http->head);
    text_free(&http->body);
    free(http);
}

static void set_body(struct http *http, const struct http_request *request,
                     struct outgoing *outgoing, struct curl_slist **fields)
{
    if (request->chunked) {
        *outgoing = (struct outgoing){request->body, request->body_size};
        *fields = curl_slist_append(*fields, "Transfer-Encoding: chunked");
        curl_easy_setopt(http->curl, CURLOPT_POST, 1L);
        curl_easy_setopt(http->curl, CURLOPT_READFUNCTION, give_body);
        curl_easy_setopt(http->curl, CURLOPT_READDATA, outgoing);
    } else if (request->body != NULL) {
        curl_easy_setopt(http->curl, CURLOPT_POSTFIELDS, request->body);
        curl_easy_setopt(http->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_size);
    }
    if (strcmp(request->method, "HEAD") == 0) {
        curl_easy_setopt(http->curl, CURLOPT_NOBODY, 1L);
    } else {
        curl_easy_setopt(http->curl, CURLOPT_CUSTOMREQUEST, request->method);
    }
}

static void set_options(struct http *http, const char *url)
{
    CURL *curl = http->curl;
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)wait_timeout_ms());
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, http->why);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_head);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, http);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, http);
}

/* Moves what has come into the response. */
static struct http_response *finish_response(struct http *http)
{
    long status = 0;
    long opened = 0;
    curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(http->curl, CURLINFO_NUM_CONNECTS, &opened);
    http->connections += opened;
    text_append_char(&http->head, '\0');
    text_append_char(&http->body, '\0');
    assert_false(text_failed(&http->head) || text_failed(&http->body));
    http->response = (struct http_response){
        .status = (int)status,
        .head = http->head.data,
        .body = http->body.data,
        .body_size = http->body.size - 1,
        .json = json_loadb(http->body.data, http->body.size - 1, 0, NULL),
    };
    http->head = (struct text){0};
    http->body = (struct text){0};
    return &http->response;
}

struct http_response *http_send(struct http *http, const struct http_request *request)
{
    char url[2048];
    struct outgoing outgoing = {0};
    /* Without "Expect:" curl asks first, and waits, before it sends a large body. */
    struct curl_slist *fields = curl_slist_append(NULL, "Expect:");
    int length = snprintf(url, sizeof url, "http://127.0.0.1:%u%s", http->port, request->path);
    assert_in_range(length, 1, sizeof url - 1);
    http_response_clear(&http->response);
    set_options(http, url);
    set_body(http, request, &outgoing, &fields);
    for (size_t i = 0; request->fields != NULL && request->fields[i] != NULL; i++) {
        fields = curl_slist_append(fields, request->fields[i]);
    }
    curl_easy_setopt(http->curl, CURLOPT_HTTPHEADER, fields);
    CURLcode outcome = curl_easy_perform(http->curl);
    curl_slist_free_all(fields);
    /* A server may answer before it has read the whole body, and close: the response counts. */
    if (outcome != CURLE_OK && !(outcome == CURLE_SEND_ERROR && http->head.size > 0)) {
        text_free(&http->head);
        text_free(&http->body);
        fail_msg("%s %s: no answer: %s (%s)", request->method, request->path, http->why,
                 curl_easy_strerror(outcome));
    }
    return finish_response(http);
}

struct http_response *http_get(struct http *http, const char *path, ...)
{
    char full[1024];
    va_list args;
    va_start(args, path);
    int length = vsnprintf(full, sizeof full, path, args);
    va_end(args);
    assert_in_range(length, 1, sizeof full - 1);
    return http_send(http, &(struct http_request){.method = "GET", .path = full});
}

struct http_response *http_post(struct http *http, const char *path, const char *body, ...)
{
    static const char *const fields[] = {"Content-Type: application/json", NULL};
    va_list args;
    va_start(args, body);
    char *text = quoted_text_args(body, args);
    va_end(args);
    struct http_request request = {
        .method = "POST",
        .path = path,
        .fields = fields,
        .body = text,
        .body_size = strlen(text),
    };
    struct http_response *response = http_send(http, &request);
    free(text);
    return response;
}

long http_connections(const struct http *http)
{
    return http->connections;
}

const char *http_field(struct http_response *response, const char *name)
{
    size_t name_size = strlen(name);
    for (const char *line = response->head; *line != '\0';) {
        size_t size = strcspn(line, "\r\n");
        if (size > name_size && line[name_size] == ':' && strncasecmp(line, name, name_size) == 0) {
            const char *value = line + name_size + 1;
            value += strspn(value, " ");
            snprintf(response->field, sizeof response->field, "%.*s", (int)(line + size - value),
                     value);
            return response->field;
        }
        line += size;
        line += strspn(line, "\r\n");
    }
    return NULL;
}
