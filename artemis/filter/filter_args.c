/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/filter/filter_args.h"

#include <stdio.h>
#include <string.h>

#include "artemis/call/call_request.h"

static enum error refuse(char out[ARGS_PROBLEM_MAX], const char *option, const char *problem)
{
    snprintf(out, ARGS_PROBLEM_MAX, "--%s %.220s", option, problem);
    return ERR_INVALID_FIELD;
}

static enum error read_id(const struct args *args, const char *option, struct slice *out,
                          char problem[ARGS_PROBLEM_MAX])
{
    char why[PROBLEM_BYTES];
    const char *id = args_text(args, option);
    return id && instance_filter_read_id(slice_of(id), out, why) ? refuse(problem, option, why)
                                                                 : ERR_NONE;
}

static enum error refuse_pair(char problem[ARGS_PROBLEM_MAX], const char *pair)
{
    char quoted[PROBLEM_BYTES / 2];
    char why[PROBLEM_BYTES];
    text_quote(quoted, sizeof(quoted), slice_of(pair));
    snprintf(why, sizeof(why), "must be KEY=VALUE, is %s", quoted);
    return refuse(problem, "meta", why);
}

static enum error read_metadata(const struct args *args, struct instance_filter *filter,
                                char problem[ARGS_PROBLEM_MAX])
{
    char why[PROBLEM_BYTES];
    size_t position = 0;
    for (const char *pair; (pair = args_next(args, "meta", &position));) {
        size_t name_size = strcspn(pair, "=");
        if (name_size == 0 || pair[name_size] == '\0')
            return refuse_pair(problem, pair);
        const struct metadata_entry entry = {{pair, name_size}, slice_of(pair + name_size + 1)};
        if (instance_filter_add_metadata(filter, entry, why))
            return refuse(problem, "meta", why);
    }
    return ERR_NONE;
}

enum error filter_args_read(const struct args *args, bool has_near, struct instance_filter *filter,
                            char problem[ARGS_PROBLEM_MAX])
{
    char why[PROBLEM_BYTES];
    const char *status = args_text(args, "status");
    const char *near = has_near ? args_text(args, "near") : NULL;
    *filter = (struct instance_filter){.statuses = STATUSES_UP};
    if (read_id(args, "region", &filter->region, problem) ||
        read_id(args, "zone", &filter->zone, problem) || read_metadata(args, filter, problem))
        return ERR_INVALID_FIELD;
    if (status && instance_filter_read_statuses(slice_of(status), &filter->statuses, why))
        return refuse(problem, "status", why);
    if (near && instance_filter_read_near(slice_of(near), filter, why))
        return refuse(problem, "near", why);
    return ERR_NONE;
}

static void begin_parameter(struct text *path)
{
    bool is_first = path->size == 0 || !memchr(path->data, '?', path->size);
    text_append_char(path, is_first ? '?' : '&');
}

static void append(const struct args *args, const char *name, struct text *path)
{
    const char *value = args_text(args, name);
    if (!value)
        return;
    begin_parameter(path);
    text_printf(path, "%s=", name);
    call_request_escape(path, value);
}

void filter_args_append(const struct args *args, bool has_near, struct text *path)
{
    append(args, "region", path);
    append(args, "zone", path);
    append(args, "status", path);
    if (has_near)
        append(args, "near", path);
    size_t position = 0;
    for (const char *pair; (pair = args_next(args, "meta", &position));) {
        const char *value = strchr(pair, '=');
        struct text name = {0};
        text_append(&name, pair, (size_t)(value - pair));
        begin_parameter(path);
        text_append_string(path, "meta.");
        call_request_escape(path, text_string(&name));
        text_append_char(path, '=');
        call_request_escape(path, value + 1);
        path->failed |= text_failed(&name);
        text_free(&name);
    }
}

enum error filter_args_library(const struct args *args, struct library_filter *out)
{
    size_t position = 0;
    size_t starts[FILTER_METADATA_MAX];
    const char *status = args_text(args, "status");
    *out = (struct library_filter){.filter = {.region_id = args_text(args, "region"),
                                              .zone_id = args_text(args, "zone"),
                                              .status = status ? status : "all"}};
    for (const char *pair; (pair = args_next(args, "meta", &position));) {
        const char *value = strchr(pair, '=');
        starts[out->filter.metadata_count] = out->names.size;
        text_append(&out->names, pair, (size_t)(value - pair));
        text_append_char(&out->names, '\0');
        out->metadata[out->filter.metadata_count++].value = value + 1;
    }
    for (size_t i = 0; i < out->filter.metadata_count && !text_failed(&out->names); i++)
        out->metadata[i].name = out->names.data + starts[i];
    out->filter.metadata = out->metadata;
    return text_failed(&out->names) ? ERR_NO_MEMORY : ERR_NONE;
}

void filter_args_free(struct library_filter *filter)
{
    text_free(&filter->names);
}
