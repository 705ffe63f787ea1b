/* SPDX-License-Identifier: Apache-2.0
 *
 * Real nodes whose peers stop or stall: no active lease is evicted, no unregistered instance
 * returns, and a bad peer does not affect the others.
 */
#include "tests/support/servers/cluster.h"
#include "tests/support/wait.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct cluster cluster;
static int listener = -1;

static int stop(void **state)
{
    (void)state;
    cluster_stop(&cluster);
    if (listener >= 0)
        close(listener);
    listener = -1;
    return 0;
}

/* Listens and never accepts: connections stay in the backlog without a response. */
static void listen_and_stall(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int reuse = 1;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(listener >= 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 100), 0);
}

static void renew_for(int node, const char *service_id, int64_t for_ms)
{
    for (int64_t end_ms = wait_now_ms() + for_ms, next_ms = wait_now_ms(); next_ms < end_ms;) {
        check_status(call_with_keys(cluster.http[node], HEARTBEAT, service_id, 0, 10), 200,
                     "success", NULL);
        next_ms += 500;
        wait_for_time(next_ms);
    }
}

/* --- paused and stalled ----------------------------------------------------------------------- */

static void node_paused_longer_than_the_lease_evicts_nothing(void **state)
{
    (void)state;
    cluster_start(&cluster, 3,
                  (const char *const[]){"lease.ttl_secs=2", "replication.timeout_secs=1", NULL});
    call_register_many(cluster.http[0], "shop", 10);
    call_register_many(cluster.http[0], "left", 10);
    cluster_wait_count(&cluster, "left", 10);
    json_int_t version = call_version(cluster.http[2]);
    server_process_signal(&cluster.nodes[2], SIGSTOP);
    check_status(call_with_keys(cluster.http[0], UNREGISTER, "left", 0, 10), 200, "success", NULL);
    renew_for(1, "shop", 4000);
    server_process_signal(&cluster.nodes[2], SIGCONT);
    renew_for(1, "shop", 2500);
    cluster_wait_count(&cluster, "left", 0);
    cluster_wait_count(&cluster, "shop", 10);
    struct http_response *delta =
        http_get(cluster.http[2], "/api/discovery/services-delta?version=%lld", (long long)version);
    check_http(delta, 200);
    assert_null(strstr(delta->body, "\"service_id\":\"shop\"")); /* it never changed */
    cluster_wait_agreement(&cluster);
}

static void stalled_peer_does_not_delay_the_others(void **state)
{
    (void)state;
    static const char *const settings[] = {"replication.timeout_secs=1",
                                           "replication.max_retries=2", NULL};
    cluster_plan(&cluster, 3, settings);
    listen_and_stall(cluster.ports[2]);
    cluster_start_node(&cluster, 0, NULL);
    cluster_start_node(&cluster, 1, NULL);
    cluster_wait_health(&cluster, 0, cluster.ports[1], "up");
    cluster_wait_health(&cluster, 1, cluster.ports[0], "up");
    call_register_many(cluster.http[0], "shop", 10); /* accepted before the node is ready */
    cluster_wait_health(&cluster, 0, cluster.ports[2], "down");
    cluster_wait_ready(&cluster, 0);
    cluster_wait_ready(&cluster, 1);
    cluster_wait_count(&cluster, "shop", 10);
    call_register_many(cluster.http[1], "more", 10);
    cluster_wait_count(&cluster, "more", 10);
    assert_int_equal(
        json_integer_value(cluster_peer_status(&cluster, 0, cluster.ports[2], "backlog")), 0);
}

static void starting_node_accepts_registrations_and_refuses_discovery(void **state)
{
    (void)state;
    static const char *const settings[] = {"replication.timeout_secs=1", NULL};
    cluster_plan(&cluster, 2, settings);
    listen_and_stall(cluster.ports[1]);
    cluster_start_node(&cluster, 0, NULL);
    call_register(cluster.http[0], "shop", "i0");
    check_status(call_with_keys(cluster.http[0], HEARTBEAT, "shop", 0, 1), 200, "success", NULL);
    struct http_response *response =
        http_get(cluster.http[0], "/api/discovery/service?service_id=shop");
    check_status(response, 503, "service-unavailable", "not-ready");
    check_field(response, "Retry-After", "1");
    check_http(http_get(cluster.http[0], "/ready"), 503);
    response = http_get(cluster.http[0], "/health");
    check_http(response, 200);
    check_field(response, "X-Artemis-State", "starting");
    cluster_wait_ready(&cluster, 0); /* after max_retries */
    assert_int_equal(call_count(cluster.http[0], "shop"), 1);
}

/* --- return ----------------------------------------------------------------------------------- */

