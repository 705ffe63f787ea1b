/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/json/codec_event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

#define RUN "00000000000000aa"

static struct event_message *event;
static char problem[MESSAGE_BYTES];

static int clear(void **state)
{
    (void)state;
    failing_malloc_after(-1);
    event_message_free(event);
    event = NULL;
    return 0;
}

static enum error read_with(enum error (*read)(struct slice, struct event_message **, char *),
                            const char *json)
{
    static char body[32 * 1024];
    snprintf(body, sizeof(body), "%s", json);
    for (char *c = body; *c; c++)
        if (*c == '\'')
            *c = '"';
    event_message_free(event);
    event = NULL;
    problem[0] = '\0';
    return read(slice_of(body), &event, problem);
}

static enum error publish(const char *json)
{
    return read_with(event_message_read_published, json);
}

static enum error from_peer(const char *json)
{
    return read_with(event_message_read_peer, json);
}

static void check_payload(const char *json, const char *expected)
{
    char body[512];
    snprintf(body, sizeof(body), "{'topic':'t','payload':%s}", json);
    assert_int_equal(publish(body), ERR_NONE);
    struct event_item item = event_message_item(event, 0);
    assert_true(slice_equal(item.topic, SLICE("t")));
    assert_true(slice_equal(item.payload, slice_of(expected)));
}

static void a_payload_is_any_json_value(void **state)
{
    (void)state;
    check_payload("1", "1");
    check_payload("null", "null");
    check_payload("true", "true");
    check_payload("'x\\n'", "\"x\\n\"");
    check_payload("[ 1, {} , [] ]", "[1,{},[]]");
    check_payload("{ 'z' : 1, 'a' : { 'payload': 2 } }", "{\"z\":1,\"a\":{\"payload\":2}}");
}

static void check_refused(const char *json, enum error error, const char *text)
{
    assert_int_equal(publish(json), error);
    if (!strstr(problem, text))
        fail_msg("%s: %s", json, problem);
}

static void what_is_not_an_event_is_refused(void **state)
{
    (void)state;
    check_refused("{}", ERR_INVALID_FIELD, "topic: must be 1 to 128");
    check_refused("", ERR_INVALID_FIELD, "topic: ");
    check_refused("{'topic':'t'}", ERR_INVALID_FIELD, "payload: is required");
    check_refused("{'topic':'A','payload':1}", ERR_INVALID_FIELD, "is \"A\"");
    check_refused("{'topic':7,'payload':1}", ERR_INVALID_FIELD, "is 7");
    check_refused("{'topic':'t','payload':}", ERR_INVALID_JSON, "body: ");
    check_refused("[]", ERR_INVALID_JSON, "body: must be a JSON object");
    check_refused("{'topic':'t','payload':'\\u0000'}", ERR_INVALID_JSON, "NUL");
}

/* Without the blanks, which do not count. */
static void a_payload_has_a_size(void **state)
{
    (void)state;
    char body[EVENT_PAYLOAD_BYTES_MAX + 64];
    for (int more = 0; more <= 1; more++) {
        int filler = EVENT_PAYLOAD_BYTES_MAX - 2 + more;
        int at = snprintf(body, sizeof(body), "{'topic':'t','payload': '");
        memset(body + at, 'x', (size_t)filler);
        snprintf(body + at + filler, sizeof(body) - (size_t)(at + filler), "'}");
        assert_int_equal(publish(body), more ? ERR_BODY_TOO_LARGE : ERR_NONE);
    }
    assert_non_null(strstr(problem, "payload: must be at most 4096 bytes as JSON, is 4097"));
}

/* So that the messages that contain it can be parsed. */
static void a_payload_has_a_depth(void **state)
{
    (void)state;
    char body[4096];
    for (int depth = EVENT_PAYLOAD_DEPTH_MAX; depth <= 1000; depth += 968) {
        int at = snprintf(body, sizeof(body), "{'topic':'t','payload':");
        for (int i = 0; i < depth; i++)
            body[at++] = '[';
        for (int i = 0; i < depth; i++)
            body[at++] = ']';
        snprintf(body + at, sizeof(body) - (size_t)at, "}");
        assert_int_equal(publish(body),
                         depth > EVENT_PAYLOAD_DEPTH_MAX ? ERR_INVALID_FIELD : ERR_NONE);
    }
    assert_non_null(strstr(problem, "at most 32 levels"));
}

