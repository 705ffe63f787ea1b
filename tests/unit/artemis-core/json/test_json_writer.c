/* SPDX-License-Identifier: Apache-2.0
 *
 * The writer's JSON is compact and well-formed, Jansson reads from it what was written, and times
 * are RFC 3339.
 */
#include "artemis-core/json/json_writer.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

/* A document with one of each, nested and empty. */
static void write_everything(struct json_writer *w)
{
    jw_open(w, '{');
    jw_name(w, "service_id");
    jw_string(w, "a\"b");
    jw_name(w, "empty_list");
    jw_open(w, '[');
    jw_close(w, ']');
    jw_name(w, "list");
    jw_open(w, '[');
    jw_u64(w, 0);
    jw_u64(w, UINT64_MAX);
    jw_bool(w, true);
    jw_bool(w, false);
    jw_null(w);
    jw_open(w, '{');
    jw_verbatim_name(w, SLICE("my_\"name\""));
    jw_text(w, SLICE("v"));
    jw_verbatim_name(w, SLICE("n"));
    jw_raw(w, SLICE("[1]"));
    jw_close(w, '}');
    jw_rfc3339(w, 0);
    jw_close(w, ']');
    jw_name(w, "last_one");
    jw_open(w, '{');
    jw_close(w, '}');
    jw_close(w, '}');
}

static void check_written(enum casing casing, const char *expected)
{
    struct text text = {0};
    struct json_writer w = jw_to(&text, casing);
    write_everything(&w);
    assert_string_equal(text_string(&text), expected);
    text_free(&text);
}

static void write_each_kind_in_snake_case(void **state)
{
    (void)state;
    check_written(CASING_SNAKE,
                  "{\"service_id\":\"a\\\"b\",\"empty_list\":[],\"list\":[0,18446744073709551615,"
                  "true,false,null,{\"my_\\\"name\\\"\":\"v\",\"n\":[1]},"
                  "\"1970-01-01T00:00:00.000Z\"],\"last_one\":{}}");
}

static void write_each_kind_in_camel_case(void **state)
{
    (void)state;
    check_written(CASING_CAMEL,
                  "{\"serviceId\":\"a\\\"b\",\"emptyList\":[],\"list\":[0,18446744073709551615,"
                  "true,false,null,{\"my_\\\"name\\\"\":\"v\",\"n\":[1]},"
                  "\"1970-01-01T00:00:00.000Z\"],\"lastOne\":{}}");
}

static void foreign_bytes_become_valid_utf_8(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        const char *expected;
    } cases[] = {
        {"", "\"\""},
        {"plain \"text\"", "\"plain \\\"text\\\"\""},
        {"\xc3\xa4", "\"\xc3\xa4\""},
        {"b\xe4"
         "d\n",
         "\"b\xef\xbf\xbd"
         "d\\n\""},
        {"cut \xe2\x82", "\"cut \xef\xbf\xbd\xef\xbf\xbd\""}, /* of 3 bytes */
        {"\xff", "\"\xef\xbf\xbd\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct text text = {0};
        struct json_writer w = jw_to(&text, CASING_SNAKE);
        jw_foreign(&w, cases[i].bytes);
        assert_string_equal(text_string(&text), cases[i].expected);
        text_free(&text);
    }
}

