/* SPDX-License-Identifier: Apache-2.0
 *
 * Block lists between nodes: they are exchanged where they differ, and a peer that is blocked, or
 * refuses this node, gets health checks alone.
 */
#include "tests/unit/artemis-server/replication/replicator_fixture.h"

static const struct health_response equal_lists = {.is_ready = true, .has_blocks = true};
static const struct health_response other_list = {
    .is_ready = true, .has_blocks = true, .blocks_hash = 5};

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

static void check_health(struct health_response response)
{
    pass_ms(HEALTH_MS);
    expect(0, MESSAGE_HEALTH);
    respond_health(0, response);
}

static void lists_that_differ_are_exchanged(void **state)
{
    (void)state;
    join(0);
    respond_health(0, equal_lists);
    assert_null(sent(0, MESSAGE_BLOCKS));
    replicator_set_blocks(rig.replicator, 7);
    struct message *message = expect(0, MESSAGE_BLOCKS);
    replicator_on_blocks(rig.replicator, message, 7);
    finish_message(message, SEND_DELIVERED);
    assert_null(sent(0, MESSAGE_BLOCKS));
    check_health(other_list); /* another peer has given it more */
    message = expect(0, MESSAGE_BLOCKS);
    replicator_on_blocks(rig.replicator, message, 9);
    replicator_set_blocks(rig.replicator, 9);
    finish_message(message, SEND_DELIVERED);
    assert_null(sent(0, MESSAGE_BLOCKS));
}

static void exchange_that_fails_is_repeated_with_the_next_health_response(void **state)
{
    (void)state;
    join(0);
    respond_health(0, other_list);
    finish_message(expect(0, MESSAGE_BLOCKS), SEND_REJECTED);
    assert_null(sent(0, MESSAGE_BLOCKS));
    assert_int_equal(view_of(0).health, PEER_UP);
    check_health(other_list);
    expect(0, MESSAGE_BLOCKS);
}

static void older_peer_gets_no_list(void **state)
{
    (void)state;
    join(0);
    respond_health(0, (struct health_response){.is_ready = true});
    replicator_set_blocks(rig.replicator, 7);
    assert_null(sent(0, MESSAGE_BLOCKS));
}

static void peer_that_is_blocked_gets_health_checks_alone(void **state)
{
    (void)state;
    struct health_response blocked = other_list;
    blocked.is_blocked = true;
    join(0);
    respond_health(0, blocked);
    assert_int_equal(view_of(0).health, PEER_BLOCKED);
    assert_false(view_of(0).is_blocking);
    register_here("a", "1");
    pump();
    assert_int_equal(rig.out_count, 0);
    check_health(equal_lists); /* it was unblocked */
    assert_int_equal(view_of(0).health, PEER_UP);
    expect(0, MESSAGE_DIGEST);
}

static void peer_that_refuses_this_node_is_noticed_by_any_message(void **state)
{
    (void)state;
    struct health_response blocking = equal_lists;
    blocking.is_blocking = true;
    join(0);
    respond_health(0, equal_lists);
    register_here("a", "1");
    finish_message(expect(0, MESSAGE_REGISTER), SEND_BLOCKED);
    assert_int_equal(view_of(0).health, PEER_BLOCKED);
    assert_true(view_of(0).is_blocking);
    assert_false(view_of(0).has_unacknowledged); /* it is to get nothing */
    check_health(blocking);
    assert_true(view_of(0).is_blocking);
    assert_null(sent(0, MESSAGE_REGISTER));
    check_health(equal_lists);
    assert_int_equal(view_of(0).health, PEER_UP);
    assert_false(view_of(0).is_blocking);
}

/* The second peer has just started, and would take its changes. */
static void node_that_is_blocked_sends_nothing_to_other_peers(void **state)
{
    (void)state;
    struct replicator_stats stats;
    struct health_response blocking = equal_lists;
    blocking.is_blocking = true;
    join(0);
    respond_health(0, blocking);
    join(1);
    respond_health(1, (struct health_response){.has_blocks = true}); /* not ready */
    register_here("a", "1");
    pump();
    assert_int_equal(rig.out_count, 0);
    replicator_stats(rig.replicator, &stats);
    assert_true(stats.is_blocked);
    check_health(equal_lists);
    expect(1, MESSAGE_REGISTER);
    replicator_stats(rig.replicator, &stats);
    assert_false(stats.is_blocked);
}

/* A host that answers at the address of a member can say that it refuses this node. */
static void single_peer_does_not_keep_a_node_from_the_others(void **state)
{
    (void)state;
    struct replicator_stats stats;
    struct health_response blocking = equal_lists;
    blocking.is_blocking = true;
    join_up(1);
    join(0);
    respond_health(0, blocking);
    register_here("a", "1");
    expect(1, MESSAGE_REGISTER);
    replicator_stats(rig.replicator, &stats);
    assert_false(stats.is_blocked);
}

/* Another blocked node has no list and accepts this one. */
static void blocked_nodes_do_not_accept_each_other_for_good(void **state)
{
    (void)state;
    struct replicator_stats stats;
    struct health_response blocking = equal_lists;
    blocking.is_blocking = true;
    join_up(2);
    join(0);
    respond_health(0, blocking);
    replicator_stats(rig.replicator, &stats);
    assert_false(stats.is_blocked);
    join(1);
    respond_health(1, blocking);
    replicator_stats(rig.replicator, &stats);
    assert_true(stats.is_blocked);
    register_here("a", "1");
    assert_null(sent(2, MESSAGE_REGISTER));
    pass_ms(COMPARE_MS); /* a comparison is due, and does not keep the thread busy */
    pump();
    assert_true(replicator_due_ms(rig.replicator, rig_now()) > rig_now().mono_ms + 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lists_that_differ_are_exchanged),
        TEST(exchange_that_fails_is_repeated_with_the_next_health_response),
        TEST(older_peer_gets_no_list),
        TEST(peer_that_is_blocked_gets_health_checks_alone),
        TEST(peer_that_refuses_this_node_is_noticed_by_any_message),
        TEST(node_that_is_blocked_sends_nothing_to_other_peers),
        TEST(single_peer_does_not_keep_a_node_from_the_others),
        TEST(blocked_nodes_do_not_accept_each_other_for_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
