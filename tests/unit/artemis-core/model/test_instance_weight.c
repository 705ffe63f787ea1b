/* SPDX-License-Identifier: Apache-2.0
 *
 * The weight of an instance: its limits, its default, and its memory.
 */
#include "artemis-core/model/instance.h"

#include "tests/support/cmocka_all.h"
#include "tests/unit/artemis-core/model/instance_fixture.h"

static void check_rejected(const struct instance_spec *spec, const char *message)
{
    struct instance *instance = NULL;
    struct field_problem problem;
    assert_int_equal(instance_create(spec, &instance, &problem), ERR_INVALID_FIELD);
    assert_null(instance);
    assert_string_equal(problem.field, "weight");
    assert_string_equal(problem.problem, message);
}

static void weight_bounds(void **state)
{
    (void)state;
    static const struct {
        int64_t weight;
        const char *message;
    } cases[] = {
        {0, NULL},
        {1, NULL},
        {100, NULL},
        {1000, NULL},
        {1001, "must be 0 to 1000, is 1001"},
        {-1, "must be 0 to 1000, is -1"},
        {65536, "must be 0 to 1000, is 65536"},
        {INT64_MIN, "must be 0 to 1000, is -9223372036854775808"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct instance_spec spec = good_spec();
        spec.weight = cases[i].weight;
        spec.has_weight = true;
        if (cases[i].message) {
            check_rejected(&spec, cases[i].message);
            continue;
        }
        struct instance *instance = made(&spec);
        assert_int_equal(instance_weight(instance), cases[i].weight);
        instance_unref(instance);
    }
}

static void weight_is_the_default_if_it_is_absent_and_takes_no_memory_then(void **state)
{
    (void)state;
    struct instance_spec spec = good_spec();
    spec.weight = 7; /* is not read */
    struct instance *absent = made(&spec);
    spec.has_weight = true;
    struct instance *given = made(&spec);
    spec.weight = WEIGHT_DEFAULT;
    struct instance *is_default = made(&spec);
    assert_int_equal(instance_weight(absent), 100);
    assert_int_equal(instance_weight(given), 7);
    assert_true(instance_equal(absent, is_default));
    assert_false(instance_equal(absent, given));
    assert_int_equal(instance_size(is_default), instance_size(absent));
    assert_int_equal(instance_size(given), instance_size(absent) + 2);
    instance_unref(absent);
    instance_unref(given);
    instance_unref(is_default);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weight_bounds),
        cmocka_unit_test(weight_is_the_default_if_it_is_absent_and_takes_no_memory_then),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
