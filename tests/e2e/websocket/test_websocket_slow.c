/* SPDX-License-Identifier: Apache-2.0
 *
 * Subscribers that do not read or that disconnect, beside others that read; many subscribers; and
 * the shutdown of the server. The queue of a subscriber has a limit; one that has exceeded it gets
 * the full state when it reads again.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/websocket_client.h"
#include "tests/support/wait.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SUBSCRIBE "{'type':'subscribe','service_id':'s'}"

enum {
    FILLER_BYTES = 6000,
    CHANGES = 150, /* far more bytes than a queue holds */
    KEPT_BYTES_MAX = 768 * 1024,
    SMALL_BYTES = 2 * 1024,
};

static int start(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "lease.ttl_secs=3600", "--set",
                                                      "ratelimit.enabled=false", NULL});
}

static void send_subscribe(struct websocket_client *client)
{
    websocket_client_send_json(client, SUBSCRIBE);
    check_json(websocket_client_next(client), "type", "'subscribed'");
}

static void subscribe(void **state, struct websocket_client *client)
{
    struct fixture *fixture = *state;
    websocket_client_open(client, fixture->server.port, "/ws");
    send_subscribe(client);
}

/* Limits what the kernel buffers for a client that does not read. With less than this, the kernel
 * requests the rest in small segments, with pauses, when the client reads. */
static void limit_receive_buffer(struct websocket_client *client)
{
    int size = 32 * 1024;
    assert_int_equal(setsockopt(client->raw.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size), 0);
}

/* A large instance, with the number of the change as its port. */
static void change_in(struct http *http, const char *zone, int number)
{
    char filler[FILLER_BYTES + 1];
    memset(filler, 'x', FILLER_BYTES);
    filler[FILLER_BYTES] = '\0';
    struct http_response *response =
        http_post(http, REGISTER,
                  "{'instances':[{'region_id':'lab','zone_id':'%s','service_id':'s',"
                  "'instance_id':'i1','ip':'10.0.0.1','port':%d,'metadata':{'filler':'%s'}}]}",
                  zone, number, filler);
    check_status(response, 200, "success", NULL);
}

static void change(struct http *http, int number)
{
    change_in(http, "z", number);
}

static int port_of(const struct http_response *pushed, int index)
{
    char path[64];
    snprintf(path, sizeof path, "changes[%d].instance.port", index);
    return (int)check_integer(pushed, path);
}

/* --- slow clients ----------------------------------------------------------------------------- */

static void lagging_client_gets_the_full_state_and_others_get_all_changes(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client slow;
    struct websocket_client fast;
    subscribe(state, &slow);
    subscribe(state, &fast);
    limit_receive_buffer(&slow);
    for (int number = 1; number <= CHANGES; number++) {
        change(fixture->http, number);
        assert_int_equal(port_of(websocket_client_next(&fast), 0), number);
    }
    /* First the frames that were partly sent; then, whenever the queue was empty for a while, the
     * state of that time. A gap is always followed by a reload. */
    size_t bytes = 0;
    int reloads = 0;
    for (int last = 0; last < CHANGES;) {
        struct http_response *pushed = websocket_client_next(&slow);
        bool is_reload = strcmp(check_text(pushed, "changes[0].change_type"), "reload") == 0;
        int port = port_of(pushed, is_reload);
        assert_true(is_reload ? port > last : port == last + 1);
        reloads += is_reload;
        last = port;
        bytes += pushed->body_size;
    }
    assert_true(reloads > 0);
    assert_in_range(bytes, 1, KEPT_BYTES_MAX);
    assert_int_equal(check_integer(&slow.message, "version"), call_version(fixture->http));
    assert_int_equal(call_metric(fixture->http, "artemis_push_reloads_total"), reloads);
    assert_int_equal(call_metric(fixture->http, "artemis_websockets_closed_slow_total"), 0);
    change(fixture->http, CHANGES + 1); /* it is current again */
    assert_int_equal(port_of(websocket_client_next(&slow), 0), CHANGES + 1);
    assert_int_equal(port_of(websocket_client_next(&fast), 0), CHANGES + 1);
    websocket_client_close(&slow);
    websocket_client_close(&fast);
}

