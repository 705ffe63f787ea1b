/* SPDX-License-Identifier: Apache-2.0
 *
 * A text contains what was appended, also after it has grown. A failed allocation is kept until
 * text_failed. text_quote always returns valid, short, printable UTF-8.
 */
#include "artemis-core/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

static void slices_are_equal_by_content(void **state)
{
    (void)state;
    assert_true(slice_equal(SLICE("abc"), slice_of("abc")));
    assert_false(slice_equal(SLICE("abc"), SLICE("abd")));
    assert_false(slice_equal(SLICE("abc"), SLICE("ab")));
    assert_true(slice_equal((struct slice){NULL, 0}, SLICE("")));
    assert_true(slice_equal(slice_of(NULL), SLICE("")));
    assert_false(slice_equal(slice_of(NULL), SLICE("a")));
    assert_true(slice_equal(SLICE("a\0b"), SLICE("a\0b")));
    assert_false(slice_equal(SLICE("a\0b"), SLICE("a\0c")));
}

static void number_has_digits_alone_and_fits_64_bits(void **state)
{
    (void)state;
    static const char *const refused[] = {"",
                                          "-1",
                                          "+1",
                                          " 1",
                                          "1 ",
                                          "1a",
                                          "0x1",
                                          "1.0",
                                          "18446744073709551616",
                                          "99999999999999999999"};
    uint64_t number = 7;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        assert_false(slice_to_u64(slice_of(refused[i]), &number));
    assert_int_equal(number, 7); /* unchanged */
    assert_true(slice_to_u64(SLICE("0"), &number));
    assert_int_equal(number, 0);
    assert_true(slice_to_u64(SLICE("0042"), &number));
    assert_int_equal(number, 42);
    assert_true(slice_to_u64(SLICE("18446744073709551615"), &number));
    assert_true(number == UINT64_MAX);
}

static void append_adds_each_kind(void **state)
{
    (void)state;
    struct text text = {0};
    text_append(&text, "ab", 2);
    text_append_slice(&text, SLICE("cd"));
    text_append_slice(&text, (struct slice){0});
    text_append_string(&text, "ef");
    text_append_char(&text, 'g');
    text_printf(&text, "%d-%s", 7, "h");
    assert_string_equal(text_string(&text), "abcdefg7-h");
    assert_int_equal(text.size, 10);
    assert_false(text_failed(&text));
    text_free(&text);
}

static void append_u64_bounds(void **state)
{
    (void)state;
    static const uint64_t numbers[] = {0, 9, 10, 65535, 1771070400000, UINT64_MAX};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        char expected[32];
        snprintf(expected, sizeof(expected), "%llu", (unsigned long long)numbers[i]);
        struct text text = {0};
        text_append_u64(&text, numbers[i]);
        assert_string_equal(text_string(&text), expected);
        text_free(&text);
    }
}

static void append_keeps_content_while_growing(void **state)
{
    (void)state;
    struct text text = {0};
    for (size_t i = 0; i < 100000; i++)
        text_append_char(&text, (char)('a' + i % 26));
    assert_int_equal(text.size, 100000);
    for (size_t i = 0; i < text.size; i++)
        assert_int_equal(text.data[i], 'a' + i % 26);
    text_free(&text);
}

static void printf_longer_than_the_capacity(void **state)
{
    (void)state;
    char *word = malloc(5001);
    memset(word, 'x', 5000);
    word[5000] = '\0';
    struct text text = {0};
    text_printf(&text, "<%s>", word);
    assert_int_equal(text.size, 5002);
    assert_int_equal(text.data[0], '<');
    assert_int_equal(text.data[5001], '>');
    text_free(&text);
    free(word);
}

static void string_of_an_empty_text(void **state)
{
    (void)state;
    struct text text = {0};
    assert_string_equal(text_string(&text), "");
    assert_int_equal(text.size, 0);
    text_free(&text);
    text_free(&text);
    assert_null(text.data);
}

static void clear_keeps_the_memory(void **state)
{
    (void)state;
    struct text text = {0};
    text_append_string(&text, "abc");
    char *data = text.data;
    text_clear(&text);
    assert_int_equal(text.size, 0);
    assert_ptr_equal(text.data, data);
    text_append_string(&text, "d");
    assert_string_equal(text_string(&text), "d");
    text_free(&text);
}

static void reserve_does_not_change_the_size(void **state)
{
    (void)state;
    struct text text = {0};
    text_append_string(&text, "ab");
    char *space = text_reserve(&text, 1000);
    assert_ptr_equal(space, text.data + 2);
    memset(space, 'x', 1000);
    assert_string_equal(text_string(&text), "ab");
    text_free(&text);
}

static void reserve_of_a_huge_size_fails(void **state)
{
    (void)state;
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2, SIZE_MAX / 4};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct text text = {0};
        text_append_string(&text, "ab");
        assert_null(text_reserve(&text, sizes[i]));
        assert_true(text_failed(&text));
        text_free(&text);
    }
}

