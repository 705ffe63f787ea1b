/* SPDX-License-Identifier: Apache-2.0
 *
 * Failures of messages: retryable ones are kept and sent again with a growing backoff, rejected
 * ones are dropped and counted, and a peer that does not respond is down.
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

/* The backoff after the n-th failure in a row: the time until a message is sent again. */
static uint64_t pause_after_failure(void)
{
    uint64_t pause_ms = 0;
    finish(0, MESSAGE_REGISTER, SEND_RETRYABLE);
    while (!sent(0, MESSAGE_REGISTER)) {
        pass_ms(1);
        pause_ms++;
        assert_true(pause_ms <= BACKOFF_MAX_MS);
    }
    return pause_ms;
}

/* --- temporary failures ----------------------------------------------------------------------- */

static void retryable_failure_keeps_the_items(void **state)
{
    (void)state;
    join_up(0);
    register_here("a", "1");
    register_here("b", "1");
    finish(0, MESSAGE_REGISTER, SEND_RETRYABLE);
    assert_true(view_of(0).backlog == 2);
    assert_int_equal(view_of(0).failures, 1);
    assert_true(view_of(0).failed[SEND_RETRYABLE] == 1);
    assert_null(sent(0, MESSAGE_REGISTER)); /* not before the backoff ends */
    pass_ms(BACKOFF_FIRST_MS);
    assert_int_equal(expect(0, MESSAGE_REGISTER)->count, 2);
    finish(0, MESSAGE_REGISTER, SEND_DELIVERED);
    assert_int_equal(view_of(0).failures, 0);
    assert_true(view_of(0).items_dropped == 0);
}

static void backoff_doubles_with_jitter(void **state)
{
    (void)state;
    join_up(0);
    register_here("a", "1");
    uint64_t delay_ms = BACKOFF_FIRST_MS;
    for (unsigned i = 0; i < RETRIES; i++, delay_ms *= 2) {
        uint64_t pause_ms = pause_after_failure();
        assert_true(pause_ms >= delay_ms / 2 && pause_ms <= delay_ms);
    }
}

static void backoff_differs_between_peers(void **state)
{
    (void)state;
    enum { PEERS = 8 };
    for (uint32_t peer = 0; peer < PEERS; peer++)
        join_up(peer);
    register_here("a", "1");
    for (uint32_t peer = 0; peer < PEERS; peer++)
        finish(peer, MESSAGE_REGISTER, SEND_RETRYABLE);
    unsigned moments = 0; /* times at which a message is sent */
    for (int i = 0; i < BACKOFF_FIRST_MS; i++) {
        pass_ms(1);
        moments += pump() > 0;
    }
    assert_true(moments > 3);
}

static void backoff_has_a_maximum(void **state)
{
    (void)state;
    rig_close();
    rig_open_with(100);
    join_up(0);
    for (int i = 0; i < 40; i++) {
        uint64_t start_ms = rig.now_ms;
        while (!sent(0, MESSAGE_HEALTH)) {
            pass_ms(10);
            assert_true(rig.now_ms - start_ms <= BACKOFF_MAX_MS + 10);
        }
        finish(0, MESSAGE_HEALTH, SEND_RETRYABLE);
    }
    assert_int_equal(view_of(0).failures, 40);
    assert_int_equal(view_of(0).health, PEER_UP);
}

static void messages_that_fail_together_count_as_one_failure(void **state)
{
    (void)state;
    join_up(0);
    register_here("gone", "1");
    finish(0, MESSAGE_REGISTER, SEND_DELIVERED);
    register_here("a", "1");
    unregister_here("gone");
    expect(0, MESSAGE_REGISTER);
    expect(0, MESSAGE_UNREGISTER);
    pass_ms(3000);
    finish_message(expect(0, MESSAGE_REGISTER), SEND_RETRYABLE);
    finish_message(rig.out[0], SEND_RETRYABLE);
    assert_int_equal(view_of(0).failures, 1);
}

static void success_resets_the_failures(void **state)
{
    (void)state;
    join_up(0);
    register_here("a", "1");
    for (int i = 0; i < 5; i++) {
        finish(0, MESSAGE_REGISTER, SEND_RETRYABLE);
        pass_ms(BACKOFF_FIRST_MS);
        finish(0, MESSAGE_REGISTER, SEND_DELIVERED);
        register_here("a", i % 2 ? "1" : "2");
    }
    assert_int_equal(view_of(0).health, PEER_UP);
}

