/* SPDX-License-Identifier: Apache-2.0
 *
 * Ended leases while peers can be asked: a lease is handed out for one check, the instance stays
 * until the check is decided, and after a time limit it expires without a decision.
 */
#include "tests/unit/artemis-server/registry/peer_fixture.h"

enum { STATES_MAX = 64, END_MS = TTL_MS + TICK_MS };

static struct registry *node;
static struct record_copy asked[STATES_MAX];
static size_t asked_count;
static uint64_t expired_ms; /* time of the last tick */

static int set_up(void **state)
{
    (void)state;
    node = make_node("self");
    registry_set_replicating(node, true);
    put(node, "s", "a", at_ms(0));
    asked_count = 0;
    return 0;
}

static void drop_asked(void)
{
    while (asked_count)
        record_copy_unref(&asked[--asked_count]);
}

static int tear_down(void **state)
{
    (void)state;
    drop_asked();
    registry_validate(node);
    registry_free(node);
    return 0;
}

static size_t take_checks(size_t max)
{
    drop_asked();
    return asked_count = registry_drain_lease_checks(node, asked, max, at_ms(expired_ms));
}

static size_t lease_checks(void)
{
    return take_checks(STATES_MAX);
}

static bool lives(uint64_t ms)
{
    expired_ms = ms;
    registry_expire(node, at_ms(ms));
    registry_validate(node);
    return is_registered(node, "s", "a");
}

static void settle_it(uint64_t ms)
{
    struct instance_key key = make_key("s", "a");
    registry_confirm_expiry(node, instance_key_packed(&key), at_ms(ms));
}

/* --- confirming --- */

static void ended_lease_is_asked_about_once(void **state)
{
    (void)state;
    assert_true(lives(TTL_MS - 1));
    assert_int_equal(lease_checks(), 0);
    assert_true(lives(END_MS));
    assert_int_equal(lease_checks(), 1);
    assert_true(slice_equal(instance_text(asked[0].instance, FIELD_INSTANCE), SLICE("a")));
    assert_true(lives(END_MS + 100));
    assert_int_equal(lease_checks(), 0);
}

static void ended_lease_stays_in_the_responses_while_it_is_asked_about(void **state)
{
    (void)state;
    assert_true(lives(END_MS));
    assert_true(is_shown(node, "s", "a"));
    assert_int_equal(stats_of(node).evicted, 0);
    assert_int_equal(stats_of(node).ended, 0);
}

static void no_lease_is_checked_without_replication(void **state)
{
    (void)state;
    registry_set_replicating(node, false);
    assert_false(lives(END_MS));
    assert_int_equal(lease_checks(), 0);
}

static void lease_checks_are_drained_in_portions(void **state)
{
    (void)state;
    put_many(node, "t", 0, 10, at_ms(0));
    assert_true(lives(END_MS));
    assert_int_equal(take_checks(4), 4);
    assert_int_equal(lease_checks(), 7);
}

/* --- what becomes of it --- */

static void confirmed_expiry_evicts(void **state)
{
    (void)state;
    assert_true(lives(END_MS));
    settle_it(END_MS + 100);
    assert_false(lives(END_MS + 100 + TICK_MS));
    assert_int_equal(stats_of(node).evicted, 1);
    assert_false(is_tombstone(node, "s", "a"));
}

static void refuted_it_goes_on_from_the_later_renewal(void **state)
{
    (void)state;
    assert_true(lives(END_MS));
    assert_int_equal(say_renewed(node, (struct word){.stamp = 0, .age_ms = 5000}, at_ms(END_MS)),
                     ERR_NONE);
    assert_int_equal(stats_of(node).refuted, 1);
    settle_it(END_MS + 100); /* another peer knows nothing */
    assert_true(lives(END_MS - 5000 + TTL_MS - 1));
    assert_true(lives(END_MS - 5000 + TTL_MS + TICK_MS)); /* and is asked about again */
    assert_int_equal(lease_checks(), 1);
}

