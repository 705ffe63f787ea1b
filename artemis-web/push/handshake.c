/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/push/handshake.h"

#include <assert.h>
#include <nettle/base64.h>
#include <nettle/sha1.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    NONCE_BYTES = 16,
    KEY_CHARS = 24, /* of it in base64 */
    QUOTED_BYTES = 160,
};

static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455, 1.3 */

static_assert(ACCEPT_BYTES == BASE64_ENCODE_RAW_LENGTH(SHA1_DIGEST_SIZE) + 1, "and a terminator");

/* Does a list like "keep-alive, Upgrade" have this token? */
static bool has_token(const char *list, const char *token)
{
    while (list && *list) {
        list += strspn(list, " \t,");
        size_t size = strcspn(list, " \t,");
        if (size == strlen(token) && strncasecmp(list, token, size) == 0)
            return true;
        list += size;
    }
    return false;
}

static bool is_key(const char *key)
{
    uint8_t nonce[BASE64_DECODE_LENGTH(KEY_CHARS)];
    size_t size = sizeof(nonce);
    struct base64_decode_ctx decoder;
    base64_decode_init(&decoder);
    return strlen(key) == KEY_CHARS &&
           base64_decode_update(&decoder, &size, nonce, KEY_CHARS, key) &&
           base64_decode_final(&decoder) && size == NONCE_BYTES;
}

static void compute_accept(const char *key, char accept[ACCEPT_BYTES])
{
    struct sha1_ctx hash;
    uint8_t digest[SHA1_DIGEST_SIZE];
    sha1_init(&hash);
    sha1_update(&hash, KEY_CHARS, (const uint8_t *)key);
    sha1_update(&hash, strlen(magic), (const uint8_t *)magic);
    sha1_digest(&hash, sizeof(digest), digest);
    base64_encode_raw(accept, sizeof(digest), digest);
    accept[ACCEPT_BYTES - 1] = '\0';
}

static enum error refuse(enum error error, char message[MESSAGE_BYTES], const char *rule,
                         const char *value)
{
    char quoted[QUOTED_BYTES] = "missing";
    if (value)
        text_quote(quoted, sizeof(quoted), slice_of(value));
    snprintf(message, MESSAGE_BYTES, "%s, is %s", rule, quoted);
    return error;
}

enum error handshake_check(const struct handshake *handshake, char accept[ACCEPT_BYTES],
                           char message[MESSAGE_BYTES])
{
    if (!has_token(handshake->upgrade, "websocket"))
        return refuse(ERR_UPGRADE_REQUIRED, message,
                      "Upgrade: this path speaks WebSocket; must be websocket", handshake->upgrade);
    if (strcmp(handshake->http_version, "HTTP/1.1") != 0)
        return refuse(ERR_INVALID_FIELD, message, "request: a WebSocket needs HTTP/1.1",
                      handshake->http_version);
    if (!has_token(handshake->connection, "upgrade"))
        return refuse(ERR_INVALID_FIELD, message, "Connection: must have Upgrade",
                      handshake->connection);
    if (!handshake->version || strcmp(handshake->version, "13") != 0)
        return refuse(ERR_UPGRADE_REQUIRED, message, "Sec-WebSocket-Version: must be 13",
                      handshake->version);
    if (!handshake->key || !is_key(handshake->key))
        return refuse(ERR_INVALID_FIELD, message, "Sec-WebSocket-Key: must be 16 bytes in base64",
                      handshake->key);
    compute_accept(handshake->key, accept);
    return ERR_NONE;
}
