/* SPDX-License-Identifier: Apache-2.0
 *
 * Three real nodes without faults: a change reaches all nodes, a starting node holds everything
 * before it is ready, and a stopping node sends everything before it exits.
 */
#include "tests/support/client/prometheus.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/wait.h"

#include <string.h>

static struct cluster cluster;

static int stop(void **state)
{
    (void)state;
    cluster_stop(&cluster);
    return 0;
}

/* --- changes ---------------------------------------------------------------------------------- */

static void change_at_one_node_reaches_all(void **state)
{
    (void)state;
    cluster_start(&cluster, 3, NULL);
    call_register_many(cluster.http[0], "shop", 3);
    cluster_wait_count(&cluster, "shop", 3);
    check_status(http_post(cluster.http[1], REGISTER,
                           "{'instances':[{" INSTANCE_FIELDS ",'metadata':{'v':'2'}}]}", "shop",
                           "i0"),
                 200, "success", NULL);
    check_status(call_with_keys(cluster.http[2], UNREGISTER, "shop", 1, 2), 200, "success", NULL);
    cluster_wait_count(&cluster, "shop", 1);
    cluster_wait_agreement(&cluster);
    for (int i = 0; i < 3; i++)
        check_json(http_get(cluster.http[i], "/api/discovery/service?service_id=shop"),
                   "service.instances[0].metadata", "{'v':'2'}");
}

static void heartbeat_at_one_node_keeps_the_lease_at_all(void **state)
{
    (void)state;
    cluster_start(&cluster, 3, (const char *const[]){"lease.ttl_secs=2", NULL});
    call_register(cluster.http[0], "shop", "i0");
    call_register(cluster.http[0], "quiet", "i0");
    cluster_wait_count(&cluster, "shop", 1);
    for (int64_t end_ms = wait_now_ms() + 5000, next_ms = wait_now_ms(); next_ms < end_ms;
         next_ms += 500) {
        check_status(call_with_keys(cluster.http[1], HEARTBEAT, "shop", 0, 1), 200, "success",
                     NULL);
        for (int i = 0; i < 3; i++)
            assert_int_equal(call_count(cluster.http[i], "shop"), 1);
        wait_for_time(next_ms + 500);
    }
    cluster_wait_count(&cluster, "quiet", 0);
    cluster_wait_count(&cluster, "shop", 0); /* no longer renewed */
}

static bool have_compared(void *unused)
{
    (void)unused;
    for (int i = 0; i < 2; i++)
        if (!json_is_integer(
                cluster_peer_status(&cluster, i, cluster.ports[1 - i], "compared_ms_ago")))
            return false;
    return true;
}

static void change_from_a_peer_is_not_forwarded(void **state)
{
    (void)state;
    cluster_start(&cluster, 2, (const char *const[]){"replication.anti_entropy_secs=300", NULL});
    assert_true(
        wait_until(have_compared, NULL, wait_deadline_ms())); /* anti-entropy would send it, too */
    check_status(
        cluster_peer_call(
            cluster.http[0], "POST", "/api/replication/registry/register.json",
            "{\"instances\":[{\"region_id\":\"lab\",\"zone_id\":\"zone1\",\"service_id\":\"far\","
            "\"instance_id\":\"i1\",\"ip\":\"10.0.0.1\",\"port\":80}]}"),
        200, "success", NULL);
    call_register(cluster.http[0], "near", "i0");
    cluster_wait_count(&cluster, "near", 1); /* sent after the other change, and it arrived */
    assert_int_equal(call_count(cluster.http[0], "far"), 1);
    assert_int_equal(call_count(cluster.http[1], "far"), -1);
}

/* --- start and stop --------------------------------------------------------------------------- */

static void killed_node_holds_everything_before_it_is_ready(void **state)
{
    (void)state;
    enum { MANY = 3000 };
    cluster_start(&cluster, 3, NULL);
    call_register_many(cluster.http[0], "old", 5);
    cluster_wait_count(&cluster, "old", 5);
    cluster_kill_node(&cluster, 2);
    call_register_many(cluster.http[0], "shop", MANY);
    check_status(call_with_keys(cluster.http[1], UNREGISTER, "old", 0, 5), 200, "success", NULL);
    cluster_start_node(&cluster, 2, NULL);
    cluster_wait_ready(&cluster, 2);
    assert_int_equal(call_count(cluster.http[2], "shop"), MANY);
    assert_int_equal(call_count(cluster.http[2], "old"), -1);
    cluster_wait_agreement(&cluster);
}

static void stopping_node_sends_all_pending_changes(void **state)
{
    (void)state;
    cluster_start(&cluster, 2, NULL);
    call_register_many(cluster.http[0], "shop", 500);
    cluster_stop_node(&cluster, 0);
    assert_int_equal(call_count(cluster.http[1], "shop"), 500);
    cluster_wait_health(&cluster, 1, cluster.ports[0], "down");
}

static void node_whose_peers_do_not_run_is_ready(void **state)
{
    (void)state;
    cluster_plan(&cluster, 3, NULL);
    cluster_start_node(&cluster, 1, NULL);
    cluster_wait_ready(&cluster, 1);
    call_register(cluster.http[1], "shop", "i0");
    assert_int_equal(call_count(cluster.http[1], "shop"), 1);
    cluster_wait_health(&cluster, 1, cluster.ports[0], "down");
}

