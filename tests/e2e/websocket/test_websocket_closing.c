/* SPDX-License-Identifier: Apache-2.0
 *
 * How a WebSocket ends (RFC 6455, section 7): the code, the order of the last frames, and that its
 * place is returned however the client disconnects.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/websocket_client.h"
#include "tests/support/wait.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define PING_MESSAGE "{\"type\":\"ping\"}"
#define RESPONSE     "{\"type\":\"pong\"}"

static int start(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "ratelimit.enabled=false", NULL});
}

static void open_one(void **state, struct websocket_client *client)
{
    struct fixture *fixture = *state;
    websocket_client_open(client, fixture->server.port, "/ws");
}

static void check_responses(struct websocket_client *client)
{
    websocket_client_check_frame(client, OPCODE_TEXT, RESPONSE, strlen(RESPONSE));
}

/* Sends one frame on a new connection, which must be closed with this code. */
static void check_frame_is_refused(void **state, struct websocket_frame frame, int code)
{
    struct websocket_client client;
    open_one(state, &client);
    assert_true(websocket_client_send(&client, &frame));
    websocket_client_check_closed(&client, code);
    websocket_client_close(&client);
}

static void close_with(void **state, int code, const char *reason, int response)
{
    char payload[200] = {(char)(code >> 8), (char)(code & 0xff)};
    struct websocket_client client;
    size_t size = 2 + strlen(reason);
    memcpy(payload + 2, reason, size - 2);
    open_one(state, &client);
    SEND(&client, .opcode = OPCODE_CLOSE, .payload = payload, .size = size);
    websocket_client_check_closed(&client, response);
    websocket_client_close(&client);
}

static void close_is_echoed_with_its_code(void **state)
{
    static const int codes[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009,
                                1010, 1011, 3000, 3999, 4000, 4999};
    struct websocket_client client;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        close_with(state, codes[i], "", codes[i]);
        close_with(state, codes[i], "done \xe2\x82\xac", codes[i]);
    }
    char reason[124] = "";
    memset(reason, 'x', sizeof reason - 1);
    close_with(state, 1000, reason, 1000);
    open_one(state, &client);
    SEND(&client, .opcode = OPCODE_CLOSE);
    websocket_client_check_closed(&client, 0);
    websocket_client_close(&client);
}

static void close_with_an_invalid_code_is_refused(void **state)
{
    static const int codes[] = {0, 1, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        close_with(state, codes[i], "", 1002);
}

static void malformed_close_is_refused(void **state)
{
    char reason[125] = "";
    memset(reason, 'x', sizeof reason - 1);
    check_frame_is_refused(state, (struct websocket_frame){.opcode = OPCODE_CLOSE, TEXT_OF("\x03")},
                           1002);
    close_with(state, 1000, "\xff", 1007);
    close_with(state, 1000, "cut \xe2\x82", 1007);
    close_with(state, 1000, reason, 1002);
}

static void frames_after_a_close_are_ignored(void **state)
{
    struct websocket_client client;
    char *bytes = NULL;
    size_t size = 0;
    websocket_frame_append(&(struct websocket_frame){.opcode = OPCODE_CLOSE, TEXT_OF("\x03\xe8")},
                           &bytes, &size);
    websocket_frame_append(&(struct websocket_frame){.opcode = OPCODE_TEXT, TEXT_OF(PING_MESSAGE)},
                           &bytes, &size);
    websocket_frame_append(&(struct websocket_frame){.opcode = OPCODE_PING}, &bytes, &size);
    open_one(state, &client);
    assert_true(raw_socket_send(&client.raw, bytes, size));
    websocket_client_check_closed(&client, 1000);
    free(bytes);
    websocket_client_close(&client);
}

static void responses_are_sent_before_the_close(void **state)
{
    struct websocket_client client;
    char *bytes = NULL;
    size_t size = 0;
    websocket_frame_append(&(struct websocket_frame){.opcode = OPCODE_TEXT, TEXT_OF(PING_MESSAGE)},
                           &bytes, &size);
    websocket_frame_append(&(struct websocket_frame){.opcode = OPCODE_CLOSE, TEXT_OF("\x03\xe8")},
                           &bytes, &size);
    open_one(state, &client);
    assert_true(raw_socket_send(&client.raw, bytes, size));
    check_responses(&client);
    websocket_client_check_closed(&client, 1000);
    free(bytes);
    websocket_client_close(&client);
}

/* The time to complete the closing handshake is limited. */
static void client_that_keeps_the_connection_after_the_close_is_disconnected(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client client;
    open_one(state, &client);
    SEND(&client, .opcode = OPCODE_CLOSE, TEXT_OF("\x03\xe8"));
    websocket_client_check_closed(&client, 1000);
    call_wait_metric(fixture->http, "artemis_websockets", 0);
    websocket_client_close(&client);
}

static void disconnect_without_a_close_returns_the_place(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client client;
    struct linger at_once = {.l_onoff = 1};
    open_one(state, &client);
    assert_int_equal(shutdown(client.raw.fd, SHUT_WR), 0);
    assert_int_equal(websocket_client_receive(&client, wait_deadline_ms()), GOT_END);
    websocket_client_close(&client);
    open_one(state, &client); /* within a frame */
    SEND(&client, .opcode = OPCODE_TEXT, .more = true, TEXT_OF("{"));
    raw_socket_send(&client.raw, "\x80\xfe", 2);
    websocket_client_close(&client);
    open_one(state, &client); /* with a reset */
    setsockopt(client.raw.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    websocket_client_close(&client);
    call_wait_metric(fixture->http, "artemis_websockets", 0);
    call_wait_metric(fixture->http, "artemis_connections", 1);
}

static void invalid_frames_of_one_client_do_not_affect_others(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client witness;
    open_one(state, &witness);
    double errors = call_metric(fixture->http, "artemis_websockets_closed_errors_total");
    check_frame_is_refused(state, (struct websocket_frame){.opcode = OPCODE_TEXT, .rsv = 1}, 1002);
    check_frame_is_refused(state, (struct websocket_frame){.opcode = OPCODE_BINARY}, 1003);
    close_with(state, 999, "", 1002);
    close_with(state, 1000, "", 1000);
    assert_int_equal(call_metric(fixture->http, "artemis_websockets_closed_errors_total"),
                     errors + 3);
    SEND(&witness, .opcode = OPCODE_TEXT, TEXT_OF(PING_MESSAGE));
    check_responses(&witness);
    websocket_client_close(&witness);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(close_is_echoed_with_its_code),
        cmocka_unit_test(close_with_an_invalid_code_is_refused),
        cmocka_unit_test(malformed_close_is_refused),
        cmocka_unit_test(frames_after_a_close_are_ignored),
        cmocka_unit_test(responses_are_sent_before_the_close),
        cmocka_unit_test(client_that_keeps_the_connection_after_the_close_is_disconnected),
        cmocka_unit_test(disconnect_without_a_close_returns_the_place),
        cmocka_unit_test(invalid_frames_of_one_client_do_not_affect_others),
    };
    return server_process_finish(cmocka_run_group_tests(tests, start, fixture_stop));
}
