/* SPDX-License-Identifier: Apache-2.0
 *
 * The audit log: what operators write, reloads and failed authentications are in
 * storage.data_dir/audit.log; no secret is; the files are rotated; a file that cannot be written is
 * visible and recovers; and `artemis audit` shows them.
 */
#include "tests/support/client/calls.h"
#include "tests/support/command.h"
#include "tests/support/servers/tokens.h"
#include "tests/support/wait.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FAILURES = 50, BATCH = 90, ROTATED_BYTES = 4096 };

static struct temp_folder folder;
static struct server_process server;
static struct http *http;
static char data_dir[128];

/* `settings` follow the data folder. */
static void start(const char *tokens_file, const char *const settings[])
{
    char set_dir[160];
    const char *args[16] = {"--set", set_dir};
    size_t count = 2;
    snprintf(set_dir, sizeof set_dir, "storage.data_dir=%s", data_dir);
    if (tokens_file) {
        args[count++] = "--config";
        args[count++] = tokens_file;
    }
    for (; settings && *settings; settings++) {
        args[count++] = "--set";
        args[count++] = *settings;
    }
    server_process_start(&server, args, NULL);
    http = http_new(server.port);
}

static int set_up(void **state)
{
    (void)state;
    temp_folder_make(&folder);
    snprintf(data_dir, sizeof data_dir, "%s/data", folder.path);
    return 0;
}

static void stop_server(void)
{
    http_free(http);
    http = NULL;
    server_process_stop(&server);
}

static int tear_down(void **state)
{
    (void)state;
    stop_server();
    temp_folder_remove(&folder);
    return 0;
}

static struct http_response *send(const char *method, const char *path, const char *secret,
                                  const char *body)
{
    char authorization[256];
    const char *fields[] = {authorization, "Content-Type: application/json", NULL};
    snprintf(authorization, sizeof authorization, "Authorization: Bearer %s", secret);
    return http_send(http, &(struct http_request){.method = method,
                                                  .path = path,
                                                  .fields = fields,
                                                  .body = body,
                                                  .body_size = body ? strlen(body) : 0});
}

static void write_as(const char *secret, const char *path, const char *id, const char *status)
{
    char body[512];
    snprintf(body, sizeof body,
             "{\"instances\":[{\"region_id\":\"lab\",\"zone_id\":\"zone1\",\"service_id\":\"shop\","
             "\"instance_id\":\"%s\",\"ip\":\"10.0.0.1\",\"port\":8080,\"status\":\"%s\"}]}",
             id, status);
    check_http(send("POST", path, secret, body), 200);
}

/* The result of `artemis audit --data-dir ... --json`, with more arguments. */
static struct command_result show(const char *const more[])
{
    const char *args[12] = {"audit", "--data-dir", data_dir};
    for (size_t count = 3; *more; more++)
        args[count++] = *more;
    return command_run(args, NULL);
}

static char *read_records(void)
{
    struct command_result result = show((const char *const[]){"--json", NULL});
    assert_int_equal(result.exit_code, 0);
    assert_null(strstr(result.out, "secret-0123456789"));
    char *records = strdup(result.out);
    command_free(&result);
    return records;
}

static void check_has(const char *records, const char *part)
{
    if (!strstr(records, part))
        fail_msg("%s is not in:\n%s", part, records);
}

static void check_lacks(const char *records, const char *part)
{
    if (strstr(records, part))
        fail_msg("%s is in:\n%s", part, records);
}

/* --- what is recorded ------------------------------------------------------------------------- */

static void writes_of_operators_are_recorded(void **state)
{
    (void)state;
    start(tokens_write(&folder, ""), NULL);
    write_as(TOKEN_WRITE, REGISTER, "by-client", "up");
    write_as(TOKEN_OPERATOR, REGISTER, "s-1", "up");
    write_as(TOKEN_OPERATOR, REGISTER, "s-1", "up"); /* a renewal */
    write_as(TOKEN_ADMIN, REGISTER, "s-1", "down");
    write_as(TOKEN_ADMIN, UNREGISTER, "s-1", "up");
    write_as(TOKEN_ADMIN, UNREGISTER, "s-1", "up"); /* nothing is left to unregister */
    check_http(send("POST", "/api/status/leases/release", TOKEN_OPERATOR, "{}"), 200);
    check_http(send("POST", "/api/admin/reload", TOKEN_OPERATOR, "{}"), 403);
    check_http(send("POST", "/api/admin/reload", TOKEN_ADMIN, "{}"), 200);
    stop_server();
    char *records = read_records();
    check_lacks(records, "by-client");
    check_has(records, "\"token\":\"operator\",\"address\":\"127.0.0.1:");
    check_has(records, "\"action\":\"register\",\"object\":\"shop/s-1\","
                       "\"after\":\"up http://10.0.0.1:8080\",\"outcome\":\"done\"}");
    check_has(records, "\"before\":\"up http://10.0.0.1:8080\","
                       "\"after\":\"down http://10.0.0.1:8080\"");
    check_has(records, "\"action\":\"unregister\",\"object\":\"shop/s-1\","
                       "\"before\":\"down http://10.0.0.1:8080\",\"outcome\":\"done\"}");
    check_has(records, "\"action\":\"release-guard\",\"object\":\"the node and all services\","
                       "\"before\":\"not engaged\",\"outcome\":\"done\"}");
    check_has(records, "\"action\":\"authenticate\",\"object\":\"/api/admin/reload\","
                       "\"outcome\":\"no-permission\"}");
    check_has(records, "\"action\":\"reload\"");
    size_t lines = 0;
    for (const char *line = records; (line = strchr(line, '\n')); line++)
        lines++;
    if (lines != 6)
        fail_msg("%zu records instead of 6:\n%s", lines, records);
    free(records);
}