static void response_without_a_later_renewal_refutes_nothing(void **state)
{
    (void)state;
    assert_true(lives(END_MS));
    say_renewed(node, (struct word){.stamp = 0, .age_ms = TTL_MS}, at_ms(END_MS));
    say_renewed(node, (struct word){.stamp = 0, .age_ms = END_MS}, at_ms(END_MS));
    assert_int_equal(stats_of(node).refuted, 0);
    assert_false(lives(END_MS + CHECK_MAX_MS + TICK_MS));
}

static void expiry_refuted_after_confirmation_before_eviction(void **state)
{
    (void)state;
    assert_true(lives(END_MS));
    settle_it(END_MS + 100);
    say_renewed(node, (struct word){.stamp = 0, .age_ms = 100}, at_ms(END_MS + 101));
    assert_true(lives(END_MS + 100 + TICK_MS));
    assert_int_equal(stats_of(node).refuted, 1);
}

static void registration_by_a_peer_refutes(void **state)
{
    (void)state;
    assert_true(lives(END_MS));
    say_registered(node, (struct word){.stamp = 1ull << 40, .machine = "new"}, at_ms(END_MS + 1));
    assert_true(lives(END_MS + CHECK_MAX_MS + TICK_MS));
}

static void without_a_response_it_ends_after_the_limit(void **state)
{
    (void)state;
    assert_true(lives(END_MS));
    assert_true(lives(END_MS + CHECK_MAX_MS - TICK_MS));
    assert_false(lives(END_MS + CHECK_MAX_MS + TICK_MS));
}

static void heartbeat_meanwhile_is_taken(void **state)
{
    (void)state;
    assert_true(lives(END_MS));
    assert_int_equal(renew(node, "s", "a", at_ms(END_MS + 200)), ERR_NONE);
    assert_int_equal(lease_checks(), 0); /* not checked any more */
    settle_it(END_MS + 300);
    assert_true(lives(END_MS + 200 + TTL_MS - 1));
}

static void registration_meanwhile_is_taken(void **state)
{
    (void)state;
    assert_true(lives(END_MS));
    put(node, "s", "a", at_ms(END_MS + 200));
    settle_it(END_MS + 300);
    assert_true(lives(END_MS + 200 + TTL_MS - 1));
}

static void unregister_meanwhile_is_final(void **state)
{
    (void)state;
    assert_true(lives(END_MS));
    take_out(node, "s", "a", at_ms(END_MS + 100));
    assert_int_equal(lease_checks(), 0);
    settle_it(END_MS + 200);
    say_renewed(node, (struct word){.stamp = 1, .age_ms = 0}, at_ms(END_MS + 200));
    assert_false(lives(END_MS + CHECK_MAX_MS + TICK_MS));
    assert_true(is_tombstone(node, "s", "a"));
}

static void settling_what_is_not_asked_about_changes_nothing(void **state)
{
    (void)state;
    settle_it(100);
    assert_true(lives(200));
    struct instance_key unknown = make_key("s", "unknown");
    registry_confirm_expiry(node, instance_key_packed(&unknown), at_ms(200));
    assert_true(lives(TTL_MS - 1));
}

static void replication_that_stops_meanwhile_delays_the_eviction(void **state)
{
    (void)state;
    assert_true(lives(END_MS));
    registry_set_replicating(node, false);
    assert_true(lives(END_MS + 100));
    assert_false(lives(END_MS + CHECK_MAX_MS + TICK_MS));
}

/* --- what peers get --- */

static bool answer(uint64_t ms, struct wire_record *out)
{
    struct instance_key key = make_key("s", "a");
    return respond_lease_check(node, instance_key_packed(&key), at_ms(ms), out);
}

static bool complete_round(uint32_t rounds)
{
    struct instance_key key = make_key("s", "a");
    return registry_complete_round(node, instance_key_packed(&key), rounds);
}

static void active_lease_is_answered_with_its_age(void **state)
{
    (void)state;
    struct wire_record record;
    assert_true(answer(1000, &record));
    assert_int_equal(record.age_ms, 1000);
    assert_false(record.is_confirming);
    assert_true(answer(TTL_MS, &record)); /* the wheel has not seen its end */
    assert_true(record.is_confirming);
    assert_int_equal(record.rounds, 0);
}

