/* SPDX-License-Identifier: Apache-2.0
 *
 * How a service is kept in step: pushes that come before, during and after the fetch of the state,
 * reloads, lost connections, other servers, servers without pushes. The wire is text on both sides;
 * what watchers are told is written down as "+1:80" (instance and port), "~1:81", "-1:81".
 */
#include "libartemis/follow.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
    struct follow follow;
    struct entry *entry;
    struct artemis_watch *watch;
    struct follow_work work;
    uint64_t now_ms;
    char told[1024];
};

static int start_with(void **state, unsigned flags, const char *id)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    fixture->follow.poll_ms = 5000;
    fixture->now_ms = 1000;
    assert_int_equal(follow_entry(&fixture->follow, id, &fixture->entry), ERR_NONE);
    fixture->watch = calloc(1, sizeof *fixture->watch);
    assert_non_null(fixture->watch);
    *fixture->watch = (struct artemis_watch){.flags = flags, .refs = 1};
    assert_int_equal(entry_add_watch(fixture->entry, fixture->watch, 0), ERR_NONE);
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
    text_free(&fixture->work.say);
    text_free(&fixture->work.path);
    follow_free(&fixture->follow);
    free(fixture);
    return 0;
}

/* --- both sides of the wire ------------------------------------------------------------------- */

static bool next(struct fixture *fixture, uint64_t *at_ms)
{
    text_free(&fixture->work.say);
    text_free(&fixture->work.path);
    return follow_next(&fixture->follow, fixture->now_ms, &fixture->work, at_ms);
}

static void assert_says(struct fixture *fixture, const char *expected)
{
    uint64_t at_ms;
    assert_true(next(fixture, &at_ms));
    assert_string_equal(text_string(&fixture->work.say), expected);
}

static void assert_fetches(struct fixture *fixture, const char *path)
{
    uint64_t at_ms;
    assert_true(next(fixture, &at_ms));
    assert_int_equal(fixture->work.say.size, 0);
    assert_string_equal(text_string(&fixture->work.path), path);
}

static void assert_idle_until(struct fixture *fixture, uint64_t expected_ms)
{
    uint64_t at_ms = 0;
    assert_false(next(fixture, &at_ms));
    assert_int_equal(at_ms, expected_ms);
}

#define SUBSCRIBE "{\"type\":\"subscribe\",\"service_id\":\"s\"}"
#define PATH      "/api/discovery/service?service_id=s&status=all"

static void hear(struct fixture *fixture, const char *json)
{
    struct push_message message;
    assert_int_equal(wire_read_push(slice_of(json), &message), ERR_NONE);
    follow_heard(&fixture->follow, &message, fixture->now_ms, 0);
}

static void subscribed(struct fixture *fixture, const char *id, int version, const char *run)
{
    char json[200];
    snprintf(json, sizeof json,
             "{\"type\":\"subscribed\",\"service_id\":\"%s\",\"version\":%d,\"run\":\"%s\"}", id,
             version, run);
    hear(fixture, json);
}

/* "1:80 2:81" as instances of the service, with `form` around each. */
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
    hear(fixture, json);
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
    hear(fixture, json);
}

static void fetched(struct fixture *fixture, int version, const char *list)
{
    char instances[2048];
    char json[2400];
    struct wire_state read;
    write_list(instances, sizeof instances, list, "");
    snprintf(json, sizeof json,
             "{\"response_status\":{\"error_code\":\"success\"},\"version\":%d,"
             "\"service\":{\"service_id\":\"s\",\"instances\":[%s]}}",
             version, instances);
    assert_int_equal(wire_read_state(slice_of(json), &read), ERR_NONE);
    follow_fetched(&fixture->follow, fixture->work.id, fixture->work.generation, &read, "\"tag\"",
                   fixture->now_ms, 0);
    wire_free_state(&read);
}

