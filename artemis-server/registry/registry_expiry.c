/* SPDX-License-Identifier: Apache-2.0
 *
 * How leases end. Each call of registry_expire has three steps, so that a guard judges all that is
 * expired at once, before the first of them is evicted:
 *   1. the wheels hand out what has come up; what was renewed meanwhile goes back, the rest is due,
 *      and the guards of the services it belongs to judge;
 *   2. the node's guard judges the sum, unless all the trouble is of services that are guarded
 *      already;
 *   3. each due record is evicted, or guarded and looked at again a second later.
 * Locks are guarded for short stretches only, however much is due.
 */
#include "artemis-server/registry/registry.h"

#include <string.h>

#include "artemis-server/registry/registry_internal.h"

enum {
    WHEEL_STEPS_PER_LOCK = 512,
    DECISIONS_PER_LOCK = 128,
    GUARDS_PER_LOCK = 64,
    GUARDED_RECHECK_MS = 1000,
};

struct lease_count {
    uint32_t leases;
    uint32_t expired;        /* of them, ended: due or guarded */
    uint32_t engaged_leases; /* of services whose own guard is on */
    uint32_t engaged_expired;
    bool waiting; /* some are due for a decision, or for another cleanup */
};

static void evaluate_service(struct registry *registry, struct shard *shard,
                             struct service *service, struct moment now)
{
    enum guard_state before = service->guard.state;
    service->evictions_suspended =
        guard_evaluate(&service->guard, &registry->guard_settings, now.mono_ms,
                       service->member_count, service->due + service->guarded);
    shard_guard_changed(shard, before, service->guard.state);
}

/* The guards of all services that have something due. */
static void evaluate_services(struct registry *registry, struct shard *shard, struct moment now)
{
    while (shard->guard_queue) {
        struct service *service = shard_service(shard, shard->guard_queue);
        shard->guard_queue = service->guard_queue_next;
        service->in_guard_queue = false;
        evaluate_service(registry, shard, service, now);
    }
}

static void count_guarded(const struct shard *shard, struct lease_count *count)
{
    for (uint32_t number = 1; number < shard->services.end; number++) {
        const struct service *service = shard_service(shard, number);
        if (!service->id || service->guard.state != GUARD_ENGAGED)
            continue;
        count->engaged_leases += service->member_count;
        count->engaged_expired += service->due + service->guarded;
    }
}

/* A lease has come up in the wheel. */
static void handle_due(struct registry *registry, struct shard *shard, uint32_t number,
                       struct moment now)
{
    struct record *record = shard_record(shard, number);
    if (record->lease.deadline_ms > now.mono_ms) { /* renewed since it was armed */
        lease_wheel_arm(&shard->wheel, number, record->lease.deadline_ms);
        return;
    }
    bool asked = record->confirming || record->expiry_confirmed || record->guarded;
    if (!asked && registry_is_replicating(registry)) {
        shard_start_lease_check(shard, number);
        return;
    }
    record->confirming = false;
    record->expiry_confirmed = true;
    shard_mark_due(shard, number);
}

/* Step 1 for one shard. */
static void collect_due(struct registry *registry, struct locked_shard *home, struct moment now,
                        struct lease_count *count)
{
    struct shard *shard = &home->shard;
    unsigned budget;
    do {
        uint32_t number;
        budget = WHEEL_STEPS_PER_LOCK;
        pthread_mutex_lock(&home->lock);
        while ((number = lease_wheel_next(&shard->wheel, now.mono_ms, &budget))) {
            handle_due(registry, shard, number, now);
        }
        if (budget > 0)
            shard_arm_lease_checks(shard, now.mono_ms + LEASE_CHECK_MAX_MS, &budget);
        if (budget > 0) {
            evaluate_services(registry, shard, now);
            count->leases += shard_instances(shard);
            count->expired += shard->due + shard->guarded;
            count->waiting |= shard->wheel.lists[WHEEL_DUE] != 0;
            if (shard->engaged_services)
                count_guarded(shard, count);
        }
        pthread_mutex_unlock(&home->lock);
    } while (budget == 0);
}

/* What the node's guard says: whether evictions stop on the whole node, and until when at most. */
struct node_decision {
    bool evictions_suspended;
    uint64_t until_ms;
};

static bool is_low(uint32_t leases, uint32_t expired, uint32_t percent)
{
    return (uint64_t)(leases - expired) * 100 < (uint64_t)leases * percent;
}

/* Where the services without a guard of their own are well, the trouble is those services' alone:
 * one that died must not keep the dead of all others. */
static struct lease_count nodes_own_trouble(const struct registry *registry,
                                            const struct lease_count *all)
{
    uint32_t percent = registry->guard_settings.percent;
    struct lease_count others = {
        .leases = all->leases - all->engaged_leases,
        .expired = all->expired - all->engaged_expired,
    };
    bool is_theirs = others.leases > 0 && is_low(all->leases, all->expired, percent) &&
                     !is_low(others.leases, others.expired, percent);
    return is_theirs ? others : *all;
}

