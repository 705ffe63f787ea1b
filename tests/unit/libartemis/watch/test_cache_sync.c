/* SPDX-License-Identifier: Apache-2.0
 *
 * How service caches are kept up to date: pushes before, during and after the fetch of the state,
 * reloads, lost connections, other servers, servers without pushes. Messages and responses are JSON
 * text; queued changes are logged as "+1:80" (instance and port), "~1:81", "-1:81".
 */
#include "libartemis/watch/cache_sync.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
    struct cache_sync sync;
    struct service_cache *cache;
    struct artemis_watch *watch;
    struct sync_action action;
    uint64_t now_ms;
    char log[1024];
};

static int start_with(void **state, unsigned flags, const char *id)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    cache_sync_init(&fixture->sync);
    fixture->sync.poll_ms = 5000;
    fixture->now_ms = 1000;
    assert_int_equal(cache_sync_find_or_create(&fixture->sync, id, &fixture->cache), ERR_NONE);
    fixture->watch = calloc(1, sizeof *fixture->watch);
    assert_non_null(fixture->watch);
    *fixture->watch = (struct artemis_watch){.flags = flags, .refs = 1};
    assert_int_equal(service_cache_add_watch(fixture->cache, fixture->watch, 0), ERR_NONE);
    *state = fixture;
    return 0;
}

static int start(void **state)
{
    return start_with(state, 0, "s");
}

static int start_current(void **state)
{
    return start_with(state, ARTEMIS_WATCH_CURRENT, "s");
}

static int start_everything(void **state)
{
    return start_with(state, 0, "*");
}

static int stop(void **state)
{
    struct fixture *fixture = *state;
    text_free(&fixture->action.message);
    text_free(&fixture->action.path);
    cache_sync_free(&fixture->sync);
    free(fixture);
    return 0;
}

/* --- messages and responses ------------------------------------------------------------------- */

static bool next(struct fixture *fixture, uint64_t *at_ms)
{
    text_free(&fixture->action.message);
    text_free(&fixture->action.path);
    return cache_sync_next(&fixture->sync, fixture->now_ms, &fixture->action, at_ms);
}

static void assert_sends(struct fixture *fixture, const char *expected)
{
    uint64_t at_ms;
    assert_true(next(fixture, &at_ms));
    assert_string_equal(text_string(&fixture->action.message), expected);
}

static void assert_fetches(struct fixture *fixture, const char *path)
{
    uint64_t at_ms;
    assert_true(next(fixture, &at_ms));
    assert_int_equal(fixture->action.message.size, 0);
    assert_string_equal(text_string(&fixture->action.path), path);
}

static void assert_idle_until(struct fixture *fixture, uint64_t expected_ms)
{
    uint64_t at_ms = 0;
    assert_false(next(fixture, &at_ms));
    assert_int_equal(at_ms, expected_ms);
}

#define SUBSCRIBE "{\"type\":\"subscribe\",\"service_id\":\"s\"}"
#define PATH      "/api/discovery/service?service_id=s&status=all"

static void receive(struct fixture *fixture, const char *json)
{
    struct push_message message;
    assert_int_equal(wire_read_push(slice_of(json), &message), ERR_NONE);
    cache_sync_push(&fixture->sync, &message, fixture->now_ms, 0);
}

static void subscribed(struct fixture *fixture, const char *id, int version, const char *epoch)
{
    char json[200];
    snprintf(json, sizeof json,
             "{\"type\":\"subscribed\",\"service_id\":\"%s\",\"version\":%d,\"run\":\"%s\"}", id,
             version, epoch);
    receive(fixture, json);
}

/* Writes "1:80 2:81" as instances of the service; a `form` wraps each in a change. */
static void write_list(char *out, size_t size, const char *list, const char *form)
{
    size_t used = 0;
    out[0] = '\0';
    for (const char *at = list; *at; at += strcspn(at, " "), at += strspn(at, " ")) {
        char instance[256];
        const char *type = *at == '+' ? "new" : *at == '~' ? "change" : "delete";
        at += *at == '+' || *at == '~' || *at == '-';
        snprintf(instance, sizeof instance,
                 "{\"region_id\":\"r\",\"zone_id\":\"z\",\"service_id\":\"s\","
                 "\"instance_id\":\"%c\",\"ip\":\"h\",\"port\":%ld}",
                 at[0], strtol(at + 2, NULL, 10));
        used += (size_t)snprintf(out + used, size - used, "%s", used ? "," : "");
        used += (size_t)snprintf(out + used, size - used, "%s", *form ? "{\"instance\":" : "");
        used += (size_t)snprintf(out + used, size - used, "%s", instance);
        if (*form)
            used += (size_t)snprintf(out + used, size - used, ",\"change_type\":\"%s\"}", type);
    }
}

