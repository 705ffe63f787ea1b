/* SPDX-License-Identifier: Apache-2.0
 *
 * A peer that refuses the token of this node, and a peer whose records are ahead of the clocks of
 * all members: this node does not become ready without data that it may still get.
 */
#include "tests/unit/artemis-server/replication/replicator_fixture.h"

#define YEAR_MS (366 * 86400000ull)

static const struct health_response ready = {.is_ready = true};
static const struct health_response starting = {.is_ready = false};

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

/* Lets the time pass while the peer responds to health messages. */
static void stay_healthy_for(uint64_t ms)
{
    for (uint64_t passed_ms = 0; passed_ms < ms; passed_ms += 1000) {
        pass_ms(1000);
        if (sent(0, MESSAGE_HEALTH))
            respond_health(0, ready);
    }
}

/* --- tokens ----------------------------------------------------------------------------------- */

static void peer_that_refuses_the_token_is_unauthorized(void **state)
{
    (void)state;
    join_up(0);
    register_here("a", "1");
    finish(0, MESSAGE_REGISTER, SEND_UNAUTHORIZED);
    assert_int_equal(view_of(0).health, PEER_UNAUTHORIZED);
    assert_true(view_of(0).failed[SEND_UNAUTHORIZED] == 1);
    register_here("b", "1");
    stay_healthy_for(UNAUTHORIZED_RETRY_MS - HEALTH_MS - 1000);
    assert_null(sent(0, MESSAGE_REGISTER));
    assert_null(sent(0, MESSAGE_DIGEST));
    assert_int_equal(view_of(0).health, PEER_UNAUTHORIZED);
    stay_healthy_for(2 * HEALTH_MS);
    assert_int_equal(view_of(0).health, PEER_UP); /* the next attempt */
    expect(0, MESSAGE_DIGEST);
}

