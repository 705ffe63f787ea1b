/* SPDX-License-Identifier: Apache-2.0
 *
 * Anti-entropy: after a complete comparison both nodes hold the same, whichever had the newer
 * record; a comparison that fails changes nothing.
 */
#include "tests/support/failing_malloc.h"
#include "tests/unit/artemis-server/replication/playing_peer.h"

static struct registry *other; /* what peer 0 holds */

static int set_up(void **state)
{
    (void)state;
    rig_open();
    other = make_node("other");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rig_close();
    registry_validate(other);
    registry_free(other);
    return 0;
}

/* --- peer 0, with a real registry ------------------------------------------------------------- */

static void play(struct message *message)
{
    play_as(message, other, 0);
}

static void play_all(void)
{
    play_all_as(other, 0);
}

static void next_comparison(void)
{
    pass_ms(COMPARE_MS);
    play_all();
}

static void put_at_other(const char *id, const char *machine)
{
    put_as(other, (struct brief){.service = "s", .id = id, .machine = machine}, rig_now());
}

/* --- comparisons ------------------------------------------------------------------------------ */

static void equal_digests_end_the_comparison(void **state)
{
    (void)state;
    join_up(0);
    uint64_t comparisons = replicator_stats_now().comparisons;
    assert_true(view_of(0).compared_ms == rig_now().mono_ms);
    pass_ms(COMPARE_MS * 7 / 8 - 1);
    assert_null(sent(0, MESSAGE_DIGEST));
    pass_ms(COMPARE_MS / 8 + 1);
    respond_same_digests(0);
    assert_null(sent(0, MESSAGE_LIST));
    assert_true(replicator_stats_now().comparisons == comparisons + 1);
    assert_int_equal(view_of(0).differing, 0);
}

static void record_that_only_the_peer_has_is_fetched(void **state)
{
    (void)state;
    join_up(0);
    put_at_other("a", "1");
    put_at_other("b", "1");
    next_comparison();
    assert_true(is_registered(rig.node, "s", "a") && is_registered(rig.node, "s", "b"));
    assert_agrees(other);
    assert_true(replicator_stats_now().fetched == 2);
    assert_int_equal(view_of(0).differing, 2);
}

static void record_that_the_peer_lacks_is_sent(void **state)
{
    (void)state;
    register_here("a", "1");
    join_up(0);
    next_comparison();
    assert_true(is_registered(other, "s", "a"));
    assert_true(view_of(0).repairs >= 1);
    assert_agrees(other);
}

static void newer_record_of_the_peer_is_fetched(void **state)
{
    (void)state;
    register_here("a", "old");
    join_up(0);
    pass_ms(10);
    put_at_other("a", "new");
    next_comparison();
    assert_agrees(other);
}

/* This node stored the change when it had an earlier version, or got it from such a node. */
static void weight_that_this_node_lacks_is_fetched(void **state)
{
    (void)state;
    put_as(other, (struct brief){.service = "s", .id = "a", .weight = 7}, rig_now());
    struct record_copy theirs;
    assert_true(read_state(other, "s", "a", &theirs));
    struct instance *without = make_instance((struct brief){.service = "s", .id = "a"});
    struct wire_record record = {.instance = without, .stamp = record_copy_stamp(&theirs)};
    assert_int_equal(registry_apply(rig.node, &record, rig_now()), ERR_NONE);
    instance_unref(without);
    join_up(0);
    next_comparison();
    assert_agrees(other);
    uint64_t differences = replicator_stats_now().differences;
    next_comparison();
    assert_true(replicator_stats_now().differences == differences);
}

static void newer_record_of_this_node_is_sent(void **state)
{
    (void)state;
    put_at_other("a", "old");
    join_up(0);
    pass_ms(10);
    register_here("a", "new");
    finish(0, MESSAGE_REGISTER, SEND_REJECTED); /* lost */
    next_comparison();
    assert_agrees(other);
    struct record_copy now;
    assert_true(read_state(other, "s", "a", &now));
    assert_true(slice_equal(record_copy_stamp(&now).node_id, SLICE("self")));
}

