/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/output/graph/graph_text.h"

#include "artemis/output/view_cluster.h"
#include "artemis/terminal/terminal_text.h"

#include <stdlib.h>
#include <string.h>

enum {
    TREE_COLUMNS = 6,   /* "│  ├─ " */
    STATE_COLUMNS = 23, /* "ready, under-replicated" */
    NAME_MIN = 8,       /* a name or an address is not cut below this */
    LABEL_MIN = 4,      /* so a label of a link */
    GAP = 2,            /* between columns */
    LATE_MS = 1000,     /* a lag that is shown also of a link that is not well */
    ALONE_MAX = 3,      /* more links of one node in one state are one line */
};

/* Widths of the columns, in columns of text. */
struct layout {
    const struct cluster_graph *graph;
    FILE *out;
    size_t columns_max;
    size_t name, address; /* of the list of nodes */
    size_t end;           /* a name of the list of links */
    size_t label;
};

const char *graph_link_label(const struct graph_link *link, char text[GRAPH_LABEL_MAX])
{
    char span[VIEW_SPAN_MAX];
    bool is_well = graph_link_level(link) == GRAPH_WELL;
    bool is_late = link->backlog > 0 || link->lag_ms >= LATE_MS;
    bool shows_lag = link->has_lag && (is_well || is_late);
    if (!link->state)
        return "?";
    if (is_well && shows_lag)
        snprintf(text, GRAPH_LABEL_MAX, "%s", view_span(link->lag_ms, span));
    else
        snprintf(text, GRAPH_LABEL_MAX, "%.24s%s%s", link->state, shows_lag ? " " : "",
                 shows_lag ? view_span(link->lag_ms, span) : "");
    return text;
}

/* --- printing --------------------------------------------------------------------------------- */

static void repeat(FILE *out, const char *piece, size_t count)
{
    while (count-- > 0)
        fputs(piece, out);
}

/* The text in a column of this width. */
static void print_padded(FILE *out, const char *text, size_t width)
{
    size_t printed = terminal_text_print(out, text, width);
    repeat(out, " ", printed < width ? width - printed : 0);
}

