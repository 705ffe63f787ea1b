/* SPDX-License-Identifier: Apache-2.0
 *
 * The nodes of the cluster: for clients, the nodes they can use; for operators, the state of each
 * node and of the replication with it.
 */
#include "artemis-web/api/handlers.h"

#include <string.h>

#include "artemis-web/api/status_writer.h"

/* --- identity --------------------------------------------------------------------------------- */

struct identity {
    const char *node_id;
    const char *url;
    const char *region;
    const char *zone;
};

static struct identity own_identity(const struct engine *engine)
{
    const struct config *config = engine->config;
    return (struct identity){config->server.node_id, engine->url, config->server.region,
                             config->server.zone};
}

static struct identity identity_of(const struct peer_status *peer)
{
    const char *url = peer->client_url[0] ? peer->client_url : peer->url;
    return (struct identity){peer->node_id, url, peer->region, peer->zone};
}

/* Writes the members that identify a node. */
static void write_identity(struct json_writer *w, struct identity identity)
{
    named_string(w, "node_id", identity.node_id);
    named_string(w, "url", identity.url);
    jw_name(w, "zone");
    jw_open(w, '{');
    named_string(w, "region_id", identity.region);
    named_string(w, "zone_id", identity.zone);
    jw_close(w, '}');
}

/* The status on the wire: clients and other nodes use a node that is "up". */
static const char *own_status(const struct engine *engine)
{
    switch (engine_state(engine)) {
    case NODE_STARTING:
        return "starting";
    case NODE_READY:
        return "up";
    case NODE_DRAINING:
        break;
    }
    return "down";
}

static bool is_usable(const struct peer_status *peer)
{
    return peer->view.health == PEER_UP && peer->view.is_ready;
}

static const char *status_of(const struct peer_status *peer)
{
    if (peer->view.health == PEER_NEW)
        return "unknown";
    if (peer->view.health != PEER_UP)
        return "down";
    return peer->view.is_ready ? "up" : "starting";
}

/* --- for clients ------------------------------------------------------------------------------ */

static void write_node(struct json_writer *w, struct identity identity, const char *status)
{
    jw_open(w, '{');
    write_identity(w, identity);
    named_string(w, "status", status);
    jw_close(w, '}');
}

static enum error write_nodes(struct request *request, struct response *response, bool only_up,
                              char message[MESSAGE_BYTES])
{
    struct engine *engine = request->engine;
    struct peer_status peers[MEMBERS_MAX];
    enum error error = status_read_casing(request, message);
    if (error)
        return error;
    size_t count = engine_peers(engine, peers);
    struct json_writer w = status_begin(request, response);
    jw_name(&w, "nodes");
    jw_open(&w, '[');
    if (!only_up || engine_state(engine) == NODE_READY)
        write_node(&w, own_identity(engine), own_status(engine));
    for (size_t i = 0; i < count; i++)
        if (!only_up || is_usable(&peers[i]))
            write_node(&w, identity_of(&peers[i]), status_of(&peers[i]));
    jw_close(&w, ']');
    jw_close(&w, '}');
    return ERR_NONE;
}

enum error handle_cluster_nodes(struct request *request, struct response *response,
                                char message[MESSAGE_BYTES])
{
    return write_nodes(request, response, false, message);
}

enum error handle_up_nodes(struct request *request, struct response *response,
                           char message[MESSAGE_BYTES])
{
    return write_nodes(request, response, true, message);
}

/* --- for operators ---------------------------------------------------------------------------- */

static void write_abilities(struct json_writer *w, bool up)
{
    named_bool(w, "can_service_registry", up);
    named_bool(w, "can_service_discovery", up);
    named_bool(w, "allow_registry_from_other_zone", true);
    named_bool(w, "allow_discovery_from_other_zone", true);
}

static void write_storage(struct json_writer *w, struct storage *storage, struct moment now)
{
    struct storage_status status;
    storage_status(storage, &status);
    jw_name(w, "storage");
    jw_open(w, '{');
    named_string(w, "state", status.up ? "up" : "failing");
    if (!status.up)
        named_string(w, "problem", status.problem);
    if (status.committed_ms)
        named_u64(w, "committed_ms_ago",
                  now.mono_ms > status.committed_ms ? now.mono_ms - status.committed_ms : 0);
    named_u64(w, "unstored", status.unstored);
    named_u64(w, "bytes", status.bytes);
    named_u64(w, "loaded_instances", status.loaded_instances);
    named_u64(w, "files_set_aside", status.files_set_aside);
    jw_close(w, '}');
}

