/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks each row of the table of errors against what clients can decode: the words of
 * docs/CONTRACT.md §1 and those of Java are closed sets, and the HTTP status fits the word.
 */
#include "artemis-core/base/error.h"

#include <stdbool.h>
#include <string.h>

#include "tests/support/cmocka_all.h"

static bool is_one_of(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(word, *words) == 0)
            return true;
    return false;
}

static void code_is_from_the_closed_set(void **state)
{
    (void)state;
    static const char *const words[] = {"success",      "bad-request",    "service-unavailable",
                                        "rate-limited", "internal-error", NULL};
    for (enum error error = ERR_NONE; error < ERROR_COUNT; error++)
        if (!is_one_of(error_info(error)->code, words))
            fail_msg("%s: no client knows the word %s", error_info(error)->name,
                     error_info(error)->code);
}

static void java_code_is_from_the_closed_set(void **state)
{
    (void)state;
    static const char *const words[] = {
        "success",
        "partial_fail",
        "bad-request",
        "rate-limited",
        "no-permission",
        "internal-service-error",
        "service-unavailable",
        "unknown",
        "data-not-found",
        NULL,
    };
    for (enum error error = ERR_NONE; error < ERROR_COUNT; error++)
        if (!is_one_of(error_info(error)->java_code, words))
            fail_msg("%s: no Java client knows the word %s", error_info(error)->name,
                     error_info(error)->java_code);
}

static void only_success_has_the_code_success(void **state)
{
    (void)state;
    assert_int_equal(ERR_NONE, 0);
    for (enum error error = ERR_NONE; error < ERROR_COUNT; error++) {
        const struct error_info *info = error_info(error);
        assert_int_equal(strcmp(info->code, "success") == 0, error == ERR_NONE);
        assert_int_equal(strcmp(info->java_code, "success") == 0, error == ERR_NONE);
        assert_int_equal(info->reason[0] == '\0', error == ERR_NONE);
    }
}

static void http_status_matches_the_code(void **state)
{
    (void)state;
    for (enum error error = ERR_NONE; error < ERROR_COUNT; error++) {
        const struct error_info *info = error_info(error);
        if (strcmp(info->code, "bad-request") == 0)
            assert_true(info->http_status == 200 ||
                        (info->http_status >= 400 && info->http_status < 500));
        else if (strcmp(info->code, "rate-limited") == 0)
            assert_int_equal(info->http_status, 429);
        else if (strcmp(info->code, "service-unavailable") == 0)
            assert_int_equal(info->http_status, 503);
        else if (strcmp(info->code, "internal-error") == 0)
            assert_int_equal(info->http_status, 500);
        else
            assert_int_equal(info->http_status, 200);
    }
}

/* Below /artemis/ an outcome of the business is 200; the rest is as for everybody. */
static void java_http_status_is_200_or_the_native_one(void **state)
{
    (void)state;
    for (enum error error = ERR_NONE; error < ERROR_COUNT; error++) {
        const struct error_info *info = error_info(error);
        if (info->java_http_status != 200)
            assert_int_equal(info->java_http_status, info->http_status);
    }
}

static void reason_is_one_word_and_message_has_no_full_stop(void **state)
{
    (void)state;
    for (enum error error = ERR_NONE; error < ERROR_COUNT; error++) {
        const struct error_info *info = error_info(error);
        assert_int_equal(strspn(info->reason, "abcdefghijklmnopqrstuvwxyz-"), strlen(info->reason));
        assert_true(strlen(info->message) > 0);
        assert_int_not_equal(info->message[strlen(info->message) - 1], '.');
        assert_true(strncmp(info->name, "ERR_", 4) == 0);
    }
}

/* What CONTRACT says to the letter; the rest of the table is free to grow. */
static void rows_match_the_contract(void **state)
{
    (void)state;
    static const struct {
        enum error error;
        const char *word;
        const char *reason;
        int http_status;
    } rows[] = {
        {ERR_INVALID_JSON, "bad-request", "invalid-json", 400},
        {ERR_INVALID_FIELD, "bad-request", "invalid-field", 400},
        {ERR_TOO_MANY_ITEMS, "bad-request", "too-large", 400},
        {ERR_BODY_TOO_LARGE, "bad-request", "too-large", 413},
        {ERR_NO_SUCH_PATH, "bad-request", NULL, 404},
        {ERR_WRONG_METHOD, "bad-request", NULL, 405},
        {ERR_INSTANCE_NOT_FOUND, "bad-request", "instance-not-found", 200},
        {ERR_SERVICE_NOT_FOUND, "bad-request", "service-not-found", 200},
        {ERR_VERSION_GONE, "bad-request", "version-gone", 200},
        {ERR_RATE_LIMITED, "rate-limited", "over-limit", 429},
        {ERR_CLIENT_RATE_LIMITED, "rate-limited", "over-client-limit", 429},
        {ERR_NOT_READY, "service-unavailable", "not-ready", 503},
        {ERR_DRAINING, "service-unavailable", "draining", 503},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct error_info *info = error_info(rows[i].error);
        assert_string_equal(info->code, rows[i].word);
        assert_int_equal(info->http_status, rows[i].http_status);
        if (rows[i].reason)
            assert_string_equal(info->reason, rows[i].reason);
    }
    assert_string_equal(error_info(ERR_INSTANCE_NOT_FOUND)->java_code, "data-not-found");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(code_is_from_the_closed_set),
        cmocka_unit_test(java_code_is_from_the_closed_set),
        cmocka_unit_test(only_success_has_the_code_success),
        cmocka_unit_test(http_status_matches_the_code),
        cmocka_unit_test(java_http_status_is_200_or_the_native_one),
        cmocka_unit_test(reason_is_one_word_and_message_has_no_full_stop),
        cmocka_unit_test(rows_match_the_contract),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
