/* SPDX-License-Identifier: Apache-2.0
 *
 * When a lease ends: never early, and gone from every response within a tick, whatever the wall
 * clock does and however many end together; and what operators see of it. The guard is off here.
 */
#include "artemis-server/registry/registry.h"

#include "tests/unit/artemis-server/registry/registry_fixture.h"

enum { MANY = 100000, SERVICES = 100, DAY_MS = 86400000 };

static struct registry *registry;

static int set_up(void **state)
{
    (void)state;
    struct registry_options options = usual_options();
    options.guard_percent = 0;
    registry = make_registry_with(options);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    registry_validate(registry);
    registry_free(registry);
    return 0;
}

/* --- the end --- */

/* A moment at which the wheel's tick begins, so that the end of a lease is one too. */
static struct moment on_a_tick(uint64_t ms)
{
    struct moment now = at_ms(ms);
    now.mono_ms -= START_MONO_MS % TICK_MS;
    return now;
}

static void lease_that_ends_on_a_tick_is_gone_at_once_and_not_before(void **state)
{
    (void)state;
    struct moment end = on_a_tick(TTL_MS);
    struct moment before = end;
    before.mono_ms--;
    put(registry, "s", "a", on_a_tick(0));
    registry_expire(registry, before);
    assert_true(is_shown(registry, "s", "a"));
    registry_expire(registry, end);
    assert_false(is_shown(registry, "s", "a"));
    assert_int_equal(stats_of(registry).evicted, 1);
}

static void lease_that_ends_between_ticks_is_gone_within_one_and_not_before(void **state)
{
    (void)state;
    for (uint64_t offset_ms = 0; offset_ms < TICK_MS; offset_ms++) {
        uint64_t from = offset_ms * 100003;
        put(registry, "s", "a", at_ms(from));
        registry_expire(registry, at_ms(from + TTL_MS - 1));
        assert_true(is_shown(registry, "s", "a"));
        registry_expire(registry, at_ms(from + TTL_MS + TICK_MS - 1));
        assert_false(is_shown(registry, "s", "a"));
    }
}

static void lease_that_is_renewed_lives_and_ends_after_its_last_renewal(void **state)
{
    (void)state;
    uint64_t last = 0;
    put(registry, "s", "a", at_ms(0));
    for (uint64_t ms = 0; ms < 600000; ms += TICK_MS) {
        if (ms % 10000 == 0) {
            assert_int_equal(renew(registry, "s", "a", at_ms(ms)), ERR_NONE);
            last = ms;
        }
        registry_expire(registry, at_ms(ms));
    }
    registry_expire(registry, at_ms(last + TTL_MS - 1));
    assert_true(is_shown(registry, "s", "a"));
    registry_expire(registry, at_ms(last + TTL_MS + TICK_MS - 1));
    assert_false(is_shown(registry, "s", "a"));
}

static void leases_of_every_length_end_in_time(void **state)
{
    (void)state;
    static const uint64_t ttls_ms[] = {1000, 5120, 30000, 327680, 3600000};
    for (size_t i = 0; i < sizeof(ttls_ms) / sizeof(ttls_ms[0]); i++) {
        struct registry_options options = usual_options();
        options.ttl_ms = ttls_ms[i];
        struct registry *other = make_registry_with(options);
        put(other, "s", "a", at_ms(77));
        registry_expire(other, at_ms(77 + ttls_ms[i] - 1));
        assert_int_equal(shown(other, "s"), 1);
        registry_expire(other, at_ms(77 + ttls_ms[i] + TICK_MS - 1));
        assert_int_equal(shown(other, "s"), 0);
        registry_free(other);
    }
}

static void set_options(struct lease_options options)
{
    registry_set_lease_options(registry, &options);
}

static void longer_ttl_counts_from_the_next_renewal(void **state)
{
    (void)state;
    struct lease_options options = registry_lease_options(registry);
    put(registry, "s", "renewed", at_ms(0));
    put(registry, "s", "silent", at_ms(0));
    options.ttl_ms = 4 * TTL_MS;
    set_options(options);
    assert_int_equal(renew(registry, "s", "renewed", at_ms(1000)), ERR_NONE);
    registry_expire(registry, at_ms(TTL_MS + TICK_MS));
    assert_false(is_shown(registry, "s", "silent"));
    registry_expire(registry, at_ms(1000 + 4 * TTL_MS - 1));
    assert_true(is_shown(registry, "s", "renewed"));
    registry_expire(registry, at_ms(1000 + 4 * TTL_MS + TICK_MS));
    assert_false(is_shown(registry, "s", "renewed"));
}

