/* SPDX-License-Identifier: Apache-2.0
 *
 * `artemis register --every` and `heartbeat --every` beside a real server: the lease is renewed, a
 * restarted server gets the instance again, and a signal ends the command with 0.
 */
#include "tests/support/client/calls.h"
#include "tests/support/command.h"
#include "tests/support/wait.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int start(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "lease.ttl_secs=2", NULL});
}

/* A command that runs beside the test, and its output. */
struct keeper {
    pid_t pid;
    int out_fd;
    int err_fd;
};

static struct keeper keep(const char *const args[])
{
    struct keeper keeper = {.out_fd = command_temp_file(), .err_fd = command_temp_file()};
    keeper.pid = command_spawn(args, NULL, keeper.out_fd, keeper.err_fd);
    return keeper;
}

static struct keeper keep_registered(const struct server_process *server, const char *more)
{
    return keep((const char *const[]){"register", "shop", "s-1", "--ip", "10.0.0.1", "--region",
                                      "lab", "--every", "1", "--server", server->url, more, NULL});
}

static size_t count(int fd, const char *part)
{
    size_t found = 0;
    char *text = command_read_all(fd);
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++) {
        found++;
    }
    free(text);
    return found;
}

struct expected_output {
    int fd;
    const char *part;
};

static bool is_printed(void *context)
{
    const struct expected_output *expected = context;
    return count(expected->fd, expected->part) > 0;
}

static void wait_for(int fd, const char *part)
{
    struct expected_output expected = {fd, part};
    if (!wait_until(is_printed, &expected, wait_deadline_ms())) {
        fail_msg("\"%s\" is not printed: %s", part, command_read_all(fd));
    }
}

static int end(struct keeper *keeper, int signal)
{
    assert_int_equal(kill(keeper->pid, signal), 0);
    int exit_code = command_wait(keeper->pid, wait_deadline_ms());
    close(keeper->out_fd);
    close(keeper->err_fd);
    return exit_code;
}

static void lease_is_renewed_and_left_to_expire_at_the_end(void **state)
{
    struct fixture *fixture = *state;
    struct keeper keeper = keep_registered(&fixture->server, NULL);
    wait_for(keeper.out_fd, "registered shop/s-1\n");
    wait_for_time(wait_now_ms() + 3000); /* longer than a lease */
    assert_true(call_shows(fixture->http, "shop", "s-1"));
    assert_int_equal(count(keeper.out_fd, "\n"), 1);
    assert_int_equal(end(&keeper, SIGTERM), 0);
    assert_true(call_shows(fixture->http, "shop", "s-1"));
}

static void instance_is_unregistered_at_the_end_on_request(void **state)
{
    struct fixture *fixture = *state;
    struct keeper keeper = keep_registered(&fixture->server, "--unregister");
    wait_for(keeper.out_fd, "registered shop/s-1\n");
    assert_int_equal(end(&keeper, SIGINT), 0);
    assert_false(call_shows(fixture->http, "shop", "s-1"));
}

static void lost_instance_is_registered_again(void **state)
{
    struct fixture *fixture = *state;
    struct keeper keeper = keep_registered(&fixture->server, NULL);
    wait_for(keeper.out_fd, "registered shop/s-1\n");
    check_http(http_post(fixture->http, UNREGISTER, "{'instance_keys':[" KEY "]}", "shop", "s-1"),
               200);
    wait_for(keeper.out_fd, "registered again shop/s-1\n");
    assert_true(call_shows(fixture->http, "shop", "s-1"));
    assert_int_equal(end(&keeper, SIGTERM), 0);
}

static void server_restart_is_reported_once_and_survived(void **state)
{
    struct fixture *fixture = *state;
    char address[32];
    snprintf(address, sizeof address, "%s", fixture->server.address);
    struct keeper keeper = keep_registered(&fixture->server, NULL);
    wait_for(keeper.out_fd, "registered shop/s-1\n");
    server_process_stop(&fixture->server);
    wait_for(keeper.err_fd, "; retrying\n");
    wait_for_time(wait_now_ms() + 2500); /* two more attempts */
    assert_int_equal(count(keeper.err_fd, "; retrying\n"), 1);
    server_process_start(&fixture->server, (const char *const[]){"--addr", address, NULL}, NULL);
    wait_for(keeper.out_fd, "registered again shop/s-1\n");
    assert_int_equal(end(&keeper, SIGTERM), 0);
}

