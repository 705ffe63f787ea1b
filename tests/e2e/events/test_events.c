/* SPDX-License-Identifier: Apache-2.0
 *
 * Events of topics at one node: publish and subscribe, limits, roles, and input that is not valid.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/websocket_client.h"
#include "tests/support/command.h"
#include "tests/support/servers/tokens.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PUBLISH   "/api/events/publish"
#define SUBSCRIBE "{'type':'subscribe_topic','topic':'%s'}"

enum { PAYLOAD_BYTES_MAX = 4096 };

static struct http *http_of(void **state)
{
    return ((struct fixture *)*state)->http;
}

static int start(void **state)
{
    return fixture_start(
        state, (const char *const[]){"--set", "ratelimit.client_events_per_second=0", NULL});
}

static int start_limited(void **state)
{
    return fixture_start(
        state, (const char *const[]){"--set", "ratelimit.client_events_per_second=5", NULL});
}

static void subscribe(void **state, struct websocket_client *client, const char *topic)
{
    websocket_client_open(client, ((struct fixture *)*state)->server.port, "/ws");
    websocket_client_send_json(client, SUBSCRIBE, topic);
    struct http_response *response = websocket_client_next(client);
    check_json(response, "type", "'subscribed_topic'");
    assert_string_equal(check_text(response, "topic"), topic);
}

static void next_event(struct websocket_client *client, const char *payload)
{
    struct http_response *event = websocket_client_next(client);
    check_json(event, "type", "'event'");
    check_json(event, "payload", payload);
}

/* --- publish and subscribe -------------------------------------------------------------------- */

static void event_reaches_each_subscriber_of_its_topic(void **state)
{
    struct websocket_client a;
    struct websocket_client b;
    subscribe(state, &a, "orders");
    subscribe(state, &b, "orders");
    struct http_response *response =
        http_post(http_of(state), PUBLISH, "{'topic':'orders','payload':{'id':[1,null]}}");
    check_status(response, 200, "success", NULL);
    check_json(response, "number", "1");
    assert_int_equal(strlen(check_text(response, "run")), 16);
    next_event(&a, "{'id':[1,null]}");
    check_absent(&a.message, "service_id");
    next_event(&b, "{'id':[1,null]}");
    http_post(http_of(state), PUBLISH, "{'topic':'other','payload':1}");
    for (int i = 0; i < 20; i++)
        check_status(http_post(http_of(state), PUBLISH, "{'topic':'orders','payload':%d}", i), 200,
                     "success", NULL);
    for (int i = 0; i < 20; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", i);
        next_event(&a, number);
        assert_int_equal(check_integer(&a.message, "number"), i + 3);
        next_event(&b, number);
    }
    websocket_client_send_json(&a, "{'type':'unsubscribe_topic','topic':'orders'}");
    check_json(websocket_client_next(&a), "type", "'unsubscribed_topic'");
    call_wait_metric(http_of(state), "artemis_event_subscriptions", 1);
    http_post(http_of(state), PUBLISH, "{'topic':'orders','payload':'last'}");
    next_event(&b, "'last'");
    websocket_client_send_json(&a, "{'type':'ping'}");
    check_json(websocket_client_next(&a), "type", "'pong'"); /* and no event before */
    websocket_client_close(&a);
    websocket_client_close(&b);
    call_wait_metric(http_of(state), "artemis_event_subscriptions", 0);
    assert_int_equal(call_metric(http_of(state), "artemis_events_published_total"), 23);
    assert_int_equal(call_metric(http_of(state), "artemis_events_delivered_total"), 43);
}

/* --- the command line ------------------------------------------------------------------------- */

static int fire(void **state, const char *topic, const char *payload)
{
    struct fixture *fixture = *state;
    char url[64];
    snprintf(url, sizeof url, "ARTEMIS_URL=%s", fixture->server.url);
    int out = command_temp_file();
    int err = command_temp_file();
    int exit_code =
        command_wait(command_spawn((const char *const[]){"event", "fire", topic, payload, NULL},
                                   (const char *const[]){url, NULL}, out, err),
                     wait_deadline_ms());
    close(out);
    close(err);
    return exit_code;
}

static void command_publishes_an_event(void **state)
{
    struct websocket_client client;
    subscribe(state, &client, "deploys");
    assert_int_equal(fire(state, "deploys", "{\"service\":\"orders\"}"), 0);
    next_event(&client, "{'service':'orders'}");
    assert_int_equal(fire(state, "deploys", "null"), 0);
    next_event(&client, "null");
    assert_int_equal(fire(state, "deploys", "text"), 2); /* it is not JSON */
    assert_int_equal(fire(state, "Deploys", "1"), 1);
    assert_int_equal(fire(state, "artemis.cluster", "1"), 1);
    websocket_client_close(&client);
}

