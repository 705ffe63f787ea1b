/* SPDX-License-Identifier: Apache-2.0
 *
 * An instance whose heartbeats stop is in no response from 100 ms after its lease ends; and the
 * mass-expiry guard: its numbers and its release.
 *
 * Time is measured from both sides. A lease begins between the moment when its request was sent and
 * the moment when its response was read. So it is certain when an instance must be listed and when
 * it must not, on a machine of any speed.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/prometheus.h"
#include "tests/support/wait.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TTL_MS = 1000, TICK_MS = 100 };

/* What is forgiven beyond the contract's 100 ms: the scheduling of a busy machine. */
static int64_t slack_ms(void)
{
    return wait_slow_build() ? 400 : 50;
}

static int start(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "lease.ttl_secs=1", NULL});
}

static int start_without_guard(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "lease.ttl_secs=1", "--set",
                                                      "lease.guard_percent=0", NULL});
}

static int start_with_short_guard(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "lease.ttl_secs=1", "--set",
                                                      "lease.guard_max_secs=1", NULL});
}

static int start_with_long_leases(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "lease.ttl_secs=3", NULL});
}

/* By then every lease that was renewed before now has ended, and is in no response. */
static int64_t gone_by_ms(void)
{
    return wait_now_ms() + TTL_MS + TICK_MS + slack_ms();
}

/* --- the end of a lease ----------------------------------------------------------------------- */

/* Watches the instance until it must be gone; it may only vanish after its lease has ended. */
static void watch_to_the_end(struct http *http, int64_t lives_until_ms, int64_t gone_at_ms)
{
    for (;;) {
        int64_t asked_ms = wait_now_ms();
        bool shown = call_shows(http, "s", "i1");
        if (!shown && wait_now_ms() < lives_until_ms) {
            fail_msg("gone %lld ms before its lease ended",
                     (long long)(lives_until_ms - wait_now_ms()));
        }
        if (shown && asked_ms > gone_at_ms) {
            fail_msg("still shown %lld ms after its lease ended",
                     (long long)(asked_ms - gone_at_ms + TICK_MS + slack_ms()));
        }
        if (asked_ms > gone_at_ms) {
            return;
        }
        wait_for_time(wait_now_ms() + 3);
    }
}

static void instance_expires_when_its_lease_ends(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    int64_t sent_ms = wait_now_ms();
    call_register(http, "s", "i1");
    watch_to_the_end(http, sent_ms + TTL_MS, gone_by_ms());
}

static void lease_ends_one_ttl_after_the_last_heartbeat(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "s", "i1");
    int64_t end_ms = wait_now_ms() + 2 * TTL_MS + TTL_MS / 2;
    int64_t sent_ms = wait_now_ms();
    int64_t last_ms = sent_ms;
    while (sent_ms < end_ms) {
        wait_for_time(sent_ms + 100);
        sent_ms = wait_now_ms();
        struct http_response *response =
            http_post(http, HEARTBEAT, "{'instance_keys':[" KEY "]}", "s", "i1");
        if (wait_now_ms() - last_ms >= TTL_MS) {
            print_message("this machine is too slow to renew in time\n");
            return;
        }
        check_status(response, 200, "success", NULL);
        last_ms = sent_ms;
        assert_true(call_shows(http, "s", "i1") || wait_now_ms() >= sent_ms + TTL_MS);
    }
    watch_to_the_end(http, sent_ms + TTL_MS, gone_by_ms());
}

static void registering_again_renews(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "s", "i1");
    wait_for_time(wait_now_ms() + TTL_MS / 2);
    int64_t sent_ms = wait_now_ms();
    call_register(http, "s", "i1");
    watch_to_the_end(http, sent_ms + TTL_MS, gone_by_ms());
}

