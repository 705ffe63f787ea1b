/* SPDX-License-Identifier: Apache-2.0
 *
 * fast_parser never reads a text differently from Jansson (tests/support/parser_agreement.h), and
 * it accepts texts of the usual form. Random damage is applied to such texts (SEED replays a run).
 * In these tests ' stands for " in JSON.
 */
#include "artemis-core/json/fast_parser.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/parser_agreement.h"

enum { DAMAGED_BODIES = 200000, LIMIT = 100, TEXT_BYTES = 2048 };

static const char *const usual_bodies[] = {
    "{'instance_keys':[{'region_id':'local','zone_id':'zone1','service_id':'web','instance_id':'w'}"
    "]}",
    "{'instanceKeys':[{'regionId':'l','zoneId':'z','serviceId':'S','groupId':'','instanceId':'i1'},"
    "{'regionId':'l','zoneId':'z','serviceId':'S','instanceId':'i2'}]}",
    " {\n 'instance_keys' : [ { 'region_id' : 'a b' , 'zoneId':'z' } , {'instance_id':'x'} "
    "]\t}\r\n",
    "{'instance_keys':[{'group_id':'default','region_id':'','zone_id':'/"
    "?#','service_id':'A.b_c'}]}",
    "{'instance_keys':[{'region_id':'r','instance_id':'i','version':117712345678901234,"
    "'origin':'node-1','age_ms':0},{'age_ms' : 12 , 'version':7,'origin':''}]}",
    "{'instance_keys':[{'region_id':'r','zone_id':'z','service_id':'S','group_id':'default',"
    "'instance_id':'i','revision':7,'version':117712345678901234,'origin':'n\xC3\xBC','age_ms':12}]"
    "}",
    "{'instance_keys':[{'region_id':'r','zone_id':'z','service_id':'s','group_id':'DEFAULT',"
    "'instance_id':'i','age_ms':12,'guarded':true,'confirming':true,'rounds':3},{'region_id':'r',"
    "'zone_id':'','service_id':'s','instance_id':'i','version':1,'origin':'n'} , "
    "{'region_id':'r'}]}",
    "{'instanceKeys':[{'regionId':'r','zoneId':'z','serviceId':'A service ID of 16++ bytes',"
    "'groupId':'g','instanceId':'i','deleted':true}]}",
    "{'instance_keys':[{'region_id':'r\xC3\xBC\xF0\x9F\x98\x80','zone_id':null,'ip':'x\x7f'}]}",
    "{'instances':[{'region_id':'r','zone_id':'z','service_id':'s','instance_id':'i','ip':'::1',"
    "'port':8080,'url':'http://x','status':'up','machine_name':'m','protocol':'http',"
    "'health_check_url':'/h','metadata':{'a':'b','':'','c':'\xE2\x82\xAC'}}]}",
    "{'instances':[{'metadata':null,'port':0,'healthCheckUrl':'h','machineName':'m','instanceId':"
    "'i','serviceId':'S','zoneId':'z','regionId':'r','url':'u'},{'metadata':{},'ip':null}]}",
    "{'instances':[{'region_id':'r','zone_id':'z','service_id':'s','instance_id':'i','ip':'a',"
    "'port':70000,'metadata':{'a':'b'},'version':999999999999999999,'origin':'','age_ms':3}]}",
    "{'instances':[{'region_id':'r','zone_id':'z','service_id':'s','instance_id':'i','ip':'a',"
    "'weight':1000},{'ip':'a','weight':0},{'weight':1001},{ 'weight' : null }]}",
    "{'instance_keys':[{'region_id':'r','zone_id':'z','service_id':'s','instance_id':'i',"
    "'version':117712345678901234,'origin':'n','age_ms':12,'weight':7}]}",
    "{'instance_keys':[{'region_id':'r','zone_id':'z','service_id':'s','instance_id':'i',"
    "'machineName':'m'}]}",
    "{'instances':[{'region_id':'r','instance_id':'i'},{'regionId':'r','zoneId':'z','serviceId':'s'"
    ","
    "'instanceId':'i','ip':'x'},{'region_id':'r'}]}",
    "{'instance_keys':[{'region_id':'r','zone_id':'z','service_id':'s','instance_id':'i'},{'"
    "regionId':"
    "'r','zoneId':'z','serviceId':'s','instanceId':'i'},{'region_id':'r'}]}",
    "{'instance_keys':[{'region_id':'r','zone_id':'z','service_id':'s','instance_id':'i',"
    "'healthCheckUrl':null},{'instance_id':'x'}]}",
};

