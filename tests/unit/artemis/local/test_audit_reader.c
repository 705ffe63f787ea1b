/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader of the audit log: every line once and in order, also over several rotations between
 * two calls.
 */
#include "artemis/local/audit_reader.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/temp_folder.h"

#include <stdio.h>
#include <string.h>

enum { BYTES_MAX = 8, FILES_MAX = 4 }; /* each line has a file for itself */

static struct temp_folder folder;
static struct audit_file file;
static struct audit_reader reader;

static int set_up(void **state)
{
    (void)state;
    temp_folder_make(&folder);
    audit_file_init(&file, folder.path, AUDIT_FILE_NAME, BYTES_MAX, FILES_MAX);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    audit_reader_close(&reader);
    audit_file_close(&file);
    temp_folder_remove(&folder);
    return 0;
}

static void append(int from, int to)
{
    char line[32];
    for (int i = from; i <= to; i++) {
        snprintf(line, sizeof line, "line %d\n", i);
        assert_int_equal(audit_file_append(&file, slice_of(line)), 0);
    }
}

/* The reader returns the lines of these numbers, and then none. */
static void check_next(int from, int to)
{
    char line[32];
    for (int i = from; i <= to; i++) {
        snprintf(line, sizeof line, "line %d", i);
        const char *next = audit_reader_next(&reader);
        assert_non_null(next);
        assert_string_equal(next, line);
    }
    assert_null(audit_reader_next(&reader));
}

static void files_are_read_from_the_oldest_on(void **state)
{
    (void)state;
    append(1, 3);
    assert_int_equal(audit_reader_open(&reader, folder.path, AUDIT_FILE_NAME), ERR_NONE);
    check_next(1, 3);
    check_next(1, 0);
}

static void no_file_is_skipped_after_several_rotations(void **state)
{
    (void)state;
    append(1, 1);
    assert_int_equal(audit_reader_open(&reader, folder.path, AUDIT_FILE_NAME), ERR_NONE);
    check_next(1, 1);
    append(2, 4);
    check_next(2, 4);
    append(5, 5);
    check_next(5, 5);
}

static void reader_continues_with_the_newest_file_after_a_removed_one(void **state)
{
    (void)state;
    append(1, 1);
    assert_int_equal(audit_reader_open(&reader, folder.path, AUDIT_FILE_NAME), ERR_NONE);
    check_next(1, 1);
    append(2, 1 + FILES_MAX);
    check_next(1 + FILES_MAX, 1 + FILES_MAX);
}

static void part_of_a_line_is_read_when_it_is_complete(void **state)
{
    (void)state;
    FILE *out = fopen(temp_folder_write(&folder, AUDIT_FILE_NAME, "line 1\nline"), "ae");
    assert_non_null(out);
    assert_int_equal(audit_reader_open(&reader, folder.path, AUDIT_FILE_NAME), ERR_NONE);
    check_next(1, 1);
    fputs(" 2\n", out);
    fclose(out);
    check_next(2, 2);
}

static void huge_line_is_cut_and_the_next_one_is_read(void **state)
{
    (void)state;
    FILE *out = fopen(temp_folder_write(&folder, AUDIT_FILE_NAME, ""), "ae");
    assert_non_null(out);
    for (int i = 0; i < 2 * AUDIT_LINE_BYTES_MAX; i++)
        fputc('x', out);
    fputs("\nline 2\n", out);
    fclose(out);
    assert_int_equal(audit_reader_open(&reader, folder.path, AUDIT_FILE_NAME), ERR_NONE);
    const char *line = audit_reader_next(&reader);
    assert_non_null(line);
    assert_int_equal(strlen(line), AUDIT_LINE_BYTES_MAX);
    check_next(2, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(files_are_read_from_the_oldest_on),
        TEST(no_file_is_skipped_after_several_rotations),
        TEST(reader_continues_with_the_newest_file_after_a_removed_one),
        TEST(part_of_a_line_is_read_when_it_is_complete),
        TEST(huge_line_is_cut_and_the_next_one_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
