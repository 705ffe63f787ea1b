/* SPDX-License-Identifier: Apache-2.0
 *
 * routes - the table of everything that can be asked for: path, methods, handler, and a sentence
 * that the documentation is printed from.
 *
 * A path in the table is canonical: below /api, without the suffix .json. The Java clients'
 * prefixes /artemis/api and /artemis/websocket are aliases for /api and /ws, and http://HOST
 * before a path counts for nothing. Constant data; any thread.
 */
#pragma once

#include "artemis-web/http/request.h"

enum route_methods { METHOD_GET = 1, METHOD_POST = 2, METHOD_GET_POST = 3 }; /* GET is HEAD, too */

enum route_class {
    /* Calls of clients, which count against the rate limit. */
    ROUTE_REGISTRY,  /* taken from the first moment on */
    ROUTE_DISCOVERY, /* only by a node that is ready */
    ROUTE_PEER,      /* between nodes: needs the headers of a peer of this cluster; not limited */
    ROUTE_OPERATOR,  /* cluster, status, health, metrics: always answered */
};

/* Fills the reply, or returns an error with *message ("" for the error's own sentence). */
typedef enum error route_handler(struct request *request, struct response *reply,
                                 char message[MESSAGE_BYTES]);

struct route {
    const char *path;
    const char *name; /* in metrics */
    enum route_methods methods;
    enum route_class class;
    route_handler *handle;
    const char *sentence;
};

enum { ROUTE_COUNT = 33, ROUTE_PATH_BYTES = 64 };

extern const struct route routes[ROUTE_COUNT]; /* sorted by path */

/* The route of a path as it was asked for, or NULL. *java tells the Java clients' prefix. */
const struct route *route_find(const char *path, bool *java);
