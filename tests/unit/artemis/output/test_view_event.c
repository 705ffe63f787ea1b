/* SPDX-License-Identifier: Apache-2.0
 *
 * How events of topics are printed.
 */
#include "artemis/output/view_event.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

#include <stdlib.h>
#include <string.h>

#define RUN "00000000000000aa"

static const struct artemis_event event = {
    .type = ARTEMIS_EVENT,
    .topic = "deploys",
    .node_id = "n\x1b[2J",
    .run = RUN,
    .number = 7,
    .time_ms = 1771056000123,
    .payload = "{\"a\":\"\xe2\x80\xae\\n\"}",
    .payload_size = 13,
};

static char *printed;
static size_t printed_size;

static FILE *begin(void)
{
    free(printed);
    printed = NULL;
    FILE *out = open_memstream(&printed, &printed_size);
    assert_non_null(out);
    return out;
}

static int stop(void **state)
{
    (void)state;
    free(printed);
    printed = NULL;
    return 0;
}

static void event_is_an_escaped_line(void **state)
{
    (void)state;
    assert_int_equal(strlen(event.payload), event.payload_size);
    FILE *out = begin();
    view_event(&event, out);
    fclose(out);
    assert_string_equal(printed, "2026-02-14T08:00:00.123Z  deploys  n\\x1b[2J  "
                                 "{\"a\":\"\\u202e\\n\"}\n");
}

static void event_is_a_json_object_on_a_line(void **state)
{
    (void)state;
    FILE *out = begin();
    assert_int_equal(view_event_json(&event, out), ERR_NONE);
    fclose(out);
    assert_string_equal(printed, "{\"topic\":\"deploys\",\"node_id\":\"n\\u001b[2J\",\"run\":\"" RUN
                                 "\",\"number\":7,\"time\":\"2026-02-14T08:00:00.123Z\","
                                 "\"payload\":{\"a\":\"\\u202e\\n\"}}\n");
}

static void json_without_memory_prints_nothing(void **state)
{
    (void)state;
    for (long n = 1;; n++) {
        FILE *out = begin();
        failing_malloc_after(n);
        enum error error = view_event_json(&event, out);
        bool happened = failing_malloc_happened();
        failing_malloc_after(-1);
        fclose(out);
        assert_int_equal(error, happened ? ERR_NO_MEMORY : ERR_NONE);
        if (!happened)
            break;
        assert_int_equal(printed_size, 0);
    }
    assert_true(printed_size > 0);
}

static void lost_events_are_an_error_line(void **state)
{
    const struct artemis_event some = {.type = ARTEMIS_EVENTS_LOST, .topic = "t", .lost = 5};
    const struct artemis_event one = {.type = ARTEMIS_EVENTS_LOST, .topic = "t", .lost = 1};
    const struct artemis_event unknown = {.type = ARTEMIS_EVENTS_LOST, .topic = "t"};
    (void)state;
    FILE *out = begin();
    view_events_lost(&some, out);
    view_events_lost(&one, out);
    view_events_lost(&unknown, out);
    fclose(out);
    assert_string_equal(printed,
                        "artemis: t: 5 events were lost here\n"
                        "artemis: t: 1 event was lost here\n"
                        "artemis: t: the connection was lost; events may be missing here\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(event_is_an_escaped_line, stop),
        cmocka_unit_test_teardown(event_is_a_json_object_on_a_line, stop),
        cmocka_unit_test_teardown(json_without_memory_prints_nothing, stop),
        cmocka_unit_test_teardown(lost_events_are_an_error_line, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
