/* SPDX-License-Identifier: Apache-2.0
 *
 * The registry as the push thread sees it: what wakes it, and that the state of a service and the
 * changes after it fit together.
 */
#include "artemis-server/registry/registry.h"

#include "artemis-server/registry/registry_replication.h"
#include "tests/support/failing_malloc.h"
#include "tests/unit/artemis-server/registry/registry_fixture.h"

struct fixture {
    struct registry *registry;
    unsigned rings;
};

static void ring(void *context)
{
    ++*(unsigned *)context;
}

static int set_up(void **state)
{
    static struct fixture fixture;
    struct registry_options options = usual_options();
    options.change_log_capacity = 16;
    fixture = (struct fixture){.registry = make_registry_with(options)};
    registry_set_wakeup(fixture.registry, ring, &fixture.rings);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    registry_free(((struct fixture *)*state)->registry);
    return 0;
}

/* Awaits the next change. */
static void await(struct fixture *fixture)
{
    fixture->rings = 0;
    assert_true(registry_arm_wakeup(fixture->registry, registry_revision(fixture->registry)));
}

/* The one change after `revision` is of this type. */
static void check_change(struct fixture *fixture, uint64_t revision, enum change_type type,
                         const char *id)
{
    struct change change;
    size_t count = 0;
    assert_int_equal(registry_changes(fixture->registry, revision, &change, 1, &count), ERR_NONE);
    assert_int_equal(count, 1);
    assert_int_equal(change.type, type);
    assert_true(slice_equal(instance_text(change.instance, FIELD_INSTANCE), slice_of(id)));
    instance_unref(change.instance);
}

/* --- what wakes ------------------------------------------------------------------------------- */

static void register_change_and_unregister_wake(void **state)
{
    struct fixture *fixture = *state;
    uint64_t revision = registry_revision(fixture->registry);
    await(fixture);
    put(fixture->registry, "s", "i", at_ms(0));
    assert_int_equal(fixture->rings, 1);
    check_change(fixture, revision, CHANGE_NEW, "i");
    await(fixture);
    put_as(fixture->registry, (struct brief){.service = "s", .id = "i", .port = 9}, at_ms(1));
    assert_int_equal(fixture->rings, 1);
    check_change(fixture, revision + 1, CHANGE_CHANGE, "i");
    await(fixture);
    take_out(fixture->registry, "s", "i", at_ms(2));
    assert_int_equal(fixture->rings, 1);
    check_change(fixture, revision + 2, CHANGE_DELETE, "i");
}

static void eviction_wakes(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->registry, "s", "i", at_ms(0));
    put(fixture->registry, "s", "j", at_ms(0));
    uint64_t revision = registry_revision(fixture->registry);
    await(fixture);
    for (uint64_t ms = 0; ms <= TTL_MS + RECHECK_MS; ms += TICK_MS)
        registry_expire(fixture->registry, at_ms(ms));
    assert_int_equal(fixture->rings, 1); /* for both */
    assert_int_equal(registry_revision(fixture->registry), revision + 2);
}

static void what_changes_nothing_does_not_wake(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->registry, "s", "i", at_ms(0));
    await(fixture);
    put(fixture->registry, "s", "i", at_ms(1));
    assert_int_equal(renew(fixture->registry, "s", "i", at_ms(2)), ERR_NONE);
    take_out(fixture->registry, "s", "unknown", at_ms(3));
    registry_cleanup(fixture->registry, at_ms(4));
    assert_int_equal(fixture->rings, 0);
}

static void disarmed_wakeup_is_not_called(void **state)
{
    struct fixture *fixture = *state;
    put(fixture->registry, "s", "i", at_ms(0));
    assert_int_equal(fixture->rings, 0);
    assert_false(registry_arm_wakeup(fixture->registry, registry_revision(fixture->registry) - 1));
    put(fixture->registry, "s", "j", at_ms(0));
    assert_int_equal(fixture->rings, 0);
}

/* --- state ------------------------------------------------------------------------------------ */

static void service_version_is_that_of_its_last_change(void **state)
{
    struct fixture *fixture = *state;
    struct registry *registry = fixture->registry;
    assert_int_equal(registry_service_revision(registry, SLICE("s")), 0);
    put(registry, "s", "i", at_ms(0));
    uint64_t revision = registry_revision(registry);
    put(registry, "t", "i", at_ms(0));
    assert_int_equal(registry_service_revision(registry, SLICE("s")), revision);
    assert_int_equal(registry_service_revision(registry, SLICE("t")), revision + 1);
    take_out(registry, "s", "i", at_ms(0));
    assert_int_equal(registry_service_revision(registry, SLICE("s")), revision + 2);
    registry_cleanup(registry, at_ms(60000 + TICK_MS)); /* forgotten with its last member */
    assert_int_equal(registry_service_revision(registry, SLICE("s")), 0);
    assert_int_equal(registry_service_revision(registry, SLICE("t")), revision + 1);
}

