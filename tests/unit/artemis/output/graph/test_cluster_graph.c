/* SPDX-License-Identifier: Apache-2.0
 *
 * How the responses of all nodes become one graph: links in both directions, nodes that did not
 * respond, fields that are missing, and nodes that only some know.
 */
#include "artemis/output/graph/cluster_graph.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"
#include "tests/support/quoted_json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RESPONSES_MAX = 4 };

#define NODE(id, port, zone)                                                                       \
    "{'node':{'node_id':'" id "','url':'http://h:" port                                            \
    "','zone':{'region_id':'eu','zone_id':'" zone "'}},'status':'up'}"
#define SELF(id, port, zone, state)                                                                \
    "{'node':{'node_id':'" id "','url':'http://h:" port                                            \
    "','zone':{'region_id':'eu','zone_id':'" zone "'}},'state':'" state                            \
    "','cluster_id':'artemis','artemis_version':'0.4.0'}"
#define PEER(id, port, health)                                                                     \
    "{'node_id':'" id "','url':'http://h:" port "','health':'" health "','ready':true,"            \
    "'region':'eu','lag_ms':7,'backlog':2}"

static json_t *roots[1 + RESPONSES_MAX];
static struct graph_response responses[RESPONSES_MAX];
static struct cluster_graph graph;

static int tear_down(void **state)
{
    (void)state;
    cluster_graph_free(&graph);
    for (size_t i = 0; i <= RESPONSES_MAX; i++)
        json_decref(roots[i]);
    memset(roots, 0, sizeof roots);
    memset(responses, 0, sizeof responses);
    return 0;
}

/* Reads the response of one node and those of its peers; one that begins with '!' is a problem. */
static void read_graph(const char *first, ...)
{
    va_list more;
    roots[0] = quoted_json(first);
    va_start(more, first);
    for (size_t i = 0; i < cluster_graph_peer_count(roots[0]); i++) {
        const char *text = va_arg(more, const char *);
        if (*text != '!')
            responses[i].root = roots[i + 1] = quoted_json(text);
        else
            responses[i].problem = text + 1;
    }
    va_end(more);
    assert_int_equal(cluster_graph_read(&graph, roots[0], responses), ERR_NONE);
}

static size_t find(const char *name)
{
    for (size_t i = 0; i < graph.node_count; i++)
        if (strcmp(graph_node_name(&graph.nodes[i]), name) == 0)
            return i;
    fail_msg("the graph has no node %s", name);
    return 0;
}

static const struct graph_node *node(const char *name)
{
    return &graph.nodes[find(name)];
}

static void check_link(const char *from, const char *to, const char *state)
{
    const struct graph_link *link = cluster_graph_link(&graph, find(from), find(to));
    const char *found = link->state ? link->state : "?";
    if (strcmp(found, state) != 0)
        fail_msg("the link from %s to %s is %s instead of %s", from, to, found, state);
}

static void check_node(const char *name, const char *state, const char *problem)
{
    const struct graph_node *found = node(name);
    if (strcmp(found->state, state) != 0 || strcmp(found->problem, problem) != 0)
        fail_msg("node %s is %s (%s)", name, found->state, found->problem);
}

/* --- links ------------------------------------------------------------------------------------ */

static void links_of_both_directions_are_of_their_own_nodes(void **state)
{
    (void)state;
    read_graph(
        "{'nodes_status':[" SELF("n1", "1", "b", "ready") "," NODE(
            "n2", "2", "a") "],"
                            "'peers':[" PEER("n2", "2", "up") "]}",
        "{'nodes_status':[" SELF("n2", "2", "a", "draining") "," NODE(
            "n1", "1", "b") "],"
                            "'peers':[" PEER("n1", "1", "down") "],'under_replicated':true}");
    assert_int_equal(graph.node_count, 2);
    assert_int_equal(find("n2"), 0); /* its zone comes first */
    check_link("n1", "n2", "up");
    check_link("n2", "n1", "down");
    check_node("n1", "ready", "");
    check_node("n2", "draining", "");
    assert_true(node("n2")->is_under_replicated);
    assert_string_equal(node("n2")->zone, "a");
    assert_string_equal(graph.cluster_id, "artemis");
    const struct graph_link *link = cluster_graph_link(&graph, 1, 0);
    assert_true(link->has_lag);
    assert_int_equal(link->lag_ms, 7);
    assert_int_equal(link->backlog, 2);
    assert_int_equal(graph_link_level(link), GRAPH_WELL);
    assert_false(cluster_graph_is_well(&graph));
}

