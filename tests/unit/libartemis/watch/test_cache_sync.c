/* SPDX-License-Identifier: Apache-2.0
 *
 * How service caches are kept up to date: pushes before, during and after the fetch of the state,
 * reloads, lost connections, other servers, servers without pushes.
 */
#include "tests/unit/libartemis/watch/cache_sync_fixture.h"

/* --- pushes ----------------------------------------------------------------------------------- */

static void no_action_without_a_connection(void **state)
{
    struct fixture *fixture = *state;
    assert_idle_until(fixture, UINT64_MAX);
    pushed(fixture, 1, "+1:80");
    assert_fresh(fixture, false, 0);
}

static void first_state_is_not_a_change_but_pushes_are(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "1:80 2:80");
    assert_logged(fixture, "");
    pushed(fixture, 11, "+3:80 ~1:81 -2:80");
    assert_logged(fixture, "+3:80 ~1:81 -2:80");
    assert_fresh(fixture, true, 2);
    assert_idle_until(fixture, UINT64_MAX);
}

static void watch_current_reports_existing_instances(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "1:80 2:80");
    assert_logged(fixture, "+1:80 +2:80");
}

static void pushes_during_a_fetch_apply_if_they_are_newer(void **state)
{
    struct fixture *fixture = *state;
    cache_sync_connected(&fixture->sync, false, fixture->now_ms);
    assert_sends(fixture, SUBSCRIBE);
    subscribed(fixture, "s", 10, "A");
    pushed(fixture, 11, "+9:80"); /* before the fetch begins */
    assert_fetches(fixture, PATH);
    pushed(fixture, 12, "-9:80");
    pushed(fixture, 14, "+3:80");
    fetched(fixture, 12, "1:80 2:80"); /* so 11 and 12 are in it */
    assert_logged(fixture, "+3:80");
    assert_fresh(fixture, true, 3);
}

static void push_that_is_partly_in_the_fetched_state_reverts_nothing(void **state)
{
    struct fixture *fixture = *state;
    cache_sync_connected(&fixture->sync, false, fixture->now_ms);
    assert_sends(fixture, SUBSCRIBE);
    subscribed(fixture, "s", 10, "A");
    assert_fetches(fixture, PATH);
    pushed(fixture, 13, "~1:81 ~1:82 ~1:83 +2:80"); /* 11 to 13 */
    fetched(fixture, 12, "1:82");
    assert_logged(fixture, "~1:83 +2:80");
}

static void push_that_is_already_applied_is_ignored(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "1:80 2:80");
    pushed(fixture, 11, "~1:81");
    pushed(fixture, 11, "~1:80"); /* what "*" gets beside it */
    pushed(fixture, 9, "-1:80");
    assert_logged(fixture, "~1:81");
}

static void reload_reports_only_differences(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "1:80 2:80");
    reloaded(fixture, "s", 20, "+1:80 +2:99 +3:80", "");
    assert_logged(fixture, "~2:99 +3:80");
    reloaded(fixture, "s", 21, "", "");
    assert_logged(fixture, "-1:80 -2:99 -3:80");
    assert_fresh(fixture, true, 0);
}

static void incomplete_reload_is_fetched(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "1:80 2:80");
    reloaded(fixture, "s", 20, "", "\"complete\":false,");
    assert_logged(fixture, "");
    pushed(fixture, 21, "+4:80"); /* waits */
    assert_fetches(fixture, PATH_FROM("10", "A"));
    fetched(fixture, 20, "1:80 3:80");
    assert_logged(fixture, "-2:80 +3:80 +4:80");
}

/* --- lost connections ------------------------------------------------------------------------- */

static void same_epoch_resumes_at_the_revision(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "1:80 2:80");
    pushed(fixture, 15, "+3:80");
    assert_logged(fixture, "+3:80");
    fixture->now_ms = 5000;
    cache_sync_disconnected(&fixture->sync);
    assert_fresh(fixture, false, 3);
    assert_idle_until(fixture, UINT64_MAX);
    cache_sync_connected(&fixture->sync, false, fixture->now_ms);
    assert_sends(fixture, "{\"type\":\"subscribe\",\"service_id\":\"s\",\"version\":15,"
                          "\"run\":\"A\"}");
    subscribed(fixture, "s", 17, "A");
    assert_fresh(fixture, true, 3);
    reloaded(fixture, "s", 16, "+1:80 +2:80", ""); /* it had changed */
    assert_logged(fixture, "-3:80");
    pushed(fixture, 18, "+4:80");
    assert_logged(fixture, "+4:80");
}

