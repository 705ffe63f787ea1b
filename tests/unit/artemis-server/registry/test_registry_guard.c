/* SPDX-License-Identifier: Apache-2.0
 *
 * The mass-expiry guard through the registry: which leases are guarded, what that means, and each
 * way in which it ends. Service "big" has 100 leases that expire together. Where only its own guard
 * shall engage, service "calm" has 2,000 that are always renewed, so that the guard of the node
 * stays off.
 */
#include "artemis-server/registry/registry.h"

#include "artemis-server/registry/registry_internal.h"
#include "tests/unit/artemis-server/registry/registry_fixture.h"

enum { BIG = 100, CALM = 2000, ENDED_MS = TTL_MS + TICK_MS };

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

/* A sweep a tick, as in life; what is calm renews every 10 s. Ends with a sweep at `to`. */
static void run(uint64_t from, uint64_t to, bool calm)
{
    for (uint64_t ms = from; ms < to; ms += TICK_MS) {
        if (calm && ms / 10000 != (ms - TICK_MS) / 10000)
            renew_many(registry, "calm", 0, CALM, at_ms(ms));
        registry_expire(registry, at_ms(ms));
    }
    registry_expire(registry, at_ms(to));
}

/* "big" has just fallen expired, and its guard is on. */
static void start_trouble(bool calm)
{
    put_many(registry, "big", 0, BIG, at_ms(0));
    if (calm)
        put_many(registry, "calm", 0, CALM, at_ms(0));
    run(TICK_MS, ENDED_MS, calm);
}

static struct guard node_guard(void)
{
    return stats_of(registry).node_guard;
}

struct guards_seen {
    unsigned count;
    char ids[64];
    struct guard guard;
    uint32_t guarded;
};

static void see_guard(void *context, struct slice id, const struct guard *guard, uint32_t guarded)
{
    struct guards_seen *seen = context;
    seen->count++;
    strncat(seen->ids, id.data, id.size);
    seen->guard = *guard;
    seen->guarded = guarded;
    stats_of(registry); /* no lock is guarded here */
}

static struct guards_seen guards_at(uint64_t ms)
{
    struct guards_seen seen = {0};
    registry_each_guard(registry, at_ms(ms), see_guard, &seen);
    return seen;
}

static void count_guard(void *context, struct slice id, const struct guard *guard, uint32_t guarded)
{
    (void)id;
    (void)guard;
    *(unsigned *)context += guarded == 1;
}

static unsigned count_guards(uint64_t ms)
{
    unsigned count = 0;
    registry_each_guard(registry, at_ms(ms), count_guard, &count);
    return count;
}

/* --- it acts --- */

static void silent_majority_of_a_service_is_held(void **state)
{
    (void)state;
    uint64_t revision;
    put_many(registry, "calm", 0, CALM, at_ms(0));
    put_many(registry, "big", 0, BIG, at_ms(0));
    revision = registry_revision(registry);
    run(TICK_MS, ENDED_MS, true);
    assert_int_equal(shown(registry, "big"), BIG);
    assert_int_equal(registry_revision(registry), revision);
    struct registry_stats stats = stats_of(registry);
    assert_int_equal(stats.guarded, BIG);
    assert_int_equal(stats.engaged_services, 1);
    assert_int_equal(stats.evicted, 0);
    assert_int_equal(stats.node_guard.state, GUARD_OFF);
}

static void guard_reports_its_numbers(void **state)
{
    (void)state;
    start_trouble(true);
    struct guards_seen seen = guards_at(ENDED_MS);
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.ids, "big");
    assert_int_equal(seen.guarded, BIG);
    assert_int_equal(seen.guard.state, GUARD_ENGAGED);
    assert_int_equal(seen.guard.renewed, 0);
    assert_int_equal(seen.guard.expected, BIG);
    assert_in_range(seen.guard.since_ms, START_MONO_MS + TTL_MS, START_MONO_MS + ENDED_MS);
    assert_int_equal(seen.guard.until_ms - seen.guard.since_ms, GUARD_MAX_MS);
    assert_int_equal(node_guard().expected, BIG + CALM);
    assert_int_equal(node_guard().renewed, CALM);
}

