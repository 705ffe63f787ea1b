/* SPDX-License-Identifier: Apache-2.0
 *
 * The two files of the audit log as one: records in order of time, and files that appear later.
 */
#include "artemis/local/audit_merge.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/temp_folder.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct temp_folder folder;
static struct audit_merge merge;

static int set_up(void **state)
{
    (void)state;
    temp_folder_make(&folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    audit_merge_close(&merge);
    temp_folder_remove(&folder);
    return 0;
}

/* Records are named by their second. */
#define RECORD(second) "{\"time\":\"2026-01-31T12:00:" second ".000Z\",\"action\":\"a\"}\n"

static void write_file(const char *name, const char *records)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder.path, name);
    FILE *file = fopen(path, "ae");
    assert_non_null(file);
    fputs(records, file);
    fclose(file);
}

/* The merge returns records of these seconds, and then none. */
static void check_next(const char *const seconds[])
{
    char record[64];
    for (; *seconds; seconds++) {
        snprintf(record, sizeof record, "T12:00:%s.000Z", *seconds);
        const char *line = audit_merge_next(&merge);
        assert_non_null(line);
        if (!strstr(line, record))
            fail_msg("%s is not in %s", record, line);
    }
    assert_null(audit_merge_next(&merge));
}

static void records_of_both_files_are_in_order_of_time(void **state)
{
    (void)state;
    write_file(AUDIT_FILE_NAME ".1", RECORD("01") RECORD("04"));
    write_file(AUDIT_FILE_NAME, RECORD("05") RECORD("05") RECORD("09"));
    write_file(AUDIT_FAILURES_NAME, RECORD("02") RECORD("03") RECORD("06"));
    assert_int_equal(audit_merge_open(&merge, folder.path), ERR_NONE);
    check_next((const char *const[]){"01", "02", "03", "04", "05", "05", "06", "09", NULL});
    write_file(AUDIT_FAILURES_NAME, RECORD("10"));
    write_file(AUDIT_FILE_NAME, RECORD("11"));
    check_next((const char *const[]){"10", "11", NULL});
}

static void one_file_is_enough_and_the_other_may_come_later(void **state)
{
    (void)state;
    write_file(AUDIT_FAILURES_NAME, RECORD("01"));
    assert_int_equal(audit_merge_open(&merge, folder.path), ERR_NONE);
    check_next((const char *const[]){"01", NULL});
    write_file(AUDIT_FILE_NAME, RECORD("02"));
    check_next((const char *const[]){"02", NULL});
}

static void lines_that_are_no_records_are_returned_at_once(void **state)
{
    (void)state;
    write_file(AUDIT_FILE_NAME, "damaged\n" RECORD("02"));
    write_file(AUDIT_FAILURES_NAME, RECORD("01"));
    assert_int_equal(audit_merge_open(&merge, folder.path), ERR_NONE);
    assert_string_equal(audit_merge_next(&merge), "damaged");
    check_next((const char *const[]){"01", "02", NULL});
}

static void no_file_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(audit_merge_open(&merge, folder.path), ERR_SYSTEM);
    assert_int_equal(errno, ENOENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(records_of_both_files_are_in_order_of_time),
        TEST(one_file_is_enough_and_the_other_may_come_later),
        TEST(lines_that_are_no_records_are_returned_at_once),
        TEST(no_file_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
