/* SPDX-License-Identifier: Apache-2.0
 *
 * A process that may open fewer files than server.max_connections accepts fewer connections, and
 * idle connections give way to new ones.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/raw_socket.h"
#include "tests/support/wait.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* The server inherits the limit. The test itself stays below it. */
enum { FILES = 128, IDLE_CONNECTIONS = 100 };

static int start_with_few_files(void **state)
{
    struct rlimit limit = {.rlim_cur = FILES, .rlim_max = FILES};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return fixture_start(state, (const char *const[]){"--set", "server.threads=2", NULL});
}

static bool new_connection_is_served(void *context)
{
    struct fixture *fixture = context;
    struct raw_socket raw;
    bool served = false;
    if (raw_socket_try_open(&raw, fixture->server.port)) {
        raw_socket_sendf(&raw, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
        served =
            raw_socket_read(&raw, wait_deadline_ms()) == RAW_RESPONSE && raw.response.status == 200;
        raw_socket_close(&raw);
    }
    return served;
}

static void idle_connections_give_way_when_files_are_few(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket idle[IDLE_CONNECTIONS];
    for (int i = 0; i < IDLE_CONNECTIONS; i++) {
        raw_socket_open(&idle[i], fixture->server.port);
    }
    for (int i = 0; i < 5; i++) {
        assert_true(wait_until(new_connection_is_served, fixture, wait_deadline_ms()));
    }
    assert_in_range(server_process_open_files(&fixture->server), 1, FILES - 16);
    for (int i = 0; i < IDLE_CONNECTIONS; i++) {
        raw_socket_close(&idle[i]);
    }
}

static void limit_is_logged_and_in_the_metrics(void **state)
{
    struct fixture *fixture = *state;
    double limit = call_metric(fixture->http, "artemis_connections_limit");
    assert_in_range((int)limit, 16, FILES / 2);
    char *log = server_process_stop_and_read_log(&fixture->server);
    assert_non_null(strstr(log, "max_connections=10000"));
    assert_non_null(strstr(log, " files=128"));
    free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idle_connections_give_way_when_files_are_few),
        cmocka_unit_test(limit_is_logged_and_in_the_metrics),
    };
    return server_process_finish(cmocka_run_group_tests(tests, start_with_few_files, fixture_stop));
}
