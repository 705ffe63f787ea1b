/* SPDX-License-Identifier: Apache-2.0
 *
 * A node with loaded records that bootstraps: what its peers hold is kept, and what they have
 * evicted meanwhile does not return. It also keeps track of which records its peers hold, for the
 * next restart.
 */
#include "artemis-server/registry/registry_storage.h"

#include "artemis-core/model/stamp.h"
#include "tests/unit/artemis-server/replication/playing_peer.h"

enum { EPOCH = 77, AWAY_MS = 5000 };

static struct registry *other; /* the registry of peer 0 */

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
    registry_free(other);
    rig_close();
    return 0;
}

static const struct health_response ready = {.is_ready = true, .epoch = EPOCH};

/* Loads what a node stored that holds the instance as `other` does. */
static void load_here(const char *id, uint64_t away_ms)
{
    struct instance *instance = make_instance((struct brief){.service = "s", .id = id});
    struct wire_record record = {
        .instance = instance,
        .stamp = {full_stamp(1), SLICE("peer")},
        .age_ms = away_ms,
    };
    assert_int_equal(registry_load(rig.node, &record, rig_now()), ERR_NONE);
    instance_unref(instance);
}

static void hold_there(const char *id, uint64_t age_ms)
{
    struct word word = {.id = id, .stamp = 1, .age_ms = age_ms};
    assert_int_equal(say_registered(other, word, rig_now()), ERR_NONE);
}

static void bootstrap(void)
{
    join(0);
    respond_health(0, ready);
    play_as(expect(0, MESSAGE_SNAPSHOT), other, 0);
    respond_digests_of(0, other);
    if (sent(0, MESSAGE_LIST))
        play_as(expect(0, MESSAGE_LIST), other, 0);
    pump();
    assert_true(replicator_is_ready(rig.replicator));
}

static bool is_here(const char *id)
{
    return is_shown(rig.node, "s", id);
}

/* --- what the peers hold ---------------------------------------------------------------------- */

/* Its lease has ended at the peer, which serves it until its lease check ends. */
static void instance_that_the_peer_confirms_is_kept(void **state)
{
    (void)state;
    rig.now_ms = TTL_MS;
    hold_there("a", 0);
    pass_ms(TTL_MS + 2 * TICK_MS);
    registry_set_replicating(other, true);
    registry_expire(other, rig_now());
    assert_true(is_shown(other, "s", "a"));
    load_here("a", 2 * TTL_MS);
    bootstrap();
    assert_int_equal(registry_evict_loaded(rig.node, UINT64_MAX, rig_now()), 0);
    assert_true(is_here("a"));
    registry_expire(rig.node, rig_now()); /* its own lease check begins */
    struct message *check = expect(0, MESSAGE_LEASE_CHECK);
    finish_message(check, SEND_DELIVERED); /* the peer has evicted it */
    pass_ms(TICK_MS);
    registry_expire(rig.node, rig_now());
    assert_false(is_here("a"));
}

static void instance_that_the_peer_has_evicted_is_not_sent(void **state)
{
    (void)state;
    load_here("a", AWAY_MS);
    load_here("b", AWAY_MS);
    hold_there("b", AWAY_MS);
    bootstrap();
    assert_null(sent(0, MESSAGE_REGISTER));
    assert_int_equal(registry_evict_loaded(rig.node, UINT64_MAX, rig_now()), 1);
    assert_false(is_here("a"));
    assert_true(is_here("b"));
}

/* Peer 0 sent the snapshot and does not hold it. Peer 1 holds all that this node holds. */
static void instance_that_another_peer_holds_is_kept(void **state)
{
    (void)state;
    load_here("a", AWAY_MS);
    join(0);
    respond_health(0, ready);
    play_as(expect(0, MESSAGE_SNAPSHOT), other, 0);
    join(1);
    respond_health(1, ready);
    respond_digests_of(0, other);
    play_as(expect(0, MESSAGE_LIST), other, 0);
    respond_same_digests(1);
    assert_int_equal(registry_evict_loaded(rig.node, UINT64_MAX, rig_now()), 0);
    assert_true(is_here("a"));
}

/* --- shared records --------------------------------------------------------------------------- */

static void peer_that_shared_the_records_is_recognised(void **state)
{
    (void)state;
    for (uint64_t epoch = EPOCH - 1; epoch <= EPOCH; epoch++) {
        registry_set_shared(rig.node, (struct shared_records){epoch, full_stamp(1), 0});
        bootstrap();
        assert_int_equal(replicator_stats_now().has_sharer, epoch == EPOCH);
        rig_close();
        rig_open();
    }
}

static void compare(void)
{
    while (!sent(0, MESSAGE_DIGEST))
        pass_ms(INTERVAL_MS);
    respond_digests_of(0, other);
    if (sent(0, MESSAGE_LIST))
        play_as(expect(0, MESSAGE_LIST), other, 0);
    if (sent(0, MESSAGE_FETCH))
        finish(0, MESSAGE_FETCH, SEND_DELIVERED);
}

