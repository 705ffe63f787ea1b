/* SPDX-License-Identifier: Apache-2.0
 *
 * A process that was stopped: the leases of a node without peers get the time of the pause back,
 * once, and only those that could not be renewed meanwhile.
 */
#include "artemis-server/registry/registry_replication.h"

#include "tests/unit/artemis-server/registry/registry_fixture.h"

enum { PAUSE_MS = 3 * TTL_MS };

static struct registry *registry;

static int set_up(void **state)
{
    (void)state;
    registry = make_registry();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    registry_validate(registry);
    registry_free(registry);
    return 0;
}

/* Ticks without a pause. */
static void tick_until(uint64_t from_ms, uint64_t to_ms)
{
    for (uint64_t ms = from_ms; ms <= to_ms; ms += TICK_MS)
        registry_tick(registry, at_ms(ms));
}

static void leases_have_after_a_pause_what_they_had_before(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    tick_until(0, 10000);
    registry_tick(registry, at_ms(10000 + PAUSE_MS));
    assert_true(is_shown(registry, "s", "a"));
    tick_until(10000 + PAUSE_MS, PAUSE_MS + TTL_MS - TICK_MS);
    assert_true(is_shown(registry, "s", "a"));
    tick_until(PAUSE_MS + TTL_MS, PAUSE_MS + TTL_MS + 2 * TICK_MS);
    assert_false(is_shown(registry, "s", "a"));
}

static void heartbeat_after_a_pause_renews_before_the_first_tick_and_after_it(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    put(registry, "s", "b", at_ms(0));
    tick_until(0, 10000);
    uint64_t now_ms = 10000 + PAUSE_MS;
    assert_int_equal(renew(registry, "s", "a", at_ms(now_ms)), ERR_NONE);
    registry_tick(registry, at_ms(now_ms));
    assert_int_equal(renew(registry, "s", "b", at_ms(now_ms + 5)), ERR_NONE);
    /* A renewed lease has its time-to-live and no more. */
    tick_until(now_ms, now_ms + TTL_MS - TICK_MS);
    assert_int_equal(shown(registry, "s"), 2);
    tick_until(now_ms + TTL_MS, now_ms + TTL_MS + 2 * TICK_MS);
    assert_int_equal(shown(registry, "s"), 0);
}

static void lease_that_ended_before_the_pause_gets_nothing(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    put(registry, "s", "b", at_ms(20000));
    tick_until(0, TTL_MS - TICK_MS);
    registry_expire(registry, at_ms(TTL_MS + TICK_MS)); /* a late tick, no pause */
    registry_tick(registry, at_ms(TTL_MS + PAUSE_MS));
    assert_false(is_shown(registry, "s", "a"));
    assert_true(is_shown(registry, "s", "b"));
    assert_int_equal(renew(registry, "s", "a", at_ms(TTL_MS + PAUSE_MS)), ERR_INSTANCE_NOT_FOUND);
}

static void pauses_that_follow_each_other_add_up(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    registry_tick(registry, at_ms(10000));
    registry_tick(registry, at_ms(10000 + PAUSE_MS));
    registry_tick(registry, at_ms(10000 + 2 * PAUSE_MS));
    assert_true(is_shown(registry, "s", "a"));
    tick_until(10000 + 2 * PAUSE_MS, 2 * PAUSE_MS + TTL_MS + 2 * TICK_MS);
    assert_false(is_shown(registry, "s", "a"));
}

static void peers_are_asked_instead_where_there_are_any(void **state)
{
    (void)state;
    struct record_copy checked[4];
    registry_set_replicating(registry, true);
    put(registry, "s", "a", at_ms(0));
    tick_until(0, 10000);
    registry_tick(registry, at_ms(10000 + PAUSE_MS));
    assert_int_equal(registry_drain_lease_checks(registry, checked, 4, at_ms(10000 + PAUSE_MS)), 1);
    assert_true(is_shown(registry, "s", "a"));
    registry_confirm_expiry(registry, instance_packed_key(checked[0].instance),
                            at_ms(10000 + PAUSE_MS));
    registry_tick(registry, at_ms(10000 + PAUSE_MS + TICK_MS));
    assert_false(is_shown(registry, "s", "a"));
    record_copy_unref(&checked[0]);
}

static void lease_check_has_its_whole_time_after_a_pause(void **state)
{
    (void)state;
    uint64_t end_ms = TTL_MS + TICK_MS + PAUSE_MS;
    uint64_t limit_ms = registry_lease_check_max_ms(registry) + LEASE_CHECK_SLACK_MS;
    registry_set_replicating(registry, true);
    put(registry, "s", "a", at_ms(0));
    tick_until(0, TTL_MS + TICK_MS);
    tick_until(end_ms, end_ms + limit_ms - TICK_MS);
    assert_true(is_shown(registry, "s", "a"));
    tick_until(end_ms + limit_ms, end_ms + limit_ms + 2 * TICK_MS);
    assert_false(is_shown(registry, "s", "a"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(leases_have_after_a_pause_what_they_had_before),
        TEST(heartbeat_after_a_pause_renews_before_the_first_tick_and_after_it),
        TEST(lease_that_ended_before_the_pause_gets_nothing),
        TEST(pauses_that_follow_each_other_add_up),
        TEST(peers_are_asked_instead_where_there_are_any),
        TEST(lease_check_has_its_whole_time_after_a_pause),
    };
    return cmocka_run_group_tests_name("registry_pause", tests, NULL, NULL);
}
