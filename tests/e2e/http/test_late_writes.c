/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes whose client has left before they are executed. SIGSTOP stops the server while the client
 * sends and leaves. So the request and the end of the connection arrive together, as when a broken
 * link is restored.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/raw_socket.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DROPPED "artemis_writes_dropped_total"
#define DELAYED "artemis_writes_delayed_total"

enum { SILENT_MS = 1000 };

static int start(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "server.threads=2", NULL});
}

static void send_call(struct raw_socket *raw, const char *path, const char *list,
                      const char *item_id)
{
    char body[512];
    int size = snprintf(body, sizeof body,
                        "{\"%s\":[{\"region_id\":\"lab\",\"zone_id\":\"zone1\",\"service_id\":"
                        "\"late\",\"instance_id\":\"%s\",\"ip\":\"10.0.0.1\",\"port\":80}]}",
                        list, item_id);
    assert_true(raw_socket_sendf(raw,
                                 "POST %s HTTP/1.1\r\nHost: test\r\nContent-Type: "
                                 "application/json\r\nContent-Length: %d\r\n\r\n%s",
                                 path, size, body));
}

static void send_register(struct raw_socket *raw, const char *instance_id)
{
    send_call(raw, REGISTER, "instances", instance_id);
}

static void check_response(struct raw_socket *raw, int status)
{
    assert_int_equal(raw_socket_read(raw, wait_deadline_ms()), RAW_RESPONSE);
    assert_int_equal(raw->response.status, status);
}

static void reset(struct raw_socket *raw)
{
    struct linger none = {.l_onoff = 1};
    assert_int_equal(setsockopt(raw->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none), 0);
    raw_socket_close(raw);
}

static void register_of_a_client_that_closed_is_not_executed(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket fresh;
    struct raw_socket used;
    struct raw_socket resetting;
    raw_socket_open(&used, fixture->server.port);
    send_register(&used, "before");
    check_response(&used, 200);
    raw_socket_open(&resetting, fixture->server.port);
    send_register(&resetting, "before");
    check_response(&resetting, 200);
    server_process_suspend(&fixture->server);
    raw_socket_open(&fresh, fixture->server.port);
    send_register(&fresh, "fresh");
    send_register(&used, "used");
    send_register(&resetting, "resetting");
    raw_socket_close(&fresh);
    raw_socket_close(&used);
    reset(&resetting); /* the kernel discards its request */
    server_process_continue(&fixture->server);
    call_wait_metric(fixture->http, DROPPED, 2);
    assert_int_equal(call_count(fixture->http, "late"), 1);
    assert_true(call_shows(fixture->http, "late", "before"));
}

static void unregister_of_a_client_that_closed_is_not_executed(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket raw;
    call_register(fixture->http, "late", "i1");
    server_process_suspend(&fixture->server);
    raw_socket_open(&raw, fixture->server.port);
    send_call(&raw, UNREGISTER, "instances", "i1");
    raw_socket_close(&raw);
    server_process_continue(&fixture->server);
    call_wait_metric(fixture->http, DROPPED, 1);
    assert_true(call_shows(fixture->http, "late", "i1"));
}

/* It cannot be distinguished from one that has closed, and gets an error. */
static void register_of_a_client_that_shut_its_side_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket raw;
    server_process_suspend(&fixture->server);
    raw_socket_open(&raw, fixture->server.port);
    send_register(&raw, "i1");
    assert_int_equal(shutdown(raw.fd, SHUT_WR), 0);
    server_process_continue(&fixture->server);
    check_response(&raw, 408);
    check_json(&raw.response, "response_status.reason", "'request-timeout'");
    assert_int_equal(call_count(fixture->http, "late"), -1);
    raw_socket_close(&raw);
}

static void heartbeat_of_a_client_that_closed_is_executed(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket raw;
    call_register(fixture->http, "late", "i1");
    double renewals = call_metric(fixture->http, "artemis_renewals_total");
    server_process_suspend(&fixture->server);
    raw_socket_open(&raw, fixture->server.port);
    send_call(&raw, HEARTBEAT, "instances", "i1");
    raw_socket_close(&raw);
    server_process_continue(&fixture->server);
    call_wait_metric(fixture->http, "artemis_renewals_total", renewals + 1);
}

/* The end of the connection may be a round trip behind the request. */
static void write_after_a_silence_is_delayed_and_executed(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket fresh;
    struct raw_socket used;
    raw_socket_open(&fresh, fixture->server.port);
    raw_socket_open(&used, fixture->server.port);
    send_register(&used, "i1");
    check_response(&used, 200);
    assert_true(call_metric(fixture->http, DELAYED) == 0);
    usleep((SILENT_MS + 100) * 1000);
    send_register(&fresh, "i2");
    send_register(&used, "i3");
    check_response(&fresh, 200);
    check_response(&used, 200);
    assert_true(call_metric(fixture->http, DELAYED) == 2);
    send_register(&used, "i4"); /* not silent any more */
    check_response(&used, 200);
    assert_true(call_metric(fixture->http, DELAYED) == 2);
    assert_int_equal(call_count(fixture->http, "late"), 4);
    raw_socket_close(&fresh);
    raw_socket_close(&used);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, fixture_stop)
    const struct CMUnitTest tests[] = {
        TEST(register_of_a_client_that_closed_is_not_executed),
        TEST(unregister_of_a_client_that_closed_is_not_executed),
        TEST(register_of_a_client_that_shut_its_side_is_refused),
        TEST(heartbeat_of_a_client_that_closed_is_executed),
        TEST(write_after_a_silence_is_delayed_and_executed),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
