/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/limits/token_services.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct token_service {
    LIST_ENTRY(token_service) link; /* in its bucket */
    uint32_t pending;               /* registrations between begin and end */
    bool registered;                /* one of them has succeeded */
    size_t id_size;
    char id[];
};

void token_services_init(struct token_services *services)
{
    *services = (struct token_services){0};
    pthread_mutex_init(&services->lock, NULL);
}

static void remove_one(struct token_services *services, struct token_service *service)
{
    LIST_REMOVE(service, link);
    free(service);
    services->count--;
}

void token_services_free(struct token_services *services)
{
    for (int i = 0; services->buckets && i < TOKEN_SERVICE_BUCKETS; i++)
        while (!LIST_EMPTY(&services->buckets[i]))
            remove_one(services, LIST_FIRST(&services->buckets[i]));
    free(services->buckets);
    pthread_mutex_destroy(&services->lock);
}

/* The caller of the functions below holds the lock. */

static struct token_service_list *bucket_of(struct token_services *services,
                                            const struct registry *registry, struct slice id)
{
    uint64_t seed = registry_hash_seed(registry);
    return &services->buckets[XXH3_64bits_withSeed(id.data, id.size, seed) % TOKEN_SERVICE_BUCKETS];
}

static struct token_service *find(struct token_services *services, const struct registry *registry,
                                  struct slice id)
{
    struct token_service *service;
    LIST_FOREACH (service, bucket_of(services, registry, id), link)
        if (slice_equal((struct slice){service->id, service->id_size}, id))
            return service;
    return NULL;
}

static bool is_empty(const struct token_service *service, struct registry *registry)
{
    return service->pending == 0 &&
           registry_count_members(registry, (struct slice){service->id, service->id_size}) == 0;
}

/* Removes the services without instances, once in a while: it costs a look at each. */
static void remove_empty(struct token_services *services, struct registry *registry,
                         struct moment now)
{
    if (services->checked_ms && now.mono_ms < services->checked_ms + TOKEN_SERVICES_CHECK_MS)
        return;
    services->checked_ms = now.mono_ms;
    for (int i = 0; i < TOKEN_SERVICE_BUCKETS; i++) {
        struct token_service *next;
        for (struct token_service *service = LIST_FIRST(&services->buckets[i]); service;
             service = next) {
            next = LIST_NEXT(service, link);
            if (is_empty(service, registry))
                remove_one(services, service);
        }
    }
}

static enum error add(struct token_services *services, const struct registry *registry,
                      struct slice id)
{
    struct token_service *service = malloc(sizeof(*service) + id.size);
    if (!service)
        return ERR_NO_MEMORY;
    service->pending = 1;
    service->registered = false;
    service->id_size = id.size;
    memcpy(service->id, id.data, id.size);
    LIST_INSERT_HEAD(bucket_of(services, registry, id), service, link);
    services->count++;
    return ERR_NONE;
}

static enum error find_or_add(struct token_services *services, uint32_t max,
                              struct registry *registry, struct slice id, struct moment now)
{
    if (!services->buckets)
        services->buckets = calloc(TOKEN_SERVICE_BUCKETS, sizeof(*services->buckets));
    if (!services->buckets)
        return ERR_NO_MEMORY;
    struct token_service *service = find(services, registry, id);
    if (service) {
        service->pending++;
        return ERR_NONE;
    }
    if (services->count >= max)
        remove_empty(services, registry, now);
    return services->count < max ? add(services, registry, id) : ERR_OVER_QUOTA;
}

enum error token_services_begin(struct token_services *services, uint32_t max,
                                struct registry *registry, struct slice service_id,
                                struct moment now)
{
    pthread_mutex_lock(&services->lock);
    enum error error = find_or_add(services, max, registry, service_id, now);
    pthread_mutex_unlock(&services->lock);
    return error;
}

void token_services_end(struct token_services *services, const struct registry *registry,
                        struct slice service_id, bool registered)
{
    pthread_mutex_lock(&services->lock);
    struct token_service *service = find(services, registry, service_id);
    service->pending--;
    service->registered |= registered;
    if (service->pending == 0 && !service->registered)
        remove_one(services, service);
    pthread_mutex_unlock(&services->lock);
}
