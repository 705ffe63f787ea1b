/* SPDX-License-Identifier: Apache-2.0
 *
 * The file of the records: round trip, transactions, files that are not ours, damage, a full disk.
 */
#include "artemis-server/storage/database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_vfs.h"
#include "tests/support/temp_folder.h"

static struct temp_folder folder;
static char problem[DATABASE_PROBLEM_BYTES];

static int set_up(void **state)
{
    (void)state;
    temp_folder_make(&folder);
    problem[0] = '\0';
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    failing_vfs_set(SQLITE_OK);
    temp_folder_remove(&folder);
    return 0;
}

static struct database *open_it(void)
{
    struct database *database = NULL;
    assert_int_equal(database_open(folder.path, &database, problem), DATABASE_OPENED);
    return database;
}

static struct database_row row_of(const char *key, const char *body, uint64_t hlc)
{
    return (struct database_row){.key = slice_of(key),
                                 .body = slice_of(body),
                                 .hlc = hlc,
                                 .node = SLICE("n1"),
                                 .since_ms = hlc / 2};
}

static void put(struct database *database, const char *key, const char *body, uint64_t hlc)
{
    struct database_row row = row_of(key, body, hlc);
    assert_int_equal(database_put(database, &row), ERR_NONE);
}

static enum error append_row(void *context, const struct database_row *row)
{
    struct text *seen = context;
    text_printf(seen, "%.*s=%.*s@%llu/%.*s/%llu ", (int)row->key.size, row->key.data,
                (int)row->body.size, row->body.size ? row->body.data : "",
                (unsigned long long)row->hlc, (int)row->node.size, row->node.data,
                (unsigned long long)row->since_ms);
    return ERR_NONE;
}

static void check_rows(struct database *database, const char *expected)
{
    struct text seen = {0};
    assert_int_equal(database_each_row(database, append_row, &seen), ERR_NONE);
    assert_string_equal(text_string(&seen), expected);
    text_free(&seen);
}

static void rows_and_numbers_survive_closing(void **state)
{
    (void)state;
    uint64_t value;
    struct database *database = open_it();
    assert_int_equal(database_begin(database), ERR_NONE);
    put(database, "b", "{\"x\":1}", 20);
    put(database, "a", "", 10); /* a tombstone */
    put(database, "b", "{\"x\":2}", 30);
    put(database, "c", "{}", 40);
    assert_int_equal(database_delete(database, SLICE("c")), ERR_NONE);
    assert_int_equal(database_set_number(database, NUMBER_HLC_BOUND, (uint64_t)1 << 61), ERR_NONE);
    assert_int_equal(database_commit(database), ERR_NONE);
    database_close(database);

    database = open_it();
    check_rows(database, "a=@10/n1/5 b={\"x\":2}@30/n1/15 ");
    assert_int_equal(database_number(database, NUMBER_HLC_BOUND, &value), ERR_NONE);
    assert_true(value == (uint64_t)1 << 61);
    assert_int_equal(database_number(database, NUMBER_SAVED_MS, &value), ERR_NONE);
    assert_true(value == 0);
    database_close(database);
}

static void rollback_stores_nothing(void **state)
{
    (void)state;
    struct database *database = open_it();
    assert_int_equal(database_begin(database), ERR_NONE);
    put(database, "a", "{}", 1);
    database_rollback(database);
    database_rollback(database); /* nothing to roll back: no effect */
    check_rows(database, "");
    assert_int_equal(database_begin(database), ERR_NONE);
    put(database, "b", "{}", 2);
    assert_int_equal(database_delete_all(database), ERR_NONE);
    put(database, "c", "{}", 4);
    assert_int_equal(database_commit(database), ERR_NONE);
    check_rows(database, "c={}@4/n1/2 ");
    database_close(database);
}

static void second_process_is_refused(void **state)
{
    (void)state;
    struct database *second = NULL;
    struct database *database = open_it();
    assert_int_equal(database_open(folder.path, &second, problem), DATABASE_IN_USE);
    assert_non_null(strstr(problem, "in use by another process"));
    database_close(database);
    database_close(open_it());
}

static void other_files_are_recognised_and_set_aside(void **state)
{
    (void)state;
    struct database *database = NULL;
    sqlite3 *other;
    char path[DATABASE_PATH_BYTES];
    char name[DATABASE_PATH_BYTES];
    char content[16] = "";
    struct stat status;

    temp_folder_write(&folder, DATABASE_FILE, "this is no database, but a text of some length\n");
    assert_int_equal(database_open(folder.path, &database, problem), DATABASE_FOREIGN);
    assert_non_null(strstr(problem, "is not a database of Artemis"));
    assert_int_equal(database_set_aside(folder.path, "foreign", name, problem), ERR_NONE);
    assert_non_null(strstr(name, "artemis.db.foreign-1"));
    int file = open(name, O_RDONLY);
    assert_true(read(file, content, 15) == 15);
    close(file);
    assert_string_equal(content, "this is no data");

    snprintf(path, sizeof(path), "%s/%s", folder.path, DATABASE_FILE);
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "CREATE TABLE t(x)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    assert_int_equal(database_open(folder.path, &database, problem), DATABASE_FOREIGN);
    assert_int_equal(database_set_aside(folder.path, "foreign", name, problem), ERR_NONE);
    assert_non_null(strstr(name, "artemis.db.foreign-2"));
    assert_int_not_equal(stat(path, &status), 0);

    database_close(open_it());
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "PRAGMA user_version = 99", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    assert_int_equal(database_open(folder.path, &database, problem), DATABASE_NEWER);
    assert_non_null(strstr(problem, "later version"));
}