/* A dead service that is a fifth of the node is guarded by its own guard; that must not keep the
 * dead of the services that are well. */
static void guarded_service_is_not_the_trouble_of_the_node(void **state)
{
    (void)state;
    put_many(registry, "well", 0, 400, at_ms(0));
    put_many(registry, "big", 0, BIG, at_ms(0));
    for (uint64_t ms = TICK_MS; ms < 3 * TTL_MS; ms += TICK_MS) {
        if (ms % 5000 < TICK_MS)
            renew_many(registry, "well", 1, 400, at_ms(ms)); /* all but i0 */
        registry_expire(registry, at_ms(ms));
    }
    assert_int_equal(shown(registry, "big"), BIG);
    assert_int_equal(shown(registry, "well"), 399);
    assert_int_equal(node_guard().state, GUARD_OFF);
}

static void silent_few_are_evicted_at_once(void **state)
{
    (void)state;
    put_many(registry, "big", 0, 85, at_ms(10000));
    put_many(registry, "big", 85, BIG, at_ms(0));
    run(TICK_MS, ENDED_MS, false);
    assert_int_equal(shown(registry, "big"), 85);
    assert_int_equal(stats_of(registry).guarded, 0);
}

/* One every 100 ms: each alone is nothing, but the sixteenth of a hundred is too many. */
static void slow_death_of_a_service_adds_up(void **state)
{
    (void)state;
    put_many(registry, "calm", 0, CALM, at_ms(0));
    for (unsigned i = 0; i < BIG; i++)
        put_many(registry, "big", i, i + 1, at_ms(i * 100));
    run(TICK_MS, TTL_MS + BIG * 100 + TICK_MS, true);
    assert_int_equal(shown(registry, "big"), 85);
    assert_int_equal(stats_of(registry).guarded, 85);
    assert_int_equal(node_guard().state, GUARD_OFF);
}

static void slow_death_of_many_small_services_adds_up(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        char service[16];
        snprintf(service, sizeof(service), "small%u", i);
        put(registry, service, "a", at_ms(i * 100));
    }
    run(TICK_MS, TTL_MS + 100 * 100 + TICK_MS, false);
    assert_int_equal(stats_of(registry).instances, 85);
    assert_int_equal(stats_of(registry).guarded, 85);
    assert_int_equal(node_guard().state, GUARD_ENGAGED);
}

static void service_below_the_minimum_is_evicted_at_once(void **state)
{
    (void)state;
    put_many(registry, "small", 0, 49, at_ms(0));
    put_many(registry, "calm", 0, CALM, at_ms(0));
    run(TICK_MS, ENDED_MS, true);
    assert_int_equal(shown(registry, "small"), 0);
    assert_int_equal(stats_of(registry).engaged_services, 0);
    assert_int_equal(guards_at(ENDED_MS).count, 0);
}

static void guard_of_one_service_keeps_only_its_own_leases(void **state)
{
    (void)state;
    put_many(registry, "small", 0, 10, at_ms(0));
    start_trouble(true);
    assert_int_equal(shown(registry, "small"), 0);
    assert_int_equal(shown(registry, "big"), BIG);
}

static void guard_of_the_node_holds_small_services_too(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        char service[16];
        snprintf(service, sizeof(service), "small%u", i);
        put_many(registry, service, 0, 10, at_ms(0));
    }
    run(TICK_MS, ENDED_MS, false);
    assert_int_equal(stats_of(registry).instances, 100);
    assert_int_equal(stats_of(registry).guarded, 100);
    assert_int_equal(stats_of(registry).engaged_services, 0);
    assert_int_equal(node_guard().state, GUARD_ENGAGED);
    assert_int_equal(node_guard().expected, 100);
    assert_int_equal(node_guard().renewed, 0);
}

static void guard_turned_off_holds_nothing(void **state)
{
    (void)state;
    struct registry_options options = usual_options();
    options.guard_percent = 0;
    struct registry *bold = make_registry_with(options);
    put_many(bold, "big", 0, 1000, at_ms(0));
    registry_expire(bold, at_ms(ENDED_MS));
    assert_int_equal(stats_of(bold).instances, 0);
    registry_free(bold);
}

