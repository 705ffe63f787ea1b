/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/output/view_cluster_events.h"

#include "artemis/call/call_response.h"
#include "artemis/output/table.h"

enum column { TIME, EVENT, NODE, ADDRESS, MEMBERS, REASON, COLUMN_COUNT };

static const struct table_column columns[COLUMN_COUNT] = {
    [TIME] = {.title = "TIME"},
    [EVENT] = {.title = "EVENT"},
    [NODE] = {.title = "NODE"},
    [ADDRESS] = {.title = "ADDRESS"},
    [MEMBERS] = {.title = "MEMBERS", .right = true},
    [REASON] = {.title = "REASON"},
};

static const char *event_cell(const void *rows, size_t row, size_t column, char *scratch)
{
    static const char *const fields[COLUMN_COUNT] = {
        [TIME] = "time",   [EVENT] = "kind",      [NODE] = "node_id",
        [ADDRESS] = "url", [MEMBERS] = "members", [REASON] = "reason",
    };
    const json_t *event = json_array_get(rows, row);
    const json_t *value = call_response_field(event, fields[column]);
    if (column == MEMBERS && json_is_integer(value)) {
        snprintf(scratch, TABLE_SCRATCH_MAX, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return scratch;
    }
    const char *text = call_response_text(event, fields[column]);
    return *text ? text : "-";
}

void view_cluster_events(const json_t *root, FILE *out, size_t columns_max)
{
    const json_t *events = call_response_field(root, "events");
    const struct table table = {
        .columns = columns,
        .column_count = COLUMN_COUNT,
        .row_count = json_array_size(events),
        .cell = event_cell,
        .rows = events,
    };
    if (table.row_count == 0)
        fputs("no event yet\n", out);
    else
        table_print(&table, out, columns_max);
}