static void confirming_lease_is_answered_with_its_rounds(void **state)
{
    (void)state;
    struct wire_record record;
    assert_false(complete_round(1));
    assert_true(lives(END_MS));
    assert_true(answer(END_MS, &record));
    assert_true(record.is_confirming);
    assert_int_equal(record.rounds, 0);
    assert_true(complete_round(3));
    assert_true(answer(END_MS, &record));
    assert_int_equal(record.rounds, 3);
    assert_int_equal(renew(node, "s", "a", at_ms(END_MS)), ERR_NONE);
    assert_false(complete_round(4));
    assert_true(lives(END_MS + TTL_MS + TICK_MS)); /* the next check starts at its first round */
    assert_true(answer(END_MS + TTL_MS + TICK_MS, &record));
    assert_int_equal(record.rounds, 0);
}

static void confirmed_and_unknown_leases_are_not_answered(void **state)
{
    (void)state;
    struct wire_record record;
    assert_true(lives(END_MS));
    settle_it(END_MS);
    assert_false(answer(END_MS, &record));
    assert_false(lives(END_MS + TICK_MS));
    assert_false(answer(END_MS + TICK_MS, &record));
    put(node, "s", "a", at_ms(END_MS + 100));
    take_out(node, "s", "a", at_ms(END_MS + 100));
    assert_false(answer(END_MS + 100, &record));
}

/* --- nodes that stood still --- */

/* Stopped (or suspended) for longer than any lease lasts, and then goes on. */
static void node_that_stood_still_asks_all_the_same(uint64_t stopped_ms)
{
    assert_true(lives(1000));
    assert_true(lives(stopped_ms));
    assert_int_equal(lease_checks(), 1);
    assert_true(lives(stopped_ms + CHECK_MAX_MS - TICK_MS));
    say_renewed(node, (struct word){.stamp = 0, .age_ms = 1000}, at_ms(stopped_ms + 900));
    assert_true(lives(stopped_ms + 2 * CHECK_MAX_MS));
}

static void node_that_was_stopped_for_some_seconds_more_than_a_lease_checks_leases(void **state)
{
    (void)state;
    node_that_stood_still_asks_all_the_same(TTL_MS + 7000);
}

static void node_that_was_stopped_for_ten_minutes_checks_leases(void **state)
{
    (void)state;
    node_that_stood_still_asks_all_the_same(600000);
}

static void node_that_was_stopped_for_hours_checks_leases(void **state)
{
    (void)state;
    node_that_stood_still_asks_all_the_same(7 * 3600000ull); /* the wheel's last level */
}

/* More than fit into one stretch under the lock. */
static void many_leases_that_end_together_are_all_asked_about(void **state)
{
    (void)state;
    enum { MANY = 3000 };
    static struct record_copy all[MANY + 1];
    put_many(node, "many", 0, MANY, at_ms(0));
    assert_true(lives(TTL_MS + 20000));
    size_t count = registry_drain_lease_checks(node, all, MANY + 1, at_ms(TTL_MS + 20000));
    assert_int_equal(count, MANY + 1);
    for (size_t i = 0; i < count; i++) {
        registry_confirm_expiry(node, instance_packed_key(all[i].instance), at_ms(TTL_MS + 20100));
        record_copy_unref(&all[i]);
    }
    assert_int_equal(stats_of(node).evicted, 0);
    lives(TTL_MS + 20200); /* resolved by the guards */
    assert_int_equal(stats_of(node).ended, MANY + 1);
}

/* 12 of "i12". */
static unsigned number_of(struct slice id)
{
    unsigned number = 0;
    for (size_t i = 1; i < id.size; i++)
        number = number * 10 + (unsigned)(id.data[i] - '0');
    return number;
}

/* The replicator takes some leases each second. Until then, and for the time limit of their check,
 * none of them expires. */
