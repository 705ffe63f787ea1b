/* SPDX-License-Identifier: Apache-2.0
 *
 * Register, renew, unregister: what each does to a new, a known, a changed and an ended instance,
 * and to the revisions.
 */
#include "artemis-server/registry/registry.h"

#include "tests/unit/artemis-server/registry/registry_fixture.h"

static struct registry *registry;
static uint64_t start; /* the revision before the first change */

static int set_up(void **state)
{
    (void)state;
    registry = make_registry();
    start = registry_revision(registry);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    registry_validate(registry);
    registry_free(registry);
    return 0;
}

static void check_changes(uint64_t count)
{
    assert_int_equal(registry_revision(registry), start + count);
}

/* --- register --- */

static void register_new_shows_it_and_takes_a_version(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    assert_true(is_shown(registry, "s", "a"));
    check_changes(1);
    assert_int_equal(revision_of(registry, "s"), start + 1);
    struct registry_stats stats = stats_of(registry);
    assert_int_equal(stats.instances, 1);
    assert_int_equal(stats.services, 1);
    assert_int_equal(stats.registered, 1);
    assert_int_equal(stats.revision, start + 1);
    assert_int_equal(stats.change_log_size, 1);
}

static void register_same_is_a_renewal(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    put(registry, "s", "a", at_ms(TTL_MS - 1));
    check_changes(1);
    struct registry_stats stats = stats_of(registry);
    assert_int_equal(stats.registered, 1);
    assert_int_equal(stats.renewed, 1);
    assert_int_equal(stats.changed, 0);
    registry_expire(registry, at_ms(2 * TTL_MS - 2));
    assert_true(is_shown(registry, "s", "a"));
    registry_expire(registry, at_ms(2 * TTL_MS - 1 + TICK_MS));
    assert_false(is_shown(registry, "s", "a"));
}

static void register_changed_takes_the_next_version_and_renews(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    put_as(registry, (struct brief){.service = "s", .id = "a", .port = 81}, at_ms(TTL_MS - 1));
    check_changes(2);
    assert_int_equal(revision_of(registry, "s"), start + 2);
    struct registry_members members = members_of(registry, "s");
    assert_int_equal(members.count, 1);
    assert_int_equal(instance_port(members.instances[0]), 81);
    registry_members_free(&members);
    assert_int_equal(stats_of(registry).changed, 1);
    registry_expire(registry, at_ms(2 * TTL_MS - 2));
    assert_int_equal(stats_of(registry).instances, 1);
}

/* Each field counts, also what is only left out. */
static void register_changed_in_any_field_is_a_change(void **state)
{
    (void)state;
    static const struct brief briefs[] = {
        {.service = "s", .id = "a"},
        {.service = "s", .id = "a", .status = "down"},
        {.service = "s", .id = "a", .status = "odd"},
        {.service = "s", .id = "a", .machine = "m"},
        {.service = "s", .id = "a", .machine = "n"},
        {.service = "s", .id = "a", .port = 1},
        {.service = "s", .id = "a"},
    };
    for (size_t i = 0; i < sizeof(briefs) / sizeof(briefs[0]); i++) {
        put_as(registry, briefs[i], at_ms(0));
        check_changes(i + 1);
    }
}

static void register_same_by_other_spelling_is_a_renewal(void **state)
{
    (void)state;
    put_as(registry, (struct brief){.service = "Shop", .id = "a"}, at_ms(0));
    put_as(registry, (struct brief){.service = "sHOP", .id = "a", .group = "default"}, at_ms(0));
    put_as(registry, (struct brief){.service = "shop", .id = "a", .status = "up"}, at_ms(0));
    check_changes(1);
    assert_int_equal(shown(registry, "shop"), 1);
}

static void register_in_another_group_is_another_instance(void **state)
{
    (void)state;
    put_as(registry, (struct brief){.service = "s", .id = "a"}, at_ms(0));
    put_as(registry, (struct brief){.service = "s", .id = "a", .group = "g"}, at_ms(0));
    put_as(registry, (struct brief){.service = "s", .id = "A"}, at_ms(0));
    assert_int_equal(shown(registry, "s"), 3);
    check_changes(3);
}

