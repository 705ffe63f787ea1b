/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory of request bodies: all bodies that are being received together have a limit, and of a
 * body that is refused only so much is read.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/raw_socket.h"
#include "tests/support/wait.h"

#include <stdlib.h>
#include <string.h>

#define POST_HEAD "POST " REGISTER " HTTP/1.1\r\nHost: a\r\n"

enum {
    MIB = 1024 * 1024,
    BODY_BYTES = 4 * MIB, /* server.max_body_bytes */
    ALL_BODIES_BYTES = 256 * MIB,
    DISCARDED_BYTES = 64 * MIB,
    BODIES = ALL_BODIES_BYTES / BODY_BYTES,
};

static int start(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "ratelimit.enabled=false", NULL});
}

struct expected {
    struct http *http;
    double bytes;
};

static bool has_received(void *context)
{
    struct expected *expected = context;
    return call_metric(expected->http, "artemis_http_request_bytes_total") >= expected->bytes;
}

/* Blanks are valid in front of a JSON value. */
static char *blanks(size_t size)
{
    char *bytes = malloc(size);
    assert_non_null(bytes);
    memset(bytes, ' ', size);
    return bytes;
}

static bool is_accepted(void *context)
{
    struct raw_socket *raw = context;
    raw_socket_sendf(raw, POST_HEAD "Content-Length: 16\r\n\r\n{\"instances\":[]}");
    assert_int_equal(raw_socket_read(raw, wait_deadline_ms()), RAW_RESPONSE);
    return raw->response.status == 200;
}

static void body_beyond_the_budget_gets_503_and_others_are_served(void **state)
{
    struct fixture *fixture = *state;
    static struct raw_socket bodies[BODIES];
    struct raw_socket last;
    if (wait_slow_build())
        skip(); /* it needs several times the memory */
    char *bytes = blanks(BODY_BYTES);
    for (int i = 0; i < BODIES; i++) {
        raw_socket_open(&bodies[i], fixture->server.port);
        raw_socket_sendf(&bodies[i], POST_HEAD "Content-Length: %d\r\n\r\n", BODY_BYTES);
        assert_true(raw_socket_send(&bodies[i], bytes, BODY_BYTES - 1));
    }
    struct expected expected = {fixture->http, (double)BODIES * (BODY_BYTES - 1)};
    assert_true(wait_until(has_received, &expected, wait_deadline_ms()));
    raw_socket_open(&last, fixture->server.port);
    raw_socket_sendf(&last, POST_HEAD "Content-Length: %d\r\n\r\n", BODIES + 1);
    assert_true(raw_socket_send(&last, bytes, BODIES + 1));
    assert_int_equal(raw_socket_read(&last, wait_deadline_ms()), RAW_RESPONSE);
    check_status(&last.response, 503, "service-unavailable", "overloaded");
    check_contains(&last.response, "response_status.error_message",
                   "body: too many bodies are being received at the same time");
    assert_non_null(http_field(&last.response, "Retry-After"));
    check_http(http_get(fixture->http, "/api/discovery/services"), 200);
    for (int i = 0; i < BODIES; i++)
        raw_socket_close(&bodies[i]);
    assert_true(wait_until(is_accepted, &last, wait_deadline_ms())); /* their memory is free */
    raw_socket_close(&last);
    free(bytes);
}

/* Sends a body in chunks until the server closes the connection. */
static size_t send_chunks(struct raw_socket *raw, size_t most)
{
    char *bytes = blanks(MIB);
    size_t sent = 0;
    while (sent < most && raw_socket_sendf(raw, "%x\r\n", MIB) &&
           raw_socket_send(raw, bytes, MIB) && raw_socket_sendf(raw, "\r\n"))
        sent += MIB;
    free(bytes);
    return sent;
}

static void refused_body_is_read_to_a_limit(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket raw;
    raw_socket_open(&raw, fixture->server.port);
    raw_socket_sendf(&raw, POST_HEAD "Transfer-Encoding: chunked\r\n\r\n");
    size_t sent = send_chunks(&raw, (size_t)4 * DISCARDED_BYTES);
    assert_in_range(sent, DISCARDED_BYTES, 3 * DISCARDED_BYTES); /* the kernel takes some more */
    raw_socket_close(&raw);
    check_http(http_get(fixture->http, "/health"), 200);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(body_beyond_the_budget_gets_503_and_others_are_served),
        TEST(refused_body_is_read_to_a_limit),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
