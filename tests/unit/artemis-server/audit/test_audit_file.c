/* SPDX-License-Identifier: Apache-2.0
 *
 * The file of the audit log: whole lines, rotation by size, and what a failure leaves.
 */
#include "artemis-server/audit/audit_file.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/temp_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BYTES_MAX = 64, CONTENT_BYTES = 512 };

static struct temp_folder folder;
static struct audit_file file;

static int set_up(void **state)
{
    (void)state;
    temp_folder_make(&folder);
    audit_file_init(&file, folder.path, AUDIT_FILE_NAME, BYTES_MAX, 3);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    audit_file_close(&file);
    temp_folder_remove(&folder);
    return 0;
}

/* The content of a file; "-" if there is none. */
static const char *content(uint32_t number)
{
    static char text[CONTENT_BYTES];
    char path[AUDIT_PATH_BYTES];
    audit_file_path(file.path, number, path);
    FILE *opened = fopen(path, "re");
    if (!opened)
        return "-";
    text[fread(text, 1, sizeof text - 1, opened)] = '\0';
    fclose(opened);
    return text;
}

static int append(const char *line)
{
    return audit_file_append(&file, slice_of(line));
}

static void lines_are_appended_for_the_owner_alone(void **state)
{
    (void)state;
    struct stat status;
    assert_int_equal(append("one\n"), 0);
    audit_file_close(&file);
    assert_int_equal(append("two\n"), 0);
    assert_int_equal(audit_file_sync(&file), 0);
    assert_string_equal(content(0), "one\ntwo\n");
    assert_int_equal(stat(file.path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
}

static void files_rotate_and_the_oldest_is_removed(void **state)
{
    (void)state;
    char line[64];
    for (int i = 0; i < 4; i++) {
        snprintf(line, sizeof line, "%028d a%d\n", 0, i);
        assert_int_equal(append(line), 0);
        line[29] = 'b';
        assert_int_equal(append(line), 0);
    }
    assert_non_null(strstr(content(0), "b3\n"));
    assert_non_null(strstr(content(1), "a2\n"));
    assert_non_null(strstr(content(1), "b2\n"));
    assert_non_null(strstr(content(2), "b1\n"));
    assert_string_equal(content(3), "-");
    audit_file_close(&file);
    assert_int_equal(append(line), 0); /* the size counts after a restart too */
    assert_non_null(strstr(content(1), "b3\n"));
}

static void line_above_the_limit_has_a_file_for_itself(void **state)
{
    (void)state;
    char line[2 * BYTES_MAX];
    memset(line, 'x', sizeof line - 2);
    memcpy(line + sizeof line - 2, "\n", 2);
    assert_int_equal(append("one\n"), 0);
    assert_int_equal(append(line), 0);
    assert_string_equal(content(0), line);
    assert_string_equal(content(1), "one\n");
}

static void part_of_a_line_does_not_join_the_next(void **state)
{
    (void)state;
    temp_folder_write(&folder, AUDIT_FILE_NAME, "one\n{\"par");
    assert_int_equal(append("two\n"), 0);
    assert_string_equal(content(0), "one\n{\"par\ntwo\n");
}

static void full_disk_leaves_whole_lines(void **state)
{
    (void)state;
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(append("one\n"), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){6, before.rlim_max}), 0);
    assert_int_equal(append("two\n"), EFBIG);
    assert_string_equal(content(0), "one\n");
    assert_int_equal(append("two\n"), EFBIG);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(append("two\n"), 0);
    assert_string_equal(content(0), "one\ntwo\n");
}

static void file_that_was_moved_is_created_again(void **state)
{
    (void)state;
    char path[AUDIT_PATH_BYTES + 8];
    snprintf(path, sizeof path, "%s.moved", file.path);
    assert_int_equal(append("one\n"), 0);
    assert_int_equal(rename(file.path, path), 0);
    assert_int_equal(append("two\n"), 0);
    assert_string_equal(content(0), "two\n");
    assert_int_equal(remove(file.path), 0);
    assert_int_equal(append("three\n"), 0);
    assert_string_equal(content(0), "three\n");
}

static uint32_t mode_of(uint32_t number)
{
    char path[AUDIT_PATH_BYTES];
    struct stat status;
    audit_file_path(file.path, number, path);
    return stat(path, &status) == 0 ? status.st_mode & 0777 : 0;
}

static void files_that_others_can_read_become_private(void **state)
{
    (void)state;
    assert_int_equal(chmod(temp_folder_write(&folder, AUDIT_FILE_NAME, "one\n"), 0644), 0);
    assert_int_equal(chmod(temp_folder_write(&folder, AUDIT_FILE_NAME ".1", "zero\n"), 0666), 0);
    assert_int_equal(append("two\n"), 0);
    assert_int_equal(mode_of(0), 0600);
    assert_int_equal(mode_of(1), 0600);
    assert_string_equal(content(0), "one\ntwo\n");
}

static void files_beyond_a_smaller_limit_are_removed(void **state)
{
    (void)state;
    char name[32];
    for (int number = 1; number <= 9; number++) {
        snprintf(name, sizeof name, AUDIT_FILE_NAME ".%d", number);
        temp_folder_write(&folder, name, "old\n");
    }
    assert_int_equal(append("one\n"), 0);
    assert_string_equal(content(2), "old\n");
    for (uint32_t number = 3; number <= 9; number++)
        assert_string_equal(content(number), "-");
}

static void other_kinds_of_files_are_refused(void **state)
{
    (void)state;
    temp_folder_write(&folder, "target", "");
    char target[AUDIT_PATH_BYTES];
    snprintf(target, sizeof target, "%s/target", folder.path);
    assert_int_equal(symlink(target, file.path), 0);
    assert_int_equal(append("one\n"), ELOOP);
    assert_int_equal(remove(file.path), 0);
    assert_int_equal(mkfifo(file.path, 0600), 0);
    assert_int_equal(append("one\n"), EINVAL);
    assert_int_equal(remove(file.path), 0);
    assert_int_equal(mkdir(file.path, 0700), 0);
    assert_int_equal(append("one\n"), EISDIR);
    assert_int_equal(rmdir(file.path), 0);
    assert_int_equal(append("one\n"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lines_are_appended_for_the_owner_alone),
        TEST(files_rotate_and_the_oldest_is_removed),
        TEST(line_above_the_limit_has_a_file_for_itself),
        TEST(part_of_a_line_does_not_join_the_next),
        TEST(full_disk_leaves_whole_lines),
        TEST(file_that_was_moved_is_created_again),
        TEST(files_that_others_can_read_become_private),
        TEST(files_beyond_a_smaller_limit_are_removed),
        TEST(other_kinds_of_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
