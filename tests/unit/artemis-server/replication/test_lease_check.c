/* SPDX-License-Identifier: Apache-2.0
 *
 * Lease checks: every peer that can know is asked before a lease expires, one later renewal refutes
 * the expiry, and a peer that does not respond delays it only for a time.
 */
#include "tests/unit/artemis-server/replication/replicator_fixture.h"

static int set_up(void **state)
{
    (void)state;
    rig_open();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rig_close();
    return 0;
}

static void expire(void)
{
    registry_expire(rig.node, rig_now());
}

static bool lives(const char *id)
{
    pass_ms(TICK_MS);
    expire();
    return is_registered(rig.node, "s", id);
}

/* An instance whose lease is due now, and which all peers know. */
static void let_expire(const char *id)
{
    register_here(id, "1");
    pump();
    pass_ms(TTL_MS + TICK_MS);
    expire();
}

static void check_goes_to_every_peer_that_is_up_and_not_legacy(void **state)
{
    (void)state;
    join_up(0);
    join_up(1);
    join(2);
    respond_health(2, (struct health_response){.is_legacy = true, .is_ready = true});
    join(3);
    finish(3, MESSAGE_HEALTH, SEND_UNREACHABLE);
    register_here("b", "1");
    let_expire("a");
    for (uint32_t peer = 0; peer < 2; peer++) {
        struct message *check = expect(peer, MESSAGE_LEASE_CHECK);
        assert_int_equal(check->count, 2); /* one check for all that are due */
        assert_true(check->timeout_ms == LEASE_CHECK_TIMEOUT_MS);
    }
    assert_null(sent(2, MESSAGE_LEASE_CHECK));
    assert_null(sent(3, MESSAGE_LEASE_CHECK));
    assert_true(replicator_stats_now().lease_checks == 2);
    assert_true(lives("a")); /* until the expiry is confirmed */
}

static void later_renewal_of_a_peer_refutes_the_expiry(void **state)
{
    (void)state;
    join_up(0);
    join_up(1);
    let_expire("a");
    struct message *check = expect(0, MESSAGE_LEASE_CHECK);
    respond_key(check, (struct word){.stamp = 9, .age_ms = 5000});
    finish_message(check, SEND_DELIVERED);
    finish(1, MESSAGE_LEASE_CHECK, SEND_DELIVERED);
    assert_true(replicator_stats_now().refuted == 1);
    assert_true(lives("a"));
    pass_ms(TTL_MS - 5000 - 2 * TICK_MS);
    assert_true(lives("a"));
}

static void empty_responses_of_all_peers_confirm_the_expiry(void **state)
{
    (void)state;
    join_up(0);
    join_up(1);
    let_expire("a");
    finish(0, MESSAGE_LEASE_CHECK, SEND_DELIVERED);
    assert_true(lives("a"));
    finish(1, MESSAGE_LEASE_CHECK, SEND_DELIVERED);
    assert_true(replicator_stats_now().confirmed == 1);
    assert_false(lives("a"));
}

static void timeout_counts_as_an_empty_response_and_not_as_a_failure(void **state)
{
    (void)state;
    join_up(0);
    let_expire("a");
    struct message *check = expect(0, MESSAGE_LEASE_CHECK);
    pass_ms(LEASE_CHECK_TIMEOUT_MS);
    finish_message(check, SEND_RETRYABLE);
    assert_int_equal(view_of(0).failures, 0);
    assert_false(lives("a"));
}

/* This process did not run while the check was open: its time limits have passed, and the responses
 * are still in the sockets or were never sent. */
static void check_begins_again_after_a_pause(void **state)
{
    (void)state;
    join_up(0);
    let_expire("a");
    struct message *check = expect(0, MESSAGE_LEASE_CHECK);
    pass_ms(registry_lease_check_max_ms(rig.node) + 1000);
    pump();
    assert_true(replicator_stats_now().confirmed == 0);
    finish_message(check, SEND_RETRYABLE); /* the result from before the pause */
    assert_true(replicator_stats_now().confirmed == 0);
    check = expect(0, MESSAGE_LEASE_CHECK);
    respond_key(check, (struct word){.stamp = 9, .age_ms = 5000});
    finish_message(check, SEND_DELIVERED);
    assert_true(replicator_stats_now().refuted == 1);
    assert_true(lives("a"));
}

