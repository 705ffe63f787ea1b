/* SPDX-License-Identifier: Apache-2.0
 *
 * Proves of the replicator: what a peer's health answer makes of it, that changes leave at once and
 * renewals in their time, and that a node that leaves says so. Faults, comparisons, the start and
 * questions have files of their own.
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

static enum peer_health verdict(struct health_response answer)
{
    join(0);
    respond_health(0, answer);
    return view_of(0).health;
}

static void new_peer_is_asked_at_once_and_for_its_health_only(void **state)
{
    (void)state;
    join(0);
    assert_int_equal(view_of(0).health, PEER_NEW);
    assert_int_equal(pump(), 1);
    assert_int_equal(rig.out[0]->kind, MESSAGE_HEALTH);
}

static void health_verdict_up(void **state)
{
    (void)state;
    assert_int_equal(verdict((struct health_response){.is_ready = true}), PEER_UP);
    assert_true(view_of(0).is_ready);
    assert_false(view_of(0).is_legacy);
}

static void health_verdict_plain(void **state)
{
    (void)state;
    assert_int_equal(verdict((struct health_response){.is_legacy = true, .is_ready = true}),
                     PEER_UP);
    assert_true(view_of(0).is_legacy);
}

static void health_verdict_self(void **state)
{
    (void)state;
    assert_int_equal(verdict((struct health_response){.is_self = true, .has_own_node_id = true}),
                     PEER_SELF);
}

static void health_verdict_twin(void **state)
{
    (void)state;
    assert_int_equal(verdict((struct health_response){.has_own_node_id = true, .is_ready = true}),
                     PEER_DUPLICATE_ID);
}

static void health_verdict_stranger(void **state)
{
    (void)state;
    assert_int_equal(
        verdict((struct health_response){.is_wrong_cluster = true, .has_own_node_id = true}),
        PEER_WRONG_CLUSTER);
}

static void health_verdict_leaving(void **state)
{
    (void)state;
    assert_int_equal(verdict((struct health_response){.is_leaving = true, .is_ready = true}),
                     PEER_DOWN);
}

static void only_a_peer_that_is_up_is_told(void **state)
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

static void peer_that_is_up_and_ready_is_asked_in_its_interval(void **state)
{
    (void)state;
    join_up(0);
    pass_ms(HEALTH_MS - 1);
    assert_null(sent(0, MESSAGE_HEALTH));
    pass_ms(1);
    assert_non_null(sent(0, MESSAGE_HEALTH));
}

static void peer_that_is_not_ready_is_asked_every_second(void **state)
{
    (void)state;
    join(0);
    respond_health(0, (struct health_response){.is_ready = false});
    pass_ms(DOWN_PROBE_MS - 1);
    assert_null(sent(0, MESSAGE_HEALTH));
    pass_ms(1);
    assert_non_null(sent(0, MESSAGE_HEALTH));
}

static void clock_of_a_peer_is_heard_unless_it_is_of_another_cluster(void **state)
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

static void lag_is_measured_from_the_change_to_the_answer(void **state)
{
    (void)state;
    join_up(0);
    register_here("a", "1");
    expect(0, MESSAGE_REGISTER);
    pass_ms(70);
    finish(0, MESSAGE_REGISTER, SEND_DELIVERED);
    assert_true(view_of(0).last_lag_ms == 70);
    assert_true(view_of(0).lag[6] == 1); /* up to 100 ms */
    assert_true(view_of(0).lag_sum_ms == 70);
}

static void peer_that_left_is_told_no_more(void **state)
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
    pump(); /* an interval begins */
    renew_here("a");
    pass_ms(INTERVAL_MS - 1);
    renew_here("a");
    assert_null(sent(0, MESSAGE_RENEW));
    pass_ms(1);
    struct message *message = expect(0, MESSAGE_RENEW);
    assert_int_equal(message->count, 1);
    assert_true(message->items[0].touched_ms == rig_now().mono_ms - 1);
}

