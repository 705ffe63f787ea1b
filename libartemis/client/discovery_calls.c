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

/* What a caller asks for. */
struct selection {
    bool only_up;
    const struct instance_filter *filter; /* NULL: none, and only_up counts */
};

/* Under the lock. */
static enum artemis_error lookup(struct artemis_client *client, const char *id,
                                 const struct selection *selection, int timeout_ms,
                                 struct shared_service **service, struct artemis_problem *problem)
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
    enum error failure = selection->filter
                             ? service_cache_publish_filtered(cache, selection->filter, service)
                             : service_cache_publish(cache, selection->only_up, service);
    return failure ? problem_no_memory(problem) : ARTEMIS_OK;
}

static enum artemis_error discover(struct artemis_client *client, const char *service_id,
                                   const struct selection *selection, int timeout_ms,
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
    error = lookup(client, id, selection, timeout_ms, &shared, problem);
    pthread_mutex_unlock(&client->lock);
    if (!error)
        *service = &shared->view;
    return error;
}

enum artemis_error artemis_discover(struct artemis_client *client, const char *service_id,
                                    int timeout_ms, const struct artemis_service **service,
                                    struct artemis_problem *problem)
{
    const struct selection selection = {.only_up = true};
    return discover(client, service_id, &selection, timeout_ms, service, problem);
}

enum artemis_error artemis_discover_all(struct artemis_client *client, const char *service_id,
                                        int timeout_ms, const struct artemis_service **service,
                                        struct artemis_problem *problem)
{
    const struct selection selection = {.only_up = false};
    return discover(client, service_id, &selection, timeout_ms, service, problem);
}

static enum artemis_error read_filter(const struct artemis_filter *filter, unsigned statuses,
                                      struct instance_filter *out, struct artemis_problem *problem)
{
    struct field_problem invalid;
    if (!filter)
        return problem_set(problem, ARTEMIS_INVALID, "filter: is required");
    if (view_filter_read(filter, statuses, out, &invalid))
        return problem_set(problem, ARTEMIS_INVALID, "filter.%s: %s", invalid.field,
                           invalid.problem);
    return ARTEMIS_OK;
}

enum artemis_error artemis_discover_filtered(struct artemis_client *client, const char *service_id,
                                             const struct artemis_filter *filter, int timeout_ms,
                                             const struct artemis_service **service,
                                             struct artemis_problem *problem)
{
    struct instance_filter read;
    const struct selection selection = {.filter = &read};
    enum artemis_error error = read_filter(filter, STATUSES_UP, &read, problem);
    return error ? error : discover(client, service_id, &selection, timeout_ms, service, problem);
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
    return watch->client->shared.running != watch;
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

static enum artemis_error check_watch(const struct artemis_client *client,
                                      const struct artemis_watch *asked, int timeout_ms,
                                      struct artemis_watch **out, struct artemis_problem *problem)
{
    enum artemis_error error = client_check_call(client, timeout_ms, problem);
    if (!error && (!asked->callback || !out))
        error = problem_set(problem, ARTEMIS_INVALID, "callback and watch: are required");
    if (!error && (asked->flags & ~ARTEMIS_WATCH_CURRENT))
        error =
            problem_set(problem, ARTEMIS_INVALID, "flags: has unknown bits, is %#x", asked->flags);
    return error;
}

/* A copy of `asked`, whose filter is borrowed. NULL: no memory. */
static struct artemis_watch *create_watch(const struct artemis_watch *asked)
{
    struct artemis_watch *watch = malloc(sizeof *watch);
    if (!watch)
        return NULL;
    *watch = *asked;
    watch->refs = 1;
    if (!asked->has_filter ||
        !view_filter_copy(&asked->filter, &watch->filter, &watch->filter_texts))
        return watch;
    free(watch);
    return NULL;
}

static enum artemis_error watch_as_asked(const struct artemis_watch *asked, const char *service_id,
                                         int timeout_ms, struct artemis_watch **out,
                                         struct artemis_problem *problem)
{
    struct artemis_client *client = asked->client;
    char id[ID_BYTES_MAX + 1];
    enum artemis_error error = check_watch(client, asked, timeout_ms, out, problem);
    if (!error)
        error = read_id(service_id, id, problem);
    if (error)
        return error;
    struct artemis_watch *watch = create_watch(asked);
    if (!watch)
        return problem_no_memory(problem);
    pthread_mutex_lock(&client->lock);
    error = begin_watch(client, id, watch, timeout_ms, problem);
    if (error)
        end_watch(watch);
    else
        *out = watch;
    pthread_mutex_unlock(&client->lock);
    return error;
}

enum artemis_error artemis_watch(struct artemis_client *client, const char *service_id,
                                 unsigned flags, artemis_change_fn *callback, void *context,
                                 int timeout_ms, struct artemis_watch **out,
                                 struct artemis_problem *problem)
{
    const struct artemis_watch asked = {
        .client = client, .callback = callback, .context = context, .flags = flags};
    return watch_as_asked(&asked, service_id, timeout_ms, out, problem);
}

enum artemis_error artemis_watch_filtered(struct artemis_client *client, const char *service_id,
                                          const struct artemis_filter *filter, unsigned flags,
                                          artemis_change_fn *callback, void *context,
                                          int timeout_ms, struct artemis_watch **out,
                                          struct artemis_problem *problem)
{
    struct artemis_watch asked = {.client = client,
                                  .callback = callback,
                                  .context = context,
                                  .flags = flags,
                                  .has_filter = true};
    enum artemis_error error = read_filter(filter, STATUSES_ALL, &asked.filter, problem);
    return error ? error : watch_as_asked(&asked, service_id, timeout_ms, out, problem);
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
