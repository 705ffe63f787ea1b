/* SPDX-License-Identifier: Apache-2.0
 *
 * listeners - the sockets on which the server accepts connections: plain, with TLS, and for peers.
 *
 * The main thread opens, starts and stops them. An acceptor thread for each passes its connections
 * to the web threads.
 */
#pragma once

#include "artemis-web/http/web_internal.h"

struct opened_listeners {
    int sockets[CONFIG_LISTENERS]; /* -1: none */
};

/* Binds all listeners of the settings and loads the credentials of server.tls_listen_addr. On
 * failure none is open, and *problem receives a message for the operator. ERR_INVALID_FIELD,
 * ERR_SYSTEM, ERR_NO_MEMORY. */
MUST_USE enum error listeners_open(struct web *web, struct opened_listeners *opened,
                                   char problem[WEB_PROBLEM_BYTES]);
/* Closes what listeners_open has opened, except for what listeners_start took over. */
void listeners_close(struct opened_listeners *opened);
/* Starts to accept; takes over the sockets. The web threads must run. ERR_NO_MEMORY, ERR_SYSTEM. */
MUST_USE enum error listeners_start(struct web *web, struct opened_listeners *opened);
/* Stops to accept. May be called twice. */
void listeners_stop(struct web *web);
/* The listener that other hosts use: with TLS where there is one. */
const struct web_listener *listeners_advertised(const struct web *web);
