/* SPDX-License-Identifier: Apache-2.0
 *
 * The services that count for a token: how many there can be, and when one counts no longer.
 */
#include "artemis-server/limits/token_services.h"

#include "tests/support/failing_malloc.h"
#include "tests/unit/artemis-server/registry/registry_fixture.h"

enum { MAX = 3, LATER_MS = TOKEN_SERVICE_MIN_MS };

static struct registry *registry;
static struct token_services services;

static int start(void **state)
{
    (void)state;
    registry = make_registry();
    token_services_init(&services);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    token_services_free(&services);
    registry_free(registry);
    return 0;
}

static enum error add_at(const char *id, uint64_t ms)
{
    return token_services_add(&services, MAX, registry, slice_of(id), at_ms(ms));
}

/* Adds a service, and an instance of it. */
static void add_and_register(const char *id)
{
    assert_int_equal(add_at(id, 0), ERR_NONE);
    put(registry, id, "i", at_ms(0));
}

static void service_beyond_the_limit_is_refused(void **state)
{
    (void)state;
    add_and_register("a");
    add_and_register("b");
    add_and_register("c");
    assert_int_equal(add_at("d", LATER_MS), ERR_OVER_QUOTA);
    assert_int_equal(add_at("b", LATER_MS), ERR_NONE);
    assert_int_equal(services.count, MAX);
}

static void service_without_instances_counts_no_longer(void **state)
{
    (void)state;
    add_and_register("a");
    add_and_register("b");
    add_and_register("c");
    put(registry, "b", "of another client", at_ms(0));
    take_out(registry, "a", "i", at_ms(1));
    take_out(registry, "b", "i", at_ms(1));
    assert_int_equal(add_at("d", LATER_MS), ERR_NONE);
    put(registry, "d", "i", at_ms(LATER_MS));
    assert_int_equal(add_at("e", 3 * LATER_MS), ERR_OVER_QUOTA); /* b still has one */
}

/* Its first instance may be about to be registered by another thread. */
static void new_service_counts_before_it_has_instances(void **state)
{
    (void)state;
    assert_int_equal(add_at("a", 0), ERR_NONE);
    assert_int_equal(add_at("b", 0), ERR_NONE);
    assert_int_equal(add_at("c", 0), ERR_NONE);
    assert_int_equal(add_at("d", LATER_MS - 1), ERR_OVER_QUOTA);
    assert_int_equal(add_at("d", 2 * LATER_MS), ERR_NONE);
    assert_int_equal(services.count, 1);
}

static void failed_allocation_adds_nothing(void **state)
{
    (void)state;
    for (long n = 1;; n++) {
        failing_malloc_after(n);
        enum error error = add_at("a", 0);
        if (!failing_malloc_happened())
            break;
        assert_int_equal(error, ERR_NO_MEMORY);
        assert_int_equal(services.count, 0);
    }
    failing_malloc_after(-1);
    assert_int_equal(services.count, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(service_beyond_the_limit_is_refused),
        TEST(service_without_instances_counts_no_longer),
        TEST(new_service_counts_before_it_has_instances),
        TEST(failed_allocation_adds_nothing),
    };
    return cmocka_run_group_tests_name("token_services", tests, NULL, NULL);
}
