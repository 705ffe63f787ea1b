/* SPDX-License-Identifier: Apache-2.0
 *
 * Which records differ between two nodes, which node is behind, and which differences a second
 * comparison confirms.
 */
#include "artemis/call/record_diff.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

#include <stdio.h>
#include <string.h>

/* live at a stamp, the same with a weight, deleted at a stamp, no record */
#define LIVE(number)                                                                               \
    {                                                                                              \
        number, false, false                                                                       \
    }
#define WEIGHTED(number)                                                                           \
    {                                                                                              \
        number, false, true                                                                        \
    }
#define DEAD(number)                                                                               \
    {                                                                                              \
        number, true, false                                                                        \
    }
#define NONE                                                                                       \
    {                                                                                              \
        0, false, false                                                                            \
    }

struct copy {
    uint64_t stamp;
    bool deleted;
    bool has_weight;
};

static void add_record(struct diff_list *list, const char *service, const char *instance,
                       struct copy copy, const char *origin)
{
    struct instance_key key;
    struct field_problem problem;
    const struct slice parts[KEY_FIELDS] = {[FIELD_REGION] = slice_of("local"),
                                            [FIELD_ZONE] = slice_of("zone1"),
                                            [FIELD_SERVICE] = slice_of(service),
                                            [FIELD_GROUP] = slice_of(""),
                                            [FIELD_INSTANCE] = slice_of(instance)};
    if (copy.stamp == 0)
        return;
    assert_int_equal(instance_key_make(parts, &key, &problem), ERR_NONE);
    struct wire_record record = {.key = &key,
                                 .stamp = {copy.stamp, slice_of(origin)},
                                 .deleted = copy.deleted,
                                 .has_weight = copy.has_weight};
    record_diff_add(list, &record);
}

/* The report about one key. */
static struct diff_report report_of(struct copy a, struct copy b)
{
    struct diff_list lists[2] = {0};
    struct diff_report report = {0};
    add_record(&lists[0], "s", "i", a, "n-1");
    add_record(&lists[1], "s", "i", b, "n-1");
    record_diff_merge(&lists[0], &lists[1], &report);
    assert_false(report.failed);
    return report;
}

