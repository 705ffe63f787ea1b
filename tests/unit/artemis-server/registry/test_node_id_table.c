/* SPDX-License-Identifier: Apache-2.0
 *
 * Each node id has one number while it is in use, which is given back with the last reference.
 * Number 0 is this node. A peer cannot use up the numbers of all.
 */
#include "artemis-server/registry/node_id_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

static struct node_id_table node_ids;

enum { SEED = 7, A_PEER = 77 };

static int set_up(void **state)
{
    (void)state;
    assert_int_equal(node_id_table_init(&node_ids, SLICE("self"), SEED), ERR_NONE);
    return 0;
}

/* Takes a reference, which stays until drop_ids or the end of the test. */
static struct node_id *held[NODE_IDS_MAX];
static uint32_t held_count;

static uint16_t take_from(const char *name, uint32_t peer)
{
    uint16_t number = 12345;
    assert_int_equal(node_id_table_take(&node_ids, slice_of(name), peer, &number), ERR_NONE);
    if (number != NODE_NUMBER_SELF)
        held[held_count++] = node_id_table_id(&node_ids, number);
    return number;
}

static uint16_t number_of(const char *name)
{
    return take_from(name, 0);
}

static void drop_ids(void)
{
    while (held_count)
        node_id_unref(held[--held_count]);
}

static int tear_down(void **state)
{
    (void)state;
    drop_ids();
    node_id_table_free(&node_ids);
    return 0;
}

static void name_of(char name[16], int i)
{
    snprintf(name, 16, "n%d", i);
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
    assert_int_equal(node_id_table_init(&other, SLICE("x"), SEED), ERR_NONE);
    assert_int_equal(node_id_table_take(&other, SLICE("y"), 0, &number), ERR_NONE);
    node_id_table_unref(&other, number);
    assert_int_equal(node_id_table_take(&other, SLICE("self"), 0, &number), ERR_NONE);
    assert_true(node_id_table_hash(&other, number) ==
                node_id_table_hash(&node_ids, NODE_NUMBER_SELF));
    assert_true(node_id_table_hash(&other, 0) != node_id_table_hash(&node_ids, NODE_NUMBER_SELF));
    node_id_table_unref(&other, number);
    node_id_table_free(&other);
}

static void more_names_than_numbers_are_refused(void **state)
{
    (void)state;
    char name[16];
    uint16_t number;
    for (int i = 1; i < NODE_IDS_MAX; i++) {
        name_of(name, i);
        assert_int_equal(number_of(name), i);
    }
    assert_int_equal(node_id_table_take(&node_ids, SLICE("one more"), 0, &number),
                     ERR_TOO_MANY_ITEMS);
    assert_int_equal(node_ids.refused, 1);
    assert_int_equal(node_id_table_take(&node_ids, SLICE("n1"), 0, &number), ERR_NONE);
    assert_int_equal(number, 1);
    node_id_table_unref(&node_ids, number);
    assert_int_equal(number_of("self"), NODE_NUMBER_SELF);
    drop_ids();
    assert_int_equal(node_ids.count, 1);
    assert_int_not_equal(number_of("one more"), NODE_NUMBER_SELF);
}

static void number_is_given_back_with_the_last_reference(void **state)
{
    (void)state;
    uint16_t a = number_of("a");
    number_of("a");
    node_id_table_ref(&node_ids, a);
    drop_ids();
    assert_int_equal(node_ids.count, 2);
    assert_true(slice_equal(node_id_table_name(&node_ids, a), SLICE("a")));
    node_id_table_unref(&node_ids, a);
    assert_int_equal(node_ids.count, 1);
    assert_int_equal(number_of("b"), a); /* it is free for another name */
}

static void peer_uses_up_its_own_share_alone(void **state)
{
    (void)state;
    char name[16];
    uint16_t number;
    for (int i = 0; i < NODE_IDS_OF_PEER_MAX; i++) {
        name_of(name, i);
        take_from(name, A_PEER);
    }
    assert_int_equal(node_id_table_take(&node_ids, SLICE("one more"), A_PEER, &number),
                     ERR_TOO_MANY_ITEMS);
    assert_int_equal(node_id_table_take(&node_ids, SLICE("n0"), A_PEER, &number), ERR_NONE);
    node_id_table_unref(&node_ids, number);
    take_from("one more", A_PEER + 1);
    take_from("another", 0);
    drop_ids();
    take_from("one more", A_PEER); /* what it gave back it can use again */
}

/* Takes new names until one is refused. Returns how many were taken. */
static uint32_t take_all_from(uint32_t peer)
{
    static int last;
    uint32_t taken = 0;
    char name[16];
    uint16_t number;
    for (;; taken++) {
        snprintf(name, sizeof(name), "m%d", ++last);
        if (node_id_table_take(&node_ids, slice_of(name), peer, &number))
            return taken;
        held[held_count++] = node_id_table_id(&node_ids, number);
    }
}

static void add_members(uint32_t first, uint32_t last)
{
    for (uint32_t member = first; member <= last; member++)
        node_id_table_add_peer(&node_ids, member);
}

