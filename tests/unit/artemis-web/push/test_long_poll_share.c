/* SPDX-License-Identifier: Apache-2.0
 *
 * How many long polls a turn of a web thread handles, and how many it defers.
 */
#include "artemis-web/push/long_poll_share.h"

#include "tests/support/cmocka_all.h"

/* Begins a turn in which `count` long polls ask; returns how many are handled. */
static uint32_t turn(struct long_poll_share *share, uint32_t count)
{
    uint32_t handled = 0;
    long_poll_share_begin(share);
    for (uint32_t i = 0; i < count; i++)
        handled += long_poll_share_take(share);
    return handled;
}

static void few_long_polls_are_handled_in_one_turn(void **state)
{
    struct long_poll_share share = {0};
    (void)state;
    assert_int_equal(turn(&share, 0), 0);
    assert_int_equal(turn(&share, 1), 1);
    assert_int_equal(turn(&share, LONG_POLL_SHARE_MIN), LONG_POLL_SHARE_MIN);
}

static void first_long_polls_of_a_turn_are_handled(void **state)
{
    struct long_poll_share share = {0};
    (void)state;
    long_poll_share_begin(&share);
    for (int i = 0; i < LONG_POLL_SHARE_MIN; i++)
        assert_true(long_poll_share_take(&share));
    assert_false(long_poll_share_take(&share));
    assert_false(long_poll_share_take(&share));
}

static void share_grows_with_the_deferred(void **state)
{
    struct long_poll_share share = {0};
    (void)state;
    uint32_t deferred = 1000 - turn(&share, 1000);
    assert_int_equal(deferred, 1000 - LONG_POLL_SHARE_MIN);
    assert_int_equal(turn(&share, deferred), deferred / LONG_POLL_TURNS);
    long_poll_share_begin(&share); /* none has asked in the turn before the next */
    assert_int_equal(turn(&share, 1000), LONG_POLL_SHARE_MIN);
}

/* Clients that send the next long poll as soon as they have a response. */
static void each_turn_handles_an_equal_part_of_clients_that_never_wait(void **state)
{
    struct long_poll_share share = {0};
    (void)state;
    for (int i = 0; i < 100; i++)
        (void)turn(&share, 1000);
    uint32_t handled = turn(&share, 1000);
    assert_in_range(handled, 1000 / (LONG_POLL_TURNS + 2), 1000 / LONG_POLL_TURNS);
}

/* Returns in how many turns `count` long polls are handled while no others arrive. */
static int turns_for(struct long_poll_share *share, uint32_t count)
{
    int turns = 0;
    for (; count > 0; turns++)
        count -= turn(share, count);
    return turns;
}

static void backlog_of_any_size_is_handled_in_as_many_turns(void **state)
{
    static const uint32_t counts[] = {200, 1000, 10000, 1000000};
    (void)state;
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
        struct long_poll_share share = {0};
        assert_in_range(turns_for(&share, counts[i]), LONG_POLL_TURNS, LONG_POLL_TURNS + 2);
    }
}

/* The next turns handle a part of those that are there then, not of those before. */
static void share_shrinks_while_clients_never_wait(void **state)
{
    struct long_poll_share share = {0};
    (void)state;
    (void)turn(&share, 100000);
    assert_int_equal(turn(&share, 1000), 1000);
    (void)turn(&share, 100000);
    (void)turn(&share, 10000);
    for (int i = 0; i < 2 * LONG_POLL_TURNS; i++)
        (void)turn(&share, 10000);
    assert_in_range(turn(&share, 10000), 10000 / (LONG_POLL_TURNS + 2), 10000 / LONG_POLL_TURNS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_long_polls_are_handled_in_one_turn),
        cmocka_unit_test(first_long_polls_of_a_turn_are_handled),
        cmocka_unit_test(share_grows_with_the_deferred),
        cmocka_unit_test(each_turn_handles_an_equal_part_of_clients_that_never_wait),
        cmocka_unit_test(backlog_of_any_size_is_handled_in_as_many_turns),
        cmocka_unit_test(share_shrinks_while_clients_never_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
