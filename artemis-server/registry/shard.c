/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/registry/shard.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void shard_init(struct shard *shard, uint64_t now_ms, struct shard_retention retention)
{
    memset(shard, 0, sizeof(*shard));
    shard->retention = retention;
    slab_init(&shard->records, sizeof(struct record));
    slab_init(&shard->services, sizeof(struct service));
    lease_wheel_init(&shard->wheel, &shard->records, now_ms);
    lease_wheel_init(&shard->cleanup_wheel, &shard->services, now_ms);
}

static void evict_response(struct shard *shard, struct service *service, int view)
{
    cached_response_evict(service->responses[view], &shard->evicted_responses);
    service->responses[view] = NULL;
    shard->responses--;
}

static void evict_responses(struct shard *shard, struct service *service)
{
    for (int view = 0; view < VIEW_COUNT; view++)
        if (service->responses[view])
            evict_response(shard, service, view);
}

void shard_free(struct shard *shard)
{
    for (uint32_t number = 1; number < shard->services.end; number++) {
        struct service *service = shard_service(shard, number);
        if (!service->id)
            continue;
        for (uint32_t i = 0; i < service->member_count; i++)
            instance_unref(shard_record(shard, service->members[i])->instance);
        evict_responses(shard, service);
        free(service->members);
        free(service->id);
    }
    cached_response_free_evicted(shard->evicted_responses);
    for (uint32_t number = shard->tombstones.first; number;
         number = shard_record(shard, number)->lease.next)
        instance_unref(shard_record(shard, number)->instance);
    free(shard->changed.numbers);
    free(shard->renewed.numbers);
    free(shard->ended.numbers);
    hash_index_free(&shard->record_index);
    hash_index_free(&shard->service_index);
    slab_free(&shard->records);
    slab_free(&shard->services);
}

/* --- finding ---------------------------------------------------------------------------------- */

static bool service_matches(const void *context, uint32_t number, const void *wanted)
{
    const struct service *service = shard_service(context, number);
    return slice_equal((struct slice){service->id, service->id_size},
                       *(const struct slice *)wanted);
}

uint32_t shard_find_service(const struct shard *shard, uint32_t hash, struct slice id)
{
    return hash_index_find(&shard->service_index, hash, service_matches, shard, &id);
}

static bool record_matches(const void *context, uint32_t number, const void *wanted)
{
    return slice_equal(instance_packed_key(shard_record(context, number)->instance),
                       *(const struct slice *)wanted);
}

uint32_t shard_find(const struct shard *shard, uint32_t hash, struct slice packed_key)
{
    return hash_index_find(&shard->record_index, hash, record_matches, shard, &packed_key);
}

uint32_t shard_instances(const struct shard *shard)
{
    return shard->record_index.count - shard->tombstones.count;
}

/* --- services --------------------------------------------------------------------------------- */

static void remove_service(struct shard *shard, uint32_t number)
{
    struct service *service = shard_service(shard, number);
    assert(service->member_count == 0);
    shard_guard_changed(shard, service->guard.state, GUARD_OFF);
    evict_responses(shard, service);
    lease_wheel_disarm(&shard->cleanup_wheel, number);
    hash_index_remove(&shard->service_index, service->hash, number);
    free(service->members);
    free(service->id);
    service->id = NULL;
    slab_release(&shard->services, number);
}

static enum error add_service(struct shard *shard, uint32_t hash, struct slice id, uint32_t *out)
{
    uint32_t number;
    enum error error = hash_index_reserve(&shard->service_index);
    if (error)
        return error;
    char *copy = malloc(id.size);
    if (!copy)
        return ERR_NO_MEMORY;
    error = slab_alloc(&shard->services, &number);
    if (error) {
        free(copy);
        return error;
    }
    memcpy(copy, id.data, id.size);
    struct service *service = shard_service(shard, number);
    service->hash = hash;
    service->id = copy;
    service->id_size = id.size;
    hash_index_insert(&shard->service_index, hash, number);
    *out = number;
    return ERR_NONE;
}

