/* SPDX-License-Identifier: Apache-2.0
 *
 * What the engine knows of the other nodes, and passes to the replication thread about them.
 */
#include "artemis-server/engine.h"

#include <string.h>

void engine_on_peer_goodbye(struct engine *engine, const char *node_id)
{
    if (engine->replication)
        replication_thread_on_goodbye(engine->replication, node_id);
}

void engine_on_stamp_ahead(struct engine *engine)
{
    if (engine->replication)
        replication_thread_check_clocks(engine->replication);
}

size_t engine_peers(struct engine *engine, struct peer_status out[MEMBERS_MAX])
{
    return engine->replication ? replication_thread_peers(engine->replication, out) : 0;
}

static size_t peers_of(void *context, struct peer_status out[MEMBERS_MAX])
{
    return engine_peers(context, out);
}

void engine_init_cluster(struct engine *engine)
{
    const struct config *config = engine->config;
    cluster_init(&engine->cluster);
    event_log_init(&engine->events);
    cluster_set_member_name(&engine->cluster, config->cluster.tls.member_name);
    engine->provider_node =
        (struct provider_node){.peer_url = engine->peer_url, .peers = peers_of, .context = engine};
    membership_init(&engine->membership, config, &engine->provider_node);
}

/* Two addresses of one node count once. */
static bool is_counted(const struct peer_status *peers, size_t count, const char *node_id)
{
    for (size_t i = 0; i < count; i++)
        if (peers[i].view.health == PEER_UP && peers[i].view.is_ready &&
            strcmp(peers[i].node_id, node_id) == 0)
            return true;
    return false;
}

struct cluster_size engine_cluster_size(struct engine *engine)
{
    struct peer_status peers[MEMBERS_MAX];
    struct cluster_size size = {.nodes_up = engine_state(engine) == NODE_READY};
    size_t count = engine_peers(engine, peers);
    for (size_t i = 0; i < count; i++)
        size.nodes_up += peers[i].view.health == PEER_UP && peers[i].view.is_ready &&
                         !is_counted(peers, i, peers[i].node_id);
    pthread_mutex_lock(&engine->settings_lock);
    size.nodes_expected = engine->config->cluster.expected_nodes;
    pthread_mutex_unlock(&engine->settings_lock);
    return size;
}