/* --- what is guarded --- */

static void held_instance_can_be_renewed(void **state)
{
    (void)state;
    start_trouble(true);
    assert_int_equal(renew(registry, "big", "i7", at_ms(ENDED_MS + 1)), ERR_NONE);
    assert_int_equal(stats_of(registry).guarded, BIG - 1);
    assert_int_equal(renew(registry, "big", "i7", at_ms(ENDED_MS + 2)), ERR_NONE);
    assert_int_equal(stats_of(registry).guarded, BIG - 1);
}

static void held_instance_can_be_registered_again(void **state)
{
    (void)state;
    start_trouble(true);
    uint64_t revision = revision_of(registry, "big");
    put(registry, "big", "i7", at_ms(ENDED_MS));
    assert_int_equal(revision_of(registry, "big"), revision);
    put_as(registry, (struct brief){.service = "big", .id = "i8", .port = 1}, at_ms(ENDED_MS));
    assert_true(revision_of(registry, "big") > revision);
    assert_int_equal(stats_of(registry).guarded, BIG - 2);
}

static void held_instance_can_be_unregistered(void **state)
{
    (void)state;
    start_trouble(true);
    take_out(registry, "big", "i7", at_ms(ENDED_MS));
    assert_false(is_shown(registry, "big", "i7"));
    assert_int_equal(stats_of(registry).guarded, BIG - 1);
}

static void count_held(void *context, const struct lease_status *lease)
{
    unsigned *guarded = context;
    *guarded += lease->guarded && lease->ends_in_ms == 0 && lease->renewed_ms_ago >= TTL_MS;
}

static void held_lease_is_shown_as_such(void **state)
{
    (void)state;
    unsigned guarded = 0;
    start_trouble(true);
    assert_int_equal(renew(registry, "big", "i7", at_ms(ENDED_MS)), ERR_NONE);
    assert_int_equal(
        registry_each_lease(registry, SLICE("big"), at_ms(ENDED_MS + 5), count_held, &guarded),
        ERR_NONE);
    assert_int_equal(guarded, BIG - 1);
}

static void renewed_instance_ends_again_when_it_falls_silent_again(void **state)
{
    (void)state;
    start_trouble(true);
    const uint64_t back = ENDED_MS + 5000;
    run(ENDED_MS, back, true);
    assert_int_equal(renew_many(registry, "big", 0, BIG, at_ms(back)), BIG);
    run(back, back + TTL_MS - TICK_MS, true);
    assert_int_equal(stats_of(registry).guarded, 0);
    run(back + TTL_MS - TICK_MS, back + TTL_MS + TICK_MS, true);
    assert_int_equal(stats_of(registry).guarded, BIG);
    assert_int_equal(stats_of(registry).engaged_services, 1);
}

/* --- how it ends --- */

static void guard_ends_when_all_have_come_back(void **state)
{
    (void)state;
    start_trouble(true);
    assert_int_equal(renew_many(registry, "big", 0, BIG - 1, at_ms(ENDED_MS + 1)), BIG - 1);
    assert_int_equal(stats_of(registry).engaged_services, 1);
    assert_int_equal(renew(registry, "big", "i99", at_ms(ENDED_MS + 2)), ERR_NONE);
    assert_int_equal(stats_of(registry).engaged_services, 0);
    assert_int_equal(stats_of(registry).guarded, 0);
    assert_int_equal(guards_at(ENDED_MS + 3).count, 0);
}

static void guard_ends_when_enough_have_come_back_and_the_rest_goes(void **state)
{
    (void)state;
    const uint64_t enough = ENDED_MS + RECHECK_MS + RECHECK_MS / 2;
    start_trouble(true);
    assert_int_equal(renew_many(registry, "big", 0, 84, at_ms(ENDED_MS + 1)), 84);
    run(ENDED_MS, enough, true);
    assert_int_equal(shown(registry, "big"), BIG);
    assert_int_equal(renew(registry, "big", "i84", at_ms(enough)), ERR_NONE);
    run(enough, enough + RECHECK_MS + 2 * TICK_MS, true);
    assert_int_equal(shown(registry, "big"), 85);
    assert_int_equal(stats_of(registry).engaged_services, 0);
    assert_int_equal(stats_of(registry).evicted, 15);
}

