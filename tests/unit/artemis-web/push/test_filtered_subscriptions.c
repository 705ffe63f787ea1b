/* SPDX-License-Identifier: Apache-2.0
 *
 * Subscriptions with a filter: the state that they begin with, which changes they get and as what,
 * what they share, and their limits.
 */
#include "tests/unit/artemis-web/push/push_fixture.h"

#define ZONE_A "{'zone':'a'}"

static struct push_fixture fixture;
static struct push *const push = &fixture.push;
static struct websocket_client client;

static int set_up(void **state)
{
    (void)state;
    push_fixture_start(&fixture, 16);
    push_fixture_connect(push, ENDPOINT_NATIVE, &client);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    websocket_client_close(&client);
    push_fixture_run(push);
    assert_int_equal(push->counters.filters, 0);
    push_fixture_stop(&fixture);
    return 0;
}

/* --- instances -------------------------------------------------------------------------------- */

struct placed {
    const char *id, *zone;
    const char *status;  /* NULL: up */
    const char *version; /* in the metadata; NULL: none */
    int port;
};

static struct slice zone_of(const struct placed *placed)
{
    return slice_of(placed->zone ? placed->zone : "a");
}

static void place(const char *service, struct placed placed)
{
    const struct metadata_entry metadata = {SLICE("version"), slice_of(placed.version)};
    const struct instance_spec spec = {
        .text = {[FIELD_REGION] = SLICE("region"),
                 [FIELD_ZONE] = zone_of(&placed),
                 [FIELD_SERVICE] = slice_of(service),
                 [FIELD_INSTANCE] = slice_of(placed.id),
                 [FIELD_IP] = SLICE("10.0.0.1"),
                 [FIELD_STATUS] = slice_of(placed.status ? placed.status : "up")},
        .port = placed.port ? placed.port : 8080,
        .metadata = &metadata,
        .metadata_count = placed.version != NULL,
    };
    struct instance *instance = NULL;
    struct field_problem problem;
    assert_int_equal(instance_create(&spec, &instance, &problem), ERR_NONE);
    assert_int_equal(registry_register(fixture.engine.registry, instance, at_ms(0)), ERR_NONE);
    instance_unref(instance);
}
#define PLACE(service, ...) place(service, (struct placed){__VA_ARGS__})

static void take(const char *service, struct placed placed)
{
    const struct slice parts[KEY_FIELDS] = {
        [FIELD_REGION] = SLICE("region"),
        [FIELD_ZONE] = zone_of(&placed),
        [FIELD_SERVICE] = slice_of(service),
        [FIELD_INSTANCE] = slice_of(placed.id),
    };
    struct instance_key key;
    struct field_problem problem;
    assert_int_equal(instance_key_make(parts, &key, &problem), ERR_NONE);
    assert_int_equal(registry_unregister(fixture.engine.registry, &key, 0, at_ms(0)), ERR_NONE);
}
#define TAKE(service, ...) take(service, (struct placed){__VA_ARGS__})

/* --- messages --------------------------------------------------------------------------------- */

static struct http_response *send_subscribe(struct websocket_client *to, const char *service,
                                            const char *filter)
{
    websocket_client_send_json(to, "{'type':'subscribe','service_id':'%s','filter':%s}", service,
                               filter);
    push_fixture_run(push);
    return websocket_client_next(to);
}

/* The next message is about this service; its changes are "TYPE ID TYPE ID ...". */
static struct http_response *check_pushed(struct websocket_client *to, const char *service,
                                          const char *expected)
{
    char got[512] = "";
    size_t size = 0;
    size_t index;
    const json_t *change;
    push_fixture_run(push);
    struct http_response *pushed = websocket_client_next(to);
    check_json(pushed, "type", "'service_change'");
    assert_string_equal(check_text(pushed, "service_id"), service);
    json_array_foreach(check_find(pushed->json, "changes"), index, change)
    {
        size += (size_t)snprintf(got + size, sizeof(got) - size, "%s%s %s", size ? " " : "",
                                 json_string_value(check_find(change, "change_type")),
                                 json_string_value(check_find(change, "instance.instance_id")));
    }
    assert_string_equal(got, expected);
    return pushed;
}

