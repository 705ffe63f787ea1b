/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/watch/cache_sync.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_everything(const struct service_cache *cache)
{
    return strcmp(cache->id, "*") == 0;
}

static struct service_cache *find(const struct cache_sync *sync, const char *id)
{
    struct service_cache *cache;
    LIST_FOREACH (cache, &sync->caches, link)
        if (strcmp(cache->id, id) == 0)
            return cache;
    return NULL;
}

void cache_sync_init(struct cache_sync *sync)
{
    *sync = (struct cache_sync){0};
    LIST_INIT(&sync->caches);
    callback_queue_init(&sync->callbacks);
}

enum error cache_sync_find_or_create(struct cache_sync *sync, const char *id,
                                     struct service_cache **out)
{
    struct service_cache *cache = find(sync, id);
    if (!cache) {
        enum error error = service_cache_create(id, &sync->callbacks, &sync->deferred, &cache);
        if (error)
            return error;
        LIST_INSERT_HEAD(&sync->caches, cache, link);
    }
    *out = cache;
    return ERR_NONE;
}

void cache_sync_free(struct cache_sync *sync)
{
    struct service_cache *cache;
    while ((cache = LIST_FIRST(&sync->caches))) {
        LIST_REMOVE(cache, link);
        service_cache_free(cache);
    }
    callback_queue_rewind(&sync->callbacks, NULL);
}

/* --- phases ----------------------------------------------------------------------------------- */

static void end_fetch(struct cache_sync *sync, struct service_cache *cache)
{
    if (cache->phase == CACHE_FETCHING)
        sync->fetches--;
}

static void fetch_from(struct cache_sync *sync, struct service_cache *cache, uint64_t at_ms)
{
    end_fetch(sync, cache);
    cache->phase = CACHE_FETCH_DUE;
    cache->due_ms = at_ms;
}

static void set_live(struct cache_sync *sync, struct service_cache *cache, uint64_t now_ms)
{
    end_fetch(sync, cache);
    cache->phase = CACHE_LIVE;
    cache->due_ms = cache->polled ? now_ms + sync->poll_ms : UINT64_MAX;
    cache->refused = false;
    cache->resumable = true;
    service_cache_set_fresh(cache, true, now_ms);
}

/* Without memory the cache cannot be kept up to date: fetch the state again later. */
static void no_memory(struct cache_sync *sync, struct service_cache *cache, uint64_t now_ms)
{
    service_cache_drop_deferred(cache);
    cache->etag[0] = '\0';
    cache->resumable = false;
    service_cache_set_fresh(cache, false, cache->contact_ms);
    fetch_from(sync, cache, now_ms + SYNC_NO_MEMORY_MS);
}

void cache_sync_connected(struct cache_sync *sync, bool polls, uint64_t now_ms)
{
    cache_sync_disconnected(sync);
    sync->connected = true;
    sync->polls = polls;
    sync->contact_ms = now_ms;
}

void cache_sync_disconnected(struct cache_sync *sync)
{
    struct service_cache *cache;
    LIST_FOREACH (cache, &sync->caches, link) {
        bool was_fresh = cache->fresh;
        end_fetch(sync, cache);
        cache->phase = CACHE_UNSUBSCRIBED;
        cache->due_ms = 0;
        cache->polled = false;
        cache->etag[0] = '\0'; /* ETags of different servers are not comparable */
        service_cache_drop_deferred(cache);
        service_cache_set_fresh(cache, false,
                                was_fresh && !sync->polls ? sync->contact_ms : cache->contact_ms);
    }
    sync->connected = false;
}

/* --- next action ------------------------------------------------------------------------------ */

static uint64_t idle_deadline(const struct service_cache *cache)
{
    if (!LIST_EMPTY(&cache->watches) || cache->pins > 0)
        return UINT64_MAX;
    return cache->used ? cache->used_ms + SYNC_IDLE_MS : 0;
}

