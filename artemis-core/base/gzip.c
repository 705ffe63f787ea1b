/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/base/gzip.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

enum { GZIP_WINDOW = 15 + 16, MEMORY_LEVEL = 8, STEP_BYTES = 32 * 1024 };

enum error gzip_compress(struct slice data, struct text *out)
{
    z_stream stream = {0};
    if (data.size > UINT_MAX)
        return ERR_NO_MEMORY;
    if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return ERR_NO_MEMORY;
    enum error result = ERR_NO_MEMORY;
    uLong bound = deflateBound(&stream, (uLong)data.size);
    char *to = text_reserve(out, bound);
    if (!to)
        goto out;
    stream.next_in = (Bytef *)(uintptr_t)data.data; /* zlib's old interface lacks the const */
    stream.avail_in = (uInt)data.size;
    stream.next_out = (Bytef *)to;
    stream.avail_out = (uInt)bound;
    if (deflate(&stream, Z_FINISH) != Z_STREAM_END)
        goto out;
    out->size += stream.total_out;
    result = ERR_NONE;
out:
    deflateEnd(&stream);
    return result;
}

/* Inflates one step. Sets *done at the end of the gzip member. */
static enum error inflate_step(z_stream *stream, size_t *left, struct text *out, bool *done)
{
    /* One byte more than the limit distinguishes a full body from one that is too large. */
    size_t space = *left < STEP_BYTES ? *left + 1 : STEP_BYTES;
    char *to = text_reserve(out, space);
    if (!to)
        return ERR_NO_MEMORY;
    stream->next_out = (Bytef *)to;
    stream->avail_out = (uInt)space;
    int code = inflate(stream, Z_NO_FLUSH);
    size_t got = space - stream->avail_out;
    if (got > *left)
        return ERR_BODY_TOO_LARGE;
    *left -= got;
    out->size += got;
    *done = code == Z_STREAM_END;
    if (code == Z_MEM_ERROR)
        return ERR_NO_MEMORY;
    if (code != Z_OK && code != Z_STREAM_END)
        return ERR_INVALID_JSON;
    /* All input is used and the end is missing: the body is truncated. */
    if (!*done && stream->avail_in == 0 && stream->avail_out > 0)
        return ERR_INVALID_JSON;
    return ERR_NONE;
}

enum error gzip_decompress(struct slice data, size_t limit, struct text *out)
{
    z_stream stream = {0};
    if (data.size > UINT_MAX)
        return ERR_BODY_TOO_LARGE;
    if (inflateInit2(&stream, GZIP_WINDOW) != Z_OK)
        return ERR_NO_MEMORY;
    stream.next_in = (Bytef *)(uintptr_t)data.data;
    stream.avail_in = (uInt)data.size;
    size_t left = limit;
    size_t before = out->size;
    bool done = false;
    enum error result = ERR_NONE;
    while (result == ERR_NONE && !done)
        result = inflate_step(&stream, &left, out, &done);
    if (result == ERR_NONE && stream.avail_in > 0)
        result = ERR_INVALID_JSON; /* bytes after the end */
    if (result)
        out->size = before;
    inflateEnd(&stream);
    return result;
}

/* --- streams ---------------------------------------------------------------------------------- */

struct gzip_stream {
    z_stream z;
    bool compresses;
    bool ended;
};

enum error gzip_stream_create(bool compresses, struct gzip_stream **out)
{
    struct gzip_stream *stream = calloc(1, sizeof(*stream));
    if (!stream)
        return ERR_NO_MEMORY;
    int code = compresses ? deflateInit2(&stream->z, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW,
                                         MEMORY_LEVEL, Z_DEFAULT_STRATEGY)
                          : inflateInit2(&stream->z, GZIP_WINDOW);
    if (code != Z_OK) {
        free(stream);
        return ERR_NO_MEMORY;
    }
    stream->compresses = compresses;
    *out = stream;
    return ERR_NONE;
}

void gzip_stream_free(struct gzip_stream *stream)
{
    if (!stream)
        return;
    if (stream->compresses)
        deflateEnd(&stream->z);
    else
        inflateEnd(&stream->z);
    free(stream);
}

/* Runs zlib once into free space of `out`. Returns its code; Z_MEM_ERROR also without memory. */
static int run_once(struct gzip_stream *stream, int flush, struct text *out)
{
    char *to = text_reserve(out, STEP_BYTES);
    if (!to)
        return Z_MEM_ERROR;
    stream->z.next_out = (Bytef *)to;
    stream->z.avail_out = STEP_BYTES;
    int code = stream->compresses ? deflate(&stream->z, flush) : inflate(&stream->z, flush);
    out->size += STEP_BYTES - stream->z.avail_out;
    return code;
}

static void set_input(struct gzip_stream *stream, struct slice piece)
{
    assert(piece.size <= UINT_MAX);
    stream->z.next_in = (Bytef *)(uintptr_t)piece.data;
    stream->z.avail_in = (uInt)piece.size;
}

enum error gzip_stream_compress(struct gzip_stream *stream, struct slice piece, bool last,
                                struct text *out)
{
    set_input(stream, piece);
    int code;
    do
        code = run_once(stream, last ? Z_FINISH : Z_NO_FLUSH, out);
    while (code == Z_OK && stream->z.avail_out == 0);
    return code == Z_MEM_ERROR ? ERR_NO_MEMORY : ERR_NONE;
}

enum error gzip_stream_decompress(struct gzip_stream *stream, struct slice piece, struct text *out,
                                  bool *ended)
{
    if (stream->ended)
        return piece.size ? ERR_INVALID_JSON : ERR_NONE;
    set_input(stream, piece);
    int code;
    do
        code = run_once(stream, Z_NO_FLUSH, out);
    while (code == Z_OK && stream->z.avail_out == 0);
    stream->ended = code == Z_STREAM_END;
    *ended = stream->ended;
    if (code == Z_MEM_ERROR)
        return ERR_NO_MEMORY;
    bool is_waiting = code == Z_OK || code == Z_BUF_ERROR; /* for more input */
    return (is_waiting || stream->ended) && stream->z.avail_in == 0 ? ERR_NONE : ERR_INVALID_JSON;
}
