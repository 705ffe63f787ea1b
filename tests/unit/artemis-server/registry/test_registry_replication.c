/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages of peers: the higher stamp wins, in any order and any number of times; renewals move
 * leases by their age; an unregistered instance stays so; and only local changes are sent on, once,
 * in their latest state.
 */
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

/* Is this the content that won? */
static bool holds(const char *machine)
{
    struct instance_key key = make_key("s", "a");
    struct record_copy state;
    if (!registry_read_key(node, instance_key_packed(&key), &state))
        return false;
    bool same = slice_equal(instance_text(state.instance, FIELD_MACHINE_NAME), slice_of(machine));
    record_copy_unref(&state);
    return same && !state.deleted;
}

static bool has_ended(struct moment now)
{
    registry_expire(node, now);
    return !is_registered(node, "s", "a");
}

/* --- registrations --- */

static void registration_of_a_new_key_is_in_the_responses(void **state)
{
    (void)state;
    assert_int_equal(say_registered(node, (struct word){.stamp = 5, .machine = "m"}, at_ms(0)),
                     ERR_NONE);
    assert_true(is_shown(node, "s", "a"));
    assert_true(holds("m"));
}

static void registration_said_twice_changes_nothing(void **state)
{
    (void)state;
    const struct word word = {.stamp = 5, .machine = "m"};
    assert_int_equal(say_registered(node, word, at_ms(0)), ERR_NONE);
    uint64_t revision = registry_revision(node);
    assert_int_equal(say_registered(node, word, at_ms(1)), ERR_NONE);
    assert_true(registry_revision(node) == revision);
    assert_int_equal(stats_of(node).registered, 1);
    assert_int_equal(stats_of(node).changed, 0);
}

static void registration_that_is_stale_is_passed_over(void **state)
{
    (void)state;
    assert_int_equal(say_registered(node, (struct word){.stamp = 5, .machine = "new"}, at_ms(0)),
                     ERR_NONE);
    assert_int_equal(say_registered(node, (struct word){.stamp = 4, .machine = "old"}, at_ms(1)),
                     ERR_NONE);
    assert_true(holds("new"));
}

static void registration_that_is_newer_takes_over(void **state)
{
    (void)state;
    assert_int_equal(say_registered(node, (struct word){.stamp = 5, .machine = "old"}, at_ms(0)),
                     ERR_NONE);
    uint64_t revision = registry_revision(node);
    assert_int_equal(say_registered(node, (struct word){.stamp = 6, .machine = "new"}, at_ms(1)),
                     ERR_NONE);
    assert_true(holds("new"));
    assert_true(registry_revision(node) > revision);
}

static void registration_that_is_newer_with_the_same_content_is_no_event(void **state)
{
    (void)state;
    struct record_copy now;
    assert_int_equal(say_registered(node, (struct word){.stamp = 5}, at_ms(0)), ERR_NONE);
    uint64_t revision = registry_revision(node);
    assert_int_equal(say_registered(node, (struct word){.stamp = 6}, at_ms(1)), ERR_NONE);
    assert_true(registry_revision(node) == revision);
    assert_true(read_state(node, "s", "a", &now));
    assert_true(now.hlc == full_stamp(6));
}

static void equal_stamps_are_decided_by_the_name_higher_last(void **state)
{
    (void)state;
    say_registered(node, (struct word){.stamp = 5, .node = "a", .machine = "low"}, at_ms(0));
    say_registered(node, (struct word){.stamp = 5, .node = "b", .machine = "high"}, at_ms(0));
    assert_true(holds("high"));
}

static void equal_stamps_are_decided_by_the_name_higher_first(void **state)
{
    (void)state;
    say_registered(node, (struct word){.stamp = 5, .node = "b", .machine = "high"}, at_ms(0));
    say_registered(node, (struct word){.stamp = 5, .node = "a", .machine = "low"}, at_ms(0));
    assert_true(holds("high"));
}

static void registration_with_an_ended_lease_is_not_taken_up(void **state)
{
    (void)state;
    assert_int_equal(say_registered(node, (struct word){.stamp = 5, .age_ms = TTL_MS}, at_ms(0)),
                     ERR_NONE);
    assert_false(is_registered(node, "s", "a"));
    say_registered(node, (struct word){.stamp = 5, .age_ms = TTL_MS - 1}, at_ms(0));
    assert_true(is_registered(node, "s", "a"));
}

