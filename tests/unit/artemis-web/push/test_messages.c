/* SPDX-License-Identifier: Apache-2.0
 *
 * The messages on WebSockets, as the contract defines them: with snake_case and camelCase names,
 * with camelCase names alone, and for the Java clients, with nulls and times in ms.
 */
#include "artemis-web/push/messages.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

#define WALL_MS 1771056000123ull /* 2026-02-14T08:00:00.123Z */

static struct instance *make(const struct instance_spec *spec)
{
    struct instance *instance = NULL;
    struct field_problem problem;
    assert_int_equal(instance_create(spec, &instance, &problem), ERR_NONE);
    return instance;
}

static struct instance *make_full(void)
{
    const struct metadata_entry metadata[] = {{SLICE("the_key"), SLICE("a \"value\"")}};
    return make(&(struct instance_spec){
        .text = {[FIELD_REGION] = SLICE("lab"),
                 [FIELD_ZONE] = SLICE("zone1"),
                 [FIELD_SERVICE] = SLICE("S"),
                 [FIELD_GROUP] = SLICE("g"),
                 [FIELD_INSTANCE] = SLICE("i1"),
                 [FIELD_IP] = SLICE("10.0.0.1"),
                 [FIELD_URL] = SLICE("http://10.0.0.1/x"),
                 [FIELD_STATUS] = SLICE("odd"),
                 [FIELD_MACHINE_NAME] = SLICE("m"),
                 [FIELD_PROTOCOL] = SLICE("http"),
                 [FIELD_HEALTH_CHECK_URL] = SLICE("http://10.0.0.1/h")},
        .port = 80,
        .metadata = metadata,
        .metadata_count = 1,
    });
}

static struct instance *make_small(void)
{
    return make(&(struct instance_spec){.text = {[FIELD_REGION] = SLICE("lab"),
                                                 [FIELD_ZONE] = SLICE("zone1"),
                                                 [FIELD_SERVICE] = SLICE("s"),
                                                 [FIELD_INSTANCE] = SLICE("i1"),
                                                 [FIELD_IP] = SLICE("10.0.0.1")}});
}

/* Checks that the text is this compact JSON, with ' for "; frees the text. */
static void check(struct text *text, const char *expected)
{
    assert_false(text_failed(text));
    char *wanted = strdup(expected);
    for (char *at = wanted; *at; at++)
        if (*at == '\'')
            *at = '"';
    json_t *found_json = json_loadb(text->data, text->size, JSON_REJECT_DUPLICATES, NULL);
    json_t *wanted_json = json_loads(wanted, 0, NULL);
    assert_non_null(wanted_json);
    if (!found_json || !json_equal(found_json, wanted_json))
        fail_msg("should be %s, is %.*s", wanted, (int)text->size, text->data);
    char *compact = json_dumps(found_json, JSON_COMPACT);
    assert_int_equal(text->size, strlen(compact));
    free(compact);
    free(wanted);
    json_decref(found_json);
    json_decref(wanted_json);
    text_free(text);
}

static void check_change(enum push_form form, struct instance *instance, enum change_type type,
                         const char *expected)
{
    struct text text = {0};
    message_change(&text, form, instance, type, WALL_MS);
    instance_unref(instance);
    check(&text, expected);
}

/* --- changes ---------------------------------------------------------------------------------- */

static void native_change_has_both_names(void **state)
{
    (void)state;
    check_change(FORM_NATIVE, make_full(), CHANGE_CHANGE,
                 "{'instance':{'region_id':'lab','zone_id':'zone1','service_id':'s','group_id':'g',"
                 "'instance_id':'i1','ip':'10.0.0.1','port':80,'url':'http://10.0.0.1/x',"
                 "'status':'unknown','machine_name':'m','protocol':'http',"
                 "'health_check_url':'http://10.0.0.1/h','metadata':{'the_key':'a \\\"value\\\"'},"
                 "'regionId':'lab','zoneId':'zone1','serviceId':'s','groupId':'g',"
                 "'instanceId':'i1','machineName':'m','healthCheckUrl':'http://10.0.0.1/h'},"
                 "'change_type':'change','change_time':'2026-02-14T08:00:00.123Z',"
                 "'changeType':'change','changeTime':'2026-02-14T08:00:00.123Z'}");
}

