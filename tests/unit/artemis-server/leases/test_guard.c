/* SPDX-License-Identifier: Apache-2.0
 *
 * The guard alone, with numbers: 85 per cent, at least 50 leases, a window of 30 s in eight
 * buckets, and 60 s at most.
 */
#include "artemis-server/leases/guard.h"

#include "tests/unit/artemis-server/registry/registry_fixture.h"

enum { WINDOW_MS = 30000, BUCKET_MS = WINDOW_MS / GUARD_BUCKETS };

static const uint64_t NOON = 1000ull * WINDOW_MS; /* the start of a bucket */

static const struct guard_settings settings = {
    .percent = 85,
    .min_leases = 50,
    .max_ms = GUARD_MAX_MS,
    .window_ms = WINDOW_MS,
};

static bool evaluate(struct guard *guard, uint64_t ms, uint32_t leases, uint32_t expired)
{
    return guard_evaluate(guard, &settings, NOON + ms, leases, expired);
}

static void evict(struct guard *guard, uint64_t ms, uint32_t count)
{
    guard_count_evictions(guard, &settings, NOON + ms, count);
}

static void check_state(const struct guard *guard, enum guard_state state, uint64_t since_ms,
                        uint64_t until_ms)
{
    assert_int_equal(guard->state, state);
    assert_int_equal(guard->since_ms, NOON + since_ms);
    assert_int_equal(guard->until_ms, until_ms ? NOON + until_ms : 0);
}

static void check_numbers(const struct guard *guard, uint32_t renewed, uint32_t expected)
{
    assert_int_equal(guard->renewed, renewed);
    assert_int_equal(guard->expected, expected);
}

/* --- when it acts ----------------------------------------------------------------------------- */

static void scope_below_the_minimum_is_never_guarded(void **state)
{
    (void)state;
    struct guard guard = {0};
    assert_false(evaluate(&guard, 0, 49, 49));
    assert_int_equal(guard.state, GUARD_OFF);
    check_numbers(&guard, 0, 49);
}

static void scope_of_the_minimum_is_guarded(void **state)
{
    (void)state;
    struct guard guard = {0};
    assert_true(evaluate(&guard, 0, 50, 50));
    check_state(&guard, GUARD_ENGAGED, 0, GUARD_MAX_MS);
    check_numbers(&guard, 0, 50);
}

static void share_of_exactly_the_percentage_evicts(void **state)
{
    (void)state;
    struct guard guard = {0};
    assert_false(evaluate(&guard, 0, 100, 15));
    assert_int_equal(guard.state, GUARD_OFF);
    check_numbers(&guard, 85, 100);
}

static void share_just_below_the_percentage_stops_evictions(void **state)
{
    (void)state;
    struct guard guard = {0};
    assert_true(evaluate(&guard, 0, 100, 16));
    check_numbers(&guard, 84, 100);
    guard = (struct guard){0};
    assert_true(evaluate(&guard, 0, 1000000, 150001));
}

static void percentage_of_zero_turns_it_off(void **state)
{
    (void)state;
    struct guard_settings off = settings;
    struct guard guard = {0};
    off.percent = 0;
    assert_false(guard_evaluate(&guard, &off, NOON, 100000, 100000));
    assert_int_equal(guard.state, GUARD_OFF);
}

static void percentage_of_a_hundred_stops_at_the_first_silence(void **state)
{
    (void)state;
    struct guard_settings strict = settings;
    struct guard guard = {0};
    strict.percent = 100;
    assert_false(guard_evaluate(&guard, &strict, NOON, 100, 0));
    assert_true(guard_evaluate(&guard, &strict, NOON, 100, 1));
}

static void huge_scope_does_not_overflow(void **state)
{
    (void)state;
    struct guard guard = {0};
    assert_false(evaluate(&guard, 0, 43000000, 1)); /* 100 times this is beyond 32 bits */
    assert_false(evaluate(&guard, 0, 2000000000, 300000000));
    assert_true(evaluate(&guard, 0, 2000000000, 300000001));
}

/* --- the window ------------------------------------------------------------------------------- */

static void evictions_within_the_window_add_up(void **state)
{
    (void)state;
    struct guard guard = {0};
    for (uint32_t gone = 0; gone < 15; gone++) {
        assert_false(evaluate(&guard, gone * 1000, 100 - gone, 1));
        evict(&guard, gone * 1000, 1);
    }
    assert_true(evaluate(&guard, 15000, 85, 1));
    check_numbers(&guard, 84, 100);
}

