/* SPDX-License-Identifier: Apache-2.0
 *
 * Dispatch of changes, turn by turn: which changes share a message, what a lagging subscriber gets,
 * and what happens without memory.
 */
#include "tests/unit/artemis-web/push/push_fixture.h"

#define SUBSCRIBE "{'type':'subscribe','service_id':'%s'}"

static struct push_fixture fixture;
static struct push *const push = &fixture.push;
static struct registry *registry;

static int set_up(void **state)
{
    (void)state;
    push_fixture_start(&fixture, 16);
    registry = fixture.engine.registry;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    push_fixture_stop(&fixture);
    return 0;
}

static struct websocket *subscribe(struct websocket_client *client, const char *service_id)
{
    struct websocket *websocket = push_fixture_connect(push, ENDPOINT_NATIVE, client);
    websocket_client_send_json(client, SUBSCRIBE, service_id);
    push_fixture_run(push);
    check_json(websocket_client_next(client), "type", "'subscribed'");
    return websocket;
}

static void check_nothing_pushed(struct websocket_client *client)
{
    push_fixture_run(push);
    assert_int_equal(websocket_client_receive(client, 0), GOT_NOTHING);
}

/* More than a Java client can read. */
static void put_large(struct registry *to, const char *service, const char *id)
{
    char filler[8000];
    const struct metadata_entry metadata = {SLICE("filler"), {filler, sizeof(filler)}};
    struct instance_spec spec = {.text = {[FIELD_REGION] = SLICE("region"),
                                          [FIELD_ZONE] = SLICE("zone"),
                                          [FIELD_SERVICE] = slice_of(service),
                                          [FIELD_INSTANCE] = slice_of(id),
                                          [FIELD_IP] = SLICE("10.0.0.1")},
                                 .metadata = &metadata,
                                 .metadata_count = 1};
    struct instance *instance;
    struct field_problem problem;
    memset(filler, 'x', sizeof(filler));
    assert_int_equal(instance_create(&spec, &instance, &problem), ERR_NONE);
    assert_int_equal(registry_register(to, instance, at_ms(0)), ERR_NONE);
    instance_unref(instance);
}

/* --- messages --------------------------------------------------------------------------------- */

static void changes_of_one_turn_share_a_message_per_service(void **state)
{
    (void)state;
    struct websocket_client s;
    struct websocket_client t;
    subscribe(&s, "s");
    subscribe(&t, "t");
    for (int i = 0; i < 3; i++) {
        put_as(registry, (struct brief){.service = "s", .id = "i", .port = i + 1}, at_ms(0));
        put_as(registry, (struct brief){.service = "t", .id = "i", .port = i + 1}, at_ms(0));
    }
    push_fixture_run(push);
    struct http_response *pushed = websocket_client_next(&s);
    check_count(pushed, "changes", 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            json_integer_value(json_object_get(
                json_object_get(json_array_get(check_find(pushed->json, "changes"), (size_t)i),
                                "instance"),
                "port")),
            i + 1);
    assert_int_equal(check_integer(pushed, "version"), registry_revision(registry) - 1);
    pushed = websocket_client_next(&t);
    check_count(pushed, "changes", 3);
    assert_int_equal(check_integer(pushed, "version"), registry_revision(registry));
    check_nothing_pushed(&s);
    check_nothing_pushed(&t);
    websocket_client_close(&s);
    websocket_client_close(&t);
}

/* The last version that a subscription to "*" has got identifies the changes that it has missed. */
static void subscription_to_all_gets_versions_in_their_order(void **state)
{
    (void)state;
    struct websocket_client star;
    struct websocket_client s;
    subscribe(&star, "*");
    subscribe(&s, "s");
    uint64_t version = registry_revision(registry);
    static const char *const services[] = {"s", "s", "t", "s", "t", "t"};
    for (int i = 0; i < 6; i++)
        put_as(registry, (struct brief){.service = services[i], .id = "i", .port = i + 1},
               at_ms(0));
    push_fixture_run(push);
    static const struct {
        const char *service;
        size_t changes;
        unsigned version;
    } expected[] = {{"s", 2, 2}, {"t", 1, 3}, {"s", 1, 4}, {"t", 2, 6}};
    for (int i = 0; i < 4; i++) {
        struct http_response *pushed = websocket_client_next(&star);
        assert_string_equal(check_text(pushed, "service_id"), expected[i].service);
        check_count(pushed, "changes", expected[i].changes);
        assert_int_equal(check_integer(pushed, "version"), version + expected[i].version);
    }
    check_nothing_pushed(&star);
    check_count(websocket_client_next(&s), "changes", 2);
    check_count(websocket_client_next(&s), "changes", 1);
    check_nothing_pushed(&s);
    assert_null(topics_find(&push->topics, SLICE("t"))); /* has no subscribers of its own */
    websocket_client_close(&star);
    websocket_client_close(&s);
}

