/* SPDX-License-Identifier: Apache-2.0
 *
 * Each operation with its first allocation failing, then with its second, until none fails. A
 * failure is reported as ERR_NO_MEMORY and changes nothing: the registry is valid, its content is
 * unchanged, and after it is freed nothing is left.
 */
#include "artemis-server/registry/registry.h"

#include "tests/support/failing_malloc.h"
#include "tests/unit/artemis-web/api/discovery_fixture.h"

static struct registry *registry;
static long live_before;

static int set_up(void **state)
{
    (void)state;
    live_before = failing_malloc_live();
    registry = make_registry();
    put_many(registry, "s", 0, 3, at_ms(0));
    put_as(registry, (struct brief){.service = "t", .id = "down", .status = "down"}, at_ms(0));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free_registry(registry);
    registry = NULL;
    assert_int_equal(failing_malloc_live(), live_before);
    return 0;
}

/* Everything that the registry returns. */
static json_t *content(void)
{
    return read_response(ask_services(registry, DIALECT_JAVA, at_ms(0)));
}

static void check_unchanged(json_t *before)
{
    registry_validate(registry);
    json_t *after = content();
    assert_true(json_equal(before, after)); /* revision included */
    json_decref(after);
}

/* Fails each allocation of the operation in turn, until it succeeds. Returns how many there
 * were. */
static long sweep(enum error (*operation)(void *context), void *context)
{
    json_t *before = content();
    for (long n = 1;; n++) {
        failing_malloc_after(n);
        enum error error = operation(context);
        if (!failing_malloc_happened()) {
            assert_int_equal(error, ERR_NONE);
            json_decref(before);
            registry_validate(registry);
            return n - 1;
        }
        if (error == ERR_NONE)
            fail_msg("allocation %ld failed, and no error was reported", n);
        assert_int_equal(error, ERR_NO_MEMORY);
        check_unchanged(before);
    }
}

/* --- changing --- */

static enum error register_it(void *instance)
{
    return registry_register(registry, instance, at_ms(0));
}

static long sweep_register(struct brief brief)
{
    struct instance *instance = make_instance(brief);
    long failures = sweep(register_it, instance);
    instance_unref(instance);
    return failures;
}

static void register_in_a_new_service_is_all_or_nothing(void **state)
{
    (void)state;
    assert_true(sweep_register((struct brief){.service = "new", .id = "a"}) > 0);
    assert_int_equal(shown(registry, "new"), 1);
    assert_int_equal(stats_of(registry).services, 3);
}

static void register_in_a_known_service_is_all_or_nothing(void **state)
{
    (void)state;
    long failures = 0;
    char id[16];
    for (int i = 0; i < 100; i++) { /* lists, tables and slabs grow on the way */
        snprintf(id, sizeof(id), "more%d", i);
        failures += sweep_register((struct brief){.service = "s", .id = id});
    }
    assert_true(failures > 5);
    assert_int_equal(shown(registry, "s"), 103);
}

static void register_in_an_emptied_service_is_all_or_nothing(void **state)
{
    (void)state;
    struct registry_options options = usual_options();
    put_many(registry, "u", 0, 4, at_ms(0));
    for (int i = 0; i < 4; i++)
        take_out(registry, "u", (const char *[]){"i0", "i1", "i2", "i3"}[i], at_ms(0));
    sweep_register((struct brief){.service = "u", .id = "a"});
    take_out(registry, "u", "a", at_ms(0));
    cleanup(registry, at_ms(options.cleanup_interval_ms + TICK_MS));
    assert_int_equal(stats_of(registry).services, 2);
}

static void failed_registration_of_a_new_service_leaves_it_unknown(void **state)
{
    (void)state;
    struct cached_response *response = NULL;
    struct instance *instance = make_instance((struct brief){.service = "new", .id = "a"});
    for (long n = 1;; n++) {
        failing_malloc_after(n);
        enum error error = register_it(instance);
        if (!failing_malloc_happened())
            break;
        assert_int_equal(error, ERR_NO_MEMORY);
        assert_int_equal(
            get_service(registry, SLICE("new"), DIALECT_SNAKE, true, at_ms(0), &response),
            ERR_SERVICE_NOT_FOUND);
        assert_int_equal(renew(registry, "new", "a", at_ms(0)), ERR_INSTANCE_NOT_FOUND);
        assert_int_equal(stats_of(registry).services, 2);
    }
    instance_unref(instance);
}

