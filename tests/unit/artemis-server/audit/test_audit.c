/* SPDX-License-Identifier: Apache-2.0
 *
 * The audit log: records, the limit of failures of authentication, and a file that cannot be
 * written while the queue fills.
 */
#include "artemis-server/audit/audit.h"

#include "artemis-server/audit/audit_file.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/temp_folder.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OBJECT_BYTES = 4000, RECORDS = 400, STOP_MS = 60 * 1000 };

static const struct moment now = {5000, 1770000000123};

static struct temp_folder folder;
static struct audit *audit;

static int set_up(void **state)
{
    (void)state;
    temp_folder_make(&folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    audit_stop(audit, STOP_MS);
    audit = NULL;
    temp_folder_remove(&folder);
    return 0;
}

static void start(const char *path)
{
    const struct audit_options options = {path, 1 << 20, 3, "node-1"};
    assert_int_equal(audit_start(&options, &audit), ERR_NONE);
}

/* The content of a file in the folder; the caller frees it. */
static char *read_file(const char *name)
{
    char path[128];
    size_t size = 4 << 20;
    char *text = malloc(size);
    assert_non_null(text);
    snprintf(path, sizeof path, "%s/%s", folder.path, name);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    text[fread(text, 1, size - 1, file)] = '\0';
    fclose(file);
    return text;
}

static void stop(void)
{
    audit_stop(audit, STOP_MS);
    audit = NULL;
}

static char *stop_and_read(void)
{
    stop();
    return read_file(AUDIT_FILE_NAME);
}

static struct audit_stats stats(void)
{
    struct audit_stats stats;
    audit_stats(audit, &stats);
    return stats;
}

static void record_has_the_members_that_are_given(void **state)
{
    (void)state;
    start(folder.path);
    audit_record(audit,
                 &(struct audit_event){.origin = {"ops", "127.0.0.1:4711"},
                                       .action = "release-guard",
                                       .object = "a \"b\"\n\xff",
                                       .before = "",
                                       .after = "released",
                                       .outcome = "done"},
                 now);
    char *text = stop_and_read();
    assert_string_equal(text, "{\"time\":\"2026-02-02T02:40:00.123Z\",\"node\":\"node-1\","
                              "\"token\":\"ops\",\"address\":\"127.0.0.1:4711\","
                              "\"action\":\"release-guard\","
                              "\"object\":\"\\\"a \\\\\\\"b\\\\\\\"\\\\x0a\\\\xff\\\"\","
                              "\"after\":\"released\",\"outcome\":\"done\"}\n");
    free(text);
}

static void failures_beyond_the_limit_are_counted(void **state)
{
    (void)state;
    const struct audit_event event = {.action = "authenticate", .outcome = "invalid-token"};
    int recorded = 0;
    start(folder.path);
    for (int i = 0; i < 20; i++)
        recorded += audit_record_failure(audit, &event, now);
    assert_int_equal(recorded, AUDIT_FAILURES_PER_SECOND);
    assert_int_equal(stats().left_out, 20 - AUDIT_FAILURES_PER_SECOND);
    audit_record(audit, &(struct audit_event){.action = "reload"}, now); /* has no such limit */
    assert_true(audit_record_failure(audit, &event, (struct moment){6000, now.wall_ms + 1000}));
    char *actions = stop_and_read(); /* the rest is summarized at the end */
    char *text = read_file(AUDIT_FAILURES_NAME);
    int lines = 0;
    for (const char *at = text; (at = strstr(at, "\"invalid-token\"")); at++)
        lines++;
    assert_int_equal(lines, AUDIT_FAILURES_PER_SECOND + 1);
    assert_non_null(strstr(text, "\"object\":\"15 more failures\""));
    assert_null(strstr(text, "reload"));
    assert_non_null(strstr(actions, "\"action\":\"reload\""));
    assert_null(strstr(actions, "failure"));
    free(actions);
    free(text);
}

/* Failures fill their files many times, at the rate that is allowed. */
static void failures_displace_no_other_record(void **state)
{
    (void)state;
    char object[OBJECT_BYTES + 1];
    memset(object, 'x', OBJECT_BYTES);
    object[OBJECT_BYTES] = '\0';
    const struct audit_options options = {folder.path, 2 * OBJECT_BYTES, 2, "node-1"};
    const struct audit_event failure = {.action = "authenticate", .object = object};
    assert_int_equal(audit_start(&options, &audit), ERR_NONE);
    audit_record(audit, &(struct audit_event){.action = "release-guard"}, now);
    for (uint64_t i = 0; i < 20; i++)
        assert_true(audit_record_failure(audit, &failure, (struct moment){1000 * i, now.wall_ms}));
    char *text = stop_and_read();
    assert_non_null(strstr(text, "\"action\":\"release-guard\""));
    free(text);
}

static bool has_state(void *context)
{
    return stats().failing == *(bool *)context;
}

static void records_wait_and_are_dropped_while_the_file_fails(void **state)
{
    (void)state;
    char object[OBJECT_BYTES + 1];
    char path[128];
    bool failing = true;
    memset(object, 'x', OBJECT_BYTES);
    object[OBJECT_BYTES] = '\0';
    snprintf(path, sizeof path, "%s/" AUDIT_FILE_NAME, folder.path);
    assert_int_equal(mkdir(path, 0700), 0);
    start(folder.path);
    const struct audit_event event = {.action = "a", .object = object, .is_logged_apart = true};
    for (int i = 0; i < RECORDS; i++)
        audit_record(audit, &event, now);
    assert_true(wait_until(has_state, &failing, wait_deadline_ms()));
    uint64_t dropped = stats().dropped;
    assert_in_range(dropped, RECORDS - AUDIT_QUEUE_BYTES_MAX / OBJECT_BYTES, RECORDS);
    assert_int_equal(rmdir(path), 0);
    failing = false;
    assert_true(wait_until(has_state, &failing, wait_deadline_ms()));
    assert_int_equal(stats().dropped, dropped);
    char expected[64];
    snprintf(expected, sizeof expected, "\"object\":\"%d records\",\"outcome\":\"dropped\"",
             (int)dropped);
    char *text = stop_and_read();
    int lines = 0;
    for (const char *at = text; (at = strstr(at, "\"action\":\"a\"")); at++)
        lines++;
    assert_int_equal(lines, RECORDS - dropped);
    assert_non_null(strstr(text, expected));
    free(text);
}

/* The disk is full, and clients fail all the time. */
static void failures_leave_half_of_the_queue_to_other_records(void **state)
{
    (void)state;
    char object[OBJECT_BYTES + 1];
    char path[128];
    bool failing = true;
    memset(object, 'x', OBJECT_BYTES);
    object[OBJECT_BYTES] = '\0';
    const struct audit_event event = {.action = "a", .object = object, .is_logged_apart = true};
    const char *const names[] = {AUDIT_FILE_NAME, AUDIT_FAILURES_NAME};
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder.path, names[i]);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    start(folder.path);
    for (uint64_t i = 0; i < RECORDS; i++)
        assert_true(audit_record_failure(audit, &event, (struct moment){1000 * i, now.wall_ms}));
    assert_true(wait_until(has_state, &failing, wait_deadline_ms()));
    uint64_t dropped = stats().dropped;
    assert_true(dropped > 0);
    for (int i = 0; i < AUDIT_QUEUE_BYTES_MAX / 2 / OBJECT_BYTES - 20; i++)
        audit_record(audit, &event, now);
    assert_int_equal(stats().dropped, dropped);
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder.path, names[i]);
        assert_int_equal(rmdir(path), 0);
    }
}

static void without_a_folder_records_are_counted(void **state)
{
    (void)state;
    start("");
    audit_record(audit, &(struct audit_event){.action = "a"}, now);
    assert_int_equal(stats().records, 1);
    assert_int_equal(stats().dropped, 0);
    assert_false(stats().has_file);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(record_has_the_members_that_are_given),
        TEST(failures_beyond_the_limit_are_counted),
        TEST(failures_displace_no_other_record),
        TEST(failures_leave_half_of_the_queue_to_other_records),
        TEST(records_wait_and_are_dropped_while_the_file_fails),
        TEST(without_a_folder_records_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
