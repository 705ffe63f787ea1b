/* SPDX-License-Identifier: Apache-2.0
 *
 * graph_text - draws a cluster for a terminal: the nodes by region and zone, and the links.
 *
 * Up to GRAPH_PAIRS_NODES nodes, each pair of nodes is a line with both directions:
 *
 *     n1 ◀─── 4 ms ─┊─ down 12 s ───✕ n2
 *
 * Each half is the link that ends at its arrowhead: its lag, or if it is not well, its state, and
 * the lag if changes wait or if it is a second or more. With more nodes, only pairs that are not
 * well are lines, links that begin or end at the same node in the same state are one line, and the
 * others are counted.
 *
 * All text is escaped for a terminal. `columns_max` is the width to fit; 0: no limit. Names of
 * usual length need less than 80 columns. Pure but for the stream.
 */
#pragma once

#include "artemis/output/graph/cluster_graph.h"

#include <stdio.h>

/* ERR_NO_MEMORY: nothing is printed. */
MUST_USE enum error graph_text(const struct cluster_graph *graph, FILE *out, size_t columns_max);

/* "3 ms", "up" without a known lag, "down 12 s", or "?": what the drawings say of a link. Cut to
 * the size. Returns `text`, which is not escaped. */
enum { GRAPH_LABEL_MAX = 48 };
const char *graph_link_label(const struct graph_link *link, char text[GRAPH_LABEL_MAX]);
