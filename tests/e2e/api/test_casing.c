/* SPDX-License-Identifier: Apache-2.0
 *
 * The casing of responses (CONTRACT 1), and what the prefix /artemis/ of the Java clients changes:
 * camelCase, nulls, the words of Java, HTTP 200 for every result. The messages are those that Java
 * clients read.
 */
#include "tests/support/client/calls.h"

#include <string.h>

#define CAMEL_FIELDS                                                                               \
    "'regionId':'lab','zoneId':'zone1','serviceId':'%s','instanceId':'%s',"                        \
    "'ip':'10.0.0.1','port':8080,'url':'http://10.0.0.1','status':'up'"
#define CAMEL_INSTANCE "{" CAMEL_FIELDS "}"
#define CAMEL_KEY      "{'regionId':'lab','zoneId':'zone1','serviceId':'%s','instanceId':'%s'}"

#define JAVA_REGISTER   "/artemis/api/registry/register.json"
#define JAVA_HEARTBEAT  "/artemis/api/registry/heartbeat.json"
#define JAVA_UNREGISTER "/artemis/api/registry/unregister.json"
#define JAVA_LOOKUP     "/artemis/api/discovery/lookup.json"
#define JAVA_SERVICE    "/artemis/api/discovery/service.json"

static int start(void **state)
{
    return fixture_start(state, NULL);
}

/* --- the casing of the request --------------------------------------------------------------- */

static void snake_case_request_gets_snake_case_response(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "s", "i1");
    struct http_response *response = http_get(http, "/api/discovery/service?service_id=s");
    check_json(response, "response_status.error_code", "'success'");
    check_absent(response, "responseStatus");
    check_json(response, "service.instances[0].instance_id", "'i1'");
    check_absent(response, "service.instances[0].instanceId");
}

static void snake_case_response_omits_absent_fields(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "s", "i1");
    struct http_response *response = http_get(http, "/api/discovery/services");
    assert_null(strstr(response->body, "null"));
    response = http_post(http, HEARTBEAT, "{'instance_keys':[" KEY "]}", "s", "i2");
    assert_null(strstr(response->body, "null"));
}

static void camel_case_body_gets_camel_case_response(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    struct http_response *response =
        http_post(http, REGISTER, "{'instances':[" CAMEL_INSTANCE "]}", "c", "i1");
    check_status(response, 200, "success", NULL);
    check_json(response, "responseStatus.errorCode", "'success'");
    check_json(response, "responseStatus.status", "'success'");
    check_absent(response, "response_status");
    response = http_post(http, HEARTBEAT, "{'instanceKeys':[" CAMEL_KEY "]}", "c", "i1");
    check_json(response, "responseStatus.errorCode", "'success'");
    response = http_post(http, "/api/discovery/service", "{'discoveryConfig':{'serviceId':'c'}}");
    check_json(response, "service.serviceId", "'c'");
    check_json(response, "service.instances[0].instanceId", "'i1'");
    check_json(response, "service.instances[0].regionId", "'lab'");
    check_absent(response, "service.instances[0].region_id");
}

static void camel_case_query_gets_camel_case_response(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "q", "i1");
    struct http_response *response = http_get(http, "/api/discovery/service?serviceId=q");
    check_json(response, "responseStatus.errorCode", "'success'");
    check_json(response, "service.serviceId", "'q'");
    response = http_get(http, "/api/discovery/services?regionId=lab&zoneId=zone1");
    check_json(response, "responseStatus.errorCode", "'success'");
    check_json(response, "services[0].serviceId", "'q'");
}

/* The requests that have no name with two spellings. */
static const struct {
    const char *path;
    const char *body; /* NULL: GET */
} neutral_requests[] = {
    {"/api/discovery/services", NULL},
    {"/api/discovery/services.json", NULL},
    {"/api/discovery/services", "{}"},
    {"/api/discovery/services-delta?version=0", NULL},
    {"/api/discovery/services-delta", "{'version':0}"},
    {"/api/discovery/service", NULL},
    {"/api/discovery/lookup?strategy=random", NULL},
    {REGISTER, "{'instances':[]}"},
    {REGISTER, "{'instances':[{'ip':'1','port':1}]}"},
    {HEARTBEAT, "{'instances':[]}"},
    {HEARTBEAT, "{'instances':[{}]}"},
    {REGISTER, "{"},
    {REGISTER, NULL}, /* wrong method */
    {"/api/status/node", NULL},
    {"/api/status/cluster", NULL},
    {"/api/status/leases", NULL},
    {"/api/status/config", "{}"},
    {"/api/cluster/nodes", NULL},
    {"/api/cluster/up-registry-nodes", NULL},
    {"/api/no/such/path", NULL},
};