static void java_clients_get_one_change_per_message_and_a_reload_for_a_large_one(void **state)
{
    (void)state;
    struct websocket_client java;
    push_fixture_connect(push, ENDPOINT_JAVA_CHANGES, &java);
    websocket_client_send_json(&java, "{'serviceId':'S','regionId':null,'zoneId':null,"
                                      "'discoveryData':null}");
    push_fixture_run(push);
    put(registry, "s", "i1", at_ms(0));
    put(registry, "s", "i2", at_ms(0));
    put_large(registry, "s", "large");
    push_fixture_run(push);
    check_json(websocket_client_next(&java), "instance.instanceId", "'i1'");
    struct http_response *pushed = websocket_client_next(&java);
    check_json(pushed, "instance.instanceId", "'i2'");
    check_json(pushed, "changeType", "'new'");
    check_json(pushed, "changeTime", "1770000000000");
    pushed = websocket_client_next(&java);
    check_json(pushed, "instance.instanceId", "'reload'");
    check_json(pushed, "changeType", "'reload'");
    check_nothing_pushed(&java);
    websocket_client_close(&java);
}

static void java_subscribe(struct websocket_client *client)
{
    push_fixture_connect(push, ENDPOINT_JAVA_CHANGES, client);
    websocket_client_send_json(client, "{'serviceId':'s'}");
    push_fixture_run(push);
}

/* Such a lookup finds nothing until the clients of the service have registered again. */
static void
java_subscription_at_a_young_single_node_gets_its_reload_at_the_end_of_the_grace(void **state)
{
    (void)state;
    struct websocket_client java;
    push->engine->started = at_ms(0);
    push_fixture_at(push, 5000);
    java_subscribe(&java);
    push_fixture_at(push, GRACE_MS - 1);
    check_nothing_pushed(&java);
    push_fixture_at(push, GRACE_MS);
    check_json(websocket_client_next(&java), "changeType", "'reload'");
    push_fixture_at(push, GRACE_MS + 2000);
    check_nothing_pushed(&java);
    websocket_client_close(&java);
}

static void java_subscription_gets_a_reload_if_the_service_is_known(void **state)
{
    (void)state;
    struct websocket_client before;
    struct websocket_client after;
    java_subscribe(&before);
    check_nothing_pushed(&before);
    put(registry, "s", "i1", at_ms(0));
    push_fixture_run(push);
    check_json(websocket_client_next(&before), "changeType", "'new'");
    java_subscribe(&after);
    check_json(websocket_client_next(&after), "changeType", "'reload'");
    check_nothing_pushed(&before);
    check_nothing_pushed(&after);
    websocket_client_close(&before);
    websocket_client_close(&after);
}

/* The failed WebSocket and its subscription stay valid until the end of the turn. */
static void failed_socket_does_not_affect_the_other_subscriptions(void **state)
{
    (void)state;
    struct websocket_client clients[3];
    for (int i = 0; i < 3; i++)
        subscribe(&clients[i], "s");
    websocket_client_close(&clients[1]);
    put(registry, "s", "i", at_ms(0));
    push_turn(push, NULL, 0, push->now); /* sending fails before epoll reports the disconnect */
    assert_int_equal(upgrades_closed, 1);
    assert_int_equal(push->counters.websockets, 2);
    assert_int_equal(push->counters.subscriptions, 2);
    check_count(websocket_client_next(&clients[0]), "changes", 1);
    check_count(websocket_client_next(&clients[2]), "changes", 1);
    websocket_client_close(&clients[0]);
    websocket_client_close(&clients[2]);
    put(registry, "s", "i2", at_ms(0));
    push_turn(push, NULL, 0, push->now);
    assert_int_equal(upgrades_closed, 3);
    assert_null(topics_find(&push->topics, SLICE("s")));
}

/* --- resync ----------------------------------------------------------------------------------- */

static void subscription_that_missed_dropped_changes_gets_the_full_state(void **state)
{
    (void)state;
    struct websocket_client client;
    subscribe(&client, "s");
    put_many(registry, "s", 0, 40, at_ms(0)); /* the change log holds 16 */
    push_fixture_run(push);
    struct http_response *pushed = websocket_client_next(&client);
    check_count(pushed, "changes", 41);
    check_json(pushed, "changes[0].change_type", "'reload'");
    assert_int_equal(check_integer(pushed, "version"), registry_revision(registry));
    assert_int_equal(push->counters.resyncs, 1);
    put(registry, "s", "next", at_ms(0));
    push_fixture_run(push);
    check_count(websocket_client_next(&client), "changes", 1);
    check_nothing_pushed(&client);
    websocket_client_close(&client);
}