/* --- failed allocations ----------------------------------------------------------------------- */

static void append_all(struct text *text)
{
    text_append_string(text, "start");
    for (int i = 0; i < 300; i++)
        text_printf(text, "%d,", i);
    for (uint64_t i = 0; i < 300; i++)
        text_append_u64(text, i);
    text_append_char(text, '.');
}

static void failed_allocation_is_kept_until_clear(void **state)
{
    (void)state;
    long n = 1;
    for (;; n++) {
        struct text text = {0};
        long live = failing_malloc_live();
        failing_malloc_after(n);
        append_all(&text);
        if (!failing_malloc_happened()) {
            assert_false(text_failed(&text));
            text_free(&text);
            break;
        }
        assert_true(text_failed(&text));
        assert_string_equal(text_string(&text), "");
        text_clear(&text);
        assert_false(text_failed(&text));
        text_append_string(&text, "again");
        assert_string_equal(text_string(&text), "again");
        text_free(&text);
        assert_int_equal(failing_malloc_live(), live);
    }
    assert_in_range(n, 3, 100);
}

/* --- UTF-8 ------------------------------------------------------------------------------------ */

static void sequence_that_is_cut_off_is_removed(void **state)
{
    (void)state;
    static const struct {
        const char *text, *left;
    } rows[] = {
        {"", ""},
        {"abc", "abc"},
        {"a\xc3\xa9", "a\xc3\xa9"},
        {"a\xc3", "a"},
        {"a\xe2\x82", "a"},
        {"a\xe2", "a"},
        {"a\xe2\x82\xac", "a\xe2\x82\xac"},
        {"a\xf0\x9f\x98", "a"},
        {"a\xf0\x9f\x98\x80", "a\xf0\x9f\x98\x80"},
        {"\xe2\x82", ""},
        {"\xff"
         "b",
         "\xff"
         "b"},
        {"\x80", "\x80"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[16];
        snprintf(text, sizeof text, "%s", rows[i].text);
        text_drop_partial(text);
        assert_string_equal(text, rows[i].left);
    }
}

static void utf8_is_recognized(void **state)
{
    (void)state;
    static const struct {
        struct slice bytes;
        bool valid;
    } cases[] = {
        {{"", 0}, true},
        {{"a\0b\x7f", 4}, true},
        {{"\xC2\x80", 2}, true}, /* the first and the last of each size */
        {{"\xDF\xBF", 2}, true},
        {{"\xE0\xA0\x80", 3}, true},
        {{"\xED\x9F\xBF", 3}, true},
        {{"\xEE\x80\x80", 3}, true},
        {{"\xEF\xBF\xBF", 3}, true},
        {{"\xF0\x90\x80\x80", 4}, true},
        {{"\xF4\x8F\xBF\xBF", 4}, true},
        {{"\x80", 1}, false},  /* a tail alone */
        {{"a\xC3", 2}, false}, /* cut short */
        {{"\xE2\x82", 2}, false},
        {{"\xF0\x9F\x98", 3}, false},
        {{"\xC3\x28", 2}, false},
        {{"\xE2\x82\x28", 3}, false},
        {{"\xC0\x80", 2}, false}, /* overlong */
        {{"\xC1\xBF", 2}, false},
        {{"\xE0\x9F\xBF", 3}, false},
        {{"\xF0\x8F\xBF\xBF", 4}, false},
        {{"\xED\xA0\x80", 3}, false},     /* a surrogate */
        {{"\xF4\x90\x80\x80", 4}, false}, /* above U+10FFFF */
        {{"\xF5\x80\x80\x80", 4}, false},
        {{"\xFF", 1}, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (text_is_utf8(cases[i].bytes) != cases[i].valid)
            fail_msg("case %zu should be %svalid", i, cases[i].valid ? "" : "in");
}

/* --- what people are shown -------------------------------------------------------------------- */

static void quote_shows_the_value(void **state)
{
    (void)state;
    static const struct {
        struct slice value;
        const char *shown;
    } cases[] = {
        {{"", 0}, "\"\""},
        {{NULL, 0}, "\"\""},
        {{"up", 2}, "\"up\""},
        {{"a\"b\\c", 5}, "\"a\\\"b\\\\c\""},
        {{"\n\x7f\x00", 3}, "\"\\x0a\\x7f\\x00\""},
        {{"gr\xC3\xBC\xC3\x9F", 6}, "\"gr\xC3\xBC\xC3\x9F\""},
        {{"\xC3\xBC\xFF", 3}, "\"\xC3\xBC\\xff\""}, /* invalid UTF-8 is shown as bytes */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[128];
        text_quote(out, sizeof(out), cases[i].value);
        assert_string_equal(out, cases[i].shown);
    }
}

/* They would end a line, control a terminal or change the direction of writing. */
static void unsafe_characters_are_found_and_quoted(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *shown;
    } cases[] = {
        {"\x01", "\"\\x01\""},           {"\x1f", "\"\\x1f\""},
        {"\x7f", "\"\\x7f\""},           {"\xC2\x80", "\"\\u0080\""},
        {"\xC2\x9f", "\"\\u009f\""},     {"\xD8\x9C", "\"\\u061c\""},
        {"\xE2\x80\x8E", "\"\\u200e\""}, {"\xE2\x80\x8F", "\"\\u200f\""},
        {"\xE2\x80\xA8", "\"\\u2028\""}, {"\xE2\x80\xAE", "\"\\u202e\""},
        {"\xE2\x81\xA6", "\"\\u2066\""}, {"\xE2\x81\xA9", "\"\\u2069\""},
    };
    char out[128];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct slice text = slice_of(cases[i].text);
        char within[16];
        text_quote(out, sizeof(out), text);
        assert_string_equal(out, cases[i].shown);
        assert_int_equal(text_unsafe_size(text), text.size);
        assert_int_equal(text_unsafe_size((struct slice){text.data, text.size - 1}), 0);
        snprintf(within, sizeof(within), "a%sb", text.data);
        assert_false(text_is_safe(slice_of(within)));
    }
}

static void other_characters_are_safe(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        " ~\"\\",
        "\xC2\xA0",
        "\xD8\x9B",
        "\xD8\x9D",
        "gr\xC3\xBC",
        "\xE2\x80\x8D",
        "\xE2\x80\x90",
        "\xE2\x80\xA7",
        "\xE2\x80\xAF",
        "\xE2\x81\xA5",
        "\xE2\x81\xAA",
        "\xD7\xA9",
        "\xF0\x9F\x98\x80",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_true(text_is_safe(slice_of(cases[i])));
}

static void quote_truncates_a_long_value_and_adds_its_size(void **state)
{
    (void)state;
    char value[300];
    char expected[128];
    char out[128];
    memset(value, 'x', sizeof(value));
    snprintf(expected, sizeof(expected), "\"%.64s\"... (300 bytes)", value);
    text_quote(out, sizeof(out), (struct slice){value, sizeof(value)});
    assert_string_equal(out, expected);
    snprintf(expected, sizeof(expected), "\"%.64s\"", value);
    text_quote(out, sizeof(out), (struct slice){value, 64});
    assert_string_equal(out, expected);
}

/* Messages are written into responses, which must be UTF-8: neither the limit of the value nor the
 * size of the buffer may split a character. */
static void quote_does_not_split_a_character(void **state)
{
    (void)state;
    static const char *const characters[] = {"\xC3\xBC", "\xE2\x82\xAC", "a\xC3\xBC", "\"\xC3\xBC",
                                             "\n\xE2\x82\xAC"};
    for (size_t i = 0; i < sizeof(characters) / sizeof(characters[0]); i++) {
        char value[400] = "";
        while (strlen(value) < 300)
            strcat(value, characters[i]);
        for (size_t size = 1; size <= strlen(value); size++) {
            if (((unsigned char)value[size] & 0xC0) == 0x80)
                continue; /* the value itself is whole */
            for (size_t capacity = 1; capacity < 200; capacity++) {
                char out[200];
                text_quote(out, capacity, (struct slice){value, size});
                assert_true(strlen(out) < capacity);
                if (!text_is_utf8(slice_of(out)))
                    fail_msg("%zu bytes in %zu bytes: split: %s", size, capacity, out);
            }
        }
    }
}

/* A truncated value is followed by its size, also when the buffer is what truncates it. */
static void quote_in_a_small_buffer_adds_the_size(void **state)
{
    (void)state;
    char value[60];
    memset(value, 'x', sizeof(value));
    char out[80];
    text_quote(out, sizeof(out), (struct slice){value, sizeof(value)});
    assert_non_null(strstr(out, "\"... (60 bytes)"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_are_equal_by_content),
        cmocka_unit_test(number_has_digits_alone_and_fits_64_bits),
        cmocka_unit_test(append_adds_each_kind),
        cmocka_unit_test(append_u64_bounds),
        cmocka_unit_test(append_keeps_content_while_growing),
        cmocka_unit_test(printf_longer_than_the_capacity),
        cmocka_unit_test(string_of_an_empty_text),
        cmocka_unit_test(clear_keeps_the_memory),
        cmocka_unit_test(reserve_does_not_change_the_size),
        cmocka_unit_test(reserve_of_a_huge_size_fails),
        cmocka_unit_test(failed_allocation_is_kept_until_clear),
        cmocka_unit_test(utf8_is_recognized),
        cmocka_unit_test(sequence_that_is_cut_off_is_removed),
        cmocka_unit_test(quote_shows_the_value),
        cmocka_unit_test(unsafe_characters_are_found_and_quoted),
        cmocka_unit_test(other_characters_are_safe),
        cmocka_unit_test(quote_truncates_a_long_value_and_adds_its_size),
        cmocka_unit_test(quote_does_not_split_a_character),
        cmocka_unit_test(quote_in_a_small_buffer_adds_the_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
