/* SPDX-License-Identifier: Apache-2.0
 *
 * The replicator without faults: health responses, changes that leave at once, renewals that leave
 * in batches, and the shutdown. Faults, anti-entropy, bootstrap and lease checks have their own
 * files.
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

/* --- health ----------------------------------------------------------------------------------- */

static enum peer_health verdict(struct health_response response)
{
    join(0);
    respond_health(0, response);
    return view_of(0).health;
}

static void new_peer_gets_a_health_message_at_once_and_nothing_else(void **state)
{
    (void)state;
    join(0);
    assert_int_equal(view_of(0).health, PEER_NEW);
    assert_int_equal(pump(), 1);
    assert_int_equal(rig.out[0]->kind, MESSAGE_HEALTH);
}

static void health_response_makes_it_up(void **state)
{
    (void)state;
    assert_int_equal(verdict((struct health_response){.is_ready = true}), PEER_UP);
    assert_true(view_of(0).is_ready);
    assert_false(view_of(0).is_legacy);
}

static void health_response_makes_it_legacy(void **state)
{
    (void)state;
    assert_int_equal(verdict((struct health_response){.is_legacy = true, .is_ready = true}),
                     PEER_UP);
    assert_true(view_of(0).is_legacy);
}

static void health_response_makes_it_self(void **state)
{
    (void)state;
    assert_int_equal(verdict((struct health_response){.is_self = true, .has_own_node_id = true}),
                     PEER_SELF);
}

static void health_response_makes_it_duplicate_id(void **state)
{
    (void)state;
    assert_int_equal(verdict((struct health_response){.has_own_node_id = true, .is_ready = true}),
                     PEER_DUPLICATE_ID);
}

static void health_response_makes_it_wrong_cluster(void **state)
{
    (void)state;
    assert_int_equal(
        verdict((struct health_response){.is_wrong_cluster = true, .has_own_node_id = true}),
        PEER_WRONG_CLUSTER);
}

static void health_response_makes_it_down_when_leaving(void **state)
{
    (void)state;
    assert_int_equal(verdict((struct health_response){.is_leaving = true, .is_ready = true}),
                     PEER_DOWN);
}

static void changes_are_sent_only_to_a_peer_that_is_up(void **state)
{
    (void)state;
    static const struct health_response others[] = {{.is_self = true},
                                                    {.has_own_node_id = true},
                                                    {.is_wrong_cluster = true},
                                                    {.is_leaving = true}};
    for (uint32_t i = 0; i < 4; i++) {
        join(i);
        respond_health(i, others[i]);
    }
    register_here("a", "1");
    pass_ms(INTERVAL_MS);
    assert_int_equal(pump(), 0);
}

static void ready_peer_gets_a_health_message_every_interval(void **state)
{
    (void)state;
    join_up(0);
    pass_ms(HEALTH_MS - 1);
    assert_null(sent(0, MESSAGE_HEALTH));
    pass_ms(1);
    assert_non_null(sent(0, MESSAGE_HEALTH));
}

static void peer_that_is_not_ready_gets_a_health_message_every_second(void **state)
{
    (void)state;
    join(0);
    respond_health(0, (struct health_response){.is_ready = false});
    pass_ms(DOWN_PROBE_MS - 1);
    assert_null(sent(0, MESSAGE_HEALTH));
    pass_ms(1);
    assert_non_null(sent(0, MESSAGE_HEALTH));
}

static void hlc_of_a_peer_is_adopted_unless_it_is_of_another_cluster(void **state)
{
    (void)state;
    uint64_t ahead_ms = START_WALL_MS + 1000000000;
    join(0);
    respond_health(0, (struct health_response){.is_wrong_cluster = true, .clock_ms = ahead_ms});
    assert_true(registry_clock_ms(rig.node, rig_now()) < ahead_ms);
    join(1);
    respond_health(1, (struct health_response){.clock_ms = ahead_ms});
    assert_true(registry_clock_ms(rig.node, rig_now()) == ahead_ms);
}

/* The peer has a record of a member that was ahead, and this node does not. */
static void stamps_of_this_node_are_above_all_that_a_peer_knows(void **state)
{
    (void)state;
    uint64_t ahead_ms = START_WALL_MS + 1000000000;
    uint64_t highest = ahead_ms << 16 | 5;
    join(0);
    respond_health(0, (struct health_response){.is_wrong_cluster = true, .highest_hlc = highest});
    assert_true(registry_highest_hlc(rig.node, rig_now()) < highest);
    join(1);
    respond_health(1, (struct health_response){.highest_hlc = UINT64_MAX});
    assert_true(registry_highest_hlc(rig.node, rig_now()) < highest);
    join(2);
    respond_health(2, (struct health_response){.highest_hlc = highest});
    assert_true(registry_highest_hlc(rig.node, rig_now()) == highest + 1);
    assert_true(registry_clock_ms(rig.node, rig_now()) < ahead_ms); /* the time stays */
    register_here("a", "1");
    const struct message *message = expect(2, MESSAGE_REGISTER);
    assert_true(message->items[0].hlc > highest);
}

