/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/watch/service_cache.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum error service_cache_create(const char *id, struct callback_queue *callbacks,
                                size_t *deferred_total, struct service_cache **out)
{
    struct service_cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        return ERR_NO_MEMORY;
    snprintf(cache->id, sizeof cache->id, "%s", id);
    cache->callbacks = callbacks;
    cache->deferred_total = deferred_total;
    LIST_INIT(&cache->watches);
    STAILQ_INIT(&cache->deferred);
    TAILQ_INIT(&cache->filtered);
    *out = cache;
    return ERR_NONE;
}

/* Callers keep what they have; round robin continues at the same index. Accepts NULL. */
static void drop_service(struct service_cache *cache, struct shared_service *service)
{
    if (!service)
        return;
    uint64_t next_index = atomic_load_explicit(&service->next_index, memory_order_relaxed);
    if (next_index > cache->next_index)
        cache->next_index = next_index;
    artemis_service_free(&service->view);
}

static void drop_first_filtered(struct service_cache *cache)
{
    struct filtered_service *first = TAILQ_FIRST(&cache->filtered);
    TAILQ_REMOVE(&cache->filtered, first, link);
    cache->filtered_count--;
    drop_service(cache, first->service);
    free(first);
}

static void drop_published(struct service_cache *cache)
{
    for (size_t i = 0; i < 2; i++) {
        drop_service(cache, cache->published[i]);
        cache->published[i] = NULL;
    }
    while (cache->filtered_count)
        drop_first_filtered(cache);
}

void service_cache_free(struct service_cache *cache)
{
    struct artemis_watch *watch;
    while ((watch = LIST_FIRST(&cache->watches))) {
        service_cache_remove_watch(cache, watch);
        watch_unref(watch); /* the caller's reference: a watch ends with its client */
    }
    drop_published(cache);
    service_cache_drop_deferred(cache);
    instance_set_clear(&cache->instances);
    free(cache);
}

/* --- watches ---------------------------------------------------------------------------------- */

static bool matches(const struct artemis_watch *watch, const struct shared_instance *instance)
{
    return instance && (!watch->has_filter || view_filter_matches(&watch->filter, &instance->view));
}

/* A watch with a filter sees only the instances that match. */
static enum error queue_for_watch(struct callback_queue *queue, struct artemis_watch *watch,
                                  enum artemis_change_type type, struct shared_instance *before,
                                  struct shared_instance *now, int64_t time_ms)
{
    bool did_match = matches(watch, before);
    bool does_match = matches(watch, now);
    if (!did_match && !does_match)
        return ERR_NONE;
    if (!did_match)
        return callback_queue_add_change(queue, watch, ARTEMIS_NEW, NULL, now, time_ms);
    if (!does_match)
        return callback_queue_add_change(queue, watch, ARTEMIS_DELETE, before, NULL, time_ms);
    return callback_queue_add_change(queue, watch, type, before, now, time_ms);
}

enum error service_cache_add_watch(struct service_cache *cache, struct artemis_watch *watch,
                                   int64_t wall_ms)
{
    struct queued_callback *mark = callback_queue_mark(cache->callbacks);
    enum error error = ERR_NONE;
    bool sends_current = cache->known && (watch->flags & ARTEMIS_WATCH_CURRENT);
    for (size_t i = 0; sends_current && i < cache->instances.count && !error; i++)
        error = queue_for_watch(cache->callbacks, watch, ARTEMIS_NEW, NULL,
                                cache->instances.each[i], wall_ms);
    if (error) {
        callback_queue_rewind(cache->callbacks, mark);
        return error;
    }
    watch->refs++;
    watch->cache = cache;
    LIST_INSERT_HEAD(&cache->watches, watch, link);
    return ERR_NONE;
}

void service_cache_remove_watch(struct service_cache *cache, struct artemis_watch *watch)
{
    if (watch->cache != cache)
        return;
    LIST_REMOVE(watch, link);
    watch->cache = NULL;
    watch_unref(watch);
}

/* --- changes ---------------------------------------------------------------------------------- */

struct change_context {
    struct service_cache *cache;
    int64_t time_ms;
};