static void comparison_notes_which_records_are_shared(void **state)
{
    (void)state;
    bootstrap();
    assert_int_equal(registry_shared(rig.node).epoch, 0);
    register_here("a", "1");
    uint64_t first_ms = rig_now().wall_ms;
    compare(); /* the peer lacks it */
    assert_int_equal(registry_shared(rig.node).epoch, EPOCH);
    assert_true(hlc_to_ms(registry_shared(rig.node).hlc) <= first_ms);
    struct record_copy copy;
    assert_true(read_state(rig.node, "s", "a", &copy));
    assert_true(registry_shared(rig.node).hlc < copy.hlc);
    hold_there("other", 0); /* this node lacks it: that does not matter */
    unregister_here("a");
    pass_ms(COMPARE_MS);
    uint64_t second_ms = rig_now().wall_ms;
    expect(0, MESSAGE_DIGEST);
    register_here("later", "1"); /* in the same moment */
    compare();
    assert_true(read_state(rig.node, "s", "later", &copy));
    assert_true(registry_shared(rig.node).hlc < copy.hlc);
    assert_true(hlc_to_ms(registry_shared(rig.node).hlc) + 1 >= second_ms);
}

/* Between the digests and the end of the comparison, the peer was restarted. */
static void comparison_begins_again_when_the_peer_was_restarted(void **state)
{
    (void)state;
    bootstrap();
    hold_there("other", 0);
    while (!sent(0, MESSAGE_DIGEST))
        pass_ms(INTERVAL_MS);
    respond_digests_of(0, other);
    while (!sent(0, MESSAGE_HEALTH))
        pass_ms(INTERVAL_MS);
    struct message *list = expect(0, MESSAGE_LIST);
    respond_health(0, (struct health_response){.is_ready = true, .epoch = EPOCH + 1});
    play_as(list, other, 0);
    assert_null(sent(0, MESSAGE_FETCH));
    assert_true(view_of(0).compared_ms < rig_now().mono_ms);
    assert_int_equal(registry_shared(rig.node).epoch, 0);
    respond_same_digests(0);
    assert_true(view_of(0).compared_ms == rig_now().mono_ms);
    assert_int_equal(registry_shared(rig.node).epoch, EPOCH + 1);
}

/* If the peer lacks the record after a restart of this node, this node takes it for evicted. */
static bool is_shared(const char *id)
{
    struct record_copy copy;
    assert_true(read_state(rig.node, "s", id, &copy));
    return copy.hlc <= registry_shared(rig.node).hlc;
}

/* The other node was cut off when it made the change, so its stamp is older than the comparison. */
static void record_of_another_node_is_not_shared(void **state)
{
    (void)state;
    struct word late = {.id = "late", .stamp = 2};
    hold_there("b", 0);
    bootstrap();
    compare();
    assert_true(is_shared("b"));
    assert_int_equal(say_registered(rig.node, late, rig_now()), ERR_NONE);
    assert_false(is_shared("late"));
    late = (struct word){.id = "b", .stamp = 3, .machine = "2"};
    registry_set_shared(rig.node, (struct shared_records){EPOCH, full_stamp(4), 0});
    assert_int_equal(say_registered(rig.node, late, rig_now()), ERR_NONE);
    assert_false(is_shared("b"));
}

/* It arrives after the peer has listed its keys, and before the comparison is complete. */
static void record_that_arrives_during_the_comparison_is_not_shared(void **state)
{
    (void)state;
    bootstrap();
    hold_there("b", 0);
    while (!sent(0, MESSAGE_DIGEST))
        pass_ms(INTERVAL_MS);
    respond_digests_of(0, other);
    play_as(expect(0, MESSAGE_LIST), other, 0);
    struct word late = {.id = "late", .stamp = 2};
    assert_int_equal(say_registered(rig.node, late, rig_now()), ERR_NONE);
    play_as(expect(0, MESSAGE_FETCH), other, 0);
    assert_int_equal(registry_shared(rig.node).epoch, EPOCH);
    assert_false(is_shared("late"));
    assert_true(is_shared("b"));
}

static void restored_record_is_not_shared(void **state)
{
    (void)state;
    enum restore_result result;
    struct instance *instance = make_instance((struct brief){.service = "s", .id = "a"});
    struct wire_record record = {.instance = instance, .stamp = {full_stamp(2), SLICE("peer")}};
    bootstrap();
    compare();
    assert_int_equal(registry_restore(rig.node, &record, false, rig_now(), &result), ERR_NONE);
    assert_int_equal(result, RESTORE_TAKEN);
    assert_false(is_shared("a"));
    instance_unref(instance);
}

/* The peer has evicted it. Its lease has ended here too, and a client renews it after that. */
static void record_that_is_renewed_after_its_end_is_not_shared(void **state)
{
    (void)state;
    bootstrap();
    register_here("a", "1");
    pass_ms(TTL_MS + TICK_MS);
    registry_expire(rig.node, rig_now());
    compare();
    assert_int_equal(registry_shared(rig.node).epoch, EPOCH);
    renew_here("a");
    assert_false(is_shared("a"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(instance_that_the_peer_confirms_is_kept),
        TEST(instance_that_the_peer_has_evicted_is_not_sent),
        TEST(instance_that_another_peer_holds_is_kept),
        TEST(peer_that_shared_the_records_is_recognised),
        TEST(comparison_notes_which_records_are_shared),
        TEST(record_of_another_node_is_not_shared),
        TEST(record_that_arrives_during_the_comparison_is_not_shared),
        TEST(restored_record_is_not_shared),
        TEST(record_that_is_renewed_after_its_end_is_not_shared),
        TEST(comparison_begins_again_when_the_peer_was_restarted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