/* The file says that it is ours, and its tables are not. */
static void wrong_tables_are_damage(void **state)
{
    (void)state;
    static const char *const changes[] = {"DROP TABLE records; CREATE TABLE records (a, b)",
                                          "DROP TABLE numbers; CREATE VIEW numbers AS SELECT 1"};
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        struct database *database = NULL;
        sqlite3 *other;
        char path[DATABASE_PATH_BYTES];
        char name[DATABASE_PATH_BYTES];
        snprintf(path, sizeof(path), "%s/%s", folder.path, DATABASE_FILE);
        database_close(open_it());
        assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
        assert_int_equal(sqlite3_exec(other, changes[i], NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(other);
        assert_int_equal(database_open(folder.path, &database, problem), DATABASE_DAMAGED);
        assert_string_not_equal(problem, "");
        assert_int_equal(database_set_aside(folder.path, "damaged", name, problem), ERR_NONE);
    }
}

/* Overwrites the pages after the first. */
static void damage(const char *path)
{
    struct stat status;
    char junk[512];
    memset(junk, 0xA5, sizeof(junk));
    assert_int_equal(stat(path, &status), 0);
    int file = open(path, O_WRONLY);
    for (off_t at = 4096; at < status.st_size; at += (off_t)sizeof(junk))
        assert_true(pwrite(file, junk, sizeof(junk), at) == (ssize_t)sizeof(junk));
    close(file);
}

static void damage_is_found_while_reading(void **state)
{
    (void)state;
    char path[DATABASE_PATH_BYTES];
    char key[32];
    struct text seen = {0};
    struct database *database = open_it();
    assert_int_equal(database_begin(database), ERR_NONE);
    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof(key), "key-%d", i);
        put(database, key, "{\"some\":\"text\"}", 1);
    }
    assert_int_equal(database_commit(database), ERR_NONE);
    database_close(database);
    snprintf(path, sizeof(path), "%s/%s", folder.path, DATABASE_FILE);
    damage(path);
    enum database_state opened = database_open(folder.path, &database, problem);
    if (opened == DATABASE_OPENED) {
        assert_int_equal(database_each_row(database, append_row, &seen), ERR_SYSTEM);
        assert_true(database_is_damaged(database));
        assert_true(database_problem(database)[0] != '\0');
        database_close(database);
    } else {
        assert_int_equal(opened, DATABASE_DAMAGED);
    }
    text_free(&seen);
}

static void missing_folder_is_unavailable(void **state)
{
    (void)state;
    struct database *database = NULL;
    char path[256];
    snprintf(path, sizeof(path), "%s/none", folder.path);
    assert_int_equal(database_open(path, &database, problem), DATABASE_UNAVAILABLE);
    assert_non_null(strstr(problem, "none/artemis.db"));
}

static void folder_without_a_parent_is_not_made(void **state)
{
    (void)state;
    char path[256];
    snprintf(path, sizeof(path), "%s/none/data", folder.path);
    assert_int_equal(database_make_folder(path, problem), ERR_SYSTEM);
    assert_non_null(strstr(problem, "none/data: No such file or directory; its parent folder"));
    snprintf(path, sizeof(path), "%s/data", folder.path);
    assert_int_equal(database_make_folder(path, problem), ERR_NONE);
    assert_int_equal(database_make_folder(path, problem), ERR_NONE); /* it exists */
}

static void full_disk_fails_the_commit_and_heals(void **state)
{
    (void)state;
    struct database *database = open_it();
    assert_int_equal(database_begin(database), ERR_NONE);
    put(database, "a", "{}", 2);
    assert_int_equal(database_commit(database), ERR_NONE);

    failing_vfs_set(SQLITE_FULL);
    assert_int_equal(database_begin(database), ERR_NONE);
    put(database, "b", "{}", 4);
    assert_int_equal(database_commit(database), ERR_SYSTEM);
    assert_true(database_problem(database)[0] != '\0');
    assert_false(database_is_damaged(database));
    database_rollback(database);
    check_rows(database, "a={}@2/n1/1 ");

    failing_vfs_set(SQLITE_OK);
    assert_int_equal(database_begin(database), ERR_NONE);
    put(database, "c", "{}", 6);
    assert_int_equal(database_commit(database), ERR_NONE);
    check_rows(database, "a={}@2/n1/1 c={}@6/n1/3 ");
    database_close(database);
}

static void a_file_can_be_read_on_a_full_disk(void **state)
{
    (void)state;
    struct database *database = open_it();
    assert_int_equal(database_begin(database), ERR_NONE);
    put(database, "a", "{}", 2);
    assert_int_equal(database_commit(database), ERR_NONE);
    database_close(database);
    failing_vfs_set(SQLITE_FULL);
    database = open_it();
    check_rows(database, "a={}@2/n1/1 ");
    database_close(database);
}

static void a_new_file_on_a_full_disk_is_reported(void **state)
{
    (void)state;
    struct database *database = NULL;
    failing_vfs_set(SQLITE_FULL);
    assert_int_equal(database_open(folder.path, &database, problem), DATABASE_FULL);
    assert_null(database);
    failing_vfs_set(SQLITE_OK);
    database = open_it();
    check_rows(database, "");
    database_close(database);
}

int main(void)
{
    failing_vfs_install();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_and_numbers_survive_closing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rollback_stores_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(second_process_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_files_are_recognised_and_set_aside, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(wrong_tables_are_damage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damage_is_found_while_reading, set_up, tear_down),
        cmocka_unit_test_setup_teardown(missing_folder_is_unavailable, set_up, tear_down),
        cmocka_unit_test_setup_teardown(folder_without_a_parent_is_not_made, set_up, tear_down),
        cmocka_unit_test_setup_teardown(full_disk_fails_the_commit_and_heals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_can_be_read_on_a_full_disk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_new_file_on_a_full_disk_is_reported, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
