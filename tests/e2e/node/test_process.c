/* SPDX-License-Identifier: Apache-2.0
 *
 * The server as a process: signals that have no function are ignored, and closed standard streams
 * are replaced by /dev/null before a socket can take their descriptors.
 */
#include "tests/support/client/calls.h"
#include "tests/support/command.h"
#include "tests/support/wait.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int start(void **state)
{
    return fixture_start(state, NULL);
}

struct expected_log {
    int fd;
    const char *line;
};

static bool is_logged(void *context)
{
    const struct expected_log *expected = context;
    char *log = command_read_all(expected->fd);
    bool found = strstr(log, expected->line) != NULL;
    free(log);
    return found;
}

static void signal_without_function_is_logged_and_ignored(void **state)
{
    static const struct {
        int number;
        const char *line;
    } rows[] = {
        {SIGUSR1, "SIGUSR1 ignored"},
        {SIGUSR2, "SIGUSR2 ignored"},
        {SIGALRM, "SIGALRM ignored"},
        {SIGHUP, "settings reloaded changed=0"},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct expected_log expected = {fixture->server.log_fd, rows[i].line};
        server_process_signal(&fixture->server, rows[i].number);
        if (!wait_until(is_logged, &expected, wait_deadline_ms())) {
            fail_msg("\"%s\" is not logged", rows[i].line);
        }
    }
    server_process_signal(&fixture->server, SIGXFSZ);
    server_process_signal(&fixture->server, SIGPIPE);
    check_http(http_get(fixture->http, "/ready"), 200);
}

/* --- standard streams ------------------------------------------------------------------------- */

/* Starts a server without descriptors 0, 1 and 2. */
static pid_t spawn_without_streams(const char *address)
{
    const char *binary = getenv("ARTEMIS_BINARY");
    assert_non_null(binary);
    pid_t parent = getpid();
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0) {
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int fd = 0; fd <= 2; fd++) {
        close(fd);
    }
    if (getppid() == parent) {
        execl(binary, binary, "server", "--addr", address, (char *)NULL);
    }
    _exit(127);
}

static bool is_listening(void *context)
{
    const struct server_process *server = context;
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(server->port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    bool connected = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return connected;
}

/* It listens a little before it is ready. */
static bool is_ready(void *http)
{
    return http_get(http, "/ready")->status == 200;
}

static void check_stream(pid_t pid, int fd)
{
    char path[64];
    char target[64] = "";
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, fd);
    assert_true(readlink(path, target, sizeof target - 1) > 0);
    assert_string_equal(target, "/dev/null");
}

static void closed_standard_streams_become_dev_null(void **state)
{
    (void)state;
    struct server_process server;
    /* A port that was in use a moment ago is free. */
    server_process_start(&server, NULL, NULL);
    server_process_stop(&server);
    pid_t pid = spawn_without_streams(server.address);
    assert_true(wait_until(is_listening, &server, wait_deadline_ms()));
    for (int fd = 0; fd <= 2; fd++) {
        check_stream(pid, fd);
    }
    struct http *http = http_new(server.port);
    assert_true(wait_until(is_ready, http, wait_deadline_ms()));
    http_free(http);
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(command_wait(pid, wait_deadline_ms()), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(signal_without_function_is_logged_and_ignored, start,
                                        fixture_stop),
        cmocka_unit_test(closed_standard_streams_become_dev_null),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
