/* SPDX-License-Identifier: Apache-2.0
 *
 * A set against an array of flags, over the edges of words of both levels.
 */
#include "artemis-core/base/number_set.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

/* The second level has three words. */
enum { WORDS = NUMBER_SET_WORD_BITS * 2 + 1, NUMBERS = WORDS * NUMBER_SET_WORD_BITS };

static void empty_set_has_no_number(void **state)
{
    (void)state;
    struct number_set set = {0};
    assert_int_equal(number_set_pop(&set, 0), 0);
    assert_false(number_set_has(&set, 1));
    number_set_remove(&set, 1);
    assert_int_equal(set.count, 0);
    assert_int_equal(number_set_bytes(&set), 0);
    number_set_free(&set);
}

static void numbers_come_out_once_the_lowest_first(void **state)
{
    (void)state;
    struct number_set set = {0};
    assert_int_equal(number_set_reserve(&set, WORDS), ERR_NONE);
    for (uint32_t number = NUMBERS; number >= 1; number--) {
        number_set_add(&set, number);
        number_set_add(&set, number);
    }
    assert_int_equal(set.count, NUMBERS);
    for (uint32_t number = 1; number <= NUMBERS; number++)
        assert_int_equal(number_set_pop(&set, 0), number);
    assert_int_equal(number_set_pop(&set, 0), 0);
    number_set_free(&set);
}

static void numbers_come_out_from_a_number_on(void **state)
{
    (void)state;
    static const uint32_t edges[] = {1, 64, 65, 128, 4096, 4097, 8192, 8193, NUMBERS};
    enum { EDGES = sizeof(edges) / sizeof(edges[0]) };
    struct number_set set = {0};
    assert_int_equal(number_set_reserve(&set, WORDS), ERR_NONE);
    for (int i = 0; i < EDGES; i++)
        number_set_add(&set, edges[i]);
    for (int after = 0; after < EDGES; after++) {
        uint32_t next = after + 1 < EDGES ? edges[after + 1] : 0;
        assert_int_equal(number_set_pop(&set, edges[after]), next);
        if (next)
            number_set_add(&set, next);
        assert_int_equal(number_set_pop(&set, edges[after] - 1), edges[after]);
        number_set_add(&set, edges[after]);
    }
    assert_int_equal(number_set_pop(&set, UINT32_MAX), 0);
    assert_int_equal(set.count, EDGES);
    number_set_free(&set);
}

static void removed_number_does_not_come_out(void **state)
{
    (void)state;
    static const uint32_t edges[] = {1, 64, 65, 4096, 4097, 8192, 8193, NUMBERS};
    enum { EDGES = sizeof(edges) / sizeof(edges[0]) };
    struct number_set set = {0};
    assert_int_equal(number_set_reserve(&set, WORDS), ERR_NONE);
    for (int removed = 0; removed < EDGES; removed++) {
        for (int i = 0; i < EDGES; i++)
            number_set_add(&set, edges[i]);
        number_set_remove(&set, edges[removed]);
        number_set_remove(&set, edges[removed]);
        number_set_remove(&set, 2); /* was never added */
        for (int i = 0; i < EDGES; i++)
            assert_int_equal(number_set_has(&set, edges[i]), i != removed);
        assert_false(number_set_has(&set, NUMBERS + 1));
        assert_int_equal(set.count, EDGES - 1);
        for (int i = 0; i < EDGES; i++)
            if (i != removed)
                assert_int_equal(number_set_pop(&set, 0), edges[i]);
        assert_int_equal(number_set_pop(&set, 0), 0);
    }
    number_set_free(&set);
}

static void set_keeps_its_numbers_when_it_grows(void **state)
{
    (void)state;
    struct number_set set = {0};
    for (uint32_t words = 1; words <= WORDS; words++) {
        assert_int_equal(number_set_reserve(&set, words), ERR_NONE);
        number_set_add(&set, words * NUMBER_SET_WORD_BITS);
    }
    assert_true(number_set_bytes(&set) >= NUMBERS / 8);
    number_set_remove(&set, UINT32_MAX); /* above what was reserved */
    for (uint32_t words = 1; words <= WORDS; words++)
        assert_int_equal(number_set_pop(&set, 0), words * NUMBER_SET_WORD_BITS);
    assert_int_equal(set.count, 0);
    number_set_free(&set);
}

static void set_keeps_its_numbers_when_it_shrinks(void **state)
{
    (void)state;
    struct number_set set = {0};
    assert_int_equal(number_set_reserve(&set, WORDS), ERR_NONE);
    size_t full = number_set_bytes(&set);
    number_set_add(&set, 1);
    number_set_add(&set, NUMBER_SET_WORD_BITS * 3);
    number_set_shrink(&set, WORDS);
    assert_int_equal(number_set_bytes(&set), full);
    failing_malloc_after(1);
    number_set_shrink(&set, 3);
    failing_malloc_after(-1);
    assert_int_equal(number_set_bytes(&set), full); /* without memory */
    number_set_shrink(&set, 3);
    assert_int_equal(set.capacity, 4);
    assert_int_equal(number_set_reserve(&set, WORDS), ERR_NONE);
    assert_int_equal(number_set_pop(&set, 0), 1);
    assert_int_equal(number_set_pop(&set, 0), NUMBER_SET_WORD_BITS * 3);
    assert_int_equal(number_set_pop(&set, 0), 0);
    number_set_shrink(&set, 0);
    assert_int_equal(number_set_bytes(&set), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_set_has_no_number),
        cmocka_unit_test(numbers_come_out_once_the_lowest_first),
        cmocka_unit_test(numbers_come_out_from_a_number_on),
        cmocka_unit_test(removed_number_does_not_come_out),
        cmocka_unit_test(set_keeps_its_numbers_when_it_grows),
        cmocka_unit_test(set_keeps_its_numbers_when_it_shrinks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
