/* SPDX-License-Identifier: Apache-2.0
 *
 * handshake - the opening of a WebSocket (RFC 6455, 4.2), as far as it is about texts. Pure.
 */
#pragma once

#include "artemis-core/base/websocket_handshake.h"
#include "artemis-core/json/codec.h"

/* The headers of a request; NULL where one is absent. */
struct handshake {
    const char *http_version; /* "HTTP/1.1" */
    const char *upgrade;
    const char *connection;
    const char *version; /* Sec-WebSocket-Version */
    const char *key;     /* Sec-WebSocket-Key */
};

/* Checks the request, and computes the value of Sec-WebSocket-Accept. ERR_UPGRADE_REQUIRED (no
 * WebSocket is asked for, or of another version), ERR_INVALID_FIELD, with *message. */
MUST_USE enum error handshake_check(const struct handshake *handshake,
                                    char accept[WEBSOCKET_ACCEPT_BYTES],
                                    char message[MESSAGE_BYTES]);
