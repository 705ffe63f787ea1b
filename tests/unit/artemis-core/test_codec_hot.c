/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader of ordinary heartbeat bodies must never read what Jansson reads otherwise. So:
 * whatever it takes, Jansson takes too and finds the same parts; and what it is for, it takes.
 * Bodies are made from ordinary ones by random damage (SEED replays).
 */
#include "artemis-core/codec_hot.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka_all.h"

enum { DAMAGED_BODIES = 200000, LIMIT = 100 };

static const char *const ordinary[] = {
    "{\"instance_keys\":[{\"region_id\":\"local\",\"zone_id\":\"zone1\",\"service_id\":\"web\","
    "\"instance_id\":\"web-1\"}]}",
    "{\"instanceKeys\":[{\"regionId\":\"l\",\"zoneId\":\"z\",\"serviceId\":\"S\",\"groupId\":\"\","
    "\"instanceId\":\"i1\"},{\"regionId\":\"l\",\"zoneId\":\"z\",\"serviceId\":\"S\","
    "\"instanceId\":\"i2\"}]}",
    " {\n \"instance_keys\" : [ { \"region_id\" : \"a b\" , \"zoneId\":\"z\" } , {\"instance_id\":"
    "\"x\"} ]\t}\r\n",
    "{\"instance_keys\":[{\"group_id\":\"default\",\"region_id\":\"\",\"zone_id\":\"/?#\","
    "\"service_id\":\"A.b_c\",\"instance_id\":\"~\"}]}",
    "{\"instance_keys\":[{\"region_id\":\"r\",\"instance_id\":\"i\",\"version\":117712345678901234,"
    "\"origin\":\"node-1\",\"age_ms\":0},{\"age_ms\" : 12 , \"version\":7,\"origin\":\"\"}]}",
};

/* What Jansson finds under either name; NULL for absent. */
static const char *member(const json_t *item, enum instance_field field)
{
    const json_t *value = json_object_get(item, instance_field_info(field)->name);
    if (!value)
        value = json_object_get(item, instance_field_info(field)->camel);
    return json_string_value(value);
}

/* What a peer adds; returns how many members of it there are. */
static size_t check_same_extras(const json_t *item, const struct hot_item *hot)
{
    const json_t *version = json_object_get(item, "version");
    const json_t *age = json_object_get(item, "age_ms");
    const json_t *origin = json_object_get(item, "origin");
    assert_true(!version || json_is_integer(version));
    assert_true(!age || json_is_integer(age));
    assert_int_equal(json_integer_value(version), hot->version.stamp);
    assert_int_equal(json_integer_value(age), hot->age_ms);
    assert_int_equal(origin != NULL, hot->version.origin.data != NULL);
    if (origin)
        assert_true(slice_equal(slice_of(json_string_value(origin)), hot->version.origin));
    return (size_t)(version != NULL) + (size_t)(age != NULL) + (size_t)(origin != NULL);
}

static void check_same_item(const json_t *item, const struct hot_item *hot)
{
    const struct slice *parts = hot->parts;
    size_t members = check_same_extras(item, hot);
    for (enum instance_field field = 0; field < KEY_FIELDS; field++) {
        const char *expected = member(item, field);
        assert_int_equal(expected != NULL, parts[field].data != NULL);
        if (!expected)
            continue;
        assert_true(slice_equal(slice_of(expected), parts[field]));
        members++;
    }
    assert_int_equal(members, json_object_size(item));
}

/* True when the body is taken; then Jansson must agree with all of it. */
static bool taken_as_jansson_does(struct slice body)
{
    struct hot_keys keys;
    if (!hot_keys_scan(body, LIMIT, &keys))
        return false;
    json_error_t why;
    json_t *root = json_loadb(body.data, body.size, JSON_REJECT_DUPLICATES, &why);
    if (!root)
        fail_msg("Jansson refuses (%s): %.*s", why.text, (int)body.size, body.data);
    assert_int_equal(json_object_size(root), 1);
    const json_t *list = json_object_get(root, keys.camel_root ? "instanceKeys" : "instance_keys");
    assert_int_equal(json_array_size(list), keys.count);
    /* Backwards too: reading out of order starts again. */
    for (size_t i = 0; i < 2 * keys.count; i++) {
        size_t index = i < keys.count ? i : 2 * keys.count - 1 - i;
        struct hot_item item;
        bool camel = false;
        hot_keys_read(&keys, index, &item, &camel);
        check_same_item(json_array_get(list, index), &item);
    }
    json_decref(root);
    return true;
}

static void ordinary_bodies_are_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(ordinary) / sizeof(ordinary[0]); i++)
        assert_true(taken_as_jansson_does(slice_of(ordinary[i])));
}

