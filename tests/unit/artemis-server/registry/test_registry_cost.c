/* SPDX-License-Identifier: Apache-2.0
 *
 * Cost follows what has come up or is asked for, not what is stored: counted in visited records.
 * The memory of the store follows what is stored now, not what was stored once.
 */
#include "artemis-server/lease_thread.h"
#include "artemis-server/registry/registry_replication.h"

#include "tests/unit/artemis-server/registry/registry_fixture.h"

enum { MANY = 40000 };

static struct registry *registry;

static int set_up(void **state)
{
    (void)state;
    registry = make_registry();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    registry_validate(registry);
    registry_free(registry);
    return 0;
}

static void put_in_services(unsigned count, uint64_t now_ms)
{
    for (unsigned i = 0; i < count; i++) {
        char service[16];
        snprintf(service, sizeof(service), "s%u", i / 10);
        char id[16];
        snprintf(id, sizeof(id), "i%u", i);
        put(registry, service, id, at_ms(now_ms));
    }
}

static void list_of_a_bucket_visits_only_its_records(void **state)
{
    (void)state;
    struct bucket_set set = {0};
    struct record_copy *states = NULL;
    size_t count = 0;
    put_in_services(MANY, 0);
    uint64_t before = stats_of(registry).visited;
    bucket_set_add(&set, 7);
    bucket_set_add(&set, 900);
    assert_int_equal(registry_list_buckets(registry, &set, &states, &count), ERR_NONE);
    assert_int_equal(stats_of(registry).visited - before, count);
    assert_in_range(count, 1, MANY / 100);
    for (size_t i = 0; i < count; i++)
        record_copy_unref(&states[i]);
    free(states);
}

static void tick_with_an_engaged_guard_visits_only_what_has_come_up(void **state)
{
    (void)state;
    put_in_services(MANY, 20000);
    put_many(registry, "big", 0, 100, at_ms(0));
    registry_expire(registry, at_ms(TTL_MS + TICK_MS));
    assert_int_equal(stats_of(registry).engaged_services, 1);
    uint64_t before = stats_of(registry).visited;
    for (int i = 2; i < 40; i++)
        registry_expire(registry, at_ms(TTL_MS + (uint64_t)i * TICK_MS));
    assert_int_equal(stats_of(registry).visited, before);
    assert_int_equal(stats_of(registry).guarded, 100);
    assert_int_equal(stats_of(registry).node_guard.state, GUARD_OFF);
}

static void memory_follows_what_is_stored(void **state)
{
    (void)state;
    put_in_services(100, 0);
    registry_cleanup(registry, at_ms(0));
    uint64_t before = stats_of(registry).store_bytes;
    put_in_services(MANY, 1000);
    put_many(registry, "one", 0, MANY, at_ms(1000));
    uint64_t peak = stats_of(registry).store_bytes;
    assert_true(peak > before + 2 * MANY * sizeof(struct record));
    for (unsigned i = 100; i < MANY; i++) {
        char service[16];
        char id[16];
        snprintf(service, sizeof(service), "s%u", i / 10);
        snprintf(id, sizeof(id), "i%u", i);
        take_out(registry, service, id, at_ms(2000));
    }
    for (unsigned i = 0; i < MANY; i++) {
        char id[16];
        snprintf(id, sizeof(id), "i%u", i);
        take_out(registry, "one", id, at_ms(2000));
    }
    registry_cleanup(registry, at_ms(2000 + 61000));
    assert_int_equal(stats_of(registry).instances, 100);
    assert_in_range(stats_of(registry).store_bytes, 1, before + before / 20);
}

static void large_change_log_drops_old_changes(void **state)
{
    (void)state;
    uint64_t start = registry_revision(registry);
    registry_free(registry);
    struct registry_options options = usual_options();
    options.change_log_capacity = 32768;
    registry = make_registry_with(options);
    put_many(registry, "s", 0, 30000, at_ms(0));
    uint64_t full = stats_of(registry).change_log_bytes;
    registry_cleanup(registry, at_ms(CHANGE_LOG_KEEP_MS));
    assert_int_equal(stats_of(registry).change_log_bytes, full);
    registry_cleanup(registry, at_ms(CHANGE_LOG_KEEP_MS + 1));
    assert_true(full > CHANGE_LOG_KEEP_BYTES);
    assert_in_range(stats_of(registry).change_log_bytes, 1, CHANGE_LOG_KEEP_BYTES);
    struct change *changes;
    size_t count;
    uint64_t newest;
    assert_int_equal(registry_changes_since(registry, start, &changes, &count, &newest),
                     ERR_VERSION_GONE);
    assert_int_equal(registry_changes_since(registry, registry_revision(registry) - 1, &changes,
                                            &count, &newest),
                     ERR_NONE);
    assert_int_equal(count, 1);
    change_list_free(changes, count);
}

static void memory_is_returned_when_a_quarter_is_free(void **state)
{
    (void)state;
    enum { MB = 1024 * 1024 };
    uint64_t highest = 0;
    assert_false(should_return_memory(&highest, 100 * MB));
    assert_false(should_return_memory(&highest, 76 * MB));
    assert_true(should_return_memory(&highest, 75 * MB));
    assert_false(should_return_memory(&highest, 57 * MB));
    assert_true(should_return_memory(&highest, 3 * MB));
    assert_false(should_return_memory(&highest, 2 * MB + 1)); /* not worth it */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(list_of_a_bucket_visits_only_its_records),
        TEST(tick_with_an_engaged_guard_visits_only_what_has_come_up),
        TEST(memory_follows_what_is_stored),
        TEST(large_change_log_drops_old_changes),
        TEST(memory_is_returned_when_a_quarter_is_free),
    };
    return cmocka_run_group_tests_name("registry_cost", tests, NULL, NULL);
}
