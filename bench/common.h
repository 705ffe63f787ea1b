/* SPDX-License-Identifier: Apache-2.0
 *
 * common - what the programs of bench/ share: a clock, options, the instances that are
 * registered, and a blocking HTTP client for one kept-alive connection to 127.0.0.1.
 *
 * Each program of bench/ is a single file, so this is a header of small inline functions. All of
 * them end the program with a sentence when something fails: a benchmark that goes on after an
 * error measures nothing. Every struct belongs to one thread.
 */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "artemis-core/base/text.h"

#define HTTP_TIMEOUT_SECS 60

__attribute__((noreturn, format(printf, 1, 2))) static inline void die(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

/* Seconds on the monotonic clock. */
static inline double now_secs(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- samples ---------------------------------------------------------------------------------- */

struct samples {
    float *ms;
    size_t count, capacity;
};

static inline void samples_add(struct samples *samples, double ms)
{
    if (samples->count == samples->capacity) {
        samples->capacity = samples->capacity ? 2 * samples->capacity : 65536;
        samples->ms = realloc(samples->ms, samples->capacity * sizeof *samples->ms);
        if (!samples->ms)
            die("out of memory");
    }
    samples->ms[samples->count++] = (float)ms;
}

static inline int samples_compare(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

/* Sorts them. 0 if there are none. */
static inline double samples_percentile(struct samples *samples, double percent)
{
    size_t rank = (size_t)((double)samples->count * percent / 100);

    if (samples->count == 0)
        return 0;
    qsort(samples->ms, samples->count, sizeof *samples->ms, samples_compare);
    return (double)samples->ms[rank < samples->count ? rank : samples->count - 1];
}

/* Sends a small request on a socket that does not block. */
static inline void send_request(int fd, const char *data, size_t size)
{
    if (send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)size)
        die("a request did not fit its socket: %s", strerror(errno));
}

/* --- options: "--name value" anywhere on the command line ------------------------------------- */

static inline const char *option_text(char **arguments, const char *name, const char *otherwise)
{
    for (char **a = arguments + 1; *a && strcmp(*a, "--") != 0; a++)
        if (strcmp(*a, name) == 0 && a[1])
            return a[1];
    return otherwise;
}

static inline uint32_t option_number(char **arguments, const char *name, uint32_t otherwise)
{
    const char *text = option_text(arguments, name, NULL);
    char *end = NULL;
    unsigned long value = !text ? otherwise : strtoul(text, &end, 10);

    if (text && (end == text || *end != '\0' || value > UINT32_MAX))
        die("%s: must be a number, is %s", name, text);
    return (uint32_t)value;
}

static inline uint16_t option_port(char **arguments)
{
    uint32_t port = option_number(arguments, "--port", 0);

    if (port == 0 || port > UINT16_MAX)
        die("%s: --port PORT is required", arguments[0]);
    return (uint16_t)port;
}

/* --- what is registered: instance n of service n / per_service; load.lua knows the ids too ---- */

static inline void text_add_ids(struct text *t, uint32_t n, uint32_t per_service)
{
    text_printf(t,
                "{\"region_id\":\"local\",\"zone_id\":\"zone1\",\"service_id\":\"bench-%06u\","
                "\"instance_id\":\"i-%09u\"",
                n / per_service, n);
}

static inline void text_add_key(struct text *t, uint32_t n, uint32_t per_service)
{
    text_add_ids(t, n, per_service);
    text_append_char(t, '}');
}

/* About 250 bytes, as the budgets of DESIGN section 3 assume. */
static inline void text_add_instance(struct text *t, uint32_t n, uint32_t per_service)
{
    unsigned a = (n >> 16) & 255, b = (n >> 8) & 255, c = n & 255;

    text_add_ids(t, n, per_service);
    text_printf(
        t,
        ",\"ip\":\"10.%u.%u.%u\",\"port\":8080,\"url\":\"http://10.%u.%u.%u:8080\","
        "\"status\":\"up\",\"protocol\":\"http\",\"metadata\":{\"release\":\"2024.11.3-g5f1c9a\","
        "\"weight\":\"100\"}}",
        a, b, c, a, b, c);
}

/* --- HTTP ------------------------------------------------------------------------------------- */

struct http {
    int fd;
    struct text in; /* the last response */
};

struct http_response {
    int status;
    const char *body; /* lives in the connection, until the next call */
    size_t body_bytes;
};

/* True when 127.0.0.1:port took the connection. */
static inline bool http_try_open(struct http *h, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval timeout = {.tv_sec = HTTP_TIMEOUT_SECS};
    int on = 1;

    *h = (struct http){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (h->fd < 0)
        die("socket: %s", strerror(errno));
    setsockopt(h->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(h->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    if (connect(h->fd, (struct sockaddr *)&address, sizeof address) == 0)
        return true;
    close(h->fd);
    return false;
}

static inline void http_open(struct http *h, uint16_t port)
{
    if (!http_try_open(h, port))
        die("cannot connect to 127.0.0.1:%u: %s", port, strerror(errno));
}

static inline void http_close(struct http *h)
{
    close(h->fd);
    text_free(&h->in);
}

static inline void http_send(struct http *h, const char *data, size_t size_bytes)
{
    while (size_bytes > 0) {
        ssize_t sent = send(h->fd, data, size_bytes, MSG_NOSIGNAL);
        if (sent <= 0)
            die("send: %s", strerror(errno));
        data += sent;
        size_bytes -= (size_t)sent;
    }
}

/* Reads more of the response; the server closing the connection ends the program. */
static inline void http_read_more(struct http *h)
{
    size_t capacity = 64 * 1024;
    char *end = text_reserve(&h->in, capacity + 1);

    if (!end)
        die("out of memory");
    ssize_t got = recv(h->fd, end, capacity, 0);
    if (got <= 0)
        die("the server ended the connection: %s", got < 0 ? strerror(errno) : "no answer");
    h->in.size += (size_t)got;
    text_string(&h->in);
}

/* Reads one response; it must have a Content-Length, as the responses of the servers here do. */
static inline struct http_response http_receive(struct http *h)
{
    const char *head_end = NULL;

    text_clear(&h->in);
    do {
        http_read_more(h);
        head_end = strstr(h->in.data, "\r\n\r\n");
    } while (!head_end);

    size_t head_bytes = (size_t)(head_end - h->in.data) + 4;
    const char *length = strcasestr(h->in.data, "\r\ncontent-length:");
    if (!length || length > head_end)
        die("an answer without Content-Length:\n%.*s", (int)head_bytes, h->in.data);
    size_t body_bytes = strtoul(length + strlen("\r\ncontent-length:"), NULL, 10);
    while (h->in.size < head_bytes + body_bytes)
        http_read_more(h);
    return (struct http_response){.status = atoi(h->in.data + strlen("HTTP/1.1 ")),
                                  .body = h->in.data + head_bytes,
                                  .body_bytes = body_bytes};
}

/* The field with the token of $BENCH_TOKEN, or "". */
static inline const char *http_authorization(void)
{
    static char field[256];
    const char *token = getenv("BENCH_TOKEN");

    if (token && !field[0])
        snprintf(field, sizeof field, "Authorization: Bearer %s\r\n", token);
    return field;
}

static inline struct http_response http_get(struct http *h, const char *path)
{
    char request[768];
    int size = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n",
                        path, http_authorization());

    http_send(h, request, (size_t)size);
    return http_receive(h);
}

/* `field` is a further field of the header with its line end, or "". */
static inline void http_post_send(struct http *h, const char *path, const char *field,
                                  const struct text *body)
{
    struct text request = {0};

    text_printf(&request,
                "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                "Content-Length: %zu\r\n%s%s\r\n",
                path, body->size, http_authorization(), field);
    text_append(&request, body->data, body->size);
    if (text_failed(body) || text_failed(&request))
        die("out of memory");
    http_send(h, request.data, request.size);
    text_free(&request);
}

static inline struct http_response http_post(struct http *h, const char *path,
                                             const struct text *body)
{
    http_post_send(h, path, "", body);
    return http_receive(h);
}

/* Sends items first .. first + count - 1 as one list. */
static inline void http_send_batch(struct http *h, const char *path, const char *field,
                                   const char *list, void (*add)(struct text *, uint32_t, uint32_t),
                                   uint32_t first, uint32_t count, uint32_t per_service)
{
    struct text body = {0};

    text_printf(&body, "{\"%s\":[", list);
    for (uint32_t n = first; n < first + count; n++) {
        text_append_string(&body, n == first ? "" : ",");
        add(&body, n, per_service);
    }
    text_append_string(&body, "]}");
    http_post_send(h, path, field, &body);
    text_free(&body);
}

/* Receives the response to a batch, and insists that each item was done. */
static inline void http_check_batch(struct http *h)
{
    struct http_response response = http_receive(h);
    if (response.status != 200 || !strstr(response.body, "\"error_code\":\"success\"") ||
        strstr(response.body, "\"failed_"))
        die("batch: status %d: %.300s", response.status, response.body);
}

static inline void http_post_batch(struct http *h, const char *path, const char *field,
                                   const char *list, void (*add)(struct text *, uint32_t, uint32_t),
                                   uint32_t first, uint32_t count, uint32_t per_service)
{
    http_send_batch(h, path, field, list, add, first, count, per_service);
    http_check_batch(h);
}

static inline void http_send_register(struct http *h, uint32_t first, uint32_t count,
                                      uint32_t per_service)
{
    http_send_batch(h, "/api/registry/register", "", "instances", text_add_instance, first, count,
                    per_service);
}

static inline void http_register(struct http *h, uint32_t first, uint32_t count,
                                 uint32_t per_service)
{
    http_send_register(h, first, count, per_service);
    http_check_batch(h);
}

static inline void http_renew(struct http *h, uint32_t first, uint32_t count, uint32_t per_service)
{
    http_post_batch(h, "/api/registry/heartbeat", "", "instance_keys", text_add_key, first, count,
                    per_service);
}
