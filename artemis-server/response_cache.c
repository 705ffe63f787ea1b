/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/response_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct response_cache {
    struct registry *registry;
    struct response_cache_settings settings;
    struct cache_budget service_budget;
    struct cache_budget all_services_budget;
    _Atomic uint64_t deltas_built, deltas_gone;
    _Atomic uint64_t delta_bytes;
    pthread_mutex_t encoding; /* held by the thread that encodes all services */
    struct {
        pthread_mutex_t lock;
        struct cached_response *all_services[ALL_SERVICES_VIEWS];
    } _shared;
};

enum error response_cache_create(struct registry *registry, struct response_cache_settings settings,
                                 struct response_cache **out)
{
    struct response_cache *cache = calloc(1, sizeof(*cache));
    if (!cache)
        return ERR_NO_MEMORY;
    cache->registry = registry;
    cache->settings = settings;
    cache->service_budget.limit_bytes =
        settings.service_bytes_max ? settings.service_bytes_max : SERVICE_RESPONSES_BYTES_MAX;
    cache->all_services_budget.limit_bytes = settings.all_services_bytes_max
                                                 ? settings.all_services_bytes_max
                                                 : ALL_SERVICES_RESPONSES_BYTES_MAX;
    if (!cache->settings.deltas_bytes_max)
        cache->settings.deltas_bytes_max = SERVICE_DELTAS_BYTES_MAX;
    pthread_mutex_init(&cache->encoding, NULL);
    pthread_mutex_init(&cache->_shared.lock, NULL);
    *out = cache;
    return ERR_NONE;
}

void response_cache_free(struct response_cache *cache)
{
    if (!cache)
        return;
    struct cached_responses evicted = SLIST_HEAD_INITIALIZER(evicted);
    for (int i = 0; i < ALL_SERVICES_VIEWS; i++)
        if (cache->_shared.all_services[i])
            cached_response_evict(cache->_shared.all_services[i], &evicted);
    cached_response_free_evicted(&evicted);
    pthread_mutex_destroy(&cache->encoding);
    pthread_mutex_destroy(&cache->_shared.lock);
    free(cache);
}

static void set_used(struct cached_response *response, struct moment now)
{
    atomic_store_explicit(&response->used_ms, now.mono_ms, memory_order_relaxed);
}

/* Takes over the content of the body. */
static enum error make_response(struct text *body, uint64_t revision, struct moment now,
                                struct cached_response **out)
{
    enum error error =
        text_failed(body) ? ERR_NO_MEMORY : cached_response_create(body, revision, out);
    text_free(body);
    if (!error)
        set_used(*out, now);
    return error;
}

/* --- one service ------------------------------------------------------------------------------ */

static bool are_large(const struct registry_members *members)
{
    size_t bytes = 0;
    for (size_t i = 0; i < members->count && members->count <= LARGE_MEMBERS; i++)
        bytes += instance_size(members->instances[i]);
    return members->count > LARGE_MEMBERS || bytes > LARGE_MEMBERS_BYTES;
}

/* Takes over the members. */
static enum error make_large(struct registry_members *members, struct slice id,
                             const struct service_view *view, struct cached_response **out)
{
    struct large_response *large = malloc(sizeof(*large));
    if (!large)
        return ERR_NO_MEMORY;
    *large = (struct large_response){
        .instances = members->instances,
        .count = members->count,
        .encode = view->encode_part,
        .context = view->context,
        .id_size = id.size,
    };
    memcpy(large->id, id.data, id.size);
    members->instances = NULL;
    members->count = 0;
    enum error error = cached_response_create_large(large, members->revision, out);
    if (error)
        large_response_free(large);
    return error;
}

/* Encodes the members, or takes them over where they are large. */
static enum error make_service(struct registry_members *members, struct slice id,
                               const struct service_view *view, struct moment now,
                               struct cached_response **out)
{
    struct text body = {0};
    if (!are_large(members)) {
        view->encode(view->context, id, members, &body);
        return make_response(&body, members->revision, now, out);
    }
    enum error error = make_large(members, id, view, out);
    if (!error)
        set_used(*out, now);
    return error;
}

enum error response_cache_get(struct response_cache *cache, struct slice id,
                              const struct service_view *view, struct moment now,
                              struct cached_response **out)
{
    struct cached_response *response;
    struct registry_members members;
    enum error error = registry_find_response(cache->registry, id, view->index, view->all_statuses,
                                              now, &response, &members);
    if (error)
        return error;
    if (!response) {
        error = make_service(&members, id, view, now, &response);
        registry_members_free(&members);
        if (error)
            return error;
        registry_cache_response(cache->registry, id, view->index, response,
                                cache->settings.enabled ? &cache->service_budget : NULL);
    }
    *out = response;
    return ERR_NONE;
}

