/* SPDX-License-Identifier: Apache-2.0
 *
 * Cluster, status, health, readiness and metrics of one node (CONTRACT 5).
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/prometheus.h"
#include "tests/support/client/raw_socket.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static int start(void **state)
{
    return fixture_start(state, (const char *const[]){"--set", "server.node_id=n-1", "--set",
                                                      "server.region=lab", "--set",
                                                      "server.zone=z9", NULL});
}

static const char *metrics(struct http *http)
{
    struct http_response *response = http_get(http, "/metrics");
    check_http(response, 200);
    const char *type = http_field(response, "Content-Type");
    assert_non_null(type);
    assert_memory_equal(type, "text/plain", strlen("text/plain"));
    return response->body;
}

static void health_is_exactly_ok(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    struct http_response *response = http_get(http, "/health");
    check_http(response, 200);
    assert_string_equal(response->body, "OK");
    check_field(response, "X-Artemis-Node", "n-1");
    check_field(response, "X-Artemis-Cluster", "artemis");
    check_field(response, "X-Artemis-State", "ready");
    check_field(response, "X-Artemis-Loaded", "false");
}

static void ready_says_ready(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    struct http_response *response = http_get(http, "/ready");
    check_http(response, 200);
    assert_string_equal(response->body, "READY");
    check_field(response, "X-Artemis-Node", "n-1");
    check_field(response, "X-Artemis-Cluster", "artemis");
    check_field(response, "X-Artemis-State", "ready");
}

static void cluster_nodes_are_this_node(void **state)
{
    struct fixture *fixture = *state;
    static const char *const paths[] = {"/api/cluster/nodes", "/api/cluster/up-registry-nodes",
                                        "/api/cluster/up-discovery-nodes"};
    for (size_t i = 0; i < 6; i++) {
        struct http_response *response = i < 3 ? http_get(fixture->http, "%s", paths[i])
                                               : http_post(fixture->http, paths[i - 3], "{}");
        check_status(response, 200, "success", NULL);
        check_count(response, "nodes", 1);
        check_json(response, "nodes[0].node_id", "'n-1'");
        check_contains(response, "nodes[0].url", fixture->server.url);
        check_json(response, "nodes[0].zone", "{'region_id':'lab','zone_id':'z9'}");
        check_json(response, "nodes[0].status", "'up'");
    }
}

static void status_pages_accept_get_and_post(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    static const char *const paths[] = {"/api/status/node", "/api/status/cluster",
                                        "/api/status/leases", "/api/status/config",
                                        "/api/status/deployment"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        check_status(http_get(http, "%s", paths[i]), 200, "success", NULL);
        check_status(http_post(http, paths[i], "{}"), 200, "success", NULL);
    }
}

static void status_node_and_deployment_name_this_node(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    struct http_response *response = http_get(http, "/api/status/node");
    assert_non_null(strstr(response->body, "\"n-1\""));
    assert_non_null(strstr(response->body, "\"up\""));
    response = http_get(http, "/api/status/cluster");
    assert_non_null(strstr(response->body, "\"n-1\""));
    response = http_get(http, "/api/status/deployment");
    assert_non_null(strstr(response->body, "\"lab\""));
}

static void status_config_has_values_and_sources(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    struct http_response *response = http_get(http, "/api/status/config");
    assert_non_null(strstr(response->body, "server.node_id"));
    assert_non_null(strstr(response->body, "lease.ttl_secs"));
    assert_non_null(strstr(response->body, "ratelimit.burst_size"));
    assert_non_null(strstr(response->body, "default"));
    assert_non_null(strstr(response->body, "--set"));
}

static void status_leases_show_the_leases_of_a_service(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register_many(http, "s", 3);
    call_register_many(http, "t", 1);
    check_json(http_get(http, "/api/status/leases"), "lease_count", "4");
    for (int by_post = 0; by_post <= 1; by_post++) {
        struct http_response *response =
            by_post ? http_post(http, "/api/status/leases", "{'service_id':'S'}")
                    : http_get(http, "/api/status/leases?service_id=S");
        check_status(response, 200, "success", NULL);
        check_count(response, "leases", 1);
        check_count(response, "leases.s", 3);
        check_json(response, "leases.s[0].instance.service_id", "'s'");
        assert_in_range(check_integer(response, "leases.s[0].ends_in_ms"), 1, 30000);
    }
    check_status(http_get(http, "/api/status/leases?service_id=nowhere"), 200, "bad-request",
                 "service-not-found");
}

static void metrics_are_prometheus_text(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register_many(http, "s", 3);
    check_http(http_get(http, "/api/nowhere"), 404);
    check_http(http_post(http, REGISTER, "nonsense"), 400);
    prometheus_check(metrics(http));
}

static void metrics_have_what_operators_need(void **state)
{
    static const char *const parts[] = {
        "artemis_", "requests", "_seconds_bucket", "_seconds_sum", "_seconds_count", "instances",
        "services", "leases",   "evict",           "guard",        "rate_limited",   "_bytes",
    };
    const char *text = metrics(((struct fixture *)*state)->http);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (!prometheus_has(text, parts[i])) {
            fail_msg("no metric with \"%s\" in its name:\n%s", parts[i], text);
        }
    }
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        assert_true(*line == '#' || strncmp(line, "artemis_", 8) == 0 ||
                    strncmp(line, "process_", 8) == 0);
    }
}

static double count_of(struct http *http, const char *labels)
{
    return prometheus_sum(metrics(http), "artemis_http_requests_total", labels);
}

static void metrics_count_304_as_304(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    static const char path[] = "/api/discovery/service?service_id=s";
    char field[128];
    call_register(http, "s", "i1");
    snprintf(field, sizeof field, "If-None-Match: %s", http_field(http_get(http, path), "ETag"));
    struct http_request request = {
        .method = "GET", .path = path, .fields = (const char *const[]){field, NULL}};
    for (int i = 0; i < 3; i++)
        check_http(http_send(http, &request), 304);
    assert_true(
        count_of(http, "route=\"service\",outcome=\"success\",reason=\"\",status=\"200\"") == 1);
    assert_true(
        count_of(http, "route=\"service\",outcome=\"success\",reason=\"\",status=\"304\"") == 3);
}

/* A new connection goes to the thread that has the fewest. */
static void metrics_add_up_the_requests_of_all_threads(void **state)
{
    struct fixture *fixture = *state;
    struct raw_socket sockets[8];
    for (size_t i = 0; i < 8; i++) {
        raw_socket_open(&sockets[i], fixture->server.port);
        assert_true(raw_socket_sendf(&sockets[i], "POST /api/status/node HTTP/1.1\r\nHost: test\r\n"
                                                  "Content-Length: 2\r\n\r\n{}"));
        assert_int_equal(raw_socket_read(&sockets[i], wait_deadline_ms()), RAW_RESPONSE);
    }
    const char *text = metrics(fixture->http);
    assert_true(prometheus_sum(text, "artemis_http_requests_total",
                               "route=\"status_node\",outcome=\"success\"") == 8);
    assert_true(prometheus_sum(text, "artemis_http_request_duration_seconds_count",
                               "route=\"status_node\"") == 8);
    assert_true(prometheus_sum(text, "artemis_http_request_bytes_total", "") == 16);
    for (size_t i = 0; i < 8; i++)
        raw_socket_close(&sockets[i]);
}

