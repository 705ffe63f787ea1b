/* SPDX-License-Identifier: Apache-2.0
 *
 * The thread that reloads: callers wait or do not, and a reload that blocks holds up nobody else.
 */
#include "artemis-server/reload_thread.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/wait.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { SHORT_MS = 20, LONG_MS = 60 * 1000 };

/* A reload that blocks while `is_blocking`. */
static atomic_bool is_blocking;
static atomic_int begun;
static atomic_int ended;
static atomic_int ticks;
static char last_address[64];
static struct reload_thread *thread;

static bool is_free(void *context)
{
    (void)context;
    return !atomic_load(&is_blocking);
}

static enum error reload(void *context, const struct audit_origin *origin,
                         struct reload_report *report)
{
    (void)context;
    snprintf(last_address, sizeof last_address, "%s %s", origin->address, origin->token);
    atomic_fetch_add(&begun, 1);
    (void)wait_until(is_free, NULL, wait_now_ms() + LONG_MS);
    report->changed = 7;
    snprintf(report->problem.text, sizeof report->problem.text, "the problem");
    atomic_fetch_add(&ended, 1);
    return ERR_INVALID_FIELD;
}

static void tick(void *context)
{
    (void)context;
    atomic_fetch_add(&ticks, 1);
}

static int start(void **state)
{
    (void)state;
    const struct reload_calls calls = {reload, tick, NULL};
    atomic_store(&is_blocking, false);
    atomic_store(&begun, 0);
    atomic_store(&ended, 0);
    atomic_store(&ticks, 0);
    return reload_thread_start(&calls, &thread) == ERR_NONE ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    atomic_store(&is_blocking, false);
    if (!reload_thread_stop(thread, LONG_MS))
        return -1;
    reload_thread_free(thread);
    return 0;
}

static struct reload_job *add(void)
{
    struct reload_job *job = NULL;
    const struct audit_origin origin = {"ops", "127.0.0.1:1"};
    assert_int_equal(reload_thread_add(thread, &origin, &job), ERR_NONE);
    return job;
}

static bool has_begun(void *count)
{
    return atomic_load(&begun) >= *(int *)count;
}

static bool has_ended(void *count)
{
    return atomic_load(&ended) >= *(int *)count;
}

static bool has_ticked(void *context)
{
    (void)context;
    return atomic_load(&ticks) > 0;
}

/* Adds a reload that has begun and blocks. */
static struct reload_job *add_blocked(void)
{
    int one = 1;
    atomic_store(&is_blocking, true);
    struct reload_job *job = add();
    assert_true(wait_until(has_begun, &one, wait_deadline_ms()));
    return job;
}

static void result_is_returned(void **state)
{
    (void)state;
    struct reload_report report;
    enum error error = ERR_NONE;
    struct reload_job *job = add();
    assert_true(reload_job_wait(job, LONG_MS, &error, &report));
    assert_int_equal(error, ERR_INVALID_FIELD);
    assert_int_equal(report.changed, 7);
    assert_string_equal(report.problem.text, "the problem");
    assert_string_equal(last_address, "127.0.0.1:1 ops");
    reload_report_free(&report);
    reload_job_release(job);
    assert_true(wait_until(has_ticked, NULL, wait_deadline_ms()));
}

static void caller_of_a_blocked_reload_goes_on(void **state)
{
    (void)state;
    int one = 1;
    struct reload_report report;
    enum error error = ERR_NONE;
    struct reload_job *job = add_blocked();
    assert_false(reload_job_wait(job, 0, &error, &report));
    assert_false(reload_job_wait(job, SHORT_MS, &error, &report));
    reload_job_release(job);
    assert_int_equal(atomic_load(&ended), 0);
    atomic_store(&is_blocking, false);
    assert_true(wait_until(has_ended, &one, wait_deadline_ms()));
}

static void number_of_waiting_reloads_is_limited(void **state)
{
    (void)state;
    int all = RELOADS_MAX + 1;
    struct reload_job *job = add_blocked();
    const struct audit_origin origin = {NULL, "signal HUP"};
    for (int i = 0; i < RELOADS_MAX; i++)
        assert_int_equal(reload_thread_add(thread, &origin, NULL), ERR_NONE);
    assert_int_equal(reload_thread_add(thread, &origin, NULL), ERR_OVERLOADED);
    reload_job_release(job);
    atomic_store(&is_blocking, false);
    assert_true(wait_until(has_ended, &all, wait_deadline_ms()));
    assert_string_equal(last_address, "signal HUP ");
}

static void stop_does_not_wait_for_a_blocked_reload(void **state)
{
    (void)state;
    struct reload_report report;
    enum error error = ERR_NONE;
    struct reload_job *running = add_blocked();
    struct reload_job *waiting = add();
    reload_thread_refuse(thread);
    assert_true(reload_job_wait(running, LONG_MS, &error, &report));
    assert_int_equal(error, ERR_DRAINING);
    assert_non_null(strstr(report.problem.text, "shutting down"));
    assert_true(reload_job_wait(waiting, LONG_MS, &error, &report));
    assert_int_equal(error, ERR_DRAINING);
    struct reload_job *refused = NULL;
    const struct audit_origin origin = {0};
    assert_int_equal(reload_thread_add(thread, &origin, &refused), ERR_DRAINING);
    assert_false(reload_thread_stop(thread, SHORT_MS));
    reload_job_release(running);
    reload_job_release(waiting);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(result_is_returned),
        TEST(caller_of_a_blocked_reload_goes_on),
        TEST(number_of_waiting_reloads_is_limited),
        TEST(stop_does_not_wait_for_a_blocked_reload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