static void check_nothing_pushed(struct websocket_client *to)
{
    push_fixture_run(push);
    assert_int_equal(websocket_client_receive(to, 0), GOT_NOTHING);
}

/* Subscribes; the state has these instances: "new ID new ID ...". */
static void subscribe(struct websocket_client *to, const char *service, const char *filter,
                      const char *state)
{
    char expected[256];
    struct http_response *response = send_subscribe(to, service, filter);
    check_json(response, "type", "'subscribed'");
    check_json(response, "filtered", "true");
    snprintf(expected, sizeof(expected), "reload reload%s%s", state[0] ? " " : "", state);
    check_pushed(to, service, expected);
}

static void check_refused(struct websocket_client *to, const char *service, const char *filter,
                          const char *message)
{
    struct http_response *response = send_subscribe(to, service, filter);
    check_json(response, "type", "'error'");
    assert_non_null(strstr(check_text(response, "message"), message));
}

/* --- what a subscription gets ----------------------------------------------------------------- */

static void subscription_begins_with_the_instances_that_match(void **state)
{
    (void)state;
    PLACE("s", .id = "i1");
    PLACE("s", .id = "i2", .zone = "b");
    PLACE("s", .id = "i3", .status = "down");
    subscribe(&client, "s", ZONE_A, "new i1 new i3");
    subscribe(&client, "s", "{'zone':'b','status':'up,down'}", "new i2");
    subscribe(&client, "s", "{'region':'region','status':'down'}", "new i3");
    subscribe(&client, "s", "{'region':'elsewhere'}", "");
    subscribe(&client, "s", "{}", "new i1 new i2 new i3");
    subscribe(&client, "unknown", ZONE_A, "");
    check_nothing_pushed(&client);
}

static void subscription_with_the_current_version_gets_no_state(void **state)
{
    (void)state;
    PLACE("s", .id = "i1");
    push_fixture_run(push);
    uint64_t revision = registry_revision(fixture.engine.registry);
    websocket_client_send_json(
        &client,
        "{'type':'subscribe','service_id':'s','version':%llu,'run':'run0','filter':{'zone':'a'}}",
        (unsigned long long)revision);
    push_fixture_run(push);
    check_json(websocket_client_next(&client), "filtered", "true");
    check_nothing_pushed(&client);
    websocket_client_send_json(
        &client,
        "{'type':'subscribe','service_id':'s','version':%llu,'run':'run0','filter':{'zone':'a'}}",
        (unsigned long long)revision - 1);
    push_fixture_run(push);
    check_json(websocket_client_next(&client), "filtered", "true");
    check_pushed(&client, "s", "reload reload new i1");
}

static void change_of_another_zone_sends_nothing(void **state)
{
    (void)state;
    subscribe(&client, "s", ZONE_A, "");
    PLACE("s", .id = "i1", .zone = "b");
    PLACE("s", .id = "i1", .zone = "b", .status = "down");
    TAKE("s", .id = "i1", .zone = "b");
    check_nothing_pushed(&client);
    PLACE("s", .id = "i1");
    struct http_response *pushed = check_pushed(&client, "s", "new i1");
    assert_int_equal(check_integer(pushed, "version"), registry_revision(fixture.engine.registry));
    PLACE("s", .id = "i1", .port = 1);
    check_pushed(&client, "s", "change i1");
    TAKE("s", .id = "i1");
    check_pushed(&client, "s", "delete i1");
    check_nothing_pushed(&client);
}

static void instance_enters_and_leaves_the_view_by_its_status(void **state)
{
    (void)state;
    subscribe(&client, "s", "{'status':'up'}", "");
    PLACE("s", .id = "i1", .status = "starting");
    PLACE("s", .id = "i1", .status = "down");
    check_nothing_pushed(&client);
    PLACE("s", .id = "i1", .status = "up");
    check_pushed(&client, "s", "change i1");
    PLACE("s", .id = "i1", .status = "down");
    check_pushed(&client, "s", "delete i1");
    PLACE("s", .id = "i1", .status = "up");
    check_pushed(&client, "s", "change i1");
    TAKE("s", .id = "i1");
    check_pushed(&client, "s", "delete i1");
    PLACE("s", .id = "i2", .status = "down");
    TAKE("s", .id = "i2");
    check_nothing_pushed(&client);
}

