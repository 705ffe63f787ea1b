/* SPDX-License-Identifier: Apache-2.0
 *
 * How leases end. Each call of registry_expire has three steps, so that a guard counts all ended
 * leases before the first of them is evicted:
 *   1. the wheels hand out the leases that come up. A lease that was renewed is armed again. An
 *      active or loaded lease becomes confirming if a peer is up; all others become expired. Then
 *      the guards of the services are evaluated;
 *   2. the guard of the node is evaluated. It counts all leases; or, if all services without an
 *      engaged guard are healthy together, only those of these services;
 *   3. each expired lease is evicted, or guarded and checked again a second later. One that ended
 *      guard_max_ms ago is guarded no longer.
 * Locks are held for a bounded number of steps.
 */
#include <string.h>

#include "artemis-server/registry/registry_internal.h"

enum {
    WHEEL_STEPS_PER_LOCK = 512,
    EVICTIONS_PER_LOCK = 128,
};

struct lease_count {
    uint32_t leases;
    uint32_t ended;               /* of them, expired or guarded */
    struct engaged_count engaged; /* of services whose own guard is engaged */
    bool has_ended;               /* some wait for step 3 */
};

/* --- pauses ----------------------------------------------------------------------------------- */

/* Records that no tick ran between start_ms and end_ms. Pauses that follow each other within a
 * time-to-live add up. */
static void record_pause(struct registry *registry, uint64_t start_ms, uint64_t end_ms)
{
    uint64_t last_end_ms = atomic_load(&registry->pause.end_ms);
    bool is_first = start_ms >= last_end_ms + lease_ttl_ms(registry);
    uint64_t length_ms = end_ms - start_ms;
    if (is_first)
        atomic_store(&registry->pause.start_ms, start_ms);
    else
        length_ms += atomic_load(&registry->pause.length_ms);
    atomic_store(&registry->pause.length_ms, length_ms);
    atomic_store(&registry->pause.end_ms, end_ms);
}

/* A lease that was active when the pause began is extended by the pause. Not while a peer is up:
 * the lease check finds the later renewals. */
uint64_t registry_lease_end_ms(const struct registry *registry, uint64_t deadline_ms,
                               uint64_t now_ms)
{
    uint64_t last_tick_ms =
        atomic_load_explicit(&registry->pause.last_tick_ms, memory_order_acquire);
    uint64_t start_ms = atomic_load_explicit(&registry->pause.start_ms, memory_order_relaxed);
    uint64_t end_ms = atomic_load_explicit(&registry->pause.end_ms, memory_order_relaxed);
    uint64_t length_ms = atomic_load_explicit(&registry->pause.length_ms, memory_order_relaxed);
    if (registry_is_replicating(registry))
        return deadline_ms;
    if (last_tick_ms && now_ms > last_tick_ms + TICK_PAUSE_MS) { /* the pause is not recorded yet */
        start_ms = last_tick_ms;
        end_ms = now_ms;
        length_ms = now_ms - last_tick_ms;
    }
    if (deadline_ms <= start_ms || deadline_ms >= end_ms + lease_ttl_ms(registry))
        return deadline_ms; /* it ended before the pause, or was renewed after it */
    uint64_t latest_ms = end_ms + lease_ttl_ms(registry);
    return deadline_ms + length_ms < latest_ms ? deadline_ms + length_ms : latest_ms;
}

void registry_tick(struct registry *registry, struct moment now)
{
    uint64_t last_ms = atomic_load(&registry->pause.last_tick_ms);
    if (last_ms && now.mono_ms > last_ms + TICK_PAUSE_MS)
        record_pause(registry, last_ms, now.mono_ms);
    atomic_store(&registry->pause.last_tick_ms, now.mono_ms);
    registry_expire(registry, now);
}

/* --- step 1 ----------------------------------------------------------------------------------- */

