/* SPDX-License-Identifier: Apache-2.0
 *
 * view - prints responses of the server as text.
 *
 * Each function prints one response that was evaluated as done (call_response). A missing field is
 * left blank or left out, and a field of another type is ignored, so that the responses of older
 * and newer servers can be read. All text is escaped for a terminal (terminal_text).
 * `columns_max` is the width to fit; 0: no limit.
 *
 * Pure but for the stream. The JSON is borrowed.
 */
#pragma once

#include "artemis-core/base/error.h"
#include "artemis/call/call_response.h"
#include "artemis/output/table.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define VIEW_UPTIME_MAX 48

/* Prints one line for each service, sorted by name: the number of instances, and how many are up.
 * ERR_NO_MEMORY. */
MUST_USE enum error view_services(const json_t *root, FILE *out, size_t columns_max);

struct service_view {
    const char *service;
    bool all;           /* every status was requested; selects the message for an empty list */
    bool filtered;      /* so does this one: only some instances were requested */
    bool wide;          /* show protocol, machine and metadata; also on a terminal that is wide */
    size_t columns_max; /* width to fit; 0: no limit */
};

/* Prints one line for each instance of one service, in the order of the response. */
void view_service(const json_t *root, const struct service_view *view, FILE *out);

/* Prints a node's `node_status` as lines of name and value. `ready` is the response of /ready: its
 * headers fill in missing fields, and the body of a 503 states why the node is not ready. `leases`
 * is the response of /api/status/leases, for the line of the guard; NULL: no line. */
void view_status(const json_t *root, const struct call_response *ready, const json_t *leases,
                 FILE *out);

/* Prints one line for each setting of a response of /api/status/config: name, value, source. */
void view_settings(const json_t *root, FILE *out, size_t columns_max);

/* Prints a line of name and value; nothing for an empty value. */
void view_row(FILE *out, const char *name, const char *value);

/* Region and zone of an object that has these fields: "local/zone1". */
const char *view_zone(const json_t *owner, char scratch[TABLE_SCRATCH_MAX]);

/* "2 d 3 h", "3 h 5 min", "5 min 9 s", "9 s". */
const char *view_uptime(uint64_t uptime_secs, char text[VIEW_UPTIME_MAX]);