static enum error reserve_member(struct service *service)
{
    if (service->member_count < service->member_capacity)
        return ERR_NONE;
    uint32_t capacity = service->member_capacity ? service->member_capacity * 2 : 4;
    uint32_t *members = realloc(service->members, capacity * sizeof(*members));
    if (!members)
        return ERR_NO_MEMORY;
    service->members = members;
    service->member_capacity = capacity;
    return ERR_NONE;
}

void shard_set_revision(struct shard *shard, struct service *service, uint64_t revision)
{
    assert(revision > service->revision);
    service->revision = revision;
    evict_responses(shard, service);
}

void shard_guard_changed(struct shard *shard, enum guard_state before, enum guard_state now)
{
    shard->engaged_services +=
        (uint32_t)(now == GUARD_ENGAGED) - (uint32_t)(before == GUARD_ENGAGED);
    shard->released_services +=
        (uint32_t)(now == GUARD_RELEASED) - (uint32_t)(before == GUARD_RELEASED);
}

/* --- housekeeping ----------------------------------------------------------------------------- */

/* Has housekeeping cleanup at a service at when_ms, or earlier. */
static void arm_cleanup(struct shard *shard, uint32_t number, uint64_t when_ms)
{
    struct wheel_timer *cleanup = &shard_service(shard, number)->cleanup;
    if (cleanup->deadline_ms && cleanup->deadline_ms <= when_ms)
        return;
    lease_wheel_disarm(&shard->cleanup_wheel, number);
    cleanup->deadline_ms = when_ms;
    lease_wheel_arm(&shard->cleanup_wheel, number, when_ms);
}

static uint64_t unused_at(const struct shard *shard, struct cached_response *response)
{
    return atomic_load_explicit(&response->used_ms, memory_order_relaxed) +
           shard->retention.unused_ms;
}

void shard_cache_response(struct shard *shard, uint32_t number, int view,
                          struct cached_response *response)
{
    struct service *service = shard_service(shard, number);
    assert(!service->responses[view] && response->revision == service->revision);
    service->responses[view] = response;
    shard->responses++;
    arm_cleanup(shard, number, unused_at(shard, response));
}

/* A service has come up: what is due goes, and for the rest it is armed again. */
static void clean_service(struct shard *shard, uint32_t number, uint64_t now_ms)
{
    struct service *service = shard_service(shard, number);
    service->cleanup.deadline_ms = 0;
    for (int view = 0; view < VIEW_COUNT; view++) {
        if (!service->responses[view])
            continue;
        uint64_t end_ms = unused_at(shard, service->responses[view]);
        if (end_ms <= now_ms)
            evict_response(shard, service, view);
        else
            arm_cleanup(shard, number, end_ms);
    }
    if (service->member_count > 0)
        return;
    uint64_t end_ms = service->empty_since_ms + shard->retention.empty_ms;
    if (end_ms <= now_ms)
        remove_service(shard, number);
    else
        arm_cleanup(shard, number, end_ms);
}

void shard_cleanup(struct shard *shard, uint64_t now_ms, unsigned *budget)
{
    uint32_t number;
    while ((number = lease_wheel_next(&shard->cleanup_wheel, now_ms, budget)))
        clean_service(shard, number, now_ms);
}

/* --- records ---------------------------------------------------------------------------------- */

/* Takes what the insert needs; all that can fail is here. */
static enum error prepare_insert(struct shard *shard, uint32_t service_number, uint32_t *record)
{
    enum error error = reserve_member(shard_service(shard, service_number));
    if (!error)
        error = hash_index_reserve(&shard->record_index);
    if (!error)
        error = shard_reserve_dirty(shard);
    return error ? error : slab_alloc(&shard->records, record);
}

enum error shard_insert(struct shard *shard, uint32_t service_hash, uint32_t record_hash,
                        struct instance *instance, uint64_t deadline_ms, uint32_t *out)
{
    struct slice id = instance_text(instance, FIELD_SERVICE);
    uint32_t service_number = shard_find_service(shard, service_hash, id);
    bool is_new = service_number == 0;
    enum error error = is_new ? add_service(shard, service_hash, id, &service_number) : ERR_NONE;
    if (error)
        return error;
    uint32_t number;
    error = prepare_insert(shard, service_number, &number);
    if (error) {
        if (is_new)
            remove_service(shard, service_number);
        return error;
    }
    struct service *service = shard_service(shard, service_number);
    struct record *record = shard_record(shard, number);
    record->instance = instance_ref(instance);
    record->service = service_number;
    record->member = service->member_count;
    record->lease.deadline_ms = deadline_ms;
    service->members[service->member_count++] = number;
    hash_index_insert(&shard->record_index, record_hash, number);
    lease_wheel_arm(&shard->wheel, number, deadline_ms);
    *out = number;
    return ERR_NONE;
}

