/* SPDX-License-Identifier: Apache-2.0
 *
 * The backoff doubles up to its limit, and subtracts at most half.
 */
#include "artemis-core/base/backoff.h"

#include "tests/support/cmocka_all.h"

static void backoff_doubles_up_to_ten_seconds(void **state)
{
    (void)state;
    static const uint64_t longest[] = {100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000};
    for (unsigned i = 0; i < sizeof(longest) / sizeof(*longest); i++)
        assert_int_equal(backoff_ms(i + 1, 0), longest[i]);
    assert_int_equal(backoff_ms(UINT32_MAX, 0), 10000);
}

static void zero_failures_wait_as_one(void **state)
{
    (void)state;
    assert_int_equal(backoff_ms(0, 0), BACKOFF_FIRST_MS);
}

static void random_part_is_at_most_half(void **state)
{
    (void)state;
    static const uint64_t longest[] = {100, 200, 400, 800, 1600, 3200, 6400, 10000};
    for (unsigned i = 0; i < sizeof(longest) / sizeof(*longest); i++) {
        for (uint64_t random = 0; random < 20000; random += 77)
            assert_in_range(backoff_ms(i + 1, random), longest[i] / 2, longest[i]);
        assert_int_equal(backoff_ms(i + 1, longest[i] / 2), longest[i] / 2);
    }
    assert_in_range(backoff_ms(1, UINT64_MAX), 50, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backoff_doubles_up_to_ten_seconds),
        cmocka_unit_test(zero_failures_wait_as_one),
        cmocka_unit_test(random_part_is_at_most_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
