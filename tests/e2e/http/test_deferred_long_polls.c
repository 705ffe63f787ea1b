/* SPDX-License-Identifier: Apache-2.0
 *
 * Long polls that a web thread defers, so that other requests do not wait for all of their
 * responses. The server is stopped by SIGSTOP while the requests arrive: its only web thread then
 * finds all of them in one turn, in the order in which they were sent.
 */
#include "artemis-web/push/long_poll_share.h"
#include "tests/support/client/calls.h"
#include "tests/support/client/raw_socket.h"
#include "tests/support/gzip.h"
#include "tests/support/wait.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { FOLLOWERS = 200 };

#define SERVICE   "/api/discovery/service?service_id=s"
#define SUSPENDED "artemis_waiting_requests"
#define DEFERRED  "artemis_waits_deferred_total"

static int start_with_one_thread(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "server.threads=1", "--set",
                                                      "lease.ttl_secs=3600", "--set",
                                                      "ratelimit.enabled=false", NULL});
}

static long long version_of_s(const struct fixture *fixture)
{
    struct http_response *response = http_get(fixture->http, SERVICE);
    check_status(response, 200, "success", NULL);
    return check_integer(response, "version");
}

/* Opens connections, and waits until the web thread has all of them. */
static void open_all(const struct fixture *fixture, struct raw_socket sockets[], int count)
{
    for (int i = 0; i < count; i++)
        raw_socket_open(&sockets[i], fixture->server.port);
    call_wait_metric(fixture->http, "artemis_connections", count + 1);
}

static void poll_for_a_version_after(struct raw_socket *follower, long long version)
{
    assert_true(raw_socket_sendf(follower,
                                 "GET " SERVICE "&version=%lld&wait=60s HTTP/1.1\r\n"
                                 "Host: a\r\n\r\n",
                                 version));
}

/* Opens the followers, and stops the server before they send long polls for which there is a later
 * version already. Returns that. */
static long long stop_with_long_polls(struct fixture *fixture,
                                      struct raw_socket followers[FOLLOWERS])
{
    call_register(fixture->http, "s", "i1");
    long long version = version_of_s(fixture);
    open_all(fixture, followers, FOLLOWERS + 1);
    server_process_suspend(&fixture->server);
    for (int i = 0; i < FOLLOWERS; i++)
        poll_for_a_version_after(&followers[i], version - 1);
    return version;
}

static struct http_response *response_of(struct raw_socket *raw)
{
    assert_int_equal(raw_socket_read(raw, wait_deadline_ms()), RAW_RESPONSE);
    check_status(&raw->response, 200, "success", NULL);
    return &raw->response;
}

/* At least half of the followers have been deferred. Over TLS the tunnel may deliver their requests
 * later, in many turns. */
static void check_deferred(const struct fixture *fixture)
{
    assert_true(server_process_over_tls() || call_metric(fixture->http, DEFERRED) >= FOLLOWERS / 2);
}

/* A response that contains a change was made after the change. */
static void change_does_not_wait_for_all_long_polls_before_it(void **state)
{
    static const char change[] =
        "{\"instances\":[{\"region_id\":\"lab\",\"zone_id\":\"zone1\",\"service_id\":\"s\","
        "\"instance_id\":\"i2\",\"ip\":\"10.0.0.1\",\"port\":8080}]}";
    struct fixture *fixture = *state;
    struct raw_socket followers[FOLLOWERS + 1];
    struct raw_socket *writer = &followers[FOLLOWERS];
    int handled_before = 0;
    long long version = stop_with_long_polls(fixture, followers);
    raw_socket_sendf(writer,
                     "POST " REGISTER " HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n"
                     "Content-Type: application/json\r\n\r\n%s",
                     sizeof change - 1, change);
    server_process_continue(&fixture->server);
    for (int i = 0; i < FOLLOWERS; i++) {
        handled_before += check_integer(response_of(&followers[i]), "version") == version;
        raw_socket_close(&followers[i]);
    }
    response_of(writer);
    raw_socket_close(writer);
    assert_true(server_process_over_tls() || handled_before <= 2 * LONG_POLL_SHARE_MIN);
    check_deferred(fixture);
}

/* They are resumed together. */
static void long_polls_that_a_change_ends_are_deferred_too(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket followers[FOLLOWERS];
    call_register(fixture->http, "s", "i1");
    long long version = version_of_s(fixture);
    open_all(fixture, followers, FOLLOWERS);
    for (int i = 0; i < FOLLOWERS; i++)
        poll_for_a_version_after(&followers[i], version);
    call_wait_metric(fixture->http, SUSPENDED, FOLLOWERS);
    double deferred = call_metric(fixture->http, DEFERRED);
    call_register(fixture->http, "s", "i2");
    for (int i = 0; i < FOLLOWERS; i++) {
        check_count(response_of(&followers[i]), "service.instances", 2);
        raw_socket_close(&followers[i]);
    }
    assert_true(call_metric(fixture->http, DEFERRED) - deferred >= FOLLOWERS / 2);
}

