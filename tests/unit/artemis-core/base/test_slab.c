/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers, addresses and reuse. Each element has its own pattern, which shows whether two overlap
 * or one has moved.
 */
#include "artemis-core/base/slab.h"

#include <stdbool.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

enum { ELEMENT_BYTES = 24, MANY = SLAB_CHUNK_ELEMENTS * 40 + 1 };

static uint32_t take(struct slab *slab)
{
    uint32_t number = 0;
    assert_int_equal(slab_alloc(slab, &number), ERR_NONE);
    return number;
}

static void fill(struct slab *slab, uint32_t number, uint32_t pattern)
{
    uint32_t *words = slab_at(slab, number);
    for (size_t i = 0; i < ELEMENT_BYTES / sizeof(*words); i++)
        words[i] = pattern;
}

static bool is_filled(struct slab *slab, uint32_t number, uint32_t pattern)
{
    const uint32_t *words = slab_at(slab, number);
    for (size_t i = 0; i < ELEMENT_BYTES / sizeof(*words); i++)
        if (words[i] != pattern)
            return false;
    return true;
}

static void numbers_start_at_one_and_follow_each_other(void **state)
{
    (void)state;
    struct slab slab;
    slab_init(&slab, ELEMENT_BYTES);
    for (uint32_t i = 1; i <= MANY; i++)
        assert_int_equal(take(&slab), i);
    slab_free(&slab);
}

static void elements_do_not_overlap_and_do_not_move(void **state)
{
    (void)state;
    static void *addresses[MANY + 1];
    struct slab slab;
    slab_init(&slab, ELEMENT_BYTES);
    for (uint32_t i = 1; i <= MANY; i++) {
        uint32_t number = take(&slab);
        addresses[i] = slab_at(&slab, number);
        fill(&slab, number, 0xA0000000u + i);
    }
    for (uint32_t i = 1; i <= MANY; i++) {
        assert_ptr_equal(slab_at(&slab, i), addresses[i]);
        assert_true(is_filled(&slab, i, 0xA0000000u + i));
    }
    slab_free(&slab);
}

static void element_is_zeroed_when_new_and_when_used_again(void **state)
{
    (void)state;
    struct slab slab;
    slab_init(&slab, ELEMENT_BYTES);
    uint32_t first = take(&slab);
    assert_true(is_filled(&slab, first, 0));
    fill(&slab, first, 0xFFFFFFFFu);
    slab_release(&slab, first);
    assert_int_equal(take(&slab), first);
    assert_true(is_filled(&slab, first, 0));
    slab_free(&slab);
}

static void released_numbers_are_used_before_new_ones(void **state)
{
    (void)state;
    struct slab slab;
    bool released[MANY + 1] = {false};
    slab_init(&slab, ELEMENT_BYTES);
    for (uint32_t i = 1; i <= MANY; i++)
        take(&slab);
    uint32_t chunks = slab.chunk_count;
    uint32_t returned = 0;
    for (uint32_t i = 3; i <= MANY; i += 7, returned++) {
        slab_release(&slab, i);
        released[i] = true;
    }
    for (uint32_t i = 0; i < returned; i++) {
        uint32_t number = take(&slab);
        assert_true(released[number]); /* and each only once */
        released[number] = false;
    }
    assert_int_equal(slab.chunk_count, chunks);
    assert_int_equal(take(&slab), MANY + 1);
    slab_free(&slab);
}

static void chunk_without_elements_is_freed_and_its_numbers_come_again(void **state)
{
    (void)state;
    struct slab slab;
    slab_init(&slab, ELEMENT_BYTES);
    for (uint32_t i = 1; i <= MANY; i++)
        take(&slab);
    size_t full = slab_bytes(&slab);
    for (uint32_t i = 1; i <= MANY; i++)
        slab_release(&slab, i);
    assert_int_equal(slab.live_chunks, 1); /* kept for the next element */
    assert_true(slab_bytes(&slab) < full / 4);
    assert_null(slab_find(&slab, 1));
    slab_shrink(&slab);
    assert_int_equal(slab.live_chunks, 0);
    slab_shrink(&slab);
    static bool again[MANY + SLAB_CHUNK_ELEMENTS];
    for (uint32_t i = 1; i <= MANY; i++) {
        uint32_t number = take(&slab);
        assert_in_range(number, 1, slab_end(&slab) - 1);
        assert_false(again[number]);
        again[number] = true;
        assert_true(is_filled(&slab, number, 0));
    }
    assert_int_equal(slab_bytes(&slab), full);
    slab_free(&slab);
}

