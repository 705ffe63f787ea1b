/* SPDX-License-Identifier: Apache-2.0
 *
 * Queries: members are referenced under the lock of the shard and used without it.
 */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "artemis-core/model/stamp.h"
#include "artemis-core/ring/ring.h"
#include "artemis-server/load_balancer.h"
#include "artemis-server/registry/registry_internal.h"

/* --- members ---------------------------------------------------------------------------------- */

static enum error copy_members(const struct shard *shard, const struct service *service,
                               bool all_statuses, struct registry_members *out)
{
    out->revision = service->revision;
    return shard_copy_members(shard, service, all_statuses, &out->instances, &out->count);
}

enum error registry_members(struct registry *registry, struct slice id, bool all_statuses,
                            struct registry_members *out)
{
    enum error error = ERR_SERVICE_NOT_FOUND;
    *out = (struct registry_members){0};
    struct locked_service found = registry_lock_service(registry, id);
    if (found.service)
        error = copy_members(found.shard, found.service, all_statuses, out);
    pthread_mutex_unlock(&found.locked->lock);
    return error;
}

void registry_members_filter(struct registry_members *members, const struct instance_filter *filter)
{
    size_t count =
        instance_filter_apply(filter, members->instances, members->count, &members->near);
    for (size_t i = count; i < members->count; i++)
        instance_unref(members->instances[i]);
    members->count = count;
}

void registry_members_free(struct registry_members *members)
{
    shard_free_members(members->instances, members->count);
    *members = (struct registry_members){0};
}

/* The next service of a shard with members; out->count stays 0 if it has no more. */
static enum error next_in_shard(struct locked_shard *locked, struct registry_cursor *cursor,
                                char id_buffer[ID_BYTES_MAX], struct slice *id,
                                struct registry_members *out)
{
    enum { VISITS_PER_LOCK = 256 };
    uint32_t end;
    enum error error = ERR_NONE;
    do {
        pthread_mutex_lock(&locked->lock);
        end = slab_end(&locked->shard.services);
        for (int i = 0; i < VISITS_PER_LOCK && cursor->number + 1 < end && !out->count; i++) {
            const struct service *service = shard_live_service(&locked->shard, ++cursor->number);
            if (!service || service->member_count == 0)
                continue;
            memcpy(id_buffer, service->id, service->id_size);
            *id = (struct slice){id_buffer, service->id_size};
            error = copy_members(&locked->shard, service, true, out);
            if (error)
                break;
        }
        pthread_mutex_unlock(&locked->lock);
    } while (!error && !out->count && cursor->number + 1 < end);
    return error;
}

enum error registry_next_service(struct registry *registry, struct registry_cursor *cursor,
                                 char id_buffer[ID_BYTES_MAX], struct slice *id,
                                 struct registry_members *out)
{
    *out = (struct registry_members){0};
    while (cursor->shard < SHARD_COUNT) {
        enum error error =
            next_in_shard(&registry->shards[cursor->shard], cursor, id_buffer, id, out);
        if (error || out->count)
            return error;
        cursor->shard++;
        cursor->number = 0;
    }
    return ERR_NONE;
}

/* --- one instance ----------------------------------------------------------------------------- */

/* The instances that match, or the nearest of them where the filter has a near place. */
struct candidates {
    const struct shard *shard;
    const struct service *service;
    const struct instance_filter *filter;
    enum nearness nearest;
    uint32_t evaluated;    /* the first ones, whose places are known */
    unsigned char *places; /* of PICK_EVALUATED_MAX instances */
};

static const struct instance *candidate(const struct candidates *candidates, uint32_t index)
{
    return shard_record(candidates->shard, candidates->service->members[index])->instance;
}

/* How near an instance is; NEARNESS_COUNT if it does not match. */
static enum nearness place_of(const struct candidates *candidates, uint32_t index)
{
    const struct instance *instance = candidate(candidates, index);
    const struct instance_filter *filter = candidates->filter;
    if (!instance_filter_matches(filter, instance))
        return NEARNESS_COUNT;
    if (filter->near_region.size == 0)
        return NEAR_ZONE;
    return instance_filter_nearness(filter, instance_text(instance, FIELD_REGION),
                                    instance_text(instance, FIELD_ZONE));
}

