/* SPDX-License-Identifier: Apache-2.0
 *
 * view_cluster - prints the response of /api/status/cluster as text.
 *
 * As in view, a missing field is left out or printed as "-", all text is escaped for a
 * terminal, and `columns_max` is the width to fit; 0: no limit. With names of usual length a line
 * has at most 80 columns.
 *
 * Pure but for the stream. The JSON is borrowed.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define VIEW_SPAN_MAX 32

/* Prints this node, one line for each peer with its last error below, and a summary. */
void view_cluster(const json_t *root, FILE *out, size_t columns_max);

/* Prints what is not well, of the lines below the peers: no peer at all, with the settings that
 * name them, too few nodes, blocked nodes, membership providers that fail or warn. */
void view_cluster_notes(const json_t *root, FILE *out);

/* Prints what has been ordered, of the response of /api/cluster/block or unblock. */
void view_cluster_order(const json_t *root, bool blocks, FILE *out);

/* Prints a note if the node of the response of /api/cluster/block is no peer of the node that was
 * called. An older node does not say. */
void view_cluster_unknown(const json_t *root, FILE *out);

/* True if this node is ready and not blocked, every peer is up and ready, no membership provider
 * fails, and the cluster is not under-replicated. A peer that is this node itself is ignored. */
bool view_cluster_is_healthy(const json_t *root);

/* "3 ms", "4 s", "5 min", "6 h", "7 d": the largest unit alone. Returns `text`. */
const char *view_span(uint64_t span_ms, char text[VIEW_SPAN_MAX]);
