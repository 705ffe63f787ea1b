/* SPDX-License-Identifier: Apache-2.0
 *
 * Bootstrap after the snapshot: a node compares itself with every ready peer before it is ready.
 */
#include "tests/unit/artemis-server/replication/bootstrap_fixture.h"

static void node_is_ready_after_a_comparison_with_every_ready_peer(void **state)
{
    (void)state;
    join(0);
    join(1);
    respond_health(0, ready);
    respond_health(1, ready);
    uint32_t first = sent(0, MESSAGE_SNAPSHOT) ? 0 : 1;
    finish(first, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    assert_false(is_ready());
    respond_same_digests(0);
    assert_false(is_ready());
    respond_same_digests(1);
    assert_true(is_ready());
}

static void records_found_by_the_comparison_are_fetched_before_ready(void **state)
{
    (void)state;
    struct registry *other = make_node("other");
    put(other, "s", "a", rig_now());
    join_with(0, ready);
    finish(0, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    respond_digests_of(0, other);
    struct message *list = expect(0, MESSAGE_LIST);
    respond_key(list, (struct word){.id = "a", .stamp = 5});
    finish_message(list, SEND_DELIVERED);
    struct message *fetch = expect(0, MESSAGE_FETCH);
    assert_true(contains(fetch, "a"));
    assert_false(is_ready());
    respond_record(fetch, (struct word){.id = "a", .stamp = 5});
    finish_message(fetch, SEND_DELIVERED);
    assert_true(is_ready());
    assert_true(is_registered(rig.node, "s", "a"));
    registry_free(other);
}

/* Only the comparison with peer 1 is missing. */
static void begin_comparison(void)
{
    join(0);
    join(1);
    respond_health(0, ready);
    finish(0, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    respond_same_digests(0);
    respond_health(1, ready);
    assert_false(is_ready());
}

static void comparison_that_fails_is_repeated(void **state)
{
    (void)state;
    begin_comparison();
    finish(1, MESSAGE_DIGEST, SEND_RETRYABLE);
    assert_false(is_ready());
    pass_ms(BACKOFF_FIRST_MS);
    if (sent(1, MESSAGE_HEALTH))
        respond_health(1, ready);
    respond_same_digests(1);
    assert_true(is_ready());
}

static void comparison_that_fails_is_repeated_until_the_peer_is_down(void **state)
{
    (void)state;
    begin_comparison();
    for (unsigned i = 0; i <= RETRIES; i++) {
        assert_false(is_ready());
        finish(1, MESSAGE_DIGEST, SEND_RETRYABLE);
        pass_ms(BACKOFF_FIRST_MS << i);
    }
    respond_same_digests(0); /* the first comparison with it is old */
    assert_true(is_ready());
}

static void peer_that_has_never_responded_is_not_waited_for(void **state)
{
    (void)state;
    join(0);
    join(1);
    respond_health(0, ready);
    finish(0, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    respond_same_digests(0);
    assert_false(is_ready());
    finish(1, MESSAGE_HEALTH, SEND_RETRYABLE);
    assert_true(is_ready());
}

/* Peer 0 is compared, and peer 1 has not responded. Meanwhile peer 0 may receive records from a
 * peer that does not reach this node. */
static void wait_for_a_peer(uint64_t ms)
{
    join(0);
    join(1);
    respond_health(0, ready);
    finish(0, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    respond_same_digests(0);
    pass_ms(ms);
    assert_false(is_ready());
    assert_null(sent(0, MESSAGE_DIGEST));
    finish(1, MESSAGE_HEALTH, SEND_RETRYABLE);
}

static void old_comparison_is_repeated_before_the_node_is_ready(void **state)
{
    (void)state;
    struct registry *other = make_node("other");
    wait_for_a_peer(BOOTSTRAP_FRESH_MS);
    put(other, "s", "a", rig_now());
    assert_false(is_ready());
    respond_digests_of(0, other);
    struct message *list = expect(0, MESSAGE_LIST);
    assert_false(is_ready());
    respond_key(list, (struct word){.id = "a", .stamp = 5});
    finish_message(list, SEND_DELIVERED);
    struct message *fetch = expect(0, MESSAGE_FETCH);
    respond_record(fetch, (struct word){.id = "a", .stamp = 5});
    finish_message(fetch, SEND_DELIVERED);
    assert_true(is_ready());
    assert_true(is_registered(rig.node, "s", "a"));
    registry_free(other);
}

static void old_comparisons_are_repeated_once(void **state)
{
    (void)state;
    wait_for_a_peer(BOOTSTRAP_FRESH_MS);
    assert_false(is_ready());
    pass_ms(BOOTSTRAP_FRESH_MS);
    respond_same_digests(0);
    pass_ms(BOOTSTRAP_FRESH_MS);
    assert_true(is_ready());
}

static void young_comparison_is_not_repeated(void **state)
{
    (void)state;
    wait_for_a_peer(BOOTSTRAP_FRESH_MS - 1);
    assert_true(is_ready());
}

static void starting_peer_is_not_compared(void **state)
{
    (void)state;
    join(0);
    join(1);
    respond_health(0, ready);
    respond_health(1, starting);
    finish(0, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    respond_same_digests(0);
    assert_true(is_ready());
}

static void comparison_ends_at_its_time_limit(void **state)
{
    (void)state;
    join_with(0, ready);
    finish(0, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    expect(0, MESSAGE_DIGEST); /* without a response */
    pass_ms(BOOTSTRAP_COMPARE_MS - 1);
    assert_false(is_ready());
    assert_true(replicator_due_ms(rig.replicator, rig_now()) == rig_now().mono_ms + 1);
    pass_ms(1);
    assert_true(is_ready());
}

/* A node without these records would serve a part. */
static void comparison_that_brings_records_may_take_longer(void **state)
{
    (void)state;
    struct registry *other = make_node("other");
    put(other, "s", "a", rig_now());
    join_with(0, ready);
    finish(0, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    respond_digests_of(0, other);
    pass_ms(BOOTSTRAP_COMPARE_MS - 1);
    struct message *list = expect(0, MESSAGE_LIST);
    respond_key(list, (struct word){.id = "a", .stamp = 5});
    finish_message(list, SEND_DELIVERED);
    struct message *fetch = expect(0, MESSAGE_FETCH);
    respond_record(fetch, (struct word){.id = "a", .stamp = 5});
    pass_ms(BOOTSTRAP_COMPARE_MS - 1);
    assert_false(is_ready());
    pass_ms(1);
    assert_true(is_ready());
    registry_free(other);
}

/* It brings a record from time to time and does not end. */
static void comparison_that_brings_records_ends_at_the_limit_of_a_snapshot(void **state)
{
    (void)state;
    struct registry *other = make_node("other");
    put(other, "s", "a", rig_now());
    join_with(0, ready);
    finish(0, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    respond_digests_of(0, other);
    struct message *list = expect(0, MESSAGE_LIST);
    respond_key(list, (struct word){.id = "a", .stamp = 5});
    finish_message(list, SEND_DELIVERED);
    struct message *fetch = expect(0, MESSAGE_FETCH);
    for (uint64_t ms = 0; ms < SNAPSHOT_MS; ms += 1000) {
        assert_false(is_ready());
        pass_ms(1000);
        respond_record(fetch, (struct word){.id = "a", .stamp = 5});
    }
    assert_true(is_ready());
    registry_free(other);
}

static void refused_record_delays_the_node_until_the_limit(void **state)
{
    (void)state;
    struct registry *other = make_node("other");
    const struct word ahead = {.id = "a", .stamp = (150ull * 366 * 86400000) << 16};
    put(other, "s", "a", rig_now());
    join_with(0, ready);
    finish(0, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    for (int comparison = 0; comparison < 2; comparison++) {
        respond_digests_of(0, other);
        struct message *list = expect(0, MESSAGE_LIST);
        respond_key(list, ahead);
        finish_message(list, SEND_DELIVERED);
        respond_record(expect(0, MESSAGE_FETCH), ahead);
        finish(0, MESSAGE_FETCH, SEND_DELIVERED);
        assert_false(is_ready());
        pass_ms(BOOTSTRAP_FRESH_MS);
    }
    respond_same_digests(0); /* the peer does not hold the record any more */
    assert_true(is_ready());
    registry_free(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(node_is_ready_after_a_comparison_with_every_ready_peer),
        TEST(records_found_by_the_comparison_are_fetched_before_ready),
        TEST(comparison_that_fails_is_repeated),
        TEST(comparison_that_fails_is_repeated_until_the_peer_is_down),
        TEST(peer_that_has_never_responded_is_not_waited_for),
        TEST(old_comparison_is_repeated_before_the_node_is_ready),
        TEST(old_comparisons_are_repeated_once),
        TEST(young_comparison_is_not_repeated),
        TEST(starting_peer_is_not_compared),
        TEST(comparison_ends_at_its_time_limit),
        TEST(comparison_that_brings_records_may_take_longer),
        TEST(comparison_that_brings_records_ends_at_the_limit_of_a_snapshot),
        TEST(refused_record_delays_the_node_until_the_limit),
    };
    return cmocka_run_group_tests_name("bootstrap: comparisons", tests, NULL, NULL);
}
