/* SPDX-License-Identifier: Apache-2.0
 *
 * peer_requests - the messages of a replicator as HTTP: path and body. Pure.
 */
#pragma once

#include "artemis-core/base/text.h"
#include "artemis-server/replication/replicator.h"

/* The path below the peer's address, with its query. */
const char *request_path(enum message_kind kind);
bool peer_request_is_get(enum message_kind kind);
/* Appends the body of a POST. Failures stay in the text. */
void peer_request_write_body(const struct message *message, const struct registry *registry,
                             bool legacy, struct moment now, struct text *out);
