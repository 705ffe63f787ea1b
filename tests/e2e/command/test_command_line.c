/* SPDX-License-Identifier: Apache-2.0
 *
 * The server's side of CONTRACT 7 and 8: what it prints at the start, the sources of settings, and
 * error messages. Commands that call a server: test_client_commands.c.
 */
#include "tests/support/client/calls.h"
#include "tests/support/command.h"
#include "tests/support/temp_folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int make_folder(void **state)
{
    struct temp_folder *folder = calloc(1, sizeof *folder);
    assert_non_null(folder);
    temp_folder_make(folder);
    *state = folder;
    return 0;
}

static int remove_folder(void **state)
{
    temp_folder_remove(*state);
    free(*state);
    return 0;
}

/* --- output at the start  */

/* The whole of stdout, once it listens. */
static void check_banner(const char *const args[], const char *const env[], const char *expected)
{
    struct server_process server;
    char whole[1024];
    server_process_start(&server, args, env);
    snprintf(whole, sizeof whole, "%sListening on %s\n", expected, server.address);
    assert_string_equal(server.banner, whole);
    server_process_stop(&server);
}

static void start_prints_node_id_and_address(void **state)
{
    (void)state;
    char host[256] = "";
    char expected[400];
    assert_int_equal(gethostname(host, sizeof host - 1), 0);
    snprintf(expected, sizeof expected, "Node ID: %s, Cluster mode: disabled\n", host);
    check_banner(NULL, NULL, expected);
    check_banner((const char *const[]){"--set", "server.node_id=n-1", NULL}, NULL,
                 "Node ID: n-1, Cluster mode: disabled\n");
}

static void start_with_file_prints_its_name_first(void **state)
{
    char expected[512];
    const char *file = temp_folder_write(*state, "a.toml", "[server]\nnode_id = \"from-file\"\n");
    snprintf(expected, sizeof expected,
             "Loading configuration from %s\nNode ID: from-file, Cluster mode: disabled\n", file);
    check_banner((const char *const[]){"--config", file, NULL}, NULL, expected);
}

static void start_in_a_cluster_prints_the_mode(void **state)
{
    (void)state;
    check_banner(
        (const char *const[]){"--set", "server.node_id=n-1", "--set", "cluster.enabled=true", NULL},
        NULL, "Node ID: n-1, Cluster mode: enabled\n");
}

/* --- layers ----------------------------------------------------------------------------------- */

static void check_node_id(const char *const args[], const char *const env[], const char *node_id)
{
    struct server_process server;
    char line[300];
    server_process_start(&server, args, env);
    snprintf(line, sizeof line, "Node ID: %s, ", node_id);
    if (strstr(server.banner, line) == NULL) {
        fail_msg("the node id should be %s: %s", node_id, server.banner);
    }
    server_process_stop(&server);
}

static void later_layer_wins(void **state)
{
    char file[600];
    static const char *const env[] = {"ARTEMIS_SERVER_NODE_ID=environment", NULL};
    snprintf(file, sizeof file, "%s",
             temp_folder_write(*state, "a.toml", "[server]\nnode_id = \"file\"\n"));
    check_node_id((const char *const[]){"--config", file, NULL}, NULL, "file");
    temp_folder_write(*state, "config.d/20-b.toml", "[server]\nnode_id = \"fragment-20\"\n");
    check_node_id((const char *const[]){"--config", file, NULL}, NULL, "fragment-20");
    temp_folder_write(*state, "config.d/30-a.toml", "[server]\nnode_id = \"fragment-30\"\n");
    temp_folder_write(*state, "config.d/10-c.toml", "server.node_id = \"fragment-10\"\n");
    temp_folder_write(*state, "config.d/40-d.txt", "this is no TOML and not read");
    check_node_id((const char *const[]){"--config", file, NULL}, NULL, "fragment-30");
    check_node_id((const char *const[]){"--config", file, NULL}, env, "environment");
    check_node_id((const char *const[]){"--config", file, "--set", "server.node_id=set", NULL}, env,
                  "set");
    check_node_id((const char *const[]){"--set", "server.node_id=set", "--config", file, "--set",
                                        "server.node_id=set-again", NULL},
                  env, "set-again");
}

