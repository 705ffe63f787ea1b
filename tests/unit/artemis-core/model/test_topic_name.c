/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/model/topic_name.h"

#include <string.h>

#include "tests/support/cmocka_all.h"

static bool is_valid(const char *topic)
{
    return topic_name_is_valid(slice_of(topic));
}

static void names_have_a_length_and_a_set_of_characters(void **state)
{
    (void)state;
    char longest[TOPIC_BYTES_MAX + 2];
    memset(longest, 'a', sizeof(longest));
    assert_true(topic_name_is_valid((struct slice){longest, TOPIC_BYTES_MAX}));
    assert_false(topic_name_is_valid((struct slice){longest, TOPIC_BYTES_MAX + 1}));
    static const char *const good[] = {"a", "0", "a.b-c_9", ".", "artemis.cluster"};
    static const char *const bad[] = {"",   "A",    "a b",      "a/b", "a*",
                                      "\n", "\x7f", "\xc3\xa4", "a:b", "a\"b"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(is_valid(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(is_valid(bad[i]));
    assert_false(topic_name_is_valid((struct slice){"a\0b", 3}));
    assert_false(topic_name_is_valid((struct slice){0}));
}

static void names_of_nodes_are_reserved(void **state)
{
    (void)state;
    assert_true(topic_name_is_reserved(slice_of(TOPIC_CLUSTER)));
    assert_true(topic_name_is_reserved(slice_of(TOPIC_GUARD)));
    assert_true(topic_name_is_reserved(SLICE("artemis.")));
    assert_false(topic_name_is_reserved(SLICE("artemis")));
    assert_false(topic_name_is_reserved(SLICE("artemis-x.y")));
    assert_false(topic_name_is_reserved(SLICE("my.artemis.x")));
    assert_false(topic_name_is_reserved((struct slice){0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_have_a_length_and_a_set_of_characters),
        cmocka_unit_test(names_of_nodes_are_reserved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
