/* SPDX-License-Identifier: Apache-2.0
 *
 * Nodes that find each other by an agent of Consul: they join and leave, a silent one is removed
 * with its check, and an agent that is away, has lost its services or sends what is not valid takes
 * no node away.
 */
#include "tests/support/parallel.h"
#include "tests/support/servers/api/consul_agent.h"
#include "tests/support/servers/cluster.h"
#include "tests/support/servers/member_node.h"
#include "tests/support/wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SETTINGS_BYTES = 320, READ_INTERVAL_MS = 250 };

#define TOKEN "01234567-89ab-cdef-0123-456789abcdef"

static struct consul_agent agent, other_agent;
static struct member_node nodes[MEMBER_NODES_MAX];
static struct temp_folder folder; /* of certificates */
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
    consul_agent_free(&agent);
    consul_agent_free(&other_agent);
    if (folder.path[0])
        temp_folder_remove(&folder);
    folder.path[0] = '\0';
    return 0;
}

static void start_agent(bool has_tls)
{
    consul_agent_init(&agent, has_tls);
    consul_agent_start(&agent);
}

/* A node with more settings, which end with NULL. */
static void start_node_with(int number, const char *const more[])
{
    char address[SETTINGS_BYTES];
    const char *settings[MEMBER_SETTINGS_MAX] = {address, "cluster.provider=consul"};
    size_t count = 2;
    snprintf(address, sizeof address, "cluster.consul.address=%s", agent.http.url);
    for (size_t i = 0; more && more[i]; i++)
        settings[count++] = more[i];
    settings[count] = NULL;
    member_node_start(nodes, number, peer_port, settings);
}

/* Its check does not end within a test. */
static void start_node(int number)
{
    start_node_with(number, (const char *const[]){"cluster.consul.ttl_secs=3600", NULL});
}

static void start_short_node(int number)
{
    start_node_with(number, (const char *const[]){"cluster.consul.ttl_secs=2", NULL});
}

static void start_two_nodes(void (*start)(int number))
{
    start(1);
    start(2);
    member_node_wait_mesh(nodes);
}

static void expect_no_departure(struct member_node *node)
{
    assert_null(strstr(http_get(node->http, "/api/cluster/events")->body, "\"kind\":\"left\""));
}

static void wait_failing(struct member_node *node, const char *part)
{
    const char *problem = member_node_wait_provider(node, "failing");
    if (!strstr(problem, part))
        fail_msg("the problem is: %s", problem);
}

/* --- joining and leaving ---------------------------------------------------------------------- */

static void nodes_join_and_leave_at_once(void **state)
{
    (void)state;
    start_agent(false);
    start_node(1);
    member_node_wait_ready(&nodes[1]);
    call_register_many(nodes[1].http, "shop", 50);
    for (int number = 2; number <= 4; number++) {
        start_node(number);
        member_node_wait_ready(&nodes[number]);
        assert_int_equal(call_count(nodes[number].http, "shop"), 50); /* copied before */
    }
    member_node_wait_mesh(nodes);
    member_node_stop(&nodes[1]); /* not by its check, which would end after an hour */
    assert_false(consul_agent_has(&agent, "artemis-node1"));
    member_node_wait_mesh(nodes);
    assert_non_null(strstr(http_get(nodes[2].http, "/api/cluster/events")->body,
                           "\"reason\":\"consul: a node has left, or its check is not passing\""));
    call_register(nodes[3].http, "late", "i0");
    member_node_wait_count(nodes, "late", 1);
}

static void dead_node_is_removed_with_its_check_and_returns(void **state)
{
    (void)state;
    start_agent(false);
    for (int number = 1; number <= 3; number++)
        start_short_node(number);
    member_node_wait_peers(&nodes[1], "node2 node3");
    server_process_suspend(&nodes[3].process);
    member_node_kill(&nodes[2]);
    member_node_wait_peers(&nodes[1], "");
    assert_true(consul_agent_has(&agent, "artemis-node2")); /* it is critical */
    server_process_continue(&nodes[3].process);
    start_short_node(2);
    member_node_wait_mesh(nodes);
    assert_string_equal(member_node_wait_provider(&nodes[1], "up"), "");
}

