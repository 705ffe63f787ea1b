/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/output/graph/cluster_graph.h"

#include "artemis-core/json/json_writer.h"
#include "artemis-core/model/block_list.h"
#include "artemis/call/call_response.h"

#include <stdlib.h>
#include <string.h>

/* --- states ----------------------------------------------------------------------------------- */

/* Any other state is bad. The worse of two states is the later one. */
static const struct {
    const char *state;
    enum graph_level level;
} states[] = {
    {"ready", GRAPH_WELL},       {"up", GRAPH_WELL},         {"draining", GRAPH_WARNING},
    {"starting", GRAPH_WARNING}, {"new", GRAPH_WARNING},     {"not ready", GRAPH_WARNING},
    {"suspect", GRAPH_WARNING},  {"unknown", GRAPH_WARNING},
};

static size_t severity_of(const char *state)
{
    size_t severity = 0;
    while (severity < sizeof states / sizeof *states && strcmp(states[severity].state, state) != 0)
        severity++;
    return severity;
}

static enum graph_level level_of(const char *state)
{
    size_t severity = severity_of(state);
    return severity < sizeof states / sizeof *states ? states[severity].level : GRAPH_BAD;
}

enum graph_level graph_node_level(const struct graph_node *node)
{
    enum graph_level level = level_of(node->state);
    bool is_doubtful = node->is_under_replicated || !node->has_reported;
    return level == GRAPH_WELL && is_doubtful ? GRAPH_WARNING : level;
}

enum graph_level graph_link_level(const struct graph_link *link)
{
    return link->state ? level_of(link->state) : GRAPH_UNKNOWN;
}

/* A node that operators have blocked is not expected to be well. */
static bool is_excluded(const struct graph_node *node)
{
    return !node->has_reported && strcmp(node->state, "blocked") == 0;
}

/* --- fields of a response --------------------------------------------------------------------- */

static const json_t *peers_of(const json_t *root)
{
    return call_response_field(root, "peers");
}

size_t cluster_graph_peer_count(const json_t *root)
{
    return json_array_size(peers_of(root));
}

static const json_t *peer_at(const json_t *root, size_t index)
{
    return json_array_get(peers_of(root), index);
}

/* The status of the node that sent the response. */
static const json_t *own_status(const json_t *root)
{
    return json_array_get(call_response_field(root, "nodes_status"), 0);
}

/* What the response says of a peer as a node for clients; NULL: nothing. */
static const json_t *client_node(const json_t *root, size_t index)
{
    const json_t *status = json_array_get(call_response_field(root, "nodes_status"), index + 1);
    const json_t *node = call_response_field(status, "node");
    bool is_same = strcmp(call_response_text(node, "node_id"),
                          call_response_text(peer_at(root, index), "node_id")) == 0;
    return is_same ? node : NULL;
}

static bool has_health(const json_t *peer, const char *health)
{
    return strcmp(call_response_text(peer, "health"), health) == 0;
}

/* "not ready" for a peer that is up and not ready; otherwise its health. */
static const char *state_of_peer(const json_t *peer)
{
    const char *health = call_response_text(peer, "health");
    if (has_health(peer, "up") && json_is_false(call_response_field(peer, "ready")))
        return "not ready";
    return *health ? health : "unknown";
}

/* The id of a peer; "" for one with the id of the node that reports it. */
static const char *id_of_peer(const json_t *peer)
{
    return has_health(peer, "twin") ? "" : call_response_text(peer, "node_id");
}

static bool read_count(const json_t *object, const char *name, uint64_t *count)
{
    const json_t *number = call_response_field(object, name);
    if (!json_is_integer(number) || json_integer_value(number) < 0)
        return false;
    *count = (uint64_t)json_integer_value(number);
    return true;
}

static bool is_same_text(const char *a, const char *b)
{
    return *a && strcmp(a, b) == 0;
}

