/* SPDX-License-Identifier: Apache-2.0
 *
 * client_view_cluster - the answer of /api/status/cluster, for people.
 *
 * The rules are those of client_view: what is missing is left out or shown as "-", all text is made
 * safe, `columns_max` is the width to fit, 0 for none. With names of usual length, a line has at
 * most 80 columns.
 *
 * Pure but for the stream. The JSON is borrowed.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CLIENT_SPAN_MAX 32

/* This node, a line for each peer with its last error below, and a sentence that sums up. */
void client_view_cluster(const json_t *root, FILE *out, size_t columns_max);

/* Is this node ready, and is every peer up and ready? A peer that is this node itself counts for
 * nothing. */
bool client_view_cluster_is_well(const json_t *root);

/* "3 ms", "4 s", "5 min", "6 h", "7 d": the largest unit alone. Returns `text`. */
const char *client_view_span(uint64_t span_ms, char text[CLIENT_SPAN_MAX]);