/* How many renewals the next message has, when so many are pending. */
static size_t renewed_at_once(unsigned pending)
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
    assert_int_equal(renewed_at_once(3), 3);
    assert_int_equal(renewed_at_once(5), 5); /* doubled */
    for (int i = 0; i < 10; i++)
        renewed_at_once(400);
    size_t large = renewed_at_once(400);
    assert_true(large > 16 * BATCH);
    for (int i = 0; i < 20; i++)
        renewed_at_once(1);
    assert_int_equal(renewed_at_once(400), 2 * BATCH);
}

static void refused_renewal_is_followed_by_the_record(void **state)
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

static void refused_renewal_of_what_is_gone_meanwhile_is_followed_by_its_end(void **state)
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
    respond_key(renewal, (struct word){.id = "never-heard-of", .stamp = 0});
    finish_message(renewal, SEND_DELIVERED);
    assert_null(sent(0, MESSAGE_REGISTER));
    assert_int_equal(expect(0, MESSAGE_UNREGISTER)->count, 1);
}

/* --- leaving ---------------------------------------------------------------------------------- */

static void drain_sends_what_is_pending_and_then_goodbye(void **state)
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
    assert_non_null(sent(0, MESSAGE_RENEW)); /* without waiting for its interval */
    assert_null(sent(0, MESSAGE_GOODBYE));
    finish(0, MESSAGE_REGISTER, SEND_DELIVERED);
    finish(0, MESSAGE_RENEW, SEND_DELIVERED);
    assert_false(replicator_is_idle(rig.replicator));
    finish(0, MESSAGE_GOODBYE, SEND_DELIVERED);
    assert_true(replicator_is_idle(rig.replicator));
    assert_int_equal(pump(), 0); /* once */
}

static void drain_does_not_wait_for_a_peer_that_is_down(void **state)
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

static void drain_of_a_plain_peer_says_no_goodbye_but_waits_for_the_last_message(void **state)
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

static void drain_compares_nothing_any_more(void **state)
{
    (void)state;
    join_up(0);
    replicator_flush(rig.replicator);
    pass_ms(2 * COMPARE_MS);
    assert_null(sent(0, MESSAGE_DIGEST));
}

static void peer_that_says_goodbye_is_told_no_more_until_it_answers(void **state)
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
        TEST(new_peer_is_asked_at_once_and_for_its_health_only),
        TEST(health_verdict_up),
        TEST(health_verdict_plain),
        TEST(health_verdict_self),
        TEST(health_verdict_twin),
        TEST(health_verdict_stranger),
        TEST(health_verdict_leaving),
        TEST(only_a_peer_that_is_up_is_told),
        TEST(peer_that_is_up_and_ready_is_asked_in_its_interval),
        TEST(peer_that_is_not_ready_is_asked_every_second),
        TEST(clock_of_a_peer_is_heard_unless_it_is_of_another_cluster),
        TEST(registration_leaves_at_once_to_every_peer),
        TEST(unregistration_leaves_at_once),
        TEST(changes_during_a_message_go_with_the_next_one),
        TEST(lag_is_measured_from_the_change_to_the_answer),
        TEST(peer_that_left_is_told_no_more),
        TEST(renewals_leave_every_interval),
        TEST(batches_of_renewals_grow_with_load_and_shrink_without),
        TEST(refused_renewal_is_followed_by_the_record),
        TEST(refused_renewal_of_what_is_gone_meanwhile_is_followed_by_its_end),
        TEST(drain_sends_what_is_pending_and_then_goodbye),
        TEST(drain_does_not_wait_for_a_peer_that_is_down),
        TEST(drain_of_a_plain_peer_says_no_goodbye_but_waits_for_the_last_message),
        TEST(drain_compares_nothing_any_more),
        TEST(peer_that_says_goodbye_is_told_no_more_until_it_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
