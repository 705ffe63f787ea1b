/* SPDX-License-Identifier: Apache-2.0
 *
 * client_view - the server's answers, for people.
 *
 * Each function prints one answer that was judged as done (client_answer). Fields are taken as they
 * come: what is missing is left blank or out, what is of another type is passed over, so that a
 * client reads older and newer servers. All text is made safe (client_text). `columns_max` is the
 * width to fit, 0 for none.
 *
 * Pure but for the stream. The JSON is borrowed.
 */
#pragma once

#include "artemis-core/base/error.h"
#include "artemis/client_answer.h"
#include "artemis/client_table.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CLIENT_UPTIME_MAX 48

/* A line for each service, sorted by name: how many instances there are, and how many are up.
 * ERR_NO_MEMORY. */
MUST_USE enum error client_view_services(const json_t *root, FILE *out, size_t columns_max);

/* A line for each instance of one service, in the order of the answer. `all` says whether every
 * status was asked for, for the sentence when there is none. */
void client_view_service(const json_t *root, const char *service, bool all, FILE *out,
                         size_t columns_max);

/* A node's `node_status` as lines of name and value. `ready` is the answer of /ready, whatever it
 * is: its headers fill in what is missing, and a 503 says why the node is not ready. */
void client_view_status(const json_t *root, const struct client_answer *ready, FILE *out);

/* The items that were refused, a line for each of the first ten. */
void client_view_failed(const json_t *failed, FILE *out);

/* A line of name and value; none for an empty value. */
void client_view_row(FILE *out, const char *name, const char *value);

/* Region and zone of an object that has them: "local/zone1". */
const char *client_view_zone(const json_t *owner, char scratch[CLIENT_TABLE_SCRATCH_MAX]);

/* "2 d 3 h", "3 h 5 min", "5 min 9 s", "9 s". */
const char *client_view_uptime(uint64_t uptime_secs, char text[CLIENT_UPTIME_MAX]);
