/* SPDX-License-Identifier: Apache-2.0
 *
 * Real nodes whose peers stop, stall or lie: nobody alive is evicted, nothing dead returns, and one
 * bad peer is no trouble for the others.
 */
#include "tests/support/cluster.h"
#include "tests/support/wait.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
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

/* Accepts nothing and answers nothing, though the system takes connections for it. */
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

/* --- stopped and stalled ---------------------------------------------------------------------- */

static void a_node_that_was_stopped_for_longer_than_the_lease_evicts_nobody(void **state)
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
    struct http_answer *delta =
        http_get(cluster.http[2], "/api/discovery/services-delta?version=%lld", (long long)version);
    check_http(delta, 200);
    assert_null(strstr(delta->body, "\"service_id\":\"shop\"")); /* not even for a moment */
    cluster_wait_agreement(&cluster);
}

static void a_stalled_peer_is_no_trouble_for_the_others(void **state)
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
    call_register_many(cluster.http[0], "shop", 10); /* taken from the first moment */
    cluster_wait_health(&cluster, 0, cluster.ports[2], "down");
    cluster_wait_ready(&cluster, 0);
    cluster_wait_ready(&cluster, 1);
    cluster_wait_count(&cluster, "shop", 10);
    call_register_many(cluster.http[1], "more", 10);
    cluster_wait_count(&cluster, "more", 10);
    assert_int_equal(
        json_integer_value(cluster_peer_status(&cluster, 0, cluster.ports[2], "backlog")), 0);
}

static void while_it_looks_for_data_a_node_takes_registrations_and_discovers_nothing(void **state)
{
    (void)state;
    static const char *const settings[] = {"replication.timeout_secs=1", NULL};
    cluster_plan(&cluster, 2, settings);
    listen_and_stall(cluster.ports[1]);
    cluster_start_node(&cluster, 0, NULL);
    call_register(cluster.http[0], "shop", "i0");
    check_status(call_with_keys(cluster.http[0], HEARTBEAT, "shop", 0, 1), 200, "success", NULL);
    struct http_answer *answer =
        http_get(cluster.http[0], "/api/discovery/service?service_id=shop");
    check_status(answer, 503, "service-unavailable", "not-ready");
    check_field(answer, "Retry-After", "1");
    check_http(http_get(cluster.http[0], "/ready"), 503);
    answer = http_get(cluster.http[0], "/health");
    check_http(answer, 200);
    check_field(answer, "X-Artemis-State", "starting");
    cluster_wait_ready(&cluster, 0); /* it has tried long enough */
    assert_int_equal(call_count(cluster.http[0], "shop"), 1);
}

/* --- back again ------------------------------------------------------------------------------- */

static void what_was_unregistered_while_a_peer_was_stopped_does_not_return(void **state)
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

static void two_changes_of_one_instance_end_alike_everywhere(void **state)
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
    char *first = NULL;
    for (int node = 0; node < 3; node++) {
        const char *value =
            check_text(http_get(cluster.http[node], "/api/discovery/service?service_id=shop"),
                       "service.instances[0].metadata.v");
        if (!first)
            first = strdup(value);
        assert_string_equal(value, first);
    }
    /* They were made one after the other, so the last is the last. */
    assert_string_equal(first, "49-2");
    free(first);
}

/* --- asked twice ------------------------------------------------------------------------------ */

static void shutting_down_may_be_asked_twice_while_a_peer_stalls(void **state)
{
    (void)state;
    static const char *const settings[] = {"replication.timeout_secs=1", NULL};
    cluster_start(&cluster, 2, settings);
    server_process_signal(&cluster.nodes[1], SIGSTOP);
    call_register_many(cluster.http[0], "shop", 20);
    server_process_signal(&cluster.nodes[0], SIGTERM);
    server_process_signal(&cluster.nodes[0], SIGTERM);
    cluster_stop_node(&cluster, 0); /* a third time; it must exit with 0, and soon */
    server_process_signal(&cluster.nodes[1], SIGCONT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_node_that_was_stopped_for_longer_than_the_lease_evicts_nobody,
                                  stop),
        cmocka_unit_test_teardown(a_stalled_peer_is_no_trouble_for_the_others, stop),
        cmocka_unit_test_teardown(
            while_it_looks_for_data_a_node_takes_registrations_and_discovers_nothing, stop),
        cmocka_unit_test_teardown(what_was_unregistered_while_a_peer_was_stopped_does_not_return,
                                  stop),
        cmocka_unit_test_teardown(two_changes_of_one_instance_end_alike_everywhere, stop),
        cmocka_unit_test_teardown(shutting_down_may_be_asked_twice_while_a_peer_stalls, stop),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