static const char *const usual_records[] = {
    "{'region_id':'r','zone_id':'z','service_id':'s','instance_id':'i','ip':'10.0.0.1','port':80,"
    "'url':'http://10.0.0.1:80','status':'up','metadata':{'a':'b'},'version':117712345678901234,"
    "'origin':'node-1','age_ms':1234} , and more",
    "{'region_id':'r','zone_id':'z','service_id':'s','instance_id':'i','version':5,'origin':'n',"
    "'age_ms':1,'deleted':true}",
    "{'service_id':'s','instance_id':'i','revision':999999999999999999,'version':5,'origin':'n'}",
    "{ 'deleted' : false , 'revision':null,'origin':null,'version':null,'age_ms':null,'port':null "
    "} ]",
};

static size_t quote(const char *from, char to[TEXT_BYTES])
{
    size_t size = strlen(from);
    assert_true(size < TEXT_BYTES);
    for (size_t i = 0; i <= size; i++)
        to[i] = from[i] == '\'' ? '"' : from[i];
    return size;
}

/* Whether fast_parser accepts it as a record or as a body. */
static bool is_accepted(struct slice text)
{
    bool body = agreement_check_body(text, true, LIMIT) || agreement_check_body(text, false, LIMIT);
    return agreement_check_record(text) || body;
}

static bool text_is_accepted(const char *text)
{
    char buffer[TEXT_BYTES];
    return is_accepted((struct slice){buffer, quote(text, buffer)});
}

static void usual_form_is_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(usual_bodies) / sizeof(usual_bodies[0]); i++)
        if (!text_is_accepted(usual_bodies[i]))
            fail_msg("rejected: %s", usual_bodies[i]);
    for (size_t i = 0; i < sizeof(usual_records) / sizeof(usual_records[0]); i++)
        if (!text_is_accepted(usual_records[i]))
            fail_msg("rejected: %s", usual_records[i]);
}

static void other_bodies_are_rejected(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",
        "[]",
        "{}",
        "{'instance_keys':[]}",
        "{'instance_keys':[{}]}",
        "{'instance_keys':null}",
        "{'instances':{'region_id':'a'}}",
        "{'instanceKey':[{'region_id':'a'}]}",
        "{'instance_keys':[{'region_id':'a','metadata':{'a':'b'}}]}",
        "{'instance_keys':[{'region_id':'a'}],'x':1}",
        "{'instance_keys':[{'region_id':'a'},]}",
        "{'instance_keys':[{'region_id':'a'},null]}",
        "{'instance_keys':[{'region_id':'a'}]",
        "{'instance_keys':[{'region_id':'a'}]}}",
        "{'instance_keys':[{'region_id':'a'}]} x",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        if (text_is_accepted(bodies[i]))
            fail_msg("accepted: %s", bodies[i]);
}

static const char *const rejected_members[] = {
    "'region_id':'a','x':'b'",
    "'region_id':'a','region_id':'a'",
    "'region_id':'a','regionId':'a'",
    "'region_id':null,'regionId':'a'",
    "'region_i':'a'",
    "'region_idx':'a'",
    "'region_id':'\\u0061'",
    "'region_id':'a\\\\b'",
    "'region_id':'\xFC'",
    "'region_id':'\xC0\x80'",
    "'region_id':'\xED\xA0\x80'",
    "'region_id':'a\nb'",
    "'region_id':'a long text\x80 of bytes'",
    "'region_id':'a long text\x1F of bytes'",
    "'region_id':'a long text\\\\ of bytes'",
    "'region_id':1",
    "'region_id':nul",
    "'region_id':nullx",
    "'region_id':['a']",
    "'region_id':{'a':'b'}",
    "'region_id':true",
    "'region_id':'a',",
    "'region_id' 'a'",
    "'region_id':'a",
    "'region_id'",
    "region_id:'a'",
    "'port':01",
    "'port':-1",
    "'port':-0",
    "'port':1.5",
    "'port':1e3",
    "'port':1E3",
    "'port':+1",
    "'port':0x1",
    "'port':'80'",
    "'port':true",
    "'port':1234567890123456789",
    "'port':80,'port':80",
    "'weight':-1",
    "'weight':1.0",
    "'weight':'1'",
    "'weight':true",
    "'weight':7,'weight':7",
    "'version':'1'",
    "'revision':'1'",
    "'revision':-1",
    "'revision':1.5",
    "'age_ms':1,'age_ms':1",
    "'ageMs':1",
    "'origin':1",
    "'deleted':1",
    "'deleted':truex",
    "'deleted':'true'",
    "'metadata':[]",
    "'metadata':'a'",
    "'metadata':{'a':1}",
    "'metadata':{'a':true}",
    "'metadata':{'a':null}",
    "'metadata':{'a':{'b':'c'}}",
    "'metadata':{'a':'b','a':'b'}",
    "'metadata':{'a':'b',}",
    "'metadata':{,}",
    "'metadata':{'a'}",
    "'metadata':{'a':'b'",
    "'metadata':{'a':'\\n'}",
    "'metadata':{'\\n':'a'}",
};

