/* SPDX-License-Identifier: Apache-2.0
 *
 * What responses look like in each dialect (CONTRACT 1 and 2): snake_case, camelCase, and Java's
 * with nulls and its own words. Responses are compared as bytes, since compact JSON and the order
 * of members are promised. In these tests ' stands for " in JSON.
 */
#include "artemis-core/json/codec.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/client/check.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/quoted_json.h"
#include "tests/unit/artemis-core/json/batch_fixture.h"

#define ITEM                                                                                       \
    "{'region_id':'r','zone_id':'z','service_id':'S','group_id':'g','instance_id':'i',"            \
    "'ip':'10.0.0.1','port':80,'status':'odd','metadata':{'my_name':1}}"
#define KEY "{'region_id':'r','zone_id':'z','service_id':'s','instance_id':'i'}"

static void check_equal(struct text *written, const char *expected)
{
    char *json = quoted_text("%s", expected);
    assert_string_equal(text_string(written), json);
    free(json);
    text_free(written);
}

static struct instance *instance_of(const char *item)
{
    char *body = quoted_text("{'instances':[%s]}", item);
    struct batch *batch = parsed(BATCH_OF_INSTANCES, body);
    struct instance *instance = NULL;
    assert_int_equal(batch_instance(batch, 0, &instance), ERR_NONE);
    batch_free(batch);
    free(body);
    return instance;
}

/* --- the parts --- */

static void status_of_success(void **state)
{
    (void)state;
    static const char *const expected[] = {
        "{'response_status':{'error_code':'success'}}",
        "{'responseStatus':{'errorCode':'success','status':'success','message':''}}",
        "{'responseStatus':{'errorCode':'success','errorMessage':null,'reason':null,"
        "'status':'success','message':''}}",
    };
    for (enum dialect dialect = 0; dialect < DIALECT_COUNT; dialect++) {
        struct text out = {0};
        codec_write_error(&out, dialect, ERR_NONE, NULL);
        check_equal(&out, expected[dialect]);
    }
}

static void status_of_failure(void **state)
{
    (void)state;
    static const char *const expected[] = {
        "{'response_status':{'error_code':'internal-error','error_message':'m','reason':'system'}}",
        "{'responseStatus':{'errorCode':'internal-error','errorMessage':'m','reason':'system',"
        "'status':'fail','message':'m'}}",
        "{'responseStatus':{'errorCode':'internal-service-error','errorMessage':'m',"
        "'reason':'system','status':'fail','message':'m'}}",
    };
    for (enum dialect dialect = 0; dialect < DIALECT_COUNT; dialect++) {
        struct text out = {0};
        codec_write_error(&out, dialect, ERR_SYSTEM, "m");
        check_equal(&out, expected[dialect]);
    }
}

static void status_without_a_message_has_that_of_the_error(void **state)
{
    (void)state;
    struct text out = {0};
    codec_write_error(&out, DIALECT_SNAKE, ERR_DRAINING, NULL);
    check_equal(&out, "{'response_status':{'error_code':'service-unavailable',"
                      "'error_message':'this node is shutting down','reason':'draining'}}");
}

static void instance_in_each_dialect(void **state)
{
    (void)state;
    static const char *const expected[] = {
        "{'region_id':'r','zone_id':'z','service_id':'s','group_id':'g','instance_id':'i',"
        "'ip':'10.0.0.1','port':80,'url':'http://10.0.0.1:80','status':'unknown',"
        "'metadata':{'my_name':'1'}}",
        "{'regionId':'r','zoneId':'z','serviceId':'s','groupId':'g','instanceId':'i',"
        "'ip':'10.0.0.1','port':80,'url':'http://10.0.0.1:80','status':'unknown',"
        "'metadata':{'my_name':'1'}}",
        "{'regionId':'r','zoneId':'z','serviceId':'s','groupId':'g','instanceId':'i',"
        "'machineName':null,'ip':'10.0.0.1','port':80,'protocol':null,'url':'http://10.0.0.1:80',"
        "'healthCheckUrl':null,'status':'odd','metadata':{'my_name':'1'}}",
    };
    struct instance *instance = instance_of(ITEM);
    for (enum dialect dialect = 0; dialect < DIALECT_COUNT; dialect++) {
        struct text out = {0};
        struct json_writer w = jw_to(&out, dialect_casing(dialect));
        codec_write_instance(&w, dialect, instance);
        check_equal(&out, expected[dialect]);
    }
    instance_unref(instance);
}