static void instance_enters_and_leaves_the_view_by_its_metadata(void **state)
{
    (void)state;
    subscribe(&client, "s", "{'meta':{'version':'3'}}", "");
    PLACE("s", .id = "i1", .version = "2");
    PLACE("s", .id = "i2");
    check_nothing_pushed(&client);
    PLACE("s", .id = "i1", .version = "3");
    check_pushed(&client, "s", "change i1");
    PLACE("s", .id = "i1", .version = "4");
    check_pushed(&client, "s", "delete i1");
    PLACE("s", .id = "i3", .version = "3");
    check_pushed(&client, "s", "new i3");
    PLACE("s", .id = "i1", .version = "4", .status = "down");
    TAKE("s", .id = "i1");
    TAKE("s", .id = "i2");
    check_nothing_pushed(&client);
}

/* An instance of another zone is another instance: the key has the zone. */
static void instance_that_moves_leaves_one_view_and_enters_the_other(void **state)
{
    (void)state;
    struct websocket_client other;
    push_fixture_connect(push, ENDPOINT_NATIVE, &other);
    PLACE("s", .id = "i1");
    subscribe(&client, "s", ZONE_A, "new i1");
    subscribe(&other, "s", "{'zone':'b'}", "");
    TAKE("s", .id = "i1");
    PLACE("s", .id = "i1", .zone = "b");
    check_pushed(&client, "s", "delete i1");
    check_pushed(&other, "s", "new i1");
    check_nothing_pushed(&client);
    check_nothing_pushed(&other);
    websocket_client_close(&other);
}

static void changes_of_one_turn_share_a_message_with_the_version_of_the_last(void **state)
{
    (void)state;
    subscribe(&client, "s", ZONE_A, "");
    PLACE("s", .id = "i1");
    PLACE("s", .id = "i2", .zone = "b");
    PLACE("s", .id = "i3");
    PLACE("s", .id = "i4", .zone = "b");
    struct http_response *pushed = check_pushed(&client, "s", "new i1 new i3");
    assert_int_equal(check_integer(pushed, "version"), registry_revision(fixture.engine.registry));
    check_nothing_pushed(&client);
}

static void subscription_to_all_services_has_a_filter_too(void **state)
{
    (void)state;
    PLACE("s", .id = "i0");
    struct http_response *response = send_subscribe(&client, "*", ZONE_A);
    check_json(response, "type", "'subscribed'");
    struct http_response *pushed = check_pushed(&client, "*", "reload reload");
    check_json(pushed, "complete", "false"); /* it requests the state by HTTP */
    PLACE("s", .id = "i1");
    PLACE("t", .id = "i2", .zone = "b");
    PLACE("t", .id = "i3");
    check_pushed(&client, "s", "new i1");
    check_pushed(&client, "t", "new i3");
    check_nothing_pushed(&client);
    assert_null(topics_find(&push->topics, SLICE("t"))); /* has no subscribers of its own */
}

static void camel_case_subscription_with_a_filter_gets_camel_case(void **state)
{
    (void)state;
    websocket_client_send_json(&client,
                               "{'type':'subscribe','serviceId':'s','filter':{'zone':'a'}}");
    PLACE("s", .id = "i1");
    push_fixture_run(push);
    check_json(websocket_client_next(&client), "filtered", "true");
    check_json(websocket_client_next(&client), "changes[1].instance.instanceId", "'i1'");
}

/* --- subscribing again ------------------------------------------------------------------------ */

