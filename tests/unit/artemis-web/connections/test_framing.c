/* SPDX-License-Identifier: Apache-2.0
 *
 * A request whose header leaves doubt about the end of its body, or exceeds a limit, is refused
 * with a reason; all others are accepted.
 */
#include "artemis-web/connections/framing.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/cmocka_all.h"

enum { FIELDS_MAX = 4 };

struct row {
    const char *fields[FIELDS_MAX]; /* "Name: value" */
    const char *version;            /* NULL: HTTP/1.1 */
    enum error error;
};

static enum framing_result add(struct framing *framing, const char *field)
{
    const char *colon = strchr(field, ':');
    struct slice name = {field, (size_t)(colon - field)};
    return framing_add_field(framing, name, slice_of(colon[1] ? colon + 2 : colon + 1));
}

static enum error check(const struct row *row)
{
    struct framing framing;
    const char *reason;
    framing_begin(&framing, "/health");
    for (int i = 0; i < FIELDS_MAX && row->fields[i]; i++)
        assert_int_not_equal(add(&framing, row->fields[i]), FRAMING_REFUSE);
    enum error error = framing_check(&framing, row->version ? row->version : "HTTP/1.1", &reason);
    assert_true(!error == !reason || error == ERR_BODY_TOO_LARGE);
    return error;
}

static void header_is_accepted_or_refused(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {{"Host: a"}, NULL, ERR_NONE},
        {{NULL}, "HTTP/1.0", ERR_NONE},
        {{NULL}, NULL, ERR_MALFORMED_REQUEST},
        {{"Host: a", "host: b"}, NULL, ERR_MALFORMED_REQUEST},
        {{"Host: a", "host: b"}, "HTTP/1.0", ERR_MALFORMED_REQUEST},
        {{"Host: a", "Content-Length: 0"}, NULL, ERR_NONE},
        {{"Host: a", "content-length: 18446744073709551615"}, NULL, ERR_NONE},
        {{"Host: a", "Content-Length: 18446744073709551616"}, NULL, ERR_BODY_TOO_LARGE},
        {{"Host: a", "Content-Length: 99999999999999999999999999"}, NULL, ERR_BODY_TOO_LARGE},
        {{"Host: a", "Content-Length:"}, NULL, ERR_MALFORMED_REQUEST},
        {{"Host: a", "Content-Length: 5 "}, NULL, ERR_MALFORMED_REQUEST},
        {{"Host: a", "Content-Length: +5"}, NULL, ERR_MALFORMED_REQUEST},
        {{"Host: a", "Content-Length: -5"}, NULL, ERR_MALFORMED_REQUEST},
        {{"Host: a", "Content-Length: 5, 5"}, NULL, ERR_MALFORMED_REQUEST},
        {{"Host: a", "Content-Length: 5", "Content-Length: 5"}, NULL, ERR_MALFORMED_REQUEST},
        {{"Host: a", "Content-Length : 5"}, NULL, ERR_MALFORMED_REQUEST},
        {{"Host: a", "X\t: 5"}, NULL, ERR_MALFORMED_REQUEST},
        {{"Host: a", ": 5"}, NULL, ERR_MALFORMED_REQUEST},
        {{"Host: a", "Transfer-Encoding: chunked"}, NULL, ERR_NONE},
        {{"Host: a", "transfer-encoding: CHUNKED"}, NULL, ERR_NONE},
        {{"Host: a", "Transfer-Encoding: chunked"}, "HTTP/1.0", ERR_MALFORMED_REQUEST},
        {{"Host: a", "Transfer-Encoding: gzip, chunked"}, NULL, ERR_MALFORMED_REQUEST},
        {{"Host: a", "Transfer-Encoding:"}, NULL, ERR_MALFORMED_REQUEST},
        {{"Host: a", "Transfer-Encoding: chunked", "Content-Length: 5"},
         NULL,
         ERR_MALFORMED_REQUEST},
        {{"Host: a", "Cookie: a=b", "X: y"}, NULL, ERR_NONE},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (check(&rows[i]) != rows[i].error)
            fail_msg("row %zu", i);
    }
}

static void responses_of_the_library_are_replaced(void **state)
{
    (void)state;
    struct framing framing;
    framing_begin(&framing, "/");
    assert_int_equal(add(&framing, "Host: a"), FRAMING_STORE);
    assert_int_equal(add(&framing, "Cookie: a"), FRAMING_SKIP);
    assert_int_equal(add(&framing, "Content-Length: 5"), FRAMING_STORE);
    assert_int_equal(add(&framing, "Content-Length: x"), FRAMING_SKIP);
    framing_begin(&framing, "/");
    assert_int_equal(add(&framing, "Content-Length: 18446744073709551616"), FRAMING_SKIP);
}