static void state_is_encoded_once_for_all_lagging_subscriptions(void **state)
{
    (void)state;
    enum { CLIENTS = 10 };
    struct websocket_client clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        subscribe(&clients[i], "s");
    put_many(registry, "s", 0, 40, at_ms(0));
    push_fixture_run(push);
    const struct topic *topic = topics_find(&push->topics, SLICE("s"));
    const struct frame *frame = topic->plain.state[FORM_NATIVE];
    assert_non_null(frame);
    for (int i = 0; i < CLIENTS; i++) {
        check_count(websocket_client_next(&clients[i]), "changes", 41);
        assert_int_equal(clients[i].message.body_size, frame->size - 4);
    }
    assert_ptr_equal(topic->plain.state[FORM_NATIVE], frame);
    put(registry, "s", "next", at_ms(0)); /* the next change drops it */
    push_fixture_run(push);
    assert_null(topic->plain.state[FORM_NATIVE]);
    for (int i = 0; i < CLIENTS; i++)
        websocket_client_close(&clients[i]);
}

/* WebSockets that lag are in one work list; a turn sends a limited number of bytes. */
static void many_large_resyncs_take_several_turns(void **state)
{
    (void)state;
    enum { CLIENTS = 8, INSTANCES = 100 };
    struct websocket_client clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        subscribe(&clients[i], "s");
    for (int i = 0; i < INSTANCES; i++) {
        char id[16];
        snprintf(id, sizeof(id), "i%d", i);
        put_large(registry, "s", id);
    }
    push_turn(push, NULL, 0, push->now);
    uint64_t first = push->counters.resyncs;
    assert_in_range(first, 1, CLIENTS - 1);
    assert_int_equal(push_wait_ms(push), 0);
    push_turn(push, NULL, 0, push->now);
    assert_int_equal(push->counters.resyncs, CLIENTS);
    assert_true(TAILQ_EMPTY(&push->resyncs));
    for (int i = 0; i < CLIENTS; i++)
        websocket_client_close(&clients[i]);
}

/* --- without memory --------------------------------------------------------------------------- */

/* Each allocation of a turn fails in turn: a subscriber gets the change or a resync, or is closed.
 * It never misses a change and stays connected. */
static void without_memory_a_subscriber_gets_the_change_or_is_closed(void **state)
{
    (void)state;
    long failures = 0;
    int port = 0;
    for (long n = 1;; n++) {
        struct websocket_client one;
        struct websocket_client star;
        struct websocket_client *clients[] = {&one, &star};
        subscribe(&one, "s");
        subscribe(&star, "*");
        text_free(&push->dispatch->list);
        text_free(&push->dispatch->message);
        port++;
        put_as(registry, (struct brief){.service = "s", .id = "i", .port = port}, at_ms(0));
        failing_malloc_after(n);
        push_fixture_run(push);
        bool failed = failing_malloc_happened();
        failing_malloc_after(-1);
        push_fixture_run(push);
        for (int i = 0; i < 2; i++) {
            if (websocket_client_receive(clients[i], 0) == GOT_FRAME) {
                bool received = strstr(clients[i]->frame.payload, "\"reload\"") != NULL;
                char expected[32];
                snprintf(expected, sizeof(expected), "\"port\":%d,", port);
                received |= strstr(clients[i]->frame.payload, expected) != NULL;
                assert_true(received || clients[i]->frame.opcode == OPCODE_CLOSE);
            } else {
                assert_true(failed && clients[i]->raw.ended);
            }
            websocket_client_close(clients[i]);
        }
        push_fixture_run(push);
        if (!failed)
            break;
        failures++;
    }
    assert_true(failures > 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(changes_of_one_turn_share_a_message_per_service),
        TEST(subscription_to_all_gets_versions_in_their_order),
        TEST(java_clients_get_one_change_per_message_and_a_reload_for_a_large_one),
        TEST(java_subscription_gets_a_reload_if_the_service_is_known),
        TEST(java_subscription_at_a_young_single_node_gets_its_reload_at_the_end_of_the_grace),
        TEST(failed_socket_does_not_affect_the_other_subscriptions),
        TEST(subscription_that_missed_dropped_changes_gets_the_full_state),
        TEST(state_is_encoded_once_for_all_lagging_subscriptions),
        TEST(many_large_resyncs_take_several_turns),
        TEST(without_memory_a_subscriber_gets_the_change_or_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
