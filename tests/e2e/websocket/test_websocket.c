/* SPDX-License-Identifier: Apache-2.0
 *
 * The protocol on /ws: a subscription gets each change of its service once, in order, in its
 * casing, and nothing else.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/websocket_client.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUBSCRIBE   "{'type':'subscribe','service_id':'%s'}"
#define UNSUBSCRIBE "{'type':'unsubscribe','service_id':'%s'}"

static int start(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "lease.ttl_secs=3600", "--set",
                                                      "ratelimit.enabled=false", NULL});
}

static int start_short_lived(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "lease.ttl_secs=1", NULL});
}

static void open_one(void **state, struct websocket_client *client)
{
    struct fixture *fixture = *state;
    websocket_client_open(client, fixture->server.port, "/ws");
}

/* Subscribes; returns the version in the response. */
static long long subscribe(struct websocket_client *client, const char *service_id)
{
    websocket_client_send_json(client, SUBSCRIBE, service_id);
    struct http_response *response = websocket_client_next(client);
    check_json(response, "type", "'subscribed'");
    assert_string_equal(check_text(response, "service_id"), service_id);
    assert_true(check_text(response, "run")[0] != '\0');
    assert_true(check_integer(response, "version") > 0);
    return check_integer(response, "version");
}

static void unregister(struct http *http, const char *service_id, const char *instance_id)
{
    check_status(
        http_post(http, UNREGISTER, "{'instance_keys':[" KEY "]}", service_id, instance_id), 200,
        "success", NULL);
}

/* Registers with another port: a change. */
static void change(struct http *http, const char *service_id, const char *instance_id, int port)
{
    struct http_response *response =
        http_post(http, REGISTER,
                  "{'instances':[{'region_id':'lab','zone_id':'zone1','service_id':'%s',"
                  "'instance_id':'%s','ip':'10.0.0.1','port':%d}]}",
                  service_id, instance_id, port);
    check_status(response, 200, "success", NULL);
}

/* The next message must be one change of this service. */
static struct http_response *next_change(struct websocket_client *client, const char *service_id,
                                         const char *instance_id, const char *type)
{
    struct http_response *pushed = websocket_client_next(client);
    check_json(pushed, "type", "'service_change'");
    check_count(pushed, "changes", 1);
    assert_string_equal(check_text(pushed, "service_id"), service_id);
    assert_string_equal(check_text(pushed, "changes[0].instance.instance_id"), instance_id);
    assert_string_equal(check_text(pushed, "changes[0].change_type"), type);
    return pushed;
}

/* --- changes ---------------------------------------------------------------------------------- */

static void subscription_covers_a_service_before_and_after_it_exists(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client client;
    open_one(state, &client);
    long long version = subscribe(&client, "s");
    call_register(fixture->http, "s", "i1");
    struct http_response *pushed = next_change(&client, "s", "i1", "new");
    assert_int_equal(check_integer(pushed, "version"), version + 1);
    assert_int_equal(check_integer(pushed, "version"), call_version(fixture->http));
    change(fixture->http, "s", "i1", 8081);
    pushed = next_change(&client, "s", "i1", "change");
    check_json(pushed, "changes[0].instance.port", "8081");
    unregister(fixture->http, "s", "i1");
    next_change(&client, "s", "i1", "delete");
    call_register(fixture->http, "s", "i2");
    next_change(&client, "s", "i2", "new");
    websocket_client_check_quiet(&client);
    websocket_client_close(&client);
}

static void heartbeat_and_the_same_registration_are_no_change(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client client;
    call_register(fixture->http, "s", "i0");
    open_one(state, &client);
    subscribe(&client, "s");
    check_status(call_with_keys(fixture->http, HEARTBEAT, "s", 0, 1), 200, "success", NULL);
    call_register(fixture->http, "s", "i0");
    unregister(fixture->http, "s", "unknown");
    websocket_client_check_quiet(&client);
    websocket_client_close(&client);
}

static void subscription_gets_no_changes_of_other_services(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client one;
    struct websocket_client other;
    open_one(state, &one);
    open_one(state, &other);
    subscribe(&one, "one");
    subscribe(&other, "other");
    call_register(fixture->http, "other", "i1");
    next_change(&other, "other", "i1", "new");
    websocket_client_check_quiet(&one);
    call_register(fixture->http, "one", "i1");
    next_change(&one, "one", "i1", "new");
    websocket_client_check_quiet(&other);
    websocket_client_close(&one);
    websocket_client_close(&other);
}

