/* SPDX-License-Identifier: Apache-2.0
 *
 * How `?version=N&wait=30s` is read, and which response it gets. The query is read already.
 */
#include "artemis-web/api/long_poll.h"

#include <stdio.h>
#include <string.h>

#include "artemis-web/http/request.h"
#include "artemis-web/push/long_poll_share.h"
#include "artemis-web/push/push_internal.h"
#include "tests/unit/artemis-server/registry/registry_fixture.h"

struct parameters {
    const char *version, *wait, *run; /* NULL: not there */
};

static struct config config;
static struct engine engine = {.config = &config, .epoch = "run0"};
static struct push push = {.clients_max = 2};
static struct long_poll_share share;

static struct slice value_of(const char *text)
{
    return text ? slice_of(text) : (struct slice){0};
}

static struct query parse(struct parameters of)
{
    return (struct query){.value = {[QUERY_WAIT] = value_of(of.wait),
                                    [QUERY_VERSION] = value_of(of.version),
                                    [QUERY_RUN] = value_of(of.run)}};
}

static int set_up(void **state)
{
    (void)state;
    engine.registry = make_registry();
    atomic_store(&engine.state, NODE_READY);
    atomic_store(&push.counters.clients, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    registry_free(engine.registry);
    return 0;
}

static struct request make_request(void)
{
    return (struct request){.engine = &engine,
                            .push = &push,
                            .long_poll_share = &share,
                            .is_get = true,
                            .now = at_ms(0)};
}

static struct long_poll_query read_query(struct parameters of)
{
    struct request request = make_request();
    struct long_poll_query get;
    char message[MESSAGE_BYTES] = "";
    const struct query query = parse(of);
    assert_int_equal(long_poll_read(&request, &query, &get, message), ERR_NONE);
    assert_string_equal(message, "");
    return get;
}

static void check_refused(struct parameters of, const char *expected)
{
    struct request request = make_request();
    struct long_poll_query get;
    char message[MESSAGE_BYTES] = "";
    const struct query query = parse(of);
    assert_int_equal(long_poll_read(&request, &query, &get, message), ERR_INVALID_FIELD);
    assert_string_equal(message, expected);
}

/* --- reading ---------------------------------------------------------------------------------- */

static void duration_is_in_ms_s_or_m_and_at_most_a_minute(void **state)
{
    (void)state;
    static const struct {
        const char *wait;
        uint64_t ms;
    } cases[] = {
        {"0ms", 0},
        {"1ms", 1},
        {"300ms", 300},
        {"0s", 0},
        {"1s", 1000},
        {"007s", 7000},
        {"30s", 30000},
        {"60s", 60000},
        {"1m", 60000},
        {"0m", 0},
        {"60000ms", 60000},
        {"60001ms", 60000},
        {"61s", 60000},
        {"2m", 60000},
        {"3600s", 60000},
        {"99999999999999999s", 60000},
        {"9999999999999999999m", 60000}, /* as many digits as are read */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct long_poll_query get = read_query((struct parameters){.wait = cases[i].wait});
        assert_true(get.requested);
        assert_int_equal(get.wait_ms, cases[i].ms);
    }
}

static void invalid_duration_is_refused(void **state)
{
    (void)state;
    static const char *const waits[] = {
        "",    "s",   "30", "-1s",   "+1s", "1.5s", "1S",   " 1s",
        "1 s", "1s ", "1h", "1ms1s", "0x",  "1mss", "soon", "99999999999999999999s"};
    for (size_t i = 0; i < sizeof(waits) / sizeof(*waits); i++) {
        char expected[128];
        snprintf(expected, sizeof(expected),
                 "wait: must be like 30s, 500ms or 1m (60s at most), is \"%s\"", waits[i]);
        check_refused((struct parameters){.wait = waits[i]}, expected);
    }
}

static void version_is_a_number(void **state)
{
    (void)state;
    assert_int_equal(read_query((struct parameters){.wait = "1s"}).revision, 0);
    assert_int_equal(read_query((struct parameters){.wait = "1s", .version = "0"}).revision, 0);
    assert_int_equal(read_query((struct parameters){.wait = "1s", .version = "17"}).revision, 17);
    check_refused((struct parameters){.wait = "1s", .version = ""},
                  "version: must be an integer from 0, is \"\"");
    check_refused((struct parameters){.wait = "1s", .version = "-1"},
                  "version: must be an integer from 0, is \"-1\"");
    check_refused((struct parameters){.wait = "1s", .version = "1 "},
                  "version: must be an integer from 0, is \"1 \"");
    check_refused((struct parameters){.wait = "1s", .version = "18446744073709551616"},
                  "version: must be an integer from 0, is \"18446744073709551616\"");
}

static void query_without_wait_is_no_long_poll(void **state)
{
    (void)state;
    struct long_poll_query get =
        read_query((struct parameters){.version = "nonsense", .run = "other"});
    assert_false(get.requested);
    assert_false(get.other_epoch);
}

static void version_of_another_epoch_is_detected(void **state)
{
    (void)state;
    char now[24];
    char later[24];
    uint64_t version = registry_revision(engine.registry);
    snprintf(now, sizeof(now), "%llu", (unsigned long long)version);
    snprintf(later, sizeof(later), "%llu", (unsigned long long)version + 1);
    assert_false(read_query((struct parameters){.wait = "1s", .version = now}).other_epoch);
    assert_false(read_query((struct parameters){now, "1s", "run0"}).other_epoch);
    assert_false(read_query((struct parameters){now, "1s", ""}).other_epoch);
    assert_true(read_query((struct parameters){now, "1s", "run1"}).other_epoch);
    assert_true(read_query((struct parameters){now, "1s", "run"}).other_epoch);
    assert_true(read_query((struct parameters){.wait = "1s", .version = later}).other_epoch);
    assert_true(read_query((struct parameters){.wait = "1s", .version = "9999999999999999999"})
                    .other_epoch);
}

/* --- judging ---------------------------------------------------------------------------------- */

static struct response decide(struct request *request, struct long_poll_query get, uint64_t version)
{
    struct response response = {0};
    char message[MESSAGE_BYTES] = "";
    assert_int_equal(long_poll_decide(request, &get, SLICE("s"), version, &response, message),
                     ERR_NONE);
    return response;
}

static const struct long_poll_query for_a_second_from_7 = {
    .requested = true, .revision = 7, .wait_ms = 1000};

static void unchanged_version_waits_once_then_is_304(void **state)
{
    (void)state;
    struct request request = make_request();
    struct response response = decide(&request, for_a_second_from_7, 7);
    assert_true(response.kind == RESPONSE_LONG_POLL);
    assert_false(response.not_modified);
    assert_int_equal(response.long_poll.revision, 7);
    assert_int_equal(response.long_poll.until_ms, at_ms(1000).mono_ms);
    assert_int_equal(response.long_poll.id_size, 1);
    assert_true(request.long_poll_done);
    assert_true(request.has_reservation);
    assert_int_equal(push.counters.clients, 1);
    response = decide(&request, for_a_second_from_7, 7); /* the wait has ended */
    assert_false(response.kind == RESPONSE_LONG_POLL);
    assert_true(response.not_modified);
    assert_true(response.send_epoch);
    response = decide(&request, for_a_second_from_7, 8);
    assert_false(response.kind == RESPONSE_LONG_POLL || response.not_modified);
    assert_int_equal(push.counters.clients, 1);
}

static void newer_version_is_sent_at_once(void **state)
{
    (void)state;
    struct request request = make_request();
    struct long_poll_query get = for_a_second_from_7;
    struct response response = decide(&request, get, 8);
    assert_false(response.kind == RESPONSE_LONG_POLL || response.not_modified);
    assert_true(response.send_epoch);
    get.other_epoch = true;
    response = decide(&request, get, 7);
    assert_false(response.kind == RESPONSE_LONG_POLL || response.not_modified);
    response = decide(&request, (struct long_poll_query){0}, 7);
    assert_false(response.kind == RESPONSE_LONG_POLL || response.not_modified ||
                 response.send_epoch);
    assert_int_equal(push.counters.clients, 0);
}

static void wait_of_zero_or_draining_node_is_304_at_once(void **state)
{
    (void)state;
    struct request request = make_request();
    struct long_poll_query get = for_a_second_from_7;
    get.wait_ms = 0;
    assert_true(decide(&request, get, 7).not_modified);
    atomic_store(&engine.state, NODE_DRAINING);
    assert_true(decide(&request, for_a_second_from_7, 7).not_modified);
    assert_false(request.long_poll_done || request.has_reservation);
}

static void long_poll_at_the_limit_is_refused(void **state)
{
    (void)state;
    struct long_poll_query get = for_a_second_from_7;
    config.server.max_connections = 16;
    for (int i = 0; i < 2; i++) {
        struct request request = make_request();
        assert_true(decide(&request, get, 7).kind == RESPONSE_LONG_POLL);
    }
    struct request request = make_request();
    struct response response = {0};
    char message[MESSAGE_BYTES] = "";
    assert_int_equal(long_poll_decide(&request, &get, SLICE("s"), 7, &response, message),
                     ERR_TOO_MANY_SUBSCRIBERS);
    assert_string_equal(message, "connections: at most 2 WebSockets and long polls are served "
                                 "(server.max_connections = 16, limit of open files)");
    assert_false(request.has_reservation || request.long_poll_done);
    assert_int_equal(push.counters.clients, 2);
    assert_int_equal(push.counters.refused, 1);
}

static bool defers(struct request *request, struct long_poll_query get)
{
    struct response response = {0};
    bool deferred = long_poll_defer(request, &get, &response);
    assert_true(deferred == (response.kind == RESPONSE_DEFERRED));
    return deferred;
}

static void long_poll_beyond_the_share_is_deferred(void **state)
{
    (void)state;
    struct request first = make_request();
    struct request second = make_request();
    share.left = 1;
    assert_false(defers(&first, for_a_second_from_7));
    assert_true(defers(&second, for_a_second_from_7));
    assert_true(second.is_deferred && !first.is_deferred);
    assert_int_equal(share.deferred, 1);
    struct request third = make_request();
    assert_false(defers(&third, (struct long_poll_query){.requested = true, .revision = 7}));
}

/* Many bodies that are small as they are sent can be large when they are inflated. */
static void large_body_is_not_kept_for_a_later_turn(void **state)
{
    (void)state;
    static char bytes[8 * 1024 + 1];
    struct request largest = make_request();
    struct request larger = make_request();
    largest.is_get = larger.is_get = false;
    text_append(&largest.body, bytes, sizeof(bytes) - 1);
    text_append(&larger.body, bytes, sizeof(bytes));
    share.left = 0;
    share.deferred = 0;
    assert_true(defers(&largest, for_a_second_from_7));
    assert_false(defers(&larger, for_a_second_from_7) || larger.is_deferred);
    assert_int_equal(share.deferred, 1);
    text_free(&largest.body);
    text_free(&larger.body);
}

/* The caller of the handler has taken the share. */
static void long_poll_that_is_handled_again_is_not_deferred(void **state)
{
    (void)state;
    struct request deferred = make_request();
    struct request suspended = make_request();
    deferred.is_deferred = true;
    suspended.long_poll_done = true;
    share.left = 0;
    assert_false(defers(&deferred, for_a_second_from_7) || defers(&suspended, for_a_second_from_7));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(duration_is_in_ms_s_or_m_and_at_most_a_minute),
        TEST(invalid_duration_is_refused),
        TEST(version_is_a_number),
        TEST(query_without_wait_is_no_long_poll),
        TEST(version_of_another_epoch_is_detected),
        TEST(unchanged_version_waits_once_then_is_304),
        TEST(newer_version_is_sent_at_once),
        TEST(wait_of_zero_or_draining_node_is_304_at_once),
        TEST(long_poll_at_the_limit_is_refused),
        TEST(long_poll_beyond_the_share_is_deferred),
        TEST(large_body_is_not_kept_for_a_later_turn),
        TEST(long_poll_that_is_handled_again_is_not_deferred),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
