/* SPDX-License-Identifier: Apache-2.0
 *
 * Large responses: from which size on a service has one, that its parts are the whole, and what it
 * costs the budget.
 */
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
    free_registry(registry);
    return 0;
}

static void encode_parts(const struct cached_response *response, size_t step, struct text *out)
{
    const struct large_response *large = response->large;
    for (size_t from = 0; from < large->count; from += step) {
        size_t to = large->count - from < step ? large->count : from + step;
        large->encode(response, from, to, out);
    }
}

static void parts_are_the_whole(void **state)
{
    (void)state;
    put_many(registry, "s", 0, LARGE_MEMBERS + 1, at_ms(0));
    for (enum dialect dialect = 0; dialect < DIALECT_COUNT; dialect++) {
        struct cached_response *response = ask_for(registry, "s", dialect, true, at_ms(0));
        struct service_view view = discovery_service_view(dialect, true);
        struct registry_members members = members_of(registry, "s");
        struct text whole = {0};
        view.encode(&view, SLICE("s"), &members, &whole);
        registry_members_free(&members);
        assert_non_null(response->large);
        assert_int_equal(response->revision, revision_of(registry, "s"));
        static const size_t steps[] = {1, 7, 16, 100000};
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
            struct text parts = {0};
            encode_parts(response, steps[i], &parts);
            assert_int_equal(parts.size, whole.size);
            assert_memory_equal(parts.data, whole.data, whole.size);
            text_free(&parts);
        }
        text_free(&whole);
        cached_response_unref(response);
    }
}

static void large_response_begins_beyond_the_limits(void **state)
{
    (void)state;
    static char machine[1024];
    memset(machine, 'm', sizeof machine - 1);
    put_many(registry, "many", 0, LARGE_MEMBERS, at_ms(0));
    struct cached_response *response = ask(registry, "many", at_ms(0));
    assert_null(response->large);
    cached_response_unref(response);
    put(registry, "many", "one more", at_ms(0));
    response = ask(registry, "many", at_ms(0));
    assert_non_null(response->large);
    assert_int_equal(response->large->count, LARGE_MEMBERS + 1);
    cached_response_unref(response);
    for (unsigned i = 0; i < 4200; i++) {
        char id[16];
        snprintf(id, sizeof id, "i%u", i);
        put_as(registry, (struct brief){.service = "wide", .id = id, .machine = machine}, at_ms(0));
        if (i != 3000)
            continue;
        response = ask(registry, "wide", at_ms(0));
        assert_null(response->large);
        cached_response_unref(response);
    }
    response = ask(registry, "wide", at_ms(0));
    assert_non_null(response->large);
    cached_response_unref(response);
}

static void large_response_is_shared_and_stays_after_a_change(void **state)
{
    (void)state;
    put_many(registry, "s", 0, LARGE_MEMBERS + 1, at_ms(0));
    struct cached_response *first = ask(registry, "s", at_ms(0));
    struct cached_response *second = ask(registry, "s", at_ms(0));
    assert_ptr_equal(first, second);
    assert_in_range(cache_stats(registry).service_bytes, LARGE_MEMBERS * sizeof(void *),
                    (LARGE_MEMBERS + 1000) * sizeof(void *));
    cached_response_unref(second);
    take_out(registry, "s", "i0", at_ms(0));
    assert_int_equal(cache_stats(registry).service_bytes, 0);
    second = ask(registry, "s", at_ms(0));
    assert_null(second->large); /* small again */
    struct text body = {0};
    encode_parts(first, 16, &body);
    json_t *root = parse_body((struct slice){body.data, body.size});
    assert_int_equal(json_array_size(instances_of(root)), LARGE_MEMBERS + 1);
    json_decref(root);
    text_free(&body);
    cached_response_unref(first);
    cached_response_unref(second);
    registry_validate(registry);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(parts_are_the_whole),
        TEST(large_response_begins_beyond_the_limits),
        TEST(large_response_is_shared_and_stays_after_a_change),
    };
    return cmocka_run_group_tests_name("large service", tests, NULL, NULL);
}