static bool is_candidate(const void *context, uint32_t index)
{
    const struct candidates *candidates = context;
    enum nearness place =
        index < candidates->evaluated ? candidates->places[index] : place_of(candidates, index);
    return place == candidates->nearest;
}

/* Evaluates the filter once for each instance; those beyond PICK_EVALUATED_MAX are evaluated again
 * when a choice looks at them. */
static void evaluate(struct candidates *candidates, struct near_counts *near)
{
    uint32_t count = candidates->service->member_count;
    for (uint32_t i = 0; i < count; i++) {
        enum nearness place = place_of(candidates, i);
        if (i < PICK_EVALUATED_MAX)
            candidates->places[i] = (unsigned char)place;
        if (place < NEARNESS_COUNT)
            near->count[place]++;
    }
    candidates->evaluated = count < PICK_EVALUATED_MAX ? count : PICK_EVALUATED_MAX;
    while (candidates->nearest < NEAR_BEYOND && near->count[candidates->nearest] == 0)
        candidates->nearest++;
}

static uint32_t weight_of(const void *context, uint32_t index)
{
    const struct candidates *candidates = context;
    return instance_weight(candidate(candidates, index));
}

/* The instance of a key on the ring. If no candidate has a weight above 0, all count alike. */
static uint32_t choose_by_key(const struct candidates *candidates, struct slice hash_key)
{
    uint32_t count = candidates->service->member_count;
    bool has_weights = load_balancer_total(count, is_candidate, weight_of, candidates) > 0;
    struct ring_search search;
    ring_search_begin(&search, hash_key);
    for (uint32_t i = 0; i < count; i++) {
        if (!is_candidate(candidates, i))
            continue;
        const struct instance *instance = candidate(candidates, i);
        ring_search_offer(&search, ring_identity(instance_packed_key(instance)),
                          has_weights ? instance_weight(instance) : WEIGHT_DEFAULT, i);
    }
    return search.found ? search.index : count;
}

/* Where round robin continues. Filters share a place only if their hashes are equal: with one for
 * all, lookups with two filters in turn would return the same two instances for ever. */
static uint32_t *turn_of(const struct registry *registry, const struct locked_service *found,
                         const struct instance_filter *filter)
{
    char text[FILTER_KEY_BYTES_MAX];
    if (instance_filter_is_plain(filter))
        return &found->service->round_robin;
    size_t size = instance_filter_key(filter, text);
    uint64_t hash = XXH3_64bits_withSeed(text, size, registry->options.hash_seed ^ found->number);
    return &found->locked->filtered_turns[hash % FILTERED_TURNS];
}

/* Whether a choice looks at each instance more than once. */
static bool looks_at_all(enum lookup_strategy strategy)
{
    return strategy == LOOKUP_WEIGHTED || strategy == LOOKUP_CONSISTENT_HASH;
}

static uint32_t choose(const struct candidates *candidates, const struct lookup_choice *choice,
                       uint32_t random, uint32_t *turn)
{
    uint32_t count = candidates->service->member_count;
    switch (choice->strategy) {
    case LOOKUP_ROUND_ROBIN:
        return load_balancer_next(count, is_candidate, candidates, turn);
    case LOOKUP_WEIGHTED:
        return load_balancer_weighted(count, is_candidate, weight_of, candidates, random);
    case LOOKUP_CONSISTENT_HASH:
        return choose_by_key(candidates, choice->hash_key);
    default:
        return load_balancer_random(count, is_candidate, candidates, random);
    }
}

enum error registry_pick(struct registry *registry, struct slice id,
                         const struct instance_filter *filter, const struct lookup_choice *choice,
                         uint32_t random, struct instance **out, struct near_counts *near)
{
    enum error error = ERR_SERVICE_NOT_FOUND;
    *near = (struct near_counts){.is_given = filter->near_region.size > 0};
    struct locked_service found = registry_lock_service(registry, id);
    struct service *service = found.service;
    if (service) {
        unsigned char places[PICK_EVALUATED_MAX];
        struct candidates candidates = {found.shard, service, filter, NEAR_ZONE, 0, places};
        if (near->is_given || looks_at_all(choice->strategy))
            evaluate(&candidates, near);
        uint32_t *turn = NULL;
        if (choice->strategy == LOOKUP_ROUND_ROBIN)
            turn = turn_of(registry, &found, filter);
        uint32_t index = choose(&candidates, choice, random, turn);
        error = index < service->member_count ? ERR_NONE : ERR_INSTANCE_NOT_FOUND;
        if (!error)
            *out = instance_ref(shard_record(found.shard, service->members[index])->instance);
    }
    pthread_mutex_unlock(&found.locked->lock);
    return error;
}

