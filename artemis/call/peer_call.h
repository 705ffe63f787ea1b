/* SPDX-License-Identifier: Apache-2.0
 *
 * peer_call - calls a node as a peer of its cluster, for commands that read or restore records.
 *
 * peer_call_identify asks a node for its name and its cluster. The routes for peers then accept
 * calls with its `headers`.
 *
 * Blocks as curl_call does. Not thread-safe.
 */
#pragma once

#include "artemis/call/server_call.h"

struct call_peer {
    struct server_url url;
    struct server_credentials credentials;
    long timeout_secs;
    char name[CALL_HEADER_MAX];
    char cluster[CALL_HEADER_MAX];
    char cluster_header[CALL_HEADER_MAX + 32];
    char *token_header; /* "Authorization: ..."; NULL: no token */
    const char *headers[4];
};

/* Fills everything but `url`, `credentials` and `timeout_secs`, which the caller has set; the token
 * is that of the command line (TOKEN_OPTIONS). Prints the error; returns an exit code. The peer
 * must not move afterwards. */
int peer_call_identify(struct call_peer *peer, const struct args *args);
void peer_call_free(struct call_peer *peer); /* also one that is zero */
/* Identifies the first reachable server of --server or ARTEMIS_URL (SERVER_OPTIONS). Prints
 * the error; returns an exit code. */
int peer_call_find(struct call_peer *peer, const struct args *args);
/* Prints why a response cannot be used. Returns an exit code. */
int peer_call_report(const struct call_peer *peer, const struct call_response *response);
