/* SPDX-License-Identifier: Apache-2.0
 *
 * The limit of connections of one address: an address at its limit is refused or closes its own
 * idle connections, and other addresses are served.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/raw_socket.h"
#include "tests/support/wait.h"

#include <stdlib.h>
#include <string.h>

enum { PER_ADDRESS = 4 };

static int start(void **state)
{
    return fixture_start(state,
                         (const char *const[]){"--set", "lease.ttl_secs=3600", "--set",
                                               "server.max_connections_per_address=4", NULL});
}

/* Sends a part of a request, so that the connection is busy. */
static void open_busy(struct raw_socket *raw, uint8_t host, uint16_t port)
{
    assert_true(raw_socket_try_open_from(raw, host, port));
    assert_true(raw_socket_sendf(raw, "POST " REGISTER " HTTP/1.1\r\nHost: a\r\n"
                                      "Content-Length: 100\r\n\r\n{"));
}

static bool ask_health(struct raw_socket *raw)
{
    return raw_socket_sendf(raw, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n") &&
           raw_socket_read(raw, wait_deadline_ms()) == RAW_RESPONSE && raw->response.status == 200;
}

struct expected {
    struct http *http;
    double busy;
};

static bool is_busy(void *context)
{
    struct expected *expected = context;
    return call_metric(expected->http, "artemis_connections_busy") == expected->busy;
}

static void busy_address_gets_503_and_others_are_served(void **state)
{
    struct fixture *fixture = *state;
    uint16_t port = fixture->server.port;
    struct raw_socket busy[PER_ADDRESS];
    struct raw_socket added;
    for (int i = 0; i < PER_ADDRESS; i++)
        open_busy(&busy[i], 2, port);
    struct expected expected = {fixture->http, PER_ADDRESS + 1};
    assert_true(wait_until(is_busy, &expected, wait_deadline_ms()));
    assert_true(raw_socket_try_open_from(&added, 2, port));
    assert_int_equal(raw_socket_read(&added, wait_deadline_ms()), RAW_RESPONSE);
    check_status(&added.response, 503, "service-unavailable", "over-limit");
    check_contains(&added.response, "response_status.error_message", "4 of 127.0.0.2");
    check_contains(&added.response, "response_status.error_message",
                   "server.max_connections_per_address");
    assert_non_null(http_field(&added.response, "Retry-After"));
    assert_true(raw_socket_is_closed_by(&added, wait_deadline_ms()));
    raw_socket_close(&added);
    assert_true(raw_socket_try_open_from(&added, 3, port));
    assert_true(ask_health(&added));
    raw_socket_close(&added);
    assert_int_equal(call_metric(fixture->http, "artemis_connections_refused_by_address_total"), 1);
    assert_int_equal(call_metric(fixture->http, "artemis_connections_refused_total"), 0);
    for (int i = 0; i < PER_ADDRESS; i++)
        raw_socket_close(&busy[i]);
    char *log = server_process_stop_and_read_log(&fixture->server);
    assert_non_null(strstr(log, "refused_by_address=1"));
    assert_non_null(strstr(log, "heaviest_address=127.0.0.2"));
    free(log);
}

static void idle_connection_of_the_address_gives_way(void **state)
{
    struct fixture *fixture = *state;
    uint16_t port = fixture->server.port;
    struct raw_socket idle[PER_ADDRESS];
    struct raw_socket other;
    struct raw_socket added;
    assert_true(raw_socket_try_open_from(&other, 3, port));
    assert_true(ask_health(&other));
    for (int i = 0; i < PER_ADDRESS; i++) {
        assert_true(raw_socket_try_open_from(&idle[i], 2, port));
        assert_true(ask_health(&idle[i]));
    }
    wait_for_time(wait_now_ms() + 1500); /* a connection gives way when it was idle for 1 s */
    assert_true(raw_socket_try_open_from(&added, 2, port));
    assert_true(ask_health(&added));
    int closed = 0;
    int64_t deadline_ms = wait_deadline_ms();
    while (closed == 0 && wait_now_ms() < deadline_ms)
        for (int i = 0; i < PER_ADDRESS; i++)
            closed += raw_socket_is_closed_by(&idle[i], wait_now_ms());
    assert_int_equal(closed, 1);
    assert_true(ask_health(&other));
    raw_socket_close(&other);
    raw_socket_close(&added);
    for (int i = 0; i < PER_ADDRESS; i++)
        raw_socket_close(&idle[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(busy_address_gets_503_and_others_are_served),
        TEST(idle_connection_of_the_address_gives_way),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