static void members_are_all_of_any_status_with_the_version(void **state)
{
    struct fixture *fixture = *state;
    struct registry *registry = fixture->registry;
    struct registry_members members;
    assert_int_equal(registry_members(registry, SLICE("s"), true, &members), ERR_SERVICE_NOT_FOUND);
    assert_int_equal(members.count, 0);
    assert_int_equal(members.revision, 0);
    registry_members_free(&members);
    put_many(registry, "s", 0, 5, at_ms(0));
    put_as(registry, (struct brief){.service = "s", .id = "down", .status = "down"}, at_ms(0));
    uint64_t revision = registry_revision(registry);
    put(registry, "t", "i", at_ms(0));
    assert_int_equal(registry_members(registry, SLICE("s"), true, &members), ERR_NONE);
    assert_int_equal(members.count, 6);
    assert_int_equal(members.revision, revision);
    /* They are the reader's: what changes now does not change them. */
    take_out(registry, "s", "down", at_ms(0));
    for (size_t i = 0; i < members.count; i++)
        assert_true(slice_equal(instance_text(members.instances[i], FIELD_SERVICE), SLICE("s")));
    registry_members_free(&members);
    assert_null(members.instances);
}

static void members_need_memory(void **state)
{
    struct fixture *fixture = *state;
    put_many(fixture->registry, "s", 0, 5, at_ms(0));
    long live = failing_malloc_live();
    for (long n = 1;; n++) {
        struct registry_members members;
        failing_malloc_after(n);
        enum error error = registry_members(fixture->registry, SLICE("s"), true, &members);
        bool failed = failing_malloc_happened();
        failing_malloc_after(-1);
        assert_int_equal(error, failed ? ERR_NO_MEMORY : ERR_NONE);
        registry_members_free(&members);
        assert_int_equal(failing_malloc_live(), live);
        if (!failed)
            break;
    }
}

static void changes_that_the_log_has_dropped_are_gone(void **state)
{
    struct fixture *fixture = *state;
    struct change changes[16];
    size_t count;
    uint64_t revision = registry_revision(fixture->registry);
    put_many(fixture->registry, "s", 0, 17, at_ms(0));
    assert_int_equal(registry_changes(fixture->registry, revision, changes, 16, &count),
                     ERR_VERSION_GONE);
    assert_int_equal(registry_changes(fixture->registry, revision + 1, changes, 16, &count),
                     ERR_NONE);
    assert_int_equal(count, 16);
    for (size_t i = 0; i < count; i++)
        instance_unref(changes[i].instance);
}

/* The members, and then all changes after their revision, give what the registry
 * holds. */
static void members_and_later_changes_make_the_newest_state(void **state)
{
    struct fixture *fixture = *state;
    struct registry *registry = fixture->registry;
    uint64_t seed = 7;
    bool here[8] = {false};
    for (int round = 0; round < 200; round++) {
        struct registry_members members;
        struct change changes[16];
        size_t count;
        bool seen[8] = {false};
        enum error error = registry_members(registry, SLICE("s"), true, &members);
        assert_true(error == ERR_NONE || error == ERR_SERVICE_NOT_FOUND);
        uint64_t revision = members.revision ? members.revision : registry_revision(registry);
        for (size_t i = 0; i < members.count; i++)
            seen[instance_text(members.instances[i], FIELD_INSTANCE).data[1] - '0'] = true;
        registry_members_free(&members);
        for (uint32_t left = random_below(&seed, 8); left > 0; left--) {
            uint32_t one = random_below(&seed, 8);
            char id[8];
            snprintf(id, sizeof(id), "i%u", one);
            here[one] = !here[one];
            if (here[one])
                put(registry, "s", id, at_ms(0));
            else
                take_out(registry, "s", id, at_ms(0));
        }
        assert_int_equal(registry_changes(registry, revision, changes, 16, &count), ERR_NONE);
        for (size_t i = 0; i < count; i++) {
            int one = instance_text(changes[i].instance, FIELD_INSTANCE).data[1] - '0';
            seen[one] = changes[i].type != CHANGE_DELETE;
            instance_unref(changes[i].instance);
        }
        assert_memory_equal(seen, here, sizeof(here));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void newer_is_a_later_change_an_unknown_service_or_a_foreign_revision(void **state)
{
    struct registry *registry = ((struct fixture *)*state)->registry;
    put(registry, "s", "i", at_ms(0));
    uint64_t s = registry_revision(registry);
    put(registry, "t", "i", at_ms(0));
    assert_false(registry_has_newer(registry, SLICE("s"), s));
    assert_false(registry_has_newer(registry, SLICE("s"), s + 1));
    assert_true(registry_has_newer(registry, SLICE("s"), s + 2)); /* not of this log */
    assert_true(registry_has_newer(registry, SLICE("s"), s - 1));
    assert_true(registry_has_newer(registry, SLICE("s"), 0));
    assert_false(registry_has_newer(registry, SLICE("t"), s + 1));
    assert_true(registry_has_newer(registry, SLICE("t"), s));
    assert_false(registry_has_newer(registry, SLICE("unknown"), 0));
    assert_true(registry_has_newer(registry, SLICE("unknown"), s)); /* it may have been removed */
    assert_false(registry_has_newer(registry, SLICE("*"), s + 1));
    assert_true(registry_has_newer(registry, SLICE("*"), s));
    assert_true(registry_has_newer(registry, SLICE("*"), s + 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(register_change_and_unregister_wake),
        TEST(eviction_wakes),
        TEST(what_changes_nothing_does_not_wake),
        TEST(disarmed_wakeup_is_not_called),
        TEST(service_version_is_that_of_its_last_change),
        TEST(members_are_all_of_any_status_with_the_version),
        TEST(members_need_memory),
        TEST(changes_that_the_log_has_dropped_are_gone),
        TEST(members_and_later_changes_make_the_newest_state),
        TEST(newer_is_a_later_change_an_unknown_service_or_a_foreign_revision),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