static void assert_told(struct fixture *fixture, const char *expected)
{
    static const char signs[] = {
        [ARTEMIS_NEW] = '+', [ARTEMIS_CHANGE] = '~', [ARTEMIS_DELETE] = '-'};
    struct event *event;
    size_t size = 0;
    fixture->told[0] = '\0';
    while ((event = events_take(&fixture->follow.events))) {
        const struct record *record = event->now ? event->now : event->before;
        size += (size_t)snprintf(fixture->told + size, sizeof fixture->told - size, "%s%c%s:%u",
                                 size ? " " : "", signs[event->type], record->view.instance_id,
                                 record->view.port);
        event_free(event);
    }
    assert_string_equal(fixture->told, expected);
}

static void assert_fresh(struct fixture *fixture, bool fresh, size_t count)
{
    assert_int_equal(fixture->entry->fresh, fresh);
    assert_int_equal(fixture->entry->cache.count, count);
}

/* Connects, subscribes and fetches. */
static void begin(struct fixture *fixture, const char *list)
{
    follow_connected(&fixture->follow, false, fixture->now_ms);
    assert_says(fixture, SUBSCRIBE);
    subscribed(fixture, "s", 10, "A");
    assert_fetches(fixture, PATH);
    fetched(fixture, 8, list);
    assert_fresh(fixture, true, (strlen(list) + 1) / 5);
}

/* --- pushes ----------------------------------------------------------------------------------- */

static void nothing_is_done_without_a_connection(void **state)
{
    struct fixture *fixture = *state;
    assert_idle_until(fixture, UINT64_MAX);
    pushed(fixture, 1, "+1:80");
    assert_fresh(fixture, false, 0);
}

static void first_state_is_no_change_and_pushes_are(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "1:80 2:80");
    assert_told(fixture, "");
    pushed(fixture, 11, "+3:80 ~1:81 -2:80");
    assert_told(fixture, "+3:80 ~1:81 -2:80");
    assert_fresh(fixture, true, 2);
    assert_idle_until(fixture, UINT64_MAX);
}

static void who_asked_for_what_is_there_is_told(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "1:80 2:80");
    assert_told(fixture, "+1:80 +2:80");
}

static void pushes_during_the_fetch_count_if_they_are_newer(void **state)
{
    struct fixture *fixture = *state;
    follow_connected(&fixture->follow, false, fixture->now_ms);
    assert_says(fixture, SUBSCRIBE);
    subscribed(fixture, "s", 10, "A");
    pushed(fixture, 11, "+9:80"); /* before the fetch begins */
    assert_fetches(fixture, PATH);
    pushed(fixture, 12, "-9:80");
    pushed(fixture, 14, "+3:80");
    fetched(fixture, 12, "1:80 2:80"); /* so 11 and 12 are in it */
    assert_told(fixture, "+3:80");
    assert_fresh(fixture, true, 3);
}

static void push_that_is_partly_in_the_fetched_state_flips_nothing(void **state)
{
    struct fixture *fixture = *state;
    follow_connected(&fixture->follow, false, fixture->now_ms);
    assert_says(fixture, SUBSCRIBE);
    subscribed(fixture, "s", 10, "A");
    assert_fetches(fixture, PATH);
    pushed(fixture, 13, "~1:81 ~1:82 ~1:83 +2:80"); /* 11 to 13 */
    fetched(fixture, 12, "1:82");
    assert_told(fixture, "~1:83 +2:80");
}

static void push_that_is_known_already_is_passed_over(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "1:80 2:80");
    pushed(fixture, 11, "~1:81");
    pushed(fixture, 11, "~1:80"); /* what "*" gets beside it */
    pushed(fixture, 9, "-1:80");
    assert_told(fixture, "~1:81");
}

static void reload_tells_the_difference_only(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "1:80 2:80");
    reloaded(fixture, "s", 20, "+1:80 +2:99 +3:80", "");
    assert_told(fixture, "~2:99 +3:80");
    reloaded(fixture, "s", 21, "", "");
    assert_told(fixture, "-1:80 -2:99 -3:80");
    assert_fresh(fixture, true, 0);
}

