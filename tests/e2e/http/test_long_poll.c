/* SPDX-License-Identifier: Apache-2.0
 *
 * Long polls (`?version=N&wait=30s`): the response is sent after a change of the service, or as 304
 * at the end of the wait. The tests read from a metric that a request is suspended.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/raw_socket.h"
#include "tests/support/gzip.h"
#include "tests/support/wait.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVICE   "/api/discovery/service?service_id=%s"
#define SUSPENDED "artemis_waiting_requests"

static int start(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "lease.ttl_secs=3600", "--set",
                                                      "ratelimit.enabled=false", NULL});
}

static int start_short_lived(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "lease.ttl_secs=1", NULL});
}

static int start_small(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "server.max_connections=16", NULL});
}

static long long version_of(struct http *http, const char *service_id)
{
    struct http_response *response = http_get(http, SERVICE, service_id);
    check_status(response, 200, "success", NULL);
    return check_integer(response, "version");
}

static void tag_of(struct http *http, const char *service_id, char tag[64])
{
    snprintf(tag, 64, "%s", http_field(http_get(http, SERVICE, service_id), "ETag"));
}

/* Sends the request on a new connection. */
__attribute__((format(printf, 3, 4))) static void
ask(struct raw_socket *raw, const struct fixture *fixture, const char *target, ...)
{
    char full[512];
    va_list args;
    va_start(args, target);
    vsnprintf(full, sizeof full, target, args);
    va_end(args);
    raw_socket_open(raw, fixture->server.port);
    assert_true(raw_socket_sendf(raw, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", full));
}

static struct http_response *response_of(struct raw_socket *raw)
{
    assert_int_equal(raw_socket_read(raw, wait_deadline_ms()), RAW_RESPONSE);
    return &raw->response;
}

static void unregister(struct http *http, const char *service_id, const char *instance_id)
{
    check_status(
        http_post(http, UNREGISTER, "{'instance_keys':[" KEY "]}", service_id, instance_id), 200,
        "success", NULL);
}

/* --- changes ---------------------------------------------------------------------------------- */

static void register_ends_the_long_poll(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket raw;
    call_register(fixture->http, "s", "i1");
    long long version = version_of(fixture->http, "s");
    ask(&raw, fixture, SERVICE "&version=%lld&wait=60s", "s", version);
    call_wait_metric(fixture->http, SUSPENDED, 1);
    call_register(fixture->http, "s", "i2");
    struct http_response *response = response_of(&raw);
    check_status(response, 200, "success", NULL);
    assert_true(check_integer(response, "version") > version);
    check_count(response, "service.instances", 2);
    assert_non_null(http_field(response, "X-Artemis-Run"));
    assert_int_equal(call_metric(fixture->http, SUSPENDED), 0);
    raw_socket_close(&raw);
}

static void change_of_another_service_does_not_end_it(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket ours;
    struct raw_socket others;
    call_register(fixture->http, "ours", "i1");
    call_register(fixture->http, "others", "i1");
    long long version = version_of(fixture->http, "others");
    ask(&ours, fixture, SERVICE "&version=%lld&wait=60s", "ours", version);
    ask(&others, fixture, SERVICE "&version=%lld&wait=60s", "others", version);
    call_wait_metric(fixture->http, SUSPENDED, 2);
    call_register(fixture->http, "others", "i2");
    check_status(response_of(&others), 200, "success", NULL);
    assert_int_equal(call_metric(fixture->http, SUSPENDED), 1);
    assert_false(wait_readable(ours.fd, 0));
    call_register(fixture->http, "ours", "i2");
    check_count(response_of(&ours), "service.instances", 2);
    raw_socket_close(&ours);
    raw_socket_close(&others);
}

static void heartbeat_and_the_same_registration_do_not_end_it(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket raw;
    call_register(fixture->http, "s", "i0");
    ask(&raw, fixture, SERVICE "&version=%lld&wait=60s", "s", version_of(fixture->http, "s"));
    call_wait_metric(fixture->http, SUSPENDED, 1);
    check_status(call_with_keys(fixture->http, HEARTBEAT, "s", 0, 1), 200, "success", NULL);
    call_register(fixture->http, "s", "i0");
    assert_int_equal(call_metric(fixture->http, SUSPENDED), 1);
    assert_false(wait_readable(raw.fd, 0));
    unregister(fixture->http, "s", "i0");
    assert_int_equal(response_of(&raw)->status, 200);
    raw_socket_close(&raw);
}

static void unregister_ends_the_long_poll(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket raw;
    call_register(fixture->http, "s", "i1");
    call_register(fixture->http, "s", "i2");
    ask(&raw, fixture, SERVICE "&version=%lld&wait=60s", "s", version_of(fixture->http, "s"));
    call_wait_metric(fixture->http, SUSPENDED, 1);
    unregister(fixture->http, "s", "i1");
    struct http_response *response = response_of(&raw);
    check_status(response, 200, "success", NULL);
    check_count(response, "service.instances", 1);
    raw_socket_close(&raw);
}

static void eviction_ends_the_long_poll(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket raw;
    call_register(fixture->http, "s", "i1");
    ask(&raw, fixture, SERVICE "&version=%lld&wait=60s", "s", version_of(fixture->http, "s"));
    struct http_response *response = response_of(&raw);
    check_http(response, 200);
    if (check_find(response->json, "service.instances"))
        check_count(response, "service.instances", 0);
    assert_int_equal(call_metric(fixture->http, "artemis_waits_total"), 1);
    raw_socket_close(&raw);
}

static void any_change_ends_a_long_poll_for_all_services(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket raw;
    call_register(fixture->http, "a", "i1");
    ask(&raw, fixture, "/api/discovery/services?version=%lld&wait=60s",
        (long long)call_version(fixture->http));
    call_wait_metric(fixture->http, SUSPENDED, 1);
    call_register(fixture->http, "b", "i1");
    check_count(response_of(&raw), "services", 2);
    raw_socket_close(&raw);
}

static void unknown_service_has_version_0(void **state)
{
    struct fixture *fixture = *state;
    static const char *const names[] = {"first", "second"};
    for (int i = 0; i < 2; i++) {
        struct raw_socket raw;
        ask(&raw, fixture, SERVICE "&wait=60s%s", names[i], i ? "&version=0" : "");
        call_wait_metric(fixture->http, SUSPENDED, 1);
        call_register(fixture->http, names[i], "i1");
        struct http_response *response = response_of(&raw);
        check_status(response, 200, "success", NULL);
        check_count(response, "service.instances", 1);
        raw_socket_close(&raw);
    }
}

/* --- timeout ---------------------------------------------------------------------------------- */

static void long_poll_without_a_change_ends_with_304(void **state)
{
    struct fixture *fixture = *state;
    char tag[64];
    call_register(fixture->http, "s", "i1");
    long long version = version_of(fixture->http, "s");
    tag_of(fixture->http, "s", tag);
    int64_t began_ms = wait_now_ms();
    struct http_response *response =
        http_get(fixture->http, SERVICE "&version=%lld&wait=300ms", "s", version);
    check_http(response, 304);
    check_field(response, "ETag", tag);
    assert_int_equal(response->body_size, 0);
    assert_true(wait_now_ms() - began_ms >= 300);
    check_http(http_get(fixture->http, SERVICE "&version=0&wait=50ms", "unknown"), 304);
    response = http_get(fixture->http, "/api/discovery/services?version=%lld&wait=50ms", version);
    check_http(response, 304);
    assert_int_equal(call_metric(fixture->http, "artemis_waits_total"), 3);
}

static void long_polls_end_in_the_order_of_their_times(void **state)
{
    struct fixture *fixture = *state;
    enum { LONG_POLLS = 20 };
    struct raw_socket raws[LONG_POLLS];
    call_register(fixture->http, "s", "i1");
    long long version = version_of(fixture->http, "s");
    for (int i = 0; i < LONG_POLLS; i++)
        ask(&raws[i], fixture, SERVICE "&version=%lld&wait=%dms", "s", version,
            i % 2 ? 60000 : 100 + i * 17);
    for (int i = 0; i < LONG_POLLS; i += 2)
        check_http(response_of(&raws[i]), 304);
    call_wait_metric(fixture->http, SUSPENDED, LONG_POLLS / 2);
    call_register(fixture->http, "s", "i2");
    for (int i = 0; i < LONG_POLLS; i++) {
        if (i % 2)
            check_http(response_of(&raws[i]), 200);
        raw_socket_close(&raws[i]);
    }
}

/* --- no suspension ---------------------------------------------------------------------------- */

static void newer_state_is_sent_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct http *http = fixture->http;
    call_register(http, "s", "i1");
    long long version = version_of(http, "s");
    check_http(http_get(http, SERVICE "&version=%lld&wait=60s", "s", version - 1), 200);
    check_http(http_get(http, SERVICE "&version=0&wait=60s", "s"), 200);
    check_http(http_get(http, SERVICE "&wait=60s", "s"), 200);
    check_http(http_get(http, SERVICE "&version=%lld&wait=60s", "s", version + 1000000), 200);
    check_http(http_get(http, "/api/discovery/services?version=1&wait=60s"), 200);
    check_status(http_get(http, SERVICE "&version=%lld&wait=60s", "unknown", version), 200,
                 "bad-request", "service-not-found");
    assert_int_equal(call_metric(http, "artemis_waits_total"), 0);
}

static void wait_of_0s_gets_a_response_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct http *http = fixture->http;
    call_register(http, "s", "i1");
    long long version = version_of(http, "s");
    check_http(http_get(http, SERVICE "&version=%lld&wait=0s", "s", version), 304);
    check_http(http_get(http, SERVICE "&version=%lld&wait=0ms", "s", version), 304);
    check_http(http_get(http, SERVICE "&version=%lld&wait=0s", "s", version - 1), 200);
    assert_int_equal(call_metric(http, "artemis_waits_total"), 0);
}

