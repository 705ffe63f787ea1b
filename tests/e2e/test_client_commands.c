/* SPDX-License-Identifier: Apache-2.0
 *
 * Proves section 8 of the contract: the commands that call a server, for people and for scripts,
 * and their exit codes: 0 done, 1 refused, 2 usage, 3 not reachable.
 */
#include "tests/support/calls.h"
#include "tests/support/command.h"
#include "tests/support/temp_folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int start(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "server.node_id=n-1", NULL});
}

enum { WORDS_MAX = 20 };

/* Runs a command line, split at blanks, with ARTEMIS_URL naming the server. */
static struct command_result run(const struct fixture *fixture, const char *line)
{
    char words[512];
    char url[64];
    const char *args[WORDS_MAX + 1] = {NULL};
    size_t count = 0;
    char *rest = NULL;
    snprintf(words, sizeof words, "%s", line);
    snprintf(url, sizeof url, "ARTEMIS_URL=%s", fixture->server.url);
    for (char *word = strtok_r(words, " ", &rest); word != NULL;
         word = strtok_r(NULL, " ", &rest)) {
        assert_true(count < WORDS_MAX);
        args[count++] = word;
    }
    return command_run(args, (const char *const[]){url, NULL});
}

/* The exit code, and a part of what it says: on stdout when done, else on stderr. */
static void check_run(const struct fixture *fixture, const char *line, int exit_code,
                      const char *part)
{
    struct command_result result = run(fixture, line);
    const char *said = exit_code == 0 ? result.out : result.err;
    if (result.exit_code != exit_code || strstr(said, part) == NULL) {
        fail_msg("artemis %s: exit code %d, should be %d with \"%s\"\nstdout: %sstderr: %s", line,
                 result.exit_code, exit_code, part, result.out, result.err);
    }
    command_free(&result);
}

/* Stdout is one JSON document. The caller releases it. */
static json_t *run_json(const struct fixture *fixture, const char *line, int exit_code)
{
    struct command_result result = run(fixture, line);
    json_t *json = json_loads(result.out, 0, NULL);
    if (result.exit_code != exit_code || json == NULL) {
        fail_msg("artemis %s: exit code %d, should be %d and print JSON\nstdout: %sstderr: %s",
                 line, result.exit_code, exit_code, result.out, result.err);
    }
    command_free(&result);
    return json;
}

static void instance_is_registered_renewed_shown_and_unregistered(void **state)
{
    struct fixture *fixture = *state;
    check_run(fixture, "register shop s-1 --ip 10.0.0.7 --port 80 --meta version=3", 0, "shop");
    assert_true(call_shows(fixture->http, "shop", "s-1"));
    check_run(fixture, "heartbeat shop s-1", 0, "shop");
    check_run(fixture, "services", 0, "shop");
    check_run(fixture, "service shop", 0, "10.0.0.7");
    check_run(fixture, "service SHOP", 0, "s-1");
    check_run(fixture, "unregister shop s-1", 0, "shop");
    assert_false(call_shows(fixture->http, "shop", "s-1"));
    check_run(fixture, "unregister shop s-1", 0, "shop");
}

static void response_is_printed_as_json(void **state)
{
    struct fixture *fixture = *state;
    static const char *const lines[] = {
        "register shop s-1 --ip 10.0.0.7 --json",
        "heartbeat shop s-1 --json",
        "services --json",
        "service shop --json",
        "status --json",
        "unregister shop s-1 --json",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        json_t *json = run_json(fixture, lines[i], 0);
        const json_t *status = json_object_get(json, "response_status");
        assert_string_equal(json_string_value(json_object_get(status, "error_code")), "success");
        json_decref(json);
    }
}

static void service_shows_instances_as_json(void **state)
{
    struct fixture *fixture = *state;
    call_register_many(fixture->http, "shop", 3);
    json_t *json = run_json(fixture, "service shop --json", 0);
    assert_int_equal(json_array_size(check_find(json, "service.instances")), 3);
    json_decref(json);
    json = run_json(fixture, "services --json", 0);
    assert_string_equal(json_string_value(check_find(json, "services[0].service_id")), "shop");
    json_decref(json);
}

static void refused_request_exits_with_1(void **state)
{
    struct fixture *fixture = *state;
    check_run(fixture, "heartbeat shop nobody", 1, "shop");
    check_run(fixture, "service nowhere", 1, "nowhere");
    json_t *json = run_json(fixture, "service nowhere --json", 1);
    assert_string_equal(json_string_value(check_find(json, "response_status.reason")),
                        "service-not-found");
    json_decref(json);
    json = run_json(fixture, "heartbeat shop nobody --json", 1);
    assert_string_equal(json_string_value(check_find(json, "failed_instance_keys[0].reason")),
                        "instance-not-found");
    json_decref(json);
}

