/* SPDX-License-Identifier: Apache-2.0
 *
 * How bodies of discovery are read (CONTRACT 3): one config or a list, in either casing, with
 * status and strategy. Errors name place, field and value in the client's names. In these tests '
 * stands for " in JSON.
 */
#include "artemis-core/json/codec.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/quoted_json.h"

static struct discovery_request *parsed(const char *body, bool expected_camel)
{
    struct discovery_request *request = NULL;
    enum name_casing names = NAMES_NEUTRAL;
    char message[MESSAGE_BYTES] = "";
    char *text = quoted_text("%s", body);
    if (discovery_request_parse(slice_of(text), &request, &names, message))
        fail_msg("%s: %s", body, message);
    assert_int_equal(names == NAMES_CAMEL, expected_camel);
    free(text);
    return request;
}

static void check_rejected(const char *body, enum error expected, const char *expected_message,
                           bool expected_camel)
{
    struct discovery_request *request = NULL;
    enum name_casing names = NAMES_NEUTRAL;
    char message[MESSAGE_BYTES] = "";
    char *text = quoted_text("%s", body);
    char *sentence = quoted_text("%s", expected_message);
    assert_int_equal(discovery_request_parse(slice_of(text), &request, &names, message), expected);
    assert_string_equal(message, sentence);
    assert_int_equal(names == NAMES_CAMEL, expected_camel);
    assert_null(request);
    free(sentence);
    free(text);
}

static void check_config(const struct discovery_request *request, size_t index, const char *service,
                         unsigned statuses)
{
    struct discovery_config config = discovery_request_config(request, index);
    assert_true(slice_equal(config.service_id, slice_of(service)));
    assert_int_equal(config.statuses, statuses);
}

static void single_config(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        bool camel;
        const char *service;
        unsigned statuses;
    } cases[] = {
        {"{'discovery_config':{'service_id':'s'}}", false, "s", 0},
        {"{'discoveryConfig':{'serviceId':'S'}}", true, "S", 0}, /* as sent */
        {"{'discovery_config':{'serviceId':'s'}}", true, "s", 0},
        {"{'discovery_config':{'service_id':'s','region_id':'r','zone_id':5}}", false, "s", 0},
        {"{'discovery_config':{'service_id':'s','status':'all'}}", false, "s", STATUSES_ALL},
        {"{'discovery_config':{'service_id':'s','status':'up'}}", false, "s", STATUSES_UP},
        {"{'discovery_config':{'service_id':'s','status':''}}", false, "s", 0},
        {"{'discovery_config':{'service_id':'s','status':null},'discovery_configs':null}", false,
         "s", 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct discovery_request *request = parsed(cases[i].body, cases[i].camel);
        assert_false(discovery_request_is_list(request));
        assert_int_equal(discovery_request_count(request), 1);
        check_config(request, 0, cases[i].service, cases[i].statuses);
        assert_int_equal(discovery_request_choice(request).strategy, LOOKUP_RANDOM);
        discovery_request_free(request);
    }
}

static void list_of_configs_in_order(void **state)
{
    (void)state;
    struct discovery_request *request =
        parsed("{'discovery_configs':[{'service_id':'b'},{'service_id':'a','status':'all'},"
               "{'service_id':'b'}]}",
               false);
    assert_true(discovery_request_is_list(request));
    assert_int_equal(discovery_request_count(request), 3);
    check_config(request, 0, "b", 0);
    check_config(request, 1, "a", STATUSES_ALL);
    check_config(request, 2, "b", 0);
    discovery_request_free(request);
}

static void list_as_java_sends_it(void **state)
{
    (void)state;
    struct discovery_request *request =
        parsed("{'discoveryConfigs':[{'serviceId':'s','regionId':null,'zoneId':null,"
               "'discoveryData':null}],'regionId':'lab','zoneId':'zone1'}",
               true);
    assert_int_equal(discovery_request_count(request), 1);
    check_config(request, 0, "s", 0);
    discovery_request_free(request);
}

