/* SPDX-License-Identifier: Apache-2.0
 *
 * Each stamp is later than the one before, whatever the wall clock does. While the clock is correct
 * a stamp shows its time.
 */
#include "artemis-core/model/stamp.h"

#include <stdlib.h>

#include "tests/support/cmocka_all.h"

static const uint64_t NOON = 1771070400000; /* some day in 2026 */

static void hlc_follows_a_clock_that_moves_forward(void **state)
{
    (void)state;
    uint64_t first = hlc_after(0, NOON);
    uint64_t second = hlc_after(first, NOON + 1);
    assert_int_equal(hlc_to_ms(first), NOON);
    assert_int_equal(hlc_to_ms(second), NOON + 1);
    assert_true(second > first);
}

static void hlc_counts_up_while_the_clock_stands(void **state)
{
    (void)state;
    uint64_t first = hlc_after(0, NOON);
    assert_true(hlc_after(first, NOON) == first + 1);
    assert_int_equal(hlc_to_ms(first + 1), NOON);
}

static void hlc_counts_up_after_the_clock_jumps_back(void **state)
{
    (void)state;
    uint64_t first = hlc_after(0, NOON);
    assert_true(hlc_after(first, NOON - 3600 * 1000) == first + 1);
    assert_true(hlc_after(first, 0) == first + 1);
}

static void hlc_follows_the_clock_again_after_it_catches_up(void **state)
{
    (void)state;
    uint64_t version = hlc_after(0, NOON);
    for (int i = 0; i < 100; i++)
        version = hlc_after(version, NOON - 1000);
    assert_int_equal(hlc_to_ms(version), NOON);
    version = hlc_after(version, NOON + 1);
    assert_true(version == (NOON + 1) << 16);
}

static void hlc_carries_a_full_counter_into_the_time(void **state)
{
    (void)state;
    uint64_t version = hlc_after(0, NOON);
    for (int i = 0; i < 0x10000; i++) {
        uint64_t next = hlc_after(version, NOON);
        assert_true(next > version);
        version = next;
    }
    assert_int_equal(hlc_to_ms(version), NOON + 1);
    assert_true(hlc_after(version, NOON + 1) > version);
}

static void hlc_grows_under_100000_random_jumps(void **state)
{
    (void)state;
    srand(1);
    uint64_t version = 0;
    uint64_t clock = NOON;
    for (int i = 0; i < 100000; i++) {
        uint64_t jump = (uint64_t)(rand() % 5000);
        clock = rand() % 2 ? clock + jump : clock - jump;
        uint64_t next = hlc_after(version, clock);
        assert_true(next > version);
        assert_true(hlc_to_ms(next) >= clock);
        version = next;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hlc_follows_a_clock_that_moves_forward),
        cmocka_unit_test(hlc_counts_up_while_the_clock_stands),
        cmocka_unit_test(hlc_counts_up_after_the_clock_jumps_back),
        cmocka_unit_test(hlc_follows_the_clock_again_after_it_catches_up),
        cmocka_unit_test(hlc_carries_a_full_counter_into_the_time),
        cmocka_unit_test(hlc_grows_under_100000_random_jumps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