static void guard_is_time_boxed(void **state)
{
    (void)state;
    start_trouble(true);
    const uint64_t end = TTL_MS + GUARD_MAX_MS; /* of each lease */
    run(ENDED_MS, end - 1, true);
    assert_int_equal(shown(registry, "big"), BIG);
    run(end, end + 3 * TICK_MS, true);
    assert_int_equal(shown(registry, "big"), 0);
    assert_int_equal(stats_of(registry).evicted, BIG);
    assert_int_equal(stats_of(registry).engaged_services, 0);
}

static void guard_of_the_node_is_time_boxed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        char service[16];
        snprintf(service, sizeof(service), "small%u", i);
        put_many(registry, service, 0, 10, at_ms(0));
    }
    run(TICK_MS, ENDED_MS, false);
    const uint64_t end = TTL_MS + GUARD_MAX_MS; /* of each lease */
    run(ENDED_MS, end - 1, false);
    assert_int_equal(stats_of(registry).instances, 100);
    run(end, end + 3 * TICK_MS, false);
    assert_int_equal(stats_of(registry).instances, 0);
}

static void operator_releases_a_service_alone(void **state)
{
    (void)state;
    put_many(registry, "other", 0, BIG, at_ms(0));
    start_trouble(true);
    assert_int_equal(stats_of(registry).engaged_services, 2);
    assert_int_equal(registry_release_guard(registry, SLICE("big"), at_ms(ENDED_MS)), ERR_NONE);
    assert_int_equal(stats_of(registry).engaged_services, 1);
    run(ENDED_MS, ENDED_MS + 2 * TICK_MS, true);
    assert_int_equal(shown(registry, "big"), 0);
    assert_int_equal(shown(registry, "other"), BIG);
}

static void operator_releases_a_service_from_the_guard_of_the_node(void **state)
{
    (void)state;
    put_many(registry, "small", 0, 10, at_ms(0));
    start_trouble(false);
    assert_int_equal(node_guard().state, GUARD_ENGAGED);
    assert_int_equal(registry_release_guard(registry, SLICE("small"), at_ms(ENDED_MS)), ERR_NONE);
    run(ENDED_MS, ENDED_MS + 2 * TICK_MS, false);
    assert_int_equal(shown(registry, "small"), 0);
    assert_int_equal(shown(registry, "big"), BIG);
    assert_int_equal(node_guard().state, GUARD_ENGAGED);
}

static void operator_releases_all(void **state)
{
    (void)state;
    put_many(registry, "other", 0, BIG, at_ms(0));
    put_many(registry, "small", 0, 10, at_ms(0));
    start_trouble(false);
    assert_int_equal(stats_of(registry).guarded, 2 * BIG + 10);
    assert_int_equal(registry_release_guard(registry, (struct slice){0}, at_ms(ENDED_MS)),
                     ERR_NONE);
    assert_int_equal(stats_of(registry).engaged_services, 0);
    assert_int_equal(node_guard().state, GUARD_RELEASED);
    assert_int_equal(guards_at(ENDED_MS).count, 3); /* what the node guarded is released too */
    run(ENDED_MS, ENDED_MS + 2 * TICK_MS, false);
    assert_int_equal(stats_of(registry).instances, 0);
}

static void release_is_seen_until_it_ends(void **state)
{
    (void)state;
    start_trouble(true);
    assert_int_equal(registry_release_guard(registry, SLICE("big"), at_ms(ENDED_MS)), ERR_NONE);
    struct guards_seen seen = guards_at(ENDED_MS + TTL_MS - 1);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.guard.state, GUARD_RELEASED);
    assert_int_equal(guards_at(ENDED_MS + TTL_MS).count, 0);
}

static void release_of_an_unknown_service_is_refused(void **state)
{
    (void)state;
    assert_int_equal(registry_release_guard(registry, SLICE("big"), at_ms(0)),
                     ERR_SERVICE_NOT_FOUND);
}

