/* SPDX-License-Identifier: Apache-2.0
 *
 * The values that toml_read returns are written as text, one per line, and compared. Of a refused
 * file, the message is compared from its line and column on.
 */
#include "artemis-core/config/toml.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka_all.h"

static void write_value(struct text *out, const struct toml_value *value)
{
    static const char *const names[] = {"text", "integer", "boolean", "list", "table", "other"};
    text_printf(out, "%s", names[value->type]);
    if (value->type == TOML_TYPE_INTEGER)
        text_printf(out, " %" PRId64, value->integer);
    if (value->type == TOML_TYPE_BOOLEAN)
        text_printf(out, " %s", value->boolean ? "true" : "false");
    if (value->type == TOML_TYPE_TEXT || value->type == TOML_TYPE_OTHER)
        text_printf(out, " %s", value->text);
    for (size_t i = 0; i < value->count; i++)
        text_printf(out, " %s", value->items[i]);
}

static enum error write_leaf(void *context, const char *key, const struct toml_value *value,
                             uint32_t line)
{
    struct text *out = context;
    text_printf(out, "%" PRIu32 " %s: ", line, key);
    write_value(out, value);
    text_append_char(out, '\n');
    return ERR_NONE;
}

static void check_values(const char *text, const char *expected)
{
    char message[256] = "";
    struct text leaves = {0};
    enum error code =
        toml_read("a.toml", slice_of(text), write_leaf, &leaves, message, sizeof(message));
    assert_string_equal(message, "");
    assert_int_equal(code, ERR_NONE);
    assert_string_equal(text_string(&leaves), expected);
    text_free(&leaves);
}

static void check_rejected_slice(struct slice text, const char *expected)
{
    char message[256] = "";
    struct text leaves = {0};
    enum error code = toml_read("a.toml", text, write_leaf, &leaves, message, sizeof(message));
    text_free(&leaves);
    assert_int_equal(code, ERR_INVALID_FIELD);
    if (strstr(message, expected) != message)
        fail_msg("expected \"%s...\", got \"%s\"", expected, message);
}

static void empty_document_has_no_values(void **state)
{
    (void)state;
    check_values("", "");
    check_values("# only a comment\n", "");
    check_values("\xEF\xBB\xBF# after a byte order mark", "");
}

static void each_type_is_read(void **state)
{
    (void)state;
    check_values("a = 'x'\nb = -5\nc = true\nd = [\"p\", \"q\"]\ne = []\n",
                 "1 a: text x\n2 b: integer -5\n3 c: boolean true\n4 d: list p q\n5 e: list\n");
    check_values("a = 1.5\nb = inf\nc = nan\nd = 1979-05-27\ne = 07:32:00\n",
                 "1 a: other the number 1.5\n2 b: other the number inf\n"
                 "3 c: other the number nan\n4 d: other the date 1979-05-27\n"
                 "5 e: other the time 07:32:00\n");
    check_values(
        "a = 1979-05-27T07:32:00Z\nb = [1]\nc = ['x', 1]\nd = [['x']]\n[[e]]\nf = 1\n",
        "1 a: other the date 1979-05-27T07:32:00Z\n2 b: other a list of values that are not texts\n"
        "3 c: other a list of values that are not texts\n4 d: other a list of values that are not "
        "texts\n"
        "6 e[0].f: integer 1\n");
    check_values("a = 9223372036854775807\nb = 1_000\nc = 0xff\n",
                 "1 a: integer 9223372036854775807\n2 b: integer 1000\n3 c: integer 255\n");
}

static void tables_are_read_in_the_order_of_the_document(void **state)
{
    (void)state;
    check_values("[z]\nb = 1\na.c = 2\n[y]\nx = {k = 3, j = 4}\n",
                 "2 z.b: integer 1\n3 z.a.c: integer 2\n5 y.x.k: integer 3\n5 y.x.j: integer 4\n");
}

static void tables_of_arrays_are_numbered(void **state)
{
    (void)state;
    check_values("[[a.b]]\nc = 1\nd = 2\n[[a.b]]\nc = 3\n[[a.b]]\n",
                 "2 a.b[0].c: integer 1\n3 a.b[0].d: integer 2\n5 a.b[1].c: integer 3\n"
                 "6 a.b[2]: table\n");
    check_values("a = [{b = 1}, {b = 2}]\n[[c]]\n[[c.d]]\ne = 3\n",
                 "1 a[0].b: integer 1\n1 a[1].b: integer 2\n4 c[0].d[0].e: integer 3\n");
}

static void empty_tables_are_values(void **state)
{
    (void)state;
    check_values("[a]\n[b.c]\nd = {}\n", "1 a: table\n3 b.c.d: table\n");
}

static void quoted_keys_keep_their_quotes(void **state)
{
    (void)state;
    check_values("\"a.b\" = 1\n'' = 2\n\"c\" = 3\n\"d\\ne\" = 4\n",
                 "1 \"a.b\": integer 1\n2 \"\": integer 2\n3 c: integer 3\n4 \"d?e\": integer 4\n");
}

