/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/output/view_cluster_events.h"

#include "artemis/call/call_response.h"
#include "artemis/output/table.h"

#include <string.h>

enum column { TIME, EVENT, NODE, ADDRESS, MEMBERS, REASON, COLUMN_COUNT };

enum { SECONDS_SIZE = sizeof("2026-11-21T07:23:02") - 1 };

static const struct table_column columns[COLUMN_COUNT] = {
    [TIME] = {.title = "TIME", .whole = true},
    [EVENT] = {.title = "EVENT", .whole = true},
    [NODE] = {.title = "NODE"},
    [ADDRESS] = {.title = "ADDRESS"},
    [MEMBERS] = {.title = "MEMBERS", .right = true, .whole = true},
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

/* --- on a terminal ---------------------------------------------------------------------------- */

/* The time without milliseconds, and the address without http://. */
static const char *short_cell(const void *rows, size_t row, size_t column, char *scratch)
{
    static const char scheme[] = "http://";
    const char *text = event_cell(rows, row, column, scratch);
    if (column == ADDRESS && strncmp(text, scheme, strlen(scheme)) == 0)
        return text + strlen(scheme);
    if (column != TIME || strlen(text) <= SECONDS_SIZE || text[SECONDS_SIZE] != '.')
        return text;
    snprintf(scratch, TABLE_SCRATCH_MAX, "%.*sZ", SECONDS_SIZE, text);
    return scratch;
}

static const char *reason(const void *rows, size_t row, char scratch[TABLE_SCRATCH_MAX])
{
    (void)scratch;
    return call_response_text(json_array_get(rows, row), "reason");
}

void view_cluster_events(const json_t *root, FILE *out, size_t columns_max)
{
    const json_t *events = call_response_field(root, "events");
    const struct table table = {
        .columns = columns,
        .column_count = columns_max > 0 ? REASON : COLUMN_COUNT,
        .row_count = json_array_size(events),
        .cell = columns_max > 0 ? short_cell : event_cell,
        .detail = columns_max > 0 ? reason : NULL,
        .rows = events,
    };
    if (table.row_count == 0)
        fputs("no event yet\n", out);
    else
        table_print(&table, out, columns_max);
}