static void a_payload_is_read_alone(void **state)
{
    static const struct {
        const char *json, *text;
        enum error error;
    } bad[] = {
        {"", "payload: must be JSON in UTF-8", ERR_INVALID_FIELD},
        {"text", "is \"text\"", ERR_INVALID_FIELD},
        {"1,2", "payload: must be JSON", ERR_INVALID_FIELD},
        {"\"\xff\"", "is \"\\\"\\xff\\\"\"", ERR_INVALID_FIELD},
    };
    char *compact = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(event_payload_read(slice_of(bad[i].json), &compact, problem),
                         bad[i].error);
        if (!strstr(problem, bad[i].text))
            fail_msg("%s: %s", bad[i].json, problem);
        assert_null(compact);
    }
    for (long n = 1;; n++) {
        failing_malloc_after(n);
        enum error error = event_payload_read(SLICE(" [ 1, {\"a\":\"b\"} ]"), &compact, problem);
        bool happened = failing_malloc_happened();
        failing_malloc_after(-1);
        assert_int_equal(error, happened ? ERR_NO_MEMORY : ERR_NONE);
        if (!happened)
            break;
        assert_null(compact);
    }
    assert_string_equal(compact, "[1,{\"a\":\"b\"}]");
    free(compact);
}

static void events_of_a_peer_are_read_as_they_were_written(void **state)
{
    (void)state;
    struct text body = {0};
    struct json_writer w = jw_to(&body, CASING_SNAKE);
    const struct event_item items[] = {
        {1, 1700000000000, SLICE("orders"), SLICE("{\"id\":1}")},
        {INT64_MAX, 0, SLICE("artemis.guard"), SLICE("null")},
    };
    jw_open(&w, '{');
    jw_name(&w, "run");
    jw_string(&w, RUN);
    jw_name(&w, "events");
    jw_open(&w, '[');
    for (size_t i = 0; i < 2; i++)
        codec_write_peer_event(&w, &items[i]);
    jw_close(&w, ']');
    jw_close(&w, '}');
    assert_int_equal(from_peer(text_string(&body)), ERR_NONE);
    assert_int_equal(event_message_count(event), 2);
    for (size_t i = 0; i < 2; i++) {
        struct event_item read = event_message_item(event, i);
        assert_int_equal(read.number, items[i].number);
        assert_int_equal(read.wall_ms, items[i].wall_ms);
        assert_true(slice_equal(read.topic, items[i].topic));
        assert_true(slice_equal(read.payload, items[i].payload));
    }
    assert_true(slice_equal(event_message_run(event), SLICE(RUN)));
    assert_int_equal(event_message_to_run(event).size, 0);
    text_free(&body);
}

#define ITEM "{'number':1,'time_ms':2,'topic':'t','payload':'3'}"

