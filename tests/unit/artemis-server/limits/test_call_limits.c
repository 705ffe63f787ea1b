/* SPDX-License-Identifier: Apache-2.0
 *
 * The limits of the node and of its clients together, and the lines of the log about them.
 */
#include "artemis-server/limits/call_limits.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "artemis-server/log.h"
#include "tests/support/cmocka_all.h"

#define NOW_MS 1000000

static struct call_limits limits;
static struct config config;
static struct client_address address;
static FILE *log_file;
static int saved_stderr;

static int start(void **state)
{
    (void)state;
    memset(&limits, 0, sizeof(limits));
    config = (struct config){.ratelimit = {.enabled = true,
                                           .requests_per_second = 10,
                                           .burst_size = 20,
                                           .client_requests_per_second = 10,
                                           .client_burst_size = 8,
                                           .client_events_per_second = 8}};
    call_limits_init(&limits, 7);
    call_limits_set(&limits, &config);
    log_file = tmpfile();
    saved_stderr = dup(STDERR_FILENO);
    dup2(fileno(log_file), STDERR_FILENO);
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, NULL);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    fclose(log_file);
    call_limits_free(&limits);
    return 0;
}

/* Calls until one is refused, and returns how many were admitted before. */
static unsigned use_up(const char *token, enum call_kind kind, uint64_t now_ms, enum error expected)
{
    unsigned count = 0;
    enum error error;
    struct client client = {token, &address};
    while ((error = call_limits_admit(&limits, kind, &client, now_ms)) == ERR_NONE)
        count++;
    assert_int_equal(error, expected);
    return count;
}

static void client_is_refused_before_the_node(void **state)
{
    (void)state;
    for (enum call_kind kind = 0; kind < CALL_KINDS; kind++) {
        assert_int_equal(use_up("a", kind, NOW_MS, ERR_CLIENT_RATE_LIMITED), 8);
        assert_int_equal(use_up("b", kind, NOW_MS, ERR_CLIENT_RATE_LIMITED), 8);
        /* What was refused has taken nothing from the node: 20 - 16 are left. */
        assert_int_equal(use_up("c", kind, NOW_MS, ERR_RATE_LIMITED), 4);
    }
    struct call_limit_counts counts;
    call_limits_count(&limits, &counts);
    for (enum call_kind kind = 0; kind < CALL_KINDS; kind++) {
        assert_int_equal(counts.refused[kind][SCOPE_CLIENT], 2);
        assert_int_equal(counts.refused[kind][SCOPE_NODE], 1);
    }
}

static void limits_are_off_when_disabled(void **state)
{
    (void)state;
    struct client client = {NULL, &address};
    config.ratelimit.enabled = false;
    call_limits_set(&limits, &config);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(call_limits_admit(&limits, CALL_CHANGE, &client, NOW_MS), ERR_NONE);
    assert_int_equal(limits.clients.count, 0);
}

static void clients_are_not_kept_without_a_limit_of_theirs(void **state)
{
    (void)state;
    config.ratelimit.client_requests_per_second = 0;
    call_limits_set(&limits, &config);
    struct client client = {"a", &address};
    assert_int_equal(call_limits_admit(&limits, CALL_CHANGE, &client, NOW_MS), ERR_NONE);
    assert_int_equal(limits.clients.count, 0);
    assert_int_equal(use_up("a", CALL_CHANGE, NOW_MS, ERR_RATE_LIMITED), 19);
    assert_int_equal(limits.clients.count, 1); /* for the log */
}

/* Reads the log, and removes it. */
static const char *take_log(void)
{
    static char text[4096];
    rewind(log_file);
    text[fread(text, 1, sizeof(text) - 1, log_file)] = '\0';
    rewind(log_file);
    assert_int_equal(ftruncate(fileno(log_file), 0), 0);
    return text;
}