static void list_that_is_empty(void **state)
{
    (void)state;
    struct discovery_request *request = parsed("{'discovery_configs':[]}", false);
    assert_true(discovery_request_is_list(request));
    assert_int_equal(discovery_request_count(request), 0);
    discovery_request_free(request);
    discovery_request_free(NULL);
}

static void strategy_of_each_name(void **state)
{
    (void)state;
    static const struct {
        const char *strategy;
        enum lookup_strategy expected;
    } cases[] = {
        {"null", LOOKUP_RANDOM},
        {"''", LOOKUP_RANDOM},
        {"'random'", LOOKUP_RANDOM},
        {"'round-robin'", LOOKUP_ROUND_ROBIN},
        {"'weighted'", LOOKUP_WEIGHTED},
        {"'consistent-hash','hash_key':'a key'", LOOKUP_CONSISTENT_HASH},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *body =
            quoted_text("{'discovery_config':{'service_id':'s'},'strategy':%s}", cases[i].strategy);
        struct discovery_request *request = parsed(body, false);
        struct lookup_choice choice = discovery_request_choice(request);
        assert_int_equal(choice.strategy, cases[i].expected);
        if (choice.strategy == LOOKUP_CONSISTENT_HASH)
            assert_true(slice_equal(choice.hash_key, SLICE("a key")));
        discovery_request_free(request);
        free(body);
    }
}

