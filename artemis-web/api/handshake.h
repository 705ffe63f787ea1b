/* SPDX-License-Identifier: Apache-2.0
 *
 * handshake - the check of a WebSocket handshake (RFC 6455, section 4.2). Pure.
 */
#pragma once

#include "artemis-core/base/websocket_handshake.h"
#include "artemis-core/json/codec.h"

/* Headers of a request; NULL: absent. */
struct handshake {
    const char *http_version; /* "HTTP/1.1" */
    const char *upgrade;
    const char *connection;
    const char *version; /* Sec-WebSocket-Version */
    const char *key;     /* Sec-WebSocket-Key */
};

/* Checks the headers and writes the value of Sec-WebSocket-Accept. ERR_UPGRADE_REQUIRED (no upgrade
 * to WebSocket, or another version), ERR_INVALID_FIELD, with *message. */
MUST_USE enum error handshake_check(const struct handshake *handshake,
                                    char accept[WEBSOCKET_ACCEPT_BYTES],
                                    char message[MESSAGE_BYTES]);
