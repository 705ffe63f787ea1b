/* SPDX-License-Identifier: Apache-2.0
 *
 * handlers - one function a route: decode, call the engine, encode. The table in routes.c names
 * them; what each does is said there in a sentence, and in docs/API.md.
 */
#pragma once

#include "artemis-web/http/routes.h"

/* handlers_registry.c */
/* Does the work for one item of a batch. What fails for the item is noted in the batch; an error
 * that is returned ends the request. */
typedef enum error apply_item(struct request *request, struct batch *batch, size_t index);
/* A route whose body is a list of items, and whose answer names those that failed. */
MUST_USE enum error handle_batch(struct request *request, struct response *reply,
                                 char message[MESSAGE_BYTES], enum batch_kind kind,
                                 apply_item *apply);
route_handler handle_register;
route_handler handle_heartbeat;
route_handler handle_unregister;

/* handlers_discovery.c */
route_handler handle_service;
route_handler handle_services;
route_handler handle_services_delta;
route_handler handle_lookup;

/* handlers_websocket.c */
route_handler handle_websocket;

/* handlers_replication.c, handlers_peer_queries.c */
route_handler handle_peer_register;
route_handler handle_peer_heartbeat;
route_handler handle_peer_unregister;
route_handler handle_peer_digest;
route_handler handle_peer_records;
route_handler handle_peer_lease_check;
route_handler handle_peer_services;
/* Whether the headers are those of a peer of this cluster: ERR_NOT_A_PEER, ERR_CLUSTER_MISMATCH. */
MUST_USE enum error peer_check(const struct request *request);
/* The message for what it said. */
void peer_explain(const struct request *request, enum error error, char message[MESSAGE_BYTES]);

/* handlers_status.c */
route_handler handle_cluster_nodes;
route_handler handle_up_nodes;
route_handler handle_status_node;
route_handler handle_status_cluster;
route_handler handle_status_leases;
route_handler handle_release_guard;
route_handler handle_status_config;
route_handler handle_status_deployment;

/* handlers_health.c */
route_handler handle_health;
route_handler handle_ready;
route_handler handle_metrics;
