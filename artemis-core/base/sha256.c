/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/base/sha256.h"

#include <ctype.h>
#include <nettle/base16.h>
#include <nettle/base64.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <string.h>

struct sha256 sha256_of(struct slice data)
{
    struct sha256_ctx hash;
    struct sha256 digest;
    sha256_init(&hash);
    sha256_update(&hash, data.size, (const uint8_t *)data.data);
    sha256_digest(&hash, sizeof(digest.bytes), digest.bytes);
    return digest;
}

void sha256_write_hex(const struct sha256 *digest, char out[SHA256_HEX_BYTES])
{
    base16_encode_update(out, sizeof(digest->bytes), digest->bytes);
    out[SHA256_HEX_BYTES - 1] = '\0';
}

bool sha256_read_hex(struct slice hex, struct sha256 *out)
{
    struct base16_decode_ctx decoder;
    uint8_t bytes[BASE16_DECODE_LENGTH(SHA256_HEX_BYTES)];
    size_t size = sizeof(bytes);
    if (hex.size != SHA256_HEX_BYTES - 1)
        return false;
    for (size_t i = 0; i < hex.size; i++)
        if (!isxdigit((unsigned char)hex.data[i]))
            return false; /* nettle would skip white space */
    base16_decode_init(&decoder);
    if (!base16_decode_update(&decoder, &size, bytes, hex.size, hex.data) ||
        !base16_decode_final(&decoder) || size != SHA256_BYTES)
        return false;
    memcpy(out->bytes, bytes, SHA256_BYTES);
    return true;
}

bool sha256_equal(const struct sha256 *a, const struct sha256 *b)
{
    return memeql_sec(a->bytes, b->bytes, SHA256_BYTES);
}

bool text_equal_secret(struct slice a, struct slice b)
{
    uint64_t differences = a.size ^ b.size;
    size_t at = 0;
    if (differences)
        return false;
    for (; a.size - at >= sizeof(uint64_t); at += sizeof(uint64_t)) {
        uint64_t left;
        uint64_t right;
        memcpy(&left, a.data + at, sizeof(left));
        memcpy(&right, b.data + at, sizeof(right));
        differences |= left ^ right;
    }
    for (; at < a.size; at++)
        differences |= (uint64_t)(a.data[at] ^ b.data[at]);
    return differences == 0;
}

void base64url_write(const uint8_t *bytes, size_t size, char *out)
{
    struct base64_encode_ctx encoder;
    base64url_encode_init(&encoder);
    size_t length = base64_encode_update(&encoder, out, size, bytes);
    char end[BASE64_ENCODE_FINAL_LENGTH];
    size_t rest = base64_encode_final(&encoder, end);
    for (size_t i = 0; i < rest && end[i] != '='; i++)
        out[length++] = end[i];
    out[length] = '\0';
}