/* --- changes ---------------------------------------------------------------------------------- */

static void registration_leaves_at_once_to_every_peer(void **state)
{
    (void)state;
    join_up(0);
    join_up(1);
    register_here("a", "1");
    for (uint32_t peer = 0; peer < 2; peer++) {
        struct message *message = expect(peer, MESSAGE_REGISTER);
        assert_int_equal(message->count, 1);
        assert_true(contains(message, "a"));
    }
}

static void unregistration_leaves_at_once(void **state)
{
    (void)state;
    join_up(0);
    register_here("a", "1");
    finish(0, MESSAGE_REGISTER, SEND_DELIVERED);
    unregister_here("a");
    struct message *message = expect(0, MESSAGE_UNREGISTER);
    assert_int_equal(message->count, 1);
    assert_true(message->items[0].deleted);
}

static void changes_during_a_message_go_with_the_next_one(void **state)
{
    (void)state;
    join_up(0);
    register_here("a", "1");
    struct message *first = expect(0, MESSAGE_REGISTER);
    register_here("b", "1");
    register_here("c", "1");
    assert_int_equal(in_flight(0, MESSAGE_REGISTER), 1);
    finish_message(first, SEND_DELIVERED);
    struct message *second = expect(0, MESSAGE_REGISTER);
    assert_int_equal(second->count, 2);
    assert_true(contains(second, "b") && contains(second, "c"));
}

static void lag_is_measured_from_the_change_to_the_response(void **state)
{
    (void)state;
    join_up(0);
    register_here("a", "1");
    expect(0, MESSAGE_REGISTER);
    pass_ms(70);
    finish(0, MESSAGE_REGISTER, SEND_DELIVERED);
    assert_true(view_of(0).last_lag_ms == 70);
    assert_true(view_of(0).lag[6] == 1); /* the bucket up to 100 ms */
    assert_true(view_of(0).lag_sum_ms == 70);
}

static void age_of_the_oldest_change_counts_until_it_is_acknowledged(void **state)
{
    (void)state;
    join_up(0);
    assert_false(view_of(0).has_unacknowledged);
    register_here("a", "1");
    expect(0, MESSAGE_REGISTER); /* it is on the way, and not in the outbox */
    pass_ms(70);
    assert_true(view_of(0).oldest_ms == 70);
    register_here("b", "1");
    finish(0, MESSAGE_REGISTER, SEND_RETRYABLE); /* "a" is put back behind "b" */
    assert_true(view_of(0).oldest_ms == 70);
    pass_ms(1000);
    expect(0, MESSAGE_REGISTER);
    register_here("c", "1");
    assert_true(view_of(0).oldest_ms == 1070);
    finish(0, MESSAGE_REGISTER, SEND_DELIVERED);
    pass_ms(5);
    assert_true(view_of(0).oldest_ms == 5);
    finish(0, MESSAGE_REGISTER, SEND_DELIVERED);
    assert_false(view_of(0).has_unacknowledged);
    assert_true(view_of(0).oldest_ms == 0);
}

/* The failed message is not repeated: its key has changed again. */
static void change_that_is_not_sent_again_does_not_count(void **state)
{
    (void)state;
    join_up(0);
    register_here("a", "1");
    expect(0, MESSAGE_REGISTER);
    finish(0, MESSAGE_REGISTER, SEND_DELIVERED);
    unregister_here("a");
    expect(0, MESSAGE_UNREGISTER);
    pass_ms(10);
    register_here("a", "2");
    expect(0, MESSAGE_REGISTER);
    register_here("a", "3"); /* it waits for the end of that message */
    finish(0, MESSAGE_UNREGISTER, SEND_RETRYABLE);
    pass_ms(1000);
    finish(0, MESSAGE_REGISTER, SEND_DELIVERED);
    finish(0, MESSAGE_REGISTER, SEND_DELIVERED);
    assert_false(view_of(0).has_unacknowledged);
    assert_true(view_of(0).oldest_ms == 0);
}

static void changes_that_a_peer_missed_count_until_it_was_compared(void **state)
{
    (void)state;
    join_up(0);
    join_up(1); /* while it is up, changes are followed */
    pass_ms(HEALTH_MS);
    expect(0, MESSAGE_HEALTH);
    finish(0, MESSAGE_HEALTH, SEND_UNREACHABLE);
    assert_int_equal(view_of(0).health, PEER_DOWN);
    assert_false(view_of(0).has_unacknowledged);
    register_here("a", "1");
    pump();
    pass_ms(3000);
    assert_true(view_of(0).oldest_ms == 3000);
    expect(0, MESSAGE_HEALTH);
    respond_health(0, (struct health_response){.is_ready = true});
    assert_true(view_of(0).oldest_ms == 3000);
    respond_same_digests(0);
    assert_false(view_of(0).has_unacknowledged);
}

