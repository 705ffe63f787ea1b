/* SPDX-License-Identifier: Apache-2.0
 *
 * The calls of artemis.h that read services: artemis_discover, artemis_watch.
 */
#include "libartemis/base/clock.h"
#include "libartemis/base/problem.h"
#include "libartemis/client/client.h"

#include <stdlib.h>
#include <string.h>

static enum artemis_error read_id(const char *service_id, char id[ID_BYTES_MAX + 1],
                                  struct artemis_problem *problem)
{
    struct field_problem invalid = {.problem = "must be UTF-8"};
    size_t size = 0;
    struct slice text = slice_of(service_id);
    if (!text_is_utf8(text) || service_id_canonical(text, id, &size, &invalid))
        return problem_set(problem, ARTEMIS_INVALID, "service_id: %s", invalid.problem);
    id[size] = '\0';
    return ARTEMIS_OK;
}

static bool is_known(void *context)
{
    const struct service_cache *cache = context;
    return cache->known || cache->refused;
}

static bool is_fresh(void *context)
{
    const struct service_cache *cache = context;
    return cache->fresh || cache->refused;
}

/* Under the lock: waits until the cache is `ready`, or a server refuses the fetch. */
static enum artemis_error wait_for(struct artemis_client *client, struct service_cache *cache,
                                   bool (*ready)(void *), int timeout_ms,
                                   struct artemis_problem *problem)
{
    uint64_t deadline_ms = client_clock_ms() + (uint64_t)timeout_ms;
    cache->pins++; /* it is not removed while the call waits */
    bool ended = client_wait(client, ready, cache, deadline_ms);
    cache->pins--;
    if (ended && !cache->refused)
        return ARTEMIS_OK;
    if (ended)
        return problem_set(problem, ARTEMIS_REFUSED, "%s", cache->reason);
    const char *cause = client->shared.push_problem;
    return problem_set(problem, ARTEMIS_TIMED_OUT, "not done in %d ms%s%s", timeout_ms,
                       *cause ? ": " : "", cause);
}

/* --- discover --------------------------------------------------------------------------------- */

/* Under the lock. */
static enum artemis_error lookup(struct artemis_client *client, const char *id, bool only_up,
                                 int timeout_ms, struct shared_service **service,
                                 struct artemis_problem *problem)
{
    struct service_cache *cache;
    if (cache_sync_find_or_create(&client->shared.sync, id, &cache))
        return problem_no_memory(problem);
    cache->used = true;
    cache->used_ms = client_clock_ms();
    enum artemis_error error = ARTEMIS_OK;
    if (!cache->known)
        error = wait_for(client, cache, is_known, timeout_ms, problem);
    if (error)
        return error;
    return service_cache_publish(cache, only_up, service) ? problem_no_memory(problem) : ARTEMIS_OK;
}

static enum artemis_error discover(struct artemis_client *client, const char *service_id,
                                   bool only_up, int timeout_ms,
                                   const struct artemis_service **service,
                                   struct artemis_problem *problem)
{
    char id[ID_BYTES_MAX + 1];
    struct shared_service *shared = NULL;
    enum artemis_error error = client_check_call(client, timeout_ms, problem);
    if (!error && !service)
        error = problem_set(problem, ARTEMIS_INVALID, "service: is required");
    if (!error)
        error = read_id(service_id, id, problem);
    if (error)
        return error;
    pthread_mutex_lock(&client->lock);
    error = lookup(client, id, only_up, timeout_ms, &shared, problem);
    pthread_mutex_unlock(&client->lock);
    if (!error)
        *service = &shared->view;
    return error;
}

enum artemis_error artemis_discover(struct artemis_client *client, const char *service_id,
                                    int timeout_ms, const struct artemis_service **service,
                                    struct artemis_problem *problem)
{
    return discover(client, service_id, true, timeout_ms, service, problem);
}

enum artemis_error artemis_discover_all(struct artemis_client *client, const char *service_id,
                                        int timeout_ms, const struct artemis_service **service,
                                        struct artemis_problem *problem)
{
    return discover(client, service_id, false, timeout_ms, service, problem);
}

/* --- watch ------------------------------------------------------------------------------------ */

/* Under the lock. */
static enum artemis_error begin_watch(struct artemis_client *client, const char *id,
                                      struct artemis_watch *watch, int timeout_ms,
                                      struct artemis_problem *problem)
{
    struct service_cache *cache;
    if (cache_sync_find_or_create(&client->shared.sync, id, &cache) ||
        service_cache_add_watch(cache, watch, client_clock_wall_ms()))
        return problem_no_memory(problem);
    http_wake(client->http);
    if (timeout_ms == 0)
        return ARTEMIS_OK;
    return wait_for(client, cache, is_fresh, timeout_ms, problem);
}

static bool is_not_running(void *context)
{
    const struct artemis_watch *watch = context;
    return watch->client->shared.running_watch != watch;
}

/* Under the lock: ends the watch, and releases the caller's reference. */
static void end_watch(struct artemis_watch *watch)
{
    struct artemis_client *client = watch->client;
    if (watch->cache)
        service_cache_remove_watch(watch->cache, watch);
    if (!client_is_loop(client))
        (void)client_wait(client, is_not_running, watch, UINT64_MAX / 2);
    http_wake(client->http);
    watch_unref(watch);
}

enum artemis_error artemis_watch(struct artemis_client *client, const char *service_id,
                                 unsigned flags, artemis_change_fn *callback, void *context,
                                 int timeout_ms, struct artemis_watch **out,
                                 struct artemis_problem *problem)
{
    char id[ID_BYTES_MAX + 1];
    enum artemis_error error = client_check_call(client, timeout_ms, problem);
    if (!error && (!callback || !out))
        error = problem_set(problem, ARTEMIS_INVALID, "callback and watch: are required");
    if (!error && (flags & ~ARTEMIS_WATCH_CURRENT))
        error = problem_set(problem, ARTEMIS_INVALID, "flags: has unknown bits, is %#x", flags);
    if (!error)
        error = read_id(service_id, id, problem);
    if (error)
        return error;
    struct artemis_watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return problem_no_memory(problem);
    *watch = (struct artemis_watch){
        .client = client, .callback = callback, .context = context, .flags = flags, .refs = 1};
    pthread_mutex_lock(&client->lock);
    error = begin_watch(client, id, watch, timeout_ms, problem);
    if (error)
        end_watch(watch);
    else
        *out = watch;
    pthread_mutex_unlock(&client->lock);
    return error;
}

void artemis_unwatch(struct artemis_watch *watch)
{
    if (!watch)
        return;
    struct artemis_client *client = watch->client;
    pthread_mutex_lock(&client->lock);
    end_watch(watch);
    pthread_mutex_unlock(&client->lock);
}