static void starting_node_waits_for_a_peer_that_refuses_it(void **state)
{
    (void)state;
    join(0);
    respond_health(0, ready);
    for (int i = 0; i < 10; i++) {
        finish(0, MESSAGE_SNAPSHOT, SEND_UNAUTHORIZED);
        stay_healthy_for(UNAUTHORIZED_RETRY_MS + HEALTH_MS);
        assert_false(replicator_is_ready(rig.replicator));
    }
    finish(0, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    if (sent(0, MESSAGE_DIGEST))
        respond_same_digests(0);
    pump();
    assert_true(replicator_is_ready(rig.replicator));
}

static void another_peer_gives_the_data_instead(void **state)
{
    (void)state;
    join(0);
    join(1);
    respond_health(0, ready);
    finish(0, MESSAGE_SNAPSHOT, SEND_UNAUTHORIZED);
    respond_health(1, ready);
    finish(1, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    respond_same_digests(1);
    pump();
    assert_true(replicator_is_ready(rig.replicator));
}

/* A cluster starts, and one node has other tokens: it has no data, and the others need not wait. */
static void peer_that_refuses_this_node_and_is_starting_is_not_waited_for(void **state)
{
    (void)state;
    join(0);
    join(1);
    respond_health(0, starting);
    register_here("a", "1");
    finish(0, MESSAGE_REGISTER, SEND_UNAUTHORIZED);
    assert_int_equal(view_of(0).health, PEER_UNAUTHORIZED);
    assert_false(replicator_is_ready(rig.replicator));
    respond_health(1, starting);
    pump();
    assert_true(replicator_is_ready(rig.replicator));
}

enum { GRACE_MS = 80000, REFILL_MS = 40000 };

/* The same, and that node becomes ready first. */
static void peer_that_refuses_this_node_and_becomes_ready_later_is_not_waited_for(void **state)
{
    (void)state;
    struct replicator_options options = rig_options();
    options.bootstrap_grace_ms = GRACE_MS;
    options.bootstrap_refill_ms = REFILL_MS;
    rig_close();
    rig_open_as(&options);
    join(0);
    respond_health(0, starting);
    pump();
    assert_int_equal(replicator_phase(rig.replicator), BOOTSTRAP_REFILLING);
    for (uint64_t passed_ms = 0; passed_ms < 2 * GRACE_MS; passed_ms += 1000) {
        pass_ms(1000);
        if (sent(0, MESSAGE_HEALTH))
            respond_health(0, ready);
        if (sent(0, MESSAGE_SNAPSHOT))
            finish(0, MESSAGE_SNAPSHOT, SEND_UNAUTHORIZED);
    }
    assert_true(replicator_is_ready(rig.replicator));
}

/* --- clocks ----------------------------------------------------------------------------------- */

static void snapshot_with_records_ahead_is_requested_again(void **state)
{
    (void)state;
    const struct word ahead = {.id = "a", .stamp = (150 * YEAR_MS) << 16};
    join(0);
    respond_health(0, ready);
    respond_record(expect(0, MESSAGE_SNAPSHOT), ahead);
    assert_false(is_registered(rig.node, "s", "a"));
    finish(0, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    assert_false(replicator_is_ready(rig.replicator));
    /* Meanwhile the peer has seen a member whose clock is ahead. */
    struct health_response later = ready;
    later.members_clock_ms = START_WALL_MS + 60 * YEAR_MS;
    respond_health(0, later);
    respond_record(expect(0, MESSAGE_SNAPSHOT), ahead);
    assert_true(is_registered(rig.node, "s", "a"));
    finish(0, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    respond_same_digests(0);
    pump();
    assert_true(replicator_is_ready(rig.replicator));
}

static void snapshot_that_stays_ahead_is_skipped_after_max_retries(void **state)
{
    (void)state;
    join(0);
    respond_health(0, ready);
    for (int i = 0; i <= RETRIES; i++) {
        respond_record(expect(0, MESSAGE_SNAPSHOT),
                       (struct word){.id = "a", .stamp = (150 * YEAR_MS) << 16});
        finish(0, MESSAGE_SNAPSHOT, SEND_DELIVERED);
        respond_health(0, ready);
    }
    assert_null(sent(0, MESSAGE_SNAPSHOT));
    pump();
    assert_true(replicator_is_ready(rig.replicator));
    assert_true(stats_of(rig.node).refused_stamps == RETRIES + 1);
}

/* Peer 0 is removed by a reload while it sends its snapshot. */
static void snapshot_of_a_removed_peer_says_nothing_about_the_next(void **state)
{
    (void)state;
    for (uint32_t next = 0; next < 2; next++) {
        rig_close();
        rig_open();
        join(0);
        respond_health(0, ready);
        struct message *late = expect(0, MESSAGE_SNAPSHOT);
        respond_record(late, (struct word){.id = "a", .stamp = (150 * YEAR_MS) << 16});
        replicator_remove_peer(rig.replicator, 0);
        join(next);
        respond_record(late, (struct word){.id = "b", .stamp = 5});
        respond_record(late, (struct word){.id = "c", .stamp = (150 * YEAR_MS) << 16});
        assert_false(is_registered(rig.node, "s", "b"));
        finish_message(late, SEND_DELIVERED);
        respond_health(next, ready);
        finish(next, MESSAGE_SNAPSHOT, SEND_DELIVERED);
        assert_null(sent(next, MESSAGE_SNAPSHOT));
        respond_same_digests(next);
        pump();
        assert_true(replicator_is_ready(rig.replicator));
    }
}

static void send_many_node_ids(unsigned first, unsigned count)
{
    const struct message *snapshot = expect(0, MESSAGE_SNAPSHOT);
    for (unsigned i = first; i < first + count; i++) {
        char id[16];
        snprintf(id, sizeof(id), "i%u", i);
        respond_record(snapshot, (struct word){.id = id, .stamp = 5, .node = id});
    }
}

/* The next member may have the number of the peer that was removed. */
static void node_ids_of_a_removed_peer_take_no_share_of_the_next(void **state)
{
    (void)state;
    join(0);
    respond_health(0, ready);
    send_many_node_ids(0, NODE_IDS_OF_PEER_MAX + 1);
    assert_true(stats_of(rig.node).refused_node_ids == 1);
    replicator_remove_peer(rig.replicator, 0);
    message_free(rig.out[--rig.out_count]);
    assert_int_equal(rig.out_count, 0);
    join(0);
    respond_health(0, ready);
    send_many_node_ids(NODE_IDS_OF_PEER_MAX + 1, NODE_IDS_OF_PEER_MAX);
    assert_true(stats_of(rig.node).refused_node_ids == 1);
}

/* A member with a wrong clock has sent a record before its first health response arrived here. */
static void refused_record_is_fetched_as_soon_as_the_clock_is_known(void **state)
{
    (void)state;
    const struct word ahead = {.id = "a", .stamp = (START_WALL_MS + 60 * YEAR_MS) << 16};
    struct health_response later = ready;
    later.members_clock_ms = START_WALL_MS + 60 * YEAR_MS;
    join_up(0);
    assert_null(sent(0, MESSAGE_HEALTH));
    replicator_check_clocks(rig.replicator, rig_now());
    respond_health(0, later);
    struct registry *peer = make_node("peer");
    put_as(peer, (struct brief){.service = "s", .id = "a"}, rig_now());
    respond_digests_of(0, peer);
    struct message *list = expect(0, MESSAGE_LIST);
    respond_key(list, ahead);
    finish_message(list, SEND_DELIVERED);
    respond_record(expect(0, MESSAGE_FETCH), ahead);
    assert_true(is_registered(rig.node, "s", "a"));
    registry_free(peer);
}

/* So that nobody can make this node send health checks without end. */
static void clocks_are_checked_once_a_second(void **state)
{
    (void)state;
    join_up(0);
    for (int i = 0; i < 100; i++) {
        replicator_check_clocks(rig.replicator, rig_now());
        if (sent(0, MESSAGE_HEALTH))
            respond_health(0, ready);
        pass_ms(10);
    }
    assert_null(sent(0, MESSAGE_HEALTH));
    assert_true(view_of(0).delivered[MESSAGE_HEALTH] == 2);
    replicator_check_clocks(rig.replicator, rig_now());
    expect(0, MESSAGE_HEALTH);
}

/* An older node reports its HLC alone. */
static void clock_of_an_older_peer_counts_as_that_of_a_member(void **state)
{
    (void)state;
    struct health_response older = ready;
    older.clock_ms = START_WALL_MS + 60 * YEAR_MS;
    join(0);
    respond_health(0, older);
    assert_true(registry_members_clock_ms(rig.node, rig_now()) == older.clock_ms);
    assert_true(registry_clock_ms(rig.node, rig_now()) == older.clock_ms);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(peer_that_refuses_the_token_is_unauthorized),
        TEST(starting_node_waits_for_a_peer_that_refuses_it),
        TEST(another_peer_gives_the_data_instead),
        TEST(snapshot_with_records_ahead_is_requested_again),
        TEST(snapshot_that_stays_ahead_is_skipped_after_max_retries),
        TEST(clock_of_an_older_peer_counts_as_that_of_a_member),
        TEST(peer_that_refuses_this_node_and_is_starting_is_not_waited_for),
        TEST(peer_that_refuses_this_node_and_becomes_ready_later_is_not_waited_for),
        TEST(snapshot_of_a_removed_peer_says_nothing_about_the_next),
        TEST(node_ids_of_a_removed_peer_take_no_share_of_the_next),
        TEST(refused_record_is_fetched_as_soon_as_the_clock_is_known),
        TEST(clocks_are_checked_once_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