static void evaluate_service(struct registry *registry, struct shard *shard,
                             struct service *service, struct moment now)
{
    enum guard_state before = service->guard.state;
    const struct guard_settings settings = registry_guard_settings(registry);
    service->evictions_suspended =
        guard_evaluate(&service->guard, &settings, now.mono_ms, service->member_count,
                       service->expired + service->guarded);
    shard_guard_changed(shard, service, before);
}

/* Evaluates the guards of all services with expired leases. */
static void evaluate_services(struct registry *registry, struct shard *shard, struct moment now)
{
    while (shard->guard_queue) {
        struct service *service = shard_service(shard, shard->guard_queue);
        shard->guard_queue = service->guard_queue_next;
        service->in_guard_queue = false;
        evaluate_service(registry, shard, service, now);
    }
}

/* When the time of a lease runs out. */
static uint64_t end_of_time(const struct registry *registry, const struct record *record,
                            uint64_t now_ms)
{
    uint64_t end_ms = record->lease.deadline_ms;
    if (record->lease_state == LEASE_LOADED)
        end_ms = atomic_load_explicit(&registry->loaded.until_ms, memory_order_relaxed);
    else if (record->lease_state != LEASE_ACTIVE)
        return end_ms;
    return end_ms <= now_ms ? registry_lease_end_ms(registry, end_ms, now_ms) : end_ms;
}

/* The end of the time limit of a lease check that a pause interrupted: the replicator begins it
 * again. 0: none did. */
static uint64_t check_end_after_pause_ms(const struct registry *registry,
                                         const struct record *record, uint64_t now_ms)
{
    uint64_t pause_end_ms = atomic_load_explicit(&registry->pause.end_ms, memory_order_relaxed);
    uint64_t end_ms = pause_end_ms + registry_lease_check_max_ms(registry) + LEASE_CHECK_SLACK_MS;
    bool is_checked = record->lease_state == LEASE_CONFIRMING && pause_end_ms;
    return is_checked && end_ms > now_ms ? end_ms : 0;
}

/* The replicator makes checks, and has not come to this lease yet: it takes a limited number at a
 * time. If it does not run any more, the lease does not wait for it. */
static bool waits_for_check(const struct registry *registry, const struct shard *shard,
                            uint32_t number, uint64_t now_ms)
{
    enum { DRAINS_WITHIN = 2 }; /* time limits of a check */
    uint64_t check_ms = registry_lease_check_max_ms(registry) + LEASE_CHECK_SLACK_MS;
    uint64_t drained_ms = atomic_load_explicit(&registry->checks_drained_ms, memory_order_relaxed);
    return registry_is_replicating(registry) && shard_waits_for_check(shard, number) &&
           now_ms < drained_ms + DRAINS_WITHIN * check_ms;
}

/* A lease has come up in the wheel. */
static void handle_timer(struct registry *registry, struct shard *shard, uint32_t number,
                         struct moment now)
{
    const struct record *record = shard_record(shard, number);
    uint64_t end_ms = end_of_time(registry, record, now.mono_ms);
    bool is_new = record->lease_state == LEASE_ACTIVE || record->lease_state == LEASE_LOADED;
    uint64_t check_end_ms = check_end_after_pause_ms(registry, record, now.mono_ms);
    shard->counters.visited++;
    if (end_ms > now.mono_ms) /* renewed since it was armed, or handed out early */
        timing_wheel_arm(&shard->wheel, number, end_ms);
    else if (is_new && registry_is_replicating(registry))
        shard_start_lease_check(shard, number);
    else if (check_end_ms)
        timing_wheel_arm(&shard->wheel, number, check_end_ms);
    else if (waits_for_check(registry, shard, number, now.mono_ms))
        shard_defer_lease_check(shard, number);
    else
        shard_expire(shard, number);
}

static void add_counts(const struct shard *shard, struct lease_count *count)
{
    count->leases += shard_instances(shard);
    count->ended += shard->expired + shard->guarded;
    count->engaged.services += shard->engaged.services;
    count->engaged.leases += shard->engaged.leases;
    count->engaged.ended += shard->engaged.ended;
    count->has_ended |= shard->wheel.lists[WHEEL_ENDED] != 0;
}

