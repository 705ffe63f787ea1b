/* SPDX-License-Identifier: Apache-2.0
 *
 * peer_client_connection - how the peer client connects: sockets, protocols, TLS.
 *
 * Internal to peer_client.c.
 */
#pragma once

#include <curl/curl.h>

#include "artemis-server/replication/peer_client.h"

/* Sets these options of a request, whose timeouts are its own. `options` must outlive its
 * connection. *credentials receives a reference to what the request uses of them, or NULL. False:
 * no memory. */
MUST_USE bool peer_client_connection_set(CURL *curl, const struct peer_client_options *options,
                                         struct credentials **credentials);
