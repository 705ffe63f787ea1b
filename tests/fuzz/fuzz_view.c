/* SPDX-License-Identifier: Apache-2.0
 *
 * Responses of a server and of the admin socket, and records of the audit log, as the commands
 * print them. The first byte selects the HTTP status, the second the width of the terminal; the
 * rest is the body, which is also every text of the header. A byte 0xff starts the response of the
 * next peer, for the graph of a cluster.
 *
 * Whatever a server sends, only valid UTF-8 without control characters reaches the terminal, no
 * text of a node ends a string of a DOT file, and JSON stays the same JSON.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artemis/call/call_response.h"
#include "artemis/output/graph/graph_dot.h"
#include "artemis/output/graph/graph_text.h"
#include "artemis/output/view.h"
#include "artemis/output/view_admin.h"
#include "artemis/output/view_audit.h"
#include "artemis/output/view_cluster.h"
#include "artemis/output/view_cluster_events.h"
#include "artemis/output/view_leases.h"
#include "artemis/terminal/terminal_text.h"
#include "tests/fuzz/support/fuzz.h"

enum { STATUSES = 8, TIME_BYTES = 40, PEERS_MAX = 8 };

static const int statuses[STATUSES] = {200, 200, 200, 301, 400, 404, 429, 503};

/* --- the terminal ----------------------------------------------------------------------------- */

static struct {
    FILE *out;
    char *printed;
    size_t size;
} terminal;

static void begin(void)
{
    terminal.out = open_memstream(&terminal.printed, &terminal.size);
    assert(terminal.out);
}

static void end(void)
{
    fclose(terminal.out);
    struct slice text = {terminal.printed, terminal.size};
    assert(text_is_utf8(text));
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        assert(c == '\n' || (c >= 0x20 && c != 0x7f));
        assert(c != 0xc2 || (unsigned char)text.data[i + 1] >= 0xa0); /* C1 controls */
    }
    free(terminal.printed);
}

/* --- views ------------------------------------------------------------------------------------ */

static void print_views(const json_t *root, const struct call_response *response, size_t columns)
{
    char text[VIEW_GUARD_MAX];
    const struct service_view view = {
        .service = "s", .all = columns % 2, .wide = columns % 3 == 0, .columns_max = columns};
    begin();
    enum error error = view_services(root, terminal.out, columns);
    assert(!error);
    end();
    begin();
    view_service(root, &view, terminal.out);
    end();
    begin();
    view_status(root, response, root, terminal.out);
    end();
    begin();
    view_settings(root, terminal.out, columns);
    end();
    begin();
    view_cluster(root, terminal.out, columns);
    end();
    begin();
    view_leases(root, terminal.out, columns);
    end();
    begin();
    view_guards(root, columns % 2 ? "s" : NULL, terminal.out, columns);
    end();
    begin();
    terminal_text_print(terminal.out, view_guard_summary(root, text), 0);
    end();
    begin();
    view_cluster_events(root, terminal.out, columns);
    end();
    begin();
    view_admin_status(root, terminal.out);
    view_reload(root, terminal.out);
    end();
    (void)view_reload_has_failed(root);
    (void)view_cluster_is_healthy(root);
    (void)view_guard_is_engaged(root, "s");
    (void)view_guard_is_engaged(root, NULL);
}

/* A line of the audit log. */
static void print_record(const json_t *root, struct slice body, size_t columns)
{
    char text[TIME_BYTES];
    struct audit_filter filter = {.token = "t", .action = "a"};
    size_t size = body.size < sizeof(text) ? body.size : sizeof(text) - 1;
    memcpy(text, body.data, size);
    text[size] = '\0';
    (void)audit_filter_since(&filter, text, (uint64_t)1 << 40);
    (void)audit_filter_matches(&filter, root);
    begin();
    view_audit_record(root, terminal.out, columns);
    end();
}

static void print_json(const json_t *root, struct slice body)
{
    begin();
    terminal_text_print_json(terminal.out, body.data, body.size);
    fflush(terminal.out);
    json_t *again = json_loadb(terminal.printed, terminal.size, JSON_ALLOW_NUL, NULL);
    assert(json_equal(root, again));
    json_decref(again);
    end();
}

/* --- the graph of a cluster ------------------------------------------------------------------- */

static json_t *of_peers[PEERS_MAX]; /* their responses; NULL: it has failed */

