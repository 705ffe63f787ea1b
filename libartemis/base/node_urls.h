/* SPDX-License-Identifier: Apache-2.0
 *
 * node_urls - the addresses of the servers: those of the options, and those of the nodes that the
 * cluster names.
 *
 * A list of nodes is used only if it has the server that sent it, under the URL with which the
 * client called that server. So behind a proxy or a load balancer, where the client may not reach
 * the addresses of the nodes, the client uses only the servers of the options. A server with
 * https:// cannot name one with http://.
 *
 * A server is known by its number, which stays as long as anything uses it. Pure.
 */
#pragma once

#include "libartemis/base/servers.h"

#include "artemis-core/base/error.h"

enum { SERVER_NODES_MAX = 64, SERVER_URL_BYTES = 320 };

/* The nodes of a cluster, as one of them names them. The URLs are as url_read writes them. */
struct server_nodes {
    size_t count;
    struct {
        char url[SERVER_URL_BYTES];
        bool is_loopback;
        bool is_up; /* or it starts */
    } items[SERVER_NODES_MAX];
};

struct node_urls {
    size_t count; /* numbers in use or used before */
    size_t option_count;
    struct {
        char *url;        /* a prefix of paths like /api/... and /ws */
        bool is_loopback; /* the host is this machine: no proxy is used */
        enum server_use use;
    } each[SERVER_NUMBERS_MAX];
};

/* Takes over the URL. At most SERVERS_MAX, before the first update. */
void node_urls_add_option(struct node_urls *list, char *url, bool is_loopback);

/* Adds the named nodes that are up, and keeps those that it has already. Servers that are neither
 * named nor in the options become SERVER_GONE. The number of such a server is given to another by a
 * later update, unless `is_busy` is set for it. A node for which there is no number or no memory is
 * left out. False: the list of nodes is not used, and nothing has changed. *added is the number of
 * nodes that are new. */
bool node_urls_update(struct node_urls *list, size_t source, const struct server_nodes *nodes,
                      const bool is_busy[SERVER_NUMBERS_MAX], size_t *added);

void node_urls_free(struct node_urls *list);
