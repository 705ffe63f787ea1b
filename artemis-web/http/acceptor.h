/* SPDX-License-Identifier: Apache-2.0
 *
 * acceptor - the thread that accepts connections and hands them on.
 *
 * libmicrohttpd could accept by itself, but can only be told to stop by a call that races with its
 * own threads (MHD_quiesce_daemon of 0.9.75 aborts the process when it loses). So the listening
 * socket is ours: stopping means that whoever is in the backlog is still taken, and nobody after.
 *
 * Start and stop belong to one thread; `take` is called by the acceptor's own.
 */
#pragma once

#include <sys/socket.h>

#include "artemis-core/base/error.h"

struct acceptor;

/* Gets the socket of a new connection, non-blocking, to keep. */
typedef void acceptor_take(void *context, int socket, const struct sockaddr *peer, socklen_t size);

/* Takes over `listener`, a non-blocking listening socket, on success. ERR_NO_MEMORY, ERR_SYSTEM. */
MUST_USE enum error acceptor_start(int listener, acceptor_take *take, void *context,
                                   struct acceptor **out);
/* Takes what is in the backlog, closes the listener, and ends the thread. Takes NULL. */
void acceptor_stop(struct acceptor *acceptor);