static void collect_ended(struct registry *registry, struct locked_shard *locked, struct moment now,
                          struct lease_count *count)
{
    struct shard *shard = &locked->shard;
    uint64_t check_max_ms = registry_lease_check_max_ms(registry) + LEASE_CHECK_SLACK_MS;
    unsigned steps;
    do {
        uint32_t number;
        steps = WHEEL_STEPS_PER_LOCK;
        pthread_mutex_lock(&locked->lock);
        while ((number = timing_wheel_next(&shard->wheel, now.mono_ms, &steps)))
            handle_timer(registry, shard, number, now);
        if (steps > 0)
            shard_arm_lease_checks(shard, now.mono_ms + check_max_ms, &steps);
        if (steps > 0) {
            evaluate_services(registry, shard, now);
            add_counts(shard, count);
        }
        pthread_mutex_unlock(&locked->lock);
    } while (steps == 0);
}

/* --- step 2 ----------------------------------------------------------------------------------- */

static bool is_low(uint32_t leases, uint32_t ended, uint32_t percent)
{
    return (uint64_t)(leases - ended) * 100 < (uint64_t)leases * percent;
}

/* Leaves out the services whose own guard is engaged, if the rest is healthy: one service that
 * fails must not guard the leases of all others. */
static struct lease_count count_for_node(const struct registry *registry,
                                         const struct lease_count *all)
{
    uint32_t percent = registry_guard_settings(registry).percent;
    struct lease_count others = {
        .leases = all->leases - all->engaged.leases,
        .ended = all->ended - all->engaged.ended,
    };
    bool is_theirs = others.leases > 0 && is_low(all->leases, all->ended, percent) &&
                     !is_low(others.leases, others.ended, percent);
    return is_theirs ? others : *all;
}

/* Whether the node's guard suspends evictions. */
static bool evaluate_node(struct registry *registry, struct moment now,
                          const struct lease_count *all)
{
    struct lease_count count = count_for_node(registry, all);
    const struct guard_settings settings = registry_guard_settings(registry);
    bool is_suspended = false;
    pthread_mutex_lock(&registry->node_guard.lock);
    struct guard *guard = &registry->node_guard.guard;
    if (all->ended || guard->state != GUARD_OFF)
        is_suspended = guard_evaluate(guard, &settings, now.mono_ms, count.leases, count.ended);
    pthread_mutex_unlock(&registry->node_guard.lock);
    return is_suspended;
}

/* --- step 3 ----------------------------------------------------------------------------------- */

void registry_evict(struct registry *registry, struct shard *shard, uint32_t number,
                    struct moment now)
{
    const struct record *record = shard_record(shard, number);
    registry_log_change(registry, shard, record->service, record->instance, CHANGE_DELETE, now);
    registry_clear_stamp(registry, record);
    shard_remove(shard, number, now.mono_ms);
    shard->counters.evicted++;
}

/* Guards a lease, whose later renewal a peer may know; or asks the peers again whether they guard
 * it. */
static void keep(struct registry *registry, struct shard *shard, uint32_t number, bool by_peers,
                 struct moment now)
{
    const struct record *record = shard_record(shard, number);
    uint64_t end_ms = record->lease.deadline_ms + guard_max_ms(registry);
    uint64_t again_ms = now.mono_ms + GUARDED_RECHECK_MS;
    if (by_peers) {
        uint64_t check_ms = registry_lease_check_max_ms(registry) + LEASE_CHECK_SLACK_MS;
        shard_guard_for_peer(shard, number, now.mono_ms + check_ms);
        shard_mark_dirty(shard, number, DIRTY_LEASE_CHECK);
        return;
    }
    if (again_ms > end_ms && end_ms > now.mono_ms)
        again_ms = end_ms;
    shard_guard_lease(shard, number, again_ms);
    if (registry_is_replicating(registry))
        shard_mark_dirty(shard, number, DIRTY_GUARDED);
}

