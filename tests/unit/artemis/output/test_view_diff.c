/* SPDX-License-Identifier: Apache-2.0
 *
 * How the differences between two nodes are printed, as text and as JSON.
 */
#include "artemis/output/view_diff.h"

#include "tests/support/cmocka_all.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const struct diff_node nodes[2] = {
    {"n-1", "http://127.0.0.1:1", 1203},
    {"n-2", "http://127.0.0.1:2", 1204},
};

static void add(struct diff_list *list, const char *service, const char *group, uint64_t stamp,
                bool deleted)
{
    struct instance_key key;
    struct field_problem problem;
    const struct slice parts[KEY_FIELDS] = {[FIELD_REGION] = slice_of("local"),
                                            [FIELD_ZONE] = slice_of("zone1"),
                                            [FIELD_SERVICE] = slice_of(service),
                                            [FIELD_GROUP] = slice_of(group),
                                            [FIELD_INSTANCE] = slice_of("i-1")};
    assert_int_equal(instance_key_make(parts, &key, &problem), ERR_NONE);
    struct wire_record record = {
        .key = &key, .stamp = {stamp, slice_of("n-1")}, .deleted = deleted};
    record_diff_add(list, &record);
}

/* One key of each kind; `group` is that of the first. */
static struct diff_report all_kinds(const char *group)
{
    struct diff_list a = {0};
    struct diff_list b = {0};
    struct diff_report report = {0};
    add(&a, "lacking", group, 5, false);
    add(&a, "older", "", 5, false);
    add(&b, "older", "", 6, false);
    add(&a, "deleted", "", 7, true);
    add(&b, "deleted", "", 6, false);
    add(&a, "restored", "", 7, false);
    add(&b, "restored", "", 6, true);
    record_diff_merge(&a, &b, &report);
    record_diff_sort(&report);
    return report;
}

static void check_view(const struct diff_report *report, const struct diff_node *of,
                       const char *expected)
{
    char *printed = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&printed, &size);
    assert_non_null(out);
    view_diff(report, of, out, 0);
    fclose(out);
    assert_string_equal(printed, expected);
    free(printed);
}

static void each_key_is_a_line_with_the_differing_node(void **state)
{
    (void)state;
    struct diff_report report = all_kinds("");
    check_view(&report, nodes,
               "SERVICE   INSTANCE  REGION  ZONE   DIFFERENCE\n"
               "deleted   i-1       local   zone1  n-1 deleted it later\n"
               "lacking   i-1       local   zone1  n-2 has no record\n"
               "older     i-1       local   zone1  n-1 has an older record\n"
               "restored  i-1       local   zone1  n-2 deleted it earlier\n"
               "\n"
               "4 of 1,204 keys differ\n");
    record_diff_free(&report);
}

static void group_is_shown_where_there_is_one(void **state)
{
    (void)state;
    struct diff_report report = {0};
    struct diff_list a = {0};
    struct diff_list b = {0};
    static const struct diff_node one[2] = {{"n-1", "", 1}, {"n-2", "", 0}};
    add(&a, "s", "blue", 5, false);
    record_diff_merge(&a, &b, &report);
    check_view(&report, one,
               "SERVICE  GROUP  INSTANCE  REGION  ZONE   DIFFERENCE\n"
               "s        blue   i-1       local   zone1  n-2 has no record\n"
               "\n"
               "1 of 1 key differs\n");
    record_diff_free(&report);
}

static void weight_that_a_node_lacks_is_a_difference(void **state)
{
    (void)state;
    struct diff_report report = {0};
    struct diff_list a = {0};
    struct diff_list b = {0};
    struct text out = {0};
    static const struct diff_node one[2] = {{"n-1", "", 1}, {"n-2", "", 1}};
    add(&a, "s", "", 5, false);
    add(&b, "s", "", 5, false);
    b.items[0].copy.has_weight = true;
    record_diff_merge(&a, &b, &report);
    check_view(&report, one,
               "SERVICE  INSTANCE  REGION  ZONE   DIFFERENCE\n"
               "s        i-1       local   zone1  n-1 lacks the weight\n"
               "\n"
               "1 of 1 key differs\n");
    view_diff_json(&report, one, &out);
    assert_non_null(strstr(text_string(&out), "\"difference\":\"weight_missing\",\"at\":\"n-1\""));
    text_free(&out);
    record_diff_free(&report);
}

static void agreement_is_a_message(void **state)
{
    (void)state;
    static const struct diff_node one[2] = {{"n-1", "", 1}, {"n-2", "", 1}};
    check_view(&(struct diff_report){0}, nodes, "nodes n-1 and n-2 agree on 1,203 instances\n");
    check_view(&(struct diff_report){0}, one, "nodes n-1 and n-2 agree on 1 instance\n");
}

static void json_has_both_copies_of_each_key(void **state)
{
    (void)state;
    struct text out = {0};
    struct diff_report report = all_kinds("blue");
    const char *service, *group, *kind, *at, *state_a, *state_b;
    int agree, keys, differing;
    view_diff_json(&report, nodes, &out);
    json_t *root = json_loads(text_string(&out), 0, NULL);
    assert_non_null(root);
    assert_int_equal(
        json_unpack(root, "{s:b,s:i,s:i}", "agree", &agree, "keys", &keys, "differing", &differing),
        0);
    assert_false(agree);
    assert_int_equal(keys, 1204);
    assert_int_equal(differing, 4);
    assert_int_equal(json_unpack(json_array_get(json_object_get(root, "differences"), 1),
                                 "{s:s,s:s,s:s,s:s,s:[{s:s},{s:s}]}", "service_id", &service,
                                 "group_id", &group, "difference", &kind, "at", &at, "nodes",
                                 "state", &state_a, "state", &state_b),
                     0);
    assert_string_equal(service, "lacking");
    assert_string_equal(group, "blue");
    assert_string_equal(kind, "missing");
    assert_string_equal(at, "n-2");
    assert_string_equal(state_a, "live");
    assert_string_equal(state_b, "missing");
    json_decref(root);
    text_free(&out);
    record_diff_free(&report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_key_is_a_line_with_the_differing_node),
        cmocka_unit_test(group_is_shown_where_there_is_one),
        cmocka_unit_test(weight_that_a_node_lacks_is_a_difference),
        cmocka_unit_test(agreement_is_a_message),
        cmocka_unit_test(json_has_both_copies_of_each_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