void status_write_this_node(struct json_writer *w, struct request *request)
{
    struct engine *engine = request->engine;
    struct registry_stats stats;
    registry_stats(engine->registry, &stats);
    jw_open(w, '{');
    jw_name(w, "node");
    jw_open(w, '{');
    write_identity(w, own_identity(engine));
    jw_close(w, '}');
    named_string(w, "status", own_status(engine));
    named_string(w, "state", engine_state_word(engine_state(engine)));
    write_abilities(w, engine_state(engine) == NODE_READY);
    named_string(w, "cluster_id", engine->config->cluster.cluster_id);
    named_string(w, "artemis_version", ARTEMIS_VERSION);
    named_u64(w, "uptime_secs", (request->now.mono_ms - engine->started.mono_ms) / 1000);
    named_u64(w, "instances", stats.instances);
    named_u64(w, "services", stats.services);
    named_u64(w, "version", stats.revision);
    bool is_guarded = stats.node_guard.state == GUARD_ENGAGED || stats.engaged_services > 0;
    named_string(w, "guard", is_guarded ? "engaged" : "off");
    named_bool(w, "blocked", engine_is_blocked(engine));
    if (engine->storage)
        write_storage(w, engine->storage, request->now);
    jw_close(w, '}');
}

static void write_peer_node(struct json_writer *w, const struct peer_status *peer)
{
    jw_open(w, '{');
    jw_name(w, "node");
    jw_open(w, '{');
    write_identity(w, identity_of(peer));
    jw_close(w, '}');
    named_string(w, "status", status_of(peer));
    write_abilities(w, is_usable(peer));
    jw_close(w, '}');
}

static void write_age(struct json_writer *w, const char *name, uint64_t then_ms, uint64_t now_ms)
{
    if (then_ms)
        named_u64(w, name, now_ms > then_ms ? now_ms - then_ms : 0);
}

/* The state of the replication with a peer, as seen by this node. */
static void write_peer(struct json_writer *w, const struct peer_status *peer, struct moment now)
{
    const struct peer_view *view = &peer->view;
    jw_open(w, '{');
    named_string(w, "node_id", peer->node_id);
    named_string(w, "url", peer->url);
    named_string(w, "health", peer_health_word(view));
    named_bool(w, "ready", view->is_ready);
    named_bool(w, "plain", view->is_legacy);
    named_string(w, "region", peer->region);
    named_bool(w, "remote", view->is_remote);
    named_u64(w, "lag_ms", view->has_unacknowledged ? view->oldest_ms : view->last_lag_ms);
    named_u64(w, "backlog", view->backlog);
    named_u64(w, "failures", view->failures);
    write_age(w, "heard_ms_ago", view->last_response_ms, now.mono_ms);
    if (view->compared_ms) {
        write_age(w, "compared_ms_ago", view->compared_ms, now.mono_ms);
        named_u64(w, "digests_differing", view->differing);
    }
    if (peer->last_error[0]) {
        named_string(w, "last_error", peer->last_error);
        jw_name(w, "last_error_time");
        jw_rfc3339(w, peer->last_error_wall_ms);
    }
    jw_close(w, '}');
}

static void write_provider(struct json_writer *w, const struct provider_status *provider)
{
    const char *state = provider->has_published ? "up" : "starting";
    jw_open(w, '{');
    named_string(w, "name", provider->name);
    named_string(w, "state", provider->problem[0] ? "failing" : state);
    named_u64(w, "members", provider->members);
    named_u64(w, "failures", provider->failures);
    if (provider->problem[0]) {
        named_string(w, "problem", provider->problem);
        jw_name(w, "failing_since");
        jw_rfc3339(w, provider->failing_since_wall_ms);
    }
    if (provider->warning[0])
        named_string(w, "warning", provider->warning);
    jw_close(w, '}');
}