static void wrong_usage_exits_with_2(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *line, *part;
    } rows[] = {
        {"register", "SERVICE"},
        {"register shop", "INSTANCE"},
        {"register shop s-1 --port 70000 --ip 1", "70000"},
        {"register shop s-1 --port x --ip 1", "x"},
        {"register shop s-1 --nonsense", "--nonsense"},
        {"heartbeat shop", "INSTANCE"},
        {"unregister", "SERVICE"},
        {"service", "NAME"},
        {"service shop more", "more"},
        {"services --server", "--server"},
        {"services stray", "stray"},
        {"status --nonsense", "--nonsense"},
        {"config", "config check"},
        {"config check", "FILE"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        check_run(fixture, rows[i].line, 2, rows[i].part);
    }
    struct command_result result = run(fixture, "");
    assert_int_equal(result.exit_code, 2);
    command_free(&result);
}

static void unreachable_server_exits_with_3(void **state)
{
    struct fixture *fixture = *state;
    static const char *const commands[] = {
        "services",           "service shop",        "status",
        "heartbeat shop s-1", "unregister shop s-1", "register shop s-1 --ip 10.0.0.7"};
    struct server_process gone;
    char line[200];
    /* A port that was in use a moment ago: nothing listens there now. */
    server_process_start(&gone, NULL, NULL);
    server_process_stop(&gone);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        snprintf(line, sizeof line, "%s --server %s", commands[i], gone.url);
        check_run(fixture, line, 3, gone.address);
    }
}

static void server_option_overrides_environment(void **state)
{
    struct fixture *fixture = *state;
    struct fixture other = {.server.port = 1};
    char line[200];
    snprintf(other.server.url, sizeof other.server.url, "http://127.0.0.1:1");
    snprintf(line, sizeof line, "services --server %s", fixture->server.url);
    check_run(&other, line, 0, "");
    snprintf(line, sizeof line, "services --server %s", fixture->server.address);
    check_run(&other, line, 0, "");
    check_run(&other, "services", 3, "127.0.0.1:1");
}

static void file_is_registered_unchanged(void **state)
{
    struct fixture *fixture = *state;
    struct temp_folder folder;
    char line[600];
    temp_folder_make(&folder);
    const char *file = temp_folder_write(
        &folder, "instances.json",
        "{\"instances\":[{\"region_id\":\"r\",\"zone_id\":\"z\",\"service_id\":\"filed\","
        "\"instance_id\":\"i1\",\"ip\":\"10.0.0.1\"}]}");
    snprintf(line, sizeof line, "register --file %s", file);
    check_run(fixture, line, 0, "registered");
    assert_true(call_shows(fixture->http, "filed", "i1"));
    temp_folder_remove(&folder);
}

static void status_shows_the_node(void **state)
{
    struct fixture *fixture = *state;
    check_run(fixture, "status", 0, "n-1");
    check_run(fixture, "status", 0, "ready");
}

static void version_is_that_of_the_binary(void **state)
{
    struct fixture *fixture = *state;
    check_run(fixture, "version", 0, "artemis " ARTEMIS_VERSION "\n");
    json_t *json = run_json(fixture, "version --json", 0);
    assert_string_equal(json_string_value(json_object_get(json, "version")), ARTEMIS_VERSION);
    json_decref(json);
}

static void each_command_has_help(void **state)
{
    struct fixture *fixture = *state;
    static const char *const commands[] = {"server",   "register", "heartbeat", "unregister",
                                           "services", "service",  "watch",     "cluster",
                                           "diff",     "status",   "config",    "version"};
    char line[64];
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        check_run(fixture, "help", 0, commands[i]);
        snprintf(line, sizeof line, "%s --help", commands[i]);
        check_run(fixture, line, 0, "usage: artemis");
        snprintf(line, sizeof line, "help %s", commands[i]);
        check_run(fixture, line, 0, "usage: artemis");
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(instance_is_registered_renewed_shown_and_unregistered),
        TEST(response_is_printed_as_json),
        TEST(service_shows_instances_as_json),
        TEST(refused_request_exits_with_1),
        TEST(wrong_usage_exits_with_2),
        TEST(unreachable_server_exits_with_3),
        TEST(server_option_overrides_environment),
        TEST(file_is_registered_unchanged),
        TEST(status_shows_the_node),
        TEST(version_is_that_of_the_binary),
        TEST(each_command_has_help),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
