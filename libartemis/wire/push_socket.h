/* SPDX-License-Identifier: Apache-2.0
 *
 * push_socket - the WebSocket over which a server pushes changes.
 *
 * libcurl opens the connection (with proxies and TLS), handshake opens the WebSocket, push_frames
 * reads and writes frames. The socket sends a ping every ping_ms, and is lost if nothing arrives
 * for twice that time. Nothing blocks.
 *
 * One thread.
 */
#pragma once

#include "libartemis/wire/http.h"

enum push_state {
    PUSH_CONNECTING,
    PUSH_OPEN,
    PUSH_REFUSED, /* the server answered without a WebSocket: see push_socket_status */
    PUSH_LOST,    /* see push_socket_problem */
};

struct push_socket;

/* Called for each complete text message, which is borrowed for the call. */
typedef void push_socket_message(void *context, struct slice text);

/* Starts to connect to the server with this index. ERR_NO_MEMORY. */
MUST_USE enum error push_socket_open(struct http *http, const struct settings *settings,
                                     size_t server, uint64_t now_ms,
                                     push_socket_message *on_message, void *context,
                                     struct push_socket **out);
void push_socket_free(struct push_socket *socket); /* accepts NULL */

/* Reads and writes what is possible without waiting, within the limits of push_frames; call it
 * after http_run. Without `may_read`, frames stay unread, and the connection is not lost for lack
 * of contact. */
enum push_state push_socket_run(struct push_socket *socket, uint64_t now_ms, bool may_read);
/* The descriptor to wait for; false: none that http does not wait for already. *at_ms is the time
 * of the next push_socket_run at the latest; 0 if frames are left unread. */
bool push_socket_wants(const struct push_socket *socket, struct curl_waitfd *fd, uint64_t *at_ms);

/* Queues a text message; push_socket_run sends it. ERR_NO_MEMORY. */
MUST_USE enum error push_socket_send(struct push_socket *socket, struct slice text);

size_t push_socket_server(const struct push_socket *socket);
int push_socket_status(const struct push_socket *socket); /* HTTP status, if refused */
uint64_t push_socket_retry_after_ms(const struct push_socket *socket);
const char *push_socket_problem(const struct push_socket *socket);
