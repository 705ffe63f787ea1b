/* SPDX-License-Identifier: Apache-2.0
 *
 * WebSockets in virtual time: pings, the closing handshake, memory of the reader, failed
 * allocations.
 */
#include "tests/unit/artemis-web/push/push_fixture.h"

#define SUBSCRIBE "{'type':'subscribe','service_id':'s'}"

static struct push_fixture fixture;
static struct push *const push = &fixture.push;
static struct websocket *websocket;
static struct websocket_client client;

static int set_up(void **state)
{
    (void)state;
    push_fixture_start(&fixture, 16);
    websocket = push_fixture_connect(push, ENDPOINT_NATIVE, &client);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    websocket_client_close(&client);
    push_fixture_stop(&fixture);
    return 0;
}

static void send_text(const char *text)
{
    websocket_client_send_json(&client, "%s", text);
    push_fixture_run(push);
}

/* --- pings ------------------------------------------------------------------------------------ */

static void idle_client_is_pinged_once_and_then_closed(void **state)
{
    (void)state;
    push_fixture_at(push, WEBSOCKET_PING_MS - 1);
    assert_int_equal(websocket_client_receive(&client, 0), GOT_NOTHING);
    push_fixture_at(push, WEBSOCKET_PING_MS);
    websocket_client_check_frame(&client, OPCODE_PING, "", 0);
    push_fixture_at(push, WEBSOCKET_IDLE_MS - 1);
    assert_int_equal(websocket_client_receive(&client, 0), GOT_NOTHING);
    push_fixture_at(push, WEBSOCKET_IDLE_MS);
    websocket_client_check_closed(&client, 1001);
    assert_int_equal(push->counters.closed_idle, 1);
    assert_int_equal(push->counters.websockets, 1); /* until the client closes */
    push_fixture_at(push, WEBSOCKET_IDLE_MS + WEBSOCKET_CLOSE_MS - 1);
    assert_int_equal(upgrades_closed, 0);
    push_fixture_at(push, WEBSOCKET_IDLE_MS + WEBSOCKET_CLOSE_MS); /* or this time has passed */
    assert_int_equal(upgrades_closed, 1);
}

static void client_that_sends_pongs_stays(void **state)
{
    (void)state;
    for (uint64_t ms = 0; ms < 20 * WEBSOCKET_PING_MS; ms += WEBSOCKET_PING_MS) {
        push_fixture_at(push, ms + WEBSOCKET_PING_MS);
        websocket_client_check_frame(&client, OPCODE_PING, "", 0);
        SEND(&client, .opcode = OPCODE_PONG);
        push_fixture_run(push);
    }
    assert_int_equal(websocket->state, WEBSOCKET_OPEN);
}

static void client_that_sends_messages_is_not_pinged(void **state)
{
    (void)state;
    for (uint64_t ms = 1000; ms < 3 * WEBSOCKET_IDLE_MS; ms += WEBSOCKET_PING_MS - 1) {
        push_fixture_at(push, ms);
        send_text("{'type':'ping'}");
        check_json(websocket_client_next(&client), "type", "'pong'");
    }
    assert_int_equal(push->counters.frames, push->counters.messages);
}

/* --- closing ---------------------------------------------------------------------------------- */

static void disconnect_after_the_close_ends_it_at_once(void **state)
{
    (void)state;
    SEND(&client, .opcode = OPCODE_CLOSE, TEXT_OF("\x03\xe8"));
    push_fixture_run(push);
    websocket_client_check_closed(&client, 1000);
    assert_int_equal(upgrades_closed, 0);
    websocket_client_close(&client);
    push_fixture_run(push);
    assert_int_equal(upgrades_closed, 1);
}

static void second_close_is_ignored(void **state)
{
    (void)state;
    websocket_close(websocket, 1001, "first");
    websocket_close(websocket, 1011, "second");
    websocket_client_check_closed(&client, 1001);
    websocket_end(websocket);
    websocket_end(websocket);
    assert_int_equal(upgrades_closed, 0); /* freed at the end of the turn */
    push_fixture_run(push);
    assert_int_equal(upgrades_closed, 1);
}

