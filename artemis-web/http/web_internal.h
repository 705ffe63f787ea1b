/* SPDX-License-Identifier: Apache-2.0
 *
 * web_internal - the structs shared by the files of the HTTP server. Not for other modules.
 */
#pragma once

#include <stddef.h>
#include <sys/queue.h>

#include "artemis-web/connections/connections.h"
#include "artemis-web/connections/framing.h"
#include "artemis-web/http/request.h"
#include "artemis-web/metrics/metrics.h"
#include "artemis-web/tls/tls_session.h"
#include "artemis-web/web.h"

struct acceptor;
struct credential_store;
struct MHD_UpgradeResponseHandle;

/* A socket on which the server accepts connections. Constant while connections are served. */
struct web_listener {
    struct web *web;
    enum config_listener kind;
    bool serves_clients;       /* the routes of clients */
    bool serves_peers;         /* the routes of replication */
    struct acceptor *acceptor; /* NULL: it does not listen */
    struct web_threads *threads;
    struct tls_endpoint tls;         /* without credentials: plain */
    char address[WEB_ADDRESS_BYTES]; /* that is bound; "": none */
};

/* Where a connection comes from that a listener has accepted. */
static inline struct connection_origin web_origin(const struct web_listener *listener,
                                                  const struct sockaddr *address)
{
    return (struct connection_origin){client_address_of(address),
                                      listener->tls.credentials != NULL};
}

/* A connection and its current request, allocated for the life of the connection. libmicrohttpd
 * hands it to the callbacks as the context of both. `connection` is its entry in the table of
 * connections. */
struct http_connection {
    struct web_thread *thread;
    const struct web_listener *listener;
    struct MHD_UpgradeResponseHandle *upgraded; /* NULL: not a WebSocket */
    struct connection connection;
    struct auth_memory *auth; /* NULL: no token was sent yet */
    struct request request;
    struct cached_response *sent; /* a reference, while the library sends a kept form of it */
    TAILQ_ENTRY(http_connection)
    delayed_link; /* while web_thread_delay or _await_input suspends it */
    uint64_t delayed_until_ms;
    TAILQ_ENTRY(http_connection)
    ending_link;             /* in the list of web_thread_end_later; its lock guards both */
    bool is_ending;          /* in that list */
    struct tls_session *tls; /* NULL: a plain connection */
};

static inline struct http_connection *http_connection_of_request(struct request *request)
{
    return (struct http_connection *)((char *)request - offsetof(struct http_connection, request));
}

struct web {
    struct engine *engine; /* borrowed */
    const struct route_table *routes;
    struct push *push;
    struct web_threads *threads;
    struct web_threads *tls_threads; /* NULL: no listener has TLS */
    struct web_listener listeners[CONFIG_LISTENERS];
    struct credential_store *credentials; /* of server.tls_listen_addr; NULL: none */
    uint64_t credentials_checked_ms;
    uint64_t verified_changes; /* after which clients were verified again; see count_changes */
    struct connections connections;
    struct metrics metrics;
    struct tls_counters tls_counters;
    _Atomic uint64_t buffered_bytes; /* of bodies being received, all connections together */
    _Atomic uint64_t served_ms;      /* when a client last got a response; for draining */
};