static void disagreement_is_reported_with_its_node(void **state)
{
    (void)state;
    static const struct {
        struct copy a, b;
        bool differ;
        enum diff_kind kind;
        int side;
    } rows[] = {
        {LIVE(5), LIVE(5), false, 0, 0},
        {DEAD(5), DEAD(5), false, 0, 0},
        {DEAD(5), DEAD(6), false, 0, 0}, /* live on neither node */
        {DEAD(5), NONE, false, 0, 0},
        {LIVE(5), NONE, true, DIFF_LACKS, 1},
        {NONE, LIVE(5), true, DIFF_LACKS, 0},
        {LIVE(5), LIVE(6), true, DIFF_OLDER, 0},
        {LIVE(6), LIVE(5), true, DIFF_OLDER, 1},
        {LIVE(5), DEAD(6), true, DIFF_DELETED, 1},
        {DEAD(4), LIVE(5), true, DIFF_DELETED, 0},
        {WEIGHTED(5), WEIGHTED(5), false, 0, 0},
        {WEIGHTED(5), LIVE(5), true, DIFF_WEIGHT, 1},
        {LIVE(5), WEIGHTED(5), true, DIFF_WEIGHT, 0},
        {WEIGHTED(5), LIVE(6), true, DIFF_OLDER, 0},
        {WEIGHTED(5), NONE, true, DIFF_LACKS, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int side = -1;
        struct diff_report report = report_of(rows[i].a, rows[i].b);
        assert_int_equal(report.count, rows[i].differ);
        if (rows[i].differ) {
            assert_int_equal(record_diff_kind(&report.items[0], &side), rows[i].kind);
            assert_int_equal(side, rows[i].side);
        }
        record_diff_free(&report);
    }
}

static void deletion_is_later_or_earlier_than_the_instance(void **state)
{
    (void)state;
    struct diff_report report = report_of((struct copy)LIVE(5), (struct copy)DEAD(6));
    assert_true(record_diff_is_newer(&report.items[0], 1));
    assert_true(record_diff_is_live(&report.items[0], 0));
    assert_false(record_diff_is_live(&report.items[0], 1));
    record_diff_free(&report);
    report = report_of((struct copy)LIVE(5), (struct copy)DEAD(4));
    assert_false(record_diff_is_newer(&report.items[0], 1));
    record_diff_free(&report);
}

static void versions_of_one_stamp_are_ordered_by_origin(void **state)
{
    (void)state;
    struct diff_list lists[2] = {0};
    struct diff_report report = {0};
    int side = -1;
    add_record(&lists[0], "s", "i", (struct copy)LIVE(5), "n-2");
    add_record(&lists[1], "s", "i", (struct copy)LIVE(5), "n-1");
    record_diff_merge(&lists[0], &lists[1], &report);
    assert_int_equal(report.count, 1);
    assert_int_equal(record_diff_kind(&report.items[0], &side), DIFF_OLDER);
    assert_int_equal(side, 1);
    record_diff_free(&report);
}

/* Key i of 1,000: the second node has no record for every hundredth key, and one key more. */
static void few_of_many_are_found_in_any_order(void **state)
{
    (void)state;
    struct diff_list lists[2] = {0};
    struct diff_report report = {0};
    char instance[16];
    for (int i = 0; i < 1000; i++) {
        int number = i * 7 % 1000;
        snprintf(instance, sizeof instance, "i-%03d", number);
        add_record(&lists[0], "s", instance, (struct copy)LIVE(5), "n-1");
        snprintf(instance, sizeof instance, "i-%03d", 999 - number);
        if ((999 - number) % 100 != 0)
            add_record(&lists[1], "s", instance, (struct copy)LIVE(5), "n-1");
    }
    add_record(&lists[1], "a", "i-000", (struct copy)LIVE(5), "n-1");
    record_diff_merge(&lists[0], &lists[1], &report);
    assert_null(lists[0].items);
    assert_int_equal(report.count, 11);
    record_diff_sort(&report);
    for (size_t i = 0; i < report.count; i++) {
        struct slice found = instance_text(report.items[i].key, FIELD_INSTANCE);
        snprintf(instance, sizeof instance, "i-%03zu", i == 0 ? 0 : (i - 1) * 100);
        assert_true(slice_equal(found, slice_of(instance)));
    }
    assert_true(slice_equal(instance_text(report.items[0].key, FIELD_SERVICE), slice_of("a")));
    record_diff_free(&report);
}

static void only_unchanged_differences_are_confirmed(void **state)
{
    (void)state;
    static const struct {
        struct copy first_a, first_b, second_a, second_b;
        bool confirmed;
    } rows[] = {
        {LIVE(5), NONE, LIVE(5), NONE, true},
        {LIVE(5), NONE, LIVE(6), NONE, true},     /* changed again, and still nothing arrives */
        {LIVE(5), NONE, LIVE(6), LIVE(5), false}, /* the second node has the first version now */
        {LIVE(5), LIVE(4), LIVE(5), LIVE(4), true},
        {LIVE(5), LIVE(4), LIVE(7), LIVE(6), false},
        {LIVE(5), LIVE(4), LIVE(5), LIVE(5), false}, /* the nodes agree now */
        {LIVE(5), LIVE(5), LIVE(6), LIVE(5), false}, /* new since the first comparison */
        {DEAD(5), LIVE(4), DEAD(5), LIVE(4), true},
        {DEAD(5), LIVE(4), DEAD(5), NONE, false},
        {WEIGHTED(5), LIVE(5), WEIGHTED(5), LIVE(5), true},
        {WEIGHTED(5), LIVE(5), WEIGHTED(6), LIVE(5), true},
        {WEIGHTED(5), LIVE(5), LIVE(6), WEIGHTED(5), false}, /* the node has the weight now */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct diff_report first = report_of(rows[i].first_a, rows[i].first_b);
        struct diff_report second = report_of(rows[i].second_a, rows[i].second_b);
        record_diff_confirm(&first, &second);
        if (second.count != rows[i].confirmed)
            fail_msg("row %zu: %zu confirmed", i, second.count);
        record_diff_free(&first);
        record_diff_free(&second);
    }
}

static void each_failed_allocation_is_reported_and_leaks_nothing(void **state)
{
    (void)state;
    long live = failing_malloc_live();
    for (long n = 1;; n++) {
        struct diff_list lists[2] = {0};
        struct diff_report report = {0};
        failing_malloc_after(n);
        add_record(&lists[0], "s", "i", (struct copy)LIVE(5), "n-1");
        add_record(&lists[0], "s", "k", (struct copy)LIVE(5), "n-1");
        add_record(&lists[1], "s", "k", (struct copy)LIVE(6), "n-1");
        record_diff_merge(&lists[0], &lists[1], &report);
        bool happened = failing_malloc_happened();
        assert_int_equal(report.failed, happened);
        record_diff_free(&report);
        assert_int_equal(failing_malloc_live(), live);
        if (!happened)
            return;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(disagreement_is_reported_with_its_node),
        cmocka_unit_test(deletion_is_later_or_earlier_than_the_instance),
        cmocka_unit_test(versions_of_one_stamp_are_ordered_by_origin),
        cmocka_unit_test(few_of_many_are_found_in_any_order),
        cmocka_unit_test(only_unchanged_differences_are_confirmed),
        cmocka_unit_test(each_failed_allocation_is_reported_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