static enum error queue_difference(void *context, enum artemis_change_type type,
                                   struct shared_instance *before, struct shared_instance *now)
{
    const struct change_context *change = context;
    const struct service_cache *cache = change->cache;
    enum error error = ERR_NONE;
    struct artemis_watch *watch;
    LIST_FOREACH (watch, &cache->watches, link)
        if (!error && (cache->known || (watch->flags & ARTEMIS_WATCH_CURRENT)))
            error = queue_for_watch(cache->callbacks, watch, type, before, now, change->time_ms);
    return error;
}

enum error service_cache_replace(struct service_cache *cache, const char *service_id,
                                 struct shared_instance **instances, size_t count, int64_t wall_ms)
{
    struct queued_callback *mark = callback_queue_mark(cache->callbacks);
    struct change_context change = {.cache = cache, .time_ms = wall_ms};
    enum error error = instance_set_replace(&cache->instances, service_id, instances, count,
                                            queue_difference, &change);
    if (error) {
        callback_queue_rewind(cache->callbacks, mark);
        return error;
    }
    cache->known = true;
    drop_published(cache);
    return ERR_NONE;
}

static enum error apply_change(struct service_cache *cache, const struct push_change *change,
                               int64_t wall_ms)
{
    struct queued_callback *mark = callback_queue_mark(cache->callbacks);
    struct change_context context = {.cache = cache,
                                     .time_ms = change->time_ms ? change->time_ms : wall_ms};
    enum error error = ERR_NONE;
    if (!change->instance)
        return ERR_NONE;
    if (change->type == CHANGE_DELETE)
        error =
            instance_set_remove(&cache->instances, change->instance, queue_difference, &context);
    else
        error = instance_set_put(&cache->instances, change->instance, queue_difference, &context);
    if (error)
        callback_queue_rewind(cache->callbacks, mark);
    return error;
}

/* By identity; of one instance, the latest change comes last. */
static int by_instance(const void *a, const void *b)
{
    const struct push_change *const *left = a;
    const struct push_change *const *right = b;
    int order = shared_instance_compare((*left)->instance, (*right)->instance);
    if (order != 0)
        return order;
    return *left < *right ? -1 : *left > *right;
}

static enum error apply_latest(struct service_cache *cache, const struct push_change *changes,
                               size_t count, int64_t wall_ms)
{
    const struct push_change **sorted = calloc(count + 1, sizeof(struct push_change *));
    if (!sorted)
        return ERR_NO_MEMORY;
    size_t used = 0;
    for (size_t i = 0; i < count; i++)
        if (changes[i].instance)
            sorted[used++] = &changes[i];
    if (used > 1)
        qsort(sorted, used, sizeof *sorted, by_instance);
    enum error error = ERR_NONE;
    for (size_t i = 0; i < used && !error; i++) {
        bool is_latest = i + 1 == used ||
                         shared_instance_compare(sorted[i]->instance, sorted[i + 1]->instance) != 0;
        if (is_latest)
            error = apply_change(cache, sorted[i], wall_ms);
    }
    free(sorted);
    return error;
}

enum error service_cache_change(struct service_cache *cache, const struct push_change *changes,
                                size_t count, bool only_latest, int64_t wall_ms)
{
    enum error error = ERR_NONE;
    if (only_latest)
        error = apply_latest(cache, changes, count, wall_ms);
    for (size_t i = 0; i < count && !only_latest && !error; i++)
        error = apply_change(cache, &changes[i], wall_ms);
    drop_published(cache);
    return error;
}

void service_cache_set_fresh(struct service_cache *cache, bool fresh, uint64_t contact_ms)
{
    if (cache->fresh != fresh)
        drop_published(cache);
    cache->fresh = fresh;
    cache->contact_ms = contact_ms;
}

static enum error create_service(struct service_cache *cache, bool only_up,
                                 const struct instance_filter *filter, struct shared_service **out)
{
    const struct shared_service_spec spec = {
        .service_id = cache->id,
        .revision = cache->revision,
        .stale = !cache->fresh,
        .contact_ms = cache->contact_ms,
        .next_index = cache->next_index,
        .only_up = only_up,
        .filter = filter,
    };
    return shared_service_create(&cache->instances, &spec, out);
}

