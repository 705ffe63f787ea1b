/* SPDX-License-Identifier: Apache-2.0
 *
 * Which of two records of one key replaces the other.
 */
#include "artemis-core/model/record_order.h"

#include "tests/support/cmocka_all.h"

static struct record_order order(uint64_t client_revision, uint64_t hlc)
{
    return (struct record_order){client_revision, {hlc, SLICE("n1")}};
}

static void assert_replaces(struct record_order newer, struct record_order older)
{
    assert_true(record_order_compare(older, newer) < 0);
    assert_true(record_order_compare(newer, older) > 0);
}

static void higher_revision_wins_over_a_later_stamp(void **state)
{
    (void)state;
    assert_replaces(order(6, 10), order(5, 20));
    assert_replaces(order(CLIENT_REVISION_MAX, 10), order(1, 20));
}

static void stamps_decide_between_equal_revisions(void **state)
{
    (void)state;
    assert_replaces(order(5, 20), order(5, 10));
}

static void stamps_decide_if_one_record_has_no_revision(void **state)
{
    (void)state;
    assert_replaces(order(0, 20), order(5, 10));
    assert_replaces(order(5, 20), order(0, 10));
    assert_replaces(order(0, 20), order(0, 10));
}

static void equal_stamps_are_the_same_change(void **state)
{
    (void)state;
    assert_int_equal(record_order_compare(order(5, 10), order(6, 10)), 0);
    assert_int_equal(record_order_compare(order(0, 10), order(6, 10)), 0);
}

static void node_id_orders_equal_hlc_values(void **state)
{
    (void)state;
    struct record_order a = {5, {10, SLICE("n1")}};
    struct record_order b = {5, {10, SLICE("n2")}};
    assert_replaces(b, a);
    b.client_revision = 4;
    assert_replaces(a, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(higher_revision_wins_over_a_later_stamp),
        cmocka_unit_test(stamps_decide_between_equal_revisions),
        cmocka_unit_test(stamps_decide_if_one_record_has_no_revision),
        cmocka_unit_test(equal_stamps_are_the_same_change),
        cmocka_unit_test(node_id_orders_equal_hlc_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