static void malformed_document_is_rejected_with_its_position(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"a = 1\nb =\n", "a.toml:2:4: "},
        {"a = 1 b = 2", "a.toml:1:7: "},
        {"[a\nb = 1", "a.toml:1:"},
        {"a = \"open\n", "a.toml:1:"},
        {"a = yes", "a.toml:1:"},
        {"a = yes",
         "a.toml:1:5: Error while parsing value: could not determine value type; a text must be in "
         "quotes"},
        {"a = 127.0.0.1:8080",
         "a.toml:1:7: Error while parsing time: expected ':', saw '7'; a text must be in quotes"},
        {"a = 1\n\na = 2\n", "a.toml:3:"},
        {"[a]\n[a]\n", "a.toml:2:"},
        {"a = 1\n[a]\n", "a.toml:2:"},
        {"a = 9223372036854775808", "a.toml:1:"},
        {"a = 1979-13-01", "a.toml:1:"},
        {"a = \"\xff\"", "a.toml:1:"},
        {"a = \"\\ud800\"", "a.toml:1:"},
        {"\n\na = \"x\\u0000y\"", "a.toml:3:5: a text must not contain a zero byte"},
        {"a = ['x', \"\\u0000\"]", "a.toml:1:11: a text must not contain a zero byte"},
        {"= 1", "a.toml:1:"},
        {"a.b.c.d.e.f.g.h.i = 1", "a.toml:1:15: tables nested too deep"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_rejected_slice(slice_of(cases[i].text), cases[i].message);
    check_rejected_slice((struct slice){"a = 1\0", 6}, "a.toml:1:");
}

/* Texts on which toml++ 3.3 fails an assertion of its own. */
static void failed_assertion_of_toml_plus_plus_has_a_position(void **state)
{
    (void)state;
    check_rejected_slice(SLICE("[=]"), "a.toml:1:2: this is not TOML");
    check_rejected_slice(SLICE("a = 1\n\n[.b]\nc = 2\n"), "a.toml:3:2: this is not TOML");
    check_rejected_slice(SLICE("[a]\nb = [}]\n[=]\n"), "a.toml:2:6: this is not TOML");
}

static void tables_nested_eight_deep_are_read(void **state)
{
    (void)state;
    check_values("a.b.c.d.e.f.g.h = 1", "1 a.b.c.d.e.f.g.h: integer 1\n");
}

/* `repeat` a hundred thousand times; nothing of the kind may end the stack. */
static void check_deep(const char *before, const char *repeat, const char *after)
{
    struct text text = {0};
    text_append_string(&text, before);
    for (int i = 0; i < 100000; i++)
        text_append_string(&text, repeat);
    text_append_string(&text, after);
    assert_false(text_failed(&text));
    check_rejected_slice((struct slice){text.data, text.size}, "a.toml:1:");
    text_free(&text);
}

static void deep_nesting_is_rejected(void **state)
{
    (void)state;
    check_deep("", "a.", "a = 1");
    check_deep("[", "a.", "a]");
    check_deep("a = ", "[", "");
    check_deep("a = ", "{a = ", "");
    check_deep("a = ", "[{a.a.a.a = ", "");
}

static void many_dots_in_texts_are_read(void **state)
{
    (void)state;
    struct text text = {0};
    text_append_string(&text, "# ");
    for (int i = 0; i < 200; i++)
        text_append_char(&text, '.');
    text_append_string(&text, "\na = [");
    for (int i = 0; i < 64; i++)
        text_append_string(&text, "'host-with-a-name.region.example.com:8080', ");
    text_append_string(&text, "]\n");
    char message[256] = "";
    struct text leaves = {0};
    struct slice slice = {text.data, text.size};
    assert_int_equal(toml_read("a", slice, write_leaf, &leaves, message, sizeof(message)),
                     ERR_NONE);
    text_free(&text);
    text_free(&leaves);
}

static enum error refuse_second(void *context, const char *key, const struct toml_value *value,
                                uint32_t line)
{
    int *seen = context;
    (void)key, (void)value, (void)line;
    return ++*seen == 2 ? ERR_SYSTEM : ERR_NONE;
}

static void failing_visitor_ends_the_parsing(void **state)
{
    (void)state;
    char message[256] = "untouched";
    int seen = 0;
    assert_int_equal(toml_read("a", SLICE("a = 1\nb = 2\nc = 3\n"), refuse_second, &seen, message,
                               sizeof(message)),
                     ERR_SYSTEM);
    assert_int_equal(seen, 2);
    assert_string_equal(message, "untouched");
}

static void long_message_is_truncated(void **state)
{
    (void)state;
    char message[12] = "";
    int seen = 0;
    assert_int_equal(
        toml_read("a.toml", SLICE("a ="), refuse_second, &seen, message, sizeof(message)),
        ERR_INVALID_FIELD);
    assert_string_equal(message, "a.toml:1:4:");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_document_has_no_values),
        cmocka_unit_test(each_type_is_read),
        cmocka_unit_test(tables_are_read_in_the_order_of_the_document),
        cmocka_unit_test(tables_of_arrays_are_numbered),
        cmocka_unit_test(empty_tables_are_values),
        cmocka_unit_test(quoted_keys_keep_their_quotes),
        cmocka_unit_test(malformed_document_is_rejected_with_its_position),
        cmocka_unit_test(failed_assertion_of_toml_plus_plus_has_a_position),
        cmocka_unit_test(tables_nested_eight_deep_are_read),
        cmocka_unit_test(deep_nesting_is_rejected),
        cmocka_unit_test(many_dots_in_texts_are_read),
        cmocka_unit_test(failing_visitor_ends_the_parsing),
        cmocka_unit_test(long_message_is_truncated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