static void cluster_in_which_all_is_well_is_well(void **state)
{
    (void)state;
    read_graph(
        "{'nodes_status':[" SELF("n1", "1", "a", "ready") "," NODE(
            "n2", "2", "a") "],"
                            "'peers':[" PEER("n2", "2", "up") "," PEER("n1", "1", "self") "]}",
        "{'nodes_status':[" SELF("n2", "2", "a", "ready") "," NODE(
            "n1", "1", "a") "],"
                            "'peers':[" PEER("n1", "1", "up") "]}",
        "!");
    assert_int_equal(graph.node_count, 2);
    assert_true(cluster_graph_is_well(&graph));
    struct graph_summary summary = cluster_graph_summary(&graph);
    assert_int_equal(summary.ready, 2);
    assert_int_equal(summary.links, 2);
    assert_int_equal(summary.well, 2);
    assert_int_equal(summary.lag_ms, 7);
    assert_int_not_equal(summary.from, summary.to);
}

static void blocked_node_does_not_make_the_cluster_unwell(void **state)
{
    (void)state;
    read_graph("{'nodes_status':[" SELF("n1", "1", "a",
                                        "ready") "],'peers':[],"
                                                 "'blocked':[{'node_id':'n3','address':'h:3'}]}");
    assert_int_equal(graph.node_count, 2);
    assert_true(cluster_graph_is_well(&graph));
}

static void node_that_is_no_peer_of_another_has_no_link_from_it(void **state)
{
    (void)state;
    read_graph(
        "{'nodes_status':[" SELF("n1", "1", "a", "ready") "," NODE(
            "n2", "2", "a") "],"
                            "'peers':[" PEER("n2", "2", "up") "]}",
        "{'nodes_status':[" SELF("n2", "2", "a", "ready") "],"
                                                          "'peers':[" PEER("n3", "3", "down") "]}");
    assert_int_equal(graph.node_count, 3);
    check_link("n2", "n1", "not a peer");
    check_link("n1", "n3", "not a peer");
    check_link("n2", "n3", "down");
    check_link("n3", "n1", "?");
    check_node("n3", "down",
               "it is not called: the node that was called does not have it as a peer");
}

static void of_two_addresses_of_a_node_the_worse_state_is_shown(void **state)
{
    (void)state;
    read_graph("{'nodes_status':[" SELF(
                   "n1", "1", "a", "ready") "],"
                                            "'peers':[" PEER("n2", "2", "up") "," PEER("n2", "5",
                                                                                       "down") "]}",
               "!a", "!b");
    assert_int_equal(graph.node_count, 2);
    check_link("n1", "n2", "down");
}

/* --- nodes that do not report ----------------------------------------------------------------- */

static void node_that_does_not_report_has_the_worst_state_that_others_report(void **state)
{
    (void)state;
    read_graph("{'nodes_status':[" SELF("n1", "1", "a", "ready") "],'peers':[" PEER(
                   "n2", "2", "up") "," PEER("n3", "3", "up") "," PEER("n4", "4", "up") "]}",
               "{'nodes_status':[" SELF("n2", "2", "a", "ready") "],'peers':[" PEER(
                   "n1", "1", "up") "," PEER("n3", "3", "suspect") "," PEER("n4", "4", "up") "]}",
               "!it did not respond in time", "!it refuses the token");
    check_node("n3", "suspect", "it did not respond in time");
    check_node("n4", "up", "it refuses the token");
    check_link("n3", "n1", "?");
    check_link("n4", "n3", "?");
    assert_int_equal(cluster_graph_summary(&graph).unknown, 6);
    assert_int_equal(graph_node_level(node("n4")), GRAPH_WARNING);
    assert_false(cluster_graph_is_well(&graph));
}

static void node_without_an_id_is_found_by_its_address(void **state)
{
    (void)state;
    read_graph("{'nodes_status':[" SELF("n1", "1", "a", "ready") "],'peers':[" PEER(
                   "n2", "2", "up") "," PEER("", "3", "new") "," PEER("", "4", "down") "]}",
               "{'nodes_status':[" SELF("n2", "2", "a", "ready") "],'peers':[" PEER(
                   "n1", "1", "up") "," PEER("n3", "3", "down") "]}",
               "!x", "!y");
    assert_int_equal(graph.node_count, 4);
    check_link("n1", "n3", "new");
    check_link("n2", "n3", "down");
    check_node("h:4", "down", "y");
    check_link("n1", "h:4", "down");
    check_link("n2", "h:4", "not a peer");
}