/* Removes caches that are not used; true: an unsubscribe message must be sent first. */
static bool remove_idle(struct cache_sync *sync, uint64_t now_ms, struct sync_action *action)
{
    struct service_cache *next;
    for (struct service_cache *cache = LIST_FIRST(&sync->caches); cache; cache = next) {
        next = LIST_NEXT(cache, link);
        if (idle_deadline(cache) > now_ms)
            continue;
        bool subscribed = sync->connected && !sync->polls && cache->phase != CACHE_UNSUBSCRIBED;
        if (subscribed)
            wire_write_unsubscribe(&action->message, cache->id);
        end_fetch(sync, cache);
        LIST_REMOVE(cache, link);
        service_cache_free(cache);
        if (subscribed)
            return true;
    }
    return false;
}

static void prepare_subscribe(struct service_cache *cache, uint64_t now_ms,
                              struct sync_action *action)
{
    if (!cache->resumable || is_everything(cache))
        cache->epoch[0] = '\0';
    wire_write_subscribe(&action->message, cache->id, cache->revision, cache->epoch);
    cache->phase = CACHE_SUBSCRIBING;
    cache->due_ms = now_ms + SYNC_RESPONSE_TIMEOUT_MS;
}

static void prepare_fetch(struct cache_sync *sync, struct service_cache *cache,
                          struct sync_action *action)
{
    wire_write_fetch_path(&action->path, cache->id, cache->revision,
                          cache->resumable ? cache->epoch : "");
    snprintf(action->etag, sizeof action->etag, "%s", cache->etag);
    snprintf(action->id, sizeof action->id, "%s", cache->id);
    cache->generation = action->generation = ++sync->generation;
    cache->phase = CACHE_FETCHING;
    sync->fetches++;
}

/* True: *action is due for this cache. */
static bool next_action(struct cache_sync *sync, struct service_cache *cache, uint64_t now_ms,
                        struct sync_action *action)
{
    if (cache->phase == CACHE_UNSUBSCRIBED && !sync->polls) {
        if (cache->due_ms > now_ms)
            return false;
        prepare_subscribe(cache, now_ms, action);
        return true;
    }
    bool unconfirmed = cache->phase == CACHE_SUBSCRIBING && cache->due_ms <= now_ms;
    if (unconfirmed || cache->phase == CACHE_UNSUBSCRIBED)
        cache->polled = true;
    bool fetch = cache->phase == CACHE_UNSUBSCRIBED ||
                 (cache->phase != CACHE_FETCHING && cache->due_ms <= now_ms);
    if (!fetch)
        return false;
    if (sync->fetches == SYNC_FETCHES_MAX) {
        if (cache->phase != CACHE_LIVE)
            fetch_from(sync, cache, 0);
        return false;
    }
    prepare_fetch(sync, cache, action);
    return true;
}

bool cache_sync_next(struct cache_sync *sync, uint64_t now_ms, struct sync_action *action,
                     uint64_t *at_ms)
{
    *at_ms = UINT64_MAX;
    *action = (struct sync_action){0};
    if (remove_idle(sync, now_ms, action))
        return true;
    struct service_cache *cache;
    LIST_FOREACH (cache, &sync->caches, link) {
        uint64_t due_ms = idle_deadline(cache);
        if (sync->connected && next_action(sync, cache, now_ms, action))
            return true;
        /* A fetch that is overdue starts when another one ends. */
        bool has_deadline =
            sync->connected && cache->phase != CACHE_FETCHING && cache->due_ms > now_ms;
        if (has_deadline && cache->due_ms < due_ms)
            due_ms = cache->due_ms;
        if (due_ms < *at_ms)
            *at_ms = due_ms;
    }
    return false;
}

/* --- pushes ----------------------------------------------------------------------------------- */

