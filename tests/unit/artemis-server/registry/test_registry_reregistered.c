/* SPDX-License-Identifier: Apache-2.0
 *
 * A registration with identical content is a renewal whose time the record keeps: it wins over a
 * change of a peer that was made before it and arrives after it.
 */
#include "tests/unit/artemis-server/registry/peer_fixture.h"

static struct registry *node;
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
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    registry_validate(node);
    registry_free(node);
    return 0;
}

static void put_content(const char *machine, struct moment now)
{
    put_as(node, (struct brief){.service = "s", .id = "a", .machine = machine}, now);
}

static size_t drain_changes(void)
{
    struct record_copy states[4];
    size_t count = registry_drain_changes(node, states, 4);
    for (size_t i = 0; i < count; i++)
        record_copy_unref(&states[i]);
    return count;
}

/* The content is `machine`. */
static bool holds(const char *machine)
{
    struct instance_key key = make_key("s", "a");
    struct record_copy state;
    assert_true(registry_read_key(node, instance_key_packed(&key), &state));
    bool same = slice_equal(instance_text(state.instance, FIELD_MACHINE_NAME), slice_of(machine));
    record_copy_unref(&state);
    return same && !state.deleted;
}

/* The stored content is pending for the peers, with the time `ms` as its stamp. */
static void assert_stamped_as_of(uint64_t ms)
{
    struct record_copy state;
    assert_true(read_state(node, "s", "a", &state));
    assert_false(state.deleted);
    assert_true(state.hlc == (START_WALL_MS + ms) << 16);
    assert_int_equal(notified, 1);
    assert_int_equal(drain_changes(), 1);
}

/* "new" is registered at 0 ms and again at 20 ms. */
static void register_twice(void)
{
    put_content("new", at_ms(0));
    put_content("new", at_ms(20));
    assert_int_equal(drain_changes(), 1);
    notified = 0;
}

/* The small stamp of a change that a peer made at this time. */
static uint64_t stamp_at(uint64_t ms)
{
    return ms << 16;
}

static void identical_registration_beats_an_earlier_change_that_arrives_later(void **state)
{
    (void)state;
    register_twice();
    uint64_t revision = registry_revision(node);
    struct word down = {.stamp = stamp_at(10), .machine = "down"};
    assert_int_equal(say_registered(node, down, at_ms(30)), ERR_NONE);
    assert_true(holds("new"));
    assert_true(registry_revision(node) == revision); /* clients see no change */
    assert_stamped_as_of(20);
}

static void identical_registration_beats_an_earlier_unregistration(void **state)
{
    (void)state;
    register_twice();
    assert_int_equal(say_unregistered(node, (struct word){.stamp = stamp_at(10)}, at_ms(30)),
                     ERR_NONE);
    assert_true(holds("new"));
    assert_stamped_as_of(20);
}

static void change_after_the_identical_registration_wins(void **state)
{
    (void)state;
    register_twice();
    struct word down = {.stamp = stamp_at(25), .machine = "down"};
    assert_int_equal(say_registered(node, down, at_ms(30)), ERR_NONE);
    assert_true(holds("down"));
    assert_int_equal(drain_changes(), 0);
}

static void change_between_the_identical_registration_and_its_stamp_wins(void **state)
{
    (void)state;
    register_twice();
    struct word down = {.stamp = stamp_at(10), .machine = "down"};
    assert_int_equal(say_registered(node, down, at_ms(30)), ERR_NONE);
    struct word later = {.stamp = stamp_at(25), .machine = "later"};
    assert_int_equal(say_registered(node, later, at_ms(40)), ERR_NONE);
    assert_true(holds("later"));
}

static void unregistration_after_the_identical_registration_wins(void **state)
{
    (void)state;
    register_twice();
    assert_int_equal(say_unregistered(node, (struct word){.stamp = stamp_at(25)}, at_ms(30)),
                     ERR_NONE);
    assert_true(is_tombstone(node, "s", "a"));
    assert_int_equal(drain_changes(), 0);
}

static void heartbeat_confirms_no_content(void **state)
{
    (void)state;
    put_content("new", at_ms(0));
    assert_int_equal(renew(node, "s", "a", at_ms(20)), ERR_NONE);
    struct word down = {.stamp = stamp_at(10), .machine = "down"};
    assert_int_equal(say_registered(node, down, at_ms(30)), ERR_NONE);
    assert_true(holds("down"));
}

static void newer_stamp_with_the_same_content_is_taken_over(void **state)
{
    (void)state;
    register_twice();
    struct word same = {.stamp = stamp_at(10), .machine = "new"};
    assert_int_equal(say_registered(node, same, at_ms(30)), ERR_NONE);
    struct record_copy now;
    assert_true(read_state(node, "s", "a", &now));
    assert_true(now.hlc == full_stamp(stamp_at(10)));
    assert_int_equal(drain_changes(), 0); /* two nodes do not answer each other for ever */
}

static void identical_registration_keeps_stamp_and_revision(void **state)
{
    (void)state;
    struct record_copy before, after;
    put_content("new", at_ms(0));
    uint64_t revision = registry_revision(node);
    assert_true(read_state(node, "s", "a", &before));
    assert_int_equal(drain_changes(), 1);
    put_content("new", at_ms(20));
    assert_true(read_state(node, "s", "a", &after));
    assert_true(before.hlc == after.hlc);
    assert_true(registry_revision(node) == revision);
    assert_int_equal(drain_changes(), 0);
}

static void registration_after_a_tombstone_is_not_reregistered(void **state)
{
    (void)state;
    register_twice();
    take_out(node, "s", "a", at_ms(21));
    put_content("again", at_ms(22));
    struct word down = {.stamp = stamp_at(23), .machine = "down"};
    assert_int_equal(say_registered(node, down, at_ms(30)), ERR_NONE);
    assert_true(holds("down"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(identical_registration_beats_an_earlier_change_that_arrives_later),
        TEST(identical_registration_beats_an_earlier_unregistration),
        TEST(change_after_the_identical_registration_wins),
        TEST(change_between_the_identical_registration_and_its_stamp_wins),
        TEST(unregistration_after_the_identical_registration_wins),
        TEST(heartbeat_confirms_no_content),
        TEST(newer_stamp_with_the_same_content_is_taken_over),
        TEST(identical_registration_keeps_stamp_and_revision),
        TEST(registration_after_a_tombstone_is_not_reregistered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