/* framing_check_line needs one in the buffer of the library. */
static void fields_that_the_library_does_not_read_are_skipped_after_one_is_stored(void **state)
{
    (void)state;
    static const char *const skipped[] = {"User-Agent: a", "Content-Type: a", "If-None-Match: a",
                                          "Authorization: a", "X: a"};
    static const char *const stored[] = {"Host: a", "Expect: a", "Connection: a",
                                         "Transfer-Encoding: a", "Upgrade: a"};
    struct framing framing;
    framing_begin(&framing, "/");
    for (size_t i = 0; i < sizeof(skipped) / sizeof(skipped[0]); i++)
        assert_int_equal(add(&framing, skipped[i]), FRAMING_STORE);
    framing.stored = true;
    for (size_t i = 0; i < sizeof(skipped) / sizeof(skipped[0]); i++)
        assert_int_equal(add(&framing, skipped[i]), FRAMING_SKIP);
    for (size_t i = 0; i < sizeof(stored) / sizeof(stored[0]); i++)
        assert_int_equal(add(&framing, stored[i]), FRAMING_STORE);
}

static void fields_beyond_the_limits_are_refused(void **state)
{
    (void)state;
    struct framing framing;
    const char *reason;
    char long_value[REQUEST_HEADER_BYTES_MAX];
    memset(long_value, 'x', sizeof(long_value));
    struct slice fits = {long_value, REQUEST_HEADER_BYTES_MAX - STORED_FIELD_BYTES - 2};
    struct slice larger = {long_value, fits.size + 1};

    framing_begin(&framing, "/");
    assert_int_equal(framing_add_field(&framing, slice_of("X"), fits), FRAMING_STORE);
    assert_int_equal(framing_add_argument(&framing, SLICE("a"), SLICE("b")), FRAMING_SKIP);
    assert_int_equal(framing_check(&framing, "HTTP/1.0", &reason), ERR_HEADER_TOO_LARGE);
    framing_begin(&framing, "/");
    assert_int_equal(framing_add_field(&framing, slice_of("X"), larger), FRAMING_REFUSE);
    framing_begin(&framing, "/");
    assert_int_equal(framing_add_trailer(&framing, slice_of("X"), larger), FRAMING_REFUSE);

    framing_begin(&framing, "/");
    for (int i = 0; i < REQUEST_FIELDS_MAX; i++)
        assert_int_equal(framing_add_argument(&framing, SLICE("a"), SLICE("b")), FRAMING_STORE);
    assert_int_equal(framing_check(&framing, "HTTP/1.0", &reason), ERR_NONE);
    assert_int_equal(framing_add_argument(&framing, SLICE("a"), SLICE("b")), FRAMING_SKIP);
    assert_int_equal(framing_check(&framing, "HTTP/1.0", &reason), ERR_HEADER_TOO_LARGE);
}

static void first_value_of_a_field_is_kept(void **state)
{
    (void)state;
    struct framing framing;
    framing_begin(&framing, "/");
    size_t size = 0;
    for (enum header_field field = 0; field < HEADER_FIELDS; field++) {
        struct slice name = slice_of(framing_field_name(field));
        assert_true(size <= name.size); /* they are sorted */
        size = name.size;
        if (field < HEADER_FIRST_KEPT)
            continue;
        assert_null(framing_value(&framing, field));
        framing_add_field(&framing, name, SLICE("a"));
        framing_add_field(&framing, name, SLICE("b"));
        assert_string_equal(framing_value(&framing, field), "a");
    }
    framing_begin(&framing, "/");
    add(&framing, "Expec: a");
    add(&framing, "Expects: b");
    assert_null(framing_value(&framing, HEADER_EXPECT));
    add(&framing, "eXPECT:");
    assert_string_equal(framing_value(&framing, HEADER_EXPECT), "");
}

static void arguments_are_counted_and_the_first_is_kept(void **state)
{
    (void)state;
    struct framing framing;
    framing_begin(&framing, "/?a=b&c=d");
    assert_int_equal(framing.arguments, 0);
    framing_add_argument(&framing, SLICE("a"), SLICE("b"));
    framing_add_argument(&framing, SLICE("c"), SLICE("d"));
    assert_int_equal(framing.arguments, 2);
    assert_int_equal(framing.first_argument_size, 1);
    assert_int_equal(framing.first_value_size, 1);
    assert_memory_equal(framing.first_argument, "a", framing.first_argument_size);
    assert_memory_equal(framing.first_value, "b", framing.first_value_size);
}