/* What the header calls infallible must not need memory at all. */
static void changing_renewing_and_ending_need_no_memory(void **state)
{
    (void)state;
    struct instance *changed = make_instance((struct brief){.service = "s", .id = "i0", .port = 1});
    struct instance_key key = make_key("s", "i0");
    put_many(registry, "silent", 0, 200, at_ms(0)); /* for the guard */
    cached_response_unref(ask(registry, "s", at_ms(0)));
    failing_malloc_after(-1);
    assert_int_equal(registry_register(registry, changed, at_ms(1)), ERR_NONE);
    assert_int_equal(registry_register(registry, changed, at_ms(2)), ERR_NONE);
    assert_int_equal(registry_renew(registry, &key, at_ms(3)), ERR_NONE);
    assert_int_equal(registry_unregister(registry, &key, 0, at_ms(4)), ERR_NONE);
    registry_expire(registry, at_ms(TTL_MS + TICK_MS));
    registry_expire(registry, at_ms(TTL_MS + TICK_MS + 2 * RECHECK_MS));
    assert_int_equal(registry_release_guard(registry, (struct slice){0}, at_ms(2 * TTL_MS)),
                     ERR_NONE);
    registry_expire(registry, at_ms(2 * TTL_MS + TICK_MS));
    assert_int_equal(failing_malloc_count(), 0);
    failing_malloc_after(1); /* cleanup shrinks tables; without memory they stay */
    cleanup(registry, at_ms(100 * TTL_MS));
    failing_malloc_after(-1);
    assert_int_equal(stats_of(registry).instances, 0);
    assert_int_equal(stats_of(registry).services, 0);
    instance_unref(changed);
}

/* --- confirming --- */

struct query {
    const char *service;
    enum dialect dialect;
    struct cached_response *response;
    struct text text;
};

static enum error ask_service(void *context)
{
    struct query *query = context;
    return get_service(registry, slice_of(query->service), query->dialect, true, at_ms(0),
                       &query->response);
}

static enum error ask_all(void *context)
{
    struct query *query = context;
    return get_services(registry, query->dialect, at_ms(0), &query->response);
}

/* An response is shrunk to its size in the end; where that fails it stays roomy, which is no error.
 * So a failure here may pass unnoticed, but then the response must be whole. */
static void sweep_query(enum error (*operation)(void *context), struct query query,
                        size_t expected_bytes)
{
    struct registry_stats before = stats_of(registry);
    bool happened = true;
    for (long n = 1; happened; n++) {
        query.response = NULL;
        failing_malloc_after(n);
        enum error error = operation(&query);
        happened = failing_malloc_happened();
        registry_validate(registry);
        if (error) {
            assert_true(happened);
            assert_int_equal(error, ERR_NO_MEMORY);
            assert_null(query.response);
            assert_int_equal(stats_of(registry).cached_responses, before.cached_responses);
            continue;
        }
        assert_int_equal(query.response->body.size, expected_bytes);
        json_decref(read_response(query.response));
        cleanup(registry, at_ms(10000000)); /* the next one is not from the cache */
    }
}

static void service_response_is_whole_or_none(void **state)
{
    (void)state;
    static const char *const services[] = {"s", "t"};
    put_many(registry, "s", 3, 60, at_ms(0)); /* the body grows several times */
    for (int i = 0; i < 2; i++)
        for (enum dialect dialect = 0; dialect < DIALECT_COUNT; dialect++) {
            struct query query = {.service = services[i], .dialect = dialect};
            assert_int_equal(ask_service(&query), ERR_NONE);
            size_t bytes = query.response->body.size;
            cached_response_unref(query.response);
            cleanup(registry, at_ms(10000000));
            sweep_query(ask_service, query, bytes);
        }
}

static void services_response_is_whole_or_none(void **state)
{
    (void)state;
    put_many(registry, "s", 3, 60, at_ms(0));
    for (enum dialect dialect = 0; dialect < DIALECT_COUNT; dialect++) {
        struct query query = {.dialect = dialect};
        assert_int_equal(ask_all(&query), ERR_NONE);
        size_t bytes = query.response->body.size;
        cached_response_unref(query.response);
        cleanup(registry, at_ms(10000000));
        sweep_query(ask_all, query, bytes);
    }
}