static void lagging_client_with_a_filter_gets_the_instances_that_match(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client slow;
    char path[64];
    change(fixture->http, 1);
    websocket_client_open(&slow, fixture->server.port, "/ws");
    limit_receive_buffer(&slow);
    websocket_client_send_json(&slow,
                               "{'type':'subscribe','service_id':'s','filter':{'zone':'z'}}");
    check_json(websocket_client_next(&slow), "filtered", "true");
    assert_int_equal(port_of(websocket_client_next(&slow), 1), 1);
    for (int number = 2; number <= CHANGES; number++) {
        change(fixture->http, number);
        change_in(fixture->http, "other", number);
    }
    int reloads = 0;
    for (int last = 1; last < CHANGES;) {
        struct http_response *pushed = websocket_client_next(&slow);
        int count = (int)json_array_size(check_find(pushed->json, "changes"));
        bool is_reload = strcmp(check_text(pushed, "changes[0].change_type"), "reload") == 0;
        assert_true(is_reload ? count == 2 : count > 0);
        for (int i = is_reload; i < count; i++) { /* changes of one turn share a message */
            snprintf(path, sizeof path, "changes[%d].instance.zone_id", i);
            check_json(pushed, path, "'z'");
            int port = port_of(pushed, i);
            assert_true(is_reload ? port > last : port == last + 1);
            last = port;
        }
        reloads += is_reload;
    }
    assert_true(reloads > 0);
    change_in(fixture->http, "other", CHANGES + 1);
    change(fixture->http, CHANGES + 1); /* it is current again */
    assert_int_equal(port_of(websocket_client_next(&slow), 0), CHANGES + 1);
    websocket_client_close(&slow);
}

static void disconnect_of_a_lagging_client_returns_its_place(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client slow[3];
    struct linger at_once = {.l_onoff = 1};
    for (int i = 0; i < 3; i++) {
        subscribe(state, &slow[i]);
        limit_receive_buffer(&slow[i]);
    }
    for (int number = 1; number <= CHANGES; number++)
        change(fixture->http, number);
    websocket_client_close(&slow[0]);
    setsockopt(slow[1].raw.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    websocket_client_close(&slow[1]);
    SEND(&slow[2], .opcode = OPCODE_CLOSE, TEXT_OF("\x03\xe8"));
    call_wait_metric(fixture->http, "artemis_websockets", 0);
    websocket_client_close(&slow[2]);
    call_wait_metric(fixture->http, "artemis_subscriptions", 0);
    change(fixture->http, CHANGES + 1);
}

/* Its buffer is small from the start: what it acknowledges would extend its time. */
static void client_that_does_not_read_is_closed(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client slow;
    struct websocket_client fast;
    websocket_client_open_small(&slow, SMALL_BYTES, fixture->server.port, "/ws");
    send_subscribe(&slow);
    subscribe(state, &fast);
    for (int number = 1; number <= CHANGES; number++) {
        change(fixture->http, number);
        assert_int_equal(port_of(websocket_client_next(&fast), 0), number);
    }
    assert_int_equal(call_metric(fixture->http, "artemis_websockets"), 2);
    call_wait_metric(fixture->http, "artemis_websockets", 1);
    change(fixture->http, CHANGES + 1);
    assert_int_equal(port_of(websocket_client_next(&fast), 0), CHANGES + 1);
    websocket_client_close(&slow);
    websocket_client_close(&fast);
}

static void client_that_does_not_read_responses_is_closed(void **state)
{
    static const char message[] = "{\"type\":\"subscribe\",\"service_id\":\"s\"}";
    struct fixture *fixture = *state;
    struct websocket_client client;
    char *bytes = NULL;
    size_t size = 0;
    for (int i = 0; i < 1000; i++)
        websocket_frame_append(&(struct websocket_frame){.opcode = OPCODE_TEXT, TEXT_OF(message)},
                               &bytes, &size);
    subscribe(state, &client);
    limit_receive_buffer(&client);
    int64_t deadline_ms = wait_deadline_ms();
    while (raw_socket_send(&client.raw, bytes, size))
        assert_true(wait_now_ms() < deadline_ms);
    free(bytes);
    call_wait_metric(fixture->http, "artemis_websockets", 0);
    assert_int_equal(call_metric(fixture->http, "artemis_websockets_closed_slow_total"), 1);
    websocket_client_close(&client);
}

/* Its protocol has no message for the full state: it must connect again and request it by HTTP. */
static void lagging_java_client_of_all_changes_is_closed(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client client;
    int number = 0;
    websocket_client_open(&client, fixture->server.port,
                          "/artemis/websocket/discovery/all-instance-change");
    limit_receive_buffer(&client);
    while (call_metric(fixture->http, "artemis_websockets_closed_slow_total") == 0) {
        assert_in_range(number, 0, 10 * CHANGES);
        change(fixture->http, ++number);
    }
    int read = 0;
    while (websocket_client_receive(&client, wait_deadline_ms()) == GOT_FRAME &&
           client.frame.opcode == OPCODE_TEXT)
        read++;
    assert_in_range(read, 1, number - 1);
    assert_int_equal(client.frame.opcode, OPCODE_CLOSE);
    assert_memory_equal(client.frame.payload, "\x03\xf5", 2); /* 1013: try again later */
    assert_int_equal(websocket_client_receive(&client, wait_deadline_ms()), GOT_END);
    websocket_client_close(&client);
    call_wait_metric(fixture->http, "artemis_websockets", 0);
}

/* --- many ------------------------------------------------------------------------------------- */

static void many_subscribers_get_the_same_changes(void **state)
{
    enum { CROWD = 500 };
    static struct websocket_client crowd[CROWD];
    struct fixture *fixture = *state;
    char *first = NULL;
    for (int i = 0; i < CROWD; i++)
        subscribe(state, &crowd[i]);
    assert_int_equal(call_metric(fixture->http, "artemis_subscriptions"), CROWD);
    change(fixture->http, 1);
    for (int i = 0; i < CROWD; i++) {
        struct http_response *pushed = websocket_client_next(&crowd[i]);
        if (!first)
            first = strdup(pushed->body);
        assert_string_equal(pushed->body, first);
        if (i % 2)
            websocket_client_close(&crowd[i]);
    }
    free(first);
    change(fixture->http, 2); /* while half of them disconnect */
    for (int i = 0; i < CROWD; i += 2) {
        assert_int_equal(port_of(websocket_client_next(&crowd[i]), 0), 2);
        websocket_client_close(&crowd[i]);
    }
    call_wait_metric(fixture->http, "artemis_websockets", 0);
    call_wait_metric(fixture->http, "artemis_connections", 1);
}

/* --- shutdown --------------------------------------------------------------------------------- */

static void shutdown_closes_as_going_away(void **state)
{
    enum { CLIENTS = 20 };
    struct fixture *fixture = *state;
    struct websocket_client clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        if (i % 2)
            subscribe(state, &clients[i]);
        else
            websocket_client_open(&clients[i], fixture->server.port, "/ws/registry/heartbeat");
    }
    int64_t began_ms = wait_now_ms();
    server_process_signal(&fixture->server, SIGTERM);
    for (int i = 0; i < CLIENTS; i++) {
        websocket_client_check_closed(&clients[i], 1001);
        websocket_client_close(&clients[i]);
    }
    assert_int_equal(server_process_wait(&fixture->server), 0);
    assert_true(wait_now_ms() - began_ms < (wait_slow_build() ? 20000 : 1500));
}