/* Whether the node that sent the response has blocked this id or address. */
static bool blocks(const json_t *root, const char *node_id, const char *url)
{
    const json_t *blocked = call_response_field(root, "blocked");
    for (size_t i = 0; i < json_array_size(blocked); i++) {
        const json_t *block = json_array_get(blocked, i);
        if (is_same_text(call_response_text(block, "node_id"), node_id) ||
            is_same_text(call_response_text(block, "address"), block_address_of(url)))
            return true;
    }
    return false;
}

static const char not_called_blocked[] = "it is not called: it is blocked";
static const char not_called_unknown[] =
    "it is not called: the node that was called does not have it as a peer";

const char *cluster_graph_url_to_call(const json_t *root, size_t index, const char **problem)
{
    static const struct {
        const char *health;
        const char *problem;
    } not_called[] = {{"self", ""},
                      {"stranger", "it is not called: it belongs to another cluster"},
                      {"twin", "it is not called: it has the id of another node"}};
    const json_t *peer = peer_at(root, index);
    const char *url = call_response_text(client_node(root, index), "url");
    for (size_t i = 0; i < sizeof not_called / sizeof *not_called; i++)
        if (has_health(peer, not_called[i].health)) {
            *problem = not_called[i].problem;
            return NULL;
        }
    if (blocks(root, call_response_text(peer, "node_id"), call_response_text(peer, "url"))) {
        *problem = not_called_blocked;
        return NULL;
    }
    *problem = "it is not called: its address is not known";
    if (!*url)
        url = call_response_text(peer, "url");
    return *url ? url : NULL;
}

/* --- nodes ------------------------------------------------------------------------------------ */

const char *graph_node_address(const struct graph_node *node)
{
    static const char plain_http[] = "http://";
    size_t length = strlen(plain_http);
    return strncmp(node->url, plain_http, length) == 0 ? node->url + length : node->url;
}

const char *graph_node_name(const struct graph_node *node)
{
    return *node->node_id ? node->node_id : graph_node_address(node);
}

/* NULL: there is none. Nodes with two different ids are different, whatever their address. */
static struct graph_node *find_node(const struct cluster_graph *graph, const char *node_id,
                                    const char *url)
{
    for (size_t i = 0; i < graph->node_count; i++)
        if (is_same_text(node_id, graph->nodes[i].node_id))
            return &graph->nodes[i];
    for (size_t i = 0; i < graph->node_count; i++) {
        struct graph_node *node = &graph->nodes[i];
        if (is_same_text(block_address_of(node->url), block_address_of(url)) &&
            (!*node->node_id || !*node_id))
            return node;
    }
    return NULL;
}

/* Finds a node or adds it, and completes its id and its address. NULL: there are too many. */
static struct graph_node *put_node(struct cluster_graph *graph, const char *node_id,
                                   const char *url)
{
    struct graph_node *node = find_node(graph, node_id, url);
    if (!node && graph->node_count == GRAPH_NODES_MAX) {
        graph->omitted++;
        return NULL;
    }
    if (!node) {
        node = &graph->nodes[graph->node_count++];
        *node = (struct graph_node){"", "", "", "", "", "", "", false, false};
    }
    if (!*node->node_id)
        node->node_id = node_id;
    if (*url)
        node->url = url;
    return node;
}

static void set_zone(struct graph_node *node, const json_t *zone, const char *region)
{
    const char *texts[] = {call_response_text(zone, "region_id"),
                           call_response_text(zone, "zone_id")};
    if (*texts[0])
        node->region = texts[0];
    else if (*region)
        node->region = region;
    if (*texts[1])
        node->zone = texts[1];
}

/* Adds the peers of a response; first those whose ids are known, so that the others are found by
 * their addresses. */
static void put_peers(struct cluster_graph *graph, const json_t *root, bool have_ids)
{
    for (size_t i = 0; i < cluster_graph_peer_count(root); i++) {
        const json_t *peer = peer_at(root, i);
        const char *node_id = id_of_peer(peer);
        if (has_health(peer, "self") || (*node_id != '\0') != have_ids)
            continue;
        struct graph_node *node = put_node(graph, node_id, call_response_text(peer, "url"));
        if (node)
            set_zone(node, call_response_field(client_node(root, i), "zone"),
                     call_response_text(peer, "region"));
    }
}

