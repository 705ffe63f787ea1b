/* SPDX-License-Identifier: Apache-2.0
 *
 * cluster_graph - the nodes of a cluster and the links between them, of the responses of all nodes.
 *
 * Each node reports in /api/status/cluster how it reaches its peers. So a link from A to B is what
 * A reports, and the link back is what B reports. The links of a node that has not reported are not
 * known. Such a node has the worst state that others report of it.
 *
 * A node is known by its id, or by its address for peers if nobody knows its id. Fields that are
 * missing, as in responses of earlier versions, are not known; a response without `peers` says
 * nothing about links. Text comes from the nodes and must be escaped when it is printed.
 *
 * Pure. Text is borrowed from the responses and problems, which must live as long as the graph.
 */
#pragma once

#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    GRAPH_NODES_MAX = 160, /* more than a node with 64 peers and 64 blocked nodes reports */
    GRAPH_PAIRS_NODES = 8, /* with more nodes, only links that are not well are drawn */
};

/* How good a state of a node or of a link is. */
enum graph_level {
    GRAPH_WELL,
    GRAPH_WARNING, /* such as starting, draining, suspect */
    GRAPH_BAD,     /* such as down, blocked */
    GRAPH_UNKNOWN, /* of a link: its node has not reported */
    GRAPH_LEVELS
};

/* Text is "" where nothing is known. */
struct graph_node {
    const char *node_id;
    const char *url; /* for peers */
    const char *region;
    const char *zone;
    const char *version;
    const char *state;   /* its own word, or the worst that others report of it; never "" */
    const char *problem; /* why it has not reported its status */
    bool has_reported;
    bool is_under_replicated; /* as it reports */
};

struct graph_link {
    const char *state; /* such as "up" or "not ready"; NULL: not known */
    bool has_lag;
    uint64_t lag_ms;
    uint64_t backlog; /* keys whose change has not been received; 0: none, or not known */
    const char *last_error;
};

struct cluster_graph {
    const char *cluster_id;
    struct graph_node *nodes; /* sorted by region, zone and name; owned */
    size_t node_count;
    struct graph_link *links; /* cluster_graph_link finds one; owned */
    size_t omitted;           /* times that a node was left out, since GRAPH_NODES_MAX were known */
};

/* The response to the call of a node. */
struct graph_response {
    const json_t *root;  /* the response; NULL: none */
    const char *problem; /* why there is none */
};

/* The URL at which clients call peer `index` of the response, or NULL with *problem: it is the node
 * that sent the response, or must not get the token of the operator. */
const char *cluster_graph_url_to_call(const json_t *root, size_t index, const char **problem);
size_t cluster_graph_peer_count(const json_t *root);

/* Fills `graph` with `root`, the response of one node, and `responses`, one for each of its peers
 * in their order. ERR_NO_MEMORY. Release with cluster_graph_free, also after an error. */
MUST_USE enum error cluster_graph_read(struct cluster_graph *graph, const json_t *root,
                                       const struct graph_response responses[]);
void cluster_graph_free(struct cluster_graph *graph);

/* The link between two nodes, by their place in `nodes`. */
const struct graph_link *cluster_graph_link(const struct cluster_graph *graph, size_t from,
                                            size_t to);
/* The id of a node, or else its address. */
const char *graph_node_name(const struct graph_node *node);
/* The address in the form that --server and `artemis cluster block` accept. */
const char *graph_node_address(const struct graph_node *node);
enum graph_level graph_node_level(const struct graph_node *node);
enum graph_level graph_link_level(const struct graph_link *link);

/* The links of a graph. Those of a node that is blocked do not count. */
struct graph_summary {
    size_t ready; /* nodes */
    size_t links, well, unknown;
    uint64_t lag_ms; /* the highest of the links that are well */
    size_t from, to; /* of that link; equal: no lag is known */
};
struct graph_summary cluster_graph_summary(const struct cluster_graph *graph);
/* True if all nodes but those that are blocked have reported and are ready, and all links between
 * them are well. */
bool cluster_graph_is_well(const struct cluster_graph *graph);

/* Appends the graph as JSON. */
void cluster_graph_write_json(const struct cluster_graph *graph, struct text *out);
