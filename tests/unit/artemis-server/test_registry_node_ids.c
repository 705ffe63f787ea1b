/* SPDX-License-Identifier: Apache-2.0
 *
 * Node ids in the stamps of records: each record holds one, whatever happens to it, and gives it
 * back. A peer cannot fill the table, and a call that is refused leaves nothing behind.
 */
#include "artemis-server/registry/registry_internal.h"
#include "artemis-server/registry/registry_storage.h"
#include "tests/unit/artemis-server/registry/peer_fixture.h"

static struct registry *node;

static int set_up(void **state)
{
    (void)state;
    node = make_node("self");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    registry_validate(node);
    registry_free(node);
    return 0;
}

static uint64_t ids(void)
{
    return stats_of(node).node_ids;
}

/* --- references ------------------------------------------------------------------------------- */

static void registration_holds_the_id_of_its_stamp(void **state)
{
    (void)state;
    assert_int_equal(ids(), 1); /* this node */
    say_registered(node, (struct word){.stamp = 5, .node = "b"}, at_ms(0));
    assert_int_equal(ids(), 2);
    say_registered(node, (struct word){.stamp = 6, .node = "c"}, at_ms(0));
    assert_int_equal(ids(), 2); /* the same content: b's stamp is gone */
    say_registered(node, (struct word){.stamp = 7, .node = "d", .machine = "m"}, at_ms(0));
    assert_int_equal(ids(), 2);
    say_registered(node, (struct word){.stamp = 4, .node = "e"}, at_ms(0)); /* older */
    say_renewed(node, (struct word){.stamp = 7, .node = "d"}, at_ms(0));
    say_renewed(node, (struct word){.stamp = 1, .node = "f", .id = "unknown"}, at_ms(0));
    assert_int_equal(ids(), 2);
}

static void own_change_and_eviction_give_it_back(void **state)
{
    (void)state;
    say_registered(node, (struct word){.stamp = 5, .node = "b"}, at_ms(0));
    say_registered(node, (struct word){.stamp = 5, .node = "c", .id = "b"}, at_ms(0));
    assert_int_equal(ids(), 3);
    put_as(node, (struct brief){.service = "s", .id = "a", .machine = "m"}, at_ms(1));
    assert_int_equal(ids(), 2);
    registry_expire(node, at_ms(2 * TTL_MS));
    registry_expire(node, at_ms(2 * TTL_MS + 40));
    assert_int_equal(stats_of(node).instances, 0);
    assert_int_equal(ids(), 1);
}

static void tombstone_holds_its_own_id(void **state)
{
    (void)state;
    say_registered(node, (struct word){.stamp = 5, .node = "b"}, at_ms(0));
    say_unregistered(node, (struct word){.stamp = 6, .node = "c"}, at_ms(0));
    assert_int_equal(ids(), 2);
    say_unregistered(node, (struct word){.stamp = 7, .node = "d"}, at_ms(0));
    say_unregistered(node, (struct word){.stamp = 7, .node = "e", .id = "unknown"}, at_ms(0));
    assert_int_equal(ids(), 3);
    say_registered(node, (struct word){.stamp = 8, .node = "f"}, at_ms(0));
    assert_int_equal(ids(), 3);
    registry_expire(node, at_ms(2 * TTL_MS));
    registry_expire(node, at_ms(2 * TTL_MS + 40));
    registry_cleanup(node, at_ms(2 * TOMBSTONE_MS));
    assert_int_equal(ids(), 1);
}

static void restored_records_hold_theirs(void **state)
{
    (void)state;
    enum restore_result result;
    for (uint64_t stamp = 1; stamp <= 4; stamp++) {
        struct word word = {.stamp = stamp, .node = stamp % 2 ? "b" : "c"};
        struct instance *instance = make_instance((struct brief){.service = "s", .id = "a"});
        struct wire_record record = {
            .instance = instance, .stamp = word_stamp(&word), .deleted = stamp > 2};
        assert_int_equal(registry_restore(node, &record, true, at_ms(0), &result), ERR_NONE);
        assert_int_equal(registry_restore(node, &record, false, at_ms(0), &result), ERR_NONE);
        assert_int_equal(result, RESTORE_TAKEN);
        instance_unref(instance);
        assert_int_equal(ids(), 2);
    }
    registry_cleanup(node, at_ms(2 * TOMBSTONE_MS));
    assert_int_equal(ids(), 1);
}

