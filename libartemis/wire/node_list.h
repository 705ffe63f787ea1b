/* SPDX-License-Identifier: Apache-2.0
 *
 * node_list - the response of a server that is asked for the nodes of its cluster.
 *
 * Pure.
 */
#pragma once

#include "libartemis/base/node_urls.h"
#include "libartemis/wire/wire.h"

#define NODE_LIST_PATH "/api/cluster/nodes"

struct node_list {
    struct wire_result result;
    struct server_nodes nodes; /* those with a valid URL, SERVER_NODES_MAX at most */
};

/* Zeroes *list, which the reader fills. Feed and end it as other readers; wire_free_result frees
 * the result. */
void node_list_start(struct wire_reader *reader, struct node_list *list);