static void setting_of_each_layer_is_shown_with_its_source(void **state)
{
    char file[600];
    struct server_process server;
    static const char *const env[] = {"ARTEMIS_LEASE_TTL_SECS=77", "ARTEMIS_UNRELATED=1", NULL};
    snprintf(file, sizeof file, "%s",
             temp_folder_write(*state, "a.toml", "[server]\nzone = \"zone-of-file\"\n"));
    server_process_start(
        &server, (const char *const[]){"--config", file, "--set", "log.format=json", NULL}, env);
    struct http *http = http_new(server.port);
    const char *body = http_get(http, "/api/status/config")->body;
    assert_non_null(strstr(body, "zone-of-file"));
    assert_non_null(strstr(body, "a.toml:2"));
    assert_non_null(strstr(body, "77"));
    assert_non_null(strstr(body, "ARTEMIS_LEASE_TTL_SECS"));
    assert_non_null(strstr(body, "\"json\""));
    assert_non_null(strstr(body, "--set"));
    http_free(http);
    server_process_stop(&server);
}

static void list_is_accepted_on_the_command_line_in_both_forms(void **state)
{
    (void)state;
    static const char *const forms[] = {"cluster.peers=10.0.0.8:8080,10.0.0.9:8080",
                                        "cluster.peers=[\"10.0.0.8:8080\", \"10.0.0.9:8080\"]"};
    for (size_t i = 0; i < 2; i++) {
        struct server_process server;
        server_process_start(&server, (const char *const[]){"--set", forms[i], NULL}, NULL);
        struct http *http = http_new(server.port);
        const char *body = http_get(http, "/api/status/config")->body;
        assert_non_null(strstr(body, "[\"10.0.0.8:8080\",\"10.0.0.9:8080\"]"));
        http_free(http);
        server_process_stop(&server);
    }
}

/* --- errors  */

/* The start fails, nothing is served, and stderr contains each of the parts. */
static void check_refused(const char *const args[], const char *const env[], int exit_code,
                          const char *const parts[])
{
    struct command_result result = command_run(args, env);
    if (exit_code > 0) {
        assert_int_equal(result.exit_code, exit_code);
    }
    assert_in_range(result.exit_code, 1, 127);
    for (size_t i = 0; parts[i] != NULL; i++) {
        if (strstr(result.err, parts[i]) == NULL) {
            fail_msg("stderr should contain \"%s\": %s", parts[i], result.err);
        }
    }
    assert_null(strstr(result.out, "Listening"));
    command_free(&result);
}

