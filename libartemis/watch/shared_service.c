/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/watch/shared_service.h"

#include "artemis-core/ring/ring.h"
#include "libartemis/base/clock.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Callers get a const pointer; the counters are not part of what they see. */
static struct shared_service *shared_of(const struct artemis_service *view)
{
    return (struct shared_service *)(uintptr_t)((const char *)view -
                                                offsetof(struct shared_service, view));
}

static struct shared_instance *shared_instance_of(const struct artemis_instance *instance)
{
    return (struct shared_instance *)(uintptr_t)((const char *)instance -
                                                 offsetof(struct shared_instance, view));
}

/* Puts the instances, with a reference each, into the table. Returns how many they are. */
static size_t select_instances(const struct instance_set *set,
                               const struct shared_service_spec *spec,
                               const struct artemis_instance **table, struct near_counts *near)
{
    size_t count = 0;
    if (spec->filter)
        count = view_filter_select(spec->filter, set->each, set->count, table, near);
    for (size_t i = 0; i < set->count && !spec->filter; i++)
        if (!spec->only_up || shared_instance_is_up(set->each[i]))
            table[count++] = &set->each[i]->view;
    for (size_t i = 0; i < count; i++)
        shared_instance_ref(shared_instance_of(table[i]));
    return count;
}

enum error shared_service_create(const struct instance_set *set,
                                 const struct shared_service_spec *spec,
                                 struct shared_service **out)
{
    size_t id_size = strlen(spec->service_id) + 1;
    size_t table_size = set->count * sizeof(struct artemis_instance *);
    struct shared_service *shared = calloc(1, sizeof *shared + table_size + id_size);
    if (!shared)
        return ERR_NO_MEMORY;
    const struct artemis_instance **table = (const struct artemis_instance **)(shared + 1);
    struct near_counts near = {0};
    size_t count = select_instances(set, spec, table, &near);
    char *id = (char *)(table + set->count);
    memcpy(id, spec->service_id, id_size);

    atomic_init(&shared->refs, 1);
    atomic_init(&shared->next_index, spec->next_index);
    atomic_init(&shared->random_counter, client_clock_random());
    shared->contact_ms = spec->contact_ms;
    shared->view = (struct artemis_service){
        .service_id = id,
        .instance_count = count,
        .instances = table,
        .version = spec->revision,
        .stale = spec->stale,
        .near = {near.count[NEAR_ZONE], near.count[NEAR_REGION], near.count[NEAR_BEYOND]},
    };
    *out = shared;
    return ERR_NONE;
}

const struct artemis_service *artemis_service_ref(const struct artemis_service *service)
{
    atomic_fetch_add_explicit(&shared_of(service)->refs, 1, memory_order_relaxed);
    return service;
}

void artemis_service_free(const struct artemis_service *service)
{
    if (!service)
        return;
    struct shared_service *shared = shared_of(service);
    if (atomic_fetch_sub_explicit(&shared->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < service->instance_count; i++)
        shared_instance_unref(shared_instance_of(service->instances[i]));
    free(shared);
}

int64_t artemis_service_age_ms(const struct artemis_service *service)
{
    if (!service->stale)
        return 0;
    return (int64_t)(client_clock_ms() - shared_of(service)->contact_ms);
}

/* splitmix64: changing one bit of the counter changes about half of the bits of the result. */
static uint64_t mix(uint64_t counter)
{
    uint64_t z = counter * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* The first instances of the list are the nearest. */
static size_t nearest_count(const struct artemis_service *service)
{
    if (service->near.zone)
        return service->near.zone;
    return service->near.region ? service->near.region : service->instance_count;
}

static uint64_t total_weight(const struct artemis_service *service)
{
    uint64_t total = 0;
    for (size_t i = 0; i < nearest_count(service); i++)
        total += service->instances[i]->weight;
    return total;
}

/* The instance in whose part of the sum of all weights the number is; `random` is 32 bits. */
static size_t weighted_index(const struct artemis_service *service, uint64_t total, uint64_t random)
{
    uint64_t wanted = total * random >> 32;
    size_t index = 0;
    while (wanted >= service->instances[index]->weight)
        wanted -= service->instances[index++]->weight;
    return index;
}

const struct artemis_instance *artemis_pick(const struct artemis_service *service,
                                            enum artemis_pick how)
{
    if (service->instance_count == 0)
        return NULL;
    bool random = how != ARTEMIS_ROUND_ROBIN;
    _Atomic uint64_t *counter =
        random ? &shared_of(service)->random_counter : &shared_of(service)->next_index;
    uint64_t count = atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
    uint64_t number = random ? mix(count) : count;
    uint64_t total = how == ARTEMIS_WEIGHTED ? total_weight(service) : 0;
    size_t index = total ? weighted_index(service, total, number >> 32)
                         : (size_t)(number % nearest_count(service));
    return service->instances[index];
}

const struct artemis_instance *artemis_pick_by_key(const struct artemis_service *service,
                                                   const char *hash_key)
{
    bool has_weights = total_weight(service) > 0;
    size_t count = nearest_count(service);
    struct ring_search search;
    ring_search_begin(&search, slice_of(hash_key));
    for (size_t i = 0; i < count; i++)
        ring_search_offer(&search, shared_instance_of(service->instances[i])->identity,
                          has_weights ? service->instances[i]->weight : WEIGHT_DEFAULT,
                          (uint32_t)i);
    return search.found ? service->instances[search.index] : NULL;
}
