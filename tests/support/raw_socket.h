/* SPDX-License-Identifier: Apache-2.0
 *
 * raw_socket - a client that says exactly the bytes it is told, however wrong, and reads with a
 * deadline. Responses that follow one another on a connection are taken one by one.
 */
#pragma once

#include "tests/support/http.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum raw_end {
    RAW_RESPONSE, /* a whole response is in `response` */
    RAW_CLOSED,   /* the server closed, or reset, and nothing was left over */
    RAW_PART,     /* the server closed, or reset, amid a response */
    RAW_LATE,     /* the deadline came first */
};

struct raw_socket {
    int fd; /* -1 when closed */
    char *bytes;
    size_t size;
    bool ended;
    struct http_response response;
};

/* False when the server does not take the connection. */
bool raw_socket_try_open(struct raw_socket *raw, uint16_t port);

/* As above, and fails the test. */
void raw_socket_open(struct raw_socket *raw, uint16_t port);
void raw_socket_close(struct raw_socket *raw);

/* False once the server has closed. Blocks while the server does not read. */
bool raw_socket_send(struct raw_socket *raw, const void *bytes, size_t size);
bool raw_socket_say(struct raw_socket *raw, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The next response. `fields` of it are read with http_field. */
enum raw_end raw_socket_read(struct raw_socket *raw, int64_t deadline_ms);

/* The same where the request was HEAD: no body follows, whatever the head says. */
enum raw_end raw_socket_read_head(struct raw_socket *raw, int64_t deadline_ms);

/* Reads what there is into `bytes`, or notes the end; false at the deadline. */
bool raw_socket_read_more(struct raw_socket *raw, int64_t deadline_ms);
/* Takes so many bytes off the start of what was read. */
void raw_socket_take(struct raw_socket *raw, size_t size);

/* True when the server closes, with nothing more said, before the deadline. */
bool raw_socket_is_closed_by(struct raw_socket *raw, int64_t deadline_ms);