static void check_line(const char *fields)
{
    const char *text = take_log();
    const char *line = strstr(text, "rate limits refused requests");
    assert_non_null(line);
    assert_non_null(strstr(line, fields));
    assert_null(strstr(line + 1, "rate limits refused requests"));
}

static void refused_requests_are_logged_once_in_ten_seconds(void **state)
{
    (void)state;
    call_limits_report(&limits, NOW_MS);
    assert_string_equal(take_log(), "");
    use_up("a", CALL_HEARTBEAT, NOW_MS, ERR_CLIENT_RATE_LIMITED);
    use_up("a", CALL_HEARTBEAT, NOW_MS, ERR_CLIENT_RATE_LIMITED);
    use_up("b", CALL_CHANGE, NOW_MS, ERR_CLIENT_RATE_LIMITED);
    call_limits_report(&limits, NOW_MS + 100);
    check_line("heartbeats=2 changes=1 discovery=0 events=0 by_node_limit=0 by_client_limit=3 "
               "heaviest_client=\"token a\" heaviest_refused=2");
    use_up("b", CALL_DISCOVERY, NOW_MS, ERR_CLIENT_RATE_LIMITED);
    call_limits_report(&limits, NOW_MS + 100 + CALL_LIMITS_REPORT_MS - 1);
    assert_string_equal(take_log(), "");
    call_limits_report(&limits, NOW_MS + 100 + CALL_LIMITS_REPORT_MS);
    check_line("heartbeats=0 changes=0 discovery=1 events=0 by_node_limit=0 by_client_limit=1 "
               "heaviest_client=\"token b\" heaviest_refused=1");
    call_limits_report(&limits, NOW_MS + 10 * CALL_LIMITS_REPORT_MS);
    assert_string_equal(take_log(), "");
}

static void events_of_a_client_have_a_limit_of_their_own(void **state)
{
    (void)state;
    config.ratelimit.client_requests_per_second = 0;
    call_limits_set(&limits, &config);
    assert_int_equal(use_up("a", CALL_EVENT, NOW_MS, ERR_CLIENT_RATE_LIMITED), 8);
    assert_int_equal(use_up("a", CALL_CHANGE, NOW_MS, ERR_RATE_LIMITED), 20);
    call_limits_report(&limits, NOW_MS);
    check_line("changes=1 discovery=0 events=1 by_node_limit=1 by_client_limit=1");
    config.ratelimit.client_events_per_second = 0;
    call_limits_set(&limits, &config);
    assert_int_equal(use_up("b", CALL_EVENT, NOW_MS, ERR_RATE_LIMITED), 12);
    use_up("b", CALL_EVENT, NOW_MS, ERR_RATE_LIMITED);
    call_limits_report(&limits, NOW_MS + CALL_LIMITS_REPORT_MS);
    check_line("events=2 by_node_limit=2 by_client_limit=0 heaviest_client=\"token b\" "
               "heaviest_refused=2");
}

static void last_refused_requests_are_logged_at_the_end(void **state)
{
    (void)state;
    use_up(NULL, CALL_CHANGE, NOW_MS, ERR_CLIENT_RATE_LIMITED);
    call_limits_report(&limits, NOW_MS);
    take_log();
    use_up(NULL, CALL_CHANGE, NOW_MS, ERR_CLIENT_RATE_LIMITED);
    call_limits_flush(&limits);
    check_line(
        "changes=1 discovery=0 events=0 by_node_limit=0 by_client_limit=1 heaviest_client=unknown "
        "heaviest_refused=1");
    call_limits_flush(&limits);
    assert_string_equal(take_log(), "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(client_is_refused_before_the_node),
        TEST(limits_are_off_when_disabled),
        TEST(clients_are_not_kept_without_a_limit_of_theirs),
        TEST(refused_requests_are_logged_once_in_ten_seconds),
        TEST(events_of_a_client_have_a_limit_of_their_own),
        TEST(last_refused_requests_are_logged_at_the_end),
    };
    return cmocka_run_group_tests_name("call_limits", tests, NULL, NULL);
}