static size_t lesser(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t greater(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* --- layout ----------------------------------------------------------------------------------- */

/* Narrows the wider of two columns until both fit. */
static void shrink(size_t *a, size_t *b, size_t minimum, size_t columns)
{
    while (*a + *b > columns && greater(*a, *b) > minimum) {
        size_t *wider = *a > *b ? a : b;
        (*wider)--;
    }
}

static size_t widest_label(const struct cluster_graph *graph)
{
    char text[GRAPH_LABEL_MAX];
    size_t widest = LABEL_MIN;
    for (size_t i = 0; i < graph->node_count * graph->node_count; i++)
        widest = greater(widest, terminal_text_width(graph_link_label(&graph->links[i], text)));
    return widest;
}

/* A line of a pair has two names, two labels, and: " ◀─ label ─┊─ label ─▶ ". */
static struct layout layout_of(const struct cluster_graph *graph, FILE *out, size_t columns_max)
{
    enum { PAIR_COLUMNS = 13 };
    struct layout layout = {.graph = graph, .out = out, .columns_max = columns_max};
    for (size_t i = 0; i < graph->node_count; i++) {
        const struct graph_node *node = &graph->nodes[i];
        layout.name = greater(layout.name, terminal_text_width(graph_node_name(node)));
        layout.address = greater(layout.address, terminal_text_width(graph_node_address(node)));
    }
    layout.end = layout.name;
    layout.label = widest_label(graph);
    if (columns_max == 0)
        return layout;
    size_t fixed = TREE_COLUMNS + 2 * GAP + STATE_COLUMNS;
    shrink(&layout.name, &layout.address, NAME_MIN, columns_max > fixed ? columns_max - fixed : 0);
    size_t half = columns_max > PAIR_COLUMNS ? (columns_max - PAIR_COLUMNS) / 2 : 0;
    size_t label = layout.label;
    shrink(&layout.end, &label, NAME_MIN, half);
    layout.label = label;
    return layout;
}

/* --- nodes ------------------------------------------------------------------------------------ */

static bool is_same_zone(const struct graph_node *a, const struct graph_node *b)
{
    return strcmp(a->region, b->region) == 0 && strcmp(a->zone, b->zone) == 0;
}

/* Whether the zone of a node is the last one of its region. */
static bool is_last_zone(const struct cluster_graph *graph, size_t index)
{
    const struct graph_node *node = &graph->nodes[index];
    while (index < graph->node_count && is_same_zone(&graph->nodes[index], node))
        index++;
    return index == graph->node_count || strcmp(graph->nodes[index].region, node->region) != 0;
}

static void print_place(const struct layout *layout, const char *before, const char *name,
                        const char *unknown)
{
    size_t columns = layout->columns_max;
    fputs(before, layout->out);
    terminal_text_print(layout->out, *name ? name : unknown,
                        columns > GAP + 1 ? columns - GAP - 1 : columns);
    fputc('\n', layout->out);
}

static void print_problem(const struct layout *layout, const char *before, bool is_last,
                          const char *problem)
{
    static const size_t indent = TREE_COLUMNS + GAP;
    size_t columns = layout->columns_max;
    fprintf(layout->out, "%s%s  ", before, is_last ? "   " : "│  ");
    terminal_text_print(layout->out, problem, columns > indent ? columns - indent : columns);
    fputc('\n', layout->out);
}

static void print_node(const struct layout *layout, size_t index)
{
    const struct cluster_graph *graph = layout->graph;
    const struct graph_node *node = &graph->nodes[index];
    const char *before = is_last_zone(graph, index) ? "   " : "│  ";
    bool is_last = index + 1 == graph->node_count || !is_same_zone(node, node + 1);
    fprintf(layout->out, "%s%s ", before, is_last ? "└─" : "├─");
    print_padded(layout->out, graph_node_name(node), layout->name);
    repeat(layout->out, " ", GAP);
    print_padded(layout->out, graph_node_address(node), layout->address);
    repeat(layout->out, " ", GAP);
    terminal_text_print(layout->out, node->state, layout->columns_max ? STATE_COLUMNS : 0);
    fputs(node->is_under_replicated ? ", under-replicated\n" : "\n", layout->out);
    if (*node->problem)
        print_problem(layout, before, is_last, node->problem);
}

static void print_nodes(const struct layout *layout)
{
    const struct cluster_graph *graph = layout->graph;
    for (size_t i = 0; i < graph->node_count; i++) {
        const struct graph_node *node = &graph->nodes[i];
        if (i == 0 || strcmp(node->region, node[-1].region) != 0)
            print_place(layout, "", node->region, "(region not known)");
        if (i == 0 || !is_same_zone(node, &node[-1]))
            print_place(layout, is_last_zone(graph, i) ? "└─ " : "├─ ", node->zone,
                        "(zone not known)");
        print_node(layout, i);
    }
}

/* --- links ------------------------------------------------------------------------------------ */

static const struct {
    const char *to_left, *to_right, *line;
} arrows[GRAPH_LEVELS] = {
    [GRAPH_WELL] = {"◀", "▶", "─"},
    [GRAPH_WARNING] = {"◁", "▷", "─"},
    [GRAPH_BAD] = {"✕", "✕", "─"},
    [GRAPH_UNKNOWN] = {"┄", "┄", "┄"},
};

/* "n1 ◀─── 4 ms ─┊─ 3 ms ───▶ n2": the labels end at the middle. */
static void print_pair(const struct layout *layout, size_t left, size_t right)
{
    char text[GRAPH_LABEL_MAX];
    FILE *out = layout->out;
    const struct graph_link *link = cluster_graph_link(layout->graph, right, left);
    enum graph_level level = graph_link_level(link);
    const char *label = graph_link_label(link, text);
    size_t rest = layout->label - lesser(layout->label, terminal_text_width(label));
    print_padded(out, graph_node_name(&layout->graph->nodes[left]), layout->end);
    fprintf(out, " %s", arrows[level].to_left);
    repeat(out, arrows[level].line, rest + 1);
    fputc(' ', out);
    terminal_text_print(out, label, layout->label);
    fprintf(out, " %s┊", arrows[level].line);

    link = cluster_graph_link(layout->graph, left, right);
    level = graph_link_level(link);
    label = graph_link_label(link, text);
    rest = layout->label - lesser(layout->label, terminal_text_width(label));
    fprintf(out, "%s ", arrows[level].line);
    terminal_text_print(out, label, layout->label);
    fputc(' ', out);
    repeat(out, arrows[level].line, rest + 1);
    fprintf(out, "%s ", arrows[level].to_right);
    terminal_text_print(out, graph_node_name(&layout->graph->nodes[right]), layout->end);
    fputc('\n', out);
}

/* --- groups of links, in large clusters ------------------------------------------------------- */

/* The links of one node in one state: those that end at it, or those that begin there. */
struct group {
    size_t node;
    bool ends_there;
    const struct graph_link *first;
    size_t count;
    const struct graph_link *oldest; /* the one with the highest lag */
};

static size_t place_of(const struct cluster_graph *graph, const struct group *group, size_t other)
{
    return group->ends_there ? other * graph->node_count + group->node
                             : group->node * graph->node_count + other;
}

static bool is_not_well(const struct graph_link *link)
{
    enum graph_level level = graph_link_level(link);
    return level == GRAPH_WARNING || level == GRAPH_BAD;
}

static bool belongs(const struct cluster_graph *graph, const struct group *group, size_t other,
                    const bool shown[])
{
    size_t place = place_of(graph, group, other);
    const struct graph_link *link = &graph->links[place];
    return other != group->node && !shown[place] && is_not_well(link) &&
           strcmp(link->state, group->first->state) == 0;
}

static void count_group(const struct cluster_graph *graph, struct group *group, const bool shown[])
{
    group->oldest = group->first;
    for (size_t i = 0; i < graph->node_count; i++) {
        if (!belongs(graph, group, i, shown))
            continue;
        const struct graph_link *link = &graph->links[place_of(graph, group, i)];
        group->count++;
        if (link->lag_ms > group->oldest->lag_ms)
            group->oldest = link;
    }
}

/* "63 nodes ── down 12 s ──✕ n64" */
static void print_group(const struct layout *layout, const struct group *group)
{
    char text[GRAPH_LABEL_MAX];
    const char *name = graph_node_name(&layout->graph->nodes[group->node]);
    enum graph_level level = graph_link_level(group->first);
    if (group->ends_there)
        fprintf(layout->out, "%zu nodes", group->count);
    else
        terminal_text_print(layout->out, name, layout->end);
    fputs(" ── ", layout->out);
    terminal_text_print(layout->out, graph_link_label(group->oldest, text), 0);
    fprintf(layout->out, " ──%s ", arrows[level].to_right);
    if (group->ends_there)
        terminal_text_print(layout->out, name, layout->end);
    else
        fprintf(layout->out, "%zu nodes", group->count);
    fputc('\n', layout->out);
}

/* Prints the groups of a node, and marks their links as shown. */
static void print_groups(const struct layout *layout, size_t node, bool ends_there, bool shown[])
{
    const struct cluster_graph *graph = layout->graph;
    for (size_t i = 0; i < graph->node_count; i++) {
        struct group group = {.node = node, .ends_there = ends_there};
        group.first = &graph->links[place_of(graph, &group, i)];
        if (!is_not_well(group.first) || !belongs(graph, &group, i, shown))
            continue;
        count_group(graph, &group, shown);
        if (group.count <= ALONE_MAX)
            continue;
        print_group(layout, &group);
        const struct group printed = group;
        for (size_t other = 0; other < graph->node_count; other++)
            if (belongs(graph, &printed, other, shown))
                shown[place_of(graph, &printed, other)] = true;
    }
}

/* Prints what is not well in a large cluster. */
static void print_exceptions(const struct layout *layout, bool shown[])
{
    const struct cluster_graph *graph = layout->graph;
    size_t count = graph->node_count;
    for (int ends_there = 1; ends_there >= 0; ends_there--)
        for (size_t node = 0; node < count; node++)
            print_groups(layout, node, ends_there, shown);
    for (size_t left = 0; left < count; left++)
        for (size_t right = left + 1; right < count; right++) {
            size_t there = left * count + right;
            size_t back = right * count + left;
            if ((is_not_well(&graph->links[there]) && !shown[there]) ||
                (is_not_well(&graph->links[back]) && !shown[back]))
                print_pair(layout, left, right);
        }
}

/* --- summary ---------------------------------------------------------------------------------- */

static void print_links(const struct layout *layout, const struct graph_summary *summary,
                        bool shown[])
{
    const struct cluster_graph *graph = layout->graph;
    bool is_large = graph->node_count > GRAPH_PAIRS_NODES;
    if (is_large && summary->well + summary->unknown == summary->links)
        return;
    if (is_large)
        fputs("links that are not well (◁ ▷ doubtful, ✕ nothing arrives, ? not known):\n",
              layout->out);
    else
        fputs("links (◀ ▶ lag if well, ◁ ▷ doubtful, ✕ nothing arrives, ? not known):\n",
              layout->out);
    if (is_large)
        print_exceptions(layout, shown);
    for (size_t left = 0; left < graph->node_count && !is_large; left++)
        for (size_t right = left + 1; right < graph->node_count; right++)
            print_pair(layout, left, right);
    fputc('\n', layout->out);
}

static void print_summary(const struct layout *layout, const struct graph_summary *summary)
{
    char well[VIEW_COUNT_MAX];
    char links[VIEW_COUNT_MAX];
    char span[VIEW_SPAN_MAX];
    FILE *out = layout->out;
    const struct graph_node *nodes = layout->graph->nodes;
    fprintf(out, "%s of %s link%s %s well", terminal_text_count(summary->well, well),
            terminal_text_count(summary->links, links), summary->links == 1 ? "" : "s",
            summary->well == 1 ? "is" : "are");
    if (summary->from != summary->to) {
        fprintf(out, "\ntheir highest lag is %s, from ", view_span(summary->lag_ms, span));
        terminal_text_print(out, graph_node_name(&nodes[summary->from]), layout->end);
        fputs(" to ", out);
        terminal_text_print(out, graph_node_name(&nodes[summary->to]), layout->end);
    }
    fputc('\n', out);
    if (summary->unknown > 0)
        fprintf(out, "%s link%s of nodes that have not reported: not known\n",
                terminal_text_count(summary->unknown, links), summary->unknown == 1 ? "" : "s");
}

enum error graph_text(const struct cluster_graph *graph, FILE *out, size_t columns_max)
{
    struct layout layout = layout_of(graph, out, columns_max);
    struct graph_summary summary = cluster_graph_summary(graph);
    bool *shown = calloc(graph->node_count * graph->node_count + 1, sizeof *shown);
    if (!shown)
        return ERR_NO_MEMORY;
    fputs("cluster ", out);
    terminal_text_print(out, graph->cluster_id, 0);
    fprintf(out, ": %zu of %zu nodes %s ready\n\n", summary.ready, graph->node_count,
            graph->node_count == 1 ? "is" : "are");
    print_nodes(&layout);
    fputc('\n', out);
    if (graph->node_count > 1) {
        print_links(&layout, &summary, shown);
        print_summary(&layout, &summary);
    }
    if (graph->omitted > 0)
        fprintf(out, "the drawing has the first %d nodes; others were left out\n", GRAPH_NODES_MAX);
    free(shown);
    return ERR_NONE;
}
