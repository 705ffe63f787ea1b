/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/output/view.h"

#include "artemis/call/call_response.h"
#include "artemis/output/view_leases.h"
#include "artemis/terminal/terminal_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static size_t count_up(const json_t *instances)
{
    size_t count = 0;
    size_t index = 0;
    const json_t *instance = NULL;
    json_array_foreach(instances, index, instance) count +=
        strcmp(call_response_text(instance, "status"), "up") == 0;
    return count;
}

/* --- services --------------------------------------------------------------------------------- */

static const struct table_column services_columns[] = {
    {.title = "SERVICE"},
    {.title = "INSTANCES", .right = true},
    {.title = "UP", .right = true},
};

static const char *services_cell(const void *rows, size_t row, size_t column, char *scratch)
{
    const json_t *const *services = rows;
    const json_t *instances = call_response_field(services[row], "instances");
    if (column == 0)
        return call_response_text(services[row], "service_id");
    size_t count = column == 1 ? json_array_size(instances) : count_up(instances);
    snprintf(scratch, TABLE_SCRATCH_MAX, "%zu", count);
    return scratch;
}

static int by_service(const void *a, const void *b)
{
    return strcmp(call_response_text(*(const json_t *const *)a, "service_id"),
                  call_response_text(*(const json_t *const *)b, "service_id"));
}

enum error view_services(const json_t *root, FILE *out, size_t columns_max)
{
    const json_t *services = call_response_field(root, "services");
    size_t count = json_array_size(services);
    if (count == 0) {
        fputs("no services are registered\n", out);
        return ERR_NONE;
    }
    const json_t **sorted = calloc(count, sizeof *sorted);
    if (!sorted)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        sorted[i] = json_array_get(services, i);
    qsort(sorted, count, sizeof *sorted, by_service);

    const struct table table = {
        .columns = services_columns,
        .column_count = sizeof services_columns / sizeof *services_columns,
        .row_count = count,
        .cell = services_cell,
        .rows = sorted,
    };
    table_print(&table, out, columns_max);
    free(sorted);
    return ERR_NONE;
}

/* --- service ---------------------------------------------------------------------------------- */

enum service_column {
    INSTANCE,
    ADDRESS,
    STATUS,
    ZONE,
    GROUP,
    SERVICE_COLUMN_COUNT,
    PROTOCOL = SERVICE_COLUMN_COUNT,
    WEIGHT,
    MACHINE,
    METADATA,
    WIDE_COLUMN_COUNT,
};

enum { WIDE_TERMINAL = 120 };

static const struct table_column service_columns[WIDE_COLUMN_COUNT] = {
    [INSTANCE] = {.title = "INSTANCE"},
    [ADDRESS] = {.title = "ADDRESS"},
    [STATUS] = {.title = "STATUS"},
    [ZONE] = {.title = "ZONE"},
    [GROUP] = {.title = "GROUP", .optional = true},
    [PROTOCOL] = {.title = "PROTOCOL", .optional = true},
    [WEIGHT] = {.title = "WEIGHT", .optional = true},
    [MACHINE] = {.title = "MACHINE", .optional = true},
    [METADATA] = {.title = "METADATA", .optional = true},
};

static const char *address_of(const json_t *instance, char *scratch)
{
    const char *url = call_response_text(instance, "url");
    if (*url)
        return url;
    snprintf(scratch, TABLE_SCRATCH_MAX, "%s:%" JSON_INTEGER_FORMAT,
             call_response_text(instance, "ip"),
             json_integer_value(call_response_field(instance, "port")));
    return scratch;
}

/* Region and zone in one column: both are part of the key of the instance. */
const char *view_zone(const json_t *owner, char scratch[TABLE_SCRATCH_MAX])
{
    const char *region = call_response_text(owner, "region_id");
    const char *zone = call_response_text(owner, "zone_id");
    snprintf(scratch, TABLE_SCRATCH_MAX, "%s%s%s", region, *region && *zone ? "/" : "", zone);
    return scratch;
}

/* Empty if it is the default. */
static const char *weight_of(const json_t *instance, char *scratch)
{
    const json_t *weight = call_response_field(instance, "weight");
    if (!json_is_integer(weight))
        return "";
    snprintf(scratch, TABLE_SCRATCH_MAX, "%" JSON_INTEGER_FORMAT, json_integer_value(weight));
    return scratch;
}

/* "version=3,canary=true" */
static const char *metadata_of(const json_t *instance, char *scratch)
{
    const char *name = NULL;
    json_t *value = NULL;
    size_t length = 0;
    scratch[0] = '\0';
    json_object_foreach(call_response_field(instance, "metadata"), name, value)
    {
        const char *text = json_string_value(value);
        int written = snprintf(scratch + length, TABLE_SCRATCH_MAX - length, "%s%s=%s",
                               length > 0 ? "," : "", name, text ? text : "");
        length += written > 0 ? (size_t)written : 0;
        if (length >= TABLE_SCRATCH_MAX)
            break;
    }
    return scratch;
}

