/* SPDX-License-Identifier: Apache-2.0
 *
 * The release of a mass-expiry guard in a cluster: three nodes in a chain, and the limit.
 */
#include "tests/support/command.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/wait.h"

#include "artemis-server/cluster/release_list.h"

#include <stdio.h>
#include <stdlib.h>
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

static void check_log_of(int node, const char *part)
{
    char *log = command_read_all(cluster.nodes[node].log_fd);
    if (!strstr(log, part))
        fail_msg("\"%s\" is not in the log of node %d:\n%s", part, node, log);
    free(log);
}

/* Each node records it, with the address that it has it from. */
static void release_reaches_nodes_behind_a_peer(void **state)
{
    (void)state;
    call_register_many(cluster.http[0], "s", INSTANCES);
    assert_true(wait_until(all_guard, NULL, wait_deadline_ms()));
    check_status(http_post(cluster.http[0], "/api/status/leases/release", "{}"), 200, "success",
                 NULL);
    cluster_wait_count(&cluster, "s", 0);
    check_log_of(0, "audit action=release-guard object=\"the node and all services\" "
                    "before=engaged after=released client=127.0.0.1:");
    for (int i = 1; i < NODES; i++)
        check_log_of(i, "audit action=peer-release-guard object=\"the node and all services\" "
                        "before=engaged after=released client=127.0.0.1:");
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

static int start_slow_leases(void **state)
{
    (void)state;
    cluster_start(&cluster, 2, (const char *const[]){"lease.ttl_secs=300", NULL});
    return 0;
}

static struct http_response *release(int node, const char *service_id)
{
    char body[64] = "{}";
    if (service_id[0])
        snprintf(body, sizeof body, "{\"service_id\":\"%s\"}", service_id);
    return http_post(cluster.http[node], "/api/status/leases/release", body);
}

/* A release that the peers would not get is not acknowledged. */
static void release_over_the_limit_is_refused(void **state)
{
    static const char path[] = "/api/replication/registry/release-guard";
    (void)state;
    char id[16];
    for (unsigned i = 0; i < RELEASES_MAX; i++) {
        snprintf(id, sizeof id, "s%u", i);
        check_status(release(0, id), 200, "bad-request", "service-not-found");
    }
    struct http_response *response = release(0, "one-more");
    check_status(response, 503, "service-unavailable", "over-limit");
    assert_non_null(strstr(response->body, "RELEASES_MAX (256)"));
    check_http(cluster_peer_call(cluster.http[0], "POST", path,
                                 "{\"service_id\":\"one-more\",\"clock_ms\":9000000000000}"),
               503);
    assert_true(call_metric(cluster.http[0], "artemis_guard_releases_refused_total") == 2);
    check_status(release(0, "s0"), 200, "bad-request", "service-not-found");
    check_status(release(0, ""), 200, "success", NULL); /* it covers all others */
    check_status(release(0, "one-more"), 200, "bad-request", "service-not-found");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(release_reaches_nodes_behind_a_peer),
        TEST(release_that_arrives_too_late_has_no_effect),
        cmocka_unit_test_setup_teardown(release_over_the_limit_is_refused, start_slow_leases, stop),
    };
    return server_process_finish(
        cmocka_run_group_tests_name("guards in a cluster", tests, NULL, NULL));
}
