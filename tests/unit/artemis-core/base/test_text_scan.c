/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "artemis-core/base/text_scan.h"
#include "tests/support/cmocka_all.h"

enum { TEXT_BYTES_MAX = 42 };

static size_t by_bytes(const char *at, const char *end)
{
    const char *start = at;
    while (at < end && text_byte_is_plain((unsigned char)*at))
        at++;
    return (size_t)(at - start);
}

/* Each text has a block of its own size, so that AddressSanitizer sees a byte read too far. */
static void check(const char *text, size_t size)
{
    char *block = malloc(size ? size : 1);
    assert_non_null(block);
    memcpy(block, text, size);
    size_t found = text_plain_size(block, block + size);
    if (found != by_bytes(block, block + size))
        fail_msg("%zu of %zu bytes are plain, not %zu", by_bytes(block, block + size), size, found);
    if (text_plain_size_by_words(block, block + size) != found)
        fail_msg("by words %zu are", text_plain_size_by_words(block, block + size));
    char *copy = malloc(found + TEXT_COPY_SLACK);
    assert_non_null(copy);
    if (text_copy_plain(copy, block, block + size) != found)
        fail_msg("%zu bytes are copied", text_copy_plain(copy, block, block + size));
    if (found)
        assert_memory_equal(copy, block, found);
    if (text_copy_plain_by_words(copy, block, block + size) != found)
        fail_msg("%zu bytes are copied by words",
                 text_copy_plain_by_words(copy, block, block + size));
    if (found)
        assert_memory_equal(copy, block, found);
    free(copy);
    free(block);
}

static void each_byte_is_found_at_each_place(void **state)
{
    (void)state;
    for (size_t size = 0; size <= TEXT_BYTES_MAX; size++)
        for (size_t at = 0; at < size; at++)
            for (int byte = 0; byte < 256; byte++) {
                char text[TEXT_BYTES_MAX];
                memset(text, 'a', sizeof(text));
                text[at] = (char)byte;
                check(text, size);
            }
}

static void the_first_of_two_is_found(void **state)
{
    (void)state;
    for (int first = 0; first < 256; first++)
        for (int second = 0; second < 256; second++)
            for (char around = ' '; around <= '~'; around = (char)(around + 47)) {
                char text[16];
                memset(text, around, sizeof(text));
                text[3] = (char)first;
                text[4] = (char)second;
                check(text, sizeof(text));
            }
}

static void a_text_without_bytes_has_none(void **state)
{
    (void)state;
    assert_int_equal(text_plain_size(NULL, NULL), 0);
}

static void texts_that_differ_in_one_byte_are_not_equal(void **state)
{
    (void)state;
    for (size_t size = 4; size <= 24; size++) {
        char *a = malloc(size);
        char *b = malloc(size);
        assert_non_null(a);
        assert_non_null(b);
        memset(a, 'a', size);
        memset(b, 'a', size);
        assert_true(text_short_equal(a, b, size));
        for (size_t at = 0; at < size; at++) {
            b[at] = 'b';
            assert_false(text_short_equal(a, b, size));
            b[at] = 'a';
        }
        free(a);
        free(b);
    }
}

static void upper_case_letters_alone_become_lower_case(void **state)
{
    (void)state;
    for (int byte = 0x20; byte < 0x7F; byte++)
        for (size_t size = 0; size <= 17; size++) {
            char text[17 + TEXT_COPY_SLACK];
            memset(text, 'A', size);
            memset(text + size, 0xFF, sizeof(text) - size);
            if (size)
                text[size / 2] = (char)byte;
            text_lower_plain(text, size);
            for (size_t i = 0; i < size; i++) {
                int given = i == size / 2 ? byte : 'A';
                assert_int_equal(text[i], given >= 'A' && given <= 'Z' ? given + 'a' - 'A' : given);
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_byte_is_found_at_each_place),
        cmocka_unit_test(the_first_of_two_is_found),
        cmocka_unit_test(texts_that_differ_in_one_byte_are_not_equal),
        cmocka_unit_test(a_text_without_bytes_has_none),
        cmocka_unit_test(upper_case_letters_alone_become_lower_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
