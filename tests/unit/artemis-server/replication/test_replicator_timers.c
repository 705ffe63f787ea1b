/* SPDX-License-Identifier: Apache-2.0
 *
 * replicator_due_ms: a caller that sleeps until then misses no message and does not wake up without
 * a reason.
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

static uint64_t due_in_ms(void)
{
    return replicator_due_ms(rig.replicator, rig_now()) - rig_now().mono_ms;
}

/* Sleeps from due time to due time for ten seconds without responses. Returns the number of
 * wake-ups. */
static unsigned wake_ups(void)
{
    unsigned count = 0;
    for (uint64_t end_ms = rig.now_ms + 10000; rig.now_ms < end_ms; count++) {
        pump();
        pass_ms(due_in_ms());
    }
    return count;
}

enum { FEW = 10000 / INTERVAL_MS + 20 };

static void idle_node_without_peers_sleeps(void **state)
{
    (void)state;
    pump();
    assert_true(due_in_ms() > 1000);
}

static void peer_that_is_up_wakes_for_renewals_only(void **state)
{
    (void)state;
    join_up(0);
    assert_true(wake_ups() <= FEW);
}

static void legacy_peer_wakes_for_renewals_only(void **state)
{
    (void)state;
    join(0);
    respond_health(0, (struct health_response){.is_legacy = true, .is_ready = true});
    assert_true(wake_ups() <= FEW);
}

static void peer_that_is_not_ready_wakes_for_renewals_only(void **state)
{
    (void)state;
    join_up(1);
    join(0);
    respond_health(0, (struct health_response){.is_ready = false});
    assert_true(wake_ups() <= FEW);
}

static void bootstrap_without_a_snapshot_wakes_for_renewals_only(void **state)
{
    (void)state;
    join(0);
    respond_health(0, (struct health_response){.is_ready = true});
    assert_non_null(sent(0, MESSAGE_SNAPSHOT)); /* no response yet */
    assert_true(wake_ups() <= FEW);
}

static void flush_wakes_for_renewals_only(void **state)
{
    (void)state;
    join_up(0);
    replicator_flush(rig.replicator);
    pass_ms(2 * COMPARE_MS);
    assert_true(wake_ups() <= FEW);
}

static void backoff_wakes_for_renewals_only(void **state)
{
    (void)state;
    rig_close();
    rig_open_with(100);
    join_up(0);
    for (int i = 0; i < 8; i++) { /* a backoff of several seconds */
        while (!sent(0, MESSAGE_HEALTH))
            pass_ms(100);
        finish(0, MESSAGE_HEALTH, SEND_RETRYABLE);
    }
    pass_ms(1);
    pump();
    assert_true(wake_ups() <= FEW);
}

/* Peer 0 is confirming the lease itself, and behind: it is asked again and again. */
static void respond_behind(const struct message *check)
{
    struct instance_key key = make_key("s", "a");
    struct wire_record record = {
        .key = &key, .age_ms = TTL_MS + 1, .is_confirming = true, .rounds = 0};
    replicator_on_record(rig.replicator, check, &record, rig_now());
}

/* Opens a check that is in its second round, in which peer 0 is behind. */
static void open_check_with_a_peer_behind(void)
{
    rig_close();
    rig_open_with(100);
    join_up(0);
    join(1);
    finish(1, MESSAGE_HEALTH, SEND_UNREACHABLE);
    register_here("a", "1");
    finish(0, MESSAGE_REGISTER, SEND_DELIVERED);
    pass_ms(TTL_MS + TICK_MS);
    registry_expire(rig.node, rig_now());
    for (int round = 0; round < 2; round++) {
        struct message *check = expect(0, MESSAGE_LEASE_CHECK);
        respond_behind(check);
        finish_message(check, SEND_DELIVERED);
    }
    assert_null(sent(0, MESSAGE_LEASE_CHECK)); /* not yet again */
}

/* Sleeps from due time to due time for at most this long, and until a lease check is sent to
 * peer 0. Returns the number of wake-ups. */
static unsigned wake_ups_before_a_check(uint64_t max_ms)
{
    unsigned count = 0;
    for (uint64_t end_ms = rig.now_ms + max_ms; rig.now_ms < end_ms; count++) {
        if (sent(0, MESSAGE_LEASE_CHECK))
            break;
        pass_ms(due_in_ms());
    }
    return count;
}