/* --- input that is not valid ------------------------------------------------------------------ */

static void check_refused(void **state, const char *body, int status, const char *reason,
                          const char *text)
{
    struct http_response *response = http_post(http_of(state), PUBLISH, "%s", body);
    check_status(response, status, "bad-request", reason);
    check_contains(response, "response_status.error_message", text);
}

static void what_is_not_an_event_is_refused(void **state)
{
    struct websocket_client client;
    subscribe(state, &client, "t");
    check_refused(state, "{", 400, "invalid-json", "body: ");
    check_refused(state, "[]", 400, "invalid-json", "must be a JSON object");
    check_refused(state, "{'topic':'t'}", 400, "invalid-field", "payload: is required");
    check_refused(state, "{'payload':1}", 400, "invalid-field", "topic: must be 1 to 128");
    check_refused(state, "{'topic':'','payload':1}", 400, "invalid-field", "topic: must be");
    check_refused(state, "{'topic':'T','payload':1}", 400, "invalid-field", "is \"T\"");
    check_refused(state, "{'topic':'a b','payload':1}", 400, "invalid-field", "topic: must be");
    check_refused(state, "{'topic':['t'],'payload':1}", 400, "invalid-field", "topic: must be");
    check_refused(state, "{'topic':'artemis.cluster','payload':1}", 400, "invalid-field",
                  "topic: names that begin with");
    check_refused(state, "{'topic':'artemis.x','payload':1}", 400, "invalid-field", "reserved");
    check_status(http_get(http_of(state), PUBLISH), 405, "bad-request", "wrong-method");
    websocket_client_send_json(&client, "{'type':'ping'}");
    check_json(websocket_client_next(&client), "type", "'pong'"); /* and no event before */
    websocket_client_close(&client);
    assert_int_equal(call_metric(http_of(state), "artemis_events_published_total"), 0);
}

static void payload_has_a_limit(void **state)
{
    struct websocket_client client;
    subscribe(state, &client, "t");
    char filler[PAYLOAD_BYTES_MAX];
    memset(filler, 'x', sizeof filler);
    filler[PAYLOAD_BYTES_MAX - 2] = '\0'; /* with the quotes, as long as allowed */
    check_status(http_post(http_of(state), PUBLISH, "{'topic':'t','payload':'%s'}", filler), 200,
                 "success", NULL);
    assert_int_equal(strlen(check_text(websocket_client_next(&client), "payload")),
                     PAYLOAD_BYTES_MAX - 2);
    check_status(http_post(http_of(state), PUBLISH, "{'topic':'t','payload':'x%s'}", filler), 413,
                 "bad-request", "too-large");
    websocket_client_close(&client);
}

/* --- floods and slow subscribers -------------------------------------------------------------- */

static void client_publishes_so_many_events_a_second(void **state)
{
    int accepted = 0;
    struct http_response *response;
    do {
        response = http_post(http_of(state), PUBLISH, "{'topic':'t','payload':1}");
        accepted += response->status == 200;
    } while (response->status == 200 && accepted < 100000);
    check_status(response, 429, "rate-limited", "over-client-limit");
    check_field(response, "Retry-After", "1");
    check_contains(response, "response_status.error_message",
                   "over ratelimit.client_events_per_second = 5");
    assert_true(accepted >= 5);
    assert_int_equal(call_metric(http_of(state), "artemis_events_published_total"), accepted);
    call_register(http_of(state), "s", "i"); /* other calls go on */
}

/* What it gets, and the numbers of what it lost, add up. */
static void slow_subscriber_gets_the_number_of_lost_events(void **state)
{
    enum { EVENTS = 600 };
    struct websocket_client slow;
    struct websocket_client fast;
    char filler[PAYLOAD_BYTES_MAX];
    int size = 32 * 1024;
    memset(filler, 'x', sizeof filler);
    filler[PAYLOAD_BYTES_MAX - 2] = '\0';
    subscribe(state, &slow, "t");
    subscribe(state, &fast, "t");
    assert_int_equal(setsockopt(slow.raw.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size), 0);
    for (int i = 1; i <= EVENTS; i++) {
        check_status(http_post(http_of(state), PUBLISH, "{'topic':'t','payload':'%s'}", filler),
                     200, "success", NULL);
        assert_int_equal(check_integer(websocket_client_next(&fast), "number"), i);
    }
    int received = 0;
    int lost = 0;
    while (received + lost < EVENTS) {
        struct http_response *message = websocket_client_next(&slow);
        if (strcmp(check_text(message, "type"), "events_lost") == 0)
            lost += (int)check_integer(message, "count");
        else
            assert_int_equal(check_integer(message, "number"), ++received + lost);
    }
    assert_true(lost > 0);
    http_post(http_of(state), PUBLISH, "{'topic':'t','payload':'last'}");
    next_event(&slow, "'last'");
    next_event(&fast, "'last'");
    websocket_client_close(&slow);
    websocket_client_close(&fast);
}

