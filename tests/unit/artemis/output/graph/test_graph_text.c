/* SPDX-License-Identifier: Apache-2.0
 *
 * How a cluster is drawn for a terminal: each pair of nodes with both directions in small clusters,
 * what is not well in large ones, within the width and without raw control characters.
 */
#include "artemis/output/graph/graph_text.h"

#include "tests/support/failing_malloc.h"
#include "tests/unit/artemis/output/graph/graph_fixture.h"

static struct graph_fixture fixture;

/* What is drawn; the caller frees it. */
static char *drawn(size_t columns_max)
{
    char *printed = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&printed, &size);
    assert_non_null(out);
    assert_int_equal(graph_text(&fixture.graph, out, columns_max), ERR_NONE);
    fclose(out);
    return printed;
}

static void check_drawn(size_t columns_max, const char *expected)
{
    char *printed = drawn(columns_max);
    assert_string_equal(printed, expected);
    free(printed);
}

static void check_part(const char *printed, const char *part)
{
    if (!strstr(printed, part))
        fail_msg("\"%s\" is missing in:\n%s", part, printed);
}

static void one_node_is_drawn_without_links(void **state)
{
    (void)state;
    graph_fixture_make(&fixture, 1);
    check_drawn(80, "cluster artemis: 1 of 1 nodes is ready\n"
                    "\n"
                    "eu\n"
                    "└─ eu-a\n"
                    "   └─ n1  10.0.0.1:8080  ready\n"
                    "\n");
}

static void three_nodes_are_drawn_with_each_link_in_both_directions(void **state)
{
    (void)state;
    graph_fixture_make(&fixture, 3);
    *graph_fixture_link(&fixture, 0, 1) = graph_fixture_down(12000);
    *graph_fixture_link(&fixture, 2, 0) = (struct graph_link){"up", false, 0, 0, ""};
    fixture.nodes[0].is_under_replicated = true;
    graph_fixture_link(&fixture, 0, 2)->lag_ms = 1200;
    check_drawn(80, "cluster artemis: 3 of 3 nodes are ready\n"
                    "\n"
                    "eu\n"
                    "├─ eu-a\n"
                    "│  └─ n1  10.0.0.1:8080  ready, under-replicated\n"
                    "└─ eu-b\n"
                    "   └─ n2  10.0.0.2:8080  ready\n"
                    "us\n"
                    "└─ us-a\n"
                    "   └─ n3  10.0.0.3:8080  ready\n"
                    "\n"
                    "links (◀ ▶ lag if well, ◁ ▷ doubtful, ✕ nothing arrives, ? not known):\n"
                    "n1 ◀────── 3 ms ─┊─ down 12 s ─✕ n2\n"
                    "n1 ◀──────── up ─┊─ 1 s ───────▶ n3\n"
                    "n2 ◀────── 3 ms ─┊─ 3 ms ──────▶ n3\n"
                    "\n"
                    "5 of 6 links are well\n"
                    "their highest lag is 1 s, from n1 to n3\n");
}

static void frozen_node_is_drawn_with_unknown_links(void **state)
{
    (void)state;
    graph_fixture_make(&fixture, 2);
    graph_fixture_freeze(&fixture, 1, "suspect", 900);
    check_drawn(80, "cluster artemis: 1 of 2 nodes are ready\n"
                    "\n"
                    "eu\n"
                    "└─ eu-a\n"
                    "   └─ n1  10.0.0.1:8080  ready\n"
                    "us\n"
                    "└─ us-a\n"
                    "   └─ n2  10.0.0.2:8080  suspect\n"
                    "        it did not respond in time\n"
                    "\n"
                    "links (◀ ▶ lag if well, ◁ ▷ doubtful, ✕ nothing arrives, ? not known):\n"
                    "n1 ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄ ? ┄┊─ suspect 900 ms ─▷ n2\n"
                    "\n"
                    "0 of 2 links are well\n"
                    "1 link of nodes that have not reported: not known\n");
}

static void eight_nodes_are_drawn_pair_by_pair_within_80_columns(void **state)
{
    (void)state;
    graph_fixture_make(&fixture, 8);
    *graph_fixture_link(&fixture, 6, 7) = (struct graph_link){"incompatible", true, 3540000, 9, ""};
    char *printed = drawn(0);
    check_part(printed, "\nn1 ◀──────────────── 3 ms ─┊─ 3 ms ────────────────▶ n2\n");
    check_part(printed, "\nn7 ◀──────────────── 3 ms ─┊─ incompatible 59 min ─✕ n8\n");
    check_part(printed, "\n55 of 56 links are well\ntheir highest lag is 3 ms, from n1 to n2\n");
    assert_in_range(graph_fixture_width(printed), 50, 80);
    assert_int_equal(graph_fixture_lines(printed), 2 + 14 + 1 + 1 + 28 + 1 + 2);
    free(printed);
}

static void many_nodes_that_are_well_are_drawn_without_links(void **state)
{
    (void)state;
    graph_fixture_make(&fixture, 64);
    graph_fixture_link(&fixture, 3, 16)->lag_ms = 1500;
    char *printed = drawn(80);
    check_part(printed, "cluster artemis: 64 of 64 nodes are ready\n");
    check_part(printed,
               "\n4,032 of 4,032 links are well\ntheir highest lag is 1 s, from n4 to n17\n");
    assert_null(strstr(printed, "┊"));
    assert_int_equal(graph_fixture_lines(printed), 2 + 70 + 1 + 2);
    assert_in_range(graph_fixture_width(printed), 40, 80);
    free(printed);
}