/* "what is missing is answered as "", 0, or http://ip:port" */
static void minimal_instance_in_each_dialect(void **state)
{
    (void)state;
    static const char *const expected[] = {
        "{'region_id':'r','zone_id':'z','service_id':'s','instance_id':'i','ip':'','port':0,"
        "'url':'u','status':'up'}",
        "{'regionId':'r','zoneId':'z','serviceId':'s','instanceId':'i','ip':'','port':0,"
        "'url':'u','status':'up'}",
        "{'regionId':'r','zoneId':'z','serviceId':'s','groupId':null,'instanceId':'i',"
        "'machineName':null,'ip':'','port':0,'protocol':null,'url':'u','healthCheckUrl':null,"
        "'status':'up','metadata':null}",
    };
    struct instance *instance = instance_of("{'region_id':'r','zone_id':'z','service_id':'s',"
                                            "'group_id':'default','instance_id':'i','url':'u'}");
    for (enum dialect dialect = 0; dialect < DIALECT_COUNT; dialect++) {
        struct text out = {0};
        struct json_writer w = jw_to(&out, dialect_casing(dialect));
        codec_write_instance(&w, dialect, instance);
        check_equal(&out, expected[dialect]);
    }
    instance_unref(instance);
}

static void service_without_and_with_instances(void **state)
{
    (void)state;
    static const char *const expected[DIALECT_COUNT][3] = {
        {"{'service_id':'s'}", "{'service_id':'s','instances':[]}",
         "{'service_id':'s','instances':[{"},
        {"{'serviceId':'s'}", "{'serviceId':'s','instances':[]}",
         "{'serviceId':'s','instances':[{"},
        {"{'serviceId':'s','metadata':null,'instances':null,'logicInstances':[],'routeRules':null}",
         "{'serviceId':'s','metadata':null,'instances':[],'logicInstances':[],'routeRules':null}",
         "{'serviceId':'s','metadata':null,'instances':[{"},
    };
    struct instance *instance = instance_of(ITEM);
    struct instance *const list[] = {instance, instance};
    for (enum dialect dialect = 0; dialect < DIALECT_COUNT; dialect++) {
        struct text out[3] = {0};
        for (size_t i = 0; i < 3; i++) {
            struct json_writer w = jw_to(&out[i], dialect_casing(dialect));
            codec_write_service(&w, dialect, SLICE("s"), i ? list : NULL, i == 2 ? 2 : 0);
        }
        json_t *read = json_loadb(out[2].data, out[2].size, JSON_REJECT_DUPLICATES, NULL);
        assert_int_equal(json_array_size(json_object_get(read, "instances")), 2);
        json_decref(read);
        check_equal(&out[0], expected[dialect][0]);
        check_equal(&out[1], expected[dialect][1]);
        out[2].size = strlen(expected[dialect][2]);
        check_equal(&out[2], expected[dialect][2]);
    }
    instance_unref(instance);
}

static void change_of_each_type(void **state)
{
    (void)state;
    static const char *const words[] = {"new", "change", "delete", "reload"};
    static const char *const tails[] = {
        ",'change_type':'%s','change_time':'2026-02-14T08:00:00.123Z'}",
        ",'changeType':'%s','changeTime':'2026-02-14T08:00:00.123Z'}",
        ",'changeType':'%s','changeTime':1771056000123}",
    };
    struct instance *instance = instance_of(ITEM);
    for (enum dialect dialect = 0; dialect < DIALECT_COUNT; dialect++) {
        for (enum change_type type = CHANGE_NEW; type <= CHANGE_RELOAD; type++) {
            struct text out = {0};
            struct text expected = {0};
            struct json_writer w = jw_to(&out, dialect_casing(dialect));
            codec_write_change(&w, dialect, instance, type, 1771056000123);
            text_append_string(&expected, "{\"instance\":");
            struct json_writer inner = jw_to(&expected, dialect_casing(dialect));
            codec_write_instance(&inner, dialect, instance);
            char *format = quoted_text(tails[dialect], words[type]);
            text_append_string(&expected, format);
            assert_string_equal(text_string(&out), text_string(&expected));
            free(format);
            text_free(&expected);
            text_free(&out);
        }
    }
    instance_unref(instance);
}

/* --- batches --- */

static void check_responses(struct batch *batch, const char *const expected[DIALECT_COUNT])
{
    for (enum dialect dialect = 0; dialect < DIALECT_COUNT; dialect++) {
        struct text out = {0};
        batch_write_response(batch, dialect, 0, &out);
        check_equal(&out, expected[dialect]);
    }
    batch_free(batch);
}