/* Evicts or guards one ended lease. True: evicted, and the node's guard counts it. A lease that was
 * guarded is evicted only after the peers were asked; then it is expired. */
static bool resolve(struct registry *registry, struct shard *shard, uint32_t number,
                    struct moment now, bool node_suspended)
{
    const struct record *record = shard_record(shard, number);
    struct service *service = shard_service(shard, record->service);
    /* A released service evicts, even if the node's guard is engaged. */
    bool is_released = service->guard.state == GUARD_RELEASED;
    bool is_out_of_time = registry_is_out_of_time(registry, record, now.mono_ms);
    bool is_suspended = node_suspended || service->evictions_suspended;
    bool was_guarded = lease_state_is_guarded(record->lease_state);
    if (!is_released && !is_out_of_time && is_suspended) {
        keep(registry, shard, number, false, now);
        return false;
    }
    if (!is_released && was_guarded && registry_is_replicating(registry)) {
        keep(registry, shard, number, true, now);
        return false;
    }
    /* Intended evictions: the guards must not engage again for them. */
    bool counts = !is_released && !is_out_of_time;
    const struct guard_settings settings = registry_guard_settings(registry);
    if (counts)
        guard_count_evictions(&service->guard, &settings, now.mono_ms, 1);
    registry_evict(registry, shard, number, now);
    return counts;
}

/* Returns the number of evictions that the node's guard counts. */
static uint32_t resolve_ended(struct registry *registry, struct locked_shard *locked,
                              struct moment now, bool node_suspended)
{
    uint32_t evicted = 0;
    int resolved;
    do {
        uint32_t number;
        pthread_mutex_lock(&locked->lock);
        for (resolved = 0; resolved < EVICTIONS_PER_LOCK; resolved++) {
            number = timing_wheel_pop_ended(&locked->shard.wheel);
            if (!number)
                break;
            evicted += resolve(registry, &locked->shard, number, now, node_suspended);
        }
        registry_unlock(registry, locked);
    } while (resolved == EVICTIONS_PER_LOCK);
    return evicted;
}

void registry_expire(struct registry *registry, struct moment now)
{
    struct lease_count count = {0};
    for (int i = 0; i < SHARD_COUNT; i++)
        collect_ended(registry, &registry->shards[i], now, &count);
    bool node_suspended = evaluate_node(registry, now, &count);
    if (!count.has_ended)
        return;

    uint32_t evicted = 0;
    for (int i = 0; i < SHARD_COUNT; i++)
        evicted += resolve_ended(registry, &registry->shards[i], now, node_suspended);
    if (evicted == 0)
        return;
    const struct guard_settings settings = registry_guard_settings(registry);
    pthread_mutex_lock(&registry->node_guard.lock);
    guard_count_evictions(&registry->node_guard.guard, &settings, now.mono_ms, evicted);
    pthread_mutex_unlock(&registry->node_guard.lock);
}

/* --- cleanup ---------------------------------------------------------------------------------- */

static void clean_shard(struct registry *registry, struct locked_shard *locked, uint64_t now_ms)
{
    unsigned steps;
    do {
        steps = WHEEL_STEPS_PER_LOCK;
        pthread_mutex_lock(&locked->lock);
        shard_expire_tombstones(&locked->shard, now_ms, &steps);
        if (steps > 0)
            shard_cleanup(&locked->shard, now_ms, &steps);
        if (steps > 0)
            shard_shrink(&locked->shard);
        registry_unlock(registry, locked);
    } while (steps == 0);
}

void registry_cleanup(struct registry *registry, struct moment now)
{
    for (int i = 0; i < SHARD_COUNT; i++)
        clean_shard(registry, &registry->shards[i], now.mono_ms);
    change_log_trim(&registry->log, now);
}
