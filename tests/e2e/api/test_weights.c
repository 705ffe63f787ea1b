/* SPDX-License-Identifier: Apache-2.0
 *
 * The weight of an instance (CONTRACT 1): what registrations accept, and where it is shown.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/websocket_client.h"

#include <stdio.h>
#include <string.h>

#define SERVICE      "/api/discovery/service?service_id=shop"
#define JAVA_SERVICE "/artemis/api/discovery/service.json"

static int start(void **state)
{
    return fixture_start(state, NULL);
}

/* `weight` is JSON. */
static struct http_response *register_weight(struct http *http, const char *weight)
{
    return http_post(http, REGISTER, "{'instances':[{" INSTANCE_FIELDS ",'weight':%s}]}", "shop",
                     "i1", weight);
}

static void accepted_weight_is_shown_unless_it_is_the_default(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    static const char *const weights[] = {"0", "1", "99", "101", "1000"};
    static const char *const defaults[] = {"100", "null"};
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) {
        check_status(register_weight(http, weights[i]), 200, "success", NULL);
        check_json(http_get(http, SERVICE), "service.instances[0].weight", weights[i]);
    }
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++) {
        check_status(register_weight(http, "7"), 200, "success", NULL);
        check_status(register_weight(http, defaults[i]), 200, "success", NULL);
        check_absent(http_get(http, SERVICE), "service.instances[0].weight");
    }
    check_status(register_weight(http, "7"), 200, "success", NULL);
    call_register(http, "shop", "i1"); /* without a weight: the default */
    check_absent(http_get(http, SERVICE), "service.instances[0].weight");
}

static void invalid_weight_is_refused(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    static const char *const cases[][2] = {
        {"1001", "must be 0 to 1000, is 1001"},
        {"-1", "must be 0 to 1000, is -1"},
        {"9223372036854775807", "must be 0 to 1000, is 9223372036854775807"},
        {"1.5", "must be an integer from 0 to 1000, is 1.5"},
        {"'7'", "must be an integer from 0 to 1000, is \"7\""},
        {"true", "must be an integer from 0 to 1000, is true"},
        {"[]", "must be an integer from 0 to 1000, is []"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_response *response = register_weight(http, cases[i][0]);
        check_status(response, 200, "bad-request", "invalid-field");
        check_contains(response, "failed_instances[0].error_message", "instances[0].weight: ");
        check_contains(response, "failed_instances[0].error_message", cases[i][1]);
        check_json(response, "failed_instances[0].weight", cases[i][0]);
    }
    assert_int_equal(call_count(http, "shop"), -1);
}

static void every_dialect_has_the_weight(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    check_status(register_weight(http, "7"), 200, "success", NULL);
    check_json(http_get(http, "/api/discovery/service?serviceId=shop"),
               "service.instances[0].weight", "7");
    check_json(http_get(http, "/api/discovery/services"), "services[0].instances[0].weight", "7");
    check_json(http_post(http, JAVA_SERVICE, "{'discoveryConfig':{'serviceId':'shop'}}"),
               "service.instances[0].weight", "7");
    call_register(http, "shop", "i1");
    check_absent(http_post(http, JAVA_SERVICE, "{'discoveryConfig':{'serviceId':'shop'}}"),
                 "service.instances[0].weight");
}

/* Clients compare bodies, and older ones must see what they have always seen. */
static void instance_without_a_weight_is_encoded_as_ever(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    static const char expected[] =
        "\"instances\":[{\"region_id\":\"lab\",\"zone_id\":\"zone1\",\"service_id\":\"shop\","
        "\"instance_id\":\"i1\",\"ip\":\"10.0.0.1\",\"port\":8080,\"url\":\"http://10.0.0.1:8080\","
        "\"status\":\"up\"%s}]}}";
    char body[512];
    call_register(http, "shop", "i1");
    snprintf(body, sizeof body, expected, "");
    assert_non_null(strstr(http_get(http, SERVICE)->body, body));
    check_status(register_weight(http, "0"), 200, "success", NULL);
    snprintf(body, sizeof body, expected, ",\"weight\":0");
    assert_non_null(strstr(http_get(http, SERVICE)->body, body));
}

static void change_of_the_weight_is_pushed_and_in_deltas(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client client;
    char path[128];
    call_register(fixture->http, "shop", "i1");
    json_int_t version = call_version(fixture->http);
    websocket_client_open(&client, fixture->server.port, "/ws");
    websocket_client_send_json(&client, "{'type':'subscribe','service_id':'shop'}");
    check_json(websocket_client_next(&client), "type", "'subscribed'");
    check_status(register_weight(fixture->http, "7"), 200, "success", NULL);
    struct http_response *pushed = websocket_client_next(&client);
    check_json(pushed, "changes[0].change_type", "'change'");
    check_json(pushed, "changes[0].instance.weight", "7");
    check_status(register_weight(fixture->http, "7"), 200, "success", NULL); /* a renewal */
    websocket_client_check_quiet(&client);
    websocket_client_close(&client);
    snprintf(path, sizeof path, "/api/discovery/services-delta?version=%lld", (long long)version);
    struct http_response *delta = http_get(fixture->http, "%s", path);
    check_count(delta, "delta.shop", 1);
    check_json(delta, "delta.shop[0].instance.weight", "7");
}

/* Only registrations read it. */
static void heartbeat_with_a_weight_renews(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    check_status(register_weight(http, "7"), 200, "success", NULL);
    check_status(http_post(http, HEARTBEAT, "{'instances':[{" INSTANCE_FIELDS ",'weight':9}]}",
                           "shop", "i1"),
                 200, "success", NULL);
    check_json(http_get(http, SERVICE), "service.instances[0].weight", "7");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, fixture_stop)
    const struct CMUnitTest tests[] = {
        TEST(accepted_weight_is_shown_unless_it_is_the_default),
        TEST(invalid_weight_is_refused),
        TEST(every_dialect_has_the_weight),
        TEST(instance_without_a_weight_is_encoded_as_ever),
        TEST(change_of_the_weight_is_pushed_and_in_deltas),
        TEST(heartbeat_with_a_weight_renews),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
