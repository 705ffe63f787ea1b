/* SPDX-License-Identifier: Apache-2.0
 *
 * Many connections of one web thread that are ready at once are all served. libmicrohttpd 0.9.75
 * takes at most 128 events from one wait, and with its own threads waits again before it serves
 * exactly that many.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/raw_socket.h"
#include "tests/support/wait.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECTIONS_MAX = 512 };

static int start_with_one_thread(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "server.threads=1", NULL});
}

static void check_health(struct raw_socket *raw, size_t number, size_t count)
{
    if (raw_socket_read(raw, wait_deadline_ms()) != RAW_RESPONSE) {
        fail_msg("connection %zu of %zu that are ready at once is not served", number, count);
    }
    check_http(&raw->response, 200);
}

/* While the server is stopped all requests arrive, so that the first wait after it reports all. */
static void check_ready_at_once(struct fixture *fixture, size_t count)
{
    static const char request[] = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
    struct raw_socket *connections = calloc(count, sizeof *connections);
    assert_non_null(connections);
    for (size_t i = 0; i < count; i++) {
        raw_socket_open(&connections[i], fixture->server.port);
        raw_socket_send(&connections[i], request, sizeof request - 1);
        check_health(&connections[i], i, count);
    }
    server_process_signal(&fixture->server, SIGSTOP);
    for (size_t i = 0; i < count; i++) {
        raw_socket_send(&connections[i], request, sizeof request - 1);
    }
    server_process_signal(&fixture->server, SIGCONT);
    for (size_t i = 0; i < count; i++) {
        check_health(&connections[i], i, count);
    }
    for (size_t i = 0; i < count; i++) {
        raw_socket_close(&connections[i]);
    }
    free(connections);
}

static void connections_that_are_ready_at_once_are_served(void **state)
{
    static const size_t counts[] = {1, 127, 128, 129, 255, 256, 257, 384, CONNECTIONS_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        check_ready_at_once(*state, counts[i]);
    }
}

/* The library asks for another turn at once while such a connection can do nothing. */
static void chunk_header_that_exceeds_the_buffer_costs_no_processor_time(void **state)
{
    struct fixture *fixture = *state;
    char extension[16 * 1024];
    struct raw_socket raw;
    memset(extension, 'x', sizeof extension);
    raw_socket_open(&raw, fixture->server.port);
    raw_socket_sendf(&raw, "POST " REGISTER " HTTP/1.1\r\nHost: a\r\n"
                           "Transfer-Encoding: chunked\r\n\r\n2;e=");
    long before_ms = server_process_cpu_ms(&fixture->server);
    int64_t began_ms = wait_now_ms();
    raw_socket_send(&raw, extension, sizeof extension);
    assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
    check_status(&raw.response, 431, "bad-request", "too-large");
    assert_true(raw_socket_is_closed_by(&raw, wait_deadline_ms()));
    long used_ms = server_process_cpu_ms(&fixture->server) - before_ms;
    assert_in_range(used_ms, 0, 200 + (wait_now_ms() - began_ms) / 4);
    raw_socket_close(&raw);
}

static bool has_open_files(void *context)
{
    const int *wanted = ((void **)context)[1];
    return server_process_open_files(((void **)context)[0]) == *wanted;
}

/* The library then neither reads from the socket nor gets an event of it. */
static void chunk_header_after_a_long_poll_leaves_no_connection(void **state)
{
    struct fixture *fixture = *state;
    char extension[20 * 1024];
    struct raw_socket raw;
    memset(extension, 'x', sizeof extension);
    call_register(fixture->http, "s", "i1");
    int files = server_process_open_files(&fixture->server);
    raw_socket_open(&raw, fixture->server.port);
    raw_socket_sendf(&raw,
                     "GET /api/discovery/service?service_id=s&version=%lld&wait=60s HTTP/1.1\r\n"
                     "Host: a\r\n\r\n",
                     (long long)call_version(fixture->http));
    call_wait_metric(fixture->http, "artemis_waiting_requests", 1);
    raw_socket_sendf(&raw, "POST " REGISTER " HTTP/1.1\r\nHost: a\r\n"
                           "Transfer-Encoding: chunked\r\n\r\n2;e=");
    raw_socket_send(&raw, extension, sizeof extension);
    call_register(fixture->http, "s", "i2"); /* ends the long poll */
    assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
    check_http(&raw.response, 200);
    assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
    check_status(&raw.response, 431, "bad-request", "too-large");
    assert_true(raw_socket_is_closed_by(&raw, wait_deadline_ms()));
    raw_socket_close(&raw);
    void *context[] = {&fixture->server, &files};
    assert_true(wait_until(has_open_files, context, wait_deadline_ms()));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_that_are_ready_at_once_are_served),
        cmocka_unit_test(chunk_header_that_exceeds_the_buffer_costs_no_processor_time),
        cmocka_unit_test(chunk_header_after_a_long_poll_leaves_no_connection),
    };
    return server_process_finish(
        cmocka_run_group_tests(tests, start_with_one_thread, fixture_stop));
}
