/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/gzip.h"

#include "tests/support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>
#define ZLIB_CONST
#include <zlib.h>

enum { GZIP_WINDOW = 15 + 16, BLOCK = 1 << 20 };

static void start(z_stream *stream)
{
    *stream = (z_stream){0};
    assert_int_equal(
        deflateInit2(stream, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY), Z_OK);
}

unsigned char *gzip_pack(const void *bytes, size_t size, size_t *packed_size)
{
    z_stream stream;
    start(&stream);
    uLong capacity = deflateBound(&stream, (uLong)size);
    unsigned char *packed = malloc(capacity);
    assert_non_null(packed);
    stream.next_in = bytes;
    stream.avail_in = (uInt)size;
    stream.next_out = packed;
    stream.avail_out = (uInt)capacity;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    *packed_size = stream.total_out;
    deflateEnd(&stream);
    return packed;
}

unsigned char *gzip_pack_bomb(char fill, size_t size, size_t *packed_size)
{
    z_stream stream;
    start(&stream);
    size_t capacity = size / 100 + BLOCK;
    unsigned char *packed = malloc(capacity);
    unsigned char *block = malloc(BLOCK);
    assert_non_null(packed);
    assert_non_null(block);
    memset(block, fill, BLOCK);
    stream.next_out = packed;
    stream.avail_out = (uInt)capacity;
    for (size_t left = size; left > 0; left -= left < BLOCK ? left : BLOCK) {
        stream.next_in = block;
        stream.avail_in = left < BLOCK ? (uInt)left : BLOCK;
        assert_int_equal(deflate(&stream, Z_NO_FLUSH), Z_OK);
    }
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    *packed_size = stream.total_out;
    deflateEnd(&stream);
    free(block);
    return packed;
}

char *gzip_unpack(const void *packed, size_t packed_size, size_t *size)
{
    z_stream stream = {0};
    size_t capacity = packed_size * 100 + BLOCK;
    char *bytes = calloc(1, capacity + 1);
    assert_non_null(bytes);
    assert_int_equal(inflateInit2(&stream, GZIP_WINDOW), Z_OK);
    stream.next_in = packed;
    stream.avail_in = (uInt)packed_size;
    stream.next_out = (unsigned char *)bytes;
    stream.avail_out = (uInt)capacity;
    int outcome = inflate(&stream, Z_FINISH);
    *size = stream.total_out;
    inflateEnd(&stream);
    if (outcome != Z_STREAM_END || stream.avail_in > 0) {
        free(bytes);
        return NULL;
    }
    return bytes;
}