static const char *service_cell(const void *rows, size_t row, size_t column, char *scratch)
{
    static const char *const fields[WIDE_COLUMN_COUNT] = {
        [INSTANCE] = "instance_id", [STATUS] = "status",        [GROUP] = "group_id",
        [PROTOCOL] = "protocol",    [MACHINE] = "machine_name",
    };
    const json_t *instance = json_array_get(rows, row);
    if (column == ADDRESS)
        return address_of(instance, scratch);
    if (column == ZONE)
        return view_zone(instance, scratch);
    if (column == WEIGHT)
        return weight_of(instance, scratch);
    if (column == METADATA)
        return metadata_of(instance, scratch);
    return call_response_text(instance, fields[column]);
}

/* How many instances are at each distance from the place of --near. */
static void print_near(const json_t *near, FILE *out)
{
    if (!json_is_object(near))
        return;
    fprintf(out,
            "%" JSON_INTEGER_FORMAT " in the zone, %" JSON_INTEGER_FORMAT
            " in the region, %" JSON_INTEGER_FORMAT " beyond\n",
            json_integer_value(json_object_get(near, "zone")),
            json_integer_value(json_object_get(near, "region")),
            json_integer_value(json_object_get(near, "beyond")));
}

static const char *nothing_of(const struct service_view *view)
{
    if (view->filtered)
        return " has no instance that matches\n";
    return view->all ? " has no instance\n"
                     : " has no instance that is up; --all lists the others\n";
}

void view_service(const json_t *root, const struct service_view *view, FILE *out)
{
    const json_t *service = call_response_field(root, "service");
    const json_t *instances = call_response_field(service, "instances");
    if (json_array_size(instances) == 0) {
        terminal_text_print(out, view->service, 0);
        fputs(nothing_of(view), out);
        return;
    }
    bool wide = view->wide || view->columns_max >= WIDE_TERMINAL;
    const struct table table = {
        .columns = service_columns,
        .column_count = wide ? WIDE_COLUMN_COUNT : SERVICE_COLUMN_COUNT,
        .row_count = json_array_size(instances),
        .cell = service_cell,
        .rows = instances,
    };
    table_print(&table, out, view->columns_max);
    print_near(call_response_field(service, "near"), out);
}

/* --- status ----------------------------------------------------------------------------------- */

const char *view_uptime(uint64_t uptime_secs, char text[VIEW_UPTIME_MAX])
{
    static const struct {
        const char *name;
        uint64_t secs;
    } units[] = {{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}};
    size_t unit = 0;
    while (unit < 3 && uptime_secs < units[unit].secs)
        unit++;
    int written = snprintf(text, VIEW_UPTIME_MAX, "%" PRIu64 " %s", uptime_secs / units[unit].secs,
                           units[unit].name);
    if (unit < 3)
        snprintf(text + written, VIEW_UPTIME_MAX - (size_t)written, " %" PRIu64 " %s",
                 uptime_secs % units[unit].secs / units[unit + 1].secs, units[unit + 1].name);
    return text;
}

/* Names of fields in the output; NULL: left out. Other fields keep their names. */
static const struct {
    const char *field;
    const char *name;
} status_names[] = {
    {"uptime_secs", "uptime"},
    {"cluster_id", "cluster"},
    {"artemis_version", "artemis"},
    {"guard", NULL}, /* the last line */
    /* For Java clients; `status` and `state` carry the same information. */
    {"can_service_registry", NULL},
    {"can_service_discovery", NULL},
    {"allow_registry_from_other_zone", NULL},
    {"allow_discovery_from_other_zone", NULL},
};

static const char *name_of(const char *field)
{
    for (size_t i = 0; i < sizeof status_names / sizeof *status_names; i++)
        if (strcmp(status_names[i].field, field) == 0)
            return status_names[i].name;
    return field;
}

void view_row(FILE *out, const char *name, const char *value)
{
    enum { NAME_WIDTH = 11 };
    if (!name || *value == '\0')
        return;
    size_t width = terminal_text_print(out, name, 0);
    fprintf(out, "%*s", width < NAME_WIDTH ? (int)(NAME_WIDTH - width) : 1, "");
    terminal_text_print(out, value, 0);
    fputc('\n', out);
}