/* A caller may have many addresses. */
static void callers_leave_the_numbers_of_the_members(void **state)
{
    (void)state;
    enum { CALLERS = 32, MEMBERS = 7 };
    uint32_t sum = 0;
    add_members(1, MEMBERS);
    for (uint32_t caller = 0; caller < CALLERS; caller++)
        sum += take_all_from(NODE_ID_MEMBERS + 1 + caller);
    assert_int_equal(sum, NODE_IDS_OF_CALLERS_MAX);
    for (uint32_t member = 1; member <= MEMBERS; member++)
        assert_int_equal(take_all_from(member), NODE_IDS_OF_PEER_MAX);
    drop_ids();
    assert_int_equal(take_all_from(NODE_ID_MEMBERS + 1), NODE_IDS_OF_PEER_MAX);
}

static void members_have_equal_shares(void **state)
{
    (void)state;
    enum { SHARE = (NODE_IDS_MAX - NODE_IDS_OF_CALLERS_MAX) / NODE_ID_MEMBERS };
    add_members(1, 1);
    assert_int_equal(take_all_from(1), NODE_IDS_OF_PEER_MAX);
    add_members(2, NODE_ID_MEMBERS);
    assert_int_equal(take_all_from(1), 0);
    for (uint32_t member = 2; member <= NODE_ID_MEMBERS - 8; member++)
        assert_int_equal(take_all_from(member), SHARE);
}

/* Its number may belong to another member later. */
static void ids_of_a_removed_member_are_not_counted_for_the_next(void **state)
{
    (void)state;
    add_members(1, 1);
    assert_int_equal(take_all_from(1), NODE_IDS_OF_PEER_MAX);
    node_id_table_remove_peer(&node_ids, 1);
    add_members(1, 1);
    assert_int_equal(take_all_from(1), NODE_IDS_OF_PEER_MAX);
    drop_ids();
    assert_int_equal(node_ids.count, 1);
    assert_int_equal(take_all_from(1), NODE_IDS_OF_PEER_MAX);
}

static void id_outlives_its_table(void **state)
{
    (void)state;
    struct node_id_table other;
    uint16_t number;
    long live = failing_malloc_live();
    assert_int_equal(node_id_table_init(&other, SLICE("x"), SEED), ERR_NONE);
    assert_int_equal(node_id_table_take(&other, SLICE("y"), 0, &number), ERR_NONE);
    struct node_id *id = node_id_ref(node_id_table_id(&other, number));
    node_id_table_unref(&other, number);
    struct node_id *self = node_id_ref(node_id_table_id(&other, NODE_NUMBER_SELF));
    node_id_table_free(&other);
    assert_true(slice_equal(node_id_name(id), SLICE("y")));
    assert_true(slice_equal(node_id_name(self), SLICE("x")));
    node_id_unref(id);
    node_id_unref(self);
    assert_int_equal(failing_malloc_live(), live);
}

static void name_without_memory_is_not_taken_and_a_retry_works(void **state)
{
    (void)state;
    uint16_t number;
    failing_malloc_after(1);
    assert_int_equal(node_id_table_take(&node_ids, SLICE("a"), 0, &number), ERR_NO_MEMORY);
    failing_malloc_after(-1);
    assert_int_equal(number_of("a"), 1);
}

static void init_without_memory_leaves_nothing(void **state)
{
    (void)state;
    for (long n = 1; n <= 4; n++) {
        struct node_id_table other;
        long live = failing_malloc_live();
        failing_malloc_after(n);
        assert_int_equal(node_id_table_init(&other, SLICE("x"), SEED), ERR_NO_MEMORY);
        failing_malloc_after(-1);
        assert_int_equal(failing_malloc_live(), live);
        node_id_table_free(&other); /* has no effect */
    }
}

enum { THREADS = 4, NAMES = 300, ROUNDS = 20 };

/* Takes and gives back the same names as the other threads. */
static void *use_names(void *argument)
{
    bool *failed = argument;
    for (int i = 0; i < NAMES * ROUNDS; i++) {
        char name[16];
        uint16_t number;
        name_of(name, i % NAMES);
        if (node_id_table_take(&node_ids, slice_of(name), A_PEER, &number)) {
            *failed = true;
            continue;
        }
        struct node_id *id = node_id_ref(node_id_table_id(&node_ids, number));
        node_id_table_unref(&node_ids, number);
        *failed |= !slice_equal(node_id_name(id), slice_of(name));
        node_id_unref(id);
    }
    return NULL;
}

static void threads_share_names_and_give_all_back(void **state)
{
    (void)state;
    bool failed[THREADS] = {0};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_names, &failed[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++)
        assert_false(failed[i]);
    assert_int_equal(atomic_load(&node_ids.count), 1);
    assert_int_equal(node_ids.index.count, 1);
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
        TEST(number_is_given_back_with_the_last_reference),
        TEST(peer_uses_up_its_own_share_alone),
        TEST(callers_leave_the_numbers_of_the_members),
        TEST(members_have_equal_shares),
        TEST(ids_of_a_removed_member_are_not_counted_for_the_next),
        TEST(id_outlives_its_table),
        TEST(threads_share_names_and_give_all_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
