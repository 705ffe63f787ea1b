/* SPDX-License-Identifier: Apache-2.0
 *
 * tls_forward - forwards between a WebSocket with TLS and the socket that the push thread uses.
 *
 * libmicrohttpd does the same for upgraded connections, but 0.9.75 has no memory left for it then:
 * it forwards four bytes at a time, each as a TLS record, and does not pass the end of a connection
 * on. A forward therefore has a pair of sockets of its own. libmicrohttpd still tries to read from
 * the connection; tls_session.c then reports that nothing has arrived. A forward passes on what it
 * has read before it reads more, so the socket buffers of both sides limit its memory.
 *
 * A forward belongs to the web thread of its connection; it is not used by other threads.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "artemis-web/tls/tls_session.h"
#include "artemis-web/tls/watch.h"

struct tls_forward;

/* Calls into the web thread of the connection; it makes the calls of this module, too. */
struct tls_forward_calls {
    /* Adds a descriptor, or changes its events. False: no memory. */
    bool (*watch)(void *context, struct watch *watch, uint32_t events);
    void (*unwatch)(void *context, struct watch *watch);
    /* The forward has ended and is freed. */
    void (*end)(void *context);
};

/* Starts to forward a connection that was upgraded to a WebSocket; *socket is for the push thread.
 * `is_watched`: the descriptor of the connection has been added before. NULL without memory or
 * descriptors. */
struct tls_forward *tls_forward_start(struct tls_session *tls, bool is_watched,
                                      const struct tls_forward_calls *calls, void *context,
                                      int *socket);
/* Ends the connection when what the push thread has sent is forwarded, or at once with `now`. The
 * push thread does not use its socket any more. */
void tls_forward_close(struct tls_forward *forward, bool now);
