/* SPDX-License-Identifier: Apache-2.0
 *
 * The body of a request is released when the request becomes a WebSocket or a long poll, and no
 * longer counts against the 256 MiB for all bodies. These bodies together exceed that limit.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/websocket_client.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLIENTS = 70, BODY_BYTES = 4 * 1024 * 1024 };

#define WAITING    "artemis_waiting_requests"
#define WEBSOCKETS "artemis_websockets"

static int start(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "ratelimit.enabled=false", NULL});
}

/* {'discovery_config':{'service_id':'s'},'pad':'aaa...'} */
static char *large_request(void)
{
    static const char head[] = "{\"discovery_config\":{\"service_id\":\"s\"},\"pad\":\"";
    char *body = malloc(BODY_BYTES);
    assert_non_null(body);
    memset(body, 'a', BODY_BYTES);
    memcpy(body, head, sizeof head - 1);
    memcpy(body + BODY_BYTES - 2, "\"}", 2);
    return body;
}

static void say(struct raw_socket *raw, uint16_t port, const char *line)
{
    char *body = large_request();
    raw_socket_open(raw, port);
    raw_socket_sendf(raw,
                     "%s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" HANDSHAKE_FIELDS
                     "Content-Length: %d\r\n\r\n",
                     line, BODY_BYTES);
    assert_true(raw_socket_send(raw, body, BODY_BYTES));
    free(body);
}

static void check_that_all_stay(struct fixture *fixture, const char *line, const char *metric)
{
    struct raw_socket sockets[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        say(&sockets[i], fixture->server.port, line);
        call_wait_metric(fixture->http, metric, i + 1);
    }
    call_register(fixture->http, "other", "i1");
    for (int i = 0; i < CLIENTS; i++)
        raw_socket_close(&sockets[i]);
    call_wait_metric(fixture->http, metric, 0);
}

static void websocket_keeps_no_body(void **state)
{
    check_that_all_stay(*state, "GET /ws", WEBSOCKETS);
}

static void long_poll_keeps_no_body(void **state)
{
    check_that_all_stay(*state, "GET /api/discovery/service?service_id=s&version=0&wait=60s",
                        WAITING);
}

static void waiting_post_with_a_large_body_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket raw;
    say(&raw, fixture->server.port, "POST /api/discovery/service?version=0&wait=60s");
    assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
    check_status(&raw.response, 413, "bad-request", "too-large");
    check_contains(&raw.response, "response_status.error_message", "at most 8192 bytes");
    raw_socket_close(&raw);
    assert_true(call_metric(fixture->http, WAITING) == 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(websocket_keeps_no_body),
        TEST(long_poll_keeps_no_body),
        TEST(waiting_post_with_a_large_body_is_refused),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