static void check_neutral_requests(struct http *http, const char *expected, const char *other)
{
    for (size_t i = 0; i < sizeof neutral_requests / sizeof *neutral_requests; i++) {
        const char *body = neutral_requests[i].body;
        const char *path = neutral_requests[i].path;
        struct http_response *response =
            body ? http_post(http, path, "%s", body) : http_get(http, "%s", path);
        if (check_find(response->json, expected) == NULL)
            fail_msg("%s %s: %s", path, body ? body : "", response->body);
        check_absent(response, other);
    }
}

static void neutral_request_gets_snake_case_by_default(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    check_neutral_requests(http, "response_status", "responseStatus");
}

static int start_with_camel_case(void **state)
{
    return fixture_start(state,
                         (const char *const[]){"--set", "server.default_casing=camelCase", NULL});
}

static void neutral_request_gets_the_default_casing(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "s", "i1");
    check_neutral_requests(http, "responseStatus", "response_status");
    struct http_response *response = http_get(http, "/api/discovery/services");
    check_json(response, "services[0].instances[0].instanceId", "'i1'");
    check_absent(response, "services[0].instances[0].instance_id");
    response = http_get(http, "/api/status/node");
    check_json(response, "nodeStatus.node.zone.zoneId", "'zone1'");
}

/* Also after a response to the same request in the other casing was cached. */
static void name_overrides_the_default_casing(void **state)
{
    static const struct {
        const char *path;
        const char *body; /* NULL: GET */
    } snake[] = {
        {"/api/discovery/service?service_id=s", NULL},
        {"/api/discovery/services?region_id=lab", NULL},
        {"/api/discovery/services", "{'zone_id':null}"},
        {"/api/discovery/service", "{'discovery_config':{'service_id':'s'}}"},
        {"/api/discovery/lookup", "{'discovery_configs':[]}"},
        {"/api/status/leases?service_id=s", NULL},
        {"/api/status/node?zone_id=", NULL},
        {"/api/cluster/nodes", "{'region_id':'lab'}"},
        {HEARTBEAT, "{'instance_keys':[]}"},
        {HEARTBEAT, "{'unknown':0,'instance_keys':[]}"},
        {HEARTBEAT, "{'instances':[{'group_id':null}]}"},
        {HEARTBEAT, "{'instances':[{'group_id':null,'unknown':0}]}"},
        {REGISTER, "{'instances':[{'machine_name':'m'}]}"},
        {REGISTER, "{'instances':[{'machine_name':'m','unknown':0}]}"},
    };
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "s", "i1");
    check_json(http_get(http, "/api/discovery/services"), "services[0].serviceId", "'s'");
    for (size_t i = 0; i < sizeof snake / sizeof *snake; i++) {
        struct http_response *response = snake[i].body
                                             ? http_post(http, snake[i].path, "%s", snake[i].body)
                                             : http_get(http, "%s", snake[i].path);
        if (check_find(response->json, "response_status") == NULL)
            fail_msg("%s %s: %s", snake[i].path, snake[i].body ? snake[i].body : "",
                     response->body);
        check_absent(response, "responseStatus");
    }
    check_json(http_get(http, "/api/discovery/services?regionId=lab"), "services[0].serviceId",
               "'s'");
    check_json(http_get(http, "/api/discovery/services?region_id=lab"), "services[0].service_id",
               "'s'");
}

static void java_prefix_overrides_the_default_casing(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    struct http_response *response = http_post(http, JAVA_REGISTER, "{'instances':[]}");
    check_json(response, "responseStatus.status", "'fail'");
    response = http_get(http, "/artemis/api/discovery/services.json");
    check_json(response, "responseStatus.status", "'success'");
}

/* Keys of metadata are data, not names of the API. */
static void metadata_keys_are_unchanged_and_do_not_decide_the_casing(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    struct http_response *response = http_post(http, REGISTER,
                                               "{'instances':[{" INSTANCE_FIELDS
                                               ",'metadata':{'serviceId':'x','service_id':'y'}}]}",
                                               "m", "i1");
    check_json(response, "response_status.error_code", "'success'");
    response = http_get(http, "/api/discovery/service?serviceId=m");
    check_json(response, "service.instances[0].metadata", "{'serviceId':'x','service_id':'y'}");
}

