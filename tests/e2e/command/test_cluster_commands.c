/* SPDX-License-Identifier: Apache-2.0
 *
 * `artemis cluster` and `artemis diff` with real nodes: their output and their exit codes.
 */
#include "tests/support/command.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/wait.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NODES_MAX = 3 };

static const char *const brisk[] = {"cluster.health_interval_secs=1",
                                    "replication.anti_entropy_secs=1", NULL};

static struct server_process nodes[NODES_MAX];

static int stop_all(void **state)
{
    (void)state;
    for (size_t i = 0; i < NODES_MAX; i++) {
        server_process_stop(&nodes[i]);
    }
    return 0;
}

/* Runs a command with up to two arguments and --json when asked for. */
static struct command_result run(const char *command, const char *a, const char *b, bool json)
{
    const char *args[6] = {command};
    size_t count = 1;
    if (a != NULL) {
        args[count++] = a;
    }
    if (b != NULL) {
        args[count++] = b;
    }
    if (json) {
        args[count++] = "--json";
    }
    return command_run(args, NULL);
}

/* The exit code, and a part of what it prints to stdout or stderr. */
static void check_run(const char *command, const char *a, const char *b, int exit_code,
                      const char *part)
{
    struct command_result result = run(command, a, b, false);
    if (result.exit_code != exit_code ||
        (strstr(result.out, part) == NULL && strstr(result.err, part) == NULL)) {
        fail_msg("artemis %s %s %s: exit code %d, should be %d with \"%s\"\n%s%s", command,
                 a ? a : "", b ? b : "", result.exit_code, exit_code, part, result.out, result.err);
    }
    command_free(&result);
}

/* Checks all lines but the last errors, which are cut only on a terminal. */
static void check_width(const char *text)
{
    for (const char *line = text; *line != '\0';) {
        size_t size = strcspn(line, "\n");
        assert_true(size <= 80 || line[0] == ' ');
        line += size + (line[size] == '\n');
    }
}

/* --- cluster ---------------------------------------------------------------------------------- */

static bool all_are_healthy(void *context)
{
    const struct server_process *node = context;
    struct command_result result = run("cluster", "--server", node->address, false);
    bool well = result.exit_code == 0;
    command_free(&result);
    return well;
}

static void start(int count)
{
    struct cluster cluster;
    cluster_start(&cluster, count, brisk);
    for (int i = 0; i < count; i++) {
        http_free(cluster.http[i]);
        nodes[i] = cluster.nodes[i];
        assert_true(wait_until(all_are_healthy, &nodes[i], wait_deadline_ms()));
    }
}

static void cluster_shows_each_peer(void **state)
{
    (void)state;
    start(3);
    struct command_result result = run("cluster", "--server", nodes[0].url, false);
    assert_int_equal(result.exit_code, 0);
    static const char *const parts[] = {
        "this node  node1\n", "state      ready\n", "zone       local/zone1\n",
        "\nnode2 ",           "\nnode3 ",           "\n2 of 2 peers are up and ready\n"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (strstr(result.out, parts[i]) == NULL) {
            fail_msg("\"%s\" is missing: %s", parts[i], result.out);
        }
    }
    assert_non_null(strstr(result.out, nodes[1].address));
    check_width(result.out);
    command_free(&result);
}

static bool is_reported_down(void *context)
{
    const struct server_process *node = context;
    struct command_result result = run("cluster", "--server", node->address, false);
    bool shown = result.exit_code == 1 && strstr(result.out, "\nnode2  down") != NULL;
    command_free(&result);
    return shown;
}

static void cluster_with_a_peer_down_exits_with_1(void **state)
{
    (void)state;
    start(2);
    server_process_kill(&nodes[1]);
    assert_true(wait_until(is_reported_down, &nodes[0], wait_deadline_ms()));
    struct command_result result = run("cluster", "--server", nodes[0].url, false);
    assert_int_equal(result.exit_code, 1);
    assert_non_null(strstr(result.out, "\n  last error "));
    assert_non_null(strstr(result.out, "\n1 of 1 peer is not up and ready\n"));
    assert_string_equal(result.err, "");
    check_width(result.out);
    command_free(&result);
}

static void cluster_of_one_node_is_healthy(void **state)
{
    (void)state;
    server_process_start(&nodes[0], NULL, NULL);
    check_run("cluster", "--server", nodes[0].url, 0, "has no peers");
}

static void cluster_as_json_is_the_response_of_the_server(void **state)
{
    (void)state;
    start(2);
    const char *const args[] = {"cluster", "--json", "--server", nodes[0].url, NULL};
    struct command_result result = command_run(args, NULL);
    assert_int_equal(result.exit_code, 0);
    json_t *json = json_loads(result.out, 0, NULL);
    assert_non_null(json);
    assert_string_equal(json_string_value(check_find(json, "peers[0].node_id")), "node2");
    json_decref(json);
    command_free(&result);
}

/* --- diff ------------------------------------------------------------------------------------- */

static bool they_agree_on_one(void *context)
{
    (void)context;
    struct command_result result = run("diff", nodes[0].address, nodes[1].url, false);
    bool agree = result.exit_code == 0 &&
                 strcmp(result.out, "nodes node1 and node2 agree on 1 instance\n") == 0;
    command_free(&result);
    return agree;
}

static void diff_of_replicating_nodes_is_empty(void **state)
{
    (void)state;
    start(2);
    struct http *http = http_new(nodes[0].port);
    call_register(http, "shop", "s-1");
    http_free(http);
    assert_true(wait_until(they_agree_on_one, NULL, wait_deadline_ms()));
}