static void version_without_wait_has_no_effect(void **state)
{
    struct fixture *fixture = *state;
    call_register(fixture->http, "s", "i1");
    long long version = version_of(fixture->http, "s");
    struct http_response *response = http_get(fixture->http, SERVICE "&version=%lld", "s", version);
    check_status(response, 200, "success", NULL);
    check_field(response, "X-Artemis-Run", NULL);
}

static void version_of_an_earlier_run_gets_a_response_at_once(void **state)
{
    struct fixture *fixture = *state;
    char run[64];
    call_register(fixture->http, "s", "i1");
    struct http_response *response = http_get(fixture->http, SERVICE "&wait=0s", "s");
    snprintf(run, sizeof run, "%s", http_field(response, "X-Artemis-Run"));
    long long version = check_integer(response, "version");
    http_free(fixture->http);
    server_process_stop(&fixture->server);
    server_process_start(&fixture->server, NULL, NULL);
    fixture->http = http_new(fixture->server.port);
    call_register(fixture->http, "s", "i1");
    response = http_get(fixture->http, SERVICE "&version=%lld&wait=60s", "s", version);
    check_status(response, 200, "success", NULL);
    version = check_integer(response, "version");
    response = http_get(fixture->http, SERVICE "&version=%lld&run=%s&wait=60s", "s", version, run);
    check_status(response, 200, "success", NULL);
    assert_int_equal(call_metric(fixture->http, "artemis_waits_total"), 0);
}

