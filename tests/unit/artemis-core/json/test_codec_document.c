/* SPDX-License-Identifier: Apache-2.0
 *
 * A body that is not a JSON object is refused as invalid-json by each reader (document, batch,
 * discovery), with a printable message; and how a document returns its members. In these tests '
 * stands for " in JSON where it says quoted.
 */
#include "artemis-core/json/codec.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/quoted_json.h"

/* All doors refuse the body so; `part` is in the message, which is printable ASCII. */
static void check_unreadable(struct slice body, const char *part)
{
    char message[3][MESSAGE_BYTES] = {"", "", ""};
    struct document *document = NULL;
    struct batch *batch = NULL;
    struct discovery_request *request = NULL;
    enum name_casing names = NAMES_CAMEL;
    assert_int_equal(document_parse(body, &document, message[0]), ERR_INVALID_JSON);
    assert_int_equal(batch_parse(body, BATCH_OF_INSTANCES, &batch, &names, message[1]),
                     ERR_INVALID_JSON);
    assert_int_equal(names, NAMES_NEUTRAL);
    names = NAMES_CAMEL;
    assert_int_equal(discovery_request_parse(body, &request, &names, message[2]), ERR_INVALID_JSON);
    assert_int_equal(names, NAMES_NEUTRAL);
    assert_null(document);
    assert_null(batch);
    assert_null(request);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(strncmp(message[i], "body: ", 6), 0);
        if (!strstr(message[i], part))
            fail_msg("\"%s\" should say \"%s\"", message[i], part);
        for (const char *c = message[i]; *c; c++)
            assert_in_range(*c, 0x20, 0x7e);
    }
}

/* --- what cannot be read ---------------------------------------------------------------------- */

static void body_that_is_not_json(void **state)
{
    (void)state;
    check_unreadable(SLICE("hello"), "line 1, column 5");
    check_unreadable(SLICE("{"), "line 1, column 1");
    check_unreadable(SLICE("{\"instances\":["), "line 1, column 14");
    check_unreadable(SLICE("{\n\"a\":1,\n}"), "line 3");
    check_unreadable(SLICE("{'a':1}"), "line 1");
    check_unreadable(SLICE("{\"a\":01}"), "line 1");
    check_unreadable(SLICE("{\"a\":NaN}"), "line 1");
    check_unreadable(SLICE("{\"a\":\"b\nc\"}"), "line 1");
    check_unreadable(SLICE(" "), "line 1");
    check_unreadable(SLICE("\xEF\xBB\xBF{}"), "line 1"); /* a byte order mark */
}

static void body_that_is_not_an_object(void **state)
{
    (void)state;
    check_unreadable(SLICE("[]"), "body: must be a JSON object, is []");
    check_unreadable(SLICE("[1,{\"a\":2}]"), "body: must be a JSON object, is [1,{\"a\":2}]");
    check_unreadable(SLICE("5"), "line 1");
    check_unreadable(SLICE("null"), "line 1");
    check_unreadable(SLICE("\"text\""), "line 1");
}

static void body_with_bytes_after_its_end(void **state)
{
    (void)state;
    check_unreadable(SLICE("{}{}"), "end of file expected");
    check_unreadable(SLICE("{} x"), "end of file expected");
    check_unreadable(SLICE("{\"instances\":[]}]"), "end of file expected");
    check_unreadable(SLICE("{}\0"), "line 1");
}

static void body_nested_10000_deep(void **state)
{
    (void)state;
    static const struct {
        const char *start;
        const char *opening;
    } cases[] = {{"", "["}, {"", "{\"a\":"}, {"{\"instances\":", "["}, {"{\"x\":", "[{\"a\":"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct text body = {0};
        text_append_string(&body, cases[i].start);
        for (int depth = 0; depth < 10000; depth++)
            text_append_string(&body, cases[i].opening);
        check_unreadable((struct slice){body.data, body.size}, "depth");
        text_free(&body);
    }
}

static void body_with_invalid_utf8(void **state)
{
    (void)state;
    check_unreadable(SLICE("{\"a\":\"\xFF\"}"), "unable to decode byte 0x");
    check_unreadable(SLICE("{\"a\":\"\xC3\"}"), "unable to decode byte 0x");
    check_unreadable(SLICE("{\"a\":\"\xC0\x80\"}"), "unable to decode byte 0x");
    check_unreadable(SLICE("{\"a\":\"\xED\xA0\x80\"}"), "unable to decode byte 0x");
    check_unreadable(SLICE("{\"\xFF\":1}"), "unable to decode byte 0x");
    check_unreadable(SLICE("{\"a\":\"\\ud800\"}"), "line 1");
    check_unreadable(SLICE("\xFE\xFF"), "unable to decode byte 0x");
}

static void body_with_a_nul_in_it(void **state)
{
    (void)state;
    check_unreadable(SLICE("{\"a\":\"\\u0000\"}"),
                     "body: NUL (\\u0000) is not allowed at line 1, column ");
    check_unreadable(SLICE("{\"a\\u0000\":1}"), "line 1");
    check_unreadable(SLICE("{\"a\":\"\0\"}"), "line 1");
    check_unreadable(SLICE("\0"), "line 1");
}

static void body_with_a_name_given_twice(void **state)
{
    (void)state;
    check_unreadable(SLICE("{\"a\":1,\"a\":2}"), "duplicate");
    check_unreadable(SLICE("{\"instances\":[],\"instances\":[]}"), "duplicate");
    check_unreadable(SLICE("{\"x\":[{\"y\":1,\"\\u0079\":1}]}"), "duplicate");
}

static void body_with_a_number_out_of_range(void **state)
{
    (void)state;
    check_unreadable(SLICE("{\"a\":9223372036854775808}"), "big");
    check_unreadable(SLICE("{\"a\":1e999}"), "real number overflow");
}

/* What was not read is quoted in the message: however long, it fits. */
static void long_body_that_is_not_json(void **state)
{
    (void)state;
    char body[5000];
    memset(body, 'x', sizeof(body));
    check_unreadable((struct slice){body, sizeof(body)}, "line 1");
    memset(body, '\xC3', sizeof(body));
    check_unreadable((struct slice){body, sizeof(body)}, "line 1");
    memset(body, '[', 2);
    memset(body + 2, '1', sizeof(body) - 2);
    check_unreadable((struct slice){body, sizeof(body)}, "line 1");
}

/* --- documents -------------------------------------------------------------------------------- */

static struct document *parsed(const char *body)
{
    struct document *document = NULL;
    char message[MESSAGE_BYTES] = "";
    char *text = quoted_text("%s", body);
    if (document_parse(slice_of(text), &document, message))
        fail_msg("%s: %s", body, message);
    free(text);
    return document;
}

static void empty_document(void **state)
{
    (void)state;
    static const char *const bodies[] = {"", "{}", " { } "};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct document *document = parsed(bodies[i]);
        struct slice word = SLICE("before");
        uint64_t number = 7;
        char message[MESSAGE_BYTES];
        assert_int_equal(document_text(document, "service_id", &word, message), ERR_NONE);
        assert_int_equal(document_u64(document, "version", &number, message), ERR_NONE);
        assert_true(slice_equal(word, SLICE("before")));
        assert_int_equal(number, 7);
        assert_int_equal(document_names(document), NAMES_NEUTRAL);
        document_free(document);
    }
    document_free(NULL);
}

