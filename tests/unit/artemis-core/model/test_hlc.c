/* SPDX-License-Identifier: Apache-2.0
 *
 * The HLC of a node: a stamp is issued once and is above all that were issued or observed. The wall
 * clock matters only at the start. The clock follows others, and is never set back.
 */
#include "artemis-core/model/hlc.h"

#include <pthread.h>
#include <stdlib.h>

#include "artemis-core/model/stamp.h"
#include "tests/support/cmocka_all.h"

#define MONO_MS 5000ull
#define WALL_MS 1770000000000ull

static struct hlc shared;

static struct moment after_ms(uint64_t ms)
{
    return (struct moment){MONO_MS + ms, WALL_MS + ms};
}

static struct hlc started(void)
{
    struct hlc made;
    hlc_init(&made, 0, 0, after_ms(0));
    return made;
}

static void time_is_the_wall_clock_at_the_start(void **state)
{
    (void)state;
    struct hlc made = started();
    assert_true(hlc_ms(&made, after_ms(0)) == WALL_MS);
    assert_true(hlc_to_ms(hlc_next(&made, after_ms(0))) == WALL_MS);
}

static void time_runs_by_the_monotonic_clock(void **state)
{
    (void)state;
    struct hlc made = started();
    assert_true(hlc_ms(&made, after_ms(1234)) == WALL_MS + 1234);
    assert_true(hlc_to_ms(hlc_next(&made, after_ms(1234))) == WALL_MS + 1234);
}

static void wall_clock_that_jumps_changes_nothing(void **state)
{
    (void)state;
    static const uint64_t walls[] = {0, 1, WALL_MS - 3600000, WALL_MS + 3600000, UINT64_MAX};
    struct hlc made = started();
    for (size_t i = 0; i < sizeof(walls) / sizeof(walls[0]); i++) {
        struct moment now = {MONO_MS + 100 + i, walls[i]};
        assert_true(hlc_ms(&made, now) == WALL_MS + 100 + i);
        assert_true(hlc_to_ms(hlc_next(&made, now)) == WALL_MS + 100 + i);
    }
}

static void stamps_only_grow_even_when_threads_come_out_of_order(void **state)
{
    (void)state;
    struct hlc made = started();
    uint64_t last = 0;
    static const uint64_t moments[] = {10, 10, 10, 9, 8, 11, 0, 11, 12};
    for (size_t i = 0; i < sizeof(moments) / sizeof(moments[0]); i++) {
        uint64_t next = hlc_next(&made, after_ms(moments[i]));
        assert_true(next > last);
        last = next;
    }
}

static void received_stamp_is_exceeded(void **state)
{
    (void)state;
    struct hlc made = started();
    uint64_t observed = ((WALL_MS + 50) << 16) + 7;
    hlc_observe_value(&made, observed, after_ms(0));
    assert_true(hlc_next(&made, after_ms(0)) == observed + 1);
    assert_true(hlc_ms(&made, after_ms(10)) == WALL_MS + 10); /* the time stays */
    assert_true(hlc_next(&made, after_ms(1)) == observed + 2);
    assert_true(hlc_highest(&made, after_ms(1)) == observed + 3);
}

static void stamps_ahead_run_at_half_speed_until_the_time_passes_them(void **state)
{
    (void)state;
    struct hlc made = started();
    hlc_observe_value(&made, (WALL_MS + 50) << 16, after_ms(0));
    assert_true(hlc_next(&made, after_ms(20)) == (WALL_MS + 60) << 16);
    assert_true(hlc_highest(&made, after_ms(98)) == (WALL_MS + 99) << 16);
    assert_true(hlc_next(&made, after_ms(120)) == (WALL_MS + 120) << 16);
    hlc_observe_value(&made, (WALL_MS + 110) << 16, after_ms(120)); /* no longer ahead */
    assert_true(hlc_next(&made, after_ms(130)) == (WALL_MS + 130) << 16);
}

