/* SPDX-License-Identifier: Apache-2.0
 *
 * How bodies of register, heartbeat and unregister are read. Errors name item, field and value in
 * the client's names. In these tests ' stands for " in JSON. The rules of each field:
 * test_instance.c.
 */
#include "artemis-core/json/codec.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/client/check.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/quoted_json.h"
#include "tests/unit/artemis-core/json/batch_fixture.h"

#define KEY_NAMES       "'region_id':'lab','zone_id':'zone1','service_id':'orders','instance_id':'i1'"
#define CAMEL_KEY_NAMES "'regionId':'lab','zoneId':'zone1','serviceId':'orders','instanceId':'i1'"

static void check_rejected(enum batch_kind kind, const char *body, enum error expected,
                           const char *expected_message, bool expected_camel)
{
    struct batch *batch = NULL;
    enum name_casing names = NAMES_NEUTRAL;
    char message[MESSAGE_BYTES] = "";
    char *text = quoted_text("%s", body);
    char *sentence = quoted_text("%s", expected_message);
    assert_int_equal(batch_parse(slice_of(text), kind, &batch, &names, message), expected);
    assert_string_equal(message, sentence);
    assert_int_equal(names == NAMES_CAMEL, expected_camel);
    assert_null(batch);
    free(sentence);
    free(text);
}

/* Checks the message of the last failure of the batch. */
static void check_response(const struct batch *batch, const char *expected)
{
    struct text response = {0};
    batch_write_response(batch, DIALECT_SNAKE, 0, &response);
    json_t *read = json_loadb(response.data, response.size, 0, NULL);
    const json_t *list = json_object_get(read, "failed_instances");
    if (!list)
        list = json_object_get(read, "failed_instance_keys");
    const json_t *last = json_array_get(list, json_array_size(list) - 1);
    char *sentence = quoted_text("%s", expected);
    assert_non_null(last);
    assert_string_equal(json_string_value(json_object_get(last, "error_message")), sentence);
    assert_string_equal(json_string_value(json_object_get(last, "reason")), "invalid-field");
    free(sentence);
    json_decref(read);
    text_free(&response);
}

/* {'instances':[item]} is refused so. */
static void check_item_rejected(const char *item, const char *message)
{
    char *body = quoted_text("{'instances':[%s]}", item);
    struct batch *batch = parsed(BATCH_OF_INSTANCES, body);
    struct instance *instance = NULL;
    if (batch_instance(batch, 0, &instance) != ERR_INVALID_FIELD)
        fail_msg("accepted: %s", item);
    assert_null(instance);
    assert_int_equal(batch_outcome(batch), ERR_INVALID_FIELD);
    check_response(batch, message);
    batch_free(batch);
    free(body);
}

static struct instance *instance_of(const char *item)
{
    char *body = quoted_text("{'instances':[%s]}", item);
    struct batch *batch = parsed(BATCH_OF_INSTANCES, body);
    struct instance *instance = NULL;
    if (batch_instance(batch, 0, &instance))
        check_response(batch, "accepted");
    assert_int_equal(batch_outcome(batch), ERR_NONE);
    batch_free(batch);
    free(body);
    return instance;
}

/* --- the list --------------------------------------------------------------------------------- */

