/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON of events between the client and its servers, and that each allocation may fail.
 */
#include "libartemis/wire/wire.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

#include <string.h>

#define EVENT                                                                                      \
    "{\"type\":\"event\",\"topic\":\"t\",\"node_id\":\"n\",\"run\":\"00000000000000aa\","          \
    "\"number\":3,\"time\":\"2026-02-14T08:00:00Z\",\"payload\":[1.50,\"\\u00e4\",null]}"

static void requests_are_written(void **state)
{
    struct text text = {0};
    (void)state;
    wire_write_event(&text, "t", SLICE("{\"a\":1}"));
    assert_string_equal(text_string(&text), "{\"topic\":\"t\",\"payload\":{\"a\":1}}");
    text_clear(&text);
    wire_write_topic(&text, "t", true);
    assert_string_equal(text_string(&text), "{\"type\":\"subscribe_topic\",\"topic\":\"t\"}");
    text_clear(&text);
    wire_write_topic(&text, "t", false);
    assert_string_equal(text_string(&text), "{\"type\":\"unsubscribe_topic\",\"topic\":\"t\"}");
    text_free(&text);
}

static enum error read_published(const char *json, struct wire_result *result,
                                 struct artemis_published *published)
{
    struct wire_reader reader;
    wire_reader_start_published(&reader, result, published);
    enum error error = wire_reader_feed(&reader, slice_of(json));
    if (!error)
        error = wire_reader_end(&reader);
    wire_reader_free(&reader);
    return error;
}

static void response_to_a_publication_names_the_event(void **state)
{
    struct wire_result result;
    struct artemis_published published;
    (void)state;
    assert_int_equal(read_published("{\"response_status\":{\"error_code\":\"success\"},"
                                    "\"node_id\":\"n\",\"run\":\"00000000000000aa\",\"number\":7}",
                                    &result, &published),
                     ERR_NONE);
    assert_true(result.done);
    assert_string_equal(published.node_id, "n");
    assert_string_equal(published.run, "00000000000000aa");
    assert_int_equal(published.number, 7);
    wire_free_result(&result);
    assert_int_equal(read_published("{\"response_status\":{\"error_code\":\"bad-request\","
                                    "\"error_message\":\"topic: no\"}}",
                                    &result, &published),
                     ERR_NONE);
    assert_false(result.done);
    assert_string_equal(result.message, "topic: no");
    assert_string_equal(published.node_id, "");
    wire_free_result(&result);
    assert_int_equal(read_published("<html>", &result, &published), ERR_INVALID_JSON);
    wire_free_result(&result);
}

static void payload_is_kept(void **state)
{
    struct push_message message;
    (void)state;
    assert_int_equal(wire_read_push(SLICE(EVENT), &message), ERR_NONE);
    assert_int_equal(message.type, PUSH_EVENT);
    assert_string_equal(message.topic, "t");
    assert_string_equal(message.event->view.payload, "[1.5,\"\xc3\xa4\",null]");
    assert_int_equal(message.event->view.time_ms, 1771056000000);
    wire_free_push(&message);
    assert_null(message.event);
}

/* The content of a payload is no list of changes. */
static void payload_of_any_form_is_kept(void **state)
{
    static const char *const payloads[] = {
        "[{\"changes\":[{\"change_type\":\"new\"},[{}]]}]",
        "{\"changes\":[{\"a\":[]}],\"topic\":\"u\"}",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
        "\"\\\"]}\"",
        "true",
    };
    (void)state;
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        struct push_message message;
        struct text json = {0};
        text_printf(&json,
                    "{\"payload\":%s,\"topic\":\"t\",\"node_id\":\"n\",\"number\":3,"
                    "\"run\":\"00000000000000aa\",\"type\":\"event\"}",
                    payloads[i]);
        assert_int_equal(wire_read_push(slice_of(text_string(&json)), &message), ERR_NONE);
        assert_int_equal(message.count, 0);
        assert_string_equal(message.topic, "t");
        assert_string_equal(message.event->view.payload, payloads[i]);
        wire_free_push(&message);
        text_free(&json);
    }
}

static void event_survives_each_failed_allocation(void **state)
{
    struct push_message message;
    (void)state;
    for (long n = 1;; n++) {
        long live = failing_malloc_live();
        failing_malloc_after(n);
        enum error error = wire_read_push(SLICE(EVENT), &message);
        bool happened = failing_malloc_happened();
        failing_malloc_after(-1);
        assert_int_equal(error, happened ? ERR_NO_MEMORY : ERR_NONE);
        if (!happened)
            break;
        assert_null(message.event);
        assert_int_equal(failing_malloc_live(), live);
    }
    assert_non_null(message.event);
    wire_free_push(&message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_written),
        cmocka_unit_test(response_to_a_publication_names_the_event),
        cmocka_unit_test(payload_is_kept),
        cmocka_unit_test(payload_of_any_form_is_kept),
        cmocka_unit_test(event_survives_each_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