/* Two nodes know the stamp of a member that was ahead, and cannot reach each other any more. */
static void of_changes_at_separated_nodes_the_later_one_wins(void **state)
{
    (void)state;
    struct hlc first = started();
    struct hlc second = started();
    hlc_observe_value(&first, (WALL_MS + 3600000) << 16 | 500, after_ms(0));
    hlc_observe_value(&second, hlc_highest(&first, after_ms(0)), after_ms(30));
    uint64_t stamp = 0;
    for (int i = 0; i < 1000; i++)
        stamp = hlc_next(&first, after_ms(1000));
    assert_true(hlc_next(&second, after_ms(1000)) < stamp); /* within the time of the message */
    assert_true(hlc_next(&second, after_ms(1060)) > stamp);
}

static void received_stamp_of_the_past_changes_nothing(void **state)
{
    (void)state;
    struct hlc made = started();
    hlc_observe_value(&made, (WALL_MS - 1) << 16, after_ms(0));
    hlc_observe_value(&made, 0, after_ms(0));
    assert_true(hlc_next(&made, after_ms(0)) == WALL_MS << 16);
}

static void clock_catches_up_with_a_received_time(void **state)
{
    (void)state;
    struct hlc made = started();
    hlc_observe_ms(&made, WALL_MS + 90000, after_ms(1000));
    assert_true(hlc_ms(&made, after_ms(1000)) == WALL_MS + 90000);
    assert_true(hlc_ms(&made, after_ms(3000)) == WALL_MS + 92000);
}

static void received_time_behind_changes_nothing(void **state)
{
    (void)state;
    struct hlc made = started();
    hlc_observe_ms(&made, WALL_MS - 90000, after_ms(1000));
    hlc_observe_ms(&made, 0, after_ms(1000));
    assert_true(hlc_ms(&made, after_ms(1000)) == WALL_MS + 1000);
}

static void two_clocks_that_exchange_stamps_agree(void **state)
{
    (void)state;
    struct hlc slow = started();
    struct hlc fast;
    hlc_init(&fast, 0, 0, (struct moment){77, WALL_MS + 600000});
    hlc_observe_ms(&slow, hlc_ms(&fast, (struct moment){77, 0}), after_ms(0));
    hlc_observe_ms(&fast, hlc_ms(&slow, after_ms(0)), (struct moment){77, 0});
    assert_true(hlc_ms(&slow, after_ms(5000)) == hlc_ms(&fast, (struct moment){5077, 0}));
}

static void what_no_clock_gave_is_ignored(void **state)
{
    (void)state;
    struct hlc made = started();
    hlc_observe_value(&made, (WALL_MS + CLOCK_AHEAD_MAX_MS + 1) << 16, after_ms(0));
    hlc_observe_value(&made, HLC_MAX, after_ms(0));
    hlc_observe_value(&made, UINT64_MAX, after_ms(0));
    hlc_observe_ms(&made, WALL_MS + CLOCK_AHEAD_MAX_MS + 1, after_ms(0));
    hlc_observe_ms(&made, UINT64_MAX, after_ms(0));
    assert_true(hlc_ms(&made, after_ms(0)) == WALL_MS);
    assert_true(hlc_next(&made, after_ms(0)) == WALL_MS << 16);
}

#define SKEW_MS 3600000ull

static struct hlc started_with_limit(void)
{
    struct hlc made;
    hlc_init(&made, 0, SKEW_MS, after_ms(0));
    return made;
}

static void stamp_up_to_the_limit_is_followed_and_no_further(void **state)
{
    (void)state;
    struct hlc made = started_with_limit();
    assert_true(hlc_accepts(&made, WALL_MS + SKEW_MS, after_ms(0)));
    assert_false(hlc_accepts(&made, WALL_MS + SKEW_MS + 1, after_ms(0)));
    assert_true(hlc_accepts(&made, WALL_MS + SKEW_MS + 1, after_ms(1))); /* time passes */
    hlc_observe_value(&made, (WALL_MS + SKEW_MS + 1) << 16, after_ms(0));
    assert_true(hlc_next(&made, after_ms(0)) == WALL_MS << 16);
    hlc_observe_value(&made, (WALL_MS + SKEW_MS) << 16, after_ms(0));
    assert_true(hlc_next(&made, after_ms(0)) == ((WALL_MS + SKEW_MS) << 16) + 1);
    assert_true(hlc_ms(&made, after_ms(0)) == WALL_MS);
}