static void failed_renewal_is_sent_again_as_a_renewal(void **state)
{
    (void)state;
    join_up(0);
    register_here("a", "1");
    finish(0, MESSAGE_REGISTER, SEND_DELIVERED);
    renew_here("a");
    pass_ms(INTERVAL_MS);
    finish(0, MESSAGE_RENEW, SEND_RETRYABLE);
    pass_ms(BACKOFF_FIRST_MS);
    assert_int_equal(expect(0, MESSAGE_RENEW)->count, 1);
    assert_null(sent(0, MESSAGE_REGISTER));
}

static void change_during_a_failing_message_is_sent_as_the_latest(void **state)
{
    (void)state;
    join_up(0);
    register_here("a", "1");
    struct message *message = expect(0, MESSAGE_REGISTER);
    register_here("a", "2");
    pump();
    finish_message(message, SEND_RETRYABLE);
    assert_true(view_of(0).backlog == 1);
    pass_ms(BACKOFF_FIRST_MS);
    message = expect(0, MESSAGE_REGISTER);
    assert_true(
        slice_equal(instance_text(message->items[0].instance, FIELD_MACHINE_NAME), SLICE("2")));
}

/* A registration and an unregistration of one key were in flight at the same time. */
static void both_of_one_key_fail(enum message_kind first)
{
    join_up(0);
    register_here("a", "1");
    struct message *registration = expect(0, MESSAGE_REGISTER);
    unregister_here("a");
    struct message *end = expect(0, MESSAGE_UNREGISTER);
    pass_ms(500);
    finish_message(first == MESSAGE_REGISTER ? registration : end, SEND_RETRYABLE);
    finish_message(first == MESSAGE_REGISTER ? end : registration, SEND_RETRYABLE);
    pass_ms(BACKOFF_FIRST_MS);
    assert_null(sent(0, MESSAGE_REGISTER));
    assert_int_equal(expect(0, MESSAGE_UNREGISTER)->count, 1);
}

static void two_failed_messages_of_one_key_keep_the_later_record_older_first(void **state)
{
    (void)state;
    both_of_one_key_fail(MESSAGE_REGISTER);
}

static void two_failed_messages_of_one_key_keep_the_later_record_newer_first(void **state)
{
    (void)state;
    both_of_one_key_fail(MESSAGE_UNREGISTER);
}

/* A legacy peer has no stamps: the last message must carry the last change. */
static void legacy_peer_gets_one_message_at_a_time(void **state)
{
    (void)state;
    join(0);
    respond_health(0, (struct health_response){.is_legacy = true, .is_ready = true});
    register_here("a", "1");
    struct message *registration = expect(0, MESSAGE_REGISTER);
    unregister_here("a");
    assert_null(sent(0, MESSAGE_UNREGISTER));
    finish_message(registration, SEND_RETRYABLE);
    pass_ms(BACKOFF_FIRST_MS);
    finish(0, MESSAGE_UNREGISTER, SEND_DELIVERED);
    assert_null(sent(0, MESSAGE_REGISTER));
}

static void slow_peer_delays_no_other_peer(void **state)
{
    (void)state;
    join_up(0);
    join_up(1);
    register_here("a", "1");
    finish(0, MESSAGE_REGISTER, SEND_RETRYABLE);
    finish(1, MESSAGE_REGISTER, SEND_DELIVERED);
    register_here("b", "1");
    assert_null(sent(0, MESSAGE_REGISTER));
    assert_non_null(sent(1, MESSAGE_REGISTER));
}

/* --- permanent failures ----------------------------------------------------------------------- */

static void rejected_items_are_dropped_and_counted(void **state)
{
    (void)state;
    join_up(0);
    register_here("a", "1");
    register_here("b", "1");
    finish(0, MESSAGE_REGISTER, SEND_REJECTED);
    assert_true(view_of(0).items_dropped == 2);
    assert_true(view_of(0).backlog == 0);
    assert_int_equal(view_of(0).health, PEER_UP);
    assert_int_equal(view_of(0).failures, 0);
    register_here("c", "1");
    assert_int_equal(expect(0, MESSAGE_REGISTER)->count, 1);
}

static void message_that_is_too_large_is_halved_at_once(void **state)
{
    (void)state;
    join_up(0);
    put_many(rig.node, "s", 0, 8, rig_now());
    for (size_t count = 8; count > 1; count /= 2) {
        assert_int_equal(expect(0, MESSAGE_REGISTER)->count, count);
        finish(0, MESSAGE_REGISTER, SEND_TOO_LARGE);
    }
    assert_int_equal(expect(0, MESSAGE_REGISTER)->count, 1);
    assert_true(view_of(0).backlog == 7);
    assert_int_equal(view_of(0).failures, 0);
}