static void many_nodes_are_drawn_with_what_is_not_well(void **state)
{
    (void)state;
    graph_fixture_make(&fixture, 64);
    graph_fixture_freeze(&fixture, 63, "down", 9000);
    graph_fixture_link(&fixture, 4, 63)->lag_ms = 12000;
    *graph_fixture_link(&fixture, 0, 1) = graph_fixture_down(5000);
    graph_fixture_link(&fixture, 0, 1)->backlog = 0; /* what waits is on the way */
    for (size_t to = 10; to < 14; to++)
        *graph_fixture_link(&fixture, 20, to) = (struct graph_link){"suspect", true, 1000, 1, ""};
    char *printed = drawn(80);
    check_part(printed, "\n63 nodes ── down 12 s ──✕ n64\n"
                        "n21 ── suspect 1 s ──▷ 4 nodes\n"
                        "n1  ◀──────── 3 ms ─┊─ down 5 s ────✕ n2\n"
                        "\n"
                        "3,901 of 4,032 links are well\ntheir highest lag is 3 ms, from n1 to n3\n"
                        "63 links of nodes that have not reported: not known\n");
    assert_in_range(graph_fixture_width(printed), 50, 80);
    free(printed);
}

static void parts_that_do_not_reach_each_other_are_few_lines(void **state)
{
    (void)state;
    graph_fixture_make(&fixture, 64);
    for (size_t from = 0; from < 64; from++)
        for (size_t to = 0; to < 64; to++)
            if ((from < 32) != (to < 32))
                *graph_fixture_link(&fixture, from, to) = graph_fixture_down(12000);
    char *printed = drawn(80);
    check_part(printed, "\n32 nodes ── down 12 s ──✕ n1\n");
    check_part(printed, "\n1,984 of 4,032 links are well\n");
    assert_int_equal(graph_fixture_lines(printed), 2 + 70 + 1 + 1 + 64 + 1 + 2);
    free(printed);
}

static void long_names_are_cut_to_the_terminal_only(void **state)
{
    (void)state;
    static const char name[] = "artemis-0123456789.region-1.compute.internal.example.org";
    graph_fixture_make(&fixture, 3);
    fixture.nodes[0].node_id = name;
    fixture.nodes[1].url = "https://artemis-0123456789.region-1.compute.internal.example.org:8443";
    fixture.nodes[2].region = name;
    fixture.nodes[2].zone = name;
    graph_fixture_freeze(&fixture, 1, "unauthorized", 7200000);
    char *printed = drawn(0);
    check_part(printed, name);
    assert_true(graph_fixture_width(printed) > 80);
    free(printed);
    for (size_t columns = 80; columns <= 120; columns += 20) {
        printed = drawn(columns);
        check_part(printed, "artemis-");
        check_part(printed, "…");
        assert_in_range(graph_fixture_width(printed), 40, columns);
        free(printed);
    }
}

static void hostile_text_is_escaped(void **state)
{
    (void)state;
    static const char hostile[] = "a\033[2J\n\xe2\x80\xae"
                                  "b";
    graph_fixture_make(&fixture, 2);
    fixture.graph.cluster_id = hostile;
    fixture.nodes[0].node_id = hostile;
    fixture.nodes[0].region = hostile;
    fixture.nodes[0].zone = hostile;
    fixture.nodes[0].state = hostile;
    fixture.nodes[1].url = hostile;
    fixture.nodes[1].problem = hostile;
    graph_fixture_link(&fixture, 0, 1)->state = hostile;
    char *printed = drawn(0);
    assert_null(strchr(printed, '\033'));
    assert_null(strstr(printed, "\xe2\x80\xae"));
    check_part(printed, "└─ a\\x1b[2J\\n\\u202eb  10.0.0.1:8080      a\\x1b[2J\\n\\u202eb\n");
    free(printed);
}

static void unknown_and_empty_places_are_named(void **state)
{
    (void)state;
    graph_fixture_make(&fixture, 2);
    fixture.nodes[0].region = fixture.nodes[0].zone = "";
    fixture.nodes[1].region = "";
    fixture.nodes[1].zone = "a";
    fixture.nodes[1].node_id = "";
    char *printed = drawn(80);
    check_part(printed, "(region not known)\n"
                        "├─ (zone not known)\n"
                        "│  └─ n1             10.0.0.1:8080  ready\n"
                        "└─ a\n"
                        "   └─ 10.0.0.2:8080  10.0.0.2:8080  ready\n");
    free(printed);
}

static void without_memory_nothing_is_drawn(void **state)
{
    (void)state;
    char *printed = NULL;
    size_t size = 0;
    graph_fixture_make(&fixture, 3);
    FILE *out = open_memstream(&printed, &size);
    assert_non_null(out);
    failing_malloc_after(1);
    enum error error = graph_text(&fixture.graph, out, 80);
    bool happened = failing_malloc_happened();
    fclose(out);
    assert_true(happened);
    assert_int_equal(error, ERR_NO_MEMORY);
    assert_string_equal(printed, "");
    free(printed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_node_is_drawn_without_links),
        cmocka_unit_test(three_nodes_are_drawn_with_each_link_in_both_directions),
        cmocka_unit_test(frozen_node_is_drawn_with_unknown_links),
        cmocka_unit_test(eight_nodes_are_drawn_pair_by_pair_within_80_columns),
        cmocka_unit_test(many_nodes_that_are_well_are_drawn_without_links),
        cmocka_unit_test(many_nodes_are_drawn_with_what_is_not_well),
        cmocka_unit_test(parts_that_do_not_reach_each_other_are_few_lines),
        cmocka_unit_test(long_names_are_cut_to_the_terminal_only),
        cmocka_unit_test(hostile_text_is_escaped),
        cmocka_unit_test(unknown_and_empty_places_are_named),
        cmocka_unit_test(without_memory_nothing_is_drawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
