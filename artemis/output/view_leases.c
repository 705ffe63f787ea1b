/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/output/view_leases.h"

#include "artemis/call/call_response.h"
#include "artemis/output/table.h"
#include "artemis/output/view.h"
#include "artemis/output/view_cluster.h"
#include "artemis/terminal/terminal_text.h"

#include <string.h>
#include <strings.h>

static const char *span_of(const json_t *object, const char *field, char *scratch)
{
    const json_t *span = call_response_field(object, field);
    if (!json_is_integer(span))
        return "-";
    return view_span((uint64_t)json_integer_value(span), scratch);
}

static const char *count_of(const json_t *object, const char *field, char *scratch)
{
    const json_t *count = call_response_field(object, field);
    if (!json_is_integer(count))
        return "-";
    return terminal_text_count((uint64_t)json_integer_value(count), scratch);
}

/* --- leases ----------------------------------------------------------------------------------- */

enum lease_column { INSTANCE, STATUS, RENEWED, EXPIRES, GUARDED, ZONE, GROUP, LEASE_COLUMNS };

static const struct table_column lease_columns[LEASE_COLUMNS] = {
    [INSTANCE] = {.title = "INSTANCE"},
    [STATUS] = {.title = "STATUS"},
    [RENEWED] = {.title = "RENEWED", .right = true},
    [EXPIRES] = {.title = "EXPIRES", .right = true},
    [GUARDED] = {.title = "GUARD", .optional = true},
    [ZONE] = {.title = "ZONE"},
    [GROUP] = {.title = "GROUP", .optional = true},
};

static const char *lease_cell(const void *rows, size_t row, size_t column, char *scratch)
{
    const json_t *lease = json_array_get(rows, row);
    const json_t *instance = call_response_field(lease, "instance");
    switch ((enum lease_column)column) {
    case INSTANCE:
        return call_response_text(instance, "instance_id");
    case STATUS:
        return call_response_text(instance, "status");
    case RENEWED:
        return span_of(lease, "renewed_ms_ago", scratch);
    case EXPIRES:
        return span_of(lease, "ends_in_ms", scratch);
    case GUARDED:
        return json_is_true(call_response_field(lease, "held")) ? "guarded" : "";
    case ZONE:
        return view_zone(instance, scratch);
    case GROUP:
        return call_response_text(instance, "group_id");
    case LEASE_COLUMNS:
        break;
    }
    return "";
}

void view_leases(const json_t *root, FILE *out, size_t columns_max)
{
    json_t *leases = NULL;
    const char *service = "";
    json_object_foreach(call_response_field(root, "leases"), service, leases) break;
    if (json_array_size(leases) == 0) {
        fputs("the service has no leases\n", out);
        return;
    }
    const struct table table = {
        .columns = lease_columns,
        .column_count = LEASE_COLUMNS,
        .row_count = json_array_size(leases),
        .cell = lease_cell,
        .rows = leases,
    };
    table_print(&table, out, columns_max);
}

/* --- guards ----------------------------------------------------------------------------------- */

static const json_t *guards_of_services(const json_t *root)
{
    return call_response_field(call_response_field(root, "guard"), "services");
}

static const json_t *guard_of_node(const json_t *root)
{
    return call_response_field(call_response_field(root, "guard"), "node");
}

static bool is_engaged(const json_t *guard)
{
    return strcmp(call_response_text(guard, "state"), "on") == 0;
}

/* NULL: the guard of the service is off. */
static const json_t *guard_of_service(const json_t *root, const char *service)
{
    const json_t *guards = guards_of_services(root);
    for (size_t i = 0; i < json_array_size(guards); i++) {
        const json_t *guard = json_array_get(guards, i);
        if (strcasecmp(call_response_text(guard, "service_id"), service) == 0)
            return guard;
    }
    return NULL;
}

static size_t count_engaged(const json_t *guards)
{
    size_t engaged = 0;
    for (size_t i = 0; i < json_array_size(guards); i++)
        engaged += is_engaged(json_array_get(guards, i));
    return engaged;
}

