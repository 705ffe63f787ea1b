/* SPDX-License-Identifier: Apache-2.0
 *
 * Storage between a registry and a file: what is written, what is loaded again, and failures.
 */
#include "tests/unit/artemis-server/storage/storage_fixture.h"

#include <fcntl.h>
#include <unistd.h>

/* --- tests ------------------------------------------------------------------------------------ */

static uint64_t stored_revision(struct registry *registry, const char *id)
{
    struct instance_key key = make_key("s", id);
    return registry_stored_revision(registry, instance_key_packed(&key));
}

static void client_revisions_are_stored_and_loaded(void **state)
{
    (void)state;
    struct node node = start_writer(at_ms(0));
    struct instance_key gone = make_key("s", "gone");
    put_as(node.registry,
           (struct brief){.service = "s", .id = "a", .revision = CLIENT_REVISION_MAX}, at_ms(0));
    put_as(node.registry, (struct brief){.service = "s", .id = "gone", .revision = 6}, at_ms(0));
    assert_int_equal(registry_unregister(node.registry, &gone, 7, at_ms(1)), ERR_NONE);
    assert_int_equal(commit(&node, 1), ERR_NONE);
    stop_writer(&node);

    struct node next = start(at_ms(1000));
    assert_int_equal(stats_of(next.registry).instances, 1);
    assert_int_equal(stats_of(next.registry).tombstones, 1);
    assert_true(stored_revision(next.registry, "a") == CLIENT_REVISION_MAX);
    assert_true(stored_revision(next.registry, "gone") == 7);
    stop(&next);
}

static void changes_are_stored_and_loaded(void **state)
{
    (void)state;
    struct node node = start_writer(at_ms(0));
    put_many(node.registry, "s", 0, 10, at_ms(0));
    assert_int_equal(commit(&node, 0), ERR_NONE);
    assert_int_equal(node.writer.rows_written, 10);
    put_as(node.registry, (struct brief){.service = "s", .id = "i0", .port = 99}, at_ms(1));
    take_out(node.registry, "s", "i1", at_ms(1));
    assert_int_equal(commit(&node, 1), ERR_NONE);
    assert_int_equal(node.writer.rows_written, 12);
    uint64_t revision = registry_revision(node.registry);
    stop_writer(&node);

    struct node next = start((struct moment){500, START_WALL_MS - 86400000}); /* set back */
    assert_int_equal(stats_of(next.registry).instances, 9);
    assert_int_equal(stats_of(next.registry).tombstones, 1);
    assert_true(registry_revision(next.registry) > revision);
    struct registry_members members = members_of(next.registry, "s");
    size_t changed = 0;
    for (size_t i = 0; i < members.count; i++)
        changed += instance_port(members.instances[i]) == 99;
    assert_int_equal(changed, 1);
    registry_members_free(&members);
    stop(&next);
}

static void a_commit_without_changes_writes_only_the_bounds(void **state)
{
    (void)state;
    struct node node = start_writer(at_ms(0));
    assert_int_equal(commit(&node, 0), ERR_NONE);
    assert_int_equal(commit(&node, 200), ERR_NONE);
    assert_int_equal(node.writer.commits, 1);
    assert_int_equal(commit(&node, BOUNDS_INTERVAL_MS), ERR_NONE);
    assert_int_equal(node.writer.commits, 2);
    uint64_t bound = 0;
    assert_int_equal(database_number(node.writer.database, NUMBER_HLC_BOUND, &bound), ERR_NONE);
    assert_int_equal(hlc_to_ms(bound), START_WALL_MS + BOUNDS_INTERVAL_MS + BOUND_AHEAD_MS);
    stop_writer(&node);
}

static void evicted_and_registered_again_is_stored(void **state)
{
    (void)state;
    struct node node = start_writer(at_ms(0));
    put(node.registry, "s", "gone", at_ms(0));
    put(node.registry, "s", "back", at_ms(0));
    assert_int_equal(commit(&node, 0), ERR_NONE);
    registry_expire(node.registry, at_ms(TTL_MS + 2 * TICK_MS));
    assert_int_equal(shown(node.registry, "s"), 0);
    put(node.registry, "s", "back", at_ms(TTL_MS + 100));
    assert_int_equal(commit(&node, TTL_MS + 100), ERR_NONE);
    stop_writer(&node);
    check_loaded(1, 0);
}