static void check_that_began_again_confirms_the_expiry(void **state)
{
    (void)state;
    join_up(0);
    let_expire("a");
    struct message *check = expect(0, MESSAGE_LEASE_CHECK);
    pass_ms(registry_lease_check_max_ms(rig.node) + 1000);
    finish_message(check, SEND_RETRYABLE);
    finish(0, MESSAGE_LEASE_CHECK, SEND_DELIVERED);
    assert_true(replicator_stats_now().confirmed == 1);
    assert_false(lives("a"));
}

static void peer_that_goes_down_counts_as_an_empty_response(void **state)
{
    (void)state;
    join_up(0);
    join_up(1);
    let_expire("a");
    expect(0, MESSAGE_LEASE_CHECK);
    finish(1, MESSAGE_LEASE_CHECK, SEND_DELIVERED);
    replicator_on_goodbye(rig.replicator, 0, rig_now());
    assert_false(lives("a"));
}

/* A lease becomes due during the backoff after this number of failures. */
static void let_expire_in_a_backoff(unsigned failures)
{
    rig_close();
    rig_open_with(100);
    join_up(0);
    register_here("a", "1");
    finish(0, MESSAGE_REGISTER, SEND_DELIVERED);
    pass_ms(TTL_MS + TICK_MS);
    register_here("b", "1");
    for (unsigned i = 1; i <= failures; i++) {
        finish(0, MESSAGE_REGISTER, SEND_RETRYABLE);
        if (i < failures)
            pass_ms(BACKOFF_FIRST_MS << i);
    }
    expire();
    assert_null(sent(0, MESSAGE_LEASE_CHECK));
}

static void peer_in_a_short_backoff_is_asked_after_it(void **state)
{
    (void)state;
    let_expire_in_a_backoff(3);
    pass_ms(400);
    assert_non_null(sent(0, MESSAGE_LEASE_CHECK));
    assert_true(lives("a"));
}

static void peer_in_a_long_backoff_is_not_waited_for(void **state)
{
    (void)state;
    let_expire_in_a_backoff(6); /* at least 1.6 s */
    pass_ms(LEASE_CHECK_TIMEOUT_MS - 2 * TICK_MS);
    pump();
    assert_true(lives("a"));
    assert_true(replicator_due_ms(rig.replicator, rig_now()) <= rig_now().mono_ms + TICK_MS);
    pass_ms(TICK_MS);
    pump();
    assert_false(lives("a"));
}

static void leases_due_during_a_check_go_into_the_next(void **state)
{
    (void)state;
    join_up(0);
    register_here("b", "1");
    pass_ms(50);
    let_expire("a"); /* both are due; b may come up first */
    struct message *check = expect(0, MESSAGE_LEASE_CHECK);
    assert_int_equal(check->count, 2);
    put(rig.node, "s", "c", at_ms(rig.now_ms - TTL_MS - TICK_MS));
    expire();
    pass_ms(TICK_MS);
    expire();
    assert_int_equal(in_flight(0, MESSAGE_LEASE_CHECK), 1);
    finish_message(check, SEND_DELIVERED);
    check = expect(0, MESSAGE_LEASE_CHECK);
    assert_int_equal(check->count, 1);
    assert_true(contains(check, "c"));
}

static void heartbeat_during_the_check_wins(void **state)
{
    (void)state;
    join_up(0);
    let_expire("a");
    expect(0, MESSAGE_LEASE_CHECK);
    renew_here("a");
    finish(0, MESSAGE_LEASE_CHECK, SEND_DELIVERED);
    pass_ms(TTL_MS - 2 * TICK_MS);
    assert_true(lives("a"));
}

static void unregistration_during_the_check_wins(void **state)
{
    (void)state;
    join_up(0);
    let_expire("a");
    struct message *check = expect(0, MESSAGE_LEASE_CHECK);
    unregister_here("a");
    respond_key(check, (struct word){.stamp = 9, .age_ms = 10});
    finish_message(check, SEND_DELIVERED);
    assert_true(is_tombstone(rig.node, "s", "a"));
}

static void peer_that_leaves_during_a_check_does_not_block_the_next(void **state)
{
    (void)state;
    join_up(0);
    join_up(1);
    let_expire("a");
    struct message *late = expect(0, MESSAGE_LEASE_CHECK);
    finish(1, MESSAGE_LEASE_CHECK, SEND_DELIVERED);
    replicator_remove_peer(rig.replicator, 0);
    finish_message(late, SEND_RETRYABLE);
    pump();
    assert_false(lives("a"));
    assert_true(replicator_stats_now().confirmed == 1);
    let_expire("b");
    assert_non_null(sent(1, MESSAGE_LEASE_CHECK));
    assert_null(sent(0, MESSAGE_LEASE_CHECK));
}

