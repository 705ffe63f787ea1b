/* SPDX-License-Identifier: Apache-2.0
 *
 * Subscriptions to topics of events.
 */
#include "tests/unit/artemis-web/push/push_fixture.h"

#define SUBSCRIBE   "{'type':'subscribe_topic','topic':'%s'}"
#define UNSUBSCRIBE "{'type':'unsubscribe_topic','topic':'%s'}"

static struct push_fixture fixture;
static struct push *const push = &fixture.push;
static struct websocket_client client;
static struct websocket *websocket;

static int set_up(void **state)
{
    (void)state;
    push_fixture_start(&fixture, 128);
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

static struct http_response *ask(const char *format, const char *topic)
{
    websocket_client_send_json(&client, format, topic);
    push_fixture_run(push);
    return websocket_client_next(&client);
}

static void subscribe(const char *topic)
{
    struct http_response *response = ask(SUBSCRIBE, topic);
    check_json(response, "type", "'subscribed_topic'");
    assert_string_equal(check_text(response, "topic"), topic);
}

static void publish_to(const char *topic, const char *payload)
{
    uint64_t number;
    assert_int_equal(event_hub_publish(&fixture.engine.event_hub, slice_of(topic),
                                       slice_of(payload), at_ms(1), &number),
                     ERR_NONE);
}

static void publish(const char *topic, const char *payload)
{
    publish_to(topic, payload);
    push_fixture_run(push);
}

static void check_event(const char *topic, int number)
{
    struct http_response *event = websocket_client_next(&client);
    check_json(event, "type", "'event'");
    assert_string_equal(check_text(event, "topic"), topic);
    assert_int_equal(check_integer(event, "number"), number);
}

static void a_subscriber_gets_the_events_of_its_topics(void **state)
{
    (void)state;
    subscribe("a");
    subscribe("b");
    publish("a", "{\"x\":[1]}");
    struct http_response *event = websocket_client_next(&client);
    check_json(event, "type", "'event'");
    check_json(event, "payload.x", "[1]");
    check_json(event, "node_id", "'node'");
    check_json(event, "run", "'run0'");
    check_json(event, "number", "1");
    check_json(event, "time", "'2026-02-02T02:40:00.001Z'");
    publish("c", "1");
    publish("b", "1");
    check_event("b", 3);
    check_json(ask(UNSUBSCRIBE, "b"), "type", "'unsubscribed_topic'");
    publish("b", "1");
    publish("a", "1");
    check_event("a", 5);
}

static void a_topic_is_no_service(void **state)
{
    (void)state;
    check_json(ask("{'type':'subscribe','service_id':'%s'}", "a"), "type", "'subscribed'");
    subscribe("a");
    publish("a", "1");
    check_event("a", 1);
    assert_int_equal(push->counters.subscriptions, 1);
    assert_int_equal(fixture.engine.event_hub.subscriptions, 1);
}

static void a_second_subscription_changes_nothing(void **state)
{
    (void)state;
    subscribe("a");
    subscribe("a");
    publish("a", "1");
    publish("a", "1");
    check_event("a", 1);
    check_event("a", 2);
    assert_int_equal(fixture.engine.event_hub.subscriptions, 1);
}

static void invalid_messages_are_refused(void **state)
{
    (void)state;
    check_contains(ask(SUBSCRIBE, "A"), "message", "topic: must be 1 to 128");
    check_contains(ask(SUBSCRIBE, "*"), "message", "topic: must be 1 to 128");
    check_contains(ask(SUBSCRIBE, ""), "message", "topic: must be 1 to 128");
    check_contains(ask("{'type':'subscribe_topic'%s}", ""), "message", "is missing");
    check_contains(ask("{'type':'subscribe_topic','topic':%s}", "1"), "message",
                   "topic: must be a string");
    check_json(ask(UNSUBSCRIBE, "never-subscribed"), "type", "'unsubscribed_topic'");
}

static void a_connection_has_so_many_topics_at_most(void **state)
{
    (void)state;
    char topic[16];
    for (int i = 0; i < EVENT_TOPICS_MAX; i++) {
        snprintf(topic, sizeof(topic), "t%d", i);
        subscribe(topic);
    }
    check_contains(ask(SUBSCRIBE, "one-more"), "message", "topic: cannot subscribe");
    subscribe("t0"); /* it has this one */
    check_json(ask(UNSUBSCRIBE, "t0"), "type", "'unsubscribed_topic'");
    subscribe("one-more");
    assert_int_equal(fixture.engine.event_hub.subscriptions, EVENT_TOPICS_MAX);
}

static void the_end_of_a_connection_ends_its_subscriptions(void **state)
{
    (void)state;
    subscribe("a");
    subscribe("b");
    websocket_end(websocket);
    push_fixture_run(push);
    assert_int_equal(fixture.engine.event_hub.subscriptions, 0);
    publish("a", "1"); /* nobody is there */
    assert_null(topics_find(&push->event_topics, SLICE("a")));
}

/* The number of events that were sent, and then the number that was lost, add up. */
static void a_slow_subscriber_gets_the_number_of_lost_events(void **state)
{
    (void)state;
    enum { EVENTS = 3000 };
    char payload[1002];
    memset(payload, '1', sizeof(payload) - 1);
    payload[0] = payload[sizeof(payload) - 2] = '"';
    payload[sizeof(payload) - 1] = '\0';
    subscribe("a");
    for (int i = 0; i < EVENTS; i++)
        publish("a", payload);
    assert_true(push->counters.events_lost > 0);
    int received = 0;
    int lost = 0;
    while (received + lost < EVENTS) {
        push_fixture_run(push);
        struct http_response *event = websocket_client_next(&client);
        if (strcmp(check_text(event, "type"), "events_lost") == 0) {
            check_json(event, "topic", "'a'");
            lost += (int)check_integer(event, "count");
        } else {
            received++;
            assert_int_equal(check_integer(event, "number"), received + lost);
        }
    }
    assert_int_equal(lost, push->counters.events_lost);
    assert_int_equal(push->counters.resyncs, 0);
    publish("a", "1"); /* it is current again */
    check_event("a", EVENTS + 1);
    assert_int_equal(push->counters.closed_slow, 0);
}

/* The change log has dropped changes: services are resynced, topics are not. */
static void an_overrun_of_changes_does_not_concern_events(void **state)
{
    (void)state;
    subscribe("a");
    check_json(ask("{'type':'subscribe','service_id':'%s'}", "s"), "type", "'subscribed'");
    for (int i = 0; i < 300; i++)
        put(fixture.engine.registry, "s", "i", at_ms(1));
    subscriptions_lag(websocket);
    push_fixture_run(push);
    check_json(websocket_client_next(&client), "type", "'service_change'");
    publish("a", "1");
    check_event("a", 1);
    assert_int_equal(push->counters.events_lost, 0);
}

static void without_memory_the_event_counts_as_lost(void **state)
{
    (void)state;
    subscribe("a");
    publish_to("a", "1");
    publish_to("a", "1");
    push->now = at_ms(2);
    failing_malloc_after(1); /* the message or the frame of the first */
    push_turn(push, NULL, 0, push->now);
    failing_malloc_after(-1);
    push_fixture_run(push);
    struct http_response *message = websocket_client_next(&client);
    check_json(message, "type", "'events_lost'");
    publish("a", "1");
    check_event("a", 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_subscriber_gets_the_events_of_its_topics),
        TEST(a_topic_is_no_service),
        TEST(a_second_subscription_changes_nothing),
        TEST(invalid_messages_are_refused),
        TEST(a_connection_has_so_many_topics_at_most),
        TEST(the_end_of_a_connection_ends_its_subscriptions),
        TEST(a_slow_subscriber_gets_the_number_of_lost_events),
        TEST(an_overrun_of_changes_does_not_concern_events),
        TEST(without_memory_the_event_counts_as_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