/* --- failures of the agent -------------------------------------------------------------------- */

static void agent_that_is_away_changes_nothing_until_it_returns(void **state)
{
    (void)state;
    start_agent(false);
    start_two_nodes(start_node);
    consul_agent_stop(&agent);
    wait_failing(&nodes[1], agent.http.url);
    member_node_wait_peers(&nodes[1], "node2");
    member_node_wait_ready(&nodes[1]);
    call_register(nodes[1].http, "shop", "i0");
    member_node_wait_count(nodes, "shop", 1);
    start_node(3); /* alone, until the agent is there */
    wait_failing(&nodes[3], agent.http.url);
    consul_agent_forget(&agent); /* it returns without its services */
    consul_agent_start(&agent);
    assert_string_equal(member_node_wait_provider(&nodes[1], "up"), "");
    member_node_wait_mesh(nodes);
    expect_no_departure(&nodes[1]);
    member_node_stop(&nodes[2]);
    member_node_wait_peers(&nodes[1], "node3"); /* the list is read again */
}

static void lost_registration_is_repeated(void **state)
{
    (void)state;
    start_agent(false);
    start_two_nodes(start_short_node);
    unsigned before = json_api_count(&agent.http, &agent.registrations);
    consul_agent_forget(&agent);
    json_api_wait_above(&agent.http, &agent.registrations, before + 1);
    member_node_wait_mesh(nodes);
    assert_string_equal(member_node_wait_provider(&nodes[1], "up"), "");
}

static void index_that_goes_back_begins_the_list_again(void **state)
{
    (void)state;
    start_agent(false);
    start_two_nodes(start_node);
    json_api_wait_above(&agent.http, &agent.blocking, 1); /* the queries of both nodes */
    unsigned before = json_api_count(&agent.http, &agent.queries);
    consul_agent_reset_index(&agent);
    json_api_wait_above(&agent.http, &agent.queries, before + 1);
    start_node(3);
    member_node_wait_peers(&nodes[1], "node2 node3");
    expect_no_departure(&nodes[1]);
}

static void index_that_changes_constantly_is_read_at_intervals(void **state)
{
    (void)state;
    enum { QUERIES = 3 };
    consul_agent_init(&agent, false);
    agent.changes_with_each_query = true;
    consul_agent_start(&agent);
    start_node(1);
    json_api_wait_above(&agent.http, &agent.queries, 0);
    int64_t begin_ms = wait_now_ms();
    unsigned before = json_api_count(&agent.http, &agent.queries);
    json_api_wait_above(&agent.http, &agent.queries, before + QUERIES);
    assert_true(wait_now_ms() - begin_ms >= (QUERIES - 1) * READ_INTERVAL_MS);
}

/* --- hostile responses ------------------------------------------------------------------------ */

static char *repeat(const char *part, size_t times)
{
    size_t size = strlen(part);
    char *text = malloc(size * times + 1);
    assert_non_null(text);
    for (size_t i = 0; i < times; i++)
        memcpy(text + i * size, part, size);
    text[size * times] = '\0';
    return text;
}

static void responses_that_are_not_valid_are_named_and_change_nothing(void **state)
{
    (void)state;
    char *deep = repeat("[", 100000);
    char *big = repeat("[[1234567890]],", 400000);
    const struct {
        const char *list, *index, *problem;
    } rows[] = {
        {"[7]", "7", "not a valid list"},
        {deep, "7", "not a valid list"},
        {big, "7", "too large"},
        {"[]", NULL, "no valid X-Consul-Index"},
    };
    start_agent(false);
    start_two_nodes(start_node);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        consul_agent_set_list(&agent, rows[i].list, rows[i].index);
        wait_failing(&nodes[1], rows[i].problem);
        consul_agent_set_list(&agent, NULL, NULL);
        member_node_wait_provider(&nodes[1], "up");
    }
    consul_agent_set_status(&agent, 500, "No cluster leader");
    wait_failing(&nodes[1], "HTTP 500: No cluster leader");
    consul_agent_set_status(&agent, 429, "rate limit");
    json_api_wait_above(&agent.http, &agent.refused, json_api_count(&agent.http, &agent.refused));
    consul_agent_set_status(&agent, 0, NULL);
    member_node_wait_provider(&nodes[1], "up");
    member_node_wait_peers(&nodes[1], "node2");
    expect_no_departure(&nodes[1]);
    free(deep);
    free(big);
}

