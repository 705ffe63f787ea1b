/* SPDX-License-Identifier: Apache-2.0
 *
 * The change log drops changes before they are dispatched: every subscription is resynced or
 * closed.
 */
#include "tests/unit/artemis-web/push/push_fixture.h"

enum { LOG = 16, MORE = 40 };

static struct push_fixture fixture;
static struct websocket_client client;

static int start(void **state)
{
    (void)state;
    push_fixture_start(&fixture, LOG);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    websocket_client_close(&client);
    push_fixture_stop(&fixture);
    return 0;
}

static void subscribe(const char *service_id)
{
    websocket_client_send_json(&client, "{'type':'subscribe','service_id':'%s'}", service_id);
    push_fixture_run(&fixture.push);
    check_json(websocket_client_next(&client), "type", "'subscribed'");
}

/* Whether a message is the full state of the service, with this number of instances. */
static bool is_state(const struct http_response *pushed, const char *service_id, size_t instances)
{
    if (strcmp(check_text(pushed, "service_id"), service_id) != 0)
        return false;
    check_json(pushed, "changes[0].change_type", "'reload'");
    check_count(pushed, "changes", instances + 1);
    return true;
}

static void overrun_during_a_resync_resyncs_the_other_subscriptions(void **state)
{
    (void)state;
    struct push *push = &fixture.push;
    struct websocket *websocket = push_fixture_connect(push, ENDPOINT_NATIVE, &client);
    put(fixture.engine.registry, "a", "i0", at_ms(0));
    put(fixture.engine.registry, "b", "i0", at_ms(0));
    subscribe("b");
    subscribe("a");
    subscription_set_state(TAILQ_FIRST(&websocket->current), SUBSCRIPTION_LAGGING); /* "b" */
    put(fixture.engine.registry, "a", "i1", at_ms(0));
    put_many(fixture.engine.registry, "b", 1, MORE, at_ms(0));
    push_fixture_run(push);
    struct http_response *pushed = websocket_client_next(&client);
    bool a_first = is_state(pushed, "a", 2);
    if (!a_first)
        assert_true(is_state(pushed, "b", MORE));
    pushed = websocket_client_next(&client);
    assert_true(a_first ? is_state(pushed, "b", MORE) : is_state(pushed, "a", 2));
}

static void overrun_closes_websockets_of_the_java_protocol_for_all_changes(void **state)
{
    (void)state;
    push_fixture_connect(&fixture.push, ENDPOINT_JAVA_ALL_CHANGES, &client);
    put_many(fixture.engine.registry, "a", 0, MORE, at_ms(0));
    push_fixture_run(&fixture.push);
    websocket_client_check_closed(&client, 1013);
}

static void subscription_beyond_the_limit_of_the_node_is_refused(void **state)
{
    (void)state;
    struct push *push = &fixture.push;
    push_fixture_connect(push, ENDPOINT_NATIVE, &client);
    atomic_store(&push->counters.subscriptions, SUBSCRIPTIONS_ALL_MAX);
    websocket_client_send_json(&client, "{'type':'subscribe','service_id':'a'}");
    push_fixture_run(push);
    struct http_response *response = websocket_client_next(&client);
    check_json(response, "type", "'error'");
    assert_non_null(
        strstr(check_text(response, "message"), "a node may have 1000000 subscriptions"));
    assert_null(topics_find(&push->topics, SLICE("a")));
    atomic_store(&push->counters.subscriptions, 0);
    subscribe("a");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(overrun_during_a_resync_resyncs_the_other_subscriptions),
        TEST(overrun_closes_websockets_of_the_java_protocol_for_all_changes),
        TEST(subscription_beyond_the_limit_of_the_node_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
