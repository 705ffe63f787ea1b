/* SPDX-License-Identifier: Apache-2.0
 *
 * How a cluster is printed for Graphviz: regions and zones as clusters, escaped labels, and edges
 * with lag and colour.
 */
#include "artemis/output/graph/graph_dot.h"

#include "tests/unit/artemis/output/graph/graph_fixture.h"

static struct graph_fixture fixture;

/* Checks the syntax: quotes and brackets are closed, and outside of quotes are only the characters
 * that the program itself prints. Returns the number of edges. */
static size_t check_syntax(const char *printed)
{
    size_t edges = 0;
    int depth = 0;
    bool is_quoted = false;
    for (const char *at = printed; *at; at++) {
        if (is_quoted && *at == '\\' && at[1])
            at++;
        else if (*at == '"')
            is_quoted = !is_quoted;
        else if (!is_quoted) {
            depth += (*at == '{') - (*at == '}');
            edges += at[0] == '-' && at[1] == '>';
            assert_non_null(strchr("abcdefghijklmnopqrstuvwxyz_0123456789 \n{}[]=,;->", *at));
        }
        assert_true((unsigned char)*at >= ' ' || (*at == '\n' && !is_quoted));
    }
    assert_int_equal(depth, 0);
    assert_false(is_quoted);
    return edges;
}

static char *printed_dot(size_t edges)
{
    char *printed = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&printed, &size);
    assert_non_null(out);
    graph_dot(&fixture.graph, out);
    fclose(out);
    assert_int_equal(check_syntax(printed), edges);
    return printed;
}

static void check_part(const char *printed, const char *part)
{
    if (!strstr(printed, part))
        fail_msg("\"%s\" is missing in:\n%s", part, printed);
}

static void nodes_and_links_have_labels_and_colours(void **state)
{
    (void)state;
    graph_fixture_make(&fixture, 3);
    *graph_fixture_link(&fixture, 0, 1) = graph_fixture_down(12000);
    graph_fixture_freeze(&fixture, 2, "suspect", 900);
    fixture.nodes[1].is_under_replicated = true;
    char *printed = printed_dot(6);
    assert_string_equal(
        printed,
        "digraph artemis {\n"
        "  label=\"cluster artemis: 2 of 3 nodes are ready\\n1 of 6 links is well\\n"
        "their highest lag is 3 ms\\n2 links of nodes that have not reported: not known\";\n"
        "  node [shape=box, style=\"rounded,filled\"];\n"
        "  subgraph cluster_region_0 {\n"
        "    label=\"region eu\";\n"
        "    subgraph cluster_zone_0 {\n"
        "      label=\"zone eu-a\";\n"
        "      n0 [label=\"n1\\n10.0.0.1:8080\\nready\", fillcolor=palegreen];\n"
        "    }\n"
        "    subgraph cluster_zone_1 {\n"
        "      label=\"zone eu-b\";\n"
        "      n1 [label=\"n2\\n10.0.0.2:8080\\nready, under-replicated\", fillcolor=khaki];\n"
        "    }\n"
        "  }\n"
        "  subgraph cluster_region_2 {\n"
        "    label=\"region us\";\n"
        "    subgraph cluster_zone_2 {\n"
        "      label=\"zone us-a\";\n"
        "      n2 [label=\"n3\\n10.0.0.3:8080\\nsuspect\\n(has not reported)\", fillcolor=khaki];\n"
        "    }\n"
        "  }\n"
        "  n0 -> n1 [label=\"down 12 s\", color=red, fontcolor=red, style=bold];\n"
        "  n0 -> n2 [label=\"suspect 900 ms\", color=darkorange, fontcolor=darkorange, "
        "style=solid];\n"
        "  n1 -> n0 [label=\"3 ms\", color=darkgreen, fontcolor=darkgreen, style=solid];\n"
        "  n1 -> n2 [label=\"suspect 900 ms\", color=darkorange, fontcolor=darkorange, "
        "style=solid];\n"
        "  n2 -> n0 [label=\"?\", color=gray, fontcolor=gray, style=dashed];\n"
        "  n2 -> n1 [label=\"?\", color=gray, fontcolor=gray, style=dashed];\n"
        "}\n");
    free(printed);
}

static void hostile_text_stays_in_its_label(void **state)
{
    (void)state;
    static const char hostile[] = "a\"];\\N&lt;\033\n\xff";
    static const char shown[] = "a\\\"];\\\\N&amp;lt;\\\\x1b\\\\n\\\\xff";
    graph_fixture_make(&fixture, 2);
    fixture.graph.cluster_id = hostile;
    fixture.nodes[0].node_id = fixture.nodes[0].url = fixture.nodes[0].state = hostile;
    fixture.nodes[0].region = fixture.nodes[0].zone = hostile;
    graph_fixture_link(&fixture, 0, 1)->state = hostile;
    char *printed = printed_dot(2);
    size_t count = 0;
    for (const char *at = printed; (at = strstr(at, shown)); at++)
        count++;
    assert_int_equal(count, 7); /* cluster, region, zone, id, address, state, link */
    free(printed);
}

static void one_node_and_none_of_its_places_are_a_graph(void **state)
{
    (void)state;
    graph_fixture_make(&fixture, 1);
    fixture.nodes[0].region = fixture.nodes[0].zone = "";
    char *printed = printed_dot(0);
    check_part(printed, "label=\"zone not known\";\n");
    free(printed);
}

static void eight_nodes_have_all_edges_and_more_only_those_that_are_not_well(void **state)
{
    (void)state;
    graph_fixture_make(&fixture, 8);
    free(printed_dot(56));
    graph_fixture_make(&fixture, 64);
    graph_fixture_freeze(&fixture, 63, "down", 1000);
    char *printed = printed_dot(63);
    check_part(printed, "\\n3906 of 4032 links are well\\n");
    check_part(printed, "\\n63 links of nodes that have not reported: not known");
    free(printed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_and_links_have_labels_and_colours),
        cmocka_unit_test(hostile_text_stays_in_its_label),
        cmocka_unit_test(one_node_and_none_of_its_places_are_a_graph),
        cmocka_unit_test(eight_nodes_have_all_edges_and_more_only_those_that_are_not_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
