/* SPDX-License-Identifier: Apache-2.0
 *
 * Every result of a call becomes one of the four exit codes, a message and a hint (CONTRACT 1 and
 * 8).
 */
#include "artemis/call/call_response.h"

#include "tests/support/cmocka_all.h"

#include <stdio.h>
#include <string.h>

#define SHOWN "http://node:8080"

/* Evaluates a body, written with single quotes. */
static struct call_outcome evaluate(int http_status, const char *body, unsigned retry_after_secs)
{
    struct call_response response = {
        .transfer = TRANSFER_DONE,
        .http_status = http_status,
        .retry_after_secs = retry_after_secs,
    };
    struct call_outcome outcome;
    json_t *root = NULL;
    for (const char *at = body; *at; at++)
        text_append_char(&response.body, *at == '\'' ? '"' : *at);
    call_response_evaluate(&response, SHOWN, &outcome, &root);
    json_decref(root);
    text_free(&response.body);
    return outcome;
}

#define ERROR_BODY(reason)                                                                         \
    "{'response_status':{'error_code':'bad-request','error_message':'M','reason':'" reason "'}}"

static void success_is_done(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{'response_status':{'error_code':'success'}}",
        "{'responseStatus':{'errorCode':'success','status':'success','message':''}}",
        "{'response_status':{'error_code':'success'},'failed_instances':[]}",
        "{'response_status':{'error_code':'success'},'failed_instances':null}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct call_outcome outcome = evaluate(200, bodies[i], 0);
        assert_int_equal(outcome.exit_code, EXIT_DONE);
        assert_string_equal(outcome.message, "");
        assert_string_equal(outcome.hint, "");
    }
}

