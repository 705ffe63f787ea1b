/* SPDX-License-Identifier: Apache-2.0
 *
 * The time limits of a shutdown: which one comes next, and that a shutdown that exceeds the last
 * one ends the process with exit code 1.
 */
#include "artemis/shutdown.h"

#include "artemis-server/clock.h"
#include "artemis/terminal/exit_code.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/wait.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HOUR_MS = 60 * 60 * 1000, SHORT_MS = 50 };

static uint64_t next_ms(uint64_t second_ms, uint64_t now_ms, bool *is_last)
{
    return shutdown_next_limit_ms(&shutdown_limits, 1000000, second_ms, now_ms, is_last);
}

static void limits_come_one_after_the_other(void **state)
{
    (void)state;
    bool is_last = true;
    assert_int_equal(next_ms(0, 1000000, &is_last), 1060000);
    assert_false(is_last);
    assert_int_equal(next_ms(0, 1060000, &is_last), 1120000);
    assert_true(is_last);
}

static void second_signal_brings_the_end_near(void **state)
{
    (void)state;
    bool is_last = false;
    assert_int_equal(next_ms(1005000, 1005000, &is_last), 1015000);
    assert_true(is_last);
    assert_int_equal(next_ms(1055000, 1055000, &is_last), 1060000);
    assert_false(is_last);
    assert_int_equal(next_ms(1055000, 1060000, &is_last), 1065000);
    assert_true(is_last);
    assert_int_equal(next_ms(1119000, 1119000, &is_last), 1120000);
    assert_true(is_last);
}

/* Runs in a child: a shutdown that takes longer than a test may. */
static void hang(const struct shutdown_limits *limits, bool is_hurried)
{
    struct shutdown_watch watch;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    shutdown_watch_start(&watch, limits, &signals);
    if (is_hurried)
        kill(getpid(), SIGTERM);
    wait_for_time(wait_deadline_ms());
    _exit(EXIT_USAGE);
}

static void check_ends_with_1(const struct shutdown_limits *limits, bool is_hurried)
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        hang(limits, is_hurried);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EXIT_REFUSED);
}

static void shutdown_that_hangs_ends_the_process(void **state)
{
    (void)state;
    struct shutdown_limits limits = shutdown_limits;
    limits.storage_ms = SHORT_MS;
    limits.all_ms = 2 * SHORT_MS;
    check_ends_with_1(&limits, false);
}

static void hurried_shutdown_that_hangs_ends_the_process(void **state)
{
    (void)state;
    struct shutdown_limits limits = shutdown_limits;
    limits.storage_ms = HOUR_MS;
    limits.all_ms = HOUR_MS;
    limits.hurried_all_ms = SHORT_MS;
    check_ends_with_1(&limits, true);
}

static void shutdown_in_time_ends_the_watch(void **state)
{
    (void)state;
    struct shutdown_watch watch;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    shutdown_watch_start(&watch, &shutdown_limits, &signals);
    assert_true(watch.is_started);
    shutdown_watch_stop(&watch);
    assert_false(atomic_load(&watch.is_hurried));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_come_one_after_the_other),
        cmocka_unit_test(second_signal_brings_the_end_near),
        cmocka_unit_test(shutdown_that_hangs_ends_the_process),
        cmocka_unit_test(hurried_shutdown_that_hangs_ends_the_process),
        cmocka_unit_test(shutdown_in_time_ends_the_watch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
