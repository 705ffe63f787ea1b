/* SPDX-License-Identifier: Apache-2.0
 *
 * authentication - checks the token of a request against the role of its route, and the headers by
 * which a node of this cluster names itself.
 *
 * A peer with a certificate (cluster.tls) needs none, except for the routes of the role admin. A
 * token comes in the field `Authorization: Bearer SECRET`, exactly once, and nowhere else. A
 * secret is never logged or written into a response. Failures are recorded in the audit log (at
 * most a few per second), counted, and slowed down for their address (artemis-server/auth/auth.h).
 *
 * A connection belongs to its web thread.
 */
#pragma once

#include "artemis-web/http/web_internal.h"

/* Checks the header of a request, and sets request->token. Does nothing on a node without tokens.
 * ERR_NO_TOKEN, ERR_INVALID_TOKEN, ERR_TOKEN_EXPIRED, ERR_NO_PERMISSION, ERR_NO_MEMORY. */
MUST_USE enum error authentication_check(struct http_connection *http);
/* Checks whether the token is still valid, before the request is executed: it may have ended while
 * the body arrived or a long poll waited. ERR_TOKEN_EXPIRED, ERR_INVALID_TOKEN. */
MUST_USE enum error authentication_check_again(const struct request *request);
/* Whether an error is one of the above. */
bool authentication_has_failed(enum error error);
/* Counts and logs a failure. Returns for how long the response has to wait, in ms; 0 for
 * ERR_NO_PERMISSION, because the token is known. */
uint64_t authentication_failed(struct http_connection *http, enum error error);
/* Writes the message for an error. */
void authentication_describe(const struct http_connection *http, enum error error,
                             char message[MESSAGE_BYTES]);
/* Checks the headers of a replication request: ERR_NOT_A_PEER, ERR_CLUSTER_MISMATCH,
 * ERR_NODE_BLOCKED. They prevent mistakes and prove nothing. */
MUST_USE enum error authentication_check_peer(const struct request *request);
/* Writes the message for such an error and logs the refused request. */
void authentication_describe_peer(const struct request *request, enum error error,
                                  char message[MESSAGE_BYTES]);
/* Frees what a connection has kept. */
void authentication_end(struct http_connection *http);
