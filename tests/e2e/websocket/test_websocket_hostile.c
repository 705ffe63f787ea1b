/* SPDX-License-Identifier: Apache-2.0
 *
 * WebSocket clients that send little and make the server store much.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/websocket_client.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FRAGMENTS_MAX = 1024, CODE_TOO_BIG = 1009 };

static int start(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "ratelimit.enabled=false", NULL});
}

static void send_fragments(struct websocket_client *client, int count)
{
    for (int i = 0; i < count; i++)
        SEND(client, .opcode = i == 0 ? OPCODE_TEXT : OPCODE_CONTINUATION, .more = true,
             TEXT_OF(" "));
}

static void message_with_the_maximum_of_fragments_is_accepted(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client client;
    static const char response[] = "{\"type\":\"pong\"}";
    websocket_client_open(&client, fixture->server.port, "/ws");
    for (int i = 0; i < 2; i++) { /* the count starts again */
        send_fragments(&client, FRAGMENTS_MAX - 1);
        SEND(&client, .opcode = OPCODE_CONTINUATION, TEXT_OF("{\"type\":\"ping\"}"));
        websocket_client_check_frame(&client, OPCODE_TEXT, response, strlen(response));
    }
    websocket_client_close(&client);
}

static void one_fragment_more_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client client;
    websocket_client_open(&client, fixture->server.port, "/ws");
    send_fragments(&client, FRAGMENTS_MAX + 1);
    websocket_client_check_closed(&client, CODE_TOO_BIG);
    websocket_client_close(&client);
    call_wait_metric(fixture->http, "artemis_websockets", 0);
}

/* An instance that does not fit into a response of 8 KiB does not hide the next one. */
static void heartbeat_response_skips_instances_that_do_not_fit(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client client;
    char *large = malloc(8 * 1024);
    assert_non_null(large);
    memset(large, 'x', 8 * 1024);
    large[8 * 1024 - 1] = '\0';
    websocket_client_open(&client, fixture->server.port, "/ws/registry/heartbeat");
    websocket_client_send_json(
        &client,
        "{'instances':[{'regionId':'r','zoneId':'z','serviceId':'s',"
        "'instanceId':'large','machineName':'%s'},"
        "{'regionId':'r','zoneId':'z','serviceId':'s','instanceId':'small'}]}",
        large);
    free(large);
    struct http_response *response = websocket_client_next(&client);
    check_count(response, "failedInstances", 1);
    check_contains(response, "failedInstances[0].instance.instanceId", "small");
    websocket_client_close(&client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(message_with_the_maximum_of_fragments_is_accepted),
        TEST(one_fragment_more_is_refused),
        TEST(heartbeat_response_skips_instances_that_do_not_fit),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