static void leases_wait_for_their_check(void **state)
{
    (void)state;
    enum { COUNT = 40, PORTION = 4, STEP_MS = 100 };
    uint64_t taken_ms[COUNT] = {0};
    put_many(node, "t", 0, COUNT, at_ms(0));
    for (uint64_t ms = TTL_MS; ms < TTL_MS + 30000; ms += STEP_MS) {
        expired_ms = ms;
        registry_expire(node, at_ms(ms));
        for (unsigned i = 0; i < COUNT; i++) {
            char id[16];
            snprintf(id, sizeof(id), "i%u", i);
            bool is_checked = !taken_ms[i] || ms <= taken_ms[i] + CHECK_MAX_MS;
            if (is_checked || ms > taken_ms[i] + CHECK_MAX_MS + 2 * STEP_MS)
                assert_int_equal(is_shown(node, "t", id), is_checked);
        }
        if (ms % 1000 != 0)
            continue;
        take_checks(PORTION);
        for (size_t i = 0; i < asked_count; i++) {
            struct slice id = instance_text(asked[i].instance, FIELD_INSTANCE);
            if (slice_equal(instance_text(asked[i].instance, FIELD_SERVICE), SLICE("t")))
                taken_ms[number_of(id)] = ms;
        }
    }
    assert_int_equal(shown(node, "t"), 0);
}

/* Counts the leases that are drained, and keeps each for a peer: it comes up again. */
static void drain_for_peer(size_t max, unsigned drained[26])
{
    take_checks(max);
    for (size_t i = 0; i < asked_count; i++) {
        drained[instance_text(asked[i].instance, FIELD_SERVICE).data[0] - 'a']++;
        assert_true(registry_guard_for_peer(node, instance_packed_key(asked[i].instance),
                                            at_ms(expired_ms)));
    }
}

/* The guard of a peer keeps more leases than are drained in a second. Their services are in many
 * shards, and some are in one. */
static void each_lease_has_its_turn_while_others_come_up_again(void **state)
{
    (void)state;
    enum { SERVICES = 20, EACH = 2, PORTION = 3, TURN = (SERVICES * EACH + 1) / PORTION + 1 };
    unsigned drained[26] = {0};
    for (char name[] = "a"; name[0] < 'a' + SERVICES; name[0]++)
        put_many(node, name, 0, EACH, at_ms(0));
    for (uint64_t i = 0; i < TURN; i++) {
        assert_true(lives(END_MS + i * (RECHECK_MS + TICK_MS)));
        drain_for_peer(PORTION, drained);
    }
    for (unsigned i = 0; i < SERVICES; i++)
        assert_true(drained[i] >= EACH);
}

/* The replicator has stopped: the leases do not wait for it. */
static void leases_do_not_wait_without_a_replicator(void **state)
{
    (void)state;
    put_many(node, "t", 0, 10, at_ms(0));
    assert_true(lives(END_MS));
    assert_int_equal(take_checks(1), 1);
    uint64_t ms = END_MS;
    for (; ms < END_MS + 3 * CHECK_MAX_MS + TICK_MS; ms += TICK_MS)
        registry_expire(node, at_ms(ms));
    assert_int_equal(shown(node, "t") + shown(node, "s"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ended_lease_is_asked_about_once),
        TEST(ended_lease_stays_in_the_responses_while_it_is_asked_about),
        TEST(no_lease_is_checked_without_replication),
        TEST(lease_checks_are_drained_in_portions),
        TEST(confirmed_expiry_evicts),
        TEST(refuted_it_goes_on_from_the_later_renewal),
        TEST(response_without_a_later_renewal_refutes_nothing),
        TEST(expiry_refuted_after_confirmation_before_eviction),
        TEST(registration_by_a_peer_refutes),
        TEST(without_a_response_it_ends_after_the_limit),
        TEST(heartbeat_meanwhile_is_taken),
        TEST(registration_meanwhile_is_taken),
        TEST(unregister_meanwhile_is_final),
        TEST(settling_what_is_not_asked_about_changes_nothing),
        TEST(replication_that_stops_meanwhile_delays_the_eviction),
        TEST(node_that_was_stopped_for_some_seconds_more_than_a_lease_checks_leases),
        TEST(node_that_was_stopped_for_ten_minutes_checks_leases),
        TEST(node_that_was_stopped_for_hours_checks_leases),
        TEST(active_lease_is_answered_with_its_age),
        TEST(confirming_lease_is_answered_with_its_rounds),
        TEST(confirmed_and_unknown_leases_are_not_answered),
        TEST(many_leases_that_end_together_are_all_asked_about),
        TEST(leases_wait_for_their_check),
        TEST(each_lease_has_its_turn_while_others_come_up_again),
        TEST(leases_do_not_wait_without_a_replicator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
