/* SPDX-License-Identifier: Apache-2.0
 *
 * Register, heartbeat and unregister in snake_case (CONTRACT 2), and the fields of an instance
 * (CONTRACT 1). Invalid input: test_bad_input.c.
 */
#include "tests/support/client/calls.h"

#include <stdlib.h>
#include <string.h>

static int start(void **state)
{
    return fixture_start(state, NULL);
}

static struct http_response *service(struct http *http, const char *service_id)
{
    struct http_response *response =
        http_get(http, "/api/discovery/service?service_id=%s", service_id);
    check_status(response, 200, "success", NULL);
    return response;
}

/* --- register --------------------------------------------------------------------------------- */

static void register_new_instance_succeeds(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    struct http_response *response =
        http_post(http, REGISTER, "{'instances':[" INSTANCE "]}", "shop", "i1");
    check_http(response, 200);
    check_json(response, "", "{'response_status':{'error_code':'success'}}");
    response = service(http, "shop");
    check_json(response, "service",
               "{'service_id':'shop','instances':[{'region_id':'lab','zone_id':'zone1',"
               "'service_id':'shop','instance_id':'i1','ip':'10.0.0.1','port':8080,"
               "'url':'http://10.0.0.1:8080','status':'up'}]}");
}

static void register_keeps_every_field(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    check_status(http_post(http, REGISTER,
                           "{'instances':[{" INSTANCE_FIELDS
                           ",'group_id':'blue','url':'https://shop.lab/x','status':'up',"
                           "'machine_name':'m1','protocol':'https','health_check_url':'/ok',"
                           "'metadata':{'version':'1.2','snake_key':'a','camelKey':'b'}}]}",
                           "full", "i1"),
                 200, "success", NULL);
    check_json(service(http, "full"), "service.instances[0]",
               "{'region_id':'lab','zone_id':'zone1','service_id':'full','instance_id':'i1',"
               "'group_id':'blue','ip':'10.0.0.1','port':8080,'url':'https://shop.lab/x',"
               "'status':'up','machine_name':'m1','protocol':'https','health_check_url':'/ok',"
               "'metadata':{'version':'1.2','snake_key':'a','camelKey':'b'}}");
}

static void register_with_url_alone_returns_an_empty_ip(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    check_status(http_post(http, REGISTER,
                           "{'instances':[{'region_id':'lab','zone_id':'zone1','service_id':'u',"
                           "'instance_id':'i1','url':'http://a.lab:81'}]}"),
                 200, "success", NULL);
    struct http_response *response = service(http, "u");
    check_json(response, "service.instances[0].ip", "''");
    check_json(response, "service.instances[0].port", "0");
    check_json(response, "service.instances[0].url", "'http://a.lab:81'");
    check_json(response, "service.instances[0].status", "'up'");
}

static void register_takes_numbers_in_metadata_as_text(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    check_status(http_post(http, REGISTER,
                           "{'instances':[{" INSTANCE_FIELDS
                           ",'metadata':{'weight':7,'canary':true,'off':false,'share':0.5}}]}",
                           "meta", "i1"),
                 200, "success", NULL);
    check_json(service(http, "meta"), "service.instances[0].metadata",
               "{'weight':'7','canary':'true','off':'false','share':'0.5'}");
}

static void register_takes_null_as_absent_and_ignores_unknown_fields(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    check_status(http_post(http, REGISTER,
                           "{'instances':[{" INSTANCE_FIELDS
                           ",'group_id':null,'url':null,'status':null,'machine_name':null,"
                           "'metadata':null,'colour':'red','depth':{'a':[1,{}]}}],'zzz':1}",
                           "nulls", "i1"),
                 200, "success", NULL);
    check_json(service(http, "nulls"), "service.instances[0]",
               "{'region_id':'lab','zone_id':'zone1','service_id':'nulls','instance_id':'i1',"
               "'ip':'10.0.0.1','port':8080,'url':'http://10.0.0.1:8080','status':'up'}");
}