static void put_blocked(struct cluster_graph *graph, const json_t *root)
{
    const json_t *blocked = call_response_field(root, "blocked");
    for (size_t i = 0; i < json_array_size(blocked); i++) {
        const json_t *block = json_array_get(blocked, i);
        struct graph_node *node = put_node(graph, call_response_text(block, "node_id"),
                                           call_response_text(block, "address"));
        if (node)
            node->state = "blocked";
    }
}

/* Takes what a node says of itself. */
static void put_response(struct cluster_graph *graph, const json_t *root, const char *url)
{
    const json_t *status = own_status(root);
    const json_t *own = call_response_field(status, "node");
    const char *state = call_response_text(status, "state");
    struct graph_node *node = put_node(graph, call_response_text(own, "node_id"),
                                       *url ? url : call_response_text(own, "url"));
    if (!node)
        return;
    if (!*state)
        state = call_response_text(status, "status");
    node->has_reported = true;
    node->state = json_is_true(call_response_field(status, "blocked")) ? "blocked"
                  : *state                                             ? state
                                                                       : "unknown";
    node->is_under_replicated = json_is_true(call_response_field(root, "under_replicated"));
    node->version = call_response_text(status, "artemis_version");
    set_zone(node, call_response_field(own, "zone"), "");
}

static int compare_nodes(const void *a, const void *b)
{
    const struct graph_node *x = a;
    const struct graph_node *y = b;
    int order = strcmp(x->region, y->region);
    if (order == 0)
        order = strcmp(x->zone, y->zone);
    if (order == 0)
        order = strcmp(graph_node_name(x), graph_node_name(y));
    return order ? order : strcmp(x->url, y->url);
}

/* --- links ------------------------------------------------------------------------------------ */

static struct graph_link *link_at(const struct cluster_graph *graph, const struct graph_node *from,
                                  const struct graph_node *to)
{
    size_t row = (size_t)(from - graph->nodes);
    return &graph->links[row * graph->node_count + (size_t)(to - graph->nodes)];
}

const struct graph_link *cluster_graph_link(const struct cluster_graph *graph, size_t from,
                                            size_t to)
{
    return link_at(graph, &graph->nodes[from], &graph->nodes[to]);
}

/* With two addresses of one node, the worse state stays. */
static void put_link(struct graph_link *link, const json_t *peer)
{
    const char *state = state_of_peer(peer);
    uint64_t backlog = 0;
    if (link->state && severity_of(link->state) >= severity_of(state))
        return;
    *link =
        (struct graph_link){.state = state, .last_error = call_response_text(peer, "last_error")};
    link->has_lag = read_count(peer, "lag_ms", &link->lag_ms);
    if (read_count(peer, "backlog", &backlog))
        link->backlog = backlog;
}

/* The links that begin at the node that sent the response. */
static void put_links(struct cluster_graph *graph, const json_t *root)
{
    const json_t *own = call_response_field(own_status(root), "node");
    struct graph_node *from =
        find_node(graph, call_response_text(own, "node_id"), call_response_text(own, "url"));
    if (!from || !json_is_array(peers_of(root)))
        return;
    for (size_t i = 0; i < cluster_graph_peer_count(root); i++) {
        const json_t *peer = peer_at(root, i);
        struct graph_node *to = find_node(graph, id_of_peer(peer), call_response_text(peer, "url"));
        if (to && to != from && !has_health(peer, "self"))
            put_link(link_at(graph, from, to), peer);
    }
    for (size_t i = 0; i < graph->node_count; i++) {
        struct graph_node *to = &graph->nodes[i];
        struct graph_link *link = link_at(graph, from, to);
        if (to != from && !link->state)
            *link = (struct graph_link){.state = blocks(root, to->node_id, to->url) ? "blocked"
                                                                                    : "not a peer",
                                        .last_error = ""};
    }
}

