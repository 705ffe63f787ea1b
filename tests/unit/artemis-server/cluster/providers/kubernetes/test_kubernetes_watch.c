/* SPDX-License-Identifier: Apache-2.0
 *
 * When a collection is listed and watched: resumed after a loss, listed again after 410, later
 * after each failure.
 */
#include "artemis-server/cluster/providers/kubernetes/kubernetes_watch.h"

#include "artemis-core/base/backoff.h"
#include "tests/support/cmocka_all.h"

enum { START_MS = 1000000 };

static struct kubernetes_watch watch;

static int set_up(void **state)
{
    (void)state;
    watch = (struct kubernetes_watch){0};
    return 0;
}

static void start(enum kubernetes_request expected, uint64_t now_ms)
{
    assert_int_equal(kubernetes_watch_next(&watch, now_ms), expected);
    kubernetes_watch_started(&watch, expected, now_ms);
}

/* Lists, and watches from version 5. */
static void watch_it(void)
{
    start(KUBERNETES_LIST, START_MS);
    assert_int_equal(kubernetes_watch_next(&watch, START_MS), KUBERNETES_NONE);
    kubernetes_watch_listed(&watch, "5", START_MS + 10);
    start(KUBERNETES_WATCH, START_MS + 10);
    assert_string_equal(watch.version, "5");
    assert_true(kubernetes_watch_due_ms(&watch) == UINT64_MAX);
}

static void watch_that_ends_is_resumed_from_the_last_version(void **state)
{
    (void)state;
    watch_it();
    kubernetes_watch_moved(&watch, "7");
    kubernetes_watch_ended(&watch, START_MS + 5000);
    start(KUBERNETES_WATCH, START_MS + 5000);
    assert_string_equal(watch.version, "7");
    /* Without a pause of its own, a server that ends each watch would be called all the time. */
    kubernetes_watch_ended(&watch, START_MS + 5001);
    assert_int_equal(kubernetes_watch_due_ms(&watch), START_MS + 5000 + KUBERNETES_RETRY_MS);
}

static void lost_connection_is_resumed_without_a_list(void **state)
{
    (void)state;
    watch_it();
    kubernetes_watch_ended(&watch, START_MS + 5000);
    start(KUBERNETES_WATCH, START_MS + 5000);
    assert_true(kubernetes_watch_failed(&watch, 0, 0, 0, START_MS + 5001));
    assert_int_equal(watch.failing, KUBERNETES_WATCH);
    assert_int_equal(kubernetes_watch_due_ms(&watch), START_MS + 5001 + BACKOFF_FIRST_MS);
    start(KUBERNETES_WATCH, START_MS + 6000);
    assert_true(kubernetes_watch_failed(&watch, 0, 0, 0, START_MS + 6001));
    assert_int_equal(kubernetes_watch_due_ms(&watch), START_MS + 6001 + 2 * BACKOFF_FIRST_MS);
    start(KUBERNETES_WATCH, START_MS + 7000);
    kubernetes_watch_moved(&watch, "8");
    assert_int_equal(watch.failing, KUBERNETES_NONE);
    assert_int_equal(watch.failures, 0);
}

static void version_that_is_too_old_leads_to_a_list(void **state)
{
    (void)state;
    watch_it();
    assert_false(kubernetes_watch_failed(&watch, 410, 0, 0, START_MS + 5000));
    assert_int_equal(watch.failing, KUBERNETES_NONE);
    start(KUBERNETES_LIST, START_MS + 5000);
    assert_true(kubernetes_watch_failed(&watch, 410, 0, 0, START_MS + 5001)); /* of the list */
    assert_int_equal(watch.failing, KUBERNETES_LIST);
}

static void refused_watch_leads_to_lists_that_do_not_end_the_failure(void **state)
{
    (void)state;
    watch_it();
    assert_true(kubernetes_watch_failed(&watch, 403, 0, 0, START_MS + 20));
    start(KUBERNETES_LIST, START_MS + 1000);
    kubernetes_watch_listed(&watch, "6", START_MS + 1000);
    assert_int_equal(watch.failing, KUBERNETES_WATCH);
    start(KUBERNETES_WATCH, START_MS + 1000);
    kubernetes_watch_tick(&watch, START_MS + 1000 + KUBERNETES_STEADY_MS - 1);
    assert_int_equal(watch.failing, KUBERNETES_WATCH);
    kubernetes_watch_tick(&watch, START_MS + 1000 + KUBERNETES_STEADY_MS);
    assert_int_equal(watch.failing, KUBERNETES_NONE);
}

static void failed_list_is_repeated_later_and_later(void **state)
{
    (void)state;
    uint64_t now_ms = START_MS;
    for (unsigned failures = 1; failures <= 12; failures++) {
        start(KUBERNETES_LIST, now_ms);
        assert_true(kubernetes_watch_failed(&watch, 500, 0, 0, now_ms));
        assert_int_equal(kubernetes_watch_due_ms(&watch), now_ms + backoff_ms(failures, 0));
        now_ms = kubernetes_watch_due_ms(&watch);
    }
    start(KUBERNETES_LIST, now_ms);
    kubernetes_watch_listed(&watch, "5", now_ms);
    assert_int_equal(watch.failing, KUBERNETES_NONE);
}

static void server_demands_a_wait_within_limits(void **state)
{
    (void)state;
    start(KUBERNETES_LIST, START_MS);
    assert_true(kubernetes_watch_failed(&watch, 429, 3000, 0, START_MS));
    assert_int_equal(kubernetes_watch_due_ms(&watch), START_MS + 3000);
    assert_int_equal(kubernetes_retry_ms(1, UINT64_MAX, 0), KUBERNETES_RETRY_MAX_MS);
    assert_int_equal(kubernetes_retry_ms(1, 0, 0), BACKOFF_FIRST_MS);
}

static void refresh_lists_although_a_watch_runs(void **state)
{
    (void)state;
    watch_it();
    kubernetes_watch_refresh(&watch);
    assert_int_equal(kubernetes_watch_next(&watch, START_MS + 20), KUBERNETES_LIST);
    kubernetes_watch_cancelled(&watch);
    start(KUBERNETES_LIST, START_MS + 20);
    assert_int_equal(kubernetes_watch_next(&watch, START_MS + 20), KUBERNETES_NONE);
    kubernetes_watch_listed(&watch, "9", START_MS + 30);
    start(KUBERNETES_WATCH, START_MS + 30);
    assert_string_equal(watch.version, "9");
}

static void restart_lists_at_once(void **state)
{
    (void)state;
    watch_it();
    kubernetes_watch_restart(&watch, START_MS + 20);
    start(KUBERNETES_LIST, START_MS + 20);
    assert_true(kubernetes_watch_failed(&watch, 500, 0, 0, START_MS + 30));
    assert_int_equal(kubernetes_watch_next(&watch, START_MS + 30), KUBERNETES_NONE);
    kubernetes_watch_restart(&watch, START_MS + 31); /* another server: without a pause */
    start(KUBERNETES_LIST, START_MS + 31);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(watch_that_ends_is_resumed_from_the_last_version),
        TEST(lost_connection_is_resumed_without_a_list),
        TEST(version_that_is_too_old_leads_to_a_list),
        TEST(refused_watch_leads_to_lists_that_do_not_end_the_failure),
        TEST(failed_list_is_repeated_later_and_later),
        TEST(server_demands_a_wait_within_limits),
        TEST(refresh_lists_although_a_watch_runs),
        TEST(restart_lists_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