static void registration_ends_by_its_age(void **state)
{
    (void)state;
    say_registered(node, (struct word){.stamp = 5, .age_ms = 20000}, at_ms(0));
    assert_false(has_ended(at_ms(TTL_MS - 20000 - 1)));
    assert_true(has_ended(at_ms(TTL_MS - 20000 + TICK_MS)));
}

static void registration_with_a_stamp_out_of_range_is_refused(void **state)
{
    (void)state;
    struct instance *instance = make_instance((struct brief){.service = "s", .id = "a"});
    struct wire_record record = {.instance = instance, .stamp = {HLC_MAX + 1, SLICE("peer")}};
    assert_int_equal(registry_apply(node, &record, at_ms(0)), ERR_VERSION_AHEAD);
    instance_unref(instance);
    assert_false(is_registered(node, "s", "a"));
}

static void local_change_after_a_peers_word_is_the_newer_one(void **state)
{
    (void)state;
    say_registered(node, (struct word){.stamp = 99ull << 30, .machine = "theirs"}, at_ms(0));
    put_as(node, (struct brief){.service = "s", .id = "a", .machine = "ours"}, at_ms(1));
    say_registered(node, (struct word){.stamp = 99ull << 30, .machine = "theirs"}, at_ms(2));
    assert_true(holds("ours"));
}

/* --- renewals --- */

static void renewal_moves_the_lease_by_its_age(void **state)
{
    (void)state;
    say_registered(node, (struct word){.stamp = 5}, at_ms(0));
    assert_int_equal(say_renewed(node, (struct word){.stamp = 5, .age_ms = 1000}, at_ms(20000)),
                     ERR_NONE);
    assert_false(has_ended(at_ms(19000 + TTL_MS - 1)));
    assert_true(has_ended(at_ms(19000 + TTL_MS + TICK_MS)));
    assert_int_equal(stats_of(node).renewed_by_peers, 1);
}

static void renewal_with_an_old_age_moves_nothing(void **state)
{
    (void)state;
    say_registered(node, (struct word){.stamp = 5}, at_ms(0));
    say_renewed(node, (struct word){.stamp = 5}, at_ms(10000));
    assert_int_equal(say_renewed(node, (struct word){.stamp = 5, .age_ms = 15000}, at_ms(20000)),
                     ERR_NONE);
    assert_int_equal(
        say_renewed(node, (struct word){.stamp = 5, .age_ms = UINT64_MAX}, at_ms(20000)), ERR_NONE);
    assert_int_equal(stats_of(node).renewed_by_peers, 1);
    assert_false(has_ended(at_ms(10000 + TTL_MS - 1)));
    assert_true(has_ended(at_ms(10000 + TTL_MS + TICK_MS)));
}

static void renewal_of_an_unknown_key_asks_for_the_record(void **state)
{
    (void)state;
    assert_int_equal(say_renewed(node, (struct word){.stamp = 5}, at_ms(0)),
                     ERR_INSTANCE_NOT_FOUND);
    assert_int_equal(say_renewed(node, (struct word){.stamp = 0}, at_ms(0)),
                     ERR_INSTANCE_NOT_FOUND);
}

static void renewal_of_an_older_record_requests_it_and_renews_it(void **state)
{
    (void)state;
    say_registered(node, (struct word){.stamp = 5}, at_ms(0));
    assert_int_equal(say_renewed(node, (struct word){.stamp = 6}, at_ms(20000)),
                     ERR_INSTANCE_NOT_FOUND);
    assert_false(has_ended(at_ms(20000 + TTL_MS - 1)));
}

static void renewal_of_what_is_newer_here_is_taken(void **state)
{
    (void)state;
    say_registered(node, (struct word){.stamp = 5}, at_ms(0));
    assert_int_equal(say_renewed(node, (struct word){.stamp = 4}, at_ms(20000)), ERR_NONE);
    assert_false(has_ended(at_ms(20000 + TTL_MS - 1)));
}