static bool has_warning(void *context)
{
    struct http_response *response = http_get(context, "/api/status/cluster");
    json_t *providers = json_object_get(check_find(response->json, "membership"), "providers");
    const char *warning =
        json_string_value(json_object_get(json_array_get(providers, 0), "warning"));
    return warning && strstr(warning, "stray: its registration has no valid address");
}

static void instance_without_a_valid_address_is_left_out(void **state)
{
    (void)state;
    start_agent(false);
    consul_agent_put(&agent, "stray", "not an address", 80);
    start_node(1);
    assert_true(wait_until(has_warning, nodes[1].http, wait_deadline_ms()));
}

/* --- tokens, TLS and other providers ---------------------------------------------------------- */

static void token_is_read_for_each_request_and_never_shown(void **state)
{
    (void)state;
    char setting[SETTINGS_BYTES];
    temp_folder_make(&folder);
    consul_agent_init(&agent, false);
    consul_agent_set_token(&agent, TOKEN, true);
    consul_agent_start(&agent);
    snprintf(setting, sizeof setting, "cluster.consul.token_file=%s",
             temp_folder_write(&folder, "token", "wrong-token\n"));
    start_node_with(1, (const char *const[]){setting, NULL});
    wait_failing(&nodes[1], "HTTP 403: Permission denied: ACL not found");
    temp_folder_write(&folder, "token", TOKEN "\n");
    member_node_wait_provider(&nodes[1], "up");
    start_node_with(2, (const char *const[]){"cluster.consul.token=" TOKEN, NULL});
    member_node_wait_peers(&nodes[1], "node2");
    consul_agent_set_token(&agent, TOKEN, false); /* it may not read any more */
    wait_failing(&nodes[1], "the ACL token lacks service:read");
    member_node_wait_peers(&nodes[1], "node2");
    assert_null(strstr(http_get(nodes[2].http, "/api/status/config")->body, TOKEN));
    consul_agent_set_token(&agent, TOKEN, true);
    member_node_wait_provider(&nodes[1], "up");
    for (int number = 1; number <= 2; number++) {
        http_free(nodes[number].http);
        nodes[number].http = NULL;
        char *log = server_process_stop_and_read_log(&nodes[number].process);
        assert_null(strstr(log, TOKEN));
        assert_null(strstr(log, "wrong-token"));
        free(log);
    }
    assert_false(consul_agent_has(&agent, "artemis-node1"));
}

/* The agents have a Consul each. */
static void reloaded_address_and_token_keep_the_nodes(void **state)
{
    (void)state;
    char text[SETTINGS_BYTES];
    temp_folder_make(&folder);
    start_agent(false);
    snprintf(text, sizeof text, "[cluster.consul]\naddress = \"%s\"\nttl_secs = 3600\n",
             agent.http.url);
    for (int number = 1; number <= 2; number++)
        member_node_start_with(nodes, number, peer_port,
                               temp_folder_write(&folder, "artemis.toml", text),
                               (const char *const[]){"cluster.provider=consul", NULL});
    member_node_wait_mesh(nodes);
    consul_agent_init(&other_agent, false);
    consul_agent_set_token(&other_agent, TOKEN, true);
    consul_agent_start(&other_agent);
    snprintf(text, sizeof text,
             "[cluster.consul]\naddress = \"%s\"\ntoken = \"" TOKEN "\"\nttl_secs = 3600\n",
             other_agent.http.url);
    member_node_reload(&nodes[1], &folder, "artemis.toml", text);
    json_api_wait_above(&other_agent.http, &other_agent.updates, 0);
    member_node_reload(&nodes[2], &folder, "artemis.toml", text);
    json_api_wait_above(&other_agent.http, &other_agent.updates, 1);
    consul_agent_stop(&agent);
    member_node_wait_mesh(nodes);
    for (int number = 1; number <= 2; number++) {
        assert_string_equal(member_node_wait_provider(&nodes[number], "up"), "");
        expect_no_departure(&nodes[number]);
    }
    member_node_stop(&nodes[2]);
    assert_true(consul_agent_has(&other_agent, "artemis-node1"));
    assert_false(consul_agent_has(&other_agent, "artemis-node2"));
    member_node_wait_mesh(nodes);
}

