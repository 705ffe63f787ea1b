/* SPDX-License-Identifier: Apache-2.0
 *
 * Three real nodes in two regions: each shows which peers are remote, and changes and renewals
 * reach the other region.
 */
#include "tests/support/client/prometheus.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/wait.h"

#include <stdio.h>

enum { NODES = 3, EAST = 2 }; /* nodes 0 and 1 are in the west */

static struct cluster cluster;

static int start(void **state)
{
    (void)state;
    cluster_plan(&cluster, NODES,
                 (const char *const[]){"lease.ttl_secs=2", "lease.guard_percent=0",
                                       "replication.anti_entropy_secs=1", NULL});
    for (int i = 0; i < NODES; i++)
        cluster_start_node(&cluster, i, i == EAST ? "server.region=east" : "server.region=west");
    for (int i = 0; i < NODES; i++)
        cluster_wait_ready(&cluster, i);
    for (int i = 0; i < NODES; i++)
        for (int peer = 0; peer < NODES; peer++)
            if (peer != i)
                cluster_wait_health(&cluster, i, cluster.ports[peer], "up");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    cluster_stop(&cluster);
    return 0;
}

static double peer_metric(int node, const char *name, int peer, const char *more)
{
    char label[64];
    snprintf(label, sizeof label, "peer=\"node%d\"%s", peer + 1, more);
    return prometheus_sum(http_get(cluster.http[node], "/metrics")->body, name, label);
}

static void status_and_metrics_show_which_peers_are_remote(void **state)
{
    (void)state;
    for (int i = 0; i < NODES; i++)
        for (int peer = 0; peer < NODES; peer++) {
            bool is_remote = (i == EAST) != (peer == EAST);
            if (peer == i)
                continue;
            json_t *remote = cluster_peer_status(&cluster, i, cluster.ports[peer], "remote");
            assert_int_equal(json_is_true(remote), is_remote);
            json_t *region = cluster_peer_status(&cluster, i, cluster.ports[peer], "region");
            assert_string_equal(json_string_value(region), peer == EAST ? "east" : "west");
            assert_true(peer_metric(i, "artemis_peer_remote", peer, "") == is_remote);
        }
}

/* Leases last for 2 s, and renewals wait for a third of a second before they leave the region. */
static void instance_that_is_renewed_in_one_region_stays_in_the_other(void **state)
{
    (void)state;
    call_register(cluster.http[0], "shop", "i0");
    cluster_wait_count(&cluster, "shop", 1);
    for (int64_t end_ms = wait_now_ms() + 3000, next_ms = wait_now_ms(); next_ms < end_ms;
         next_ms += 500) {
        check_status(call_with_keys(cluster.http[1], HEARTBEAT, "shop", 0, 1), 200, "success",
                     NULL);
        for (int i = 0; i < NODES; i++)
            assert_int_equal(call_count(cluster.http[i], "shop"), 1);
        wait_for_time(next_ms + 500);
    }
    assert_true(peer_metric(1, "artemis_replication_sent_bytes_total", EAST, "") > 0);
    assert_true(peer_metric(1, "artemis_replication_received_bytes_total", EAST, "") > 0);
    cluster_wait_count(&cluster, "shop", 0); /* no longer renewed */
}

static void change_in_one_region_reaches_the_other(void **state)
{
    (void)state;
    call_register_many(cluster.http[EAST], "books", 3);
    cluster_wait_count(&cluster, "books", 3);
    check_status(call_with_keys(cluster.http[0], UNREGISTER, "books", 1, 2), 200, "success", NULL);
    cluster_wait_count(&cluster, "books", 1);
}

/* --- anti-entropy ----------------------------------------------------------------------------- */

static double compared_before;

static bool has_compared_three_times(void *unused)
{
    (void)unused;
    double compared =
        peer_metric(0, "artemis_replication_delivered_total", EAST, ",kind=\"digest\"");
    return compared >= compared_before + 3;
}

/* Only health checks have a body then, of two bytes. */
static void comparison_of_equal_nodes_costs_no_digests(void **state)
{
    (void)state;
    static const char received[] = "artemis_replication_received_bytes_total";
    cluster_wait_count(&cluster, "books", 0); /* its lease has ended */
    cluster_wait_agreement(&cluster);
    compared_before =
        peer_metric(0, "artemis_replication_delivered_total", EAST, ",kind=\"digest\"");
    double bytes_before = peer_metric(0, received, EAST, "");
    assert_true(wait_until(has_compared_three_times, NULL, wait_deadline_ms()));
    assert_true(peer_metric(0, received, EAST, "") - bytes_before < 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_and_metrics_show_which_peers_are_remote),
        cmocka_unit_test(instance_that_is_renewed_in_one_region_stays_in_the_other),
        cmocka_unit_test(change_in_one_region_reaches_the_other),
        cmocka_unit_test(comparison_of_equal_nodes_costs_no_digests),
    };
    return server_process_finish(cmocka_run_group_tests(tests, start, stop));
}
