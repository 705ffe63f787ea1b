/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/registry/shard.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void shard_init(struct shard *shard, uint64_t now_ms, struct shard_patience patience)
{
    memset(shard, 0, sizeof(*shard));
    shard->patience = patience;
    slab_init(&shard->records, sizeof(struct record));
    slab_init(&shard->services, sizeof(struct service));
    lease_wheel_init(&shard->wheel, &shard->records, now_ms);
    lease_wheel_init(&shard->looks, &shard->services, now_ms);
}

static void drop_answer(struct shard *shard, struct service *service, int view)
{
    cached_response_evict(service->answers[view], &shard->dropped);
    service->answers[view] = NULL;
    shard->answers--;
}

static void drop_answers(struct shard *shard, struct service *service)
{
    for (int view = 0; view < VIEW_COUNT; view++)
        if (service->answers[view])
            drop_answer(shard, service, view);
}

void shard_free(struct shard *shard)
{
    for (uint32_t number = 1; number < shard->services.next_unused; number++) {
        struct service *service = shard_service(shard, number);
        if (!service->id)
            continue;
        for (uint32_t i = 0; i < service->member_count; i++)
            instance_unref(shard_record(shard, service->members[i])->instance);
        drop_answers(shard, service);
        free(service->members);
        free(service->id);
    }
    cached_response_free_evicted(shard->dropped);
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
    drop_answers(shard, service);
    lease_wheel_disarm(&shard->looks, number);
    hash_index_remove(&shard->service_index, service->hash, number);
    free(service->members);
    free(service->id);
    service->id = NULL;
    slab_give_back(&shard->services, number);
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
    error = slab_take(&shard->services, &number);
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

void shard_set_version(struct shard *shard, struct service *service, uint64_t version)
{
    assert(version > service->version);
    service->version = version;
    drop_answers(shard, service);
}

void shard_guard_changed(struct shard *shard, enum guard_state before, enum guard_state now)
{
    shard->guarded += (uint32_t)(now == GUARD_ON) - (uint32_t)(before == GUARD_ON);
    shard->released += (uint32_t)(now == GUARD_RELEASED) - (uint32_t)(before == GUARD_RELEASED);
}

/* --- housekeeping ----------------------------------------------------------------------------- */

/* Has housekeeping look at a service at when_ms, or earlier. */
static void look_at(struct shard *shard, uint32_t number, uint64_t when_ms)
{
    struct lease *look = &shard_service(shard, number)->look;
    if (look->deadline_ms && look->deadline_ms <= when_ms)
        return;
    lease_wheel_disarm(&shard->looks, number);
    look->deadline_ms = when_ms;
    lease_wheel_arm(&shard->looks, number, when_ms);
}

static uint64_t unused_at(const struct shard *shard, struct cached_response *answer)
{
    return atomic_load_explicit(&answer->used_ms, memory_order_relaxed) + shard->patience.unused_ms;
}

void shard_cache_answer(struct shard *shard, uint32_t number, int view,
                        struct cached_response *answer)
{
    struct service *service = shard_service(shard, number);
    assert(!service->answers[view] && answer->version == service->version);
    service->answers[view] = answer;
    shard->answers++;
    look_at(shard, number, unused_at(shard, answer));
}

/* A service has come up: what is due goes, and for the rest it is armed again. */
static void look_after(struct shard *shard, uint32_t number, uint64_t now_ms)
{
    struct service *service = shard_service(shard, number);
    service->look.deadline_ms = 0;
    for (int view = 0; view < VIEW_COUNT; view++) {
        if (!service->answers[view])
            continue;
        uint64_t end_ms = unused_at(shard, service->answers[view]);
        if (end_ms <= now_ms)
            drop_answer(shard, service, view);
        else
            look_at(shard, number, end_ms);
    }
    if (service->member_count > 0)
        return;
    uint64_t end_ms = service->empty_since_ms + shard->patience.empty_ms;
    if (end_ms <= now_ms)
        remove_service(shard, number);
    else
        look_at(shard, number, end_ms);
}

void shard_housekeep(struct shard *shard, uint64_t now_ms, unsigned *budget)
{
    uint32_t number;
    while ((number = lease_wheel_next(&shard->looks, now_ms, budget)))
        look_after(shard, number, now_ms);
}

/* --- records ---------------------------------------------------------------------------------- */

/* Takes what the insert needs; all that can fail is here. */
static enum error prepare_insert(struct shard *shard, uint32_t service_number, uint32_t *record)
{
    enum error error = reserve_member(shard_service(shard, service_number));
    if (!error)
        error = hash_index_reserve(&shard->record_index);
    if (!error)
        error = shard_reserve_notes(shard);
    return error ? error : slab_take(&shard->records, record);
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

/* The record is neither due nor held any more. */
static void forget_end(struct shard *shard, struct record *record, uint64_t now_ms)
{
    struct service *service = shard_service(shard, record->service);
    if (record->due) {
        record->due = false;
        service->due--;
        shard->due--;
    }
    record->asking = false;
    record->settled = false;
    if (record->held) {
        record->held = false;
        service->held--;
        shard->held--;
        if (service->held == 0 && service->guard.state == GUARD_ON) {
            guard_clear(&service->guard, now_ms);
            shard_guard_changed(shard, GUARD_ON, GUARD_OFF);
        }
    }
}

void shard_leave_service(struct shard *shard, uint32_t number, uint64_t now_ms)
{
    struct record *record = shard_record(shard, number);
    struct service *service = shard_service(shard, record->service);
    lease_wheel_disarm(&shard->wheel, number);
    forget_end(shard, record, now_ms);
    /* The last member takes the place of the one that leaves. */
    uint32_t last = service->members[--service->member_count];
    service->members[record->member] = last;
    shard_record(shard, last)->member = record->member;
    if (service->member_count == 0) {
        service->empty_since_ms = now_ms;
        look_at(shard, record->service, now_ms + shard->patience.empty_ms);
    }
}

void shard_remove(struct shard *shard, uint32_t number, uint32_t record_hash, uint64_t now_ms)
{
    struct record *record = shard_record(shard, number);
    shard_leave_service(shard, number, now_ms);
    hash_index_remove(&shard->record_index, record_hash, number);
    instance_unref(record->instance);
    record->instance = NULL; /* a number that was noted finds nothing */
    slab_give_back(&shard->records, number);
}

void shard_renew(struct shard *shard, uint32_t number, uint64_t now_ms, uint64_t deadline_ms)
{
    struct record *record = shard_record(shard, number);
    /* Threads may come with moments that are a little out of order: a lease never gets shorter. */
    if (deadline_ms > record->lease.deadline_ms)
        record->lease.deadline_ms = deadline_ms;
    if (!record->due && !record->held && !record->asking && !record->settled)
        return; /* the wheel finds out when the old slot comes up */
    forget_end(shard, record, now_ms);
    lease_wheel_disarm(&shard->wheel, number);
    lease_wheel_arm(&shard->wheel, number, deadline_ms);
}

void shard_mark_due(struct shard *shard, uint32_t number)
{
    struct record *record = shard_record(shard, number);
    struct service *service = shard_service(shard, record->service);
    lease_wheel_add_due(&shard->wheel, number);
    if (!service->to_be_judged) {
        service->to_be_judged = true;
        service->judge_next = shard->to_judge;
        shard->to_judge = record->service;
    }
    if (record->held)
        return; /* known to have ended: only looked at again */
    record->due = true;
    shard->due++;
    service->due++;
    shard->counters.due++;
}

void shard_ask(struct shard *shard, uint32_t number)
{
    shard_record(shard, number)->asking = true;
    lease_wheel_add_later(&shard->wheel, number);
    shard_note_question(shard, number);
}

void shard_arm_asked(struct shard *shard, uint64_t until_ms, unsigned *budget)
{
    uint32_t number;
    for (; *budget > 0 && (number = lease_wheel_take_later(&shard->wheel)); --*budget)
        lease_wheel_arm(&shard->wheel, number, until_ms);
}

void shard_settle(struct shard *shard, uint32_t number, uint64_t now_ms)
{
    struct record *record = shard_record(shard, number);
    record->asking = false;
    record->settled = true;
    lease_wheel_disarm(&shard->wheel, number);
    lease_wheel_arm(&shard->wheel, number, now_ms);
}

void shard_hold(struct shard *shard, uint32_t number, uint64_t again_ms)
{
    struct record *record = shard_record(shard, number);
    struct service *service = shard_service(shard, record->service);
    lease_wheel_arm(&shard->wheel, number, again_ms);
    if (record->held)
        return;
    record->due = false;
    service->due--;
    shard->due--;
    record->held = true;
    service->held++;
    shard->held++;
}

void shard_recheck_held(struct shard *shard, struct service *service, uint64_t now_ms)
{
    for (uint32_t i = 0; i < service->member_count && service->held; i++) {
        if (!shard_record(shard, service->members[i])->held)
            continue;
        lease_wheel_disarm(&shard->wheel, service->members[i]);
        lease_wheel_arm(&shard->wheel, service->members[i], now_ms);
    }
}

/* --- reading ---------------------------------------------------------------------------------- */

enum error shard_snapshot(const struct shard *shard, const struct service *service,
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

void shard_snapshot_free(struct instance **instances, size_t count)
{
    for (size_t i = 0; i < count; i++)
        instance_unref(instances[i]);
    free(instances);
}

static void validate_service(const struct shard *shard, uint32_t number, uint32_t *records,
                             uint32_t *answers)
{
    const struct service *service = shard_service(shard, number);
    uint32_t due = 0;
    uint32_t held = 0;
    for (uint32_t i = 0; i < service->member_count; i++) {
        const struct record *record = shard_record(shard, service->members[i]);
        assert(record->service == number && record->member == i);
        assert(record->instance && record->lease.prev != 0);
        assert(!record->deleted && record->due + record->held + record->asking <= 1);
        assert(slice_equal(instance_text(record->instance, FIELD_SERVICE),
                           (struct slice){service->id, service->id_size}));
        due += record->due;
        held += record->held;
    }
    assert(service->due == due && service->held == held);
    bool looked_at = service->member_count == 0;
    for (int view = 0; view < VIEW_COUNT; view++) {
        if (!service->answers[view])
            continue;
        assert(service->answers[view]->version == service->version);
        looked_at = true;
        ++*answers;
    }
    assert(!looked_at || service->look.deadline_ms);
    assert(!service->look.deadline_ms == !service->look.prev);
    *records += service->member_count;
}

void shard_validate(const struct shard *shard)
{
    uint32_t records = 0;
    uint32_t services = 0;
    uint32_t guarded = 0;
    uint32_t released = 0;
    uint32_t answers = 0;
    for (uint32_t number = 1; number < shard->services.next_unused; number++) {
        const struct service *service = shard_service(shard, number);
        if (!service->id)
            continue;
        validate_service(shard, number, &records, &answers);
        guarded += service->guard.state == GUARD_ON;
        released += service->guard.state == GUARD_RELEASED;
        services++;
    }
    assert(records == shard_instances(shard));
    assert(services == shard->service_index.count);
    assert(guarded == shard->guarded);
    assert(released == shard->released);
    assert(answers == shard->answers);
}
