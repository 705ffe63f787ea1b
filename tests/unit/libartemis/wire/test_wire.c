/* SPDX-License-Identifier: Apache-2.0
 *
 * Items of the usual form are read without a tree, and as an item with one more member, which is
 * read with Jansson. In these tests ' stands for " in JSON.
 */
#include "libartemis/wire/wire.h"

#include <string.h>

#include "tests/support/cmocka_all.h"

#define INSTANCE                                                                                   \
    "'region_id':'r','zone_id':'z','service_id':'S','instance_id':'i','ip':'10.0.0.1','port':80,"  \
    "'url':'http://10.0.0.1:80','status':'up','metadata':{'b':'2','a':'1'}"

static const char *const items[] = {
    "{" INSTANCE "}",
    "{'regionId':'r','zoneId':'z','serviceId':'s','instanceId':'i','url':'u'}",
    "{'region_id':'r','zone_id':'z','service_id':'s','instance_id':'i','port':70000,'ip':'x'}",
    "{'instance_id':'reload'}",
    "{'instance':{" INSTANCE "},'change_type':'new','change_time':'2026-02-14T08:00:00.123Z'}",
    "{'instance':{" INSTANCE "},'change_type':'change','change_time':'yesterday'}",
    "{'instance':{" INSTANCE "},'change_type':'delete','change_time':''}",
    "{'instance':{" INSTANCE "},'change_type':'unheard','change_time':''}",
    "{'instance':{" INSTANCE "},'change_type':'a type that is longer than each word of the "
    "protocol','change_time':''}",
    "{'instance':{'instance_id':'reload'},'change_type':'reload','change_time':''}",
    "{'instance':{'instance_id':'x'},'change_type':'new','change_time':''}",
};

enum { ITEMS = sizeof(items) / sizeof(items[0]) };

/* An object with a list of one item. `more`: a further member of the item. */
static void write_body(struct text *out, const char *head, const char *item, const char *more)
{
    text_clear(out);
    text_printf(out, "{%s[{%s%s]}", head, more, item + 1);
    for (size_t i = 0; i < out->size; i++)
        if (out->data[i] == '\'')
            out->data[i] = '"';
    assert_false(text_failed(out));
}

static void check_instances(const struct shared_instance *a, const struct shared_instance *b)
{
    assert_int_equal(a == NULL, b == NULL);
    assert_true(!a || shared_instance_equal(a, b));
}

static void check_changes(const struct push_change *a, const struct push_change *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(a[i].type, b[i].type);
        assert_int_equal(a[i].time_ms, b[i].time_ms);
        check_instances(a[i].instance, b[i].instance);
    }
}

static void read_push(struct text *body, const char *item, const char *more,
                      struct push_message *out)
{
    write_body(body, "'type':'service_change','version':5,'changes':", item, more);
    assert_int_equal(wire_read_push((struct slice){body->data, body->size}, out), ERR_NONE);
    assert_int_equal(out->count + out->skipped, 1);
}

static void changes_of_a_push_are_read_as_with_a_tree(void **state)
{
    (void)state;
    struct text body = {0};
    size_t taken = 0;
    for (size_t i = 0; i < ITEMS; i++) {
        struct push_message usual, other;
        read_push(&body, items[i], "", &usual);
        read_push(&body, items[i], "'x':1,", &other);
        assert_int_equal(usual.count, other.count);
        check_changes(usual.changes, other.changes, usual.count);
        taken += usual.count;
        wire_free_push(&usual);
        wire_free_push(&other);
    }
    assert_int_equal(taken, 4);
    text_free(&body);
}

static void fetch(struct text *body, const char *item, const char *more, struct wire_instances *out)
{
    struct wire_reader reader;
    write_body(body, "'response_status':{'error_code':'success'},'version':5,'instances':", item,
               more);
    wire_reader_start_instances(&reader, out);
    assert_int_equal(wire_reader_feed(&reader, (struct slice){body->data, body->size}), ERR_NONE);
    assert_int_equal(wire_reader_end(&reader), ERR_NONE);
    wire_reader_free(&reader);
    assert_int_equal(out->count + out->change_count + out->skipped, 1);
}

static void items_of_a_response_are_read_as_with_a_tree(void **state)
{
    (void)state;
    struct text body = {0};
    size_t taken = 0;
    for (size_t i = 0; i < ITEMS; i++) {
        struct wire_instances usual, other;
        fetch(&body, items[i], "", &usual);
        fetch(&body, items[i], "'x':1,", &other);
        assert_int_equal(usual.count, other.count);
        assert_int_equal(usual.change_count, other.change_count);
        check_changes(usual.changes, other.changes, usual.change_count);
        if (usual.count)
            check_instances(usual.instances[0], other.instances[0]);
        taken += usual.count;
        wire_free_instances(&usual);
        wire_free_instances(&other);
    }
    assert_int_equal(taken, 2);
    text_free(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_of_a_push_are_read_as_with_a_tree),
        cmocka_unit_test(items_of_a_response_are_read_as_with_a_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
