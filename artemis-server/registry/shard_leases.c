/* SPDX-License-Identifier: Apache-2.0
 *
 * The states of leases, and the counts that the guards use. set_state is the only place where a
 * state changes.
 */
#include "artemis-server/registry/shard.h"

static void engaged_add(struct engaged_count *engaged, const struct service *service)
{
    engaged->services++;
    engaged->leases += service->member_count;
    engaged->ended += service->expired + service->guarded;
}

static void engaged_subtract(struct engaged_count *engaged, const struct service *service)
{
    engaged->services--;
    engaged->leases -= service->member_count;
    engaged->ended -= service->expired + service->guarded;
}

void shard_guard_changed(struct shard *shard, const struct service *service,
                         enum guard_state before)
{
    if (before == GUARD_ENGAGED)
        engaged_subtract(&shard->engaged, service);
    if (service->guard.state == GUARD_ENGAGED)
        engaged_add(&shard->engaged, service);
    shard->released_services += service->guard.state == GUARD_RELEASED;
    shard->released_services -= before == GUARD_RELEASED;
}

/* Counts a record into its state, or out of it. */
static void count_state(struct shard *shard, struct service *service, enum lease_state state,
                        uint32_t step)
{
    if (state == LEASE_EXPIRED) {
        service->expired += step;
        shard->expired += step;
    } else if (lease_state_is_guarded(state)) {
        service->guarded += step;
        shard->guarded += step;
    } else if (state == LEASE_LOADED) {
        shard->loaded += step;
    }
    if (lease_state_is_ended(state) && service->guard.state == GUARD_ENGAGED)
        shard->engaged.ended += step;
}

static void set_state(struct shard *shard, uint32_t number, enum lease_state to)
{
    struct record *record = shard_record(shard, number);
    struct service *service = shard_service(shard, record->service);
    enum lease_state from = record->lease_state;
    assert(lease_state_is_legal(from, to));
    count_state(shard, service, from, UINT32_MAX);
    count_state(shard, service, to, 1);
    record->lease_state = to & 7;
}

/* A guard without guarded leases disengages. */
static void disengage_if_unused(struct shard *shard, struct service *service, uint64_t now_ms)
{
    if (service->guarded || service->guard.state != GUARD_ENGAGED)
        return;
    guard_clear(&service->guard, now_ms);
    shard_guard_changed(shard, service, GUARD_ENGAGED);
}

void shard_start_lease(struct shard *shard, uint32_t number, uint64_t deadline_ms)
{
    struct record *record = shard_record(shard, number);
    set_state(shard, number, LEASE_ACTIVE);
    if (shard_service(shard, record->service)->guard.state == GUARD_ENGAGED)
        shard->engaged.leases++;
    record->lease.deadline_ms = deadline_ms;
    timing_wheel_arm(&shard->wheel, number, deadline_ms);
}

/* Leaves the present state; a guard may disengage for it. */
static void leave_state(struct shard *shard, uint32_t number, enum lease_state to, uint64_t now_ms)
{
    const struct record *record = shard_record(shard, number);
    bool was_guarded = lease_state_is_guarded(record->lease_state);
    set_state(shard, number, to);
    if (was_guarded)
        disengage_if_unused(shard, shard_service(shard, record->service), now_ms);
}

void shard_end_lease(struct shard *shard, uint32_t number, uint64_t now_ms)
{
    const struct record *record = shard_record(shard, number);
    timing_wheel_disarm(&shard->wheel, number);
    leave_state(shard, number, LEASE_NONE, now_ms);
    if (shard_service(shard, record->service)->guard.state == GUARD_ENGAGED)
        shard->engaged.leases--;
}

void shard_renew(struct shard *shard, uint32_t number, uint64_t now_ms, uint64_t deadline_ms)
{
    struct record *record = shard_record(shard, number);
    /* Threads may come with moments that are a little out of order: a lease never gets shorter. */
    if (deadline_ms > record->lease.deadline_ms)
        record->lease.deadline_ms = deadline_ms;
    if (record->lease_state == LEASE_ACTIVE)
        return; /* the wheel finds out when the old slot comes up */
    leave_state(shard, number, LEASE_ACTIVE, now_ms);
    timing_wheel_disarm(&shard->wheel, number);
    timing_wheel_arm(&shard->wheel, number, deadline_ms);
}

