/* SPDX-License-Identifier: Apache-2.0
 *
 * How service caches are kept up to date when a server pushes too much, when a service is no longer
 * used, and without memory.
 */
#include "tests/unit/libartemis/watch/cache_sync_fixture.h"

#include "tests/support/failing_malloc.h"

/* --- deferred pushes -------------------------------------------------------------------------- */

/* One push with `count` changes of the same instance. */
static void pushed_many(struct fixture *fixture, int revision, size_t count)
{
    static const char change[] = "{\"change_type\":\"change\",\"instance\":{\"region_id\":\"r\","
                                 "\"zone_id\":\"z\",\"service_id\":\"s\",\"instance_id\":\"1\","
                                 "\"ip\":\"h\",\"port\":99}}";
    struct text json = {0};
    text_printf(&json,
                "{\"type\":\"service_change\",\"service_id\":\"s\",\"version\":%d,\"changes\":[",
                revision);
    for (size_t i = 0; i < count; i++) {
        text_append_string(&json, i > 0 ? "," : "");
        text_append_string(&json, change);
    }
    text_append_string(&json, "]}");
    receive(fixture, text_string(&json));
    text_free(&json);
}

static void too_many_pushes_during_a_fetch_are_dropped_and_fetched(void **state)
{
    struct fixture *fixture = *state;
    cache_sync_connected(&fixture->sync, false, fixture->now_ms);
    assert_sends(fixture, SUBSCRIBE);
    subscribed(fixture, "s", 10, "A");
    assert_fetches(fixture, PATH);
    pushed_many(fixture, 11, SYNC_DEFERRED_MAX / 2);
    assert_int_equal(fixture->sync.deferred, SYNC_DEFERRED_MAX / 2 + 1);
    pushed_many(fixture, 12, SYNC_DEFERRED_MAX / 2);
    assert_int_equal(fixture->sync.deferred, 0);
    pushed_many(fixture, 13, 1); /* one gap is enough: later ones are not kept */
    assert_int_equal(fixture->sync.deferred, 0);
    fetched(fixture, 12, "1:80");
    assert_fresh(fixture, false, 1);
    assert_idle_until(fixture, fixture->now_ms + SYNC_MISSED_MS);
    fixture->now_ms += SYNC_MISSED_MS;
    assert_fetches(fixture, PATH_FROM("12", "A"));
    pushed(fixture, 14, "+2:80");
    fetched(fixture, 13, "1:99");
    assert_fresh(fixture, true, 2);
    assert_logged(fixture, "~1:99 +2:80");
    assert_int_equal(fixture->sync.deferred, 0);
}

/* A reload between changes has no instance. */
static void changes_without_an_instance_are_ignored(void **state)
{
    struct fixture *fixture = *state;
    cache_sync_connected(&fixture->sync, false, fixture->now_ms);
    assert_sends(fixture, SUBSCRIBE);
    subscribed(fixture, "s", 10, "A");
    assert_fetches(fixture, PATH);
    receive(fixture,
            "{\"type\":\"service_change\",\"service_id\":\"s\",\"version\":11,\"changes\":"
            "[{\"change_type\":\"new\",\"instance\":{\"region_id\":\"r\",\"zone_id\":\"z\","
            "\"service_id\":\"s\",\"instance_id\":\"1\",\"ip\":\"h\",\"port\":80}},"
            "{\"change_type\":\"reload\"},{\"change_type\":\"reload\"}]}");
    fetched(fixture, 10, "");
    assert_fresh(fixture, true, 1);
}

/* --- rate limits ------------------------------------------------------------------------------ */

#define LIMITED(reason, id)                                                                        \
    "{\"type\":\"error\",\"message\":\"m\",\"reason\":\"" reason "\",\"service_id\":\"" id "\"}"

