/* SPDX-License-Identifier: Apache-2.0
 *
 * Nodes that find each other in the store, through any seed: they join a running cluster, leave at
 * their shutdown, are evicted when they are silent, and are replaced without a change of settings.
 */
#include "tests/support/parallel.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/servers/member_node.h"
#include "tests/support/temp_folder.h"
#include "tests/support/wait.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define NODES "/api/discovery/service?service_id=artemis.nodes"

static struct member_node nodes[MEMBER_NODES_MAX];
static struct temp_folder folder;
static uint16_t peer_port;

static int set_up(void **state)
{
    (void)state;
    peer_port = cluster_choose_port();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    member_node_stop_all(nodes);
    if (folder.path[0])
        temp_folder_remove(&folder);
    folder.path[0] = '\0';
    return 0;
}

/* A node whose only seed is the node with that number. */
static void start_node(int number, int seed, const char *setting)
{
    char seeds[64];
    snprintf(seeds, sizeof seeds, "cluster.seeds=127.0.0.%d:%u", seed + 1, peer_port);
    member_node_start(nodes, number, peer_port,
                      (const char *const[]){"cluster.provider=registry", seeds,
                                            "replication.anti_entropy_secs=1", setting, NULL});
}

static void nodes_join_through_one_seed_which_then_dies(void **state)
{
    (void)state;
    start_node(1, 1, NULL); /* it is its own seed */
    member_node_wait_ready(&nodes[1]);
    call_register_many(nodes[1].http, "shop", 50);
    for (int number = 2; number <= 3; number++) {
        start_node(number, 1, NULL);
        member_node_wait_ready(&nodes[number]);
        assert_int_equal(call_count(nodes[number].http, "shop"), 50);
    }
    member_node_wait_mesh(nodes);
    check_count(http_get(nodes[3].http, NODES), "service.instances", 3);
    member_node_kill(&nodes[1]);
    call_register(nodes[2].http, "late", "i0");
    member_node_wait_count(nodes, "late", 1);
    start_node(4, 3, NULL); /* any node is a seed */
    member_node_wait_ready(&nodes[4]);
    member_node_wait_count(nodes, "shop", 50);
    member_node_wait_peers(&nodes[2], "node1=down node3 node4"); /* a seed stays in the topology */
}

static void node_that_leaves_is_removed_at_once(void **state)
{
    (void)state;
    start_node(1, 1, NULL);
    start_node(2, 1, NULL);
    start_node(3, 1, NULL);
    member_node_wait_peers(&nodes[1], "node2 node3");
    member_node_wait_peers(&nodes[2], "node1 node3");
    member_node_stop(&nodes[3]);
    member_node_wait_peers(&nodes[1], "node2"); /* long before its lease would end */
    member_node_wait_peers(&nodes[2], "node1");
    check_contains(http_get(nodes[1].http, "/api/cluster/events"), "events[0].reason",
                   "registry: ");
}

static void last_node_removes_those_that_leave_together(void **state)
{
    (void)state;
    for (int number = 1; number <= 3; number++)
        start_node(number, 1, NULL);
    member_node_wait_mesh(nodes);
    server_process_signal(&nodes[2].process, SIGTERM);
    server_process_signal(&nodes[3].process, SIGTERM);
    member_node_wait_peers(&nodes[1], ""); /* long before their leases would end */
}

static void silent_node_is_evicted_and_returns(void **state)
{
    (void)state;
    for (int number = 1; number <= 3; number++)
        start_node(number, 1, "lease.ttl_secs=3");
    member_node_wait_peers(&nodes[1], "node2 node3");
    member_node_wait_peers(&nodes[2], "node1 node3");
    server_process_suspend(&nodes[3].process);
    member_node_wait_peers(&nodes[1], "node2");
    member_node_wait_peers(&nodes[2], "node1");
    server_process_continue(&nodes[3].process);
    member_node_wait_mesh(nodes);
}

