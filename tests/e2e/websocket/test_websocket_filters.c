/* SPDX-License-Identifier: Apache-2.0
 *
 * Subscriptions of /ws with a filter (CONTRACT 6): the state that they begin with, instances that
 * enter and leave the view, and filters that are refused. test_websocket_slow.c has a client with a
 * filter that cannot keep up.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/websocket_client.h"

#include <stdio.h>
#include <string.h>

#define SUBSCRIBE "{'type':'subscribe','service_id':'%s','filter':%s}"
#define FIELDS                                                                                     \
    "'region_id':'%s','zone_id':'%s','service_id':'shop','instance_id':'%s','ip':'10.0.0.1',"      \
    "'port':%d,'status':'%s','metadata':{'version':'%s'}"

struct placed {
    const char *id;
    const char *region, *zone; /* NULL: eu, a */
    const char *status;        /* NULL: up */
    const char *version;       /* NULL: 1 */
    int port;
};

static const char *or_else(const char *text, const char *usual)
{
    return text ? text : usual;
}

static void place(struct http *http, struct placed placed)
{
    struct http_response *response =
        http_post(http, REGISTER, "{'instances':[{" FIELDS "}]}", or_else(placed.region, "eu"),
                  or_else(placed.zone, "a"), placed.id, placed.port ? placed.port : 80,
                  or_else(placed.status, "up"), or_else(placed.version, "1"));
    check_status(response, 200, "success", NULL);
}
#define PLACE(http, ...) place((http), (struct placed){__VA_ARGS__})

static void take(struct http *http, struct placed placed)
{
    struct http_response *response =
        http_post(http, UNREGISTER,
                  "{'instance_keys':[{'region_id':'%s','zone_id':'%s','service_id':'shop',"
                  "'instance_id':'%s'}]}",
                  or_else(placed.region, "eu"), or_else(placed.zone, "a"), placed.id);
    check_status(response, 200, "success", NULL);
}
#define TAKE(http, ...) take((http), (struct placed){__VA_ARGS__})

