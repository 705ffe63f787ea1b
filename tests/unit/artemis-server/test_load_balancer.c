/* SPDX-License-Identifier: Apache-2.0
 *
 * Candidates are the bits of a number.
 */
#include "artemis-server/load_balancer.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/random.h"

static bool has_bit(const void *context, uint32_t index)
{
    return *(const uint32_t *)context >> index & 1;
}

static void next_takes_each_candidate_in_turn(void **state)
{
    (void)state;
    static const uint32_t expected[] = {1, 4, 6, 1, 4, 6};
    uint32_t bits = 0x52;
    uint32_t position = 0;
    for (int i = 0; i < 6; i++)
        assert_int_equal(load_balancer_next(8, has_bit, &bits, &position), expected[i]);
}

static void next_goes_on_after_candidates_have_gone(void **state)
{
    (void)state;
    uint32_t bits = 0xff;
    uint32_t position = 7;
    assert_int_equal(load_balancer_next(8, has_bit, &bits, &position), 7);
    assert_int_equal(load_balancer_next(3, has_bit, &bits, &position), 8 % 3);
    position = UINT32_MAX;
    assert_in_range(load_balancer_next(3, has_bit, &bits, &position), 0, 2);
}

static void without_a_candidate_there_is_none(void **state)
{
    (void)state;
    uint32_t bits = 0;
    uint32_t position = 5;
    assert_int_equal(load_balancer_next(8, has_bit, &bits, &position), 8);
    assert_int_equal(position, 5);
    assert_int_equal(load_balancer_random(8, has_bit, &bits, 3), 8);
    assert_int_equal(load_balancer_next(0, has_bit, &bits, &position), 0);
    assert_int_equal(load_balancer_random(0, has_bit, &bits, 3), 0);
}

static void random_takes_each_candidate_about_as_often(void **state)
{
    (void)state;
    enum { DRAWS = 30000 };
    static const uint32_t masks[] = {0xffff, 0x8001, 0x0100, 0x1110};
    uint64_t seed = 1;
    for (int m = 0; m < 4; m++) {
        uint32_t drawn[16] = {0};
        uint32_t candidates = (uint32_t)__builtin_popcount(masks[m]);
        for (int i = 0; i < DRAWS; i++) {
            uint32_t index =
                load_balancer_random(16, has_bit, &masks[m], (uint32_t)next_random(&seed));
            assert_true(has_bit(&masks[m], index));
            drawn[index]++;
        }
        for (uint32_t i = 0; i < 16; i++)
            if (has_bit(&masks[m], i))
                assert_in_range(drawn[i], DRAWS / candidates * 8 / 10,
                                DRAWS / candidates * 12 / 10);
    }
}

/* The weight of an index is the index, less 4. */
static uint32_t weight_of(const void *context, uint32_t index)
{
    (void)context;
    return index > 4 ? index - 4 : 0;
}

static void weighted_takes_each_candidate_as_its_weight_says(void **state)
{
    (void)state;
    enum { DRAWS = 30000 };
    uint64_t seed = 1;
    uint32_t bits = 1 << 3 | 1 << 5 | 1 << 6 | 1 << 7; /* 0, 1, 2, 3 */
    uint32_t drawn[8] = {0};
    assert_int_equal(load_balancer_total(8, has_bit, weight_of, &bits), 6);
    for (int i = 0; i < DRAWS; i++)
        drawn[load_balancer_weighted(8, has_bit, weight_of, &bits, (uint32_t)next_random(&seed))]++;
    for (uint32_t i = 5; i < 8; i++)
        assert_in_range(drawn[i], DRAWS / 6 * weight_of(NULL, i) * 9 / 10,
                        DRAWS / 6 * weight_of(NULL, i) * 11 / 10);
    assert_int_equal(drawn[5] + drawn[6] + drawn[7], DRAWS);
    assert_int_equal(load_balancer_weighted(8, has_bit, weight_of, &bits, 0), 5);
    assert_int_equal(load_balancer_weighted(8, has_bit, weight_of, &bits, UINT32_MAX), 7);
}

static void weighted_without_weights_takes_each_candidate(void **state)
{
    (void)state;
    uint64_t seed = 1;
    uint32_t bits = 1 << 1 | 1 << 3;
    uint32_t drawn[8] = {0};
    for (int i = 0; i < 1000; i++)
        drawn[load_balancer_weighted(8, has_bit, weight_of, &bits, (uint32_t)next_random(&seed))]++;
    assert_in_range(drawn[1], 400, 600);
    assert_int_equal(drawn[1] + drawn[3], 1000);
    bits = 0;
    assert_int_equal(load_balancer_weighted(8, has_bit, weight_of, &bits, 7), 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(next_takes_each_candidate_in_turn),
        cmocka_unit_test(next_goes_on_after_candidates_have_gone),
        cmocka_unit_test(without_a_candidate_there_is_none),
        cmocka_unit_test(random_takes_each_candidate_about_as_often),
        cmocka_unit_test(weighted_takes_each_candidate_as_its_weight_says),
        cmocka_unit_test(weighted_without_weights_takes_each_candidate),
    };
    return cmocka_run_group_tests_name("load_balancer", tests, NULL, NULL);
}