static void few_long_polls_are_not_deferred(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket raw;
    call_register(fixture->http, "s", "i1");
    long long version = version_of_s(fixture);
    raw_socket_open(&raw, fixture->server.port);
    for (int i = 0; i < FOLLOWERS; i++) {
        poll_for_a_version_after(&raw, version - 1);
        response_of(&raw);
    }
    raw_socket_close(&raw);
    assert_true(call_metric(fixture->http, DEFERRED) == 0);
}

/* Its body is inflated once. */
static void deferred_post_with_a_gzip_body_is_answered(void **state)
{
    static const char body[] = "{\"discovery_config\":{\"service_id\":\"s\"}}";
    struct fixture *fixture = *state;
    struct raw_socket followers[FOLLOWERS + 1];
    struct raw_socket *raw = &followers[FOLLOWERS];
    size_t size;
    unsigned char *packed = gzip_pack(body, sizeof body - 1, &size);
    stop_with_long_polls(fixture, followers);
    raw_socket_sendf(raw,
                     "POST /api/discovery/service?version=1&wait=60s HTTP/1.1\r\nHost: a\r\n"
                     "Content-Type: application/json\r\nContent-Encoding: gzip\r\n"
                     "Content-Length: %zu\r\n\r\n",
                     size);
    raw_socket_send(raw, packed, size);
    server_process_continue(&fixture->server);
    check_count(response_of(raw), "service.instances", 1);
    check_deferred(fixture);
    for (int i = 0; i <= FOLLOWERS; i++)
        raw_socket_close(&followers[i]);
    free(packed);
}

static void clients_that_close_while_deferred_leave_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket followers[FOLLOWERS + 1];
    stop_with_long_polls(fixture, followers);
    for (int i = 0; i < FOLLOWERS; i += 2)
        raw_socket_close(&followers[i]);
    raw_socket_close(&followers[FOLLOWERS]);
    server_process_continue(&fixture->server);
    for (int i = 1; i < FOLLOWERS; i += 2) {
        check_count(response_of(&followers[i]), "service.instances", 1);
        raw_socket_close(&followers[i]);
    }
    call_wait_metric(fixture->http, "artemis_connections", 1);
    assert_true(call_metric(fixture->http, SUSPENDED) == 0);
}

/* Such a client still reads. */
static void clients_that_shut_their_side_while_deferred_are_answered(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket followers[FOLLOWERS + 1];
    stop_with_long_polls(fixture, followers);
    raw_socket_close(&followers[FOLLOWERS]);
    for (int i = 0; i < FOLLOWERS; i++)
        shutdown(followers[i].fd, SHUT_WR);
    server_process_continue(&fixture->server);
    for (int i = 0; i < FOLLOWERS; i++) {
        check_count(response_of(&followers[i]), "service.instances", 1);
        assert_true(raw_socket_is_closed_by(&followers[i], wait_deadline_ms()));
        raw_socket_close(&followers[i]);
    }
    check_deferred(fixture);
    call_wait_metric(fixture->http, "artemis_connections", 1);
}

static void deferred_long_polls_are_answered_in_a_shutdown(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket followers[FOLLOWERS + 1];
    stop_with_long_polls(fixture, followers);
    raw_socket_close(&followers[FOLLOWERS]);
    server_process_signal(&fixture->server, SIGTERM);
    server_process_continue(&fixture->server);
    for (int i = 0; i < FOLLOWERS; i++) {
        assert_int_equal(raw_socket_read(&followers[i], wait_deadline_ms()), RAW_RESPONSE);
        int status = followers[i].response.status;
        assert_true(status == 200 || status == 503); /* 503: it had not been read before */
        raw_socket_close(&followers[i]);
    }
    assert_int_equal(server_process_wait(&fixture->server), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_with_one_thread, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(change_does_not_wait_for_all_long_polls_before_it),
        TEST(long_polls_that_a_change_ends_are_deferred_too),
        TEST(few_long_polls_are_not_deferred),
        TEST(deferred_post_with_a_gzip_body_is_answered),
        TEST(clients_that_close_while_deferred_leave_nothing),
        TEST(clients_that_shut_their_side_while_deferred_are_answered),
        TEST(deferred_long_polls_are_answered_in_a_shutdown),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