static void batch_without_failures(void **state)
{
    (void)state;
    static const char *const expected[] = {
        "{'response_status':{'error_code':'success'}}",
        "{'responseStatus':{'errorCode':'success','status':'success','message':''}}",
        "{'responseStatus':{'errorCode':'success','errorMessage':null,'reason':null,"
        "'status':'success','message':''},'failedInstances':null}",
    };
    struct batch *batch = parsed(BATCH_OF_INSTANCES, "{'instances':[" ITEM "]}");
    struct instance *instance;
    assert_int_equal(batch_instance(batch, 0, &instance), ERR_NONE);
    instance_unref(instance);
    check_responses(batch, expected);
    struct text out = {0};
    batch = parsed(BATCH_OF_KEYS, "{'instance_keys':[]}");
    batch_write_response(batch, DIALECT_JAVA, 0, &out);
    check_equal(&out, "{'responseStatus':{'errorCode':'success','errorMessage':null,'reason':null,"
                      "'status':'success','message':''},'failedInstanceKeys':null}");
    batch_free(batch);
}

static void batch_with_an_unknown_key(void **state)
{
    (void)state;
#define MESSAGE "'instance_keys[0]: r/z/s/i: the instance is not registered; register it again'"
    static const char *const expected[] = {
        "{'response_status':{'error_code':'bad-request','error_message':" MESSAGE ","
        "'reason':'instance-not-found'},'failed_instance_keys':[{'region_id':'r','zone_id':'z',"
        "'service_id':'s','instance_id':'i','error_code':'bad-request','error_message':" MESSAGE ","
        "'reason':'instance-not-found'}]}",
        "{'responseStatus':{'errorCode':'bad-request','errorMessage':" MESSAGE ","
        "'reason':'instance-not-found','status':'partial_fail','message':" MESSAGE "},"
        "'failedInstanceKeys':[{'regionId':'r','zoneId':'z','serviceId':'s','instanceId':'i',"
        "'errorCode':'bad-request','errorMessage':" MESSAGE ",'reason':'instance-not-found'}]}",
        "{'responseStatus':{'errorCode':'partial_fail','errorMessage':" MESSAGE ","
        "'reason':'instance-not-found','status':'partial_fail','message':" MESSAGE "},"
        "'failedInstanceKeys':[{'regionId':'r','zoneId':'z','serviceId':'s','instanceId':'i',"
        "'errorCode':'data-not-found','errorMessage':" MESSAGE ",'reason':'instance-not-found'}]}",
    };
#undef MESSAGE
    struct batch *batch = parsed(BATCH_OF_KEYS, "{'instance_keys':[" KEY "]}");
    struct instance_key key;
    assert_int_equal(batch_key(batch, 0, &key), ERR_NONE);
    assert_int_equal(batch_fail(batch, 0, ERR_INSTANCE_NOT_FOUND, &key), ERR_NONE);
    assert_int_equal(batch_outcome(batch), ERR_INSTANCE_NOT_FOUND);
    check_responses(batch, expected);
}

/* Java registers again with the `instance` of the response, so it must be whole, as it was sent. */
static void batch_with_an_unknown_instance(void **state)
{
    (void)state;
#define SENT                                                                                       \
    "'regionId':'r','zoneId':'z','serviceId':'S','groupId':'g','instanceId':'i','ip':'10.0.0.1',"  \
    "'status':'odd','port':80,'metadata':{'my_name':1}"
    struct batch *batch = parsed(BATCH_OF_KEYS, "{'instances':[" ITEM "]}");
    struct instance_key key;
    assert_int_equal(batch_key(batch, 0, &key), ERR_NONE);
    assert_int_equal(batch_fail(batch, 0, ERR_INSTANCE_NOT_FOUND, &key), ERR_NONE);
    struct text out = {0};
    batch_write_response(batch, DIALECT_JAVA, 0, &out);
    json_t *read = json_loadb(out.data, out.size, JSON_REJECT_DUPLICATES, NULL);
    const json_t *failed = check_find(read, "failedInstances[0]");
    char *sent = quoted_text("{" SENT "}");
    json_t *expected = json_loads(sent, 0, NULL);
    assert_true(json_equal(json_object_get(failed, "instance"), expected));
    const char *name;
    json_t *value;
    json_object_foreach(expected, name, value)
        assert_true(json_equal(json_object_get(failed, name), value));
    assert_string_equal(json_string_value(json_object_get(failed, "errorCode")), "data-not-found");
    json_decref(expected);
    json_decref(read);
    free(sent);
    text_free(&out);
    batch_free(batch);
#undef SENT
}

