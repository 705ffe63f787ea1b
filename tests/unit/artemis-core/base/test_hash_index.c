/* SPDX-License-Identifier: Apache-2.0
 *
 * The index is compared with an array that is searched from end to end. Hashes are chosen badly on
 * purpose: equal ones, neighbours, and ones that wrap around the end of the table.
 */
#include "artemis-core/base/hash_index.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/random.h"

enum { ELEMENTS = 512 };

/* Element n has the key keys[n]; 0 means that it is not in the index. */
struct elements {
    uint32_t keys[ELEMENTS + 1];
    uint32_t hashes[ELEMENTS + 1];
};

static bool has_key(const void *context, uint32_t element, const void *wanted)
{
    const struct elements *elements = context;
    assert_true(element >= 1 && element <= ELEMENTS);
    return elements->keys[element] == *(const uint32_t *)wanted;
}

static uint32_t find(const struct hash_index *index, const struct elements *elements, uint32_t hash,
                     uint32_t key)
{
    return hash_index_find(index, hash, has_key, elements, &key);
}

static void add(struct hash_index *index, struct elements *elements, uint32_t element,
                uint32_t hash, uint32_t key)
{
    assert_int_equal(hash_index_reserve(index), ERR_NONE);
    elements->keys[element] = key;
    elements->hashes[element] = hash;
    hash_index_insert(index, hash, element);
}

static void find_in_an_empty_index_gives_none(void **state)
{
    (void)state;
    struct hash_index index = {0};
    struct elements elements = {0};
    assert_int_equal(find(&index, &elements, 1, 1), 0);
    hash_index_free(&index);
}

static void elements_with_the_same_hash_are_distinguished(void **state)
{
    (void)state;
    struct hash_index index = {0};
    struct elements elements = {0};
    for (uint32_t i = 1; i <= 20; i++)
        add(&index, &elements, i, 7, 100 + i);
    for (uint32_t i = 1; i <= 20; i++)
        assert_int_equal(find(&index, &elements, 7, 100 + i), i);
    assert_int_equal(find(&index, &elements, 7, 99), 0);
    assert_int_equal(find(&index, &elements, 8, 101), 0);
    hash_index_free(&index);
}

/* Each victim in turn is taken out of a run that wraps around the end of the table. */
static void removal_from_a_run_across_the_end_keeps_the_others(void **state)
{
    (void)state;
    static const uint32_t homes[] = {14, 15, 15, 14, 0, 1, 15, 0};
    enum { RUN = sizeof(homes) / sizeof(homes[0]) };
    for (uint32_t victim = 1; victim <= RUN; victim++) {
        struct hash_index index = {0};
        struct elements elements = {0};
        for (uint32_t i = 1; i <= RUN; i++)
            add(&index, &elements, i, homes[i - 1] << 28, 100 + i);
        assert_int_equal(index.capacity, 16);
        hash_index_remove(&index, homes[victim - 1] << 28, victim);
        assert_int_equal(index.count, RUN - 1);
        for (uint32_t i = 1; i <= RUN; i++)
            assert_int_equal(find(&index, &elements, homes[i - 1] << 28, 100 + i),
                             i == victim ? 0 : i);
        hash_index_free(&index);
    }
}

static void removed_element_can_come_back(void **state)
{
    (void)state;
    struct hash_index index = {0};
    struct elements elements = {0};
    add(&index, &elements, 1, 5, 101);
    hash_index_remove(&index, 5, 1);
    assert_int_equal(find(&index, &elements, 5, 101), 0);
    add(&index, &elements, 1, 5, 101);
    assert_int_equal(find(&index, &elements, 5, 101), 1);
    hash_index_free(&index);
}

static void index_grows_and_keeps_all(void **state)
{
    (void)state;
    struct hash_index index = {0};
    struct elements elements = {0};
    for (uint32_t i = 1; i <= ELEMENTS; i++)
        add(&index, &elements, i, i * 2654435761u, i);
    assert_int_equal(index.count, ELEMENTS);
    /* Never more than three quarters full. */
    assert_true((uint64_t)index.count * 4 <= (uint64_t)index.capacity * 3);
    for (uint32_t i = 1; i <= ELEMENTS; i++)
        assert_int_equal(find(&index, &elements, i * 2654435761u, i), i);
    hash_index_free(&index);
    assert_null(index.slots);
}

