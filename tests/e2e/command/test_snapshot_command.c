/* SPDX-License-Identifier: Apache-2.0
 *
 * `artemis snapshot save` and `restore` at real nodes: what is saved comes back, what is newer
 * stays, and a file that cannot be trusted restores nothing.
 */
#include "tests/support/command.h"
#include "tests/support/gzip.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/temp_folder.h"
#include "tests/support/wait.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 128, INSTANCES = 1500 };

static struct temp_folder folder;
static struct server_process nodes[2];
static struct http *http[2];
static char plain[PATH_BYTES];
static char packed[PATH_BYTES];

static int set_up(void **state)
{
    (void)state;
    temp_folder_make(&folder);
    snprintf(plain, sizeof plain, "%s/records.jsonl", folder.path);
    snprintf(packed, sizeof packed, "%s/records.jsonl.gz", folder.path);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        http_free(http[i]);
        http[i] = NULL;
        server_process_stop(&nodes[i]);
    }
    temp_folder_remove(&folder);
    return 0;
}

/* Starts a node that keeps tombstones and has no peers. */
static void start(int node)
{
    const char *const args[] = {
        "--set", "cluster.enabled=true",    "--set", "cluster.bootstrap_grace_secs=0",
        "--set", "ratelimit.enabled=false", NULL};
    server_process_start(&nodes[node], args, NULL);
    http[node] = http_new(nodes[node].port);
    call_wait_metric(http[node], "artemis_ready", 1);
}

/* --- running the command ---------------------------------------------------------------------- */

static struct command_result snapshot(const char *what, const char *file, int node,
                                      const char *option)
{
    const char *const args[] = {"snapshot", what, file, "--server", nodes[node].url, option, NULL};
    return command_run(args, NULL);
}

static void check_snapshot(const char *what, const char *file, int node, const char *option,
                           int exit_code, const char *part)
{
    struct command_result result = snapshot(what, file, node, option);
    if (result.exit_code != exit_code ||
        (strstr(result.out, part) == NULL && strstr(result.err, part) == NULL))
        fail_msg("snapshot %s %s: exit code %d, should be %d with \"%s\"\n%s%s", what, file,
                 result.exit_code, exit_code, part, result.out, result.err);
    command_free(&result);
}

/* The members of the result of a restore. */
static void check_restored(const char *file, int node, const char *option, const char *expected)
{
    const char *const args[] = {"snapshot", "restore",       file,   "--json",
                                "--server", nodes[node].url, option, NULL};
    struct command_result result = command_run(args, NULL);
    json_t *json = json_loads(result.out, 0, NULL);
    if (!json)
        fail_msg("no JSON: %s%s", result.out, result.err);
    char shown[256];
    snprintf(shown, sizeof shown, "exit %d taken %d newer %zu ended %zu refused %zu",
             result.exit_code, (int)json_integer_value(json_object_get(json, "taken")),
             json_array_size(json_object_get(json, "newer_lines")),
             json_array_size(json_object_get(json, "ended_lines")),
             json_array_size(json_object_get(json, "refused_lines")));
    assert_string_equal(shown, expected);
    json_decref(json);
    command_free(&result);
}

static char *read_file(const char *path, size_t *size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat about;
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &about), 0);
    *size = (size_t)about.st_size;
    char *content = command_read_all(fd);
    close(fd);
    return content;
}

/* The records of both nodes are the same. */
static void check_agreement(void)
{
    const char *const args[] = {"diff", nodes[0].url, nodes[1].url, NULL};
    struct command_result result = command_run(args, NULL);
    if (result.exit_code != 0)
        fail_msg("%s%s", result.out, result.err);
    command_free(&result);
}

/* A file with some instances and tombstones, at node 0. */
static void save_some(const char *file)
{
    start(0);
    call_register_many(http[0], "s", INSTANCES);
    check_status(call_with_keys(http[0], UNREGISTER, "s", 0, 2), 200, "success", NULL);
    check_snapshot("save", file, 0, NULL, 0, "saved 1,498 instances and 2 tombstones of ");
}

/* --- tests ------------------------------------------------------------------------------------ */

static void what_is_saved_comes_back(void **state)
{
    (void)state;
    save_some(plain);
    size_t size = 0;
    char *content = read_file(plain, &size);
    size_t lines = 0;
    for (char *line = content; *line; line = strchr(line, '\n') + 1, lines++) {
        json_t *json = json_loadb(line, strcspn(line, "\n"), JSON_REJECT_DUPLICATES, NULL);
        assert_true(json_is_object(json));
        json_decref(json);
    }
    assert_int_equal(lines, INSTANCES + 2);
    free(content);
    start(1);
    check_restored(plain, 1, "--dry-run", "exit 0 taken 1500 newer 0 ended 0 refused 0");
    assert_int_equal(call_count(http[1], "s"), -1);
    check_restored(plain, 1, NULL, "exit 0 taken 1500 newer 0 ended 0 refused 0");
    assert_int_equal(call_count(http[1], "s"), INSTANCES - 2);
    check_status(call_with_keys(http[1], HEARTBEAT, "s", 2, INSTANCES - 2), 200, "success", NULL);
    check_agreement();
    check_restored(plain, 1, NULL, "exit 0 taken 0 newer 1500 ended 0 refused 0");
}