static void second_subscription_replaces_the_filter(void **state)
{
    (void)state;
    PLACE("s", .id = "i1");
    PLACE("s", .id = "i2", .zone = "b");
    subscribe(&client, "s", ZONE_A, "new i1");
    subscribe(&client, "s", ZONE_A, "new i1");
    assert_int_equal(push->counters.filters, 1);
    subscribe(&client, "s", "{'zone':'b'}", "new i2");
    assert_int_equal(push->counters.filters, 1);
    PLACE("s", .id = "i1", .port = 1);
    check_nothing_pushed(&client);
    PLACE("s", .id = "i2", .zone = "b", .port = 1);
    check_pushed(&client, "s", "change i2");
    websocket_client_send_json(&client, "{'type':'subscribe','service_id':'s'}");
    push_fixture_run(push);
    struct http_response *response = websocket_client_next(&client);
    check_json(response, "type", "'subscribed'");
    assert_null(json_object_get(response->json, "filtered"));
    assert_int_equal(push->counters.filters, 0);
    PLACE("s", .id = "i1", .port = 2);
    check_pushed(&client, "s", "change i1");
    assert_int_equal(push->counters.subscriptions, 1);
}

static void refused_filter_leaves_the_subscription_as_it_is(void **state)
{
    (void)state;
    subscribe(&client, "s", ZONE_A, "");
    check_refused(&client, "s", "{'zne':'b'}", "filter: has no member \"zne\"");
    check_refused(&client, "s", "{'near':'r/z'}", "filter.near: is not accepted");
    PLACE("s", .id = "i1");
    check_pushed(&client, "s", "new i1");
}

static void unsubscribed_filter_is_gone(void **state)
{
    (void)state;
    subscribe(&client, "s", ZONE_A, "");
    websocket_client_send_json(&client, "{'type':'unsubscribe','service_id':'s'}");
    push_fixture_run(push);
    check_json(websocket_client_next(&client), "type", "'unsubscribed'");
    assert_int_equal(push->counters.filters, 0);
    PLACE("s", .id = "i1");
    check_nothing_pushed(&client);
}

/* --- what subscriptions share ----------------------------------------------------------------- */

/* Two texts of the same filter are one view: its changes and its state are encoded once. */
static void subscriptions_with_equal_filters_share_their_messages(void **state)
{
    (void)state;
    enum { CLIENTS = 4 };
    static const char *const filters[CLIENTS] = {"{'zone':'a','status':'up,down'}",
                                                 "{'status':'down,up','zone':'a'}",
                                                 "{'zone':'a','status':'up,down','region':null}",
                                                 "{'zone':'a','status':'up,down','meta':{}}"};
    struct websocket_client clients[CLIENTS];
    PLACE("s", .id = "i0");
    for (int i = 0; i < CLIENTS; i++) {
        push_fixture_connect(push, ENDPOINT_NATIVE, &clients[i]);
        subscribe(&clients[i], "s", filters[i], "new i0");
    }
    const struct topic *topic = topics_find(&push->topics, SLICE("s"));
    assert_int_equal(topic->filtered_count, 1);
    assert_int_equal(push->counters.filters, 1);
    const struct frame *frame = LIST_FIRST(&topic->filtered)->view.state[FORM_NATIVE];
    assert_non_null(frame);
    assert_int_equal(topic->cached_states, 1);
    PLACE("s", .id = "i1");
    push_fixture_run(push);
    assert_null(LIST_FIRST(&topic->filtered)->view.state[FORM_NATIVE]);
    assert_int_equal(topic->cached_states, 0);
    for (int i = 0; i < CLIENTS; i++) {
        check_pushed(&clients[i], "s", "new i1");
        assert_string_equal(clients[i].frame.payload, clients[0].frame.payload);
    }
    for (int i = 0; i < CLIENTS; i++)
        websocket_client_close(&clients[i]);
}

static void filtered_and_plain_subscriptions_do_not_affect_each_other(void **state)
{
    (void)state;
    struct websocket_client plain;
    push_fixture_connect(push, ENDPOINT_NATIVE, &plain);
    websocket_client_send_json(&plain, "{'type':'subscribe','service_id':'s'}");
    push_fixture_run(push);
    check_json(websocket_client_next(&plain), "type", "'subscribed'");
    subscribe(&client, "s", ZONE_A, "");
    PLACE("s", .id = "i1");
    PLACE("s", .id = "i2", .zone = "b");
    check_pushed(&plain, "s", "new i1 new i2");
    check_pushed(&client, "s", "new i1");
    check_nothing_pushed(&plain);
    check_nothing_pushed(&client);
    websocket_client_close(&plain);
}

