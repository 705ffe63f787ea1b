/* SPDX-License-Identifier: Apache-2.0
 *
 * status_writer - what the handlers for operators share: how an answer begins, and named members.
 */
#pragma once

#include "artemis-web/http/request.h"

/* Begins an answer: the brace and the status. */
struct json_writer status_begin(struct request *request, struct response *reply);
/* Region and zone may be asked for, and filter nothing; they still tell the casing of the
 * answer. */
MUST_USE enum error status_read_casing(struct request *request, char message[MESSAGE_BYTES]);

void named_string(struct json_writer *w, const char *name, const char *value);
void named_u64(struct json_writer *w, const char *name, uint64_t value);
void named_bool(struct json_writer *w, const char *name, bool value);

/* All that is told of this node, as an object. */
void status_write_this_node(struct json_writer *w, struct request *request);