static void too_many_removals_write_everything(void **state)
{
    (void)state;
    struct node node = start_writer(at_ms(0));
    put_many(node.registry, "s", 0, REMOVED_KEYS_MAX + 100, at_ms(0));
    put(node.registry, "t", "stays", at_ms(TTL_MS));
    assert_int_equal(commit(&node, 0), ERR_NONE);
    struct instance_key key = make_key("s", "i0");
    registry_expire(node.registry, at_ms(TTL_MS + 2 * TICK_MS)); /* guarded */
    registry_expire(node.registry, at_ms(TTL_MS + GUARD_MAX_MS + 5 * RECHECK_MS));
    assert_int_equal(registry_renew(node.registry, &key, at_ms(TTL_MS + GUARD_MAX_MS + 6000)),
                     ERR_INSTANCE_NOT_FOUND);
    assert_int_equal(commit(&node, TTL_MS + GUARD_MAX_MS + 6000), ERR_NONE);
    assert_int_equal(node.writer.rewrites, 1);
    size_t left = stats_of(node.registry).instances;
    stop_writer(&node);
    check_loaded(left, 0);
}

static void a_failing_disk_loses_nothing_when_it_works_again(void **state)
{
    (void)state;
    struct node node = start_writer(at_ms(0));
    put_many(node.registry, "s", 0, 10, at_ms(0));
    assert_int_equal(commit(&node, 0), ERR_NONE);

    failing_vfs_set(SQLITE_FULL);
    put_many(node.registry, "s", 10, 20, at_ms(200));
    take_out(node.registry, "s", "i0", at_ms(200));
    assert_int_equal(commit(&node, 200), ERR_SYSTEM);
    assert_int_equal(node.writer.failures, 1);
    assert_string_not_equal(node.writer.problem, "");
    assert_int_equal(commit(&node, 201), ERR_NONE); /* waits */
    assert_int_equal(node.writer.failed_commits, 1);
    assert_int_equal(commit(&node, 1000), ERR_SYSTEM);
    put_many(node.registry, "s", 20, 30, at_ms(1001));
    assert_int_equal(commit(&node, 1002), ERR_NONE);
    assert_int_equal(registry_unstored(node.registry), 0); /* the lists stay short */
    assert_int_equal(shown(node.registry, "s"), 29);

    failing_vfs_set(SQLITE_OK);
    assert_int_equal(commit(&node, 1000 + 2 * 10000), ERR_NONE);
    assert_int_equal(node.writer.failures, 0);
    assert_int_equal(node.writer.rewrites, 1);
    stop_writer(&node);
    check_loaded(29, 1);
}

/* Writes garbage over the middle of the file, as a broken disk does. */
static void damage(void)
{
    char path[DATABASE_PATH_BYTES];
    char garbage[64 * 1024];
    memset(garbage, 0x5A, sizeof(garbage));
    snprintf(path, sizeof(path), "%s/%s", folder.path, DATABASE_FILE);
    int file = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(file >= 0);
    assert_int_equal(pwrite(file, garbage, sizeof(garbage), 64 * 1024), sizeof(garbage));
    close(file);
}

static void a_damaged_file_is_set_aside(void **state)
{
    (void)state;
    struct node node = start_writer(at_ms(0));
    node.writer.is_complete = true;
    put_many(node.registry, "s", 0, INSTANCES, at_ms(0));
    assert_int_equal(commit(&node, 0), ERR_NONE);
    stop_writer(&node);
    damage();
    struct storage_status status;
    struct node next = start(at_ms(1000));
    storage_status(next.storage, &status);
    assert_false(status.loaded_complete);
    assert_int_equal(status.files_set_aside, 1);
    size_t loaded = stats_of(next.registry).instances;
    assert_true(loaded < INSTANCES);
    registry_validate(next.registry);
    assert_int_equal(storage_start(next.storage), ERR_NONE);
    stop(&next);
    check_loaded(loaded, 0); /* from the new file */
    char path[DATABASE_PATH_BYTES];
    snprintf(path, sizeof(path), "%s/%s.damaged-1", folder.path, DATABASE_FILE);
    assert_int_equal(access(path, F_OK), 0);
}