static void camel_case_error_has_the_members_of_java_and_rust(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    struct http_response *response = http_get(http, "/api/discovery/service?serviceId=nowhere");
    check_status(response, 200, "bad-request", "service-not-found");
    check_contains(response, "responseStatus.errorMessage", "nowhere");
    check_contains(response, "responseStatus.message", "nowhere");
    check_json(response, "responseStatus.status", "'fail'");
}

static void camel_partial_failure_repeats_the_instance(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    struct http_response *response =
        http_post(http, REGISTER,
                  "{'instances':[" CAMEL_INSTANCE
                  ",{'regionId':'lab','zoneId':'zone1','serviceId':'p','instanceId':'bad',"
                  "'ip':'1','port':70000}]}",
                  "p", "good");
    check_status(response, 200, "bad-request", "invalid-field");
    check_json(response, "responseStatus.status", "'partial_fail'");
    check_count(response, "failedInstances", 1);
    check_json(response, "failedInstances[0].instanceId", "'bad'");
    check_json(response, "failedInstances[0].errorCode", "'bad-request'");
    check_json(response, "failedInstances[0].errorMessage",
               "'instances[1].port: must be 0 to 65535, is 70000'");
    check_json(response, "failedInstances[0].reason", "'invalid-field'");
    check_json(response, "failedInstances[0].instance.instanceId", "'bad'");
    check_json(response, "failedInstances[0].instance.port", "70000");
    assert_true(call_shows(http, "p", "good"));
}

static void camel_message_names_the_field_in_camel_case(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    struct http_response *response = http_post(
        http, REGISTER, "{'instances':[{'regionId':'lab','zoneId':'z','serviceId':'','ip':'1'}]}");
    check_status(response, 200, "bad-request", "invalid-field");
    check_contains(response, "responseStatus.errorMessage", "instances[0].serviceId: ");
}

static void camel_change_time_is_text(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    json_int_t version = call_version(http);
    call_register(http, "t", "i1");
    struct http_response *response = http_get(
        http, "/api/discovery/services-delta?zoneId=z&version=%" JSON_INTEGER_FORMAT, version);
    check_status(response, 200, "success", NULL);
    check_json(response, "delta.t[0].changeType", "'new'");
    check_contains(response, "delta.t[0].changeTime", "T");
}

/* --- the suffix .json ------------------------------------------------------------------------- */

static void suffix_json_is_optional_everywhere(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    static const char *const posts[] = {
        "/api/registry/register.json",
        "/api/registry/heartbeat.json",
        "/api/registry/unregister.json",
        "/artemis/api/registry/heartbeat",
        JAVA_HEARTBEAT,
    };
    static const char *const gets[] = {
        "/api/discovery/services.json",
        "/artemis/api/discovery/services.json",
        "/artemis/api/discovery/services",
        "/api/cluster/nodes.json",
        "/api/cluster/up-registry-nodes.json",
        "/api/status/node.json",
        "/api/status/leases.json",
        "/artemis/api/status/node.json",
    };
    call_register(http, "s", "i1");
    for (size_t i = 0; i < sizeof posts / sizeof *posts; i++) {
        check_status(http_post(http, posts[i], "{'instances':[" INSTANCE "]}", "s", "i1"), 200,
                     "success", NULL);
        call_register(http, "s", "i1");
    }
    for (size_t i = 0; i < sizeof gets / sizeof *gets; i++) {
        check_status(http_get(http, "%s", gets[i]), 200, "success", NULL);
    }
    check_status(http_get(http, "/api/discovery/service.json?service_id=s"), 200, "success", NULL);
}

/* --- the prefix /artemis/ --------------------------------------------------------------------- */

static void java_register_responds_with_nulls(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    struct http_response *response =
        http_post(http, JAVA_REGISTER, "{'instances':[" CAMEL_INSTANCE "]}", "j", "i1");
    check_status(response, 200, "success", NULL);
    check_json(response, "failedInstances", "null");
    check_json(response, "responseStatus.status", "'success'");
    check_json(response, "responseStatus.errorCode", "'success'");
    check_json(response, "responseStatus.message", "''");
    assert_true(call_shows(http, "j", "i1"));
}