static void register_keeps_service_id_in_lower_case(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "Shop.CART", "MixedCase");
    struct http_response *response = service(http, "SHOP.cart");
    check_json(response, "service.service_id", "'shop.cart'");
    check_json(response, "service.instances[0].service_id", "'shop.cart'");
    check_json(response, "service.instances[0].instance_id", "'MixedCase'");
    call_register(http, "shop.cart", "mixedcase");
    assert_int_equal(call_count(http, "shop.cart"), 2);
}

static void register_keeps_text_that_is_not_ascii(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "caf\xc3\xa9", "\\u4e2d\\ud83d\\ude00");
    struct http_response *response = service(http, "caf%C3%A9");
    check_json(response, "service.service_id", "'caf\xc3\xa9'");
    check_json(response, "service.instances[0].instance_id", "'\xe4\xb8\xad\xf0\x9f\x98\x80'");
}

static void register_without_group_and_with_default_group_is_the_same_instance(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    static const char *const groups[] = {"", ",'group_id':''", ",'group_id':'default'"};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        check_status(http_post(http, REGISTER, "{'instances':[{" INSTANCE_FIELDS "%s}]}", "group",
                               "i1", groups[i]),
                     200, "success", NULL);
        struct http_response *response = service(http, "group");
        check_count(response, "service.instances", 1);
        check_absent(response, "service.instances[0].group_id");
    }
}

static void register_in_other_region_zone_or_group_is_another_instance(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    check_status(
        http_post(http, REGISTER,
                  "{'instances':["
                  "{'region_id':'a','zone_id':'z','service_id':'id','instance_id':'i','ip':'1'},"
                  "{'region_id':'b','zone_id':'z','service_id':'id','instance_id':'i','ip':'1'},"
                  "{'region_id':'a','zone_id':'y','service_id':'id','instance_id':'i','ip':'1'},"
                  "{'region_id':'a','zone_id':'z','service_id':'id','instance_id':'I','ip':'1'},"
                  "{'region_id':'a','zone_id':'z','service_id':'id','instance_id':'i','ip':'1',"
                  "'group_id':'g'}]}"),
        200, "success", NULL);
    assert_int_equal(call_count(http, "id"), 5);
}

static void register_with_unlisted_status_is_shown_as_unknown(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    check_status(http_post(http, REGISTER,
                           "{'instances':[{" INSTANCE_FIELDS ",'status':'warming'}]}", "words",
                           "i1"),
                 200, "success", NULL);
    struct http_response *response =
        http_get(http, "/api/discovery/service?service_id=words&status=all");
    check_json(response, "service.instances[0].status", "'unknown'");
}

static void register_with_identical_content_makes_no_version(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "again", "i1");
    json_int_t before = call_version(http);
    call_register(http, "again", "i1");
    assert_int_equal(call_version(http), before);
}

static void register_with_other_content_replaces_the_instance(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "again", "i1");
    json_int_t before = call_version(http);
    check_status(http_post(http, REGISTER, "{'instances':[{" INSTANCE_FIELDS ",'url':'http://n'}]}",
                           "again", "i1"),
                 200, "success", NULL);
    struct http_response *response = service(http, "again");
    check_count(response, "service.instances", 1);
    check_json(response, "service.instances[0].url", "'http://n'");
    assert_true(call_version(http) > before);
}

static void register_empty_list_succeeds(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    static const char *const paths[] = {REGISTER, HEARTBEAT, UNREGISTER};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct http_response *response = http_post(http, paths[i], "{'instances':[]}");
        check_http(response, 200);
        check_json(response, "", "{'response_status':{'error_code':'success'}}");
    }
    check_status(http_post(http, HEARTBEAT, "{'instance_keys':[]}"), 200, "success", NULL);
}

