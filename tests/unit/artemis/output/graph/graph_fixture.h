/* SPDX-License-Identifier: Apache-2.0
 *
 * graph_fixture - graphs for tests of what is drawn, and what a function prints.
 */
#pragma once

#include "artemis/output/graph/cluster_graph.h"
#include "artemis/terminal/terminal_text.h"
#include "tests/support/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct graph_fixture {
    struct cluster_graph graph;
    struct graph_node nodes[GRAPH_NODES_MAX];
    struct graph_link links[GRAPH_NODES_MAX * GRAPH_NODES_MAX];
    char texts[GRAPH_NODES_MAX][3][32];
};

/* Nodes that are ready, in two zones of two regions each; all links are up with a lag of 3 ms. */
static inline void graph_fixture_make(struct graph_fixture *fixture, size_t count)
{
    static const char *const places[4][2] = {
        {"eu", "eu-a"}, {"eu", "eu-b"}, {"us", "us-a"}, {"us", "us-b"}};
    memset(fixture, 0, sizeof *fixture);
    fixture->graph = (struct cluster_graph){"artemis", fixture->nodes, count, fixture->links, 0};
    for (size_t i = 0; i < count; i++) {
        const char *const *place = places[i * 4 / count];
        snprintf(fixture->texts[i][0], sizeof fixture->texts[i][0], "n%zu", i + 1);
        snprintf(fixture->texts[i][1], sizeof fixture->texts[i][1], "http://10.0.0.%zu:8080",
                 i + 1);
        fixture->nodes[i] = (struct graph_node){.node_id = fixture->texts[i][0],
                                                .url = fixture->texts[i][1],
                                                .region = place[0],
                                                .zone = place[1],
                                                .version = "",
                                                .state = "ready",
                                                .problem = "",
                                                .has_reported = true};
    }
    for (size_t i = 0; i < count * count; i++)
        if (i % (count + 1) != 0)
            fixture->links[i] = (struct graph_link){"up", true, 3, 0, ""};
}

static inline struct graph_link *graph_fixture_link(struct graph_fixture *fixture, size_t from,
                                                    size_t to)
{
    return &fixture->links[from * fixture->graph.node_count + to];
}

static inline struct graph_link graph_fixture_down(uint64_t lag_ms)
{
    return (struct graph_link){"down", true, lag_ms, 1, "connection refused"};
}

/* The node does not respond, as after SIGSTOP; the others report the state. */
static inline void graph_fixture_freeze(struct graph_fixture *fixture, size_t node,
                                        const char *state, uint64_t lag_ms)
{
    fixture->nodes[node].state = state;
    fixture->nodes[node].problem = "it did not respond in time";
    fixture->nodes[node].has_reported = false;
    for (size_t i = 0; i < fixture->graph.node_count; i++) {
        *graph_fixture_link(fixture, node, i) = (struct graph_link){0};
        if (i != node)
            *graph_fixture_link(fixture, i, node) = (struct graph_link){state, true, lag_ms, 1, ""};
    }
}

/* The longest line, in columns. */
static inline size_t graph_fixture_width(const char *printed)
{
    char line[2048];
    size_t longest = 0;
    for (size_t size; *printed; printed += size + (printed[size] == '\n')) {
        size = strcspn(printed, "\n");
        snprintf(line, sizeof line, "%.*s", (int)size, printed);
        size_t width = terminal_text_width(line);
        longest = width > longest ? width : longest;
    }
    return longest;
}

static inline size_t graph_fixture_lines(const char *printed)
{
    size_t lines = 0;
    for (; *printed; printed++)
        lines += *printed == '\n';
    return lines;
}