/* One that does not read, one that keeps the connection after the close, one within a message. */
static void shutdown_does_not_wait_for_clients_that_keep_the_connection(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client slow;
    struct websocket_client stays;
    struct websocket_client within_message;
    subscribe(state, &slow);
    subscribe(state, &stays);
    subscribe(state, &within_message);
    limit_receive_buffer(&slow);
    for (int number = 1; number <= CHANGES; number++) {
        change(fixture->http, number);
        websocket_client_next(&stays);
        websocket_client_next(&within_message);
    }
    SEND(&within_message, .opcode = OPCODE_TEXT, .more = true, TEXT_OF("{"));
    int64_t began_ms = wait_now_ms();
    server_process_signal(&fixture->server, SIGTERM);
    websocket_client_check_closed(&stays, 1001);
    websocket_client_check_closed(&within_message, 1001);
    assert_int_equal(server_process_wait(&fixture->server), 0);
    assert_true(wait_now_ms() - began_ms < (wait_slow_build() ? 20000 : 5000));
    websocket_client_close(&slow);
    websocket_client_close(&stays);
    websocket_client_close(&within_message);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lagging_client_gets_the_full_state_and_others_get_all_changes),
        TEST(lagging_client_with_a_filter_gets_the_instances_that_match),
        TEST(disconnect_of_a_lagging_client_returns_its_place),
        TEST(client_that_does_not_read_is_closed),
        TEST(client_that_does_not_read_responses_is_closed),
        TEST(lagging_java_client_of_all_changes_is_closed),
        TEST(many_subscribers_get_the_same_changes),
        TEST(shutdown_closes_as_going_away),
        TEST(shutdown_does_not_wait_for_clients_that_keep_the_connection),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
