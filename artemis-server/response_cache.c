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
    struct cache_budget filtered_budget;
    _Atomic uint64_t deltas_built, deltas_gone;
    _Atomic uint64_t delta_bytes;
    _Atomic uint64_t filtered_living_bytes;
    pthread_mutex_t encoding; /* held by the thread that encodes all services */
    struct {
        pthread_mutex_t lock;
        struct cached_response *all_services[ALL_SERVICES_VIEWS];
        struct cached_responses filtered; /* at most ALL_SERVICES_FILTERED_MAX */
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
    cache->filtered_budget.limit_bytes =
        settings.filtered_bytes_max ? settings.filtered_bytes_max : FILTERED_RESPONSES_BYTES_MAX;
    if (!cache->settings.deltas_bytes_max)
        cache->settings.deltas_bytes_max = SERVICE_DELTAS_BYTES_MAX;
    if (!cache->settings.filtered_living_bytes_max)
        cache->settings.filtered_living_bytes_max = FILTERED_LIVING_BYTES_MAX;
    pthread_mutex_init(&cache->encoding, NULL);
    pthread_mutex_init(&cache->_shared.lock, NULL);
    *out = cache;
    return ERR_NONE;
}

/* Evicts the filtered responses with all services that are outdated, or were last used up to a
 * time. */
static void evict_filtered(struct response_cache *cache, uint64_t used_ms,
                           struct cached_responses *evicted)
{
    struct cached_responses kept = SLIST_HEAD_INITIALIZER(kept);
    struct cached_response *response;
    while ((response = SLIST_FIRST(&cache->_shared.filtered))) {
        SLIST_REMOVE_HEAD(&cache->_shared.filtered, link);
        if (used_ms >= atomic_load(&response->used_ms) ||
            response->revision != registry_revision(cache->registry))
            cached_response_evict(response, evicted);
        else
            SLIST_INSERT_HEAD(&kept, response, link);
    }
    cache->_shared.filtered = kept;
}

void response_cache_free(struct response_cache *cache)
{
    if (!cache)
        return;
    struct cached_responses evicted = SLIST_HEAD_INITIALIZER(evicted);
    for (int i = 0; i < ALL_SERVICES_VIEWS; i++)
        if (cache->_shared.all_services[i])
            cached_response_evict(cache->_shared.all_services[i], &evicted);
    evict_filtered(cache, UINT64_MAX, &evicted);
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

/* Whether one more filtered response may be made. It may exceed the limit: the size is not known
 * before. */
static bool may_make_filtered(const struct response_cache *cache)
{
    return atomic_load(&cache->filtered_living_bytes) < cache->settings.filtered_living_bytes_max;
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
        .near = members->near,
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
        view->encode(view, id, members, &body);
        return make_response(&body, members->revision, now, out);
    }
    enum error error = make_large(members, id, view, out);
    if (!error)
        set_used(*out, now);
    return error;
}

/* Stores a new response with its key. Without memory it is not stored. */
static void put_service(struct response_cache *cache, struct slice id,
                        const struct response_key *key, struct cached_response *response)
{
    struct cache_budget *budget =
        key->filter.size ? &cache->filtered_budget : &cache->service_budget;
    response->view = key->view;
    response->since = key->since;
    text_append_slice(&response->filter, key->filter);
    bool is_stored = cache->settings.enabled && !text_failed(&response->filter);
    registry_cache_response(cache->registry, id, response, is_stored ? budget : NULL);
}

/* The text of a filter; empty if there is none. */
static struct slice key_of(const struct instance_filter *filter, char out[FILTER_KEY_BYTES_MAX])
{
    return (struct slice){out, filter ? instance_filter_key(filter, out) : 0};
}

/* As make_service, with the members that match. */
static enum error make_filtered(struct response_cache *cache, struct registry_members *members,
                                struct slice id, const struct service_view *view, struct moment now,
                                struct cached_response **out)
{
    if (!may_make_filtered(cache))
        return ERR_OVERLOADED;
    registry_members_filter(members, view->filter);
    enum error error = make_service(members, id, view, now, out);
    if (!error)
        cached_response_count(*out, &cache->filtered_living_bytes);
    return error;
}