static void register_applies_valid_items_beside_invalid_ones(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    struct http_response *response =
        http_post(http, REGISTER,
                  "{'instances':[" INSTANCE "," INSTANCE "," INSTANCE
                  ",{'region_id':'lab','zone_id':'zone1','service_id':'mix','instance_id':'bad',"
                  "'ip':'10.0.0.9','port':70000,'metadata':{'k':'v'}}," INSTANCE "]}",
                  "mix", "i0", "mix", "i1", "mix", "i2", "mix", "i4");
    check_status(response, 200, "bad-request", "invalid-field");
    check_json(response, "response_status.error_message",
               "'instances[3].port: must be 0 to 65535, is 70000'");
    check_absent(response, "response_status.status");
    check_json(response, "failed_instances",
               "[{'region_id':'lab','zone_id':'zone1','service_id':'mix','instance_id':'bad',"
               "'ip':'10.0.0.9','port':70000,'metadata':{'k':'v'},'error_code':'bad-request',"
               "'error_message':'instances[3].port: must be 0 to 65535, is 70000',"
               "'reason':'invalid-field'}]");
    assert_int_equal(call_count(http, "mix"), 4);
    assert_false(call_shows(http, "mix", "bad"));
}

static void register_ten_thousand_in_one_request_succeeds(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register_many(http, "many", 10000);
    assert_int_equal(call_count(http, "many"), 10000);
    check_status(call_with_keys(http, HEARTBEAT, "many", 0, 10000), 200, "success", NULL);
    check_status(call_with_keys(http, UNREGISTER, "many", 0, 10000), 200, "success", NULL);
    assert_int_equal(call_count(http, "many"), 0);
}

/* --- heartbeat -------------------------------------------------------------------------------- */

static void heartbeat_of_known_key_succeeds(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "beat", "i1");
    json_int_t before = call_version(http);
    struct http_response *response =
        http_post(http, HEARTBEAT, "{'instance_keys':[" KEY "]}", "BEAT", "i1");
    check_http(response, 200);
    check_json(response, "", "{'response_status':{'error_code':'success'}}");
    assert_int_equal(call_version(http), before);
}

static void heartbeat_of_known_instance_succeeds(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "beat", "i1");
    struct http_response *response =
        http_post(http, HEARTBEAT, "{'instances':[" INSTANCE "]}", "beat", "i1");
    check_http(response, 200);
    check_json(response, "", "{'response_status':{'error_code':'success'}}");
}

static void heartbeat_with_group_finds_only_that_group(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    static const char key[] = "{'instance_keys':[{'region_id':'lab','zone_id':'zone1',"
                              "'service_id':'g','instance_id':'i1','group_id':'%s'}]}";
    check_status(http_post(http, REGISTER, "{'instances':[{" INSTANCE_FIELDS ",'group_id':'b'}]}",
                           "g", "i1"),
                 200, "success", NULL);
    check_status(http_post(http, HEARTBEAT, key, "b"), 200, "success", NULL);
    check_status(http_post(http, HEARTBEAT, key, ""), 200, "bad-request", "instance-not-found");
    check_status(http_post(http, HEARTBEAT, key, "B"), 200, "bad-request", "instance-not-found");
}

static void heartbeat_of_unknown_key_fails_by_key(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "beat", "i1");
    struct http_response *response = http_post(
        http, HEARTBEAT, "{'instance_keys':[" KEY "," KEY "]}", "beat", "i1", "beat", "gone");
    check_status(response, 200, "bad-request", "instance-not-found");
    check_contains(response, "response_status.error_message", "instance_keys[1]");
    check_contains(response, "response_status.error_message", "gone");
    check_absent(response, "failed_instances");
    check_count(response, "failed_instance_keys", 1);
    check_json(response, "failed_instance_keys[0].region_id", "'lab'");
    check_json(response, "failed_instance_keys[0].zone_id", "'zone1'");
    check_json(response, "failed_instance_keys[0].service_id", "'beat'");
    check_json(response, "failed_instance_keys[0].instance_id", "'gone'");
    check_json(response, "failed_instance_keys[0].error_code", "'bad-request'");
    check_json(response, "failed_instance_keys[0].reason", "'instance-not-found'");
    check_contains(response, "failed_instance_keys[0].error_message", "gone");
    check_absent(response, "failed_instance_keys[0].instance");
}

