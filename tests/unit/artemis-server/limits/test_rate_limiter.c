/* SPDX-License-Identifier: Apache-2.0
 *
 * How many requests the bucket admits, counted.
 */
#include "artemis-server/limits/rate_limiter.h"

#include <pthread.h>

#include "tests/unit/artemis-server/registry/registry_fixture.h"

static unsigned admitted(struct rate_limiter *limiter, uint64_t now_ms, unsigned tries)
{
    unsigned count = 0;
    for (unsigned i = 0; i < tries; i++)
        count += rate_limiter_admit(limiter, now_ms);
    return count;
}

static void burst_is_admitted_at_once_and_no_more(void **state)
{
    (void)state;
    struct rate_limiter limiter;
    rate_limiter_init(&limiter, 100, 50);
    assert_int_equal(admitted(&limiter, START_MONO_MS, 1000), 50);
    assert_int_equal(admitted(&limiter, START_MONO_MS, 1000), 0);
}

static void bucket_fills_at_the_rate(void **state)
{
    (void)state;
    struct rate_limiter limiter;
    rate_limiter_init(&limiter, 100, 50);
    admitted(&limiter, START_MONO_MS, 50);
    assert_int_equal(admitted(&limiter, START_MONO_MS + 9, 10), 0);
    assert_int_equal(admitted(&limiter, START_MONO_MS + 10, 10), 1);
    assert_int_equal(admitted(&limiter, START_MONO_MS + 250, 100), 24);
}

static void idle_bucket_never_holds_more_than_the_burst(void **state)
{
    (void)state;
    struct rate_limiter limiter;
    rate_limiter_init(&limiter, 100, 50);
    admitted(&limiter, START_MONO_MS, 50);
    assert_int_equal(admitted(&limiter, START_MONO_MS + 86400000, 1000), 50);
}

static void changed_limit_takes_effect_at_once(void **state)
{
    (void)state;
    struct rate_limiter limiter;
    rate_limiter_init(&limiter, 1, 50);
    admitted(&limiter, START_MONO_MS, 50);
    rate_limiter_set(&limiter, 1, 50); /* no change: the bucket stays empty */
    assert_int_equal(admitted(&limiter, START_MONO_MS, 10), 0);
    rate_limiter_set(&limiter, 100, 20);
    assert_int_equal(admitted(&limiter, START_MONO_MS, 1000), 20);
    rate_limiter_set(&limiter, 0, 20);
    assert_int_equal(admitted(&limiter, START_MONO_MS, 1000), 1000);
}

static void steady_stream_gets_the_rate(void **state)
{
    (void)state;
    static const uint32_t rates[] = {1, 3, 999, 1000, 10000, 250000};
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        struct rate_limiter limiter;
        uint32_t burst = rates[i] / 2 + 1;
        rate_limiter_init(&limiter, rates[i], burst);
        unsigned count = 0;
        for (uint64_t ms = 0; ms < 10000; ms++)
            count += admitted(&limiter, START_MONO_MS + ms, 2 * rates[i] / 1000 + 2);
        /* Ten seconds of the rate, and the full bucket that it started with. */
        assert_in_range(count, 10 * rates[i] + burst - rates[i] / 1000 - 1,
                        10 * rates[i] + burst + 1);
    }
}

static void refused_requests_cost_nothing(void **state)
{
    (void)state;
    struct rate_limiter limiter;
    rate_limiter_init(&limiter, 1000, 10);
    admitted(&limiter, START_MONO_MS, 100000);
    assert_int_equal(admitted(&limiter, START_MONO_MS + 10, 100), 10);
}

static void rate_of_zero_is_no_limit(void **state)
{
    (void)state;
    struct rate_limiter limiter;
    rate_limiter_init(&limiter, 0, 1);
    assert_int_equal(admitted(&limiter, START_MONO_MS, 100000), 100000);
}

static void burst_of_zero_admits_one_at_a_time(void **state)
{
    (void)state;
    struct rate_limiter limiter;
    rate_limiter_init(&limiter, 10, 0);
    assert_int_equal(admitted(&limiter, START_MONO_MS, 10), 1);
    assert_int_equal(admitted(&limiter, START_MONO_MS + 99, 10), 0);
    assert_int_equal(admitted(&limiter, START_MONO_MS + 100, 10), 1);
}

static void largest_settings_do_not_overflow(void **state)
{
    (void)state;
    const uint64_t century_ms = 100ull * 366 * 86400000;
    struct rate_limiter limiter;
    rate_limiter_init(&limiter, 1, UINT32_MAX);
    assert_int_equal(admitted(&limiter, century_ms, 1000), 1000);
    rate_limiter_init(&limiter, 1000000, 1);
    assert_int_equal(admitted(&limiter, century_ms, 2000), 1000); /* a millisecond's worth */
}

/* Whatever the burst, the rate itself is granted. */
static void small_burst_does_not_throttle_the_rate(void **state)
{
    (void)state;
    struct rate_limiter limiter;
    unsigned total = 0;
    rate_limiter_init(&limiter, 10000, 1);
    for (uint64_t ms = 1; ms <= 1000; ms++)
        total += admitted(&limiter, START_MONO_MS + ms, 100);
    assert_in_range(total, 9990, 10010);
}

/* A thread whose clock reading is a little old must not give others more. */
static void older_moment_admits_no_more_than_the_burst(void **state)
{
    (void)state;
    struct rate_limiter limiter;
    rate_limiter_init(&limiter, 1000, 10);
    assert_int_equal(admitted(&limiter, START_MONO_MS + 5, 100), 10);
    assert_int_equal(admitted(&limiter, START_MONO_MS, 100), 0);
    assert_int_equal(admitted(&limiter, START_MONO_MS + 5, 100), 0);
}

enum { THREADS = 4, TRIES = 200000 };

static pthread_barrier_t all_there;

static void *hammer(void *context)
{
    pthread_barrier_wait(&all_there);
    return (void *)(uintptr_t)admitted(context, START_MONO_MS, TRIES);
}

static void threads_together_get_one_burst(void **state)
{
    (void)state;
    struct rate_limiter limiter;
    pthread_t threads[THREADS];
    rate_limiter_init(&limiter, 1000, THREADS * TRIES / 2);
    pthread_barrier_init(&all_there, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, &limiter), 0);
    uintptr_t total = 0;
    for (int i = 0; i < THREADS; i++) {
        void *count;
        pthread_join(threads[i], &count);
        total += (uintptr_t)count;
    }
    pthread_barrier_destroy(&all_there);
    assert_int_equal(total, THREADS * TRIES / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(burst_is_admitted_at_once_and_no_more),
        cmocka_unit_test(bucket_fills_at_the_rate),
        cmocka_unit_test(idle_bucket_never_holds_more_than_the_burst),
        cmocka_unit_test(changed_limit_takes_effect_at_once),
        cmocka_unit_test(steady_stream_gets_the_rate),
        cmocka_unit_test(refused_requests_cost_nothing),
        cmocka_unit_test(rate_of_zero_is_no_limit),
        cmocka_unit_test(burst_of_zero_admits_one_at_a_time),
        cmocka_unit_test(largest_settings_do_not_overflow),
        cmocka_unit_test(small_burst_does_not_throttle_the_rate),
        cmocka_unit_test(older_moment_admits_no_more_than_the_burst),
        cmocka_unit_test(threads_together_get_one_burst),
    };
    return cmocka_run_group_tests_name("rate_limiter", tests, NULL, NULL);
}
