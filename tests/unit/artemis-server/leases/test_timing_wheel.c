/* SPDX-License-Identifier: Apache-2.0
 *
 * A lease never comes up before its deadline, and at most one tick after it. This is checked at
 * every deadline, for deadlines of all sizes and at the limits of all levels, and then against a
 * list that is searched from end to end.
 */
#include "artemis-server/leases/timing_wheel.h"

#include "tests/unit/artemis-server/registry/registry_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define DAY_MS       86400000ull

enum { LEASES_MAX = 12000, WHOLE_BUDGET = 1000000 };

enum lease_state { IDLE, ARMED, ENDED };

struct rig {
    struct slab slab;
    struct timing_wheel wheel;
    uint64_t now_ms;
    uint32_t count; /* leases are 1 to count */
    enum lease_state state[LEASES_MAX + 1];
    uint64_t came_ms[LEASES_MAX + 1];
};

static struct rig rig;

static void start(uint64_t now_ms, uint32_t leases)
{
    assert_true(leases <= LEASES_MAX);
    memset(&rig, 0, sizeof(rig));
    slab_init(&rig.slab, sizeof(struct wheel_timer));
    for (uint32_t i = 0; i < leases; i++)
        assert_int_equal(slab_alloc(&rig.slab, &rig.count), ERR_NONE);
    timing_wheel_init(&rig.wheel, &rig.slab, now_ms);
    rig.now_ms = now_ms;
}

static void stop(void)
{
    slab_free(&rig.slab);
}

static struct wheel_timer *lease_at(uint32_t number)
{
    return slab_at(&rig.slab, number);
}

static void arm(uint32_t number, uint64_t deadline_ms)
{
    lease_at(number)->deadline_ms = deadline_ms;
    timing_wheel_arm(&rig.wheel, number, deadline_ms);
    rig.state[number] = ARMED;
}

/* A lease that has come up: the owner puts it back if its deadline has moved, else it is out. */
static void handed_out(uint32_t number)
{
    assert_int_equal(rig.state[number], ARMED);
    uint64_t deadline_ms = lease_at(number)->deadline_ms;
    if (deadline_ms > rig.now_ms) {
        timing_wheel_arm(&rig.wheel, number, deadline_ms);
        return;
    }
    rig.state[number] = IDLE;
    rig.came_ms[number] = rig.now_ms;
}

/* Takes out what has come up by then; `between` is called where others would get the lock. */
static void advance(uint64_t now_ms, unsigned budget_size, void (*between)(void))
{
    rig.now_ms = now_ms;
    unsigned steps;
    do {
        uint32_t number;
        steps = budget_size;
        while ((number = timing_wheel_next(&rig.wheel, now_ms, &steps)))
            handed_out(number);
        if (between)
            between();
    } while (steps == 0);
}

/* Has every lease come up that had to? */
static void check_none_is_late(void)
{
    for (uint32_t i = 1; i <= rig.count; i++)
        if (rig.state[i] == ARMED && lease_at(i)->deadline_ms + WHEEL_TICK_MS <= rig.now_ms + 1)
            fail_msg("lease %u of %llu ms is late at %llu ms", i,
                     (unsigned long long)lease_at(i)->deadline_ms, (unsigned long long)rig.now_ms);
}

static int by_time(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Arms a lease for each deadline, then cleanup_wheel just before and just after each of them.
 * Nothing moves, so each lease that comes up has ended. */
static void check_each_comes_up_in_time(uint64_t start_ms, uint64_t *deadlines, uint32_t count)
{
    start(start_ms, count);
    qsort(deadlines, count, sizeof(*deadlines), by_time);
    for (uint32_t i = 0; i < count; i++)
        arm(i + 1, deadlines[i]);
    uint32_t out = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t around[] = {deadlines[i] - 1, deadlines[i] + WHEEL_TICK_MS - 1};
        for (size_t cleanup = 0; cleanup < COUNT(around); cleanup++) {
            unsigned steps = UINT32_MAX;
            uint32_t number;
            rig.now_ms = around[cleanup] > rig.now_ms ? around[cleanup] : rig.now_ms;
            while ((number = timing_wheel_next(&rig.wheel, rig.now_ms, &steps))) {
                if (lease_at(number)->deadline_ms > rig.now_ms)
                    fail_msg("started at %llu: a lease of %llu comes up at %llu",
                             (unsigned long long)start_ms,
                             (unsigned long long)lease_at(number)->deadline_ms,
                             (unsigned long long)rig.now_ms);
                out++;
                rig.state[number] = IDLE;
            }
        }
        if (rig.state[i + 1] != IDLE)
            fail_msg("started at %llu: a lease of %llu has not come up by %llu",
                     (unsigned long long)start_ms, (unsigned long long)deadlines[i],
                     (unsigned long long)rig.now_ms);
    }
    assert_int_equal(out, count);
    stop();
}

