/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/model/event_order.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

#define RUN "00000000000000aa"

static struct event_order order;
static uint64_t missed;

static int clear(void **state)
{
    (void)state;
    failing_malloc_after(-1);
    event_order_free(&order);
    return 0;
}

static bool admit_at(const char *node_id, const char *run, uint64_t number, uint64_t now_ms)
{
    bool is_admitted = false;
    assert_int_equal(event_order_admit(&order, slice_of(node_id), slice_of(run), number, now_ms,
                                       &is_admitted, &missed),
                     ERR_NONE);
    return is_admitted;
}

static bool admit(const char *node_id, uint64_t number)
{
    return admit_at(node_id, RUN, number, 1);
}

static void each_number_is_admitted_once(void **state)
{
    (void)state;
    for (uint64_t number = 1; number <= 3; number++)
        assert_true(admit("a", number));
    for (uint64_t number = 1; number <= 3; number++)
        assert_false(admit("a", number));
    assert_true(admit("a", 4));
}

static void a_late_number_is_not_admitted(void **state)
{
    (void)state;
    assert_true(admit("a", 1));
    assert_int_equal(missed, 0);
    assert_true(admit("a", 5));
    assert_int_equal(missed, 3); /* 2, 3 and 4 */
    assert_false(admit("a", 3));
    assert_int_equal(missed, 0);
    assert_true(admit("a", 6));
    assert_int_equal(missed, 0);
}

static void the_first_number_of_a_publisher_may_be_any(void **state)
{
    (void)state;
    assert_true(admit("a", 1000)); /* this node has just started */
    assert_int_equal(missed, 0);
    assert_false(admit("a", 999));
    assert_true(admit_at("b", RUN, UINT64_MAX, 1));
    assert_false(admit_at("b", RUN, UINT64_MAX, 1));
}

static void publishers_are_independent(void **state)
{
    (void)state;
    assert_true(admit("a", 7));
    assert_true(admit("b", 1));
    assert_true(admit("ab", 1));
    assert_false(admit("a", 1));
    assert_true(admit("b", 2));
}

/* A message of the earlier process that arrives late changes nothing. */
static void a_restarted_publisher_begins_again(void **state)
{
    (void)state;
    const char *next = "00000000000000bb";
    assert_true(admit("a", 9));
    assert_true(admit_at("a", next, 1, 2));
    assert_false(admit_at("a", RUN, 9, 3));
    assert_false(admit_at("a", RUN, 8, 3));
    assert_false(admit_at("a", next, 1, 4));
    assert_true(admit_at("a", next, 2, 4));
}

static void the_publisher_that_was_used_least_recently_is_forgotten(void **state)
{
    (void)state;
    char node_id[32];
    for (int i = 0; i < EVENT_PUBLISHERS_MAX; i++) {
        snprintf(node_id, sizeof(node_id), "n%d", i);
        assert_true(admit_at(node_id, RUN, 5, 100 + (uint64_t)i));
    }
    assert_false(admit_at("n0", RUN, 5, 900)); /* used again */
    assert_true(admit_at("new", RUN, 5, 901));
    assert_int_equal(order.count, EVENT_PUBLISHERS_MAX);
    assert_false(admit_at("n0", RUN, 5, 902));
    assert_false(admit_at("n2", RUN, 5, 903));
    assert_true(admit_at("n1", RUN, 5, 904)); /* it was forgotten */
}

static void the_longest_names_fit(void **state)
{
    (void)state;
    char node_id[EVENT_NODE_ID_BYTES];
    memset(node_id, 'n', sizeof(node_id));
    node_id[sizeof(node_id) - 1] = '\0';
    assert_true(admit(node_id, 1));
    assert_false(admit(node_id, 1));
}

static void runs_are_16_digits(void **state)
{
    (void)state;
    assert_true(event_run_is_valid(SLICE("0123456789abcdef")));
    static const char *const bad[] = {"", "0123456789abcde", "0123456789abcdef0",
                                      "0123456789ABCDEF", "0123456789abcdeg"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(event_run_is_valid(slice_of(bad[i])));
}

static void without_memory_nothing_is_admitted(void **state)
{
    (void)state;
    bool is_admitted = false;
    failing_malloc_after(1);
    assert_int_equal(event_order_admit(&order, SLICE("a"), SLICE(RUN), 1, 1, &is_admitted, &missed),
                     ERR_NO_MEMORY);
    assert_false(is_admitted);
    failing_malloc_after(-1);
    assert_true(admit("a", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(each_number_is_admitted_once, clear),
        cmocka_unit_test_teardown(a_late_number_is_not_admitted, clear),
        cmocka_unit_test_teardown(the_first_number_of_a_publisher_may_be_any, clear),
        cmocka_unit_test_teardown(publishers_are_independent, clear),
        cmocka_unit_test_teardown(a_restarted_publisher_begins_again, clear),
        cmocka_unit_test_teardown(the_publisher_that_was_used_least_recently_is_forgotten, clear),
        cmocka_unit_test_teardown(the_longest_names_fit, clear),
        cmocka_unit_test(runs_are_16_digits),
        cmocka_unit_test_teardown(without_memory_nothing_is_admitted, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
