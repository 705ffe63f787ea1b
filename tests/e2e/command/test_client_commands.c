/* SPDX-License-Identifier: Apache-2.0
 *
 * The commands that call a server, and their exit codes: 0 done, 1 refused, 2 usage, 3 not
 * reachable (CONTRACT 8).
 */
#include "tests/support/client/calls.h"
#include "tests/support/command.h"
#include "tests/support/servers/fake_server.h"
#include "tests/support/temp_folder.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int start(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "server.node_id=n-1", NULL});
}

static int start_in_another_zone(void **state)
{
    return fixture_start(
        state, (const char *const[]){"--set", "server.region=eu", "--set", "server.zone=z9", NULL});
}

static int start_with_short_leases(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "lease.ttl_secs=1", NULL});
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

/* Checks the exit code, and a part of stdout when the command is done, otherwise of stderr. */
static void check_run(const struct fixture *fixture, const char *line, int exit_code,
                      const char *part)
{
    struct command_result result = run(fixture, line);
    const char *printed = exit_code == 0 ? result.out : result.err;
    if (result.exit_code != exit_code || strstr(printed, part) == NULL) {
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

/* --- options ---------------------------------------------------------------------------------- */

static void invalid_instance_is_not_sent(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *line, *part;
    } rows[] = {
        {"register shop s-1 --ip 10.0.0.7 --prot 80", "did you mean --port?"},
        {"register shop s-1 --ip 10.0.0.7 --prot=80", "did you mean --port?"},
        {"register shop s-1 --ip localhost --port 80", "--ip must be an IPv4 or IPv6 address"},
        {"register shop s-1 --url localhost:80", "--url must be a URL"},
        {"register shop s-1 --ip 10.0.0.7 --status upp", "did you mean up?"},
        {"register shop s-1 --ip 10.0.0.7 --region=", "--region must be 1 to 255 bytes"},
        {"set-status shop s-1", "STATUS is missing"},
        {"set-status shop s-1 dwn", "did you mean down?"},
        {"lookup shop --strategy best",
         "--strategy must be random, round-robin, weighted or consistent-hash, is best"},
        {"lookup shop --strategy consistent-hash", "consistent-hash needs --hash-key KEY"},
        {"lookup shop --hash-key k", "--hash-key needs --strategy consistent-hash"},
        {"guard", "guard status [SERVICE]"},
        {"guard engage", "guard status [SERVICE]"},
        {"leases", "SERVICE is missing"},
        {"services --timeout 0", "--timeout must be a whole number from 1 to 3600"},
        {"config show more", "config show takes no other argument"},
        {"config show --addr 127.0.0.1:1", "config show has no option --addr"},
        {"config check f.toml --server h:1", "config check has no option --server"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        check_run(fixture, rows[i].line, 2, rows[i].part);
    }
    check_run(fixture, "services", 0, "no services are registered");
}

static void zone_defaults_to_that_of_the_server(void **state)
{
    struct fixture *fixture = *state;
    check_run(fixture, "register shop s-1 --ip 10.0.0.7", 0, "registered shop/s-1");
    check_run(fixture, "service shop", 0, "eu/z9");
    check_run(fixture, "heartbeat shop s-1", 0, "renewed shop/s-1");
    check_run(fixture, "heartbeat shop s-1 --zone other", 1, "not registered");
    check_run(fixture, "unregister shop s-1 --zone other", 0,
              "not registered: shop/s-1\n"
              "  an instance of this id has another key: --region eu --zone z9\n");
    check_run(fixture, "unregister shop s-1", 0, "unregistered shop/s-1");
    check_run(fixture, "unregister shop s-1", 0, "not registered: shop/s-1\n");
    check_run(fixture, "unregister nowhere s-1", 0, "not registered: nowhere/s-1\n");
}

/* --- servers ---------------------------------------------------------------------------------- */

static void next_server_is_called_when_one_is_not_reachable(void **state)
{
    struct fixture *fixture = *state;
    static const char *const commands[] = {"register shop s-1 --ip 10.0.0.7",
                                           "heartbeat shop s-1",
                                           "set-status shop s-1 up",
                                           "services",
                                           "service shop",
                                           "lookup shop",
                                           "leases shop",
                                           "guard status",
                                           "guard release",
                                           "status",
                                           "cluster",
                                           "config show",
                                           "unregister shop s-1"};
    char line[200];
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        snprintf(line, sizeof line, "%s --server 127.0.0.1:1,%s", commands[i],
                 fixture->server.address);
        check_run(fixture, line, 0, "");
        snprintf(line, sizeof line, "%s --server 127.0.0.1:1,127.0.0.1:2", commands[i]);
        check_run(fixture, line, 3,
                  "no server listens at http://127.0.0.1:1; no server listens at "
                  "http://127.0.0.1:2");
    }
    check_run(fixture, "services --server 127.0.0.1:1,", 2, "not a server address");
}

/* Accepts connections and sends nothing. */
static void no_response(const char *head, char *response, size_t size, void *context)
{
    (void)head;
    (void)response;
    (void)size;
    wait_for_time(wait_now_ms() + *(const int *)context);
}

static void silent_server_is_given_up_after_the_timeout(void **state)
{
    struct fixture *fixture = *state;
    struct fake_server silent;
    char line[120];
    int silence_ms = 4000; /* below the default timeout, so that only --timeout ends the call */
    fake_server_start(&silent, no_response, &silence_ms);
    snprintf(line, sizeof line, "services --timeout 1 --server %s", silent.url);
    check_run(fixture, line, 3, "did not respond in time");
    fake_server_stop(&silent);
}

/* A response of Artemis without data. */
static void empty_response(const char *head, char *response, size_t size, void *context)
{
    static const char body[] = "{\"response_status\":{\"error_code\":\"success\"}}";
    (void)head;
    (void)context;
    snprintf(response, size,
             "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
             sizeof body - 1, body);
}

static void response_without_data_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *command, *data;
    } rows[] = {
        {"status", "node_status.node"},
        {"cluster", "nodes_status"},
        {"services", "services"},
        {"service shop", "service.instances"},
        {"leases shop", "leases"},
        {"guard status", "guard.node"},
        {"guard release", "guard.node"},
        {"config show", "settings"},
        {"lookup shop", "instance"},
        {"set-status shop s-1 up", "service.instances"},
        {"heartbeat shop s-1", "node_status.node"},
    };
    struct fake_server empty;
    char line[120];
    char part[80];
    fake_server_start(&empty, empty_response, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(line, sizeof line, "%s --server %s", rows[i].command, empty.url);
        snprintf(part, sizeof part, "sent a response without %s\n", rows[i].data);
        check_run(fixture, line, 3, part);
    }
    fake_server_stop(&empty);
}

