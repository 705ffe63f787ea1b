/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/output/view_cluster.h"

#include "artemis/call/call_response.h"
#include "artemis/output/table.h"
#include "artemis/output/view.h"
#include "artemis/terminal/terminal_text.h"

#include <inttypes.h>
#include <string.h>

static const char plain_http[] = "http://";

const char *view_span(uint64_t span_ms, char text[VIEW_SPAN_MAX])
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {{"d", 86400000}, {"h", 3600000}, {"min", 60000}, {"s", 1000}, {"ms", 1}};
    size_t unit = 0;
    while (unit < 4 && span_ms < units[unit].ms)
        unit++;
    snprintf(text, VIEW_SPAN_MAX, "%" PRIu64 " %s", span_ms / units[unit].ms, units[unit].name);
    return text;
}

/* --- a peer ----------------------------------------------------------------------------------- */

static const json_t *number_of(const json_t *object, const char *name)
{
    const json_t *number = call_response_field(object, name);
    return json_is_integer(number) ? number : NULL;
}

static bool is_self(const json_t *peer)
{
    return strcmp(call_response_text(peer, "health"), "self") == 0;
}

static bool is_healthy(const json_t *peer)
{
    return is_self(peer) || (strcmp(call_response_text(peer, "health"), "up") == 0 &&
                             json_is_true(call_response_field(peer, "ready")));
}

/* "not ready" for a peer that is up and not ready; otherwise its health. */
static const char *health_of(const json_t *peer)
{
    const char *health = call_response_text(peer, "health");
    return strcmp(health, "up") == 0 && !is_healthy(peer) ? "not ready" : health;
}

/* The address in the form that NODE and --server accept. */
static const char *address_of(const json_t *peer)
{
    const char *url = call_response_text(peer, "url");
    size_t length = strlen(plain_http);
    return strncmp(url, plain_http, length) == 0 ? url + length : url;
}

static const char *span_of(const json_t *peer, const char *field, char *scratch)
{
    const json_t *span = number_of(peer, field);
    return span ? view_span((uint64_t)json_integer_value(span), scratch) : "-";
}

/* How long ago, in seconds or larger units. */
static const char *ago_of(const json_t *peer, const char *field, char *scratch)
{
    const json_t *span = number_of(peer, field);
    return span && json_integer_value(span) < 1000 ? "<1 s" : span_of(peer, field, scratch);
}

static const char *count_of(const json_t *peer, const char *field, char *scratch)
{
    const json_t *count = number_of(peer, field);
    return count ? terminal_text_count((uint64_t)json_integer_value(count), scratch) : "-";
}

/* When the digests were last compared, and how many differed. */
static const char *compared(const json_t *peer, char *scratch)
{
    char span[VIEW_SPAN_MAX];
    json_int_t differing = json_integer_value(number_of(peer, "digests_differing"));
    if (!number_of(peer, "compared_ms_ago"))
        return "never";
    const char *ago = ago_of(peer, "compared_ms_ago", span);
    if (differing > 0)
        snprintf(scratch, TABLE_SCRATCH_MAX, "%s: %" JSON_INTEGER_FORMAT " differ", ago, differing);
    else
        snprintf(scratch, TABLE_SCRATCH_MAX, "%s: agree", ago);
    return scratch;
}

enum column { NODE, HEALTH, LAG, BACKLOG, FAILS, LAST_RESPONSE, COMPARED, ADDRESS, COLUMN_COUNT };

static const struct table_column columns[COLUMN_COUNT] = {
    [NODE] = {.title = "NODE"},
    [HEALTH] = {.title = "HEALTH"},
    [LAG] = {.title = "LAG", .right = true},
    [BACKLOG] = {.title = "BACKLOG", .right = true},
    [FAILS] = {.title = "FAILS", .right = true},
    [LAST_RESPONSE] = {.title = "HEARD", .right = true},
    [COMPARED] = {.title = "COMPARED"},
    [ADDRESS] = {.title = "ADDRESS"},
};

static const char *peer_cell(const void *rows, size_t row, size_t column, char *scratch)
{
    const json_t *peer = json_array_get(rows, row);
    const char *text = "";
    switch ((enum column)column) {
    case NODE:
        text = call_response_text(peer, "node_id");
        break;
    case HEALTH:
        text = health_of(peer);
        break;
    case LAG:
        return span_of(peer, "lag_ms", scratch);
    case BACKLOG:
        return count_of(peer, "backlog", scratch);
    case FAILS:
        return count_of(peer, "failures", scratch);
    case LAST_RESPONSE:
        return ago_of(peer, "heard_ms_ago", scratch);
    case COMPARED:
        return compared(peer, scratch);
    case ADDRESS:
        text = address_of(peer);
        break;
    case COLUMN_COUNT:
        break;
    }
    return *text ? text : "-";
}