static void expiry_is_pushed_as_delete(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client client;
    open_one(state, &client);
    subscribe(&client, "s");
    call_register(fixture->http, "s", "i1");
    next_change(&client, "s", "i1", "new");
    next_change(&client, "s", "i1", "delete");
    websocket_client_close(&client);
}

/* The changes of one request may be in one message or in several. The changes of each instance are
 * in order, and none is missing. */
static void changes_of_each_instance_are_in_order(void **state)
{
    enum { INSTANCES = 50, ROUNDS = 6 }; /* they fit into the queue */
    static const char *const types[ROUNDS] = {"new", "delete", "new", "delete", "new", "delete"};
    struct fixture *fixture = *state;
    struct websocket_client client;
    int seen[INSTANCES] = {0};
    json_int_t version = 0;
    open_one(state, &client);
    subscribe(&client, "s");
    for (int round = 0; round < ROUNDS; round++) {
        if (round % 2 == 0)
            call_register_many(fixture->http, "s", INSTANCES);
        else
            check_status(call_with_keys(fixture->http, UNREGISTER, "s", 0, INSTANCES), 200,
                         "success", NULL);
    }
    for (int left = INSTANCES * ROUNDS; left > 0;) {
        struct http_response *pushed = websocket_client_next(&client);
        size_t i;
        const json_t *one;
        assert_true(check_integer(pushed, "version") > version);
        version = check_integer(pushed, "version");
        json_array_foreach(json_object_get(pushed->json, "changes"), i, one)
        {
            const char *id = json_string_value(check_find(one, "instance.instance_id"));
            long number = strtol(id + 1, NULL, 10);
            assert_in_range(number, 0, INSTANCES - 1);
            assert_in_range(seen[number], 0, ROUNDS - 1);
            assert_string_equal(json_string_value(json_object_get(one, "change_type")),
                                types[seen[number]]);
            seen[number]++;
            left--;
        }
    }
    assert_int_equal(version, call_version(fixture->http));
    websocket_client_check_quiet(&client);
    websocket_client_close(&client);
}

static void star_subscribes_to_every_service(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client client;
    json_int_t version = 0;
    open_one(state, &client);
    subscribe(&client, "*");
    for (int i = 0; i < 30; i++) {
        char name[16];
        snprintf(name, sizeof name, "s%d", i % 3);
        change(fixture->http, name, "i1", i);
        struct http_response *pushed = next_change(&client, name, "i1", i < 3 ? "new" : "change");
        assert_true(check_integer(pushed, "version") > version);
        version = check_integer(pushed, "version");
    }
    websocket_client_send_json(&client, UNSUBSCRIBE, "*");
    check_json(websocket_client_next(&client), "", "{'type':'unsubscribed','service_id':'*'}");
    call_register(fixture->http, "s0", "i2");
    websocket_client_check_quiet(&client);
    websocket_client_close(&client);
}

/* --- subscribing ------------------------------------------------------------------------------ */

static void second_subscription_to_a_service_replaces_the_first(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client client;
    open_one(state, &client);
    subscribe(&client, "s");
    subscribe(&client, "s");
    assert_int_equal(call_metric(fixture->http, "artemis_subscriptions"), 1);
    call_register(fixture->http, "s", "i1");
    next_change(&client, "s", "i1", "new");
    websocket_client_check_quiet(&client);
    websocket_client_close(&client);
    call_wait_metric(fixture->http, "artemis_subscriptions", 0);
}

static void unsubscribe_ends_the_changes(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client client;
    open_one(state, &client);
    subscribe(&client, "s");
    subscribe(&client, "t");
    for (int i = 0; i < 2; i++) { /* the second has no effect */
        websocket_client_send_json(&client, UNSUBSCRIBE, "s");
        check_json(websocket_client_next(&client), "", "{'type':'unsubscribed','service_id':'s'}");
    }
    call_register(fixture->http, "s", "i1");
    call_register(fixture->http, "t", "i1");
    next_change(&client, "t", "i1", "new");
    subscribe(&client, "s");
    call_register(fixture->http, "s", "i2");
    next_change(&client, "s", "i2", "new");
    websocket_client_close(&client);
}