/* Ended, but not swept yet: it has not left any response, so nothing changes for clients. */
static void registering_an_ended_lease_makes_it_active_again(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    put(registry, "s", "a", at_ms(TTL_MS + 5));
    check_changes(1);
    registry_expire(registry, at_ms(TTL_MS + 100));
    assert_true(is_shown(registry, "s", "a"));
    assert_int_equal(renew(registry, "s", "a", at_ms(TTL_MS + 100)), ERR_NONE);
}

static void register_evicted_is_new(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    registry_expire(registry, at_ms(TTL_MS + TICK_MS));
    check_changes(2);
    put(registry, "s", "a", at_ms(TTL_MS + 100));
    check_changes(3);
    assert_int_equal(stats_of(registry).registered, 2);
    assert_true(is_shown(registry, "s", "a"));
}

static void register_many_finds_them_all(void **state)
{
    (void)state;
    put_many(registry, "s", 0, 5000, at_ms(0));
    assert_int_equal(shown(registry, "s"), 5000);
    assert_int_equal(renew_many(registry, "s", 0, 5001, at_ms(1)), 5000);
    check_changes(5000);
}

/* --- renew --- */

static void renew_moves_the_end_of_the_lease(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    assert_int_equal(renew(registry, "s", "a", at_ms(20000)), ERR_NONE);
    registry_expire(registry, at_ms(20000 + TTL_MS - 1));
    assert_true(is_shown(registry, "s", "a"));
    registry_expire(registry, at_ms(20000 + TTL_MS + TICK_MS));
    assert_false(is_shown(registry, "s", "a"));
}

static void quota_does_not_limit_the_reserved_service(void **state)
{
    (void)state;
    struct registry_options options = usual_options();
    options.reserved_service = "nodes";
    struct registry *limited = make_registry_with(options);
    registry_set_quota(limited, 1);
    static const char *const services[] = {"nodes", "nodes2"};
    for (int i = 0; i < 4; i++) {
        struct instance *instance =
            make_instance((struct brief){.service = services[i / 2], .id = i % 2 ? "b" : "a"});
        assert_int_equal(registry_register(limited, instance, at_ms(0)),
                         i == 3 ? ERR_OVER_QUOTA : ERR_NONE);
        instance_unref(instance);
    }
    registry_free(limited);
}

static void renew_has_no_revision(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    assert_int_equal(renew(registry, "s", "a", at_ms(1000)), ERR_NONE);
    check_changes(1);
    assert_int_equal(stats_of(registry).renewed, 1);
}

static void renew_unknown_instance_is_refused(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    assert_int_equal(renew(registry, "s", "b", at_ms(0)), ERR_INSTANCE_NOT_FOUND);
    assert_int_equal(renew(registry, "t", "a", at_ms(0)), ERR_INSTANCE_NOT_FOUND);
    assert_int_equal(stats_of(registry).renewed, 0);
}

static void renew_in_the_last_ms_is_done(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    assert_int_equal(renew(registry, "s", "a", at_ms(TTL_MS - 1)), ERR_NONE);
}

static void renew_ended_but_unswept_lease_is_refused(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    assert_int_equal(renew(registry, "s", "a", at_ms(TTL_MS)), ERR_INSTANCE_NOT_FOUND);
    registry_expire(registry, at_ms(TTL_MS + TICK_MS));
    assert_false(is_shown(registry, "s", "a"));
}

static void renew_evicted_lease_is_refused(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    registry_expire(registry, at_ms(TTL_MS + TICK_MS));
    assert_int_equal(renew(registry, "s", "a", at_ms(TTL_MS + 30)), ERR_INSTANCE_NOT_FOUND);
    check_changes(2);
}

static void renew_unregistered_instance_is_refused(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    take_out(registry, "s", "a", at_ms(1));
    assert_int_equal(renew(registry, "s", "a", at_ms(2)), ERR_INSTANCE_NOT_FOUND);
}

/* Two heartbeats in two threads: the one that read the clock first may get the lock last. */
static void renew_with_an_older_moment_does_not_shorten_the_lease(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    assert_int_equal(renew(registry, "s", "a", at_ms(20000)), ERR_NONE);
    assert_int_equal(renew(registry, "s", "a", at_ms(10000)), ERR_NONE);
    put(registry, "s", "a", at_ms(10000));
    registry_expire(registry, at_ms(20000 + TTL_MS - 1));
    assert_true(is_shown(registry, "s", "a"));
    assert_int_equal(renew(registry, "s", "a", at_ms(20000 + TTL_MS - 1)), ERR_NONE);
}

/* --- unregister --- */