enum error response_cache_get(struct response_cache *cache, struct slice id,
                              const struct service_view *view, struct moment now,
                              struct cached_response **out)
{
    char text[FILTER_KEY_BYTES_MAX];
    const struct response_key key = {.view = view->index, .filter = key_of(view->filter, text)};
    struct cached_response *response;
    struct registry_members members;
    enum error error = registry_find_response(
        cache->registry, id, &key, view->all_statuses || view->filter, now, &response, &members);
    if (error)
        return error;
    if (!response) {
        error = view->filter ? make_filtered(cache, &members, id, view, now, &response)
                             : make_service(&members, id, view, now, &response);
        registry_members_free(&members);
        if (error)
            return error;
        put_service(cache, id, &key, response);
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
    view->encode_delta(view, delta, &body);
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
    char text[FILTER_KEY_BYTES_MAX];
    const struct response_key key = {view->index, since, key_of(view->filter, text)};
    struct cached_response *response;
    struct registry_delta delta;
    enum error error = registry_find_delta(cache->registry, id, &key, now, &response, &delta);
    bool is_new = !error && !response;
    if (is_new) {
        error = make_delta(cache, view, &delta, now, &response);
        registry_delta_free(&delta);
    }
    if (error == ERR_VERSION_GONE)
        atomic_fetch_add_explicit(&cache->deltas_gone, 1, memory_order_relaxed);
    if (error)
        return error;
    if (is_new)
        put_service(cache, id, &key, response);
    *out = response;
    return ERR_NONE;
}

/* --- all services ----------------------------------------------------------------------------- */

static struct cached_response *find_filtered(struct response_cache *cache, unsigned index,
                                             struct slice filter)
{
    struct cached_response *response;
    SLIST_FOREACH (response, &cache->_shared.filtered, link)
        if (response->view == index &&
            slice_equal((struct slice){response->filter.data, response->filter.size}, filter))
            break;
    return response;
}

/* A reference to the cached response, if it is of the newest revision. */
static struct cached_response *find_all(struct response_cache *cache,
                                        const struct response_key *key)
{
    pthread_mutex_lock(&cache->_shared.lock);
    struct cached_response *response = key->filter.size
                                           ? find_filtered(cache, key->view, key->filter)
                                           : cache->_shared.all_services[key->view];
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
    pthread_mutex_lock(&cache->_shared.lock);
    if (*slot)
        cached_response_evict(*slot, &evicted);
    *slot = cached_response_put(response, &cache->all_services_budget) ? response : NULL;
    pthread_mutex_unlock(&cache->_shared.lock);
    cached_response_free_evicted(&evicted);
}

/* Evicts those that are outdated, and the one that is unused for longest if there are too many.
 * Another thread may have stored one with this key meanwhile. */
static void put_all_filtered(struct response_cache *cache, const struct response_key *key,
                             struct cached_response *response)
{
    struct cached_responses evicted = SLIST_HEAD_INITIALIZER(evicted);
    struct cached_response *each;
    struct cached_response *unused = NULL;
    unsigned count = 0;
    response->view = key->view;
    text_append_slice(&response->filter, key->filter);
    if (text_failed(&response->filter))
        return;
    pthread_mutex_lock(&cache->_shared.lock);
    evict_filtered(cache, 0, &evicted);
    SLIST_FOREACH (each, &cache->_shared.filtered, link) {
        if (!unused || atomic_load(&each->used_ms) <= atomic_load(&unused->used_ms))
            unused = each;
        count++;
    }
    bool is_stored = find_filtered(cache, key->view, key->filter) != NULL;
    if (!is_stored && count == ALL_SERVICES_FILTERED_MAX) {
        SLIST_REMOVE(&cache->_shared.filtered, unused, cached_response, link);
        cached_response_evict(unused, &evicted);
    }
    if (!is_stored && cached_response_put(response, &cache->filtered_budget))
        SLIST_INSERT_HEAD(&cache->_shared.filtered, response, link);
    pthread_mutex_unlock(&cache->_shared.lock);
    cached_response_free_evicted(&evicted);
}

static enum error encode_all(struct response_cache *cache, const struct all_services_view *view,
                             const struct response_key *key, struct moment now,
                             struct cached_response **out)
{
    /* Changes during the walk may be in the response or not. A client that asks for the changes
     * since `revision` gets them again, so that it misses none. */
    uint64_t revision = registry_revision(cache->registry);
    struct text body = {0};
    if (view->filter && !may_make_filtered(cache))
        return ERR_OVERLOADED;
    view->encode(view, cache->registry, revision, &body);
    enum error error = make_response(&body, revision, now, out);
    if (!error && view->filter)
        cached_response_count(*out, &cache->filtered_living_bytes);
    if (error || !cache->settings.enabled)
        return error;
    if (key->filter.size)
        put_all_filtered(cache, key, *out);
    else
        put_all(cache, key->view, *out);
    return ERR_NONE;
}

enum error response_cache_get_all(struct response_cache *cache,
                                  const struct all_services_view *view, struct moment now,
                                  struct cached_response **out)
{
    char text[FILTER_KEY_BYTES_MAX];
    const struct response_key key = {.view = view->index, .filter = key_of(view->filter, text)};
    enum error error = ERR_NONE;
    struct cached_response *response = find_all(cache, &key);
    if (!response && view->filter) {
        error = encode_all(cache, view, &key, now, &response);
    } else if (!response) {
        pthread_mutex_lock(&cache->encoding);
        response = find_all(cache, &key); /* another thread may have encoded it meanwhile */
        if (!response)
            error = encode_all(cache, view, &key, now, &response);
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
    evict_filtered(cache,
                   now.mono_ms > cache->settings.expiry_ms ? now.mono_ms - cache->settings.expiry_ms
                                                           : 0,
                   &evicted);
    pthread_mutex_unlock(&cache->_shared.lock);
    cached_response_free_evicted(&evicted);
}

void response_cache_stats(const struct response_cache *cache, struct response_cache_stats *stats)
{
    stats->service_bytes = atomic_load(&cache->service_budget.used_bytes);
    stats->all_services_bytes = atomic_load(&cache->all_services_budget.used_bytes);
    stats->filtered_bytes = atomic_load(&cache->filtered_budget.used_bytes);
    stats->filtered_living_bytes = atomic_load(&cache->filtered_living_bytes);
    stats->delta_bytes = atomic_load(&cache->delta_bytes);
    stats->deltas_built = atomic_load_explicit(&cache->deltas_built, memory_order_relaxed);
    stats->deltas_gone = atomic_load_explicit(&cache->deltas_gone, memory_order_relaxed);
}