static void reload_that_is_not_complete_is_fetched(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "1:80 2:80");
    reloaded(fixture, "s", 20, "", "\"complete\":false,");
    assert_told(fixture, "");
    pushed(fixture, 21, "+4:80"); /* waits */
    assert_fetches(fixture, PATH);
    fetched(fixture, 20, "1:80 3:80");
    assert_told(fixture, "-2:80 +3:80 +4:80");
}

/* --- lost connections ------------------------------------------------------------------------- */

static void same_run_resumes_at_the_version(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "1:80 2:80");
    pushed(fixture, 15, "+3:80");
    assert_told(fixture, "+3:80");
    fixture->now_ms = 5000;
    follow_lost(&fixture->follow);
    assert_fresh(fixture, false, 3);
    assert_idle_until(fixture, UINT64_MAX);
    follow_connected(&fixture->follow, false, fixture->now_ms);
    assert_says(fixture, "{\"type\":\"subscribe\",\"service_id\":\"s\",\"version\":15,"
                         "\"run\":\"A\"}");
    subscribed(fixture, "s", 17, "A");
    assert_fresh(fixture, true, 3);
    reloaded(fixture, "s", 16, "+1:80 +2:80", ""); /* it had changed */
    assert_told(fixture, "-3:80");
    pushed(fixture, 18, "+4:80");
    assert_told(fixture, "+4:80");
}

static void other_run_reloads_and_misses_nothing(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "1:80 2:80");
    follow_lost(&fixture->follow);
    follow_connected(&fixture->follow, false, fixture->now_ms);
    assert_says(fixture, "{\"type\":\"subscribe\",\"service_id\":\"s\",\"version\":10,"
                         "\"run\":\"A\"}");
    subscribed(fixture, "s", 3, "B"); /* its versions are lower */
    assert_fresh(fixture, false, 2);
    reloaded(fixture, "s", 3, "+2:80 +3:80", "");
    assert_told(fixture, "-1:80 +3:80");
    assert_fresh(fixture, true, 2);
    pushed(fixture, 4, "-3:80");
    assert_told(fixture, "-3:80");
}

static void other_run_that_does_not_reload_is_asked(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "1:80 2:80");
    follow_lost(&fixture->follow);
    follow_connected(&fixture->follow, false, fixture->now_ms);
    uint64_t at_ms;
    assert_true(next(fixture, &at_ms));
    subscribed(fixture, "s", 3, "B");
    assert_idle_until(fixture, fixture->now_ms + FOLLOW_PATIENCE_MS);
    fixture->now_ms += FOLLOW_PATIENCE_MS;
    assert_fetches(fixture, PATH);
    fetched(fixture, 3, "1:80");
    assert_told(fixture, "-2:80");
}

/* A connection that ends between "subscribed" and the state must not pass the old state off as that
 * of the new server. */
static void version_is_not_named_before_the_state_is_there(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "1:80 2:80");
    follow_lost(&fixture->follow);
    follow_connected(&fixture->follow, false, fixture->now_ms);
    uint64_t at_ms;
    assert_true(next(fixture, &at_ms));
    subscribed(fixture, "s", 30, "B");
    follow_lost(&fixture->follow);
    follow_connected(&fixture->follow, false, fixture->now_ms);
    assert_says(fixture, SUBSCRIBE);
}

static void answer_to_a_fetch_of_before_is_not_taken(void **state)
{
    struct fixture *fixture = *state;
    follow_connected(&fixture->follow, false, fixture->now_ms);
    assert_says(fixture, SUBSCRIBE);
    subscribed(fixture, "s", 10, "A");
    assert_fetches(fixture, PATH);
    follow_lost(&fixture->follow);
    fetched(fixture, 10, "1:80");
    assert_fresh(fixture, false, 0);
    assert_false(fixture->entry->known);
    assert_int_equal(fixture->follow.fetches, 0);
}