/* --- roles ------------------------------------------------------------------------------------ */

static struct temp_folder folder;
static struct server_process server;
static struct http *http;

static int start_with_tokens(void **state)
{
    (void)state;
    temp_folder_make(&folder);
    server_process_start(&server,
                         (const char *const[]){"--config", tokens_write(&folder, ""), NULL}, NULL);
    http = http_new(server.port);
    return 0;
}

static int stop_with_tokens(void **state)
{
    (void)state;
    http_free(http);
    server_process_stop(&server);
    temp_folder_remove(&folder);
    return 0;
}

static struct http_response *publish_as(const char *secret, const char *topic)
{
    char authorization[256];
    char body[256];
    const char *fields[] = {authorization, NULL};
    snprintf(authorization, sizeof authorization, "Authorization: Bearer %s", secret);
    snprintf(body, sizeof body, "{\"topic\":\"%s\",\"payload\":1}", topic);
    return http_send(http, &(struct http_request){.method = "POST",
                                                  .path = PUBLISH,
                                                  .fields = fields,
                                                  .body = body,
                                                  .body_size = strlen(body)});
}

/* Returns the type of the response. */
static const char *subscribe_as(const char *secret, const char *topic)
{
    static char type[32];
    struct websocket_client client = {0};
    raw_socket_open(&client.raw, server.port);
    raw_socket_sendf(&client.raw,
                     "GET /ws HTTP/1.1\r\nHost: a\r\n" HANDSHAKE_FIELDS
                     "Authorization: Bearer %s\r\n\r\n",
                     secret);
    assert_int_equal(raw_socket_read(&client.raw, wait_deadline_ms()), RAW_RESPONSE);
    assert_int_equal(client.raw.response.status, 101);
    websocket_client_send_json(&client, SUBSCRIBE, topic);
    snprintf(type, sizeof type, "%s", check_text(websocket_client_next(&client), "type"));
    websocket_client_close(&client);
    return type;
}

static void roles_and_services_limit_topics(void **state)
{
    (void)state;
    check_status(publish_as(TOKEN_READ, "t"), 403, "bad-request", "no-permission");
    check_status(publish_as(TOKEN_WRITE, "t"), 200, "success", NULL);
    check_status(publish_as(TOKEN_ADMIN, "artemis.cluster"), 400, "bad-request", "invalid-field");
    check_status(publish_as(TOKEN_SHOP_WRITER, "shop-orders"), 200, "success", NULL);
    check_status(publish_as(TOKEN_SHOP_WRITER, "t"), 403, "bad-request", "no-permission");
    check_status(publish_as(TOKEN_UNKNOWN, "t"), 401, "bad-request", "invalid-token");
    assert_string_equal(subscribe_as(TOKEN_READ, "t"), "subscribed_topic");
    assert_string_equal(subscribe_as(TOKEN_READ, "artemis.cluster"), "error");
    assert_string_equal(subscribe_as(TOKEN_WRITE, "artemis.cluster"), "error");
    assert_string_equal(subscribe_as(TOKEN_OPERATOR, "artemis.cluster"), "subscribed_topic");
    assert_string_equal(subscribe_as(TOKEN_SHOP_READER, "shop-orders"), "subscribed_topic");
    assert_string_equal(subscribe_as(TOKEN_SHOP_READER, "t"), "error");
}

#define TEST(name, set_up) cmocka_unit_test_setup_teardown(name, set_up, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(event_reaches_each_subscriber_of_its_topic, start),
        TEST(command_publishes_an_event, start),
        TEST(what_is_not_an_event_is_refused, start),
        TEST(payload_has_a_limit, start),
        TEST(client_publishes_so_many_events_a_second, start_limited),
        TEST(slow_subscriber_gets_the_number_of_lost_events, start),
        cmocka_unit_test_setup_teardown(roles_and_services_limit_topics, start_with_tokens,
                                        stop_with_tokens),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