/* Step 2. */
static struct node_decision evaluate_node(struct registry *registry, struct moment now,
                                          const struct lease_count *all)
{
    struct lease_count count = nodes_own_trouble(registry, all);
    pthread_mutex_lock(&registry->node_guard.lock);
    struct guard *guard = &registry->node_guard.guard;
    struct node_decision node_decision = {0};
    if (all->expired || guard->state != GUARD_OFF)
        node_decision.evictions_suspended = guard_evaluate(
            guard, &registry->guard_settings, now.mono_ms, count.leases, count.expired);
    node_decision.until_ms = guard->until_ms;
    pthread_mutex_unlock(&registry->node_guard.lock);
    return node_decision;
}

static void evict(struct registry *registry, struct shard *shard, uint32_t number,
                  struct moment now)
{
    struct record *record = shard_record(shard, number);
    struct service *service = shard_service(shard, record->service);
    uint32_t hash = registry_record_hash(registry, instance_packed_key(record->instance));
    guard_count_evictions(&service->guard, &registry->guard_settings, now.mono_ms, 1);
    registry_log_change(registry, shard, record->service, record->instance, CHANGE_DELETE, now);
    registry_clear_stamp(registry, record);
    shard_remove(shard, number, hash, now.mono_ms);
    shard->counters.expired++;
}

/* Decides about one due record. True when it was evicted, and the node's guard counts it. */
static bool resolve(struct registry *registry, struct shard *shard, uint32_t number,
                    struct moment now, const struct node_decision *node)
{
    struct service *service = shard_service(shard, shard_record(shard, number)->service);
    bool service_suspended = service->evictions_suspended;
    /* What an operator or the time box released goes, whatever the node's guard says. */
    bool released = service->guard.state == GUARD_RELEASED;
    if (released || (!node->evictions_suspended && !service_suspended)) {
        evict(registry, shard, number, now);
        return !released;
    }
    uint64_t again_ms = now.mono_ms + GUARDED_RECHECK_MS;
    if (node->evictions_suspended && node->until_ms < again_ms)
        again_ms = node->until_ms; /* no longer than a guard may last */
    if (service_suspended && service->guard.until_ms < again_ms)
        again_ms = service->guard.until_ms;
    shard_guard_lease(shard, number, again_ms);
    return false;
}

/* Step 3 for one shard. Returns how many evictions the node's guard counts. */
static uint32_t resolve_due(struct registry *registry, struct locked_shard *home, struct moment now,
                            const struct node_decision *node)
{
    uint32_t evicted = 0;
    int resolved;
    do {
        uint32_t number;
        pthread_mutex_lock(&home->lock);
        for (resolved = 0; resolved < DECISIONS_PER_LOCK; resolved++) {
            number = lease_wheel_pop_due(&home->shard.wheel);
            if (!number)
                break;
            evicted += resolve(registry, &home->shard, number, now, node);
        }
        registry_unlock(registry, home);
    } while (resolved == DECISIONS_PER_LOCK);
    return evicted;
}

void registry_expire(struct registry *registry, struct moment now)
{
    struct lease_count count = {0};
    for (int i = 0; i < SHARD_COUNT; i++)
        collect_due(registry, &registry->shards[i], now, &count);
    struct node_decision node = evaluate_node(registry, now, &count);
    if (!count.waiting)
        return;

    uint32_t evicted = 0;
    for (int i = 0; i < SHARD_COUNT; i++)
        evicted += resolve_due(registry, &registry->shards[i], now, &node);
    if (evicted == 0)
        return;
    pthread_mutex_lock(&registry->node_guard.lock);
    guard_count_evictions(&registry->node_guard.guard, &registry->guard_settings, now.mono_ms,
                          evicted);
    pthread_mutex_unlock(&registry->node_guard.lock);
}

/* --- housekeeping and guards ------------------------------------------------------------------ */

static void expire_all_services(struct registry *registry, uint64_t now_ms)
{
    struct cached_response *evicted_responses = NULL;
    pthread_mutex_lock(&registry->all_services.lock);
    for (int i = 0; i < DIALECT_COUNT; i++) {
        struct cached_response *response = registry->all_services.responses[i];
        if (!response ||
            (atomic_load(&response->used_ms) + registry->options.cache_expiry_ms > now_ms &&
             response->revision == registry_revision(registry)))
            continue; /* one that is outdated can never be handed out again */
        cached_response_evict(response, &evicted_responses);
        registry->all_services.responses[i] = NULL;
    }
    pthread_mutex_unlock(&registry->all_services.lock);
    cached_response_free_evicted(evicted_responses);
}

