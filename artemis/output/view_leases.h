/* SPDX-License-Identifier: Apache-2.0
 *
 * view_leases - prints the response of /api/status/leases as text: leases and guards.
 *
 * As in view, a missing field is printed as "-", all text is escaped for a terminal, and
 * `columns_max` is the width to fit; 0: no limit.
 *
 * Pure but for the stream. The JSON is borrowed.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define VIEW_GUARD_MAX 256

/* Prints one line for each lease of the response, which is for one service. */
void view_leases(const json_t *root, FILE *out, size_t columns_max);

/* Prints one line for the guard of the node and for each service whose guard is not off; with
 * `service`, only the line of that service. */
void view_guards(const json_t *root, const char *service, FILE *out, size_t columns_max);

/* True if the guard of the service is engaged; NULL: that of the node or of any service. */
bool view_guard_is_engaged(const json_t *root, const char *service);

/* "off", or where the guard is engaged and how many evictions it suspends. Returns `text`. */
const char *view_guard_summary(const json_t *root, char text[VIEW_GUARD_MAX]);
