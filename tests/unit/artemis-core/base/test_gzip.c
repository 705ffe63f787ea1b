/* SPDX-License-Identifier: Apache-2.0
 *
 * Compressed data is decompressed to the same bytes. Data that is cut, damaged at any byte or
 * followed by other bytes is refused. The limit is exact.
 */
#include "artemis-core/base/gzip.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

enum { NO_LIMIT = 1 << 30 };

static struct slice slice_of_text(const struct text *text)
{
    return (struct slice){text->data, text->size};
}

static struct text packed(struct slice data)
{
    struct text out = {0};
    assert_int_equal(gzip_compress(data, &out), ERR_NONE);
    return out;
}

/* Bytes that pack badly, or well. */
static struct text sample(size_t size, bool noise)
{
    struct text text = {0};
    for (size_t i = 0; i < size; i++)
        text_append_char(&text, noise ? (char)rand() : 'x');
    assert_false(text_failed(&text));
    return text;
}

static void round_trip_of_every_size(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 100, 32767, 32768, 32769, 65536, 1000000};
    srand(1);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (int noise = 0; noise < 2; noise++) {
            struct text data = sample(sizes[i], noise);
            struct text small = packed(slice_of_text(&data));
            struct text again = {0};
            assert_int_equal(gzip_decompress(slice_of_text(&small), NO_LIMIT, &again), ERR_NONE);
            assert_true(slice_equal(slice_of_text(&again), slice_of_text(&data)));
            text_free(&data);
            text_free(&small);
            text_free(&again);
        }
    }
}

static void both_append_to_existing_content(void **state)
{
    (void)state;
    struct text small = {0};
    text_append_string(&small, "<<");
    assert_int_equal(gzip_compress(SLICE("content"), &small), ERR_NONE);
    assert_memory_equal(small.data, "<<\x1f\x8b", 4);
    struct text out = {0};
    text_append_string(&out, "before ");
    assert_int_equal(
        gzip_decompress((struct slice){small.data + 2, small.size - 2}, NO_LIMIT, &out), ERR_NONE);
    assert_string_equal(text_string(&out), "before content");
    text_free(&small);
    text_free(&out);
}

static void check_rejected(struct slice data, size_t limit, enum error expected)
{
    struct text out = {0};
    assert_int_equal(gzip_decompress(data, limit, &out), expected);
    text_free(&out);
}

static void decompress_cut_at_every_byte(void **state)
{
    (void)state;
    struct text data = sample(3000, true);
    struct text small = packed(slice_of_text(&data));
    for (size_t size = 0; size < small.size; size++)
        check_rejected((struct slice){small.data, size}, NO_LIMIT, ERR_INVALID_JSON);
    text_free(&data);
    text_free(&small);
}

/* The length and the sum at the end give a changed bit away. Bits that say nothing (time and system
 * in the header, padding) may change; the content may not. */
static void decompress_with_each_bit_damaged(void **state)
{
    (void)state;
    struct text data = sample(100, true);
    struct text small = packed(slice_of_text(&data));
    for (size_t bit = 0; bit < small.size * 8; bit++) {
        char mask = (char)(1 << bit % 8);
        struct text out = {0};
        small.data[bit / 8] ^= mask;
        enum error error = gzip_decompress(slice_of_text(&small), NO_LIMIT, &out);
        small.data[bit / 8] ^= mask;
        if (error)
            assert_int_equal(error, ERR_INVALID_JSON);
        else
            assert_true(slice_equal(slice_of_text(&out), slice_of_text(&data)));
        text_free(&out);
    }
    text_free(&data);
    text_free(&small);
}

static void decompress_garbage(void **state)
{
    (void)state;
    check_rejected(SLICE(""), NO_LIMIT, ERR_INVALID_JSON);
    check_rejected((struct slice){0}, NO_LIMIT, ERR_INVALID_JSON);
    check_rejected(SLICE("{\"instances\":[]}"), NO_LIMIT, ERR_INVALID_JSON);
    check_rejected(SLICE("\x1f\x8b\x08\0\0\0\0\0\0\3 not deflate at all"), NO_LIMIT,
                   ERR_INVALID_JSON);
    srand(2);
    for (int i = 0; i < 1000; i++) {
        struct text noise = sample((size_t)(rand() % 200), true);
        check_rejected(slice_of_text(&noise), NO_LIMIT, ERR_INVALID_JSON);
        text_free(&noise);
    }
}