static void text_by_either_name(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *word; /* NULL: not touched */
        enum name_casing names;
    } cases[] = {
        {"{'service_id':'a'}", "a", NAMES_SNAKE},
        {"{'serviceId':'a'}", "a", NAMES_CAMEL},
        {"{'service_id':'a','serviceId':null}", "a", NAMES_CAMEL},
        {"{'service_id':null,'serviceId':'a'}", "a", NAMES_CAMEL},
        {"{'service_id':null}", NULL, NAMES_SNAKE},
        {"{'service_id':''}", "", NAMES_SNAKE},
        {"{'serviceid':'a','ServiceId':'b'}", NULL, NAMES_NEUTRAL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct document *document = parsed(cases[i].body);
        struct slice word = SLICE("before");
        char message[MESSAGE_BYTES];
        assert_int_equal(document_text(document, "service_id", &word, message), ERR_NONE);
        assert_true(slice_equal(word, slice_of(cases[i].word ? cases[i].word : "before")));
        assert_int_equal(document_names(document), cases[i].names);
        document_free(document);
    }
}

static void number_bounds(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        uint64_t number;
    } cases[] = {
        {"{'version':0}", 0},
        {"{'version':9223372036854775807}", INT64_MAX},
        {"{'version':null}", 7},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct document *document = parsed(cases[i].body);
        uint64_t number = 7;
        char message[MESSAGE_BYTES];
        assert_int_equal(document_u64(document, "version", &number, message), ERR_NONE);
        assert_true(number == cases[i].number);
        document_free(document);
    }
}

static void member_of_the_wrong_type_is_named_in_the_casing_of_the_body(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        bool text;
        const char *message;
    } cases[] = {
        {"{'service_id':5}", true, "service_id: must be a string, is 5"},
        {"{'serviceId':5}", true, "serviceId: must be a string, is 5"},
        {"{'service_id':['\xC3\xBC']}", true, "service_id: must be a string, is ['\xC3\xBC']"},
        {"{'service_id':'a','serviceId':'b'}", true,
         "serviceId: is given twice, as service_id and serviceId"},
        {"{'service_id':-1}", false, "service_id: must be an integer from 0, is -1"},
        {"{'service_id':1.5}", false, "service_id: must be an integer from 0, is 1.5"},
        {"{'service_id':'1'}", false, "service_id: must be an integer from 0, is '1'"},
        {"{'serviceId':true}", false, "serviceId: must be an integer from 0, is true"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct document *document = parsed(cases[i].body);
        struct slice word = SLICE("before");
        uint64_t number = 7;
        char message[MESSAGE_BYTES] = "";
        char *expected = quoted_text("%s", cases[i].message);
        enum error error = cases[i].text ? document_text(document, "service_id", &word, message)
                                         : document_u64(document, "service_id", &number, message);
        assert_int_equal(error, ERR_INVALID_FIELD);
        assert_string_equal(message, expected);
        assert_true(slice_equal(word, SLICE("before")));
        assert_int_equal(number, 7);
        free(expected);
        document_free(document);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(body_that_is_not_json),
        cmocka_unit_test(body_that_is_not_an_object),
        cmocka_unit_test(body_with_bytes_after_its_end),
        cmocka_unit_test(body_nested_10000_deep),
        cmocka_unit_test(body_with_invalid_utf8),
        cmocka_unit_test(body_with_a_nul_in_it),
        cmocka_unit_test(body_with_a_name_given_twice),
        cmocka_unit_test(body_with_a_number_out_of_range),
        cmocka_unit_test(long_body_that_is_not_json),
        cmocka_unit_test(empty_document),
        cmocka_unit_test(text_by_either_name),
        cmocka_unit_test(number_bounds),
        cmocka_unit_test(member_of_the_wrong_type_is_named_in_the_casing_of_the_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