static void batch_with_several_failures(void **state)
{
    (void)state;
    struct batch *batch = parsed(BATCH_OF_INSTANCES, "{'instances':[" ITEM ",7,{'regionId':5,"
                                                     "'unknown':1,'zoneId':null}," ITEM "]}");
    struct instance *instance;
    assert_int_equal(batch_instance(batch, 0, &instance), ERR_NONE);
    instance_unref(instance);
    assert_int_equal(batch_instance(batch, 1, &instance), ERR_INVALID_FIELD);
    assert_int_equal(batch_instance(batch, 2, &instance), ERR_INVALID_FIELD);
    assert_int_equal(batch_fail(batch, 3, ERR_NO_MEMORY, NULL), ERR_NONE);
    assert_int_equal(batch_outcome(batch), ERR_INVALID_FIELD);
#define FIRST "'instances[1]: must be an object, is 7 (the first of 3 failures in 4 items)'"
    struct text out = {0};
    batch_write_response(batch, DIALECT_CAMEL, 0, &out);
    check_equal(&out,
                "{'responseStatus':{'errorCode':'bad-request','errorMessage':" FIRST
                ",'reason':'invalid-field','status':'partial_fail','message':" FIRST "},"
                "'failedInstances':[{'errorCode':'bad-request','errorMessage':"
                "'instances[1]: must be an object, is 7','reason':'invalid-field'},"
                "{'regionId':5,'errorCode':'bad-request','errorMessage':"
                "'instances[2].regionId: must be a string, is 5','reason':'invalid-field',"
                "'instance':{'regionId':5}},"
                "{'regionId':'r','zoneId':'z','serviceId':'S','groupId':'g','instanceId':'i',"
                "'ip':'10.0.0.1','status':'odd','port':80,'metadata':{'my_name':1},"
                "'errorCode':'internal-error','errorMessage':'instances[3]: out of memory',"
                "'reason':'out-of-memory','instance':{'regionId':'r','zoneId':'z','serviceId':'S',"
                "'groupId':'g','instanceId':'i','ip':'10.0.0.1','status':'odd','port':80,"
                "'metadata':{'my_name':1}}}]}");
#undef FIRST
    batch_free(batch);
}

/* The longest key there is, of characters of three bytes: the response is UTF-8, so JSON, still. */
static void batch_with_the_longest_unknown_key(void **state)
{
    (void)state;
    for (int before = 0; before < 3; before++) {
        struct text id = {0};
        text_printf(&id, "%.*s", before, "xx");
        while (id.size + 3 <= ID_BYTES_MAX)
            text_append_string(&id, "\xE2\x82\xAC");
        const char *text = text_string(&id);
        char *body =
            quoted_text("{'instance_keys':[{'region_id':'%s','zone_id':'%s','service_id':'%s',"
                        "'group_id':'%s','instance_id':'%s'}]}",
                        text, text, text, text, text);
        struct batch *batch = parsed(BATCH_OF_KEYS, body);
        struct instance_key key;
        assert_int_equal(batch_key(batch, 0, &key), ERR_NONE);
        assert_int_equal(batch_fail(batch, 0, ERR_INSTANCE_NOT_FOUND, &key), ERR_NONE);
        struct text out = {0};
        batch_write_response(batch, DIALECT_SNAKE, 0, &out);
        assert_true(text_is_utf8((struct slice){out.data, out.size}));
        json_t *read = json_loadb(out.data, out.size, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(read);
        json_decref(read);
        text_free(&out);
        batch_free(batch);
        free(body);
        text_free(&id);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_of_success),
        cmocka_unit_test(status_of_failure),
        cmocka_unit_test(status_without_a_message_has_that_of_the_error),
        cmocka_unit_test(instance_in_each_dialect),
        cmocka_unit_test(minimal_instance_in_each_dialect),
        cmocka_unit_test(service_without_and_with_instances),
        cmocka_unit_test(change_of_each_type),
        cmocka_unit_test(batch_without_failures),
        cmocka_unit_test(batch_with_an_unknown_key),
        cmocka_unit_test(batch_with_an_unknown_instance),
        cmocka_unit_test(batch_with_several_failures),
        cmocka_unit_test(batch_with_the_longest_unknown_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
