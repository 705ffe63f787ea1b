/* SPDX-License-Identifier: Apache-2.0
 *
 * The rate limit (CONTRACT 1 and 7): client calls of registry and discovery are counted, each kind
 * for itself, and no others. A request over the limit gets Retry-After and has no effect.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/prometheus.h"
#include "tests/support/wait.h"

#include <stdlib.h>
#include <string.h>

static int start_with(void **state, const char *rate, const char *burst, const char *enabled)
{
    return fixture_start(
        state, (const char *const[]){"--set", rate, "--set", burst, "--set", enabled, NULL});
}

static int start(void **state)
{
    return start_with(state, "ratelimit.requests_per_second=1", "ratelimit.burst_size=5",
                      "ratelimit.enabled=true");
}

static int start_disabled(void **state)
{
    return start_with(state, "ratelimit.requests_per_second=1", "ratelimit.burst_size=1",
                      "ratelimit.enabled=false");
}

/* Asks until it is refused, and leaves that response. */
static struct http_response *use_up(struct http *http, const char *path)
{
    for (int i = 0; i < 1000; i++) {
        struct http_response *response = http_get(http, "%s", path);
        if (response->status != 200) {
            return response;
        }
    }
    fail_msg("1,000 requests, and none was over the limit");
    return NULL;
}

static void burst_is_served_and_more_is_refused(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    int served = 0;
    int64_t begin_ms = wait_now_ms();
    for (int i = 0; i < 50; i++) {
        served += http_get(http, "/api/discovery/services")->status == 200;
    }
    int64_t taken_ms = wait_now_ms() - begin_ms;
    assert_in_range(served, 5, 5 + 1 + taken_ms / 1000);
}

static void rejection_has_retry_after(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    struct http_response *response = use_up(http, "/api/discovery/services");
    check_status(response, 429, "rate-limited", "over-limit");
    check_json(response, "response_status.error_message",
               "'over ratelimit.requests_per_second = 1 (burst 5)'");
    const char *after = http_field(response, "Retry-After");
    assert_non_null(after);
    assert_in_range(strtol(after, NULL, 10), 1, 5);
    check_field(response, "Connection", NULL);
}

/* A second may have passed since the limit was used up, so the first tries may be served. */
static struct http_response *post_until_refused(struct http *http, const char *path, int *served)
{
    for (int i = 0; i < 1000; i++) {
        struct http_response *response =
            http_post(http, path, "{'instances':[{" INSTANCE_FIELDS "}]}", "s",
                      (const char[]){(char)('a' + i % 26), '\0'});
        if (response->status != 200 || strstr(response->body, "rate-limited") != NULL) {
            return response;
        }
        *served += 1;
    }
    fail_msg("1,000 requests, and none was over the limit");
    return NULL;
}

static void refused_request_changes_nothing(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    int served = 0;
    use_up(http, "/api/discovery/services");
    struct http_response *response = post_until_refused(http, REGISTER, &served);
    check_status(response, 429, "rate-limited", "over-limit");
    const char *text = http_get(http, "/metrics")->body;
    assert_true(prometheus_sum(text, "artemis_instances", "") == served);
}

static void every_registry_and_discovery_request_takes_a_token(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    static const char *const posts[] = {REGISTER, HEARTBEAT, UNREGISTER,
                                        "/artemis/api/registry/register.json"};
    static const char *const gets[] = {"/api/discovery/services.json",
                                       "/api/discovery/services-delta?version=1",
                                       "/api/discovery/service?service_id=s"};
    int served = 0;
    for (size_t i = 0; i < sizeof posts / sizeof *posts; i++) {
        post_until_refused(http, posts[i], &served);
    }
    for (size_t i = 0; i < sizeof gets / sizeof *gets; i++) {
        check_http(use_up(http, gets[i]), 429);
    }
}

static struct http_response *heartbeat(struct http *http)
{
    return http_post(http, HEARTBEAT, "{'instance_keys':[]}");
}

/* A flood of reads, or of changes, must not let leases expire. */
static void other_calls_refuse_no_heartbeat(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    int served = 0;
    use_up(http, "/api/discovery/services");
    post_until_refused(http, REGISTER, &served);
    for (int i = 0; i < 5; i++)
        check_status(heartbeat(http), 200, "success", NULL);
}

static void heartbeats_refuse_no_other_call(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    int served = 0;
    post_until_refused(http, HEARTBEAT, &served);
    check_http(http_get(http, "/api/discovery/services"), 200);
    check_status(http_post(http, REGISTER, "{'instances':[]}"), 200, "success", NULL);
}

static void health_status_and_metrics_are_exempt(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    static const char *const paths[] = {"/health", "/ready", "/metrics", "/api/status/node",
                                        "/api/cluster/nodes"};
    use_up(http, "/api/discovery/services");
    for (int i = 0; i < 50; i++) {
        check_http(http_get(http, "%s", paths[i % 5]), 200);
    }
}

static void java_rejection_is_200_with_the_java_error_code(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    int served = 0;
    use_up(http, "/api/discovery/services");
    struct http_response *response =
        post_until_refused(http, "/artemis/api/registry/heartbeat.json", &served);
    check_status(response, 200, "rate-limited", NULL);
    check_json(response, "responseStatus.status", "'fail'");
}

static bool is_served(void *context)
{
    return http_get(context, "/api/discovery/services")->status == 200;
}

static void limit_refills_with_time(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    use_up(http, "/api/discovery/services");
    assert_true(wait_until(is_served, http, wait_deadline_ms()));
}

static void rejections_are_counted_in_metrics(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    use_up(http, "/api/discovery/services");
    const char *text = http_get(http, "/metrics")->body;
    prometheus_check(text);
    assert_true(prometheus_sum(text, "artemis_rate_limited_total", "") >= 1);
}

static void disabled_limit_serves_all(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    for (int i = 0; i < 200; i++) {
        check_http(http_get(http, "/api/discovery/services"), 200);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(burst_is_served_and_more_is_refused),
        TEST(rejection_has_retry_after),
        TEST(refused_request_changes_nothing),
        TEST(every_registry_and_discovery_request_takes_a_token),
        TEST(other_calls_refuse_no_heartbeat),
        TEST(heartbeats_refuse_no_other_call),
        TEST(health_status_and_metrics_are_exempt),
        TEST(java_rejection_is_200_with_the_java_error_code),
        TEST(limit_refills_with_time),
        TEST(rejections_are_counted_in_metrics),
        cmocka_unit_test_setup_teardown(disabled_limit_serves_all, start_disabled, fixture_stop),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
