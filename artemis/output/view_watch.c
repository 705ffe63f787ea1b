/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/output/view_watch.h"

#include "artemis/output/table.h"
#include "artemis/output/view_cluster.h"
#include "artemis/terminal/terminal_text.h"

#include "artemis-core/json/json_writer.h"
#include "artemis-core/model/instance.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char *const change_words[] = {
    [ARTEMIS_NEW] = "new", [ARTEMIS_CHANGE] = "change", [ARTEMIS_DELETE] = "delete"};

/* --- changes ---------------------------------------------------------------------------------- */

static void append_time(struct text *out, int64_t time_ms)
{
    struct json_writer w = jw_to(out, CASING_SNAKE);
    jw_rfc3339(&w, time_ms > 0 ? (uint64_t)time_ms : 0);
}

void view_change(const struct artemis_change *change, FILE *out)
{
    const struct artemis_instance *instance = change->instance;
    struct text time = {0};
    append_time(&time, change->time_ms);
    if (!text_failed(&time) && time.size > 2) /* without the quotes of JSON */
        fprintf(out, "%.*s  ", (int)time.size - 2, time.data + 1);
    text_free(&time);
    fprintf(out, "%-6s  ", change_words[change->type]);
    terminal_text_print(out, instance->service_id, 0);
    fputc('/', out);
    terminal_text_print(out, instance->instance_id, 0);
    fputs("  ", out);
    terminal_text_print(out, instance->url, 0);
    fputs("  ", out);
    terminal_text_print(out, instance->status, 0);
    fputc('\n', out);
}

static void write_metadata(struct json_writer *w, const struct artemis_instance *instance)
{
    if (instance->metadata_count == 0)
        return;
    jw_name(w, "metadata");
    jw_open(w, '{');
    for (size_t i = 0; i < instance->metadata_count; i++) {
        jw_verbatim_name(w, slice_of(instance->metadata[i].name));
        jw_string(w, instance->metadata[i].value);
    }
    jw_close(w, '}');
}

static void write_texts(struct json_writer *w, const char *const pairs[][2], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!pairs[i][1][0])
            continue;
        jw_name(w, pairs[i][0]);
        jw_string(w, pairs[i][1]);
    }
}

static void write_instance(struct json_writer *w, const struct artemis_instance *instance)
{
    const char *const before_port[][2] = {
        {"region_id", instance->region_id},     {"zone_id", instance->zone_id},
        {"service_id", instance->service_id},   {"group_id", instance->group_id},
        {"instance_id", instance->instance_id},
    };
    const char *const after_port[][2] = {
        {"status", instance->status},
        {"machine_name", instance->machine_name},
        {"protocol", instance->protocol},
        {"health_check_url", instance->health_check_url},
    };
    jw_open(w, '{');
    write_texts(w, before_port, sizeof before_port / sizeof *before_port);
    jw_name(w, "ip");
    jw_string(w, instance->ip);
    jw_name(w, "port");
    jw_u64(w, instance->port);
    jw_name(w, "url");
    jw_string(w, instance->url);
    write_texts(w, after_port, sizeof after_port / sizeof *after_port);
    write_metadata(w, instance);
    if (instance->weight != WEIGHT_DEFAULT) {
        jw_name(w, "weight");
        jw_u64(w, instance->weight);
    }
    jw_close(w, '}');
}

/* Prints the document on a line and frees it. */
static enum error print_json(struct text *json, FILE *out)
{
    bool failed = text_failed(json);
    if (!failed)
        terminal_text_print_json(out, json->data, json->size);
    text_free(json);
    return failed ? ERR_NO_MEMORY : ERR_NONE;
}

enum error view_change_json(const struct artemis_change *change, FILE *out)
{
    struct text json = {0};
    struct json_writer w = jw_to(&json, CASING_SNAKE);
    jw_open(&w, '{');
    jw_name(&w, "change_type");
    jw_string(&w, change_words[change->type]);
    jw_name(&w, "change_time");
    jw_rfc3339(&w, change->time_ms > 0 ? (uint64_t)change->time_ms : 0);
    jw_name(&w, "instance");
    write_instance(&w, change->instance);
    jw_close(&w, '}');
    return print_json(&json, out);
}