/* --- other servers ---------------------------------------------------------------------------- */

static void server_without_pushes_is_polled(void **state)
{
    struct fixture *fixture = *state;
    follow_connected(&fixture->follow, true, fixture->now_ms);
    assert_fetches(fixture, PATH);
    assert_string_equal(fixture->work.etag, "");
    fetched(fixture, 5, "1:80 2:80");
    assert_fresh(fixture, true, 2);
    assert_idle_until(fixture, fixture->now_ms + 5000);
    fixture->now_ms += 5000;
    assert_fetches(fixture, PATH);
    assert_string_equal(fixture->work.etag, "\"tag\"");
    follow_fetched(&fixture->follow, "s", fixture->work.generation, NULL, "", fixture->now_ms, 0);
    assert_told(fixture, "");
    fixture->now_ms += 5000;
    assert_fetches(fixture, PATH);
    fetched(fixture, 6, "1:80");
    assert_told(fixture, "-2:80");
}

static void subscription_that_is_never_confirmed_is_polled(void **state)
{
    struct fixture *fixture = *state;
    follow_connected(&fixture->follow, false, fixture->now_ms);
    assert_says(fixture, SUBSCRIBE);
    hear(fixture, "{\"type\":\"error\",\"message\":\"no\"}");
    assert_idle_until(fixture, fixture->now_ms + FOLLOW_PATIENCE_MS);
    fixture->now_ms += FOLLOW_PATIENCE_MS;
    assert_fetches(fixture, PATH);
    fetched(fixture, 6, "1:80");
    assert_fresh(fixture, true, 1);
    assert_idle_until(fixture, fixture->now_ms + 5000);
}

static void refusal_is_kept_and_tried_again_later(void **state)
{
    struct fixture *fixture = *state;
    follow_connected(&fixture->follow, false, fixture->now_ms);
    assert_says(fixture, SUBSCRIBE);
    subscribed(fixture, "s", 10, "A");
    assert_fetches(fixture, PATH);
    follow_refused(&fixture->follow, "s", fixture->work.generation, "no permission",
                   fixture->now_ms);
    assert_true(fixture->entry->refused);
    assert_string_equal(fixture->entry->reason, "no permission");
    assert_idle_until(fixture, fixture->now_ms + FOLLOW_REFUSED_MS);
    fixture->now_ms += FOLLOW_REFUSED_MS;
    assert_fetches(fixture, PATH);
    fetched(fixture, 10, "1:80");
    assert_false(fixture->entry->refused);
}

/* --- everything ------------------------------------------------------------------------------- */

static void everything_hears_of_each_service(void **state)
{
    struct fixture *fixture = *state;
    follow_connected(&fixture->follow, false, fixture->now_ms);
    assert_says(fixture, "{\"type\":\"subscribe\",\"service_id\":\"*\"}");
    subscribed(fixture, "*", 10, "A");
    assert_fetches(fixture, "/api/discovery/services");
    fetched(fixture, 10, "1:80");
    pushed(fixture, 11, "+2:80");
    assert_told(fixture, "+2:80");
    reloaded(fixture, "*", 20, "", "\"complete\":false,");
    assert_fetches(fixture, "/api/discovery/services");
    fetched(fixture, 20, "2:80");
    assert_told(fixture, "-1:80");
    follow_lost(&fixture->follow);
    follow_connected(&fixture->follow, false, fixture->now_ms);
    assert_says(fixture, "{\"type\":\"subscribe\",\"service_id\":\"*\"}");
}

