/* SPDX-License-Identifier: Apache-2.0
 *
 * Each node id has one number, which stays, and number 0 is this node.
 */
#include "artemis-server/registry/node_id_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

static struct node_id_table node_ids;

static int set_up(void **state)
{
    (void)state;
    assert_int_equal(node_id_table_init(&node_ids, SLICE("self")), ERR_NONE);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    node_id_table_free(&node_ids);
    return 0;
}

static uint16_t number_of(const char *name)
{
    uint16_t number = 12345;
    assert_int_equal(node_id_table_number(&node_ids, slice_of(name), &number), ERR_NONE);
    return number;
}

static void number_zero_is_this_node(void **state)
{
    (void)state;
    assert_int_equal(number_of("self"), NODE_NUMBER_SELF);
    assert_true(slice_equal(node_id_table_name(&node_ids, NODE_NUMBER_SELF), SLICE("self")));
}

static void name_keeps_its_number(void **state)
{
    (void)state;
    uint16_t a = number_of("a");
    uint16_t b = number_of("b");
    assert_int_not_equal(a, b);
    assert_int_equal(number_of("a"), a);
    assert_int_equal(number_of("b"), b);
    assert_true(slice_equal(node_id_table_name(&node_ids, b), SLICE("b")));
}

static void name_stays_where_it_is(void **state)
{
    (void)state;
    struct slice name = node_id_table_name(&node_ids, number_of("a"));
    for (int i = 0; i < 1000; i++) {
        char other[16];
        snprintf(other, sizeof(other), "n%d", i);
        number_of(other);
    }
    assert_ptr_equal(node_id_table_name(&node_ids, number_of("a")).data, name.data);
}

static void name_is_copied(void **state)
{
    (void)state;
    char name[] = "a";
    uint16_t number = number_of(name);
    name[0] = 'x';
    assert_true(slice_equal(node_id_table_name(&node_ids, number), SLICE("a")));
}

static void names_that_begin_alike_differ(void **state)
{
    (void)state;
    assert_int_not_equal(number_of("node-1"), number_of("node-10"));
    assert_int_not_equal(number_of(""), number_of("node"));
}

static void hash_is_of_the_name_and_not_of_the_number(void **state)
{
    (void)state;
    struct node_id_table other;
    uint16_t number;
    assert_int_equal(node_id_table_init(&other, SLICE("x")), ERR_NONE);
    assert_int_equal(node_id_table_number(&other, SLICE("y"), &number), ERR_NONE);
    assert_int_equal(node_id_table_number(&other, SLICE("self"), &number), ERR_NONE);
    assert_true(node_id_table_hash(&other, number) ==
                node_id_table_hash(&node_ids, NODE_NUMBER_SELF));
    assert_true(node_id_table_hash(&other, 0) != node_id_table_hash(&node_ids, NODE_NUMBER_SELF));
    node_id_table_free(&other);
}

static void more_names_than_numbers_are_refused(void **state)
{
    (void)state;
    char name[16];
    uint16_t number;
    node_id_table_free(&node_ids);
    assert_int_equal(node_id_table_init(&node_ids, SLICE("self")), ERR_NONE);
    /* Each new name is looked for among all: fill most of the table without that. */
    enum { LOOKED_FOR = 200 };
    while (atomic_load(&node_ids.count) < NODE_IDS_MAX - LOOKED_FOR) {
        uint32_t count = atomic_load(&node_ids.count);
        size_t size = 8 + sizeof(size_t) + 1;
        node_ids.table[count] = calloc(1, size); /* hash, size 0 */
        assert_non_null(node_ids.table[count]);
        atomic_store(&node_ids.count, count + 1);
    }
    for (int i = 0; i < LOOKED_FOR; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        number_of(name);
    }
    assert_int_equal(number_of("n199"), NODE_IDS_MAX - 1);
    assert_int_equal(node_id_table_number(&node_ids, SLICE("one more"), &number),
                     ERR_TOO_MANY_ITEMS);
    assert_int_equal(number_of("n0"), NODE_IDS_MAX - LOOKED_FOR);
    assert_int_equal(number_of("self"), NODE_NUMBER_SELF);
}

static void name_without_memory_is_not_taken_and_a_retry_works(void **state)
{
    (void)state;
    uint16_t number;
    failing_malloc_after(1);
    assert_int_equal(node_id_table_number(&node_ids, SLICE("a"), &number), ERR_NO_MEMORY);
    failing_malloc_after(-1);
    assert_int_equal(number_of("a"), 1);
}

static void init_without_memory_leaves_nothing(void **state)
{
    (void)state;
    for (long n = 1; n <= 2; n++) {
        struct node_id_table other;
        long live = failing_malloc_live();
        failing_malloc_after(n);
        assert_int_equal(node_id_table_init(&other, SLICE("x")), ERR_NO_MEMORY);
        failing_malloc_after(-1);
        assert_int_equal(failing_malloc_live(), live);
        node_id_table_free(&other); /* has no effect */
    }
}

enum { THREADS = 4, NAMES = 300 };

static void *ask_for_names(void *argument)
{
    uint16_t *numbers = argument;
    for (int i = 0; i < NAMES; i++) {
        char name[16];
        snprintf(name, sizeof(name), "n%d", i);
        if (node_id_table_number(&node_ids, slice_of(name), &numbers[i]))
            numbers[i] = 0;
        else if (!slice_equal(node_id_table_name(&node_ids, numbers[i]), slice_of(name)))
            numbers[i] = 0;
    }
    return NULL;
}

static void threads_get_the_same_number_for_a_name(void **state)
{
    (void)state;
    static uint16_t numbers[THREADS][NAMES];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_for_names, numbers[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < NAMES; i++)
        for (int thread = 0; thread < THREADS; thread++)
            assert_true(numbers[thread][i] != 0 && numbers[thread][i] == numbers[0][i]);
    assert_int_equal(atomic_load(&node_ids.count), NAMES + 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(number_zero_is_this_node),
        TEST(name_keeps_its_number),
        TEST(name_stays_where_it_is),
        TEST(name_is_copied),
        TEST(names_that_begin_alike_differ),
        TEST(hash_is_of_the_name_and_not_of_the_number),
        TEST(more_names_than_numbers_are_refused),
        TEST(name_without_memory_is_not_taken_and_a_retry_works),
        TEST(init_without_memory_leaves_nothing),
        TEST(threads_get_the_same_number_for_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
