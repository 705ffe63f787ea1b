/* SPDX-License-Identifier: Apache-2.0
 *
 * What the engine knows of the other nodes, and passes to the replication thread about them.
 */
#include "artemis-server/engine.h"

#include <stdio.h>
#include <string.h>

#include "artemis-core/config/config_value.h"
#include "artemis-server/log.h"
#include "artemis-server/storage/block_file.h"

enum { MS_PER_SEC = 1000, CHANGE_BYTES = 1024 };

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

static void find_id(void *context, const char *url, char out[MEMBER_NAME_BYTES])
{
    struct peer_status peers[MEMBERS_MAX];
    size_t count = engine_peers(context, peers);
    out[0] = '\0';
    for (size_t i = 0; i < count; i++)
        if (strcmp(peers[i].url, url) == 0)
            snprintf(out, MEMBER_NAME_BYTES, "%s", peers[i].node_id);
}

void engine_init_cluster(struct engine *engine)
{
    const struct config *config = engine->config;
    cluster_init(&engine->cluster);
    event_log_init(&engine->events);
    engine->events.find_id = find_id;
    engine->events.context = engine;
    cluster_set_member_name(&engine->cluster, config->cluster.tls.member_name);
    engine->provider_node =
        (struct provider_node){.peer_url = engine->peer_url, .peers = peers_of, .context = engine};
    membership_init(&engine->membership, config, &engine->provider_node);
    blocks_init(&engine->blocks);
    engine->membership.blocks = &engine->blocks;
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

/* --- blocked nodes ---------------------------------------------------------------------------- */

/* Puts a change of the block list into force. */
static void apply_blocks(struct engine *engine, const struct block *change)
{
    char text[CHANGE_BYTES];
    snprintf(text, sizeof(text), "%s is %s by %s at %s%s%s",
             change->node_id[0] ? change->node_id : change->address,
             change->is_blocked ? "blocked" : "unblocked",
             change->by[0] ? change->by : "an operator", change->origin,
             change->reason[0] ? ": " : "", change->reason);
    log_event(LOG_LEVEL_WARN, "the list of blocked nodes has changed", LOG_TEXT("change", text));
    membership_on_blocks(&engine->membership, text);
    replication_thread_on_blocks(engine->replication);
}

/* An empty name would be that of a peer whose id is not known yet. */
static bool is_scheme_alone(struct slice node)
{
    static const char end[] = "://";
    size_t size = sizeof(end) - 1;
    return node.size >= size && memcmp(node.data + node.size - size, end, size) == 0;
}

static enum error refuse_node(struct slice node, char message[MESSAGE_BYTES])
{
    char quoted[160];
    text_quote(quoted, sizeof(quoted), node);
    snprintf(message, MESSAGE_BYTES,
             "node: must be a node id or an address (host:port, port 1 to 65535) of at most %d "
             "bytes, is %s",
             BLOCK_NODE_BYTES - 1, quoted);
    return ERR_INVALID_FIELD;
}

static enum error check_node(struct engine *engine, struct slice node, char message[MESSAGE_BYTES])
{
    if (!engine->replication) {
        snprintf(message, MESSAGE_BYTES,
                 "node: this node has no peers (cluster.enabled, replication.enabled)");
        return ERR_INVALID_FIELD;
    }
    if (node.size > 0 && block_text_is_valid(node, BLOCK_NODE_BYTES) && !is_scheme_alone(node))
        return ERR_NONE;
    return refuse_node(node, message);
}

/* Whether a text ends with a colon and digits, as an address does. */
static bool has_port(const char *text)
{
    const char *colon = strrchr(text, ':');
    return colon && colon[1] && colon[1 + strspn(colon + 1, "0123456789")] == '\0';
}

/* Whether a node that is not known here can have this as its id or address. */
static bool is_possible(const char *name, bool has_scheme)
{
    return has_scheme || has_port(name) ? config_value_is_address(name, 1)
                                        : config_value_is_name(name);
}

static void set_text(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text);
}

/* Copies the id and the address of what is blocked already under either. */
static bool find_listed(struct engine *engine, const char *node, struct block *out)
{
    struct block_list list;
    blocks_list(&engine->blocks, &list);
    const struct block *found = block_list_find_node(&list, node);
    if (!found)
        found = block_list_find_address(&list, node);
    if (!found)
        return false;
    memcpy(out->node_id, found->node_id, sizeof(out->node_id));
    memcpy(out->address, found->address, sizeof(out->address));
    return true;
}