static void unregister_known_takes_it_out_with_a_version(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    put(registry, "s", "b", at_ms(0));
    take_out(registry, "s", "a", at_ms(1));
    assert_false(is_shown(registry, "s", "a"));
    assert_true(is_shown(registry, "s", "b"));
    check_changes(3);
    assert_int_equal(revision_of(registry, "s"), start + 3);
    assert_int_equal(stats_of(registry).unregistered, 1);
}

static void unregister_unknown_changes_nothing(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    take_out(registry, "s", "b", at_ms(1));
    take_out(registry, "t", "a", at_ms(1));
    check_changes(1);
    assert_int_equal(stats_of(registry).unregistered, 0);
    assert_int_equal(shown(registry, "s"), 1);
}

static void unregister_twice_is_once(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    take_out(registry, "s", "a", at_ms(1));
    take_out(registry, "s", "a", at_ms(2));
    check_changes(2);
}

static void unregister_ended_but_unswept_takes_it_out_once(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    take_out(registry, "s", "a", at_ms(TTL_MS + 5));
    registry_expire(registry, at_ms(TTL_MS + 100));
    check_changes(2);
    assert_int_equal(stats_of(registry).evicted, 0);
}

static void unregister_among_many_keeps_the_others(void **state)
{
    (void)state;
    put_many(registry, "s", 0, 300, at_ms(0));
    char id[16];
    for (unsigned i = 0; i < 300; i += 3) {
        snprintf(id, sizeof(id), "i%u", i);
        take_out(registry, "s", id, at_ms(1));
    }
    assert_int_equal(renew_many(registry, "s", 0, 300, at_ms(2)), 200);
    assert_int_equal(shown(registry, "s"), 200);
}

/* --- revisions --- */

static void service_version_is_that_of_its_own_last_change(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    put(registry, "t", "a", at_ms(0));
    put(registry, "t", "b", at_ms(0));
    assert_int_equal(revision_of(registry, "s"), start + 1);
    assert_int_equal(revision_of(registry, "t"), start + 3);
    put_as(registry, (struct brief){.service = "s", .id = "a", .port = 1}, at_ms(0));
    assert_int_equal(revision_of(registry, "s"), start + 4);
    take_out(registry, "t", "a", at_ms(0));
    assert_int_equal(revision_of(registry, "s"), start + 4);
    assert_int_equal(revision_of(registry, "t"), start + 5);
}

static void eviction_takes_a_version(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    put(registry, "t", "a", at_ms(1000));
    registry_expire(registry, at_ms(TTL_MS + TICK_MS));
    assert_int_equal(revision_of(registry, "s"), start + 3);
    assert_int_equal(revision_of(registry, "t"), start + 2);
    assert_int_equal(stats_of(registry).evicted, 1);
}

/* --- the registry itself --- */

static void freeing_nothing_is_fine(void **state)
{
    (void)state;
    registry_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(register_new_shows_it_and_takes_a_version),
        TEST(quota_does_not_limit_the_reserved_service),
        TEST(register_same_is_a_renewal),
        TEST(register_changed_takes_the_next_version_and_renews),
        TEST(register_changed_in_any_field_is_a_change),
        TEST(register_same_by_other_spelling_is_a_renewal),
        TEST(register_in_another_group_is_another_instance),
        TEST(registering_an_ended_lease_makes_it_active_again),
        TEST(register_evicted_is_new),
        TEST(register_many_finds_them_all),
        TEST(renew_moves_the_end_of_the_lease),
        TEST(renew_has_no_revision),
        TEST(renew_unknown_instance_is_refused),
        TEST(renew_in_the_last_ms_is_done),
        TEST(renew_ended_but_unswept_lease_is_refused),
        TEST(renew_evicted_lease_is_refused),
        TEST(renew_unregistered_instance_is_refused),
        TEST(renew_with_an_older_moment_does_not_shorten_the_lease),
        TEST(unregister_known_takes_it_out_with_a_version),
        TEST(unregister_unknown_changes_nothing),
        TEST(unregister_twice_is_once),
        TEST(unregister_ended_but_unswept_takes_it_out_once),
        TEST(unregister_among_many_keeps_the_others),
        TEST(service_version_is_that_of_its_own_last_change),
        TEST(eviction_takes_a_version),
        TEST(freeing_nothing_is_fine),
    };
    return cmocka_run_group_tests_name("registry: instances", tests, NULL, NULL);
}
