/* SPDX-License-Identifier: Apache-2.0
 *
 * Bootstrap where no peer has data: clients register again before the node is ready. And after a
 * stall: the node is not ready until it has compared itself with its peers.
 */
#include "tests/unit/artemis-server/replication/bootstrap_fixture.h"

enum { GRACE_MS = 30000, REFILL_MS = 8000, SHORT_COMPARE_MS = 3000 };

static int set_up_grace(void **state)
{
    (void)state;
    struct replicator_options options = rig_options();
    options.bootstrap_grace_ms = GRACE_MS;
    options.bootstrap_refill_ms = REFILL_MS;
    rig_open_as(&options);
    return 0;
}

/* --- no peer has data ------------------------------------------------------------------------- */

static bool is_refilling(void)
{
    pump();
    return replicator_phase(rig.replicator) == BOOTSTRAP_REFILLING;
}

static uint64_t due_in_ms(void)
{
    return replicator_due_ms(rig.replicator, rig_now()) - rig_now().mono_ms;
}

static void clients_get_time_to_register_once_every_peer_is_starting(void **state)
{
    (void)state;
    join(0);
    join(1);
    respond_health(0, starting);
    assert_false(is_refilling());
    respond_health(1, starting);
    assert_true(is_refilling());
    pass_ms(REFILL_MS - 1);
    assert_false(is_ready());
    assert_true(due_in_ms() == 1);
    pass_ms(1);
    assert_true(is_ready());
}

/* --- comparisons meanwhile -------------------------------------------------------------------- */

static const struct health_response starting_empty = {.started_empty = true};

static int set_up_empty(void **state)
{
    (void)state;
    struct replicator_options options = rig_options();
    options.bootstrap_grace_ms = GRACE_MS;
    options.bootstrap_refill_ms = REFILL_MS;
    options.starts_empty = true;
    options.anti_entropy_ms = SHORT_COMPARE_MS;
    rig_open_as(&options);
    return 0;
}

/* Responds to a comparison as a peer that has one instance more: its digests and its key. Returns
 * the message that fetches it; NULL: there is none. */
static struct message *compare_with_holder(uint32_t peer, struct word word)
{
    struct registry *holder = make_node("holder");
    put(holder, "s", word.id, rig_now());
    respond_digests_of(peer, holder);
    registry_free(holder);
    struct message *list = expect(peer, MESSAGE_LIST);
    respond_key(list, word);
    finish_message(list, SEND_DELIVERED);
    return sent(peer, MESSAGE_FETCH);
}

/* Clients register at one of them, and others reach only the other one. */
static void nodes_without_data_compare_themselves_while_they_wait(void **state)
{
    (void)state;
    register_here("b", "m");
    join_with(0, starting_empty);
    struct message *fetch = compare_with_holder(0, (struct word){.id = "a", .stamp = 5});
    assert_non_null(fetch);
    respond_record(fetch, (struct word){.id = "a", .stamp = 5});
    finish_message(fetch, SEND_DELIVERED);
    assert_true(is_registered(rig.node, "s", "a"));
    assert_true(contains(expect(0, MESSAGE_REGISTER), "b"));
    assert_false(is_ready());
    pass_ms(SHORT_COMPARE_MS / 2);
    assert_null(sent(0, MESSAGE_DIGEST));
    pass_ms(SHORT_COMPARE_MS / 2);
    assert_false(is_ready());
    expect(0, MESSAGE_DIGEST);
}

/* If one node took it over from another one in turn, it would never leave. */
static void ended_lease_of_a_starting_peer_is_left_to_its_lease_check(void **state)
{
    (void)state;
    uint64_t ttl_ms = registry_ttl_ms(rig.node);
    join_with(0, starting_empty);
    assert_null(compare_with_holder(0, (struct word){.id = "a", .stamp = 5, .age_ms = ttl_ms}));
}