static void register_with(const char *members)
{
    char body[512];
    snprintf(body, sizeof body,
             "{\"instances\":[{\"region_id\":\"lab\",\"zone_id\":\"zone1\",\"service_id\":\"shop\","
             "\"instance_id\":\"s-1\",\"ip\":\"10.0.0.1\",\"port\":8080,%s}]}",
             members);
    check_http(send("POST", REGISTER, TOKEN_OPERATOR, body), 200);
}

static void changes_of_any_field_are_recorded(void **state)
{
    (void)state;
    start(tokens_write(&folder, ""), NULL);
    register_with("\"metadata\":{\"weight\":\"1\",\"team\":\"a\",\"old\":\"x\"}");
    register_with("\"metadata\":{\"weight\":\"9\",\"team\":\"a\",\"new\":\"y z\"}");
    register_with("\"protocol\":\"grpc\",\"metadata\":{\"weight\":\"9\",\"team\":\"a\","
                  "\"new\":\"y z\"}");
    stop_server();
    char *records = read_records();
    check_has(records, "\"before\":\"up http://10.0.0.1:8080 metadata.old=x metadata.weight=1\","
                       "\"after\":\"up http://10.0.0.1:8080 metadata.new=y z metadata.weight=9\"");
    check_has(records, "\"before\":\"up http://10.0.0.1:8080 protocol=\","
                       "\"after\":\"up http://10.0.0.1:8080 protocol=grpc\"");
    free(records);
}

static void many_writes_of_one_call_are_counted(void **state)
{
    (void)state;
    char body[64 * 1024];
    size_t size = (size_t)snprintf(body, sizeof body, "{\"instances\":[");
    start(tokens_write(&folder, ""), NULL);
    for (int i = 0; i < 3 * BATCH; i++)
        size += (size_t)snprintf(body + size, sizeof body - size,
                                 "%s{\"region_id\":\"lab\",\"zone_id\":\"zone1\",\"service_id\":"
                                 "\"shop\",\"instance_id\":\"i%d\",\"ip\":\"10.0.0.1\",\"port\":1}",
                                 i ? "," : "", i);
    snprintf(body + size, sizeof body - size, "]}");
    check_http(send("POST", REGISTER, TOKEN_OPERATOR, body), 200);
    stop_server();
    char *records = read_records();
    check_has(records, "\"object\":\"shop/i99\"");
    check_lacks(records, "\"object\":\"shop/i100\"");
    check_has(records, "\"object\":\"170 more instances\"");
    free(records);
}

static void failures_are_recorded_at_a_limited_rate(void **state)
{
    (void)state;
    start(tokens_write(&folder, ""), NULL);
    for (int i = 0; i < FAILURES; i++)
        check_http(send("GET", "/api/status/config", TOKEN_READ, NULL), 403);
    check_http(send("GET", "/api/status/config", TOKEN_UNKNOWN, NULL), 401);
    stop_server();
    char *records = read_records();
    int count = 0;
    for (const char *at = records; (at = strstr(at, "\"object\":\"")); at++) {
        int more = 0;
        if (sscanf(at, "\"object\":\"%d more failures\"", &more) == 1)
            count += more;
        else
            count += strstr(at, "\"object\":\"/api/status/config\"") == at;
    }
    assert_int_equal(count, FAILURES + 1);
    check_has(records, "\"token\":\"read\"");
    free(records);
}

static bool has_reloaded(void *context)
{
    return http_get(http, "/ready") &&
           call_metric(http, "artemis_reloads_total") >= *(int *)context;
}