/* A release in advance would leave the service without its guard for a window. */
static void release_of_what_is_well_changes_nothing(void **state)
{
    (void)state;
    put_many(registry, "big", 0, BIG, at_ms(0));
    put_many(registry, "calm", 0, CALM, at_ms(0));
    run(TICK_MS, ENDED_MS - 2 * TICK_MS, true);
    assert_int_equal(registry_release_guard(registry, SLICE("big"), at_ms(TTL_MS)), ERR_NONE);
    assert_int_equal(registry_release_guard(registry, (struct slice){0}, at_ms(TTL_MS)), ERR_NONE);
    assert_int_equal(guards_at(TTL_MS).count, 0);
    assert_int_equal(node_guard().state, GUARD_OFF);
    run(ENDED_MS - 2 * TICK_MS, ENDED_MS, true);
    assert_int_equal(stats_of(registry).guarded, BIG);
    assert_int_equal(stats_of(registry).engaged_services, 1);
}

static void release_of_all_leaves_the_guard_of_a_node_that_is_well(void **state)
{
    (void)state;
    start_trouble(true);
    assert_int_equal(registry_release_guard(registry, (struct slice){0}, at_ms(ENDED_MS)),
                     ERR_NONE);
    assert_int_equal(node_guard().state, GUARD_OFF);
    run(ENDED_MS, ENDED_MS + 2 * TICK_MS, true);
    assert_int_equal(shown(registry, "big"), 0);
    assert_int_equal(node_guard().state, GUARD_OFF);
}

static void second_release_does_not_prolong_the_first(void **state)
{
    (void)state;
    const uint64_t later = ENDED_MS + 5000;
    start_trouble(true);
    assert_int_equal(registry_release_guard(registry, SLICE("big"), at_ms(ENDED_MS)), ERR_NONE);
    run(ENDED_MS, later, true);
    assert_int_equal(registry_release_guard(registry, SLICE("big"), at_ms(later)), ERR_NONE);
    assert_int_equal(guards_at(later).guard.until_ms, at_ms(ENDED_MS + TTL_MS).mono_ms);
}

/* --- what operators see --- */

/* So many that a shard is gone over in several stretches. */
static void guards_of_many_services_are_all_seen_once(void **state)
{
    (void)state;
    enum { MANY = 20000 };
    struct registry_options options = usual_options();
    options.guard_min_leases = 1;
    registry_free(registry);
    registry = make_registry_with(options);
    for (unsigned i = 0; i < MANY; i++) {
        char service[16];
        snprintf(service, sizeof(service), "s%u", i);
        put(registry, service, "a", at_ms(0));
    }
    registry_expire(registry, at_ms(ENDED_MS));
    assert_int_equal(count_guards(ENDED_MS), MANY);
    assert_int_equal(registry_release_guard(registry, (struct slice){0}, at_ms(ENDED_MS)),
                     ERR_NONE);
    assert_int_equal(count_guards(ENDED_MS), MANY);
    assert_int_equal(count_guards(ENDED_MS + TTL_MS), 0);
}

/* A shard that counts no guard is not gone over: this one counts wrong. */
static void shards_without_a_guard_are_passed_over(void **state)
{
    (void)state;
    start_trouble(true);
    struct shard *shard = &registry_locate(registry, SLICE("big")).locked->shard;
    assert_int_equal(shard->engaged.services, 1);
    shard->engaged.services = 0;
    assert_int_equal(guards_at(ENDED_MS).count, 0);
    shard->engaged.services = 1;
    assert_int_equal(guards_at(ENDED_MS).count, 1);
    assert_int_equal(registry_release_guard(registry, SLICE("big"), at_ms(ENDED_MS)), ERR_NONE);
    assert_int_equal(shard->engaged.services, 0);
    assert_int_equal(shard->released_services, 1);
    assert_int_equal(guards_at(ENDED_MS).count, 1);
    run(ENDED_MS, ENDED_MS + TICK_MS, true);
    registry_cleanup(registry, at_ms(ENDED_MS + 61000)); /* it is empty: forgotten */
    assert_int_equal(shard->released_services, 0);
}

