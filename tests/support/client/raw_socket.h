/* SPDX-License-Identifier: Apache-2.0
 *
 * raw_socket - a client that sends any bytes, valid HTTP or not, and reads responses with a
 * deadline, one at a time.
 */
#pragma once

#include "tests/support/client/http.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum raw_end {
    RAW_RESPONSE, /* `response` holds a whole response */
    RAW_CLOSED,   /* the server closed or reset the connection after the last whole response */
    RAW_PART,     /* the server closed or reset the connection within a response */
    RAW_LATE,     /* the deadline passed */
};

struct raw_socket {
    int fd; /* -1 when closed */
    char *bytes;
    size_t size;
    size_t capacity;
    bool ended;
    struct http_response response;
};

/* False if the server does not accept the connection. */
bool raw_socket_try_open(struct raw_socket *raw, uint16_t port);

/* The same from 127.0.0.HOST. */
bool raw_socket_try_open_from(struct raw_socket *raw, uint8_t host, uint16_t port);

/* Opens it with a receive buffer of this size; with less, the kernel takes less from the server. */
void raw_socket_open_small(struct raw_socket *raw, int receive_bytes, uint16_t port);

/* As raw_socket_try_open; fails the test if it is not accepted. */
void raw_socket_open(struct raw_socket *raw, uint16_t port);
void raw_socket_close(struct raw_socket *raw);

/* False if the server has closed the connection. Blocks while the server does not read. */
bool raw_socket_send(struct raw_socket *raw, const void *bytes, size_t size);
bool raw_socket_sendf(struct raw_socket *raw, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Reads the next response; its fields are read with http_field. */
enum raw_end raw_socket_read(struct raw_socket *raw, int64_t deadline_ms);

/* The same for the response to a HEAD request, which has no body. */
enum raw_end raw_socket_read_head(struct raw_socket *raw, int64_t deadline_ms);

/* Reads what has arrived into `bytes`, or sets `ended`; false at the deadline. */
bool raw_socket_read_more(struct raw_socket *raw, int64_t deadline_ms);
/* Removes bytes from the start of `bytes`. */
void raw_socket_take(struct raw_socket *raw, size_t size);

/* Whether the server closes the connection before the deadline without sending more. */
bool raw_socket_is_closed_by(struct raw_socket *raw, int64_t deadline_ms);