static void response_of_another_node_does_not_count(void **state)
{
    (void)state;
    read_graph(
        "{'nodes_status':[" SELF("n1", "1", "a", "ready") "],"
                                                          "'peers':[" PEER("n2", "2", "up") "]}",
        "{'nodes_status':[" SELF("n5", "2", "a", "ready") "],'peers':[]}");
    assert_int_equal(graph.node_count, 2);
    check_node("n2", "up", "another node responds at its address");
}

/* --- missing fields, other states ------------------------------------------------------------- */

static void fields_that_an_earlier_version_lacks_are_not_known(void **state)
{
    (void)state;
    read_graph("{'nodes_status':[{'node':{'node_id':'n1'}}],"
               "'peers':[{'node_id':'n2','url':'http://h:2','health':'up'},"
               "{'url':7,'health':[],'lag_ms':-1},{'node_id':'n3','url':'http://h:3'}]}",
               "{'nodes_status':[{'node':{'node_id':'n2','url':null},'status':'up'}]}", "!x", "!y");
    check_node("n1", "unknown", "");
    check_node("n2", "up", "");
    assert_string_equal(node("n1")->region, "");
    assert_string_equal(node("n1")->zone, "");
    check_link("n1", "n2", "up");
    check_link("n2", "n1", "?"); /* a response without peers */
    check_link("n1", "n3", "unknown");
    assert_false(cluster_graph_link(&graph, find("n1"), find("n2"))->has_lag);
}

static void response_without_a_node_id_is_of_the_node_that_was_called(void **state)
{
    (void)state;
    read_graph(
        "{'nodes_status':[" SELF("n1", "1", "a", "ready") "],"
                                                          "'peers':[" PEER("n2", "2", "up") "]}",
        "{'nodes_status':[{'state':'draining'}]}");
    assert_int_equal(graph.node_count, 2);
    check_node("n2", "draining", "");
    check_link("n2", "n1", "?");
}

static void peer_that_is_up_and_not_ready_is_not_ready(void **state)
{
    (void)state;
    read_graph("{'nodes_status':[" SELF(
                   "n1", "1", "a", "ready") "],'peers':[{'node_id':'n2',"
                                            "'url':'http://h:2','health':'up','ready':false}]}",
               "!x");
    check_link("n1", "n2", "not ready");
    check_node("n2", "not ready", "x");
}

static void blocked_node_is_shown_also_when_nobody_has_it_as_a_peer(void **state)
{
    (void)state;
    read_graph("{'nodes_status':[" SELF("n1", "1", "a", "ready") "],'peers':[" PEER(
                   "n2", "2", "up") "],'blocked':[{'node_id':'n3','address':'h:3'},"
                                    "{'node_id':'','address':'h:4'}]}",
               "{'nodes_status':[{'node':{'node_id':'n2','url':'http://h:2'},'state':'ready',"
               "'blocked':true}],'peers':[" PEER("n1", "1", "blocked") "]}");
    assert_int_equal(graph.node_count, 4);
    check_node("n2", "blocked", "");
    check_link("n1", "n3", "blocked");
    check_link("n1", "h:4", "blocked");
    check_link("n2", "n3", "not a peer");
    check_node("n3", "blocked", "it is not called: it is blocked");
    assert_int_equal(cluster_graph_summary(&graph).links, 2);
    assert_int_equal(graph_node_level(node("n3")), GRAPH_BAD);
}

static void peer_with_the_id_of_this_node_is_found_by_its_address(void **state)
{
    (void)state;
    read_graph(
        "{'nodes_status':[" SELF("n1", "1", "a", "ready") "],"
                                                          "'peers':[" PEER("n1", "2", "twin") "]}",
        "!x");
    assert_int_equal(graph.node_count, 2);
    check_link("n1", "h:2", "twin");
}

static void nodes_are_called_at_their_address_for_clients_if_they_may_have_the_token(void **state)
{
    (void)state;
    const char *problem = NULL;
    roots[0] = quoted_json(
        "{'nodes_status':[" SELF("n1", "1", "a", "ready") "," NODE("n2", "12", "a") "," NODE(
            "other", "13",
            "a") "],'blocked':[{'node_id':'n5','address':''}],"
                 "'peers':[" PEER("n2", "2", "up") "," PEER("n3", "3", "up") "," PEER(
                     "n4", "4",
                     "stranger") "," PEER("n5", "5",
                                          "blocked") "," PEER("n1", "6",
                                                              "twin") "," PEER("n1", "1",
                                                                               "self") ",{}]}");
    assert_string_equal(cluster_graph_url_to_call(roots[0], 0, &problem), "http://h:12");
    assert_string_equal(cluster_graph_url_to_call(roots[0], 1, &problem), "http://h:3");
    static const char *const problems[] = {"another cluster", "blocked", "the id of another", "",
                                           "address is not known"};
    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
        assert_null(cluster_graph_url_to_call(roots[0], 2 + i, &problem));
        assert_non_null(strstr(problem, problems[i]));
    }
}

