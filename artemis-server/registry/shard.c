/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/registry/shard.h"

#include <stdlib.h>
#include <string.h>

void shard_init(struct shard *shard, uint64_t now_ms, struct shard_settings settings)
{
    memset(shard, 0, sizeof(*shard));
    shard->settings = settings;
    slab_init(&shard->records, sizeof(struct record));
    slab_init(&shard->services, sizeof(struct service));
    timing_wheel_init(&shard->wheel, &shard->records, now_ms);
    timing_wheel_init(&shard->cleanup_wheel, &shard->services, now_ms);
}

/* Gives back the reference of a record that is removed. */
static void release_node(const struct shard *shard, const struct record *record)
{
    if (record->node != NODE_NUMBER_SELF)
        node_id_table_unref(shard->settings.node_ids, record->node);
}

void shard_set_stamp(struct shard *shard, struct record *record, uint64_t hlc, uint16_t node)
{
    if (node != NODE_NUMBER_SELF)
        node_id_table_ref(shard->settings.node_ids, node);
    release_node(shard, record);
    record->hlc = hlc;
    record->node = node;
}

static void free_record(const struct shard *shard, uint32_t number)
{
    const struct record *record = shard_record(shard, number);
    instance_unref(record->instance);
    release_node(shard, record);
}

static void evict_response(struct shard *shard, struct cached_responses *list,
                           struct cached_response *response)
{
    SLIST_REMOVE(list, response, cached_response, link);
    cached_response_evict(response, &shard->evicted_responses);
    shard->responses--;
}

static void evict_list(struct shard *shard, struct cached_responses *list)
{
    struct cached_response *response;
    while ((response = SLIST_FIRST(list))) {
        SLIST_REMOVE_HEAD(list, link);
        cached_response_evict(response, &shard->evicted_responses);
        shard->responses--;
    }
}

static void evict_responses(struct shard *shard, struct service *service)
{
    evict_list(shard, &service->responses);
    evict_list(shard, &service->deltas);
    evict_list(shard, &service->filtered);
}

