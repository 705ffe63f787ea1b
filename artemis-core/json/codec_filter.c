/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads the filter in a message of a WebSocket: the members are the parameters of a query, with
 * `meta` as an object.
 */
#include "artemis-core/json/codec.h"

#include <stdio.h>

#include "artemis-core/json/codec_internal.h"

enum { EXCERPT_BYTES = 80, QUOTED_BYTES = 80 };

static enum error read_text(const json_t *value, struct slice *out, char problem[PROBLEM_BYTES])
{
    char excerpt[EXCERPT_BYTES];
    if (json_is_string(value)) {
        *out = (struct slice){json_string_value(value), json_string_length(value)};
        return ERR_NONE;
    }
    json_excerpt(value, excerpt, sizeof(excerpt));
    snprintf(problem, PROBLEM_BYTES, "must be a string, is %s", excerpt);
    return ERR_INVALID_FIELD;
}

static enum error read_zone(const json_t *value, struct instance_filter *filter,
                            char problem[PROBLEM_BYTES])
{
    struct slice text;
    enum error error = read_text(value, &text, problem);
    return error ? error : instance_filter_read_id(text, &filter->zone, problem);
}

static enum error read_region(const json_t *value, struct instance_filter *filter,
                              char problem[PROBLEM_BYTES])
{
    struct slice text;
    enum error error = read_text(value, &text, problem);
    return error ? error : instance_filter_read_id(text, &filter->region, problem);
}

static enum error read_status(const json_t *value, struct instance_filter *filter,
                              char problem[PROBLEM_BYTES])
{
    struct slice text;
    enum error error = read_text(value, &text, problem);
    return error ? error : instance_filter_read_statuses(text, &filter->statuses, problem);
}

static enum error read_entry(struct slice name, const json_t *value, struct instance_filter *filter,
                             char problem[PROBLEM_BYTES])
{
    struct metadata_entry entry = {.name = name};
    char excerpt[EXCERPT_BYTES];
    char quoted[QUOTED_BYTES];
    if (!json_is_string(value)) {
        text_quote(quoted, sizeof(quoted), name);
        json_excerpt(value, excerpt, sizeof(excerpt));
        snprintf(problem, PROBLEM_BYTES, "the value of %s must be a string, is %s", quoted,
                 excerpt);
        return ERR_INVALID_FIELD;
    }
    entry.value = (struct slice){json_string_value(value), json_string_length(value)};
    return instance_filter_add_metadata(filter, entry, problem);
}

static enum error read_metadata(const json_t *value, struct instance_filter *filter,
                                char problem[PROBLEM_BYTES])
{
    const char *name;
    json_t *entry;
    char excerpt[EXCERPT_BYTES];
    if (!json_is_object(value)) {
        json_excerpt(value, excerpt, sizeof(excerpt));
        snprintf(problem, PROBLEM_BYTES, "must be an object, is %s", excerpt);
        return ERR_INVALID_FIELD;
    }
    json_object_foreach((json_t *)value, name, entry)
    {
        enum error error = read_entry(slice_of(name), entry, filter, problem);
        if (error)
            return error;
    }
    return ERR_NONE;
}

/* Changes arrive one by one, as they happen. */
static enum error refuse_near(const json_t *value, struct instance_filter *filter,
                              char problem[PROBLEM_BYTES])
{
    (void)value;
    (void)filter;
    snprintf(problem, PROBLEM_BYTES, "is not accepted: changes that are pushed have no order");
    return ERR_INVALID_FIELD;
}

static const struct member {
    const char *name;
    enum error (*read)(const json_t *value, struct instance_filter *filter,
                       char problem[PROBLEM_BYTES]);
} members[] = {
    {"zone", read_zone},     {"region", read_region}, {"status", read_status},
    {"meta", read_metadata}, {"near", refuse_near},
};

static const struct member *find(const char *name)
{
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        if (slice_equal(slice_of(name), slice_of(members[i].name)))
            return &members[i];
    return NULL;
}

static enum error read_member(const char *name, const json_t *value, struct instance_filter *filter,
                              char message[MESSAGE_BYTES])
{
    char problem[PROBLEM_BYTES];
    const struct member *member = find(name);
    if (!member) {
        char quoted[QUOTED_BYTES];
        text_quote(quoted, sizeof(quoted), slice_of(name));
        snprintf(message, MESSAGE_BYTES,
                 "filter: has no member %s; its members are zone, region, status and meta", quoted);
        return ERR_INVALID_FIELD;
    }
    if (json_is_null(value))
        return ERR_NONE;
    enum error error = member->read(value, filter, problem);
    if (error)
        snprintf(message, MESSAGE_BYTES, "filter.%s: %s", member->name, problem);
    return error;
}

enum error document_filter(struct document *document, struct instance_filter *filter, bool *given,
                           char message[MESSAGE_BYTES])
{
    const char *name;
    json_t *member;
    char excerpt[EXCERPT_BYTES];
    json_t *object = json_object_get(document->root, "filter");
    *given = object && !json_is_null(object);
    *filter = (struct instance_filter){.statuses = STATUSES_ALL};
    if (!*given)
        return ERR_NONE;
    if (!json_is_object(object)) {
        json_excerpt(object, excerpt, sizeof(excerpt));
        snprintf(message, MESSAGE_BYTES, "filter: must be an object, is %s", excerpt);
        return ERR_INVALID_FIELD;
    }
    json_object_foreach(object, name, member)
    {
        enum error error = read_member(name, member, filter, message);
        if (error)
            return error;
    }
    return ERR_NONE;
}
