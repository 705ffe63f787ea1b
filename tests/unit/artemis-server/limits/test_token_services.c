/* SPDX-License-Identifier: Apache-2.0
 *
 * The services that count for a token: how many there can be, and when one counts no longer.
 */
#include "artemis-server/limits/token_services.h"

#include "tests/support/failing_malloc.h"
#include "tests/unit/artemis-server/registry/registry_fixture.h"

enum { MAX = 3, LATER_MS = TOKEN_SERVICES_CHECK_MS };

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

static enum error begin_at(const char *id, uint64_t ms)
{
    return token_services_begin(&services, MAX, registry, slice_of(id), at_ms(ms));
}

static void end(const char *id, bool registered)
{
    token_services_end(&services, registry, slice_of(id), registered);
}

static void register_at(const char *id, uint64_t ms)
{
    assert_int_equal(begin_at(id, ms), ERR_NONE);
    put(registry, id, "i", at_ms(ms));
    end(id, true);
}

static void service_beyond_the_limit_is_refused(void **state)
{
    (void)state;
    register_at("a", 0);
    register_at("b", 0);
    register_at("c", 0);
    assert_int_equal(begin_at("d", LATER_MS), ERR_OVER_QUOTA);
    register_at("b", LATER_MS);
    assert_int_equal(services.count, MAX);
}

static void service_without_instances_counts_no_longer(void **state)
{
    (void)state;
    register_at("a", 0);
    register_at("b", 0);
    register_at("c", 0);
    put(registry, "b", "of another client", at_ms(0));
    take_out(registry, "a", "i", at_ms(1));
    take_out(registry, "b", "i", at_ms(1));
    register_at("d", LATER_MS);
    assert_int_equal(begin_at("e", 3 * LATER_MS), ERR_OVER_QUOTA); /* b still has one */
}

/* Other threads may register instances of the same service. */
static void service_counts_while_an_instance_is_being_registered(void **state)
{
    (void)state;
    register_at("a", 0);
    register_at("b", 0);
    assert_int_equal(begin_at("c", 0), ERR_NONE);
    assert_int_equal(begin_at("c", 0), ERR_NONE);
    assert_int_equal(begin_at("d", LATER_MS), ERR_OVER_QUOTA);
    end("c", false);
    assert_int_equal(begin_at("d", 3 * LATER_MS), ERR_OVER_QUOTA);
    end("c", false);
    assert_int_equal(services.count, 2);
    register_at("d", 5 * LATER_MS);
}

/* Also where the service has instances of other clients. */
static void failed_registration_counts_for_nothing(void **state)
{
    (void)state;
    put(registry, "a", "of another client", at_ms(0));
    assert_int_equal(begin_at("a", 0), ERR_NONE);
    end("a", false);
    assert_int_equal(services.count, 0);
    register_at("a", 0);
    assert_int_equal(begin_at("a", 0), ERR_NONE); /* of another instance */
    end("a", false);
    assert_int_equal(services.count, 1);
}

/* The lists that have one of 64 services, of the first 64 lists. */
static uint64_t used_lists(uint64_t seed)
{
    enum { SERVICES = 64 };
    uint64_t used = 0;
    struct registry_options options = usual_options();
    struct token_services many;
    options.hash_seed = seed;
    struct registry *seeded = make_registry_with(options);
    token_services_init(&many);
    for (int i = 0; i < SERVICES; i++) {
        char id[16];
        snprintf(id, sizeof(id), "s%d", i);
        assert_int_equal(token_services_begin(&many, SERVICES, seeded, slice_of(id), at_ms(0)),
                         ERR_NONE);
    }
    for (int i = 0; i < 64; i++)
        used |= (uint64_t)!LIST_EMPTY(&many.buckets[i]) << i;
    token_services_free(&many);
    registry_free(seeded);
    return used;
}

/* So that no client can choose services of one list. */
static void lists_follow_the_seed_of_the_registry(void **state)
{
    (void)state;
    assert_true(used_lists(1) == used_lists(1));
    assert_true(used_lists(1) != used_lists(2));
}

static void failed_allocation_adds_nothing(void **state)
{
    (void)state;
    for (long n = 1;; n++) {
        failing_malloc_after(n);
        enum error error = begin_at("a", 0);
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
        TEST(service_counts_while_an_instance_is_being_registered),
        TEST(failed_registration_counts_for_nothing),
        TEST(lists_follow_the_seed_of_the_registry),
        TEST(failed_allocation_adds_nothing),
    };
    return cmocka_run_group_tests_name("token_services", tests, NULL, NULL);
}
