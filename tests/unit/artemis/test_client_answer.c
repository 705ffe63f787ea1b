/* SPDX-License-Identifier: Apache-2.0
 *
 * Every way in which a call can end becomes one of the four exit codes, a sentence, and what to do
 * next (CONTRACT 1 and 8).
 */
#include "artemis/client_answer.h"

#include "tests/support/cmocka_all.h"

#include <stdio.h>
#include <string.h>

#define SHOWN "http://node:8080"

/* Judges a body, written with single quotes. */
static struct client_verdict judge(int http_status, const char *body, unsigned retry_after_secs)
{
    struct client_answer answer = {
        .fate = CLIENT_ANSWERED,
        .http_status = http_status,
        .retry_after_secs = retry_after_secs,
    };
    struct client_verdict verdict;
    json_t *root = NULL;
    for (const char *at = body; *at; at++)
        text_append_char(&answer.body, *at == '\'' ? '"' : *at);
    client_answer_judge(&answer, SHOWN, &verdict, &root);
    json_decref(root);
    text_free(&answer.body);
    return verdict;
}

#define REFUSAL(reason)                                                                            \
    "{'response_status':{'error_code':'bad-request','error_message':'M','reason':'" reason "'}}"

static void judge_success_is_done(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{'response_status':{'error_code':'success'}}",
        "{'responseStatus':{'errorCode':'success','status':'success','message':''}}",
        "{'response_status':{'error_code':'success'},'failed_instances':[]}",
        "{'response_status':{'error_code':'success'},'failed_instances':null}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct client_verdict verdict = judge(200, bodies[i], 0);
        assert_int_equal(verdict.exit_code, CLIENT_DONE);
        assert_string_equal(verdict.message, "");
        assert_string_equal(verdict.hint, "");
    }
}

