/* SPDX-License-Identifier: Apache-2.0
 *
 * cluster - a few real servers that are each other's peers, on free ports.
 *
 * Where the settings have cluster.tls.cert, each node listens for its peers on a port of its own,
 * with TLS.
 *
 * Nodes are numbered from 0; node i has the id "node<i + 1>" and, while it runs, a client http[i].
 * Every error fails the test. End main as server_process.h says.
 */
#pragma once

#include "tests/support/client/calls.h"

enum { CLUSTER_NODES_MAX = 5, CLUSTER_SETTINGS_MAX = 16 };

struct cluster {
    int count;
    uint16_t ports[CLUSTER_NODES_MAX];      /* also of nodes that do not run */
    uint16_t peer_ports[CLUSTER_NODES_MAX]; /* 0: peers use the same port as clients */
    struct server_process nodes[CLUSTER_NODES_MAX];
    struct http *http[CLUSTER_NODES_MAX];
    char peers[512]; /* the setting cluster.peers, the same for all: each node is in its own list */
    const char *config; /* a file of settings, the same for all; NULL: none */
    const char *settings[CLUSTER_SETTINGS_MAX + 1]; /* "section.key=value", the same for all */
};

/* A free port of 127.0.0.1, below the ephemeral ones. */
uint16_t cluster_choose_port(void);

/* Chooses ports and starts nothing. `settings` ends with NULL or is NULL; kept by reference. */
void cluster_plan(struct cluster *cluster, int count, const char *const settings[]);
/* Starts one node, with a setting of its own or NULL; returns when it listens. */
void cluster_start_node(struct cluster *cluster, int node, const char *setting);
void cluster_wait_ready(struct cluster *cluster, int node);
/* Starts all nodes and waits until each is ready and sees the others up. */
void cluster_start(struct cluster *cluster, int count, const char *const settings[]);
void cluster_stop_node(struct cluster *cluster, int node); /* by SIGTERM */
void cluster_kill_node(struct cluster *cluster, int node);
void cluster_stop(struct cluster *cluster); /* all nodes that run */

/* Waits until each running node shows this number of instances of the service. */
void cluster_wait_count(struct cluster *cluster, const char *service_id, int count);
/* Waits until the node reports this health, like "up", for the peer at that port. */
void cluster_wait_health(struct cluster *cluster, int node, uint16_t port, const char *health);
/* Waits until the digests of all running nodes are equal. */
void cluster_wait_agreement(struct cluster *cluster);

/* A member of that peer in the node's cluster status; borrowed from the response. */
json_t *cluster_peer_status(struct cluster *cluster, int node, uint16_t port, const char *member);

/* Sends a request with the headers of a peer. */
struct http_response *cluster_peer_call(struct http *http, const char *method, const char *path,
                                        const char *body);