static void message_for_one_and_for_everything_reaches_both(void **state)
{
    struct fixture *fixture = *state;
    struct entry *one;
    uint64_t at_ms;
    assert_int_equal(follow_entry(&fixture->follow, "s", &one), ERR_NONE);
    one->pins++;
    follow_connected(&fixture->follow, false, fixture->now_ms);
    assert_true(next(fixture, &at_ms));
    assert_true(next(fixture, &at_ms));
    subscribed(fixture, "*", 10, "A");
    subscribed(fixture, "s", 10, "A");
    pushed(fixture, 11, "+2:80"); /* both wait for their state */
    for (int i = 0; i < 2; i++) {
        assert_true(next(fixture, &at_ms));
        fetched(fixture, 10, "1:80");
    }
    assert_int_equal(one->cache.count, 2);
    assert_int_equal(fixture->entry->cache.count, 2);
    assert_told(fixture, "+2:80");
    one->pins--;
}

/* --- who is interested ------------------------------------------------------------------------ */

static void nobody_interested_is_unsubscribed_and_forgotten(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "1:80");
    entry_remove_watch(fixture->entry, fixture->watch);
    watch_unref(fixture->watch);
    assert_says(fixture, "{\"type\":\"unsubscribe\",\"service_id\":\"s\"}");
    assert_null(fixture->follow.entries);
    pushed(fixture, 30, "+9:80"); /* was on its way */
    assert_idle_until(fixture, UINT64_MAX);
}

static void discovered_is_forgotten_when_not_asked_for_in_ten_minutes(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "1:80");
    fixture->entry->used = true;
    fixture->entry->used_ms = fixture->now_ms;
    entry_remove_watch(fixture->entry, fixture->watch);
    watch_unref(fixture->watch);
    assert_idle_until(fixture, fixture->now_ms + FOLLOW_IDLE_MS);
    fixture->now_ms += FOLLOW_IDLE_MS;
    assert_says(fixture, "{\"type\":\"unsubscribe\",\"service_id\":\"s\"}");
}

/* --- memory ----------------------------------------------------------------------------------- */

/* Whatever allocation fails while a reload is applied: in the end the truth is known, and every
 * difference was told once. */
static void without_memory_nothing_is_missed_and_nothing_told_twice(void **state)
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
        follow_heard(&fixture->follow, &message, fixture->now_ms, 0);
        bool happened = failing_malloc_happened();
        failing_malloc_after(-1);
        if (!happened)
            break;
        assert_told(fixture, "");
        assert_false(fixture->entry->fresh);
        fixture->now_ms += FOLLOW_NO_MEMORY_MS;
        assert_fetches(fixture, PATH);
        fetched(fixture, 100 + (int)n, "1:80 2:80");
        assert_told(fixture, "");
    }
}

#define TEST(name)            cmocka_unit_test_setup_teardown(name, start, stop)
#define TEST_FROM(name, from) cmocka_unit_test_setup_teardown(name, from, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_done_without_a_connection),
        TEST(first_state_is_no_change_and_pushes_are),
        TEST_FROM(who_asked_for_what_is_there_is_told, start_current),
        TEST(pushes_during_the_fetch_count_if_they_are_newer),
        TEST(push_that_is_partly_in_the_fetched_state_flips_nothing),
        TEST(push_that_is_known_already_is_passed_over),
        TEST(reload_tells_the_difference_only),
        TEST(reload_that_is_not_complete_is_fetched),
        TEST(same_run_resumes_at_the_version),
        TEST(other_run_reloads_and_misses_nothing),
        TEST(other_run_that_does_not_reload_is_asked),
        TEST(version_is_not_named_before_the_state_is_there),
        TEST(answer_to_a_fetch_of_before_is_not_taken),
        TEST(server_without_pushes_is_polled),
        TEST(subscription_that_is_never_confirmed_is_polled),
        TEST(refusal_is_kept_and_tried_again_later),
        TEST_FROM(everything_hears_of_each_service, start_everything),
        TEST_FROM(message_for_one_and_for_everything_reaches_both, start_everything),
        TEST(nobody_interested_is_unsubscribed_and_forgotten),
        TEST(discovered_is_forgotten_when_not_asked_for_in_ten_minutes),
        TEST(without_memory_nothing_is_missed_and_nothing_told_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