static void other_records_are_rejected(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rejected_members) / sizeof(rejected_members[0]); i++) {
        char text[TEXT_BYTES];
        snprintf(text, sizeof(text), "{%s}", rejected_members[i]);
        if (text_is_accepted(text))
            fail_msg("accepted: %s", text);
        snprintf(text, sizeof(text), "{'instances':[{'zone_id':'z',%s}]}", rejected_members[i]);
        if (text_is_accepted(text))
            fail_msg("accepted: %s", text);
    }
    assert_false(is_accepted(SLICE("{\"region_id\":\"a\0b\"}")));
    assert_false(is_accepted(SLICE("{\"region_id\0\":\"a\"}")));
}

/* A truncated record is rejected, without reading behind its end. */
static void truncated_record_is_rejected(void **state)
{
    (void)state;
    char text[TEXT_BYTES];
    size_t size = quote(usual_records[1], text);
    for (size_t cut = 0; cut < size; cut++) {
        struct metadata_entry metadata[METADATA_ENTRIES_MAX];
        struct fast_record item = {.metadata = metadata};
        char *part = malloc(cut + 1); /* exactly sized, so that ASan finds reads behind the end */
        memcpy(part, text, cut);
        part = realloc(part, cut ? cut : 1);
        assert_false(fast_record_read((struct slice){part, cut}, &item));
        free(part);
    }
    assert_true(is_accepted((struct slice){text, size}));
}

static void metadata_of_64_entries_and_one_more(void **state)
{
    (void)state;
    struct text text = {0};
    for (int count = METADATA_ENTRIES_MAX; count <= METADATA_ENTRIES_MAX + 1; count++) {
        text_clear(&text);
        text_append_string(&text, "{\"metadata\":{");
        for (int i = 0; i < count; i++)
            text_printf(&text, "%s\"%d\":\"v\"", i ? "," : "", i);
        text_append_string(&text, "}}");
        assert_int_equal(is_accepted((struct slice){text.data, text.size}),
                         count == METADATA_ENTRIES_MAX);
    }
    text_free(&text);
}

static void more_items_than_the_limit_are_rejected(void **state)
{
    (void)state;
    struct text body = {0};
    text_append_string(&body, "{\"instance_keys\":[");
    for (int i = 0; i < LIMIT; i++)
        text_printf(&body, "%s{\"instance_id\":\"%d\"}", i ? "," : "", i);
    size_t size = body.size;
    text_append_string(&body, "]}");
    assert_true(agreement_check_body((struct slice){body.data, body.size}, true, LIMIT));
    body.size = size;
    text_append_string(&body, ",{\"instance_id\":\"one more\"}]}");
    assert_false(agreement_check_body((struct slice){body.data, body.size}, true, LIMIT));
    text_free(&body);
}

static void casing_is_recorded_for_each_item(void **state)
{
    (void)state;
    static const enum name_casing expected[] = {NAMES_SNAKE, NAMES_CAMEL, NAMES_NEUTRAL};
    struct fast_list list;
    struct fast_record item = {0};
    assert_true(fast_list_open(
        SLICE("{\"instance_keys\":[{\"zone_id\":\"a\"},{\"zoneId\":\"b\"},{\"ip\":\"c\"}]}"), true,
        &list));
    assert_int_equal(list.names, NAMES_SNAKE);
    for (int i = 0; i < 3; i++) {
        assert_true(fast_list_take(&list, &item));
        assert_int_equal(item.names, expected[i]);
        assert_int_equal(fast_list_continues(&list), i < 2);
    }
    assert_true(fast_list_ends(&list));
}