/* All three nodes by three others with new names and addresses. */
static void all_nodes_are_replaced_one_after_the_other(void **state)
{
    (void)state;
    static const struct {
        const char *of_old, *of_new; /* peers of the node that leaves, and of the one that joins */
    } steps[] = {
        [3] = {"node2 node3", "node1 node2"},
        [4] = {"node1=down node3 node4", "node2 node3"}, /* its seed */
        [5] = {"node2=down node4 node5", "node3 node4"},
    };
    start_node(1, 1, NULL);
    start_node(2, 1, NULL);
    member_node_wait_peers(&nodes[1], "node2");
    member_node_wait_ready(&nodes[1]);
    call_register_many(nodes[1].http, "shop", 100);
    member_node_wait_count(nodes, "shop", 100);
    for (int number = 3; number <= 5; number++) {
        start_node(number, number - 1, NULL);
        member_node_wait_ready(&nodes[number]);
        member_node_wait_peers(&nodes[number - 2], steps[number].of_old);
        member_node_wait_peers(&nodes[number], steps[number].of_new);
        member_node_stop(&nodes[number - 2]);
        assert_int_equal(call_count(nodes[number].http, "shop"), 100 + number - 3);
        call_register(nodes[number - 1].http, "shop", nodes[number].peer_address);
        member_node_wait_count(nodes, "shop", 100 + number - 2);
        check_status(call_with_keys(nodes[number].http, HEARTBEAT, "shop", 0, 100), 200, "success",
                     NULL);
    }
    member_node_wait_peers(&nodes[4], "node3=down node5");
    member_node_wait_peers(&nodes[5], "node4");
}

/* The settings with this node as the only seed. */
static void write_seed(char text[128], int seed)
{
    snprintf(text, 128, "[cluster]\nseeds = [\"127.0.0.%d:%u\"]\n", seed + 1, peer_port);
}

static void changed_seeds_are_the_reason_of_an_event(void **state)
{
    (void)state;
    char text[128];
    temp_folder_make(&folder);
    write_seed(text, 1);
    const char *file = temp_folder_write(&folder, "artemis.toml", text);
    member_node_start_with(nodes, 1, peer_port, file,
                           (const char *const[]){"cluster.provider=registry", NULL});
    start_node(2, 2, NULL);
    write_seed(text, 2);
    member_node_reload(&nodes[1], &folder, "artemis.toml", text);
    member_node_wait_mesh(nodes);
    assert_non_null(strstr(http_get(nodes[1].http, "/api/cluster/events")->body,
                           "registry: cluster.seeds has changed"));
}

static void clients_cannot_change_the_nodes(void **state)
{
    (void)state;
    start_node(1, 1, NULL);
    member_node_wait_ready(&nodes[1]);
    struct http_response *response =
        http_post(nodes[1].http, REGISTER, "{'instances':[" INSTANCE "]}", "Artemis.Nodes", "evil");
    check_json(response, "failed_instances[0].reason", "'no-permission'");
    check_contains(response, "failed_instances[0].error_message", "reserved for the nodes");
    const char *const paths[] = {HEARTBEAT, UNREGISTER};
    for (size_t i = 0; i < 2; i++) {
        response =
            http_post(nodes[1].http, paths[i],
                      "{'instance_keys':[{'region_id':'local','zone_id':'zone1','service_id':"
                      "'artemis.nodes','instance_id':'%s'}]}",
                      "node1");
        check_json(response, "failed_instance_keys[0].reason", "'no-permission'");
    }
    check_count(http_get(nodes[1].http, NODES), "service.instances", 1);
}

static void name_of_members_is_verified(void **state)
{
    (void)state;
    char seed[64];
    temp_folder_make(&folder);
    member_node_make_certificates(&folder, "nodes.test");
    snprintf(seed, sizeof seed, "cluster.seeds=127.0.0.2:%u", peer_port);
    for (int i = 1; i <= 3; i++) {
        const char *settings[MEMBER_SETTINGS_MAX] = {"cluster.provider=registry", seed,
                                                     "cluster.tls.member_name=nodes.test", NULL};
        member_node_add_certificate(settings, &folder, i < 3 ? "member" : "outsider");
        member_node_start(nodes, i, peer_port, settings);
    }
    member_node_wait_peers(&nodes[1], "node2");
    member_node_wait_peers(&nodes[2], "node1");
    member_node_wait_peers(&nodes[3], "=down"); /* the seed refuses it */
    check_count(http_get(nodes[1].http, NODES), "service.instances", 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nodes_join_through_one_seed_which_then_dies),
        TEST(node_that_leaves_is_removed_at_once),
        TEST(last_node_removes_those_that_leave_together),
        TEST(silent_node_is_evicted_and_returns),
        TEST(all_nodes_are_replaced_one_after_the_other),
        TEST(changed_seeds_are_the_reason_of_an_event),
        TEST(clients_cannot_change_the_nodes),
        TEST(name_of_members_is_verified),
    };
    return PARALLEL_RUN(tests);
}
