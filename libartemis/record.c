/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/record.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the view has each text. */
static const size_t text_offsets[TEXT_FIELDS] = {
    [FIELD_REGION] = offsetof(struct artemis_instance, region_id),
    [FIELD_ZONE] = offsetof(struct artemis_instance, zone_id),
    [FIELD_SERVICE] = offsetof(struct artemis_instance, service_id),
    [FIELD_GROUP] = offsetof(struct artemis_instance, group_id),
    [FIELD_INSTANCE] = offsetof(struct artemis_instance, instance_id),
    [FIELD_IP] = offsetof(struct artemis_instance, ip),
    [FIELD_URL] = offsetof(struct artemis_instance, url),
    [FIELD_STATUS] = offsetof(struct artemis_instance, status),
    [FIELD_MACHINE_NAME] = offsetof(struct artemis_instance, machine_name),
    [FIELD_PROTOCOL] = offsetof(struct artemis_instance, protocol),
    [FIELD_HEALTH_CHECK_URL] = offsetof(struct artemis_instance, health_check_url),
};

static const char *view_text(const struct artemis_instance *view, enum instance_field field)
{
    const char *text;
    memcpy(&text, (const char *)view + text_offsets[field], sizeof text);
    return text;
}

/* --- making ----------------------------------------------------------------------------------- */

/* Appends the text, terminated, and returns where it lies. */
static const char *put(char **at, struct slice text)
{
    const char *start = *at;
    if (text.size > 0)
        memcpy(*at, text.data, text.size);
    (*at)[text.size] = '\0';
    *at += text.size + 1;
    return start;
}

static size_t bytes_needed(const struct instance *instance, size_t url_size)
{
    size_t bytes = url_size + 1;
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++)
        if (field != FIELD_URL)
            bytes += instance_text(instance, field).size + 1;
    struct metadata_entry entry;
    for (size_t cursor = 0; instance_next_metadata(instance, &cursor, &entry);)
        bytes += entry.name.size + entry.value.size + 2;
    return bytes;
}

static void fill(struct record *record, const struct instance *instance, struct slice url, char *at,
                 struct artemis_metadata *metadata)
{
    struct artemis_instance *view = &record->view;
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++) {
        struct slice text = field == FIELD_URL ? url : instance_text(instance, field);
        if (field == FIELD_STATUS && text.size == 0)
            text = instance_status_name(instance_status(instance));
        const char *kept = put(&at, text);
        memcpy((char *)view + text_offsets[field], &kept, sizeof kept);
    }
    view->port = instance_port(instance);
    view->metadata_count = instance_metadata_count(instance);
    view->metadata = metadata;
    struct metadata_entry entry;
    for (size_t cursor = 0; instance_next_metadata(instance, &cursor, &entry); metadata++) {
        metadata->name = put(&at, entry.name);
        metadata->value = put(&at, entry.value);
    }
}

enum error record_create(const struct instance *instance, struct record **out)
{
    struct text url = {0};
    instance_append_url(instance, &url);
    size_t table = instance_metadata_count(instance) * sizeof(struct artemis_metadata);
    size_t bytes = bytes_needed(instance, url.size) + STATUS_BYTES_MAX;
    struct record *record = NULL;
    if (!text_failed(&url))
        record = calloc(1, sizeof *record + table + bytes);
    if (record) {
        atomic_init(&record->refs, 1);
        /* The table comes first: it wants alignment. */
        fill(record, instance, (struct slice){url.data, url.size}, record->bytes + table,
             (struct artemis_metadata *)(void *)record->bytes);
        *out = record;
    }
    text_free(&url);
    return record ? ERR_NONE : ERR_NO_MEMORY;
}

struct record *record_ref(struct record *record)
{
    atomic_fetch_add_explicit(&record->refs, 1, memory_order_relaxed);
    return record;
}

void record_unref(struct record *record)
{
    if (record && atomic_fetch_sub_explicit(&record->refs, 1, memory_order_acq_rel) == 1)
        free(record);
}

/* --- comparing -------------------------------------------------------------------------------- */

int record_compare(const struct record *a, const struct record *b)
{
    static const enum instance_field order[KEY_FIELDS] = {FIELD_SERVICE, FIELD_GROUP,
                                                          FIELD_INSTANCE, FIELD_REGION, FIELD_ZONE};
    int result = 0;
    for (size_t i = 0; i < KEY_FIELDS && result == 0; i++)
        result = strcmp(view_text(&a->view, order[i]), view_text(&b->view, order[i]));
    return result;
}