static void run_of_this_node_suspends_and_another_does_not(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket raw;
    char run[64];
    call_register(fixture->http, "s", "i1");
    struct http_response *response = http_get(fixture->http, SERVICE "&wait=0s", "s");
    snprintf(run, sizeof run, "%s", http_field(response, "X-Artemis-Run"));
    long long version = check_integer(response, "version");
    check_http(http_get(fixture->http, SERVICE "&version=%lld&run=other&wait=60s", "s", version),
               200);
    check_http(
        http_get(fixture->http, "/api/discovery/services?version=%lld&run=other&wait=60s", version),
        200);
    ask(&raw, fixture, SERVICE "&version=%lld&run=%s&wait=60s", "s", version, run);
    call_wait_metric(fixture->http, SUSPENDED, 1);
    call_register(fixture->http, "s", "i2");
    check_http(response_of(&raw), 200);
    raw_socket_close(&raw);
}

/* --- other request features ------------------------------------------------------------------- */

static void head_and_if_none_match_can_be_long_polls(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket raw;
    char tag[64];
    call_register(fixture->http, "s", "i1");
    long long version = version_of(fixture->http, "s");
    raw_socket_open(&raw, fixture->server.port);
    raw_socket_sendf(&raw, "HEAD " SERVICE "&version=%lld&wait=60s HTTP/1.1\r\nHost: a\r\n\r\n",
                     "s", version);
    call_wait_metric(fixture->http, SUSPENDED, 1);
    call_register(fixture->http, "s", "i2");
    assert_int_equal(raw_socket_read_head(&raw, wait_deadline_ms()), RAW_RESPONSE);
    check_http(&raw.response, 200);
    tag_of(fixture->http, "s", tag);
    version = version_of(fixture->http, "s");
    raw_socket_sendf(&raw,
                     "GET " SERVICE "&version=%lld&wait=60s HTTP/1.1\r\nHost: a\r\n"
                     "If-None-Match: %s\r\n\r\n",
                     "s", version, tag);
    call_wait_metric(fixture->http, SUSPENDED, 1);
    call_register(fixture->http, "s", "i3");
    check_count(response_of(&raw), "service.instances", 3);
    tag_of(fixture->http, "s", tag);
    raw_socket_sendf(&raw,
                     "GET " SERVICE "&version=1&wait=60s HTTP/1.1\r\nHost: a\r\n"
                     "If-None-Match: %s\r\n\r\n",
                     "s", tag);
    check_http(response_of(&raw), 304);
    raw_socket_close(&raw);
}

