/* SPDX-License-Identifier: Apache-2.0
 *
 * How leases end. Each call of registry_expire has three steps, so that a guard judges all that is
 * silent at once, before the first of them is evicted:
 *   1. the wheels hand out what has come up; what was renewed meanwhile goes back, the rest is due,
 *      and the guards of the services it belongs to judge;
 *   2. the node's guard judges the sum, unless all the trouble is of services that are guarded
 *      already;
 *   3. each due record is evicted, or held and looked at again a second later.
 * Locks are held for short stretches only, however much is due.
 */
#include "artemis-server/registry/registry.h"

#include <string.h>

#include "artemis-server/registry/registry_internal.h"

enum {
    WHEEL_STEPS_A_STRETCH = 512,
    DECISIONS_A_STRETCH = 128,
    GUARDS_A_STRETCH = 64,
    HELD_RECHECK_MS = 1000,
};

struct lease_count {
    uint32_t leases;
    uint32_t silent;         /* of them, ended: due or held */
    uint32_t guarded_leases; /* of services whose own guard is on */
    uint32_t guarded_silent;
    bool waiting; /* some are due for a decision, or for another look */
};

static void judge_service(struct registry *registry, struct shard *shard, struct service *service,
                          struct moment now)
{
    enum guard_state before = service->guard.state;
    service->stopped = guard_judge(&service->guard, &registry->guard_settings, now.mono_ms,
                                   service->member_count, service->due + service->held);
    shard_guard_changed(shard, before, service->guard.state);
}

/* The guards of all services that have something due. */
static void judge_services(struct registry *registry, struct shard *shard, struct moment now)
{
    while (shard->to_judge) {
        struct service *service = shard_service(shard, shard->to_judge);
        shard->to_judge = service->judge_next;
        service->to_be_judged = false;
        judge_service(registry, shard, service, now);
    }
}

static void count_guarded(const struct shard *shard, struct lease_count *count)
{
    for (uint32_t number = 1; number < shard->services.next_unused; number++) {
        const struct service *service = shard_service(shard, number);
        if (!service->id || service->guard.state != GUARD_ON)
            continue;
        count->guarded_leases += service->member_count;
        count->guarded_silent += service->due + service->held;
    }
}

/* A lease has come up in the wheel. */
static void came_up(struct registry *registry, struct shard *shard, uint32_t number,
                    struct moment now)
{
    struct record *record = shard_record(shard, number);
    if (record->lease.deadline_ms > now.mono_ms) { /* renewed since it was armed */
        lease_wheel_arm(&shard->wheel, number, record->lease.deadline_ms);
        return;
    }
    bool asked = record->asking || record->settled || record->held;
    if (!asked && registry_gathers(registry)) {
        shard_ask(shard, number);
        return;
    }
    record->asking = false;
    record->settled = true;
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
        budget = WHEEL_STEPS_A_STRETCH;
        pthread_mutex_lock(&home->lock);
        while ((number = lease_wheel_next(&shard->wheel, now.mono_ms, &budget))) {
            came_up(registry, shard, number, now);
        }
        if (budget > 0)
            shard_arm_asked(shard, now.mono_ms + QUESTION_PATIENCE_MS, &budget);
        if (budget > 0) {
            judge_services(registry, shard, now);
            count->leases += shard_instances(shard);
            count->silent += shard->due + shard->held;
            count->waiting |= shard->wheel.lists[WHEEL_DUE] != 0;
            if (shard->guarded)
                count_guarded(shard, count);
        }
        pthread_mutex_unlock(&home->lock);
    } while (budget == 0);
}

/* What the node's guard says: whether evictions stop on the whole node, and until when at most. */
struct verdict {
    bool stopped;
    uint64_t until_ms;
};

static bool is_low(uint32_t leases, uint32_t silent, uint32_t percent)
{
    return (uint64_t)(leases - silent) * 100 < (uint64_t)leases * percent;
}

/* Where the services without a guard of their own are well, the trouble is those services' alone:
 * one that died must not keep the dead of all others. */
static struct lease_count nodes_own_trouble(const struct registry *registry,
                                            const struct lease_count *all)
{
    uint32_t percent = registry->guard_settings.percent;
    struct lease_count others = {
        .leases = all->leases - all->guarded_leases,
        .silent = all->silent - all->guarded_silent,
    };
    bool is_theirs = others.leases > 0 && is_low(all->leases, all->silent, percent) &&
                     !is_low(others.leases, others.silent, percent);
    return is_theirs ? others : *all;
}