static void expired_instance_is_in_no_response(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    char tag[300];
    char field[340];
    json_int_t before = call_version(http);
    call_register(http, "s", "i1");
    int64_t gone_at_ms = gone_by_ms();
    json_int_t registered = call_version(http);
    snprintf(tag, sizeof tag, "%s",
             http_field(http_get(http, "/api/discovery/service?service_id=s"), "ETag"));
    wait_for_time(gone_at_ms);
    check_count(http_get(http, "/api/discovery/service?service_id=s"), "service.instances", 0);
    snprintf(field, sizeof field, "If-None-Match: %s", tag);
    struct http_request tagged = {
        .method = "GET",
        .path = "/api/discovery/service?service_id=s",
        .fields = (const char *const[]){field, NULL},
    };
    check_http(http_send(http, &tagged), 200);
    struct http_response *response =
        http_get(http, "/api/discovery/service?service_id=s&status=all");
    check_count(response, "service.instances", 0);
    response = http_get(http, "/artemis/api/discovery/services.json");
    assert_null(strstr(response->body, "\"i1\""));
    response = http_get(http, "/api/discovery/services");
    assert_null(strstr(response->body, "\"i1\""));
    response =
        http_post(http, "/api/discovery/lookup", "{'discovery_configs':[{'service_id':'s'}]}");
    assert_null(strstr(response->body, "\"i1\""));
    response = http_post(http, "/api/discovery/lookup", "{'discovery_config':{'service_id':'s'}}");
    check_http(response, 404);
    response =
        http_get(http, "/api/discovery/services-delta?version=%" JSON_INTEGER_FORMAT, registered);
    check_json(response, "delta.s[0].change_type", "'delete'");
    check_json(response, "delta.s[0].instance.instance_id", "'i1'");
    assert_true(call_version(http) > registered && registered > before);
}

static void expired_lease_is_refused_until_the_instance_registers(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register(http, "s", "i1");
    wait_for_time(gone_by_ms());
    struct http_response *response =
        http_post(http, HEARTBEAT, "{'instance_keys':[" KEY "]}", "s", "i1");
    check_status(response, 200, "bad-request", "instance-not-found");
    check_json(response, "failed_instance_keys[0].reason", "'instance-not-found'");
    assert_false(call_shows(http, "s", "i1"));
    call_register(http, "s", "i1");
    assert_true(call_shows(http, "s", "i1"));
    response = http_post(http, HEARTBEAT, "{'instance_keys':[" KEY "]}", "s", "i1");
    check_status(response, 200, "success", NULL);
}

static void leases_below_the_guard_minimum_expire(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register_many(http, "s", 49);
    wait_for_time(gone_by_ms());
    assert_int_equal(call_count(http, "s"), 0);
}

static void leases_without_guard_expire(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register_many(http, "s", 2000);
    wait_for_time(gone_by_ms());
    assert_int_equal(call_count(http, "s"), 0);
    struct http_response *response = http_get(http, "/metrics");
    prometheus_check(response->body);
    assert_true(prometheus_sum(response->body, "artemis_instances", "") == 0);
}

/* --- the guard -------------------------------------------------------------------------------- */

/* Registers so many instances without heartbeats, and waits until the guard must keep them. */
static void let_fall_silent(struct http *http, const char *service_id, size_t count)
{
    call_register_many(http, service_id, count);
    wait_for_time(gone_by_ms());
    assert_int_equal(call_count(http, service_id), (int)count);
}

static void guard_keeps_leases_that_expire_together(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    let_fall_silent(http, "s", 60);
    wait_for_time(wait_now_ms() + TTL_MS);
    assert_int_equal(call_count(http, "s"), 60);
}

static double metric(struct http *http, const char *name)
{
    const char *text = http_get(http, "/metrics")->body;
    prometheus_check(text);
    return prometheus_sum(text, name, "");
}

static void guard_is_shown_in_metrics_and_status(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    assert_true(metric(http, "artemis_guard_node_active") == 0);
    check_json(http_get(http, "/api/status/leases"), "guard.node.state", "'off'");
    let_fall_silent(http, "s", 60);
    assert_true(metric(http, "artemis_guard_node_active") == 1);
    assert_true(metric(http, "artemis_guard_services_active") == 1);
    assert_true(metric(http, "artemis_leases_held") == 60);
    struct http_response *response = http_get(http, "/api/status/leases");
    check_status(response, 200, "success", NULL);
    check_json(response, "guard.node.state", "'on'");
    check_json(response, "guard.node.held", "60");
    check_contains(response, "guard.node.cause", "85");
    assert_in_range(check_integer(response, "guard.node.ends_in_ms"), 1, 300000);
    assert_true(check_integer(response, "guard.node.expected_renewals") >= 60);
    check_count(response, "guard.services", 1);
    check_json(response, "guard.services[0].service_id", "'s'");
    check_json(response, "guard.services[0].state", "'on'");
    check_json(response, "guard.services[0].held", "60");
    response = http_post(http, "/artemis/api/status/leases.json", "{}");
    check_json(response, "guard.services[0].serviceId", "'s'");
}

static void guard_released_for_the_node_evicts_all(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    let_fall_silent(http, "s", 60);
    check_status(http_post(http, "/api/status/leases/release", "{}"), 200, "success", NULL);
    wait_for_time(wait_now_ms() + TICK_MS + slack_ms());
    assert_int_equal(call_count(http, "s"), 0);
    assert_true(metric(http, "artemis_guard_node_active") == 0);
}