/* --- cached responses ------------------------------------------------------------------------- */

/* The cached response or delta with a key, or NULL. */
static struct cached_response *find_cached(const struct service *service,
                                           const struct response_key *key)
{
    if (key->filter.size)
        return shard_find_filtered(service, key->view, key->since, key->filter);
    return key->since ? shard_find_delta(service, key->view, key->since)
                      : service_response(service, key->view);
}

static struct cached_response *use_cached(const struct service *service,
                                          const struct response_key *key, struct moment now)
{
    struct cached_response *response = find_cached(service, key);
    if (response) {
        cached_response_ref(response);
        atomic_store_explicit(&response->used_ms, now.mono_ms, memory_order_relaxed);
    }
    return response;
}

enum error registry_find_response(struct registry *registry, struct slice id,
                                  const struct response_key *key, bool all_statuses,
                                  struct moment now, struct cached_response **response,
                                  struct registry_members *members)
{
    enum error error = ERR_SERVICE_NOT_FOUND;
    *response = NULL;
    *members = (struct registry_members){0};
    struct locked_service found = registry_lock_service(registry, id);
    if (found.service)
        *response = use_cached(found.service, key, now);
    if (*response)
        error = ERR_NONE;
    else if (found.service)
        error = copy_members(found.shard, found.service, all_statuses, members);
    pthread_mutex_unlock(&found.locked->lock);
    return error;
}

static bool is_too_large(const struct registry_delta *delta)
{
    size_t bytes = 0;
    for (size_t i = 0; i < delta->count; i++)
        bytes += instance_size(delta->changes[i].instance);
    return bytes > SERVICE_DELTA_BYTES_MAX;
}

enum error registry_find_delta(struct registry *registry, struct slice id,
                               const struct response_key *key, struct moment now,
                               struct cached_response **response, struct registry_delta *delta)
{
    *response = NULL;
    *delta = (struct registry_delta){0};
    struct locked_service found = registry_lock_service(registry, id);
    bool is_known = found.service != NULL;
    size_t max = is_known ? found.service->member_count : 0;
    uint64_t revision = is_known ? found.service->revision : 0;
    if (is_known)
        *response = use_cached(found.service, key, now);
    pthread_mutex_unlock(&found.locked->lock);
    if (!is_known)
        return ERR_SERVICE_NOT_FOUND;
    if (*response)
        return ERR_NONE;
    if (max > SERVICE_DELTA_CHANGES_MAX)
        max = SERVICE_DELTA_CHANGES_MAX;
    delta->revision = revision;
    /* Later changes are in the log too, but not on the way from `revision` back. */
    enum error error = change_log_of_service(&registry->log, revision, key->since, max,
                                             &delta->changes, &delta->count);
    if (error || !is_too_large(delta))
        return error;
    registry_delta_free(delta);
    return ERR_VERSION_GONE;
}

void registry_delta_free(struct registry_delta *delta)
{
    change_list_free(delta->changes, delta->count);
    *delta = (struct registry_delta){0};
}

void registry_cache_response(struct registry *registry, struct slice id,
                             struct cached_response *response, struct cache_budget *budget)
{
    struct locked_service found = registry_lock_service(registry, id);
    const struct response_key key = {
        response->view, response->since, {response->filter.data, response->filter.size}};
    found.shard->counters.responses_built++;
    bool is_wanted = found.service && found.service->revision == response->revision && budget &&
                     !find_cached(found.service, &key);
    if (is_wanted && cached_response_put(response, budget)) {
        if (key.filter.size)
            shard_cache_filtered(found.shard, found.number, response);
        else if (key.since)
            shard_cache_delta(found.shard, found.number, response);
        else
            shard_cache_response(found.shard, found.number, response);
    }
    registry_unlock(registry, found.locked);
}

/* --- changes ---------------------------------------------------------------------------------- */

uint64_t registry_revision(const struct registry *registry)
{
    return change_log_revision(&registry->log);
}