/* The worst state that others report of a node that has not reported. */
static const char *reported_state(const struct cluster_graph *graph, const struct graph_node *node)
{
    const char *worst = "";
    for (size_t i = 0; i < graph->node_count; i++) {
        const char *state = link_at(graph, &graph->nodes[i], node)->state;
        bool is_report = state && strcmp(state, "not a peer") != 0;
        if (is_report && (!*worst || severity_of(state) > severity_of(worst)))
            worst = state;
    }
    return *worst ? worst : "unknown";
}

/* --- reading  */

/* The response of a peer that has reported; NULL with the reason in *problem. */
static const json_t *response_of(const json_t *root, size_t index,
                                 const struct graph_response *response, const char **problem)
{
    const json_t *own = call_response_field(own_status(response->root), "node");
    const char *expected = id_of_peer(peer_at(root, index));
    const char *node_id = call_response_text(own, "node_id");
    *problem = response->problem ? response->problem : "";
    if (!response->root || !*expected || !*node_id || strcmp(node_id, expected) == 0)
        return response->root;
    *problem = "another node responds at its address";
    return NULL;
}

static void put_nodes(struct cluster_graph *graph, const json_t *root,
                      const struct graph_response responses[])
{
    const char *problem;
    size_t count = cluster_graph_peer_count(root);
    put_response(graph, root, "");
    for (size_t i = 0; i < count; i++) {
        const json_t *response = response_of(root, i, &responses[i], &problem);
        if (response)
            put_response(graph, response, call_response_text(peer_at(root, i), "url"));
    }
    for (int have_ids = 1; have_ids >= 0; have_ids--) {
        put_peers(graph, root, have_ids);
        for (size_t i = 0; i < count; i++)
            put_peers(graph, response_of(root, i, &responses[i], &problem), have_ids);
    }
    put_blocked(graph, root);
    for (size_t i = 0; i < count; i++)
        put_blocked(graph, response_of(root, i, &responses[i], &problem));
    qsort(graph->nodes, graph->node_count, sizeof *graph->nodes, compare_nodes);
}

/* Sets problem and state of the nodes that have not reported. */
static void complete_nodes(struct cluster_graph *graph, const json_t *root,
                           const struct graph_response responses[])
{
    const char *problem;
    for (size_t i = 0; i < cluster_graph_peer_count(root); i++) {
        const json_t *peer = peer_at(root, i);
        struct graph_node *node =
            find_node(graph, id_of_peer(peer), call_response_text(peer, "url"));
        if (node && !node->has_reported && !response_of(root, i, &responses[i], &problem))
            node->problem = problem;
    }
    for (size_t i = 0; i < graph->node_count; i++) {
        struct graph_node *node = &graph->nodes[i];
        if (!node->has_reported && !*node->problem)
            node->problem = is_excluded(node) ? not_called_blocked : not_called_unknown;
        if (!*node->state)
            node->state = reported_state(graph, node);
    }
}

enum error cluster_graph_read(struct cluster_graph *graph, const json_t *root,
                              const struct graph_response responses[])
{
    const char *problem;
    *graph = (struct cluster_graph){
        .cluster_id = call_response_text(own_status(root), "cluster_id"),
        .nodes = calloc(GRAPH_NODES_MAX, sizeof *graph->nodes),
    };
    if (!graph->nodes)
        return ERR_NO_MEMORY;
    put_nodes(graph, root, responses);
    graph->links = calloc(graph->node_count * graph->node_count, sizeof *graph->links);
    if (!graph->links)
        return ERR_NO_MEMORY;
    put_links(graph, root);
    for (size_t i = 0; i < cluster_graph_peer_count(root); i++)
        put_links(graph, response_of(root, i, &responses[i], &problem));
    complete_nodes(graph, root, responses);
    return ERR_NONE;
}

void cluster_graph_free(struct cluster_graph *graph)
{
    if (!graph)
        return;
    free(graph->nodes);
    free(graph->links);
    *graph = (struct cluster_graph){0};
}

/* --- summary ---------------------------------------------------------------------------------- */