static void other_epoch_reloads_and_misses_nothing(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "1:80 2:80");
    cache_sync_disconnected(&fixture->sync);
    cache_sync_connected(&fixture->sync, false, fixture->now_ms);
    assert_sends(fixture, "{\"type\":\"subscribe\",\"service_id\":\"s\",\"version\":10,"
                          "\"run\":\"A\"}");
    subscribed(fixture, "s", 3, "B"); /* its revisions are lower */
    assert_fresh(fixture, false, 2);
    reloaded(fixture, "s", 3, "+2:80 +3:80", "");
    assert_logged(fixture, "-1:80 +3:80");
    assert_fresh(fixture, true, 2);
    pushed(fixture, 4, "-3:80");
    assert_logged(fixture, "-3:80");
}

static void state_is_fetched_when_another_epoch_does_not_reload(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "1:80 2:80");
    cache_sync_disconnected(&fixture->sync);
    cache_sync_connected(&fixture->sync, false, fixture->now_ms);
    uint64_t at_ms;
    assert_true(next(fixture, &at_ms));
    subscribed(fixture, "s", 3, "B");
    assert_idle_until(fixture, fixture->now_ms + SYNC_RESPONSE_TIMEOUT_MS);
    fixture->now_ms += SYNC_RESPONSE_TIMEOUT_MS;
    assert_fetches(fixture, PATH);
    fetched(fixture, 3, "1:80");
    assert_logged(fixture, "-2:80");
}

/* If a connection ends between "subscribed" and the state, the known state does not belong to the
 * new epoch. */
static void revision_is_not_named_before_the_state_is_known(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "1:80 2:80");
    cache_sync_disconnected(&fixture->sync);
    cache_sync_connected(&fixture->sync, false, fixture->now_ms);
    uint64_t at_ms;
    assert_true(next(fixture, &at_ms));
    subscribed(fixture, "s", 30, "B");
    cache_sync_disconnected(&fixture->sync);
    cache_sync_connected(&fixture->sync, false, fixture->now_ms);
    assert_sends(fixture, SUBSCRIBE);
}

static void response_to_an_older_fetch_is_ignored(void **state)
{
    struct fixture *fixture = *state;
    cache_sync_connected(&fixture->sync, false, fixture->now_ms);
    assert_sends(fixture, SUBSCRIBE);
    subscribed(fixture, "s", 10, "A");
    assert_fetches(fixture, PATH);
    cache_sync_disconnected(&fixture->sync);
    fetched(fixture, 10, "1:80");
    assert_fresh(fixture, false, 0);
    assert_false(fixture->cache->known);
    assert_int_equal(fixture->sync.fetches, 0);
}

/* --- other servers ---------------------------------------------------------------------------- */

static void server_without_pushes_is_polled(void **state)
{
    struct fixture *fixture = *state;
    cache_sync_connected(&fixture->sync, true, fixture->now_ms);
    assert_fetches(fixture, PATH);
    assert_string_equal(fixture->action.etag, "");
    fetched(fixture, 5, "1:80 2:80");
    assert_fresh(fixture, true, 2);
    assert_idle_until(fixture, fixture->now_ms + 5000);
    fixture->now_ms += 5000;
    assert_fetches(fixture, PATH);
    assert_string_equal(fixture->action.etag, "\"tag\"");
    cache_sync_fetched(&fixture->sync, "s", fixture->action.generation, NULL,
                       &(struct fetched_header){.etag = "", .run = ""}, fixture->now_ms, 0);
    assert_logged(fixture, "");
    fixture->now_ms += 5000;
    assert_fetches(fixture, PATH);
    fetched(fixture, 6, "1:80");
    assert_logged(fixture, "-2:80");
}

static void unconfirmed_subscription_is_polled(void **state)
{
    struct fixture *fixture = *state;
    cache_sync_connected(&fixture->sync, false, fixture->now_ms);
    assert_sends(fixture, SUBSCRIBE);
    receive(fixture, "{\"type\":\"error\",\"message\":\"no\"}");
    assert_idle_until(fixture, fixture->now_ms + SYNC_RESPONSE_TIMEOUT_MS);
    fixture->now_ms += SYNC_RESPONSE_TIMEOUT_MS;
    assert_fetches(fixture, PATH);
    fetched(fixture, 6, "1:80");
    assert_fresh(fixture, true, 1);
    assert_idle_until(fixture, fixture->now_ms + 5000);
}