static void service_id_is_compared_without_case(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client client;
    open_one(state, &client);
    websocket_client_send_json(&client, SUBSCRIBE, "My.Service");
    check_json(websocket_client_next(&client), "service_id", "'my.service'");
    call_register(fixture->http, "MY.service", "I1");
    struct http_response *pushed = next_change(&client, "my.service", "I1", "new");
    check_json(pushed, "changes[0].instance.service_id", "'my.service'");
    websocket_client_send_json(&client, UNSUBSCRIBE, "MY.SERVICE");
    check_json(websocket_client_next(&client), "service_id", "'my.service'");
    websocket_client_close(&client);
}

static void changes_are_in_the_casing_of_the_subscription(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client snake;
    struct websocket_client camel;
    open_one(state, &snake);
    open_one(state, &camel);
    subscribe(&snake, "s");
    websocket_client_send_json(&camel, "{'type':'subscribe','serviceId':'s'}");
    check_json(websocket_client_next(&camel), "service_id", "'s'");
    call_register(fixture->http, "s", "i1");
    struct http_response *pushed = next_change(&snake, "s", "i1", "new");
    check_json(pushed, "changes[0].instance.region_id", "'lab'");
    check_json(pushed, "changes[0].instance.regionId", "'lab'"); /* in addition */
    check_json(pushed, "changes[0].changeType", "'new'");
    check_contains(pushed, "changes[0].change_time", "Z");
    check_contains(pushed, "changes[0].changeTime", "Z");
    check_absent(pushed, "serviceId");
    pushed = websocket_client_next(&camel);
    check_json(pushed, "service_id", "'s'");
    check_json(pushed, "changes[0].instance.regionId", "'lab'");
    check_json(pushed, "changes[0].instance.instanceId", "'i1'");
    check_json(pushed, "changes[0].changeType", "'new'");
    check_contains(pushed, "changes[0].changeTime", "Z");
    check_absent(pushed, "changes[0].instance.region_id");
    check_absent(pushed, "changes[0].change_type");
    check_absent(pushed, "serviceId");
    subscribe(&camel, "s"); /* again, in the other casing */
    call_register(fixture->http, "s", "i2");
    next_change(&camel, "s", "i2", "new");
    websocket_client_close(&snake);
    websocket_client_close(&camel);
}

static void ping_gets_a_pong(void **state)
{
    struct websocket_client client;
    open_one(state, &client);
    websocket_client_send_json(&client, "{'type':'ping'}");
    check_json(websocket_client_next(&client), "", "{'type':'pong'}");
    websocket_client_send_json(&client, "{'unknown':[{}],'type':'ping','service_id':null}");
    check_json(websocket_client_next(&client), "", "{'type':'pong'}");
    websocket_client_close(&client);
}

static void invalid_message_gets_an_error_and_the_connection_stays(void **state)
{
    static const struct {
        const char *sent;
        const char *message;
        const char *service_id; /* of the error, as JSON; NULL: none */
    } cases[] = {
        {"", "is missing", NULL},
        {"ping", "body", NULL},
        {"{'type':'ping'", "body", NULL},
        {"[]", "object", NULL},
        {"'ping'", "body", NULL},
        {"{}",
         "type: must be subscribe, unsubscribe, subscribe_topic, unsubscribe_topic or ping, "
         "is missing",
         NULL},
        {"{'type':null}",
         "type: must be subscribe, unsubscribe, subscribe_topic, "
         "unsubscribe_topic or ping, is missing",
         NULL},
        {"{'type':'publish'}", "is \"publish\"", NULL},
        {"{'type':'Ping'}", "is \"Ping\"", NULL},
        {"{'type':7}", "type: ", NULL},
        {"{'type':['ping']}", "type: ", NULL},
        {"{'type':'subscribe'}", "service_id: ", NULL},
        {"{'type':'subscribe','service_id':''}", "service_id: ", "''"},
        {"{'type':'subscribe','service_id':7}", "service_id: ", NULL},
        {"{'type':'subscribe','service_id':'a\\u0007b'}", "service_id: ", "'a\\u0007b'"},
        {"{'type':'stop','service_id':'s'}", "is \"stop\"", "'s'"},
        {"{'type':'unsubscribe'}", "service_id: ", NULL},
        {"{'type':'subscribe','service_id':'s','serviceId':'s'}", "service_id", NULL},
        {"{'type':'subscribe','service_id':'s','version':-1}", "version: ", "'s'"},
        {"{'type':'subscribe','service_id':'s','version':'1'}", "version: ", "'s'"},
        {"{'type':'subscribe','service_id':'s','version':1.5}", "version: ", "'s'"},
        {"{'type':'subscribe','service_id':'s','run':1}", "run: ", "'s'"},
    };
    struct fixture *fixture = *state;
    struct websocket_client client;
    open_one(state, &client);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        websocket_client_send_json(&client, "%s", cases[i].sent);
        struct http_response *response = websocket_client_next(&client);
        check_json(response, "type", "'error'");
        check_contains(response, "message", cases[i].message);
        check_count(response, "", cases[i].service_id ? 3 : 2);
        if (cases[i].service_id)
            check_json(response, "service_id", cases[i].service_id);
    }
    assert_int_equal(call_metric(fixture->http, "artemis_subscriptions"), 0);
    websocket_client_send_json(&client, "{'type':'ping'}");
    check_json(websocket_client_next(&client), "", "{'type':'pong'}");
    websocket_client_close(&client);
}

