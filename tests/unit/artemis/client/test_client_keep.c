/* SPDX-License-Identifier: Apache-2.0
 *
 * The classification of the response to a heartbeat, and the time of the next one.
 */
#include "artemis/client/client_keep.h"

#include "tests/support/cmocka_all.h"

static struct client_result result_of(enum client_exit exit_code, bool retryable, int http_status)
{
    return (struct client_result){
        .response.http_status = http_status,
        .outcome = {.exit_code = exit_code, .retryable = retryable},
    };
}

static void results_are_classified(void **state)
{
    (void)state;
    static const struct {
        enum client_exit exit_code;
        bool retryable;
        int http_status;
        enum keep_state at_first, once_well;
    } rows[] = {
        {CLIENT_DONE, false, 200, KEEP_WELL, KEEP_WELL},
        {CLIENT_UNREACHABLE, true, 0, KEEP_AWAY, KEEP_AWAY},    /* nothing listens */
        {CLIENT_UNREACHABLE, false, 404, KEEP_OVER, KEEP_AWAY}, /* another server */
        {CLIENT_REFUSED, true, 503, KEEP_AWAY, KEEP_AWAY},      /* not ready */
        {CLIENT_REFUSED, true, 429, KEEP_AWAY, KEEP_AWAY},
        {CLIENT_REFUSED, false, 500, KEEP_OVER, KEEP_AWAY},
        {CLIENT_REFUSED, false, 400, KEEP_OVER, KEEP_OVER},
        {CLIENT_REFUSED, false, 200, KEEP_OVER, KEEP_OVER}, /* an item that is invalid */
        {CLIENT_USAGE, false, 0, KEEP_OVER, KEEP_OVER},     /* no address */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct client_result result =
            result_of(rows[i].exit_code, rows[i].retryable, rows[i].http_status);
        assert_int_equal(client_keep_judge(&result, false), rows[i].at_first);
        assert_int_equal(client_keep_judge(&result, true), rows[i].once_well);
    }
}

static void unknown_instance_is_lost(void **state)
{
    (void)state;
    struct client_result result = result_of(CLIENT_REFUSED, false, 200);
    result.root = json_pack("{s:[{s:s}]}", "failed_instance_keys", "reason", "instance-not-found");
    assert_non_null(result.root);
    assert_int_equal(client_keep_judge(&result, true), KEEP_LOST);
    assert_int_equal(client_keep_judge(&result, false), KEEP_LOST);
    json_decref(result.root);
}

static void unreachable_server_is_retried_sooner(void **state)
{
    (void)state;
    assert_int_equal(client_keep_pause(KEEP_WELL, 20), 20);
    assert_int_equal(client_keep_pause(KEEP_AWAY, 20), 2);
    assert_int_equal(client_keep_pause(KEEP_AWAY, 1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_classified),
        cmocka_unit_test(unknown_instance_is_lost),
        cmocka_unit_test(unreachable_server_is_retried_sooner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
