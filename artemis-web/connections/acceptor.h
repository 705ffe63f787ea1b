/* SPDX-License-Identifier: Apache-2.0
 *
 * acceptor - the thread that accepts connections and passes them to a callback.
 *
 * libmicrohttpd can accept by itself, but MHD_quiesce_daemon, which stops that, races with its
 * threads in 0.9.75 and aborts the process. The listening socket therefore belongs to the acceptor:
 * stopping it accepts the connections of the backlog, and then closes the socket however many
 * others arrive.
 *
 * One thread starts and stops the acceptor. The acceptor's thread calls the callback.
 */
#pragma once

#include <sys/socket.h>

#include "artemis-core/base/error.h"

struct acceptor;

/* Takes over the non-blocking socket of a new connection. */
typedef void acceptor_callback(void *context, int socket, const struct sockaddr *address,
                               socklen_t size);

/* Takes over `listener`, a non-blocking listening socket, on success. ERR_NO_MEMORY, ERR_SYSTEM. */
MUST_USE enum error acceptor_start(int listener, acceptor_callback *callback, void *context,
                                   struct acceptor **out);
/* Accepts the connections of the backlog, closes the listener and ends the thread. Accepts NULL. */
void acceptor_stop(struct acceptor *acceptor);