static void subscriptions_per_connection_are_limited_to_1000(void **state)
{
    enum { MOST = 1000 };
    struct fixture *fixture = *state;
    struct websocket_client client;
    char name[16];
    open_one(state, &client);
    for (int i = 0; i < MOST; i++) {
        snprintf(name, sizeof name, "s%d", i);
        subscribe(&client, name);
    }
    websocket_client_send_json(&client, SUBSCRIBE, "more");
    struct http_response *response = websocket_client_next(&client);
    check_json(response, "type", "'error'");
    check_contains(response, "message", "1000 subscriptions");
    subscribe(&client, "s999"); /* an existing one */
    websocket_client_send_json(&client, UNSUBSCRIBE, "s500");
    check_json(websocket_client_next(&client), "type", "'unsubscribed'");
    subscribe(&client, "more");
    call_register(fixture->http, "more", "i1");
    next_change(&client, "more", "i1", "new");
    assert_int_equal(call_metric(fixture->http, "artemis_subscriptions"), MOST);
    websocket_client_close(&client);
    call_wait_metric(fixture->http, "artemis_subscriptions", 0);
}

/* --- subscribing with a version --------------------------------------------------------------- */

/* Subscribes with the last version seen; `run` may be NULL. */
static void subscribe_from(struct websocket_client *client, const char *service_id,
                           long long version, const char *run)
{
    if (run)
        websocket_client_send_json(
            client, "{'type':'subscribe','service_id':'%s','version':%lld,'run':'%s'}", service_id,
            version, run);
    else
        websocket_client_send_json(client, "{'type':'subscribe','service_id':'%s','version':%lld}",
                                   service_id, version);
    check_json(websocket_client_next(client), "type", "'subscribed'");
}

/* The next message must be a reload, followed by the full state. */
static struct http_response *next_state(struct websocket_client *client, size_t instances)
{
    struct http_response *pushed = websocket_client_next(client);
    check_json(pushed, "type", "'service_change'");
    check_count(pushed, "changes", instances + 1);
    check_json(pushed, "changes[0].change_type", "'reload'");
    check_absent(pushed, "complete");
    return pushed;
}

static void current_version_gets_no_resync(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client client;
    char run[32];
    call_register(fixture->http, "s", "i1");
    call_register(fixture->http, "other", "i1");
    open_one(state, &client);
    long long version = subscribe(&client, "t");
    snprintf(run, sizeof run, "%s", check_text(&client.message, "run"));
    subscribe_from(&client, "s", version, run);
    subscribe_from(&client, "s", version - 1, NULL); /* the last change was of "other" */
    subscribe_from(&client, "unknown", 0, run);
    subscribe_from(&client, "*", version, run);
    websocket_client_check_quiet(&client);
    assert_int_equal(call_metric(fixture->http, "artemis_push_reloads_total"), 0);
    websocket_client_close(&client);
}

