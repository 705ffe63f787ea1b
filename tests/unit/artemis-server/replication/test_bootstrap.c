/* SPDX-License-Identifier: Apache-2.0
 *
 * Bootstrap: a node is ready when it holds what a ready peer held and has compared itself with the
 * other ready peers, or when every peer was tried and none has data. No failing peer blocks it for
 * ever.
 */
#include "tests/unit/artemis-server/replication/bootstrap_fixture.h"

/* --- alone ------------------------------------------------------------------------------------ */

static void node_without_peers_is_ready_at_once(void **state)
{
    (void)state;
    assert_false(replicator_is_ready(rig.replicator));
    assert_true(is_ready());
}

static void node_waits_for_the_first_response_of_every_peer(void **state)
{
    (void)state;
    join(0);
    join(1);
    assert_false(is_ready());
    finish(0, MESSAGE_HEALTH, SEND_UNREACHABLE);
    assert_false(is_ready());
    finish(1, MESSAGE_HEALTH, SEND_UNREACHABLE);
    assert_true(is_ready());
}

static void starting_peers_have_no_snapshot(void **state)
{
    (void)state;
    join_with(0, starting);
    assert_true(is_ready());
    assert_null(sent(0, MESSAGE_SNAPSHOT));
}

/* It compares itself after a stall, and has data. */
static void peer_that_compares_itself_is_waited_for(void **state)
{
    (void)state;
    join_with(0, (struct health_response){.is_comparing = true});
    assert_false(is_ready());
    assert_null(sent(0, MESSAGE_SNAPSHOT));
    pass_ms(DOWN_PROBE_MS);
    respond_health(0, ready);
    finish(0, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    respond_same_digests(0);
    assert_true(is_ready());
}

static void comparing_peer_that_goes_down_is_not_waited_for(void **state)
{
    (void)state;
    join_with(0, (struct health_response){.is_comparing = true});
    assert_false(is_ready());
    replicator_on_goodbye(rig.replicator, 0, rig_now());
    assert_true(is_ready());
}

static void unusable_peers_are_not_waited_for(void **state)
{
    (void)state;
    join_with(0, (struct health_response){.is_self = true});
    join_with(1, (struct health_response){.has_own_node_id = true});
    join_with(2, (struct health_response){.is_wrong_cluster = true});
    join_with(3, (struct health_response){.is_leaving = true, .is_ready = true});
    assert_true(is_ready());
}

static void peer_without_response_is_skipped_after_max_retries(void **state)
{
    (void)state;
    join(0);
    for (unsigned i = 0; i <= RETRIES; i++) {
        assert_false(is_ready());
        finish(0, MESSAGE_HEALTH, SEND_RETRYABLE);
        pass_ms(BACKOFF_FIRST_MS << i);
    }
    assert_true(is_ready());
}

/* --- the snapshot ----------------------------------------------------------------------------- */

static void snapshot_is_requested_from_one_ready_peer(void **state)
{
    (void)state;
    join(0);
    join(1);
    respond_health(0, ready);
    respond_health(1, ready);
    assert_int_equal(in_flight(0, MESSAGE_SNAPSHOT) + in_flight(1, MESSAGE_SNAPSHOT), 1);
    assert_false(is_ready());
}

static void snapshot_is_applied_as_it_arrives(void **state)
{
    (void)state;
    join_with(0, ready);
    struct message *snapshot = expect(0, MESSAGE_SNAPSHOT);
    respond_record(snapshot, (struct word){.id = "a", .stamp = 5});
    respond_record(snapshot, (struct word){.id = "b", .stamp = 5});
    respond_key(snapshot, (struct word){.id = "c", .stamp = 6, .deleted = true});
    assert_true(is_registered(rig.node, "s", "a") && is_registered(rig.node, "s", "b"));
    assert_true(is_tombstone(rig.node, "s", "c"));
    assert_false(is_ready());
    assert_false(replicator_stats_now().has_snapshot);
    finish_message(snapshot, SEND_DELIVERED);
    assert_true(replicator_stats_now().has_snapshot);
    assert_false(is_ready()); /* it compares first */
    respond_same_digests(0);
    assert_true(is_ready());
    assert_true(replicator_stats_now().snapshot_records == 3);
}

static void changes_are_sent_before_the_node_is_ready(void **state)
{
    (void)state;
    join_with(0, ready);
    register_here("a", "1");
    assert_non_null(sent(0, MESSAGE_REGISTER));
    assert_false(is_ready());
}

static void time_to_ready_is_measured(void **state)
{
    (void)state;
    join_with(0, ready);
    pass_ms(700);
    finish(0, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    respond_same_digests(0);
    assert_true(is_ready());
    assert_true(replicator_stats_now().bootstrap_ms == 700);
}

static const struct health_response legacy = {.is_ready = true, .is_legacy = true};

static void legacy_peer_is_asked_after_all_others(void **state)
{
    (void)state;
    join_with(0, legacy);
    join(1);
    assert_null(sent(0, MESSAGE_SNAPSHOT)); /* peer 1 may have a snapshot */
    respond_health(1, ready);
    assert_null(sent(0, MESSAGE_SNAPSHOT));
    finish(1, MESSAGE_SNAPSHOT, SEND_REJECTED);
    assert_non_null(sent(0, MESSAGE_SNAPSHOT));
}

static void legacy_list_adds_to_the_snapshot_of_another_peer(void **state)
{
    (void)state;
    join_with(0, legacy);
    join_with(1, ready);
    finish(1, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    const struct message *list = expect(0, MESSAGE_SNAPSHOT);
    respond_same_digests(1);
    assert_false(is_ready());
    respond_record(list, (struct word){.id = "a"});
    finish(0, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    assert_true(is_ready());
    assert_true(is_registered(rig.node, "s", "a"));
}

static void legacy_list_that_fails_blocks_nothing(void **state)
{
    (void)state;
    join_with(0, legacy);
    join_with(1, ready);
    finish(1, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    respond_same_digests(1);
    finish(0, MESSAGE_SNAPSHOT, SEND_REJECTED);
    assert_true(is_ready());
}

static bool has_content(const char *id, const char *machine)
{
    struct instance_key key = make_key("s", id);
    struct record_copy state;
    if (!registry_read_key(rig.node, instance_key_packed(&key), &state))
        return false;
    bool same = slice_equal(instance_text(state.instance, FIELD_MACHINE_NAME), slice_of(machine));
    record_copy_unref(&state);
    return same && !state.deleted;
}

static void list_of_a_legacy_peer_replaces_nothing(void **state)
{
    (void)state;
    put_as(rig.node, (struct brief){.service = "s", .id = "a", .machine = "new"}, rig_now());
    take_out(rig.node, "s", "gone", rig_now());
    join_with(0, legacy);
    const struct message *snapshot = expect(0, MESSAGE_SNAPSHOT);
    respond_record(snapshot, (struct word){.id = "a", .machine = "old"});
    respond_record(snapshot, (struct word){.id = "gone", .machine = "old"});
    respond_record(snapshot, (struct word){.id = "b", .machine = "old"});
    assert_true(has_content("a", "new"));
    assert_true(is_tombstone(rig.node, "s", "gone"));
    assert_true(has_content("b", "old"));
}

static void record_of_a_legacy_peer_gives_way_to_any_stamp(void **state)
{
    (void)state;
    join_with(0, legacy);
    const struct message *snapshot = expect(0, MESSAGE_SNAPSHOT);
    respond_record(snapshot, (struct word){.id = "a", .machine = "old"});
    respond_record(snapshot, (struct word){.id = "b", .machine = "old"});
    struct word earlier = {.id = "a", .stamp = 1, .machine = "stamped"};
    assert_int_equal(say_registered(rig.node, earlier, rig_now()), ERR_NONE);
    assert_true(has_content("a", "stamped"));
    assert_int_equal(say_unregistered(rig.node, (struct word){.id = "b", .stamp = 1}, rig_now()),
                     ERR_NONE);
    assert_true(is_tombstone(rig.node, "s", "b"));
}

/* The stamp of a record in the list of a legacy peer. */
static uint64_t legacy_stamp(const char *machine)
{
    struct registry *registry = make_node("self");
    struct record_copy state;
    struct instance *instance =
        make_instance((struct brief){.service = "s", .id = "a", .machine = machine});
    struct wire_record record = {.instance = instance};
    assert_int_equal(registry_apply_unstamped(registry, &record, rig_now()), ERR_NONE);
    assert_true(read_state(registry, "s", "a", &state));
    instance_unref(instance);
    registry_free(registry);
    return state.hlc;
}

/* The node may read another content after a restart, while a peer still has the first one. */
static void stamp_of_a_legacy_record_depends_on_its_content(void **state)
{
    (void)state;
    assert_true(legacy_stamp("one") == legacy_stamp("one"));
    assert_true(legacy_stamp("one") != legacy_stamp("two"));
    assert_true(hlc_to_ms(legacy_stamp("one")) < UINT32_MAX); /* in 1970 */
}

static void legacy_peer_provides_a_snapshot_and_is_not_compared(void **state)
{
    (void)state;
    join_with(0, (struct health_response){.is_ready = true, .is_legacy = true});
    finish(0, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    assert_true(is_ready());
    assert_null(sent(0, MESSAGE_DIGEST));
}

/* --- snapshots that fail ---------------------------------------------------------------------- */

static void rejected_snapshot_is_requested_from_the_next_peer(void **state)
{
    (void)state;
    join(0);
    join(1);
    respond_health(0, ready);
    respond_health(1, ready);
    uint32_t first = sent(0, MESSAGE_SNAPSHOT) ? 0 : 1;
    finish(first, MESSAGE_SNAPSHOT, SEND_REJECTED);
    assert_non_null(sent(1 - first, MESSAGE_SNAPSHOT));
    assert_false(is_ready());
    finish(1 - first, MESSAGE_SNAPSHOT, SEND_REJECTED);
    assert_true(is_ready()); /* every peer was tried */
}

static void interrupted_snapshot_is_requested_again(void **state)
{
    (void)state;
    join_with(0, ready);
    struct message *snapshot = expect(0, MESSAGE_SNAPSHOT);
    respond_record(snapshot, (struct word){.id = "a", .stamp = 5});
    finish_message(snapshot, SEND_RETRYABLE);
    assert_false(is_ready());
    pass_ms(BACKOFF_FIRST_MS);
    respond_record(expect(0, MESSAGE_SNAPSHOT), (struct word){.id = "a", .stamp = 5});
    finish(0, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    respond_same_digests(0);
    assert_true(is_ready());
    assert_int_equal(stats_of(rig.node).instances, 1);
}

static void interrupted_snapshot_is_skipped_after_max_retries(void **state)
{
    (void)state;
    join_with(0, ready);
    for (unsigned i = 0; i <= RETRIES; i++) {
        assert_false(is_ready());
        finish(0, MESSAGE_SNAPSHOT, SEND_RETRYABLE);
        pass_ms(BACKOFF_FIRST_MS << i);
        if (sent(0, MESSAGE_HEALTH))
            respond_health(0, ready);
    }
    assert_true(is_ready());
}

/* A peer that sends its snapshot very slowly. */
static void snapshot_over_the_overall_limit_is_requested_from_the_next_peer(void **state)
{
    (void)state;
    join_with(0, ready);
    assert_true(expect(0, MESSAGE_SNAPSHOT)->timeout_ms == SNAPSHOT_MS);
    join_with(1, ready);
    assert_null(sent(1, MESSAGE_SNAPSHOT)); /* one at a time */
    pass_ms(SNAPSHOT_MS);
    for (uint32_t peer = 0; peer < 2; peer++)
        if (sent(peer, MESSAGE_HEALTH))
            respond_health(peer, ready);
    finish(0, MESSAGE_SNAPSHOT, SEND_RETRYABLE);
    finish(1, MESSAGE_SNAPSHOT, SEND_RETRYABLE); /* it is not too slow, so it is requested again */
    pass_ms(BACKOFF_MAX_MS);
    for (uint32_t peer = 0; peer < 2; peer++)
        if (sent(peer, MESSAGE_HEALTH))
            respond_health(peer, ready);
    assert_null(sent(0, MESSAGE_SNAPSHOT));
    finish(1, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    assert_false(is_ready());
    pass_ms(BOOTSTRAP_COMPARE_MS);
    pump();
    assert_true(is_ready());
}

static void node_whose_only_peer_is_too_slow_becomes_ready(void **state)
{
    (void)state;
    join_with(0, ready);
    expect(0, MESSAGE_SNAPSHOT);
    pass_ms(SNAPSHOT_MS);
    finish(0, MESSAGE_SNAPSHOT, SEND_RETRYABLE);
    pump();
    assert_true(is_ready());
}

static void peer_that_goes_down_during_the_snapshot_is_not_waited_for(void **state)
{
    (void)state;
    join_with(0, ready);
    finish(0, MESSAGE_SNAPSHOT, SEND_UNREACHABLE);
    assert_true(is_ready());
}

static void peer_that_leaves_during_the_snapshot_is_not_waited_for(void **state)
{
    (void)state;
    join_with(0, ready);
    struct message *late = expect(0, MESSAGE_SNAPSHOT);
    replicator_remove_peer(rig.replicator, 0);
    assert_true(is_ready());
    finish_message(late, SEND_DELIVERED);
}

/* --- afterwards ------------------------------------------------------------------------------- */

static void ready_node_stays_ready(void **state)
{
    (void)state;
    assert_true(is_ready());
    join_with(0, ready);
    assert_true(is_ready());
    assert_null(sent(0, MESSAGE_SNAPSHOT));
    assert_non_null(sent(0, MESSAGE_DIGEST)); /* a comparison instead */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(node_without_peers_is_ready_at_once),
        TEST(node_waits_for_the_first_response_of_every_peer),
        TEST(starting_peers_have_no_snapshot),
        TEST(peer_that_compares_itself_is_waited_for),
        TEST(comparing_peer_that_goes_down_is_not_waited_for),
        TEST(unusable_peers_are_not_waited_for),
        TEST(peer_without_response_is_skipped_after_max_retries),
        TEST(snapshot_is_requested_from_one_ready_peer),
        TEST(snapshot_is_applied_as_it_arrives),
        TEST(changes_are_sent_before_the_node_is_ready),
        TEST(time_to_ready_is_measured),
        TEST(legacy_peer_is_asked_after_all_others),
        TEST(legacy_list_adds_to_the_snapshot_of_another_peer),
        TEST(legacy_list_that_fails_blocks_nothing),
        TEST(list_of_a_legacy_peer_replaces_nothing),
        TEST(record_of_a_legacy_peer_gives_way_to_any_stamp),
        TEST(stamp_of_a_legacy_record_depends_on_its_content),
        TEST(legacy_peer_provides_a_snapshot_and_is_not_compared),
        TEST(rejected_snapshot_is_requested_from_the_next_peer),
        TEST(interrupted_snapshot_is_requested_again),
        TEST(interrupted_snapshot_is_skipped_after_max_retries),
        TEST(snapshot_over_the_overall_limit_is_requested_from_the_next_peer),
        TEST(node_whose_only_peer_is_too_slow_becomes_ready),
        TEST(peer_that_goes_down_during_the_snapshot_is_not_waited_for),
        TEST(peer_that_leaves_during_the_snapshot_is_not_waited_for),
        TEST(ready_node_stays_ready),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
