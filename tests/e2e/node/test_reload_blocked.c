/* SPDX-License-Identifier: Apache-2.0
 *
 * A reload whose file does not respond, as on a file system that hangs: no other request waits, the
 * admin socket works, and SIGTERM ends the node.
 *
 * The kernel asks this test before the node may open the file (fanotify), which needs root.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/raw_socket.h"
#include "tests/support/command.h"
#include "tests/support/temp_folder.h"
#include "tests/support/wait.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <unistd.h>

static struct temp_folder folder;
static struct server_process server;
static struct http *http;
static char file[128];
static char path[128]; /* of the admin socket */
static char data_dir[128];
static int watch = -1;  /* fanotify */
static int opened = -1; /* the file that the node waits for */

static int set_up(void **state)
{
    (void)state;
    char settings[512];
    temp_folder_make(&folder);
    snprintf(path, sizeof path, "%s/admin.sock", folder.path);
    snprintf(data_dir, sizeof data_dir, "%s/data", folder.path);
    snprintf(settings, sizeof settings,
             "[server]\nthreads = 1\n[admin]\nsocket = \"%s\"\n[storage]\ndata_dir = \"%s\"\n",
             path, data_dir);
    snprintf(file, sizeof file, "%s", temp_folder_write(&folder, "artemis.toml", settings));
    server_process_start(&server, (const char *const[]){"--config", file, NULL}, NULL);
    http = http_new(server.port);
    watch = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY);
    if (watch >= 0 && fanotify_mark(watch, FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, file) != 0) {
        close(watch);
        watch = -1;
    }
    return 0;
}

/* Every open waits until then. */
static void allow(void)
{
    const struct fanotify_response response = {.fd = opened, .response = FAN_ALLOW};
    if (opened >= 0) {
        assert_int_equal(write(watch, &response, sizeof response), sizeof response);
        close(opened);
    }
    opened = -1;
}

static int tear_down(void **state)
{
    (void)state;
    allow();
    if (watch >= 0)
        close(watch);
    watch = -1;
    http_free(http);
    http = NULL;
    server_process_stop(&server);
    temp_folder_remove(&folder);
    return 0;
}

/* Returns when the node waits for its file. */
static void await_open(void)
{
    struct fanotify_event_metadata event;
    struct pollfd polled = {.fd = watch, .events = POLLIN};
    assert_int_equal(poll(&polled, 1, (int)(wait_deadline_ms() - wait_now_ms())), 1);
    assert_int_equal(read(watch, &event, sizeof event), sizeof event);
    assert_true(event.mask & FAN_OPEN_PERM);
    opened = event.fd;
}

static void check_admin(const char *command, const char *argument)
{
    struct command_result result = command_run(
        (const char *const[]){"admin", command, "--socket", path, argument, NULL}, NULL);
    if (result.exit_code != 0)
        fail_msg("exit code %d: %s", result.exit_code, result.err);
    command_free(&result);
}

static void blocked_reload_holds_up_no_request(void **state)
{
    (void)state;
    struct raw_socket raw;
    if (watch < 0)
        skip();
    raw_socket_open(&raw, server.port);
    assert_true(raw_socket_sendf(&raw, "POST /api/admin/reload HTTP/1.1\r\nHost: a\r\n"
                                       "Content-Type: application/json\r\nContent-Length: 2\r\n"
                                       "\r\n{}"));
    await_open();
    check_http(http_get(http, "/health"), 200); /* the same web thread */
    call_register(http, "shop", "s-1");
    check_admin("status", NULL);
    check_admin("log-level", "debug");
    assert_int_equal((int)call_metric(http, "artemis_reloads_total"), 0);
    allow();
    assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
    check_http(&raw.response, 200);
    check_json(&raw.response, "changed", "1"); /* the log level */
    raw_socket_close(&raw);
}

static void check_ends(int signal)
{
    if (watch < 0)
        skip();
    call_register(http, "shop", "s-1");
    if (signal)
        server_process_signal(&server, signal);
    await_open();
    server_process_signal(&server, SIGTERM);
    assert_int_equal(server_process_wait(&server), 1);
    char *log = command_read_all(server.log_fd);
    assert_non_null(strstr(log, "draining signal=TERM"));
    assert_non_null(strstr(log, "a reload has not ended, because a file does not respond"));
    free(log);
}

static void sigterm_ends_a_node_with_a_blocked_reload(void **state)
{
    (void)state;
    check_ends(SIGHUP);
    allow();
    close(watch);
    watch = -1;
    server_process_start(&server, (const char *const[]){"--config", file, NULL}, NULL);
    http_free(http);
    http = http_new(server.port);
    assert_true(call_shows(http, "shop", "s-1")); /* the last commit was made */
}

/* The caller of the admin socket does not hold up the shutdown either. */
static void sigterm_ends_a_node_with_a_blocked_caller(void **state)
{
    (void)state;
    if (watch < 0)
        skip();
    int out = command_temp_file();
    pid_t pid = command_spawn((const char *const[]){"reload", "--socket", path, NULL}, NULL, out,
                              STDERR_FILENO);
    check_ends(0);
    assert_int_equal(command_wait(pid, wait_deadline_ms()), 1);
    close(out);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(blocked_reload_holds_up_no_request),
        TEST(sigterm_ends_a_node_with_a_blocked_reload),
        TEST(sigterm_ends_a_node_with_a_blocked_caller),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
