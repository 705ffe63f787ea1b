/* SPDX-License-Identifier: Apache-2.0
 *
 * gzip - compresses and decompresses whole bodies (zlib).
 *
 * Compression uses the fastest level, because a web thread does it between other requests.
 * Decompression stops at a limit, so a small body cannot fill the memory. Pure and thread-safe.
 */
#pragma once

#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"

/* Appends the compressed `data` to `out`. ERR_NO_MEMORY. */
MUST_USE enum error gzip_compress(struct slice data, struct text *out);

/* Appends the decompressed `data` to `out`, at most `limit` bytes.
 * ERR_INVALID_JSON: not gzip, damaged or truncated. ERR_BODY_TOO_LARGE: more than `limit`.
 * ERR_NO_MEMORY. */
MUST_USE enum error gzip_decompress(struct slice data, size_t limit, struct text *out);
