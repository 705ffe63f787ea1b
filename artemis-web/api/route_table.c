/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/api/route_table.h"

#include <assert.h>

#include "artemis-web/api/handlers.h"

/* clang-format off */
static const struct route routes[] = {
    {"/api/admin/reload", "reload", METHOD_POST, ROUTE_OPERATOR, ROLE_ADMIN, handle_reload, "read the settings and certificates again"},
    {"/api/cluster/block", "cluster_block", METHOD_POST, ROUTE_OPERATOR, ROLE_ADMIN, handle_block, "block a node: all others refuse it and contact it no more"},
    {"/api/cluster/events", "cluster_events", METHOD_GET, ROUTE_OPERATOR, ROLE_OPERATOR, handle_cluster_events, "the recent events of the cluster: members that joined and left, with the reason"},
    {"/api/cluster/nodes", "cluster_nodes", METHOD_GET_POST, ROUTE_OPERATOR, ROLE_READ, handle_cluster_nodes, "all nodes of the cluster"},
    {"/api/cluster/unblock", "cluster_unblock", METHOD_POST, ROUTE_OPERATOR, ROLE_ADMIN, handle_unblock, "end the block of a node"},
    {"/api/cluster/up-discovery-nodes", "up_discovery_nodes", METHOD_GET_POST, ROUTE_OPERATOR, ROLE_READ, handle_up_nodes, "the nodes that answer discovery"},
    {"/api/cluster/up-registry-nodes", "up_registry_nodes", METHOD_GET_POST, ROUTE_OPERATOR, ROLE_READ, handle_up_nodes, "the nodes that accept registrations"},
    {"/api/discovery/lookup", "lookup", METHOD_GET_POST, ROUTE_DISCOVERY, ROLE_READ, handle_lookup, "several services, or one instance of a service by strategy"},
    {"/api/discovery/service", "service", METHOD_GET_POST, ROUTE_DISCOVERY, ROLE_READ, handle_service, "the instances of one service"},
    {"/api/discovery/services", "services", METHOD_GET_POST, ROUTE_DISCOVERY, ROLE_READ, handle_services, "all services with all their instances"},
    {"/api/discovery/services-delta", "services_delta", METHOD_GET_POST, ROUTE_DISCOVERY, ROLE_READ, handle_services_delta, "the changes since a version"},
    {"/api/events/publish", "publish_event", METHOD_POST, ROUTE_EVENT, ROLE_WRITE, handle_publish_event, "publish an event to the subscribers of a topic at all nodes"},
    {"/api/registry/heartbeat", "heartbeat", METHOD_POST, ROUTE_REGISTRY, ROLE_WRITE, handle_heartbeat, "renew leases"},
    {"/api/registry/register", "register", METHOD_POST, ROUTE_WRITE, ROLE_WRITE, handle_register, "register or change instances"},
    {"/api/registry/unregister", "unregister", METHOD_POST, ROUTE_WRITE, ROLE_WRITE, handle_unregister, "unregister instances"},
    {"/api/replication/cluster/blocks", "peer_blocks", METHOD_POST, ROUTE_PEER, ROLE_PEER, handle_peer_blocks, "merge the list of blocked nodes of a peer, and return that of this node"},
    {"/api/replication/registry/batch-heartbeat", "peer_batch_heartbeat", METHOD_POST, ROUTE_PEER, ROLE_PEER, handle_peer_heartbeat, "apply renewals from a peer"},
    {"/api/replication/registry/batch-register", "peer_batch_register", METHOD_POST, ROUTE_PEER, ROLE_PEER, handle_peer_register, "apply registrations from a peer"},
    {"/api/replication/registry/batch-unregister", "peer_batch_unregister", METHOD_POST, ROUTE_PEER, ROLE_PEER, handle_peer_unregister, "apply unregistrations from a peer"},
    {"/api/replication/registry/digest", "peer_digest", METHOD_GET, ROUTE_PEER, ROLE_PEER_OR_OPERATOR, handle_peer_digest, "the digests of this node's 1,024 buckets"},
    {"/api/replication/registry/events", "peer_events", METHOD_POST, ROUTE_PEER, ROLE_PEER, handle_peer_events, "deliver events of a peer to the subscribers of this node"},
    {"/api/replication/registry/heartbeat", "peer_heartbeat", METHOD_POST, ROUTE_PEER, ROLE_PEER, handle_peer_heartbeat, "apply renewals from a peer"},
    {"/api/replication/registry/lease-check", "peer_lease_check", METHOD_POST, ROUTE_PEER, ROLE_PEER, handle_peer_lease_check, "which of the given leases are active, guarded or being confirmed on this node"},
    {"/api/replication/registry/records", "peer_records", METHOD_POST, ROUTE_PEER, ROLE_PEER_OR_OPERATOR, handle_peer_records, "the keys in the given buckets, or the records of the given keys"},
    {"/api/replication/registry/register", "peer_register", METHOD_POST, ROUTE_PEER, ROLE_PEER, handle_peer_register, "apply registrations from a peer"},
    {"/api/replication/registry/release-guard", "peer_release_guard", METHOD_POST, ROUTE_PEER, ROLE_PEER, handle_peer_release_guard, "release the mass-expiry guard of one service, or of the node and all services, for a peer"},
    {"/api/replication/registry/restore", "peer_restore", METHOD_POST, ROUTE_PEER, ROLE_ADMIN, handle_peer_restore, "merge records of a snapshot file"},
    {"/api/replication/registry/services", "peer_services", METHOD_GET, ROUTE_PEER, ROLE_PEER_OR_OPERATOR, handle_peer_services, "a snapshot of all records, for a node that bootstraps"},
    {"/api/replication/registry/unregister", "peer_unregister", METHOD_POST, ROUTE_PEER, ROLE_PEER, handle_peer_unregister, "apply unregistrations from a peer"},
    {"/api/status/cluster", "status_cluster", METHOD_GET_POST, ROUTE_OPERATOR, ROLE_OPERATOR, handle_status_cluster, "all nodes with their state, and replication with each peer"},
    {"/api/status/config", "status_config", METHOD_GET_POST, ROUTE_OPERATOR, ROLE_OPERATOR, handle_status_config, "the settings in effect, and the source of each"},
    {"/api/status/deployment", "status_deployment", METHOD_GET_POST, ROUTE_OPERATOR, ROLE_OPERATOR, handle_status_deployment, "build, host and process"},
    {"/api/status/leases", "status_leases", METHOD_GET_POST, ROUTE_OPERATOR, ROLE_OPERATOR, handle_status_leases, "lease counts and guards; with service_id, each lease of that service"},
    {"/api/status/leases/release", "release_guard", METHOD_POST, ROUTE_OPERATOR, ROLE_OPERATOR, handle_release_guard, "release the mass-expiry guard of one service, or of the node and all services"},
    {"/api/status/node", "status_node", METHOD_GET_POST, ROUTE_NODE, ROLE_READ, handle_status_node, "state of this node"},
    {"/health", "health", METHOD_GET, ROUTE_NODE, ROLE_NONE, handle_health, "200 OK while the process runs"},
    {"/metrics", "metrics", METHOD_GET, ROUTE_OPERATOR, ROLE_READ, handle_metrics, "Prometheus metrics"},
    {"/ready", "ready", METHOD_GET, ROUTE_OPERATOR, ROLE_NONE, handle_ready, "200 READY while the node serves clients"},
    {"/ws", "ws", METHOD_GET, ROUTE_DISCOVERY, ROLE_READ, handle_websocket, "WebSocket: pushes changes of subscribed services"},
    {"/ws/discovery/all-instance-change", "ws_all_changes", METHOD_GET, ROUTE_DISCOVERY, ROLE_READ, handle_websocket_all_changes, "WebSocket for Java clients: pushes every change"},
    {"/ws/discovery/instance-change", "ws_changes", METHOD_GET, ROUTE_DISCOVERY, ROLE_READ, handle_websocket_changes, "WebSocket for Java clients: pushes changes of subscribed services"},
    {"/ws/registry/heartbeat", "ws_heartbeat", METHOD_GET, ROUTE_REGISTRY, ROLE_WRITE, handle_websocket_heartbeat, "WebSocket for Java clients: renews leases"},
};
/* clang-format on */

static_assert(sizeof(routes) / sizeof(routes[0]) <= ROUTES_MAX,
              "route_names has an element for each");

const struct route_table api_routes = {routes, sizeof(routes) / sizeof(routes[0])};