/* --- commands --------------------------------------------------------------------------------- */

static void set_status_keeps_everything_else(void **state)
{
    struct fixture *fixture = *state;
    check_run(fixture,
              "register shop s-1 --ip 10.0.0.7 --port 80 --protocol grpc --machine m --group g "
              "--health-url http://h/x --meta version=3 --weight 0",
              0, "registered");
    json_t *before = run_json(fixture, "service shop --all --json", 0);
    check_run(fixture, "set-status shop s-1 down", 0, "changed shop/s-1");
    json_t *after = run_json(fixture, "service shop --all --json", 0);
    json_t *instance = json_array_get(check_find(after, "service.instances"), 0);
    assert_string_equal(json_string_value(json_object_get(instance, "status")), "down");
    assert_int_equal(json_object_set_new(instance, "status", json_string("up")), 0);
    assert_true(json_equal(instance, json_array_get(check_find(before, "service.instances"), 0)));
    json_decref(before);
    json_decref(after);

    check_run(fixture, "set-status shop nobody down", 1, "not registered: shop/nobody");
    check_run(fixture, "set-status nowhere s-1 down", 1, "nowhere");
    check_run(fixture, "register shop s-1 --ip 10.0.0.8 --zone other", 0, "registered");
    check_run(fixture, "set-status shop s-1 up", 1, "2 instances have the id shop/s-1");
    check_run(fixture, "set-status shop s-1 up --group g", 0, "changed shop/s-1");
}