/* As many short spans as long ones. */
static uint64_t random_span(uint64_t *seed, uint64_t most)
{
    return next_random(seed) % ((most >> random_below(seed, 31)) + 1);
}

/* --- in time ---------------------------------------------------------------------------------- */

static void random_deadlines_up_to_sixteen_days_come_up_in_time(void **state)
{
    (void)state;
    static uint64_t deadlines[4000];
    uint64_t seed = 1;
    for (uint32_t i = 0; i < COUNT(deadlines); i++)
        deadlines[i] = START_MONO_MS + random_span(&seed, 15 * DAY_MS);
    /* And some at the end of the last level, and beyond. */
    static const uint64_t reach_ms = (63ull << 20) * WHEEL_TICK_MS;
    static const uint64_t far_ms[] = {reach_ms - 1, reach_ms, reach_ms + 1, 16 * DAY_MS};
    for (uint32_t i = 0; i < COUNT(far_ms); i++)
        deadlines[i] = START_MONO_MS + far_ms[i];
    check_each_comes_up_in_time(START_MONO_MS, deadlines, COUNT(deadlines));
}

/* Deadlines a few ms around the borders of the levels: seen from the start, and on the clock. */
static uint32_t border_deadlines(uint64_t start_ms, uint64_t *out)
{
    static const int64_t around_ms[] = {-41, -21, -20, -19, -1, 0, 1, 19, 20, 21, 41};
    static const uint64_t spans[] = {1ull << 8, 1ull << 14, 1ull << 20};
    static const uint64_t times[] = {1, 2, 63, 64, 65};
    uint64_t start_tick = start_ms / WHEEL_TICK_MS;
    uint32_t count = 0;
    for (size_t s = 0; s < COUNT(spans); s++)
        for (size_t t = 0; t < COUNT(times); t++) {
            if (spans[s] == 1ull << 20 && times[t] > 1)
                continue; /* days; the random walk goes there */
            uint64_t from_start = start_tick + spans[s] * times[t];
            uint64_t on_clock = (start_tick / spans[s] + times[t]) * spans[s];
            for (size_t a = 0; a < COUNT(around_ms); a++) {
                out[count++] = from_start * WHEEL_TICK_MS + (uint64_t)around_ms[a];
                if (on_clock > start_tick + 3)
                    out[count++] = on_clock * WHEEL_TICK_MS + (uint64_t)around_ms[a];
            }
        }
    return count;
}

static void deadlines_on_the_borders_of_levels_come_up_in_time(void **state)
{
    (void)state;
    static const uint64_t first_ticks[] = {
        1000,       1ull << 14,       (1ull << 14) - 1, (1ull << 14) + 1, (1ull << 20) - 1,
        1ull << 20, (1ull << 20) + 1, (1ull << 26) - 1, 1ull << 26,       (1ull << 14) + 255,
    };
    static const uint64_t offsets_ms[] = {0, 7};
    static uint64_t deadlines[512];
    for (size_t t = 0; t < COUNT(first_ticks); t++)
        for (size_t o = 0; o < COUNT(offsets_ms); o++) {
            uint64_t start_ms = first_ticks[t] * WHEEL_TICK_MS + offsets_ms[o];
            uint32_t count = border_deadlines(start_ms, deadlines);
            assert_true(count <= COUNT(deadlines));
            check_each_comes_up_in_time(start_ms, deadlines, count);
        }
}

static void deadline_that_has_passed_comes_up_at_once(void **state)
{
    (void)state;
    start(100000, 3);
    arm(1, 0);
    arm(2, 100000);
    arm(3, 99999);
    advance(100000, WHOLE_BUDGET, NULL);
    for (uint32_t i = 1; i <= 3; i++)
        assert_int_equal(rig.state[i], IDLE);
    arm(1, 5); /* again, in a tick that was looked at already */
    advance(100000, WHOLE_BUDGET, NULL);
    assert_int_equal(rig.state[1], IDLE);
    stop();
}

static void lease_armed_long_after_the_start_comes_up_in_time(void **state)
{
    (void)state;
    static const uint64_t ages_ms[] = {5119, 5120, 5121, 327660, 327680, 20971500, 20971520};
    for (size_t i = 0; i < COUNT(ages_ms); i++) {
        start(0, 1);
        advance(ages_ms[i], WHOLE_BUDGET, NULL);
        arm(1, ages_ms[i] + 30000);
        advance(ages_ms[i] + 29999, WHOLE_BUDGET, NULL);
        assert_int_equal(rig.state[1], ARMED);
        advance(ages_ms[i] + 30019, WHOLE_BUDGET, NULL);
        assert_int_equal(rig.state[1], IDLE);
        stop();
    }
}

/* --- moved, disarmed -------------------------------------------------------------------------- */