/* "" for a value that is an object, an array or null. */
static const char *value_text(const char *field, const json_t *value, char *scratch)
{
    if (json_is_string(value))
        return json_string_value(value);
    if (json_is_boolean(value))
        return json_is_true(value) ? "yes" : "no";
    if (!json_is_number(value))
        return "";
    if (json_is_real(value))
        snprintf(scratch, TABLE_SCRATCH_MAX, "%g", json_real_value(value));
    else if (strcmp(field, "uptime_secs") == 0)
        view_uptime((uint64_t)json_integer_value(value), scratch);
    else
        snprintf(scratch, TABLE_SCRATCH_MAX, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    return scratch;
}

/* The first line of a 503, which is plain text. */
static const char *not_ready_reason(const struct call_response *ready, char *scratch)
{
    if (ready->http_status != 503 || ready->body.size == 0)
        return "";
    snprintf(scratch, TABLE_SCRATCH_MAX, "%.*s", (int)ready->body.size, ready->body.data);
    scratch[strcspn(scratch, "\r\n")] = '\0';
    return scratch;
}

/* "failing: database or disk is full"; "" for a node without storage. */
static const char *storage_summary(const json_t *storage, char *scratch)
{
    const char *state = call_response_text(storage, "state");
    const char *problem = call_response_text(storage, "problem");
    json_int_t unstored = json_integer_value(call_response_field(storage, "unstored"));
    int length =
        snprintf(scratch, TABLE_SCRATCH_MAX, "%s%s%s", state, *problem ? ": " : "", problem);
    if (unstored > 0 && length > 0 && length < TABLE_SCRATCH_MAX)
        snprintf(scratch + length, TABLE_SCRATCH_MAX - (size_t)length,
                 ", %" JSON_INTEGER_FORMAT " change%s unstored", unstored,
                 unstored == 1 ? "" : "s");
    return scratch;
}

void view_status(const json_t *root, const struct call_response *ready, const json_t *leases,
                 FILE *out)
{
    char scratch[TABLE_SCRATCH_MAX];
    char guard[VIEW_GUARD_MAX];
    json_t *status = call_response_field(root, "node_status");
    const json_t *node = call_response_field(status, "node");
    const char *node_id = call_response_text(node, "node_id");
    view_row(out, "node", *node_id ? node_id : ready->node);
    view_row(out, "url", call_response_text(node, "url"));
    view_row(out, "zone", view_zone(call_response_field(node, "zone"), scratch));
    if (!call_response_field(status, "cluster_id"))
        view_row(out, "cluster", ready->cluster);
    if (!call_response_field(status, "state"))
        view_row(out, "state", ready->state);
    view_row(out, "not ready", not_ready_reason(ready, scratch));

    const char *field = NULL;
    json_t *value = NULL;
    json_object_foreach(status, field, value)
        view_row(out, name_of(field), value_text(field, value, scratch));
    view_row(out, "storage", storage_summary(call_response_field(status, "storage"), scratch));
    const char *details = leases ? view_guard_summary(leases, guard) : "";
    view_row(out, "guard", *details ? details : call_response_text(status, "guard"));
}

/* --- settings --------------------------------------------------------------------------------- */

static const struct table_column setting_columns[] = {
    {.title = "SETTING"},
    {.title = "VALUE"},
    {.title = "SOURCE"},
};

/* Prints an array as "a,b". */
static const char *setting_text(const json_t *value, char *scratch)
{
    size_t length = 0;
    if (json_is_boolean(value))
        return json_is_true(value) ? "true" : "false";
    if (!json_is_array(value))
        return value_text("", value, scratch);
    scratch[0] = '\0';
    for (size_t i = 0; i < json_array_size(value) && length < TABLE_SCRATCH_MAX; i++) {
        const char *text = json_string_value(json_array_get(value, i));
        int written = snprintf(scratch + length, TABLE_SCRATCH_MAX - length, "%s%s",
                               i > 0 ? "," : "", text ? text : "");
        length += written > 0 ? (size_t)written : 0;
    }
    return scratch;
}

struct setting_rows {
    json_t *settings;
};

static const char *setting_cell(const void *rows, size_t row, size_t column, char *scratch)
{
    const char *name = NULL;
    json_t *setting = NULL;
    size_t index = 0;
    json_object_foreach(((const struct setting_rows *)rows)->settings, name, setting)
    {
        if (index++ == row)
            break;
    }
    if (column == 0)
        return name;
    if (column == 1)
        return setting_text(json_object_get(setting, "value"), scratch);
    return call_response_text(setting, "source");
}

void view_settings(const json_t *root, FILE *out, size_t columns_max)
{
    const struct setting_rows rows = {call_response_field(root, "settings")};
    const struct table table = {
        .columns = setting_columns,
        .column_count = sizeof setting_columns / sizeof *setting_columns,
        .row_count = json_object_size(rows.settings),
        .cell = setting_cell,
        .rows = &rows,
    };
    table_print(&table, out, columns_max);
}