static void shorter_ttl_shortens_no_lease_that_is_in_force(void **state)
{
    (void)state;
    enum { SHORT_MS = 5000 };
    struct lease_options options = registry_lease_options(registry);
    put(registry, "s", "old", at_ms(0));
    options.ttl_ms = SHORT_MS;
    set_options(options);
    put(registry, "s", "new", at_ms(2000));
    assert_int_equal(renew(registry, "s", "old", at_ms(2000)), ERR_NONE);
    registry_expire(registry, at_ms(2000 + SHORT_MS - 1));
    assert_true(is_shown(registry, "s", "new"));
    registry_expire(registry, at_ms(2000 + SHORT_MS + TICK_MS));
    assert_false(is_shown(registry, "s", "new"));
    assert_true(is_shown(registry, "s", "old"));
    assert_int_equal(renew(registry, "s", "old", at_ms(TTL_MS - 1000)), ERR_NONE);
    registry_expire(registry, at_ms(TTL_MS - 1000 + SHORT_MS - 1));
    assert_true(is_shown(registry, "s", "old"));
    registry_expire(registry, at_ms(TTL_MS - 1000 + SHORT_MS + TICK_MS));
    assert_false(is_shown(registry, "s", "old"));
}

/* Enables the guard, and lets 100 leases end at once, which it keeps. Returns the time. */
static uint64_t engage_guard(void)
{
    struct lease_options options = registry_lease_options(registry);
    options.guard_percent = 85;
    set_options(options);
    put_many(registry, "big", 0, 100, at_ms(0));
    registry_expire(registry, at_ms(TTL_MS + TICK_MS));
    assert_int_equal(stats_of(registry).guarded, 100);
    return TTL_MS + TICK_MS;
}

static void guard_keeps_leases_for_its_new_time(void **state)
{
    (void)state;
    enum { SHORT_MS = 5000, END_MS = TTL_MS + SHORT_MS };
    struct lease_options options = registry_lease_options(registry);
    (void)engage_guard();
    options.guard_percent = 85;
    options.guard_max_ms = SHORT_MS;
    set_options(options);
    registry_expire(registry, at_ms(END_MS - 1));
    assert_int_equal(stats_of(registry).guarded, 100);
    registry_expire(registry, at_ms(END_MS + RECHECK_MS));
    assert_int_equal(stats_of(registry).instances, 0);
}

static void guard_that_is_disabled_evicts(void **state)
{
    (void)state;
    struct lease_options options = registry_lease_options(registry);
    uint64_t ms = engage_guard();
    set_options(options);
    registry_expire(registry, at_ms(ms + RECHECK_MS + TICK_MS));
    assert_int_equal(stats_of(registry).instances, 0);
}

static void empty_services_are_forgotten_after_the_new_interval(void **state)
{
    (void)state;
    struct lease_options options = registry_lease_options(registry);
    put(registry, "s", "a", at_ms(0));
    options.cleanup_interval_ms = 1000;
    set_options(options);
    registry_expire(registry, at_ms(TTL_MS + TICK_MS));
    assert_int_equal(stats_of(registry).services, 1);
    registry_cleanup(registry, at_ms(TTL_MS + 2 * TICK_MS + 1000));
    assert_int_equal(stats_of(registry).services, 0);
}

static void sweep_that_comes_an_hour_late_takes_all_that_ended(void **state)
{
    (void)state;
    put_many(registry, "s", 0, 500, at_ms(0));
    put_many(registry, "s", 500, 1000, at_ms(3600000 - 1));
    registry_expire(registry, at_ms(3600000));
    assert_int_equal(shown(registry, "s"), 500);
    assert_int_equal(renew_many(registry, "s", 0, 500, at_ms(3600000)), 0);
    assert_int_equal(renew_many(registry, "s", 500, 1000, at_ms(3600000)), 500);
}

static void check_all_end_together(const char *format, unsigned services)
{
    char service[16];
    for (unsigned i = 0; i < services; i++) {
        snprintf(service, sizeof(service), format, i);
        put_many(registry, service, 0, MANY / services, at_ms(0));
    }
    assert_int_equal(stats_of(registry).instances, MANY);
    registry_expire(registry, at_ms(TTL_MS - 1));
    assert_int_equal(stats_of(registry).instances, MANY);
    registry_expire(registry, at_ms(TTL_MS + TICK_MS - 1));
    assert_int_equal(stats_of(registry).instances, 0);
    assert_int_equal(stats_of(registry).evicted, MANY);
    assert_int_equal(stats_of(registry).ended, MANY);
}

static void hundred_thousand_leases_of_many_services_end_together(void **state)
{
    (void)state;
    check_all_end_together("s%u", SERVICES);
}

static void hundred_thousand_leases_of_one_service_end_together(void **state)
{
    (void)state;
    check_all_end_together("s", 1);
}

/* --- the wall clock --- */

static void wall_clock_that_jumps_changes_no_lease(void **state)
{
    (void)state;
    static const int64_t jumps_ms[] = {DAY_MS, -(int64_t)DAY_MS, 10ll * 365 * DAY_MS};
    for (size_t i = 0; i < sizeof(jumps_ms) / sizeof(jumps_ms[0]); i++) {
        uint64_t from = i * 1000000;
        put(registry, "s", "a", at_ms(from));
        struct moment now = at_ms(from + 10000);
        now.wall_ms += (uint64_t)jumps_ms[i];
        registry_expire(registry, now);
        assert_int_equal(renew(registry, "s", "a", now), ERR_NONE);
        now.mono_ms += TTL_MS - 1;
        registry_expire(registry, now);
        assert_true(is_shown(registry, "s", "a"));
        now.mono_ms += TICK_MS;
        registry_expire(registry, now);
        assert_false(is_shown(registry, "s", "a"));
    }
}