static enum error make_delta(struct response_cache *cache, const struct service_view *view,
                             const struct registry_delta *delta, struct moment now,
                             struct cached_response **out)
{
    struct text body = {0};
    if (atomic_load(&cache->delta_bytes) >= cache->settings.deltas_bytes_max)
        return ERR_VERSION_GONE;
    view->encode_delta(view->context, delta, view->all_statuses, &body);
    enum error error = make_response(&body, delta->revision, now, out);
    if (error)
        return error;
    cached_response_count(*out, &cache->delta_bytes);
    atomic_fetch_add_explicit(&cache->deltas_built, 1, memory_order_relaxed);
    return ERR_NONE;
}

enum error response_cache_get_delta(struct response_cache *cache, struct slice id,
                                    const struct service_view *view, uint64_t since,
                                    struct moment now, struct cached_response **out)
{
    struct cached_response *response;
    struct registry_delta delta;
    enum error error =
        registry_find_delta(cache->registry, id, view->index, since, now, &response, &delta);
    bool is_new = !error && !response;
    if (is_new) {
        error = make_delta(cache, view, &delta, now, &response);
        registry_delta_free(&delta);
    }
    if (error == ERR_VERSION_GONE)
        atomic_fetch_add_explicit(&cache->deltas_gone, 1, memory_order_relaxed);
    if (error)
        return error;
    if (is_new) {
        response->view = view->index;
        response->since = since;
        registry_cache_response(cache->registry, id, view->index, response,
                                cache->settings.enabled ? &cache->service_budget : NULL);
    }
    *out = response;
    return ERR_NONE;
}

/* --- all services ----------------------------------------------------------------------------- */

/* A reference to the cached response, if it is of the newest revision. */
static struct cached_response *find_all(struct response_cache *cache, unsigned index)
{
    pthread_mutex_lock(&cache->_shared.lock);
    struct cached_response *response = cache->_shared.all_services[index];
    if (response && response->revision != registry_revision(cache->registry))
        response = NULL;
    if (response)
        cached_response_ref(response);
    pthread_mutex_unlock(&cache->_shared.lock);
    return response;
}

static void put_all(struct response_cache *cache, unsigned index, struct cached_response *response)
{
    struct cached_response **slot = &cache->_shared.all_services[index];
    struct cached_responses evicted = SLIST_HEAD_INITIALIZER(evicted);
    if (!cache->settings.enabled)
        return;
    pthread_mutex_lock(&cache->_shared.lock);
    if (*slot)
        cached_response_evict(*slot, &evicted);
    *slot = cached_response_put(response, &cache->all_services_budget) ? response : NULL;
    pthread_mutex_unlock(&cache->_shared.lock);
    cached_response_free_evicted(&evicted);
}

static enum error encode_all(struct response_cache *cache, const struct all_services_view *view,
                             struct moment now, struct cached_response **out)
{
    /* Changes during the walk may be in the response or not. A client that asks for the changes
     * since `revision` gets them again, so that it misses none. */
    uint64_t revision = registry_revision(cache->registry);
    struct text body = {0};
    view->encode(view->context, cache->registry, revision, &body);
    enum error error = make_response(&body, revision, now, out);
    if (!error)
        put_all(cache, view->index, *out);
    return error;
}

enum error response_cache_get_all(struct response_cache *cache,
                                  const struct all_services_view *view, struct moment now,
                                  struct cached_response **out)
{
    enum error error = ERR_NONE;
    struct cached_response *response = find_all(cache, view->index);
    if (!response) {
        pthread_mutex_lock(&cache->encoding);
        response = find_all(cache, view->index); /* another thread may have encoded it meanwhile */
        if (!response)
            error = encode_all(cache, view, now, &response);
        pthread_mutex_unlock(&cache->encoding);
    }
    if (error)
        return error;
    atomic_store_explicit(&response->used_ms, now.mono_ms, memory_order_relaxed);
    *out = response;
    return ERR_NONE;
}

/* --- cleanup, status -------------------------------------------------------------------------- */

void response_cache_cleanup(struct response_cache *cache, struct moment now)
{
    struct cached_responses evicted = SLIST_HEAD_INITIALIZER(evicted);
    pthread_mutex_lock(&cache->_shared.lock);
    for (int i = 0; i < ALL_SERVICES_VIEWS; i++) {
        struct cached_response *response = cache->_shared.all_services[i];
        if (!response)
            continue;
        bool is_used = atomic_load(&response->used_ms) + cache->settings.expiry_ms > now.mono_ms;
        if (is_used && response->revision == registry_revision(cache->registry))
            continue;
        cached_response_evict(response, &evicted);
        cache->_shared.all_services[i] = NULL;
    }
    pthread_mutex_unlock(&cache->_shared.lock);
    cached_response_free_evicted(&evicted);
}

void response_cache_stats(const struct response_cache *cache, struct response_cache_stats *stats)
{
    stats->service_bytes = atomic_load(&cache->service_budget.used_bytes);
    stats->all_services_bytes = atomic_load(&cache->all_services_budget.used_bytes);
    stats->delta_bytes = atomic_load(&cache->delta_bytes);
    stats->deltas_built = atomic_load_explicit(&cache->deltas_built, memory_order_relaxed);
    stats->deltas_gone = atomic_load_explicit(&cache->deltas_gone, memory_order_relaxed);
}
