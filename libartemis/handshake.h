/* SPDX-License-Identifier: Apache-2.0
 *
 * handshake - the opening of a WebSocket (RFC 6455, section 4), as the client sees it.
 *
 * Pure, but that a key is random.
 */
#pragma once

#include "artemis-core/base/text.h"

enum { HANDSHAKE_KEY_BYTES = 25, HANDSHAKE_ACCEPT_BYTES = 29, HANDSHAKE_ANSWER_MAX = 16 * 1024 };

/* A key of 16 random bytes, as text. */
void handshake_make_key(char key[HANDSHAKE_KEY_BYTES]);
/* What the server has to say to it. */
void handshake_accept(const char *key, char accept[HANDSHAKE_ACCEPT_BYTES]);

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