/* Keys of each size around those of the blocks that are copied, and around the limits. */
static void keys_of_each_size_are_packed(void **state)
{
    (void)state;
    struct text body = {0};
    for (int part = 0; part < KEY_FIELDS; part++)
        for (int size = 0; size <= ID_BYTES_MAX + 1; size += size < 40 || size >= 250 ? 1 : 15) {
            text_clear(&body);
            text_append_string(&body, "{\"instance_keys\":[");
            for (int item = 0; item < 2; item++) {
                for (enum instance_field field = 0; field < KEY_FIELDS; field++)
                    text_printf(
                        &body, "%s\"%s\":\"%.*s\"",
                        field  ? ","
                        : item ? ",{"
                               : "{",
                        instance_field_info(field)->name, (int)field == part ? size : 3,
                        "DEFAULTabcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@[`{~"
                        " "
                        "-._/DEFAULTabcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@"
                        "[`{~ "
                        "-._/DEFAULTabcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456"
                        "789@[`{~ -._/0123456789012345678901234567890123456789");
                text_append_string(&body, "}");
            }
            text_append_string(&body, "]}");
            char *exact = malloc(body.size); /* so that ASan finds reads behind the end */
            memcpy(exact, body.data, body.size);
            assert_true(agreement_check_body((struct slice){exact, body.size}, true, LIMIT));
            free(exact);
        }
    text_free(&body);
}

/* --- damage ----------------------------------------------------------------------------------- */

static unsigned chance(unsigned *seed, unsigned below)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 8) % below;
}

static size_t damage(unsigned *seed, char *body, size_t size, size_t capacity)
{
    static const char pieces[] =
        "\"\"{}[],,::\\ \n\t\x01\x7f\x80\xC3\xBCregion_idnull01truemetadata";
    size_t at = chance(seed, (unsigned)size);
    switch (chance(seed, 4)) {
    case 0: /* another byte */
        body[at] = pieces[chance(seed, sizeof(pieces) - 1)];
        return size;
    case 1: /* a byte less */
        memmove(body + at, body + at + 1, size - at - 1);
        return size - 1;
    case 2: /* a byte more */
        if (size == capacity)
            return size;
        memmove(body + at + 1, body + at, size - at);
        body[at] = pieces[chance(seed, sizeof(pieces) - 1)];
        return size + 1;
    default: /* a piece of itself once more */
    {
        size_t length = 1 + chance(seed, (unsigned)(size - at));
        if (size + length > capacity)
            return size;
        memmove(body + at + length, body + at, size - at);
        return size + length;
    }
    }
}

static void damaged_texts_are_read_as_by_jansson(void **state)
{
    (void)state;
    enum {
        BODIES = sizeof(usual_bodies) / sizeof(usual_bodies[0]),
        RECORDS = sizeof(usual_records) / sizeof(usual_records[0])
    };
    const char *given = getenv("SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : 4711;
    print_message("SEED=%u\n", seed);
    unsigned count = 0;
    for (int i = 0; i < DAMAGED_BODIES; i++) {
        char text[TEXT_BYTES];
        unsigned which = chance(&seed, BODIES + RECORDS);
        size_t size =
            quote(which < BODIES ? usual_bodies[which] : usual_records[which - BODIES], text);
        for (unsigned n = 1 + chance(&seed, 3); n > 0 && size > 1; n--)
            size = damage(&seed, text, size, sizeof(text));
        count += is_accepted((struct slice){text, size});
    }
    print_message("%u of %d damaged texts were accepted\n", count, DAMAGED_BODIES);
    assert_true(count > 1000); /* enough texts were compared */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usual_form_is_accepted),
        cmocka_unit_test(other_bodies_are_rejected),
        cmocka_unit_test(other_records_are_rejected),
        cmocka_unit_test(truncated_record_is_rejected),
        cmocka_unit_test(metadata_of_64_entries_and_one_more),
        cmocka_unit_test(more_items_than_the_limit_are_rejected),
        cmocka_unit_test(casing_is_recorded_for_each_item),
        cmocka_unit_test(keys_of_each_size_are_packed),
        cmocka_unit_test(damaged_texts_are_read_as_by_jansson),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
