/* SPDX-License-Identifier: Apache-2.0
 *
 * routes - the table of routes: path, methods, handler, and the description in the documentation.
 *
 * The paths of the table have no suffix .json. The Java clients' prefixes /artemis/api and
 * /artemis/websocket are aliases of /api and /ws; http://HOST before a path is ignored. Constant
 * data; any thread may read it.
 */
#pragma once

#include "artemis-web/http/request.h"

enum route_methods { METHOD_GET = 1, METHOD_POST = 2, METHOD_GET_POST = 3 }; /* GET includes HEAD */

enum route_class {
    /* Calls of clients; the rate limit applies. */
    ROUTE_REGISTRY,  /* served from the start of the process */
    ROUTE_WRITE,     /* the same; not executed for a client that is gone (exchange.c) */
    ROUTE_DISCOVERY, /* served once the node is ready */
    ROUTE_PEER,      /* calls of peers: need the headers of a peer of this cluster; no rate limit */
    ROUTE_OPERATOR,  /* cluster, status, health, metrics: always served */
};

struct route {
    const char *path;
    const char *name; /* in metrics */
    enum route_methods methods;
    enum route_class class;
    enum auth_role role; /* that a token needs, where tokens are set */
    route_handler *handle;
    const char *description;
};

enum { ROUTES_MAX = 64, ROUTE_PATH_BYTES = 64 };

extern const struct route routes[]; /* route_count rows, sorted by path */
extern const size_t route_count;

/* Returns true for the paths at which a WebSocket is opened. */
bool route_is_websocket(const struct route *route);

/* Returns the route of a request's path, or NULL. Sets *java when the path has the prefix of the
 * Java clients. */
const struct route *route_find(const char *path, bool *java);
/* The index of a route in the table; route_count for NULL. */
size_t route_index(const struct route *route);
/* The names of all routes, in the order of the table; constant after the first call, which the main
 * thread makes. */
const char *const *route_names(void);