static void newer_tombstone_of_the_peer_is_applied(void **state)
{
    (void)state;
    register_here("a", "1");
    join_up(0);
    pass_ms(10);
    take_out(other, "s", "a", rig_now());
    registry_set_replicating(other, true);
    take_out(other, "s", "a", rig_now()); /* this node never knew the key */
    next_comparison();
    assert_true(is_tombstone(rig.node, "s", "a"));
    assert_agrees(other);
}

static void newer_tombstone_of_this_node_is_sent(void **state)
{
    (void)state;
    put_at_other("a", "1");
    join_up(0);
    pass_ms(10);
    unregister_here("a");
    finish(0, MESSAGE_UNREGISTER, SEND_REJECTED);
    next_comparison();
    assert_true(is_tombstone(other, "s", "a"));
    assert_agrees(other);
}

static void tombstone_of_a_key_that_the_peer_lacks_is_sent_when_its_bucket_differs(void **state)
{
    (void)state;
    char id[1][16];
    join_up(0);
    register_here("a", "1");
    finish(0, MESSAGE_REGISTER, SEND_REJECTED);
    unregister_here("a");
    finish(0, MESSAGE_UNREGISTER, SEND_REJECTED);
    next_comparison();
    assert_false(is_tombstone(other, "s", "a")); /* digests cover registered instances */
    find_ids_in_one_bucket(id, 1);
    put_at_other(id[0], "1");
    next_comparison();
    assert_true(is_tombstone(other, "s", "a"));
    assert_agrees(other);
    uint64_t differences = replicator_stats_now().differences;
    next_comparison();
    assert_true(replicator_stats_now().differences == differences); /* no repair without end */
}

/* --- leases that have ended ------------------------------------------------------------------- */

static void ended_lease_of_the_peer_is_left_to_its_lease_check(void **state)
{
    (void)state;
    join_up(0);
    put_at_other("a", "1");
    pass_ms(registry_ttl_ms(other));
    play_all();
    assert_true(is_registered(other, "s", "a"));
    assert_false(is_registered(rig.node, "s", "a"));
}

static void ended_lease_of_this_node_is_not_sent(void **state)
{
    (void)state;
    join_up(0);
    register_here("a", "1");
    finish(0, MESSAGE_REGISTER, SEND_REJECTED);
    pass_ms(registry_ttl_ms(rig.node));
    play_all();
    assert_true(is_registered(rig.node, "s", "a"));
    assert_false(is_registered(other, "s", "a"));
}

