/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/base/instance_argument.h"

#include "libartemis/base/shared_instance.h"

#include <stdio.h>

static enum error invalid(struct field_problem *problem, const char *field, const char *what)
{
    problem->field = field;
    snprintf(problem->problem, sizeof problem->problem, "%s", what);
    return ERR_INVALID_FIELD;
}

/* JSON can only carry UTF-8. */
static enum error read_texts(const struct artemis_instance *from, const char *region_id,
                             const char *zone_id, struct slice text[], enum instance_field count,
                             struct field_problem *problem)
{
    for (enum instance_field field = 0; field < count; field++) {
        text[field] = slice_of(instance_view_text(from, field));
        if (!text_is_utf8(text[field]))
            return invalid(problem, instance_field_info(field)->name, "must be UTF-8");
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
            return invalid(problem, "metadata", "must be UTF-8");
    }
    return ERR_NONE;
}

enum error instance_argument_read(const struct artemis_instance *from, const char *region_id,
                                  const char *zone_id, struct instance **out,
                                  struct field_problem *problem)
{
    struct metadata_entry entries[METADATA_ENTRIES_MAX] = {0};
    struct instance_spec spec = {.port = from->port,
                                 .weight = from->weight,
                                 .has_weight = from->has_weight,
                                 .metadata = entries,
                                 .metadata_count = from->metadata_count};
    for (size_t i = 0; i < sizeof from->reserved / sizeof *from->reserved; i++)
        if (from->reserved[i])
            return invalid(problem, "reserved", "must be zero; initialize the instance with {0}");
    enum error error = read_texts(from, region_id, zone_id, spec.text, TEXT_FIELDS, problem);
    if (!error)
        error = read_metadata(from, entries, problem);
    return error ? error : instance_create(&spec, out, problem);
}

enum error instance_argument_read_key(const struct artemis_instance *from, const char *region_id,
                                      const char *zone_id, struct instance_key *out,
                                      struct field_problem *problem)
{
    struct slice parts[KEY_FIELDS];
    enum error error = read_texts(from, region_id, zone_id, parts, KEY_FIELDS, problem);
    return error ? error : instance_key_make(parts, out, problem);
}

enum error instance_argument_read_identity(const struct artemis_instance *from,
                                           const char *region_id, const char *zone_id,
                                           struct instance **out, struct field_problem *problem)
{
    struct instance_spec spec = {.text[FIELD_URL] = SLICE("none")};
    enum error error = read_texts(from, region_id, zone_id, spec.text, KEY_FIELDS, problem);
    return error ? error : instance_create(&spec, out, problem);
}

enum error instance_with_status(const struct instance *from, const char *status,
                                struct instance **out, struct field_problem *problem)
{
    struct metadata_entry entries[METADATA_ENTRIES_MAX] = {0};
    struct instance_spec spec = {.port = instance_port(from),
                                 .weight = instance_weight(from),
                                 .has_weight = true,
                                 .metadata = entries};
    for (enum instance_field field = 0; field < TEXT_FIELDS; field++)
        spec.text[field] = instance_text(from, field);
    spec.text[FIELD_STATUS] = slice_of(status);
    if (!text_is_utf8(spec.text[FIELD_STATUS]))
        return invalid(problem, "status", "must be UTF-8");
    for (size_t cursor = 0; instance_next_metadata(from, &cursor, &entries[spec.metadata_count]);)
        if (++spec.metadata_count == METADATA_ENTRIES_MAX)
            break;
    return instance_create(&spec, out, problem);
}
