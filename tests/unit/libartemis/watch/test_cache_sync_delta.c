/* SPDX-License-Identifier: Apache-2.0
 *
 * Fetches of the changes since the known state: when the client asks for them, and how it goes on
 * with servers that send the whole state.
 */
#include "tests/unit/libartemis/watch/cache_sync_fixture.h"

/* A reload without the state: the server has dropped pushes. */
static void lose_pushes(struct fixture *fixture, int version)
{
    reloaded(fixture, "s", version, "", "\"complete\":false,");
}

static void dropped_pushes_are_fetched_as_changes(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "1:80 2:80 3:80");
    pushed(fixture, 11, "~1:81");
    assert_logged(fixture, "~1:81");
    lose_pushes(fixture, 15);
    assert_fetches(fixture, PATH_FROM("11", "A"));
    pushed(fixture, 14, "-2:80"); /* deferred; the delta has it too */
    pushed(fixture, 16, "+4:80");
    fetched_delta(fixture, 15, "~1:82 -2:80 +5:80");
    assert_fresh(fixture, true, 4);
    assert_logged(fixture, "~1:82 -2:80 +5:80 +4:80");
    assert_int_equal(fixture->cache->revision, 16);
    lose_pushes(fixture, 20);
    assert_fetches(fixture, PATH_FROM("16", "A"));
    fetched_delta(fixture, 20, "");
    assert_logged(fixture, "");
    assert_fresh(fixture, true, 4);
}

static void older_server_sends_the_whole_state(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "1:80 2:80");
    lose_pushes(fixture, 15);
    assert_fetches(fixture, PATH_FROM("10", "A"));
    fetched(fixture, 15, "1:80 3:80");
    assert_logged(fixture, "-2:80 +3:80");
    assert_fresh(fixture, true, 2);
    lose_pushes(fixture, 16);
    assert_fetches(fixture, PATH_FROM("15", "A"));
}

static void connection_lost_during_the_fetch_keeps_the_revision(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "1:80 2:80");
    lose_pushes(fixture, 15);
    assert_fetches(fixture, PATH_FROM("10", "A"));
    cache_sync_disconnected(&fixture->sync);
    fetched_delta(fixture, 15, "-1:80"); /* of the earlier connection */
    assert_logged(fixture, "");
    cache_sync_connected(&fixture->sync, false, fixture->now_ms);
    assert_sends(fixture, "{\"type\":\"subscribe\",\"service_id\":\"s\",\"version\":10,"
                          "\"run\":\"A\"}");
    subscribed(fixture, "s", 20, "A");
    lose_pushes(fixture, 20);
    assert_fetches(fixture, PATH_FROM("10", "A"));
    fetched_delta(fixture, 20, "-1:80");
    assert_logged(fixture, "-1:80");
    assert_fresh(fixture, true, 1);
}

static void state_of_another_epoch_is_fetched_whole(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "1:80 2:80");
    cache_sync_connected(&fixture->sync, false, fixture->now_ms);
    assert_sends(fixture, "{\"type\":\"subscribe\",\"service_id\":\"s\",\"version\":10,"
                          "\"run\":\"A\"}");
    subscribed(fixture, "s", 3, "B");
    lose_pushes(fixture, 3);
    assert_fetches(fixture, PATH);
    fetched(fixture, 3, "1:80");
    assert_logged(fixture, "-2:80");
    lose_pushes(fixture, 4);
    assert_fetches(fixture, PATH_FROM("3", "B"));
}

static void changes_to_an_unknown_state_are_refused(void **state)
{
    struct fixture *fixture = *state;
    cache_sync_connected(&fixture->sync, false, fixture->now_ms);
    assert_sends(fixture, SUBSCRIBE);
    subscribed(fixture, "s", 10, "A");
    assert_fetches(fixture, PATH);
    fetched_delta(fixture, 10, "+1:80");
    assert_fresh(fixture, false, 0);
    assert_logged(fixture, "");
    assert_idle_until(fixture, fixture->now_ms + SYNC_REFUSED_MS);
    fixture->now_ms += SYNC_REFUSED_MS;
    assert_fetches(fixture, PATH);
    fetched(fixture, 10, "1:80");
    assert_fresh(fixture, true, 1);
}

static void missed_pushes_are_fetched_until_the_state_has_them(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "1:80 2:80");
    lose_pushes(fixture, 12);
    assert_fetches(fixture, PATH_FROM("10", "A"));
    service_cache_miss(fixture->cache, 14);
    fetched_delta(fixture, 12, "-1:80");
    assert_logged(fixture, "-1:80");
    assert_false(fixture->cache->phase == CACHE_LIVE);
    fixture->now_ms += SYNC_MISSED_MS;
    assert_fetches(fixture, PATH_FROM("12", "A"));
    fetched_delta(fixture, 14, "+3:80");
    assert_logged(fixture, "+3:80");
    assert_fresh(fixture, true, 2);
}

static void polled_server_sends_changes(void **state)
{
    struct fixture *fixture = *state;
    cache_sync_connected(&fixture->sync, true, fixture->now_ms);
    assert_fetches(fixture, PATH);
    fixture->run = "R1";
    fetched(fixture, 5, "1:80 2:80");
    fixture->now_ms += 5000;
    assert_fetches(fixture, PATH_FROM("5", "R1"));
    fetched_delta(fixture, 7, "-1:80 +3:80");
    assert_logged(fixture, "-1:80 +3:80");
    fixture->now_ms += 5000;
    assert_fetches(fixture, PATH_FROM("7", "R1"));
    fixture->run = "R2"; /* it has restarted */
    fetched(fixture, 2, "3:80");
    assert_logged(fixture, "-2:80");
    fixture->now_ms += 5000;
    assert_fetches(fixture, PATH_FROM("2", "R2"));
    fixture->run = ""; /* an older server */
    fetched(fixture, 3, "3:80");
    fixture->now_ms += 5000;
    assert_fetches(fixture, PATH);
}

static void run_that_no_server_has_is_not_sent_back(void **state)
{
    struct fixture *fixture = *state;
    static char long_run[200];
    static const char *const runs[] = {"a&b=c", "\"", "a b", "a\\", "%41", long_run};
    memset(long_run, 'a', sizeof long_run - 1);
    cache_sync_connected(&fixture->sync, true, fixture->now_ms);
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        assert_fetches(fixture, PATH);
        fixture->run = runs[i];
        fetched(fixture, 5, "1:80");
        fixture->now_ms += 5000;
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(dropped_pushes_are_fetched_as_changes),
        TEST(older_server_sends_the_whole_state),
        TEST(connection_lost_during_the_fetch_keeps_the_revision),
        TEST(state_of_another_epoch_is_fetched_whole),
        TEST(changes_to_an_unknown_state_are_refused),
        TEST(missed_pushes_are_fetched_until_the_state_has_them),
        TEST(polled_server_sends_changes),
        TEST(run_that_no_server_has_is_not_sent_back),
    };
    return cmocka_run_group_tests_name("cache_sync: delta", tests, NULL, NULL);
}