static void reloads_are_recorded_without_secrets(void **state)
{
    (void)state;
    int reloads = 1;
    const char *file = temp_folder_write(&folder, "artemis.toml", "[lease]\nttl_secs = 40\n");
    char path[128];
    snprintf(path, sizeof path, "%s", file);
    start(path, NULL);
    temp_folder_write(&folder, "artemis.toml",
                      "[lease]\nttl_secs = 50\n[server]\nmax_connections = 77\n"
                      "[cluster]\ntoken = \"" TOKEN_PEER "\"\n");
    server_process_signal(&server, SIGHUP);
    assert_true(wait_until(has_reloaded, &reloads, wait_deadline_ms()));
    temp_folder_write(&folder, "artemis.toml", "[lease]\nttl_secs = 0\n");
    server_process_signal(&server, SIGHUP);
    call_wait_metric(http, "artemis_reloads_failed_total", 1);
    stop_server();
    char *records = read_records();
    check_has(records,
              "\"address\":\"signal HUP\",\"action\":\"change-setting\",\"object\":"
              "\"lease.ttl_secs\",\"before\":\"40\",\"after\":\"50\",\"outcome\":\"done\"}");
    check_has(records,
              "\"object\":\"server.max_connections\",\"before\":\"10000\",\"after\":\"77\","
              "\"outcome\":\"needs a restart\"}");
    check_has(records, "\"object\":\"cluster.token\"");
    check_has(records, "\"action\":\"reload\",\"after\":\"1 changed, 2 need a restart\"");
    check_has(records, "artemis.toml:2: lease.ttl_secs: must be");
    free(records);
}

/* --- the files -------------------------------------------------------------------------------- */

static long size_of(const char *name)
{
    char path[192];
    struct stat status;
    snprintf(path, sizeof path, "%s/%s", data_dir, name);
    if (stat(path, &status) != 0)
        return -1;
    assert_int_equal(status.st_mode & 0777, 0600);
    return (long)status.st_size;
}

static void release_guards(int count)
{
    for (int i = 0; i < count; i++)
        check_http(http_post(http, "/api/status/leases/release", "{}"), 200);
}

static void files_are_rotated(void **state)
{
    (void)state;
    start(NULL, (const char *const[]){"audit.max_file_bytes=4096", "audit.max_files=3", NULL});
    release_guards(BATCH);
    stop_server();
    for (int i = 0; i < 3; i++) {
        const char *const names[] = {"audit.log", "audit.log.1", "audit.log.2"};
        assert_in_range(size_of(names[i]), 1, ROTATED_BYTES);
    }
    assert_int_equal(size_of("audit.log.3"), -1);
    struct command_result result = show((const char *const[]){"--last", "5", NULL});
    assert_int_equal(result.exit_code, 0);
    assert_string_equal(result.err, "");
    int lines = 0;
    for (const char *line = result.out; (line = strchr(line, '\n')); line++)
        lines++;
    assert_int_equal(lines, 5);
    command_free(&result);
}

static void file_that_cannot_be_written_is_visible_and_recovers(void **state)
{
    (void)state;
    char path[192];
    temp_folder_write(&folder, "data/audit.log/occupied", "");
    start(NULL, NULL);
    release_guards(1);
    call_wait_metric(http, "artemis_audit_failing", 1);
    release_guards(1); /* no request waits for the file */
    snprintf(path, sizeof path, "%s/audit.log/occupied", data_dir);
    assert_int_equal(remove(path), 0);
    snprintf(path, sizeof path, "%s/audit.log", data_dir);
    assert_int_equal(rmdir(path), 0);
    call_wait_metric(http, "artemis_audit_failing", 0);
    assert_int_equal((int)call_metric(http, "artemis_audit_records_total"), 2);
    assert_int_equal((int)call_metric(http, "artemis_audit_dropped_total"), 0);
    char *log = server_process_stop_and_read_log(&server);
    check_has(log, "the audit log cannot be written; its records wait");
    check_has(log, "the audit log is written again");
    check_has(log, "audit action=release-guard");
    free(log);
    char *records = read_records();
    const char *first = strstr(records, "release-guard");
    assert_non_null(first);
    check_has(first + 1, "release-guard");
    free(records);
}

static void without_a_folder_there_is_only_the_log(void **state)
{
    (void)state;
    server_process_start(&server, NULL, NULL);
    http = http_new(server.port);
    release_guards(1);
    char *log = server_process_stop_and_read_log(&server);
    check_has(log, "audit action=release-guard object=\"the node and all services\" "
                   "before=\"not engaged\" client=127.0.0.1:");
    free(log);
}

/* --- artemis audit ---------------------------------------------------------------------------- */