static void released_service_is_guarded_again_when_it_falls_silent_again(void **state)
{
    (void)state;
    start_trouble(true);
    assert_int_equal(registry_release_guard(registry, SLICE("big"), at_ms(ENDED_MS)), ERR_NONE);
    run(ENDED_MS, ENDED_MS + 2 * TICK_MS, true);
    assert_int_equal(shown(registry, "big"), 0);
    const uint64_t back = ENDED_MS + 2 * TICK_MS;
    put_many(registry, "big", 0, BIG, at_ms(back));
    run(back, back + TTL_MS + 2 * TICK_MS, true);
    assert_int_equal(stats_of(registry).guarded, BIG);
}

/* 160 of 260 leases end within a second, and are evicted when the time of the guard is over. One
 * window later another lease ends. It is evicted at once, because evicted leases must not engage
 * the guard again. The leases end at several points of the guard's window. */
static void evicted_leases_do_not_engage_the_guard_again(void **state)
{
    (void)state;
    for (uint64_t from = 0; from < 4000; from += 500) {
        const uint64_t end = from + TTL_MS + GUARD_MAX_MS;
        uint64_t last = UINT64_MAX; /* renewal of the one more: when the guard has ended */
        for (unsigned i = 0; i < 160; i++)
            put_many(registry, "big", i, i + 1, at_ms(from + i * 6));
        put_many(registry, "big", 160, 260, at_ms(from + 1000));
        for (uint64_t ms = from; ms < end + 2 * TTL_MS && ms != last + TTL_MS + 2 * TICK_MS;
             ms += TICK_MS) {
            if (ms % 10000 < TICK_MS)
                renew_many(registry, "big", 161, 260, at_ms(ms));
            if (last == UINT64_MAX && renew(registry, "big", "i160", at_ms(ms)) == ERR_NONE &&
                ms >= end && stats_of(registry).engaged_services == 0)
                last = ms;
            registry_expire(registry, at_ms(ms));
        }
        assert_int_equal(stats_of(registry).evicted, 161);
        assert_int_equal(shown(registry, "big"), 99);
        registry_free(registry);
        registry = make_registry();
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(silent_majority_of_a_service_is_held),
        TEST(guard_reports_its_numbers),
        TEST(guarded_service_is_not_the_trouble_of_the_node),
        TEST(silent_few_are_evicted_at_once),
        TEST(slow_death_of_a_service_adds_up),
        TEST(slow_death_of_many_small_services_adds_up),
        TEST(service_below_the_minimum_is_evicted_at_once),
        TEST(guard_of_one_service_keeps_only_its_own_leases),
        TEST(guard_of_the_node_holds_small_services_too),
        TEST(guard_turned_off_holds_nothing),
        TEST(held_instance_can_be_renewed),
        TEST(held_instance_can_be_registered_again),
        TEST(held_instance_can_be_unregistered),
        TEST(held_lease_is_shown_as_such),
        TEST(renewed_instance_ends_again_when_it_falls_silent_again),
        TEST(guard_ends_when_all_have_come_back),
        TEST(guard_ends_when_enough_have_come_back_and_the_rest_goes),
        TEST(guard_is_time_boxed),
        TEST(guard_of_the_node_is_time_boxed),
        TEST(operator_releases_a_service_alone),
        TEST(operator_releases_a_service_from_the_guard_of_the_node),
        TEST(operator_releases_all),
        TEST(release_is_seen_until_it_ends),
        TEST(release_of_an_unknown_service_is_refused),
        TEST(release_of_what_is_well_changes_nothing),
        TEST(release_of_all_leaves_the_guard_of_a_node_that_is_well),
        TEST(second_release_does_not_prolong_the_first),
        TEST(guards_of_many_services_are_all_seen_once),
        TEST(shards_without_a_guard_are_passed_over),
        TEST(released_service_is_guarded_again_when_it_falls_silent_again),
        TEST(evicted_leases_do_not_engage_the_guard_again),
    };
    return cmocka_run_group_tests_name("registry: guard", tests, NULL, NULL);
}