static void metrics_describe_the_process(void **state)
{
    struct fixture *fixture = *state;
    const char *text = metrics(fixture->http);
    assert_true(prometheus_sum(text, "process_resident_memory_bytes", "") > 1024 * 1024);
    assert_true(prometheus_sum(text, "process_virtual_memory_bytes", "") > 1024 * 1024);
    assert_true(prometheus_sum(text, "process_open_fds", "") >= 3);
    assert_true(prometheus_sum(text, "process_max_fds", "") >=
                prometheus_sum(text, "process_open_fds", ""));
    assert_true(prometheus_sum(text, "process_cpu_seconds_total", "") >= 0);
    double started = prometheus_sum(text, "process_start_time_seconds", "");
    assert_true(started > 1.6e9 && started < (double)time(NULL) + 1);
}

static void metrics_count_registered_instances(void **state)
{
    struct http *http = ((struct fixture *)*state)->http;
    call_register_many(http, "s", 3);
    call_register_many(http, "t", 2);
    const char *text = metrics(http);
    assert_true(prometheus_sum(text, "artemis_instances", "") == 5);
    assert_true(prometheus_sum(text, "artemis_services", "") == 2);
    check_status(call_with_keys(http, UNREGISTER, "s", 0, 2), 200, "success", NULL);
    assert_true(prometheus_sum(metrics(http), "artemis_instances", "") == 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(health_is_exactly_ok),
        TEST(ready_says_ready),
        TEST(cluster_nodes_are_this_node),
        TEST(status_pages_accept_get_and_post),
        TEST(status_node_and_deployment_name_this_node),
        TEST(status_config_has_values_and_sources),
        TEST(status_leases_show_the_leases_of_a_service),
        TEST(metrics_are_prometheus_text),
        TEST(metrics_have_what_operators_need),
        TEST(metrics_count_304_as_304),
        TEST(metrics_add_up_the_requests_of_all_threads),
        TEST(metrics_describe_the_process),
        TEST(metrics_count_registered_instances),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