static void any_number_of_stamps_moves_the_clock_by_the_limit_at_most(void **state)
{
    (void)state;
    struct hlc made = started_with_limit();
    for (uint64_t i = 1; i <= 1000; i++) {
        hlc_observe_value(&made, (WALL_MS + i * SKEW_MS) << 16, after_ms(0));
        hlc_observe_ms(&made, WALL_MS + i * SKEW_MS, after_ms(0));
    }
    assert_true(hlc_ms(&made, after_ms(0)) == WALL_MS + SKEW_MS);
    assert_true(hlc_members_ms(&made, after_ms(0)) == WALL_MS);
}

static void clock_of_a_member_raises_the_limit(void **state)
{
    (void)state;
    struct hlc made = started_with_limit();
    hlc_observe_members_ms(&made, WALL_MS + 5 * SKEW_MS, after_ms(0));
    assert_true(hlc_ms(&made, after_ms(0)) == WALL_MS); /* its own time follows hlc_observe_ms */
    assert_true(hlc_members_ms(&made, after_ms(10)) == WALL_MS + 5 * SKEW_MS + 10);
    assert_true(hlc_accepts(&made, WALL_MS + 6 * SKEW_MS, after_ms(0)));
    assert_false(hlc_accepts(&made, WALL_MS + 6 * SKEW_MS + 1, after_ms(0)));
    hlc_observe_members_ms(&made, WALL_MS, after_ms(0)); /* it is never set back */
    assert_true(hlc_accepts(&made, WALL_MS + 6 * SKEW_MS, after_ms(0)));
}

static void member_moves_the_limit_by_a_century_at_most(void **state)
{
    (void)state;
    struct hlc made = started_with_limit();
    for (uint64_t i = 1; i <= 100; i++)
        hlc_observe_members_ms(&made, WALL_MS + i * CLOCK_AHEAD_MAX_MS, after_ms(0));
    hlc_observe_members_ms(&made, UINT64_MAX, after_ms(0));
    assert_true(hlc_members_ms(&made, after_ms(0)) == WALL_MS + CLOCK_AHEAD_MAX_MS);
    assert_true((WALL_MS + CLOCK_AHEAD_MAX_MS + SKEW_MS) << 16 < HLC_MAX / 2); /* time is left */
}

static void stamps_of_earlier_runs_are_accepted(void **state)
{
    (void)state;
    struct hlc made;
    uint64_t floor = (WALL_MS + 7 * SKEW_MS) << 16 | 99;
    hlc_init(&made, floor, SKEW_MS, after_ms(0));
    assert_true(hlc_accepts(&made, hlc_to_ms(floor), after_ms(0)));
    assert_false(hlc_accepts(&made, hlc_to_ms(floor) + 1, after_ms(0)));
    assert_true(hlc_next(&made, after_ms(0)) == floor + 1);
    assert_true(hlc_ms(&made, after_ms(0)) == WALL_MS);
}

/* At each start a peer sends the highest stamp that is accepted. */
static void restarts_do_not_raise_the_limit(void **state)
{
    (void)state;
    struct hlc made;
    uint64_t floor = 0;
    for (int i = 0; i < 100; i++) {
        hlc_init(&made, floor, SKEW_MS, after_ms(0));
        assert_true(hlc_members_ms(&made, after_ms(0)) == WALL_MS);
        assert_false(hlc_accepts(&made, WALL_MS + SKEW_MS + 1, after_ms(0)));
        hlc_observe_value(&made, (WALL_MS + SKEW_MS) << 16, after_ms(0));
        floor = hlc_highest(&made, after_ms(0));
        assert_true(floor >= (WALL_MS + SKEW_MS) << 16);
    }
}