static void subscription_over_a_rate_limit_is_repeated(void **state)
{
    struct fixture *fixture = *state;
    static const char *const errors[] = {LIMITED("over-limit", "s"),
                                         LIMITED("over-client-limit", "S")};
    cache_sync_connected(&fixture->sync, false, fixture->now_ms);
    for (int i = 0; i < 2; i++) {
        assert_sends(fixture, SUBSCRIBE);
        receive(fixture, errors[i]);
        assert_idle_until(fixture, fixture->now_ms + SYNC_LIMITED_MS);
        fixture->now_ms += SYNC_LIMITED_MS;
    }
    assert_sends(fixture, SUBSCRIBE);
    subscribed(fixture, "s", 10, "A");
    assert_fetches(fixture, PATH);
    receive(fixture, errors[0]); /* of another message: the subscription stays */
    fetched(fixture, 10, "1:80");
    assert_fresh(fixture, true, 1);
}

static void new_connection_subscribes_at_once_after_a_rate_limit(void **state)
{
    struct fixture *fixture = *state;
    cache_sync_connected(&fixture->sync, false, fixture->now_ms);
    assert_sends(fixture, SUBSCRIBE);
    receive(fixture, LIMITED("over-limit", "s"));
    cache_sync_disconnected(&fixture->sync);
    cache_sync_connected(&fixture->sync, false, fixture->now_ms);
    assert_sends(fixture, SUBSCRIBE);
}

/* --- unused caches ---------------------------------------------------------------------------- */

static void unused_service_is_unsubscribed_and_removed(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "1:80");
    service_cache_remove_watch(fixture->cache, fixture->watch);
    watch_unref(fixture->watch);
    assert_sends(fixture, "{\"type\":\"unsubscribe\",\"service_id\":\"s\"}");
    assert_true(LIST_EMPTY(&fixture->sync.caches));
    pushed(fixture, 30, "+9:80"); /* was on its way */
    assert_idle_until(fixture, UINT64_MAX);
}

static void discovered_service_is_removed_after_ten_idle_minutes(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "1:80");
    fixture->cache->used = true;
    fixture->cache->used_ms = fixture->now_ms;
    service_cache_remove_watch(fixture->cache, fixture->watch);
    watch_unref(fixture->watch);
    assert_idle_until(fixture, fixture->now_ms + SYNC_IDLE_MS);
    fixture->now_ms += SYNC_IDLE_MS;
    assert_sends(fixture, "{\"type\":\"unsubscribe\",\"service_id\":\"s\"}");
}

/* --- memory ----------------------------------------------------------------------------------- */

/* If any allocation fails while a reload is applied, the final state is correct all the same, and
 * every difference was reported once. */
static void without_memory_nothing_is_missed_or_reported_twice(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "1:80 2:80");
    for (long n = 1;; n++) {
        struct push_message message;
        char list[] = "+1:81 +2:81 +3:80"; /* three differences */
        char changes[1024];
        char json[1400];
        write_list(changes, sizeof changes, list, "change");
        snprintf(json, sizeof json,
                 "{\"type\":\"service_change\",\"service_id\":\"s\",\"version\":%ld,\"changes\":"
                 "[{\"instance\":{},\"change_type\":\"reload\"},%s]}",
                 100 + n, changes);
        assert_int_equal(wire_read_push(slice_of(json), &message), ERR_NONE);
        failing_malloc_after(n);
        cache_sync_push(&fixture->sync, &message, fixture->now_ms, 0);
        bool happened = failing_malloc_happened();
        failing_malloc_after(-1);
        if (!happened)
            break;
        assert_logged(fixture, "");
        assert_false(fixture->cache->fresh);
        fixture->now_ms += SYNC_NO_MEMORY_MS;
        assert_fetches(fixture, PATH);
        fetched(fixture, 100 + (int)n, "1:80 2:80");
        assert_logged(fixture, "");
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(too_many_pushes_during_a_fetch_are_dropped_and_fetched),
        TEST(changes_without_an_instance_are_ignored),
        TEST(subscription_over_a_rate_limit_is_repeated),
        TEST(new_connection_subscribes_at_once_after_a_rate_limit),
        TEST(unused_service_is_unsubscribed_and_removed),
        TEST(discovered_service_is_removed_after_ten_idle_minutes),
        TEST(without_memory_nothing_is_missed_or_reported_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
