/* SPDX-License-Identifier: Apache-2.0
 *
 * graph_dot - prints a cluster in the DOT language of Graphviz: regions and zones as clusters,
 * nodes and links with their state as text and as colour.
 *
 * With more than GRAPH_PAIRS_NODES nodes, only links that are not well are edges, and the label of
 * the graph counts the others. Names in the file are numbers, and text of the nodes is only in
 * labels, escaped for a terminal and for Graphviz. Pure but for the stream.
 */
#pragma once

#include "artemis/output/graph/cluster_graph.h"

#include <stdio.h>

void graph_dot(const struct cluster_graph *graph, FILE *out);