static void set_that_is_wrong_stops_the_start(void **state)
{
    (void)state;
    static const struct {
        const char *set, *key, *value, *allowed;
    } rows[] = {
        {"lease.ttl_secs=0", "lease.ttl_secs", "0", "1 to 86400"},
        {"lease.ttl_secs=86401", "lease.ttl_secs", "86401", "1 to 86400"},
        {"lease.ttl_secs=-1", "lease.ttl_secs", "-1", "1 to 86400"},
        {"lease.ttl_secs=abc", "lease.ttl_secs", "abc", "1 to 86400"},
        {"lease.ttl_secs=1.5", "lease.ttl_secs", "1.5", "1 to 86400"},
        {"lease.ttl_secs=", "lease.ttl_secs", "", "1 to 86400"},
        {"lease.guard_percent=101", "lease.guard_percent", "101", "0 to 100"},
        {"lease.nonsense=1", "lease.nonsense", "", ""},
        {"nonsense.ttl_secs=1", "nonsense.ttl_secs", "", ""},
        {"ttl_secs=1", "ttl_secs", "", ""},
        {"cluster.enabled=maybe", "cluster.enabled", "maybe", "true"},
        {"log.level=loud", "log.level", "loud", "debug"},
        {"log.format=xml", "log.format", "xml", "json"},
        {"server.listen_addr=nowhere", "server.listen_addr", "nowhere", ""},
        {"server.node_id=", "server.node_id", "", ""},
        {"nonsense", "nonsense", "", "section.key=value"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        check_refused(
            (const char *const[]){"server", "--addr", "127.0.0.1:0", "--set", rows[i].set, NULL},
            NULL, 0, (const char *const[]){rows[i].key, rows[i].value, rows[i].allowed, NULL});
    }
}

static void environment_that_is_wrong_stops_the_start(void **state)
{
    (void)state;
    static const char *const args[] = {"server", "--addr", "127.0.0.1:0", NULL};
    check_refused(
        args, (const char *const[]){"ARTEMIS_LEASE_TTL_SECS=0", NULL}, 0,
        (const char *const[]){"ARTEMIS_LEASE_TTL_SECS", "lease.ttl_secs", "1 to 86400", NULL});
    check_refused(args, (const char *const[]){"ARTEMIS_LEASE_TTL_SECS=60.0", NULL}, 1,
                  (const char *const[]){"write ARTEMIS_LEASE_TTL_SECS=60\n", NULL});
    check_refused(
        args, (const char *const[]){"ARTEMIS_LEASE_TTL=60", NULL}, 1,
        (const char *const[]){"ARTEMIS_LEASE_TTL:", "did you mean ARTEMIS_LEASE_TTL_SECS?", NULL});
}

static void foreign_environment_is_ignored_and_a_misspelling_is_logged(void **state)
{
    (void)state;
    struct server_process server;
    static const char *const env[] = {"ARTEMIS_URL=http://h:1", "ARTEMIS_SERVICE_HOST=10.0.0.1",
                                      "ARTEMIS_SERVER_PORT=tcp://10.0.0.1:8080",
                                      "ARTEMIS_LEASES_TTL_SECS=5", NULL};
    server_process_start(&server, NULL, env);
    char *log = server_process_stop_and_read_log(&server);
    assert_non_null(strstr(log, "ARTEMIS_LEASES_TTL_SECS: not a setting, ignored; did you mean "
                                "ARTEMIS_LEASE_TTL_SECS?"));
    assert_null(strstr(log, "ARTEMIS_URL"));
    assert_null(strstr(log, "ARTEMIS_SERV"));
    free(log);
}

static void file_that_is_wrong_stops_the_start_with_file_and_line(void **state)
{
    static const struct {
        const char *content, *line, *part, *allowed;
    } rows[] = {
        {"# a comment\n[lease]\nttl_secs = 0\n", "a.toml:3", "lease.ttl_secs", "1 to 86400"},
        {"[lease]\nttl_secs = \"30\"\n", "a.toml:2", "lease.ttl_secs", ""},
        {"[server]\nzone = 5\n", "a.toml:2", "server.zone", ""},
        {"[cluster]\n\nenabled = 1\n", "a.toml:3", "cluster.enabled", ""},
        {"[cluster]\npeers = [5]\n", "a.toml:2", "cluster.peers", ""},
        {"[lease]\nttl = 30\n", "a.toml:2", "lease.ttl", ""},
        {"[leases]\nttl_secs = 30\n", "a.toml:", "leases", ""},
        {"[lease]\nttl_secs = \n", "a.toml:2", "", ""},
        {"[lease\n", "a.toml:1", "", ""},
        {"[lease]\nttl_secs = 30\nttl_secs = 31\n", "a.toml:3", "ttl_secs", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *file = temp_folder_write(*state, "a.toml", rows[i].content);
        const char *const parts[] = {rows[i].line, rows[i].part, rows[i].allowed, NULL};
        check_refused(
            (const char *const[]){"server", "--addr", "127.0.0.1:0", "--config", file, NULL}, NULL,
            0, parts);
        check_refused((const char *const[]){"config", "check", file, NULL}, NULL, 1, parts);
    }
}

static void file_that_is_missing_is_named(void **state)
{
    (void)state;
    check_refused((const char *const[]){"server", "--config", "/nowhere/a.toml", NULL}, NULL, 0,
                  (const char *const[]){"/nowhere/a.toml", "No such file", NULL});
}

static void missing_folder_of_the_admin_socket_is_named(void **state)
{
    (void)state;
    const char *const args[] = {
        "server", "--addr", "127.0.0.1:0", "--set", "admin.socket=/nowhere/a.sock", NULL};
    check_refused(
        args, NULL, 1,
        (const char *const[]){"admin.socket: /nowhere/a.sock: its folder does not exist", NULL});
}

static void check_hides(const char *const args[], const char *secret)
{
    struct command_result result = command_run(args, NULL);
    assert_null(strstr(result.out, secret));
    assert_null(strstr(result.err, secret));
    command_free(&result);
}

/* Each by its setting and path, and nothing of its content. */
static void config_check_reads_the_files_of_secrets(void **state)
{
    static const char *const sections[] = {"token_file", "[cluster.consul]\ntoken_file",
                                           "[cluster.consul]\nca",
                                           "[cluster.etcd]\ncredentials_file"};
    static const char *const keys[] = {"cluster.token_file", "cluster.consul.token_file",
                                       "cluster.consul.ca", "cluster.etcd.credentials_file"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char text[512];
        char path[128];
        char file[128];
        snprintf(path, sizeof path, "%s", temp_folder_write(*state, "none", "a secret\n"));
        assert_int_equal(unlink(path), 0);
        snprintf(text, sizeof text,
                 "[cluster]\nenabled = true\nprovider = [\"consul\", \"etcd\"]\n%s = \"%s\"\n%s",
                 sections[i], path, i < 3 ? "[cluster.etcd]\n" : "");
        strcat(text, "endpoints = [\"127.0.0.1:2379\"]\n");
        snprintf(file, sizeof file, "%s", temp_folder_write(*state, "a.toml", text));
        const char *const check[] = {"config", "check", file, NULL};
        check_refused(check, NULL, 1, (const char *const[]){keys[i], path, "No such file", NULL});
        temp_folder_write(*state, "none", "a secret\nof two lines\n");
        check_refused(check, NULL, 1, (const char *const[]){keys[i], path, NULL});
        check_hides(check, "a secret");
    }
}

static void config_check_warns_of_a_secret_that_other_users_reach(void **state)
{
    static const mode_t modes[] = {0600, 0640, 0620, 0604, 0602};
    char path[128];
    char text[256];
    char expected[256];
    snprintf(path, sizeof path, "%s",
             temp_folder_write(*state, "token", "a-secret-of-20-or-more\n"));
    snprintf(text, sizeof text, "[cluster]\ntoken_file = \"%s\"\n", path);
    snprintf(expected, sizeof expected,
             "cluster.token_file: %s can be read or changed by other users; run chmod 600\n", path);
    const char *const check[] = {"config", "check", temp_folder_write(*state, "a.toml", text),
                                 NULL};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        struct command_result result = command_run(check, NULL);
        assert_int_equal(result.exit_code, 0);
        assert_int_equal(strstr(result.err, expected) != NULL, modes[i] != 0600);
        command_free(&result);
    }
}

static void config_check_accepts_a_good_file(void **state)
{
    const char *file = temp_folder_write(*state, "a.toml", "[lease]\nttl_secs = 15\n");
    struct command_result result =
        command_run((const char *const[]){"config", "check", file, NULL}, NULL);
    assert_int_equal(result.exit_code, 0);
    assert_string_equal(result.err, "");
    command_free(&result);
}

static void config_reference_is_a_table_of_all_settings(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "server.node_id",      "server.max_body_bytes", "cluster.peers",
        "replication.enabled", "lease.ttl_secs",        "lease.guard_max_secs",
        "cache.expiry_secs",   "ratelimit.burst_size",  "log.format",
    };
    struct command_result result =
        command_run((const char *const[]){"config", "reference", NULL}, NULL);
    assert_int_equal(result.exit_code, 0);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        assert_non_null(strstr(result.out, keys[i]));
    }
    command_free(&result);
}

