/* SPDX-License-Identifier: Apache-2.0
 *
 * The block list: the later order wins on every node, in any order of the exchange, and the list
 * has a limit.
 */
#include "artemis-core/model/block_list.h"

#include "tests/support/cmocka_all.h"

#include <stdio.h>
#include <string.h>

static struct block make(const char *node_id, const char *address, bool is_blocked,
                         uint64_t clock_ms, const char *origin)
{
    struct block block = {.is_blocked = is_blocked, .clock_ms = clock_ms};
    snprintf(block.node_id, sizeof(block.node_id), "%s", node_id);
    snprintf(block.address, sizeof(block.address), "%s", address);
    snprintf(block.origin, sizeof(block.origin), "%s", origin);
    return block;
}

static bool put(struct block_list *list, const char *node_id, bool is_blocked, uint64_t clock_ms,
                const char *origin)
{
    const struct block block = make(node_id, "", is_blocked, clock_ms, origin);
    return block_list_put(list, &block);
}

static void later_order_wins(void **state)
{
    (void)state;
    struct block_list list = {0};
    assert_true(put(&list, "n3", true, 10, "n1"));
    assert_false(put(&list, "n3", false, 9, "n2"));
    assert_false(put(&list, "n3", true, 10, "n1"));
    assert_non_null(block_list_find_node(&list, "n3"));
    assert_true(put(&list, "n3", false, 10, "n2")); /* of equal times, the higher origin */
    assert_null(block_list_find_node(&list, "n3"));
    assert_false(put(&list, "n3", true, 10, "n1"));
    assert_int_equal(list.count, 1);
    assert_int_equal(block_list_blocked(&list), 0);
}

static void lists_that_are_merged_in_any_order_are_equal(void **state)
{
    (void)state;
    struct block_list lists[3] = {{0}};
    put(&lists[0], "n3", true, 10, "n1");
    put(&lists[0], "n5", true, 30, "n1");
    put(&lists[1], "n3", false, 20, "n2");
    put(&lists[2], "n4", true, 15, "n3");
    put(&lists[2], "n5", false, 25, "n3");
    struct block_list forward = {0};
    struct block_list backward = {0};
    for (int i = 0; i < 3; i++) {
        (void)block_list_merge(&forward, &lists[i], UINT64_MAX);
        (void)block_list_merge(&backward, &lists[2 - i], UINT64_MAX);
    }
    assert_memory_equal(&forward, &backward, sizeof(forward));
    assert_null(block_list_find_node(&forward, "n3"));
    assert_non_null(block_list_find_node(&forward, "n4"));
    assert_non_null(block_list_find_node(&forward, "n5"));
    assert_null(block_list_merge(&forward, &backward, UINT64_MAX));
}

static void versions_with_equal_stamps_become_equal_too(void **state)
{
    (void)state;
    struct block versions[4];
    for (int i = 0; i < 4; i++) {
        versions[i] = make("n3", "", i > 0, 10, "n1");
        snprintf(versions[i].by, sizeof(versions[i].by), "%s", i > 1 ? "bob" : "ada");
        snprintf(versions[i].reason, sizeof(versions[i].reason), "%s", i > 2 ? "b" : "a");
    }
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 4; j++) {
            struct block_list list = {0};
            assert_true(block_list_put(&list, &versions[i]));
            assert_int_equal(block_list_put(&list, &versions[j]), j > i);
            assert_memory_equal(&list.items[0], &versions[i > j ? i : j], sizeof(struct block));
        }
    }
}

static void merge_returns_the_newest_change_and_leaves_out_future_ones(void **state)
{
    (void)state;
    struct block_list list = {0};
    struct block_list other = {0};
    put(&other, "n1", true, 10, "n9");
    put(&other, "n2", true, 12, "n9");
    put(&other, "n3", true, 1000, "n9");
    const struct block *newest = block_list_merge(&list, &other, 100);
    assert_non_null(newest);
    assert_string_equal(newest->node_id, "n2");
    assert_int_equal(list.count, 2);
}

static void node_is_found_by_id_and_by_address(void **state)
{
    (void)state;
    struct block_list list = {0};
    const struct block both = make("n3", "10.0.0.9:8080", true, 10, "n1");
    const struct block address = make("", "10.0.0.8:8080", true, 10, "n1");
    block_list_put(&list, &both);
    block_list_put(&list, &address);
    assert_non_null(block_list_find_node(&list, "n3"));
    assert_null(block_list_find_node(&list, ""));
    assert_non_null(block_list_find_address(&list, "10.0.0.9:8080"));
    assert_non_null(block_list_find_address(&list, block_address_of("https://10.0.0.8:8080")));
    assert_null(block_list_find_address(&list, ""));
    assert_null(block_list_find_address(&list, "10.0.0.8:80"));
}

