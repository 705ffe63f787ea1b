/* SPDX-License-Identifier: Apache-2.0
 *
 * The response with every service, and picking one instance.
 */
#include "artemis-server/registry/registry.h"

#include "artemis-server/registry/registry_internal.h"
#include "tests/unit/artemis-web/api/discovery_fixture.h"

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
    free_registry(registry);
    return 0;
}

/* --- every service --- */

static size_t service_count(struct moment now)
{
    json_t *root = read_response(ask_services(registry, DIALECT_SNAKE, now));
    size_t count = json_array_size(json_object_get(root, "services"));
    json_decref(root);
    return count;
}

static void services_of_an_empty_registry_are_an_empty_list(void **state)
{
    (void)state;
    struct cached_response *response = ask_services(registry, DIALECT_SNAKE, at_ms(0));
    assert_int_equal(response->revision, registry_revision(registry));
    json_t *root = read_response(response);
    assert_true(json_is_array(json_object_get(root, "services")));
    assert_int_equal(service_count(at_ms(0)), 0);
    json_decref(root);
}

static void services_show_each_with_members_of_any_status(void **state)
{
    (void)state;
    char id[16];
    for (int i = 0; i < 200; i++) { /* several in each shard */
        snprintf(id, sizeof(id), "s%d", i);
        put_as(registry, (struct brief){.service = id, .id = "a", .status = i % 2 ? "down" : NULL},
               at_ms(0));
    }
    take_out(registry, "s7", "a", at_ms(0)); /* known, but empty */
    json_t *root = read_response(ask_services(registry, DIALECT_SNAKE, at_ms(0)));
    const json_t *services = json_object_get(root, "services");
    const json_t *service;
    size_t at;
    bool seen[200] = {false};
    assert_int_equal(json_array_size(services), 199);
    json_array_foreach(services, at, service)
    {
        int number = atoi(json_string_value(json_object_get(service, "service_id")) + 1);
        assert_false(seen[number]);
        seen[number] = true;
        assert_int_equal(json_array_size(json_object_get(service, "instances")), 1);
    }
    assert_false(seen[7]);
    json_decref(root);
}

static void services_have_the_revision_of_the_registry(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    put(registry, "t", "a", at_ms(0));
    struct cached_response *response = ask_services(registry, DIALECT_SNAKE, at_ms(0));
    uint64_t revision = registry_revision(registry);
    assert_int_equal(response->revision, revision);
    json_t *root = read_response(response);
    assert_int_equal(json_integer_value(json_object_get(root, "version")), revision);
    json_decref(root);
}

static void services_are_the_same_response_until_any_change(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    struct cached_response *first = ask_services(registry, DIALECT_SNAKE, at_ms(0));
    assert_int_equal(renew(registry, "s", "a", at_ms(1)), ERR_NONE);
    struct cached_response *second = ask_services(registry, DIALECT_SNAKE, at_ms(1));
    assert_ptr_equal(first, second);
    put(registry, "t", "a", at_ms(2));
    struct cached_response *third = ask_services(registry, DIALECT_SNAKE, at_ms(2));
    assert_ptr_not_equal(first, third);
    assert_int_equal(service_count(at_ms(2)), 2);
    take_out(registry, "t", "a", at_ms(3));
    assert_int_equal(service_count(at_ms(3)), 1);
    registry_expire(registry, at_ms(2 * TTL_MS));
    assert_int_equal(service_count(at_ms(2 * TTL_MS)), 0);
    cached_response_unref(first);
    cached_response_unref(second);
    cached_response_unref(third);
}

static void services_are_kept_for_each_dialect(void **state)
{
    (void)state;
    struct cached_response *responses[DIALECT_COUNT];
    put(registry, "s", "a", at_ms(0));
    for (enum dialect dialect = 0; dialect < DIALECT_COUNT; dialect++)
        responses[dialect] = ask_services(registry, dialect, at_ms(0));
    for (enum dialect dialect = 0; dialect < DIALECT_COUNT; dialect++) {
        struct cached_response *again = ask_services(registry, dialect, at_ms(0));
        assert_ptr_equal(again, responses[dialect]);
        cached_response_unref(again);
    }
    json_t *camel = read_response(responses[DIALECT_CAMEL]);
    const json_t *service = json_array_get(json_object_get(camel, "services"), 0);
    assert_string_equal(json_string_value(json_object_get(service, "serviceId")), "s");
    json_decref(camel);
    cached_response_unref(responses[DIALECT_SNAKE]);
    cached_response_unref(responses[DIALECT_JAVA]);
}

static void services_without_cache_are_made_again(void **state)
{
    (void)state;
    struct registry_options options = usual_options();
    cache_settings.enabled = false;
    struct registry *plain = make_registry_with(options);
    struct cached_response *first = ask_services(plain, DIALECT_SNAKE, at_ms(0));
    struct cached_response *second = ask_services(plain, DIALECT_SNAKE, at_ms(0));
    assert_ptr_not_equal(first, second);
    cached_response_unref(first);
    cached_response_unref(second);
    free_registry(plain);
}