void shard_expire(struct shard *shard, uint32_t number)
{
    const struct record *record = shard_record(shard, number);
    struct service *service = shard_service(shard, record->service);
    timing_wheel_add_ended(&shard->wheel, number);
    if (!service->in_guard_queue) {
        service->in_guard_queue = true;
        service->guard_queue_next = shard->guard_queue;
        shard->guard_queue = record->service;
    }
    if (lease_state_is_guarded(record->lease_state))
        return;
    set_state(shard, number, LEASE_EXPIRED);
    shard->counters.ended++;
}

void shard_start_lease_check(struct shard *shard, uint32_t number)
{
    set_state(shard, number, LEASE_CONFIRMING);
    shard_record(shard, number)->rounds = 0;
    shard_defer_lease_check(shard, number);
    shard_mark_dirty(shard, number, DIRTY_LEASE_CHECK);
}

void shard_defer_lease_check(struct shard *shard, uint32_t number)
{
    timing_wheel_disarm(&shard->wheel, number);
    timing_wheel_add_deferred(&shard->wheel, number);
}

bool shard_waits_for_check(const struct shard *shard, uint32_t number)
{
    return shard_record(shard, number)->lease_state == LEASE_CONFIRMING &&
           number_set_has(&shard->dirty[DIRTY_LEASE_CHECK], number);
}

void shard_arm_lease_checks(struct shard *shard, uint64_t until_ms, unsigned *steps)
{
    uint32_t number;
    for (; *steps > 0 && (number = timing_wheel_pop_deferred(&shard->wheel)); --*steps)
        timing_wheel_arm(&shard->wheel, number, until_ms);
}

void shard_confirm_expiry(struct shard *shard, uint32_t number, uint64_t now_ms)
{
    leave_state(shard, number, LEASE_DUE, now_ms);
    timing_wheel_disarm(&shard->wheel, number);
    timing_wheel_arm(&shard->wheel, number, now_ms);
}

void shard_guard_lease(struct shard *shard, uint32_t number, uint64_t again_ms)
{
    timing_wheel_arm(&shard->wheel, number, again_ms);
    if (shard_record(shard, number)->lease_state != LEASE_GUARDED)
        set_state(shard, number, LEASE_GUARDED);
}

void shard_guard_for_peer(struct shard *shard, uint32_t number, uint64_t again_ms)
{
    struct record *record = shard_record(shard, number);
    timing_wheel_disarm(&shard->wheel, number);
    timing_wheel_arm(&shard->wheel, number, again_ms);
    record->rounds = 0;
    if (record->lease_state != LEASE_PEER_GUARDED)
        set_state(shard, number, LEASE_PEER_GUARDED);
}

void shard_start_loaded(struct shard *shard, uint32_t number, uint64_t until_ms)
{
    set_state(shard, number, LEASE_LOADED);
    timing_wheel_disarm(&shard->wheel, number);
    timing_wheel_arm(&shard->wheel, number, until_ms);
}

void shard_adopt_deadline(struct shard *shard, uint32_t number, uint64_t deadline_ms)
{
    assert(shard_record(shard, number)->lease_state == LEASE_LOADED);
    set_state(shard, number, LEASE_ACTIVE);
    shard_record(shard, number)->lease.deadline_ms = deadline_ms;
    timing_wheel_disarm(&shard->wheel, number);
    timing_wheel_arm(&shard->wheel, number, deadline_ms);
}

void shard_recheck_guarded(struct shard *shard, struct service *service, uint64_t now_ms)
{
    for (uint32_t i = 0; i < service->member_count && service->guarded; i++) {
        if (!lease_state_is_guarded(shard_record(shard, service->members[i])->lease_state))
            continue;
        timing_wheel_disarm(&shard->wheel, service->members[i]);
        timing_wheel_arm(&shard->wheel, service->members[i], now_ms);
    }
}