/* --- lagging ---------------------------------------------------------------------------------- */

static void lagging_subscription_is_resynced_with_the_instances_that_match(void **state)
{
    (void)state;
    subscribe(&client, "s", ZONE_A, "");
    for (int i = 0; i < 40; i++) /* the change log holds 16 */
        PLACE("s", .id = i % 20 ? "i1" : "i2", .zone = i % 20 ? "b" : "a", .port = i + 1);
    struct http_response *pushed = check_pushed(&client, "s", "reload reload new i2");
    check_json(pushed, "changes[1].instance.port", "21");
    assert_int_equal(check_integer(pushed, "version"), registry_revision(fixture.engine.registry));
    PLACE("s", .id = "i2", .port = 99);
    check_pushed(&client, "s", "change i2");
    check_nothing_pushed(&client);
}

/* A filter that matches little makes small states; looking for them counts too. */
static void states_that_match_little_share_the_turns_with_others(void **state)
{
    (void)state;
    enum { INSTANCES = 9000, SERVICES = 20 };
    char name[16];
    put_many(fixture.engine.registry, "s", 0, INSTANCES, at_ms(0));
    struct websocket_client clients[SERVICES];
    push_fixture_run(push);
    for (int i = 0; i < SERVICES; i++) {
        push_fixture_connect(push, ENDPOINT_NATIVE, &clients[i]);
        snprintf(name, sizeof(name), "z%d", i);
        websocket_client_send_json(
            &clients[i], "{'type':'subscribe','service_id':'s','filter':{'zone':'%s'}}", name);
    }
    struct epoll_event events[SERVICES + 1];
    int count = epoll_wait(push->epoll, events, SERVICES + 1, 0);
    push_turn(push, events, count, push->now);
    assert_in_range(push->counters.resyncs, 1, SERVICES - 1);
    push_fixture_run(push);
    assert_int_equal(push->counters.resyncs, SERVICES);
    for (int i = 0; i < SERVICES; i++)
        websocket_client_close(&clients[i]);
}

/* --- limits ----------------------------------------------------------------------------------- */

static void filters_beyond_those_of_a_service_are_refused(void **state)
{
    (void)state;
    struct websocket_client clients[FILTERS_PER_SERVICE_MAX];
    char filter[32];
    for (int i = 0; i < FILTERS_PER_SERVICE_MAX; i++) {
        push_fixture_connect(push, ENDPOINT_NATIVE, &clients[i]);
        snprintf(filter, sizeof(filter), "{'zone':'z%d'}", i);
        subscribe(&clients[i], "s", filter, "");
    }
    check_refused(&client, "s", ZONE_A,
                  "filter: cannot subscribe: a service may have 64 different filters");
    assert_int_equal(push->counters.filters_refused, 1);
    subscribe(&clients[9], "s", "{'zone':'other'}", ""); /* the only one with its filter */
    subscribe(&client, "s", "{'zone':'z7'}", "");        /* another has it already */
    subscribe(&client, "t", ZONE_A, "");
    websocket_client_close(&clients[0]);
    push_fixture_run(push);
    subscribe(&client, "s", ZONE_A, "");
    for (int i = 1; i < FILTERS_PER_SERVICE_MAX; i++)
        websocket_client_close(&clients[i]);
}

static void filters_beyond_those_of_a_connection_are_refused(void **state)
{
    (void)state;
    char name[16];
    for (int i = 0; i < FILTERED_SUBSCRIPTIONS_MAX; i++) {
        snprintf(name, sizeof(name), "s%d", i);
        subscribe(&client, name, ZONE_A, "");
    }
    check_refused(&client, "s", ZONE_A, "a connection may have 100 subscriptions with a filter");
    assert_int_equal(push->counters.filters_refused, 1);
    subscribe(&client, "s0", "{'zone':'b'}", ""); /* replaces one */
    subscribe(&client, "s", "{}", "");            /* is no filter */
    websocket_client_send_json(&client, "{'type':'subscribe','service_id':'s0'}");
    push_fixture_run(push);
    check_json(websocket_client_next(&client), "type", "'subscribed'");
    subscribe(&client, "s", ZONE_A, "");
}