static void silent_peer_is_suspect_within_two_health_intervals(void **state)
{
    (void)state;
    join_up(0);
    pass_ms(HEALTH_MS);
    expect(0, MESSAGE_HEALTH);
    assert_false(view_of(0).is_suspect);
    pass_ms(HEALTH_MS);
    assert_true(view_of(0).is_suspect);
    finish(0, MESSAGE_HEALTH, SEND_DELIVERED);
    assert_false(view_of(0).is_suspect);
}

static void removed_peer_gets_no_messages(void **state)
{
    (void)state;
    join_up(0);
    join_up(1);
    replicator_remove_peer(rig.replicator, 0);
    register_here("a", "1");
    assert_null(sent(0, MESSAGE_REGISTER));
    assert_non_null(sent(1, MESSAGE_REGISTER));
}

/* --- renewals --------------------------------------------------------------------------------- */

static void renewals_leave_every_interval(void **state)
{
    (void)state;
    join_up(0);
    register_here("a", "1");
    finish(0, MESSAGE_REGISTER, SEND_DELIVERED);
    pass_ms(INTERVAL_MS);
    pump(); /* an interval starts */
    renew_here("a");
    pass_ms(INTERVAL_MS - 1);
    renew_here("a");
    assert_null(sent(0, MESSAGE_RENEW));
    pass_ms(1);
    struct message *message = expect(0, MESSAGE_RENEW);
    assert_int_equal(message->count, 1);
    assert_true(message->items[0].touched_ms == rig_now().mono_ms - 1);
}

/* The number of renewals in the next message when this many are pending. */
static size_t renewals_sent(unsigned pending)
{
    assert_int_equal(renew_many(rig.node, "s", 0, pending, rig_now()), pending);
    pass_ms(INTERVAL_MS);
    struct message *message = expect(0, MESSAGE_RENEW);
    size_t count = message->count;
    for (message = NULL; (message = sent(0, MESSAGE_RENEW));)
        finish_message(message, SEND_DELIVERED);
    return count;
}

static void batches_of_renewals_grow_with_load_and_shrink_without(void **state)
{
    (void)state;
    join_up(0);
    put_many(rig.node, "s", 0, 400, rig_now());
    while (sent(0, MESSAGE_REGISTER))
        finish(0, MESSAGE_REGISTER, SEND_DELIVERED);
    assert_int_equal(renewals_sent(3), 3);
    assert_int_equal(renewals_sent(5), 5); /* doubled */
    for (int i = 0; i < 10; i++)
        renewals_sent(400);
    size_t large = renewals_sent(400);
    assert_true(large > 16 * BATCH);
    for (int i = 0; i < 20; i++)
        renewals_sent(1);
    assert_int_equal(renewals_sent(400), 2 * BATCH);
}

static void rejected_renewal_is_followed_by_the_record(void **state)
{
    (void)state;
    join_up(0);
    register_here("a", "1");
    finish(0, MESSAGE_REGISTER, SEND_DELIVERED);
    renew_here("a");
    pass_ms(INTERVAL_MS);
    struct message *renewal = expect(0, MESSAGE_RENEW);
    respond_key(renewal, (struct word){.stamp = 0});
    finish_message(renewal, SEND_DELIVERED);
    struct message *repair = expect(0, MESSAGE_REGISTER);
    assert_int_equal(repair->count, 1);
    assert_true(repair->items[0].is_repair);
    assert_true(view_of(0).repairs == 1);
}

static void rejected_renewal_of_a_removed_record_is_followed_by_its_tombstone(void **state)
{
    (void)state;
    join_up(0);
    register_here("a", "1");
    finish(0, MESSAGE_REGISTER, SEND_DELIVERED);
    renew_here("a");
    pass_ms(INTERVAL_MS);
    struct message *renewal = expect(0, MESSAGE_RENEW);
    unregister_here("a");
    respond_key(renewal, (struct word){.stamp = 0});
    respond_key(renewal, (struct word){.id = "unknown-here", .stamp = 0});
    finish_message(renewal, SEND_DELIVERED);
    assert_null(sent(0, MESSAGE_REGISTER));
    assert_int_equal(expect(0, MESSAGE_UNREGISTER)->count, 1);
}

/* --- leaving ---------------------------------------------------------------------------------- */