static void evictions_older_than_the_window_are_forgotten(void **state)
{
    (void)state;
    struct guard guard = {0};
    evict(&guard, 0, 15);
    assert_true(evaluate(&guard, WINDOW_MS - 1, 85, 1)); /* they still count */
    guard_clear(&guard, NOON + WINDOW_MS - 1);
    assert_false(evaluate(&guard, WINDOW_MS, 85, 1));
    check_numbers(&guard, 84, 85);
}

static void window_slides_bucket_by_bucket(void **state)
{
    (void)state;
    struct guard guard = {0};
    for (uint32_t bucket = 0; bucket < 12; bucket++) {
        evict(&guard, bucket * BUCKET_MS + bucket, 1u << bucket);
        /* The newest eight buckets, and no other. */
        uint32_t expected = (2u << bucket) - 1;
        if (bucket >= GUARD_BUCKETS)
            expected -= (2u << (bucket - GUARD_BUCKETS)) - 1;
        evaluate(&guard, bucket * BUCKET_MS + BUCKET_MS - 1, 0, 0);
        check_numbers(&guard, 0, expected);
    }
}

static void long_silence_empties_the_window(void **state)
{
    (void)state;
    struct guard guard = {0};
    evict(&guard, 0, 1000);
    assert_false(evaluate(&guard, 100000ull * WINDOW_MS + BUCKET_MS, 100, 1));
    check_numbers(&guard, 99, 100);
}

static void window_shorter_than_its_buckets_works(void **state)
{
    (void)state;
    struct guard_settings tiny = settings;
    struct guard guard = {0};
    tiny.window_ms = 5;
    guard_count_evictions(&guard, &tiny, NOON, 30);
    assert_true(guard_evaluate(&guard, &tiny, NOON, 50, 0));
    assert_false(guard_evaluate(&guard, &tiny, NOON + GUARD_BUCKETS, 50, 0));
}

/* --- how it ends ------------------------------------------------------------------------------ */

static void recovered_share_ends_it(void **state)
{
    (void)state;
    struct guard guard = {0};
    assert_true(evaluate(&guard, 0, 100, 60));
    assert_true(evaluate(&guard, 1000, 100, 16));
    check_state(&guard, GUARD_ENGAGED, 0, GUARD_MAX_MS); /* since the first moment */
    assert_false(evaluate(&guard, 2000, 100, 15));
    check_state(&guard, GUARD_OFF, 2000, 0);
}

static void scope_that_shrinks_below_the_minimum_stays_guarded(void **state)
{
    (void)state;
    struct guard guard = {0};
    assert_true(evaluate(&guard, 0, 100, 60));
    assert_true(evaluate(&guard, 1000, 49, 49)); /* the others were unregistered */
    assert_int_equal(guard.state, GUARD_ENGAGED);
    assert_false(evaluate(&guard, 2000, 49, 0)); /* and all came back */
    assert_int_equal(guard.state, GUARD_OFF);
}

/* Each lease has its own time box; the guard stays engaged for those that ended later. */
static void time_does_not_end_it(void **state)
{
    (void)state;
    struct guard guard = {0};
    assert_true(evaluate(&guard, 0, 100, 60));
    assert_true(evaluate(&guard, GUARD_MAX_MS, 100, 60));
    assert_true(evaluate(&guard, 3 * GUARD_MAX_MS, 60, 20));
    check_state(&guard, GUARD_ENGAGED, 0, GUARD_MAX_MS);
    assert_false(evaluate(&guard, 3 * GUARD_MAX_MS + 1, 40, 0));
    assert_int_equal(guard.state, GUARD_OFF);
}

static void it_can_act_again_after_the_release(void **state)
{
    (void)state;
    struct guard guard = {0};
    assert_true(evaluate(&guard, 0, 100, 60));
    assert_true(guard_release(&guard, &settings, NOON + 500, 0));
    assert_false(evaluate(&guard, 500 + WINDOW_MS - 1, 100, 60));
    assert_true(evaluate(&guard, 500 + WINDOW_MS, 100, 60)); /* expired again */
    check_state(&guard, GUARD_ENGAGED, 500 + WINDOW_MS, 500 + WINDOW_MS + GUARD_MAX_MS);
}

static void release_ends_with_the_window_when_all_is_well(void **state)
{
    (void)state;
    struct guard guard = {0};
    assert_true(guard_release(&guard, &settings, NOON, 0));
    check_state(&guard, GUARD_RELEASED, 0, WINDOW_MS);
    assert_false(evaluate(&guard, WINDOW_MS, 100, 0));
    check_state(&guard, GUARD_OFF, WINDOW_MS, 0);
}

