/* SPDX-License-Identifier: Apache-2.0
 *
 * The changes since a revision: their grouping and order, and when they are gone.
 */
#include "artemis-server/registry/registry.h"

#include "tests/unit/artemis-web/api/discovery_fixture.h"

static struct registry *registry;
static uint64_t start;

static struct registry_options short_log(void)
{
    struct registry_options options = usual_options();
    options.change_log_capacity = 8;
    return options;
}

static int set_up(void **state)
{
    (void)state;
    registry = make_registry_with(short_log());
    start = registry_revision(registry);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free_registry(registry);
    return 0;
}

/* The delta as "service: type id, type id; service: ..." in the order of the response. */
static void check_delta(uint64_t since, const char *expected)
{
    struct text text = {0};
    json_t *root = delta_since(registry, since);
    const char *service;
    json_t *changes;
    json_object_foreach(json_object_get(root, "delta"), service, changes)
    {
        const json_t *change;
        size_t i;
        text_printf(&text, "%s%s:", text.size ? "; " : "", service);
        json_array_foreach(changes, i, change)
        {
            const json_t *instance = json_object_get(change, "instance");
            text_printf(&text, "%s %s %s", i ? "," : "",
                        json_string_value(json_object_get(change, "change_type")),
                        json_string_value(json_object_get(instance, "instance_id")));
        }
    }
    assert_string_equal(text_string(&text), expected);
    assert_int_equal(json_integer_value(json_object_get(root, "version")),
                     registry_revision(registry));
    text_free(&text);
    json_decref(root);
}

static void check_gone(uint64_t since)
{
    struct text text = {0};
    assert_int_equal(discovery_write_delta(registry, since, DIALECT_SNAKE, &text),
                     ERR_VERSION_GONE);
    assert_int_equal(text.size, 0);
    text_free(&text);
}

static void delta_of_nothing_is_empty(void **state)
{
    (void)state;
    check_delta(start, "");
    put(registry, "s", "a", at_ms(0));
    check_delta(start + 1, "");
}

static void delta_has_each_kind_of_change_in_order(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    put_as(registry, (struct brief){.service = "s", .id = "a", .port = 1}, at_ms(1));
    take_out(registry, "s", "a", at_ms(2));
    put(registry, "s", "a", at_ms(3));
    check_delta(start, "s: new a, change a, delete a, new a");
    check_delta(start + 2, "s: delete a, new a");
}

static void delta_is_grouped_by_service(void **state)
{
    (void)state;
    put(registry, "t", "1", at_ms(0));
    put(registry, "s", "1", at_ms(0));
    put(registry, "t", "2", at_ms(0));
    put(registry, "s", "2", at_ms(0));
    take_out(registry, "t", "1", at_ms(0));
    check_delta(start, "s: new 1, new 2; t: new 1, new 2, delete 1");
}

static void delta_keeps_services_apart_of_which_one_begins_like_the_other(void **state)
{
    (void)state;
    put(registry, "ab", "1", at_ms(0));
    put(registry, "a", "1", at_ms(0));
    put(registry, "abc", "1", at_ms(0));
    put(registry, "ab", "2", at_ms(0));
    put(registry, "a", "2", at_ms(0));
    check_delta(start, "a: new 1, new 2; ab: new 1, new 2; abc: new 1");
}

static void delta_has_no_renewals(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    put(registry, "s", "a", at_ms(1));
    assert_int_equal(renew(registry, "s", "a", at_ms(2)), ERR_NONE);
    check_delta(start + 1, "");
}

static void delta_has_evictions(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    put(registry, "s", "b", at_ms(5000));
    registry_expire(registry, at_ms(TTL_MS + TICK_MS));
    check_delta(start + 2, "s: delete a");
}

static void delta_shows_every_status(void **state)
{
    (void)state;
    put_as(registry, (struct brief){.service = "s", .id = "a", .status = "down"}, at_ms(0));
    check_delta(start, "s: new a");
}

static void delta_of_a_removed_service_still_has_its_changes(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    take_out(registry, "s", "a", at_ms(0));
    cleanup(registry, at_ms(600000));
    check_delta(start, "s: new a, delete a");
}

static void delta_carries_the_wall_clock_of_each_change(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(123));
    json_t *root = delta_since(registry, start);
    const json_t *changes = json_object_get(json_object_get(root, "delta"), "s");
    const json_t *time = json_object_get(json_array_get(changes, 0), "change_time");
    assert_string_equal(json_string_value(time), "2026-02-02T02:40:00.123Z");
    json_decref(root);
}

static void delta_for_java_is_camel_case_with_epoch_times(void **state)
{
    (void)state;
    struct text text = {0};
    put(registry, "s", "a", at_ms(123));
    assert_int_equal(discovery_write_delta(registry, start, DIALECT_JAVA, &text), ERR_NONE);
    json_t *root = parse_body((struct slice){text.data, text.size});
    const json_t *change = json_array_get(json_object_get(json_object_get(root, "delta"), "s"), 0);
    assert_string_equal(json_string_value(json_object_get(change, "changeType")), "new");
    assert_int_equal(json_integer_value(json_object_get(change, "changeTime")),
                     START_WALL_MS + 123);
    json_decref(root);
    text_free(&text);
}

static void delta_since_too_long_ago_is_gone(void **state)
{
    (void)state;
    put_many(registry, "s", 0, 9, at_ms(0)); /* one more than the log holds */
    check_gone(start);
    check_delta(start + 1, "s: new i1, new i2, new i3, new i4, new i5, new i6, new i7, new i8");
}

static void delta_since_a_version_never_given_out_is_gone(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    check_gone(0);
    check_gone(start - 1);
    check_gone(start + 2);
    check_gone(UINT64_MAX);
}

static void delta_since_before_the_restart_is_gone(void **state)
{
    (void)state;
    put_many(registry, "s", 0, 5, at_ms(0));
    uint64_t before = registry_revision(registry);
    struct registry_options options = short_log();
    free_registry(registry);
    registry = NULL;
    assert_int_equal(registry_create(&options, at_ms(5000), &registry), ERR_NONE);
    assert_true(registry_revision(registry) > before);
    check_gone(before);
    put(registry, "s", "a", at_ms(5000));
    assert_true(revision_of(registry, "s") > before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(delta_of_nothing_is_empty),
        TEST(delta_has_each_kind_of_change_in_order),
        TEST(delta_is_grouped_by_service),
        TEST(delta_keeps_services_apart_of_which_one_begins_like_the_other),
        TEST(delta_has_no_renewals),
        TEST(delta_has_evictions),
        TEST(delta_shows_every_status),
        TEST(delta_of_a_removed_service_still_has_its_changes),
        TEST(delta_carries_the_wall_clock_of_each_change),
        TEST(delta_for_java_is_camel_case_with_epoch_times),
        TEST(delta_since_too_long_ago_is_gone),
        TEST(delta_since_a_version_never_given_out_is_gone),
        TEST(delta_since_before_the_restart_is_gone),
    };
    return cmocka_run_group_tests_name("registry: delta", tests, NULL, NULL);
}
