/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/limits/token_services.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct token_service {
    LIST_ENTRY(token_service) link; /* in its bucket */
    uint64_t since_ms;
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

/* The address is a seed that differs for each process, so that clients cannot choose ids of one
 * bucket. */
static struct token_service_list *bucket_of(struct token_services *services, struct slice id)
{
    uint64_t seed = (uintptr_t)services->buckets;
    return &services->buckets[XXH3_64bits_withSeed(id.data, id.size, seed) % TOKEN_SERVICE_BUCKETS];
}

static struct token_service *find(struct token_services *services, struct slice id)
{
    struct token_service *service;
    LIST_FOREACH (service, bucket_of(services, id), link)
        if (slice_equal((struct slice){service->id, service->id_size}, id))
            return service;
    return NULL;
}

/* A service that was just added may not have its first instance yet. */
static bool is_over(const struct token_service *service, struct registry *registry,
                    struct moment now)
{
    return now.mono_ms >= service->since_ms + TOKEN_SERVICE_MIN_MS &&
           registry_count_members(registry, (struct slice){service->id, service->id_size}) == 0;
}

/* Removes the services without instances, once in a while: it costs a look at each. */
static void remove_empty(struct token_services *services, struct registry *registry,
                         struct moment now)
{
    if (services->checked_ms && now.mono_ms < services->checked_ms + TOKEN_SERVICE_MIN_MS)
        return;
    services->checked_ms = now.mono_ms;
    for (int i = 0; i < TOKEN_SERVICE_BUCKETS; i++) {
        struct token_service *next;
        for (struct token_service *service = LIST_FIRST(&services->buckets[i]); service;
             service = next) {
            next = LIST_NEXT(service, link);
            if (is_over(service, registry, now))
                remove_one(services, service);
        }
    }
}

static enum error add(struct token_services *services, struct slice id, struct moment now)
{
    struct token_service *service = malloc(sizeof(*service) + id.size);
    if (!service)
        return ERR_NO_MEMORY;
    service->since_ms = now.mono_ms;
    service->id_size = id.size;
    memcpy(service->id, id.data, id.size);
    LIST_INSERT_HEAD(bucket_of(services, id), service, link);
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
    if (find(services, id))
        return ERR_NONE;
    if (services->count >= max)
        remove_empty(services, registry, now);
    return services->count < max ? add(services, id, now) : ERR_OVER_QUOTA;
}

enum error token_services_add(struct token_services *services, uint32_t max,
                              struct registry *registry, struct slice service_id, struct moment now)
{
    pthread_mutex_lock(&services->lock);
    enum error error = find_or_add(services, max, registry, service_id, now);
    pthread_mutex_unlock(&services->lock);
    return error;
}