bool view_guard_is_engaged(const json_t *root, const char *service)
{
    if (service)
        return is_engaged(guard_of_service(root, service));
    return is_engaged(guard_of_node(root)) || count_engaged(guards_of_services(root)) > 0;
}

const char *view_guard_summary(const json_t *root, char text[VIEW_GUARD_MAX])
{
    char held[VIEW_COUNT_MAX];
    const json_t *node = guard_of_node(root);
    size_t services = count_engaged(guards_of_services(root));
    if (!is_engaged(node) && services == 0) {
        const char *state = call_response_text(node, "state");
        snprintf(text, VIEW_GUARD_MAX, "%s", state);
        return text;
    }
    int length = snprintf(text, VIEW_GUARD_MAX, "engaged for ");
    if (is_engaged(node))
        length += snprintf(text + length, VIEW_GUARD_MAX - (size_t)length, "the node%s",
                           services > 0 ? " and " : "");
    if (services > 0)
        length += snprintf(text + length, VIEW_GUARD_MAX - (size_t)length, "%zu service%s",
                           services, services == 1 ? "" : "s");
    snprintf(text + length, VIEW_GUARD_MAX - (size_t)length, "; %s evictions suspended",
             count_of(node, "held", held));
    return text;
}

enum guard_column { SCOPE, STATE, RENEWALS, EXPECTED, HELD, SINCE, ENDS, GUARD_COLUMNS };

static const struct table_column guard_columns[GUARD_COLUMNS] = {
    [SCOPE] = {.title = "SCOPE"},
    [STATE] = {.title = "STATE"},
    [RENEWALS] = {.title = "RENEWALS", .right = true},
    [EXPECTED] = {.title = "EXPECTED", .right = true},
    [HELD] = {.title = "SUSPENDED", .right = true},
    [SINCE] = {.title = "SINCE", .right = true},
    [ENDS] = {.title = "ENDS IN", .right = true},
};

struct guard_rows {
    const json_t *node; /* row 0; NULL: the rows are the services alone */
    const json_t *services;
};

static const json_t *guard_at(const struct guard_rows *rows, size_t row)
{
    if (rows->node && row == 0)
        return rows->node;
    return json_array_get(rows->services, row - (rows->node ? 1 : 0));
}

static const char *guard_cell(const void *context, size_t row, size_t column, char *scratch)
{
    const json_t *guard = guard_at(context, row);
    const char *service = call_response_text(guard, "service_id");
    switch ((enum guard_column)column) {
    case SCOPE:
        return *service ? service : "(node)";
    case STATE:
        return is_engaged(guard) ? "engaged" : call_response_text(guard, "state");
    case RENEWALS:
        return count_of(guard, "renewals", scratch);
    case EXPECTED:
        return count_of(guard, "expected_renewals", scratch);
    case HELD:
        return count_of(guard, "held", scratch);
    case SINCE:
        return span_of(guard, "since_ms_ago", scratch);
    case ENDS:
        return span_of(guard, "ends_in_ms", scratch);
    case GUARD_COLUMNS:
        break;
    }
    return "";
}

static const char *guard_cause(const void *context, size_t row, char *scratch)
{
    (void)scratch;
    return call_response_text(guard_at(context, row), "cause");
}

static void print_guards(const struct guard_rows *rows, size_t row_count, FILE *out,
                         size_t columns_max)
{
    const struct table table = {
        .columns = guard_columns,
        .column_count = GUARD_COLUMNS,
        .row_count = row_count,
        .cell = guard_cell,
        .detail = guard_cause,
        .rows = rows,
    };
    table_print(&table, out, columns_max);
}

void view_guards(const json_t *root, const char *service, FILE *out, size_t columns_max)
{
    const json_t *guards = guards_of_services(root);
    if (!service) {
        const struct guard_rows rows = {guard_of_node(root), guards};
        print_guards(&rows, 1 + json_array_size(guards), out, columns_max);
        return;
    }
    const json_t *guard = guard_of_service(root, service);
    if (guard) {
        const struct guard_rows rows = {guard, NULL};
        print_guards(&rows, 1, out, columns_max);
        return;
    }
    fputs("the guard of ", out);
    terminal_text_print(out, service, 0);
    fputs(" is off\n", out);
}