/* A virtual machine was suspended for two hours: its monotonic clock stood still. */
static void stamps_up_to_the_wall_clock_are_accepted(void **state)
{
    (void)state;
    struct hlc made;
    hlc_init(&made, 0, SKEW_MS, after_ms(0));
    struct moment resumed = {MONO_MS + 10, WALL_MS + 2 * SKEW_MS};
    assert_true(hlc_accepts(&made, WALL_MS + 3 * SKEW_MS, resumed));
    assert_false(hlc_accepts(&made, WALL_MS + 3 * SKEW_MS + 1, resumed));
    assert_true(hlc_members_ms(&made, resumed) == WALL_MS + 10); /* not reported to others */
    struct moment reset = {MONO_MS + 20, 0};
    assert_false(hlc_accepts(&made, WALL_MS + SKEW_MS + 21, reset));
    assert_true(hlc_accepts(&made, WALL_MS + SKEW_MS + 20, reset));
    uint64_t taken = (WALL_MS + 3 * SKEW_MS) << 16;
    hlc_observe_value(&made, taken,
                      resumed); /* now it is, as the others must accept what follows */
    assert_true(hlc_members_ms(&made, reset) == WALL_MS + 2 * SKEW_MS + 10);
    assert_true(hlc_accepts(&made, hlc_to_ms(hlc_next(&made, reset)), reset));
}

static void wall_clock_before_the_monotonic_one_is_time_zero(void **state)
{
    (void)state;
    struct hlc made;
    hlc_init(&made, 0, 0, (struct moment){.mono_ms = 1000000, .wall_ms = 0});
    assert_true(hlc_ms(&made, (struct moment){.mono_ms = 999000}) == 0);
    assert_true(hlc_next(&made, (struct moment){.mono_ms = 999000}) == 1);
    assert_true(hlc_ms(&made, (struct moment){.mono_ms = 1000005}) == 5);
}

/* --- threads --- */

enum { THREADS = 4, STAMPS = 20000 };

static void *give_stamps(void *argument)
{
    uint64_t *stamps = argument;
    for (int i = 0; i < STAMPS; i++) {
        stamps[i] = hlc_next(&shared, after_ms((uint64_t)i / 100));
        if (i % 1000 == 0)
            hlc_observe_value(&shared, stamps[i] + 5, after_ms(0));
    }
    return NULL;
}

static int by_number(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static void two_threads_never_get_the_same_stamp(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    uint64_t *stamps = calloc((size_t)THREADS * STAMPS, sizeof(*stamps));
    shared = started();
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, give_stamps, stamps + i * STAMPS), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++)
        for (int j = 1; j < STAMPS; j++)
            assert_true(stamps[i * STAMPS + j] > stamps[i * STAMPS + j - 1]);
    qsort(stamps, (size_t)THREADS * STAMPS, sizeof(*stamps), by_number);
    for (size_t i = 1; i < (size_t)THREADS * STAMPS; i++)
        assert_true(stamps[i] != stamps[i - 1]);
    free(stamps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_is_the_wall_clock_at_the_start),
        cmocka_unit_test(time_runs_by_the_monotonic_clock),
        cmocka_unit_test(wall_clock_that_jumps_changes_nothing),
        cmocka_unit_test(stamps_only_grow_even_when_threads_come_out_of_order),
        cmocka_unit_test(received_stamp_is_exceeded),
        cmocka_unit_test(stamps_ahead_run_at_half_speed_until_the_time_passes_them),
        cmocka_unit_test(of_changes_at_separated_nodes_the_later_one_wins),
        cmocka_unit_test(received_stamp_of_the_past_changes_nothing),
        cmocka_unit_test(clock_catches_up_with_a_received_time),
        cmocka_unit_test(received_time_behind_changes_nothing),
        cmocka_unit_test(two_clocks_that_exchange_stamps_agree),
        cmocka_unit_test(what_no_clock_gave_is_ignored),
        cmocka_unit_test(stamp_up_to_the_limit_is_followed_and_no_further),
        cmocka_unit_test(any_number_of_stamps_moves_the_clock_by_the_limit_at_most),
        cmocka_unit_test(clock_of_a_member_raises_the_limit),
        cmocka_unit_test(member_moves_the_limit_by_a_century_at_most),
        cmocka_unit_test(stamps_of_earlier_runs_are_accepted),
        cmocka_unit_test(restarts_do_not_raise_the_limit),
        cmocka_unit_test(stamps_up_to_the_wall_clock_are_accepted),
        cmocka_unit_test(wall_clock_before_the_monotonic_one_is_time_zero),
        cmocka_unit_test(two_threads_never_get_the_same_stamp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