static void queued_frames_are_sent_before_the_close(void **state)
{
    (void)state;
    enum { INSTANCES = 10 };
    int small = 4096;
    char filler[1000] = "";
    memset(filler, 'm', sizeof(filler) - 1);
    setsockopt(websocket->socket, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    send_text(SUBSCRIBE);
    for (int i = 0; i < INSTANCES; i++) {
        put_as(fixture.engine.registry,
               (struct brief){.service = "s", .id = "i", .port = i + 1, .machine = filler},
               at_ms(0));
        push_fixture_run(push);
    }
    assert_true(websocket->queue.count > 0);
    websocket_close(websocket, 1001, "away");
    check_json(websocket_client_next(&client), "type", "'subscribed'");
    for (int i = 0; i < INSTANCES; i++) {
        push_fixture_run(push);
        assert_int_equal(check_integer(websocket_client_next(&client), "changes[0].instance.port"),
                         i + 1);
    }
    push_fixture_run(push);
    websocket_client_check_closed(&client, 1001);
}

/* --- memory ----------------------------------------------------------------------------------- */

static void reader_exists_only_during_a_message(void **state)
{
    (void)state;
    char *bytes = NULL;
    size_t size = 0;
    struct websocket_frame pieces[] = {
        {.opcode = OPCODE_TEXT, .more = true, TEXT_OF("{\"type\":")},
        {.opcode = OPCODE_PING},
        {.opcode = OPCODE_CONTINUATION, TEXT_OF("\"ping\"}")},
    };
    for (int i = 0; i < 3; i++)
        websocket_frame_append(&pieces[i], &bytes, &size);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < size; i++) {
            assert_null(i == 0 ? websocket->reader : NULL);
            assert_true(raw_socket_send(&client.raw, bytes + i, 1));
            push_fixture_run(push);
            assert_true((websocket->reader != NULL) == (i + 1 < size));
        }
        websocket_client_check_frame(&client, OPCODE_PONG, "", 0);
        check_json(websocket_client_next(&client), "type", "'pong'");
    }
    free(bytes);
}

/* Each allocation fails in turn: the client gets a response, a close or the end, and nothing
 * leaks. */
static void without_memory_a_client_gets_a_response_or_is_closed(void **state)
{
    (void)state;
    static const char *const messages[] = {
        "{'type':'ping'}", "{'type':'subscribe','service_id':'t','version':0}",
        "{'type':'unsubscribe','service_id':'t'}", "{'type':'what'}", "no JSON"};
    long failures = 0;
    for (size_t i = 0; i < sizeof(messages) / sizeof(*messages); i++) {
        for (long n = 1;; n++, failures++) {
            struct websocket_client other;
            push_fixture_connect(push, ENDPOINT_NATIVE, &other);
            websocket_client_send_json(&other, "%s", messages[i]);
            failing_malloc_after(n);
            push_fixture_run(push);
            bool failed = failing_malloc_happened();
            failing_malloc_after(-1);
            enum websocket_event event = websocket_client_receive(&other, 0);
            assert_true(event == GOT_FRAME || event == GOT_END);
            assert_true(event == GOT_FRAME || failed);
            websocket_client_close(&other);
            push_fixture_run(push);
            assert_int_equal(push->counters.websockets, 1);
            if (!failed)
                break;
        }
    }
    assert_true(failures > 10);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(idle_client_is_pinged_once_and_then_closed),
        TEST(client_that_sends_pongs_stays),
        TEST(client_that_sends_messages_is_not_pinged),
        TEST(disconnect_after_the_close_ends_it_at_once),
        TEST(second_close_is_ignored),
        TEST(queued_frames_are_sent_before_the_close),
        TEST(reader_exists_only_during_a_message),
        TEST(without_memory_a_client_gets_a_response_or_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
