/* SPDX-License-Identifier: Apache-2.0
 *
 * web_internal - the structs shared by the files of the HTTP server. Not for other modules.
 */
#pragma once

#include <sys/queue.h>

#include "artemis-web/connections/connections.h"
#include "artemis-web/connections/framing.h"
#include "artemis-web/http/request.h"
#include "artemis-web/metrics/metrics.h"
#include "artemis-web/web.h"

struct acceptor;
struct MHD_UpgradeResponseHandle;
struct web_thread;
struct web_threads;

/* A connection and its current request, allocated for the life of the connection. libmicrohttpd
 * hands it to the callbacks as the context of both. */
struct session {
    struct web *web;
    struct web_thread *thread;
    struct MHD_UpgradeResponseHandle *upgraded; /* NULL: not a WebSocket */
    struct connection connection;
    struct framing framing; /* of the header that is being parsed */
    struct request request;
    TAILQ_ENTRY(session) delayed_link; /* while it is suspended by web_thread_delay */
    uint64_t delayed_until_ms;
};

struct web {
    struct engine *engine; /* borrowed */
    struct push *push;
    struct web_threads *threads;
    struct acceptor *acceptor;
    char address[WEB_ADDRESS_BYTES];
    struct connections connections;
    struct metrics metrics;
    _Atomic uint64_t buffered_bytes; /* of bodies being received, all connections together */
    _Atomic uint64_t served_ms;      /* when a client last got a response; for draining */
};