static void on_subscribed(struct cache_sync *sync, struct service_cache *cache,
                          const struct push_message *message, uint64_t now_ms)
{
    bool resumes = cache->phase == CACHE_SUBSCRIBING && cache->epoch[0];
    bool same_epoch = resumes && strcmp(cache->epoch, message->epoch) == 0;
    if (same_epoch) {
        set_live(sync, cache,
                 now_ms); /* if the service has changed, the server pushes its state next */
        return;
    }
    cache->resumable = false;
    cache->polled = false;
    cache->revision = message->revision;
    snprintf(cache->epoch, sizeof cache->epoch, "%s", message->epoch);
    if (!resumes) {
        fetch_from(sync, cache, now_ms);
        return;
    }
    cache->phase = CACHE_RELOADING;
    cache->due_ms = now_ms + SYNC_RESPONSE_TIMEOUT_MS;
}

/* The server has not subscribed it. */
static void on_limited(struct service_cache *cache, uint64_t now_ms)
{
    if (cache->phase != CACHE_SUBSCRIBING)
        return;
    cache->phase = CACHE_UNSUBSCRIBED;
    cache->due_ms = now_ms + SYNC_LIMITED_MS;
}

/* When a push arrived, and whether it was deferred until a state was fetched. */
struct arrival {
    uint64_t now_ms;
    int64_t wall_ms;
    bool deferred;
};

/* The changes after the first one are the complete state. */
static enum error reload(struct cache_sync *sync, struct service_cache *cache,
                         const struct push_message *message, const struct arrival *arrival)
{
    bool is_partial = is_everything(cache) && strcmp(message->service_id, "*") != 0;
    if (message->incomplete) {
        fetch_from(sync, cache, arrival->now_ms);
        return ERR_NONE;
    }
    size_t count = 0;
    struct shared_instance **instances = calloc(message->count, sizeof(struct shared_instance *));
    if (!instances)
        return ERR_NO_MEMORY;
    for (size_t i = 1; i < message->count; i++)
        if (message->changes[i].instance)
            instances[count++] = message->changes[i].instance;
    enum error error = service_cache_replace(cache, is_partial ? message->service_id : NULL,
                                             instances, count, arrival->wall_ms);
    free(instances);
    if (error || is_partial)
        return error;
    cache->revision = message->revision;
    set_live(sync, cache, arrival->now_ms);
    return ERR_NONE;
}

static enum error apply(struct cache_sync *sync, struct service_cache *cache,
                        const struct push_message *message, const struct arrival *arrival)
{
    if (message->count == 0)
        return ERR_NONE;
    if (message->changes[0].type == CHANGE_RELOAD)
        return reload(sync, cache, message, arrival);
    if (message->revision <= cache->revision)
        return ERR_NONE; /* already applied */
    enum error error = service_cache_change(cache, message->changes, message->count,
                                            arrival->deferred, arrival->wall_ms);
    if (!error)
        cache->revision = message->revision;
    return error;
}

/* Keeps a push until the state is fetched. `shared`: the caller still needs the message. */
static enum error defer(const struct cache_sync *sync, struct service_cache *cache,
                        struct push_message *message, bool shared)
{
    if (cache->missed_revision || sync->deferred + message->count > SYNC_DEFERRED_MAX) {
        service_cache_miss(cache, message->revision);
        return ERR_NONE;
    }
    return shared ? service_cache_defer_copy(cache, message) : service_cache_defer(cache, message);
}

static void on_change(struct cache_sync *sync, struct service_cache *cache,
                      struct push_message *message, bool shared, const struct arrival *arrival)
{
    if (cache->phase == CACHE_UNSUBSCRIBED || cache->phase == CACHE_SUBSCRIBING)
        return;
    bool is_early = cache->phase == CACHE_FETCH_DUE || cache->phase == CACHE_FETCHING;
    enum error error =
        is_early ? defer(sync, cache, message, shared) : apply(sync, cache, message, arrival);
    if (error)
        no_memory(sync, cache, arrival->now_ms);
}

