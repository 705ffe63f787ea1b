/* SPDX-License-Identifier: Apache-2.0
 *
 * Text of others reaches the terminal escaped, and takes the columns that are counted for it.
 */
#include "artemis/terminal/terminal_text.h"

#include "tests/support/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void assert_prints(const char *text, size_t columns_max, const char *expected)
{
    char *printed = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&printed, &size);
    assert_non_null(out);
    size_t columns = terminal_text_print(out, text, columns_max);
    fclose(out);
    assert_string_equal(printed, expected);
    assert_int_equal(columns, terminal_text_width(expected));
    free(printed);
}

static void print_plain_text_is_kept(void **state)
{
    (void)state;
    assert_prints("", 0, "");
    assert_prints("orders-1", 0, "orders-1");
    assert_prints("größe 日本 🚀", 0, "größe 日本 🚀");
    assert_prints("a\\b\"c", 0, "a\\b\"c");
}

static void print_terminal_controls_are_escaped(void **state)
{
    (void)state;
    assert_prints("\x1b[2J", 0, "\\x1b[2J");
    assert_prints("a\nb\tc\rd", 0, "a\\nb\\tc\\x0dd");
    assert_prints("\x7f", 0, "\\x7f");
    assert_prints("\xc2\x9b[2J", 0, "\\u009b[2J"); /* CSI as one character */
    assert_prints("\u202egpj.exe\u2066", 0, "\\u202egpj.exe\\u2066");
    assert_prints("\u2028", 0, "\\u2028");
}

static void print_what_is_not_utf8_is_escaped(void **state)
{
    (void)state;
    assert_prints("\xff", 0, "\\xff");
    assert_prints("\xc3", 0, "\\xc3");
    assert_prints("\xc0\x9b", 0, "\\xc0\\x9b");          /* an overlong ESC */
    assert_prints("\xe0\x80\x8a", 0, "\\xe0\\x80\\x8a"); /* an overlong line break */
    assert_prints("\xed\xa0\x80", 0, "\\xed\\xa0\\x80"); /* a surrogate */
    assert_prints("\xf4\x90\x80\x80", 0, "\\xf4\\x90\\x80\\x80");
    assert_prints("\xe2\x80", 0, "\\xe2\\x80");
}

static void print_too_wide_text_is_cut_with_a_mark(void **state)
{
    (void)state;
    assert_prints("orders", 6, "orders");
    assert_prints("orders", 5, "orde…");
    assert_prints("größe", 4, "grö…");
    assert_prints("ab\x1b!", 5, "ab…"); /* an escape is never cut in half */
    assert_prints("orders", 1, "…");
}

static void assert_wraps(const char *text, size_t indent, size_t columns_max, const char *expected)
{
    char *printed = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&printed, &size);
    assert_non_null(out);
    terminal_text_wrap(out, text, indent, columns_max);
    fclose(out);
    assert_string_equal(printed, expected);
    free(printed);
}

static void wrap_ends_lines_at_blanks_and_characters(void **state)
{
    (void)state;
    assert_wraps("", 2, 10, "");
    assert_wraps("one two", 2, 0, "  one two\n");
    assert_wraps("one two", 0, 7, "one two\n");
    assert_wraps("one two three", 0, 7, "one two\nthree\n");
    assert_wraps("one two three", 2, 8, "  one\n  two\n  three\n");
    assert_wraps("größegröße", 0, 5, "größe\ngröße\n");
    assert_wraps("a größegröße", 0, 6, "a\ngrößeg\nröße\n");
    assert_wraps("ab\x1b", 0, 5, "ab\n\\x1b\n"); /* an escape is not cut */
    assert_wraps("\x1b\x1b", 4, 5, "    \\x1b\n    \\x1b\n");
    assert_wraps("ab", 4, 3, "    a\n    b\n");
}

static void assert_json(const char *json, const char *expected)
{
    char *printed = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&printed, &size);
    assert_non_null(out);
    terminal_text_print_json(out, json, strlen(json));
    fclose(out);
    assert_string_equal(printed, expected);
    free(printed);
}

static void json_is_one_line_and_an_equal_document(void **state)
{
    (void)state;
    assert_json("{\"a\":1}", "{\"a\":1}\n");
    assert_json("{\n\t\"a\": 1\r\n}\n\n", "{  \"a\": 1  }\n");
    assert_json("\"\xc2\x9b\x7f\u202e ü\"", "\"\\u009b\\u007f\\u202e ü\"\n");
    assert_json("", "\n");
}

static void json_that_ends_within_a_character_is_not_read_beyond(void **state)
{
    (void)state;
    char *printed = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&printed, &size);
    assert_non_null(out);
    terminal_text_print_json(out, "\"ü", 2);
    fclose(out);
    assert_string_equal(printed, "\"\\ufffd\n");
    free(printed);
}

static void error_message_and_hint_are_escaped(void **state)
{
    (void)state;
    char *printed = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&printed, &size);
    assert_non_null(out);
    terminal_text_print_error(out, "see: help\a", "no %s", "\x1b");
    terminal_text_print_error(out, NULL, "%s", "alone");
    fclose(out);
    assert_string_equal(printed, "artemis: no \\x1b\n  see: help\\x07\nartemis: alone\n");
    free(printed);
}

static void count_has_commas_between_thousands(void **state)
{
    (void)state;
    static const struct {
        uint64_t count;
        const char *text;
    } rows[] = {{0, "0"},
                {999, "999"},
                {1204, "1,204"},
                {100000, "100,000"},
                {UINT64_MAX, "18,446,744,073,709,551,615"}};
    char text[VIEW_COUNT_MAX];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(terminal_text_count(rows[i].count, text), rows[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(print_plain_text_is_kept),
        cmocka_unit_test(print_terminal_controls_are_escaped),
        cmocka_unit_test(print_what_is_not_utf8_is_escaped),
        cmocka_unit_test(print_too_wide_text_is_cut_with_a_mark),
        cmocka_unit_test(wrap_ends_lines_at_blanks_and_characters),
        cmocka_unit_test(json_is_one_line_and_an_equal_document),
        cmocka_unit_test(json_that_ends_within_a_character_is_not_read_beyond),
        cmocka_unit_test(error_message_and_hint_are_escaped),
        cmocka_unit_test(count_has_commas_between_thousands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
