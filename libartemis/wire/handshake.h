/* SPDX-License-Identifier: Apache-2.0
 *
 * handshake - the client's side of the WebSocket opening handshake (RFC 6455, section 4).
 *
 * Pure, except that a key is random.
 */
#pragma once

#include "artemis-core/base/text.h"
#include "artemis-core/base/websocket_handshake.h"

enum { HANDSHAKE_RESPONSE_MAX = 16 * 1024 };

/* Writes a key: 16 random bytes in base64. */
void handshake_make_key(char key[WEBSOCKET_KEY_BYTES]);

/* Appends the request for `path` below the URL (http://host:port/...). `authorization` may be NULL.
 * Check text_failed. */
void handshake_write(struct text *out, const char *url, const char *path, const char *key,
                     const char *authorization);

enum handshake_result {
    HANDSHAKE_INCOMPLETE, /* more bytes are needed */
    HANDSHAKE_OPEN,       /* the bytes after `size_bytes` are frames */
    HANDSHAKE_REFUSED,    /* an HTTP response with another status */
    HANDSHAKE_INVALID,    /* not HTTP, longer than HANDSHAKE_RESPONSE_MAX, or not allowed */
};

struct handshake_response {
    size_t size_bytes;
    int status;
    uint64_t retry_after_ms; /* 0: absent */
};

enum handshake_result handshake_read(struct slice received, const char *key,
                                     struct handshake_response *response);
