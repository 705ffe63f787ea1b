/* SPDX-License-Identifier: Apache-2.0
 *
 * status_writer - helpers of the status and cluster handlers: the beginning of a response, and
 * members of JSON objects. Called on the web thread of the request.
 */
#pragma once

#include "artemis-web/http/request.h"

/* Begins a response: opens the object and writes response_status. */
struct json_writer status_begin(struct request *request, struct response *response);
/* Reads region and zone from the query or the body. They filter nothing; the casing of their names
 * decides the casing of the response. */
MUST_USE enum error status_read_casing(struct request *request, char message[MESSAGE_BYTES]);

void named_string(struct json_writer *w, const char *name, const char *value);
void named_u64(struct json_writer *w, const char *name, uint64_t value);
void named_bool(struct json_writer *w, const char *name, bool value);

/* Writes an object that describes this node. */
void status_write_this_node(struct json_writer *w, struct request *request);