static void config_missing_or_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *message;
        bool camel;
    } cases[] = {
        {"", "discovery_config: is required", false},
        {"{'service_id':'s'}", "discovery_config: is required", false},
        {"{'discovery_config':null}", "discovery_config: is required", false},
        {"{'discoveryConfig':null}", "discoveryConfig: is required", true},
        {"{'discovery_config':5}", "discovery_config: must be an object, is 5", false},
        {"{'discoveryConfig':[]}", "discoveryConfig: must be an object, is []", true},
        {"{'discovery_configs':{}}", "discovery_configs: must be a list, is {}", false},
        {"{'discoveryConfigs':'x'}", "discoveryConfigs: must be a list, is 'x'", true},
        {"{'discovery_configs':[null]}", "discovery_configs[0]: must be an object, is null", false},
        {"{'discovery_configs':[{'service_id':'s'},7]}",
         "discovery_configs[1]: must be an object, is 7", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_rejected(cases[i].body, ERR_INVALID_FIELD, cases[i].message, cases[i].camel);
}

static void service_id_missing_or_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *message;
        bool camel;
    } cases[] = {
        {"{'discovery_config':{}}", "discovery_config.service_id: is required", false},
        {"{'discoveryConfig':{}}", "discoveryConfig.serviceId: is required", true},
        {"{'discovery_config':{'service_id':''}}",
         "discovery_config.service_id: must be 1 to 255 bytes, is ''", false},
        {"{'discovery_configs':[{'service_id':'s'},{'service_id':5}]}",
         "discovery_configs[1].service_id: must be a string, is 5", false},
        {"{'discovery_config':{'service_id':'a\\u0001'}}",
         "discovery_config.service_id: must not contain control characters, has 0x01 at byte 1: "
         "'a\\x01'",
         false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_rejected(cases[i].body, ERR_INVALID_FIELD, cases[i].message, cases[i].camel);
}

/* The message speaks the client's casing whatever is wrong. */
static void invalid_members_are_named_in_camel_case(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *message;
    } cases[] = {
        {"{'discoveryConfig':{'serviceId':5}}",
         "discoveryConfig.serviceId: must be a string, is 5"},
        {"{'discoveryConfigs':[{'serviceId':'a','service_id':'b'}]}",
         "discoveryConfigs[0].serviceId: is given twice, as service_id and serviceId"},
        {"{'discoveryConfigs':[],'discovery_configs':[]}",
         "discoveryConfigs: is given twice, as discovery_configs and discoveryConfigs"},
        {"{'discoveryConfig':{},'discovery_config':{}}",
         "discoveryConfig: is given twice, as discovery_config and discoveryConfig"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_rejected(cases[i].body, ERR_INVALID_FIELD, cases[i].message, true);
}

/* "error_message names field, item and value" (CONTRACT §1). */
static void status_that_is_not_a_filter(void **state)
{
    (void)state;
    check_rejected(
        "{'discovery_config':{'service_id':'s','status':'gone'}}", ERR_INVALID_FIELD,
        "discovery_config.status: must be all, or some of up, starting, down, unhealthy and "
        "unknown with commas between, is 'gone'",
        false);
    check_rejected("{'discovery_configs':[{'service_id':'s'},{'service_id':'s','status':'UP'}]}",
                   ERR_INVALID_FIELD,
                   "discovery_configs[1].status: must be all, or some of up, starting, down, "
                   "unhealthy and unknown with commas between, is 'UP'",
                   false);
    check_rejected("{'discovery_config':{'service_id':'s','status':7}}", ERR_INVALID_FIELD,
                   "discovery_config.status: must be a string, is 7", false);
}

static void statuses_of_a_query(void **state)
{
    (void)state;
    char message[MESSAGE_BYTES] = "";
    unsigned statuses = STATUSES_UP;
    assert_int_equal(discovery_statuses(SLICE("all"), &statuses, message), ERR_NONE);
    assert_int_equal(statuses, STATUSES_ALL);
    assert_int_equal(discovery_statuses((struct slice){0}, &statuses, message), ERR_NONE);
    assert_int_equal(statuses, STATUSES_ALL);
    assert_int_equal(discovery_statuses(SLICE("up"), &statuses, message), ERR_NONE);
    assert_int_equal(statuses, STATUSES_UP);
    assert_int_equal(discovery_statuses(SLICE("gone"), &statuses, message), ERR_INVALID_FIELD);
    assert_int_equal(statuses, STATUSES_UP);
    assert_string_equal(message,
                        "status: must be all, or some of up, starting, down, unhealthy and "
                        "unknown with commas between, is \"gone\"");
}

static void strategy_that_is_unknown(void **state)
{
    (void)state;
    check_rejected("{'discovery_config':{'service_id':'s'},'strategy':'first'}", ERR_INVALID_FIELD,
                   "strategy: must be random, round-robin, weighted or consistent-hash, is 'first'",
                   false);
    check_rejected("{'discovery_config':{'service_id':'s'},'strategy':'consistent-hash'}",
                   ERR_INVALID_FIELD, "hash_key: is required with consistent-hash", false);
    check_rejected("{'discoveryConfig':{'serviceId':'s'},'strategy':3}", ERR_INVALID_FIELD,
                   "strategy: must be a string, is 3", true);
}

static void list_of_10000_and_one_more(void **state)
{
    (void)state;
    struct text body = {0};
    text_append_string(&body, "{'discovery_configs':[{'service_id':'s'}");
    for (int i = 1; i < 10000; i++)
        text_append_string(&body, ",{'service_id':'s'}");
    text_append_string(&body, "]}");
    struct discovery_request *request = parsed(text_string(&body), false);
    assert_int_equal(discovery_request_count(request), 10000);
    discovery_request_free(request);
    body.size -= 2;
    text_append_string(&body, ",{}]}");
    check_rejected(text_string(&body), ERR_TOO_MANY_ITEMS,
                   "discovery_configs: must be at most 10000 items, has 10001", false);
    text_free(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_config),
        cmocka_unit_test(list_of_configs_in_order),
        cmocka_unit_test(list_as_java_sends_it),
        cmocka_unit_test(list_that_is_empty),
        cmocka_unit_test(strategy_of_each_name),
        cmocka_unit_test(config_missing_or_wrong),
        cmocka_unit_test(service_id_missing_or_wrong),
        cmocka_unit_test(invalid_members_are_named_in_camel_case),
        cmocka_unit_test(status_that_is_not_a_filter),
        cmocka_unit_test(statuses_of_a_query),
        cmocka_unit_test(strategy_that_is_unknown),
        cmocka_unit_test(list_of_10000_and_one_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
