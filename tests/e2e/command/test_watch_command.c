/* SPDX-License-Identifier: Apache-2.0
 *
 * `artemis watch` and `artemis services --watch` beside a real server: each change is printed at
 * once, a restart of the server is survived and reported on stderr, and a signal ends it with 0.
 */
#include "tests/support/client/calls.h"
#include "tests/support/command.h"
#include "tests/support/wait.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct server_process server;
static struct http *http;

/* A command that runs beside the test, and its output. */
struct watcher {
    pid_t pid;
    int out_fd;
    int err_fd;
};

static int start(void **state)
{
    (void)state;
    server_process_start(&server, NULL, NULL);
    http = http_new(server.port);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    http_free(http);
    server_process_stop(&server);
    return 0;
}

static struct watcher begin(const char *const args[])
{
    struct watcher watcher = {.out_fd = command_temp_file(), .err_fd = command_temp_file()};
    char url[64];
    snprintf(url, sizeof url, "ARTEMIS_URL=%s", server.url);
    watcher.pid =
        command_spawn(args, (const char *const[]){url, NULL}, watcher.out_fd, watcher.err_fd);
    return watcher;
}

static void end(struct watcher *watcher, int signal)
{
    kill(watcher->pid, signal);
    assert_int_equal(command_wait(watcher->pid, wait_deadline_ms()), 0);
    close(watcher->out_fd);
    close(watcher->err_fd);
}

static size_t count(int fd, const char *part)
{
    size_t found = 0;
    char *text = command_read_all(fd);
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++)
        found++;
    free(text);
    return found;
}

struct expected_output {
    int fd;
    const char *part;
    size_t times;
};

static bool is_printed(void *context)
{
    const struct expected_output *expected = context;
    return count(expected->fd, expected->part) >= expected->times;
}

static void wait_printed(int fd, const char *part, size_t times)
{
    struct expected_output expected = {.fd = fd, .part = part, .times = times};
    if (wait_until(is_printed, &expected, wait_deadline_ms()))
        return;
    char *text = command_read_all(fd);
    print_error("printed so far:\n%s\n", text);
    free(text);
    fail_msg("\"%s\" was not printed %zu times", part, times);
}

/* Registers until the watcher has started and prints a change. */
struct attempt {
    struct watcher *watcher;
    int number;
};

static bool prints_first_change(void *context)
{
    struct attempt *attempt = context;
    char id[16];
    snprintf(id, sizeof id, "first-%d", attempt->number++);
    call_register(http, "shop", id);
    return count(attempt->watcher->out_fd, "first-") > 0;
}

static void wait_watching(struct watcher *watcher)
{
    struct attempt attempt = {.watcher = watcher};
    assert_true(wait_until(prints_first_change, &attempt, wait_deadline_ms()));
}

static void unregister(const char *id)
{
    check_status(http_post(http, UNREGISTER, "{'instance_keys':[" KEY "]}", "shop", id), 200,
                 "success", NULL);
}

static void each_change_is_a_line_at_once(void **state)
{
    (void)state;
    struct watcher watcher = begin((const char *const[]){"watch", "shop", NULL});
    wait_watching(&watcher);
    call_register(http, "shop", "s-1");
    wait_printed(watcher.out_fd, "Z  new     shop/s-1  http://10.0.0.1:8080  up\n", 1);
    check_http(http_post(http, REGISTER, "{'instances':[{" INSTANCE_FIELDS ",'status':'down'}]}",
                         "shop", "s-1"),
               200);
    wait_printed(watcher.out_fd, "Z  change  shop/s-1  http://10.0.0.1:8080  down\n", 1);
    unregister("s-1");
    wait_printed(watcher.out_fd, "Z  delete  shop/s-1  http://10.0.0.1:8080  down\n", 1);
    call_register(http, "other", "o-1");
    call_register(http, "shop", "s-2");
    wait_printed(watcher.out_fd, "shop/s-2", 1);
    assert_int_equal(count(watcher.out_fd, "o-1"), 0);
    assert_int_equal(count(watcher.err_fd, "\n"), 0);
    end(&watcher, SIGINT);
}

static void json_is_an_object_a_line(void **state)
{
    (void)state;
    struct watcher watcher = begin((const char *const[]){"watch", "*", "--json", NULL});
    wait_watching(&watcher);
    check_http(http_post(http, REGISTER,
                         "{'instances':[{" INSTANCE_FIELDS ",'metadata':{'k':'\\u202ev'}}]}",
                         "shop", "s-1"),
               200);
    wait_printed(watcher.out_fd, "s-1", 1);
    char *text = command_read_all(watcher.out_fd);
    char *last = strstr(text, "s-1");
    while (last > text && last[-1] != '\n')
        last--;
    json_t *json = json_loads(last, JSON_DISABLE_EOF_CHECK, NULL);
    assert_non_null(json);
    assert_null(strstr(last, "\xe2\x80\xae")); /* what turns a line around is escaped */
    const json_t *instance = json_object_get(json, "instance");
    assert_string_equal(json_string_value(json_object_get(json, "change_type")), "new");
    assert_int_equal(json_integer_value(json_object_get(instance, "port")), 8080);
    assert_string_equal(json_string_value(json_object_get(instance, "service_id")), "shop");
    assert_int_equal(json_object_size(json_object_get(instance, "metadata")), 1);
    json_decref(json);
    free(text);
    end(&watcher, SIGTERM);
}