/* Copies the id and the address of the peer with either. */
static bool find_peer(struct engine *engine, const char *node, struct block *out)
{
    struct peer_status peers[MEMBERS_MAX];
    size_t count = engine_peers(engine, peers);
    for (size_t i = 0; i < count; i++) {
        const char *address = block_address_of(peers[i].url);
        if (!node[0] || (strcmp(peers[i].node_id, node) != 0 && strcmp(address, node) != 0))
            continue;
        set_text(out->node_id, sizeof(out->node_id), peers[i].node_id);
        set_text(out->address, sizeof(out->address), address);
        return true;
    }
    return false;
}

/* Fills in the id and the address; both, if the node is a peer. False: no node can have this id or
 * address. */
static bool name_node(struct engine *engine, const char *node, struct block *out)
{
    const char *name = block_address_of(node);
    if (find_listed(engine, name, out) || find_peer(engine, name, out))
        return true;
    if (!is_possible(name, name != node))
        return false;
    if (has_port(name))
        set_text(out->address, sizeof(out->address), name);
    else
        set_text(out->node_id, sizeof(out->node_id), name);
    return true;
}

static bool is_own(const struct engine *engine, const char *node)
{
    return strcmp(node, engine->config->server.node_id) == 0 ||
           strcmp(node, block_address_of(engine->peer_url)) == 0;
}

/* Whether the node is a peer, or was one when it was blocked: only peers have both names. */
static bool is_known(struct engine *engine, const struct block *order)
{
    struct block peer;
    return (order->node_id[0] && order->address[0]) || find_peer(engine, order->node_id, &peer) ||
           find_peer(engine, order->address, &peer);
}

enum error engine_block_node(struct engine *engine, struct slice node, struct block *order,
                             struct moment now, bool *known, char message[MESSAGE_BYTES])
{
    char text[BLOCK_NODE_BYTES];
    enum error error = check_node(engine, node, message);
    if (error)
        return error;
    snprintf(text, sizeof(text), "%.*s", (int)node.size, node.data);
    const char *name = block_address_of(text);
    set_text(order->origin, sizeof(order->origin), engine->config->server.node_id);
    if (!name_node(engine, text, order))
        return refuse_node(node, message);
    if (is_own(engine, name) || is_own(engine, order->node_id)) {
        snprintf(message, MESSAGE_BYTES,
                 "node: is the node that was called; another node must block it");
        return ERR_INVALID_FIELD;
    }
    *known = is_known(engine, order); /* before a blocked node leaves the peers */
    error = blocks_block(&engine->blocks, order, registry_clock_ms(engine->registry, now));
    if (error == ERR_TOO_MANY_ITEMS)
        snprintf(message, MESSAGE_BYTES, "node: %d nodes are blocked already; unblock one first",
                 BLOCKS_MAX);
    if (!error)
        apply_blocks(engine, order);
    return error;
}

/* The name by which the node is listed: `node`, or the id of the peer with that address. NULL: it
 * is not blocked. */
static const char *find_blocked(struct engine *engine, const char *node, struct block *out)
{
    if (find_listed(engine, node, out))
        return node;
    if (find_peer(engine, node, out) && find_listed(engine, out->node_id, out))
        return out->node_id;
    return NULL;
}

enum error engine_unblock_node(struct engine *engine, struct slice node, struct block *order,
                               struct moment now, char message[MESSAGE_BYTES])
{
    char text[BLOCK_NODE_BYTES];
    size_t count = 0;
    enum error error = check_node(engine, node, message);
    if (error)
        return error;
    snprintf(text, sizeof(text), "%.*s", (int)node.size, node.data);
    const char *name = find_blocked(engine, block_address_of(text), order);
    set_text(order->origin, sizeof(order->origin), engine->config->server.node_id);
    if (!name) {
        text_quote(text, sizeof(text), node);
        snprintf(message, MESSAGE_BYTES, "node: %.160s is not blocked", text);
        return ERR_INVALID_FIELD;
    }
    error = blocks_unblock(&engine->blocks, name, order, registry_clock_ms(engine->registry, now),
                           &count);
    if (!error)
        apply_blocks(engine, order);
    return error;
}

enum error engine_merge_blocks(struct engine *engine, struct slice text, struct moment now,
                               uint64_t *hash, char message[MESSAGE_BYTES])
{
    struct block newest;
    uint64_t highest_ms = registry_members_clock_ms(engine->registry, now) +
                          engine->config->cluster.max_clock_skew_secs * (uint64_t)MS_PER_SEC;
    enum error error = blocks_merge(&engine->blocks, text, highest_ms, &newest, hash, message);
    if (!error && newest.clock_ms && engine->replication)
        apply_blocks(engine, &newest);
    return error;
}

bool engine_is_blocked(struct engine *engine)
{
    struct replicator_stats stats = {0};
    if (engine->replication)
        replication_thread_stats(engine->replication, &stats);
    return stats.is_blocked;
}

void engine_store_blocks(struct engine *engine)
{
    if (engine->storage)
        block_file_store(engine->config->storage.data_dir, &engine->blocks);
}
