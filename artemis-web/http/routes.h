/* SPDX-License-Identifier: Apache-2.0
 *
 * routes - what a route is: path, methods, role, handler, and the description in the documentation;
 * and how a path finds its route. The table itself is in api/route_table.c.
 *
 * The paths of a table have no suffix .json. The Java clients' prefixes /artemis/api and
 * /artemis/websocket are aliases of /api and /ws; http://HOST before a path is ignored. Constant
 * data; any thread may read it.
 */
#pragma once

#include "artemis-web/http/request.h"

enum route_methods { METHOD_GET = 1, METHOD_POST = 2, METHOD_GET_POST = 3 }; /* GET includes HEAD */

enum route_class {
    /* Calls of clients; each kind has a rate limit (enum call_kind). */
    ROUTE_REGISTRY,  /* heartbeats: served from the start of the process */
    ROUTE_WRITE,     /* registrations and unregistrations: served from the start of the process, and
                        not executed for a client that is gone (exchange.c) */
    ROUTE_DISCOVERY, /* discovery and subscriptions: served once the node is ready */
    ROUTE_EVENT,     /* events that clients publish: served once the node is ready */
    ROUTE_PEER,      /* calls of peers: need the headers of a peer of this cluster; no rate limit */
    ROUTE_OPERATOR,  /* cluster, status, metrics: always served */
    ROUTE_NODE,      /* the state of this node: always served, also at the listener of peers */
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

struct route_table {
    const struct route *routes; /* sorted by path; ROUTES_MAX at most */
    size_t count;
};

/* Returns true for the paths at which a WebSocket is opened. */
bool route_is_websocket(const struct route *route);

/* Returns the route of a request's path, or NULL. Sets *java when the path has the prefix of the
 * Java clients. */
const struct route *route_find(const struct route_table *table, const char *path, bool *java);
/* The index of a route in its table; the number of routes for NULL. */
size_t route_index(const struct route_table *table, const struct route *route);
/* The names of all routes, in the order of the table; constant after the first call, which the main
 * thread makes. A process has one table. */
const char *const *route_names(const struct route_table *table);
