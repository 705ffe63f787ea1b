/* SPDX-License-Identifier: Apache-2.0
 *
 * How responses are made: the members are referenced under the shard's lock, the body is written
 * outside of it, and the response is kept if the service has not changed meanwhile.
 */
#include "artemis-server/registry/registry.h"

#include <stdlib.h>
#include <string.h>

#include "artemis-core/model/stamp.h"
#include "artemis-server/registry/registry_internal.h"

enum {
    DELTA_BYTES_MAX = 16 * 1024 * 1024, /* of instances in one services-delta */
    RANDOM_TRIES = 8,
};

/* The members of a service at one revision. */
struct members {
    struct instance **instances;
    size_t count;
    uint64_t revision;
};

static int view_of(enum dialect dialect, bool all_statuses)
{
    return (int)dialect * 2 + all_statuses;
}

/* --- one service ------------------------------------------------------------------------------ */

/* The cached response, or else the members to build one from. The shard is locked. */
static enum error find_response(struct shard *shard, uint32_t number, int view, struct moment now,
                                struct cached_response **cached, struct members *members)
{
    struct service *service = shard_service(shard, number);
    struct cached_response *response = service->responses[view];
    if (response) {
        atomic_store_explicit(&response->used_ms, now.mono_ms, memory_order_relaxed);
        *cached = cached_response_ref(response);
        return ERR_NONE;
    }
    members->revision = service->revision;
    return shard_copy_members(shard, service, view & 1, &members->instances, &members->count);
}

static enum error build_response(struct slice id, enum dialect dialect,
                                 const struct members *members, struct cached_response **out)
{
    static struct instance *const none[1];
    struct text body = {0};
    struct json_writer w = jw_to(&body, dialect_casing(dialect));
    jw_open(&w, '{');
    codec_write_status(&w, dialect, ERR_NONE, NULL, false);
    jw_name(&w, "version");
    jw_u64(&w, members->revision);
    jw_name(&w, "service");
    codec_write_service(&w, dialect, id, members->instances ? members->instances : none,
                        members->count);
    jw_close(&w, '}');
    enum error error =
        text_failed(&body) ? ERR_NO_MEMORY : cached_response_create(&body, members->revision, out);
    text_free(&body);
    return error;
}

/* Keeps an response for the next who asks, unless the service has changed, another was quicker or
 * there is no room. */
static void put_response(struct registry *registry, struct service_location place, struct slice id,
                         int view, struct cached_response *response)
{
    struct shard *shard = &place.home->shard;
    pthread_mutex_lock(&place.home->lock);
    shard->counters.responses_built++;
    uint32_t number = shard_find_service(shard, place.hash, id);
    struct service *service = number ? shard_service(shard, number) : NULL;
    if (service && registry->options.cache_enabled && service->revision == response->revision &&
        !service->responses[view] &&
        cached_response_put(response, &registry->service_responses, SERVICE_RESPONSES_BYTES_MAX))
        shard_cache_response(shard, number, view, response);
    pthread_mutex_unlock(&place.home->lock);
}

enum error registry_service(struct registry *registry, struct slice id, enum dialect dialect,
                            bool all_statuses, struct moment now, struct cached_response **out)
{
    struct service_location place = registry_locate(registry, id);
    struct cached_response *response = NULL;
    struct members members = {0};
    int view = view_of(dialect, all_statuses);

    pthread_mutex_lock(&place.home->lock);
    uint32_t number = shard_find_service(&place.home->shard, place.hash, id);
    enum error error =
        number ? find_response(&place.home->shard, number, view, now, &response, &members)
               : ERR_SERVICE_NOT_FOUND;
    pthread_mutex_unlock(&place.home->lock);
    if (error || response)
        goto out;

    error = build_response(id, dialect, &members, &response);
    shard_free_members(members.instances, members.count);
    if (error)
        return error;
    atomic_store_explicit(&response->used_ms, now.mono_ms, memory_order_relaxed);
    put_response(registry, place, id, view, response);
out:
    if (!error)
        *out = response;
    return error;
}

enum error registry_write_service(struct registry *registry, struct slice id, enum dialect dialect,
                                  bool all_statuses, struct json_writer *w)
{
    static struct instance *const none[1];
    struct service_location place = registry_locate(registry, id);
    struct instance **instances = NULL;
    size_t count = 0;
    enum error error = ERR_SERVICE_NOT_FOUND;

    pthread_mutex_lock(&place.home->lock);
    uint32_t number = shard_find_service(&place.home->shard, place.hash, id);
    if (number)
        error = shard_copy_members(&place.home->shard, shard_service(&place.home->shard, number),
                                   all_statuses, &instances, &count);
    pthread_mutex_unlock(&place.home->lock);
    if (error)
        return error;
    codec_write_service(w, dialect, id, instances ? instances : none, count);
    shard_free_members(instances, count);
    return ERR_NONE;
}

static bool fits(const struct shard *shard, const struct service *service, uint32_t member,
                 bool all_statuses)
{
    const struct instance *instance = shard_record(shard, service->members[member])->instance;
    return all_statuses || instance_status(instance) == STATUS_UP;
}

