/* SPDX-License-Identifier: Apache-2.0
 *
 * What operators do with the guards: release and list them.
 */
#include <string.h>

#include "artemis-server/registry/registry_internal.h"

enum { VISITS_PER_LOCK = 64 };

/* What an operator has released, here or at a peer. */
struct release {
    struct moment now;
    struct guard_settings settings;
    uint64_t age_ms;
    uint64_t until_ms; /* monotonic: guards that keep only leases that ended later are spared */
    bool is_concerned; /* a service is */
    bool has_effect;
};

/* The service has guarded leases that ended by then. */
static bool has_guarded_until(const struct shard *shard, const struct service *service,
                              uint64_t until_ms)
{
    for (uint32_t i = 0; i < service->member_count && service->guarded; i++) {
        const struct record *record = shard_record(shard, service->members[i]);
        if (lease_state_is_guarded(record->lease_state) && record->lease.deadline_ms <= until_ms)
            return true;
    }
    return false;
}

/* Releases a guard that had engaged when the release was made, or one of a service with guarded
 * leases that had ended. All others stay as they are, since a release in advance would leave the
 * service without a guard. */
static void release_service(struct shard *shard, struct service *service, struct release *release)
{
    bool had_engaged =
        service->guard.state == GUARD_ENGAGED && service->guard.since_ms <= release->until_ms;
    if (!had_engaged && !has_guarded_until(shard, service, release->until_ms))
        return;
    release->is_concerned = true;
    enum guard_state before = service->guard.state;
    uint64_t now_ms = release->now.mono_ms;
    if (!guard_release(&service->guard, &release->settings, now_ms, release->age_ms))
        return;
    release->has_effect = true;
    shard_guard_changed(shard, service, before);
    shard_recheck_guarded(shard, service, now_ms);
}

/* Releases the next services of a shard from *number on; false if there are no more. */
static bool release_some(struct locked_shard *locked, uint32_t *number, struct release *release)
{
    struct shard *shard = &locked->shard;
    pthread_mutex_lock(&locked->lock);
    uint32_t end = shard->engaged.services || shard->guarded ? slab_end(&shard->services) : 0;
    for (int i = 0; i < VISITS_PER_LOCK && *number < end; i++, ++*number) {
        struct service *service = shard_live_service(shard, *number);
        if (service)
            release_service(shard, service, release);
    }
    pthread_mutex_unlock(&locked->lock);
    return *number < end;
}

static void release_everything(struct registry *registry, struct release *release)
{
    struct guard *node = &registry->node_guard.guard;
    for (int i = 0; i < SHARD_COUNT; i++) {
        uint32_t number = 1;
        while (release_some(&registry->shards[i], &number, release))
            continue;
    }
    pthread_mutex_lock(&registry->node_guard.lock);
    if (node->state == GUARD_ENGAGED &&
        (release->is_concerned || node->since_ms <= release->until_ms))
        release->has_effect |=
            guard_release(node, &release->settings, release->now.mono_ms, release->age_ms);
    pthread_mutex_unlock(&registry->node_guard.lock);
}

static enum error release_guards(struct registry *registry, struct slice id,
                                 struct release *release)
{
    if (id.size == 0) {
        release_everything(registry, release);
        return ERR_NONE;
    }
    struct locked_service found = registry_lock_service(registry, id);
    if (found.service)
        release_service(found.shard, found.service, release);
    pthread_mutex_unlock(&found.locked->lock);
    return found.service ? ERR_NONE : ERR_SERVICE_NOT_FOUND;
}

enum error registry_release_guard(struct registry *registry, struct slice id, struct moment now)
{
    struct release release = {
        .now = now, .settings = registry_guard_settings(registry), .until_ms = UINT64_MAX};
    return release_guards(registry, id, &release);
}

/* The time since the clock of the cluster showed clock_ms. */
static uint64_t age_of(const struct registry *registry, uint64_t clock_ms, struct moment now)
{
    uint64_t own_ms = hlc_ms(&registry->clock, now);
    return clock_ms < own_ms ? own_ms - clock_ms : 0;
}

uint64_t registry_release_clock_ms(const struct registry *registry, uint64_t clock_ms,
                                   struct moment now)
{
    uint64_t own_ms = hlc_ms(&registry->clock, now);
    return clock_ms < own_ms ? clock_ms : own_ms;
}

uint64_t registry_release_until_ms(const struct registry *registry, uint64_t clock_ms,
                                   struct moment now)
{
    uint64_t end_ms = now.mono_ms + registry_ttl_ms(registry);
    uint64_t age_ms = age_of(registry, clock_ms, now);
    return age_ms < end_ms ? end_ms - age_ms : 0;
}

bool registry_apply_release(struct registry *registry, struct slice id, uint64_t clock_ms,
                            struct moment now)
{
    struct release release = {
        .now = now, .settings = registry_guard_settings(registry), .until_ms = UINT64_MAX};
    if (clock_ms)
        release.age_ms = age_of(registry, clock_ms, now);
    /* Other nodes make their lease check, before their guards engage, a little later. */
    uint64_t check_ms = registry_lease_check_max_ms(registry) + LEASE_CHECK_SLACK_MS;
    if (release.age_ms > check_ms)
        release.until_ms = now.mono_ms + check_ms - release.age_ms;
    return release_guards(registry, id, &release) == ERR_NONE && release.has_effect;
}

/* A copy of a guard, for use without a lock. */
struct guard_status {
    char id[ID_BYTES_MAX];
    size_t id_size;
    struct guard guard;
    uint32_t guarded;
};

static bool is_visible(const struct service *service, uint64_t now_ms)
{
    const struct guard *guard = &service->guard;
    return guard->state == GUARD_ENGAGED ||
           (guard->state == GUARD_RELEASED && guard->until_ms > now_ms);
}

/* Copies the guards of the next services from *number on; false if there are no more. */
static bool copy_guards(struct locked_shard *locked, uint64_t now_ms, uint32_t *number,
                        struct guard_status views[VISITS_PER_LOCK], unsigned *count)
{
    const struct shard *shard = &locked->shard;
    *count = 0;
    pthread_mutex_lock(&locked->lock);
    uint32_t end =
        shard->engaged.services || shard->released_services ? slab_end(&shard->services) : 0;
    for (int i = 0; i < VISITS_PER_LOCK && *number < end; i++, ++*number) {
        const struct service *service = shard_live_service(shard, *number);
        if (!service || !is_visible(service, now_ms))
            continue;
        struct guard_status *view = &views[(*count)++];
        memcpy(view->id, service->id, service->id_size);
        view->id_size = service->id_size;
        view->guard = service->guard;
        view->guarded = service->guarded;
    }
    pthread_mutex_unlock(&locked->lock);
    return *number < end;
}

void registry_each_guard(struct registry *registry, struct moment now, registry_visit_guard *visit,
                         void *context)
{
    struct guard_status views[VISITS_PER_LOCK];
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