static enum error write_service(void *context)
{
    struct query *query = context;
    struct json_writer w = jw_to(&query->text, CASING_SNAKE);
    text_free(&query->text);
    enum error error =
        discovery_write_service(registry, SLICE("s"), query->dialect, plain_filter(true), &w);
    /* The writer keeps failures of its own until the end. */
    return !error && text_failed(&query->text) ? ERR_NO_MEMORY : error;
}

static enum error ask_delta(void *context)
{
    struct query *query = context;
    text_free(&query->text);
    return discovery_write_delta(registry, registry_revision(registry) - 4, DIALECT_SNAKE,
                                 &query->text);
}

static void count_lease(void *context, const struct lease_status *lease)
{
    (void)lease;
    ++*(unsigned *)context;
}

static enum error each_lease(void *context)
{
    *(unsigned *)context = 0;
    return registry_each_lease(registry, SLICE("s"), at_ms(0), count_lease, context);
}

static void written_service_delta_and_lease_view_are_whole_or_fail(void **state)
{
    (void)state;
    struct query query = {.dialect = DIALECT_SNAKE};
    unsigned leases = 0;
    assert_true(sweep(write_service, &query) > 1);
    json_decref(parse_body((struct slice){query.text.data, query.text.size}));
    assert_true(sweep(ask_delta, &query) > 2);
    json_decref(parse_body((struct slice){query.text.data, query.text.size}));
    assert_int_equal(sweep(each_lease, &leases), 1);
    assert_int_equal(leases, 3);
    text_free(&query.text);
}

static enum error gzip_response(void *response)
{
    struct slice zipped;
    return cached_response_gzip(response, &zipped);
}

static void gzip_is_made_or_refused(void **state)
{
    (void)state;
    struct cached_response *response = ask(registry, "s", at_ms(0));
    for (long n = 1; n <= 2; n++) {
        failing_malloc_after(n);
        assert_int_equal(gzip_response(response), ERR_NO_MEMORY);
        assert_true(failing_malloc_happened());
    }
    failing_malloc_after(3); /* to shrink it: it stays roomy, and is paid for as it is */
    assert_int_equal(gzip_response(response), ERR_NONE);
    assert_true(failing_malloc_happened());
    assert_true(response->gzip->capacity > response->gzip->size);
    assert_int_equal(cache_stats(registry).service_bytes,
                     sizeof(*response) + response->body.capacity + sizeof(struct text) +
                         response->gzip->capacity);
    cached_response_unref(response);
}

static void picking_needs_no_memory(void **state)
{
    (void)state;
    struct instance *instance = NULL;
    failing_malloc_after(-1);
    assert_int_equal(pick_plain(registry, SLICE("s"), true, LOOKUP_RANDOM, 1, &instance), ERR_NONE);
    assert_int_equal(failing_malloc_count(), 0);
    instance_unref(instance);
}

/* --- creating --- */

static void create_gives_a_registry_or_nothing(void **state)
{
    (void)state;
    struct registry_options options = usual_options();
    long live = failing_malloc_live();
    for (long n = 1;; n++) {
        struct registry *made = NULL;
        failing_malloc_after(n);
        enum error error = registry_create(&options, at_ms(0), &made);
        if (!failing_malloc_happened()) {
            assert_int_equal(error, ERR_NONE);
            free_registry(made);
            break;
        }
        assert_int_equal(error, ERR_NO_MEMORY);
        assert_null(made);
        assert_int_equal(failing_malloc_live(), live);
    }
    assert_int_equal(failing_malloc_live(), live);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(register_in_a_new_service_is_all_or_nothing),
        TEST(register_in_a_known_service_is_all_or_nothing),
        TEST(register_in_an_emptied_service_is_all_or_nothing),
        TEST(failed_registration_of_a_new_service_leaves_it_unknown),
        TEST(changing_renewing_and_ending_need_no_memory),
        TEST(service_response_is_whole_or_none),
        TEST(services_response_is_whole_or_none),
        TEST(written_service_delta_and_lease_view_are_whole_or_fail),
        TEST(gzip_is_made_or_refused),
        TEST(picking_needs_no_memory),
        TEST(create_gives_a_registry_or_nothing),
    };
    return cmocka_run_group_tests_name("registry: memory", tests, NULL, NULL);
}
