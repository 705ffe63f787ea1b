/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/base/websocket_handshake.h"

#include <assert.h>
#include <nettle/base64.h>
#include <nettle/sha1.h>
#include <string.h>
#include <strings.h>

enum { KEY_CHARS = WEBSOCKET_KEY_BYTES - 1 };

static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455, section 1.3 */

static_assert(BASE64_ENCODE_RAW_LENGTH(WEBSOCKET_NONCE_BYTES) == KEY_CHARS, "the key fits");
static_assert(BASE64_ENCODE_RAW_LENGTH(SHA1_DIGEST_SIZE) + 1 == WEBSOCKET_ACCEPT_BYTES,
              "the accept value fits");

void websocket_key_make(const uint8_t nonce[WEBSOCKET_NONCE_BYTES], char key[WEBSOCKET_KEY_BYTES])
{
    base64_encode_raw(key, WEBSOCKET_NONCE_BYTES, nonce);
    key[KEY_CHARS] = '\0';
}

bool websocket_key_is_valid(const char *key)
{
    uint8_t nonce[BASE64_DECODE_LENGTH(KEY_CHARS)];
    size_t size = sizeof(nonce);
    struct base64_decode_ctx decoder;
    base64_decode_init(&decoder);
    return strlen(key) == KEY_CHARS &&
           base64_decode_update(&decoder, &size, nonce, KEY_CHARS, key) &&
           base64_decode_final(&decoder) && size == WEBSOCKET_NONCE_BYTES;
}

void websocket_accept(const char *key, char accept[WEBSOCKET_ACCEPT_BYTES])
{
    struct sha1_ctx hash;
    uint8_t digest[SHA1_DIGEST_SIZE];
    sha1_init(&hash);
    sha1_update(&hash, strlen(key), (const uint8_t *)key);
    sha1_update(&hash, sizeof(guid) - 1, (const uint8_t *)guid);
    sha1_digest(&hash, sizeof(digest), digest);
    base64_encode_raw(accept, sizeof(digest), digest);
    accept[WEBSOCKET_ACCEPT_BYTES - 1] = '\0';
}

static bool separates(char c)
{
    return c == ',' || c == ' ' || c == '\t';
}

bool websocket_list_has(struct slice list, const char *token)
{
    size_t token_size = strlen(token);
    for (size_t at = 0; at < list.size;) {
        size_t end = at;
        while (end < list.size && !separates(list.data[end]))
            end++;
        if (end - at == token_size && strncasecmp(list.data + at, token, token_size) == 0)
            return true;
        at = end + 1;
    }
    return false;
}