static void decompress_with_bytes_after_the_end(void **state)
{
    (void)state;
    struct text small = packed(SLICE("content"));
    struct text twice = packed(SLICE("content"));
    text_append_slice(&twice, slice_of_text(&small));
    check_rejected(slice_of_text(&twice), NO_LIMIT, ERR_INVALID_JSON);
    text_append_char(&small, '\0');
    check_rejected(slice_of_text(&small), NO_LIMIT, ERR_INVALID_JSON);
    text_free(&small);
    text_free(&twice);
}

static void decompress_up_to_the_limit_and_not_beyond(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 1000, 32767, 32768, 32769, 65536, 200000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct text data = sample(sizes[i], false);
        struct text small = packed(slice_of_text(&data));
        struct text out = {0};
        assert_int_equal(gzip_decompress(slice_of_text(&small), sizes[i], &out), ERR_NONE);
        assert_int_equal(out.size, sizes[i]);
        if (sizes[i])
            check_rejected(slice_of_text(&small), sizes[i] - 1, ERR_BODY_TOO_LARGE);
        text_free(&data);
        text_free(&small);
        text_free(&out);
    }
}

static void decompress_without_a_limit(void **state)
{
    (void)state;
    struct text small = packed(SLICE("content"));
    struct text out = {0};
    assert_int_equal(gzip_decompress(slice_of_text(&small), SIZE_MAX, &out), ERR_NONE);
    assert_string_equal(text_string(&out), "content");
    text_free(&small);
    text_free(&out);
}

/* 100 MiB in 100 KiB: refused, and without ever taking more memory than about the limit. */
static void decompress_a_bomb(void **state)
{
    (void)state;
    struct text data = sample((size_t)100 << 20, false);
    struct text small = packed(slice_of_text(&data));
    text_free(&data);
    assert_true(small.size < 1 << 20);
    struct text out = {0};
    assert_int_equal(gzip_decompress(slice_of_text(&small), 1 << 20, &out), ERR_BODY_TOO_LARGE);
    assert_true(out.capacity <= 2 << 20);
    text_free(&small);
    text_free(&out);
}

/* Out-arguments stay as they were when a call fails (CONTRIBUTING.md, "Errors"). */
static void decompress_that_fails_adds_nothing(void **state)
{
    (void)state;
    struct text data = sample(100000, true);
    struct text small = packed(slice_of_text(&data));
    struct text more = packed(SLICE("content"));
    text_append_char(&more, '\0');
    const struct {
        struct slice data;
        size_t limit;
    } cases[] = {
        {{small.data, small.size - 1}, NO_LIMIT},  /* cut short */
        {{small.data, small.size}, data.size - 1}, /* over the limit */
        {{more.data, more.size}, NO_LIMIT},        /* something behind it */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct text out = {0};
        text_append_string(&out, "before");
        assert_int_not_equal(gzip_decompress(cases[i].data, cases[i].limit, &out), ERR_NONE);
        assert_int_equal(out.size, strlen("before"));
        text_free(&out);
    }
    text_free(&data);
    text_free(&small);
    text_free(&more);
}

/* --- failed allocations: ours are those of the text; zlib's own pass by ----------------------- */

static void compress_without_memory(void **state)
{
    (void)state;
    for (long n = 1;; n++) {
        struct text out = {0};
        long live = failing_malloc_live();
        failing_malloc_after(n);
        enum error error = gzip_compress(SLICE("content"), &out);
        bool happened = failing_malloc_happened();
        assert_int_equal(error, happened ? ERR_NO_MEMORY : ERR_NONE);
        text_free(&out);
        assert_int_equal(failing_malloc_live(), live);
        if (!happened) {
            assert_true(n > 1);
            return;
        }
    }
}

static void decompress_without_memory(void **state)
{
    (void)state;
    struct text data = sample(200000, true);
    struct text small = packed(slice_of_text(&data));
    for (long n = 1;; n++) {
        struct text out = {0};
        long live = failing_malloc_live();
        failing_malloc_after(n);
        enum error error = gzip_decompress(slice_of_text(&small), NO_LIMIT, &out);
        bool happened = failing_malloc_happened();
        assert_int_equal(error, happened ? ERR_NO_MEMORY : ERR_NONE);
        text_free(&out);
        assert_int_equal(failing_malloc_live(), live);
        if (!happened) {
            assert_true(n > 3);
            break;
        }
    }
    text_free(&data);
    text_free(&small);
}

