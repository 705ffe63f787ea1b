/* SPDX-License-Identifier: Apache-2.0
 *
 * Entity tags: what is written, and which values of If-None-Match match.
 */
#include "artemis-web/http/etag.h"

#include "tests/support/cmocka_all.h"

static const char epoch[] = "0123456789abcdef";

static void tag_has_epoch_revision_and_form(void **state)
{
    (void)state;
    char tag[ETAG_BYTES];
    etag_write_weak(tag, epoch, 42);
    assert_string_equal(tag, "W/\"0123456789abcdef-42\"");
    etag_write(tag, epoch, 0, false);
    assert_string_equal(tag, "\"0123456789abcdef-0\"");
    etag_write(tag, epoch, UINT64_MAX, false);
    assert_string_equal(tag, "\"0123456789abcdef-18446744073709551615\"");
    etag_write(tag, epoch, 1234567890, true);
    assert_string_equal(tag, "\"0123456789abcdef-1234567890-gzip\"");
    etag_write(tag, "0123456789abcdef0123456789abcdef", UINT64_MAX, true);
    assert_string_equal(tag, "\"0123456789abcdef0123456789abcdef-18446744073709551615-gzip\"");
}

static void tag_matches_in_lists_weak_and_strong_in_both_forms(void **state)
{
    (void)state;
    static const char *const matching[] = {
        "*",
        "\"0123456789abcdef-42\"",
        "\"0123456789abcdef-42-gzip\"",
        "W/\"0123456789abcdef-42\"",
        "W/\"0123456789abcdef-42-gzip\"",
        "\"x\", \"0123456789abcdef-42\"",
        "\"x\",W/\"y\" , W/\"0123456789abcdef-42\", \"z\"",
    };
    for (size_t i = 0; i < sizeof(matching) / sizeof(*matching); i++) {
        if (!etag_matches(matching[i], epoch, 42))
            fail_msg("should match: %s", matching[i]);
    }
}

static void tag_of_another_epoch_or_revision_does_not_match(void **state)
{
    (void)state;
    static const char *const others[] = {
        "",
        "\"",
        "\"\"",
        "\"42\"",
        "\"42-gzip\"",
        "\"-42\"",
        "\"fedcba9876543210-42\"",
        "\"0123456789abcdef-4\"",
        "\"0123456789abcdef-421\"",
        "\"0123456789abcdef-42-br\"",
        "\"0123456789abcdef-42-gzip2\"",
        "\"0123456789abcdef-42-gzi\"",
        "\"x0123456789abcdef-42\"",
        "0123456789abcdef-42",
        "\"0123456789abcdef-42",
        "\"a\", \"0123456789abcdef-42",
        "\"0123456789ABCDEF-42\"",
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
        if (etag_matches(others[i], epoch, 42))
            fail_msg("should not match: %s", others[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tag_has_epoch_revision_and_form),
        cmocka_unit_test(tag_matches_in_lists_weak_and_strong_in_both_forms),
        cmocka_unit_test(tag_of_another_epoch_or_revision_does_not_match),
    };
    return cmocka_run_group_tests_name("etag", tests, NULL, NULL);
}