bool registry_has_instance(struct registry *registry, struct slice packed_key)
{
    struct locked_key key = registry_lock_key(registry, packed_key);
    bool found = key.record && !record_is_tombstone(key.record);
    pthread_mutex_unlock(&key.locked->lock);
    return found;
}

uint32_t registry_count_members(struct registry *registry, struct slice id)
{
    struct locked_service found = registry_lock_service(registry, id);
    uint32_t count = found.service ? found.service->member_count : 0;
    pthread_mutex_unlock(&found.locked->lock);
    return count;
}

uint64_t registry_hash_seed(const struct registry *registry)
{
    return registry->options.hash_seed;
}

uint64_t registry_service_revision(struct registry *registry, struct slice id)
{
    struct locked_service found = registry_lock_service(registry, id);
    uint64_t revision = found.service ? found.service->revision : 0;
    pthread_mutex_unlock(&found.locked->lock);
    return revision;
}

bool registry_has_newer(struct registry *registry, struct slice id, uint64_t revision)
{
    uint64_t latest = registry_revision(registry);
    if (revision > latest)
        return true; /* of another node or another epoch */
    if (slice_equal(id, SLICE("*")))
        return revision < latest;
    uint64_t last_change = registry_service_revision(registry, id);
    return last_change ? last_change > revision : revision > 0;
}

enum error registry_changes_since(struct registry *registry, uint64_t revision, struct change **out,
                                  size_t *count, uint64_t *newest)
{
    return change_log_since(&registry->log, revision, out, count, newest);
}

enum error registry_changes(struct registry *registry, uint64_t revision, struct change *out,
                            size_t max, size_t *count)
{
    return change_log_read(&registry->log, revision, out, max, count);
}

void registry_set_wakeup(struct registry *registry, change_log_wakeup *wakeup, void *context)
{
    registry->log.wake = wakeup;
    registry->log.wake_context = context;
}

bool registry_arm_wakeup(struct registry *registry, uint64_t revision)
{
    return change_log_arm_wakeup(&registry->log, revision);
}

void registry_disarm_wakeup(struct registry *registry)
{
    change_log_disarm_wakeup(&registry->log);
}

/* --- leases ----------------------------------------------------------------------------------- */

static struct lease_status lease_status_of(const struct registry *registry,
                                           const struct record *record, struct moment now)
{
    uint64_t deadline_ms = record->lease.deadline_ms;
    uint64_t ttl_ms = lease_ttl_ms(registry);
    uint64_t renewed_ms = deadline_ms > ttl_ms ? deadline_ms - ttl_ms : 0;
    uint64_t end_ms = record->lease_state == LEASE_LOADED
                          ? atomic_load_explicit(&registry->loaded.until_ms, memory_order_relaxed)
                          : registry_lease_end_ms(registry, deadline_ms, now.mono_ms);
    return (struct lease_status){
        .instance = instance_ref(record->instance),
        .renewed_ms_ago = now.mono_ms > renewed_ms ? now.mono_ms - renewed_ms : 0,
        .ends_in_ms = end_ms > now.mono_ms ? end_ms - now.mono_ms : 0,
        .guarded = lease_state_is_guarded(record->lease_state),
        .changed_wall_ms = hlc_to_ms(record->hlc),
    };
}

enum error registry_each_lease(struct registry *registry, struct slice id, struct moment now,
                               registry_visit_lease *visit, void *context)
{
    struct lease_status *views = NULL;
    uint32_t count = 0;
    enum error error = ERR_SERVICE_NOT_FOUND;
    struct locked_service found = registry_lock_service(registry, id);
    const struct service *service = found.service;
    if (service) {
        views = malloc((service->member_count + 1) * sizeof(*views));
        error = views ? ERR_NONE : ERR_NO_MEMORY;
        for (; views && count < service->member_count; count++)
            views[count] =
                lease_status_of(registry, shard_record(found.shard, service->members[count]), now);
    }
    pthread_mutex_unlock(&found.locked->lock);

    for (uint32_t i = 0; i < count; i++) {
        visit(context, &views[i]);
        instance_unref(views[i].instance);
    }
    free(views);
    return error;
}

/* --- members and clocks ----------------------------------------------------------------------- */

void registry_add_peer(struct registry *registry, uint32_t peer)
{
    pthread_mutex_lock(&registry->shared.lock);
    registry->shared.open[peer].hlc = 0; /* of an earlier member with this number */
    if (registry->shared.peer == peer)
        registry->shared.peer = 0;
    pthread_mutex_unlock(&registry->shared.lock);
    node_id_table_add_peer(&registry->node_ids, peer);
}

