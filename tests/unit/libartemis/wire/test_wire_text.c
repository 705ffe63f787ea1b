/* SPDX-License-Identifier: Apache-2.0
 *
 * Texts of a server that a program prints.
 */
#include "libartemis/wire/wire_text.h"

#include "tests/support/cmocka_all.h"

static void check(size_t size, const char *from, const char *expected)
{
    char to[64];
    wire_copy_text(to, size, from);
    assert_string_equal(to, expected);
}

static void text_stays_as_it_is(void **state)
{
    (void)state;
    check(64, "", "");
    check(64, "zone \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80.",
          "zone \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80.");
    check(64, "\xc2\xa0\xe2\x80\xa7\xe2\x80\xaf\xe2\x81\xa5",
          "\xc2\xa0\xe2\x80\xa7\xe2\x80\xaf\xe2\x81\xa5");
}

static void unsafe_characters_become_blanks(void **state)
{
    (void)state;
    check(64, "a\x1b[31mb\r\nERROR\x7f", "a [31mb  ERROR ");
    check(64,
          "a\xc2\x9b"
          "b\xd8\x9c"
          "c",
          "a  b  c");
    check(64,
          "a\xe2\x80\xae"
          "b\xe2\x80\xa8"
          "c\xe2\x81\xa6"
          "d",
          "a   b   c   d");
}

static void character_that_does_not_fit_is_left_out(void **state)
{
    (void)state;
    check(4, "abcdef", "abc");
    check(4, "ab\xe2\x82\xac", "ab");
    check(4,
          "a\xff"
          "b",
          "a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_stays_as_it_is),
        cmocka_unit_test(unsafe_characters_become_blanks),
        cmocka_unit_test(character_that_does_not_fit_is_left_out),
    };
    return cmocka_run_group_tests_name("wire_text", tests, NULL, NULL);
}