/* Where the list of members comes from. */
static void write_membership(struct json_writer *w, struct engine *engine)
{
    struct provider_status providers[PROVIDERS_MAX];
    size_t count = membership_status(&engine->membership, providers);
    jw_name(w, "membership");
    jw_open(w, '{');
    named_u64(w, "members", cluster_member_count(&engine->cluster));
    jw_name(w, "providers");
    jw_open(w, '[');
    for (size_t i = 0; i < count; i++)
        write_provider(w, &providers[i]);
    jw_close(w, ']');
    jw_close(w, '}');
}

/* The nodes that operators have blocked. */
static void write_blocked(struct json_writer *w, struct engine *engine)
{
    struct block_list list;
    blocks_list(&engine->blocks, &list);
    jw_name(w, "blocked");
    jw_open(w, '[');
    for (size_t i = 0; i < list.count; i++) {
        const struct block *block = &list.items[i];
        if (!block->is_blocked)
            continue;
        jw_open(w, '{');
        named_string(w, "node_id", block->node_id);
        named_string(w, "address", block->address);
        named_string(w, "by", block->by);
        named_string(w, "at", block->origin);
        jw_name(w, "since");
        jw_rfc3339(w, block->clock_ms);
        named_string(w, "reason", block->reason);
        jw_close(w, '}');
    }
    jw_close(w, ']');
}

static void write_size(struct json_writer *w, struct engine *engine)
{
    struct cluster_size size = engine_cluster_size(engine);
    named_u64(w, "nodes_up", size.nodes_up);
    if (size.nodes_expected)
        named_u64(w, "expected_nodes", size.nodes_expected);
    named_bool(w, "under_replicated", cluster_size_is_low(size));
}

enum error handle_status_cluster(struct request *request, struct response *response,
                                 char message[MESSAGE_BYTES])
{
    struct peer_status peers[MEMBERS_MAX];
    enum error error = status_read_casing(request, message);
    if (error)
        return error;
    size_t count = engine_peers(request->engine, peers);
    struct json_writer w = status_begin(request, response);
    named_u64(&w, "node_count", count + 1);
    jw_name(&w, "nodes_status");
    jw_open(&w, '[');
    status_write_this_node(&w, request);
    for (size_t i = 0; i < count; i++)
        write_peer_node(&w, &peers[i]);
    jw_close(&w, ']');
    jw_name(&w, "peers");
    jw_open(&w, '[');
    for (size_t i = 0; i < count; i++)
        write_peer(&w, &peers[i], request->now);
    jw_close(&w, ']');
    write_size(&w, request->engine);
    write_blocked(&w, request->engine);
    if (request->engine->replication)
        write_membership(&w, request->engine);
    jw_close(&w, '}');
    return ERR_NONE;
}

/* --- events ----------------------------------------------------------------------------------- */

/* The node id of the member of an event; of one that has joined, that of the peer. */
static const char *node_id_of(const struct peer_status *peers, size_t count,
                              const struct cluster_log_event *event)
{
    if (event->node_id[0] || event->kind != CLUSTER_LOG_JOINED)
        return event->node_id;
    for (size_t i = 0; i < count; i++)
        if (strcmp(peers[i].url, event->url) == 0)
            return peers[i].node_id;
    return "";
}

static void write_event(struct json_writer *w, const struct cluster_log_event *event,
                        const char *node_id)
{
    jw_open(w, '{');
    named_u64(w, "number", event->number);
    jw_name(w, "time");
    jw_rfc3339(w, event->wall_ms);
    named_string(w, "kind", cluster_log_word(event->kind));
    if (event->url[0])
        named_string(w, "url", event->url);
    if (node_id[0])
        named_string(w, "node_id", node_id);
    if (event->reason[0])
        named_string(w, "reason", event->reason);
    named_u64(w, "members", event->members);
    jw_close(w, '}');
}

enum error handle_cluster_events(struct request *request, struct response *response,
                                 char message[MESSAGE_BYTES])
{
    struct peer_status peers[MEMBERS_MAX];
    struct cluster_log_event event = {0};
    (void)message;
    size_t count = engine_peers(request->engine, peers);
    struct json_writer w = status_begin(request, response);
    jw_name(&w, "events");
    jw_open(&w, '[');
    while (event_log_next(&request->engine->events, event.number, &event))
        write_event(&w, &event, node_id_of(peers, count, &event));
    jw_close(&w, ']');
    jw_close(&w, '}');
    return ERR_NONE;
}