/* Starts two nodes that are not peers of each other. */
static void start_unconnected_nodes(void)
{
    for (size_t i = 0; i < 2; i++) {
        char node_id[48];
        snprintf(node_id, sizeof node_id, "server.node_id=node%zu", i + 1);
        server_process_start(&nodes[i],
                             (const char *const[]){"--set", node_id, "--set",
                                                   "cluster.enabled=true", "--set",
                                                   "cluster.bootstrap_grace_secs=0", NULL},
                             NULL);
    }
}

static void diff_names_each_key_and_the_differing_node(void **state)
{
    (void)state;
    start_unconnected_nodes();
    struct http *a = http_new(nodes[0].port);
    struct http *b = http_new(nodes[1].port);
    call_register(a, "shop", "only-a");
    call_register(a, "shop", "both");
    call_register(a, "shop", "gone");
    /* The clocks of the nodes may differ by some ms. */
    wait_for_time(wait_now_ms() + 500);
    call_register(b, "shop", "only-b");
    call_register(b, "shop", "both");
    call_register(b, "shop", "gone");
    check_http(http_post(b, UNREGISTER, "{'instance_keys':[" KEY "]}", "shop", "gone"), 200);
    http_free(a);
    http_free(b);
    struct command_result result = run("diff", nodes[0].url, nodes[1].address, false);
    assert_int_equal(result.exit_code, 1);
    assert_string_equal(result.out, "SERVICE  INSTANCE  REGION  ZONE   DIFFERENCE\n"
                                    "shop     both      lab     zone1  node1 has an older record\n"
                                    "shop     gone      lab     zone1  node2 deleted it later\n"
                                    "shop     only-a    lab     zone1  node2 has no record\n"
                                    "shop     only-b    lab     zone1  node1 has no record\n"
                                    "\n4 of 4 keys differ\n");
    command_free(&result);

    result = run("diff", nodes[0].url, nodes[1].address, true);
    assert_int_equal(result.exit_code, 1);
    json_t *json = json_loads(result.out, 0, NULL);
    assert_non_null(json);
    assert_string_equal(json_string_value(check_find(json, "differences[1].instance_id")), "gone");
    assert_string_equal(json_string_value(check_find(json, "differences[1].difference")),
                        "deleted");
    assert_int_equal(json_integer_value(check_find(json, "differing")), 4);
    json_decref(json);
    command_free(&result);
}

/* Registers an instance as a peer does, with a stamp of another node. */
static void replicate(const struct server_process *node, const char *weight)
{
    char body[512];
    struct http *http = http_new(node->port);
    snprintf(body, sizeof body,
             "{'instances':[{" INSTANCE_FIELDS
             ",'version':13107200,'origin':'node7','age_ms':0%s}]}",
             "shop", "i-1", weight);
    for (char *at = body; *at != '\0'; at++) {
        *at = *at == '\'' ? '"' : *at;
    }
    check_http(cluster_peer_call(http, "POST", "/api/replication/registry/register.json", body),
               200);
    http_free(http);
}

static void diff_names_the_node_that_lacks_a_weight(void **state)
{
    (void)state;
    start_unconnected_nodes();
    replicate(&nodes[0], ",'weight':7");
    replicate(&nodes[1], ""); /* by way of a node that does not know weights */
    check_run("diff", nodes[0].url, nodes[1].url, 1, "  node2 lacks the weight\n");
    check_run("diff", nodes[0].url, nodes[0].url, 0, " on 1 instance\n");
}

/* More keys than one request covers. */
static void diff_of_many_keys_is_complete(void **state)
{
    (void)state;
    start_unconnected_nodes();
    struct http *a = http_new(nodes[0].port);
    call_register_many(a, "many", 5000);
    http_free(a);
    check_run("diff", nodes[0].url, nodes[1].url, 1, "\n5,000 of 5,000 keys differ\n");
}

static void diff_of_two_clusters_is_a_message(void **state)
{
    (void)state;
    server_process_start(&nodes[0], NULL, NULL);
    server_process_start(&nodes[1],
                         (const char *const[]){"--set", "cluster.cluster_id=other", NULL}, NULL);
    check_run("diff", nodes[0].url, nodes[1].url, 1, "belongs to the cluster artemis");
}

static void diff_of_an_unreachable_node_exits_with_3(void **state)
{
    (void)state;
    struct server_process gone;
    server_process_start(&nodes[0], NULL, NULL);
    server_process_start(&gone, NULL, NULL);
    server_process_stop(&gone);
    check_run("diff", nodes[0].url, gone.address, 3, gone.address);
    check_run("diff", gone.url, nodes[0].url, 3, gone.address);
    check_run("cluster", "--server", gone.url, 3, gone.address);
}

static void wrong_usage_exits_with_2(void **state)
{
    (void)state;
    check_run("diff", NULL, NULL, 2, "NODE is missing");
    check_run("diff", "127.0.0.1:1", NULL, 2, "NODE is missing");
    check_run("diff", "127.0.0.1:1", "ftp://h", 2, "ftp://h");
    check_run("diff", "127.0.0.1:1", "--nonsense", 2, "--nonsense");
    check_run("cluster", "stray", NULL, 2, "stray");
}

#define TEST(name) cmocka_unit_test_teardown(name, stop_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(cluster_shows_each_peer),
        TEST(cluster_with_a_peer_down_exits_with_1),
        TEST(cluster_of_one_node_is_healthy),
        TEST(cluster_as_json_is_the_response_of_the_server),
        TEST(diff_of_replicating_nodes_is_empty),
        TEST(diff_names_each_key_and_the_differing_node),
        TEST(diff_names_the_node_that_lacks_a_weight),
        TEST(diff_of_many_keys_is_complete),
        TEST(diff_of_two_clusters_is_a_message),
        TEST(diff_of_an_unreachable_node_exits_with_3),
        TEST(wrong_usage_exits_with_2),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