/* The server is started after the command, and the first server of the list never. */
static void server_that_starts_later_gets_the_instance(void **state)
{
    struct fixture *fixture = *state;
    char servers[80];
    snprintf(servers, sizeof servers, "127.0.0.1:1,%s", fixture->server.address);
    uint16_t port = fixture->server.port;
    server_process_stop(&fixture->server);
    struct keeper keeper =
        keep((const char *const[]){"register", "shop", "s-1", "--ip", "10.0.0.1", "--region", "lab",
                                   "--every", "1", "--server", servers, NULL});
    wait_for(keeper.err_fd, "no server listens at http://127.0.0.1:1; no server listens at ");
    server_process_start_at(&fixture->server, port, NULL, NULL);
    wait_for(keeper.out_fd, "registered shop/s-1\n");
    assert_true(call_shows(fixture->http, "shop", "s-1"));
    assert_int_equal(count(keeper.err_fd, "no server listens at http://127.0.0.1:1; "), 1);
    assert_int_equal(end(&keeper, SIGTERM), 0);
}

static void registration_has_all_given_fields(void **state)
{
    struct fixture *fixture = *state;
    struct keeper keeper = keep((const char *const[]){
        "register", "shop",     "s-1",        "--url",        "http://h:1/x",
        "--status", "starting", "--protocol", "grpc",         "--machine",
        "m",        "--group",  "g",          "--health-url", "http://h/health",
        "--meta",   "a=1",      "--meta",     "b=x=y",        "--meta",
        "a=2",      "--every",  "1",          "--server",     fixture->server.url,
        NULL});
    wait_for(keeper.out_fd, "registered shop/s-1\n");
    struct http_response *response =
        http_get(fixture->http, "/api/discovery/service?service_id=shop&status=all");
    assert_true(check_integer(response, "service.instances[0].revision") > 0); /* by the clock */
    json_object_del(check_find(response->json, "service.instances[0]"), "revision");
    check_json(response, "service.instances[0]",
               "{'region_id':'local','zone_id':'zone1','service_id':'shop','group_id':'g',"
               "'instance_id':'s-1','ip':'','port':0,'url':'http://h:1/x','status':'starting',"
               "'machine_name':'m','protocol':'grpc','health_check_url':'http://h/health',"
               "'metadata':{'a':'2','b':'x=y'}}");
    assert_int_equal(end(&keeper, SIGTERM), 0);
}

static void events_are_objects_with_json(void **state)
{
    struct fixture *fixture = *state;
    struct keeper keeper = keep_registered(&fixture->server, "--json");
    wait_for(keeper.out_fd, "\n");
    char *text = command_read_all(keeper.out_fd);
    json_t *json = json_loads(text, JSON_DISABLE_EOF_CHECK, NULL);
    assert_non_null(json);
    assert_string_equal(json_string_value(json_object_get(json, "event")), "registered");
    assert_string_equal(json_string_value(json_object_get(json, "instance_id")), "s-1");
    json_decref(json);
    free(text);
    assert_int_equal(end(&keeper, SIGTERM), 0);
}

static void heartbeat_reports_that_the_instance_is_unknown(void **state)
{
    struct fixture *fixture = *state;
    call_register(fixture->http, "shop", "s-1");
    struct keeper keeper =
        keep((const char *const[]){"heartbeat", "shop", "s-1", "--region", "lab", "--every", "1",
                                   "--server", fixture->server.url, NULL});
    wait_for(keeper.out_fd, "renewed shop/s-1\n");
    check_http(http_post(fixture->http, UNREGISTER, "{'instance_keys':[" KEY "]}", "shop", "s-1"),
               200);
    assert_int_equal(command_wait(keeper.pid, wait_deadline_ms()), 1);
    assert_int_equal(count(keeper.err_fd, "the instance is not registered"), 1);
    close(keeper.out_fd);
    close(keeper.err_fd);
}

static void permanent_rejection_ends_at_once(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *option, *value;
        int exit_code;
        const char *part;
    } rows[] = {
        {"--region", "", 2, "--region must be 1 to 255 bytes"},
        {"--file", "x.json", 2, "--file"},
        {"--every", "0", 2, "--every"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct command_result result =
            command_run((const char *const[]){"register", "shop", "s-1", "--ip", "10.0.0.1",
                                              "--every", "1", "--server", fixture->server.url,
                                              rows[i].option, rows[i].value, NULL},
                        NULL);
        assert_int_equal(result.exit_code, rows[i].exit_code);
        assert_non_null(strstr(result.err, rows[i].part));
        command_free(&result);
    }
    struct command_result result =
        command_run((const char *const[]){"heartbeat", "shop", "s-1", "--unregister", NULL}, NULL);
    assert_int_equal(result.exit_code, 2);
    assert_non_null(strstr(result.err, "--unregister needs --every"));
    command_free(&result);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lease_is_renewed_and_left_to_expire_at_the_end),
        TEST(instance_is_unregistered_at_the_end_on_request),
        TEST(lost_instance_is_registered_again),
        TEST(server_restart_is_reported_once_and_survived),
        TEST(server_that_starts_later_gets_the_instance),
        TEST(registration_has_all_given_fields),
        TEST(events_are_objects_with_json),
        TEST(heartbeat_reports_that_the_instance_is_unknown),
        TEST(permanent_rejection_ends_at_once),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