static void services_beyond_the_budget_are_served_but_not_cached(void **state)
{
    (void)state;
    put(registry, "s", "a", at_ms(0));
    struct cached_response *first = ask_services(registry, DIALECT_SNAKE, at_ms(0));
    const size_t bytes = cache_stats(registry).all_services_bytes;
    assert_int_equal(bytes, sizeof(*first) + first->body.size);
    put_as(registry, (struct brief){.service = "s", .id = "a", .port = 8081}, at_ms(1));
    cleanup(registry, at_ms(1)); /* evicts the outdated response */
    limit_cache(registry, 0, bytes);
    struct cached_response *second = ask_services(registry, DIALECT_SNAKE, at_ms(1));
    assert_int_equal(second->body.size, first->body.size);
    assert_int_equal(second->refs, 2);
    assert_int_equal(cache_stats(registry).all_services_bytes, bytes);
    put(registry, "s", "b", at_ms(2));
    struct cached_response *third = ask_services(registry, DIALECT_SNAKE, at_ms(2));
    assert_true(third->body.size > first->body.size);
    assert_int_equal(third->refs, 1);
    assert_int_equal(cache_stats(registry).all_services_bytes, 0);
    cached_response_unref(first);
    cached_response_unref(second);
    cached_response_unref(third);
}

static void services_unused_for_long_are_freed(void **state)
{
    (void)state;
    struct cached_response *first = ask_services(registry, DIALECT_SNAKE, at_ms(0));
    cached_response_unref(ask_services(registry, DIALECT_SNAKE, at_ms(200000)));
    cleanup(registry, at_ms(499999));
    assert_int_equal(first->refs, 2); /* ours, and the registry's */
    cleanup(registry, at_ms(500000));
    assert_int_equal(first->refs, 1);
    assert_int_equal(cache_stats(registry).all_services_bytes, 0);
    cached_response_unref(first);
}

/* --- picking one --- */

static enum error pick(enum lookup_strategy strategy, uint32_t random, bool all, char *id)
{
    struct instance *instance = NULL;
    enum error error = pick_plain(registry, SLICE("s"), all, strategy, random, &instance);
    *id = error ? '-' : *instance_text(instance, FIELD_INSTANCE).data;
    instance_unref(instance);
    return error;
}

/* One instance of service s for each letter: u is up, d is down; their ids are a, b, c... */
static void put_statuses(const char *letters)
{
    for (int i = 0; letters[i]; i++) {
        const char id[] = {(char)('a' + i), '\0'};
        put_as(
            registry,
            (struct brief){.service = "s", .id = id, .status = letters[i] == 'd' ? "down" : NULL},
            at_ms(0));
    }
}

/* Picks often, and counts how often each was picked. */
static void count_picks(enum lookup_strategy strategy, bool all, unsigned picks,
                        unsigned counts[26])
{
    memset(counts, 0, 26 * sizeof(*counts));
    for (unsigned i = 0; i < picks; i++) {
        char id;
        uint64_t seed = i;
        assert_int_equal(pick(strategy, (uint32_t)next_random(&seed), all, &id), ERR_NONE);
        counts[id - 'a']++;
    }
}

static void round_robin_gives_each_its_turn(void **state)
{
    (void)state;
    unsigned counts[26];
    put_statuses("uuu");
    count_picks(LOOKUP_ROUND_ROBIN, false, 300, counts);
    for (int i = 0; i < 3; i++)
        assert_int_equal(counts[i], 100);
    char turns[6];
    for (int i = 0; i < 6; i++)
        pick(LOOKUP_ROUND_ROBIN, 0, false, &turns[i]);
    assert_memory_equal(turns, turns + 3, 3);
    assert_true(turns[0] != turns[1] && turns[1] != turns[2] && turns[0] != turns[2]);
}

static void round_robin_passes_over_what_is_not_up(void **state)
{
    (void)state;
    unsigned counts[26];
    put_statuses("uddud");
    count_picks(LOOKUP_ROUND_ROBIN, false, 200, counts);
    assert_int_equal(counts[0], 100);
    assert_int_equal(counts[3], 100);
    count_picks(LOOKUP_ROUND_ROBIN, true, 200, counts);
    for (int i = 0; i < 5; i++)
        assert_int_equal(counts[i], 40);
}