static void refused_fetch_is_repeated_later(void **state)
{
    struct fixture *fixture = *state;
    cache_sync_connected(&fixture->sync, false, fixture->now_ms);
    assert_sends(fixture, SUBSCRIBE);
    subscribed(fixture, "s", 10, "A");
    assert_fetches(fixture, PATH);
    cache_sync_refused(&fixture->sync, "s", fixture->action.generation, "no permission",
                       fixture->now_ms);
    assert_true(fixture->cache->refused);
    assert_string_equal(fixture->cache->reason, "no permission");
    assert_idle_until(fixture, fixture->now_ms + SYNC_REFUSED_MS);
    fixture->now_ms += SYNC_REFUSED_MS;
    assert_fetches(fixture, PATH);
    fetched(fixture, 10, "1:80");
    assert_false(fixture->cache->refused);
}

/* --- all services ----------------------------------------------------------------------------- */

static void all_services_subscription_gets_each_service(void **state)
{
    struct fixture *fixture = *state;
    cache_sync_connected(&fixture->sync, false, fixture->now_ms);
    assert_sends(fixture, "{\"type\":\"subscribe\",\"service_id\":\"*\"}");
    subscribed(fixture, "*", 10, "A");
    assert_fetches(fixture, "/api/discovery/services");
    fetched(fixture, 10, "1:80");
    pushed(fixture, 11, "+2:80");
    assert_logged(fixture, "+2:80");
    reloaded(fixture, "*", 20, "", "\"complete\":false,");
    assert_fetches(fixture, "/api/discovery/services");
    fetched(fixture, 20, "2:80");
    assert_logged(fixture, "-1:80");
    cache_sync_disconnected(&fixture->sync);
    cache_sync_connected(&fixture->sync, false, fixture->now_ms);
    assert_sends(fixture, "{\"type\":\"subscribe\",\"service_id\":\"*\"}");
}

static void message_applies_to_its_service_and_to_all_services(void **state)
{
    struct fixture *fixture = *state;
    struct service_cache *one;
    uint64_t at_ms;
    assert_int_equal(cache_sync_find_or_create(&fixture->sync, "s", &one), ERR_NONE);
    one->pins++;
    cache_sync_connected(&fixture->sync, false, fixture->now_ms);
    assert_true(next(fixture, &at_ms));
    assert_true(next(fixture, &at_ms));
    subscribed(fixture, "*", 10, "A");
    subscribed(fixture, "s", 10, "A");
    pushed(fixture, 11, "+2:80"); /* both wait for their state */
    for (int i = 0; i < 2; i++) {
        assert_true(next(fixture, &at_ms));
        fetched(fixture, 10, "1:80");
    }
    assert_int_equal(one->instances.count, 2);
    assert_int_equal(fixture->cache->instances.count, 2);
    assert_logged(fixture, "+2:80");
    one->pins--;
}

#define TEST(name)            cmocka_unit_test_setup_teardown(name, start, stop)
#define TEST_FROM(name, from) cmocka_unit_test_setup_teardown(name, from, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_action_without_a_connection),
        TEST(first_state_is_not_a_change_but_pushes_are),
        TEST_FROM(watch_current_reports_existing_instances, start_current),
        TEST(pushes_during_a_fetch_apply_if_they_are_newer),
        TEST(push_that_is_partly_in_the_fetched_state_reverts_nothing),
        TEST(push_that_is_already_applied_is_ignored),
        TEST(reload_reports_only_differences),
        TEST(incomplete_reload_is_fetched),
        TEST(same_epoch_resumes_at_the_revision),
        TEST(other_epoch_reloads_and_misses_nothing),
        TEST(state_is_fetched_when_another_epoch_does_not_reload),
        TEST(revision_is_not_named_before_the_state_is_known),
        TEST(response_to_an_older_fetch_is_ignored),
        TEST(server_without_pushes_is_polled),
        TEST(unconfirmed_subscription_is_polled),
        TEST(refused_fetch_is_repeated_later),
        TEST_FROM(all_services_subscription_gets_each_service, start_everything),
        TEST_FROM(message_applies_to_its_service_and_to_all_services, start_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
