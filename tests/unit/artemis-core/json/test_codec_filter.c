/* SPDX-License-Identifier: Apache-2.0
 *
 * The filter in a message of a WebSocket.
 */
#include "artemis-core/json/codec.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/cmocka_all.h"

/* Reads a message in which single quotes stand for double ones. */
static enum error read(const char *text, struct document **document, struct instance_filter *filter,
                       bool *given, char message[MESSAGE_BYTES])
{
    char json[4096];
    snprintf(json, sizeof(json), "%s", text);
    for (char *c = json; *c; c++)
        if (*c == '\'')
            *c = '"';
    message[0] = '\0';
    assert_int_equal(document_parse(slice_of(json), document, message), ERR_NONE);
    return document_filter(*document, filter, given, message);
}

static void members_are_those_of_the_query(void **state)
{
    (void)state;
    struct document *document;
    struct instance_filter filter;
    bool given;
    char message[MESSAGE_BYTES];
    assert_int_equal(read("{'filter':{'zone':'z','region':'r','status':'up,down','meta':{'b':'2',"
                          "'a':''}}}",
                          &document, &filter, &given, message),
                     ERR_NONE);
    assert_true(given);
    assert_true(slice_equal(filter.zone, SLICE("z")));
    assert_true(slice_equal(filter.region, SLICE("r")));
    assert_int_equal(filter.statuses, 1 << STATUS_UP | 1 << STATUS_DOWN);
    assert_int_equal(filter.metadata_count, 2);
    assert_true(slice_equal(filter.metadata[0].name, SLICE("a")));
    assert_int_equal(filter.metadata[0].value.size, 0);
    assert_true(slice_equal(filter.metadata[1].value, SLICE("2")));
    assert_int_equal(filter.near_region.size, 0);
    assert_int_equal(document_names(document), NAMES_NEUTRAL);
    document_free(document);
}

static void filter_without_members_selects_everything(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        bool given;
    } rows[] = {
        {"{}", false},
        {"{'filter':null}", false},
        {"{'filter':{}}", true},
        {"{'filter':{'zone':null,'meta':null,'near':null,'status':'all'}}", true},
        {"{'filter':{'meta':{}}}", true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct document *document;
        struct instance_filter filter;
        bool given;
        char message[MESSAGE_BYTES];
        assert_int_equal(read(rows[i].json, &document, &filter, &given, message), ERR_NONE);
        assert_int_equal(given, rows[i].given);
        assert_true(instance_filter_selects_all(&filter));
        document_free(document);
    }
}

static void invalid_filter_is_refused_with_its_member(void **state)
{
    (void)state;
    enum { ID_BYTES = 300 };
    char id[ID_BYTES + 1] = "";
    char long_zone[ID_BYTES + 64];
    char long_name[ID_BYTES + 64];
    memset(id, 'i', ID_BYTES);
    snprintf(long_zone, sizeof(long_zone), "{'filter':{'zone':'%s'}}", id);
    snprintf(long_name, sizeof(long_name), "{'filter':{'%s':'a'}}", id);
    const struct {
        const char *json, *message;
    } rows[] = {
        {"{'filter':1}", "filter: must be an object, is 1"},
        {"{'filter':{'zones':'a'}}", "filter: has no member \"zones\"; its members are"},
        {"{'filter':{'zones':null}}", "filter: has no member \"zones\"; its members are"},
        {long_name, "filter: has no member \"iii"},
        {long_zone, "filter.zone: must be 1 to 255 bytes, is \"iii"},
        {"{'filter':{'region':true}}", "filter.region: must be a string, is true"},
        {"{'filter':{'status':''}}", "filter.status: must be all, or some of"},
        {"{'filter':{'near':'a/b'}}", "filter.near: is not accepted"},
        {"{'filter':{'meta':{'a':null}}}",
         "filter.meta: the value of \"a\" must be a string, is null"},
        {"{'filter':{'meta':[]}}", "filter.meta: must be an object, is []"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct document *document;
        struct instance_filter filter;
        bool given;
        char message[MESSAGE_BYTES];
        assert_int_equal(read(rows[i].json, &document, &filter, &given, message),
                         ERR_INVALID_FIELD);
        assert_memory_equal(message, rows[i].message, strlen(rows[i].message));
        document_free(document);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_those_of_the_query),
        cmocka_unit_test(filter_without_members_selects_everything),
        cmocka_unit_test(invalid_filter_is_refused_with_its_member),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
