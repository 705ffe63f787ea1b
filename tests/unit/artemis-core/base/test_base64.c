/* SPDX-License-Identifier: Apache-2.0
 *
 * Base64 with padding, and texts that are none.
 */
#include "artemis-core/base/base64.h"

#include <string.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

static const struct {
    const char *bytes, *base64;
} rows[] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"\xff\xfe?>", "//4/Pg=="}};

static void bytes_are_written_and_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct text base64 = {0};
        struct text bytes = {0};
        base64_append(&base64, slice_of(rows[i].bytes));
        assert_string_equal(text_string(&base64), rows[i].base64);
        assert_true(base64_read(slice_of(rows[i].base64), &bytes));
        assert_string_equal(text_string(&bytes), rows[i].bytes);
        text_free(&base64);
        text_free(&bytes);
    }
}

static void other_texts_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"Z", "Zg", "Zg=", "Zg===", "Z*==", "Zg==Zg==", "=", "Zm9_"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct text bytes = {0};
        if (base64_read(slice_of(texts[i]), &bytes))
            fail_msg("read: %s", texts[i]);
        text_free(&bytes);
    }
}

static void failed_allocation_is_recorded(void **state)
{
    (void)state;
    struct text out = {0};
    failing_malloc_after(1);
    base64_append(&out, SLICE("foo"));
    failing_malloc_after(-1);
    assert_true(text_failed(&out));
    text_free(&out);
    failing_malloc_after(1);
    assert_false(base64_read(SLICE("Zm9v"), &out));
    failing_malloc_after(-1);
    text_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_written_and_read),
        cmocka_unit_test(other_texts_are_refused),
        cmocka_unit_test(failed_allocation_is_recorded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
