/* SPDX-License-Identifier: Apache-2.0
 *
 * gzip - whole bodies in, whole bodies out (zlib).
 *
 * Compression takes the fastest level: a web thread does it between other requests. Decompression
 * stops at a limit, so a small body cannot become a large one. Pure and thread-safe.
 */
#pragma once

#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"

/* Appends the compressed `data` to `out`. ERR_NO_MEMORY. */
MUST_USE enum error gzip_compress(struct slice data, struct text *out);

/* Appends what `data` holds to `out`, `limit` bytes at most.
 * ERR_INVALID_JSON: not gzip, damaged or cut short. ERR_BODY_TOO_LARGE: over the limit.
 * ERR_NO_MEMORY. */
MUST_USE enum error gzip_decompress(struct slice data, size_t limit, struct text *out);