static void other_bodies_are_left_alone(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",
        "{}",
        "[]",
        "{\"instance_keys\":[]}",
        "{\"instance_keys\":[{}]}",
        "{\"instance_keys\":null}",
        "{\"instances\":[{\"region_id\":\"a\"}]}",
        "{\"instance_keys\":[{\"region_id\":\"a\"}],\"x\":1}",
        "{\"instance_keys\":[{\"region_id\":\"a\",\"x\":\"b\"}]}",
        "{\"instance_keys\":[{\"region_id\":\"a\",\"region_id\":\"a\"}]}",
        "{\"instance_keys\":[{\"region_id\":\"a\",\"regionId\":\"a\"}]}",
        "{\"instance_keys\":[{\"region_id\":\"\\u0061\"}]}",
        "{\"instance_keys\":[{\"region_id\":\"\xC3\xBC\"}]}",
        "{\"instance_keys\":[{\"region_id\":\"a\nb\"}]}",
        "{\"instance_keys\":[{\"region_id\":null}]}",
        "{\"instance_keys\":[{\"region_id\":1}]}",
        "{\"instance_keys\":[{\"region_id\":\"a\",\"version\":01}]}",
        "{\"instance_keys\":[{\"region_id\":\"a\",\"version\":-1}]}",
        "{\"instance_keys\":[{\"region_id\":\"a\",\"version\":1.5}]}",
        "{\"instance_keys\":[{\"region_id\":\"a\",\"version\":1e3}]}",
        "{\"instance_keys\":[{\"region_id\":\"a\",\"version\":1234567890123456789}]}",
        "{\"instance_keys\":[{\"region_id\":\"a\",\"version\":\"1\"}]}",
        "{\"instance_keys\":[{\"region_id\":\"a\",\"version\":null}]}",
        "{\"instance_keys\":[{\"region_id\":\"a\",\"age_ms\":1,\"age_ms\":1}]}",
        "{\"instance_keys\":[{\"region_id\":\"a\",\"origin\":1}]}",
        "{\"instance_keys\":[{\"region_id\":\"a\",\"deleted\":true}]}",
        "{\"instance_keys\":[{\"region_id\":\"a\"},]}",
        "{\"instance_keys\":[{\"region_id\":\"a\",}]}",
        "{\"instance_keys\":[{\"region_id\":\"a\"}]",
        "{\"instance_keys\":[{\"region_id\":\"a\"}]}}",
        "{\"instance_keys\":[{\"region_id\":\"a\"}]} x",
        "{\"instance_keys\":[{\"region_id\":\"a}]}",
        "{\"instance_keys\":[{\"region_id\" \"a\"}]}",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct hot_keys keys;
        if (hot_keys_scan(slice_of(bodies[i]), LIMIT, &keys))
            fail_msg("taken: %s", bodies[i]);
    }
    struct hot_keys keys;
    const struct slice nul = SLICE("{\"instance_keys\":[{\"region_id\":\"a\0b\"}]}");
    assert_false(hot_keys_scan(nul, LIMIT, &keys));
}

static void more_items_than_the_limit_are_left_alone(void **state)
{
    (void)state;
    struct text body = {0};
    text_append_string(&body, "{\"instance_keys\":[");
    for (int i = 0; i < LIMIT; i++)
        text_printf(&body, "%s{\"instance_id\":\"%d\"}", i ? "," : "", i);
    struct hot_keys keys;
    size_t size = body.size;
    text_append_string(&body, "]}");
    assert_true(hot_keys_scan((struct slice){body.data, body.size}, LIMIT, &keys));
    assert_int_equal(keys.count, LIMIT);
    body.size = size;
    text_append_string(&body, ",{\"instance_id\":\"one more\"}]}");
    assert_false(hot_keys_scan((struct slice){body.data, body.size}, LIMIT, &keys));
    text_free(&body);
}

static void camel_names_are_noticed_item_by_item(void **state)
{
    (void)state;
    struct hot_keys keys;
    struct hot_item item;
    bool camel = false;
    assert_true(hot_keys_scan(SLICE("{\"instance_keys\":[{\"zone_id\":\"a\"},{\"zoneId\":\"b\"}]}"),
                              LIMIT, &keys));
    assert_false(keys.camel_root);
    hot_keys_read(&keys, 0, &item, &camel);
    assert_false(camel);
    hot_keys_read(&keys, 1, &item, &camel);
    assert_true(camel);
}

/* --- damage ----------------------------------------------------------------------------------- */

static unsigned chance(unsigned *seed, unsigned below)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 8) % below;
}

static size_t damage(unsigned *seed, char *body, size_t size, size_t room)
{
    static const char pieces[] = "\"\"{}[],,::\\ \n\t\x01\x7f\x80\xC3\xBCregion_idnull0";
    size_t at = chance(seed, (unsigned)size);
    switch (chance(seed, 4)) {
    case 0: /* another byte */
        body[at] = pieces[chance(seed, sizeof(pieces) - 1)];
        return size;
    case 1: /* a byte less */
        memmove(body + at, body + at + 1, size - at - 1);
        return size - 1;
    case 2: /* a byte more */
        if (size == room)
            return size;
        memmove(body + at + 1, body + at, size - at);
        body[at] = pieces[chance(seed, sizeof(pieces) - 1)];
        return size + 1;
    default: /* a piece of itself once more */
    {
        size_t length = 1 + chance(seed, (unsigned)(size - at));
        if (size + length > room)
            return size;
        memmove(body + at + length, body + at, size - at);
        return size + length;
    }
    }
}

static void damaged_bodies_are_read_as_jansson_does(void **state)
{
    (void)state;
    const char *given = getenv("SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : 4711;
    print_message("SEED=%u\n", seed);
    unsigned taken = 0;
    for (int i = 0; i < DAMAGED_BODIES; i++) {
        char body[2048];
        const char *from = ordinary[chance(&seed, sizeof(ordinary) / sizeof(ordinary[0]))];
        size_t size = strlen(from);
        memcpy(body, from, size);
        for (unsigned n = 1 + chance(&seed, 3); n > 0 && size > 1; n--)
            size = damage(&seed, body, size, sizeof(body));
        taken += taken_as_jansson_does((struct slice){body, size});
    }
    print_message("%u of %d damaged bodies were taken\n", taken, DAMAGED_BODIES);
    assert_true(taken > 1000); /* the comparison has been made */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary_bodies_are_taken),
        cmocka_unit_test(other_bodies_are_left_alone),
        cmocka_unit_test(more_items_than_the_limit_are_left_alone),
        cmocka_unit_test(camel_names_are_noticed_item_by_item),
        cmocka_unit_test(damaged_bodies_are_read_as_jansson_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