static void guard_released_for_a_service_evicts_its_instances(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register_many(http, "t", 60);
    let_fall_silent(http, "s", 60);
    assert_int_equal(call_count(http, "t"), 60);
    struct http_response *response =
        http_post(http, "/api/status/leases/release", "{'service_id':'%s'}", "S");
    check_status(response, 200, "success", NULL);
    wait_for_time(wait_now_ms() + TICK_MS + slack_ms());
    assert_int_equal(call_count(http, "s"), 0);
    assert_int_equal(call_count(http, "t"), 60);
}

static void leases_leave_after_guard_max_secs(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register_many(http, "s", 60);
    int64_t gone_at_ms = gone_by_ms();
    wait_for_time(gone_at_ms - slack_ms());
    assert_true(call_count(http, "s") == 60 || wait_now_ms() > gone_at_ms);
    /* guard_max_secs=1, and a tick of the wheel on either side of it. */
    wait_for_time(gone_at_ms + 1000 + 2 * TICK_MS);
    assert_int_equal(call_count(http, "s"), 0);
}

/* Keeps all but the first few alive; the few are so few that the guard has no reason to act. */
static void guard_evicts_a_few_while_others_renew(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register_many(http, "s", 60);
    int64_t gone_at_ms = gone_by_ms();
    for (int64_t last_ms = wait_now_ms(); last_ms < gone_at_ms;) {
        wait_for_time(last_ms + 100);
        last_ms = wait_now_ms();
        struct http_response *response = call_with_keys(http, HEARTBEAT, "s", 3, 57);
        check_status(response, 200, "success", NULL);
    }
    assert_int_equal(call_count(http, "s"), 57);
    assert_false(call_shows(http, "s", "i2"));
    assert_true(metric(http, "artemis_guard_node_active") == 0);
}

static void guard_release_of_unknown_service_is_refused(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    struct http_response *response =
        http_post(http, "/api/status/leases/release", "{'service_id':'nowhere'}");
    check_status(response, 200, "bad-request", "service-not-found");
    response = http_post(http, "/api/status/leases/release", "{'service_id':7}");
    check_status(response, 400, "bad-request", "invalid-field");
}

/* --- a stopped process ------------------------------------------------------------------------ */

/* Its clients cannot renew while it is stopped: they have as much time after it as before. */
static void stopped_node_gives_its_leases_the_time_back(void **state)
{
    struct fixture *fixture = *state;
    enum { STOPPED_MS = 5000 };
    call_register_many(fixture->http, "s", 3);
    server_process_signal(&fixture->server, SIGSTOP);
    wait_for_time(wait_now_ms() + STOPPED_MS);
    server_process_signal(&fixture->server, SIGCONT);
    check_status(call_with_keys(fixture->http, HEARTBEAT, "s", 0, 1), 200, "success", NULL);
    assert_int_equal(call_count(fixture->http, "s"), 3);
    int64_t deadline_ms = wait_now_ms() + 20000;
    while (call_count(fixture->http, "s") && wait_now_ms() < deadline_ms)
        wait_for_time(wait_now_ms() + 20);
    assert_int_equal(call_count(fixture->http, "s"), 0); /* without heartbeats they end as usual */
}

#define TEST(name)             cmocka_unit_test_setup_teardown(name, start, fixture_stop)
#define TEST_WITH(name, setup) cmocka_unit_test_setup_teardown(name, setup, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(instance_expires_when_its_lease_ends),
        TEST(lease_ends_one_ttl_after_the_last_heartbeat),
        TEST(registering_again_renews),
        TEST(expired_instance_is_in_no_response),
        TEST(expired_lease_is_refused_until_the_instance_registers),
        TEST(leases_below_the_guard_minimum_expire),
        TEST_WITH(leases_without_guard_expire, start_without_guard),
        TEST(guard_keeps_leases_that_expire_together),
        TEST(guard_is_shown_in_metrics_and_status),
        TEST(guard_released_for_the_node_evicts_all),
        TEST(guard_released_for_a_service_evicts_its_instances),
        TEST_WITH(leases_leave_after_guard_max_secs, start_with_short_guard),
        TEST(guard_evicts_a_few_while_others_renew),
        TEST(guard_release_of_unknown_service_is_refused),
        TEST_WITH(stopped_node_gives_its_leases_the_time_back, start_with_long_leases),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
