/* SPDX-License-Identifier: Apache-2.0
 *
 * A typing error finds the intended word; another word finds none.
 */
#include "artemis-core/base/suggest.h"

#include "tests/support/cmocka_all.h"

static const char *nearest(const char *word)
{
    static const char *const words[] = {"register", "unregister", "services", "service",
                                        "status",   "help",       "all"};
    struct suggestion near = {.word = word};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        suggest_consider(&near, words[i]);
    return near.best;
}

static void candidate_with_an_edit_is_found(void **state)
{
    (void)state;
    assert_string_equal(nearest("regsiter"), "register"); /* swapped */
    assert_string_equal(nearest("registr"), "register");  /* missing */
    assert_string_equal(nearest("sttatus"), "status");    /* doubled */
    assert_string_equal(nearest("servise"), "service");   /* wrong */
    assert_string_equal(nearest("hlep"), "help");
    assert_string_equal(nearest("regsitar"), "register"); /* swapped and wrong: two slips */
}

static void candidate_that_begins_with_the_word_is_found(void **state)
{
    (void)state;
    assert_string_equal(nearest("stat"), "status");
    assert_string_equal(nearest("unreg"), "unregister");
}

static void closest_candidate_wins(void **state)
{
    (void)state;
    assert_string_equal(nearest("servicess"), "services");
    assert_string_equal(nearest("servic"), "services"); /* the first of equals */
}

static void distant_candidate_is_not_found(void **state)
{
    (void)state;
    assert_null(nearest(""));
    assert_null(nearest("xy"));
    assert_null(nearest("heaven"));
    assert_null(nearest("halt")); /* two letters of four differ from help */
    assert_null(nearest("abc"));  /* two slips are too many for three letters */
    assert_null(nearest("a-word-that-is-longer-than-any-name-of-ours"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(candidate_with_an_edit_is_found),
        cmocka_unit_test(candidate_that_begins_with_the_word_is_found),
        cmocka_unit_test(closest_candidate_wins),
        cmocka_unit_test(distant_candidate_is_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