static void comparison_with_a_starting_peer_does_not_count_when_it_is_ready(void **state)
{
    (void)state;
    join_with(0, starting_empty);
    respond_same_digests(0);
    assert_true(view_of(0).compared_ms == 0);
    pass_ms(DOWN_PROBE_MS);
    respond_health(0, ready);
    finish(0, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    assert_false(is_ready());
    respond_same_digests(0);
    assert_true(is_ready());
}

/* The peer may have copied records since it responded. */
static void comparison_that_was_open_when_the_peer_became_ready_does_not_count(void **state)
{
    (void)state;
    join_with(0, starting_empty);
    struct message *early = expect(0, MESSAGE_DIGEST);
    pass_ms(DOWN_PROBE_MS);
    respond_health(0, ready);
    finish(0, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    assert_true(expect(0, MESSAGE_DIGEST) == early);
    respond_same_digests(0);
    assert_false(is_ready());
    respond_same_digests(0);
    assert_true(is_ready());
}

/* Peers may have evicted what it has loaded. */
static void peer_that_may_have_loaded_records_is_not_compared_while_it_starts(void **state)
{
    (void)state;
    join_with(0, starting);
    assert_null(sent(0, MESSAGE_DIGEST));
}

static void node_that_has_loaded_records_compares_itself_with_ready_peers_only(void **state)
{
    (void)state;
    join_with(0, starting_empty);
    assert_null(sent(0, MESSAGE_DIGEST));
}

static void node_that_is_ready_waits_until_a_starting_peer_has_copied_its_records(void **state)
{
    (void)state;
    assert_true(is_ready());
    join_with(0, starting_empty);
    assert_null(sent(0, MESSAGE_DIGEST));
}

/* --- no list of peers ------------------------------------------------------------------------- */

/* A node with loaded records has no other grace. */
static int set_up_without_a_list(void **state)
{
    (void)state;
    struct replicator_options options = rig_options();
    options.list_grace_ms = GRACE_MS;
    rig_open_as(&options);
    return 0;
}

static void list_of_peers_is_waited_for_until_the_end_of_the_grace(void **state)
{
    (void)state;
    pass_ms(GRACE_MS - 1);
    assert_false(is_ready());
    assert_false(is_refilling());
    assert_true(due_in_ms() == 1);
    pass_ms(1);
    assert_true(is_ready());
}

static void empty_list_of_peers_ends_the_wait(void **state)
{
    (void)state;
    assert_false(is_ready());
    replicator_on_topology(rig.replicator);
    assert_true(is_ready());
}

static void peers_of_a_late_list_are_copied(void **state)
{
    (void)state;
    pass_ms(GRACE_MS / 2);
    assert_false(is_ready());
    replicator_on_topology(rig.replicator);
    join_with(0, ready);
    assert_false(is_ready());
    finish(0, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    respond_same_digests(0);
    assert_true(is_ready());
}

static void unreachable_peer_is_waited_for_until_the_last_part_of_the_grace(void **state)
{
    (void)state;
    join(0);
    finish(0, MESSAGE_HEALTH, SEND_UNREACHABLE);
    assert_false(is_refilling());
    pass_ms(GRACE_MS - REFILL_MS - 1);
    assert_false(is_refilling());
    assert_true(due_in_ms() == 1);
    pass_ms(1);
    assert_true(is_refilling());
    pass_ms(REFILL_MS - 1);
    assert_false(is_ready());
    pass_ms(1);
    assert_true(is_ready());
}

static void peer_that_becomes_ready_ends_the_wait_with_its_snapshot(void **state)
{
    (void)state;
    join_with(0, starting);
    assert_true(is_refilling());
    pass_ms(DOWN_PROBE_MS);
    respond_health(0, ready);
    assert_false(is_refilling());
    finish(0, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    respond_same_digests(0);
    assert_true(is_ready());
}

/* It may have got data since it responded. */
static void starting_peer_that_fails_later_is_waited_for(void **state)
{
    (void)state;
    join_with(0, starting);
    assert_true(is_refilling());
    pass_ms(REFILL_MS - 1);
    finish(0, MESSAGE_HEALTH, SEND_RETRYABLE);
    pass_ms(1);
    assert_false(is_ready());
    assert_true(is_refilling()); /* clients can register meanwhile */
    pass_ms(BACKOFF_MAX_MS);
    respond_health(0, starting);
    assert_true(is_ready());
}

static void starting_peer_that_fails_later_is_waited_for_in_the_first_part_alone(void **state)
{
    (void)state;
    uint64_t start_ms = rig.now_ms;
    join_with(0, starting);
    pass_ms(REFILL_MS);
    finish(0, MESSAGE_HEALTH, SEND_RETRYABLE);
    pass_ms(BACKOFF_MAX_MS);
    expect(0, MESSAGE_HEALTH); /* no response */
    rig.now_ms = start_ms + GRACE_MS - REFILL_MS - 1;
    assert_false(is_ready());
    assert_true(due_in_ms() == 1);
    pass_ms(1);
    assert_true(is_ready());
}

/* The link to the peer was cut while it sent its snapshot. */
static void peer_that_returns_within_the_grace_is_asked_again(void **state)
{
    (void)state;
    join_with(0, ready);
    finish(0, MESSAGE_SNAPSHOT, SEND_UNREACHABLE);
    assert_false(is_refilling());
    pass_ms(DOWN_PROBE_MS);
    respond_health(0, ready);
    finish(0, MESSAGE_SNAPSHOT, SEND_REJECTED);
    assert_true(is_refilling());
    pass_ms(HEALTH_MS);
    finish(0, MESSAGE_HEALTH, SEND_UNREACHABLE);
    pass_ms(DOWN_PROBE_MS);
    respond_health(0, ready);
    assert_false(is_refilling());
    expect(0, MESSAGE_SNAPSHOT);
}

static void clients_get_the_whole_time_again_after_a_stall(void **state)
{
    (void)state;
    join_with(0, starting);
    assert_true(is_refilling());
    pass_ms(DOWN_PROBE_MS);
    expect(0, MESSAGE_HEALTH);
    rig.now_ms += REFILL_MS;
    replicator_recompare(rig.replicator, rig_now());
    respond_health(0, starting); /* requested before the stall */
    assert_false(is_refilling());
    respond_health(0, starting);
    assert_true(is_refilling());
    pass_ms(REFILL_MS - 1);
    assert_false(is_ready());
    pass_ms(1);
    assert_true(is_ready());
}

/* --- after a stall ---------------------------------------------------------------------------- */

static void make_ready_beside(uint32_t peer)
{
    join_with(peer, ready);
    finish(peer, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    respond_same_digests(peer);
    assert_true(is_ready());
}

static void node_is_not_ready_after_a_stall_until_it_is_compared(void **state)
{
    (void)state;
    make_ready_beside(0);
    rig.now_ms += COMPARE_MS / 4;
    replicator_recompare(rig.replicator, rig_now());
    assert_false(is_ready());
    assert_true(replicator_phase(rig.replicator) == BOOTSTRAP_COPYING);
    respond_health(0, ready);
    assert_false(is_ready());
    respond_same_digests(0);
    assert_true(is_ready());
    assert_null(sent(0, MESSAGE_SNAPSHOT));
}

/* What the kernel holds of the response may be older than the stall. */
static void comparison_that_was_open_in_a_stall_does_not_count(void **state)
{
    (void)state;
    make_ready_beside(0);
    pass_ms(COMPARE_MS);
    expect(0, MESSAGE_DIGEST);
    expect(0, MESSAGE_HEALTH);
    rig.now_ms += COMPARE_MS / 4;
    replicator_recompare(rig.replicator, rig_now());
    respond_health(0, ready); /* sent before the stall */
    respond_same_digests(0);
    assert_false(is_ready());
    respond_health(0, ready);
    respond_same_digests(0);
    assert_true(is_ready());
}

/* It serves nothing before it knows whether a peer that it had lost has returned. */
static void peer_that_was_down_before_a_stall_is_asked_first(void **state)
{
    (void)state;
    make_ready_beside(0);
    pass_ms(HEALTH_MS);
    finish(0, MESSAGE_HEALTH, SEND_UNREACHABLE);
    rig.now_ms += COMPARE_MS / 4;
    replicator_recompare(rig.replicator, rig_now());
    assert_false(is_ready());
    respond_health(0, ready);
    respond_same_digests(0);
    assert_true(is_ready());
    replicator_recompare(rig.replicator, rig_now());
    finish(0, MESSAGE_HEALTH, SEND_UNREACHABLE);
    assert_true(is_ready());
}

static void stall_during_the_bootstrap_repeats_its_comparison(void **state)
{
    (void)state;
    join_with(0, ready);
    finish(0, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    expect(0, MESSAGE_DIGEST);
    rig.now_ms += BOOTSTRAP_COMPARE_MS;
    replicator_recompare(rig.replicator, rig_now());
    assert_false(is_ready());
    respond_same_digests(0); /* requested before the stall */
    assert_false(is_ready());
    respond_health(0, ready);
    respond_same_digests(0);
    assert_true(is_ready());
}

static void node_without_peers_is_ready_at_once_after_a_stall(void **state)
{
    (void)state;
    assert_true(is_ready());
    replicator_recompare(rig.replicator, rig_now());
    assert_true(is_ready());
}

static void comparison_after_a_stall_ends_at_its_time_limit(void **state)
{
    (void)state;
    make_ready_beside(0);
    replicator_recompare(rig.replicator, rig_now());
    pass_ms(BOOTSTRAP_COMPARE_MS - 1);
    assert_false(is_ready());
    pass_ms(1);
    assert_true(is_ready());
}

#define TEST_GRACE(name) cmocka_unit_test_setup_teardown(name, set_up_grace, tear_down)
#define TEST_EMPTY(name) cmocka_unit_test_setup_teardown(name, set_up_empty, tear_down)
#define TEST_LIST(name)  cmocka_unit_test_setup_teardown(name, set_up_without_a_list, tear_down)
#define TEST(name)       cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_LIST(list_of_peers_is_waited_for_until_the_end_of_the_grace),
        TEST_LIST(empty_list_of_peers_ends_the_wait),
        TEST_LIST(peers_of_a_late_list_are_copied),
        TEST_GRACE(clients_get_time_to_register_once_every_peer_is_starting),
        TEST_GRACE(unreachable_peer_is_waited_for_until_the_last_part_of_the_grace),
        TEST_GRACE(peer_that_becomes_ready_ends_the_wait_with_its_snapshot),
        TEST_GRACE(starting_peer_that_fails_later_is_waited_for),
        TEST_GRACE(starting_peer_that_fails_later_is_waited_for_in_the_first_part_alone),
        TEST_GRACE(peer_that_returns_within_the_grace_is_asked_again),
        TEST_GRACE(clients_get_the_whole_time_again_after_a_stall),
        TEST_EMPTY(nodes_without_data_compare_themselves_while_they_wait),
        TEST_EMPTY(ended_lease_of_a_starting_peer_is_left_to_its_lease_check),
        TEST_EMPTY(comparison_with_a_starting_peer_does_not_count_when_it_is_ready),
        TEST_EMPTY(comparison_that_was_open_when_the_peer_became_ready_does_not_count),
        TEST_EMPTY(peer_that_may_have_loaded_records_is_not_compared_while_it_starts),
        TEST_GRACE(node_that_has_loaded_records_compares_itself_with_ready_peers_only),
        TEST(node_that_is_ready_waits_until_a_starting_peer_has_copied_its_records),
        TEST(node_is_not_ready_after_a_stall_until_it_is_compared),
        TEST(comparison_that_was_open_in_a_stall_does_not_count),
        TEST(peer_that_was_down_before_a_stall_is_asked_first),
        TEST(stall_during_the_bootstrap_repeats_its_comparison),
        TEST(node_without_peers_is_ready_at_once_after_a_stall),
        TEST(comparison_after_a_stall_ends_at_its_time_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