/* A late response to an earlier check does not count for the open one. */
static void late_result_of_an_earlier_check_is_ignored(void **state)
{
    (void)state;
    join_up(0);
    join_up(1);
    let_expire("a");
    struct message *late = expect(0, MESSAGE_LEASE_CHECK);
    finish(1, MESSAGE_LEASE_CHECK, SEND_DELIVERED);
    replicator_on_goodbye(rig.replicator, 0, rig_now());
    pass_ms(DOWN_PROBE_MS);
    respond_health(0, (struct health_response){.is_ready = true});
    put(rig.node, "s", "b", at_ms(rig.now_ms - TTL_MS));
    pass_ms(TICK_MS);
    expire();
    finish(1, MESSAGE_LEASE_CHECK, SEND_DELIVERED);
    assert_int_equal(in_flight(0, MESSAGE_LEASE_CHECK), 2);
    finish_message(late, SEND_RETRYABLE);
    assert_true(contains(expect(0, MESSAGE_LEASE_CHECK), "b"));
    assert_true(lives("b"));
}

static void last_peer_that_leaves_during_a_check_confirms_it(void **state)
{
    (void)state;
    join_up(0);
    let_expire("a");
    expect(0, MESSAGE_LEASE_CHECK);
    replicator_remove_peer(rig.replicator, 0);
    pump();
    assert_false(lives("a"));
}

static void lease_expires_at_once_with_legacy_peers_alone(void **state)
{
    (void)state;
    join(0);
    respond_health(0, (struct health_response){.is_legacy = true, .is_ready = true});
    let_expire("a");
    pump();
    assert_false(lives("a"));
}

static void lease_expires_after_the_limit_without_a_replication_thread(void **state)
{
    (void)state;
    join_up(0);
    let_expire("a"); /* the replicator does not run meanwhile */
    pass_ms(CHECK_MAX_MS - 2 * TICK_MS);
    assert_true(lives("a"));
    pass_ms(2 * TICK_MS);
    assert_false(lives("a"));
}

/* --- rounds --- */

/* The peer lists the key as one that it is confirming itself, after so many completed rounds. */
static void list_confirming(struct message *message, const char *id, uint64_t rounds)
{
    struct instance_key key = make_key("s", id);
    struct wire_record record = {
        .key = &key, .age_ms = TTL_MS + 1, .is_confirming = true, .rounds = rounds};
    replicator_on_record(rig.replicator, message, &record, rig_now());
}

static void respond_confirming(uint32_t peer, const char *id, uint64_t rounds)
{
    struct message *message = expect(peer, MESSAGE_LEASE_CHECK);
    list_confirming(message, id, rounds);
    finish_message(message, SEND_DELIVERED);
}

/* Peer 0 is up; this many others are members that this node cannot reach. */
static void join_chain(uint32_t unreachable)
{
    join_up(0);
    for (uint32_t peer = 1; peer <= unreachable; peer++) {
        join(peer);
        finish(peer, MESSAGE_HEALTH, SEND_UNREACHABLE);
    }
}

static void confirming_peer_counts_as_an_empty_response_of_a_full_mesh(void **state)
{
    (void)state;
    join_up(0);
    let_expire("a");
    respond_confirming(0, "a", 0);
    assert_false(lives("a"));
}

static void unreachable_member_adds_a_round(void **state)
{
    (void)state;
    join_chain(1);
    let_expire("a");
    respond_confirming(0, "a", 0);
    assert_true(lives("a"));
    respond_confirming(0, "a", 1);
    assert_false(lives("a"));
}

static void peer_that_is_behind_is_asked_again(void **state)
{
    (void)state;
    join_chain(1);
    let_expire("a");
    respond_confirming(0, "a", 0);
    respond_confirming(0, "a", 0);
    assert_null(sent(0, MESSAGE_LEASE_CHECK)); /* not at once */
    assert_true(replicator_due_ms(rig.replicator, rig_now()) <= rig_now().mono_ms + 100);
    pass_ms(100);
    respond_confirming(0, "a", 0);
    pass_ms(200);
    assert_true(lives("a"));
    struct message *check = expect(0, MESSAGE_LEASE_CHECK);
    respond_key(check, (struct word){.stamp = 9, .age_ms = 5000});
    finish_message(check, SEND_DELIVERED);
    assert_true(replicator_stats_now().refuted == 1);
    pass_ms(2 * CHECK_MAX_MS);
    pump();
    assert_true(lives("a"));
}