static void operator_releases_in_advance(void **state)
{
    (void)state;
    struct guard guard = {0};
    assert_true(guard_release(&guard, &settings, NOON, 0));
    assert_false(evaluate(&guard, 1, 100, 100));
    assert_int_equal(guard.state, GUARD_RELEASED);
}

/* A release that arrives late ends when it ends where it was made. */
static void late_release_does_not_end_a_new_guard(void **state)
{
    (void)state;
    struct guard guard = {0};
    assert_true(evaluate(&guard, 0, 100, 60));
    assert_true(guard_release(&guard, &settings, NOON + 500, 500));
    check_state(&guard, GUARD_RELEASED, 500, WINDOW_MS);
    assert_true(evaluate(&guard, WINDOW_MS, 100, 60));
    assert_false(guard_release(&guard, &settings, NOON + WINDOW_MS, WINDOW_MS));
    check_state(&guard, GUARD_ENGAGED, WINDOW_MS, WINDOW_MS + GUARD_MAX_MS);
}

static void known_release_has_no_effect(void **state)
{
    (void)state;
    struct guard guard = {0};
    assert_true(evaluate(&guard, 0, 100, 60));
    assert_true(guard_release(&guard, &settings, NOON, 0));
    assert_false(guard_release(&guard, &settings, NOON + 100, 0)); /* the clocks differ */
    assert_false(guard_release(&guard, &settings, NOON + BUCKET_MS, 0));
    assert_true(guard_release(&guard, &settings, NOON + BUCKET_MS + 1, 0));
    check_state(&guard, GUARD_RELEASED, BUCKET_MS + 1, BUCKET_MS + 1 + WINDOW_MS);
}

/* What was guarded is looked at again within a second of the release, and goes then. A window after
 * the release a single lease ends, as leases do: the guard must not mistake it for the rest, at
 * whatever place in a bucket the release came. */
static void released_guard_does_not_engage_again_for_the_same_leases(void **state)
{
    (void)state;
    for (uint64_t released_ms = 0; released_ms < 2 * BUCKET_MS; released_ms += 250) {
        struct guard guard = {0};
        assert_true(evaluate(&guard, 0, 160, 100));
        assert_true(guard_release(&guard, &settings, NOON + released_ms, 0));
        assert_false(evaluate(&guard, released_ms + 900, 160, 100));
        evict(&guard, released_ms + 900, 100);
        assert_false(evaluate(&guard, released_ms + WINDOW_MS, 60, 1));
        assert_int_equal(guard.state, GUARD_OFF);
    }
}

static void clearing_ends_it_but_not_a_release(void **state)
{
    (void)state;
    struct guard guard = {0};
    guard_clear(&guard, NOON);
    assert_int_equal(guard.state, GUARD_OFF);
    assert_true(evaluate(&guard, 0, 100, 60));
    guard_clear(&guard, NOON + 10);
    check_state(&guard, GUARD_OFF, 10, 0);
    assert_true(guard_release(&guard, &settings, NOON + 20, 0));
    guard_clear(&guard, NOON + 30);
    check_state(&guard, GUARD_RELEASED, 20, 20 + WINDOW_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scope_below_the_minimum_is_never_guarded),
        cmocka_unit_test(scope_of_the_minimum_is_guarded),
        cmocka_unit_test(share_of_exactly_the_percentage_evicts),
        cmocka_unit_test(share_just_below_the_percentage_stops_evictions),
        cmocka_unit_test(percentage_of_zero_turns_it_off),
        cmocka_unit_test(percentage_of_a_hundred_stops_at_the_first_silence),
        cmocka_unit_test(huge_scope_does_not_overflow),
        cmocka_unit_test(evictions_within_the_window_add_up),
        cmocka_unit_test(evictions_older_than_the_window_are_forgotten),
        cmocka_unit_test(window_slides_bucket_by_bucket),
        cmocka_unit_test(long_silence_empties_the_window),
        cmocka_unit_test(window_shorter_than_its_buckets_works),
        cmocka_unit_test(recovered_share_ends_it),
        cmocka_unit_test(scope_that_shrinks_below_the_minimum_stays_guarded),
        cmocka_unit_test(time_does_not_end_it),
        cmocka_unit_test(it_can_act_again_after_the_release),
        cmocka_unit_test(release_ends_with_the_window_when_all_is_well),
        cmocka_unit_test(operator_releases_in_advance),
        cmocka_unit_test(late_release_does_not_end_a_new_guard),
        cmocka_unit_test(known_release_has_no_effect),
        cmocka_unit_test(released_guard_does_not_engage_again_for_the_same_leases),
        cmocka_unit_test(clearing_ends_it_but_not_a_release),
    };
    return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
