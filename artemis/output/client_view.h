/* SPDX-License-Identifier: Apache-2.0
 *
 * client_view - prints responses of the server as text.
 *
 * Each function prints one response that was evaluated as done (client_response). A missing field
 * is left blank or left out, and a field of another type is ignored, so that this client reads the
 * responses of older and newer servers. All text is escaped for a terminal (client_text).
 * `columns_max` is the width to fit; 0: no limit.
 *
 * Pure but for the stream. The JSON is borrowed.
 */
#pragma once

#include "artemis-core/base/error.h"
#include "artemis/client/client_response.h"
#include "artemis/output/client_table.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CLIENT_UPTIME_MAX 48

/* Prints one line for each service, sorted by name: the number of instances, and how many are up.
 * ERR_NO_MEMORY. */
MUST_USE enum error client_view_services(const json_t *root, FILE *out, size_t columns_max);

struct client_service_view {
    const char *service;
    bool all;           /* every status was requested; selects the message for an empty list */
    bool wide;          /* show protocol, machine and metadata; also on a terminal that is wide */
    size_t columns_max; /* width to fit; 0: no limit */
};

/* Prints one line for each instance of one service, in the order of the response. */
void client_view_service(const json_t *root, const struct client_service_view *view, FILE *out);

/* Prints a node's `node_status` as lines of name and value. `ready` is the response of /ready: its
 * headers fill in missing fields, and the body of a 503 states why the node is not ready. `leases`
 * is the response of /api/status/leases, for the line of the guard; NULL: no line. */
void client_view_status(const json_t *root, const struct client_response *ready,
                        const json_t *leases, FILE *out);

/* Prints one line for each setting of a response of /api/status/config: name, value, source. */
void client_view_settings(const json_t *root, FILE *out, size_t columns_max);

/* Prints a line of name and value; nothing for an empty value. */
void client_view_row(FILE *out, const char *name, const char *value);

/* Region and zone of an object that has these fields: "local/zone1". */
const char *client_view_zone(const json_t *owner, char scratch[CLIENT_TABLE_SCRATCH_MAX]);

/* "2 d 3 h", "3 h 5 min", "5 min 9 s", "9 s". */
const char *client_view_uptime(uint64_t uptime_secs, char text[CLIENT_UPTIME_MAX]);