static void wall_clock_that_jumps_back_takes_no_version_back(void **state)
{
    (void)state;
    uint64_t last = registry_revision(registry);
    for (int i = 0; i < 10; i++) {
        struct moment now = at_ms(0);
        now.wall_ms -= (uint64_t)i * DAY_MS;
        put_as(registry, (struct brief){.service = "s", .id = "a", .port = 1 + i}, now);
        assert_true(revision_of(registry, "s") > last);
        last = revision_of(registry, "s");
    }
}

/* --- what operators see --- */

struct seen {
    unsigned count;
    struct lease_status last;
    struct registry_stats stats;
};

static void cleanup(void *context, const struct lease_status *lease)
{
    struct seen *seen = context;
    seen->count++;
    seen->last = *lease;
    /* No lock is guarded here: confirming again must not hang. */
    registry_stats(registry, &seen->stats);
    assert_true(slice_equal(instance_text(lease->instance, FIELD_SERVICE), SLICE("s")));
}

static struct seen arm_cleanup(const char *service, struct moment now)
{
    struct seen seen = {0};
    assert_int_equal(registry_each_lease(registry, slice_of(service), now, cleanup, &seen),
                     ERR_NONE);
    return seen;
}

static void lease_status_has_age_and_end(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    assert_int_equal(renew(registry, "s", "a", at_ms(10000)), ERR_NONE);
    struct seen seen = arm_cleanup("s", at_ms(12000));
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.last.renewed_ms_ago, 2000);
    assert_int_equal(seen.last.ends_in_ms, TTL_MS - 2000);
    assert_int_equal(seen.last.changed_wall_ms, START_WALL_MS);
    assert_false(seen.last.guarded);
    put_as(registry, (struct brief){.service = "s", .id = "a", .port = 1}, at_ms(13000));
    assert_int_equal(arm_cleanup("s", at_ms(13000)).last.changed_wall_ms, START_WALL_MS + 13000);
}

static void lease_status_of_an_older_moment_has_no_age(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(1000));
    assert_int_equal(arm_cleanup("s", at_ms(900)).last.renewed_ms_ago, 0);
}

static void lease_status_of_ended_but_unswept_is_at_its_end(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    struct seen seen = arm_cleanup("s", at_ms(TTL_MS + 5));
    assert_int_equal(seen.last.ends_in_ms, 0);
    assert_int_equal(seen.last.renewed_ms_ago, TTL_MS + 5);
    assert_false(seen.last.guarded);
}

static void lease_status_shows_each_of_a_service(void **state)
{
    (void)state;
    put_many(registry, "s", 0, 300, at_ms(0));
    put_many(registry, "t", 0, 20, at_ms(0));
    assert_int_equal(arm_cleanup("s", at_ms(0)).count, 300);
}

static void lease_status_of_an_emptied_service_is_empty_and_of_an_unknown_one_refused(void **state)
{
    (void)state;
    struct seen seen = {0};
    put(registry, "s", "a", at_ms(0));
    take_out(registry, "s", "a", at_ms(0));
    assert_int_equal(arm_cleanup("s", at_ms(0)).count, 0);
    assert_int_equal(registry_each_lease(registry, SLICE("t"), at_ms(0), cleanup, &seen),
                     ERR_SERVICE_NOT_FOUND);
    assert_int_equal(seen.count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lease_that_ends_on_a_tick_is_gone_at_once_and_not_before),
        TEST(lease_that_ends_between_ticks_is_gone_within_one_and_not_before),
        TEST(lease_that_is_renewed_lives_and_ends_after_its_last_renewal),
        TEST(leases_of_every_length_end_in_time),
        TEST(longer_ttl_counts_from_the_next_renewal),
        TEST(shorter_ttl_shortens_no_lease_that_is_in_force),
        TEST(guard_keeps_leases_for_its_new_time),
        TEST(guard_that_is_disabled_evicts),
        TEST(empty_services_are_forgotten_after_the_new_interval),
        TEST(sweep_that_comes_an_hour_late_takes_all_that_ended),
        TEST(hundred_thousand_leases_of_many_services_end_together),
        TEST(hundred_thousand_leases_of_one_service_end_together),
        TEST(wall_clock_that_jumps_changes_no_lease),
        TEST(wall_clock_that_jumps_back_takes_no_version_back),
        TEST(lease_status_has_age_and_end),
        TEST(lease_status_of_an_older_moment_has_no_age),
        TEST(lease_status_of_ended_but_unswept_is_at_its_end),
        TEST(lease_status_shows_each_of_a_service),
        TEST(lease_status_of_an_emptied_service_is_empty_and_of_an_unknown_one_refused),
    };
    return cmocka_run_group_tests_name("registry: leases", tests, NULL, NULL);
}