static void long_poll_keeps_prefix_and_casing(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket java;
    struct raw_socket camel;
    call_register(fixture->http, "s", "i1");
    long long version = version_of(fixture->http, "s");
    ask(&java, fixture, "/artemis/api/discovery/service.json?serviceId=s&version=%lld&wait=60s",
        version);
    ask(&camel, fixture, "/api/discovery/service?serviceId=S&version=%lld&wait=1m", version);
    call_wait_metric(fixture->http, SUSPENDED, 2);
    call_register(fixture->http, "s", "i2");
    check_status(response_of(&java), 200, "success", NULL);
    check_json(&java.response, "responseStatus.status", "'success'");
    check_json(&java.response, "service.instances[0].groupId", "null");
    check_status(response_of(&camel), 200, "success", NULL);
    check_json(&camel.response, "service.instances[1].instanceId", "'i2'");
    check_absent(&camel.response, "service.instances[1].groupId");
    raw_socket_close(&java);
    ask(&java, fixture, "/artemis/api/discovery/service.json?serviceId=later&version=0&wait=60s");
    call_wait_metric(fixture->http, SUSPENDED, 1);
    call_register(fixture->http, "later", "i1");
    check_count(response_of(&java), "service.instances", 1);
    raw_socket_close(&java);
    raw_socket_close(&camel);
}

/* The body is received once and handled twice. */
static void compressed_post_can_be_a_long_poll(void **state)
{
    struct fixture *fixture = *state;
    static const char request[] = "{\"discovery_config\":{\"service_id\":\"s\"}}";
    struct raw_socket raw;
    size_t size;
    call_register(fixture->http, "s", "i1");
    unsigned char *packed = gzip_pack(request, strlen(request), &size);
    raw_socket_open(&raw, fixture->server.port);
    raw_socket_sendf(&raw,
                     "POST /api/discovery/service?version=%lld&wait=60s HTTP/1.1\r\nHost: a\r\n"
                     "Content-Type: application/json\r\nContent-Encoding: gzip\r\n"
                     "Content-Length: %zu\r\n\r\n",
                     version_of(fixture->http, "s"), size);
    raw_socket_send(&raw, packed, size);
    free(packed);
    call_wait_metric(fixture->http, SUSPENDED, 1);
    call_register(fixture->http, "s", "i2");
    check_status(response_of(&raw), 200, "success", NULL);
    check_count(&raw.response, "service.instances", 2);
    raw_socket_close(&raw);
}

