/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/snapshot.h"

#include "libartemis/clock.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* The callers see a const one: counting is not changing. */
static struct snapshot *of_view(const struct artemis_service *view)
{
    return (struct snapshot *)(uintptr_t)((const char *)view - offsetof(struct snapshot, view));
}

static struct record *of_instance(const struct artemis_instance *instance)
{
    return (struct record *)(uintptr_t)((const char *)instance - offsetof(struct record, view));
}

enum error snapshot_create(const struct cache *cache, const struct snapshot_facts *facts,
                           struct snapshot **out)
{
    size_t id_size = strlen(facts->service_id) + 1;
    size_t table_size = cache->count * sizeof(struct artemis_instance *);
    struct snapshot *snapshot = calloc(1, sizeof *snapshot + table_size + id_size);
    if (!snapshot)
        return ERR_NO_MEMORY;
    const struct artemis_instance **table = (const struct artemis_instance **)(snapshot + 1);
    size_t count = 0;
    for (size_t i = 0; i < cache->count; i++)
        if (!facts->only_up || record_is_up(cache->records[i]))
            table[count++] = &record_ref(cache->records[i])->view;
    char *id = (char *)(table + cache->count);
    memcpy(id, facts->service_id, id_size);

    atomic_init(&snapshot->refs, 1);
    atomic_init(&snapshot->turn, facts->turn);
    atomic_init(&snapshot->dice, client_clock_random());
    snapshot->heard_ms = facts->heard_ms;
    snapshot->view = (struct artemis_service){
        .service_id = id,
        .instance_count = count,
        .instances = table,
        .version = facts->version,
        .stale = facts->stale,
    };
    *out = snapshot;
    return ERR_NONE;
}

const struct artemis_service *artemis_service_ref(const struct artemis_service *service)
{
    atomic_fetch_add_explicit(&of_view(service)->refs, 1, memory_order_relaxed);
    return service;
}

void artemis_service_free(const struct artemis_service *service)
{
    if (!service)
        return;
    struct snapshot *snapshot = of_view(service);
    if (atomic_fetch_sub_explicit(&snapshot->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < service->instance_count; i++)
        record_unref(of_instance(service->instances[i]));
    free(snapshot);
}

int64_t artemis_service_age_ms(const struct artemis_service *service)
{
    if (!service->stale)
        return 0;
    return (int64_t)(client_clock_ms() - of_view(service)->heard_ms);
}

/* splitmix64: every bit of the counter changes about half of the bits of the result. */
static uint64_t scatter(uint64_t counter)
{
    uint64_t z = counter * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

const struct artemis_instance *artemis_pick(const struct artemis_service *service,
                                            enum artemis_pick how)
{
    if (service->instance_count == 0)
        return NULL;
    bool random = how == ARTEMIS_RANDOM;
    _Atomic uint64_t *counter = random ? &of_view(service)->dice : &of_view(service)->turn;
    uint64_t count = atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
    uint64_t number = random ? scatter(count) : count;
    return service->instances[number % service->instance_count];
}