static void renewal_against_a_tombstone_goes_by_the_version(void **state)
{
    (void)state;
    say_unregistered(node, (struct word){.stamp = 5}, at_ms(0));
    assert_int_equal(say_renewed(node, (struct word){.stamp = 4}, at_ms(1)), ERR_NONE);
    assert_int_equal(say_renewed(node, (struct word){.stamp = 6}, at_ms(1)),
                     ERR_INSTANCE_NOT_FOUND);
    assert_int_equal(say_renewed(node, (struct word){.stamp = 0}, at_ms(1)),
                     ERR_INSTANCE_NOT_FOUND);
    assert_true(is_tombstone(node, "s", "a"));
}

/* --- tombstones --- */

static void unregister_leaves_a_tombstone_that_is_in_no_response(void **state)
{
    (void)state;
    put(node, "s", "a", at_ms(0));
    put(node, "s", "b", at_ms(0));
    take_out(node, "s", "a", at_ms(1));
    assert_true(is_tombstone(node, "s", "a"));
    assert_false(is_shown(node, "s", "a"));
    assert_int_equal(stats_of(node).tombstones, 1);
    assert_int_equal(stats_of(node).instances, 1);
    assert_int_equal(renew(node, "s", "a", at_ms(1)), ERR_INSTANCE_NOT_FOUND);
}

static void unregister_by_a_peer_takes_out_what_is_older(void **state)
{
    (void)state;
    say_registered(node, (struct word){.stamp = 5}, at_ms(0));
    assert_int_equal(say_unregistered(node, (struct word){.stamp = 6}, at_ms(1)), ERR_NONE);
    assert_true(is_tombstone(node, "s", "a"));
}

static void unregister_by_a_peer_leaves_what_is_newer(void **state)
{
    (void)state;
    say_registered(node, (struct word){.stamp = 5}, at_ms(0));
    assert_int_equal(say_unregistered(node, (struct word){.stamp = 4}, at_ms(1)), ERR_NONE);
    assert_true(is_registered(node, "s", "a"));
}

static void tombstone_beats_an_older_registration_that_comes_later(void **state)
{
    (void)state;
    say_unregistered(node, (struct word){.stamp = 6}, at_ms(0));
    assert_int_equal(say_registered(node, (struct word){.stamp = 5}, at_ms(1)), ERR_NONE);
    assert_true(is_tombstone(node, "s", "a"));
}

static void newer_registration_replaces_a_tombstone(void **state)
{
    (void)state;
    say_unregistered(node, (struct word){.stamp = 6}, at_ms(0));
    assert_int_equal(say_registered(node, (struct word){.stamp = 7}, at_ms(1)), ERR_NONE);
    assert_true(is_registered(node, "s", "a"));
    assert_int_equal(stats_of(node).tombstones, 0);
}

static void local_registration_replaces_a_tombstone(void **state)
{
    (void)state;
    say_unregistered(node, (struct word){.stamp = 99ull << 30}, at_ms(0));
    put(node, "s", "a", at_ms(1));
    say_unregistered(node, (struct word){.stamp = 99ull << 30}, at_ms(2));
    assert_true(is_registered(node, "s", "a"));
}

static void tombstone_ends_after_its_time(void **state)
{
    (void)state;
    put(node, "s", "a", at_ms(0));
    take_out(node, "s", "a", at_ms(1000));
    registry_cleanup(node, at_ms(1000 + TOMBSTONE_MS - 1));
    assert_true(is_tombstone(node, "s", "a"));
    registry_cleanup(node, at_ms(1000 + TOMBSTONE_MS));
    assert_false(is_tombstone(node, "s", "a"));
    assert_int_equal(stats_of(node).tombstones, 0);
}

static void tombstone_of_a_peer_ends_by_its_age(void **state)
{
    (void)state;
    say_unregistered(node, (struct word){.stamp = 6, .age_ms = TOMBSTONE_MS - 1000}, at_ms(0));
    registry_cleanup(node, at_ms(999));
    assert_true(is_tombstone(node, "s", "a"));
    registry_cleanup(node, at_ms(1000));
    assert_false(is_tombstone(node, "s", "a"));
    say_unregistered(node, (struct word){.stamp = 6, .age_ms = TOMBSTONE_MS}, at_ms(0));
    assert_false(is_tombstone(node, "s", "a"));
}