static int start(void **state)
{
    if (fixture_start(state, (const char *const[]){"--set", "lease.ttl_secs=3600", "--set",
                                                   "ratelimit.enabled=false", NULL}))
        return -1;
    struct http *http = ((struct fixture *)*state)->http;
    PLACE(http, .id = "eu-a");
    PLACE(http, .id = "eu-b", .zone = "b", .version = "2");
    PLACE(http, .id = "us-a", .region = "us", .status = "down");
    return 0;
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

/* The next message must have these changes, "TYPE ID TYPE ID ...". */
static struct http_response *check_pushed(struct websocket_client *client, const char *expected)
{
    char got[256] = "";
    size_t size = 0;
    size_t index;
    const json_t *change;
    struct http_response *pushed = websocket_client_next(client);
    check_json(pushed, "type", "'service_change'");
    json_array_foreach(check_find(pushed->json, "changes"), index, change)
    {
        size += (size_t)snprintf(got + size, sizeof got - size, "%s%s %s", size ? " " : "",
                                 json_string_value(check_find(change, "change_type")),
                                 json_string_value(check_find(change, "instance.instance_id")));
    }
    assert_string_equal(got, expected);
    return pushed;
}

/* Subscribes to "shop"; the state has these instances. */
static void subscribe(struct websocket_client *client, const char *filter, const char *state)
{
    char expected[256];
    websocket_client_send_json(client, SUBSCRIBE, "shop", filter);
    struct http_response *response = websocket_client_next(client);
    check_json(response, "type", "'subscribed'");
    check_json(response, "filtered", "true");
    snprintf(expected, sizeof expected, "reload reload%s%s", state[0] ? " " : "", state);
    check_pushed(client, expected);
}

/* --- initial state ---------------------------------------------------------------------------- */

static void subscription_begins_with_the_instances_that_match(void **state)
{
    static const struct {
        const char *filter, *state;
    } rows[] = {
        {"{'zone':'a','status':'up'}", "new eu-a"},
        {"{'region':'us'}", "new us-a"},
        {"{'status':'down,unhealthy'}", "new us-a"},
        {"{'meta':{'version':'2'}}", "new eu-b"},
        {"{'meta':{'version':'2'},'zone':'a'}", ""},
        {"{'zone':'elsewhere'}", ""},
        {"{'zone':'b','region':null,'meta':{}}", "new eu-b"},
        {"{}", "new eu-a new eu-b new us-a"},
    };
    struct websocket_client client;
    open_one(state, &client);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        subscribe(&client, rows[i].filter, rows[i].state);
    websocket_client_close(&client);
}

/* --- changes ---------------------------------------------------------------------------------- */

static void instances_enter_and_leave_the_view(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    struct websocket_client client;
    open_one(state, &client);
    subscribe(&client, "{'zone':'a','status':'up','meta':{'version':'1'}}", "new eu-a");
    PLACE(http, .id = "eu-a", .port = 81);
    struct http_response *pushed = check_pushed(&client, "change eu-a");
    check_json(pushed, "changes[0].instance.port", "81");
    assert_int_equal(check_integer(pushed, "version"), call_version(http));
    PLACE(http, .id = "eu-a", .status = "down");
    check_pushed(&client, "delete eu-a");
    PLACE(http, .id = "eu-a");
    check_pushed(&client, "change eu-a");
    PLACE(http, .id = "eu-a", .version = "2");
    check_pushed(&client, "delete eu-a");
    PLACE(http, .id = "eu-a");
    check_pushed(&client, "change eu-a");
    PLACE(http, .id = "eu-b", .zone = "b", .port = 81);
    PLACE(http, .id = "new-b", .zone = "b");
    PLACE(http, .id = "new-a", .status = "starting");
    websocket_client_check_quiet(&client);
    TAKE(http, .id = "eu-a"); /* it moves to another zone, and back */
    check_pushed(&client, "delete eu-a");
    PLACE(http, .id = "eu-a", .zone = "b");
    websocket_client_check_quiet(&client);
    PLACE(http, .id = "eu-a");
    check_pushed(&client, "new eu-a");
    websocket_client_check_quiet(&client);
    websocket_client_close(&client);
}

static void expiry_is_pushed_to_the_views_that_have_the_instance(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    struct websocket_client with;
    struct websocket_client without;
    open_one(state, &with);
    open_one(state, &without);
    subscribe(&with, "{'zone':'a'}", "");
    subscribe(&without, "{'zone':'b'}", "");
    PLACE(http, .id = "eu-a");
    check_pushed(&with, "new eu-a");
    check_pushed(&with, "delete eu-a");
    websocket_client_check_quiet(&without);
    websocket_client_close(&with);
    websocket_client_close(&without);
}

static void subscription_to_all_services_has_a_filter(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    struct websocket_client client;
    open_one(state, &client);
    websocket_client_send_json(&client, SUBSCRIBE, "*", "{'zone':'b'}");
    check_json(websocket_client_next(&client), "filtered", "true");
    struct http_response *pushed = check_pushed(&client, "reload reload");
    check_json(pushed, "complete", "false");
    call_register(http, "other", "i1");
    PLACE(http, .id = "eu-c", .zone = "b");
    pushed = check_pushed(&client, "new eu-c");
    check_json(pushed, "service_id", "'shop'");
    websocket_client_check_quiet(&client);
    websocket_client_close(&client);
}

static void clients_with_the_same_filter_get_the_same_bytes(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    struct websocket_client clients[2];
    open_one(state, &clients[0]);
    open_one(state, &clients[1]);
    subscribe(&clients[0], "{'zone':'b','meta':{'version':'2'}}", "new eu-b");
    subscribe(&clients[1], "{'meta':{'version':'2'},'zone':'b'}", "new eu-b");
    call_wait_metric(http, "artemis_subscription_filters", 1);
    PLACE(http, .id = "eu-c", .zone = "b", .version = "2");
    check_pushed(&clients[0], "new eu-c");
    check_pushed(&clients[1], "new eu-c");
    assert_int_equal(clients[0].message.body_size, clients[1].message.body_size);
    assert_memory_equal(clients[0].frame.payload, clients[1].frame.payload, clients[0].frame.size);
    websocket_client_close(&clients[0]);
    websocket_client_close(&clients[1]);
    call_wait_metric(http, "artemis_subscription_filters", 0);
}

/* --- refused ---------------------------------------------------------------------------------- */

static void bad_filters_are_refused_by_name(void **state)
{
    static const struct {
        const char *filter, *message;
    } rows[] = {
        {"'zone=a'", "filter: must be an object, is \"zone=a\""},
        {"[]", "filter: must be an object, is []"},
        {"{'zne':'a'}",
         "filter: has no member \"zne\"; its members are zone, region, status and meta"},
        {"{'Zone':'a'}",
         "filter: has no member \"Zone\"; its members are zone, region, status and meta"},
        {"{'near':'eu/a'}", "filter.near: is not accepted: changes that are pushed have no order"},
        {"{'zone':''}", "filter.zone: must be 1 to 255 bytes, is \"\""},
        {"{'zone':3}", "filter.zone: must be a string, is 3"},
        {"{'region':['eu']}", "filter.region: must be a string, is [\"eu\"]"},
        {"{'status':'UP'}",
         "filter.status: must be all, or some of up, starting, down, unhealthy and unknown with "
         "commas between, is \"UP\""},
        {"{'status':['up']}", "filter.status: must be a string, is [\"up\"]"},
        {"{'meta':'version=2'}", "filter.meta: must be an object, is \"version=2\""},
        {"{'meta':{'version':2}}", "filter.meta: the value of \"version\" must be a string, is 2"},
        {"{'meta':{'':'2'}}",
         "filter.meta: must name an entry of the metadata (meta.KEY), is \"\""},
        {"{'meta':{'1':'','2':'','3':'','4':'','5':'','6':'','7':'','8':'','9':''}}",
         "filter.meta: at most 8 entries of the metadata may be given"},
    };
    struct websocket_client client;
    open_one(state, &client);
    subscribe(&client, "{'zone':'b'}", "new eu-b");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        websocket_client_send_json(&client, SUBSCRIBE, "shop", rows[i].filter);
        struct http_response *response = websocket_client_next(&client);
        check_json(response, "type", "'error'");
        assert_string_equal(check_text(response, "message"), rows[i].message);
        check_json(response, "service_id", "'shop'");
    }
    struct http *http = ((struct fixture *)*state)->http;
    PLACE(http, .id = "eu-b", .zone = "b", .port = 81); /* the first filter holds */
    check_pushed(&client, "change eu-b");
    websocket_client_close(&client);
}