void registry_remove_peer(struct registry *registry, uint32_t peer)
{
    node_id_table_remove_peer(&registry->node_ids, peer);
}

uint64_t registry_clock_ms(const struct registry *registry, struct moment now)
{
    return hlc_ms(&registry->clock, now);
}

uint64_t registry_members_clock_ms(const struct registry *registry, struct moment now)
{
    return hlc_members_ms(&registry->clock, now);
}

void registry_observe_clocks(struct registry *registry, uint64_t clock_ms,
                             uint64_t members_clock_ms, struct moment now)
{
    hlc_observe_members_ms(&registry->clock, members_clock_ms ? members_clock_ms : clock_ms, now);
    (void)hlc_observe_ms(&registry->clock, clock_ms, now);
}

bool registry_observe_clock(struct registry *registry, uint64_t clock_ms, struct moment now)
{
    return hlc_observe_ms(&registry->clock, clock_ms, now);
}

uint64_t registry_highest_hlc(const struct registry *registry, struct moment now)
{
    return hlc_highest(&registry->clock, now);
}

void registry_observe_hlc(struct registry *registry, uint64_t hlc, struct moment now)
{
    hlc_observe_value(&registry->clock, hlc, now);
}

uint64_t registry_transit_ms(const struct registry *registry, uint64_t clock_ms, struct moment now)
{
    uint64_t own_ms = hlc_ms(&registry->clock, now);
    bool is_comparable =
        clock_ms != 0 && clock_ms < own_ms && own_ms - clock_ms < CLOCK_AHEAD_MAX_MS;
    return is_comparable ? own_ms - clock_ms : 0;
}

/* --- status ----------------------------------------------------------------------------------- */

static void add_shard_stats(const struct shard *shard, struct registry_stats *stats)
{
    const struct shard_counters *counters = &shard->counters;
    stats->instances += shard_instances(shard);
    stats->tombstones += shard->tombstones.count;
    stats->services += shard->service_index.count;
    stats->guarded += shard->guarded;
    stats->loaded += shard->loaded;
    stats->engaged_services += shard->engaged.services;
    stats->cached_responses += shard->responses;
    stats->store_bytes += shard_bytes(shard);
    stats->registered += counters->registered;
    stats->changed += counters->changed;
    stats->renewed += counters->renewed;
    stats->unregistered += counters->unregistered;
    stats->evicted += counters->evicted;
    stats->ended += counters->ended;
    stats->responses_built += counters->responses_built;
    stats->renewed_by_peers += counters->renewed_by_peers;
    stats->refuted += counters->refuted;
    stats->visited += counters->visited;
}

void registry_stats(struct registry *registry, struct registry_stats *stats)
{
    *stats = (struct registry_stats){0};
    for (int i = 0; i < SHARD_COUNT; i++) {
        pthread_mutex_lock(&registry->shards[i].lock);
        add_shard_stats(&registry->shards[i].shard, stats);
        pthread_mutex_unlock(&registry->shards[i].lock);
    }
    stats->revision = registry_revision(registry);
    stats->refused_stamps = atomic_load_explicit(&registry->refused_stamps, memory_order_relaxed);
    stats->refused_node_ids =
        atomic_load_explicit(&registry->node_ids.refused, memory_order_relaxed);
    stats->node_ids = atomic_load_explicit(&registry->node_ids.count, memory_order_relaxed);
    change_log_usage(&registry->log, &stats->change_log_size, &stats->change_log_bytes);
    pthread_mutex_lock(&registry->node_guard.lock);
    stats->node_guard = registry->node_guard.guard;
    pthread_mutex_unlock(&registry->node_guard.lock);
}

void registry_validate(struct registry *registry)
{
    uint32_t tombstones = 0;
    for (int i = 0; i < SHARD_COUNT; i++) {
        pthread_mutex_lock(&registry->shards[i].lock);
        shard_validate(&registry->shards[i].shard);
        assert(SLIST_EMPTY(&registry->shards[i].shard.evicted_responses));
        tombstones += registry->shards[i].shard.tombstones.count;
        pthread_mutex_unlock(&registry->shards[i].lock);
    }
    assert(tombstones == atomic_load(&registry->tombstones));
}