static void pushed(struct fixture *fixture, int version, const char *list)
{
    char changes[2048];
    char json[2400];
    write_list(changes, sizeof changes, list, "change");
    snprintf(json, sizeof json,
             "{\"type\":\"service_change\",\"service_id\":\"s\",\"version\":%d,\"changes\":[%s]}",
             version, changes);
    receive(fixture, json);
}

static void reloaded(struct fixture *fixture, const char *id, int version, const char *list,
                     const char *more)
{
    char changes[2048];
    char json[2600];
    write_list(changes, sizeof changes, list, "change");
    snprintf(json, sizeof json,
             "{\"type\":\"service_change\",\"service_id\":\"%s\",\"version\":%d,%s"
             "\"changes\":[{\"instance\":{\"instance_id\":\"reload\"},\"change_type\":\"reload\"}"
             "%s%s]}",
             id, version, more, *changes ? "," : "", changes);
    receive(fixture, json);
}

static void fetched(struct fixture *fixture, int version, const char *list)
{
    char instances[2048];
    char json[2400];
    struct wire_instances read;
    write_list(instances, sizeof instances, list, "");
    snprintf(json, sizeof json,
             "{\"response_status\":{\"error_code\":\"success\"},\"version\":%d,"
             "\"service\":{\"service_id\":\"s\",\"instances\":[%s]}}",
             version, instances);
    assert_int_equal(wire_read_instances(slice_of(json), &read), ERR_NONE);
    cache_sync_fetched(&fixture->sync, fixture->action.id, fixture->action.generation, &read,
                       "\"tag\"", fixture->now_ms, 0);
    wire_free_instances(&read);
}

static void assert_logged(struct fixture *fixture, const char *expected)
{
    static const char signs[] = {
        [ARTEMIS_NEW] = '+', [ARTEMIS_CHANGE] = '~', [ARTEMIS_DELETE] = '-'};
    struct queued_callback *callback;
    size_t size = 0;
    fixture->log[0] = '\0';
    while ((callback = callback_queue_take(&fixture->sync.callbacks))) {
        const struct shared_instance *instance = callback->now ? callback->now : callback->before;
        size += (size_t)snprintf(fixture->log + size, sizeof fixture->log - size, "%s%c%s:%u",
                                 size ? " " : "", signs[callback->type], instance->view.instance_id,
                                 instance->view.port);
        queued_callback_free(callback);
    }
    assert_string_equal(fixture->log, expected);
}

static void assert_fresh(struct fixture *fixture, bool fresh, size_t count)
{
    assert_int_equal(fixture->cache->fresh, fresh);
    assert_int_equal(fixture->cache->instances.count, count);
}

/* Connects, subscribes and fetches. */
static void begin(struct fixture *fixture, const char *list)
{
    cache_sync_connected(&fixture->sync, false, fixture->now_ms);
    assert_sends(fixture, SUBSCRIBE);
    subscribed(fixture, "s", 10, "A");
    assert_fetches(fixture, PATH);
    fetched(fixture, 8, list);
    assert_fresh(fixture, true, (strlen(list) + 1) / 5);
}

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
    assert_fetches(fixture, PATH);
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
    assert_fetches(fixture, PATH);
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
    cache_sync_fetched(&fixture->sync, "s", fixture->action.generation, NULL, "", fixture->now_ms,
                       0);
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

#define TEST(name)            cmocka_unit_test_setup_teardown(name, start, stop)
#define TEST_FROM(name, from) cmocka_unit_test_setup_teardown(name, from, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_action_without_a_connection),
        TEST(first_state_is_not_a_change_but_pushes_are),
        TEST_FROM(watch_current_reports_existing_instances, start_current),
        TEST(pushes_during_a_fetch_apply_if_they_are_newer),
        TEST(too_many_pushes_during_a_fetch_are_dropped_and_fetched),
        TEST(changes_without_an_instance_are_ignored),
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
        TEST(unused_service_is_unsubscribed_and_removed),
        TEST(discovered_service_is_removed_after_ten_idle_minutes),
        TEST(without_memory_nothing_is_missed_or_reported_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
