/* SPDX-License-Identifier: Apache-2.0
 *
 * handshake - the opening of a WebSocket (RFC 6455, section 4), as the client sees it.
 *
 * Pure, but that a key is random.
 */
#pragma once

#include "artemis-core/base/text.h"
#include "artemis-core/base/websocket_handshake.h"

enum { HANDSHAKE_ANSWER_MAX = 16 * 1024 };

/* A key of 16 random bytes, as text. */
void handshake_make_key(char key[WEBSOCKET_KEY_BYTES]);

/* The request for `path` below the URL (http://host:port/...). `authorization` may be NULL. Ask
 * text_failed. */
void handshake_write(struct text *out, const char *url, const char *path, const char *key,
                     const char *authorization);

enum handshake_end {
    HANDSHAKE_PART,     /* there must be more */
    HANDSHAKE_OPEN,     /* what follows after `size_bytes` are frames */
    HANDSHAKE_REFUSED,  /* an HTTP answer with another status */
    HANDSHAKE_NONSENSE, /* no HTTP, too long, or not what a server may say */
};

struct handshake_answer {
    size_t size_bytes;
    int status;
    unsigned retry_after_secs; /* 0: not said */
};

enum handshake_end handshake_read(struct slice received, const char *key,
                                  struct handshake_answer *answer);
