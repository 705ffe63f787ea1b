/* SPDX-License-Identifier: Apache-2.0
 *
 * What an answer to a heartbeat means for whoever keeps a lease, and when the next one is due.
 */
#include "artemis/client_keep.h"

#include "tests/support/cmocka_all.h"

static struct client_reply reply_of(enum client_exit exit_code, bool later, int http_status)
{
    return (struct client_reply){
        .answer.http_status = http_status,
        .verdict = {.exit_code = exit_code, .later = later},
    };
}

static void answers_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        enum client_exit exit_code;
        bool later;
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
        struct client_reply reply = reply_of(rows[i].exit_code, rows[i].later, rows[i].http_status);
        assert_int_equal(client_keep_judge(&reply, false), rows[i].at_first);
        assert_int_equal(client_keep_judge(&reply, true), rows[i].once_well);
    }
}

static void unknown_instance_is_lost(void **state)
{
    (void)state;
    struct client_reply reply = reply_of(CLIENT_REFUSED, false, 200);
    reply.root = json_pack("{s:[{s:s}]}", "failed_instance_keys", "reason", "instance-not-found");
    assert_non_null(reply.root);
    assert_int_equal(client_keep_judge(&reply, true), KEEP_LOST);
    assert_int_equal(client_keep_judge(&reply, false), KEEP_LOST);
    json_decref(reply.root);
}

static void server_that_is_away_is_tried_sooner(void **state)
{
    (void)state;
    assert_int_equal(client_keep_pause(KEEP_WELL, 20), 20);
    assert_int_equal(client_keep_pause(KEEP_AWAY, 20), 2);
    assert_int_equal(client_keep_pause(KEEP_AWAY, 1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_told_apart),
        cmocka_unit_test(unknown_instance_is_lost),
        cmocka_unit_test(server_that_is_away_is_tried_sooner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