static void option_that_is_unknown_is_wrong_usage(void **state)
{
    (void)state;
    check_refused((const char *const[]){"server", "--nonsense", NULL}, NULL, 2,
                  (const char *const[]){"--nonsense", NULL});
    check_refused((const char *const[]){"server", "--addr", NULL}, NULL, 2,
                  (const char *const[]){"--addr", NULL});
    check_refused((const char *const[]){"server", "stray", NULL}, NULL, 2,
                  (const char *const[]){"stray", NULL});
    check_refused((const char *const[]){"nonsense", NULL}, NULL, 2,
                  (const char *const[]){"nonsense", NULL});
}

static void invalid_address_is_refused(void **state)
{
    (void)state;
    static const char *const addresses[] = {
        "nonsense", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", ":::"};
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        check_refused((const char *const[]){"server", "--addr", addresses[i], NULL}, NULL, 0,
                      (const char *const[]){addresses[i], NULL});
    }
}

static void port_in_use_is_a_clear_message(void **state)
{
    (void)state;
    struct server_process server;
    server_process_start(&server, NULL, NULL);
    struct command_result result =
        command_run((const char *const[]){"server", "--addr", server.address, NULL}, NULL);
    assert_in_range(result.exit_code, 1, 127);
    assert_non_null(strstr(result.err, server.address));
    assert_non_null(strstr(result.err, "in use"));
    assert_null(strstr(result.err, "errno"));
    assert_null(strstr(result.out, "Listening"));
    command_free(&result);
    server_process_stop(&server);
}

