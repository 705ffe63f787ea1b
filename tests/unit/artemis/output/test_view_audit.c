/* SPDX-License-Identifier: Apache-2.0
 *
 * Records of the audit log: which are selected, and how they are printed.
 */
#include "artemis/output/view_audit.h"

#include "tests/support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#define NOW_MS 1770000000000ull /* 2026-02-02T02:40:00Z */

static const char *since(const char *text)
{
    static struct audit_filter filter;
    filter = (struct audit_filter){0};
    return audit_filter_since(&filter, text, NOW_MS) ? filter.since : NULL;
}

static void since_is_a_span_a_day_or_a_time(void **state)
{
    (void)state;
    static const char *const invalid[] = {"",          "1",          "h",   "1w",   "-1h", "1h ",
                                          "12345678d", "2026-13-01", "now", "1.5h", "1hm"};
    assert_string_equal(since("90s"), "2026-02-02T02:38:30");
    assert_string_equal(since("15m"), "2026-02-02T02:25:00");
    assert_string_equal(since("3h"), "2026-02-01T23:40:00");
    assert_string_equal(since("2d"), "2026-01-31T02:40:00");
    assert_string_equal(since("999999d"), "1970-01-01T00:00:00");
    assert_string_equal(since("2026-01-31"), "2026-01-31");
    assert_string_equal(since("2026-01-31T12:00:00Z"), "2026-01-31T12:00:00");
    for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++)
        if (since(invalid[i]))
            fail_msg("\"%s\" is accepted", invalid[i]);
}

static json_t *record_of(const char *text)
{
    json_t *record = json_loads(text, 0, NULL);
    assert_non_null(record);
    return record;
}

static void filters_select_by_member_and_time(void **state)
{
    (void)state;
    json_t *record = record_of("{\"time\":\"2026-02-02T02:40:00.123Z\",\"token\":\"ops\","
                               "\"action\":\"reload\",\"object\":\"o\"}");
    const struct audit_filter all = {0};
    assert_true(audit_filter_matches(&all, record));
    assert_true(audit_filter_matches(&(struct audit_filter){.token = "ops"}, record));
    assert_false(audit_filter_matches(&(struct audit_filter){.token = "op"}, record));
    assert_true(audit_filter_matches(&(struct audit_filter){.action = "reload"}, record));
    assert_false(audit_filter_matches(&(struct audit_filter){.action = "restore"}, record));
    assert_false(audit_filter_matches(&(struct audit_filter){.object = "other"}, record));
    assert_true(
        audit_filter_matches(&(struct audit_filter){.since = "2026-02-02T02:40:00"}, record));
    assert_false(
        audit_filter_matches(&(struct audit_filter){.since = "2026-02-02T02:40:01"}, record));
    assert_false(audit_filter_matches(&(struct audit_filter){.since = "2026-02-03"}, record));
    json_decref(record);
}

static void check_printed(const char *text, size_t columns, const char *expected)
{
    char *printed = NULL;
    size_t size = 0;
    json_t *record = record_of(text);
    FILE *out = open_memstream(&printed, &size);
    assert_non_null(out);
    view_audit_record(record, out, columns);
    fclose(out);
    json_decref(record);
    assert_string_equal(printed, expected);
    free(printed);
}

static void records_are_one_line(void **state)
{
    (void)state;
    static const char full[] =
        "{\"time\":\"2026-02-02T02:40:00.123Z\",\"token\":\"ops\",\"address\":\"10.0.0.1:1\","
        "\"action\":\"release-guard\",\"object\":\"web\",\"before\":\"engaged\","
        "\"after\":\"released\",\"outcome\":\"done\"}";
    check_printed(full, 0,
                  "2026-02-02 02:40:00  release-guard   web: engaged -> released  done  by ops at "
                  "10.0.0.1:1\n");
    check_printed(full, 40, "2026-02-02 02:40:00  release-guard   we…\n");
    check_printed("{\"time\":\"2026-02-02T02:40:00.123Z\",\"address\":\"signal HUP\","
                  "\"action\":\"reload\",\"after\":\"1 changed\",\"outcome\":\"done\"}",
                  0, "2026-02-02 02:40:00  reload          1 changed  done  by signal HUP\n");
    check_printed("{\"time\":\"2026-02-02T02:40:00.123Z\",\"address\":\"signal HUP\","
                  "\"action\":\"change-setting\",\"object\":\"auth.tokens shop\","
                  "\"before\":\"read\",\"outcome\":\"done\"}",
                  0,
                  "2026-02-02 02:40:00  change-setting  auth.tokens shop: read -> (none)  done  by "
                  "signal HUP\n");
    check_printed("{\"time\":\"2026-02-02T02:40:00.123Z\",\"address\":\"signal HUP\","
                  "\"action\":\"change-setting\",\"object\":\"auth.tokens shop\","
                  "\"after\":\"read\",\"outcome\":\"done\"}",
                  0,
                  "2026-02-02 02:40:00  change-setting  auth.tokens shop: (none) -> read  done  by "
                  "signal HUP\n");
    check_printed("{\"time\":\"x\",\"action\":\"a\\u001b[2J\",\"object\":1}", 0,
                  "x   a\\x1b[2J         \n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(since_is_a_span_a_day_or_a_time),
        cmocka_unit_test(filters_select_by_member_and_time),
        cmocka_unit_test(records_are_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
