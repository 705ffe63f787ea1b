/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/api/discovery_encoder.h"

#include <stdlib.h>
#include <string.h>

#include "artemis-server/registry/change_filter.h"

enum { DELTA_BYTES_MAX = 16 * 1024 * 1024 }; /* of the instances in one services-delta */

static const enum dialect dialects[DIALECT_COUNT] = {DIALECT_SNAKE, DIALECT_CAMEL, DIALECT_JAVA};

/* Begins a response: its status and its revision. */
static struct json_writer begin(struct text *out, enum dialect dialect, uint64_t revision)
{
    struct json_writer w = jw_to(out, dialect_casing(dialect));
    jw_open(&w, '{');
    codec_write_status(&w, dialect, ERR_NONE, NULL, false);
    jw_name(&w, "version");
    jw_u64(&w, revision);
    return w;
}

static void write_members(struct json_writer *w, enum dialect dialect, struct slice id,
                          const struct registry_members *members)
{
    codec_begin_service(w, dialect, id, &members->near);
    for (size_t i = 0; i < members->count; i++)
        codec_write_instance(w, dialect, members->instances[i]);
    codec_end_service(w, dialect);
}

/* --- one service ------------------------------------------------------------------------------ */

static void encode_one(const struct service_view *view, struct slice id,
                       const struct registry_members *members, struct text *out)
{
    enum dialect dialect = *(const enum dialect *)view->context;
    struct json_writer w = begin(out, dialect, members->revision);
    jw_name(&w, "service");
    write_members(&w, dialect, id, members);
    jw_close(&w, '}');
}

static void encode_one_part(const struct cached_response *response, size_t from, size_t to,
                            struct text *out)
{
    const struct large_response *large = response->large;
    enum dialect dialect = *(const enum dialect *)large->context;
    struct json_writer w = jw_to(out, dialect_casing(dialect));
    w.comma = true; /* after an instance */
    if (from == 0) {
        w = begin(out, dialect, response->revision);
        jw_name(&w, "service");
        codec_begin_service(&w, dialect, (struct slice){large->id, large->id_size}, &large->near);
    }
    for (size_t i = from; i < to; i++)
        codec_write_instance(&w, dialect, large->instances[i]);
    if (to < large->count)
        return;
    codec_end_service(&w, dialect);
    jw_close(&w, '}');
}

static void encode_changes(const struct service_view *view, const struct registry_delta *delta,
                           struct text *out)
{
    enum dialect dialect = *(const enum dialect *)view->context;
    const struct instance_filter plain = {.statuses =
                                              view->all_statuses ? STATUSES_ALL : STATUSES_UP};
    const struct instance_filter *filter = view->filter ? view->filter : &plain;
    struct json_writer w = begin(out, dialect, delta->revision);
    jw_name(&w, "changes");
    jw_open(&w, '[');
    for (size_t i = 0; i < delta->count; i++) {
        const struct change *change = &delta->changes[i];
        enum change_type type;
        if (change_filter_sees(filter, change, &type))
            codec_write_change(&w, dialect, change->instance, type, change->wall_ms);
    }
    jw_close(&w, ']');
    jw_close(&w, '}');
}

struct service_view discovery_service_view(enum dialect dialect, bool all_statuses)
{
    return (struct service_view){
        .index = (unsigned)dialect * 2 + all_statuses,
        .all_statuses = all_statuses,
        .encode = encode_one,
        .encode_part = encode_one_part,
        .encode_delta = encode_changes,
        .context = &dialects[dialect],
    };
}

struct service_view discovery_filtered_view(enum dialect dialect,
                                            const struct instance_filter *filter)
{
    struct service_view view = discovery_service_view(dialect, true);
    view.filter = filter;
    return view;
}

