/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/stall.h"

#include "tests/support/cmocka_all.h"

enum { START_MS = 1000000, LIMIT_MS = 10000 };

static void gap_above_the_limit_is_a_stall(void **state)
{
    (void)state;
    struct stall stall;
    stall_init(&stall, 3 * LIMIT_MS, START_MS);
    assert_int_equal(stall_tick(&stall, START_MS + 100), 0);
    assert_int_equal(stall_tick(&stall, START_MS + 100 + LIMIT_MS), 0);
    uint64_t last_ms = START_MS + 100 + LIMIT_MS;
    assert_int_equal(stall_tick(&stall, last_ms + LIMIT_MS + 1), LIMIT_MS + 1);
    assert_int_equal(stall_tick(&stall, last_ms + LIMIT_MS + 100), 0);
    assert_int_equal(stall.count, 1);
}

static void limit_of_a_short_time_to_live_is_two_seconds(void **state)
{
    (void)state;
    struct stall stall;
    stall_init(&stall, 1000, START_MS);
    assert_int_equal(stall_tick(&stall, START_MS + STALL_MS_MIN), 0);
    assert_int_equal(stall_tick(&stall, START_MS + 2 * STALL_MS_MIN + 1), STALL_MS_MIN + 1);
}

static void request_that_arrived_before_the_end_of_a_stall_has_waited(void **state)
{
    (void)state;
    struct stall stall;
    stall_init(&stall, 3 * LIMIT_MS, START_MS);
    assert_false(stall_is_recent(&stall, START_MS + LIMIT_MS));
    assert_false(stall_has_queued(&stall, START_MS + 1, START_MS + LIMIT_MS));
    /* A web thread runs before the thread that records the stall. */
    uint64_t end_ms = START_MS + LIMIT_MS + 1;
    assert_true(stall_is_recent(&stall, end_ms));
    assert_true(stall_has_queued(&stall, end_ms, end_ms));
    stall_tick(&stall, end_ms);
    assert_true(stall_is_recent(&stall, end_ms + 100));
    assert_true(stall_has_queued(&stall, end_ms - 1, end_ms + 100));
    assert_true(stall_has_queued(&stall, end_ms + STALL_RECEIVE_ERROR_MS, end_ms + 100));
    assert_false(stall_has_queued(&stall, end_ms + STALL_RECEIVE_ERROR_MS + 1, end_ms + 100));
    stall_tick(&stall, end_ms + STALL_RECENT_MS - 1);
    assert_true(stall_is_recent(&stall, end_ms + STALL_RECENT_MS - 1));
    assert_false(stall_is_recent(&stall, end_ms + STALL_RECENT_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gap_above_the_limit_is_a_stall),
        cmocka_unit_test(limit_of_a_short_time_to_live_is_two_seconds),
        cmocka_unit_test(request_that_arrived_before_the_end_of_a_stall_has_waited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