/* --- identities ------------------------------------------------------------------------------- */

static void nodes_of_two_clusters_refuse_each_other(void **state)
{
    (void)state;
    cluster_plan(&cluster, 2, NULL);
    cluster_start_node(&cluster, 0, NULL);
    cluster_start_node(&cluster, 1, "cluster.cluster_id=other");
    cluster_wait_health(&cluster, 0, cluster.ports[1], "stranger");
    cluster_wait_health(&cluster, 1, cluster.ports[0], "stranger");
    cluster_wait_ready(&cluster, 0);
    cluster_wait_ready(&cluster, 1);
    call_register(cluster.http[0], "shop", "i0");
    struct http_response *response =
        cluster_peer_call(cluster.http[1], "GET", "/api/replication/registry/digest", NULL);
    check_status(response, 403, "bad-request", "cluster-mismatch");
    check_contains(response, "response_status.error_message",
                   "X-Artemis-Cluster: must be \"other\" (cluster.cluster_id), is \"artemis\"");
    assert_int_equal(call_count(cluster.http[1], "shop"), -1);
}

static void node_excludes_itself(void **state)
{
    (void)state;
    cluster_start(&cluster, 1, NULL);
    struct http_response *response = http_get(cluster.http[0], "/api/status/cluster");
    check_json(response, "node_count", "1");
    check_count(response, "peers", 0);
    call_register(cluster.http[0], "shop", "i0");
    assert_int_equal(call_count(cluster.http[0], "shop"), 1);
}

static void duplicate_node_id_is_shown(void **state)
{
    (void)state;
    cluster_plan(&cluster, 2, NULL);
    cluster_start_node(&cluster, 0, "server.node_id=same");
    cluster_start_node(&cluster, 1, "server.node_id=same");
    cluster_wait_health(&cluster, 0, cluster.ports[1], "twin");
    cluster_wait_health(&cluster, 1, cluster.ports[0], "twin");
}

static bool metrics_show_two_peers(void *unused)
{
    (void)unused;
    struct http_response *response = http_get(cluster.http[0], "/metrics");
    prometheus_check(response->body); /* no series is duplicated */
    return prometheus_sum(response->body, "artemis_peer_up", "") == 2;
}

static void two_peers_with_one_node_id_have_their_own_metrics(void **state)
{
    (void)state;
    cluster_plan(&cluster, 3, NULL);
    cluster_start_node(&cluster, 0, NULL);
    cluster_start_node(&cluster, 1, "server.node_id=same");
    cluster_start_node(&cluster, 2, "server.node_id=same");
    assert_true(wait_until(metrics_show_two_peers, NULL, wait_deadline_ms()));
    assert_string_equal(
        json_string_value(cluster_peer_status(&cluster, 0, cluster.ports[2], "node_id")), "same");
}

/* --- status ----------------------------------------------------------------------------------- */

static bool sees_peer_ready(void *context)
{
    (void)context;
    return json_is_true(cluster_peer_status(&cluster, 0, cluster.ports[1], "ready"));
}

static void status_and_metrics_show_the_peers(void **state)
{
    (void)state;
    cluster_start(&cluster, 2, (const char *const[]){"replication.anti_entropy_secs=1", NULL});
    call_register(cluster.http[0], "shop", "i0");
    cluster_wait_count(&cluster, "shop", 1);
    cluster_wait_agreement(&cluster);
    assert_string_equal(
        json_string_value(cluster_peer_status(&cluster, 0, cluster.ports[1], "node_id")), "node2");
    assert_true(wait_until(sees_peer_ready, NULL, wait_deadline_ms()));
    assert_int_equal(
        json_integer_value(cluster_peer_status(&cluster, 0, cluster.ports[1], "backlog")), 0);
    struct http_response *response = http_get(cluster.http[0], "/api/cluster/nodes");
    check_count(response, "nodes", 2);
    response = http_get(cluster.http[0], "/metrics");
    check_http(response, 200);
    assert_non_null(strstr(response->body, "artemis_peer_up{peer=\"node2\"} 1"));
    assert_non_null(strstr(response->body, "artemis_replication_lag_seconds_bucket"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(change_at_one_node_reaches_all, stop),
        cmocka_unit_test_teardown(heartbeat_at_one_node_keeps_the_lease_at_all, stop),
        cmocka_unit_test_teardown(change_from_a_peer_is_not_forwarded, stop),
        cmocka_unit_test_teardown(killed_node_holds_everything_before_it_is_ready, stop),
        cmocka_unit_test_teardown(stopping_node_sends_all_pending_changes, stop),
        cmocka_unit_test_teardown(node_whose_peers_do_not_run_is_ready, stop),
        cmocka_unit_test_teardown(nodes_of_two_clusters_refuse_each_other, stop),
        cmocka_unit_test_teardown(node_excludes_itself, stop),
        cmocka_unit_test_teardown(duplicate_node_id_is_shown, stop),
        cmocka_unit_test_teardown(two_peers_with_one_node_id_have_their_own_metrics, stop),
        cmocka_unit_test_teardown(status_and_metrics_show_the_peers, stop),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