/* --- streams ---------------------------------------------------------------------------------- */

/* Compresses `data` in pieces of `step` bytes. */
static struct text stream_packed(struct slice data, size_t step)
{
    struct gzip_stream *stream = NULL;
    struct text out = {0};
    assert_int_equal(gzip_stream_create(true, &stream), ERR_NONE);
    for (size_t at = 0; at < data.size; at += step) {
        size_t left = data.size - at;
        struct slice piece = {data.data + at, left < step ? left : step};
        assert_int_equal(gzip_stream_compress(stream, piece, false, &out), ERR_NONE);
    }
    assert_int_equal(gzip_stream_compress(stream, (struct slice){0}, true, &out), ERR_NONE);
    gzip_stream_free(stream);
    return out;
}

/* Decompresses in pieces. Sets *ended if the stream is complete. */
static enum error stream_unpack(struct slice packed, size_t step, struct text *out, bool *ended)
{
    struct gzip_stream *stream = NULL;
    enum error error = ERR_NONE;
    *ended = false;
    assert_int_equal(gzip_stream_create(false, &stream), ERR_NONE);
    for (size_t at = 0; at < packed.size && !error; at += step) {
        size_t left = packed.size - at;
        struct slice piece = {packed.data + at, left < step ? left : step};
        error = gzip_stream_decompress(stream, piece, out, ended);
    }
    gzip_stream_free(stream);
    return error;
}

static void streams_round_trip_in_any_pieces(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 32768, 300000};
    static const size_t steps[] = {1, 1000, 65536};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        for (size_t k = 0; k < sizeof(steps) / sizeof(steps[0]); k++) {
            bool ended;
            struct text data = sample(sizes[i], i % 2 == 0);
            struct text small = stream_packed(slice_of_text(&data), steps[k]);
            struct text again = {0};
            assert_int_equal(stream_unpack(slice_of_text(&small), steps[k], &again, &ended),
                             ERR_NONE);
            assert_true(ended);
            assert_true(slice_equal(slice_of_text(&again), slice_of_text(&data)));
            text_free(&data);
            text_free(&small);
            text_free(&again);
        }
}

static void a_cut_or_damaged_stream_is_found(void **state)
{
    (void)state;
    bool ended;
    struct text data = sample(2000, true);
    struct text small = stream_packed(slice_of_text(&data), 500);
    struct text out = {0};
    for (size_t cut = 0; cut < small.size; cut++) {
        assert_int_equal(stream_unpack((struct slice){small.data, cut}, 64, &out, &ended),
                         ERR_NONE);
        assert_false(ended);
        text_clear(&out);
    }
    for (size_t at = small.size / 2; at < small.size; at++) { /* the data, checksum and size */
        small.data[at] ^= 1;
        enum error error = stream_unpack(slice_of_text(&small), 64, &out, &ended);
        assert_true(error == ERR_INVALID_JSON || !ended);
        text_clear(&out);
        small.data[at] ^= 1;
    }
    text_append_char(&small, 'x');
    assert_int_equal(stream_unpack(slice_of_text(&small), 64, &out, &ended), ERR_INVALID_JSON);
    text_free(&data);
    text_free(&small);
    text_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_round_trip_in_any_pieces),
        cmocka_unit_test(a_cut_or_damaged_stream_is_found),
        cmocka_unit_test(round_trip_of_every_size),
        cmocka_unit_test(both_append_to_existing_content),
        cmocka_unit_test(decompress_cut_at_every_byte),
        cmocka_unit_test(decompress_with_each_bit_damaged),
        cmocka_unit_test(decompress_garbage),
        cmocka_unit_test(decompress_with_bytes_after_the_end),
        cmocka_unit_test(decompress_up_to_the_limit_and_not_beyond),
        cmocka_unit_test(decompress_without_a_limit),
        cmocka_unit_test(decompress_a_bomb),
        cmocka_unit_test(decompress_that_fails_adds_nothing),
        cmocka_unit_test(compress_without_memory),
        cmocka_unit_test(decompress_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
