/* SPDX-License-Identifier: Apache-2.0
 *
 * A node that operators have blocked: all others refuse it and contact it no more, also those that
 * start later; its writes reach nobody, until it is unblocked.
 */
#include "tests/support/command.h"
#include "tests/support/parallel.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/servers/member_node.h"
#include "tests/support/temp_folder.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { NODES = 4 };

static struct member_node nodes[MEMBER_NODES_MAX];
static struct temp_folder folder;
static uint16_t peer_port;
static char peers[160];
static char data_dir[320];

static int set_up(void **state)
{
    (void)state;
    size_t size = 0;
    peer_port = cluster_choose_port();
    for (int i = 1; i <= NODES; i++)
        size += (size_t)snprintf(peers + size, sizeof peers - size, "%s127.0.0.%d:%u",
                                 i == 1 ? "cluster.peers=" : ",", i + 1, peer_port);
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

static void start_node(int number, const char *setting)
{
    member_node_start(
        nodes, number, peer_port,
        (const char *const[]){peers, "replication.anti_entropy_secs=1", setting, NULL});
}

static void start_three_nodes(void)
{
    for (int i = 1; i <= 3; i++)
        start_node(i, NULL);
    member_node_wait_peers(&nodes[1], "=down node2 node3");
    member_node_wait_peers(&nodes[2], "=down node1 node3");
    member_node_wait_peers(&nodes[3], "=down node1 node2");
}

static struct http_response *order(int number, const char *what, const char *node)
{
    char path[64];
    snprintf(path, sizeof path, "/api/cluster/%s", what);
    return http_post(nodes[number].http, path, "{'node':'%s','reason':'a test'}", node);
}

static void writes_of_a_blocked_node_reach_nobody_until_it_is_unblocked(void **state)
{
    (void)state;
    start_three_nodes();
    call_register(nodes[3].http, "shop", "before");
    member_node_wait_count(nodes, "shop", 1);
    struct http_response *response = order(1, "block", "node3");
    check_status(response, 200, "success", NULL);
    check_json(response, "node_id", "'node3'");
    check_json(response, "known", "true");
    check_contains(response, "address", "127.0.0.4:");
    member_node_wait_peers(&nodes[1], "=down node2");
    member_node_wait_peers(&nodes[2], "=down node1"); /* it has got the list from node 1 */
    member_node_wait_peers(&nodes[3], "=down node1=blocked node2=blocked");
    response = http_get(nodes[2].http, "/api/status/cluster");
    check_json(response, "blocked[0].node_id", "'node3'");
    check_json(response, "blocked[0].at", "'node1'");
    check_json(response, "blocked[0].reason", "'a test'");
    check_json(response, "nodes_status[0].blocked", "false");
    check_json(http_get(nodes[3].http, "/api/status/node"), "node_status.blocked", "true");
    check_json(http_get(nodes[2].http, "/api/cluster/events"), "events[5].kind", "'blocked'");
    check_contains(http_get(nodes[2].http, "/api/cluster/events"), "events[5].reason",
                   "node3 is blocked by an operator at node1: a test");
    check_json(order(1, "block", "node3"), "known", "true");
    check_json(order(2, "block", nodes[3].peer_address), "known", "true");

    call_register(nodes[3].http, "shop", "i0");
    call_register(nodes[1].http, "other", "i0");
    start_node(4, NULL); /* it takes the list from its peers */
    member_node_wait_ready(&nodes[4]);
    member_node_wait_peers(&nodes[4], "node1 node2");
    member_node_wait_peers(&nodes[3], "node1=blocked node2=blocked node4=blocked");
    for (int i = 1; i <= 4; i++) {
        bool is_blocked = i == 3;
        assert_int_equal(call_shows(nodes[i].http, "shop", "i0"), is_blocked);
        assert_int_equal(call_count(nodes[i].http, "other"), is_blocked ? -1 : 1);
    }

    check_status(order(4, "unblock", "node3"), 200, "success", NULL);
    member_node_wait_peers(&nodes[3], "node1 node2 node4");
    member_node_wait_count(nodes, "shop", 2);
    member_node_wait_count(nodes, "other", 1);
    check_count(http_get(nodes[1].http, "/api/status/cluster"), "blocked", 0);
}

/* Node 3 was blocked by its id before it was a peer, so no entry has its address. */
static void unblock_by_address_also_ends_an_entry_with_the_id_alone(void **state)
{
    (void)state;
    start_node(1, NULL);
    start_node(2, NULL);
    check_status(order(1, "block", "node3"), 200, "success", NULL);
    start_node(3, NULL);
    member_node_wait_peers(&nodes[1], "=down node2 node3=blocked");
    check_status(order(1, "unblock", nodes[3].peer_address), 200, "success", NULL);
    member_node_wait_peers(&nodes[1], "=down node2 node3");
    member_node_wait_peers(&nodes[3], "=down node1 node2");
    check_status(order(1, "unblock", nodes[3].peer_address), 400, "bad-request", "invalid-field");
}

static void replication_request_of_a_blocked_node_gets_a_clear_error(void **state)
{
    (void)state;
    struct cluster cluster = {0};
    cluster_start(&cluster, 2, NULL);
    struct http *http = cluster.http[0];
    check_status(http_post(http, "/api/cluster/block", "{'node':'tester'}"), 200, "success", NULL);
    struct http_response *response =
        cluster_peer_call(http, "GET", "/api/replication/registry/digest", NULL);
    check_status(response, 403, "bad-request", "node-blocked");
    check_contains(response, "response_status.error_message", "has blocked \"tester\"");
    check_field(response, "X-Artemis-Blocked", "true");
    check_field(cluster_peer_call(http, "GET", "/health", NULL), "X-Artemis-Blocked", "true");
    cluster_stop(&cluster);
}

static void bad_orders_are_refused(void **state)
{
    (void)state;
    start_node(1, NULL);
    check_status(order(1, "block", ""), 400, "bad-request", "invalid-field");
    check_status(order(1, "block", "a\\u001bb"), 400, "bad-request", "invalid-field");
    check_status(order(1, "block", "http://"), 400, "bad-request", "invalid-field");
    static const char *const impossible[] = {
        "127.0.0.1:99999", "127.0.0.1:0",      "http://node3", "::1:8080", ":8080",
        "a\\u202eb",       "a\\u2066b\\u2069", "a\\u009bb",    " node3",   "node3 ",
    };
    for (size_t i = 0; i < sizeof impossible / sizeof *impossible; i++) {
        struct http_response *response = order(1, "block", impossible[i]);
        check_status(response, 400, "bad-request", "invalid-field");
        check_contains(response, "response_status.error_message",
                       "node: must be a node id or an address (host:port, port 1 to 65535)");
    }
    check_contains(order(1, "block", "127.0.0.1:99999"), "response_status.error_message",
                   "is \"127.0.0.1:99999\"");
    check_contains(
        http_post(nodes[1].http, "/api/cluster/block", "{'node':'node3','reason':'a\\u202eb'}"),
        "response_status.error_message", "is \"a\\u202eb\"");
    check_status(order(1, "block", "node1"), 400, "bad-request", "invalid-field");
    check_status(order(1, "block", nodes[1].peer_address), 400, "bad-request", "invalid-field");
    check_status(order(1, "unblock", "node9"), 400, "bad-request", "invalid-field");
    check_count(http_get(nodes[1].http, "/api/status/cluster"), "blocked", 0);
}

static bool is_stored(void *context)
{
    return access(context, F_OK) == 0;
}

static void list_is_kept_over_a_restart_and_shown_by_the_command(void **state)
{
    (void)state;
    char url[64];
    char file[360];
    temp_folder_make(&folder);
    snprintf(data_dir, sizeof data_dir, "storage.data_dir=%s", folder.path);
    snprintf(file, sizeof file, "%s/blocked.json", folder.path);
    start_node(1, data_dir);
    snprintf(url, sizeof url, "http://127.0.0.1:%u", nodes[1].process.port);
    struct command_result result =
        command_run((const char *const[]){"cluster", "block", "10.0.0.9:8080", "--server", url,
                                          "--reason", "it is gone", NULL},
                    NULL);
    assert_int_equal(result.exit_code, 0);
    assert_string_equal(result.out, "10.0.0.9:8080 is blocked\n");
    assert_non_null(strstr(result.err, "no peer has the address 10.0.0.9:8080 now"));
    command_free(&result);
    assert_true(wait_until(is_stored, file, wait_deadline_ms())); /* before the shutdown */
    member_node_kill(&nodes[1]);
    start_node(1, data_dir);
    snprintf(url, sizeof url, "http://127.0.0.1:%u", nodes[1].process.port);
    result = command_run((const char *const[]){"cluster", "--server", url, NULL}, NULL);
    if (!strstr(result.out, "blocked: 10.0.0.9:8080 at node1 since "))
        fail_msg("the command prints: %s", result.out);
    assert_non_null(strstr(result.out, ": it is gone\n"));
    command_free(&result);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(writes_of_a_blocked_node_reach_nobody_until_it_is_unblocked),
        TEST(unblock_by_address_also_ends_an_entry_with_the_id_alone),
        TEST(replication_request_of_a_blocked_node_gets_a_clear_error),
        TEST(bad_orders_are_refused),
        TEST(list_is_kept_over_a_restart_and_shown_by_the_command),
    };
    return PARALLEL_RUN(tests);
}