static void unregistration_during_a_pause_of_a_peer_stays(void **state)
{
    (void)state;
    static const char *const settings[] = {"replication.timeout_secs=1",
                                           "replication.max_retries=1",
                                           "replication.anti_entropy_secs=1", NULL};
    cluster_start(&cluster, 2, settings);
    call_register_many(cluster.http[0], "shop", 20);
    cluster_wait_count(&cluster, "shop", 20);
    server_process_signal(&cluster.nodes[1], SIGSTOP);
    check_status(call_with_keys(cluster.http[0], UNREGISTER, "shop", 0, 15), 200, "success", NULL);
    call_register_many(cluster.http[0], "new", 7);
    cluster_wait_health(&cluster, 0, cluster.ports[1], "down");
    server_process_signal(&cluster.nodes[1], SIGCONT);
    cluster_wait_health(&cluster, 0, cluster.ports[1], "up");
    cluster_wait_count(&cluster, "new", 7);
    cluster_wait_count(&cluster, "shop", 5);
    cluster_wait_agreement(&cluster);
    cluster_wait_count(&cluster, "shop", 5);
}

/* All nodes have the same value, which is `expected` unless that is NULL. */
static void check_metadata_at_each_node(const char *expected)
{
    char *first = NULL;
    for (int node = 0; node < 3; node++) {
        const char *value =
            check_text(http_get(cluster.http[node], "/api/discovery/service?service_id=shop"),
                       "service.instances[0].metadata.v");
        if (!first)
            first = strdup(expected ? expected : value);
        assert_string_equal(value, first);
    }
    free(first);
}

static void two_changes_of_one_instance_converge(void **state)
{
    (void)state;
    enum { ROUNDS = 50 };
    cluster_start(&cluster, 3, (const char *const[]){"replication.anti_entropy_secs=1", NULL});
    for (int round = 0; round < ROUNDS; round++)
        for (int node = 0; node < 3; node++)
            check_status(http_post(cluster.http[node], REGISTER,
                                   "{'instances':[{" INSTANCE_FIELDS ",'metadata':{'v':'%d-%d'}}]}",
                                   "shop", "i0", round, node),
                         200, "success", NULL);
    cluster_wait_count(&cluster, "shop", 1);
    cluster_wait_agreement(&cluster);
    check_metadata_at_each_node(NULL);
    /* A change that comes when every node has the others is the latest by any clock. */
    check_status(http_post(cluster.http[1], REGISTER,
                           "{'instances':[{" INSTANCE_FIELDS ",'metadata':{'v':'last'}}]}", "shop",
                           "i0"),
                 200, "success", NULL);
    cluster_wait_agreement(&cluster);
    check_metadata_at_each_node("last");
}

/* --- limits of a peer ------------------------------------------------------------------------- */

static void message_too_large_for_a_peer_is_sent_in_halves(void **state)
{
    (void)state;
    cluster_plan(&cluster, 2, NULL);
    cluster_start_node(&cluster, 0, NULL);
    cluster_start_node(&cluster, 1, "server.max_body_bytes=1024");
    cluster_wait_health(&cluster, 0, cluster.ports[1], "up");
    cluster_wait_ready(&cluster, 0);
    cluster_wait_ready(&cluster, 1);
    call_register_many(cluster.http[0], "shop", 40);
    cluster_wait_count(&cluster, "shop", 40);
    http_free(cluster.http[0]);
    cluster.http[0] = NULL;
    char *log = server_process_stop_and_read_log(&cluster.nodes[0]);
    assert_non_null(
        strstr(log, "peer rejected a message as too large; it is sent again in halves"));
    assert_null(strstr(log, "peer rejected records"));
    free(log);
}

/* --- shutdown --------------------------------------------------------------------------------- */

static void second_shutdown_request_is_harmless_while_a_peer_stalls(void **state)
{
    (void)state;
    static const char *const settings[] = {"replication.timeout_secs=1", NULL};
    cluster_start(&cluster, 2, settings);
    server_process_signal(&cluster.nodes[1], SIGSTOP);
    call_register_many(cluster.http[0], "shop", 20);
    server_process_signal(&cluster.nodes[0], SIGTERM);
    server_process_signal(&cluster.nodes[0], SIGTERM);
    cluster_stop_node(&cluster, 0); /* the third request; it must still exit with 0 */
    server_process_signal(&cluster.nodes[1], SIGCONT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(node_paused_longer_than_the_lease_evicts_nothing, stop),
        cmocka_unit_test_teardown(stalled_peer_does_not_delay_the_others, stop),
        cmocka_unit_test_teardown(starting_node_accepts_registrations_and_refuses_discovery, stop),
        cmocka_unit_test_teardown(unregistration_during_a_pause_of_a_peer_stays, stop),
        cmocka_unit_test_teardown(two_changes_of_one_instance_converge, stop),
        cmocka_unit_test_teardown(message_too_large_for_a_peer_is_sent_in_halves, stop),
        cmocka_unit_test_teardown(second_shutdown_request_is_harmless_while_a_peer_stalls, stop),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