static void loaded_records_hold_theirs(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct word word = {.stamp = 5, .node = i ? "b" : "c"};
        struct instance *instance =
            make_instance((struct brief){.service = "s", .id = i ? "a" : "b"});
        struct wire_record record = {
            .instance = instance, .stamp = word_stamp(&word), .deleted = i == 1};
        assert_int_equal(registry_load(node, &record, at_ms(0)), ERR_NONE);
        assert_int_equal(registry_load(node, &record, at_ms(0)), ERR_NONE); /* no effect */
        instance_unref(instance);
    }
    assert_int_equal(ids(), 3);
}

static void state_of_a_key_keeps_its_id(void **state)
{
    (void)state;
    struct record_copy held;
    struct instance_key key = make_key("s", "a");
    say_registered(node, (struct word){.stamp = 5, .node = "b"}, at_ms(0));
    assert_true(registry_read_key(node, instance_key_packed(&key), &held));
    struct record_copy copy = record_copy_ref(&held);
    record_copy_unref(&held);
    put_as(node, (struct brief){.service = "s", .id = "a", .machine = "m"}, at_ms(1));
    assert_int_equal(ids(), 2);
    assert_true(slice_equal(record_copy_stamp(&copy).node_id, SLICE("b")));
    record_copy_unref(&copy);
    assert_int_equal(ids(), 1);
}

/* --- limits ----------------------------------------------------------------------------------- */

static enum error apply_from(uint32_t peer, int i, uint64_t stamp)
{
    char name[24];
    char id[16];
    snprintf(name, sizeof(name), "node-%u-%d", peer, i);
    snprintf(id, sizeof(id), "i%u-%d", peer, i);
    struct instance *instance = make_instance((struct brief){.service = "s", .id = id});
    struct wire_record record = {
        .instance = instance, .stamp = {full_stamp(stamp), slice_of(name)}, .peer = peer};
    enum error error = registry_apply(node, &record, at_ms(0));
    instance_unref(instance);
    return error;
}

static void peer_over_its_share_is_refused_and_others_are_not(void **state)
{
    (void)state;
    for (int i = 0; i < NODE_IDS_OF_PEER_MAX; i++)
        assert_int_equal(apply_from(7, i, 5), ERR_NONE);
    assert_int_equal(apply_from(7, NODE_IDS_OF_PEER_MAX, 5), ERR_TOO_MANY_ITEMS);
    assert_int_equal(apply_from(7, 0, 6), ERR_NONE); /* a known id */
    assert_int_equal(apply_from(8, 0, 5), ERR_NONE);
    assert_true(stats_of(node).refused_node_ids == 1);
    assert_int_equal(ids(), NODE_IDS_OF_PEER_MAX + 2);
}

static void refused_stamp_takes_no_id(void **state)
{
    (void)state;
    assert_int_equal(apply_from(7, 0, (2 * CLOCK_AHEAD_MAX_MS) << 16), ERR_VERSION_AHEAD);
    assert_int_equal(ids(), 1);
    assert_true(stats_of(node).refused_stamps == 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(registration_holds_the_id_of_its_stamp),
        TEST(own_change_and_eviction_give_it_back),
        TEST(tombstone_holds_its_own_id),
        TEST(restored_records_hold_theirs),
        TEST(loaded_records_hold_theirs),
        TEST(state_of_a_key_keeps_its_id),
        TEST(peer_over_its_share_is_refused_and_others_are_not),
        TEST(refused_stamp_takes_no_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