static void pipelined_requests_get_responses_after_the_long_poll(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket raw;
    call_register(fixture->http, "s", "i1");
    ask(&raw, fixture,
        SERVICE "&version=%lld&wait=60s HTTP/1.1\r\nHost: a\r\n\r\nGET " SERVICE "&wait=100ms", "s",
        version_of(fixture->http, "s"), "unknown");
    raw_socket_sendf(&raw, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
    call_wait_metric(fixture->http, SUSPENDED, 1);
    assert_false(wait_readable(raw.fd, 0));
    call_register(fixture->http, "s", "i2");
    check_count(response_of(&raw), "service.instances", 2);
    check_http(response_of(&raw), 304);
    assert_string_equal(response_of(&raw)->body, "OK");
    raw_socket_close(&raw);
}

static void invalid_wait_is_refused_with_its_value(void **state)
{
    struct fixture *fixture = *state;
    static const char *const values[] = {"",      "30",    "s",   "-1s",  "1.5s", "30S",  "1h",
                                         "%201s", "1s%20", "1ss", "0x1s", "%22s", "1%00s"};
    static const char *const versions[] = {"", "-1", "1x", "1.0", "%201", "99999999999999999999"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct http_response *response =
            http_get(fixture->http, SERVICE "&version=0&wait=%s", "s", values[i]);
        check_status(response, 400, "bad-request", "invalid-field");
        check_contains(response, "response_status.error_message", "wait: must be like 30s");
        if (values[i][0] && !strchr(values[i], '%'))
            check_contains(response, "response_status.error_message", values[i]);
    }
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        struct http_response *response =
            http_get(fixture->http, SERVICE "&wait=60s&version=%s", "s", versions[i]);
        check_status(response, 400, "bad-request", "invalid-field");
        check_contains(response, "response_status.error_message", "version: must be an integer");
    }
    check_status(http_get(fixture->http, "/api/discovery/services?wait=soon"), 400, "bad-request",
                 "invalid-field");
    check_status(http_get(fixture->http, "/artemis/api/discovery/services?wait=soon"), 200,
                 "bad-request", NULL);
}

/* --- limits and shutdown ---------------------------------------------------------------------- */

static void disconnect_returns_the_place(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket raws[3];
    call_register(fixture->http, "s", "i1");
    long long version = version_of(fixture->http, "s");
    for (int i = 0; i < 3; i++)
        ask(&raws[i], fixture, SERVICE "&version=%lld&wait=60s", "s", version);
    call_wait_metric(fixture->http, SUSPENDED, 3);
    raw_socket_close(&raws[1]);
    call_wait_metric(fixture->http, SUSPENDED, 2);
    raw_socket_close(&raws[0]);
    raw_socket_close(&raws[2]);
    call_wait_metric(fixture->http, SUSPENDED, 0);
    call_register(fixture->http, "s", "i2"); /* no long poll is left */
    call_wait_metric(fixture->http, "artemis_connections", 1);
}

static void over_the_limit_a_long_poll_is_refused_and_other_requests_are_served(void **state)
{
    struct fixture *fixture = *state;
    enum { MOST = 15 };
    struct raw_socket raws[MOST];
    call_register(fixture->http, "s", "i1");
    long long version = version_of(fixture->http, "s");
    for (int i = 0; i < MOST; i++)
        ask(&raws[i], fixture, SERVICE "&version=%lld&wait=60s", "s", version);
    call_wait_metric(fixture->http, SUSPENDED, MOST);
    struct http_response *response =
        http_get(fixture->http, SERVICE "&version=%lld&wait=60s", "s", version);
    check_status(response, 503, "service-unavailable", "over-limit");
    check_field(response, "Retry-After", "1");
    check_contains(response, "response_status.error_message", "15 WebSockets and long polls");
    check_status(http_get(fixture->http, SERVICE, "s"), 200, "success", NULL);
    assert_int_equal(call_metric(fixture->http, "artemis_push_clients_refused_total"), 1);
    raw_socket_close(&raws[0]);
    call_wait_metric(fixture->http, SUSPENDED, MOST - 1);
    call_wait_metric(fixture->http, "artemis_connections",
                     MOST); /* ours included; the refused one is closed */
    ask(&raws[0], fixture, SERVICE "&version=%lld&wait=60s", "s", version);
    call_wait_metric(fixture->http, SUSPENDED, MOST);
    for (int i = 0; i < MOST; i++)
        raw_socket_close(&raws[i]);
}