static void flush_sends_pending_changes_and_then_a_goodbye(void **state)
{
    (void)state;
    join_up(0);
    register_here("a", "1");
    finish(0, MESSAGE_REGISTER, SEND_DELIVERED);
    pass_ms(INTERVAL_MS);
    pump();
    renew_here("a");
    register_here("b", "1");
    replicator_flush(rig.replicator);
    assert_false(replicator_is_idle(rig.replicator));
    assert_non_null(sent(0, MESSAGE_RENEW)); /* before its interval ends */
    assert_null(sent(0, MESSAGE_GOODBYE));
    finish(0, MESSAGE_REGISTER, SEND_DELIVERED);
    finish(0, MESSAGE_RENEW, SEND_DELIVERED);
    assert_false(replicator_is_idle(rig.replicator));
    finish(0, MESSAGE_GOODBYE, SEND_DELIVERED);
    assert_true(replicator_is_idle(rig.replicator));
    assert_int_equal(pump(), 0); /* sent once */
}

static void flush_does_not_wait_for_a_peer_that_is_down(void **state)
{
    (void)state;
    join_up(0);
    join_up(1);
    register_here("a", "1");
    finish(0, MESSAGE_REGISTER, SEND_UNREACHABLE);
    replicator_flush(rig.replicator);
    finish(1, MESSAGE_REGISTER, SEND_DELIVERED);
    finish(1, MESSAGE_GOODBYE, SEND_DELIVERED);
    assert_true(replicator_is_idle(rig.replicator));
    assert_null(sent(0, MESSAGE_GOODBYE));
}

static void flush_of_a_legacy_peer_waits_for_the_last_message_and_sends_no_goodbye(void **state)
{
    (void)state;
    join(0);
    respond_health(0, (struct health_response){.is_legacy = true, .is_ready = true});
    register_here("a", "1");
    struct message *message = expect(0, MESSAGE_REGISTER);
    replicator_flush(rig.replicator);
    assert_false(replicator_is_idle(rig.replicator));
    finish_message(message, SEND_DELIVERED);
    assert_true(replicator_is_idle(rig.replicator));
    assert_null(sent(0, MESSAGE_GOODBYE));
}

static void flush_stops_anti_entropy(void **state)
{
    (void)state;
    join_up(0);
    replicator_flush(rig.replicator);
    pass_ms(2 * COMPARE_MS);
    assert_null(sent(0, MESSAGE_DIGEST));
}

static void peer_that_sent_a_goodbye_gets_nothing_until_it_responds(void **state)
{
    (void)state;
    join_up(0);
    replicator_on_goodbye(rig.replicator, 0, rig_now());
    assert_int_equal(view_of(0).health, PEER_DOWN);
    register_here("a", "1");
    assert_null(sent(0, MESSAGE_REGISTER));
    pass_ms(HEALTH_MS);
    respond_health(0, (struct health_response){.is_ready = true});
    assert_non_null(sent(0, MESSAGE_DIGEST));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(new_peer_gets_a_health_message_at_once_and_nothing_else),
        TEST(health_response_makes_it_up),
        TEST(health_response_makes_it_legacy),
        TEST(health_response_makes_it_self),
        TEST(health_response_makes_it_duplicate_id),
        TEST(health_response_makes_it_wrong_cluster),
        TEST(health_response_makes_it_down_when_leaving),
        TEST(changes_are_sent_only_to_a_peer_that_is_up),
        TEST(ready_peer_gets_a_health_message_every_interval),
        TEST(peer_that_is_not_ready_gets_a_health_message_every_second),
        TEST(hlc_of_a_peer_is_adopted_unless_it_is_of_another_cluster),
        TEST(stamps_of_this_node_are_above_all_that_a_peer_knows),
        TEST(registration_leaves_at_once_to_every_peer),
        TEST(unregistration_leaves_at_once),
        TEST(changes_during_a_message_go_with_the_next_one),
        TEST(lag_is_measured_from_the_change_to_the_response),
        TEST(age_of_the_oldest_change_counts_until_it_is_acknowledged),
        TEST(change_that_is_not_sent_again_does_not_count),
        TEST(changes_that_a_peer_missed_count_until_it_was_compared),
        TEST(silent_peer_is_suspect_within_two_health_intervals),
        TEST(removed_peer_gets_no_messages),
        TEST(renewals_leave_every_interval),
        TEST(batches_of_renewals_grow_with_load_and_shrink_without),
        TEST(rejected_renewal_is_followed_by_the_record),
        TEST(rejected_renewal_of_a_removed_record_is_followed_by_its_tombstone),
        TEST(flush_sends_pending_changes_and_then_a_goodbye),
        TEST(flush_does_not_wait_for_a_peer_that_is_down),
        TEST(flush_of_a_legacy_peer_waits_for_the_last_message_and_sends_no_goodbye),
        TEST(flush_stops_anti_entropy),
        TEST(peer_that_sent_a_goodbye_gets_nothing_until_it_responds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