void cache_sync_push(struct cache_sync *sync, struct push_message *message, uint64_t now_ms,
                     int64_t wall_ms)
{
    sync->contact_ms = now_ms;
    struct service_cache *cache = message->service_id[0] ? find(sync, message->service_id) : NULL;
    struct service_cache *everything = find(sync, "*");
    if (message->type == PUSH_SUBSCRIBED && cache)
        on_subscribed(sync, cache, message, now_ms);
    if (message->type == PUSH_ERROR && message->limited && cache)
        on_limited(cache, now_ms);
    const struct arrival arrival = {.now_ms = now_ms, .wall_ms = wall_ms};
    if (message->type == PUSH_CHANGE) {
        if (everything && everything != cache)
            on_change(sync, everything, message, cache != NULL, &arrival);
        if (cache)
            on_change(sync, cache, message, false, &arrival);
    }
    wire_free_push(message);
}

/* --- fetched states --------------------------------------------------------------------------- */

/* The cache that waits for this response; NULL: none. */
static struct service_cache *fetching(const struct cache_sync *sync, const char *id,
                                      uint64_t generation)
{
    struct service_cache *cache = find(sync, id);
    bool is_current = cache && cache->phase == CACHE_FETCHING && cache->generation == generation;
    return is_current ? cache : NULL;
}

static enum error apply_instances(struct service_cache *cache, const struct wire_instances *state,
                                  int64_t wall_ms)
{
    enum error error =
        state->is_delta
            ? service_cache_change(cache, state->changes, state->change_count, false, wall_ms)
            : service_cache_replace(cache, NULL, state->instances, state->count, wall_ms);
    if (!error && (state->revision > cache->revision || cache->polled))
        cache->revision = state->revision;
    return error;
}

static enum error apply_state(struct cache_sync *sync, struct service_cache *cache,
                              const struct wire_instances *state, uint64_t now_ms, int64_t wall_ms)
{
    enum error error = ERR_NONE;
    if (state)
        error = apply_instances(cache, state, wall_ms);
    if (!error && cache->missed_revision > cache->revision) {
        cache->missed_revision = 0;
        cache->resumable = state ? state->revision == cache->revision : cache->resumable;
        fetch_from(sync, cache, now_ms + SYNC_MISSED_MS);
        return ERR_NONE;
    }
    cache->missed_revision = 0;
    if (!error)
        set_live(sync, cache, now_ms);
    const struct arrival arrival = {.now_ms = now_ms, .wall_ms = wall_ms, .deferred = true};
    struct push_message deferred;
    while (!error && cache->phase == CACHE_LIVE && service_cache_take_deferred(cache, &deferred)) {
        error = apply(sync, cache, &deferred, &arrival);
        wire_free_push(&deferred);
    }
    return error;
}

void cache_sync_fetched(struct cache_sync *sync, const char *id, uint64_t generation,
                        struct wire_instances *state, const struct fetched_header *header,
                        uint64_t now_ms, int64_t wall_ms)
{
    struct service_cache *cache = fetching(sync, id, generation);
    if (!cache)
        return;
    if (state && state->is_delta && !cache->resumable) {
        cache_sync_refused(sync, id, generation, "the server sent changes to an unknown state",
                           now_ms);
        return;
    }
    if (state)
        snprintf(cache->etag, sizeof cache->etag, "%s", cache->polled ? header->etag : "");
    if (state && cache->polled) /* no subscription has named the epoch */
        wire_read_run(header->run, cache->epoch);
    if (apply_state(sync, cache, state, now_ms, wall_ms))
        no_memory(sync, cache, now_ms);
}

void cache_sync_refused(struct cache_sync *sync, const char *id, uint64_t generation,
                        const char *reason, uint64_t now_ms)
{
    struct service_cache *cache = fetching(sync, id, generation);
    if (!cache)
        return;
    cache->refused = true;
    snprintf(cache->reason, sizeof cache->reason, "%s", reason);
    service_cache_set_fresh(cache, false, cache->contact_ms);
    fetch_from(sync, cache, now_ms + SYNC_REFUSED_MS);
}