static void native_change_leaves_absent_fields_out(void **state)
{
    (void)state;
    check_change(FORM_NATIVE, make_small(), CHANGE_NEW,
                 "{'instance':{'region_id':'lab','zone_id':'zone1','service_id':'s',"
                 "'instance_id':'i1','ip':'10.0.0.1','port':0,'url':'http://10.0.0.1:0',"
                 "'status':'up','regionId':'lab','zoneId':'zone1','serviceId':'s',"
                 "'instanceId':'i1'},"
                 "'change_type':'new','change_time':'2026-02-14T08:00:00.123Z',"
                 "'changeType':'new','changeTime':'2026-02-14T08:00:00.123Z'}");
}

static void camel_change_has_camel_names_only(void **state)
{
    (void)state;
    check_change(FORM_CAMEL, make_full(), CHANGE_DELETE,
                 "{'instance':{'regionId':'lab','zoneId':'zone1','serviceId':'s','groupId':'g',"
                 "'instanceId':'i1','ip':'10.0.0.1','port':80,'url':'http://10.0.0.1/x',"
                 "'status':'unknown','machineName':'m','protocol':'http',"
                 "'healthCheckUrl':'http://10.0.0.1/h','metadata':{'the_key':'a \\\"value\\\"'}},"
                 "'changeType':'delete','changeTime':'2026-02-14T08:00:00.123Z'}");
}

static void java_change_has_nulls_and_ms_and_any_status(void **state)
{
    (void)state;
    check_change(FORM_JAVA, make_full(), CHANGE_NEW,
                 "{'instance':{'regionId':'lab','zoneId':'zone1','serviceId':'s','groupId':'g',"
                 "'instanceId':'i1','ip':'10.0.0.1','port':80,'url':'http://10.0.0.1/x',"
                 "'status':'odd','machineName':'m','protocol':'http',"
                 "'healthCheckUrl':'http://10.0.0.1/h','metadata':{'the_key':'a \\\"value\\\"'}},"
                 "'changeType':'new','changeTime':1771056000123}");
    check_change(FORM_JAVA, make_small(), CHANGE_NEW,
                 "{'instance':{'regionId':'lab','zoneId':'zone1','serviceId':'s','groupId':null,"
                 "'instanceId':'i1','ip':'10.0.0.1','port':0,'url':'http://10.0.0.1:0',"
                 "'status':'up','machineName':null,'protocol':null,'healthCheckUrl':null,"
                 "'metadata':null},"
                 "'changeType':'new','changeTime':1771056000123}");
}

static void changes_are_separated_by_commas(void **state)
{
    (void)state;
    struct instance *instance = make_small();
    struct text list = {0};
    text_append_string(&list, "");
    for (int i = 0; i < 3; i++)
        message_change(&list, FORM_CAMEL, instance, CHANGE_NEW, WALL_MS);
    message_reload(&list, FORM_CAMEL, SLICE("s"), WALL_MS);
    struct text message = {0};
    message_service_change(&message, SLICE("s"), 1, (struct slice){list.data, list.size}, false);
    json_t *json = json_loadb(message.data, message.size, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(json, "changes")), 4);
    json_decref(json);
    instance_unref(instance);
    text_free(&list);
    text_free(&message);
}

static void check_reload(enum push_form form, const char *expected)
{
    struct text text = {0};
    message_reload(&text, form, SLICE("s"), WALL_MS);
    check(&text, expected);
}

/* It has the fields that the Rust client requires. */
static void reload_has_a_placeholder_instance(void **state)
{
    (void)state;
    check_reload(FORM_NATIVE,
                 "{'instance':{'region_id':'','zone_id':'','service_id':'s','instance_id':'reload',"
                 "'regionId':'','zoneId':'','serviceId':'s','instanceId':'reload',"
                 "'ip':'0.0.0.0','port':0,'url':'http://s/reload','status':'unknown'},"
                 "'change_type':'reload','change_time':'2026-02-14T08:00:00.123Z',"
                 "'changeType':'reload','changeTime':'2026-02-14T08:00:00.123Z'}");
    check_reload(FORM_CAMEL,
                 "{'instance':{'regionId':'','zoneId':'','serviceId':'s','instanceId':'reload',"
                 "'ip':'0.0.0.0','port':0,'url':'http://s/reload','status':'unknown'},"
                 "'changeType':'reload','changeTime':'2026-02-14T08:00:00.123Z'}");
    check_reload(FORM_JAVA, "{'instance':{'regionId':null,'zoneId':null,'serviceId':'s',"
                            "'instanceId':'reload','ip':'0.0.0.0','port':0,'url':'http://s/reload',"
                            "'status':null},'changeType':'reload','changeTime':1771056000123}");
}