void shard_free(struct shard *shard)
{
    for (uint32_t number = 1; number < slab_end(&shard->services); number++) {
        struct service *service = shard_live_service(shard, number);
        if (!service)
            continue;
        for (uint32_t i = 0; i < service->member_count; i++)
            free_record(shard, service->members[i]);
        evict_responses(shard, service);
        free(service->members);
        free(service->id);
    }
    cached_response_free_evicted(&shard->evicted_responses);
    for (uint32_t number = shard->tombstones.first; number;
         number = shard_record(shard, number)->lease.next)
        free_record(shard, number);
    for (int kind = 0; kind < DIRTY_KINDS; kind++)
        number_set_free(&shard->dirty[kind]);
    while (shard->removed.count)
        instance_unref(shard->removed.instances[--shard->removed.count]);
    free(shard->removed.instances);
    hash_index_free(&shard->record_index);
    hash_index_free(&shard->service_index);
    hash_index_free(&shard->text_holders);
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

/* Arms the cleanup of a service for when_ms, unless it is armed for earlier. */
static void arm_cleanup(struct shard *shard, uint32_t number, uint64_t when_ms)
{
    struct wheel_timer *cleanup = &shard_service(shard, number)->cleanup;
    if (cleanup->deadline_ms && cleanup->deadline_ms <= when_ms)
        return;
    timing_wheel_disarm(&shard->cleanup_wheel, number);
    cleanup->deadline_ms = when_ms;
    timing_wheel_arm(&shard->cleanup_wheel, number, when_ms);
}

/* Removes a service without members. */
static void remove_service(struct shard *shard, uint32_t number)
{
    struct service *service = shard_service(shard, number);
    assert(service->member_count == 0);
    enum guard_state before = service->guard.state;
    service->guard.state = GUARD_OFF;
    shard_guard_changed(shard, service, before);
    evict_responses(shard, service);
    timing_wheel_disarm(&shard->cleanup_wheel, number);
    hash_index_remove(&shard->service_index, service->hash, number);
    shard->member_bytes -= service->member_capacity * sizeof(*service->members);
    free(service->members);
    free(service->id);
    service->id = NULL;
    slab_release(&shard->services, number);
}

static enum error resize_members(struct shard *shard, struct service *service, uint32_t capacity)
{
    uint32_t *members = realloc(service->members, capacity * sizeof(*members));
    if (!members)
        return ERR_NO_MEMORY;
    shard->member_bytes -= service->member_capacity * sizeof(*members);
    shard->member_bytes += capacity * sizeof(*members);
    service->members = members;
    service->member_capacity = capacity;
    return ERR_NONE;
}

static enum error reserve_member(struct shard *shard, struct service *service)
{
    enum { FIRST_CAPACITY = 4 };
    if (service->member_count < service->member_capacity)
        return ERR_NONE;
    uint32_t capacity = service->member_capacity + service->member_capacity / 2;
    return resize_members(shard, service, capacity > FIRST_CAPACITY ? capacity : FIRST_CAPACITY);
}

static bool is_sparse(const struct service *service)
{
    enum { SPARSE_FROM = 64 };
    return service->member_capacity >= SPARSE_FROM &&
           service->member_count < service->member_capacity / 4;
}

/* --- records ---------------------------------------------------------------------------------- */

/* Takes what the insert needs; everything that can fail is here. Gives the new record its
 * instance. */
static enum error prepare_insert(struct shard *shard, uint32_t service_number,
                                 struct instance *instance, uint32_t *number)
{
    enum error error = reserve_member(shard, shard_service(shard, service_number));
    if (!error)
        error = hash_index_reserve(&shard->record_index);
    if (!error)
        error = shard_reserve_dirty(shard);
    if (!error)
        error = slab_alloc(&shard->records, number);
    if (error)
        return error;
    struct instance *stored = shard_share_texts(shard, *number, instance);
    shard_record(shard, *number)->instance = stored;
    if (stored)
        return ERR_NONE;
    slab_release(&shard->records, *number);
    return ERR_NO_MEMORY;
}

enum error shard_insert(struct shard *shard, uint32_t service_hash, uint32_t record_hash,
                        struct instance *instance, uint64_t deadline_ms, uint32_t *out)
{
    struct slice id = instance_text(instance, FIELD_SERVICE);
    uint32_t bucket = bucket_of_key(instance_packed_key(instance));
    __builtin_prefetch(&shard->buckets[bucket], true); /* for shard_link_bucket */
    uint32_t service_number = shard_find_service(shard, service_hash, id);
    bool is_new = service_number == 0;
    enum error error = is_new ? add_service(shard, service_hash, id, &service_number) : ERR_NONE;
    if (error)
        return error;
    uint32_t number;
    error = prepare_insert(shard, service_number, instance, &number);
    if (error) {
        if (is_new)
            remove_service(shard, service_number);
        return error;
    }
    struct service *service = shard_service(shard, service_number);
    struct record *record = shard_record(shard, number);
    record->hash = record_hash;
    record->service = service_number;
    record->member = service->member_count;
    service->members[service->member_count++] = number;
    hash_index_insert(&shard->record_index, record_hash, number);
    shard_link_bucket(shard, number, bucket);
    shard_start_lease(shard, number, deadline_ms);
    *out = number;
    return ERR_NONE;
}

void shard_replace(struct shard *shard, uint32_t number, struct instance *instance)
{
    struct record *record = shard_record(shard, number);
    struct instance *old = record->instance;
    shard_stop_sharing(shard, number);
    record->instance = shard_share_texts(shard, number, instance);
    instance_unref(old);
}

void shard_leave_service(struct shard *shard, uint32_t number, uint64_t now_ms)
{
    struct record *record = shard_record(shard, number);
    struct service *service = shard_service(shard, record->service);
    shard_end_lease(shard, number, now_ms);
    shard_stop_sharing(shard, number);
    /* The last member takes the index of the one that leaves. */
    uint32_t last = service->members[--service->member_count];
    service->members[record->member] = last;
    shard_record(shard, last)->member = record->member;
    if (service->member_count == 0)
        service->empty_since_ms = now_ms;
    if (service->member_count == 0 || is_sparse(service))
        arm_cleanup(shard, record->service, now_ms + shard->settings.empty_ms);
}

void shard_remove(struct shard *shard, uint32_t number, uint64_t now_ms)
{
    struct record *record = shard_record(shard, number);
    shard_leave_service(shard, number, now_ms);
    shard_unlink_bucket(shard, number);
    hash_index_remove(&shard->record_index, record->hash, number);
    shard_list_removed(shard, record->instance);
    record->instance = NULL;
    release_node(shard, record);
    shard_clear_dirty(shard, number);
    slab_release(&shard->records, number);
}

/* --- cached responses and cleanup ------------------------------------------------------------- */

void shard_set_revision(struct shard *shard, struct service *service, uint64_t revision)
{
    assert(revision > service->revision);
    service->revision = revision;
    evict_responses(shard, service);
}

static uint64_t unused_at(const struct shard *shard, struct cached_response *response)
{
    return atomic_load_explicit(&response->used_ms, memory_order_relaxed) +
           shard->settings.unused_ms;
}

void shard_cache_response(struct shard *shard, uint32_t number, struct cached_response *response)
{
    struct service *service = shard_service(shard, number);
    assert(!service_response(service, response->view) && response->revision == service->revision);
    SLIST_INSERT_HEAD(&service->responses, response, link);
    shard->responses++;
    arm_cleanup(shard, number, unused_at(shard, response));
}

struct cached_response *shard_find_delta(const struct service *service, unsigned view,
                                         uint64_t since)
{
    struct cached_response *delta;
    SLIST_FOREACH (delta, &service->deltas, link)
        if (delta->view == view && delta->since == since)
            break;
    return delta;
}

void shard_cache_delta(struct shard *shard, uint32_t number, struct cached_response *delta)
{
    struct service *service = shard_service(shard, number);
    struct cached_response *each;
    struct cached_response *oldest = NULL;
    unsigned count = 0;
    assert(delta->since && delta->revision == service->revision);
    SLIST_FOREACH (each, &service->deltas, link) {
        oldest = each;
        count++;
    }
    if (count == SERVICE_DELTAS_MAX)
        evict_response(shard, &service->deltas, oldest);
    SLIST_INSERT_HEAD(&service->deltas, delta, link);
    shard->responses++;
    arm_cleanup(shard, number, unused_at(shard, delta));
}

static bool has_filter(const struct cached_response *response, struct slice filter)
{
    return response->filter.size == filter.size &&
           memcmp(response->filter.data, filter.data, filter.size) == 0;
}

struct cached_response *shard_find_filtered(const struct service *service, unsigned view,
                                            uint64_t since, struct slice filter)
{
    struct cached_response *response;
    SLIST_FOREACH (response, &service->filtered, link)
        if (response->view == view && response->since == since && has_filter(response, filter))
            break;
    return response;
}

void shard_cache_filtered(struct shard *shard, uint32_t number, struct cached_response *response)
{
    struct service *service = shard_service(shard, number);
    struct cached_response *each;
    struct cached_response *unused = NULL;
    unsigned count = 0;
    assert(response->filter.size && response->revision == service->revision);
    SLIST_FOREACH (each, &service->filtered, link) {
        if (!unused || unused_at(shard, each) <= unused_at(shard, unused))
            unused = each;
        count++;
    }
    if (count == SERVICE_FILTERED_MAX)
        evict_response(shard, &service->filtered, unused);
    SLIST_INSERT_HEAD(&service->filtered, response, link);
    shard->responses++;
    arm_cleanup(shard, number, unused_at(shard, response));
}

/* Evicts the responses of a list when all of them are unused. */
static void clean_list(struct shard *shard, uint32_t number, struct cached_responses *list,
                       uint64_t now_ms)
{
    struct cached_response *response;
    uint64_t end_ms = 0;
    SLIST_FOREACH (response, list, link)
        if (unused_at(shard, response) > end_ms)
            end_ms = unused_at(shard, response);
    if (end_ms > now_ms)
        arm_cleanup(shard, number, end_ms);
    else
        evict_list(shard, list);
}

/* A service has come up: removes what is due and arms the cleanup for the rest. */
static void clean_service(struct shard *shard, uint32_t number, uint64_t now_ms)
{
    struct service *service = shard_service(shard, number);
    service->cleanup.deadline_ms = 0;
    for (struct cached_response *response = SLIST_FIRST(&service->responses), *next; response;
         response = next) {
        next = SLIST_NEXT(response, link);
        uint64_t end_ms = unused_at(shard, response);
        if (end_ms <= now_ms)
            evict_response(shard, &service->responses, response);
        else
            arm_cleanup(shard, number, end_ms);
    }
    clean_list(shard, number, &service->deltas, now_ms);
    clean_list(shard, number, &service->filtered, now_ms);
    if (service->member_count > 0) {
        if (is_sparse(service)) /* without memory it stays as it is */
            (void)resize_members(shard, service, service->member_count * 2);
        return;
    }
    uint64_t end_ms = service->empty_since_ms + shard->settings.empty_ms;
    if (end_ms <= now_ms)
        remove_service(shard, number);
    else
        arm_cleanup(shard, number, end_ms);
}

void shard_cleanup(struct shard *shard, uint64_t now_ms, unsigned *steps)
{
    uint32_t number;
    while ((number = timing_wheel_next(&shard->cleanup_wheel, now_ms, steps)))
        clean_service(shard, number, now_ms);
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

/* --- memory ----------------------------------------------------------------------------------- */

void shard_shrink(struct shard *shard)
{
    slab_shrink(&shard->records);
    slab_shrink(&shard->services);
    shard_shrink_dirty(shard);
    hash_index_shrink(&shard->record_index);
    hash_index_shrink(&shard->service_index);
    hash_index_shrink(&shard->text_holders);
}

size_t shard_bytes(const struct shard *shard)
{
    size_t slots = (size_t)shard->record_index.capacity + shard->service_index.capacity +
                   shard->text_holders.capacity;
    size_t bytes = slab_bytes(&shard->records) + slab_bytes(&shard->services) +
                   slots * sizeof(struct hash_slot) + shard->member_bytes;
    for (int kind = 0; kind < DIRTY_KINDS; kind++)
        bytes += number_set_bytes(&shard->dirty[kind]);
    return bytes + shard->removed.capacity * sizeof(*shard->removed.instances);
}

/* --- invariants ------------------------------------------------------------------------------- */

struct sums {
    uint32_t records, services, expired, guarded, loaded, released, responses, in_buckets;
    size_t member_bytes;
    struct engaged_count engaged;
};

static void validate_service(const struct shard *shard, uint32_t number, struct sums *sums)
{
    const struct service *service = shard_service(shard, number);
    uint32_t in_state[LEASE_STATES] = {0};
    for (uint32_t i = 0; i < service->member_count; i++) {
        const struct record *record = shard_record(shard, service->members[i]);
        assert(record->service == number && record->member == i);
        assert(record->instance && record->lease.prev != 0);
        assert(!record_is_tombstone(record));
        assert(slice_equal(instance_text(record->instance, FIELD_SERVICE),
                           (struct slice){service->id, service->id_size}));
        in_state[record->lease_state]++;
    }
    assert(service->expired == in_state[LEASE_EXPIRED]);
    assert(service->guarded == in_state[LEASE_GUARDED] + in_state[LEASE_PEER_GUARDED]);
    bool needs_cleanup = service->member_count == 0;
    const struct cached_response *response;
    SLIST_FOREACH (response, &service->responses, link) {
        assert(response->view < RESPONSE_VIEWS && response->revision == service->revision);
        assert(service_response(service, response->view) == response);
        needs_cleanup = true;
        sums->responses++;
    }
    const struct cached_response *delta;
    SLIST_FOREACH (delta, &service->deltas, link) {
        assert(delta->revision == service->revision && delta->since);
        needs_cleanup = true;
        sums->responses++;
    }
    SLIST_FOREACH (response, &service->filtered, link) {
        assert(response->revision == service->revision && response->filter.size);
        needs_cleanup = true;
        sums->responses++;
    }
    assert(!needs_cleanup || service->cleanup.deadline_ms);
    assert(!service->cleanup.deadline_ms == !service->cleanup.prev);
    sums->services++;
    sums->records += service->member_count;
    sums->expired += service->expired;
    sums->guarded += service->guarded;
    sums->loaded += in_state[LEASE_LOADED];
    sums->member_bytes += service->member_capacity * sizeof(*service->members);
    sums->released += service->guard.state == GUARD_RELEASED;
    if (service->guard.state == GUARD_ENGAGED) {
        sums->engaged.services++;
        sums->engaged.leases += service->member_count;
        sums->engaged.ended += service->expired + service->guarded;
    }
}

static void validate_buckets(const struct shard *shard, struct sums *sums)
{
    for (uint32_t bucket = 0; bucket < DIGEST_BUCKETS; bucket++) {
        uint32_t before = 0;
        bool is_linked_back = false;
        for (uint32_t number = shard->buckets[bucket]; number;
             number = shard_record(shard, number)->bucket_next) {
            const struct record *record = shard_record(shard, number);
            is_linked_back = is_linked_back || record->bucket_prev;
            assert(record->instance && record->bucket == bucket);
            assert(record->bucket_prev == (is_linked_back ? before : 0));
            if (record->node != NODE_NUMBER_SELF)
                assert(node_id_table_id(shard->settings.node_ids, record->node));
            before = number;
            sums->in_buckets++;
        }
    }
}

void shard_validate(const struct shard *shard)
{
    struct sums sums = {0};
    for (uint32_t number = 1; number < slab_end(&shard->services); number++)
        if (shard_live_service(shard, number))
            validate_service(shard, number, &sums);
    validate_buckets(shard, &sums);
    shard_validate_texts(shard);
    assert(sums.records == shard_instances(shard));
    assert(sums.in_buckets == shard->record_index.count);
    assert(sums.services == shard->service_index.count);
    assert(sums.expired == shard->expired && sums.guarded == shard->guarded);
    assert(sums.loaded == shard->loaded);
    assert(memcmp(&sums.engaged, &shard->engaged, sizeof(sums.engaged)) == 0);
    assert(sums.released == shard->released_services);
    assert(sums.responses == shard->responses);
    assert(sums.member_bytes == shard->member_bytes);
}