/* Step 2. */
static struct verdict judge_node(struct registry *registry, struct moment now,
                                 const struct lease_count *all)
{
    struct lease_count count = nodes_own_trouble(registry, all);
    pthread_mutex_lock(&registry->node_guard.lock);
    struct guard *guard = &registry->node_guard.guard;
    struct verdict verdict = {0};
    if (all->silent || guard->state != GUARD_OFF)
        verdict.stopped =
            guard_judge(guard, &registry->guard_settings, now.mono_ms, count.leases, count.silent);
    verdict.until_ms = guard->until_ms;
    pthread_mutex_unlock(&registry->node_guard.lock);
    return verdict;
}

static void evict(struct registry *registry, struct shard *shard, uint32_t number,
                  struct moment now)
{
    struct record *record = shard_record(shard, number);
    struct service *service = shard_service(shard, record->service);
    uint32_t hash = registry_record_hash(registry, instance_packed_key(record->instance));
    guard_count_evictions(&service->guard, &registry->guard_settings, now.mono_ms, 1);
    registry_log_change(registry, shard, record->service, record->instance, CHANGE_DELETE, now);
    registry_forget_version(registry, record);
    shard_remove(shard, number, hash, now.mono_ms);
    shard->counters.expired++;
}

/* Decides about one due record. True when it was evicted, and the node's guard counts it. */
static bool decide(struct registry *registry, struct shard *shard, uint32_t number,
                   struct moment now, const struct verdict *node)
{
    struct service *service = shard_service(shard, shard_record(shard, number)->service);
    bool service_stopped = service->stopped;
    /* What an operator or the time box released goes, whatever the node's guard says. */
    bool released = service->guard.state == GUARD_RELEASED;
    if (released || (!node->stopped && !service_stopped)) {
        evict(registry, shard, number, now);
        return !released;
    }
    uint64_t again_ms = now.mono_ms + HELD_RECHECK_MS;
    if (node->stopped && node->until_ms < again_ms)
        again_ms = node->until_ms; /* no longer than a guard may last */
    if (service_stopped && service->guard.until_ms < again_ms)
        again_ms = service->guard.until_ms;
    shard_hold(shard, number, again_ms);
    return false;
}

/* Step 3 for one shard. Returns how many evictions the node's guard counts. */
static uint32_t decide_due(struct registry *registry, struct locked_shard *home, struct moment now,
                           const struct verdict *node)
{
    uint32_t evicted = 0;
    int decided;
    do {
        uint32_t number;
        pthread_mutex_lock(&home->lock);
        for (decided = 0; decided < DECISIONS_A_STRETCH; decided++) {
            number = lease_wheel_take_due(&home->shard.wheel);
            if (!number)
                break;
            evicted += decide(registry, &home->shard, number, now, node);
        }
        registry_unlock(registry, home);
    } while (decided == DECISIONS_A_STRETCH);
    return evicted;
}

void registry_expire(struct registry *registry, struct moment now)
{
    struct lease_count count = {0};
    for (int i = 0; i < SHARD_COUNT; i++)
        collect_due(registry, &registry->shards[i], now, &count);
    struct verdict node = judge_node(registry, now, &count);
    if (!count.waiting)
        return;

    uint32_t evicted = 0;
    for (int i = 0; i < SHARD_COUNT; i++)
        evicted += decide_due(registry, &registry->shards[i], now, &node);
    if (evicted == 0)
        return;
    pthread_mutex_lock(&registry->node_guard.lock);
    guard_count_evictions(&registry->node_guard.guard, &registry->guard_settings, now.mono_ms,
                          evicted);
    pthread_mutex_unlock(&registry->node_guard.lock);
}

/* --- housekeeping and guards ------------------------------------------------------------------ */

static void age_all_services(struct registry *registry, uint64_t now_ms)
{
    struct cached_response *dropped = NULL;
    pthread_mutex_lock(&registry->all_services.lock);
    for (int i = 0; i < DIALECT_COUNT; i++) {
        struct cached_response *answer = registry->all_services.answers[i];
        if (!answer ||
            (atomic_load(&answer->used_ms) + registry->options.cache_expiry_ms > now_ms &&
             answer->version == registry_version(registry)))
            continue; /* one that is outdated can never be handed out again */
        cached_response_evict(answer, &dropped);
        registry->all_services.answers[i] = NULL;
    }
    pthread_mutex_unlock(&registry->all_services.lock);
    cached_response_free_evicted(dropped);
}