static void lease_whose_deadline_moved_comes_up_at_the_new_one(void **state)
{
    (void)state;
    static const uint64_t moves_ms[] = {1, 19, 20, 21, 5120, 30000, 327680, 25000000};
    for (size_t i = 0; i < COUNT(moves_ms); i++) {
        start(7, 1);
        arm(1, 30007);
        uint64_t deadline_ms = 30007 + moves_ms[i];
        lease_at(1)->deadline_ms = deadline_ms; /* without arming it again */
        for (uint64_t t = 29980; t < deadline_ms; t += 1 + moves_ms[i] / 1000) {
            advance(t, WHOLE_BUDGET, NULL);
            assert_int_equal(rig.state[1], ARMED);
        }
        advance(deadline_ms + WHEEL_TICK_MS - 1, WHOLE_BUDGET, NULL);
        assert_int_equal(rig.state[1], IDLE);
        stop();
    }
}

/* The steps that the wheel takes in 100 times to live, a tick at a time. */
static unsigned steps_of_renewals(bool with_lease)
{
    start(0, 1);
    if (with_lease)
        arm(1, 30000);
    unsigned steps = WHOLE_BUDGET;
    for (uint64_t now_ms = 0; now_ms < 3000000; now_ms += WHEEL_TICK_MS) {
        if (now_ms % 10000 == 0)
            lease_at(1)->deadline_ms = now_ms + 30000;
        uint32_t number;
        while ((number = timing_wheel_next(&rig.wheel, now_ms, &steps))) {
            assert_true(lease_at(1)->deadline_ms > now_ms);
            timing_wheel_arm(&rig.wheel, number, lease_at(1)->deadline_ms);
        }
    }
    stop();
    return WHOLE_BUDGET - steps;
}

static void lease_renewed_often_is_visited_about_once_a_time_to_live(void **state)
{
    (void)state;
    assert_in_range(steps_of_renewals(true) - steps_of_renewals(false), 50, 200);
}

static void disarmed_lease_never_comes_up(void **state)
{
    (void)state;
    start(0, 4);
    for (uint32_t i = 1; i <= 4; i++)
        arm(i, 1000);                   /* one slot */
    timing_wheel_disarm(&rig.wheel, 2); /* in the middle */
    timing_wheel_disarm(&rig.wheel, 2); /* twice is once */
    timing_wheel_disarm(&rig.wheel, 4); /* the first of the list */
    timing_wheel_disarm(&rig.wheel, 1); /* the last */
    rig.state[1] = rig.state[2] = rig.state[4] = IDLE;
    advance(100000, WHOLE_BUDGET, NULL);
    assert_int_equal(rig.came_ms[3], 100000);
    assert_int_equal(rig.came_ms[1] + rig.came_ms[2] + rig.came_ms[4], 0);
    stop();
}

static void list_of_ended_leases_returns_what_was_added_and_was_not_disarmed(void **state)
{
    (void)state;
    start(0, 5);
    assert_int_equal(timing_wheel_pop_ended(&rig.wheel), 0);
    for (uint32_t i = 1; i <= 5; i++)
        timing_wheel_add_ended(&rig.wheel, i);
    timing_wheel_disarm(&rig.wheel, 5);
    timing_wheel_disarm(&rig.wheel, 3);
    unsigned seen = 0;
    for (uint32_t number; (number = timing_wheel_pop_ended(&rig.wheel));)
        seen |= 1u << number;
    assert_int_equal(seen, 1u << 1 | 1u << 2 | 1u << 4);
    timing_wheel_arm(&rig.wheel, 3, 50); /* unlinked: it can be armed again */
    timing_wheel_arm(&rig.wheel, 4, 50);
    stop();
}

/* --- budgets and cost ------------------------------------------------------------------------- */

static void no_budget_does_nothing(void **state)
{
    (void)state;
    start(0, 1);
    arm(1, 0);
    unsigned steps = 0;
    assert_int_equal(timing_wheel_next(&rig.wheel, 1000, &steps), 0);
    steps = 1;
    assert_int_equal(timing_wheel_next(&rig.wheel, 1000, &steps), 1);
    assert_int_equal(steps, 0);
    stop();
}

static void small_budgets_give_what_large_ones_give(void **state)
{
    (void)state;
    static uint64_t came_ms[3001];
    static const unsigned budgets[] = {WHOLE_BUDGET, 2, 3, 7, 512};
    for (size_t b = 0; b < COUNT(budgets); b++) {
        uint64_t seed = 5;
        start(123456, 3000);
        for (uint32_t i = 1; i <= rig.count; i++)
            arm(i, 123456 + random_span(&seed, 2 * 3600000));
        for (uint64_t now_ms = 123456; now_ms < 123456 + 3 * 3600000;)
            advance(now_ms += random_span(&seed, 600000), budgets[b], NULL);
        if (b == 0)
            memcpy(came_ms, rig.came_ms, sizeof(came_ms));
        assert_memory_equal(came_ms, rig.came_ms, sizeof(came_ms));
        stop();
    }
}

