/* SPDX-License-Identifier: Apache-2.0
 *
 * Items of a list: instances and keys, as clients and peers send them.
 */
#include "artemis-core/json/codec_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXCERPT_BYTES = 80, NUMBER_BYTES = 32 };

static enum error read_text(const json_t *item, enum instance_field field, enum name_casing *names,
                            struct slice *out, struct field_problem *problem)
{
    const struct field_info *info = instance_field_info(field);
    json_t *value;
    problem->field = info->name;
    enum error error = member_get(item, info->name, info->camel, &value, names, problem->problem,
                                  sizeof(problem->problem));
    if (error || !value)
        return error;
    if (!json_is_string(value)) {
        char excerpt[EXCERPT_BYTES];
        json_excerpt(value, excerpt, sizeof(excerpt));
        snprintf(problem->problem, PROBLEM_BYTES, "must be a string, is %s", excerpt);
        return ERR_INVALID_FIELD;
    }
    *out = (struct slice){json_string_value(value), json_string_length(value)};
    return ERR_NONE;
}

/* instance_create checks the range. *given is false if the member is absent. */
static enum error read_integer(const json_t *item, const char *name, int max, int64_t *out,
                               bool *given, struct field_problem *problem)
{
    const json_t *value = json_object_get(item, name);
    *given = value && !json_is_null(value);
    if (!*given)
        return ERR_NONE;
    if (!json_is_integer(value)) {
        char excerpt[EXCERPT_BYTES];
        json_excerpt(value, excerpt, sizeof(excerpt));
        problem->field = name;
        snprintf(problem->problem, PROBLEM_BYTES, "must be an integer from 0 to %d, is %s", max,
                 excerpt);
        return ERR_INVALID_FIELD;
    }
    *out = json_integer_value(value);
    return ERR_NONE;
}

static enum error read_u64(const json_t *item, const char *name, uint64_t *out,
                           struct field_problem *problem)
{
    const json_t *value = json_object_get(item, name);
    if (!value || json_is_null(value))
        return ERR_NONE;
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        char excerpt[EXCERPT_BYTES];
        json_excerpt(value, excerpt, sizeof(excerpt));
        problem->field = name;
        snprintf(problem->problem, PROBLEM_BYTES, "must be an integer from 0, is %s", excerpt);
        return ERR_INVALID_FIELD;
    }
    *out = (uint64_t)json_integer_value(value);
    return ERR_NONE;
}

enum error item_client_revision(const json_t *item, uint64_t *out, struct field_problem *problem)
{
    return read_u64(item, "revision", out, problem);
}

/* Metadata of a spec. Numbers and booleans become text, which is stored in `numbers`. */
struct metadata_buffer {
    struct metadata_entry entries[METADATA_ENTRIES_MAX];
    char numbers[METADATA_ENTRIES_MAX][NUMBER_BYTES];
};

/* Writes a number in its shortest form: 0.1, not 0.10000000000000001. False: out of memory. */
static bool number_text(const json_t *value, char number[NUMBER_BYTES])
{
    char *dump = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    if (dump && json_is_real(value) && strtod(dump, NULL) != json_real_value(value)) {
        free(dump);
        dump = json_dumps(value, JSON_ENCODE_ANY);
    }
    if (!dump)
        return false;
    snprintf(number, NUMBER_BYTES, "%s", dump);
    free(dump);
    return true;
}

/* Converts a metadata value to text. ERR_INVALID_FIELD: a list or an object. ERR_NO_MEMORY. */
static enum error metadata_value(const json_t *value, char number[NUMBER_BYTES], struct slice *out)
{
    if (json_is_string(value)) {
        *out = (struct slice){json_string_value(value), json_string_length(value)};
        return ERR_NONE;
    }
    if (!json_is_number(value) && !json_is_boolean(value))
        return ERR_INVALID_FIELD;
    if (!number_text(value, number))
        return ERR_NO_MEMORY;
    *out = slice_of(number);
    return ERR_NONE;
}