static void outdated_version_gets_a_reload_and_the_state(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client client;
    open_one(state, &client);
    long long version = subscribe(&client, "t");
    call_register(fixture->http, "s", "i1");
    call_register(fixture->http, "s", "i2");
    subscribe_from(&client, "s", version, NULL);
    struct http_response *pushed = next_state(&client, 2);
    check_json(pushed, "changes[0].instance.service_id", "'s'");
    check_json(pushed, "changes[0].instance.instance_id", "'reload'");
    check_json(pushed, "changes[0].instance.url", "'http://s/reload'");
    check_json(pushed, "changes[1].change_type", "'new'");
    check_json(pushed, "changes[2].change_type", "'new'");
    assert_int_equal(check_integer(pushed, "version"), call_version(fixture->http));
    unregister(fixture->http, "s", "i1");
    next_change(&client, "s", "i1", "delete");
    assert_int_equal(call_metric(fixture->http, "artemis_push_reloads_total"), 1);
    websocket_client_close(&client);
}

static void version_of_another_run_gets_a_reload_and_the_state(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client client;
    call_register(fixture->http, "s", "i1");
    open_one(state, &client);
    long long version = subscribe(&client, "t");
    subscribe_from(&client, "s", version, "another-run");
    next_state(&client, 1);
    subscribe_from(&client, "s", version + 1000000, NULL);
    next_state(&client, 1);
    subscribe_from(&client, "gone", version, "another-run");
    next_state(&client, 0);
    subscribe_from(&client, "gone", 5, NULL);
    next_state(&client, 0);
    websocket_client_check_quiet(&client);
    websocket_client_close(&client);
}

static void star_with_an_outdated_version_gets_an_incomplete_reload(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client client;
    open_one(state, &client);
    long long version = subscribe(&client, "t");
    call_register(fixture->http, "s", "i1");
    subscribe_from(&client, "*", version, NULL);
    struct http_response *pushed = websocket_client_next(&client);
    check_json(pushed, "service_id", "'*'");
    check_json(pushed, "complete", "false");
    check_count(pushed, "changes", 1);
    check_json(pushed, "changes[0].change_type", "'reload'");
    assert_int_equal(check_integer(pushed, "version"), call_version(fixture->http));
    call_register(fixture->http, "s", "i2");
    next_change(&client, "s", "i2", "new");
    websocket_client_close(&client);
}

static void state_over_the_limit_gets_an_incomplete_reload(void **state)
{
    enum { INSTANCES = 200, FILLER = 8000 };
    struct fixture *fixture = *state;
    struct websocket_client client;
    char filler[FILLER + 1];
    char item[FILLER + 256];
    memset(filler, 'x', FILLER);
    filler[FILLER] = '\0';
    snprintf(item, sizeof item, "{" INSTANCE_FIELDS ",'metadata':{'filler':'%s'}}", "%s", "%s",
             filler);
    char *body = call_list_body("instances", item, "large", 0, INSTANCES);
    check_status(call_post_bytes(fixture->http, REGISTER, body, strlen(body)), 200, "success",
                 NULL);
    free(body);
    open_one(state, &client);
    subscribe_from(&client, "large", 1, NULL);
    struct http_response *pushed = websocket_client_next(&client);
    check_json(pushed, "complete", "false");
    check_count(pushed, "changes", 1);
    check_json(pushed, "changes[0].change_type", "'reload'");
    assert_int_equal(check_integer(pushed, "version"), call_version(fixture->http));
    unregister(fixture->http, "large", "i7");
    next_change(&client, "large", "i7", "delete");
    websocket_client_close(&client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(subscription_covers_a_service_before_and_after_it_exists),
        TEST(heartbeat_and_the_same_registration_are_no_change),
        TEST(subscription_gets_no_changes_of_other_services),
        cmocka_unit_test_setup_teardown(expiry_is_pushed_as_delete, start_short_lived,
                                        fixture_stop),
        TEST(changes_of_each_instance_are_in_order),
        TEST(star_subscribes_to_every_service),
        TEST(second_subscription_to_a_service_replaces_the_first),
        TEST(unsubscribe_ends_the_changes),
        TEST(service_id_is_compared_without_case),
        TEST(changes_are_in_the_casing_of_the_subscription),
        TEST(ping_gets_a_pong),
        TEST(invalid_message_gets_an_error_and_the_connection_stays),
        TEST(subscriptions_per_connection_are_limited_to_1000),
        TEST(current_version_gets_no_resync),
        TEST(outdated_version_gets_a_reload_and_the_state),
        TEST(version_of_another_run_gets_a_reload_and_the_state),
        TEST(star_with_an_outdated_version_gets_an_incomplete_reload),
        TEST(state_over_the_limit_gets_an_incomplete_reload),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
