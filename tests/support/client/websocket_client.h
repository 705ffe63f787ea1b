/* SPDX-License-Identifier: Apache-2.0
 *
 * websocket_client - a WebSocket client that sends exactly the frames that a test gives, valid or
 * not, and reads with a deadline.
 *
 * It neither pings nor sends pongs by itself. A received text is in `message`, for the checks of
 * check.h. JSON in tests has single quotes in place of double quotes. The handshake and the format
 * of each frame from the server are checked; an error fails the test.
 */
#pragma once

#include "tests/support/client/check.h"
#include "tests/support/client/raw_socket.h"

enum websocket_opcode {
    OPCODE_CONTINUATION = 0x0,
    OPCODE_TEXT = 0x1,
    OPCODE_BINARY = 0x2,
    OPCODE_CLOSE = 0x8,
    OPCODE_PING = 0x9,
    OPCODE_PONG = 0xA,
};

struct websocket_frame {
    unsigned opcode;
    bool more;     /* FIN is not set */
    unsigned rsv;  /* the three reserved bits, as a number */
    bool unmasked; /* not allowed for a client */
    const void *payload;
    size_t size;
};

enum websocket_event {
    GOT_FRAME,   /* in `frame`, its payload NUL-terminated */
    GOT_END,     /* the server has closed its side, and no bytes are left over */
    GOT_NOTHING, /* until the deadline */
};

struct websocket_client {
    struct raw_socket raw;
    struct websocket_frame frame;
    struct http_response message;
};

/* The usual fields of a handshake but for Host, each with its end of line. */
#define HANDSHAKE_FIELDS                                                                           \
    "Upgrade: websocket\r\nConnection: Upgrade\r\n"                                                \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

/* Connects and makes the handshake, which must succeed. */
void websocket_client_open(struct websocket_client *client, uint16_t port, const char *path);
/* The same; `early` is sent together with the handshake. */
void websocket_client_open_with(struct websocket_client *client, uint16_t port, const char *path,
                                const void *early, size_t early_size);
/* The same with a small receive buffer, as raw_socket_open_small. */
void websocket_client_open_small(struct websocket_client *client, int receive_bytes, uint16_t port,
                                 const char *path);
/* Uses a connected socket; there is no handshake. */
void websocket_client_adopt(struct websocket_client *client, int fd);
/* Disconnects without a close frame. */
void websocket_client_close(struct websocket_client *client);

/* Appends the encoded frame to *bytes; the caller frees them. */
void websocket_frame_append(const struct websocket_frame *frame, char **bytes, size_t *size);
/* False: the server has closed the connection. */
bool websocket_client_send(struct websocket_client *client, const struct websocket_frame *frame);
/* The same for a frame with these fields; sending must succeed. */
#define SEND(client, ...)                                                                          \
    assert_true(websocket_client_send((client), &(struct websocket_frame){__VA_ARGS__}))
#define TEXT_OF(literal) .payload = (literal), .size = sizeof(literal) - 1
/* Sends a text frame of JSON. */
void websocket_client_send_json(struct websocket_client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

enum websocket_event websocket_client_receive(struct websocket_client *client, int64_t deadline_ms);

/* The next frame must be a text. */
#define websocket_client_next(client) websocket_client_next_at((client), __FILE__, __LINE__)
/* The next frame must be this one. */
#define websocket_client_check_frame(client, opcode, payload, size)                                \
    websocket_client_check_frame_at((client), (opcode), (payload), (size), __FILE__, __LINE__)
/* The next frame must be a close with this code (0: no code), followed by the end. */
#define websocket_client_check_closed(client, code)                                                \
    websocket_client_check_closed_at((client), (code), __FILE__, __LINE__)
/* Nothing has been pushed, and no change up to now will be pushed. */
#define websocket_client_check_quiet(client)                                                       \
    websocket_client_check_quiet_at((client), __FILE__, __LINE__)

struct http_response *websocket_client_next_at(struct websocket_client *client, const char *file,
                                               int line);
void websocket_client_check_frame_at(struct websocket_client *client, unsigned opcode,
                                     const void *payload, size_t size, const char *file, int line);
void websocket_client_check_closed_at(struct websocket_client *client, int code, const char *file,
                                      int line);
void websocket_client_check_quiet_at(struct websocket_client *client, const char *file, int line);