static void filters_beyond_those_of_the_node_are_refused(void **state)
{
    (void)state;
    atomic_store(&push->counters.filters, FILTERS_ALL_MAX);
    check_refused(&client, "s", ZONE_A, "a node may have 10000 different filters");
    assert_null(topics_find(&push->topics, SLICE("s")));
    atomic_store(&push->counters.filters, 0);
    subscribe(&client, "s", ZONE_A, "");
}

/* --- without memory --------------------------------------------------------------------------- */

/* Each allocation of subscribing and of a change fails in turn: the client gets the instance, or an
 * error, or is closed. */
static void without_memory_a_subscriber_gets_the_change_or_is_closed(void **state)
{
    (void)state;
    long failures = 0;
    for (long n = 1;; n++, failures++) {
        struct websocket_client one;
        char expected[32];
        push_fixture_connect(push, ENDPOINT_NATIVE, &one);
        websocket_client_send_json(&one,
                                   "{'type':'subscribe','service_id':'s','filter':{'zone':'a'}}");
        text_free(&push->dispatch->list);
        text_free(&push->dispatch->message);
        failing_malloc_after(n);
        push_fixture_run(push);
        bool failed = failing_malloc_happened();
        if (!failed) {
            failing_malloc_after(-1);
            PLACE("s", .id = "i1", .port = (int)n);
            failing_malloc_after(n);
            push_fixture_run(push);
        }
        bool failed_later = failing_malloc_happened();
        failing_malloc_after(-1);
        push_fixture_run(push);
        snprintf(expected, sizeof(expected), "\"port\":%d,", (int)n);
        bool received = false;
        bool informed = false; /* that it does not get it */
        while (websocket_client_receive(&one, 0) == GOT_FRAME) {
            received |= strstr(one.frame.payload, expected) != NULL;
            informed |= one.frame.opcode == OPCODE_CLOSE ||
                        strstr(one.frame.payload, "\"error\"") != NULL ||
                        strstr(one.frame.payload, "\"reload\"") != NULL;
        }
        assert_true(received || informed || one.raw.ended);
        websocket_client_close(&one);
        push_fixture_run(push);
        assert_int_equal(push->counters.filters, 0);
        if (!failed && !failed_later) {
            assert_true(received);
            break;
        }
    }
    assert_true(failures > 5);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(subscription_begins_with_the_instances_that_match),
        TEST(subscription_with_the_current_version_gets_no_state),
        TEST(change_of_another_zone_sends_nothing),
        TEST(instance_enters_and_leaves_the_view_by_its_status),
        TEST(instance_enters_and_leaves_the_view_by_its_metadata),
        TEST(instance_that_moves_leaves_one_view_and_enters_the_other),
        TEST(changes_of_one_turn_share_a_message_with_the_version_of_the_last),
        TEST(subscription_to_all_services_has_a_filter_too),
        TEST(camel_case_subscription_with_a_filter_gets_camel_case),
        TEST(second_subscription_replaces_the_filter),
        TEST(refused_filter_leaves_the_subscription_as_it_is),
        TEST(unsubscribed_filter_is_gone),
        TEST(subscriptions_with_equal_filters_share_their_messages),
        TEST(filtered_and_plain_subscriptions_do_not_affect_each_other),
        TEST(lagging_subscription_is_resynced_with_the_instances_that_match),
        TEST(states_that_match_little_share_the_turns_with_others),
        TEST(filters_beyond_those_of_a_service_are_refused),
        TEST(filters_beyond_those_of_a_connection_are_refused),
        TEST(filters_beyond_those_of_the_node_are_refused),
        TEST(without_memory_a_subscriber_gets_the_change_or_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