/* Without a token Consul does not say that its rules hide the instances. */
static void empty_list_without_a_token_keeps_the_nodes(void **state)
{
    (void)state;
    start_agent(false);
    start_two_nodes(start_node);
    consul_agent_set_token(&agent, "", false); /* the anonymous token may not read any more */
    wait_failing(&nodes[1], "the list is empty, although this node has registered");
    wait_failing(&nodes[2], "the list is empty, although this node has registered");
    unsigned before = json_api_count(&agent.http, &agent.queries);
    json_api_wait_above(&agent.http, &agent.queries, before + 3);
    member_node_wait_mesh(nodes);
    consul_agent_set_token(&agent, "", true);
    member_node_wait_provider(&nodes[1], "up");
    member_node_wait_provider(&nodes[2], "up");
    expect_no_departure(&nodes[1]);
    expect_no_departure(&nodes[2]);
}

static void tls_is_supported_for_the_agent_and_between_nodes(void **state)
{
    (void)state;
    char ca[SETTINGS_BYTES];
    const char *settings[MEMBER_SETTINGS_MAX] = {ca, "cluster.tls.member_name=nodes.test", NULL};
    temp_folder_make(&folder);
    member_node_make_certificates(&folder, "nodes.test");
    start_agent(true);
    snprintf(ca, sizeof ca, "cluster.consul.ca=%s/ca.crt", agent.http.folder.path);
    member_node_add_certificate(settings, &folder, "member");
    start_node_with(1, settings);
    start_node_with(2, settings);
    member_node_wait_mesh(nodes);
    start_node(3); /* does not know the authority of the agent */
    wait_failing(&nodes[3], agent.http.url);
}

/* The first node is in the settings of the second, and the third is found in Consul. */
static void static_members_are_merged_with_those_of_consul(void **state)
{
    (void)state;
    char peers[SETTINGS_BYTES];
    start_agent(false);
    start_node(1);
    snprintf(peers, sizeof peers, "cluster.peers=%s", nodes[1].peer_address);
    start_node_with(2, (const char *const[]){"cluster.provider=static,consul", peers, NULL});
    start_node(3);
    member_node_wait_peers(&nodes[2], "node1 node3");
    member_node_stop(&nodes[3]);
    member_node_wait_peers(&nodes[2], "node1");
    consul_agent_stop(&agent);
    member_node_wait_peers(&nodes[2], "node1");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nodes_join_and_leave_at_once),
        TEST(dead_node_is_removed_with_its_check_and_returns),
        TEST(agent_that_is_away_changes_nothing_until_it_returns),
        TEST(lost_registration_is_repeated),
        TEST(index_that_goes_back_begins_the_list_again),
        TEST(index_that_changes_constantly_is_read_at_intervals),
        TEST(responses_that_are_not_valid_are_named_and_change_nothing),
        TEST(instance_without_a_valid_address_is_left_out),
        TEST(token_is_read_for_each_request_and_never_shown),
        TEST(reloaded_address_and_token_keep_the_nodes),
        TEST(empty_list_without_a_token_keeps_the_nodes),
        TEST(tls_is_supported_for_the_agent_and_between_nodes),
        TEST(static_members_are_merged_with_those_of_consul),
    };
    return PARALLEL_RUN(tests);
}