static void active_lease_of_a_peer_that_ends_no_later_counts_as_behind(void **state)
{
    (void)state;
    join_chain(1);
    let_expire("a");
    respond_confirming(0, "a", 0);
    struct message *check = expect(0, MESSAGE_LEASE_CHECK);
    respond_key(check, (struct word){.stamp = 9, .age_ms = TTL_MS + 2 * TICK_MS});
    finish_message(check, SEND_DELIVERED);
    pass_ms(100);
    assert_non_null(sent(0, MESSAGE_LEASE_CHECK));
    assert_true(lives("a"));
}

/* Its peer would be asked about it until the check ends, and the others would be evicted then. */
static void lease_that_is_renewed_in_a_round_delays_no_other(void **state)
{
    (void)state;
    join_chain(2);
    register_here("b", "1");
    let_expire("a");
    struct message *check = expect(0, MESSAGE_LEASE_CHECK);
    assert_int_equal(check->count, 2);
    list_confirming(check, "a", 0);
    list_confirming(check, "b", 0);
    finish_message(check, SEND_DELIVERED);
    check = expect(0, MESSAGE_LEASE_CHECK);
    renew_here("b");
    list_confirming(check, "a", 1);
    list_confirming(check, "b", 0); /* behind */
    finish_message(check, SEND_DELIVERED);
    check = expect(0, MESSAGE_LEASE_CHECK);
    assert_int_equal(check->count, 1);
    assert_true(contains(check, "a"));
    assert_true(lives("a"));
    list_confirming(check, "a", 2);
    finish_message(check, SEND_DELIVERED);
    assert_false(lives("a"));
    assert_true(lives("b"));
}

static void peer_without_the_key_is_not_asked_again(void **state)
{
    (void)state;
    join_chain(1);
    let_expire("a");
    finish(0, MESSAGE_LEASE_CHECK, SEND_DELIVERED);
    assert_null(sent(0, MESSAGE_LEASE_CHECK));
    assert_false(lives("a"));
}

static void rounds_are_limited(void **state)
{
    (void)state;
    join_chain(20);
    let_expire("a");
    for (unsigned round = 0; round < LEASE_CHECK_ROUNDS_MAX; round++) {
        assert_true(lives("a"));
        respond_confirming(0, "a", round);
    }
    assert_false(lives("a"));
}

static void check_that_takes_too_long_is_confirmed(void **state)
{
    (void)state;
    join_chain(1);
    let_expire("a");
    for (uint64_t end_ms = rig.now_ms + LEASE_CHECK_MAX_MS - 200; rig.now_ms < end_ms; pass_ms(50))
        if (sent(0, MESSAGE_LEASE_CHECK))
            respond_confirming(0, "a", 0);
    assert_true(lives("a"));
    pass_ms(200);
    pump();
    assert_false(lives("a"));
}

/* Two nodes would otherwise wait for each other: each for a lease that the other has not asked
 * about yet. */
static void leases_due_during_later_rounds_are_checked_at_once(void **state)
{
    (void)state;
    join_chain(1);
    let_expire("a");
    respond_confirming(0, "a", 0);
    respond_confirming(0, "a", 0);
    put(rig.node, "s", "b", at_ms(rig.now_ms - TTL_MS - TICK_MS));
    pass_ms(TICK_MS);
    expire();
    assert_true(contains(expect(0, MESSAGE_LEASE_CHECK), "b"));
}

/* --- slow peers --- */

static void slow_round_trips_extend_the_time_limit(void **state)
{
    (void)state;
    join(0);
    struct message *health = expect(0, MESSAGE_HEALTH);
    pass_ms(1600);
    replicator_on_health(rig.replicator, health, &(struct health_response){.is_ready = true},
                         rig_now());
    finish_message(health, SEND_DELIVERED);
    let_expire("a");
    assert_true(expect(0, MESSAGE_LEASE_CHECK)->timeout_ms >= 1600);
    pass_ms(1600);
    pump();
    assert_true(lives("a"));
}

