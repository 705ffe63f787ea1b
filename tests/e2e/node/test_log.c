/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader of the server's stderr stalls: the server responds to every request, counts the lines
 * that it drops, shuts down, and reports the dropped lines once the pipe is read.
 */
#include "tests/support/client/check.h"
#include "tests/support/client/http.h"
#include "tests/support/client/prometheus.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/servers/server_process.h"
#include "tests/support/wait.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_MAX = 4 * 1024 * 1024, REQUESTS_AT_ONCE = 1000 };

static struct server_process server;
static struct http *http;
static int reader;

static void start(const char *const args[])
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    server_process_start_with_stderr(&server, args, ends[1]);
    close(ends[1]);
    reader = ends[0];
    http = http_new(server.port);
}

static double dropped(void)
{
    return prometheus_sum(http_get(http, "/metrics")->body, "artemis_log_dropped_lines_total", "");
}

/* Each request is a line at level debug. */
static void request_until_lines_are_dropped(void)
{
    int64_t deadline = wait_deadline_ms();
    assert_true(dropped() == 0);
    while (dropped() == 0) {
        for (int i = 0; i < REQUESTS_AT_ONCE; i++)
            assert_int_equal(http_get(http, "/health")->status, 200);
        assert_true(wait_now_ms() < deadline);
    }
}

static void stalled_log_reader_stops_no_request(void **state)
{
    (void)state;
    start((const char *const[]){"--set", "log.level=debug", NULL});
    request_until_lines_are_dropped();
    char *text = calloc(1, TEXT_MAX);
    size_t size = 0;
    int64_t deadline = wait_deadline_ms();
    while (!strstr(text, "log lines were dropped")) {
        assert_true(wait_readable(reader, deadline));
        ssize_t got = read(reader, text + size, TEXT_MAX - 1 - size);
        assert_true(got > 0);
        size += (size_t)got;
    }
    free(text);
    http_free(http);
    server_process_stop(&server);
    close(reader);
}

static void stalled_log_reader_does_not_delay_the_end(void **state)
{
    (void)state;
    start((const char *const[]){"--set", "log.level=debug", NULL});
    request_until_lines_are_dropped();
    http_free(http);
    server_process_stop(&server);
    close(reader);
}

/* One JSON object per line, with the fields of the request beside the message. */
static void json_lines_carry_fields(void **state)
{
    (void)state;
    start((const char *const[]){"--set", "log.level=debug", "--set", "log.format=json", "--set",
                                "server.node_id=n1", NULL});
    http_get(http, "/health");
    char line[65536] = "";
    size_t size = 0;
    int64_t deadline = wait_deadline_ms();
    const char *request = NULL;
    while (!(request = strstr(line, "\"message\":\"request\"")) || !strchr(request, '\n')) {
        assert_true(wait_readable(reader, deadline));
        ssize_t got = read(reader, line + size, sizeof(line) - 1 - size);
        assert_true(got > 0);
        size += (size_t)got;
        line[size] = '\0';
    }
    assert_non_null(strstr(request, "\"node\":\"n1\""));
    assert_non_null(strstr(request, "\"client\":\"127.0.0.1:"));
    assert_non_null(strstr(request, "\"path\":\"/health\""));
    assert_non_null(strstr(request, "\"duration_us\":"));
    http_free(http);
    server_process_stop(&server);
    close(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stalled_log_reader_stops_no_request),
        cmocka_unit_test(stalled_log_reader_does_not_delay_the_end),
        cmocka_unit_test(json_lines_carry_fields),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
