/* SPDX-License-Identifier: Apache-2.0
 *
 * handlers - one function per route: it decodes the request, calls the engine and encodes the
 * response. The table in route_table.c assigns them to paths and describes each; docs/API.md is
 * generated from it. Handlers run on the web thread of the connection.
 */
#pragma once

#include "artemis-web/http/request.h"
#include "artemis-web/registry_calls.h"

/* handlers_registry.c */
/* Handles a request whose body is a list of items; the response lists the items that failed. */
MUST_USE enum error handle_batch(struct request *request, struct response *response,
                                 char message[MESSAGE_BYTES], enum batch_kind kind,
                                 batch_call_apply *apply, uint64_t transit_ms);
route_handler handle_register;
route_handler handle_heartbeat;
route_handler handle_unregister;

/* handlers_discovery.c */
route_handler handle_service;
route_handler handle_services;
route_handler handle_services_delta;
route_handler handle_lookup;

/* handlers_admin.c */
route_handler handle_reload;

/* handlers_websocket.c */
route_handler handle_websocket;
route_handler handle_websocket_heartbeat;
route_handler handle_websocket_changes;
route_handler handle_websocket_all_changes;

/* handlers_peer_updates.c, handlers_peer_queries.c, handlers_snapshot.c, handlers_restore.c */
route_handler handle_peer_register;
route_handler handle_peer_heartbeat;
route_handler handle_peer_unregister;
route_handler handle_peer_digest;
route_handler handle_peer_records;
route_handler handle_peer_lease_check;
route_handler handle_peer_release_guard;
route_handler handle_peer_services;
route_handler handle_peer_restore;

/* handlers_blocks.c */
route_handler handle_block;
route_handler handle_unblock;
route_handler handle_peer_blocks;

/* ../events/handlers_events.c */
route_handler handle_publish_event;
route_handler handle_peer_events;

/* handlers_status.c */
route_handler handle_cluster_events;
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
