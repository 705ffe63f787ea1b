/* SPDX-License-Identifier: Apache-2.0
 *
 * gzip - compresses and decompresses whole bodies, and files piece by piece (zlib).
 *
 * Compression uses the fastest level, because a web thread does it between other requests.
 * Decompression of a body stops at a limit, so a small body cannot fill the memory. Pure and
 * thread-safe; a stream belongs to one thread.
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

/* --- streams ---------------------------------------------------------------------------------- */

struct gzip_stream;

/* One stream compresses, or decompresses. ERR_NO_MEMORY. */
MUST_USE enum error gzip_stream_create(bool compresses, struct gzip_stream **out);
void gzip_stream_free(struct gzip_stream *stream);
/* Appends the compressed form of the next piece to `out`; with `last`, also the end of the stream.
 * ERR_NO_MEMORY. */
MUST_USE enum error gzip_stream_compress(struct gzip_stream *stream, struct slice piece, bool last,
                                         struct text *out);
/* Appends the decompressed form of the next piece to `out`. Sets *ended when the stream is
 * complete. ERR_INVALID_JSON: damaged, or bytes after the end; ERR_NO_MEMORY. */
MUST_USE enum error gzip_stream_decompress(struct gzip_stream *stream, struct slice piece,
                                           struct text *out, bool *ended);
