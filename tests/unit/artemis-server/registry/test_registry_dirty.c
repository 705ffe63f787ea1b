/* SPDX-License-Identifier: Apache-2.0
 *
 * The states that a node sends to its peers: each local change and renewal once, in its latest
 * state; nothing that came from a peer; nothing while the node does not replicate.
 */
#include "tests/unit/artemis-server/registry/peer_fixture.h"

enum { STATES_MAX = 64 };

static struct registry *node;
static struct record_copy taken[STATES_MAX];
static size_t taken_count;
static unsigned notified;

static void on_change(void *context)
{
    (void)context;
    notified++;
}

static int set_up(void **state)
{
    (void)state;
    node = make_node("self");
    registry_set_dirty_notify(node, on_change, NULL);
    registry_set_replicating(node, true);
    taken_count = 0;
    notified = 0;
    return 0;
}

static void drop_taken(void)
{
    while (taken_count)
        record_copy_unref(&taken[--taken_count]);
}

static int tear_down(void **state)
{
    (void)state;
    drop_taken();
    registry_validate(node);
    registry_free(node);
    return 0;
}

static size_t changes(void)
{
    drop_taken();
    return taken_count = registry_drain_changes(node, taken, STATES_MAX);
}

static size_t renewals(void)
{
    drop_taken();
    return taken_count = registry_drain_renewals(node, taken, STATES_MAX);
}

static bool content_is(const struct record_copy *state, const char *machine)
{
    return slice_equal(instance_text(state->instance, FIELD_MACHINE_NAME), slice_of(machine));
}

/* --- changes --- */

static void registration_is_drained_once(void **state)
{
    (void)state;
    put(node, "s", "a", at_ms(0));
    assert_int_equal(notified, 1);
    assert_int_equal(changes(), 1);
    assert_false(taken[0].deleted);
    assert_int_equal(changes(), 0);
    assert_int_equal(renewals(), 0);
}

static void many_changes_of_one_key_are_drained_as_the_latest(void **state)
{
    (void)state;
    put_as(node, (struct brief){.service = "s", .id = "a", .machine = "1"}, at_ms(0));
    put_as(node, (struct brief){.service = "s", .id = "a", .machine = "2"}, at_ms(1));
    put_as(node, (struct brief){.service = "s", .id = "a", .machine = "3"}, at_ms(2));
    assert_int_equal(changes(), 1);
    assert_true(content_is(&taken[0], "3"));
}

static void unregistration_replaces_a_registration(void **state)
{
    (void)state;
    put(node, "s", "a", at_ms(0));
    take_out(node, "s", "a", at_ms(1));
    assert_int_equal(changes(), 1);
    assert_true(taken[0].deleted);
}

static void registration_replaces_an_unregistration(void **state)
{
    (void)state;
    put(node, "s", "a", at_ms(0));
    take_out(node, "s", "a", at_ms(1));
    put(node, "s", "a", at_ms(2));
    assert_int_equal(changes(), 1);
    assert_false(taken[0].deleted);
}

static void unregistration_of_an_unknown_key_is_drained(void **state)
{
    (void)state;
    take_out(node, "s", "a", at_ms(0));
    assert_int_equal(notified, 1);
    assert_int_equal(changes(), 1);
    assert_true(taken[0].deleted);
}

static void change_of_a_renewed_key_is_drained_as_both(void **state)
{
    (void)state;
    put(node, "s", "a", at_ms(0));
    renew(node, "s", "a", at_ms(1));
    assert_int_equal(changes(), 1);
    assert_int_equal(renewals(), 1);
}

static void changes_come_in_portions(void **state)
{
    (void)state;
    put_many(node, "s", 0, 10, at_ms(0));
    assert_int_equal(registry_drain_changes(node, taken, 4), 4);
    taken_count = 4;
    drop_taken();
    assert_int_equal(changes(), 6);
    assert_int_equal(changes(), 0);
}

static void change_that_was_evicted_meanwhile_is_not_drained(void **state)
{
    (void)state;
    registry_set_replicating(node, true);
    put(node, "s", "a", at_ms(0));
    registry_set_replicating(node, false); /* no peer is asked */
    registry_expire(node, at_ms(TTL_MS + TICK_MS));
    assert_false(is_registered(node, "s", "a"));
    assert_int_equal(changes(), 0);
}

static void note_of_a_record_that_is_gone_does_not_pass_to_the_next_one(void **state)
{
    (void)state;
    put(node, "s", "a", at_ms(0));
    registry_set_replicating(node, false);
    registry_expire(node, at_ms(TTL_MS + TICK_MS));
    put(node, "s", "b", at_ms(TTL_MS + 100)); /* takes the place of the first */
    registry_set_replicating(node, true);
    assert_int_equal(changes(), 0);
    put_as(node, (struct brief){.service = "s", .id = "b", .machine = "2"}, at_ms(TTL_MS + 200));
    assert_int_equal(changes(), 1);
}

static void nothing_is_recorded_without_replication(void **state)
{
    (void)state;
    registry_set_replicating(node, false);
    put(node, "s", "a", at_ms(0));
    renew(node, "s", "a", at_ms(1));
    take_out(node, "s", "a", at_ms(2));
    take_out(node, "s", "unknown", at_ms(2));
    assert_int_equal(notified, 0);
    assert_int_equal(changes(), 0);
    assert_int_equal(renewals(), 0);
    assert_true(is_tombstone(node, "s", "unknown")); /* for the peers that come back */
}

static void lists_stay_small_however_often_keys_come_and_go(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 5000; i++) {
        put(node, "s", "a", at_ms(i));
        renew(node, "s", "a", at_ms(i));
        take_out(node, "s", "a", at_ms(i));
        if (i % 100 == 0)
            changes();
    }
    assert_int_equal(changes(), 1);
}