static void order_is_later_than_the_one_before_also_with_a_clock_that_is_behind(void **state)
{
    (void)state;
    struct block_list list = {0};
    struct block block = make("n3", "10.0.0.9:8080", false, 0, "n1");
    const struct block order = make("", "", false, 0, "n2");
    assert_int_equal(block_list_block(&list, &block, 1000), ERR_NONE);
    assert_true(block.is_blocked);
    assert_int_equal(block.clock_ms, 1000);
    assert_int_equal(block_list_unblock(&list, "n4", &order, 500), 0);
    assert_int_equal(block_list_unblock(&list, "10.0.0.9:8080", &order, 500), 1);
    assert_int_equal(list.items[0].clock_ms, 1001);
    assert_string_equal(list.items[0].origin, "n2");
    assert_null(block_list_find_node(&list, "n3"));
    assert_int_equal(block_list_block(&list, &block, 500), ERR_NONE);
    assert_int_equal(block.clock_ms, 1002);
}

static void unblocked_node_has_no_entry_left_by_id_or_address(void **state)
{
    (void)state;
    static const struct {
        const char *node_id, *address;
    } entries[] = {{"n3", ""},    {"n3", "h:1"}, {"n3", "h:2"}, {"", "h:2"},
                   {"n4", "h:1"}, {"n4", ""},    {"n5", "h:5"}, {"", "h:6"}};
    static const struct {
        const char *name;
        size_t unblocked;
        const char *blocked; /* a node that stays blocked */
    } rows[] = {
        {"n3", 5, "n4"},  /* its entries, and those with its addresses: also one of n4 */
        {"h:2", 5, "n4"}, /* the same node, by an address that it alone has had */
        {"n4", 3, "n3"},  {"h:5", 1, "n3"}, {"h:6", 1, "n5"},
    };
    const struct block order = make("", "", false, 0, "n2");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct block_list list = {0};
        for (size_t j = 0; j < sizeof(entries) / sizeof(entries[0]); j++) {
            const struct block block = make(entries[j].node_id, entries[j].address, true, 10, "n1");
            block_list_put(&list, &block);
        }
        assert_int_equal(block_list_unblock(&list, rows[i].name, &order, 20), rows[i].unblocked);
        assert_null(block_list_find_node(&list, rows[i].name));
        assert_null(block_list_find_address(&list, rows[i].name));
        assert_non_null(block_list_find_node(&list, rows[i].blocked));
        assert_int_equal(block_list_unblock(&list, rows[i].name, &order, 30), 0);
    }
}

static void full_list_drops_what_is_not_blocked_and_refuses_another_block(void **state)
{
    (void)state;
    struct block_list list = {0};
    char id[16];
    put(&list, "old", false, 1, "n1");
    put(&list, "new", false, 2, "n1");
    for (int i = 0; i < BLOCKS_MAX - 1; i++) {
        snprintf(id, sizeof(id), "x%d", i);
        struct block block = make(id, "", false, 0, "n1");
        assert_int_equal(block_list_block(&list, &block, 100), ERR_NONE);
    }
    assert_int_equal(list.count, BLOCKS_MAX);
    assert_false(put(&list, "old", false, 1, "n1")); /* it was dropped, and does not return */
    struct block last = make("last", "", false, 0, "n1");
    assert_int_equal(block_list_block(&list, &last, 100), ERR_NONE);
    struct block more = make("more", "", false, 0, "n1");
    assert_int_equal(block_list_block(&list, &more, 100), ERR_TOO_MANY_ITEMS);
    assert_null(block_list_find_node(&list, "more"));
    assert_int_equal(block_list_block(&list, &last, 100), ERR_NONE); /* again */
    assert_int_equal(block_list_blocked(&list), BLOCKS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(later_order_wins),
        cmocka_unit_test(lists_that_are_merged_in_any_order_are_equal),
        cmocka_unit_test(versions_with_equal_stamps_become_equal_too),
        cmocka_unit_test(merge_returns_the_newest_change_and_leaves_out_future_ones),
        cmocka_unit_test(node_is_found_by_id_and_by_address),
        cmocka_unit_test(order_is_later_than_the_one_before_also_with_a_clock_that_is_behind),
        cmocka_unit_test(unblocked_node_has_no_entry_left_by_id_or_address),
        cmocka_unit_test(full_list_drops_what_is_not_blocked_and_refuses_another_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