static void big_jump_hands_out_all_that_has_come_up_and_nothing_else(void **state)
{
    (void)state;
    uint64_t seed = 6;
    start(START_MONO_MS, 6000);
    for (uint32_t i = 1; i <= rig.count; i++)
        arm(i, START_MONO_MS + random_span(&seed, 3 * DAY_MS));
    static const uint64_t jumps_ms[] = {3600000, 17, DAY_MS + 17, 2 * DAY_MS};
    for (size_t j = 0; j < COUNT(jumps_ms); j++) {
        advance(rig.now_ms + jumps_ms[j], WHOLE_BUDGET, NULL);
        check_none_is_late();
    }
    for (uint32_t i = 1; i <= rig.count; i++)
        assert_int_equal(rig.state[i], IDLE);
    stop();
}

static void leases_that_have_not_come_up_cost_nothing(void **state)
{
    (void)state;
    start(0, LEASES_MAX);
    for (uint32_t i = 1; i <= rig.count; i++)
        arm(i, 36000000 + i);
    unsigned steps = WHOLE_BUDGET;
    assert_int_equal(timing_wheel_next(&rig.wheel, 1000 * WHEEL_TICK_MS, &steps), 0);
    assert_true(WHOLE_BUDGET - steps < 1100);
    stop();
}

/* --- against a list --------------------------------------------------------------------------- */

static uint64_t random_seed;

/* Anything an owner may do between two stretches of the wheel's work. */
static void random_operation(void)
{
    uint32_t number = 1 + random_below(&random_seed, rig.count);
    switch (rig.state[number]) {
    case IDLE:
        if (random_below(&random_seed, 8) == 0) {
            timing_wheel_add_ended(&rig.wheel, number);
            rig.state[number] = ENDED;
        } else {
            arm(number, rig.now_ms + random_span(&random_seed, 15 * DAY_MS));
        }
        break;
    case ARMED:
        if (random_below(&random_seed, 3) == 0) {
            timing_wheel_disarm(&rig.wheel, number);
            rig.state[number] = IDLE;
        } else { /* renewed */
            lease_at(number)->deadline_ms += random_span(&random_seed, DAY_MS);
        }
        break;
    case ENDED:
        if (random_below(&random_seed, 2) == 0)
            timing_wheel_disarm(&rig.wheel, number);
        else
            number = timing_wheel_pop_ended(&rig.wheel);
        assert_int_equal(rig.state[number], ENDED);
        rig.state[number] = IDLE;
        break;
    }
}

static void sometimes_a_random_operation(void)
{
    if (random_below(&random_seed, 4) == 0)
        random_operation();
}

static void run_random_operations(unsigned budget_size, void (*between)(void))
{
    random_seed = 7 + budget_size;
    start(START_MONO_MS, 256);
    for (int step = 0; step < 100000; step++) {
        if (random_below(&random_seed, 5)) {
            random_operation();
            continue;
        }
        advance(rig.now_ms + random_span(&random_seed, 1 << 18), budget_size, between);
        check_none_is_late();
    }
    stop();
}

static void random_operations_agree_with_a_list(void **state)
{
    (void)state;
    run_random_operations(WHOLE_BUDGET, NULL);
}

static void random_operations_between_small_budgets_agree_with_a_list(void **state)
{
    (void)state;
    run_random_operations(3, sometimes_a_random_operation);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_deadlines_up_to_sixteen_days_come_up_in_time),
        cmocka_unit_test(deadlines_on_the_borders_of_levels_come_up_in_time),
        cmocka_unit_test(deadline_that_has_passed_comes_up_at_once),
        cmocka_unit_test(lease_armed_long_after_the_start_comes_up_in_time),
        cmocka_unit_test(lease_whose_deadline_moved_comes_up_at_the_new_one),
        cmocka_unit_test(lease_renewed_often_is_visited_about_once_a_time_to_live),
        cmocka_unit_test(disarmed_lease_never_comes_up),
        cmocka_unit_test(list_of_ended_leases_returns_what_was_added_and_was_not_disarmed),
        cmocka_unit_test(no_budget_does_nothing),
        cmocka_unit_test(small_budgets_give_what_large_ones_give),
        cmocka_unit_test(big_jump_hands_out_all_that_has_come_up_and_nothing_else),
        cmocka_unit_test(leases_that_have_not_come_up_cost_nothing),
        cmocka_unit_test(random_operations_agree_with_a_list),
        cmocka_unit_test(random_operations_between_small_budgets_agree_with_a_list),
    };
    return cmocka_run_group_tests_name("timing_wheel", tests, NULL, NULL);
}