static const char *last_error(const void *rows, size_t row, char *scratch)
{
    const json_t *peer = json_array_get(rows, row);
    const char *error = call_response_text(peer, "last_error");
    const char *time = call_response_text(peer, "last_error_time");
    if (*error == '\0')
        return "";
    snprintf(scratch, TABLE_SCRATCH_MAX, "last error%s%s: %s", *time ? " " : "", time, error);
    return scratch;
}

/* --- cluster  */

static const char *own_state(const json_t *root)
{
    const json_t *self = json_array_get(call_response_field(root, "nodes_status"), 0);
    return call_response_text(self, "state");
}

static size_t count_unhealthy(const json_t *peers)
{
    size_t unhealthy = 0;
    for (size_t i = 0; i < json_array_size(peers); i++)
        unhealthy += !is_healthy(json_array_get(peers, i));
    return unhealthy;
}

static size_t count_others(const json_t *peers)
{
    size_t others = 0;
    for (size_t i = 0; i < json_array_size(peers); i++)
        others += !is_self(json_array_get(peers, i));
    return others;
}

static bool is_under_replicated(const json_t *root)
{
    return json_is_true(call_response_field(root, "under_replicated"));
}

static bool is_blocked(const json_t *root)
{
    const json_t *self = json_array_get(call_response_field(root, "nodes_status"), 0);
    return json_is_true(call_response_field(self, "blocked"));
}

static const json_t *providers_of(const json_t *root)
{
    return call_response_field(call_response_field(root, "membership"), "providers");
}

static bool is_failing(const json_t *provider)
{
    return strcmp(call_response_text(provider, "state"), "failing") == 0;
}

static bool has_failing_provider(const json_t *root)
{
    const json_t *providers = providers_of(root);
    for (size_t i = 0; i < json_array_size(providers); i++)
        if (is_failing(json_array_get(providers, i)))
            return true;
    return false;
}

bool view_cluster_is_healthy(const json_t *root)
{
    const char *state = own_state(root);
    bool known = json_array_size(call_response_field(root, "nodes_status")) > 0;
    bool ready = *state == '\0' || strcmp(state, "ready") == 0;
    return known && ready && !is_blocked(root) && !is_under_replicated(root) &&
           !has_failing_provider(root) && count_unhealthy(call_response_field(root, "peers")) == 0;
}

static void print_self(const json_t *root, FILE *out)
{
    char scratch[TABLE_SCRATCH_MAX];
    const json_t *self = json_array_get(call_response_field(root, "nodes_status"), 0);
    const json_t *node = call_response_field(self, "node");
    view_row(out, "this node", call_response_text(node, "node_id"));
    view_row(out, "url", call_response_text(node, "url"));
    view_row(out, "zone", view_zone(call_response_field(node, "zone"), scratch));
    view_row(out, "cluster", call_response_text(self, "cluster_id"));
    view_row(out, "state", call_response_text(self, "state"));
    if (number_of(self, "instances"))
        view_row(out, "instances", count_of(self, "instances", scratch));
}

static void print_summary(const json_t *peers, FILE *out)
{
    size_t others = count_others(peers);
    size_t unhealthy = count_unhealthy(peers);
    if (unhealthy > 0)
        fprintf(out, "%zu of %zu peer%s %s not up and ready\n", unhealthy, others,
                others == 1 ? "" : "s", unhealthy == 1 ? "is" : "are");
    else if (others == 1)
        fputs("its only peer is up and ready\n", out);
    else
        fprintf(out, "%zu of %zu peers are up and ready\n", others, others);
}

static void print_size(const json_t *root, FILE *out)
{
    char up[TABLE_SCRATCH_MAX];
    char expected[TABLE_SCRATCH_MAX];
    if (is_under_replicated(root))
        fprintf(out, "under-replicated: %s of %s nodes are up and ready (cluster.expected_nodes)\n",
                count_of(root, "nodes_up", up), count_of(root, "expected_nodes", expected));
}

/* "n3 (10.0.0.9:8080)", or what is known of it. */
static void print_blocked_node(const json_t *block, FILE *out)
{
    const char *node_id = call_response_text(block, "node_id");
    const char *address = call_response_text(block, "address");
    terminal_text_print(out, *node_id ? node_id : address, 0);
    if (!*node_id || !*address)
        return;
    fputs(" (", out);
    terminal_text_print(out, address, 0);
    fputc(')', out);
}