static void round_robin_goes_on_when_members_come_and_go(void **state)
{
    (void)state;
    unsigned counts[26];
    put_statuses("uuuuu");
    char id;
    for (int i = 0; i < 4; i++)
        pick(LOOKUP_ROUND_ROBIN, 0, false, &id);
    take_out(registry, "s", "e", at_ms(0));
    take_out(registry, "s", "a", at_ms(0));
    take_out(registry, "s", "c", at_ms(0));
    count_picks(LOOKUP_ROUND_ROBIN, false, 100, counts);
    assert_int_equal(counts[1], 50);
    assert_int_equal(counts[3], 50);
    put(registry, "s", "f", at_ms(0));
    put(registry, "s", "g", at_ms(0));
    count_picks(LOOKUP_ROUND_ROBIN, false, 100, counts);
    assert_int_equal(counts[1] + counts[3] + counts[5] + counts[6], 100);
    assert_int_equal(counts[6], 25);
}

static void random_gives_each_about_as_often(void **state)
{
    (void)state;
    unsigned counts[26];
    put_statuses("uuuu");
    count_picks(LOOKUP_RANDOM, false, 8000, counts);
    for (int i = 0; i < 4; i++)
        assert_in_range(counts[i], 1800, 2200);
}

/* The share of instances that are down must not go to their neighbours. */
static void random_is_fair_among_what_is_up(void **state)
{
    (void)state;
    unsigned counts[26];
    put_statuses("udddu");
    count_picks(LOOKUP_RANDOM, false, 8000, counts);
    assert_in_range(counts[0], 3700, 4300);
    assert_in_range(counts[4], 3700, 4300);
}

static void random_does_not_disturb_round_robin(void **state)
{
    (void)state;
    char first;
    char again;
    put_statuses("uuu");
    for (uint32_t random = 0; random < 9; random++) {
        pick(LOOKUP_ROUND_ROBIN, 0, false, &first);
        pick(LOOKUP_RANDOM, random, false, &again);
        pick(LOOKUP_ROUND_ROBIN, 0, false, &again);
        assert_int_not_equal(first, again);
        pick(LOOKUP_RANDOM, random, false, &again);
        pick(LOOKUP_ROUND_ROBIN, 0, false, &again);
        assert_int_not_equal(first, again); /* the third */
    }
}

static void any_random_number_will_do(void **state)
{
    (void)state;
    static const uint32_t numbers[] = {0, 1, 2, 3, 0x7FFFFFFF, 0x80000000, UINT32_MAX};
    char id;
    put_statuses("uuu");
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        assert_int_equal(pick(LOOKUP_RANDOM, numbers[i], false, &id), ERR_NONE);
}

static void no_matching_instance_differs_from_an_unknown_service(void **state)
{
    (void)state;
    char id;
    assert_int_equal(pick(LOOKUP_RANDOM, 0, false, &id), ERR_SERVICE_NOT_FOUND);
    put_statuses("dd");
    assert_int_equal(pick(LOOKUP_RANDOM, 7, false, &id), ERR_INSTANCE_NOT_FOUND);
    assert_int_equal(pick(LOOKUP_ROUND_ROBIN, 7, false, &id), ERR_INSTANCE_NOT_FOUND);
    assert_int_equal(pick(LOOKUP_ROUND_ROBIN, 7, true, &id), ERR_NONE);
    take_out(registry, "s", "a", at_ms(0));
    take_out(registry, "s", "b", at_ms(0));
    assert_int_equal(pick(LOOKUP_RANDOM, 7, true, &id), ERR_INSTANCE_NOT_FOUND);
    assert_int_equal(pick(LOOKUP_ROUND_ROBIN, 7, true, &id), ERR_INSTANCE_NOT_FOUND);
}

static void picked_instance_outlives_its_record(void **state)
{
    (void)state;
    struct instance *instance = NULL;
    put(registry, "s", "a", at_ms(0));
    assert_int_equal(pick_plain(registry, SLICE("s"), false, LOOKUP_ROUND_ROBIN, 0, &instance),
                     ERR_NONE);
    take_out(registry, "s", "a", at_ms(0));
    assert_true(slice_equal(instance_text(instance, FIELD_INSTANCE), SLICE("a")));
    instance_unref(instance);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(services_of_an_empty_registry_are_an_empty_list),
        TEST(services_show_each_with_members_of_any_status),
        TEST(services_have_the_revision_of_the_registry),
        TEST(services_are_the_same_response_until_any_change),
        TEST(services_are_kept_for_each_dialect),
        TEST(services_without_cache_are_made_again),
        TEST(services_beyond_the_budget_are_served_but_not_cached),
        TEST(services_unused_for_long_are_freed),
        TEST(round_robin_gives_each_its_turn),
        TEST(round_robin_passes_over_what_is_not_up),
        TEST(round_robin_goes_on_when_members_come_and_go),
        TEST(random_gives_each_about_as_often),
        TEST(random_is_fair_among_what_is_up),
        TEST(random_does_not_disturb_round_robin),
        TEST(any_random_number_will_do),
        TEST(no_matching_instance_differs_from_an_unknown_service),
        TEST(picked_instance_outlives_its_record),
    };
    return cmocka_run_group_tests_name("registry: services and picking", tests, NULL, NULL);
}
