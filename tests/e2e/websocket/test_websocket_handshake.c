/* SPDX-License-Identifier: Apache-2.0
 *
 * The WebSocket handshake: an invalid one gets an HTTP error that names the header, and the
 * connection remains an HTTP connection.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/websocket_client.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <string.h>

#define UPGRADE    "Upgrade: websocket\r\n"
#define CONNECTION "Connection: Upgrade\r\n"
#define VERSION    "Sec-WebSocket-Version: 13\r\n"
#define KEY_NAME   "Sec-WebSocket-Key: "
#define NONCE      "dGhlIHNhbXBsZSBub25jZQ=="
#define NONCE_LINE KEY_NAME NONCE "\r\n"

static int start(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "ratelimit.enabled=false", NULL});
}

static int start_small(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "server.max_connections=16", NULL});
}

static const char *const paths[] = {
    "/ws",
    "/ws/registry/heartbeat",
    "/ws/discovery/instance-change",
    "/ws/discovery/all-instance-change",
    "/artemis/websocket/registry/heartbeat",
    "/artemis/websocket/discovery/instance-change",
    "/artemis/websocket/discovery/all-instance-change",
};
enum { PATHS = sizeof paths / sizeof *paths };

static struct http_response *ask(struct raw_socket *raw, const char *line, const char *fields)
{
    assert_true(raw_socket_sendf(raw, "%s\r\nHost: a\r\n%s\r\n", line, fields));
    assert_int_equal(raw_socket_read(raw, wait_deadline_ms()), RAW_RESPONSE);
    return &raw->response;
}

static void each_path_accepts_the_handshake(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < PATHS; i++) {
        struct websocket_client client;
        websocket_client_open(&client, fixture->server.port, paths[i]);
        websocket_client_check_quiet(&client);
        websocket_client_close(&client);
    }
    call_wait_metric(fixture->http, "artemis_websockets", 0);
}

static void headers_are_lists_and_compared_without_case(void **state)
{
    struct fixture *fixture = *state;
    static const char *const fields[] = {
        "upgrade: WebSocket\r\nconnection: keep-alive, UPGRADE\r\nsec-websocket-version: 13\r\n"
        "sec-websocket-key: " NONCE "\r\n",
        "Upgrade: h2c, websocket\r\nConnection: Upgrade,keep-alive\r\n" VERSION NONCE_LINE,
        UPGRADE CONNECTION VERSION NONCE_LINE
        "Origin: http://elsewhere\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"
        "Sec-WebSocket-Protocol: chat\r\n",
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        struct raw_socket raw;
        raw_socket_open(&raw, fixture->server.port);
        struct http_response *response = ask(&raw, "GET /ws HTTP/1.1", fields[i]);
        check_http(response, 101);
        check_field(response, "Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        check_field(response, "Sec-WebSocket-Extensions", NULL);
        check_field(response, "Sec-WebSocket-Protocol", NULL);
        check_field(response, "Content-Length", NULL);
        raw_socket_close(&raw);
    }
}

static const struct {
    const char *fields;
    int status;
    const char *message;
} errors[] = {
    {"", 426, "Upgrade: this path speaks WebSocket; must be websocket, is missing"},
    {CONNECTION VERSION NONCE_LINE, 426, "Upgrade: "},
    {"Upgrade: h2c\r\n" CONNECTION VERSION NONCE_LINE, 426, "\"h2c\""},
    {"Upgrade: websockets\r\n" CONNECTION VERSION NONCE_LINE, 426, "\"websockets\""},
    {UPGRADE VERSION NONCE_LINE, 400, "Connection: must have Upgrade, is missing"},
    {UPGRADE "Connection: keep-alive\r\n" VERSION NONCE_LINE, 400, "\"keep-alive\""},
    {UPGRADE CONNECTION NONCE_LINE, 426, "Sec-WebSocket-Version: must be 13, is missing"},
    {UPGRADE CONNECTION "Sec-WebSocket-Version: 8\r\n" NONCE_LINE, 426, "\"8\""},
    {UPGRADE CONNECTION "Sec-WebSocket-Version: 013\r\n" NONCE_LINE, 426, "\"013\""},
    {UPGRADE CONNECTION VERSION, 400, "Sec-WebSocket-Key: must be 16 bytes in base64, is missing"},
    {UPGRADE CONNECTION VERSION KEY_NAME "\r\n", 400, "Sec-WebSocket-Key: "},
    {UPGRADE CONNECTION VERSION KEY_NAME "dGhlIHNhbXBsZSBub25j\r\n", 400, "dGhlIHNhbXBsZSBub25j"},
    {UPGRADE CONNECTION VERSION KEY_NAME "dGhlIHNhbXBsZSBub25jZQ\r\n", 400, "Sec-WebSocket-Key: "},
    {UPGRADE CONNECTION VERSION KEY_NAME "dGhlIHNhbXBsZSBub25jZTE=\r\n", 400,
     "Sec-WebSocket-Key: "},
    {UPGRADE CONNECTION VERSION KEY_NAME "dGhlIHNhbXBsZSB*b25jZQ==\r\n", 400,
     "Sec-WebSocket-Key: "},
    {UPGRADE CONNECTION VERSION KEY_NAME "========================\r\n", 400,
     "Sec-WebSocket-Key: "},
};

/* All on one connection, which remains usable. */
static void each_invalid_header_is_refused_and_named(void **state)
{
    struct fixture *fixture = *state;
    for (size_t path = 0; path < PATHS; path++) {
        char line[128];
        struct raw_socket raw;
        bool java = strncmp(paths[path], "/artemis/", 9) == 0;
        const char *where = java ? "responseStatus.errorMessage" : "response_status.error_message";
        snprintf(line, sizeof line, "GET %s HTTP/1.1", paths[path]);
        raw_socket_open(&raw, fixture->server.port);
        for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
            struct http_response *response = ask(&raw, line, errors[i].fields);
            check_status(response, errors[i].status, "bad-request",
                         errors[i].status == 426 ? "upgrade-required" : "invalid-field");
            check_contains(response, where, errors[i].message);
            check_field(response, "Upgrade", errors[i].status == 426 ? "websocket" : NULL);
            check_field(response, "Sec-WebSocket-Version", errors[i].status == 426 ? "13" : NULL);
        }
        check_http(ask(&raw, line, HANDSHAKE_FIELDS), 101);
        raw_socket_close(&raw);
    }
}