static void housekeep_shard(struct registry *registry, struct locked_shard *home, uint64_t now_ms)
{
    unsigned budget;
    pthread_mutex_lock(&home->lock);
    shard_age_tombstones(&home->shard, now_ms);
    pthread_mutex_unlock(&home->lock);
    do {
        budget = WHEEL_STEPS_A_STRETCH;
        pthread_mutex_lock(&home->lock);
        shard_housekeep(&home->shard, now_ms, &budget);
        registry_unlock(registry, home);
    } while (budget == 0);
}

void registry_housekeep(struct registry *registry, struct moment now)
{
    for (int i = 0; i < SHARD_COUNT; i++)
        housekeep_shard(registry, &registry->shards[i], now.mono_ms);
    age_all_services(registry, now.mono_ms);
}

static void release_service(struct registry *registry, struct shard *shard, struct service *service,
                            struct moment now)
{
    if (service->guard.state != GUARD_ON && service->held == 0)
        return; /* a release in advance would leave it without a guard */
    enum guard_state before = service->guard.state;
    guard_release(&service->guard, &registry->guard_settings, now.mono_ms);
    shard_guard_changed(shard, before, service->guard.state);
    shard_recheck_held(shard, service, now.mono_ms);
}

static void release_everything(struct registry *registry, struct moment now)
{
    struct guard *node = &registry->node_guard.guard;
    pthread_mutex_lock(&registry->node_guard.lock);
    if (node->state == GUARD_ON)
        guard_release(node, &registry->guard_settings, now.mono_ms);
    pthread_mutex_unlock(&registry->node_guard.lock);
    for (int i = 0; i < SHARD_COUNT; i++) {
        struct shard *shard = &registry->shards[i].shard;
        pthread_mutex_lock(&registry->shards[i].lock);
        bool any = shard->guarded || shard->held;
        for (uint32_t number = 1; any && number < shard->services.next_unused; number++)
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
    struct service_place place = registry_place(registry, id);
    pthread_mutex_lock(&place.home->lock);
    uint32_t number = shard_find_service(&place.home->shard, place.hash, id);
    if (number)
        release_service(registry, &place.home->shard, shard_service(&place.home->shard, number),
                        now);
    pthread_mutex_unlock(&place.home->lock);
    return number ? ERR_NONE : ERR_SERVICE_NOT_FOUND;
}

/* What is told about a guard when no lock is held any more. */
struct guard_view {
    char id[ID_BYTES_MAX];
    size_t id_size;
    struct guard guard;
    uint32_t held;
};

static bool is_in_view(const struct service *service, uint64_t now_ms)
{
    const struct guard *guard = &service->guard;
    return service->id && (guard->state == GUARD_ON ||
                           (guard->state == GUARD_RELEASED && guard->until_ms > now_ms));
}

/* Takes the guards of the next services from *number on; false when there are no more. */
static bool view_guards(struct locked_shard *home, uint64_t now_ms, uint32_t *number,
                        struct guard_view views[GUARDS_A_STRETCH], unsigned *count)
{
    const struct shard *shard = &home->shard;
    *count = 0;
    pthread_mutex_lock(&home->lock);
    uint32_t end = shard->guarded || shard->released ? shard->services.next_unused : 0;
    for (int i = 0; i < GUARDS_A_STRETCH && *number < end; i++, ++*number) {
        const struct service *service = shard_service(shard, *number);
        if (!is_in_view(service, now_ms))
            continue;
        struct guard_view *view = &views[(*count)++];
        memcpy(view->id, service->id, service->id_size);
        view->id_size = service->id_size;
        view->guard = service->guard;
        view->held = service->held;
    }
    pthread_mutex_unlock(&home->lock);
    return *number < end;
}

void registry_each_guard(struct registry *registry, struct moment now, registry_visit_guard *visit,
                         void *context)
{
    struct guard_view views[GUARDS_A_STRETCH];
    for (int i = 0; i < SHARD_COUNT; i++) {
        uint32_t number = 1;
        unsigned count;
        bool more;
        do {
            more = view_guards(&registry->shards[i], now.mono_ms, &number, views, &count);
            for (unsigned j = 0; j < count; j++)
                visit(context, (struct slice){views[j].id, views[j].id_size}, &views[j].guard,
                      views[j].held);
        } while (more);
    }
}