static void large_index_takes_at_most_14_bytes_an_element(void **state)
{
    (void)state;
    struct hash_index index = {0};
    for (uint32_t i = 1; i <= 10000; i++) {
        assert_int_equal(hash_index_reserve(&index), ERR_NONE);
        hash_index_insert(&index, i * 2654435761u, i);
        if (i > 1000)
            assert_true(index.capacity * sizeof(struct hash_slot) <= i * (size_t)14);
    }
    hash_index_free(&index);
}

/* One random step: an element that is in goes out, one that is out comes in. */
static void toggle(struct hash_index *index, struct elements *elements, uint32_t element,
                   uint32_t hash)
{
    if (elements->keys[element]) {
        hash_index_remove(index, elements->hashes[element], element);
        elements->keys[element] = 0;
    } else {
        add(index, elements, element, hash, 1000 + element);
    }
}

static void random_operations_agree_with_a_search_from_end_to_end(void **state)
{
    (void)state;
    /* From "nearly all collide" to "hardly any does". */
    static const uint32_t hash_limits[] = {1, 8, 64, 1u << 20, UINT32_MAX};
    for (size_t variant = 0; variant < sizeof(hash_limits) / sizeof(hash_limits[0]); variant++) {
        struct hash_index index = {0};
        struct elements elements = {0};
        uint64_t seed = 1000 + variant;
        uint32_t used = variant == 0 ? 40 : ELEMENTS;
        for (int step = 0; step < 20000; step++) {
            uint32_t element = 1 + random_below(&seed, used);
            toggle(&index, &elements, element, random_below(&seed, hash_limits[variant]));
            if (step % 100 == 0)
                hash_index_shrink(&index);
            uint32_t other = 1 + random_below(&seed, used);
            uint32_t expected = elements.keys[other] ? other : 0;
            assert_int_equal(find(&index, &elements, elements.hashes[other], 1000 + other),
                             expected);
        }
        uint32_t count = 0;
        for (uint32_t i = 1; i <= used; i++)
            count += elements.keys[i] != 0;
        assert_int_equal(index.count, count);
        hash_index_free(&index);
    }
}

static void index_shrinks_when_few_are_left(void **state)
{
    (void)state;
    struct hash_index index = {0};
    struct elements elements = {0};
    for (uint32_t i = 1; i <= ELEMENTS; i++)
        toggle(&index, &elements, i, i * 7);
    uint32_t full = index.capacity;
    hash_index_shrink(&index);
    assert_int_equal(index.capacity, full);
    for (uint32_t i = 4; i <= ELEMENTS; i++)
        toggle(&index, &elements, i, 0);
    hash_index_shrink(&index);
    assert_int_equal(index.capacity, 16);
    for (uint32_t i = 1; i <= 3; i++)
        assert_int_equal(find(&index, &elements, elements.hashes[i], 1000 + i), i);
    for (uint32_t i = 1; i <= 3; i++)
        toggle(&index, &elements, i, 0);
    hash_index_shrink(&index);
    assert_int_equal(index.capacity, 0);
    toggle(&index, &elements, 1, 7);
    assert_int_equal(find(&index, &elements, 7, 1001), 1);
    hash_index_free(&index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(find_in_an_empty_index_gives_none),
        cmocka_unit_test(elements_with_the_same_hash_are_distinguished),
        cmocka_unit_test(removal_from_a_run_across_the_end_keeps_the_others),
        cmocka_unit_test(removed_element_can_come_back),
        cmocka_unit_test(index_grows_and_keeps_all),
        cmocka_unit_test(large_index_takes_at_most_14_bytes_an_element),
        cmocka_unit_test(index_shrinks_when_few_are_left),
        cmocka_unit_test(random_operations_agree_with_a_search_from_end_to_end),
    };
    return cmocka_run_group_tests_name("hash_index", tests, NULL, NULL);
}