static void round_trips_are_measured_by_renewals_too(void **state)
{
    (void)state;
    join_up(0);
    register_here("a", "1");
    finish(0, MESSAGE_REGISTER, SEND_DELIVERED);
    for (unsigned i = 0; i < 3; i++) {
        renew_here("a");
        pass_ms(INTERVAL_MS);
        struct message *renewal = expect(0, MESSAGE_RENEW);
        pass_ms(1000);
        finish_message(renewal, SEND_DELIVERED);
    }
    pass_ms(TTL_MS + TICK_MS);
    expire();
    assert_true(expect(0, MESSAGE_LEASE_CHECK)->timeout_ms > 1000);
}

static void many_due_leases_are_one_check(void **state)
{
    (void)state;
    join_up(0);
    put_many(rig.node, "s", 0, 300, rig_now());
    let_expire("a");
    assert_int_equal(expect(0, MESSAGE_LEASE_CHECK)->count, 301);
}

static void check_that_is_too_large_is_split_in_halves(void **state)
{
    (void)state;
    join_up(0);
    join_up(1);
    put_many(rig.node, "s", 0, 7, rig_now());
    let_expire("a"); /* 8 */
    finish(1, MESSAGE_LEASE_CHECK, SEND_DELIVERED);
    finish(0, MESSAGE_LEASE_CHECK, SEND_TOO_LARGE);
    assert_int_equal(expect(0, MESSAGE_LEASE_CHECK)->count, 4);
    finish(0, MESSAGE_LEASE_CHECK, SEND_TOO_LARGE);
    unsigned refuted = 0;
    for (struct message *check; (check = sent(0, MESSAGE_LEASE_CHECK));) {
        assert_true(check->count <= 2 + refuted); /* grows again slowly */
        const struct message *message = check;
        refuted++;
        for (size_t i = 0; i < message->count; i++) {
            struct wire_record record = {.instance = message->items[i].instance, .age_ms = 1000};
            replicator_on_record(rig.replicator, message, &record, rig_now());
        }
        finish_message(check, SEND_DELIVERED);
    }
    assert_true(replicator_stats_now().refuted == 8);
    assert_true(lives("a"));
}

static void single_lease_that_is_too_large_to_check_expires(void **state)
{
    (void)state;
    join_up(0);
    let_expire("a");
    finish(0, MESSAGE_LEASE_CHECK, SEND_TOO_LARGE);
    assert_false(lives("a"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(check_goes_to_every_peer_that_is_up_and_not_legacy),
        TEST(later_renewal_of_a_peer_refutes_the_expiry),
        TEST(empty_responses_of_all_peers_confirm_the_expiry),
        TEST(timeout_counts_as_an_empty_response_and_not_as_a_failure),
        TEST(check_begins_again_after_a_pause),
        TEST(check_that_began_again_confirms_the_expiry),
        TEST(peer_that_goes_down_counts_as_an_empty_response),
        TEST(peer_in_a_short_backoff_is_asked_after_it),
        TEST(peer_in_a_long_backoff_is_not_waited_for),
        TEST(leases_due_during_a_check_go_into_the_next),
        TEST(heartbeat_during_the_check_wins),
        TEST(unregistration_during_the_check_wins),
        TEST(peer_that_leaves_during_a_check_does_not_block_the_next),
        TEST(late_result_of_an_earlier_check_is_ignored),
        TEST(last_peer_that_leaves_during_a_check_confirms_it),
        TEST(lease_expires_at_once_with_legacy_peers_alone),
        TEST(lease_expires_after_the_limit_without_a_replication_thread),
        TEST(confirming_peer_counts_as_an_empty_response_of_a_full_mesh),
        TEST(unreachable_member_adds_a_round),
        TEST(peer_that_is_behind_is_asked_again),
        TEST(active_lease_of_a_peer_that_ends_no_later_counts_as_behind),
        TEST(lease_that_is_renewed_in_a_round_delays_no_other),
        TEST(peer_without_the_key_is_not_asked_again),
        TEST(rounds_are_limited),
        TEST(check_that_takes_too_long_is_confirmed),
        TEST(leases_due_during_later_rounds_are_checked_at_once),
        TEST(slow_round_trips_extend_the_time_limit),
        TEST(round_trips_are_measured_by_renewals_too),
        TEST(many_due_leases_are_one_check),
        TEST(check_that_is_too_large_is_split_in_halves),
        TEST(single_lease_that_is_too_large_to_check_expires),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