static void java_prefix_reads_snake_case_too(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    struct http_response *response =
        http_post(http, JAVA_REGISTER, "{'instances':[" INSTANCE "]}", "j", "i1");
    check_json(response, "responseStatus.status", "'success'");
    assert_true(call_shows(http, "j", "i1"));
}

static void java_empty_list_is_a_bad_request(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    static const char *const paths[] = {JAVA_REGISTER, JAVA_HEARTBEAT, JAVA_UNREGISTER};
    static const char *const bodies[] = {"{'instances':[]}", "{'instances':null}", "{}"};
    for (size_t i = 0; i < 9; i++) {
        struct http_response *response = http_post(http, paths[i / 3], "%s", bodies[i % 3]);
        check_status(response, 200, "bad-request", NULL);
        check_json(response, "responseStatus.status", "'fail'");
    }
}

static void java_heartbeat_of_unknown_lease_says_data_not_found(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "j", "i1");
    struct http_response *response =
        http_post(http, JAVA_HEARTBEAT, "{'instances':[" CAMEL_INSTANCE "," CAMEL_INSTANCE "]}",
                  "j", "i1", "j", "gone");
    check_status(response, 200, "partial_fail", NULL);
    check_json(response, "responseStatus.status", "'partial_fail'");
    check_count(response, "failedInstances", 1);
    check_json(response, "failedInstances[0].errorCode", "'data-not-found'");
    check_contains(response, "failedInstances[0].errorMessage", "gone");
    /* The Java client registers again with exactly this object. */
    check_json(response, "failedInstances[0].instance.regionId", "'lab'");
    check_json(response, "failedInstances[0].instance.zoneId", "'zone1'");
    check_json(response, "failedInstances[0].instance.serviceId", "'j'");
    check_json(response, "failedInstances[0].instance.instanceId", "'gone'");
    check_json(response, "failedInstances[0].instance.url", "'http://10.0.0.1'");
    check_json(response, "failedInstances[0].instance.port", "8080");
}

static void java_register_applies_valid_items_beside_invalid_ones(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    struct http_response *response =
        http_post(http, JAVA_REGISTER,
                  "{'instances':[" CAMEL_INSTANCE ",{'regionId':'lab','zoneId':'zone1',"
                  "'serviceId':'','instanceId':'bad','url':'u'}]}",
                  "j", "good");
    check_status(response, 200, "partial_fail", NULL);
    check_json(response, "responseStatus.status", "'partial_fail'");
    check_json(response, "failedInstances[0].instanceId", "'bad'");
    assert_true(call_shows(http, "j", "good"));
}

static void java_unregister_removes(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "j", "i1");
    struct http_response *response =
        http_post(http, JAVA_UNREGISTER, "{'instances':[" CAMEL_INSTANCE "]}", "j", "i1");
    check_json(response, "responseStatus.status", "'success'");
    check_json(response, "failedInstances", "null");
    assert_false(call_shows(http, "j", "i1"));
}

static void java_lookup_responds_to_every_config_in_order(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "j", "i1");
    struct http_response *response =
        http_post(http, JAVA_LOOKUP,
                  "{'discoveryConfigs':[{'serviceId':'nowhere'},{'serviceId':'J'}],"
                  "'regionId':'lab','zoneId':'zone1'}");
    check_status(response, 200, "success", NULL);
    check_json(response, "responseStatus.status", "'success'");
    check_count(response, "services", 2);
    check_json(response, "services[0].serviceId", "'nowhere'");
    check_json(response, "services[0].instances", "null");
    check_json(response, "services[0].metadata", "null");
    check_json(response, "services[1].serviceId", "'j'");
    check_count(response, "services[1].instances", 1);
    check_json(response, "services[1].instances[0].groupId", "null");
    check_json(response, "services[1].instances[0].machineName", "null");
    check_json(response, "services[1].instances[0].protocol", "null");
    check_json(response, "services[1].instances[0].healthCheckUrl", "null");
    check_json(response, "services[1].instances[0].metadata", "null");
}

static void java_unknown_service_is_success_with_its_id(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    for (int by_post = 0; by_post <= 1; by_post++) {
        struct http_response *response =
            by_post ? http_post(http, JAVA_SERVICE, "{'discoveryConfig':{'serviceId':'nowhere'}}")
                    : http_get(http, JAVA_SERVICE "?serviceId=nowhere&regionId=lab&zoneId=z");
        check_status(response, 200, "success", NULL);
        check_json(response, "service.serviceId", "'nowhere'");
        check_json(response, "service.instances", "null");
    }
}

