/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/output/graph/graph_dot.h"

#include "artemis/output/graph/graph_text.h"
#include "artemis/output/view_cluster.h"
#include "artemis/terminal/terminal_text.h"

#include <string.h>

/* By enum graph_level. */
static const struct {
    const char *fill, *line, *style;
} looks[GRAPH_LEVELS] = {
    [GRAPH_WELL] = {"palegreen", "darkgreen", "solid"},
    [GRAPH_WARNING] = {"khaki", "darkorange", "solid"},
    [GRAPH_BAD] = {"lightpink", "red", "bold"},
    [GRAPH_UNKNOWN] = {"white", "gray", "dashed"},
};

/* Prints text for the inside of a label. Graphviz reads escapes, and entities such as &lt;. */
static void print_text(FILE *out, const char *text)
{
    char piece[TERMINAL_PIECE_MAX];
    for (const char *end = text + strlen(text); text < end;) {
        (void)terminal_text_piece(&text, (size_t)(end - text), piece);
        for (const char *at = piece; *at; at++) {
            if (*at == '&')
                fputs("&amp;", out);
            else if (*at == '"' || *at == '\\')
                fprintf(out, "\\%c", *at);
            else
                fputc(*at, out);
        }
    }
}

static void print_node(const struct graph_node *node, size_t index, FILE *out)
{
    fprintf(out, "      n%zu [label=\"", index);
    print_text(out, graph_node_name(node));
    if (*node->node_id && *node->url) {
        fputs("\\n", out);
        print_text(out, graph_node_address(node));
    }
    fputs("\\n", out);
    print_text(out, node->state);
    if (node->is_under_replicated)
        fputs(", under-replicated", out);
    if (!node->has_reported)
        fputs("\\n(has not reported)", out);
    fprintf(out, "\", fillcolor=%s];\n", looks[graph_node_level(node)].fill);
}

/* Opens a cluster of Graphviz, whose name must begin with "cluster". */
static void open_cluster(FILE *out, const char *indent, size_t index, const char *kind,
                         const char *name)
{
    fprintf(out, "%ssubgraph cluster_%s_%zu {\n%s  label=\"%s ", indent, kind, index, indent, kind);
    print_text(out, *name ? name : "not known");
    fputs("\";\n", out);
}

static void print_nodes(const struct cluster_graph *graph, FILE *out)
{
    for (size_t i = 0; i < graph->node_count; i++) {
        const struct graph_node *node = &graph->nodes[i];
        bool is_first_of_region = i == 0 || strcmp(node->region, node[-1].region) != 0;
        bool is_first_of_zone = is_first_of_region || strcmp(node->zone, node[-1].zone) != 0;
        if (i > 0 && is_first_of_zone)
            fputs("    }\n", out);
        if (i > 0 && is_first_of_region)
            fputs("  }\n", out);
        if (is_first_of_region)
            open_cluster(out, "  ", i, "region", node->region);
        if (is_first_of_zone)
            open_cluster(out, "    ", i, "zone", node->zone);
        print_node(node, i, out);
    }
    if (graph->node_count > 0)
        fputs("    }\n  }\n", out);
}

static void print_link(const struct cluster_graph *graph, size_t from, size_t to, FILE *out)
{
    char text[GRAPH_LABEL_MAX];
    const struct graph_link *link = cluster_graph_link(graph, from, to);
    enum graph_level level = graph_link_level(link);
    bool is_large = graph->node_count > GRAPH_PAIRS_NODES;
    if (is_large && (level == GRAPH_WELL || level == GRAPH_UNKNOWN))
        return;
    fprintf(out, "  n%zu -> n%zu [label=\"", from, to);
    print_text(out, graph_link_label(link, text));
    fprintf(out, "\", color=%s, fontcolor=%s, style=%s];\n", looks[level].line, looks[level].line,
            looks[level].style);
}

void graph_dot(const struct cluster_graph *graph, FILE *out)
{
    char span[VIEW_SPAN_MAX];
    struct graph_summary summary = cluster_graph_summary(graph);
    fputs("digraph artemis {\n  label=\"cluster ", out);
    print_text(out, graph->cluster_id);
    fprintf(out, ": %zu of %zu node%s %s ready\\n%zu of %zu link%s %s well", summary.ready,
            graph->node_count, graph->node_count == 1 ? "" : "s", summary.ready == 1 ? "is" : "are",
            summary.well, summary.links, summary.links == 1 ? "" : "s",
            summary.well == 1 ? "is" : "are");
    if (summary.from != summary.to)
        fprintf(out, "\\ntheir highest lag is %s", view_span(summary.lag_ms, span));
    if (summary.unknown > 0)
        fprintf(out, "\\n%zu link%s of nodes that have not reported: not known", summary.unknown,
                summary.unknown == 1 ? "" : "s");
    fputs("\";\n  node [shape=box, style=\"rounded,filled\"];\n", out);
    print_nodes(graph, out);
    for (size_t from = 0; from < graph->node_count; from++)
        for (size_t to = 0; to < graph->node_count; to++)
            if (from != to)
                print_link(graph, from, to, out);
    fputs("}\n", out);
}
