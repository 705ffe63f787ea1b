/* SPDX-License-Identifier: Apache-2.0
 *
 * sha256 - SHA-256 digests, their hexadecimal form, and comparisons in constant time (with nettle).
 *
 * Pure and thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "artemis-core/base/text.h"

enum { SHA256_BYTES = 32, SHA256_HEX_BYTES = 2 * SHA256_BYTES + 1 };

struct sha256 {
    uint8_t bytes[SHA256_BYTES];
};

struct sha256 sha256_of(struct slice data);
/* Writes 64 lower-case digits and a zero. */
void sha256_write_hex(const struct sha256 *digest, char out[SHA256_HEX_BYTES]);
/* Reads 64 hexadecimal digits in either case. False: it is something else. */
bool sha256_read_hex(struct slice hex, struct sha256 *out);
/* Takes the same time wherever the digests differ. */
bool sha256_equal(const struct sha256 *a, const struct sha256 *b);
/* The same for texts; the time depends on their sizes only. */
bool text_equal_secret(struct slice a, struct slice b);
/* Writes bytes in base64 for URLs, without padding, and a zero: BASE64URL_BYTES(size) bytes. */
#define BASE64URL_BYTES(size) (((size)*4 + 2) / 3 + 1)
void base64url_write(const uint8_t *bytes, size_t size, char *out);
