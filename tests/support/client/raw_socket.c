/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/client/raw_socket.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/wait.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* `receive_bytes` 0: as the system chooses. */
static bool open_socket(struct raw_socket *raw, uint8_t host, int receive_bytes, uint16_t port)
{
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + host)};
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int one = 1;
    *raw = (struct raw_socket){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_true(raw->fd >= 0);
    setsockopt(raw->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(raw->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    assert_int_equal(bind(raw->fd, (struct sockaddr *)&from, sizeof from), 0);
    if (receive_bytes > 0) {
        assert_int_equal(
            setsockopt(raw->fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes), 0);
    }
    if (connect(raw->fd, (struct sockaddr *)&address, sizeof address) == 0) {
        return true;
    }
    raw_socket_close(raw);
    return false;
}

bool raw_socket_try_open_from(struct raw_socket *raw, uint8_t host, uint16_t port)
{
    return open_socket(raw, host, 0, port);
}

bool raw_socket_try_open(struct raw_socket *raw, uint16_t port)
{
    return raw_socket_try_open_from(raw, 1, port);
}

void raw_socket_open_small(struct raw_socket *raw, int receive_bytes, uint16_t port)
{
    if (!open_socket(raw, 1, receive_bytes, port)) {
        fail_msg("cannot connect to port %u: %s", port, strerror(errno));
    }
}

void raw_socket_open(struct raw_socket *raw, uint16_t port)
{
    if (!raw_socket_try_open(raw, port)) {
        fail_msg("cannot connect to port %u: %s", port, strerror(errno));
    }
}

void raw_socket_close(struct raw_socket *raw)
{
    if (raw->fd >= 0) {
        close(raw->fd);
    }
    free(raw->bytes);
    http_response_clear(&raw->response);
    *raw = (struct raw_socket){.fd = -1};
}

bool raw_socket_send(struct raw_socket *raw, const void *bytes, size_t size)
{
    for (size_t at = 0; at < size;) {
        ssize_t sent = send(raw->fd, (const char *)bytes + at, size - at, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
            return false;
        }
        at += sent > 0 ? (size_t)sent : 0;
    }
    return true;
}

bool raw_socket_sendf(struct raw_socket *raw, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int size = vasprintf(&text, format, args);
    va_end(args);
    assert_true(size >= 0);
    bool sent = raw_socket_send(raw, text, (size_t)size);
    free(text);
    return sent;
}

bool raw_socket_read_more(struct raw_socket *raw, int64_t deadline_ms)
{
    enum { READ_BYTES = 65536 };
    if (!wait_readable(raw->fd, deadline_ms)) {
        return false;
    }
    if (raw->capacity < raw->size + READ_BYTES + 1) {
        /* Doubled: a sanitizer copies the block each time that it grows. */
        raw->capacity = 2 * raw->capacity + READ_BYTES + 1;
        raw->bytes = realloc(raw->bytes, raw->capacity);
        assert_non_null(raw->bytes);
    }
    ssize_t got = recv(raw->fd, raw->bytes + raw->size, READ_BYTES, 0);
    raw->ended = got <= 0;
    raw->size += got > 0 ? (size_t)got : 0;
    raw->bytes[raw->size] = '\0';
    return true;
}

void raw_socket_take(struct raw_socket *raw, size_t size)
{
    raw->size -= size;
    memmove(raw->bytes, raw->bytes + size, raw->size + 1);
}

/* The end of a chunked body that begins at `at`, appended to `body`; 0 when more must come. */
static size_t end_of_chunks(const struct raw_socket *raw, size_t at, struct http_response *response)
{
    response->body_size = 0;
    for (;;) {
        const char *line_end = strstr(raw->bytes + at, "\r\n");
        if (line_end == NULL) {
            return 0;
        }
        size_t size = strtoul(raw->bytes + at, NULL, 16);
        size_t start = (size_t)(line_end - raw->bytes) + 2;
        if (raw->size < start + size + 2) {
            return 0;
        }
        memcpy(response->body + response->body_size, raw->bytes + start, size);
        response->body_size += size;
        at = start + size + 2;
        if (size == 0) {
            return at;
        }
    }
}

/* The end of the response at the start of the bytes, which it fills in; 0 when more must come. */
static size_t end_of_response(struct raw_socket *raw, bool head_only,
                              struct http_response *response)
{
    char *head_end = raw->size > 0 ? strstr(raw->bytes, "\r\n\r\n") : NULL;
    if (head_end == NULL) {
        return 0;
    }
    size_t start = (size_t)(head_end - raw->bytes) + 4;
    response->head = strndup(raw->bytes, start);
    response->body = calloc(1, raw->size + 1);
    assert_non_null(response->head);
    assert_non_null(response->body);
    response->status = (int)strtol(raw->bytes + strcspn(raw->bytes, " \r"), NULL, 10);
    if (head_only || response->status == 304 || response->status < 200) {
        return start;
    }
    const char *encoding = http_field(response, "Transfer-Encoding");
    if (encoding != NULL && strcmp(encoding, "chunked") == 0) {
        return end_of_chunks(raw, start, response);
    }
    const char *length = http_field(response, "Content-Length");
    size_t size = length != NULL ? strtoul(length, NULL, 10) : raw->size - start;
    if (raw->size < start + size || (length == NULL && !raw->ended)) {
        return 0;
    }
    memcpy(response->body, raw->bytes + start, size);
    response->body_size = size;
    return start + size;
}

static enum raw_end read_response(struct raw_socket *raw, bool head_only, int64_t deadline_ms)
{
    for (;;) {
        http_response_clear(&raw->response);
        size_t end = end_of_response(raw, head_only, &raw->response);
        if (end > 0) {
            raw_socket_take(raw, end);
            raw->response.json = json_loadb(raw->response.body, raw->response.body_size, 0, NULL);
            return RAW_RESPONSE;
        }
        if (raw->ended) {
            return raw->size == 0 ? RAW_CLOSED : RAW_PART;
        }
        if (!raw_socket_read_more(raw, deadline_ms)) {
            return RAW_LATE;
        }
    }
}

enum raw_end raw_socket_read(struct raw_socket *raw, int64_t deadline_ms)
{
    return read_response(raw, false, deadline_ms);
}

enum raw_end raw_socket_read_head(struct raw_socket *raw, int64_t deadline_ms)
{
    return read_response(raw, true, deadline_ms);
}

bool raw_socket_is_closed_by(struct raw_socket *raw, int64_t deadline_ms)
{
    while (!raw->ended) {
        if (!raw_socket_read_more(raw, deadline_ms)) {
            return false;
        }
    }
    return raw->size == 0;
}