/* The member whose turn it is, or member_count. At random: one of those that fit, each as
 * likely. */
static uint32_t choose(const struct shard *shard, const struct service *service, bool all_statuses,
                       enum lookup_strategy strategy, uint32_t random)
{
    uint32_t count = service->member_count;
    if (strategy == LOOKUP_ROUND_ROBIN) {
        for (uint32_t i = 0; i < count; i++) {
            uint32_t member = (uint32_t)(((uint64_t)service->round_robin + i) % count);
            if (fits(shard, service, member, all_statuses))
                return member;
        }
        return count;
    }
    /* Most fit: a few throws of the dice usually hit one. */
    for (int i = 0; i < RANDOM_TRIES && count; i++) {
        if (fits(shard, service, random % count, all_statuses))
            return random % count;
        random = random * 1664525u + 1013904223u;
        random ^= random >> 16;
    }
    uint32_t fitting = 0;
    for (uint32_t i = 0; i < count; i++)
        fitting += fits(shard, service, i, all_statuses);
    uint32_t wanted = fitting ? random % fitting : 0;
    for (uint32_t i = 0; i < count; i++)
        if (fits(shard, service, i, all_statuses) && wanted-- == 0)
            return i;
    return count;
}

enum error registry_pick(struct registry *registry, struct slice id, bool all_statuses,
                         enum lookup_strategy strategy, uint32_t random, struct instance **out)
{
    struct service_location place = registry_locate(registry, id);
    struct shard *shard = &place.home->shard;
    enum error error = ERR_SERVICE_NOT_FOUND;

    pthread_mutex_lock(&place.home->lock);
    uint32_t number = shard_find_service(shard, place.hash, id);
    if (number) {
        struct service *service = shard_service(shard, number);
        uint32_t member = choose(shard, service, all_statuses, strategy, random);
        error = member < service->member_count ? ERR_NONE : ERR_INSTANCE_NOT_FOUND;
        if (!error)
            *out = instance_ref(shard_record(shard, service->members[member])->instance);
        if (!error && strategy == LOOKUP_ROUND_ROBIN)
            service->round_robin = member + 1;
    }
    pthread_mutex_unlock(&place.home->lock);
    return error;
}

/* --- all services ----------------------------------------------------------------------------- */

/* Writes the service with that number, if it has members; false behind the last one. */
static bool write_numbered(struct locked_shard *home, uint32_t number, enum dialect dialect,
                           struct json_writer *w)
{
    struct instance **instances = NULL;
    size_t count = 0;
    char id[ID_BYTES_MAX];
    size_t id_size = 0;
    enum error error = ERR_NONE;

    pthread_mutex_lock(&home->lock);
    bool exists = number < home->shard.services.end;
    struct service *service = exists ? shard_service(&home->shard, number) : NULL;
    if (service && service->id && service->member_count) {
        id_size = service->id_size;
        memcpy(id, service->id, id_size);
        error = shard_copy_members(&home->shard, service, true, &instances, &count);
    }
    pthread_mutex_unlock(&home->lock);
    if (error)
        w->out->failed = true;
    else if (count)
        codec_write_service(w, dialect, (struct slice){id, id_size}, instances, count);
    shard_free_members(instances, count);
    return exists;
}

static enum error build_all_services(struct registry *registry, enum dialect dialect,
                                     struct cached_response **out)
{
    /* What changes while we walk may be in or not; confirming for the changes since `revision`
     * gives it again, so nothing is missed. */
    uint64_t revision = registry_revision(registry);
    struct text body = {0};
    struct json_writer w = jw_to(&body, dialect_casing(dialect));
    jw_open(&w, '{');
    codec_write_status(&w, dialect, ERR_NONE, NULL, false);
    jw_name(&w, "version");
    jw_u64(&w, revision);
    jw_name(&w, "services");
    jw_open(&w, '[');
    for (int i = 0; i < SHARD_COUNT; i++)
        for (uint32_t number = 1; write_numbered(&registry->shards[i], number, dialect, &w);)
            number++;
    jw_close(&w, ']');
    jw_close(&w, '}');
    enum error error =
        text_failed(&body) ? ERR_NO_MEMORY : cached_response_create(&body, revision, out);
    text_free(&body);
    return error;
}

/* The kept response, if it is the newest there can be; a reference. */
static struct cached_response *get_all_services(struct registry *registry, enum dialect dialect)
{
    pthread_mutex_lock(&registry->all_services.lock);
    struct cached_response *kept = registry->all_services.responses[dialect];
    if (kept && kept->revision != registry_revision(registry))
        kept = NULL;
    if (kept)
        cached_response_ref(kept);
    pthread_mutex_unlock(&registry->all_services.lock);
    return kept;
}