static void filters_beyond_the_limit_are_refused(void **state)
{
    enum { FILTERS_PER_SERVICE_MAX = 64 };
    struct http *http = ((struct fixture *)*state)->http;
    struct websocket_client clients[FILTERS_PER_SERVICE_MAX];
    struct websocket_client one_more;
    char filter[32];
    for (int i = 0; i < FILTERS_PER_SERVICE_MAX; i++) {
        open_one(state, &clients[i]);
        snprintf(filter, sizeof filter, "{'zone':'z%d'}", i);
        subscribe(&clients[i], filter, "");
    }
    open_one(state, &one_more);
    websocket_client_send_json(&one_more, SUBSCRIBE, "shop", "{'zone':'a'}");
    struct http_response *response = websocket_client_next(&one_more);
    check_json(response, "type", "'error'");
    assert_non_null(
        strstr(check_text(response, "message"), "a service may have 64 different filters"));
    assert_int_equal(call_metric(http, "artemis_subscription_filters"), FILTERS_PER_SERVICE_MAX);
    assert_int_equal(call_metric(http, "artemis_subscription_filters_refused_total"), 1);
    subscribe(&one_more, "{'zone':'z0'}", ""); /* the filter of another */
    websocket_client_close(&clients[1]);
    call_wait_metric(http, "artemis_subscription_filters", FILTERS_PER_SERVICE_MAX - 1);
    subscribe(&one_more, "{'zone':'b'}", "new eu-b");
    websocket_client_close(&one_more);
    websocket_client_close(&clients[0]);
    for (int i = 2; i < FILTERS_PER_SERVICE_MAX; i++)
        websocket_client_close(&clients[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(subscription_begins_with_the_instances_that_match),
        TEST(instances_enter_and_leave_the_view),
        cmocka_unit_test_setup_teardown(expiry_is_pushed_to_the_views_that_have_the_instance,
                                        start_short_lived, fixture_stop),
        TEST(subscription_to_all_services_has_a_filter),
        TEST(clients_with_the_same_filter_get_the_same_bytes),
        TEST(bad_filters_are_refused_by_name),
        TEST(filters_beyond_the_limit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
