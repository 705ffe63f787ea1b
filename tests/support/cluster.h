/* SPDX-License-Identifier: Apache-2.0
 *
 * cluster - a few real servers that are each other's peers, on ports of their own.
 *
 * Nodes are numbered from 0; node i is named "node<i + 1>" and has a client, http[i], while it
 * runs. Whatever goes wrong fails the test. End mains as server_process.h says.
 */
#pragma once

#include "tests/support/calls.h"

enum { CLUSTER_NODES_MAX = 5, CLUSTER_SETTINGS_MAX = 16 };

struct cluster {
    int count;
    uint16_t ports[CLUSTER_NODES_MAX]; /* free ones, also of nodes that do not run */
    struct server_process nodes[CLUSTER_NODES_MAX];
    struct http *http[CLUSTER_NODES_MAX];
    char peers[512]; /* the setting, for all alike: each finds itself among them */
    const char *settings[CLUSTER_SETTINGS_MAX + 1]; /* "section.key=value", for all alike */
};

/* Chooses ports, and starts nothing. `settings` ended by NULL, or NULL; kept by reference. */
void cluster_plan(struct cluster *cluster, int count, const char *const settings[]);
/* Starts one, with a setting of its own or NULL; comes back when it listens. */
void cluster_start_node(struct cluster *cluster, int node, const char *setting);
void cluster_wait_ready(struct cluster *cluster, int node);
/* All of them, until each is ready and sees all others up. */
void cluster_start(struct cluster *cluster, int count, const char *const settings[]);
void cluster_stop_node(struct cluster *cluster, int node); /* TERM */
void cluster_kill_node(struct cluster *cluster, int node);
void cluster_stop(struct cluster *cluster); /* all that run */

/* Waits until each node that runs shows so many instances of the service. */
void cluster_wait_count(struct cluster *cluster, const char *service_id, int count);
/* Waits until node's status of the peer at that port has this health, like "up". */
void cluster_wait_health(struct cluster *cluster, int node, uint16_t port, const char *health);
/* Waits until the digests of all nodes that run are the same. */
void cluster_wait_agreement(struct cluster *cluster);

/* The value of a member of that peer in the node's status; borrowed from the answer. */
json_t *cluster_peer_status(struct cluster *cluster, int node, uint16_t port, const char *member);

/* As a peer calls: with its headers. */
struct http_answer *cluster_peer_call(struct http *http, const char *method, const char *path,
                                      const char *body);