static void lookup_prints_one_url(void **state)
{
    struct fixture *fixture = *state;
    check_run(fixture, "register shop s-1 --ip 10.0.0.7 --port 80", 0, "registered");
    check_run(fixture, "lookup shop", 0, "http://10.0.0.7:80\n");
    check_run(fixture, "lookup shop --strategy round-robin", 0, "http://10.0.0.7:80\n");
    check_run(fixture, "lookup shop --strategy weighted", 0, "http://10.0.0.7:80\n");
    check_run(fixture, "lookup shop --strategy consistent-hash --hash-key a&b", 0,
              "http://10.0.0.7:80\n");
    json_t *json = run_json(fixture, "lookup shop --json", 0);
    assert_string_equal(json_string_value(check_find(json, "instance.instance_id")), "s-1");
    json_decref(json);
    check_run(fixture, "set-status shop s-1 down", 0, "changed");
    check_run(fixture, "lookup shop", 1, "no instance is up");
    check_run(fixture, "lookup nowhere", 1, "list the services: artemis services");
}

static void filters_select_and_order_instances(void **state)
{
    struct fixture *fixture = *state;
    check_run(fixture, "register shop s-1 --ip 10.0.0.1 --zone a --meta version=3", 0,
              "registered");
    check_run(fixture, "register shop s-2 --ip 10.0.0.2 --zone b --meta version=2", 0,
              "registered");
    check_run(fixture, "register shop s-3 --ip 10.0.0.3 --region eu --zone a --status down", 0,
              "registered");
    static const struct {
        const char *options, *first;
        size_t count;
    } rows[] = {
        {"--zone a", "s-1", 1},         {"--region eu --status all", "s-3", 1},
        {"--meta version=2", "s-2", 1}, {"--all --meta version=3 --zone a", "s-1", 1},
        {"--near local/b", "s-2", 2},   {"--near eu/x --status up,down", "s-3", 3},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char line[128];
        snprintf(line, sizeof line, "service shop --json %s", rows[i].options);
        json_t *json = run_json(fixture, line, 0);
        const json_t *instances = check_find(json, "service.instances");
        assert_int_equal(json_array_size(instances), rows[i].count);
        assert_string_equal(
            json_string_value(json_object_get(json_array_get(instances, 0), "instance_id")),
            rows[i].first);
        json_decref(json);
    }
    check_run(fixture, "service shop --near local/b", 0,
              "1 in the zone, 1 in the region, 0 beyond\n");
    check_run(fixture, "service shop --zone c", 0, "shop has no instance that matches\n");
    check_run(fixture, "lookup shop --near local/b", 0, "http://10.0.0.2");
    check_run(fixture, "lookup shop --meta version=3", 0, "http://10.0.0.1");
    json_t *json = run_json(fixture, "services --json --zone a --status down", 0);
    assert_int_equal(json_array_size(check_find(json, "services[0].instances")), 1);
    json_decref(json);
    check_run(fixture, "service shop --near eu", 2, "--near must be REGION/ZONE");
    check_run(fixture, "service shop --status gone", 2, "--status must be all, or some of");
    check_run(fixture, "service shop --all --status up", 2, "--all and --status");
    check_run(fixture, "services --meta version", 2, "--meta must be KEY=VALUE");
    check_run(fixture, "watch shop --status gone", 2, "--status must be all, or some of");
}

static void leases_of_a_service_are_listed(void **state)
{
    struct fixture *fixture = *state;
    check_run(fixture, "register shop s-1 --ip 10.0.0.7", 0, "registered");
    check_run(fixture, "leases shop", 0, "INSTANCE  STATUS  RENEWED  EXPIRES  ZONE\ns-1 ");
    json_t *json = run_json(fixture, "leases shop --json", 0);
    assert_int_equal(json_array_size(check_find(json, "leases.shop")), 1);
    json_decref(json);
    check_run(fixture, "leases nowhere", 1, "no such service: \"nowhere\"");
}