static void add_link(struct graph_summary *summary, const struct cluster_graph *graph, size_t from,
                     size_t to)
{
    const struct graph_link *link = cluster_graph_link(graph, from, to);
    enum graph_level level = graph_link_level(link);
    if (is_excluded(&graph->nodes[from]) || is_excluded(&graph->nodes[to]))
        return;
    summary->links++;
    summary->well += level == GRAPH_WELL;
    summary->unknown += level == GRAPH_UNKNOWN;
    bool is_first = summary->from == summary->to;
    if (level != GRAPH_WELL || !link->has_lag || (!is_first && link->lag_ms <= summary->lag_ms))
        return;
    summary->lag_ms = link->lag_ms;
    summary->from = from;
    summary->to = to;
}

struct graph_summary cluster_graph_summary(const struct cluster_graph *graph)
{
    struct graph_summary summary = {0};
    for (size_t from = 0; from < graph->node_count; from++) {
        summary.ready += level_of(graph->nodes[from].state) == GRAPH_WELL;
        for (size_t to = 0; to < graph->node_count; to++)
            if (from != to)
                add_link(&summary, graph, from, to);
    }
    return summary;
}

bool cluster_graph_is_well(const struct cluster_graph *graph)
{
    struct graph_summary summary = cluster_graph_summary(graph);
    bool well = summary.well == summary.links && graph->omitted == 0;
    for (size_t i = 0; i < graph->node_count; i++)
        well = well &&
               (is_excluded(&graph->nodes[i]) || graph_node_level(&graph->nodes[i]) == GRAPH_WELL);
    return well;
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void write_text(struct json_writer *w, const char *name, const char *text)
{
    jw_name(w, name);
    jw_string(w, text);
}

static void write_node(struct json_writer *w, const struct graph_node *node)
{
    jw_open(w, '{');
    write_text(w, "name", graph_node_name(node));
    write_text(w, "node_id", node->node_id);
    write_text(w, "url", node->url);
    write_text(w, "region", node->region);
    write_text(w, "zone", node->zone);
    write_text(w, "state", node->state);
    jw_name(w, "reported"), jw_bool(w, node->has_reported);
    if (!node->has_reported)
        write_text(w, "problem", node->problem);
    if (node->has_reported) {
        write_text(w, "artemis_version", node->version);
        jw_name(w, "under_replicated"), jw_bool(w, node->is_under_replicated);
    }
    jw_close(w, '}');
}

static void write_link(struct json_writer *w, const struct cluster_graph *graph, size_t from,
                       size_t to)
{
    const struct graph_link *link = cluster_graph_link(graph, from, to);
    jw_open(w, '{');
    write_text(w, "from", graph_node_name(&graph->nodes[from]));
    write_text(w, "to", graph_node_name(&graph->nodes[to]));
    write_text(w, "state", link->state ? link->state : "unknown");
    jw_name(w, "well"), jw_bool(w, graph_link_level(link) == GRAPH_WELL);
    if (link->has_lag) {
        jw_name(w, "lag_ms"), jw_u64(w, link->lag_ms);
        jw_name(w, "backlog"), jw_u64(w, link->backlog);
    }
    if (link->last_error && *link->last_error)
        write_text(w, "last_error", link->last_error);
    jw_close(w, '}');
}

void cluster_graph_write_json(const struct cluster_graph *graph, struct text *out)
{
    struct json_writer w = jw_to(out, CASING_SNAKE);
    jw_open(&w, '{');
    write_text(&w, "cluster_id", graph->cluster_id);
    jw_name(&w, "well"), jw_bool(&w, cluster_graph_is_well(graph));
    jw_name(&w, "nodes"), jw_open(&w, '[');
    for (size_t i = 0; i < graph->node_count; i++)
        write_node(&w, &graph->nodes[i]);
    jw_close(&w, ']');
    jw_name(&w, "links"), jw_open(&w, '[');
    for (size_t from = 0; from < graph->node_count; from++)
        for (size_t to = 0; to < graph->node_count; to++)
            if (from != to)
                write_link(&w, graph, from, to);
    jw_close(&w, ']');
    jw_close(&w, '}');
}