static void peer_behind_in_a_backoff_is_asked_when_it_ends(void **state)
{
    (void)state;
    open_check_with_a_peer_behind();
    register_here("b", "1");
    finish(0, MESSAGE_REGISTER, SEND_RETRYABLE);
    assert_true(wake_ups_before_a_check(2 * BACKOFF_FIRST_MS) <= 3);
    assert_non_null(sent(0, MESSAGE_LEASE_CHECK));
}

/* Starts a check of one lease whose message gets no response. Peer 0 is still behind in the open
 * check. */
static void start_check_without_response(const char *id)
{
    put(rig.node, "s", id, at_ms(rig.now_ms - TTL_MS - TICK_MS));
    pass_ms(TICK_MS);
    registry_expire(rig.node, rig_now());
    for (int i = 0; i < 26; i++) {
        pump();
        for (size_t m = 0; m < rig.out_count; m++)
            if (rig.out[m]->kind == MESSAGE_LEASE_CHECK && contains(rig.out[m], "a")) {
                respond_behind(rig.out[m]);
                finish_message(rig.out[m], SEND_DELIVERED);
                break;
            }
        pass_ms(10);
    }
}

static void peer_behind_is_asked_when_another_check_has_its_response(void **state)
{
    (void)state;
    open_check_with_a_peer_behind();
    start_check_without_response("b");
    start_check_without_response("c");
    start_check_without_response("d");
    assert_int_equal(in_flight(0, MESSAGE_LEASE_CHECK), 3);
    assert_true(wake_ups() <= FEW);
}

static void due_lease_is_checked_whatever_the_interval_of_renewals(void **state)
{
    (void)state;
    rig_close();
    rig_open_with_options(RETRIES, 60000);
    join_up(0);
    register_here("a", "1");
    for (uint64_t end_ms = rig.now_ms + TTL_MS + TICK_MS; rig.now_ms < end_ms;) {
        pump();
        pass_ms(due_in_ms());
    }
    registry_expire(rig.node, rig_now());
    pass_ms(due_in_ms());
    pump();
    pass_ms(due_in_ms());
    assert_non_null(sent(0, MESSAGE_LEASE_CHECK));
    assert_true(due_in_ms() <= LEASE_CHECK_TIMEOUT_MS);
}

static void peer_that_is_down_wakes_every_second(void **state)
{
    (void)state;
    join(0);
    finish(0, MESSAGE_HEALTH, SEND_UNREACHABLE);
    for (int i = 0; i < 5; i++) {
        assert_true(due_in_ms() == DOWN_PROBE_MS);
        pass_ms(DOWN_PROBE_MS);
        finish(0, MESSAGE_HEALTH, SEND_UNREACHABLE);
    }
}

/* Nothing is sent before it is due when no event happens. */
static void nothing_is_sent_before_due_ms(void **state)
{
    (void)state;
    uint64_t seed = 21;
    for (uint32_t peer = 0; peer < 3; peer++)
        join_up(peer);
    for (int i = 0; i < 3000; i++) {
        char id[8];
        snprintf(id, sizeof(id), "i%u", random_below(&seed, 6));
        if (random_below(&seed, 2))
            register_here(id, random_below(&seed, 2) ? "1" : "2");
        (void)renew(rig.node, "s", id, rig_now());
        pump();
        if (rig.out_count && random_below(&seed, 4)) {
            struct message *message = rig.out[random_below(&seed, rig.out_count)];
            const struct health_response health = {.is_ready = random_below(&seed, 4) > 0};
            if (message->kind == MESSAGE_HEALTH)
                replicator_on_health(rig.replicator, message, &health, rig_now());
            finish_message(message, random_below(&seed, 3) ? SEND_DELIVERED : SEND_RETRYABLE);
        }
        pump();
        uint64_t due_ms = due_in_ms();
        if (due_ms > 1) {
            pass_ms(random_below(&seed, due_ms));
            assert_int_equal(pump(), 0);
        } else {
            pass_ms(1);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(idle_node_without_peers_sleeps),
        TEST(peer_that_is_up_wakes_for_renewals_only),
        TEST(legacy_peer_wakes_for_renewals_only),
        TEST(peer_that_is_not_ready_wakes_for_renewals_only),
        TEST(bootstrap_without_a_snapshot_wakes_for_renewals_only),
        TEST(flush_wakes_for_renewals_only),
        TEST(backoff_wakes_for_renewals_only),
        TEST(peer_behind_in_a_backoff_is_asked_when_it_ends),
        TEST(peer_behind_is_asked_when_another_check_has_its_response),
        TEST(due_lease_is_checked_whatever_the_interval_of_renewals),
        TEST(peer_that_is_down_wakes_every_second),
        TEST(nothing_is_sent_before_due_ms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