static void a_thousand_long_polls_all_get_a_response(void **state)
{
    struct fixture *fixture = *state;
    enum { LONG_POLLS = 1000 };
    static struct raw_socket raws[LONG_POLLS];
    call_register(fixture->http, "s", "i1");
    long long version = version_of(fixture->http, "s");
    for (int i = 0; i < LONG_POLLS; i++)
        ask(&raws[i], fixture, SERVICE "&version=%lld&wait=60s", "s", version);
    call_wait_metric(fixture->http, SUSPENDED, LONG_POLLS);
    call_register(fixture->http, "s", "i2");
    version = version_of(fixture->http, "s");
    for (int i = 0; i < LONG_POLLS; i++) {
        struct http_response *response = response_of(&raws[i]);
        check_status(response, 200, "success", NULL);
        assert_int_equal(check_integer(response, "version"), version);
        raw_socket_close(&raws[i]);
    }
    assert_int_equal(call_metric(fixture->http, SUSPENDED), 0);
}

static void shutdown_ends_long_polls_with_304(void **state)
{
    struct fixture *fixture = *state;
    enum { LONG_POLLS = 20 };
    struct raw_socket raws[LONG_POLLS];
    call_register(fixture->http, "s", "i1");
    long long version = version_of(fixture->http, "s");
    for (int i = 0; i < LONG_POLLS; i++)
        ask(&raws[i], fixture, SERVICE "&version=%lld&wait=60s", "s", version);
    call_wait_metric(fixture->http, SUSPENDED, LONG_POLLS);
    int64_t began_ms = wait_now_ms();
    server_process_signal(&fixture->server, SIGTERM);
    for (int i = 0; i < LONG_POLLS; i++) {
        check_http(response_of(&raws[i]), 304);
        check_field(&raws[i].response, "Connection", "close");
        assert_true(raw_socket_is_closed_by(&raws[i], wait_deadline_ms()));
        raw_socket_close(&raws[i]);
    }
    assert_int_equal(server_process_wait(&fixture->server), 0);
    assert_true(wait_now_ms() - began_ms < (wait_slow_build() ? 20000 : 3000));
}

#define TEST(name)             cmocka_unit_test_setup_teardown(name, start, fixture_stop)
#define TEST_WITH(setup, name) cmocka_unit_test_setup_teardown(name, setup, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(register_ends_the_long_poll),
        TEST(change_of_another_service_does_not_end_it),
        TEST(heartbeat_and_the_same_registration_do_not_end_it),
        TEST(unregister_ends_the_long_poll),
        TEST_WITH(start_short_lived, eviction_ends_the_long_poll),
        TEST(any_change_ends_a_long_poll_for_all_services),
        TEST(unknown_service_has_version_0),
        TEST(long_poll_without_a_change_ends_with_304),
        TEST(long_polls_end_in_the_order_of_their_times),
        TEST(newer_state_is_sent_at_once),
        TEST(wait_of_0s_gets_a_response_at_once),
        TEST(version_without_wait_has_no_effect),
        TEST(version_of_an_earlier_run_gets_a_response_at_once),
        TEST(run_of_this_node_suspends_and_another_does_not),
        TEST(head_and_if_none_match_can_be_long_polls),
        TEST(long_poll_keeps_prefix_and_casing),
        TEST(compressed_post_can_be_a_long_poll),
        TEST(pipelined_requests_get_responses_after_the_long_poll),
        TEST(invalid_wait_is_refused_with_its_value),
        TEST(disconnect_returns_the_place),
        TEST_WITH(start_small, over_the_limit_a_long_poll_is_refused_and_other_requests_are_served),
        TEST(a_thousand_long_polls_all_get_a_response),
        TEST(shutdown_ends_long_polls_with_304),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