static void other_methods_and_paths_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket raw;
    raw_socket_open(&raw, fixture->server.port);
    struct http_response *response =
        ask(&raw, "POST /ws HTTP/1.1", HANDSHAKE_FIELDS "Content-Length: 0\r\n");
    check_status(response, 405, "bad-request", "wrong-method");
    check_field(response, "Allow", "GET, HEAD");
    check_status(ask(&raw, "GET /ws/other HTTP/1.1", HANDSHAKE_FIELDS), 404, "bad-request",
                 "no-such-path");
    check_status(ask(&raw, "GET /artemis/websocket HTTP/1.1", HANDSHAKE_FIELDS), 404, "bad-request",
                 "no-such-path");
    response = ask(&raw, "GET /health HTTP/1.1", "Upgrade: websocket\r\nConnection: Upgrade\r\n");
    check_http(response, 200); /* the connection remains usable */
    raw_socket_close(&raw);
}

static void http_1_0_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket raw;
    raw_socket_open(&raw, fixture->server.port);
    struct http_response *response = ask(&raw, "GET /ws HTTP/1.0", HANDSHAKE_FIELDS);
    check_status(response, 400, "bad-request", "invalid-field");
    check_contains(response, "response_status.error_message", "HTTP/1.1, is \"HTTP/1.0\"");
    raw_socket_close(&raw);
}

static void over_the_limit_a_websocket_is_refused_and_requests_are_served(void **state)
{
    struct fixture *fixture = *state;
    enum { MOST = 15 };
    struct websocket_client clients[MOST];
    static const char *const fields[] = {"Upgrade: websocket", "Connection: Upgrade",
                                         "Sec-WebSocket-Version: 13",
                                         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", NULL};
    check_http(http_get(fixture->http, "/health"), 200); /* on the last free connection */
    for (int i = 0; i < MOST; i++)
        websocket_client_open(&clients[i], fixture->server.port, paths[i % PATHS]);
    for (int i = 0; i < PATHS; i++) {
        struct http_response *response =
            http_send(fixture->http,
                      &(struct http_request){.method = "GET", .path = paths[i], .fields = fields});
        check_status(response, 503, "service-unavailable", "over-limit");
        check_field(response, "Retry-After", "1");
        check_http(http_get(fixture->http, "/api/discovery/services"), 200);
    }
    websocket_client_close(&clients[0]);
    call_wait_metric(fixture->http, "artemis_websockets", MOST - 1);
    call_wait_metric(fixture->http, "artemis_connections",
                     MOST); /* ours included; the refused one is closed */
    websocket_client_open(&clients[0], fixture->server.port, "/ws");
    websocket_client_check_quiet(&clients[0]);
    for (int i = 0; i < MOST; i++)
        websocket_client_close(&clients[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_path_accepts_the_handshake),
        TEST(headers_are_lists_and_compared_without_case),
        TEST(each_invalid_header_is_refused_and_named),
        TEST(other_methods_and_paths_are_refused),
        TEST(http_1_0_is_refused),
        cmocka_unit_test_setup_teardown(
            over_the_limit_a_websocket_is_refused_and_requests_are_served, start_small,
            fixture_stop),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