static void a_gz_file_is_compressed(void **state)
{
    (void)state;
    save_some(packed);
    size_t size = 0;
    size_t unpacked_size = 0;
    char *content = read_file(packed, &size);
    char *unpacked = gzip_unpack(content, size, &unpacked_size);
    assert_non_null(unpacked);
    assert_true(size < unpacked_size / 3);
    assert_int_equal(strncmp(unpacked, "{\"artemis_snapshot\":1,", 22), 0);
    free(content);
    free(unpacked);
    start(1);
    check_snapshot("restore", packed, 1, NULL, 0, "taken          1,500");
    check_agreement();
}

static void newer_records_and_tombstones_stay(void **state)
{
    (void)state;
    save_some(plain);
    check_status(call_with_keys(http[0], UNREGISTER, "s", 5, 1), 200, "success", NULL);
    check_http(http_post(http[0], REGISTER, "{'instances':[{" INSTANCE_FIELDS ",'status':'down'}]}",
                         "s", "i6"),
               200);
    check_restored(plain, 0, NULL, "exit 0 taken 0 newer 1500 ended 0 refused 0");
    assert_int_equal(call_count(http[0], "s"), INSTANCES - 4); /* i0, i1, i5; i6 is down */
}

static void standard_streams_carry_a_snapshot(void **state)
{
    (void)state;
    start(0);
    call_register_many(http[0], "s", 20);
    start(1);
    struct command_result saved = snapshot("save", "-", 0, NULL);
    assert_int_equal(saved.exit_code, 0);
    assert_non_null(strstr(saved.err, "saved 20 instances"));
    int pipe_fds[2];
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    size_t size = strlen(saved.out);
    assert_int_equal(write(pipe_fds[1], saved.out, size), size);
    close(pipe_fds[1]);
    int out = command_temp_file();
    const char *const args[] = {"snapshot", "restore", "-", "--server", nodes[1].url, NULL};
    pid_t pid = command_spawn_reading(args, NULL, pipe_fds[0], out, out);
    assert_int_equal(command_wait(pid, wait_deadline_ms()), 0);
    close(pipe_fds[0]);
    close(out);
    command_free(&saved);
    assert_int_equal(call_count(http[1], "s"), 20);
    check_agreement();
}

/* Writes the first bytes of a file. */
static void write_cut(const char *path, const char *content, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, size), size);
    close(fd);
}

static void a_cut_file_restores_nothing(void **state)
{
    (void)state;
    size_t size = 0;
    save_some(plain);
    check_snapshot("save", packed, 0, NULL, 0, "saved");
    start(1);
    char *content = read_file(plain, &size);
    write_cut(plain, content, size - strlen("{\"complete\":true,\"instances\":1498}"));
    check_snapshot("restore", plain, 1, NULL, 1, "line 1502: is not a JSON object");
    write_cut(plain, content, (size_t)(strrchr(content, '{') - content));
    check_snapshot("restore", plain, 1, NULL, 1, "ends without its last line, after line 1501");
    free(content);
    content = read_file(packed, &size);
    write_cut(packed, content, size - 9);
    check_snapshot("restore", packed, 1, NULL, 1, "the gzip data is cut, after line");
    content[size / 2] ^= 0x55;
    write_cut(packed, content, size);
    check_snapshot("restore", packed, 1, NULL, 1, "nothing was restored");
    free(content);
    write_cut(plain, "", 0);
    check_snapshot("restore", plain, 1, NULL, 1, " holds no snapshot: the file is empty\n");
    assert_int_equal(call_count(http[1], "s"), -1);
}

#define HEAD   "{\"artemis_snapshot\":1,\"cluster_id\":\"artemis\",\"node_id\":\"n\"}\n"
#define FIELDS "\"region_id\":\"r\",\"zone_id\":\"z\",\"service_id\":\"s\",\"instance_id\":"

static void a_file_without_records_restores_nothing(void **state)
{
    (void)state;
    static const char end[] = HEAD "{\"complete\":true,\"instances\":0,\"tombstones\":0}\n";
    start(1);
    write_cut(plain, end, strlen(end));
    check_snapshot("restore", plain, 1, NULL, 0, "the file has no records");
}

