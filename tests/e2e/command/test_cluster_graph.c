/* SPDX-License-Identifier: Apache-2.0
 *
 * `artemis cluster --graph` and `--dot` with real nodes: links in both directions, nodes that do
 * not respond, TLS and tokens, and responses of other versions.
 */
#include "tests/support/certificates.h"
#include "tests/support/command.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/servers/fake_server.h"
#include "tests/support/servers/tokens.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const brisk[] = {"cluster.health_interval_secs=1",
                                    "replication.anti_entropy_secs=1", NULL};

static struct cluster cluster;
static struct temp_folder folder;

static int set_up(void **state)
{
    (void)state;
    temp_folder_make(&folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cluster_stop(&cluster);
    cluster.count = 0;
    temp_folder_remove(&folder);
    return 0;
}

#define run_graph(...)                                                                             \
    command_run((const char *const[]){"cluster", "--server", __VA_ARGS__, NULL}, NULL)

static void check_part(const struct command_result *result, const char *part)
{
    if (strstr(result->out, part) == NULL && strstr(result->err, part) == NULL)
        fail_msg("\"%s\" is missing; exit code %d\n%s%s", part, result->exit_code, result->out,
                 result->err);
}

/* Lines end at 80 columns; a code point is one column. */
static void check_width(const char *text)
{
    size_t columns = 0;
    for (const char *at = text; *at; at++) {
        columns = *at == '\n' ? 0 : columns + ((*at & 0xc0) != 0x80);
        if (columns > 80)
            fail_msg("a line is too long: %s", text);
    }
}

struct expected {
    const char *server;
    const char *part;
};

static bool is_drawn(void *context)
{
    const struct expected *expected = context;
    struct command_result result = run_graph(expected->server, "--graph", "--timeout", "1");
    bool found = strstr(result.out, expected->part) != NULL;
    command_free(&result);
    return found;
}

static void wait_drawn(int node, const char *part)
{
    struct expected expected = {cluster.nodes[node].url, part};
    if (!wait_until(is_drawn, &expected, wait_deadline_ms())) {
        struct command_result result = run_graph(expected.server, "--graph", "--timeout", "1");
        check_part(&result, part);
        command_free(&result);
    }
}

/* --- nodes ------------------------------------------------------------------------------------ */

static void nodes_that_are_well_are_drawn_with_all_links(void **state)
{
    (void)state;
    /* With the default interval of health checks no node is suspect after a short stall. */
    cluster_start(&cluster, 3, (const char *const[]){"replication.anti_entropy_secs=1", NULL});
    wait_drawn(0, "\n6 of 6 links are well\n"); /* also in the view of the others */
    struct command_result result = run_graph(cluster.nodes[0].url, "--graph");
    assert_int_equal(result.exit_code, 0);
    assert_string_equal(result.err, "");
    check_part(&result, "cluster artemis: 3 of 3 nodes are ready\n\nlocal\n└─ zone1\n");
    check_part(&result, "   ├─ node1  127.0.0.1:");
    check_part(&result, "\nnode2 ◀─");
    check_width(result.out);
    command_free(&result);

    result = run_graph(cluster.nodes[0].url, "--graph", "--json");
    assert_int_equal(result.exit_code, 0);
    json_t *json = json_loads(result.out, 0, NULL);
    assert_non_null(json);
    assert_true(json_is_true(check_find(json, "well")));
    assert_int_equal(json_array_size(check_find(json, "nodes")), 3);
    assert_int_equal(json_array_size(check_find(json, "links")), 6);
    assert_string_equal(json_string_value(check_find(json, "links[5].from")), "node3");
    assert_string_equal(json_string_value(check_find(json, "links[5].state")), "up");
    json_decref(json);
    command_free(&result);

    result = run_graph(cluster.nodes[0].url, "--dot");
    assert_int_equal(result.exit_code, 0);
    assert_ptr_equal(strstr(result.out, "digraph artemis {\n"), result.out);
    check_part(&result, "\n  n2 -> n1 [label=\"");
    command_free(&result);
}

static void frozen_nodes_are_drawn_within_one_timeout(void **state)
{
    (void)state;
    enum { TIMEOUT_MS = 3000 };
    cluster_start(&cluster, 5, brisk);
    for (int i = 2; i < 5; i++)
        server_process_suspend(&cluster.nodes[i]);
    for (int i = 0; i < 2; i++)
        for (int peer = 2; peer < 5; peer++)
            cluster_wait_health(&cluster, i, cluster.ports[peer], "suspect");
    int64_t start_ms = wait_now_ms();
    struct command_result result = run_graph(cluster.nodes[0].url, "--graph", "--timeout", "3");
    int64_t passed_ms = wait_now_ms() - start_ms;
    for (int i = 2; i < 5; i++)
        server_process_continue(&cluster.nodes[i]);
    /* One after the other, three calls would take three timeouts. */
    assert_in_range(passed_ms, TIMEOUT_MS - 100, 3 * TIMEOUT_MS - 100);
    assert_int_equal(result.exit_code, 1);
    check_part(&result, ": 2 of 5 nodes are ready\n");
    check_part(&result, "  suspect\n        http://127.0.0.1:");
    check_part(&result, " did not respond in time\n");
    check_part(&result, "┄ ? ┄┊─ suspect");
    check_part(&result, "\n12 links of nodes that have not reported: not known\n");
    check_width(result.out);
    command_free(&result);
}

static void node_that_is_down_is_drawn(void **state)
{
    (void)state;
    cluster_start(&cluster, 2, brisk);
    cluster_kill_node(&cluster, 1);
    cluster_wait_health(&cluster, 0, cluster.ports[1], "down");
    struct command_result result = run_graph(cluster.nodes[0].url, "--graph");
    assert_int_equal(result.exit_code, 1);
    check_part(&result, "  down\n        no server listens at http://127.0.0.1:");
    check_part(&result, "─ down ─✕ node2\n");
    command_free(&result);
    result = run_graph(cluster.nodes[0].url, "--dot");
    assert_int_equal(result.exit_code, 1);
    check_part(&result, "n0 -> n1 [label=\"down\", color=red");
    command_free(&result);
}

/* --- tokens ----------------------------------------------------------------------------------- */

/* Runs the command until a part is drawn. */
static struct command_result run_until(const char *const args[], const char *part)
{
    int64_t deadline_ms = wait_deadline_ms();
    struct command_result result = command_run(args, NULL);
    while (!strstr(result.out, part) && wait_now_ms() < deadline_ms) {
        command_free(&result);
        result = command_run(args, NULL);
    }
    check_part(&result, part);
    return result;
}

static void node_that_refuses_the_token_is_drawn(void **state)
{
    (void)state;
    char peer[400];
    cluster_plan(&cluster, 2, (const char *const[]){"cluster.token=" TOKEN_PEER, brisk[0], NULL});
    cluster.config = tokens_write(&folder, "");
    cluster_start_node(&cluster, 0, NULL);
    tokens_describe(peer, sizeof peer, "peer", "peer", TOKEN_PEER, 4102444800);
    cluster.config = temp_folder_write(&folder, "peer.toml", peer);
    cluster_start_node(&cluster, 1, NULL);
    const char *const args[] = {"cluster", "--graph",      "--server", cluster.nodes[0].url,
                                "--token", TOKEN_OPERATOR, NULL};
    struct command_result result =
        run_until(args, "  up\n        Authorization: this node does not "
                        "know the token\n");
    assert_int_equal(result.exit_code, 1);
    check_part(&result, "\nnode1 ┄┄");
    check_part(&result, "─▶ node2\n");
    command_free(&result);
}

static void link_that_is_refused_in_one_direction_is_drawn(void **state)
{
    (void)state;
    cluster_plan(&cluster, 2, brisk);
    cluster.config = tokens_write(&folder, "");
    cluster_start_node(&cluster, 0, "cluster.token=" TOKEN_PEER);
    cluster_start_node(&cluster, 1, "cluster.token=" TOKEN_UNKNOWN);
    const char *const args[] = {"cluster", "--graph",      "--server", cluster.nodes[0].url,
                                "--token", TOKEN_OPERATOR, NULL};
    struct command_result result =
        run_until(args, "\nnode1 ✕─ unauthorized ─┊─ not ready ────▷ node2\n");
    assert_int_equal(result.exit_code, 1);
    command_free(&result);
}

enum { CLIENT_TLS = 4 }; /* place of the first setting of TLS for clients */

static const char *const *tls_settings(void)
{
    static char texts[5][320];
    static const char *settings[] = {texts[0],
                                     texts[1],
                                     texts[2],
                                     "cluster.health_interval_secs=1",
                                     [CLIENT_TLS] = texts[3],
                                     texts[4],
                                     "server.tls_listen_addr=127.0.0.1:0",
                                     NULL};
    static const char *const files[][2] = {{"cluster.tls.ca", "ca.pem"},
                                           {"cluster.tls.cert", "node.pem"},
                                           {"cluster.tls.key", "node.key"},
                                           {"tls.cert", "node.pem"},
                                           {"tls.key", "node.key"}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        snprintf(texts[i], sizeof texts[i], "%s=%s", files[i][0],
                 certificates_path(&folder, files[i][1]));
    return settings;
}

/* Starts two nodes, the first one with TLS for clients. Draws them until a part is there. */
static struct command_result draw_with_tls(bool second_has_tls, const char *part)
{
    char url[64];
    certificates_make_authority(&folder, "ca");
    certificates_make(&folder, "ca", "node", NULL);
    cluster_plan(&cluster, 2, tls_settings());
    cluster.config = tokens_write(&folder, "");
    cluster_start_node(&cluster, 0, NULL);
    if (!second_has_tls)
        cluster.settings[CLIENT_TLS] = NULL;
    cluster_start_node(&cluster, 1, NULL);
    snprintf(url, sizeof url, "https://127.0.0.1:%u", cluster.nodes[0].tls_port);
    const char *const args[] = {"cluster", "--graph",      "--server",
                                url,       "--cacert",     certificates_path(&folder, "ca.pem"),
                                "--token", TOKEN_OPERATOR, NULL};
    return run_until(args, part);
}

static void nodes_are_called_with_tls_and_the_token(void **state)
{
    (void)state;
    struct command_result result = draw_with_tls(true, "\n2 of 2 links are well\n");
    check_part(&result, ": 2 of 2 nodes are ready\n");
    check_part(&result, "node1  https://127.0.0.1:");
    assert_int_equal(result.exit_code, 0);
    command_free(&result);
}

static void token_that_was_sent_with_tls_is_not_sent_without(void **state)
{
    (void)state;
    struct command_result result = draw_with_tls(false, "\n1 of 2 links is well\n");
    check_part(&result,
               "  up\n        it is not called: its address has no TLS, unlike that of --server\n");
    assert_int_equal(result.exit_code, 1);
    command_free(&result);
}

/* --- other versions, and hostile ones --------------------------------------------------------- */

static void respond(const char *head, char *response, size_t size, void *context)
{
    (void)head;
    const char *body = context;
    snprintf(response, size, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(body),
             body);
}

static void check_response(const char *body, int exit_code, const char *part)
{
    struct fake_server server;
    fake_server_start(&server, respond, (void *)body);
    struct command_result result = run_graph(server.url, "--graph");
    fake_server_stop(&server);
    assert_int_equal(result.exit_code, exit_code);
    check_part(&result, part);
    for (const char *at = result.out; *at; at++)
        assert_true((unsigned char)*at >= ' ' || *at == '\n');
    command_free(&result);
}

#define DONE "{\"response_status\":{\"error_code\":\"success\"},"

static void link_that_is_down_in_one_direction_is_drawn(void **state)
{
    (void)state;
    char body[512];
    struct fake_server other;
    fake_server_start(&other, respond,
                      DONE "\"nodes_status\":[{\"node\":{\"node_id\":\"n2\"},\"state\":\"ready\"}],"
                           "\"peers\":[{\"node_id\":\"n1\",\"health\":\"down\",\"lag_ms\":12500,"
                           "\"backlog\":3}]}");
    snprintf(body, sizeof body,
             DONE "\"nodes_status\":[{\"node\":{\"node_id\":\"n1\"},\"state\":\"ready\"}],"
                  "\"peers\":[{\"node_id\":\"n2\",\"url\":\"%s\",\"health\":\"up\",\"ready\":true,"
                  "\"lag_ms\":4,\"backlog\":0}]}",
             other.url);
    check_response(body, 1, "\nn1 ✕─ down 12 s ─┊─ 4 ms ──────▶ n2\n\n1 of 2 links is well\n");
    fake_server_stop(&other);
}

static void responses_without_fields_or_with_hostile_text_are_drawn(void **state)
{
    (void)state;
    check_response(DONE "\"nodes_status\":[{\"node\":{\"node_id\":\"n1\"},\"state\":\"ready\"}],"
                        "\"peers\":[{\"node_id\":\"n2\",\"health\":\"up\"}]}",
                   1,
                   "(region not known)\n"
                   "└─ (zone not known)\n"
                   "   ├─ n1    ready\n"
                   "   └─ n2    up\n"
                   "        it is not called: its address is not known\n"
                   "\n"
                   "links (◀ ▶ lag if well, ◁ ▷ doubtful, ✕ nothing arrives, ? not known):\n"
                   "n1 ┄┄┄┄┄ ? ┄┊─ up ───▶ n2\n");
    check_response(DONE "\"nodes_status\":[{\"node\":{\"node_id\":\"a\\u001b[2J\"},"
                        "\"state\":\"ready\\u009b\"}],\"peers\":[{\"node_id\":\"b\\u202e\","
                        "\"url\":\"ftp://c\\n\",\"health\":\"down\\u0007\"}]}",
                   1, "   ├─ a\\x1b[2J             ready\\u009b\n");
    check_response(DONE "\"nodes_status\":[{\"node\":{\"node_id\":\"n1\"}}]}", 1, "has no peers");
    check_response(DONE "\"nodes\":[]}", 3, "nodes_status");
}

static void wrong_usage_exits_with_2(void **state)
{
    (void)state;
    static const char *const uses[][5] = {{"cluster", "events", "--graph"},
                                          {"cluster", "block", "n3", "--dot"},
                                          {"cluster", "--dot", "--json"}};
    for (size_t i = 0; i < sizeof uses / sizeof *uses; i++) {
        struct command_result result = command_run(uses[i], NULL);
        assert_int_equal(result.exit_code, 2);
        check_part(&result, "--dot");
        command_free(&result);
    }
    struct command_result result = run_graph("127.0.0.1:1", "--graph");
    assert_int_equal(result.exit_code, 3);
    assert_string_equal(result.out, "");
    command_free(&result);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nodes_that_are_well_are_drawn_with_all_links),
        TEST(frozen_nodes_are_drawn_within_one_timeout),
        TEST(node_that_is_down_is_drawn),
        TEST(node_that_refuses_the_token_is_drawn),
        TEST(link_that_is_refused_in_one_direction_is_drawn),
        TEST(nodes_are_called_with_tls_and_the_token),
        TEST(token_that_was_sent_with_tls_is_not_sent_without),
        TEST(link_that_is_down_in_one_direction_is_drawn),
        TEST(responses_without_fields_or_with_hostile_text_are_drawn),
        TEST(wrong_usage_exits_with_2),
    };
    return server_process_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