/* Each line outside of strings has only what graph_dot writes itself. */
static void check_dot(struct slice text)
{
    bool is_string = false;
    for (size_t i = 0; i < text.size; i++) {
        if (is_string && text.data[i] == '\\')
            i++;
        else if (text.data[i] == '"')
            is_string = !is_string;
        else
            assert(text.data[i] != '\n' || !is_string);
        assert(is_string || text.data[i] == '"' || (unsigned char)text.data[i] < 0x80);
    }
    assert(!is_string);
}

static void draw(const struct cluster_graph *graph, size_t columns)
{
    struct text json = {0};
    begin();
    enum error error = graph_text(graph, terminal.out, columns);
    assert(!error);
    end();
    begin();
    graph_dot(graph, terminal.out);
    fflush(terminal.out);
    check_dot((struct slice){terminal.printed, terminal.size});
    end();
    cluster_graph_write_json(graph, &json);
    fuzz_check_response(&json);
}

static void check_graph(const struct cluster_graph *graph)
{
    assert(graph->node_count <= GRAPH_NODES_MAX);
    for (size_t i = 0; i < graph->node_count; i++) {
        assert(graph->nodes[i].state[0]);
        assert(graph_node_level(&graph->nodes[i]) < GRAPH_LEVELS);
        for (size_t j = 0; j < graph->node_count; j++)
            assert(i == j || graph_link_level(cluster_graph_link(graph, i, j)) < GRAPH_LEVELS);
    }
}

static void read_graph(const json_t *root, size_t columns)
{
    struct cluster_graph graph = {0};
    size_t peers = cluster_graph_peer_count(root);
    struct graph_response *responses = calloc(peers + 1, sizeof(*responses));
    assert(responses);
    for (size_t i = 0; i < peers; i++) {
        const char *problem = NULL;
        const char *url = cluster_graph_url_to_call(root, i, &problem);
        assert(url || problem);
        bool has_response = url && i < PEERS_MAX && of_peers[i];
        responses[i] = (struct graph_response){has_response ? of_peers[i] : NULL,
                                               has_response ? NULL : "it has failed"};
    }
    enum error error = cluster_graph_read(&graph, root, responses);
    assert(!error);
    check_graph(&graph);
    draw(&graph, columns);
    cluster_graph_free(&graph);
    free(responses);
}

/* Reads the responses of peers, and returns the size of the first response. */
static size_t split_responses(struct slice body)
{
    const char *end = body.data + body.size;
    const char *first_end = memchr(body.data, 0xff, body.size);
    const char *at = first_end;
    for (size_t i = 0; i < PEERS_MAX; i++) {
        of_peers[i] = NULL;
        if (!at)
            continue;
        const char *next = memchr(at + 1, 0xff, (size_t)(end - at - 1));
        size_t size = (size_t)((next ? next : end) - at - 1);
        of_peers[i] = json_loadb(at + 1, size, JSON_ALLOW_NUL, NULL);
        at = next;
    }
    return first_end ? (size_t)(first_end - body.data) : body.size;
}

static void free_responses(void)
{
    for (size_t i = 0; i < PEERS_MAX; i++)
        json_decref(of_peers[i]);
}

/* --- responses -------------------------------------------------------------------------------- */

static void set_header(char to[CALL_HEADER_MAX], struct slice body)
{
    size_t size = body.size < CALL_HEADER_MAX - 1 ? body.size : CALL_HEADER_MAX - 1;
    if (size)
        memcpy(to, body.data, size);
    to[size] = '\0';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct slice body = fuzz_slice(data + 2, size - 2);
    body.size = split_responses(body);
    struct call_response response = {.transfer =
                                         data[0] % 16 == 15 ? TRANSFER_INTERRUPTED : TRANSFER_DONE,
                                     .http_status = statuses[data[0] % STATUSES],
                                     .retry_after_secs = data[1]};
    struct call_outcome outcome = {0};
    json_t *root = NULL;
    set_header(response.location, body);
    set_header(response.node, body);
    set_header(response.cluster, body);
    set_header(response.state, body);
    set_header(response.detail, body);
    text_append_slice(&response.body, body);
    call_response_evaluate(&response, "http://127.0.0.1:1", &outcome, &root);
    assert((outcome.exit_code == EXIT_DONE) == !outcome.message[0]);
    begin();
    terminal_text_print_error(terminal.out, outcome.hint, "%s", outcome.message);
    end();
    if (root) {
        call_response_require(root, "service.instances", "http://127.0.0.1:1", &outcome);
        print_views(root, &response, data[1]);
        print_record(root, body, data[1]);
        read_graph(root, data[1]);
        print_json(root, body);
    }
    json_decref(root);
    free_responses();
    text_free(&response.body);
    return 0;
}
