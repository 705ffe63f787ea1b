/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/output/view_diff.h"

#include "artemis-core/json/json_writer.h"
#include "artemis/output/table.h"
#include "artemis/terminal/terminal_text.h"

/* Number of keys that are live on at least one node. */
static uint64_t count_keys(const struct diff_report *report, const struct diff_node nodes[2])
{
    uint64_t count = nodes[0].instances;
    for (size_t i = 0; i < report->count; i++)
        count += !record_diff_is_live(&report->items[i], 0);
    return count;
}

/* --- as text  */

enum column { SERVICE, GROUP, INSTANCE, REGION, ZONE, DIFFERENCE, COLUMN_COUNT };

static const struct table_column columns[COLUMN_COUNT] = {
    [SERVICE] = {.title = "SERVICE"},   [GROUP] = {.title = "GROUP", .optional = true},
    [INSTANCE] = {.title = "INSTANCE"}, [REGION] = {.title = "REGION"},
    [ZONE] = {.title = "ZONE"},         [DIFFERENCE] = {.title = "DIFFERENCE"},
};

static const enum instance_field parts[] = {
    [SERVICE] = FIELD_SERVICE, [GROUP] = FIELD_GROUP, [INSTANCE] = FIELD_INSTANCE,
    [REGION] = FIELD_REGION,   [ZONE] = FIELD_ZONE,
};

struct rows {
    const struct diff_report *report;
    const struct diff_node *nodes;
};

static const char *cell(const void *context, size_t row, size_t column, char *scratch)
{
    const struct rows *rows = context;
    const struct difference *item = &rows->report->items[row];
    if (column != DIFFERENCE) {
        struct slice part = instance_text(item->key, parts[column]);
        snprintf(scratch, TABLE_SCRATCH_MAX, "%.*s", (int)part.size, part.data ? part.data : "");
        return scratch;
    }
    int side = 0;
    const char *difference = "has an older record";
    enum diff_kind kind = record_diff_kind(item, &side);
    if (kind == DIFF_WEIGHT)
        difference = "lacks the weight";
    if (kind == DIFF_LACKS)
        difference = "has no record";
    if (kind == DIFF_DELETED)
        difference = record_diff_is_newer(item, side) ? "deleted it later" : "deleted it earlier";
    snprintf(scratch, TABLE_SCRATCH_MAX, "%s %s", rows->nodes[side].name, difference);
    return scratch;
}

void view_diff(const struct diff_report *report, const struct diff_node nodes[2], FILE *out,
               size_t columns_max)
{
    char differing[VIEW_COUNT_MAX];
    char total[VIEW_COUNT_MAX];
    uint64_t keys = count_keys(report, nodes);
    terminal_text_count(report->count, differing);
    terminal_text_count(keys, total);
    if (report->count == 0) {
        fputs("nodes ", out);
        terminal_text_print(out, nodes[0].name, 0);
        fputs(" and ", out);
        terminal_text_print(out, nodes[1].name, 0);
        fprintf(out, " agree on %s instance%s\n", total, keys == 1 ? "" : "s");
        return;
    }
    const struct rows rows = {report, nodes};
    const struct table table = {
        .columns = columns,
        .column_count = COLUMN_COUNT,
        .row_count = report->count,
        .cell = cell,
        .rows = &rows,
    };
    table_print(&table, out, columns_max);
    fprintf(out, "\n%s of %s key%s differ%s\n", differing, total, keys == 1 ? "" : "s",
            report->count == 1 ? "s" : "");
}

/* --- as JSON ---------------------------------------------------------------------------------- */

static void write_copy(struct json_writer *w, const struct diff_node *node,
                       const struct diff_copy *copy)
{
    jw_open(w, '{');
    jw_name(w, "node"), jw_string(w, node->name);
    jw_name(w, "state");
    jw_string(w, !copy->known ? "missing" : copy->deleted ? "deleted" : "live");
    if (copy->known) {
        jw_name(w, "version"), jw_u64(w, copy->stamp);
        jw_name(w, "origin"), jw_string(w, copy->origin);
    }
    jw_close(w, '}');
}

static void write_difference(struct json_writer *w, const struct difference *item,
                             const struct diff_node nodes[2])
{
    static const char *const names[] = {[DIFF_LACKS] = "missing",
                                        [DIFF_DELETED] = "deleted",
                                        [DIFF_OLDER] = "older",
                                        [DIFF_WEIGHT] = "weight_missing"};
    int side = 0;
    enum diff_kind kind = record_diff_kind(item, &side);
    jw_open(w, '{');
    for (enum instance_field part = 0; part < KEY_FIELDS; part++) {
        struct slice text = instance_text(item->key, part);
        if (text.size > 0)
            jw_name(w, instance_field_info(part)->name), jw_text(w, text);
    }
    jw_name(w, "difference"), jw_string(w, names[kind]);
    jw_name(w, "at"), jw_string(w, nodes[side].name);
    jw_name(w, "nodes"), jw_open(w, '[');
    for (int i = 0; i < 2; i++)
        write_copy(w, &nodes[i], &item->copies[i]);
    jw_close(w, ']');
    jw_close(w, '}');
}

void view_diff_json(const struct diff_report *report, const struct diff_node nodes[2],
                    struct text *out)
{
    struct json_writer w = jw_to(out, CASING_SNAKE);
    jw_open(&w, '{');
    jw_name(&w, "agree"), jw_bool(&w, report->count == 0);
    jw_name(&w, "keys"), jw_u64(&w, count_keys(report, nodes));
    jw_name(&w, "differing"), jw_u64(&w, report->count);
    jw_name(&w, "nodes"), jw_open(&w, '[');
    for (int i = 0; i < 2; i++) {
        jw_open(&w, '{');
        jw_name(&w, "node"), jw_string(&w, nodes[i].name);
        jw_name(&w, "url"), jw_string(&w, nodes[i].url);
        jw_name(&w, "instances"), jw_u64(&w, nodes[i].instances);
        jw_close(&w, '}');
    }
    jw_close(&w, ']');
    jw_name(&w, "differences"), jw_open(&w, '[');
    for (size_t i = 0; i < report->count; i++)
        write_difference(&w, &report->items[i], nodes);
    jw_close(&w, ']');
    jw_close(&w, '}');
}
