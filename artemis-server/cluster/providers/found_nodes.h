/* SPDX-License-Identifier: Apache-2.0
 *
 * found_nodes - the other nodes that a provider has read from a service where nodes register.
 *
 * A plan has an array of them. A node that is missing may stay for a time, so that it can register
 * again.
 *
 * Pure. Times are monotonic milliseconds.
 */
#pragma once

#include "artemis-core/config/config.h"
#include "artemis-server/cluster/topology.h"

struct found_node {
    char id[CONFIG_TEXT_BYTES]; /* "": the provider knows nodes by their urls */
    char url[MEMBER_URL_BYTES]; /* member_address_is_url */
    bool is_seen;               /* in the last list */
    uint64_t keep_until_ms;     /* it is missing; 0: it is there, or not missed yet */
};

/* The earliest end of the time of a missing node; UINT64_MAX: none is missing. */
uint64_t found_nodes_due_ms(const struct found_node *nodes, size_t count);
/* The place of a node whose time has ended; `count`: there is none. */
size_t found_nodes_expired(const struct found_node *nodes, size_t count, uint64_t now_ms);
/* Writes the nodes, at most MEMBERS_MAX, as members. With cluster.tls their certificates must have
 * cluster.tls.member_name. */
void found_nodes_write(const struct found_node *nodes, size_t count, const struct config *config,
                       struct member_list *out);