static void one_invalid_event_of_a_peer_refuses_all(void **state)
{
    (void)state;
    static const struct {
        const char *json, *text;
    } bad[] = {
        {"{'events':[" ITEM "]}", "run: must be 16"},
        {"{'run':'zz','events':[" ITEM "]}", "run: must be 16"},
        {"{'run':'" RUN "','to_run':1,'events':[" ITEM "]}", "to_run: must be 16"},
        {"{'run':'" RUN "'}", "events: must be a list"},
        {"{'run':'" RUN "','events':{}}", "events: must be a list"},
        {"{'run':'" RUN "','events':[" ITEM ",7]}", "events[1]: must be an object"},
        {"{'run':'" RUN "','events':[" ITEM ",{}]}", "events[1].number: "},
        {"{'run':'" RUN "','events':[{'number':0,'time_ms':2,'topic':'t','payload':'3'}]}",
         "events[0].number: must be a number from 1"},
        {"{'run':'" RUN "','events':[{'number':1,'time_ms':-1,'topic':'t','payload':'3'}]}",
         "events[0].time_ms: "},
        {"{'run':'" RUN "','events':[{'number':1,'time_ms':253402300800000,'topic':'t',"
         "'payload':'3'}]}",
         "events[0].time_ms: "},
        {"{'run':'" RUN "','events':[{'number':1,'time_ms':1,'topic':'T','payload':'3'}]}",
         "events[0].topic: "},
        {"{'run':'" RUN "','events':[{'number':1,'time_ms':1,'topic':'t'}]}",
         "events[0].payload: must be a string"},
        {"{'run':'" RUN "','events':[{'number':1,'time_ms':1,'topic':'t','payload':3}]}",
         "events[0].payload: must be a string"},
        {"{'run':'" RUN "','events':[{'number':1,'time_ms':1,'topic':'t','payload':'1}'}]}",
         "events[0].payload: is not JSON"},
        {"{'run':'" RUN "','events':[{'number':1,'time_ms':1,'topic':'t','payload':''}]}",
         "events[0].payload: is not JSON"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(from_peer(bad[i].json), ERR_INVALID_FIELD);
        if (!strstr(problem, bad[i].text))
            fail_msg("%s: %s", bad[i].json, problem);
        assert_null(event);
    }
    assert_int_equal(from_peer("{'run':'" RUN "','to_run':'" RUN "','events':[" ITEM "]}"),
                     ERR_NONE);
    assert_true(slice_equal(event_message_to_run(event), SLICE(RUN)));
    assert_int_equal(from_peer("{'run':'" RUN "','events':[]}"), ERR_NONE);
    assert_int_equal(event_message_count(event), 0);
}

static void a_peer_sends_so_many_events_at_most(void **state)
{
    (void)state;
    struct text body = {0};
    for (int count = EVENTS_PER_MESSAGE_MAX; count <= EVENTS_PER_MESSAGE_MAX + 1; count++) {
        text_clear(&body);
        text_append_string(&body, "{'run':'" RUN "','events':[");
        for (int i = 0; i < count; i++)
            text_append_string(&body, i ? "," ITEM : ITEM);
        text_append_string(&body, "]}");
        assert_int_equal(from_peer(text_string(&body)),
                         count > EVENTS_PER_MESSAGE_MAX ? ERR_TOO_MANY_ITEMS : ERR_NONE);
    }
    text_free(&body);
}

/* As trees, these payloads together are larger than what a body may be. */
static void the_largest_payloads_of_a_message_are_read(void **state)
{
    (void)state;
    static char body[256 * (EVENT_PAYLOAD_BYTES_MAX + 64)];
    char payload[EVENT_PAYLOAD_BYTES_MAX];
    size_t size = 1;
    size_t at = (size_t)snprintf(body, sizeof(body), "{\"run\":\"" RUN "\",\"events\":[");
    payload[0] = '[';
    while (size + 4 < sizeof(payload)) {
        memcpy(payload + size, size > 1 ? ",{}" : "{} ", 3);
        size += 3;
    }
    payload[size++] = ']';
    for (int i = 0; i < 64; i++)
        at +=
            (size_t)snprintf(body + at, sizeof(body) - at,
                             "%s{\"number\":1,\"time_ms\":2,\"topic\":\"t\",\"payload\":\"%.*s\"}",
                             i ? "," : "", (int)size, payload);
    snprintf(body + at, sizeof(body) - at, "]}");
    event_message_free(event);
    event = NULL;
    assert_int_equal(event_message_read_peer(slice_of(body), &event, problem), ERR_NONE);
    assert_int_equal(event_message_count(event), 64);
}

static void each_failed_allocation_is_reported(void **state)
{
    (void)state;
    int failures = 1;
    enum error error = ERR_NO_MEMORY;
    while (error) {
        failing_malloc_after(failures++);
        error = from_peer("{'run':'" RUN "','events':[" ITEM "," ITEM "]}");
        failing_malloc_after(-1);
        assert_true(error == ERR_NONE || error == ERR_NO_MEMORY);
    }
    assert_true(failures > 5);
    assert_int_equal(event_message_count(event), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_payload_is_any_json_value, clear),
        cmocka_unit_test_teardown(what_is_not_an_event_is_refused, clear),
        cmocka_unit_test_teardown(a_payload_has_a_size, clear),
        cmocka_unit_test_teardown(a_payload_has_a_depth, clear),
        cmocka_unit_test_teardown(a_payload_is_read_alone, clear),
        cmocka_unit_test_teardown(events_of_a_peer_are_read_as_they_were_written, clear),
        cmocka_unit_test_teardown(one_invalid_event_of_a_peer_refuses_all, clear),
        cmocka_unit_test_teardown(a_peer_sends_so_many_events_at_most, clear),
        cmocka_unit_test_teardown(the_largest_payloads_of_a_message_are_read, clear),
        cmocka_unit_test_teardown(each_failed_allocation_is_reported, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
