/* SPDX-License-Identifier: Apache-2.0
 *
 * A disarmed wakeup is not called until it is armed again.
 */
#include "artemis-server/registry/change_log.h"

#include "tests/unit/artemis-server/registry/registry_fixture.h"

static void count_call(void *context)
{
    ++*(int *)context;
}

static void dismissed_is_not_called(void **state)
{
    (void)state;
    struct change_log log;
    int calls = 0;
    struct instance *instance = make_instance((struct brief){.service = "s", .id = "i"});
    assert_int_equal(change_log_init(&log, 16, 0, at_ms(0)), ERR_NONE);
    log.wake = count_call;
    log.wake_context = &calls;
    assert_true(change_log_arm_wakeup(&log, change_log_revision(&log)));
    change_log_disarm_wakeup(&log);
    uint64_t revision = change_log_append(&log, 0, instance, CHANGE_NEW, at_ms(1));
    change_log_wake(&log);
    assert_int_equal(calls, 0);

    assert_true(change_log_arm_wakeup(&log, revision));
    change_log_append(&log, 0, instance, CHANGE_DELETE, at_ms(2));
    change_log_wake(&log);
    assert_int_equal(calls, 1);
    instance_unref(instance);
    change_log_free(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(dismissed_is_not_called)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
