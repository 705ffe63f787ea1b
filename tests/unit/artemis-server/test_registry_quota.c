/* SPDX-License-Identifier: Apache-2.0
 *
 * The limit of instances of a service: which registrations it refuses, and which it must not.
 */
#include "tests/unit/artemis-server/registry/peer_fixture.h"

enum { MAX = 3 };

static struct registry *registry;

static int start(void **state)
{
    (void)state;
    registry = make_node("here");
    registry_set_quota(registry, MAX);
    put(registry, "s", "a", at_ms(0));
    put(registry, "s", "b", at_ms(0));
    put(registry, "s", "c", at_ms(0));
    return 0;
}

static int stop(void **state)
{
    (void)state;
    registry_validate(registry);
    registry_free(registry);
    return 0;
}

static enum error try_put(struct brief brief, uint64_t ms)
{
    struct instance *instance = make_instance(brief);
    enum error error = registry_register(registry, instance, at_ms(ms));
    instance_unref(instance);
    return error;
}

static void new_instance_over_the_quota_is_refused(void **state)
{
    (void)state;
    struct registry_stats before = stats_of(registry);
    assert_int_equal(try_put((struct brief){.service = "s", .id = "d"}, 1), ERR_OVER_QUOTA);
    assert_int_equal(registry_count_members(registry, SLICE("s")), MAX);
    assert_int_equal(stats_of(registry).revision, before.revision);
    assert_int_equal(try_put((struct brief){.service = "other", .id = "d"}, 1), ERR_NONE);
}

static void registered_instance_is_renewed_and_changed(void **state)
{
    (void)state;
    registry_set_quota(registry, 1); /* as after a reload */
    assert_int_equal(try_put((struct brief){.service = "s", .id = "a"}, 1), ERR_NONE);
    assert_int_equal(try_put((struct brief){.service = "s", .id = "b", .port = 9}, 1), ERR_NONE);
    assert_int_equal(renew(registry, "s", "c", at_ms(1)), ERR_NONE);
}

static void unregistered_instance_returns_its_place(void **state)
{
    (void)state;
    take_out(registry, "s", "a", at_ms(1));
    assert_int_equal(try_put((struct brief){.service = "s", .id = "d"}, 2), ERR_NONE);
    /* Its tombstone is no instance: to register it again takes a place. */
    assert_int_equal(try_put((struct brief){.service = "s", .id = "a"}, 3), ERR_OVER_QUOTA);
}

static void replication_is_never_refused(void **state)
{
    (void)state;
    assert_int_equal(say_registered(registry, (struct word){.id = "d", .stamp = 1}, at_ms(1)),
                     ERR_NONE);
    assert_int_equal(registry_count_members(registry, SLICE("s")), MAX + 1);
    struct instance_key key = make_key("s", "d");
    assert_true(registry_has_instance(registry, instance_key_packed(&key)));
}

/* A guard keeps 100 instances that have ended. Their successors are registered. */
static void guarded_instances_take_no_place(void **state)
{
    (void)state;
    enum { GUARDED = 100 };
    registry_set_quota(registry, GUARDED);
    put_many(registry, "big", 0, GUARDED, at_ms(0));
    assert_int_equal(try_put((struct brief){.service = "big", .id = "more"}, 0), ERR_OVER_QUOTA);
    registry_expire(registry, at_ms(TTL_MS + TICK_MS));
    assert_int_equal(stats_of(registry).guarded, GUARDED + MAX);
    put_many(registry, "big", GUARDED, 2 * GUARDED, at_ms(TTL_MS + TICK_MS));
    assert_int_equal(try_put((struct brief){.service = "big", .id = "more"}, TTL_MS + TICK_MS),
                     ERR_OVER_QUOTA);
}

/* Otherwise a client could register more whenever its leases have ended. */
static void guarded_instances_beyond_the_quota_count(void **state)
{
    (void)state;
    enum { GUARDED = 100 };
    registry_set_quota(registry, 0);
    put_many(registry, "big", 0, GUARDED, at_ms(0));
    registry_set_quota(registry, GUARDED / 2);
    registry_expire(registry, at_ms(TTL_MS + TICK_MS));
    assert_int_equal(stats_of(registry).guarded, GUARDED + MAX);
    assert_int_equal(try_put((struct brief){.service = "big", .id = "more"}, TTL_MS + TICK_MS),
                     ERR_OVER_QUOTA);
}

static void no_quota_refuses_nothing(void **state)
{
    (void)state;
    registry_set_quota(registry, 0);
    assert_int_equal(try_put((struct brief){.service = "s", .id = "d"}, 1), ERR_NONE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(new_instance_over_the_quota_is_refused),
        TEST(registered_instance_is_renewed_and_changed),
        TEST(unregistered_instance_returns_its_place),
        TEST(replication_is_never_refused),
        TEST(guarded_instances_take_no_place),
        TEST(guarded_instances_beyond_the_quota_count),
        TEST(no_quota_refuses_nothing),
    };
    return cmocka_run_group_tests_name("registry_quota", tests, NULL, NULL);
}