static void a_foreign_or_damaged_file_is_refused(void **state)
{
    (void)state;
    start(0);
    const char *file = temp_folder_write(&folder, "foreign", "name: value\n");
    check_snapshot("restore", file, 0, NULL, 1,
                   "line 1: is not the first line of a snapshot file of Artemis");
    file = temp_folder_write(&folder, "other",
                             "{\"artemis_snapshot\":1,\"cluster_id\":\"other\"}\n"
                             "{\"complete\":true,\"instances\":0,\"tombstones\":0}\n");
    check_snapshot("restore", file, 0, NULL, 1,
                   "line 1: cluster_id: the file is of the cluster other, and");
    file = temp_folder_write(&folder, "damaged",
                             HEAD "{" FIELDS "\"a\",\"ip\":\"1.2.3.4\",\"port\":80,\"version\":1,"
                                  "\"origin\":\"n\"}\n"
                                  "{" FIELDS "\"b\",\"ip\":\"1.2.3.4\",\"port\":-1,\"version\":1,"
                                  "\"origin\":\"n\"}\n"
                                  "{\"complete\":true,\"instances\":2,\"tombstones\":0}\n");
    check_snapshot("restore", file, 0, NULL, 1, "line 3: port: must be 0 to 65535, is -1");
    assert_int_equal(call_count(http[0], "s"), -1);
    check_snapshot("restore", "/no/such/file", 0, NULL, 2, "cannot read /no/such/file: No such");
    check_snapshot("save", "/no/such/file", 0, NULL, 2, "cannot write /no/such/file: No such");
    check_snapshot("save", folder.path, 0, NULL, 2, "it is not a regular file");
}

/* A stamp that no clock can have given. */
static void a_refused_record_is_named_and_the_others_are_taken(void **state)
{
    (void)state;
    start(0);
    const char *file = temp_folder_write(
        &folder, "ahead",
        HEAD "{" FIELDS "\"a\",\"ip\":\"1.2.3.4\",\"version\":65536,"
             "\"origin\":\"n\"}\n"
             "{" FIELDS "\"b\",\"ip\":\"1.2.3.4\",\"version\":4611686018427387904,"
             "\"origin\":\"n\"}\n"
             "{\"complete\":true,\"instances\":2,\"tombstones\":0}\n");
    check_restored(file, 0, "--dry-run", "exit 1 taken 1 newer 0 ended 0 refused 1");
    check_snapshot("restore", file, 0, NULL, 1,
                   "line 3: the version is too far ahead of the clocks of all members");
    assert_int_equal(call_count(http[0], "s"), 1);
}

/* The disk is full, in effect: a file may have 1,000 bytes. */
static void a_failed_save_leaves_the_old_file(void **state)
{
    (void)state;
    save_some(plain);
    size_t size = 0;
    char *before = read_file(plain, &size);
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit small = {.rlim_cur = 1000, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    struct command_result result = snapshot("save", plain, 0, NULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(result.exit_code, 1);
    assert_non_null(strstr(result.err, "records.jsonl: File too large"));
    command_free(&result);
    char *after = read_file(plain, &size);
    assert_string_equal(before, after);
    free(before);
    free(after);
    DIR *open_folder = opendir(folder.path);
    assert_non_null(open_folder);
    size_t files = 0;
    for (const struct dirent *entry; (entry = readdir(open_folder));)
        files += entry->d_name[0] != '.';
    closedir(open_folder);
    assert_int_equal(files, 1); /* no temporary file */
}

static void a_restored_record_reaches_the_peers(void **state)
{
    (void)state;
    save_some(plain);
    http_free(http[0]);
    http[0] = NULL;
    server_process_stop(&nodes[0]);
    struct cluster cluster;
    cluster_start(&cluster, 2, (const char *const[]){"ratelimit.enabled=false", NULL});
    const char *const args[] = {"snapshot",           "restore", plain, "--server",
                                cluster.nodes[1].url, NULL};
    struct command_result result = command_run(args, NULL);
    assert_int_equal(result.exit_code, 0);
    command_free(&result);
    cluster_wait_count(&cluster, "s", INSTANCES - 2);
    cluster_wait_agreement(&cluster);
    for (int node = 0; node < 2; node++)
        check_status(call_with_keys(cluster.http[node], HEARTBEAT, "s", 2, INSTANCES - 2), 200,
                     "success", NULL);
    cluster_stop(&cluster);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_saved_comes_back),
        TEST(a_gz_file_is_compressed),
        TEST(newer_records_and_tombstones_stay),
        TEST(standard_streams_carry_a_snapshot),
        TEST(a_cut_file_restores_nothing),
        TEST(a_file_without_records_restores_nothing),
        TEST(a_foreign_or_damaged_file_is_refused),
        TEST(a_refused_record_is_named_and_the_others_are_taken),
        TEST(a_failed_save_leaves_the_old_file),
        TEST(a_restored_record_reaches_the_peers),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