/* Only its lease check says whether an instance that its peers serve has ended. */
static void starting_node_takes_an_ended_lease(void **state)
{
    (void)state;
    put_at_other("a", "1");
    pass_ms(registry_ttl_ms(other));
    join(0);
    respond_health(0, (struct health_response){.is_ready = true});
    finish(0, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    play_all();
    assert_true(is_registered(rig.node, "s", "a"));
}

/* The peer holds older content, and may have a later renewal. */
static void newer_content_of_an_ended_lease_is_exchanged(void **state)
{
    (void)state;
    put_at_other("a", "1");
    register_here("b", "1");
    join_up(0);
    next_comparison();
    assert_agrees(other);
    pass_ms(10);
    put_at_other("a", "2");
    register_here("b", "2");
    finish(0, MESSAGE_REGISTER, SEND_REJECTED);
    pass_ms(registry_ttl_ms(other));
    play_all();
    assert_agrees(other);
    assert_true(is_registered(rig.node, "s", "a") && is_registered(other, "s", "b"));
}

static void renewals_of_the_peer_are_applied_from_the_list(void **state)
{
    (void)state;
    struct record_copy before, after;
    register_here("a", "1");
    register_here("b", "1");
    join_up(0);
    next_comparison();
    assert_agrees(other);
    (void)renew(other, "s", "a", rig_now());
    pass_ms(1000);
    for (int i = 0; i < 2000; i++) { /* another record in the same bucket */
        char id[16];
        snprintf(id, sizeof(id), "x%d", i);
        put_at_other(id, "1");
    }
    assert_true(read_state(rig.node, "s", "a", &before));
    next_comparison();
    assert_true(read_state(rig.node, "s", "a", &after));
    assert_true(after.touched_ms > before.touched_ms);
    assert_agrees(other);
}

static void many_differences_need_several_bounded_messages(void **state)
{
    (void)state;
    join_up(0);
    for (int i = 0; i < 5000; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%c%d", i % 2 ? 'o' : 'm', i);
        if (i % 2)
            put_at_other(id, "1");
        else
            register_here(id, "1");
    }
    while (sent(0, MESSAGE_REGISTER))
        finish(0, MESSAGE_REGISTER, SEND_REJECTED);
    pass_ms(COMPARE_MS);
    size_t lists = 0;
    while (pump(), rig.out_count) {
        const struct message *message = rig.out[0];
        lists += message->kind == MESSAGE_LIST;
        assert_true(message->kind != MESSAGE_FETCH || message->count <= FETCH_ITEMS_MAX);
        play(rig.out[0]);
    }
    assert_true(lists >= 1024 / ANTI_ENTROPY_BUCKETS_MAX);
    assert_agrees(other);
}

/* --- what changes meanwhile ------------------------------------------------------------------- */

/* The list of own records was read before the change. */
static void unregistration_during_a_comparison_is_not_undone_by_the_repair(void **state)
{
    (void)state;
    register_here("a", "1");
    register_here("b", "1");
    join_up(0);
    pass_ms(COMPARE_MS);
    while (!sent(0, MESSAGE_LIST))
        play(rig.out[0]);
    struct message *list = expect(0, MESSAGE_LIST);
    respond_key(list, (struct word){.id = "unrelated", .stamp = 5}); /* own records are read now */
    unregister_here("a");
    replicator_drain_dirty(rig.replicator, rig_now()); /* pending in the outbox */
    finish_message(list, SEND_DELIVERED);
    play_all();
    assert_false(is_registered(other, "s", "a"));
    assert_true(is_registered(other, "s", "b"));
}

/* --- faults ----------------------------------------------------------------------------------- */

static void failed_comparison_starts_again_after_the_backoff(void **state)
{
    (void)state;
    static const enum message_kind steps[] = {MESSAGE_DIGEST, MESSAGE_LIST, MESSAGE_FETCH};
    for (size_t i = 0; i < 3; i++) {
        rig_close();
        rig_open();
        join_up(0);
        put_at_other("a", "1");
        pass_ms(COMPARE_MS);
        while (!sent(0, steps[i]))
            play(rig.out[0]);
        uint64_t comparisons = replicator_stats_now().comparisons;
        finish(0, steps[i], SEND_RETRYABLE);
        assert_true(replicator_stats_now().comparisons == comparisons);
        pass_ms(BACKOFF_FIRST_MS);
        play_all();
        assert_true(is_registered(rig.node, "s", "a"));
        assert_true(replicator_stats_now().comparisons == comparisons + 1);
    }
}

static void rejected_comparison_starts_again_after_the_interval(void **state)
{
    (void)state;
    join_up(0);
    pass_ms(COMPARE_MS);
    finish(0, MESSAGE_DIGEST, SEND_REJECTED);
    pass_ms(COMPARE_MS / 2);
    assert_null(sent(0, MESSAGE_DIGEST));
    pass_ms(COMPARE_MS / 2);
    assert_non_null(sent(0, MESSAGE_DIGEST));
}

static void peer_that_goes_down_during_a_comparison_frees_the_comparison(void **state)
{
    (void)state;
    join_up(0);
    put_at_other("a", "1");
    pass_ms(COMPARE_MS);
    while (!sent(0, MESSAGE_LIST))
        play(rig.out[0]);
    struct message *late = expect(0, MESSAGE_LIST);
    respond_key(late, (struct word){.id = "a", .stamp = 5});
    replicator_on_goodbye(rig.replicator, 0, rig_now());
    respond_key(late, (struct word){.id = "b", .stamp = 5});
    finish_message(late, SEND_DELIVERED);
    pass_ms(HEALTH_MS);
    play_all();
    assert_agrees(other);
}

static void responses_of_an_earlier_membership_are_ignored(void **state)
{
    (void)state;
    static const uint64_t wrong[DIGEST_BUCKETS] = {1, 2, 3};
    join_up(0);
    pass_ms(COMPARE_MS);
    struct message *late = expect(0, MESSAGE_DIGEST);
    replicator_remove_peer(rig.replicator, 0);
    join(0);
    finish_message(expect(0, MESSAGE_HEALTH), SEND_RETRYABLE); /* also of the earlier membership */
    respond_health(0, (struct health_response){.is_ready = true});
    assert_int_equal(in_flight(0, MESSAGE_DIGEST), 2);
    replicator_on_digests(rig.replicator, late, wrong, rig_now());
    assert_null(sent(0, MESSAGE_LIST));
    finish_message(late, SEND_DELIVERED);
}

static void peer_that_is_not_ready_or_legacy_is_not_compared(void **state)
{
    (void)state;
    join_up(2);
    join(0);
    respond_health(0, (struct health_response){.is_ready = false});
    join(1);
    respond_health(1, (struct health_response){.is_ready = true, .is_legacy = true});
    pass_ms(2 * COMPARE_MS);
    assert_null(sent(0, MESSAGE_DIGEST));
    assert_null(sent(1, MESSAGE_DIGEST));
    respond_health(0, (struct health_response){.is_ready = true});
    assert_non_null(sent(0, MESSAGE_DIGEST)); /* at once when it is ready */
}

/* --- without memory --------------------------------------------------------------------------- */

static void each_allocation_of_a_comparison_can_fail(void **state)
{
    (void)state;
    long failures = 0;
    for (long n = 1;; n++) {
        rig_close();
        registry_free(other);
        rig_open();
        other = make_node("other");
        register_here("ours", "1");
        join_up(0);
        put_at_other("theirs", "1");
        pass_ms(COMPARE_MS);
        failing_malloc_after(n);
        for (int i = 0; i < 20 && (pump(), rig.out_count); i++)
            play(rig.out[0]);
        bool failed = failing_malloc_happened();
        failing_malloc_after(-1);
        registry_validate(rig.node);
        for (int i = 0; i < 3; i++)
            next_comparison();
        assert_agrees(other);
        if (!failed)
            break;
        failures++;
    }
    assert_true(failures > 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(equal_digests_end_the_comparison),
        TEST(record_that_only_the_peer_has_is_fetched),
        TEST(record_that_the_peer_lacks_is_sent),
        TEST(newer_record_of_the_peer_is_fetched),
        TEST(newer_record_of_this_node_is_sent),
        TEST(weight_that_this_node_lacks_is_fetched),
        TEST(newer_tombstone_of_the_peer_is_applied),
        TEST(newer_tombstone_of_this_node_is_sent),
        TEST(tombstone_of_a_key_that_the_peer_lacks_is_sent_when_its_bucket_differs),
        TEST(ended_lease_of_the_peer_is_left_to_its_lease_check),
        TEST(ended_lease_of_this_node_is_not_sent),
        TEST(starting_node_takes_an_ended_lease),
        TEST(newer_content_of_an_ended_lease_is_exchanged),
        TEST(renewals_of_the_peer_are_applied_from_the_list),
        TEST(many_differences_need_several_bounded_messages),
        TEST(unregistration_during_a_comparison_is_not_undone_by_the_repair),
        TEST(failed_comparison_starts_again_after_the_backoff),
        TEST(rejected_comparison_starts_again_after_the_interval),
        TEST(peer_that_goes_down_during_a_comparison_frees_the_comparison),
        TEST(responses_of_an_earlier_membership_are_ignored),
        TEST(peer_that_is_not_ready_or_legacy_is_not_compared),
        TEST(each_allocation_of_a_comparison_can_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
