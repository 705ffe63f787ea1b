/* SPDX-License-Identifier: Apache-2.0
 *
 * handlers - one function a route: decode, call the engine, encode. The table in routes.c names
 * them; what each does is said there in a sentence, and in docs/API.md.
 */
#pragma once

#include "artemis-web/routes.h"

/* handlers_registry.c */
route_handler handle_register;
route_handler handle_heartbeat;
route_handler handle_unregister;

/* handlers_discovery.c */
route_handler handle_service;
route_handler handle_services;
route_handler handle_services_delta;
route_handler handle_lookup;

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