static void print_text(FILE *out, const char *before, const char *text)
{
    if (!*text)
        return;
    fputs(before, out);
    terminal_text_print(out, text, 0);
}

static void print_blocked(const json_t *root, FILE *out)
{
    const json_t *blocked = call_response_field(root, "blocked");
    if (is_blocked(root))
        fputs("this node is blocked: the others refuse it (artemis cluster unblock)\n", out);
    for (size_t i = 0; i < json_array_size(blocked); i++) {
        const json_t *block = json_array_get(blocked, i);
        fputs("blocked: ", out);
        print_blocked_node(block, out);
        print_text(out, " by ", call_response_text(block, "by"));
        print_text(out, " at ", call_response_text(block, "at"));
        print_text(out, " since ", call_response_text(block, "since"));
        print_text(out, ": ", call_response_text(block, "reason"));
        fputc('\n', out);
    }
}

void view_cluster_order(const json_t *root, bool blocks, FILE *out)
{
    print_blocked_node(root, out);
    fputs(blocks ? " is blocked\n" : " is not blocked any more\n", out);
}

void view_cluster_unknown(const json_t *root, FILE *out)
{
    const json_t *known = call_response_field(root, "known");
    const char *node_id = call_response_text(root, "node_id");
    if (!json_is_false(known))
        return;
    terminal_text_print_error(
        out,
        "check the name: artemis cluster; an address is HOST:PORT; undo: artemis cluster unblock",
        "no peer has the %s %s now; a node with it will be refused", *node_id ? "id" : "address",
        *node_id ? node_id : call_response_text(root, "address"));
}

static void print_failing_provider(const json_t *provider, FILE *out)
{
    char scratch[TABLE_SCRATCH_MAX];
    fputs(" fails since ", out);
    terminal_text_print(out, call_response_text(provider, "failing_since"), 0);
    fprintf(out, "; its last list, of %s, stays: ", count_of(provider, "members", scratch));
    terminal_text_print(out, call_response_text(provider, "problem"), 0);
}

static void print_provider(const json_t *provider, FILE *out)
{
    const char *warning = call_response_text(provider, "warning");
    if (!is_failing(provider) && !warning[0])
        return;
    fputs("membership provider ", out);
    terminal_text_print(out, call_response_text(provider, "name"), 0);
    if (is_failing(provider))
        print_failing_provider(provider, out);
    else
        fputs(" warns: ", out), terminal_text_print(out, warning, 0);
    fputc('\n', out);
}

/* The membership providers that fail or warn. */
static void print_providers(const json_t *root, FILE *out)
{
    const json_t *providers = providers_of(root);
    for (size_t i = 0; i < json_array_size(providers); i++)
        print_provider(json_array_get(providers, i), out);
}

/* The setting from which a provider gets its list. NULL: it is not known here. */
static const char *setting_of(const char *provider)
{
    static const struct {
        const char *provider, *setting;
    } settings[] = {
        {"static", "cluster.peers"},   {"dns", "cluster.dns.names"},
        {"registry", "cluster.seeds"}, {"etcd", "cluster.etcd"},
        {"consul", "cluster.consul"},  {"kubernetes", "cluster.kubernetes.service"},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (strcmp(provider, settings[i].provider) == 0)
            return settings[i].setting;
    return NULL;
}

/* Where peers come from: the settings of the providers in use. */
static void print_no_peers(const json_t *root, FILE *out)
{
    const json_t *providers = providers_of(root);
    fputs("this node has no peers (cluster.enabled", out);
    for (size_t i = 0; i < json_array_size(providers); i++) {
        const char *setting = setting_of(call_response_text(json_array_get(providers, i), "name"));
        if (setting)
            fprintf(out, ", %s", setting);
    }
    fputs(")\n", out);
}

void view_cluster_notes(const json_t *root, FILE *out)
{
    if (count_others(call_response_field(root, "peers")) == 0)
        print_no_peers(root, out);
    print_size(root, out);
    print_blocked(root, out);
    print_providers(root, out);
}

void view_cluster(const json_t *root, FILE *out, size_t columns_max)
{
    const json_t *peers = call_response_field(root, "peers");
    print_self(root, out);
    fputc('\n', out);
    if (count_others(peers) == 0) {
        view_cluster_notes(root, out);
        return;
    }
    const struct table table = {
        .columns = columns,
        .column_count = COLUMN_COUNT,
        .row_count = json_array_size(peers),
        .cell = peer_cell,
        .detail = last_error,
        .rows = peers,
    };
    table_print(&table, out, columns_max);
    fputc('\n', out);
    print_summary(peers, out);
    view_cluster_notes(root, out);
}
