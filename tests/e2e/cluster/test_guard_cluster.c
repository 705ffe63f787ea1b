/* SPDX-License-Identifier: Apache-2.0
 *
 * The release of a mass-expiry guard in a cluster: three nodes in a chain.
 */
#include "tests/support/servers/cluster.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <string.h>

enum { NODES = 3, INSTANCES = 60 };

static struct cluster cluster;

/* Each node knows itself and its neighbours. */
static int start(void **state)
{
    static const char *const settings[] = {"lease.ttl_secs=5", "replication.anti_entropy_secs=1",
                                           NULL};
    char peers[160];
    (void)state;
    cluster_plan(&cluster, NODES, settings);
    for (int i = 0; i < NODES; i++) {
        int last = i + 1 < NODES ? i + 1 : i;
        size_t size = (size_t)snprintf(peers, sizeof peers, "cluster.peers=");
        for (int j = i ? i - 1 : 0; j <= last; j++)
            size += (size_t)snprintf(peers + size, sizeof peers - size, "%shttp://127.0.0.1:%u",
                                     peers[size - 1] == '=' ? "" : ",", cluster.ports[j]);
        cluster_start_node(&cluster, i, peers);
    }
    for (int i = 0; i < NODES; i++)
        cluster_wait_ready(&cluster, i);
    for (int i = 0; i + 1 < NODES; i++) {
        cluster_wait_health(&cluster, i, cluster.ports[i + 1], "up");
        cluster_wait_health(&cluster, i + 1, cluster.ports[i], "up");
    }
    return 0;
}

static int stop(void **state)
{
    (void)state;
    cluster_stop(&cluster);
    return 0;
}

/* The guard of each node keeps all instances. */
static bool all_guard(void *context)
{
    (void)context;
    for (int i = 0; i < NODES; i++) {
        struct http_response *response = http_get(cluster.http[i], "/api/status/leases");
        if (check_integer(response, "guard.node.held") != INSTANCES ||
            strcmp(json_string_value(check_find(response->json, "guard.node.state")), "on") != 0)
            return false;
    }
    return true;
}

static void release_reaches_nodes_behind_a_peer(void **state)
{
    (void)state;
    call_register_many(cluster.http[0], "s", INSTANCES);
    assert_true(wait_until(all_guard, NULL, wait_deadline_ms()));
    check_status(http_post(cluster.http[0], "/api/status/leases/release", "{}"), 200, "success",
                 NULL);
    cluster_wait_count(&cluster, "s", 0);
}

static void release_that_arrives_too_late_has_no_effect(void **state)
{
    static const char path[] = "/api/replication/registry/release-guard";
    (void)state;
    call_register_many(cluster.http[0], "s", INSTANCES);
    assert_true(wait_until(all_guard, NULL, wait_deadline_ms()));
    check_http(cluster_peer_call(cluster.http[2], "POST", path, "{\"clock_ms\":\"x\"}"), 400);
    check_http(cluster_peer_call(cluster.http[2], "POST", path, "{\"clock_ms\":1}"), 200);
    check_json(http_get(cluster.http[2], "/api/status/leases"), "guard.node.state", "'on'");
    check_http(cluster_peer_call(cluster.http[2], "POST", path, "{}"), 200);
    check_json(http_get(cluster.http[2], "/api/status/leases"), "guard.node.state", "'released'");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(release_reaches_nodes_behind_a_peer),
        TEST(release_that_arrives_too_late_has_no_effect),
    };
    return server_process_finish(
        cmocka_run_group_tests_name("guards in a cluster", tests, NULL, NULL));
}