static enum error read_metadata(json_t *item, struct metadata_buffer *buffer,
                                struct instance_spec *spec, struct field_problem *problem)
{
    json_t *metadata = json_object_get(item, "metadata");
    if (!metadata || json_is_null(metadata))
        return ERR_NONE;
    char excerpt[EXCERPT_BYTES];
    problem->field = "metadata";
    if (!json_is_object(metadata)) {
        json_excerpt(metadata, excerpt, sizeof(excerpt));
        snprintf(problem->problem, PROBLEM_BYTES, "must be an object of strings, is %s", excerpt);
        return ERR_INVALID_FIELD;
    }
    const char *name;
    json_t *value;
    size_t count = 0;
    json_object_foreach(metadata, name, value)
    {
        if (json_is_null(value))
            continue;
        if (count < METADATA_ENTRIES_MAX) {
            struct metadata_entry *entry = &buffer->entries[count];
            entry->name = slice_of(name);
            enum error error = metadata_value(value, buffer->numbers[count], &entry->value);
            if (error == ERR_NO_MEMORY)
                return error;
            if (error) {
                char quoted[EXCERPT_BYTES];
                text_quote(quoted, sizeof(quoted), entry->name);
                json_excerpt(value, excerpt, sizeof(excerpt));
                snprintf(problem->problem, PROBLEM_BYTES, "%s must be a string, is %s", quoted,
                         excerpt);
                return ERR_INVALID_FIELD;
            }
        }
        count++; /* counts all, for the message about too many */
    }
    spec->metadata = buffer->entries;
    spec->metadata_count = count;
    return ERR_NONE;
}

enum error item_instance(json_t *item, enum name_casing *names, struct instance **out,
                         struct field_problem *problem)
{
    struct instance_spec spec = {0};
    struct metadata_buffer buffer;
    bool has_port;
    enum error error = ERR_NONE;
    for (enum instance_field field = 0; field < TEXT_FIELDS && !error; field++)
        error = read_text(item, field, names, &spec.text[field], problem);
    if (!error)
        error = read_integer(item, "port", PORT_MAX, &spec.port, &has_port, problem);
    if (!error)
        error = read_integer(item, "weight", WEIGHT_MAX, &spec.weight, &spec.has_weight, problem);
    if (!error)
        error = item_client_revision(item, &spec.client_revision, problem);
    if (!error)
        error = read_metadata(item, &buffer, &spec, problem);
    return error ? error : instance_create(&spec, out, problem);
}

/* Adds the casing of the fields that are not part of the key. */
static void add_other_names(const json_t *item, enum name_casing *names)
{
    for (enum instance_field field = KEY_FIELDS; field < TEXT_FIELDS; field++) {
        const struct field_info *info = instance_field_info(field);
        if (strcmp(info->camel, info->name) == 0)
            continue;
        if (json_object_get(item, info->name))
            name_casing_add(names, NAMES_SNAKE);
        if (json_object_get(item, info->camel))
            name_casing_add(names, NAMES_CAMEL);
    }
}

enum error item_key_parts(const json_t *item, enum name_casing *names,
                          struct slice parts[KEY_FIELDS], struct field_problem *problem)
{
    enum error error = ERR_NONE;
    for (enum instance_field field = 0; field < KEY_FIELDS && !error; field++)
        error = read_text(item, field, names, &parts[field], problem);
    add_other_names(item, names);
    return error;
}

/* --- members that peers add ------------------------------------------------------------------- */

enum error item_check_stamp(const struct stamp *stamp, struct field_problem *problem)
{
    if (stamp->hlc > HLC_MAX) {
        problem->field = "version";
        snprintf(problem->problem, PROBLEM_BYTES, "must be at most %llu, is %llu",
                 (unsigned long long)HLC_MAX, (unsigned long long)stamp->hlc);
        return ERR_INVALID_FIELD;
    }
    if (stamp->hlc && (stamp->node_id.size == 0 || stamp->node_id.size > ID_BYTES_MAX)) {
        problem->field = "origin";
        snprintf(problem->problem, PROBLEM_BYTES, "must be 1 to %d bytes beside a version, is %zu",
                 ID_BYTES_MAX, stamp->node_id.size);
        return ERR_INVALID_FIELD;
    }
    return ERR_NONE;
}

enum error item_stamp(const json_t *item, struct wire_record *record, struct field_problem *problem)
{
    record->stamp = (struct stamp){0};
    record->age_ms = 0;
    record->rounds = 0;
    enum error error = item_client_revision(item, &record->client_revision, problem);
    if (!error)
        error = read_u64(item, "version", &record->stamp.hlc, problem);
    if (!error)
        error = read_u64(item, "age_ms", &record->age_ms, problem);
    if (!error)
        error = read_u64(item, "rounds", &record->rounds, problem);
    if (error)
        return error;
    const json_t *origin = json_object_get(item, "origin");
    if (json_is_string(origin))
        record->stamp.node_id =
            (struct slice){json_string_value(origin), json_string_length(origin)};
    record->has_weight = json_is_integer(json_object_get(item, "weight"));
    record->deleted = json_is_true(json_object_get(item, "deleted"));
    record->is_guarded = json_is_true(json_object_get(item, "guarded"));
    record->is_confirming = json_is_true(json_object_get(item, "confirming"));
    return item_check_stamp(&record->stamp, problem);
}
