/* SPDX-License-Identifier: Apache-2.0
 *
 * The rate limit of each client: an address or a token that is over its limit is refused, and no
 * other one is.
 */
#include "tests/support/client/calls.h"
#include "tests/support/client/prometheus.h"
#include "tests/support/client/raw_socket.h"
#include "tests/support/client/websocket_client.h"
#include "tests/support/servers/tokens.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVICES "/api/discovery/services"
#define SETTINGS                                                                                   \
    "--set", "ratelimit.client_requests_per_second=1", "--set", "ratelimit.client_burst_size=5",   \
        "--set", "lease.ttl_secs=3600"

enum { TRIES_MAX = 1000 };

static int start(void **state)
{
    return fixture_start(state, (const char *const[]){SETTINGS, NULL});
}

/* --- clients by address ----------------------------------------------------------------------- */

/* One request on a connection of its own, from 127.0.0.HOST. */
static int status_from(uint8_t host, uint16_t port, const char *method, const char *path,
                       const char *more)
{
    struct raw_socket raw;
    assert_true(raw_socket_try_open_from(&raw, host, port));
    raw_socket_sendf(&raw, "%s %s HTTP/1.1\r\nHost: a\r\n%s\r\n", method, path, more);
    assert_int_equal(raw_socket_read(&raw, wait_deadline_ms()), RAW_RESPONSE);
    int status = raw.response.status;
    raw_socket_close(&raw);
    return status;
}

static int read_from(uint8_t host, uint16_t port)
{
    return status_from(host, port, "GET", SERVICES, "");
}

static void use_up_from(uint8_t host, uint16_t port)
{
    for (int i = 0; i < TRIES_MAX; i++)
        if (read_from(host, port) == 429)
            return;
    fail_msg("%d requests, and none was over the limit", TRIES_MAX);
}

static void address_over_its_limit_refuses_no_other(void **state)
{
    struct fixture *fixture = *state;
    uint16_t port = fixture->server.port;
    use_up_from(2, port);
    for (int i = 0; i < 5; i++)
        assert_int_equal(read_from(3, port), 200);
    use_up_from(2, port);
    assert_int_equal(read_from(4, port), 200);
}

/* Leases must not expire because their client reads too much. */
static void reads_of_a_client_refuse_none_of_its_heartbeats(void **state)
{
    struct fixture *fixture = *state;
    use_up_from(2, fixture->server.port);
    for (int i = 0; i < 5; i++)
        assert_int_equal(status_from(2, fixture->server.port, "POST", HEARTBEAT,
                                     "Content-Length: 20\r\n\r\n{\"instance_keys\":[]}"),
                         200);
}

static void rejection_names_the_setting_and_when_to_retry(void **state)
{
    struct fixture *fixture = *state;
    struct http_response *response = NULL;
    for (int i = 0; i < TRIES_MAX && (!response || response->status == 200); i++)
        response = http_get(fixture->http, SERVICES);
    int64_t refused_ms = wait_now_ms();
    check_status(response, 429, "rate-limited", "over-client-limit");
    check_json(response, "response_status.error_message",
               "'over ratelimit.client_requests_per_second = 1 (burst 5)'");
    check_field(response, "Retry-After", "1");
    /* The client is served after that time. */
    wait_for_time(refused_ms + 1000);
    check_http(http_get(fixture->http, SERVICES), 200);
}

static void refused_requests_are_counted_by_kind_and_scope(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 50; i++)
        http_get(fixture->http, SERVICES);
    const char *text = http_get(fixture->http, "/metrics")->body;
    prometheus_check(text);
    static const char name[] = "artemis_rate_limited_total";
    double refused = prometheus_sum(text, name, "kind=\"discovery\",scope=\"client\"");
    assert_true(refused >= 1 && refused <= 45);
    assert_true(prometheus_sum(text, name, "") == refused);
    assert_true(prometheus_sum(text, "artemis_rate_limit_clients", "") == 1);
}

static void refused_requests_are_summed_up_in_the_log(void **state)
{
    struct fixture *fixture = *state;
    use_up_from(7, fixture->server.port);
    use_up_from(7, fixture->server.port);
    char *log = server_process_stop_and_read_log(&fixture->server);
    const char *line = strstr(log, "rate limits refused requests");
    assert_non_null(line);
    assert_non_null(strstr(line, "heaviest_client=127.0.0.7"));
    free(log);
}