static void nul_in_the_path_is_found_but_not_in_the_query(void **state)
{
    (void)state;
    struct framing framing;
    framing_begin(&framing, "/health%00");
    assert_true(framing.nul_in_path);
    framing_begin(&framing, "/health?a=%00");
    assert_false(framing.nul_in_path);
    framing_begin(&framing, "/health");
    assert_false(framing.nul_in_path);
}

/* Splits two lines as the library does: it has read the second, but not split it yet. */
static bool check_lines(const char *first_end, const char *second)
{
    char buffer[64];
    struct framing framing;
    framing_begin(&framing, "/");
    framing.stored = true;
    memset(buffer, 0, sizeof buffer);
    memcpy(buffer, "Host\0 a", 7);
    size_t at = 7 + strlen(first_end); /* a NUL for each byte */
    memcpy(buffer + at, second, strlen(second));
    framing_check_line(&framing, (struct slice){buffer, 4}, (struct slice){buffer + 6, 1});
    return !framing.bad_name;
}

static void next_line_with_an_empty_name_is_refused(void **state)
{
    (void)state;
    assert_true(check_lines("\r\n", "X: b"));
    assert_true(check_lines("\n", "X: b"));
    assert_true(check_lines("\r\n", ""));
    assert_false(check_lines("\r\n", ":"));
    assert_false(check_lines("\n", ": b"));
}

/* "X: 1" and "Y:2" in a buffer of their own, then what the library has not read yet. */
static enum error check_trailers(const char *name, const char *next_line)
{
    char buffer[64] = "X\0 1\0\0";
    const char *reason;
    struct framing framing;
    framing_begin(&framing, "/");
    add(&framing, "Host: a");
    framing.stored = true;
    framing.value_end = "elsewhere"; /* the last field of the header */
    framing_check_end(&framing, framing.value_end + 4);
    assert_int_equal(framing_check(&framing, "HTTP/1.1", &reason), ERR_NONE);
    memcpy(buffer + 6, next_line, strlen(next_line));
    framing_add_trailer(&framing, slice_of(name), SLICE("1"));
    framing_check_line(&framing, (struct slice){buffer, 1}, (struct slice){buffer + 3, 1});
    assert_true(framing.has_trailers);
    return framing_check(&framing, "HTTP/1.1", &reason);
}

static void trailers_are_checked_as_fields_are(void **state)
{
    (void)state;
    assert_int_equal(check_trailers("X", ""), ERR_NONE);
    assert_int_equal(check_trailers("X", "Y:2"), ERR_NONE);
    assert_int_equal(check_trailers("X", ":2"), ERR_MALFORMED_REQUEST);
    assert_int_equal(check_trailers("", "Y:2"), ERR_MALFORMED_REQUEST);
    assert_int_equal(check_trailers("X ", "Y:2"), ERR_MALFORMED_REQUEST);
}

static void field_that_is_not_one_line_is_refused(void **state)
{
    (void)state;
    static const char buffer[] = "Host\0 a\0\0Y\0b\0\0\0\0";
    const struct slice host = {buffer, 4};
    const struct slice a = {buffer + 6, 1};
    const struct slice y = {buffer + 9, 1};
    struct framing framing;
    framing_begin(&framing, "/");
    framing_check_line(&framing, host, a);
    framing_check_line(&framing, y, (struct slice){buffer + 11, 1});
    framing_check_end(&framing, buffer + 16);
    assert_false(framing.bad_line);
    framing_begin(&framing, "/"); /* folded: the name is elsewhere */
    framing_check_line(&framing, y, host);
    assert_true(framing.bad_line);
    framing_begin(&framing, "/"); /* a NUL in the value, or a line that was not read */
    framing_check_line(&framing, host, a);
    framing_check_end(&framing, buffer + 16);
    assert_true(framing.bad_line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_is_accepted_or_refused),
        cmocka_unit_test(responses_of_the_library_are_replaced),
        cmocka_unit_test(fields_that_the_library_does_not_read_are_skipped_after_one_is_stored),
        cmocka_unit_test(fields_beyond_the_limits_are_refused),
        cmocka_unit_test(first_value_of_a_field_is_kept),
        cmocka_unit_test(arguments_are_counted_and_the_first_is_kept),
        cmocka_unit_test(nul_in_the_path_is_found_but_not_in_the_query),
        cmocka_unit_test(next_line_with_an_empty_name_is_refused),
        cmocka_unit_test(trailers_are_checked_as_fields_are),
        cmocka_unit_test(field_that_is_not_one_line_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
