/* SPDX-License-Identifier: Apache-2.0
 *
 * node_refresh - decides when a server is asked for the nodes of its cluster.
 *
 * The server that responded last is asked: at once where it is another than before, and then once
 * in each interval. A request without a response is repeated after a second. The server of a
 * publication, which may be another each time, is asked only if no other is known to respond.
 *
 * Pure. Times are monotonic milliseconds.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NODES_NEVER UINT64_MAX

struct node_refresh {
    uint64_t interval_ms; /* NODES_NEVER: no server is asked */
    bool has_server;
    size_t server;  /* the one that responded last */
    bool is_silent; /* and has not responded when it was asked for the nodes since */
    bool is_asking;
    size_t asked;
    uint64_t due_ms;
};

/* A server has responded to a request of the registry, or opened a push connection. */
void node_refresh_on_response(struct node_refresh *refresh, size_t server);
/* A server has responded to a publication. */
void node_refresh_on_publication(struct node_refresh *refresh, size_t server);
/* True: ask *server now, and call node_refresh_end later. False: nothing is due before *at_ms. */
bool node_refresh_begin(struct node_refresh *refresh, uint64_t now_ms, size_t *server,
                        uint64_t *at_ms);
/* The request has ended, with or without a response. */
void node_refresh_end(struct node_refresh *refresh, bool has_response, uint64_t now_ms);