static void settings_of_the_server_are_listed(void **state)
{
    struct fixture *fixture = *state;
    check_run(fixture, "config show", 0, "server.node_id ");
    json_t *json = run_json(fixture, "config show --json", 0);
    const json_t *settings = json_object_get(json, "settings");
    const json_t *node_id = json_object_get(settings, "server.node_id");
    assert_string_equal(json_string_value(json_object_get(node_id, "value")), "n-1");
    json_decref(json);
}

static void wide_list_shows_metadata(void **state)
{
    struct fixture *fixture = *state;
    check_run(fixture, "register shop s-1 --ip 10.0.0.7 --meta version=3 --meta a=b --weight 7", 0,
              "");
    check_run(fixture, "service shop --wide", 0, "7       a=b,version=3\n");
    struct command_result result = run(fixture, "service shop");
    assert_null(strstr(result.out, "version=3"));
    command_free(&result);
}

/* --- the guard -------------------------------------------------------------------------------- */

static bool is_engaged(void *context)
{
    struct fixture *fixture = context;
    struct command_result result = run(fixture, "guard status");
    bool engaged = strstr(result.out, "(node)  engaged") != NULL;
    command_free(&result);
    return engaged;
}

static void guard_is_shown_and_released(void **state)
{
    struct fixture *fixture = *state;
    check_run(fixture, "guard status", 0, "(node)  off");
    check_run(fixture, "status", 0, "guard      off\n");
    check_run(fixture, "guard release", 0, "no guard is engaged; nothing to release\n");
    check_run(fixture, "guard status nowhere", 1, "no such service: \"nowhere\"");
    check_run(fixture, "guard release nowhere", 1, "no such service");
    call_register_many(fixture->http, "shop", 60);
    check_run(fixture, "guard release shop", 0, "the guard of shop is not engaged");
    /* No lease is renewed, so all of them expire together. */
    assert_true(wait_until(is_engaged, fixture, wait_deadline_ms()));
    check_run(fixture, "status", 0, "guard      engaged for the node and 1 service; 60 evictions");
    check_run(fixture, "guard status shop", 0, "\nshop   engaged");
    json_t *json = run_json(fixture, "guard status --json", 0);
    assert_string_equal(json_string_value(check_find(json, "guard.node.state")), "on");
    json_decref(json);
    check_run(fixture, "guard release Shop", 0, "the guard of Shop is released\n");
}

/* --- version and help ------------------------------------------------------------------------- */

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
    static const char *const commands[] = {"server",     "register", "heartbeat", "unregister",
                                           "services",   "service",  "watch",     "cluster",
                                           "diff",       "status",   "config",    "version",
                                           "set-status", "lookup",   "leases",    "guard"};
    char line[64];
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        check_run(fixture, "help", 0, commands[i]);
        snprintf(line, sizeof line, "%s --help", commands[i]);
        check_run(fixture, line, 0, "usage: artemis");
        snprintf(line, sizeof line, "help %s", commands[i]);
        check_run(fixture, line, 0, "usage: artemis");
    }
}

#define TEST_WITH(name, setup) cmocka_unit_test_setup_teardown(name, setup, fixture_stop)
#define TEST(name)             TEST_WITH(name, start)

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
        TEST(invalid_instance_is_not_sent),
        TEST_WITH(zone_defaults_to_that_of_the_server, start_in_another_zone),
        TEST(next_server_is_called_when_one_is_not_reachable),
        TEST(silent_server_is_given_up_after_the_timeout),
        TEST(response_without_data_is_an_error),
        TEST(set_status_keeps_everything_else),
        TEST(lookup_prints_one_url),
        TEST(filters_select_and_order_instances),
        TEST(leases_of_a_service_are_listed),
        TEST(settings_of_the_server_are_listed),
        TEST(wide_list_shows_metadata),
        TEST_WITH(guard_is_shown_and_released, start_with_short_leases),
        TEST(version_is_that_of_the_binary),
        TEST(each_command_has_help),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