static void clean_shard(struct registry *registry, struct locked_shard *home, uint64_t now_ms)
{
    unsigned budget;
    pthread_mutex_lock(&home->lock);
    shard_expire_tombstones(&home->shard, now_ms);
    pthread_mutex_unlock(&home->lock);
    do {
        budget = WHEEL_STEPS_PER_LOCK;
        pthread_mutex_lock(&home->lock);
        shard_cleanup(&home->shard, now_ms, &budget);
        registry_unlock(registry, home);
    } while (budget == 0);
}

void registry_cleanup(struct registry *registry, struct moment now)
{
    for (int i = 0; i < SHARD_COUNT; i++)
        clean_shard(registry, &registry->shards[i], now.mono_ms);
    expire_all_services(registry, now.mono_ms);
}

static void release_service(struct registry *registry, struct shard *shard, struct service *service,
                            struct moment now)
{
    if (service->guard.state != GUARD_ENGAGED && service->guarded == 0)
        return; /* a release in advance would leave it without a guard */
    enum guard_state before = service->guard.state;
    guard_release(&service->guard, &registry->guard_settings, now.mono_ms);
    shard_guard_changed(shard, before, service->guard.state);
    shard_recheck_guarded(shard, service, now.mono_ms);
}

static void release_everything(struct registry *registry, struct moment now)
{
    struct guard *node = &registry->node_guard.guard;
    pthread_mutex_lock(&registry->node_guard.lock);
    if (node->state == GUARD_ENGAGED)
        guard_release(node, &registry->guard_settings, now.mono_ms);
    pthread_mutex_unlock(&registry->node_guard.lock);
    for (int i = 0; i < SHARD_COUNT; i++) {
        struct shard *shard = &registry->shards[i].shard;
        pthread_mutex_lock(&registry->shards[i].lock);
        bool any = shard->engaged_services || shard->guarded;
        for (uint32_t number = 1; any && number < shard->services.end; number++)
            if (shard_service(shard, number)->id)
                release_service(registry, shard, shard_service(shard, number), now);
        pthread_mutex_unlock(&registry->shards[i].lock);
    }
}

enum error registry_release_guard(struct registry *registry, struct slice id, struct moment now)
{
    if (id.size == 0) {
        release_everything(registry, now);
        return ERR_NONE;
    }
    struct service_location place = registry_locate(registry, id);
    pthread_mutex_lock(&place.home->lock);
    uint32_t number = shard_find_service(&place.home->shard, place.hash, id);
    if (number)
        release_service(registry, &place.home->shard, shard_service(&place.home->shard, number),
                        now);
    pthread_mutex_unlock(&place.home->lock);
    return number ? ERR_NONE : ERR_SERVICE_NOT_FOUND;
}

/* What is told about a guard when no lock is guarded any more. */
struct guard_view {
    char id[ID_BYTES_MAX];
    size_t id_size;
    struct guard guard;
    uint32_t guarded;
};

static bool is_visible(const struct service *service, uint64_t now_ms)
{
    const struct guard *guard = &service->guard;
    return service->id && (guard->state == GUARD_ENGAGED ||
                           (guard->state == GUARD_RELEASED && guard->until_ms > now_ms));
}

/* Takes the guards of the next services from *number on; false when there are no more. */
static bool copy_guards(struct locked_shard *home, uint64_t now_ms, uint32_t *number,
                        struct guard_view views[GUARDS_PER_LOCK], unsigned *count)
{
    const struct shard *shard = &home->shard;
    *count = 0;
    pthread_mutex_lock(&home->lock);
    uint32_t end = shard->engaged_services || shard->released_services ? shard->services.end : 0;
    for (int i = 0; i < GUARDS_PER_LOCK && *number < end; i++, ++*number) {
        const struct service *service = shard_service(shard, *number);
        if (!is_visible(service, now_ms))
            continue;
        struct guard_view *view = &views[(*count)++];
        memcpy(view->id, service->id, service->id_size);
        view->id_size = service->id_size;
        view->guard = service->guard;
        view->guarded = service->guarded;
    }
    pthread_mutex_unlock(&home->lock);
    return *number < end;
}

void registry_each_guard(struct registry *registry, struct moment now, registry_visit_guard *visit,
                         void *context)
{
    struct guard_view views[GUARDS_PER_LOCK];
    for (int i = 0; i < SHARD_COUNT; i++) {
        uint32_t number = 1;
        unsigned count;
        bool more;
        do {
            more = copy_guards(&registry->shards[i], now.mono_ms, &number, views, &count);
            for (unsigned j = 0; j < count; j++)
                visit(context, (struct slice){views[j].id, views[j].id_size}, &views[j].guard,
                      views[j].guarded);
        } while (more);
    }
}