static void judge_refusal_is_1_with_the_servers_message(void **state)
{
    (void)state;
    static const struct {
        int http_status;
        const char *body;
        const char *message;
    } cases[] = {
        {400, REFUSAL("invalid-json"), "M"},
        {404, REFUSAL("no-such-path"), "M"},
        {200, REFUSAL("service-not-found"), "M"},
        {200, "{'responseStatus':{'errorCode':'data-not-found','errorMessage':'M'}}", "M"},
        {200, "{'responseStatus':{'errorCode':'bad-request','message':'M'}}", "M"},
        {500, "{'response_status':{'error_code':'internal-error'}}",
         "refused with HTTP 500 internal-error"},
        {500, "{'response_status':{'error_code':'success'}}", "refused with HTTP 500 success"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct client_verdict verdict = judge(cases[i].http_status, cases[i].body, 0);
        assert_int_equal(verdict.exit_code, CLIENT_REFUSED);
        assert_string_equal(verdict.message, cases[i].message);
        assert_false(verdict.later);
    }
}

static void judge_refused_item_speaks_for_the_answer(void **state)
{
    (void)state;
    struct client_verdict verdict = judge(
        200,
        "{'response_status':{'error_code':'bad-request','error_message':'1 of 1 failed'},"
        "'failed_instance_keys':[{'service_id':'s','instance_id':'i','error_code':'bad-request',"
        "'error_message':'the instance is not registered','reason':'instance-not-found'}]}",
        0);
    assert_int_equal(verdict.exit_code, CLIENT_REFUSED);
    assert_string_equal(verdict.message, "the instance is not registered");
    assert_non_null(strstr(verdict.hint, "region, zone and group"));
    assert_int_equal(verdict.failed_count, 1);
}

static void judge_item_without_message_leaves_that_of_the_answer(void **state)
{
    (void)state;
    struct client_verdict verdict =
        judge(200,
              "{'response_status':{'error_code':'bad-request','error_message':'M',"
              "'reason':'instance-not-found'},'failed_instances':[{'instance_id':'i'}]}",
              0);
    assert_string_equal(verdict.message, "M");
    assert_non_null(strstr(verdict.hint, "region, zone and group"));

    verdict = judge(200,
                    "{'response_status':{'error_code':'bad-request','error_message':'M',"
                    "'reason':'instance-not-found'},'failed_instances':[{'error_message':'N'}]}",
                    0);
    assert_string_equal(verdict.message, "N");
    assert_non_null(strstr(verdict.hint, "region, zone and group"));
}

static void judge_several_refused_items_are_counted(void **state)
{
    (void)state;
    struct client_verdict verdict =
        judge(200, "{'responseStatus':{'errorCode':'success'},'failedInstances':[{},{},{}]}", 0);
    assert_int_equal(verdict.exit_code, CLIENT_REFUSED);
    assert_string_equal(verdict.message, "3 items were refused");
    assert_int_equal(verdict.failed_count, 3);
}

static void judge_busy_server_tells_when_to_try_again(void **state)
{
    (void)state;
    static const struct {
        int http_status;
        unsigned retry_after_secs;
        const char *body;
        const char *hint;
    } cases[] = {
        {503, 7, REFUSAL("not-ready"), "try again in 7 s"},
        {200, 0, REFUSAL("not-ready"), "try again in a moment"},
        {429, 1, REFUSAL("over-limit"), "try again in 1 s"},
        {503, 3, REFUSAL("draining"),
         "name another node with --server or ARTEMIS_URL, or try again in 3 s"},
        {503, 0, REFUSAL("something-new"), "try again in a moment"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct client_verdict verdict =
            judge(cases[i].http_status, cases[i].body, cases[i].retry_after_secs);
        assert_int_equal(verdict.exit_code, CLIENT_REFUSED);
        assert_true(verdict.later);
        assert_string_equal(verdict.hint, cases[i].hint);
    }
}

static void judge_answer_of_another_server_is_3(void **state)
{
    (void)state;
    static const char *const bodies[] = {"",       "<html>hello</html>",    "[1,2]",
                                         "'text'", "{'status':'ok'}",       "{'response_status':1}",
                                         "OK",     "{'response_status':{}}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct client_verdict verdict = judge(200, bodies[i], 0);
        assert_int_equal(verdict.exit_code, CLIENT_UNREACHABLE);
        assert_string_equal(verdict.message, SHOWN " does not answer like an Artemis (HTTP 200)");
        assert_non_null(strstr(verdict.hint, "ARTEMIS_URL"));
        assert_false(verdict.later);
    }
}

static void judge_gateway_without_server_may_succeed_later(void **state)
{
    (void)state;
    struct client_verdict verdict = judge(502, "<html>Bad Gateway</html>", 5);
    assert_int_equal(verdict.exit_code, CLIENT_UNREACHABLE);
    assert_true(verdict.later);
    assert_string_equal(verdict.hint, "try again in 5 s");
}

static void judge_redirect_names_where_to(void **state)
{
    (void)state;
    struct client_answer answer = {
        .fate = CLIENT_ANSWERED, .http_status = 302, .location = "https://other/"};
    struct client_verdict verdict;
    json_t *root = NULL;
    client_answer_judge(&answer, SHOWN, &verdict, &root);
    assert_int_equal(verdict.exit_code, CLIENT_UNREACHABLE);
    assert_string_equal(verdict.message, SHOWN " redirects to https://other/");
    assert_null(root);
}

static void judge_unanswered_call_names_the_address_and_what_to_try(void **state)
{
    (void)state;
    for (enum client_fate fate = CLIENT_ANSWERED + 1; fate < CLIENT_FATE_COUNT; fate++) {
        struct client_answer answer = {.fate = fate, .detail = "why"};
        struct client_verdict verdict;
        json_t *root = NULL;
        bool ours = fate == CLIENT_NO_MEMORY;
        client_answer_judge(&answer, SHOWN, &verdict, &root);
        assert_int_equal(verdict.exit_code, ours ? CLIENT_REFUSED : CLIENT_UNREACHABLE);
        assert_non_null(strstr(verdict.message, SHOWN));
        assert_true(ours || *verdict.hint);
        assert_null(root);
    }
}

static void judge_unanswered_call_tells_what_libcurl_knows(void **state)
{
    (void)state;
    struct client_answer answer = {.fate = CLIENT_BROKEN, .detail = "reset by peer"};
    struct client_verdict verdict;
    json_t *root = NULL;
    client_answer_judge(&answer, SHOWN, &verdict, &root);
    assert_string_equal(verdict.message, "the connection to " SHOWN " broke (reset by peer)");
    assert_true(verdict.later);
}

static void field_is_found_in_either_casing(void **state)
{
    (void)state;
    json_t *object = json_pack("{s:s,s:s,s:n,s:s,s:i}", "service_id", "snake", "healthCheckUrl",
                               "camel", "zone_id", "url", "plain", "port", 1);
    assert_string_equal(client_answer_text(object, "service_id"), "snake");
    assert_string_equal(client_answer_text(object, "health_check_url"), "camel");
    assert_string_equal(client_answer_text(object, "url"), "plain");
    assert_null(client_answer_field(object, "zone_id"));
    assert_string_equal(client_answer_text(object, "port"), "");
    assert_string_equal(client_answer_text(object, "absent"), "");
    assert_string_equal(client_answer_text(NULL, "url"), "");
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judge_success_is_done),
        cmocka_unit_test(judge_refusal_is_1_with_the_servers_message),
        cmocka_unit_test(judge_refused_item_speaks_for_the_answer),
        cmocka_unit_test(judge_item_without_message_leaves_that_of_the_answer),
        cmocka_unit_test(judge_several_refused_items_are_counted),
        cmocka_unit_test(judge_busy_server_tells_when_to_try_again),
        cmocka_unit_test(judge_answer_of_another_server_is_3),
        cmocka_unit_test(judge_gateway_without_server_may_succeed_later),
        cmocka_unit_test(judge_redirect_names_where_to),
        cmocka_unit_test(judge_unanswered_call_names_the_address_and_what_to_try),
        cmocka_unit_test(judge_unanswered_call_tells_what_libcurl_knows),
        cmocka_unit_test(field_is_found_in_either_casing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
