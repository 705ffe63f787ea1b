/* SPDX-License-Identifier: Apache-2.0
 *
 * cluster.peers changes by a reload while nodes run: a peer that leaves gets nothing more, a peer
 * that returns gets what it lacks, and a node that finds its first peer copies it.
 */
#include "tests/support/command.h"
#include "tests/support/parallel.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/servers/member_node.h"
#include "tests/support/temp_folder.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <string.h>

static struct temp_folder folder;
static struct member_node nodes[MEMBER_NODES_MAX];
static uint16_t peer_port;

static int set_up(void **state)
{
    (void)state;
    temp_folder_make(&folder);
    peer_port = cluster_choose_port();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    member_node_stop_all(nodes);
    temp_folder_remove(&folder);
    return 0;
}

/* Writes cluster.peers of a node; `peers` are numbers of nodes, ended by 0. */
static const char *write_peers(int node, const int peers[])
{
    char name[32];
    char text[256];
    size_t size = (size_t)snprintf(text, sizeof text, "[cluster]\npeers = [");
    for (; *peers; peers++)
        size += (size_t)snprintf(text + size, sizeof text - size, "\"127.0.0.%d:%u\",", *peers + 1,
                                 peer_port);
    snprintf(text + size, sizeof text - size, "]\n");
    snprintf(name, sizeof name, "node%d.toml", node);
    return temp_folder_write(&folder, name, text);
}

static void start_node(int number, const int peers[], const char *setting)
{
    char file[128];
    snprintf(file, sizeof file, "%s", write_peers(number, peers));
    member_node_start_with(nodes, number, peer_port, file,
                           (const char *const[]){"replication.anti_entropy_secs=1",
                                                 "lease.ttl_secs=3600", setting, NULL});
}

static void set_peers(int number, const int peers[])
{
    write_peers(number, peers);
    check_status(http_post(nodes[number].http, "/api/admin/reload", "{}"), 200, "success", NULL);
}

#define PEERS(...)                                                                                 \
    (const int[])                                                                                  \
    {                                                                                              \
        __VA_ARGS__, 0                                                                             \
    }
#define NO_PEERS                                                                                   \
    (const int[])                                                                                  \
    {                                                                                              \
        0                                                                                          \
    }

static bool has_backlog(void *context)
{
    (void)context;
    struct http_response *response = http_get(nodes[1].http, "/api/status/cluster");
    return check_integer(response, "peers[0].backlog") > 0;
}

static void peer_that_leaves_gets_nothing_more_and_then_what_it_lacks(void **state)
{
    (void)state;
    start_node(1, PEERS(2), NULL);
    start_node(2, PEERS(1), NULL);
    member_node_wait_mesh(nodes);
    call_register(nodes[1].http, "both", "i0");
    member_node_wait_count(nodes, "both", 1);
    server_process_suspend(&nodes[2].process);
    call_register(nodes[1].http, "queued", "i0");
    assert_true(wait_until(has_backlog, NULL, wait_deadline_ms()));
    set_peers(1, NO_PEERS);                /* its outbox goes with it */
    member_node_wait_peers(&nodes[1], ""); /* the replication thread shows it */
    struct http_response *response = http_get(nodes[1].http, "/api/status/cluster");
    check_json(response, "membership.members", "0");
    assert_null(
        strstr(http_get(nodes[1].http, "/metrics")->body, "artemis_replication_outbox_keys{"));
    server_process_continue(&nodes[2].process);
    set_peers(2, NO_PEERS);
    member_node_wait_peers(&nodes[2], ""); /* its threads have just been continued */
    call_register(nodes[1].http, "one", "i0");
    call_register(nodes[2].http, "two", "i0");
    set_peers(1, PEERS(2));
    set_peers(2, PEERS(1));
    member_node_wait_count(nodes, "queued", 1);
    member_node_wait_count(nodes, "one", 1);
    member_node_wait_count(nodes, "two", 1);
    member_node_wait_peers(&nodes[1], "node2");
}

static void node_that_finds_its_first_peer_copies_it(void **state)
{
    (void)state;
    start_node(1, NO_PEERS, NULL);
    call_register_many(nodes[1].http, "shop", 500);
    start_node(2, NO_PEERS, "cluster.bootstrap_grace_secs=3600");
    check_http(http_get(nodes[2].http, "/ready"), 503);
    set_peers(2, PEERS(1));
    set_peers(1, PEERS(2));
    member_node_wait_ready(&nodes[2]); /* it would wait for clients for 20 min otherwise */
    assert_int_equal(call_count(nodes[2].http, "shop"), 500);
    member_node_wait_peers(&nodes[1], "node2");
}

static void nodes_are_replaced_one_after_the_other(void **state)
{
    (void)state;
    start_node(1, PEERS(2), NULL);
    start_node(2, PEERS(1), NULL);
    member_node_wait_peers(&nodes[1], "node2");
    member_node_wait_ready(&nodes[1]);
    call_register_many(nodes[1].http, "shop", 50);
    member_node_wait_count(nodes, "shop", 50);
    for (int number = 3; number <= 4; number++) {
        int stays = number - 1;
        start_node(number, PEERS(stays), NULL);
        set_peers(stays, PEERS(number));
        member_node_wait_ready(&nodes[number]);
        assert_int_equal(call_count(nodes[number].http, "shop"), 50);
        member_node_stop(&nodes[number - 2]);
    }
    member_node_wait_peers(&nodes[3], "node4");
    call_register(nodes[4].http, "shop", "new");
    member_node_wait_count(nodes, "shop", 51);
}