/* --- registrations ---------------------------------------------------------------------------- */

enum error view_registration_json(const struct artemis_registration_event *event, FILE *out)
{
    static const char *const events[] = {
        [ARTEMIS_REGISTERED] = "registered",
        [ARTEMIS_RENEWED] = "renewed",
        [ARTEMIS_RETRYING] = "retrying",
        [ARTEMIS_REJECTED] = "rejected",
    };
    const char *const fields[][2] = {
        {"event", events[event->state]},
        {"service_id", event->instance->service_id},
        {"instance_id", event->instance->instance_id},
        {"server", event->server},
        {"reason", event->reason},
        {"message", event->message},
    };
    struct text json = {0};
    struct json_writer w = jw_to(&json, CASING_SNAKE);
    jw_open(&w, '{');
    write_texts(&w, fields, sizeof fields / sizeof *fields);
    jw_close(&w, '}');
    return print_json(&json, out);
}

/* --- all services ----------------------------------------------------------------------------- */

/* A service: a range of the instances, which are ordered by service. */
struct row {
    const char *service_id;
    size_t first, count, up;
};

/* *rows is freed by the caller. ERR_NO_MEMORY. */
static enum error group(const struct artemis_service *all, struct row **rows, size_t *row_count)
{
    struct row *grouped = calloc(all->instance_count + 1, sizeof *grouped);
    if (!grouped)
        return ERR_NO_MEMORY;
    size_t count = 0;
    for (size_t i = 0; i < all->instance_count; i++) {
        const struct artemis_instance *instance = all->instances[i];
        if (count == 0 || strcmp(grouped[count - 1].service_id, instance->service_id) != 0)
            grouped[count++] = (struct row){.service_id = instance->service_id, .first = i};
        grouped[count - 1].count++;
        grouped[count - 1].up += strcmp(instance->status, "up") == 0;
    }
    *rows = grouped;
    *row_count = count;
    return ERR_NONE;
}

static const char *registry_cell(const void *rows, size_t row, size_t column, char *scratch)
{
    const struct row *service = (const struct row *)rows + row;
    if (column == 0)
        return service->service_id;
    snprintf(scratch, TABLE_SCRATCH_MAX, "%zu", column == 1 ? service->count : service->up);
    return scratch;
}

enum error view_registry(const struct artemis_service *all, FILE *out, size_t columns_max)
{
    static const struct table_column columns[] = {
        {.title = "SERVICE"},
        {.title = "INSTANCES", .right = true},
        {.title = "UP", .right = true},
    };
    struct row *rows = NULL;
    size_t count = 0;
    if (group(all, &rows, &count))
        return ERR_NO_MEMORY;
    const struct table table = {
        .columns = columns,
        .column_count = sizeof columns / sizeof *columns,
        .row_count = count,
        .cell = registry_cell,
        .rows = rows,
    };
    if (count > 0)
        table_print(&table, out, columns_max);
    else
        fputs("no services are registered\n", out);
    char span[VIEW_SPAN_MAX];
    if (all->stale)
        fprintf(out, "no server responds; this list is %s old\n",
                view_span((uint64_t)artemis_service_age_ms(all), span));
    free(rows);
    return ERR_NONE;
}

enum error view_registry_json(const struct artemis_service *all, FILE *out)
{
    struct text json = {0};
    struct row *rows = NULL;
    size_t count = 0;
    if (group(all, &rows, &count))
        return ERR_NO_MEMORY;
    struct json_writer w = jw_to(&json, CASING_SNAKE);
    jw_open(&w, '{');
    jw_name(&w, "stale");
    jw_bool(&w, all->stale);
    jw_name(&w, "services");
    jw_open(&w, '[');
    for (size_t i = 0; i < count; i++) {
        jw_open(&w, '{');
        jw_name(&w, "service_id");
        jw_string(&w, rows[i].service_id);
        jw_name(&w, "instances");
        jw_open(&w, '[');
        for (size_t j = 0; j < rows[i].count; j++)
            write_instance(&w, all->instances[rows[i].first + j]);
        jw_close(&w, ']');
        jw_close(&w, '}');
    }
    jw_close(&w, ']');
    jw_close(&w, '}');
    free(rows);
    return print_json(&json, out);
}