/* It was unregistered, registered elsewhere, and unregistered again: the second time counts. */
static void tombstone_that_is_unregistered_again_by_a_peer_lasts_its_whole_time(void **state)
{
    (void)state;
    say_unregistered(node, (struct word){.stamp = 5}, at_ms(0));
    say_unregistered(node, (struct word){.stamp = 8, .age_ms = 100}, at_ms(TOMBSTONE_MS - 1000));
    registry_cleanup(node, at_ms(TOMBSTONE_MS));
    assert_true(is_tombstone(node, "s", "a"));
    say_registered(node, (struct word){.stamp = 7}, at_ms(TOMBSTONE_MS + 1));
    assert_false(is_registered(node, "s", "a"));
    registry_cleanup(node, at_ms(2 * TOMBSTONE_MS - 1100));
    assert_false(is_tombstone(node, "s", "a"));
}

/* The registration in between went to another node, and has not come here yet. */
static void unregister_of_a_tombstone_beats_a_registration_that_is_on_its_way(void **state)
{
    (void)state;
    struct record_copy first;
    struct record_copy noted[4];
    registry_set_replicating(node, true);
    say_registered(node, (struct word){.stamp = 1}, at_ms(0));
    take_out(node, "s", "a", at_ms(1));
    assert_int_equal(registry_drain_changes(node, noted, 4), 1);
    record_copy_unref(&noted[0]);
    assert_true(read_state(node, "s", "a", &first));
    take_out(node, "s", "a", at_ms(1000));
    uint64_t between = first.hlc - (START_WALL_MS << 16) + 1;
    say_registered(node, (struct word){.stamp = between}, at_ms(1001));
    assert_true(is_tombstone(node, "s", "a"));
    assert_int_equal(registry_drain_changes(node, noted, 4), 1); /* and it is sent to the others */
    assert_true(noted[0].deleted && noted[0].hlc > first.hlc);
    record_copy_unref(&noted[0]);
}

static struct registry *make_node_with_tombstones_max(uint32_t tombstones_max)
{
    struct registry_options options = usual_options();
    options.node_id = "self";
    options.tombstone_ms = TOMBSTONE_MS;
    options.tombstones_max = tombstones_max;
    return make_registry_with(options);
}

static void unregister_many(struct registry *registry, const char *service, int count)
{
    char id[32];
    for (int i = 0; i < count; i++) {
        snprintf(id, sizeof(id), "i%d", i);
        assert_int_equal(say_unregistered(registry,
                                          (struct word){.service = service, .id = id, .stamp = 5},
                                          at_ms(0)),
                         ERR_NONE);
    }
}

static void one_service_can_have_all_tombstones_of_the_node(void **state)
{
    (void)state;
    enum { MANY = 20000 }; /* more than a shard's share of the default: 16,384 */
    unregister_many(node, "s", MANY);
    assert_int_equal(stats_of(node).tombstones, MANY);
    assert_true(is_tombstone(node, "s", "i0"));
    registry_validate(node);
}

static void tombstones_beyond_the_limit_of_the_node_remove_the_oldest(void **state)
{
    (void)state;
    struct registry *small = make_node_with_tombstones_max(100);
    unregister_many(small, "s", 110);
    assert_int_equal(stats_of(small).tombstones, 100);
    assert_false(is_tombstone(small, "s", "i9"));
    assert_true(is_tombstone(small, "s", "i10"));
    unregister_many(small, "t", 10); /* of another shard: it has none to remove but its own */
    assert_int_equal(stats_of(small).tombstones, 101);
    assert_true(is_tombstone(small, "t", "i9"));
    assert_true(is_tombstone(small, "s", "i10"));
    registry_validate(small);
    registry_free(small);
}

static void without_tombstones_unregister_removes_at_once(void **state)
{
    (void)state;
    struct registry *alone = make_registry();
    put(alone, "s", "a", at_ms(0));
    take_out(alone, "s", "a", at_ms(1));
    say_unregistered(alone, (struct word){.id = "b", .stamp = 5}, at_ms(1));
    assert_int_equal(stats_of(alone).tombstones, 0);
    registry_validate(alone);
    registry_free(alone);
}

/* --- peers without revisions --- */