static size_t count_lines(const char *text)
{
    size_t count = 0;
    for (const char *end = strchr(text, '\n'); end != NULL; end = strchr(end + 1, '\n')) {
        count++;
    }
    return count;
}

/* Each line of a JSON log is an object. */
static void check_lines_are_json(const char *log)
{
    for (const char *line = log; *line != '\0';) {
        size_t size = strcspn(line, "\n");
        json_t *json = json_loadb(line, size, 0, NULL);
        if (json == NULL) {
            fail_msg("a line of the log is no JSON: %.*s", (int)size, line);
        }
        json_decref(json);
        line += size + (line[size] == '\n');
    }
}

/* What a server logs from start to stop, with a few requests between, good and bad. */
static char *log_of(const char *const args[])
{
    struct server_process server;
    server_process_start(&server, args, NULL);
    struct http *http = http_new(server.port);
    call_register_many(http, "s", 10);
    for (int i = 0; i < 20; i++) {
        check_http(http_get(http, "/api/discovery/services"), 200);
        check_http(http_get(http, "/api/nowhere"), 404);
        check_http(http_post(http, REGISTER, "nonsense"), 400);
    }
    http_free(http);
    char *log = server_process_stop_and_read_log(&server);
    return log;
}

static void log_has_a_line_a_start_and_none_a_request(void **state)
{
    (void)state;
    char *log = log_of(NULL);
    /* One at the start; a few more at the stop. */
    assert_in_range(count_lines(log), 1, 5);
    free(log);
    log = log_of((const char *const[]){"--set", "log.format=json", NULL});
    assert_in_range(count_lines(log), 1, 5);
    check_lines_are_json(log);
    free(log);
    log =
        log_of((const char *const[]){"--set", "log.level=debug", "--set", "log.format=json", NULL});
    assert_true(count_lines(log) >= 60);
    check_lines_are_json(log);
    free(log);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

/* The configurations that `make install` installs. */
static void installed_configurations_store_their_records(void **state)
{
    (void)state;
    static const char *const files[] = {"configs/single-node.toml", "configs/cluster-node.toml"};
    static const char addr[] = "cluster.advertise_addr=127.0.0.1:8080";
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct command_result result = command_run(
            (const char *const[]){"config", "check", files[i], "--set", addr, NULL}, NULL);
        if (result.exit_code != 0)
            fail_msg("%s: %s%s", files[i], result.out, result.err);
        assert_non_null(strstr(result.out, "storage.data_dir"));
        assert_non_null(strstr(result.out, "/var/lib/artemis"));
        command_free(&result);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(installed_configurations_store_their_records),
        TEST(start_prints_node_id_and_address),
        TEST(start_with_file_prints_its_name_first),
        TEST(start_in_a_cluster_prints_the_mode),
        TEST(later_layer_wins),
        TEST(setting_of_each_layer_is_shown_with_its_source),
        TEST(list_is_accepted_on_the_command_line_in_both_forms),
        TEST(set_that_is_wrong_stops_the_start),
        TEST(environment_that_is_wrong_stops_the_start),
        TEST(foreign_environment_is_ignored_and_a_misspelling_is_logged),
        TEST(file_that_is_wrong_stops_the_start_with_file_and_line),
        TEST(file_that_is_missing_is_named),
        TEST(missing_folder_of_the_admin_socket_is_named),
        TEST(config_check_accepts_a_good_file),
        TEST(config_check_reads_the_files_of_secrets),
        TEST(config_check_warns_of_a_secret_that_other_users_reach),
        TEST(config_reference_is_a_table_of_all_settings),
        TEST(option_that_is_unknown_is_wrong_usage),
        TEST(invalid_address_is_refused),
        TEST(port_in_use_is_a_clear_message),
        TEST(log_has_a_line_a_start_and_none_a_request),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