/* Rows that are no valid records are skipped, and gone after the next commit. */
static void invalid_rows_are_skipped(void **state)
{
    (void)state;
    struct node node = start_writer(at_ms(0));
    node.writer.is_complete = true;
    put_many(node.registry, "s", 0, 5, at_ms(0));
    assert_int_equal(commit(&node, 0), ERR_NONE);
    const struct database_row rows[] = {
        {.key = SLICE("k"), .body = SLICE("{}"), .hlc = 1, .node = SLICE("n")},
        {.key = SLICE("l"), .body = SLICE("nothing"), .hlc = 1, .node = SLICE("n")},
        {.key = SLICE("short"), .hlc = 1, .node = SLICE("n")},
        {.key = SLICE("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
         .hlc = 1,
         .node = SLICE("n")},
    };
    assert_int_equal(database_begin(node.writer.database), ERR_NONE);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(database_put(node.writer.database, &rows[i]), ERR_NONE);
    assert_int_equal(database_commit(node.writer.database), ERR_NONE);
    stop_writer(&node);
    for (int i = 0; i < 2; i++) {
        struct storage_status status;
        struct node next = start(at_ms(1000));
        storage_status(next.storage, &status);
        assert_int_equal(status.invalid_rows, i == 0 ? 4 : 0);
        assert_false(status.loaded_complete);
        assert_int_equal(status.loaded_instances, 5);
        assert_int_equal(storage_start(next.storage), ERR_NONE);
        stop(&next);
    }
}

/* The id of a node is sent to peers: one that is not text would break the whole snapshot. */
static void rows_with_invalid_node_ids_are_skipped(void **state)
{
    (void)state;
    const struct slice node_ids[] = {SLICE(""), SLICE("\xff\xfe"), SLICE("n\0"), SLICE("n1")};
    size_t count = sizeof(node_ids) / sizeof(node_ids[0]);
    struct node node = start_writer(at_ms(0));
    assert_int_equal(database_begin(node.writer.database), ERR_NONE);
    for (size_t i = 0; i < count; i++) {
        char id[] = {(char)('a' + i), '\0'};
        struct instance_key key = make_key("s", id);
        struct database_row row = {.key = instance_key_packed(&key),
                                   .hlc = (START_WALL_MS << 16) + i,
                                   .node = node_ids[i],
                                   .since_ms = START_WALL_MS};
        assert_int_equal(database_put(node.writer.database, &row), ERR_NONE);
    }
    assert_int_equal(database_commit(node.writer.database), ERR_NONE);
    stop_writer(&node);
    struct storage_status status;
    struct node next = start(at_ms(1000));
    storage_status(next.storage, &status);
    assert_int_equal(status.invalid_rows, count - 1);
    assert_int_equal(status.loaded_tombstones, 1);
    stop(&next);
}

/* --- the thread ------------------------------------------------------------------------------- */

static bool is_down(void *context)
{
    struct storage_status status;
    storage_status(context, &status);
    return !status.up;
}

static bool is_up(void *context)
{
    return !is_down(context);
}

static void the_thread_shows_a_failing_disk_and_recovers(void **state)
{
    (void)state;
    struct node node = start(at_ms(0));
    assert_int_equal(storage_start(node.storage), ERR_NONE);
    failing_vfs_set(SQLITE_IOERR_WRITE);
    put_many(node.registry, "s", 0, 10, at_ms(0));
    assert_true(wait_until(is_down, node.storage, wait_deadline_ms()));
    assert_int_equal(shown(node.registry, "s"), 10);
    failing_vfs_set(SQLITE_OK);
    assert_true(wait_until(is_up, node.storage, wait_deadline_ms()));
    put_many(node.registry, "s", 10, 20, at_ms(0));
    stop(&node); /* commits the rest */
    check_loaded(20, 0);
}

static void a_node_starts_on_a_full_disk(void **state)
{
    (void)state;
    for (size_t stored = 0; stored <= 10; stored += 10) { /* 0: there is no file yet */
        struct storage_status status;
        failing_vfs_set(SQLITE_FULL);
        struct node node = start(at_ms(0));
        assert_int_equal(shown(node.registry, "s"), stored);
        assert_int_equal(storage_start(node.storage), ERR_NONE);
        put_many(node.registry, "s", (unsigned)stored, (unsigned)stored + 10, at_ms(0));
        assert_true(wait_until(is_down, node.storage, wait_deadline_ms()));
        storage_status(node.storage, &status);
        assert_true(status.problem[0] != '\0');
        failing_vfs_set(SQLITE_OK);
        assert_true(wait_until(is_up, node.storage, wait_deadline_ms()));
        stop(&node);
        check_loaded(stored + 10, 0);
    }
}

static bool has_set_aside(void *context)
{
    struct storage_status status;
    storage_status(context, &status);
    return status.files_set_aside && status.up;
}

static bool is_stored(void *context)
{
    struct node *node = context;
    return is_up(node->storage) && registry_unstored(node->registry) == 0;
}

/* The file is damaged while the node runs: all records go to a new file. */
static void a_file_that_is_damaged_while_running_is_replaced(void **state)
{
    (void)state;
    struct node node = start(at_ms(0));
    assert_int_equal(storage_start(node.storage), ERR_NONE);
    put_many(node.registry, "s", 0, INSTANCES, at_ms(0));
    assert_true(wait_until(is_stored, &node, wait_deadline_ms()));
    failing_vfs_set(SQLITE_CORRUPT);
    put(node.registry, "s", "new", at_ms(0));
    assert_true(wait_until(is_down, node.storage, wait_deadline_ms()));
    failing_vfs_set(SQLITE_OK);
    assert_true(wait_until(has_set_aside, node.storage, wait_deadline_ms()));
    stop(&node);
    check_loaded(INSTANCES + 1, 0);
    char path[DATABASE_PATH_BYTES];
    snprintf(path, sizeof(path), "%s/%s.damaged-1", folder.path, DATABASE_FILE);
    assert_int_equal(access(path, F_OK), 0);
}

/* Whether the records that a node loads count as a whole list. */
static bool is_loaded_complete(bool set_complete)
{
    struct storage_status status;
    struct node node = start(at_ms(0));
    storage_status(node.storage, &status);
    assert_int_equal(storage_start(node.storage), ERR_NONE);
    put(node.registry, "s", "i", at_ms(0));
    if (set_complete)
        storage_set_complete(node.storage);
    stop(&node);
    return status.loaded_complete;
}

/* A node that ends before it was ready has stored a part of a snapshot. */
static void a_list_is_complete_when_the_node_was_ready(void **state)
{
    (void)state;
    assert_false(is_loaded_complete(false)); /* nothing is stored yet */
    assert_false(is_loaded_complete(true));  /* a part */
    assert_true(is_loaded_complete(false));  /* it was ready */
    assert_true(is_loaded_complete(false));  /* and stays whole, whatever it copied since */
}

static bool is_hanging(void *context)
{
    (void)context;
    return failing_vfs_hangs();
}

/* A disk that does not respond: changes and status do not wait for it. */
static void a_disk_that_hangs_delays_no_change(void **state)
{
    (void)state;
    struct storage_status status;
    struct node node = start(at_ms(0));
    assert_int_equal(storage_start(node.storage), ERR_NONE);
    failing_vfs_hang(true);
    put_many(node.registry, "s", 0, 10, at_ms(0));
    assert_true(wait_until(is_hanging, NULL, wait_deadline_ms()));
    storage_status(node.storage, &status);
    assert_true(status.unstored > 0); /* also when the commit has taken all of them */
    put_many(node.registry, "s", 10, INSTANCES, at_ms(0));
    take_out(node.registry, "s", "i0", at_ms(1));
    assert_int_equal(shown(node.registry, "s"), INSTANCES - 1);
    failing_vfs_hang(false);
    stop(&node);
    check_loaded(INSTANCES - 1, 1);
}

static void two_nodes_cannot_share_a_folder(void **state)
{
    (void)state;
    struct node node = start(at_ms(0));
    struct storage *second = NULL;
    assert_int_equal(storage_open(folder.path, INTERVAL_MS, &second, problem), ERR_SYSTEM);
    assert_non_null(strstr(problem, "in use by another process"));
    stop(&node);
    assert_int_equal(storage_open("/proc/no/such", INTERVAL_MS, &second, problem), ERR_SYSTEM);
    assert_non_null(strstr(problem, "/proc/no/such"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    failing_vfs_install();
    const struct CMUnitTest tests[] = {
        TEST(changes_are_stored_and_loaded),
        TEST(client_revisions_are_stored_and_loaded),
        TEST(a_commit_without_changes_writes_only_the_bounds),
        TEST(evicted_and_registered_again_is_stored),
        TEST(too_many_removals_write_everything),
        TEST(a_failing_disk_loses_nothing_when_it_works_again),
        TEST(a_damaged_file_is_set_aside),
        TEST(invalid_rows_are_skipped),
        TEST(rows_with_invalid_node_ids_are_skipped),
        TEST(the_thread_shows_a_failing_disk_and_recovers),
        TEST(a_node_starts_on_a_full_disk),
        TEST(a_file_that_is_damaged_while_running_is_replaced),
        TEST(a_list_is_complete_when_the_node_was_ready),
        TEST(a_disk_that_hangs_delays_no_change),
        TEST(two_nodes_cannot_share_a_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