static void java_clients_see_every_status_unchanged(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    static const char words[] = "{'instances':[{" INSTANCE_FIELDS ",'status':'warming'},"
                                "{" INSTANCE_FIELDS ",'status':'down'}]}";
    check_status(http_post(http, REGISTER, words, "w", "i1", "w", "i2"), 200, "success", NULL);
    struct http_response *response = http_get(http, JAVA_SERVICE "?serviceId=w");
    check_count(response, "service.instances", 2);
    bool first = strcmp(check_text(response, "service.instances[0].instanceId"), "i1") == 0;
    check_json(response, first ? "service.instances[0].status" : "service.instances[1].status",
               "'warming'");
    response = http_post(http, JAVA_LOOKUP, "{'discoveryConfigs':[{'serviceId':'w'}]}");
    check_count(response, "services[0].instances", 2);
    assert_int_equal(call_count(http, "w"), 0);
}

static void java_delta_has_change_time_in_ms(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    json_int_t version = call_version(http);
    call_register(http, "j", "i1");
    struct http_response *response =
        http_post(http, "/artemis/api/discovery/services-delta.json",
                  "{'regionId':'lab','zoneId':'z','version':%" JSON_INTEGER_FORMAT "}", version);
    check_status(response, 200, "success", NULL);
    check_json(response, "delta.j[0].changeType", "'new'");
    assert_true(check_integer(response, "delta.j[0].changeTime") > 1700000000000);
    response = http_post(http, "/artemis/api/discovery/services-delta.json", "{'version':1}");
    check_status(response, 200, "data-not-found", NULL);
    check_json(response, "responseStatus.status", "'fail'");
}

static void java_unreadable_body_is_400(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    struct http_response *response = http_post(http, JAVA_REGISTER, "hello");
    check_status(response, 400, "bad-request", "invalid-json");
    check_json(response, "responseStatus.status", "'fail'");
}

static void java_up_nodes_name_this_node(void **state)
{
    struct fixture *fixture = *state;
    static const char *const paths[] = {"/artemis/api/cluster/up-registry-nodes.json",
                                        "/artemis/api/cluster/up-discovery-nodes.json"};
    for (size_t i = 0; i < 2; i++) {
        struct http_response *response =
            http_post(fixture->http, paths[i], "{'regionId':'lab','zoneId':'zone1'}");
        check_status(response, 200, "success", NULL);
        check_count(response, "nodes", 1);
        check_contains(response, "nodes[0].url", fixture->server.url);
        check_json(response, "nodes[0].zone.regionId", "'local'");
        check_json(response, "nodes[0].zone.zoneId", "'zone1'");
    }
}

#define TEST(name)       cmocka_unit_test_setup_teardown(name, start, fixture_stop)
#define CAMEL_TEST(name) cmocka_unit_test_setup_teardown(name, start_with_camel_case, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(snake_case_request_gets_snake_case_response),
        TEST(snake_case_response_omits_absent_fields),
        TEST(camel_case_body_gets_camel_case_response),
        TEST(camel_case_query_gets_camel_case_response),
        TEST(neutral_request_gets_snake_case_by_default),
        CAMEL_TEST(neutral_request_gets_the_default_casing),
        CAMEL_TEST(name_overrides_the_default_casing),
        CAMEL_TEST(java_prefix_overrides_the_default_casing),
        TEST(metadata_keys_are_unchanged_and_do_not_decide_the_casing),
        TEST(camel_case_error_has_the_members_of_java_and_rust),
        TEST(camel_partial_failure_repeats_the_instance),
        TEST(camel_message_names_the_field_in_camel_case),
        TEST(camel_change_time_is_text),
        TEST(suffix_json_is_optional_everywhere),
        TEST(java_register_responds_with_nulls),
        TEST(java_prefix_reads_snake_case_too),
        TEST(java_empty_list_is_a_bad_request),
        TEST(java_heartbeat_of_unknown_lease_says_data_not_found),
        TEST(java_register_applies_valid_items_beside_invalid_ones),
        TEST(java_unregister_removes),
        TEST(java_lookup_responds_to_every_config_in_order),
        TEST(java_unknown_service_is_success_with_its_id),
        TEST(java_clients_see_every_status_unchanged),
        TEST(java_delta_has_change_time_in_ms),
        TEST(java_unreadable_body_is_400),
        TEST(java_up_nodes_name_this_node),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
