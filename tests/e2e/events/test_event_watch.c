/* SPDX-License-Identifier: Apache-2.0
 *
 * `artemis event watch` beside a real server: each event is a line at once, lost ones are reported
 * on stderr, and --count, a signal and a closed pipe end it.
 */
#include "tests/support/client/calls.h"
#include "tests/support/command.h"
#include "tests/support/servers/tokens.h"
#include "tests/support/wait.h"

#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct server_process server;
static struct http *http;

struct watcher {
    pid_t pid;
    int out_fd;
    int err_fd;
};

static int start(void **state)
{
    (void)state;
    server_process_start(&server, (const char *const[]){"--set", "server.node_id=n1", NULL}, NULL);
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

/* Starts the command with this stdout, and waits until it is subscribed to this many topics. */
static struct watcher begin_with(const char *const args[], int out_fd, int topics)
{
    struct watcher watcher = {.out_fd = out_fd, .err_fd = command_temp_file()};
    char url[64];
    snprintf(url, sizeof url, "ARTEMIS_URL=%s", server.url);
    watcher.pid =
        command_spawn(args, (const char *const[]){url, NULL}, watcher.out_fd, watcher.err_fd);
    call_wait_metric(http, "artemis_event_subscriptions", topics);
    return watcher;
}

static struct watcher begin(const char *const args[], int topics)
{
    return begin_with(args, command_temp_file(), topics);
}

static void end(struct watcher *watcher, int exit_code)
{
    assert_int_equal(command_wait(watcher->pid, wait_deadline_ms()), exit_code);
    close(watcher->out_fd);
    close(watcher->err_fd);
}

static void fire(const char *topic, const char *payload)
{
    check_status(
        http_post(http, "/api/events/publish", "{'topic':'%s','payload':%s}", topic, payload), 200,
        "success", NULL);
}

struct expected_output {
    int fd;
    const char *part;
};

static bool is_printed(void *context)
{
    const struct expected_output *expected = context;
    char *text = command_read_all(expected->fd);
    bool is = strstr(text, expected->part) != NULL;
    free(text);
    return is;
}

static void wait_printed(int fd, const char *part)
{
    struct expected_output expected = {.fd = fd, .part = part};
    if (wait_until(is_printed, &expected, wait_deadline_ms()))
        return;
    char *text = command_read_all(fd);
    print_error("printed so far:\n%s\n", text);
    free(text);
    fail_msg("\"%s\" was not printed", part);
}

static void each_event_is_a_line_at_once(void **state)
{
    (void)state;
    struct watcher watcher = begin((const char *const[]){"event", "watch", "t", "u", NULL}, 2);
    fire("t", "{'a':'\xe2\x80\xae'}");
    fire("other", "1");
    fire("u", "2");
    wait_printed(watcher.out_fd, "\n20"); /* the second line */
    wait_printed(watcher.out_fd, "2\n");
    char *text = command_read_all(watcher.out_fd);
    assert_non_null(strstr(text, "Z  t  n1  {\"a\":\"\\u202e\"}\n"));
    assert_non_null(strstr(text, "Z  u  n1  2\n"));
    assert_null(strstr(text, "other"));
    free(text);
    kill(watcher.pid, SIGINT);
    end(&watcher, 0);
}

static void count_ends_the_command(void **state)
{
    (void)state;
    struct watcher watcher =
        begin((const char *const[]){"event", "watch", "t", "--count", "2", "--json", NULL}, 1);
    fire("t", "[1]");
    fire("t", "2");
    fire("t", "3");
    assert_int_equal(command_wait(watcher.pid, wait_deadline_ms()), 0);
    char *text = command_read_all(watcher.out_fd);
    char *second = strchr(text, '\n');
    assert_non_null(second);
    json_t *json = json_loads(second + 1, 0, NULL); /* one document, and nothing after it */
    assert_non_null(json);
    assert_int_equal(json_integer_value(json_object_get(json, "payload")), 2);
    assert_string_equal(json_string_value(json_object_get(json, "topic")), "t");
    assert_int_equal(json_string_length(json_object_get(json, "run")), 16);
    assert_true(json_integer_value(json_object_get(json, "number")) > 1);
    json_decref(json);
    free(text);
    close(watcher.out_fd);
    close(watcher.err_fd);
}

static void restart_of_the_server_is_reported(void **state)
{
    (void)state;
    struct watcher watcher = begin((const char *const[]){"event", "watch", "t", NULL}, 1);
    fire("t", "1");
    wait_printed(watcher.out_fd, "  1\n");
    uint16_t port = server.port;
    http_free(http);
    server_process_kill(&server);
    server_process_start_at(&server, port, NULL, NULL);
    http = http_new(port);
    wait_printed(watcher.err_fd, "t: the connection was lost; events may be missing here");
    fire("t", "2");
    wait_printed(watcher.out_fd, "  2\n");
    kill(watcher.pid, SIGTERM);
    end(&watcher, 0);
}

static void closed_pipe_ends_the_command(void **state)
{
    int fds[2];
    (void)state;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    struct watcher watcher =
        begin_with((const char *const[]){"event", "watch", "t", NULL}, fds[1], 1);
    close(fds[0]);
    fire("t", "1");
    end(&watcher, 1); /* as of every command whose output cannot be written */
}

/* --- errors ----------------------------------------------------------------------------------- */

static void check_exit_code(const char *const args[], const char *const env[], int exit_code,
                            const char *text)
{
    struct command_result result = command_run(args, env);
    assert_int_equal(result.exit_code, exit_code);
    if (!strstr(result.err, text))
        fail_msg("\"%s\" is not in: %s", text, result.err);
    command_free(&result);
}

static void errors_have_exit_codes(void **state)
{
    char url[64];
    (void)state;
    snprintf(url, sizeof url, "ARTEMIS_URL=%s", server.url);
    const char *const env[] = {url, NULL};
    check_exit_code((const char *const[]){"event", "watch", NULL}, env, 2, "the form is:");
    check_exit_code((const char *const[]){"event", "fire", "t", "1", "2", NULL}, env, 2,
                    "the form is:");
    check_exit_code((const char *const[]){"event", "fire", "t", "1", "--count", "1", NULL}, env, 2,
                    "--count belongs to watch");
    check_exit_code((const char *const[]){"event", "watch", "t", "--count", "0", NULL}, env, 2,
                    "--count must be a whole number from 1");
    check_exit_code((const char *const[]){"event", "watch", "Orders", NULL}, env, 2,
                    "is \"Orders\"");
    check_exit_code((const char *const[]){"event", "watch", "t", "--timeout", "1", NULL},
                    (const char *const[]){"ARTEMIS_URL=http://127.0.0.1:1", NULL}, 3,
                    "not subscribed in 1000 ms");
}

static void token_that_may_not_see_a_topic_is_refused(void **state)
{
    struct temp_folder folder;
    struct server_process secured;
    char url[64];
    (void)state;
    temp_folder_make(&folder);
    server_process_start(&secured,
                         (const char *const[]){"--config", tokens_write(&folder, ""), NULL}, NULL);
    snprintf(url, sizeof url, "ARTEMIS_URL=%s", secured.url);
    const char *const env[] = {url, "ARTEMIS_TOKEN=" TOKEN_SHOP_READER, NULL};
    check_exit_code((const char *const[]){"event", "watch", "shop-orders", "t", NULL}, env, 1,
                    "token \"shop-reader\" may not see \"t\"");
    server_process_stop(&secured);
    temp_folder_remove(&folder);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_event_is_a_line_at_once),
        TEST(count_ends_the_command),
        TEST(restart_of_the_server_is_reported),
        TEST(closed_pipe_ends_the_command),
        TEST(errors_have_exit_codes),
        TEST(token_that_may_not_see_a_topic_is_refused),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
