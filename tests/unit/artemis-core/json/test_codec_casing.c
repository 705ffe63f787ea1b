/* SPDX-License-Identifier: Apache-2.0
 *
 * The casing of the names in a body, as each parser finds it, and the dialect of the response. In
 * these tests ' stands for " in JSON.
 */
#include "artemis-core/json/codec.h"

#include <stdlib.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/quoted_json.h"

#define KEY_NAMES       "'region_id':'lab','zone_id':'zone1','service_id':'orders','instance_id':'i1'"
#define CAMEL_KEY_NAMES "'regionId':'lab','zoneId':'zone1','serviceId':'orders','instanceId':'i1'"

/* Reads the item of a batch of one, and compares the casing of all names. */
static void check_names(const char *body, bool keys, enum name_casing expected)
{
    struct batch *batch = NULL;
    enum name_casing names = NAMES_NEUTRAL;
    char message[MESSAGE_BYTES] = "";
    enum batch_kind kind = keys ? BATCH_OF_KEYS : BATCH_OF_INSTANCES;
    if (batch_parse(slice_of(body), kind, &batch, &names, message))
        fail_msg("%s: %s", body, message);
    struct instance *instance = NULL;
    struct instance_key key;
    enum error error = keys ? batch_key(batch, 0, &key) : batch_instance(batch, 0, &instance);
    assert_true(!error || error == ERR_INVALID_FIELD);
    if (batch_names(batch) != expected)
        fail_msg("%s: %d", body, batch_names(batch));
    instance_unref(instance);
    batch_free(batch);
}

static void casing_is_that_of_the_names_read(void **state)
{
    (void)state;
    static const struct {
        const char *item;
        enum name_casing names;
    } cases[] = {
        {"{'ip':'a'}", NAMES_NEUTRAL},
        {"{'ip':'a','url':'u','port':1,'status':'up','protocol':'p'}", NAMES_NEUTRAL},
        {"{'ip':'a','metadata':{'myName':'x','my_name':'x'}}", NAMES_NEUTRAL},
        {"{'ip':'a','myName':'x','my_name':'x'}", NAMES_NEUTRAL}, /* not names of the API */
        {"{'group_id':null}", NAMES_SNAKE},
        {"{'machine_name':'m'}", NAMES_SNAKE},
        {"{'health_check_url':'m'}", NAMES_SNAKE},
        {"{" KEY_NAMES ",'ip':'a'}", NAMES_SNAKE},
        {"{" KEY_NAMES ",'ip':'a','metadata':{'myName':'x'}}", NAMES_SNAKE},
        {"{'groupId':null}", NAMES_CAMEL},
        {"{" CAMEL_KEY_NAMES ",'ip':'a'}", NAMES_CAMEL},
        {"{" KEY_NAMES ",'ip':'a','machineName':'m'}", NAMES_CAMEL}, /* one is enough */
        {"{'machineName':'m'," KEY_NAMES ",'ip':'a'}", NAMES_CAMEL},
        {"{" KEY_NAMES ",'ip':'a','groupId':null}", NAMES_CAMEL},
    };
    /* The member that fast_parser does not know sends the body to Jansson. */
    static const char *const bodies[] = {
        "{'instances':[%s]}",
        "{'unknown':0,'instances':[%s]}",
        "{'instance_keys':[%s]}",
        "{'unknown':0,'instance_keys':[%s]}",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t j = 0; j < sizeof(bodies) / sizeof(bodies[0]); j++) {
            char *body = quoted_text(bodies[j], cases[i].item);
            bool keys = j >= 2;
            enum name_casing expected = cases[i].names;
            if (keys)
                name_casing_add(&expected, NAMES_SNAKE);
            check_names(body, keys, expected);
            free(body);
        }
    }
}

static void dialect_of_each_casing(void **state)
{
    (void)state;
    static const struct {
        enum name_casing names;
        enum dialect by_default[2]; /* of snake_case, of camelCase */
    } cases[] = {
        {NAMES_NEUTRAL, {DIALECT_SNAKE, DIALECT_CAMEL}},
        {NAMES_SNAKE, {DIALECT_SNAKE, DIALECT_SNAKE}},
        {NAMES_CAMEL, {DIALECT_CAMEL, DIALECT_CAMEL}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (enum casing casing = CASING_SNAKE; casing <= CASING_CAMEL; casing++) {
            assert_int_equal(dialect_choose(false, cases[i].names, casing),
                             cases[i].by_default[casing]);
            assert_int_equal(dialect_choose(true, cases[i].names, casing), DIALECT_JAVA);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(casing_is_that_of_the_names_read),
        cmocka_unit_test(dialect_of_each_casing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