static void heartbeat_of_unknown_instance_fails_by_instance(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    struct http_response *response =
        http_post(http, HEARTBEAT, "{'instances':[" INSTANCE "]}", "nobody", "i1");
    check_status(response, 200, "bad-request", "instance-not-found");
    check_absent(response, "failed_instance_keys");
    check_count(response, "failed_instances", 1);
    check_json(response, "failed_instances[0].instance_id", "'i1'");
    check_json(response, "failed_instances[0].ip", "'10.0.0.1'");
    check_json(response, "failed_instances[0].reason", "'instance-not-found'");
    assert_int_equal(call_count(http, "nobody"), -1);
}

/* --- unregister ------------------------------------------------------------------------------- */

static void unregister_by_key_removes_at_once(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "leave", "i1");
    call_register(http, "leave", "i2");
    json_int_t before = call_version(http);
    struct http_response *response =
        http_post(http, UNREGISTER, "{'instance_keys':[" KEY "]}", "leave", "i1");
    check_http(response, 200);
    check_json(response, "", "{'response_status':{'error_code':'success'}}");
    assert_false(call_shows(http, "leave", "i1"));
    assert_true(call_shows(http, "leave", "i2"));
    assert_true(call_version(http) > before);
    check_status(http_post(http, HEARTBEAT, "{'instance_keys':[" KEY "]}", "leave", "i1"), 200,
                 "bad-request", "instance-not-found");
}

static void unregister_by_instance_removes_at_once(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "leave", "i1");
    struct http_response *response =
        http_post(http, UNREGISTER, "{'instances':[" INSTANCE "]}", "leave", "i1");
    check_json(response, "", "{'response_status':{'error_code':'success'}}");
    assert_int_equal(call_count(http, "leave"), 0);
}

static void unregister_of_unknown_instance_succeeds(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    json_int_t before = call_version(http);
    struct http_response *response =
        http_post(http, UNREGISTER, "{'instance_keys':[" KEY "]}", "nobody", "i1");
    check_json(response, "", "{'response_status':{'error_code':'success'}}");
    response = http_post(http, UNREGISTER, "{'instances':[" INSTANCE "]}", "nobody", "i1");
    check_json(response, "", "{'response_status':{'error_code':'success'}}");
    assert_int_equal(call_version(http), before);
}

static void unregister_then_register_restores_the_instance(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "back", "i1");
    check_status(http_post(http, UNREGISTER, "{'instance_keys':[" KEY "]}", "back", "i1"), 200,
                 "success", NULL);
    json_int_t before = call_version(http);
    call_register(http, "back", "i1");
    assert_true(call_shows(http, "back", "i1"));
    assert_true(call_version(http) > before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(register_new_instance_succeeds),
        TEST(register_keeps_every_field),
        TEST(register_with_url_alone_returns_an_empty_ip),
        TEST(register_takes_numbers_in_metadata_as_text),
        TEST(register_takes_null_as_absent_and_ignores_unknown_fields),
        TEST(register_keeps_service_id_in_lower_case),
        TEST(register_keeps_text_that_is_not_ascii),
        TEST(register_without_group_and_with_default_group_is_the_same_instance),
        TEST(register_in_other_region_zone_or_group_is_another_instance),
        TEST(register_with_unlisted_status_is_shown_as_unknown),
        TEST(register_with_identical_content_makes_no_version),
        TEST(register_with_other_content_replaces_the_instance),
        TEST(register_empty_list_succeeds),
        TEST(register_applies_valid_items_beside_invalid_ones),
        TEST(register_ten_thousand_in_one_request_succeeds),
        TEST(heartbeat_of_known_key_succeeds),
        TEST(heartbeat_of_known_instance_succeeds),
        TEST(heartbeat_with_group_finds_only_that_group),
        TEST(heartbeat_of_unknown_key_fails_by_key),
        TEST(heartbeat_of_unknown_instance_fails_by_instance),
        TEST(unregister_by_key_removes_at_once),
        TEST(unregister_by_instance_removes_at_once),
        TEST(unregister_of_unknown_instance_succeeds),
        TEST(unregister_then_register_restores_the_instance),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
