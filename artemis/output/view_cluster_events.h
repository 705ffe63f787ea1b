/* SPDX-License-Identifier: Apache-2.0
 *
 * view_cluster_events - prints the response of /api/cluster/events as a table.
 *
 * As in view, a missing field is left out or printed as "-", all text is escaped for a terminal,
 * and `columns_max` is the width to fit; 0: no limit. Pure but for the stream.
 */
#pragma once

#include <jansson.h>
#include <stdio.h>

/* One line for each event, the oldest first; with `columns_max`, the reason is below it, and times
 * have no milliseconds. */
void view_cluster_events(const json_t *root, FILE *out, size_t columns_max);
