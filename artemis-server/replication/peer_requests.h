/* SPDX-License-Identifier: Apache-2.0
 *
 * peer_requests - the HTTP requests for the messages of a replicator: path and body. Pure.
 */
#pragma once

#include "artemis-core/base/text.h"
#include "artemis-server/replication/replicator.h"

/* The path below the peer's address. */
const char *peer_request_path(enum message_kind kind);
bool peer_request_is_get(enum message_kind kind);
/* Appends the body of a POST. An allocation failure is recorded in the text. */
void peer_request_write_body(const struct message *message, const struct registry *registry,
                             bool is_legacy, struct moment now, struct text *out);