void shard_replace(struct shard *shard, uint32_t number, struct instance *instance)
{
    struct record *record = shard_record(shard, number);
    struct instance *old = record->instance;
    record->instance = instance_ref(instance);
    instance_unref(old);
}

/* The record is neither due nor guarded any more. */
static void reset_lease_state(struct shard *shard, struct record *record, uint64_t now_ms)
{
    struct service *service = shard_service(shard, record->service);
    if (record->due) {
        record->due = false;
        service->due--;
        shard->due--;
    }
    record->confirming = false;
    record->expiry_confirmed = false;
    if (record->guarded) {
        record->guarded = false;
        service->guarded--;
        shard->guarded--;
        if (service->guarded == 0 && service->guard.state == GUARD_ENGAGED) {
            guard_clear(&service->guard, now_ms);
            shard_guard_changed(shard, GUARD_ENGAGED, GUARD_OFF);
        }
    }
}

void shard_leave_service(struct shard *shard, uint32_t number, uint64_t now_ms)
{
    struct record *record = shard_record(shard, number);
    struct service *service = shard_service(shard, record->service);
    lease_wheel_disarm(&shard->wheel, number);
    reset_lease_state(shard, record, now_ms);
    /* The last member takes the place of the one that leaves. */
    uint32_t last = service->members[--service->member_count];
    service->members[record->member] = last;
    shard_record(shard, last)->member = record->member;
    if (service->member_count == 0) {
        service->empty_since_ms = now_ms;
        arm_cleanup(shard, record->service, now_ms + shard->retention.empty_ms);
    }
}

void shard_remove(struct shard *shard, uint32_t number, uint32_t record_hash, uint64_t now_ms)
{
    struct record *record = shard_record(shard, number);
    shard_leave_service(shard, number, now_ms);
    hash_index_remove(&shard->record_index, record_hash, number);
    instance_unref(record->instance);
    record->instance = NULL; /* a number that was noted finds nothing */
    slab_release(&shard->records, number);
}

void shard_renew(struct shard *shard, uint32_t number, uint64_t now_ms, uint64_t deadline_ms)
{
    struct record *record = shard_record(shard, number);
    /* Threads may come with moments that are a little out of order: a lease never gets shorter. */
    if (deadline_ms > record->lease.deadline_ms)
        record->lease.deadline_ms = deadline_ms;
    if (!record->due && !record->guarded && !record->confirming && !record->expiry_confirmed)
        return; /* the wheel finds out when the old slot comes up */
    reset_lease_state(shard, record, now_ms);
    lease_wheel_disarm(&shard->wheel, number);
    lease_wheel_arm(&shard->wheel, number, deadline_ms);
}

void shard_mark_due(struct shard *shard, uint32_t number)
{
    struct record *record = shard_record(shard, number);
    struct service *service = shard_service(shard, record->service);
    lease_wheel_add_due(&shard->wheel, number);
    if (!service->in_guard_queue) {
        service->in_guard_queue = true;
        service->guard_queue_next = shard->guard_queue;
        shard->guard_queue = record->service;
    }
    if (record->guarded)
        return; /* known to have ended: only looked at again */
    record->due = true;
    shard->due++;
    service->due++;
    shard->counters.due++;
}

void shard_start_lease_check(struct shard *shard, uint32_t number)
{
    shard_record(shard, number)->confirming = true;
    lease_wheel_add_deferred(&shard->wheel, number);
    shard_mark_lease_check(shard, number);
}