static void camel_of_a_name(void **state)
{
    (void)state;
    static const struct {
        const char *snake;
        const char *camel;
    } cases[] = {
        {"url", "url"},
        {"service_id", "serviceId"},
        {"health_check_url", "healthCheckUrl"},
        {"failed_instance_keys", "failedInstanceKeys"},
        {"age_ms", "ageMs"},
        {"p_99", "p_99"}, /* nothing to raise */
        {"x_", "x_"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[64];
        out[jw_camel(out, cases[i].snake)] = '\0';
        assert_string_equal(out, cases[i].camel);
    }
}

/* --- escapes ---------------------------------------------------------------------------------- */

static void escape_of_each_special_byte(void **state)
{
    (void)state;
    struct text text = {0};
    struct json_writer w = jw_to(&text, CASING_SNAKE);
    jw_text(&w, SLICE("\"\\/\b\f\n\r\t\x01\x1f\x7f\0é"));
    assert_string_equal(text_string(&text), "\"\\\"\\\\/\\u0008\\u000c\\n\\r\\t\\u0001\\u001f\x7f"
                                            "\\u0000é\"");
    text_free(&text);
}

/* Appends a random code point, often one that needs care. */
static void append_code_point(struct text *text)
{
    static const unsigned special[] = {'"', '\\', '/', 0, 1, 0x1f, 0x7f, 0x80, 0x2028, 0xFFFF};
    unsigned c;
    switch (rand() % 4) {
    case 0:
        c = special[(size_t)rand() % (sizeof(special) / sizeof(special[0]))];
        break;
    case 1:
        c = (unsigned)rand() % 0x80;
        break;
    case 2:
        c = (unsigned)rand() % 0xD800;
        break;
    default:
        c = 0xE000 + (unsigned)rand() % (0x110000 - 0xE000);
    }
    if (c < 0x80) {
        text_append_char(text, (char)c);
    } else if (c < 0x800) {
        text_append_char(text, (char)(0xC0 | c >> 6));
    } else if (c < 0x10000) {
        text_append_char(text, (char)(0xE0 | c >> 12));
    } else {
        text_append_char(text, (char)(0xF0 | c >> 18));
        text_append_char(text, (char)(0x80 | (c >> 12 & 0x3F)));
    }
    if (c >= 0x800)
        text_append_char(text, (char)(0x80 | (c >> 6 & 0x3F)));
    if (c >= 0x80)
        text_append_char(text, (char)(0x80 | (c & 0x3F)));
}

static void round_trip_of_10000_random_texts(void **state)
{
    (void)state;
    srand(1);
    for (int i = 0; i < 10000; i++) {
        struct text value = {0};
        for (int length = rand() % 40; length > 0; length--)
            append_code_point(&value);
        struct text text = {0};
        struct json_writer w = jw_to(&text, CASING_SNAKE);
        jw_open(&w, '[');
        jw_text(&w, (struct slice){value.data, value.size});
        jw_close(&w, ']');
        json_t *read = json_loadb(text.data, text.size, JSON_ALLOW_NUL, NULL);
        const json_t *string = json_array_get(read, 0);
        assert_non_null(string);
        assert_true(
            slice_equal((struct slice){json_string_value(string), json_string_length(string)},
                        (struct slice){value.data, value.size}));
        json_decref(read);
        text_free(&text);
        text_free(&value);
    }
}

static void verbatim_name_round_trips(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "with_underscore", "\"", "\\", "\n", "ü€😀", " "};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct text text = {0};
        struct json_writer w = jw_to(&text, CASING_CAMEL);
        jw_open(&w, '{');
        jw_verbatim_name(&w, slice_of(names[i]));
        jw_null(&w);
        jw_close(&w, '}');
        json_t *read = json_loadb(text.data, text.size, 0, NULL);
        assert_true(json_is_null(json_object_get(read, names[i])));
        assert_int_equal(json_object_size(read), 1);
        json_decref(read);
        text_free(&text);
    }
}

/* --- times ------------------------------------------------------------------------------------ */

static void rfc3339_of_a_time(void **state)
{
    (void)state;
    static const struct {
        uint64_t wall_ms;
        const char *stamp;
    } cases[] = {
        {0, "\"1970-01-01T00:00:00.000Z\""},
        {1, "\"1970-01-01T00:00:00.001Z\""},
        {999, "\"1970-01-01T00:00:00.999Z\""},
        {1771056000123, "\"2026-02-14T08:00:00.123Z\""},
        {951782399999, "\"2000-02-28T23:59:59.999Z\""},
        {951782400000, "\"2000-02-29T00:00:00.000Z\""},
        {4102444800000, "\"2100-01-01T00:00:00.000Z\""},
        {253402300799999, "\"9999-12-31T23:59:59.999Z\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct text text = {0};
        struct json_writer w = jw_to(&text, CASING_SNAKE);
        jw_rfc3339(&w, cases[i].wall_ms);
        assert_string_equal(text_string(&text), cases[i].stamp);
        text_free(&text);
    }
}

/* --- failed allocations ----------------------------------------------------------------------- */

static void write_without_memory(void **state)
{
    (void)state;
    for (long n = 1;; n++) {
        struct text text = {0};
        long live = failing_malloc_live();
        failing_malloc_after(n);
        struct json_writer w = jw_to(&text, CASING_CAMEL);
        for (int i = 0; i < 50; i++)
            write_everything(&w);
        bool happened = failing_malloc_happened();
        assert_int_equal(text_failed(&text), happened);
        text_free(&text);
        assert_int_equal(failing_malloc_live(), live);
        if (!happened) {
            assert_true(n > 3);
            return;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(write_each_kind_in_snake_case),
        cmocka_unit_test(write_each_kind_in_camel_case),
        cmocka_unit_test(foreign_bytes_become_valid_utf_8),
        cmocka_unit_test(camel_of_a_name),
        cmocka_unit_test(escape_of_each_special_byte),
        cmocka_unit_test(round_trip_of_10000_random_texts),
        cmocka_unit_test(verbatim_name_round_trips),
        cmocka_unit_test(rfc3339_of_a_time),
        cmocka_unit_test(write_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