static void error_is_1_with_the_servers_message(void **state)
{
    (void)state;
    static const struct {
        int http_status;
        const char *body;
        const char *message;
    } cases[] = {
        {400, ERROR_BODY("invalid-json"), "M"},
        {404, ERROR_BODY("no-such-path"), "M"},
        {200, ERROR_BODY("service-not-found"), "M"},
        {200, "{'responseStatus':{'errorCode':'data-not-found','errorMessage':'M'}}", "M"},
        {200, "{'responseStatus':{'errorCode':'bad-request','message':'M'}}", "M"},
        {500, "{'response_status':{'error_code':'internal-error'}}",
         "refused with HTTP 500 internal-error"},
        {500, "{'response_status':{'error_code':'success'}}", "refused with HTTP 500 success"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct call_outcome outcome = evaluate(cases[i].http_status, cases[i].body, 0);
        assert_int_equal(outcome.exit_code, EXIT_REFUSED);
        assert_string_equal(outcome.message, cases[i].message);
        assert_false(outcome.retryable);
    }
}

static void one_refused_item_provides_the_message(void **state)
{
    (void)state;
    struct call_outcome outcome = evaluate(
        200,
        "{'response_status':{'error_code':'bad-request','error_message':'1 of 1 failed'},"
        "'failed_instance_keys':[{'service_id':'s','instance_id':'i','error_code':'bad-request',"
        "'error_message':'the instance is not registered','reason':'instance-not-found'}]}",
        0);
    assert_int_equal(outcome.exit_code, EXIT_REFUSED);
    assert_string_equal(outcome.message, "the instance is not registered");
    assert_non_null(strstr(outcome.hint, "region, zone and group"));
    assert_int_equal(outcome.failed_count, 1);
}

static void item_without_message_uses_that_of_the_response(void **state)
{
    (void)state;
    struct call_outcome outcome =
        evaluate(200,
                 "{'response_status':{'error_code':'bad-request','error_message':'M',"
                 "'reason':'instance-not-found'},'failed_instances':[{'instance_id':'i'}]}",
                 0);
    assert_string_equal(outcome.message, "M");
    assert_non_null(strstr(outcome.hint, "region, zone and group"));

    outcome = evaluate(200,
                       "{'response_status':{'error_code':'bad-request','error_message':'M',"
                       "'reason':'instance-not-found'},'failed_instances':[{'error_message':'N'}]}",
                       0);
    assert_string_equal(outcome.message, "N");
    assert_non_null(strstr(outcome.hint, "region, zone and group"));
}

static void several_refused_items_are_counted(void **state)
{
    (void)state;
    struct call_outcome outcome =
        evaluate(200, "{'responseStatus':{'errorCode':'success'},'failedInstances':[{},{},{}]}", 0);
    assert_int_equal(outcome.exit_code, EXIT_REFUSED);
    assert_string_equal(outcome.message, "3 items were refused");
    assert_int_equal(outcome.failed_count, 3);
}

static void busy_server_states_when_to_retry(void **state)
{
    (void)state;
    static const struct {
        int http_status;
        unsigned retry_after_secs;
        const char *body;
        const char *hint;
    } cases[] = {
        {503, 7, ERROR_BODY("not-ready"), "try again in 7 s"},
        {200, 0, ERROR_BODY("not-ready"), "try again in a moment"},
        {429, 1, ERROR_BODY("over-limit"), "try again in 1 s"},
        {429, 1, ERROR_BODY("over-client-limit"), "try again in 1 s"},
        {503, 3, ERROR_BODY("draining"),
         "name another node with --server or ARTEMIS_URL, or try again in 3 s"},
        {503, 0, ERROR_BODY("something-new"), "try again in a moment"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct call_outcome outcome =
            evaluate(cases[i].http_status, cases[i].body, cases[i].retry_after_secs);
        assert_int_equal(outcome.exit_code, EXIT_REFUSED);
        assert_true(outcome.retryable);
        assert_string_equal(outcome.hint, cases[i].hint);
    }
}

static void refused_token_states_what_to_give(void **state)
{
    (void)state;
    static const struct {
        int http_status;
        const char *body, *part;
    } cases[] = {
        {401, ERROR_BODY("no-token"), "--token-file FILE"},
        {401, ERROR_BODY("invalid-token"), "ARTEMIS_TOKEN_FILE"},
        {401, ERROR_BODY("token-expired"), "artemis token new"},
        {403, ERROR_BODY("no-permission"), "artemis token --help"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct call_outcome outcome = evaluate(cases[i].http_status, cases[i].body, 0);
        assert_int_equal(outcome.exit_code, EXIT_REFUSED);
        assert_false(outcome.retryable);
        assert_non_null(strstr(outcome.hint, cases[i].part));
    }
}

static void response_of_another_server_is_3(void **state)
{
    (void)state;
    static const char *const bodies[] = {"",       "<html>hello</html>",    "[1,2]",
                                         "'text'", "{'status':'ok'}",       "{'response_status':1}",
                                         "OK",     "{'response_status':{}}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct call_outcome outcome = evaluate(200, bodies[i], 0);
        assert_int_equal(outcome.exit_code, EXIT_UNREACHABLE);
        assert_string_equal(outcome.message, SHOWN " is not an Artemis server (HTTP 200)");
        assert_non_null(strstr(outcome.hint, "ARTEMIS_URL"));
        assert_false(outcome.retryable);
    }
}

static void gateway_without_server_is_retryable(void **state)
{
    (void)state;
    struct call_outcome outcome = evaluate(502, "<html>Bad Gateway</html>", 5);
    assert_int_equal(outcome.exit_code, EXIT_UNREACHABLE);
    assert_true(outcome.retryable);
    assert_string_equal(outcome.hint, "try again in 5 s");
}

static void redirect_names_its_target(void **state)
{
    (void)state;
    struct call_response response = {
        .transfer = TRANSFER_DONE, .http_status = 302, .location = "https://other/"};
    struct call_outcome outcome;
    json_t *root = NULL;
    call_response_evaluate(&response, SHOWN, &outcome, &root);
    assert_int_equal(outcome.exit_code, EXIT_UNREACHABLE);
    assert_string_equal(outcome.message, SHOWN " redirects to https://other/");
    assert_null(root);
}

static void failed_transfer_names_the_address_and_a_hint(void **state)
{
    (void)state;
    for (enum transfer_result transfer = TRANSFER_DONE + 1; transfer < TRANSFER_COUNT; transfer++) {
        struct call_response response = {.transfer = transfer, .detail = "why"};
        struct call_outcome outcome;
        json_t *root = NULL;
        bool ours = transfer == TRANSFER_NO_MEMORY;
        call_response_evaluate(&response, SHOWN, &outcome, &root);
        assert_int_equal(outcome.exit_code, ours ? EXIT_REFUSED : EXIT_UNREACHABLE);
        assert_non_null(strstr(outcome.message, SHOWN));
        assert_true(ours || *outcome.hint);
        assert_null(root);
    }
}

static void failed_transfer_has_the_message_of_libcurl(void **state)
{
    (void)state;
    struct call_response response = {.transfer = TRANSFER_INTERRUPTED, .detail = "reset by peer"};
    struct call_outcome outcome;
    json_t *root = NULL;
    call_response_evaluate(&response, SHOWN, &outcome, &root);
    assert_string_equal(outcome.message,
                        "the connection to " SHOWN " was interrupted (reset by peer)");
    assert_true(outcome.retryable);
    assert_null(strstr(outcome.hint, "--cert"));
    call_response_evaluate(&response, "https://10.0.0.7:8443", &outcome, &root);
    assert_non_null(strstr(outcome.hint, "--cert"));
    response.transfer = TRANSFER_NOT_TRUSTED;
    call_response_evaluate(&response, "https://10.0.0.7:8443", &outcome, &root);
    assert_non_null(strstr(outcome.hint, "--cacert"));
    assert_false(outcome.retryable);
}

static void lookup_has_success_in_place_of_a_status(void **state)
{
    (void)state;
    struct call_outcome outcome = evaluate(200, "{'success':true,'instance':{}}", 0);
    assert_int_equal(outcome.exit_code, EXIT_DONE);
    outcome = evaluate(404, "{'success':false,'message':'no instance is up'}", 0);
    assert_int_equal(outcome.exit_code, EXIT_REFUSED);
    assert_string_equal(outcome.message, "no instance is up");
    assert_string_equal(outcome.hint, "list the instances: artemis service NAME --all");
    outcome = evaluate(404,
                       "{'success':false,'message':'no such service',"
                       "'reason':'service-not-found'}",
                       0);
    assert_string_equal(outcome.hint, "list the services: artemis services");
    outcome = evaluate(404, "{'success':false,'reason':'instance-not-found'}", 0);
    assert_string_equal(outcome.hint, "list the instances: artemis service NAME --all");
    outcome = evaluate(404, "{'success':false}", 0);
    assert_int_equal(outcome.exit_code, EXIT_REFUSED);
    assert_string_not_equal(outcome.message, "");
}

static void response_without_the_required_data_is_3(void **state)
{
    (void)state;
    static const struct {
        const char *path, *problem; /* NULL: the response is complete */
    } cases[] = {
        {NULL, NULL},
        {"list", NULL},
        {"object", NULL},
        {"object.inner_list", NULL},
        {"absent", SHOWN " sent a response without absent"},
        {"object.absent", SHOWN " sent a response without object.absent"},
        {"absent.list", SHOWN " sent a response without absent.list"},
        {"number", SHOWN " sent a response without number"},
        {"nothing", SHOWN " sent a response without nothing"},
    };
    json_t *root =
        json_pack("{s:[],s:{s:[]},s:i,s:n}", "list", "object", "innerList", "number", 1, "nothing");
    assert_non_null(root);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct call_outcome outcome = {.exit_code = EXIT_DONE};
        call_response_require(root, cases[i].path, SHOWN, &outcome);
        assert_int_equal(outcome.exit_code, cases[i].problem ? EXIT_UNREACHABLE : EXIT_DONE);
        assert_string_equal(outcome.message, cases[i].problem ? cases[i].problem : "");
    }
    struct call_outcome refused = {.exit_code = EXIT_REFUSED};
    call_response_require(root, "absent", SHOWN, &refused);
    assert_int_equal(refused.exit_code, EXIT_REFUSED);
    json_decref(root);
}

static void field_is_found_in_either_casing(void **state)
{
    (void)state;
    json_t *object = json_pack("{s:s,s:s,s:n,s:s,s:i}", "service_id", "snake", "healthCheckUrl",
                               "camel", "zone_id", "url", "plain", "port", 1);
    assert_string_equal(call_response_text(object, "service_id"), "snake");
    assert_string_equal(call_response_text(object, "health_check_url"), "camel");
    assert_string_equal(call_response_text(object, "url"), "plain");
    assert_null(call_response_field(object, "zone_id"));
    assert_string_equal(call_response_text(object, "port"), "");
    assert_string_equal(call_response_text(object, "absent"), "");
    assert_string_equal(call_response_text(NULL, "url"), "");
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(success_is_done),
        cmocka_unit_test(error_is_1_with_the_servers_message),
        cmocka_unit_test(one_refused_item_provides_the_message),
        cmocka_unit_test(item_without_message_uses_that_of_the_response),
        cmocka_unit_test(several_refused_items_are_counted),
        cmocka_unit_test(busy_server_states_when_to_retry),
        cmocka_unit_test(refused_token_states_what_to_give),
        cmocka_unit_test(response_of_another_server_is_3),
        cmocka_unit_test(gateway_without_server_is_retryable),
        cmocka_unit_test(redirect_names_its_target),
        cmocka_unit_test(failed_transfer_names_the_address_and_a_hint),
        cmocka_unit_test(failed_transfer_has_the_message_of_libcurl),
        cmocka_unit_test(lookup_has_success_in_place_of_a_status),
        cmocka_unit_test(response_without_the_required_data_is_3),
        cmocka_unit_test(field_is_found_in_either_casing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