static void shrunk_table_ends_at_the_last_chunk(void **state)
{
    (void)state;
    struct slab slab;
    slab_init(&slab, ELEMENT_BYTES);
    for (uint32_t i = 1; i <= MANY; i++)
        take(&slab);
    const uint32_t last = 3 * SLAB_CHUNK_ELEMENTS; /* of the third chunk */
    fill(&slab, last, 0xAB);
    for (uint32_t i = 1; i <= MANY; i++)
        if (i != last)
            slab_release(&slab, i);
    failing_malloc_after(1);
    slab_shrink(&slab);
    failing_malloc_after(-1);
    assert_int_equal(slab.chunk_count, MANY / SLAB_CHUNK_ELEMENTS + 1); /* without memory */
    slab_shrink(&slab);
    assert_int_equal(slab_end(&slab), last + 1);
    assert_int_equal(slab.chunk_capacity, 8);
    assert_true(is_filled(&slab, last, 0xAB));
    static bool again[MANY + SLAB_CHUNK_ELEMENTS];
    again[last] = true;
    for (uint32_t i = 2; i <= MANY; i++) {
        uint32_t number = take(&slab);
        assert_in_range(number, 1, slab_end(&slab) - 1);
        assert_false(again[number]);
        again[number] = true;
    }
    assert_int_equal(slab.chunk_count, MANY / SLAB_CHUNK_ELEMENTS + 1);
    slab_free(&slab);
}

static void shrunk_slab_without_elements_takes_no_memory(void **state)
{
    (void)state;
    struct slab slab;
    slab_init(&slab, ELEMENT_BYTES);
    for (uint32_t i = 1; i <= MANY; i++)
        take(&slab);
    for (uint32_t i = 1; i <= MANY; i++)
        slab_release(&slab, i);
    slab_shrink(&slab);
    assert_int_equal(slab_bytes(&slab), 0);
    assert_int_equal(slab_end(&slab), 1);
    assert_int_equal(take(&slab), 1);
    slab_free(&slab);
}

static void chunk_with_one_element_stays(void **state)
{
    (void)state;
    struct slab slab;
    slab_init(&slab, ELEMENT_BYTES);
    for (uint32_t i = 1; i <= MANY; i++)
        take(&slab);
    fill(&slab, 5, 0xAB);
    for (uint32_t i = 1; i <= MANY; i++)
        if (i != 5)
            slab_release(&slab, i);
    assert_true(is_filled(&slab, 5, 0xAB));
    assert_int_equal(slab.live_chunks, 1);
    slab_free(&slab);
}

static void element_of_64_bytes_is_in_one_cache_line(void **state)
{
    (void)state;
    struct slab slab;
    slab_init(&slab, 64);
    for (uint32_t i = 1; i <= MANY; i++)
        assert_int_equal((uintptr_t)slab_at(&slab, take(&slab)) % 64, 0);
    slab_free(&slab);
}

static void smallest_element_holds_the_free_list(void **state)
{
    (void)state;
    struct slab slab;
    slab_init(&slab, 1);
    for (uint32_t i = 1; i <= 3; i++)
        take(&slab);
    slab_release(&slab, 1);
    slab_release(&slab, 3);
    assert_int_equal(take(&slab), 3);
    assert_int_equal(take(&slab), 1);
    assert_int_equal(take(&slab), 4);
    slab_free(&slab);
}

static void freed_slab_starts_again(void **state)
{
    (void)state;
    struct slab slab;
    slab_init(&slab, ELEMENT_BYTES);
    slab_free(&slab); /* of nothing */
    take(&slab);
    slab_free(&slab);
    assert_int_equal(slab.chunk_count, 0);
    assert_int_equal(take(&slab), 1);
    slab_free(&slab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_start_at_one_and_follow_each_other),
        cmocka_unit_test(elements_do_not_overlap_and_do_not_move),
        cmocka_unit_test(element_is_zeroed_when_new_and_when_used_again),
        cmocka_unit_test(released_numbers_are_used_before_new_ones),
        cmocka_unit_test(chunk_without_elements_is_freed_and_its_numbers_come_again),
        cmocka_unit_test(shrunk_table_ends_at_the_last_chunk),
        cmocka_unit_test(shrunk_slab_without_elements_takes_no_memory),
        cmocka_unit_test(chunk_with_one_element_stays),
        cmocka_unit_test(element_of_64_bytes_is_in_one_cache_line),
        cmocka_unit_test(smallest_element_holds_the_free_list),
        cmocka_unit_test(freed_slab_starts_again),
    };
    return cmocka_run_group_tests_name("slab", tests, NULL, NULL);
}