/* Both have it in the order of the names: so it is kept in an instance. */
static bool same_metadata(const struct artemis_instance *a, const struct artemis_instance *b)
{
    if (a->metadata_count != b->metadata_count)
        return false;
    for (size_t i = 0; i < a->metadata_count; i++)
        if (strcmp(a->metadata[i].name, b->metadata[i].name) != 0 ||
            strcmp(a->metadata[i].value, b->metadata[i].value) != 0)
            return false;
    return true;
}

bool record_same(const struct record *a, const struct record *b)
{
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++)
        if (strcmp(view_text(&a->view, field), view_text(&b->view, field)) != 0)
            return false;
    return a->view.port == b->view.port && same_metadata(&a->view, &b->view);
}

bool record_is_up(const struct record *record)
{
    return strcmp(record->view.status, "up") == 0;
}

/* --- reading what callers give ---------------------------------------------------------------- */

static enum error wrong(struct field_problem *problem, const char *field, const char *what)
{
    problem->field = field;
    snprintf(problem->problem, sizeof problem->problem, "%s", what);
    return ERR_INVALID_FIELD;
}

/* What is no UTF-8 cannot be said in JSON. */
static enum error read_texts(const struct artemis_instance *from, const char *region_id,
                             const char *zone_id, struct slice text[], enum instance_field count,
                             struct field_problem *problem)
{
    for (enum instance_field field = 0; field < count; field++) {
        text[field] = slice_of(view_text(from, field));
        if (!text_is_utf8(text[field]))
            return wrong(problem, instance_field_info(field)->name, "must be UTF-8");
    }
    if (text[FIELD_REGION].size == 0)
        text[FIELD_REGION] = slice_of(region_id);
    if (text[FIELD_ZONE].size == 0)
        text[FIELD_ZONE] = slice_of(zone_id);
    return ERR_NONE;
}

static enum error read_metadata(const struct artemis_instance *from,
                                struct metadata_entry entries[METADATA_ENTRIES_MAX],
                                struct field_problem *problem)
{
    for (size_t i = 0; i < from->metadata_count && i < METADATA_ENTRIES_MAX; i++) {
        entries[i].name = slice_of(from->metadata[i].name);
        entries[i].value = slice_of(from->metadata[i].value);
        if (!text_is_utf8(entries[i].name) || !text_is_utf8(entries[i].value))
            return wrong(problem, "metadata", "must be UTF-8");
    }
    return ERR_NONE;
}

enum error record_read_instance(const struct artemis_instance *from, const char *region_id,
                                const char *zone_id, struct instance **out,
                                struct field_problem *problem)
{
    struct metadata_entry entries[METADATA_ENTRIES_MAX] = {0};
    struct instance_spec spec = {
        .port = from->port, .metadata = entries, .metadata_count = from->metadata_count};
    for (size_t i = 0; i < sizeof from->reserved / sizeof *from->reserved; i++)
        if (from->reserved[i])
            return wrong(problem, "reserved", "must be zero; initialize the instance with {0}");
    enum error error = read_texts(from, region_id, zone_id, spec.text, TEXT_FIELDS, problem);
    if (!error)
        error = read_metadata(from, entries, problem);
    return error ? error : instance_create(&spec, out, problem);
}

enum error record_read_key(const struct artemis_instance *from, const char *region_id,
                           const char *zone_id, struct instance_key *out,
                           struct field_problem *problem)
{
    struct slice parts[KEY_FIELDS];
    enum error error = read_texts(from, region_id, zone_id, parts, KEY_FIELDS, problem);
    return error ? error : instance_key_make(parts, out, problem);
}

enum error record_with_status(const struct instance *from, const char *status,
                              struct instance **out, struct field_problem *problem)
{
    struct metadata_entry entries[METADATA_ENTRIES_MAX] = {0};
    struct instance_spec spec = {.port = instance_port(from), .metadata = entries};
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++)
        spec.text[field] = instance_text(from, field);
    spec.text[FIELD_STATUS] = slice_of(status);
    if (!text_is_utf8(spec.text[FIELD_STATUS]))
        return wrong(problem, "status", "must be UTF-8");
    for (size_t cursor = 0; instance_next_metadata(from, &cursor, &entries[spec.metadata_count]);)
        if (++spec.metadata_count == METADATA_ENTRIES_MAX)
            break;
    return instance_create(&spec, out, problem);
}
