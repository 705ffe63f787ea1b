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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_byte_is_found_at_each_place),
        cmocka_unit_test(the_first_of_two_is_found),
        cmocka_unit_test(texts_that_differ_in_one_byte_are_not_equal),
        cmocka_unit_test(a_text_without_bytes_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
