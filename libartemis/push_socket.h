/* SPDX-License-Identifier: Apache-2.0
 *
 * push_socket - the WebSocket over which a server pushes changes.
 *
 * libcurl makes the connection (so proxies and TLS are its work), handshake opens the WebSocket,
 * wslay reads and writes the frames. The socket asks the server for a sign of life every ping_ms,
 * and is lost after twice that time without any. Nothing blocks.
 *
 * One thread.
 */
#pragma once

#include "libartemis/http.h"

enum push_state {
    PUSH_CONNECTING,
    PUSH_OPEN,
    PUSH_REFUSED, /* the server answered, but with no WebSocket: see push_socket_status */
    PUSH_LOST,    /* see push_socket_problem */
};

struct push_socket;

/* A whole text message, borrowed for the call. */
typedef void push_socket_text(void *context, struct slice text);

/* Begins to connect to the server of that number. ERR_NO_MEMORY. */
MUST_USE enum error push_socket_open(struct http *http, const struct settings *settings,
                                     size_t server, uint64_t now_ms, push_socket_text *on_text,
                                     void *context, struct push_socket **out);
void push_socket_free(struct push_socket *socket); /* takes NULL */

/* After http_run: reads and writes what can be. */
enum push_state push_socket_run(struct push_socket *socket, uint64_t now_ms);
/* What to wait for; false: nothing that http does not wait for. *at_ms is when to run at the
 * latest. */
bool push_socket_wants(const struct push_socket *socket, struct curl_waitfd *fd, uint64_t *at_ms);

/* Sends a text message, in the next run. ERR_NO_MEMORY. */
MUST_USE enum error push_socket_say(struct push_socket *socket, struct slice text);

size_t push_socket_server(const struct push_socket *socket);
int push_socket_status(const struct push_socket *socket); /* of a refusal */
uint64_t push_socket_retry_after_ms(const struct push_socket *socket);
const char *push_socket_problem(const struct push_socket *socket);