static void single_item_that_is_too_large_is_dropped(void **state)
{
    (void)state;
    join_up(0);
    register_here("a", "1");
    finish(0, MESSAGE_REGISTER, SEND_TOO_LARGE);
    assert_true(view_of(0).items_dropped == 1);
    assert_null(sent(0, MESSAGE_REGISTER));
}

static void message_size_recovers_after_too_large(void **state)
{
    (void)state;
    join_up(0);
    put_many(rig.node, "s", 0, 64, rig_now());
    finish(0, MESSAGE_REGISTER, SEND_TOO_LARGE);
    finish(0, MESSAGE_REGISTER, SEND_TOO_LARGE);
    size_t last = 0;
    for (int i = 0; i < 3; i++) {
        size_t count = expect(0, MESSAGE_REGISTER)->count;
        assert_true(count > last);
        last = count;
        finish(0, MESSAGE_REGISTER, SEND_DELIVERED);
    }
}

/* --- down ------------------------------------------------------------------------------------- */

static void peer_is_down_after_max_retries_and_its_outbox_is_dropped(void **state)
{
    (void)state;
    join_up(0);
    register_here("a", "1");
    for (unsigned i = 0; i < RETRIES; i++)
        pause_after_failure();
    assert_int_equal(view_of(0).health, PEER_UP);
    finish(0, MESSAGE_REGISTER, SEND_RETRYABLE);
    assert_int_equal(view_of(0).health, PEER_DOWN);
    assert_true(view_of(0).backlog == 0);
    assert_true(view_of(0).outbox_bytes == 0);
    register_here("b", "1");
    pass_ms(INTERVAL_MS);
    assert_null(sent(0, MESSAGE_REGISTER));
    assert_true(view_of(0).backlog == 0);
}

static void refused_connection_makes_the_peer_down_at_once(void **state)
{
    (void)state;
    join_up(0);
    register_here("a", "1");
    finish(0, MESSAGE_REGISTER, SEND_UNREACHABLE);
    assert_int_equal(view_of(0).health, PEER_DOWN);
    assert_true(view_of(0).backlog == 0);
    assert_true(view_of(0).items_dropped == 1);
}

static void peer_that_is_down_gets_a_health_message_every_second(void **state)
{
    (void)state;
    join_up(0);
    register_here("a", "1");
    finish(0, MESSAGE_REGISTER, SEND_UNREACHABLE);
    for (int i = 0; i < 5; i++) {
        assert_null(sent(0, MESSAGE_HEALTH));
        pass_ms(DOWN_PROBE_MS);
        finish(0, MESSAGE_HEALTH, SEND_UNREACHABLE);
    }
}

static void returning_peer_is_compared_at_once(void **state)
{
    (void)state;
    join_up(0);
    register_here("a", "1");
    finish(0, MESSAGE_REGISTER, SEND_UNREACHABLE);
    pass_ms(HEALTH_MS);
    respond_health(0, (struct health_response){.is_ready = true});
    assert_int_equal(view_of(0).health, PEER_UP);
    assert_int_equal(view_of(0).failures, 0);
    assert_non_null(sent(0, MESSAGE_DIGEST));
    register_here("b", "1");
    assert_non_null(sent(0, MESSAGE_REGISTER));
}

static void rejected_health_message_makes_the_peer_down(void **state)
{
    (void)state;
    join(0);
    finish(0, MESSAGE_HEALTH, SEND_REJECTED);
    assert_int_equal(view_of(0).health, PEER_DOWN);
}

static void wrong_cluster_result_makes_the_peer_wrong_cluster(void **state)
{
    (void)state;
    join_up(0);
    register_here("a", "1");
    finish(0, MESSAGE_REGISTER, SEND_WRONG_CLUSTER);
    assert_int_equal(view_of(0).health, PEER_WRONG_CLUSTER);
    assert_true(view_of(0).backlog == 0);
}

static void new_peer_without_response_is_down_after_max_retries(void **state)
{
    (void)state;
    join(0);
    for (unsigned i = 0; i < RETRIES; i++) {
        finish(0, MESSAGE_HEALTH, SEND_RETRYABLE);
        assert_int_equal(view_of(0).health, PEER_NEW);
        pass_ms(BACKOFF_FIRST_MS << i);
    }
    finish(0, MESSAGE_HEALTH, SEND_RETRYABLE);
    assert_int_equal(view_of(0).health, PEER_DOWN);
}