/* --- renewals --- */

static void renewals_of_one_key_are_drained_once_as_the_latest(void **state)
{
    (void)state;
    put(node, "s", "a", at_ms(0));
    changes();
    renew(node, "s", "a", at_ms(1000));
    renew(node, "s", "a", at_ms(2000));
    assert_int_equal(notified, 1); /* renewals wait for their time */
    assert_int_equal(renewals(), 1);
    assert_true(registry_wire_record(node, &taken[0], at_ms(2500)).age_ms == 500);
    assert_int_equal(renewals(), 0);
    assert_int_equal(changes(), 0);
}

static void registration_of_the_same_content_is_drained_as_a_renewal(void **state)
{
    (void)state;
    put(node, "s", "a", at_ms(0));
    changes();
    put(node, "s", "a", at_ms(1000));
    assert_int_equal(changes(), 0);
    assert_int_equal(renewals(), 1);
}

static void renewal_before_an_unregistration_is_not_drained(void **state)
{
    (void)state;
    put(node, "s", "a", at_ms(0));
    renew(node, "s", "a", at_ms(1));
    take_out(node, "s", "a", at_ms(2));
    assert_int_equal(renewals(), 0);
    assert_int_equal(changes(), 1);
}

static void rejected_renewal_is_not_drained(void **state)
{
    (void)state;
    assert_int_equal(renew(node, "s", "a", at_ms(0)), ERR_INSTANCE_NOT_FOUND);
    assert_int_equal(renewals(), 0);
}

/* --- what came from a peer --- */

static void changes_of_peers_are_not_forwarded(void **state)
{
    (void)state;
    say_registered(node, (struct word){.stamp = 5}, at_ms(0));
    say_registered(node, (struct word){.stamp = 6, .machine = "m"}, at_ms(1));
    say_renewed(node, (struct word){.stamp = 6}, at_ms(2));
    say_registered(node, (struct word){.id = "b", .stamp = 5}, at_ms(2));
    say_unregistered(node, (struct word){.id = "b", .stamp = 7}, at_ms(3));
    say_unregistered(node, (struct word){.id = "c", .stamp = 7}, at_ms(3));
    say_registered(node, (struct word){.id = "plain", .stamp = 0}, at_ms(4));
    say_unregistered(node, (struct word){.id = "plain", .stamp = 0}, at_ms(5));
    assert_int_equal(notified, 0);
    assert_int_equal(changes(), 0);
    assert_int_equal(renewals(), 0);
}

static void local_renewal_of_a_peers_record_is_drained(void **state)
{
    (void)state;
    say_registered(node, (struct word){.stamp = 5, .node = "other"}, at_ms(0));
    renew(node, "s", "a", at_ms(1));
    assert_int_equal(changes(), 0);
    assert_int_equal(renewals(), 1);
    struct wire_record record = registry_wire_record(node, &taken[0], at_ms(1));
    assert_true(record.stamp.hlc == full_stamp(5));
    assert_true(slice_equal(record.stamp.node_id, SLICE("other")));
}

/* --- the drained states */

static void drained_record_has_version_origin_and_age(void **state)
{
    (void)state;
    put(node, "s", "a", at_ms(0));
    assert_int_equal(changes(), 1);
    struct wire_record record = registry_wire_record(node, &taken[0], at_ms(70));
    assert_true(record.age_ms == 70);
    assert_true(record.stamp.hlc >> 16 == START_WALL_MS);
    assert_true(slice_equal(record.stamp.node_id, SLICE("self")));
    assert_false(record.deleted);
    assert_true(registry_wire_record(node, &taken[0], (struct moment){0}).age_ms == 0);
}

static void drained_tombstone_has_the_age_of_the_unregistration(void **state)
{
    (void)state;
    put(node, "s", "a", at_ms(0));
    take_out(node, "s", "a", at_ms(5000));
    assert_int_equal(changes(), 1);
    struct wire_record record = registry_wire_record(node, &taken[0], at_ms(5300));
    assert_true(record.age_ms == 300);
    assert_true(record.deleted);
}

static void read_hands_out_what_is_known(void **state)
{
    (void)state;
    struct record_copy state_of_a;
    assert_false(read_state(node, "s", "a", &state_of_a));
    put(node, "s", "a", at_ms(0));
    assert_true(read_state(node, "s", "a", &state_of_a));
    assert_false(state_of_a.deleted);
    take_out(node, "s", "a", at_ms(1));
    assert_true(read_state(node, "s", "a", &state_of_a));
    assert_true(state_of_a.deleted);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(registration_is_drained_once),
        TEST(many_changes_of_one_key_are_drained_as_the_latest),
        TEST(unregistration_replaces_a_registration),
        TEST(registration_replaces_an_unregistration),
        TEST(unregistration_of_an_unknown_key_is_drained),
        TEST(change_of_a_renewed_key_is_drained_as_both),
        TEST(changes_come_in_portions),
        TEST(change_that_was_evicted_meanwhile_is_not_drained),
        TEST(note_of_a_record_that_is_gone_does_not_pass_to_the_next_one),
        TEST(nothing_is_recorded_without_replication),
        TEST(lists_stay_small_however_often_keys_come_and_go),
        TEST(renewals_of_one_key_are_drained_once_as_the_latest),
        TEST(registration_of_the_same_content_is_drained_as_a_renewal),
        TEST(renewal_before_an_unregistration_is_not_drained),
        TEST(rejected_renewal_is_not_drained),
        TEST(changes_of_peers_are_not_forwarded),
        TEST(local_renewal_of_a_peers_record_is_drained),
        TEST(drained_record_has_version_origin_and_age),
        TEST(drained_tombstone_has_the_age_of_the_unregistration),
        TEST(read_hands_out_what_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