static void list_missing_or_wrong(void **state)
{
    (void)state;
    static const struct {
        enum batch_kind kind;
        const char *body;
        const char *message;
        bool camel;
    } cases[] = {
        {BATCH_OF_INSTANCES, "", "instances: is required", false},
        {BATCH_OF_INSTANCES, "{}", "instances: is required", false},
        {BATCH_OF_INSTANCES, "{'instances':null}", "instances: is required", false},
        {BATCH_OF_INSTANCES, "{'instance_keys':[]}", "instances: is required", false},
        {BATCH_OF_INSTANCES, "{'instances':{}}", "instances: must be a list, is {}", false},
        {BATCH_OF_INSTANCES, "{'instances':'x'}", "instances: must be a list, is 'x'", false},
        {BATCH_OF_KEYS, "{}", "instance_keys (or instances): is required", false},
        {BATCH_OF_KEYS, "{'instance_keys':5}", "instance_keys: must be a list, is 5", false},
        {BATCH_OF_KEYS, "{'instanceKeys':5}", "instanceKeys: must be a list, is 5", true},
        {BATCH_OF_KEYS, "{'instances':true}", "instances: must be a list, is true", false},
        {BATCH_OF_KEYS, "{'instance_keys':[],'instanceKeys':[]}",
         "instance_keys: is given twice, as instance_keys and instanceKeys", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_rejected(cases[i].kind, cases[i].body, ERR_INVALID_FIELD, cases[i].message,
                       cases[i].camel);
}

static void list_of_each_kind(void **state)
{
    (void)state;
    static const struct {
        enum batch_kind kind;
        const char *body;
        size_t count;
        bool camel;
    } cases[] = {
        {BATCH_OF_INSTANCES, "{'instances':[]}", 0, false},
        {BATCH_OF_INSTANCES, "{'instances':[1,2],'other':7}", 2, false},
        {BATCH_OF_KEYS, "{'instance_keys':[1]}", 1, false},
        {BATCH_OF_KEYS, "{'instanceKeys':[1]}", 1, true},
        {BATCH_OF_KEYS, "{'instances':[1,2,3]}", 3, false},
        {BATCH_OF_KEYS, "{'instance_keys':null,'instances':[1]}", 1, false},
        {BATCH_OF_KEYS, "{'instance_keys':[1,2],'instances':[1]}", 2, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct batch *batch = parsed(cases[i].kind, cases[i].body);
        assert_int_equal(batch_count(batch), cases[i].count);
        assert_int_equal(batch_names(batch) == NAMES_CAMEL, cases[i].camel);
        assert_int_equal(batch_outcome(batch), ERR_NONE);
        batch_free(batch);
    }
}

/* The first 128 keys are kept as they were parsed. */
static void keys_of_a_large_batch_are_read_in_any_order(void **state)
{
    (void)state;
    enum { KEYS = 131 };
    struct text body = {0};
    struct batch *batch;
    enum name_casing names;
    char message[MESSAGE_BYTES] = "";
    text_append_string(&body, "{\"instance_keys\":[");
    for (int i = 0; i < KEYS; i++)
        text_printf(&body,
                    "%s{\"region_id\":\"r\",\"zone_id\":\"z\",\"service_id\":\"s\","
                    "\"instance_id\":\"i%d\"}",
                    i ? "," : "", i);
    text_append_string(&body, "]}");
    assert_int_equal(
        batch_parse((struct slice){body.data, body.size}, BATCH_OF_KEYS, &batch, &names, message),
        ERR_NONE);
    for (int i = 0; i < 2 * KEYS; i++) {
        int index = i < KEYS ? i : 2 * KEYS - 1 - i;
        char id[16];
        struct instance_key key;
        snprintf(id, sizeof id, "i%d", index);
        assert_int_equal(batch_key(batch, (size_t)index, &key), ERR_NONE);
        assert_true(slice_equal(instance_key_part(&key, FIELD_INSTANCE), slice_of(id)));
    }
    batch_free(batch);
    text_free(&body);
}

static void list_of_10000_and_one_more(void **state)
{
    (void)state;
    struct text body = {0};
    text_append_string(&body, "{\"instances\":[0");
    for (int i = 1; i < 10000; i++)
        text_append_string(&body, ",0");
    struct batch *batch;
    enum name_casing names = NAMES_NEUTRAL;
    char message[MESSAGE_BYTES];
    text_append_string(&body, "]}");
    assert_int_equal(
        batch_parse(slice_of(text_string(&body)), BATCH_OF_INSTANCES, &batch, &names, message),
        ERR_NONE);
    assert_int_equal(batch_count(batch), 10000);
    batch_free(batch);
    body.size -= 2;
    text_append_string(&body, ",0]}");
    check_rejected(BATCH_OF_INSTANCES, text_string(&body), ERR_TOO_MANY_ITEMS,
                   "instances: must be at most 10000 items, has 10001", false);
    text_free(&body);
}

static void free_of_null(void **state)
{
    (void)state;
    batch_free(NULL);
}

/* --- items ------------------------------------------------------------------------------------ */

static void item_of_another_type(void **state)
{
    (void)state;
    check_item_rejected("'x'", "instances[0]: must be an object, is 'x'");
    check_item_rejected("5", "instances[0]: must be an object, is 5");
    check_item_rejected("null", "instances[0]: must be an object, is null");
    check_item_rejected("[1,2]", "instances[0]: must be an object, is [1,2]");
}

static void item_is_named_by_its_index(void **state)
{
    (void)state;
    struct batch *batch = parsed(BATCH_OF_INSTANCES, "{'instances':[{" KEY_NAMES ",'ip':'a'},{},"
                                                     "{" KEY_NAMES ",'ip':'a','port':70000}]}");
    struct instance *instance;
    assert_int_equal(batch_instance(batch, 0, &instance), ERR_NONE);
    instance_unref(instance);
    assert_int_equal(batch_instance(batch, 1, &instance), ERR_INVALID_FIELD);
    check_response(batch, "instances[1].region_id: is required");
    assert_int_equal(batch_instance(batch, 2, &instance), ERR_INVALID_FIELD);
    check_response(batch, "instances[2].port: must be 0 to 65535, is 70000");
    batch_free(batch);
}

static void text_of_another_type_in_each_field_and_casing(void **state)
{
    (void)state;
    static const char *const values[] = {"5", "1.5", "true", "[]", "{'a':1}"};
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++) {
        const struct field_info *info = instance_field_info(field);
        const char *const names[] = {info->name, info->camel};
        for (size_t i = 0; i < 2 * sizeof(values) / sizeof(values[0]); i++) {
            char *item = quoted_text("{'%s':%s}", names[i % 2], values[i / 2]);
            /* An invalid field that precedes it would be reported first. */
            char *expected_message = quoted_text("instances[0].%s: must be a string, is %s",
                                                 names[i % 2], values[i / 2]);
            check_item_rejected(item, expected_message);
            free(expected_message);
            free(item);
        }
    }
}

static void required_field_missing_or_null_or_empty(void **state)
{
    (void)state;
    static const struct {
        const char *item;
        const char *message;
    } cases[] = {
        {"{'zone_id':'z','service_id':'s','instance_id':'i','ip':'a'}",
         "instances[0].region_id: is required"},
        {"{'region_id':null,'zone_id':'z'}", "instances[0].region_id: is required"},
        {"{'region_id':'','zone_id':'z'}", "instances[0].region_id: must be 1 to 255 bytes, is ''"},
        {"{'regionId':'r','zoneId':''}", "instances[0].zoneId: must be 1 to 255 bytes, is ''"},
        {"{'regionId':'r','zoneId':'z'}", "instances[0].serviceId: is required"},
        {"{'regionId':'r','zoneId':'z','serviceId':'s'}", "instances[0].instanceId: is required"},
        {"{" KEY_NAMES "}", "instances[0].url: is required where ip is missing"},
        {"{" KEY_NAMES ",'ip':'','url':null}", "instances[0].url: is required where ip is missing"},
        {"{" CAMEL_KEY_NAMES ",'ip':'a','healthCheckUrl':'\\u0007'}",
         "instances[0].healthCheckUrl: must not contain control characters, has 0x07 at byte 0: "
         "'\\x07'"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_item_rejected(cases[i].item, cases[i].message);
}

static void invalid_port(void **state)
{
    (void)state;
    static const struct {
        const char *port;
        const char *message;
    } cases[] = {
        {"-1", "must be 0 to 65535, is -1"},
        {"65536", "must be 0 to 65535, is 65536"},
        {"70000", "must be 0 to 65535, is 70000"},
        {"9223372036854775807", "must be 0 to 65535, is 9223372036854775807"},
        {"1.5", "must be an integer from 0 to 65535, is 1.5"},
        {"80.0", "must be an integer from 0 to 65535, is 80.0"},
        {"'80'", "must be an integer from 0 to 65535, is '80'"},
        {"true", "must be an integer from 0 to 65535, is true"},
        {"[80]", "must be an integer from 0 to 65535, is [80]"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *item = quoted_text("{" KEY_NAMES ",'ip':'a','port':%s}", cases[i].port);
        char *message = quoted_text("instances[0].port: %s", cases[i].message);
        check_item_rejected(item, message);
        free(message);
        free(item);
    }
}

static void valid_port(void **state)
{
    (void)state;
    static const struct {
        const char *member;
        uint16_t port;
    } cases[] = {{"", 0}, {",'port':null", 0}, {",'port':0", 0}, {",'port':65535", 65535}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *item = quoted_text("{" KEY_NAMES ",'ip':'a'%s}", cases[i].member);
        struct instance *instance = instance_of(item);
        assert_int_equal(instance_port(instance), cases[i].port);
        instance_unref(instance);
        free(item);
    }
}

static void name_given_in_both_casings(void **state)
{
    (void)state;
    check_item_rejected("{'region_id':'a','regionId':'a'}",
                        "instances[0].regionId: is given twice, as region_id and regionId");
    struct instance *instance = instance_of("{'regionId':null," KEY_NAMES ",'ip':'a'}");
    assert_true(slice_equal(instance_text(instance, FIELD_REGION), SLICE("lab")));
    instance_unref(instance);
}

static void unknown_members_are_ignored(void **state)
{
    (void)state;
    instance_unref(instance_of("{" KEY_NAMES ",'ip':'a','size':{'x':[1]},'Port':'x'}"));
}

/* A long value is shown by its beginning, and never by half a character. */
static void value_in_a_message_is_truncated_between_characters(void **state)
{
    (void)state;
    for (size_t before = 0; before < 3; before++) {
        struct text item = {0};
        text_printf(&item, "{'region_id':['%.*s", (int)before, "xx");
        for (int i = 0; i < 100; i++)
            text_append_string(&item, "\xE2\x82\xAC");
        text_append_string(&item, "']}");
        char *body = quoted_text("{'instances':[%s]}", text_string(&item));
        struct batch *batch = parsed(BATCH_OF_INSTANCES, body);
        struct instance *instance;
        struct text response = {0};
        assert_int_equal(batch_instance(batch, 0, &instance), ERR_INVALID_FIELD);
        batch_write_response(batch, DIALECT_SNAKE, 0, &response);
        json_t *read = json_loadb(response.data, response.size, 0, NULL);
        assert_non_null(strstr(json_string_value(check_find(read, "response_status.error_message")),
                               "\xE2\x82\xAC..."));
        json_decref(read);
        text_free(&response);
        text_free(&item);
        batch_free(batch);
        free(body);
    }
}

/* --- metadata --------------------------------------------------------------------------------- */

static void check_metadata(const char *metadata, const char *expected)
{
    char *item = quoted_text("{" KEY_NAMES ",'ip':'a','metadata':%s}", metadata);
    struct instance *instance = instance_of(item);
    struct text found = {0};
    struct metadata_entry entry;
    for (size_t cursor = 0; instance_next_metadata(instance, &cursor, &entry);)
        text_printf(&found, "%.*s=%.*s;", (int)entry.name.size, entry.name.data,
                    (int)entry.value.size, entry.value.data);
    assert_string_equal(text_string(&found), expected);
    text_free(&found);
    instance_unref(instance);
    free(item);
}

static void metadata_values_become_text(void **state)
{
    (void)state;
    check_metadata("null", "");
    check_metadata("{}", "");
    check_metadata("{'a':'x','b':''}", "a=x;b=;");
    check_metadata("{'a':1,'b':-9223372036854775808,'c':true,'d':false}",
                   "a=1;b=-9223372036854775808;c=true;d=false;");
    check_metadata("{'a':1.5,'b':-0.25}", "a=1.5;b=-0.25;");
    check_metadata("{'a':null,'b':'x','c':null}", "b=x;");
    check_metadata("{'\\u00fc\\n':'\\u20ac'}", "\xC3\xBC\n=\xE2\x82\xAC;");
}

/* "Numbers are taken as their text": 0.1 is no 0.10000000000000001. */
static void metadata_fraction_keeps_its_text(void **state)
{
    (void)state;
    check_metadata("{'a':0.1,'b':3.14,'c':-99.99,'d':1e300}", "a=0.1;b=3.14;c=-99.99;d=1e300;");
}

static void metadata_of_wrong_types(void **state)
{
    (void)state;
    static const struct {
        const char *metadata;
        const char *message;
    } cases[] = {
        {"'x'", "metadata: must be an object of strings, is 'x'"},
        {"[]", "metadata: must be an object of strings, is []"},
        {"7", "metadata: must be an object of strings, is 7"},
        {"{'a':[]}", "metadata: 'a' must be a string, is []"},
        {"{'a':'x','b':{'c':1}}", "metadata: 'b' must be a string, is {'c':1}"},
        {"{'':'x'}", "metadata: must not have an empty name"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *item = quoted_text("{" KEY_NAMES ",'ip':'a','metadata':%s}", cases[i].metadata);
        char *message = quoted_text("instances[0].%s", cases[i].message);
        check_item_rejected(item, message);
        free(message);
        free(item);
    }
}

/* An item with so many metadata entries, and one that is null. */
static char *item_with_metadata(int count)
{
    struct text item = {0};
    text_append_string(&item, "{" KEY_NAMES ",'ip':'a','metadata':{'none':null");
    for (int i = 0; i < count; i++)
        text_printf(&item, ",'n%d':%d", i, i);
    char *quotes = quoted_text("%s}}", text_string(&item));
    text_free(&item);
    return quotes;
}

static void metadata_of_64_entries_and_one_more(void **state)
{
    (void)state;
    char *item = item_with_metadata(64);
    struct instance *instance = instance_of(item);
    assert_int_equal(instance_metadata_count(instance), 64);
    instance_unref(instance);
    free(item);
    item = item_with_metadata(65);
    check_item_rejected(item, "instances[0].metadata: must have at most 64 entries, has 65");
    free(item);
    item = item_with_metadata(1000);
    check_item_rejected(item, "instances[0].metadata: must have at most 64 entries, has 1000");
    free(item);
}

static void metadata_of_8_kib_and_one_byte_more(void **state)
{
    (void)state;
    for (int more = 0; more < 2; more++) {
        struct text item = {0};
        text_append_string(&item, "{" KEY_NAMES ",'ip':'a','metadata':{'n':'");
        for (int i = 0; i < 8191 + more; i++)
            text_append_char(&item, 'v');
        text_append_string(&item, "'}}");
        if (more)
            check_item_rejected(text_string(&item), "instances[0].metadata: must be at most 8192 "
                                                    "bytes together, is 8193");
        else
            instance_unref(instance_of(text_string(&item)));
        text_free(&item);
    }
}

/* --- keys ------------------------------------------------------------------------------------- */

static void check_key(const char *body, enum error expected, const char *expected_message)
{
    struct batch *batch = parsed(BATCH_OF_KEYS, body);
    struct instance_key key = {.end = {7}};
    assert_int_equal(batch_key(batch, 0, &key), expected);
    if (expected) {
        check_response(batch, expected_message);
        assert_int_equal(key.end[0], 7);
    } else {
        static const char *const parts[] = {"lab", "zone1", "orders", "", "i1"};
        for (enum instance_field part = 0; part < KEY_FIELDS; part++)
            assert_true(slice_equal(instance_key_part(&key, part), slice_of(parts[part])));
    }
    batch_free(batch);
}

static void key_in_every_form(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{'instance_keys':[{" KEY_NAMES "}]}",
        "{'instance_keys':[{" KEY_NAMES ",'group_id':''}]}",
        "{'instance_keys':[{" KEY_NAMES ",'group_id':null}]}",
        "{'instanceKeys':[{" CAMEL_KEY_NAMES ",'groupId':'default'}]}",
        "{'instances':[{" KEY_NAMES ",'ip':'a','port':80}]}",
        "{'instances':[{" CAMEL_KEY_NAMES "}]}",
        /* What is no part of a key is not looked at. */
        "{'instances':[{" KEY_NAMES ",'ip':5,'port':'x','metadata':[]}]}",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        check_key(bodies[i], ERR_NONE, NULL);
}

static void invalid_key(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *message;
    } cases[] = {
        {"{'instance_keys':['k']}", "instance_keys[0]: must be an object, is 'k'"},
        {"{'instance_keys':[{}]}", "instance_keys[0].region_id: is required"},
        {"{'instanceKeys':[{}]}", "instanceKeys[0].regionId: is required"},
        {"{'instances':[{}]}", "instances[0].region_id: is required"},
        {"{'instanceKeys':[{'regionId':'r','zoneId':7}]}",
         "instanceKeys[0].zoneId: must be a string, is 7"},
        {"{'instance_keys':[{'region_id':'r','zone_id':'z','service_id':'s\\u007f'}]}",
         "instance_keys[0].service_id: must not contain control characters, has 0x7f at byte 1: "
         "'s\\x7f'"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_key(cases[i].body, ERR_INVALID_FIELD, cases[i].message);
}

/* As a tree they would be out of proportion to their text. */
static void each_of_many_keys_fails_separately(void **state)
{
    (void)state;
    enum { COUNT = 10000 };
    struct text body = {0};
    struct instance_key key;
    for (int i = 0; i < COUNT; i++)
        text_append_string(&body, i ? ",{'age_ms':1}" : "{'instance_keys':[{'age_ms':1}");
    text_append_string(&body, "]}");
    struct batch *batch = parsed(BATCH_OF_KEYS, text_string(&body));
    assert_int_equal(batch_count(batch), COUNT);
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(batch_key(batch, i, &key), ERR_INVALID_FIELD);
    check_response(batch, "instance_keys[9999].region_id: is required");
    batch_free(batch);
    text_free(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(list_missing_or_wrong),
        cmocka_unit_test(list_of_each_kind),
        cmocka_unit_test(keys_of_a_large_batch_are_read_in_any_order),
        cmocka_unit_test(list_of_10000_and_one_more),
        cmocka_unit_test(free_of_null),
        cmocka_unit_test(item_of_another_type),
        cmocka_unit_test(item_is_named_by_its_index),
        cmocka_unit_test(text_of_another_type_in_each_field_and_casing),
        cmocka_unit_test(required_field_missing_or_null_or_empty),
        cmocka_unit_test(invalid_port),
        cmocka_unit_test(valid_port),
        cmocka_unit_test(name_given_in_both_casings),
        cmocka_unit_test(unknown_members_are_ignored),
        cmocka_unit_test(value_in_a_message_is_truncated_between_characters),
        cmocka_unit_test(metadata_values_become_text),
        cmocka_unit_test(metadata_fraction_keeps_its_text),
        cmocka_unit_test(metadata_of_wrong_types),
        cmocka_unit_test(metadata_of_64_entries_and_one_more),
        cmocka_unit_test(metadata_of_8_kib_and_one_byte_more),
        cmocka_unit_test(key_in_every_form),
        cmocka_unit_test(invalid_key),
        cmocka_unit_test(each_of_many_keys_fails_separately),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