static void put_all_services(struct registry *registry, enum dialect dialect,
                             struct cached_response *response)
{
    struct cached_response **kept = &registry->all_services.responses[dialect];
    struct cached_response *evicted_responses = NULL;
    if (!registry->options.cache_enabled)
        return;
    pthread_mutex_lock(&registry->all_services.lock);
    if (*kept) /* outdated */
        cached_response_evict(*kept, &evicted_responses);
    *kept = cached_response_put(response, &registry->all_services.budget,
                                ALL_SERVICES_RESPONSES_BYTES_MAX)
                ? response
                : NULL;
    pthread_mutex_unlock(&registry->all_services.lock);
    cached_response_free_evicted(evicted_responses);
}

enum error registry_services(struct registry *registry, enum dialect dialect, struct moment now,
                             struct cached_response **out)
{
    enum error error = ERR_NONE;
    struct cached_response *response = get_all_services(registry, dialect);
    if (!response) {
        /* One builds, the others wait for it, and may find what they want then. */
        pthread_mutex_lock(&registry->all_services.building);
        response = get_all_services(registry, dialect);
        if (!response) {
            error = build_all_services(registry, dialect, &response);
            if (!error)
                put_all_services(registry, dialect, response);
        }
        pthread_mutex_unlock(&registry->all_services.building);
    }
    if (error)
        return error;
    atomic_store_explicit(&response->used_ms, now.mono_ms, memory_order_relaxed);
    *out = response;
    return ERR_NONE;
}

/* --- changes ---------------------------------------------------------------------------------- */

/* By service; within one, in the order in which they happened (by their place in the array). */
static int by_service(const void *a, const void *b)
{
    const struct change *const *left = a;
    const struct change *const *right = b;
    struct slice x = instance_text((*left)->instance, FIELD_SERVICE);
    struct slice y = instance_text((*right)->instance, FIELD_SERVICE);
    int order = memcmp(x.data, y.data, x.size < y.size ? x.size : y.size);
    if (order == 0 && x.size != y.size)
        order = x.size < y.size ? -1 : 1;
    if (order == 0)
        order = *left < *right ? -1 : *left > *right;
    return order;
}

static void write_delta(struct json_writer *w, enum dialect dialect,
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

enum error registry_delta(struct registry *registry, uint64_t since, enum dialect dialect,
                          struct text *out)
{
    struct change *changes;
    size_t count;
    uint64_t newest;
    enum error error = change_log_since(&registry->log, since, &changes, &count, &newest);
    if (error)
        return error;
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += instance_size(changes[i].instance);
    if (bytes > DELTA_BYTES_MAX) { /* to fetch all again is cheaper by now */
        change_list_free(changes, count);
        return ERR_VERSION_GONE;
    }
    const struct change **sorted = malloc((count ? count : 1) * sizeof(*sorted));
    if (!sorted) {
        change_list_free(changes, count);
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++)
        sorted[i] = &changes[i];
    qsort(sorted, count, sizeof(*sorted), by_service);

    struct json_writer w = jw_to(out, dialect_casing(dialect));
    jw_open(&w, '{');
    codec_write_status(&w, dialect, ERR_NONE, NULL, false);
    jw_name(&w, "version");
    jw_u64(&w, newest);
    write_delta(&w, dialect, sorted, count);
    jw_close(&w, '}');
    free(sorted);
    change_list_free(changes, count);
    return text_failed(out) ? ERR_NO_MEMORY : ERR_NONE;
}

/* --- leases ----------------------------------------------------------------------------------- */

static struct lease_view view_lease(const struct registry *registry, const struct record *record,
                                    struct moment now)
{
    uint64_t deadline_ms = record->lease.deadline_ms;
    uint64_t renewed_ms = deadline_ms - registry->options.ttl_ms;
    return (struct lease_view){
        .instance = instance_ref(record->instance),
        .renewed_ms_ago = now.mono_ms > renewed_ms ? now.mono_ms - renewed_ms : 0,
        .ends_in_ms = deadline_ms > now.mono_ms ? deadline_ms - now.mono_ms : 0,
        .guarded = record->guarded,
        .changed_wall_ms = hlc_to_ms(record->hlc),
    };
}

enum error registry_each_lease(struct registry *registry, struct slice id, struct moment now,
                               registry_visit_lease *visit, void *context)
{
    struct service_location place = registry_locate(registry, id);
    struct lease_view *views = NULL;
    uint32_t count = 0;
    enum error error = ERR_SERVICE_NOT_FOUND;

    pthread_mutex_lock(&place.home->lock);
    uint32_t number = shard_find_service(&place.home->shard, place.hash, id);
    if (number) {
        const struct service *service = shard_service(&place.home->shard, number);
        views = malloc((service->member_count + 1) * sizeof(*views));
        error = views ? ERR_NONE : ERR_NO_MEMORY;
        for (; views && count < service->member_count; count++)
            views[count] = view_lease(
                registry, shard_record(&place.home->shard, service->members[count]), now);
    }
    pthread_mutex_unlock(&place.home->lock);

    for (uint32_t i = 0; i < count; i++) {
        visit(context, &views[i]);
        instance_unref(views[i].instance);
    }
    free(views);
    return error;
}