static void restart_is_survived_and_reported(void **state)
{
    (void)state;
    struct watcher watcher = begin((const char *const[]){"watch", "shop", NULL});
    wait_watching(&watcher);
    call_register(http, "shop", "s-1");
    wait_printed(watcher.out_fd, "new     shop/s-1", 1);
    uint16_t port = server.port;
    http_free(http);
    http = NULL;
    server_process_kill(&server);
    wait_printed(watcher.err_fd, "artemis: no changes from http://127.0.0.1:", 1);
    server_process_start_at(&server, port, NULL, NULL);
    http = http_new(port);
    wait_printed(watcher.err_fd, "artemis: receiving changes from http://127.0.0.1:", 1);
    wait_printed(watcher.out_fd, "delete  shop/s-1", 1);
    call_register(http, "shop", "s-1");
    wait_printed(watcher.out_fd, "new     shop/s-1", 2);
    assert_int_equal(count(watcher.err_fd, "\n"), 2);
    end(&watcher, SIGINT);
}

static void table_is_printed_again_at_each_change(void **state)
{
    (void)state;
    struct watcher watcher = begin((const char *const[]){"services", "--watch", NULL});
    wait_printed(watcher.out_fd, "no services are registered\n", 1);
    call_register(http, "shop", "s-1");
    wait_printed(watcher.out_fd, "\nSERVICE  INSTANCES  UP\nshop             1   1\n", 1);
    call_register(http, "shop", "s-2");
    wait_printed(watcher.out_fd, "\nSERVICE  INSTANCES  UP\nshop             2   2\n", 1);
    end(&watcher, SIGINT);
}

static void services_are_printed_as_documents(void **state)
{
    (void)state;
    struct watcher watcher = begin((const char *const[]){"services", "--watch", "--json", NULL});
    wait_printed(watcher.out_fd, "{\"stale\":false,\"services\":[]}\n", 1);
    call_register(http, "shop", "s-1");
    wait_printed(watcher.out_fd, "\"services\":[{\"service_id\":\"shop\",\"instances\":[{", 1);
    end(&watcher, SIGTERM);
}

static bool prints_change_that_matches(void *context)
{
    struct attempt *attempt = context;
    check_http(http_post(http, REGISTER,
                         "{'instances':[{" INSTANCE_FIELDS ",'metadata':{'a':'1','n':'%d'}}]}",
                         "shop", "s-1", attempt->number++),
               200);
    return count(attempt->watcher->out_fd, "shop/s-1") > 0;
}

static void filter_selects_what_is_printed(void **state)
{
    (void)state;
    struct watcher changes =
        begin((const char *const[]){"watch", "*", "--zone", "zone1", "--meta", "a=1", NULL});
    struct watcher services = begin((const char *const[]){"services", "--watch", "--json", "--zone",
                                                          "zone1", "--meta", "a=1", NULL});
    wait_printed(services.out_fd, "{\"stale\":false,\"services\":[]}\n", 1);
    struct attempt attempt = {.watcher = &changes};
    assert_true(wait_until(prints_change_that_matches, &attempt, wait_deadline_ms()));
    call_register(http, "shop", "s-2"); /* without metadata */
    call_register(http, "shop", "s-1"); /* does not match any more */
    wait_printed(changes.out_fd, "delete", 1);
    assert_int_equal(count(changes.out_fd, "s-2"), 0);
    assert_int_equal(count(services.out_fd, "s-2"), 0);
    wait_printed(services.out_fd, "{\"stale\":false,\"services\":[]}\n", 2);
    end(&changes, SIGTERM);
    end(&services, SIGTERM);
}

static void server_that_is_not_there_is_3(void **state)
{
    (void)state;
    struct command_result result = command_run(
        (const char *const[]){"watch", "shop", "--server", "http://127.0.0.1:1", NULL}, NULL);
    assert_int_equal(result.exit_code, 3);
    assert_string_equal(result.out, "");
    assert_non_null(strstr(result.err, "http://127.0.0.1:1"));
    command_free(&result);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_change_is_a_line_at_once),    TEST(json_is_an_object_a_line),
        TEST(restart_is_survived_and_reported), TEST(table_is_printed_again_at_each_change),
        TEST(filter_selects_what_is_printed),   TEST(services_are_printed_as_documents),
        TEST(server_that_is_not_there_is_3),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