static void websocket_of_a_client_is_limited_with_its_requests(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client client;
    websocket_client_open(&client, fixture->server.port, "/artemis/websocket/registry/heartbeat");
    bool refused = false;
    for (int i = 0; i < TRIES_MAX && !refused; i++) {
        websocket_client_send_json(&client, "{'instanceKeys':[]}");
        refused = strstr(websocket_client_next(&client)->body, "rate-limited") != NULL;
    }
    assert_true(refused);
    check_contains(&client.message, "responseStatus.errorMessage", "client_requests_per_second");
    websocket_client_close(&client);
    const char *text = http_get(fixture->http, "/metrics")->body;
    assert_true(prometheus_sum(text, "artemis_rate_limited_total",
                               "kind=\"heartbeat\",scope=\"client\"") >= 1);
}

static void subscriptions_of_a_client_are_limited_with_its_requests(void **state)
{
    struct fixture *fixture = *state;
    struct websocket_client client;
    bool refused = false;
    websocket_client_open(&client, fixture->server.port, "/ws");
    for (int i = 0; i < TRIES_MAX && !refused; i++) {
        websocket_client_send_json(&client, "{'type':'subscribe','service_id':'s'}");
        refused = strcmp(check_text(websocket_client_next(&client), "type"), "error") == 0;
    }
    assert_true(refused);
    check_json(&client.message, "reason", "'over-client-limit'");
    check_json(&client.message, "retry_after_secs", "1");
    check_json(&client.message, "service_id", "'s'");
    check_contains(&client.message, "message", "client_requests_per_second");
    websocket_client_close(&client);
    const char *text = http_get(fixture->http, "/metrics")->body;
    assert_true(prometheus_sum(text, "artemis_rate_limited_total",
                               "kind=\"discovery\",scope=\"client\"") >= 1);
}

/* --- clients by token ------------------------------------------------------------------------- */

static int read_with(uint8_t host, uint16_t port, const char *secret)
{
    char field[128];
    snprintf(field, sizeof field, "Authorization: Bearer %s\r\n", secret);
    return status_from(host, port, "GET", SERVICES, field);
}

static void token_is_one_client_at_all_its_addresses(void **state)
{
    (void)state;
    struct temp_folder folder;
    struct server_process server;
    temp_folder_make(&folder);
    server_process_start(
        &server, (const char *const[]){"--config", tokens_write(&folder, ""), SETTINGS, NULL},
        NULL);
    int served = 0;
    int64_t began_ms = wait_now_ms();
    for (int i = 0; i < 50; i++)
        served += read_with((uint8_t)(1 + i % 8), server.port, TOKEN_READ) == 200;
    assert_in_range(served, 5, 5 + 1 + (wait_now_ms() - began_ms) / 1000);
    for (int i = 0; i < 5; i++)
        assert_int_equal(read_with(1, server.port, TOKEN_WRITE), 200);
    char *log = server_process_stop_and_read_log(&server);
    assert_non_null(strstr(log, "heaviest_client=\"token read\""));
    free(log);
    temp_folder_remove(&folder);
}

/* --- reload ----------------------------------------------------------------------------------- */

static void limit_is_off_by_default(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 200; i++)
        check_http(http_get(fixture->http, SERVICES), 200);
    const char *text = http_get(fixture->http, "/metrics")->body;
    assert_true(prometheus_sum(text, "artemis_rate_limited_total", "") == 0);
    assert_true(prometheus_sum(text, "artemis_rate_limit_clients", "") == 0);
}

static int start_default(void **state)
{
    return fixture_start(state, (const char *const[]){NULL});
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, fixture_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(address_over_its_limit_refuses_no_other),
        TEST(reads_of_a_client_refuse_none_of_its_heartbeats),
        TEST(rejection_names_the_setting_and_when_to_retry),
        TEST(refused_requests_are_counted_by_kind_and_scope),
        TEST(refused_requests_are_summed_up_in_the_log),
        TEST(websocket_of_a_client_is_limited_with_its_requests),
        TEST(subscriptions_of_a_client_are_limited_with_its_requests),
        cmocka_unit_test(token_is_one_client_at_all_its_addresses),
        cmocka_unit_test_setup_teardown(limit_is_off_by_default, start_default, fixture_stop),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
