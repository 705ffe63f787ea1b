/* SPDX-License-Identifier: Apache-2.0
 *
 * member_node - real nodes that a membership provider brings together.
 *
 * Node i has the id "node<i>" and listens for its peers at 127.0.0.(i + 1), so that nodes can have
 * the same port and one DNS name. Node numbers begin with 1. Every error fails the test.
 */
#pragma once

#include "tests/support/client/calls.h"
#include "tests/support/temp_folder.h"

enum { MEMBER_NODES_MAX = 7, MEMBER_SETTINGS_MAX = 16 };

struct member_node {
    struct server_process process;
    struct http *http;     /* NULL: it does not run */
    char peer_address[32]; /* 127.0.0.2:PORT */
};

/* Node i is nodes[i]. `settings` are "section.key=value" and end with NULL. Returns when the node
 * listens. */
void member_node_start(struct member_node nodes[MEMBER_NODES_MAX], int number, uint16_t peer_port,
                       const char *const settings[]);
/* The same, with a file of settings. */
void member_node_start_with(struct member_node nodes[MEMBER_NODES_MAX], int number,
                            uint16_t peer_port, const char *file, const char *const settings[]);
void member_node_stop(struct member_node *node); /* by SIGTERM; nothing if it does not run */
void member_node_kill(struct member_node *node);
void member_node_stop_all(struct member_node nodes[MEMBER_NODES_MAX]);

/* TLS between nodes. Makes an authority in the folder, and two certificates of it: "member" with
 * that name, and "outsider" with other names. */
void member_node_make_certificates(const struct temp_folder *folder, const char *name);
/* Appends cluster.tls.ca, cluster.tls.cert and cluster.tls.key; valid until the next call. */
void member_node_add_certificate(const char *settings[MEMBER_SETTINGS_MAX],
                                 const struct temp_folder *folder, const char *certificate);

/* Replaces the file of settings of a node that runs, and reloads it. */
void member_node_reload(struct member_node *node, const struct temp_folder *folder,
                        const char *name, const char *text);

void member_node_wait_ready(struct member_node *node);
/* Waits until every node that runs has all others that run as its peers, up and ready, and lists no
 * other. */
void member_node_wait_mesh(struct member_node nodes[MEMBER_NODES_MAX]);
/* Waits until the peers of a node that are up and ready are exactly these, and no other is listed.
 * `peers` are node ids with blanks between them, sorted: "node1 node3". */
void member_node_wait_peers(struct member_node *node, const char *peers);
/* Waits until every node that runs shows this number of instances of the service. */
void member_node_wait_count(struct member_node nodes[MEMBER_NODES_MAX], const char *service_id,
                            int count);
/* Waits until the first provider of the node has this state, like "failing". Returns its problem,
 * "" without one; valid until the next call of the client. */
const char *member_node_wait_provider(struct member_node *node, const char *state);