/* The members of the running provider would be lost. */
static void another_provider_needs_a_restart(void **state)
{
    (void)state;
    start_node(1, PEERS(2), NULL);
    start_node(2, PEERS(1), NULL);
    member_node_wait_peers(&nodes[1], "node2");
    temp_folder_write(&folder, "node1.toml",
                      "[cluster]\nprovider = \"registry\"\nseeds = [\"127.0.0.9:1\"]\n");
    struct http_response *response = http_post(nodes[1].http, "/api/admin/reload", "{}");
    check_http(response, 400);
    assert_non_null(strstr(response->body, "cluster.provider: cannot change while the node runs"));
    check_count(http_get(nodes[1].http, "/api/status/cluster"), "peers", 1);
    set_peers(1, NO_PEERS);
    member_node_wait_peers(&nodes[1], "");
}

/* --- what operators see ----------------------------------------------------------------------- */

static void check_event(struct http_response *response, size_t i, const char *kind,
                        const char *address, const char *reason)
{
    char path[48];
    char url[64];
    snprintf(path, sizeof path, "events[%zu].kind", i);
    assert_string_equal(check_text(response, path), kind);
    snprintf(path, sizeof path, "events[%zu].url", i);
    snprintf(url, sizeof url, "http://%s", address);
    assert_string_equal(check_text(response, path), address[0] ? url : "");
    snprintf(path, sizeof path, "events[%zu].reason", i);
    assert_string_equal(check_text(response, path), reason);
}

static void events_name_members_and_reasons(void **state)
{
    (void)state;
    start_node(2, NO_PEERS, NULL);
    start_node(1, PEERS(2), NULL);
    member_node_wait_peers(&nodes[1], "node2");
    set_peers(1, NO_PEERS);
    set_peers(1, NO_PEERS); /* the same again */
    set_peers(1, PEERS(2));
    member_node_wait_peers(&nodes[1], "node2");
    struct http_response *response = http_get(nodes[1].http, "/api/cluster/events");
    check_status(response, 200, "success", NULL);
    check_count(response, "events", 4);
    check_event(response, 0, "joined", nodes[2].peer_address, "static: the settings at the start");
    check_event(response, 1, "started", "", "");
    check_event(response, 2, "left", nodes[2].peer_address, "static: a reload of the settings");
    check_event(response, 3, "joined", nodes[2].peer_address, "static: a reload of the settings");
    check_json(response, "events[3].node_id", "'node2'");
    check_json(response, "events[3].members", "1");
    struct command_result result = command_run(
        (const char *const[]){"cluster", "events", "--server", nodes[1].process.url, NULL}, NULL);
    assert_int_equal(result.exit_code, 0);
    assert_non_null(strstr(result.out, "EVENT"));
    assert_non_null(strstr(result.out, "static: a reload of the settings"));
    command_free(&result);
}

static bool is_under_replicated(void *expected)
{
    struct http_response *response = http_get(nodes[1].http, "/api/status/cluster");
    return json_is_true(check_find(response->json, "under_replicated")) == *(bool *)expected;
}

static void too_few_nodes_are_shown(void **state)
{
    (void)state;
    bool yes = true;
    bool no = false;
    start_node(1, PEERS(2), "cluster.expected_nodes=2");
    check_json(http_get(nodes[1].http, "/api/status/cluster"), "under_replicated", "true");
    start_node(2, PEERS(1), "cluster.expected_nodes=2");
    assert_true(wait_until(is_under_replicated, &no, wait_deadline_ms()));
    check_json(http_get(nodes[1].http, "/api/status/cluster"), "nodes_up", "2");
    check_json(http_get(nodes[1].http, "/api/status/cluster"), "expected_nodes", "2");
    check_http(http_get(nodes[1].http, "/ready?strict"), 200);
    assert_int_equal((int)call_metric(nodes[1].http, "artemis_cluster_under_replicated"), 0);
    member_node_kill(&nodes[2]);
    assert_true(wait_until(is_under_replicated, &yes, wait_deadline_ms()));
    check_http(http_get(nodes[1].http, "/ready"), 200);
    struct http_response *response = http_get(nodes[1].http, "/ready?strict");
    check_http(response, 503);
    assert_string_equal(response->body, "under-replicated: 1 of 2 nodes are up and ready "
                                        "(cluster.expected_nodes)");
    assert_int_equal((int)call_metric(nodes[1].http, "artemis_cluster_under_replicated"), 1);
    struct command_result result =
        command_run((const char *const[]){"cluster", "--server", nodes[1].process.url, NULL}, NULL);
    assert_int_equal(result.exit_code, 1);
    assert_non_null(strstr(result.out, "under-replicated: 1 of 2 nodes are up and ready"));
    command_free(&result);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(peer_that_leaves_gets_nothing_more_and_then_what_it_lacks),
        TEST(node_that_finds_its_first_peer_copies_it),
        TEST(nodes_are_replaced_one_after_the_other),
        TEST(another_provider_needs_a_restart),
        TEST(events_name_members_and_reasons),
        TEST(too_few_nodes_are_shown),
    };
    return PARALLEL_RUN(tests);
}