/* --- order ------------------------------------------------------------------------------------ */

static void at_most_one_message_of_a_kind_is_in_flight(void **state)
{
    (void)state;
    join_up(0);
    put_many(rig.node, "s", 0, 50, rig_now());
    finish(0, MESSAGE_REGISTER, SEND_DELIVERED);
    uint64_t seed = 9;
    for (int i = 0; i < 500; i++) {
        char id[8];
        snprintf(id, sizeof(id), "i%u", random_below(&seed, 50));
        if (random_below(&seed, 3))
            put_as(
                rig.node,
                (struct brief){.service = "s", .id = id, .port = (int)random_below(&seed, 9) + 1},
                rig_now());
        else
            unregister_here(id);
        (void)renew(rig.node, "s", id, rig_now());
        pass_ms(random_below(&seed, 60));
        for (int kind = 0; kind < MESSAGE_KINDS; kind++)
            assert_true(in_flight(0, kind) <= 1);
        if (rig.out_count && random_below(&seed, 3) == 0)
            finish_message(rig.out[random_below(&seed, rig.out_count)], SEND_DELIVERED);
        assert_true(view_of(0).backlog <= 50);
    }
}

static void late_result_after_remove_and_add_is_ignored(void **state)
{
    (void)state;
    join_up(0);
    register_here("a", "1");
    struct message *late = expect(0, MESSAGE_REGISTER);
    replicator_remove_peer(rig.replicator, 0);
    join_up(0);
    register_here("b", "1");
    struct message *fresh = expect(0, MESSAGE_REGISTER);
    if (fresh == late)
        fresh = rig.out[rig.out_count - 1];
    finish_message(late, SEND_UNREACHABLE);
    assert_int_equal(view_of(0).health, PEER_UP);
    assert_true(view_of(0).items_dropped == 0);
    assert_int_equal(in_flight(0, MESSAGE_REGISTER), 1);
    finish_message(fresh, SEND_DELIVERED);
    assert_true(view_of(0).delivered[MESSAGE_REGISTER] == 1);
}

static void late_health_response_after_remove_and_add_is_ignored(void **state)
{
    (void)state;
    join(0);
    struct message *late = expect(0, MESSAGE_HEALTH);
    replicator_remove_peer(rig.replicator, 0);
    join(0);
    replicator_on_health(rig.replicator, late, &(struct health_response){.is_wrong_cluster = true},
                         rig_now());
    finish_message(late, SEND_DELIVERED);
    assert_int_equal(view_of(0).health, PEER_NEW);
    assert_int_equal(in_flight(0, MESSAGE_HEALTH), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(retryable_failure_keeps_the_items),
        TEST(backoff_doubles_with_jitter),
        TEST(backoff_differs_between_peers),
        TEST(backoff_has_a_maximum),
        TEST(messages_that_fail_together_count_as_one_failure),
        TEST(success_resets_the_failures),
        TEST(failed_renewal_is_sent_again_as_a_renewal),
        TEST(change_during_a_failing_message_is_sent_as_the_latest),
        TEST(two_failed_messages_of_one_key_keep_the_later_record_older_first),
        TEST(two_failed_messages_of_one_key_keep_the_later_record_newer_first),
        TEST(legacy_peer_gets_one_message_at_a_time),
        TEST(slow_peer_delays_no_other_peer),
        TEST(rejected_items_are_dropped_and_counted),
        TEST(message_that_is_too_large_is_halved_at_once),
        TEST(single_item_that_is_too_large_is_dropped),
        TEST(message_size_recovers_after_too_large),
        TEST(peer_is_down_after_max_retries_and_its_outbox_is_dropped),
        TEST(refused_connection_makes_the_peer_down_at_once),
        TEST(peer_that_is_down_gets_a_health_message_every_second),
        TEST(returning_peer_is_compared_at_once),
        TEST(rejected_health_message_makes_the_peer_down),
        TEST(wrong_cluster_result_makes_the_peer_wrong_cluster),
        TEST(new_peer_without_response_is_down_after_max_retries),
        TEST(at_most_one_message_of_a_kind_is_in_flight),
        TEST(late_result_after_remove_and_add_is_ignored),
        TEST(late_health_response_after_remove_and_add_is_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