enum error service_cache_publish(struct service_cache *cache, bool only_up,
                                 struct shared_service **out)
{
    if (!cache->published[only_up]) {
        enum error error = create_service(cache, only_up, NULL, &cache->published[only_up]);
        if (error)
            return error;
    }
    artemis_service_ref(&cache->published[only_up]->view);
    *out = cache->published[only_up];
    return ERR_NONE;
}

/* Publishes a service with a filter; evicts the least recently used one if there are too many. */
static enum error add_filtered(struct service_cache *cache, const struct instance_filter *filter,
                               struct slice key, struct filtered_service **out)
{
    struct filtered_service *added = malloc(sizeof *added + key.size);
    if (!added)
        return ERR_NO_MEMORY;
    enum error error = create_service(cache, false, filter, &added->service);
    if (error) {
        free(added);
        return error;
    }
    added->key_size = key.size;
    memcpy(added->key, key.data, key.size);
    if (cache->filtered_count == FILTERED_MAX)
        drop_first_filtered(cache);
    TAILQ_INSERT_TAIL(&cache->filtered, added, link);
    cache->filtered_count++;
    *out = added;
    return ERR_NONE;
}

enum error service_cache_publish_filtered(struct service_cache *cache,
                                          const struct instance_filter *filter,
                                          struct shared_service **out)
{
    char text[FILTER_KEY_BYTES_MAX];
    const struct slice key = {text, instance_filter_key(filter, text)};
    struct filtered_service *found;
    TAILQ_FOREACH (found, &cache->filtered, link)
        if (slice_equal((struct slice){found->key, found->key_size}, key))
            break;
    enum error error = found ? ERR_NONE : add_filtered(cache, filter, key, &found);
    if (error)
        return error;
    TAILQ_REMOVE(&cache->filtered, found, link);
    TAILQ_INSERT_TAIL(&cache->filtered, found, link);
    artemis_service_ref(&found->service->view);
    *out = found->service;
    return ERR_NONE;
}

/* --- deferred pushes -------------------------------------------------------------------------- */

/* A message without changes needs memory, too. */
static size_t cost_of(const struct push_message *message)
{
    return message->count + 1;
}

enum error service_cache_defer(struct service_cache *cache, struct push_message *message)
{
    struct deferred_push *deferred = calloc(1, sizeof *deferred);
    if (!deferred)
        return ERR_NO_MEMORY;
    deferred->message = *message;
    message->changes = NULL;
    message->count = 0;
    STAILQ_INSERT_TAIL(&cache->deferred, deferred, link);
    *cache->deferred_total += cost_of(&deferred->message);
    return ERR_NONE;
}

enum error service_cache_defer_copy(struct service_cache *cache, const struct push_message *message)
{
    struct push_message copy = *message;
    copy.changes = calloc(message->count ? message->count : 1, sizeof *copy.changes);
    if (!copy.changes)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < message->count; i++) {
        copy.changes[i] = message->changes[i];
        if (copy.changes[i].instance)
            shared_instance_ref(copy.changes[i].instance);
    }
    enum error error = service_cache_defer(cache, &copy);
    wire_free_push(&copy);
    return error;
}

bool service_cache_take_deferred(struct service_cache *cache, struct push_message *message)
{
    struct deferred_push *deferred = STAILQ_FIRST(&cache->deferred);
    if (!deferred)
        return false;
    STAILQ_REMOVE_HEAD(&cache->deferred, link);
    *message = deferred->message;
    *cache->deferred_total -= cost_of(message);
    free(deferred);
    return true;
}

void service_cache_drop_deferred(struct service_cache *cache)
{
    struct push_message message;
    while (service_cache_take_deferred(cache, &message))
        wire_free_push(&message);
    cache->missed_revision = 0;
}

void service_cache_miss(struct service_cache *cache, uint64_t revision)
{
    uint64_t latest = cache->missed_revision > revision ? cache->missed_revision : revision;
    service_cache_drop_deferred(cache);
    cache->missed_revision = latest;
}
