/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/watch/view_filter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- reading ---------------------------------------------------------------------------------- */

static enum error read_id(const char *id, const char *field, struct slice *out,
                          struct field_problem *problem)
{
    problem->field = field;
    return id && *id ? instance_filter_read_id(slice_of(id), out, problem->problem) : ERR_NONE;
}

static enum error read_place(const struct artemis_filter *filter, struct instance_filter *out,
                             struct field_problem *problem)
{
    enum error error = read_id(filter->region_id, "region_id", &out->region, problem);
    if (!error)
        error = read_id(filter->zone_id, "zone_id", &out->zone, problem);
    if (!error)
        error = read_id(filter->near_region_id, "near_region_id", &out->near_region, problem);
    if (!error)
        error = read_id(filter->near_zone_id, "near_zone_id", &out->near_zone, problem);
    if (error || !out->near_region.size == !out->near_zone.size)
        return error;
    snprintf(problem->problem, PROBLEM_BYTES, "near_region_id and near_zone_id belong together");
    return ERR_INVALID_FIELD;
}

static enum error check_reserved(const struct artemis_filter *filter, struct field_problem *problem)
{
    problem->field = "reserved";
    snprintf(problem->problem, PROBLEM_BYTES, "must be zero; initialize the filter with {0}");
    for (size_t i = 0; i < sizeof filter->reserved / sizeof *filter->reserved; i++)
        if (filter->reserved[i])
            return ERR_INVALID_FIELD;
    return ERR_NONE;
}

enum error view_filter_read(const struct artemis_filter *filter, unsigned statuses,
                            struct instance_filter *out, struct field_problem *problem)
{
    struct instance_filter read = {.statuses = statuses};
    enum error error = check_reserved(filter, problem);
    if (!error)
        error = read_place(filter, &read, problem);
    if (!error && filter->status && *filter->status) {
        problem->field = "status";
        error = instance_filter_read_statuses(slice_of(filter->status), &read.statuses,
                                              problem->problem);
    }
    for (size_t i = 0; i < filter->metadata_count && !error; i++) {
        problem->field = "metadata";
        const struct metadata_entry entry = {slice_of(filter->metadata[i].name),
                                             slice_of(filter->metadata[i].value)};
        error = instance_filter_add_metadata(&read, entry, problem->problem);
    }
    if (!error)
        *out = read;
    return error;
}

static void move_text(struct slice *text, char **to)
{
    if (text->size)
        memcpy(*to, text->data, text->size);
    text->data = *to;
    *to += text->size;
}

enum error view_filter_copy(const struct instance_filter *filter, struct instance_filter *out,
                            char **texts)
{
    char *at = malloc(FILTER_KEY_BYTES_MAX);
    if (!at)
        return ERR_NO_MEMORY;
    *texts = at;
    *out = *filter;
    move_text(&out->region, &at);
    move_text(&out->zone, &at);
    move_text(&out->near_region, &at);
    move_text(&out->near_zone, &at);
    for (size_t i = 0; i < out->metadata_count; i++) {
        move_text(&out->metadata[i].name, &at);
        move_text(&out->metadata[i].value, &at);
    }
    return ERR_NONE;
}

/* --- deciding --------------------------------------------------------------------------------- */

/* A server sends a status that is not known as "unknown". */
static bool has_status(const struct instance_filter *filter, const char *status)
{
    for (enum instance_status each = 0; each < STATUS_OTHER; each++)
        if (slice_equal(slice_of(status), instance_status_name(each)))
            return filter->statuses >> each & 1;
    return filter->statuses >> STATUS_OTHER & 1;
}

static bool has_metadata(const struct artemis_instance *instance,
                         const struct metadata_entry *wanted)
{
    for (size_t i = 0; i < instance->metadata_count; i++)
        if (slice_equal(slice_of(instance->metadata[i].name), wanted->name))
            return slice_equal(slice_of(instance->metadata[i].value), wanted->value);
    return false;
}

bool view_filter_matches(const struct instance_filter *filter,
                         const struct artemis_instance *instance)
{
    if (!has_status(filter, instance->status) ||
        !instance_filter_matches_place(filter, slice_of(instance->region_id),
                                       slice_of(instance->zone_id)))
        return false;
    for (size_t i = 0; i < filter->metadata_count; i++)
        if (!has_metadata(instance, &filter->metadata[i]))
            return false;
    return true;
}

static size_t select_near(const struct instance_filter *filter, enum nearness nearness,
                          struct shared_instance *const *instances, size_t count,
                          const struct artemis_instance **out)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        const struct artemis_instance *view = &instances[i]->view;
        if (view_filter_matches(filter, view) &&
            instance_filter_nearness(filter, slice_of(view->region_id), slice_of(view->zone_id)) ==
                nearness)
            out[found++] = view;
    }
    return found;
}

size_t view_filter_select(const struct instance_filter *filter,
                          struct shared_instance *const *instances, size_t count,
                          const struct artemis_instance **out, struct near_counts *near)
{
    size_t found = 0;
    *near = (struct near_counts){.is_given = filter->near_region.size > 0};
    for (enum nearness each = 0; near->is_given && each < NEARNESS_COUNT; each++) {
        near->count[each] = select_near(filter, each, instances, count, out + found);
        found += near->count[each];
    }
    for (size_t i = 0; i < count && !near->is_given; i++)
        if (view_filter_matches(filter, &instances[i]->view))
            out[found++] = &instances[i]->view;
    return found;
}