/* --- messages of /ws -------------------------------------------------------------------------- */

static void service_change_has_version_and_changes(void **state)
{
    (void)state;
    struct text text = {0};
    message_service_change(&text, SLICE("s\"x"), 18446744073709551615u, SLICE("{\"a\":1}"), false);
    assert_string_equal(text_string(&text),
                        "{\"type\":\"service_change\",\"service_id\":\"s\\\"x\","
                        "\"version\":18446744073709551615,\"changes\":[{\"a\":1}]}");
    text_free(&text);
    message_service_change(&text, SLICE("s"), 7, SLICE("{},{}"), true);
    check(&text, "{'type':'service_change','service_id':'s','version':7,'complete':false,"
                 "'changes':[{},{}]}");
}

static void responses_are_those_of_the_contract(void **state)
{
    (void)state;
    struct text text = {0};
    message_subscribed(&text, SLICE("s"), 7, "abc", false);
    check(&text, "{'type':'subscribed','service_id':'s','version':7,'run':'abc'}");
    message_subscribed(&text, SLICE("s"), 7, "abc", true);
    check(&text, "{'type':'subscribed','service_id':'s','version':7,'run':'abc','filtered':true}");
    message_unsubscribed(&text, SLICE("*"));
    check(&text, "{'type':'unsubscribed','service_id':'*'}");
    message_pong(&text);
    check(&text, "{'type':'pong'}");
    message_error(&text, "type: is \"x\"\n", (struct slice){0}, (struct slice){0});
    check(&text, "{'type':'error','message':'type: is \\\"x\\\"\\n'}");
    message_error(&text, "topic: no", (struct slice){0}, SLICE("t"));
    check(&text, "{'type':'error','message':'topic: no','topic':'t'}");
    message_error(&text, "filter: no", SLICE("s"), (struct slice){0});
    check(&text, "{'type':'error','message':'filter: no','service_id':'s'}");
}

/* --- without memory --------------------------------------------------------------------------- */

static void write_all(struct text *out, const struct instance *instance)
{
    for (enum push_form form = 0; form < FORM_COUNT; form++) {
        message_change(out, form, instance, CHANGE_NEW, WALL_MS);
        message_reload(out, form, SLICE("s"), WALL_MS);
    }
    message_service_change(out, SLICE("s"), 1, SLICE("{}"), true);
    message_subscribed(out, SLICE("s"), 1, "run", true);
    message_unsubscribed(out, SLICE("s"));
    message_pong(out);
    message_error(out, "message", SLICE("s"), SLICE("t"));
}

static void failed_allocation_shows_in_the_text(void **state)
{
    (void)state;
    struct instance *instance = make_full();
    long live = failing_malloc_live();
    long failures = 0;
    for (long n = 1;; n++) {
        struct text text = {0};
        failing_malloc_after(n);
        write_all(&text, instance);
        bool failed = failing_malloc_happened();
        failing_malloc_after(-1);
        assert_int_equal(text_failed(&text), failed);
        text_free(&text);
        assert_int_equal(failing_malloc_live(), live);
        if (!failed)
            break;
        failures++;
    }
    assert_true(failures > 5); /* the text itself, and the url of each reload */
    instance_unref(instance);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(native_change_has_both_names),
        cmocka_unit_test(native_change_leaves_absent_fields_out),
        cmocka_unit_test(camel_change_has_camel_names_only),
        cmocka_unit_test(java_change_has_nulls_and_ms_and_any_status),
        cmocka_unit_test(changes_are_separated_by_commas),
        cmocka_unit_test(reload_has_a_placeholder_instance),
        cmocka_unit_test(service_change_has_version_and_changes),
        cmocka_unit_test(responses_are_those_of_the_contract),
        cmocka_unit_test(failed_allocation_shows_in_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