static void plain_registration_counts_as_said_now(void **state)
{
    (void)state;
    say_registered(node, (struct word){.stamp = 5, .machine = "old"}, at_ms(0));
    assert_int_equal(say_registered(node, (struct word){.stamp = 0, .machine = "new"}, at_ms(10)),
                     ERR_NONE);
    assert_true(holds("new"));
}

static void plain_registration_of_the_same_content_is_a_renewal(void **state)
{
    (void)state;
    struct record_copy now;
    say_registered(node, (struct word){.stamp = 5, .machine = "m"}, at_ms(0));
    say_registered(node, (struct word){.stamp = 0, .machine = "m"}, at_ms(20000));
    assert_true(read_state(node, "s", "a", &now));
    assert_true(now.hlc == full_stamp(5));
    assert_false(has_ended(at_ms(20000 + TTL_MS - 1)));
}

static void plain_registration_gets_our_name(void **state)
{
    (void)state;
    struct record_copy now;
    say_registered(node, (struct word){.stamp = 0}, at_ms(0));
    assert_true(read_state(node, "s", "a", &now));
    assert_true(slice_equal(record_copy_stamp(&now).node_id, SLICE("self")));
    assert_true(now.hlc > 0);
}

static void plain_unregistration_takes_out_what_is_there(void **state)
{
    (void)state;
    say_registered(node, (struct word){.stamp = 5}, at_ms(0));
    say_unregistered(node, (struct word){.stamp = 0}, at_ms(10));
    assert_true(is_tombstone(node, "s", "a"));
    say_unregistered(node, (struct word){.id = "unknown", .stamp = 0}, at_ms(10));
    assert_false(is_tombstone(node, "s", "unknown"));
}

static void plain_renewal_moves_the_lease(void **state)
{
    (void)state;
    say_registered(node, (struct word){.stamp = 5}, at_ms(0));
    assert_int_equal(say_renewed(node, (struct word){.stamp = 0}, at_ms(20000)), ERR_NONE);
    assert_false(has_ended(at_ms(20000 + TTL_MS - 1)));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(registration_of_a_new_key_is_in_the_responses),
        TEST(registration_said_twice_changes_nothing),
        TEST(registration_that_is_stale_is_passed_over),
        TEST(registration_that_is_newer_takes_over),
        TEST(registration_that_is_newer_with_the_same_content_is_no_event),
        TEST(equal_stamps_are_decided_by_the_name_higher_last),
        TEST(equal_stamps_are_decided_by_the_name_higher_first),
        TEST(registration_with_an_ended_lease_is_not_taken_up),
        TEST(registration_ends_by_its_age),
        TEST(registration_with_a_stamp_out_of_range_is_refused),
        TEST(local_change_after_a_peers_word_is_the_newer_one),
        TEST(renewal_moves_the_lease_by_its_age),
        TEST(renewal_with_an_old_age_moves_nothing),
        TEST(renewal_of_an_unknown_key_asks_for_the_record),
        TEST(renewal_of_an_older_record_requests_it_and_renews_it),
        TEST(renewal_of_what_is_newer_here_is_taken),
        TEST(renewal_against_a_tombstone_goes_by_the_version),
        TEST(unregister_leaves_a_tombstone_that_is_in_no_response),
        TEST(unregister_by_a_peer_takes_out_what_is_older),
        TEST(unregister_by_a_peer_leaves_what_is_newer),
        TEST(tombstone_beats_an_older_registration_that_comes_later),
        TEST(newer_registration_replaces_a_tombstone),
        TEST(local_registration_replaces_a_tombstone),
        TEST(tombstone_ends_after_its_time),
        TEST(tombstone_of_a_peer_ends_by_its_age),
        TEST(tombstone_that_is_unregistered_again_by_a_peer_lasts_its_whole_time),
        TEST(unregister_of_a_tombstone_beats_a_registration_that_is_on_its_way),
        TEST(one_service_can_have_all_tombstones_of_the_node),
        TEST(tombstones_beyond_the_limit_of_the_node_remove_the_oldest),
        TEST(without_tombstones_unregister_removes_at_once),
        TEST(plain_registration_counts_as_said_now),
        TEST(plain_registration_of_the_same_content_is_a_renewal),
        TEST(plain_registration_gets_our_name),
        TEST(plain_unregistration_takes_out_what_is_there),
        TEST(plain_renewal_moves_the_lease),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