enum error discovery_write_service(struct registry *registry, struct slice id, enum dialect dialect,
                                   const struct instance_filter *filter, struct json_writer *w)
{
    struct registry_members members;
    enum error error = registry_members(registry, id, filter->statuses != STATUSES_UP, &members);
    if (error)
        return error;
    registry_members_filter(&members, filter);
    write_members(w, dialect, id, &members);
    registry_members_free(&members);
    return ERR_NONE;
}

/* --- all services ----------------------------------------------------------------------------- */

static void encode_all(const struct all_services_view *view, struct registry *registry,
                       uint64_t revision, struct text *out)
{
    enum dialect dialect = *(const enum dialect *)view->context;
    struct registry_cursor cursor = {0};
    struct registry_members members;
    char buffer[ID_BYTES_MAX];
    struct slice id;
    struct json_writer w = begin(out, dialect, revision);
    jw_name(&w, "services");
    jw_open(&w, '[');
    enum error error;
    while (!(error = registry_next_service(registry, &cursor, buffer, &id, &members)) &&
           members.count) {
        if (view->filter)
            registry_members_filter(&members, view->filter);
        if (members.count)
            write_members(&w, dialect, id, &members);
        registry_members_free(&members);
    }
    out->failed |= error != ERR_NONE;
    jw_close(&w, ']');
    jw_close(&w, '}');
}

struct all_services_view discovery_all_services_view(enum dialect dialect)
{
    return (struct all_services_view){
        .index = (unsigned)dialect,
        .encode = encode_all,
        .context = &dialects[dialect],
    };
}

struct all_services_view discovery_all_services_filtered_view(enum dialect dialect,
                                                              const struct instance_filter *filter)
{
    struct all_services_view view = discovery_all_services_view(dialect);
    view.filter = filter;
    return view;
}

/* --- changes ---------------------------------------------------------------------------------- */

/* By service; the changes of one service in the order in which they happened. */
static int by_service(const void *a, const void *b)
{
    const struct change *const *left = a;
    const struct change *const *right = b;
    int order = slice_compare(instance_text((*left)->instance, FIELD_SERVICE),
                              instance_text((*right)->instance, FIELD_SERVICE));
    if (order == 0)
        order = *left < *right ? -1 : *left > *right;
    return order;
}

static void write_changes(struct json_writer *w, enum dialect dialect,
                          const struct change *const *sorted, size_t count)
{
    struct slice open = {0};
    jw_name(w, "delta");
    jw_open(w, '{');
    for (size_t i = 0; i < count; i++) {
        struct slice service = instance_text(sorted[i]->instance, FIELD_SERVICE);
        if (i == 0 || !slice_equal(service, open)) {
            if (i > 0)
                jw_close(w, ']');
            jw_verbatim_name(w, service);
            jw_open(w, '[');
            open = service;
        }
        codec_write_change(w, dialect, sorted[i]->instance, sorted[i]->type, sorted[i]->wall_ms);
    }
    if (count)
        jw_close(w, ']');
    jw_close(w, '}');
}

static enum error write_delta(const struct change *changes, size_t count, uint64_t newest,
                              enum dialect dialect, struct text *out)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += instance_size(changes[i].instance);
    if (bytes > DELTA_BYTES_MAX)
        return ERR_VERSION_GONE;
    const struct change **sorted = malloc((count ? count : 1) * sizeof(*sorted));
    if (!sorted)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        sorted[i] = &changes[i];
    qsort(sorted, count, sizeof(*sorted), by_service);
    struct json_writer w = begin(out, dialect, newest);
    write_changes(&w, dialect, sorted, count);
    jw_close(&w, '}');
    free(sorted);
    return text_failed(out) ? ERR_NO_MEMORY : ERR_NONE;
}

enum error discovery_write_delta(struct registry *registry, uint64_t since, enum dialect dialect,
                                 struct text *out)
{
    struct change *changes;
    size_t count;
    uint64_t newest;
    enum error error = registry_changes_since(registry, since, &changes, &count, &newest);
    if (error)
        return error;
    error = write_delta(changes, count, newest, dialect, out);
    change_list_free(changes, count);
    return error;
}