static void check_lines(const char *const more[], int expected)
{
    struct command_result result = show(more);
    int lines = 0;
    assert_int_equal(result.exit_code, 0);
    for (const char *line = result.out; (line = strchr(line, '\n')); line++)
        lines++;
    if (lines != expected)
        fail_msg("%d lines instead of %d:\n%s", lines, expected, result.out);
    command_free(&result);
}

static void command_selects_records(void **state)
{
    (void)state;
    start(tokens_write(&folder, ""), NULL);
    write_as(TOKEN_OPERATOR, REGISTER, "s-1", "up");
    write_as(TOKEN_ADMIN, REGISTER, "s-2", "up");
    write_as(TOKEN_ADMIN, UNREGISTER, "s-2", "up");
    stop_server();
    check_lines((const char *const[]){NULL}, 3);
    check_lines((const char *const[]){"--token", "admin", NULL}, 2);
    check_lines((const char *const[]){"--token", "admin", "--action", "register", NULL}, 1);
    check_lines((const char *const[]){"--object", "shop/s-2", NULL}, 2);
    check_lines((const char *const[]){"--since", "1h", NULL}, 3);
    check_lines((const char *const[]){"--since", "2020-01-31", "--last", "2", NULL}, 2);
    check_lines((const char *const[]){"--since", "2099-01-31T12:00:00Z", NULL}, 0);
    struct command_result result = show((const char *const[]){"--token", "operator", NULL});
    check_has(result.out,
              "  register        shop/s-1: up http://10.0.0.1:8080  done  by operator at "
              "127.0.0.1:");
    command_free(&result);
    result = show((const char *const[]){"--since", "yesterday", NULL});
    assert_int_equal(result.exit_code, 2);
    check_has(result.err, "--since must be like 15m, 2h, 3d");
    check_has(result.err, ", is yesterday");
    command_free(&result);
    result =
        command_run((const char *const[]){"audit", "--data-dir", "/no/such/folder", NULL}, NULL);
    assert_int_equal(result.exit_code, 1);
    check_has(result.err, "No such file or directory");
    command_free(&result);
    result = command_run((const char *const[]){"audit", NULL}, NULL);
    assert_int_equal(result.exit_code, 2);
    check_has(result.err, "no audit log is given: use --data-dir DIR");
    command_free(&result);
}

struct follower {
    int fd;
    const char *part;
};

static bool has_printed(void *context)
{
    const struct follower *follower = context;
    char *printed = command_read_all(follower->fd);
    bool found = strstr(printed, follower->part) != NULL;
    free(printed);
    return found;
}

static int count_lines(int fd)
{
    char *printed = command_read_all(fd);
    int lines = 0;
    for (const char *line = printed; (line = strchr(line, '\n')); line++)
        lines++;
    free(printed);
    return lines;
}

static void command_follows_the_log_over_a_rotation(void **state)
{
    (void)state;
    start(NULL, (const char *const[]){"audit.max_file_bytes=4096", NULL});
    check_http(http_post(http, "/api/status/leases/release", "{'service_id':'first'}"), 200);
    struct follower follower = {command_temp_file(), "first"};
    struct stat ignored;
    char path[192];
    snprintf(path, sizeof path, "%s/audit.log", data_dir);
    int64_t deadline_ms = wait_deadline_ms();
    while (stat(path, &ignored) != 0 && wait_now_ms() < deadline_ms)
        wait_for_time(wait_now_ms() + 10);
    pid_t pid =
        command_spawn((const char *const[]){"audit", "--data-dir", data_dir, "--follow", NULL},
                      NULL, follower.fd, STDERR_FILENO);
    assert_true(wait_until(has_printed, &follower, wait_deadline_ms()));
    release_guards(BATCH / 2); /* in some files, all of which are kept */
    check_http(http_post(http, "/api/status/leases/release", "{'service_id':'last'}"), 200);
    follower.part = "last";
    assert_true(wait_until(has_printed, &follower, wait_deadline_ms()));
    assert_true(size_of("audit.log.1") > 0);
    assert_int_equal(size_of("audit.log.4"), -1);
    kill(pid, SIGINT);
    assert_int_equal(command_wait(pid, wait_deadline_ms()), 0);
    assert_int_equal(count_lines(follower.fd), 1 + BATCH / 2 + 1);
    close(follower.fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(writes_of_operators_are_recorded),
        TEST(changes_of_any_field_are_recorded),
        TEST(many_writes_of_one_call_are_counted),
        TEST(failures_are_recorded_at_a_limited_rate),
        TEST(reloads_are_recorded_without_secrets),
        TEST(files_are_rotated),
        TEST(file_that_cannot_be_written_is_visible_and_recovers),
        TEST(without_a_folder_there_is_only_the_log),
        TEST(command_selects_records),
        TEST(command_follows_the_log_over_a_rotation),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
