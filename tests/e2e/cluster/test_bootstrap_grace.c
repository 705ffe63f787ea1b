/* SPDX-License-Identifier: Apache-2.0
 *
 * A node of a cluster that finds no peer with data: it does not serve discovery until its grace is
 * over or a peer has data, so that no consumer gets an empty list.
 */
#include "tests/support/client/raw_socket.h"
#include "tests/support/client/websocket_client.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/wait.h"

#include <stdlib.h>
#include <string.h>

static struct cluster cluster;

static void check_not_ready(struct http_response *response)
{
    check_http(response, 503);
    check_json(response, "response_status.reason", "'not-ready'");
    assert_string_equal(http_field(response, "Retry-After"), "1");
}

/* A heartbeat for an unknown instance gets instance-not-found instead of 503. */
static bool is_unknown(void *context)
{
    struct http_response *response =
        http_post(context, HEARTBEAT, "{'instances':[" KEY "]}", "web", "unknown");
    return response->status == 200;
}

static void node_without_data_takes_registrations_and_serves_no_discovery(void **state)
{
    (void)state;
    cluster_plan(&cluster, 2, NULL);
    cluster_start_node(&cluster, 0, "cluster.bootstrap_grace_secs=3600");
    cluster_wait_health(&cluster, 0, cluster.ports[1], "down");
    struct http *http = cluster.http[0];
    check_http(http_get(http, "/ready"), 503);
    check_not_ready(http_get(http, "/api/discovery/services"));
    check_not_ready(http_get(http, "/api/discovery/service?service_id=web"));
    struct raw_socket watcher;
    raw_socket_open(&watcher, cluster.ports[0]);
    assert_true(
        raw_socket_sendf(&watcher, "GET /ws HTTP/1.1\r\nHost: test\r\n" HANDSHAKE_FIELDS "\r\n"));
    assert_int_equal(raw_socket_read(&watcher, wait_deadline_ms()), RAW_RESPONSE);
    assert_int_equal(watcher.response.status, 503);
    raw_socket_close(&watcher);
    /* A client whose instance is not known yet must not take it for lost. */
    check_not_ready(http_post(http, HEARTBEAT, "{'instances':[" KEY "]}", "web", "i1"));
    call_register(http, "web", "i1");
    check_status(http_post(http, HEARTBEAT, "{'instances':[" KEY "]}", "web", "i1"), 200, "success",
                 NULL);
    check_not_ready(http_post(http, HEARTBEAT, "{'instances':[" KEY "," KEY "]}", "web", "unknown",
                              "web", "i1"));
    check_not_ready(http_get(http, "/api/discovery/service?service_id=web"));
    /* A peer that has data ends the wait. */
    cluster_start_node(&cluster, 1, NULL);
    cluster_wait_ready(&cluster, 1);
    cluster_wait_ready(&cluster, 0);
    cluster_wait_count(&cluster, "web", 1);
    cluster_stop(&cluster);
}

static void node_without_data_is_ready_at_the_end_of_the_grace(void **state)
{
    (void)state;
    cluster_plan(&cluster, 2, NULL);
    cluster_start_node(&cluster, 0, "cluster.bootstrap_grace_secs=2");
    check_http(http_get(cluster.http[0], "/ready"), 503);
    call_register(cluster.http[0], "web", "i1");
    cluster_wait_ready(&cluster, 0);
    assert_int_equal(call_count(cluster.http[0], "web"), 1);
    struct http_response *response =
        http_post(cluster.http[0], HEARTBEAT, "{'instances':[" KEY "]}", "web", "unknown");
    check_status(response, 200, "bad-request", "instance-not-found");
    cluster_stop(&cluster);
}

/* After a power failure of all nodes, clients register again long before the end of the grace. */
static void clients_register_again_when_every_peer_starts_without_data(void **state)
{
    (void)state;
    static const char *const settings[] = {"cluster.bootstrap_grace_secs=3600", "lease.ttl_secs=3",
                                           NULL};
    cluster_plan(&cluster, 2, settings);
    for (int node = 0; node < 2; node++)
        cluster_start_node(&cluster, node, NULL);
    if (!wait_until(is_unknown, cluster.http[0], wait_deadline_ms()))
        fail_msg("heartbeats get 503, although no peer has data");
    check_not_ready(http_get(cluster.http[0], "/api/discovery/service?service_id=web"));
    call_register(cluster.http[0], "web", "i1");
    check_not_ready(http_get(cluster.http[0], "/api/discovery/service?service_id=web"));
    for (int node = 0; node < 2; node++)
        cluster_wait_ready(&cluster, node);
    cluster_stop(&cluster);
}

/* The lease of the instance is known there. */
static bool renews(void *context)
{
    struct http_response *response =
        http_post(context, HEARTBEAT, "{'instances':[" KEY "]}", "web", "i1");
    const char *code =
        response->status == 200 ? check_text(response, "response_status.error_code") : "";
    return strcmp(code, "success") == 0;
}

/* Three nodes in a chain: the registration at the first one gets to the last one, which has no link
 * to it, before any of them is ready. Otherwise it would end at the first one, although its client
 * renews it at the last one. */
static void instance_is_known_at_a_node_without_a_link_before_any_is_ready(void **state)
{
    (void)state;
    static const char *const settings[] = {"cluster.bootstrap_grace_secs=3600",
                                           "lease.ttl_secs=600", "replication.anti_entropy_secs=1",
                                           NULL};
    char middle[64];
    cluster_plan(&cluster, 3, settings);
    snprintf(middle, sizeof(middle), "cluster.peers=127.0.0.1:%u", cluster.ports[1]);
    cluster_start_node(&cluster, 0, middle);
    cluster_start_node(&cluster, 1, NULL);
    cluster_start_node(&cluster, 2, middle);
    cluster_wait_health(&cluster, 2, cluster.ports[1], "up");
    call_register(cluster.http[0], "web", "i1");
    if (!wait_until(renews, cluster.http[2], wait_deadline_ms()))
        fail_msg("nodes that start without data do not compare themselves");
    for (int node = 0; node < 3; node++)
        check_http(http_get(cluster.http[node], "/ready"), 503);
    cluster_stop(&cluster);
}

static void single_node_is_ready_at_once_and_logs_that_it_has_no_data(void **state)
{
    (void)state;
    struct server_process server;
    server_process_start(&server, NULL, NULL);
    struct http *http = http_new(server.port);
    check_http(http_get(http, "/ready"), 200);
    http_free(http);
    char *log = server_process_stop_and_read_log(&server);
    assert_non_null(strstr(log, "starts without data"));
    free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(node_without_data_takes_registrations_and_serves_no_discovery),
        cmocka_unit_test(node_without_data_is_ready_at_the_end_of_the_grace),
        cmocka_unit_test(clients_register_again_when_every_peer_starts_without_data),
        cmocka_unit_test(instance_is_known_at_a_node_without_a_link_before_any_is_ready),
        cmocka_unit_test(single_node_is_ready_at_once_and_logs_that_it_has_no_data),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
