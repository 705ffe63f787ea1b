/* SPDX-License-Identifier: Apache-2.0
 *
 * The rate limits of messages on WebSockets: each is a discovery call of its client. One that is
 * over a limit has no effect, and its response names the limit.
 */
#include "tests/unit/artemis-web/push/push_fixture.h"

enum { BURST = 2 };

static struct push_fixture fixture;
static struct push *const push = &fixture.push;
static struct websocket_client client;

static void start_with(uint32_t node_rate, uint32_t client_rate)
{
    push_fixture_start(&fixture, 16);
    fixture.config.ratelimit.enabled = true;
    fixture.config.ratelimit.requests_per_second = node_rate;
    fixture.config.ratelimit.burst_size = BURST;
    fixture.config.ratelimit.client_requests_per_second = client_rate;
    fixture.config.ratelimit.client_burst_size = BURST;
    call_limits_init(&fixture.engine.limits, 42);
    call_limits_set(&fixture.engine.limits, &fixture.config);
}

static int start(void **state)
{
    (void)state;
    start_with(1, 0);
    return 0;
}

static int start_client_limit(void **state)
{
    (void)state;
    start_with(0, 1);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    websocket_client_close(&client);
    push_fixture_stop(&fixture);
    call_limits_free(&fixture.engine.limits);
    return 0;
}

static struct http_response *send_message(struct websocket_client *to, const char *json)
{
    websocket_client_send_json(to, json);
    push_fixture_run(push);
    return websocket_client_next(to);
}

#define SUBSCRIBE(id) "{'type':'subscribe','service_id':'" id "'}"

static void use_up(struct websocket_client *to)
{
    check_json(send_message(to, SUBSCRIBE("a")), "type", "'subscribed'");
    check_json(send_message(to, SUBSCRIBE("b")), "type", "'subscribed'");
}

static uint64_t refused(enum limit_scope scope)
{
    struct call_limit_counts counts;
    call_limits_count(&fixture.engine.limits, &counts);
    return counts.refused[CALL_DISCOVERY][scope];
}

static void subscription_over_the_limit_is_refused(void **state)
{
    (void)state;
    push_fixture_connect(push, ENDPOINT_NATIVE, &client);
    use_up(&client);
    struct http_response *response = send_message(&client, SUBSCRIBE("C"));
    check_json(response, "type", "'error'");
    check_json(response, "message", "'over ratelimit.requests_per_second = 1 (burst 2)'");
    check_json(response, "reason", "'over-limit'");
    check_json(response, "retry_after_secs", "1");
    check_json(response, "service_id", "'C'");
    assert_null(topics_find(&push->topics, SLICE("c")));
    assert_int_equal(refused(SCOPE_NODE), 1);
    push_fixture_at(push, RETRY_AFTER_SECS * 1000);
    check_json(send_message(&client, SUBSCRIBE("C")), "type", "'subscribed'");
}

static void other_messages_are_refused_too(void **state)
{
    (void)state;
    static const char *const messages[] = {"{'type':'unsubscribe','service_id':'a'}",
                                           "{'type':'ping'}", "{'type':'nonsense'}", "[", "{}"};
    push_fixture_connect(push, ENDPOINT_NATIVE, &client);
    use_up(&client);
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++)
        check_json(send_message(&client, messages[i]), "reason", "'over-limit'");
    assert_non_null(topics_find(&push->topics, SLICE("a")));
    assert_int_equal(refused(SCOPE_NODE), sizeof messages / sizeof *messages);
}

/* What the server sends is no larger than what it received. */
static void service_that_is_too_long_is_not_repeated(void **state)
{
    (void)state;
    char json[2000];
    push_fixture_connect(push, ENDPOINT_NATIVE, &client);
    use_up(&client);
    snprintf(json, sizeof json, "{'type':'subscribe','service_id':'%01000d'}", 0);
    struct http_response *response = send_message(&client, json);
    check_json(response, "reason", "'over-limit'");
    check_absent(response, "service_id");
}

static void client_over_its_limit_refuses_no_other(void **state)
{
    (void)state;
    struct websocket_client other;
    push_fixture_connect(push, ENDPOINT_NATIVE, &client)->address =
        (struct client_address){.size = 4, .bytes = {10, 0, 0, 1}};
    push_fixture_connect(push, ENDPOINT_NATIVE, &other)->address =
        (struct client_address){.size = 4, .bytes = {10, 0, 0, 2}};
    use_up(&client);
    check_json(send_message(&client, SUBSCRIBE("c")), "reason", "'over-client-limit'");
    use_up(&other);
    assert_int_equal(refused(SCOPE_CLIENT), 1);
    websocket_client_close(&other);
}

/* This protocol has no response. */
static void java_subscription_over_the_limit_closes_the_websocket(void **state)
{
    (void)state;
    push_fixture_connect(push, ENDPOINT_JAVA_CHANGES, &client);
    for (int i = 0; i <= BURST; i++)
        websocket_client_send_json(&client, "{'serviceId':'a'}");
    push_fixture_run(push);
    websocket_client_check_closed(&client, CODE_TRY_AGAIN_LATER);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(subscription_over_the_limit_is_refused),
        TEST(other_messages_are_refused_too),
        TEST(service_that_is_too_long_is_not_repeated),
        cmocka_unit_test_setup_teardown(client_over_its_limit_refuses_no_other, start_client_limit,
                                        stop),
        TEST(java_subscription_over_the_limit_closes_the_websocket),
    };
    return cmocka_run_group_tests_name("message_limits", tests, NULL, NULL);
}