void shard_arm_lease_checks(struct shard *shard, uint64_t until_ms, unsigned *budget)
{
    uint32_t number;
    for (; *budget > 0 && (number = lease_wheel_pop_deferred(&shard->wheel)); --*budget)
        lease_wheel_arm(&shard->wheel, number, until_ms);
}

void shard_confirm_expiry(struct shard *shard, uint32_t number, uint64_t now_ms)
{
    struct record *record = shard_record(shard, number);
    record->confirming = false;
    record->expiry_confirmed = true;
    lease_wheel_disarm(&shard->wheel, number);
    lease_wheel_arm(&shard->wheel, number, now_ms);
}

void shard_guard_lease(struct shard *shard, uint32_t number, uint64_t again_ms)
{
    struct record *record = shard_record(shard, number);
    struct service *service = shard_service(shard, record->service);
    lease_wheel_arm(&shard->wheel, number, again_ms);
    if (record->guarded)
        return;
    record->due = false;
    service->due--;
    shard->due--;
    record->guarded = true;
    service->guarded++;
    shard->guarded++;
}

void shard_recheck_guarded(struct shard *shard, struct service *service, uint64_t now_ms)
{
    for (uint32_t i = 0; i < service->member_count && service->guarded; i++) {
        if (!shard_record(shard, service->members[i])->guarded)
            continue;
        lease_wheel_disarm(&shard->wheel, service->members[i]);
        lease_wheel_arm(&shard->wheel, service->members[i], now_ms);
    }
}

/* --- reading ---------------------------------------------------------------------------------- */

enum error shard_copy_members(const struct shard *shard, const struct service *service,
                              bool all_statuses, struct instance ***out, size_t *count)
{
    struct instance **instances = NULL;
    size_t found = 0;
    if (service->member_count) {
        instances = malloc(service->member_count * sizeof(struct instance *));
        if (!instances)
            return ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < service->member_count; i++) {
        struct instance *instance = shard_record(shard, service->members[i])->instance;
        if (all_statuses || instance_status(instance) == STATUS_UP)
            instances[found++] = instance_ref(instance);
    }
    *out = instances;
    *count = found;
    return ERR_NONE;
}

void shard_free_members(struct instance **instances, size_t count)
{
    for (size_t i = 0; i < count; i++)
        instance_unref(instances[i]);
    free(instances);
}

static void validate_service(const struct shard *shard, uint32_t number, uint32_t *records,
                             uint32_t *responses)
{
    const struct service *service = shard_service(shard, number);
    uint32_t due = 0;
    uint32_t guarded = 0;
    for (uint32_t i = 0; i < service->member_count; i++) {
        const struct record *record = shard_record(shard, service->members[i]);
        assert(record->service == number && record->member == i);
        assert(record->instance && record->lease.prev != 0);
        assert(!record->deleted && record->due + record->guarded + record->confirming <= 1);
        assert(slice_equal(instance_text(record->instance, FIELD_SERVICE),
                           (struct slice){service->id, service->id_size}));
        due += record->due;
        guarded += record->guarded;
    }
    assert(service->due == due && service->guarded == guarded);
    bool has_cleanup = service->member_count == 0;
    for (int view = 0; view < VIEW_COUNT; view++) {
        if (!service->responses[view])
            continue;
        assert(service->responses[view]->revision == service->revision);
        has_cleanup = true;
        ++*responses;
    }
    assert(!has_cleanup || service->cleanup.deadline_ms);
    assert(!service->cleanup.deadline_ms == !service->cleanup.prev);
    *records += service->member_count;
}

void shard_validate(const struct shard *shard)
{
    uint32_t records = 0;
    uint32_t services = 0;
    uint32_t engaged = 0;
    uint32_t released = 0;
    uint32_t responses = 0;
    for (uint32_t number = 1; number < shard->services.end; number++) {
        const struct service *service = shard_service(shard, number);
        if (!service->id)
            continue;
        validate_service(shard, number, &records, &responses);
        engaged += service->guard.state == GUARD_ENGAGED;
        released += service->guard.state == GUARD_RELEASED;
        services++;
    }
    assert(records == shard_instances(shard));
    assert(services == shard->service_index.count);
    assert(engaged == shard->engaged_services);
    assert(released == shard->released_services);
    assert(responses == shard->responses);
}