/* --- limits ----------------------------------------------------------------------------------- */

static void nodes_above_the_limit_are_counted(void **state)
{
    (void)state;
    json_t *peers = json_array();
    for (int i = 0; i < GRAPH_NODES_MAX + 9; i++) {
        char id[16];
        snprintf(id, sizeof id, "p%d", i);
        json_array_append_new(peers, json_pack("{s:s,s:s}", "node_id", id, "url", id));
    }
    roots[0] = quoted_json("{'nodes_status':[" SELF("n1", "1", "a", "ready") "]}");
    json_object_set_new(roots[0], "peers", peers);
    struct graph_response none[GRAPH_NODES_MAX + 9] = {{0}};
    assert_int_equal(cluster_graph_read(&graph, roots[0], none), ERR_NONE);
    assert_int_equal(graph.node_count, GRAPH_NODES_MAX);
    assert_int_equal(graph.omitted, 10);
    assert_false(cluster_graph_is_well(&graph));
}

static void each_failed_allocation_is_an_error(void **state)
{
    (void)state;
    roots[0] = quoted_json(
        "{'nodes_status':[" SELF("n1", "1", "a", "ready") "],"
                                                          "'peers':[" PEER("n2", "2", "up") "]}");
    for (long n = 1;; n++) {
        failing_malloc_after(n);
        enum error error = cluster_graph_read(&graph, roots[0], responses);
        bool happened = failing_malloc_happened();
        cluster_graph_free(&graph);
        assert_int_equal(error, happened ? ERR_NO_MEMORY : ERR_NONE);
        if (!happened)
            break;
        assert_in_range(n, 1, 2);
    }
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void json_has_nodes_and_links(void **state)
{
    (void)state;
    struct text out = {0};
    read_graph(
        "{'nodes_status':[" SELF("n1", "1", "a", "ready") "],"
                                                          "'peers':[" PEER("n2", "2", "up") "]}",
        "!it did not respond in time");
    cluster_graph_write_json(&graph, &out);
    assert_string_equal(
        text_string(&out),
        "{\"cluster_id\":\"artemis\",\"well\":false,\"nodes\":["
        "{\"name\":\"n2\",\"node_id\":\"n2\",\"url\":\"http://"
        "h:2\",\"region\":\"eu\",\"zone\":\"\","
        "\"state\":\"up\",\"reported\":false,\"problem\":\"it did not respond in time\"},"
        "{\"name\":\"n1\",\"node_id\":\"n1\",\"url\":\"http://"
        "h:1\",\"region\":\"eu\",\"zone\":\"a\","
        "\"state\":\"ready\",\"reported\":true,\"artemis_version\":\"0.4.0\","
        "\"under_replicated\":false}],\"links\":["
        "{\"from\":\"n2\",\"to\":\"n1\",\"state\":\"unknown\",\"well\":false},"
        "{\"from\":\"n1\",\"to\":\"n2\",\"state\":\"up\",\"well\":true,\"lag_ms\":7,"
        "\"backlog\":2}]}");
    text_free(&out);
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(links_of_both_directions_are_of_their_own_nodes),
        TEST(cluster_in_which_all_is_well_is_well),
        TEST(blocked_node_does_not_make_the_cluster_unwell),
        TEST(node_that_is_no_peer_of_another_has_no_link_from_it),
        TEST(of_two_addresses_of_a_node_the_worse_state_is_shown),
        TEST(node_that_does_not_report_has_the_worst_state_that_others_report),
        TEST(node_without_an_id_is_found_by_its_address),
        TEST(response_of_another_node_does_not_count),
        TEST(fields_that_an_earlier_version_lacks_are_not_known),
        TEST(response_without_a_node_id_is_of_the_node_that_was_called),
        TEST(peer_that_is_up_and_not_ready_is_not_ready),
        TEST(blocked_node_is_shown_also_when_nobody_has_it_as_a_peer),
        TEST(peer_with_the_id_of_this_node_is_found_by_its_address),
        TEST(nodes_are_called_at_their_address_for_clients_if_they_may_have_the_token),
        TEST(nodes_above_the_limit_are_counted),
        TEST(each_failed_allocation_is_an_error),
        TEST(json_has_nodes_and_links),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
