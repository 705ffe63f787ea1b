/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/registry/registry_watch.h"

#include "artemis-server/registry/registry_internal.h"

void registry_on_revision(struct registry *registry, change_log_wakeup *wake, void *context)
{
    registry->log.wake = wake;
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

enum error registry_changes(struct registry *registry, uint64_t revision, struct change *out,
                            size_t max, size_t *count)
{
    return change_log_read(&registry->log, revision, out, max, count);
}

uint64_t registry_service_revision(struct registry *registry, struct slice id)
{
    struct service_location place = registry_locate(registry, id);
    pthread_mutex_lock(&place.home->lock);
    uint32_t number = shard_find_service(&place.home->shard, place.hash, id);
    uint64_t revision = number ? shard_service(&place.home->shard, number)->revision : 0;
    pthread_mutex_unlock(&place.home->lock);
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

enum error registry_members(struct registry *registry, struct slice id,
                            struct registry_members *out)
{
    struct service_location place = registry_locate(registry, id);
    const struct shard *shard = &place.home->shard;
    enum error error = ERR_NONE;
    *out = (struct registry_members){0};
    pthread_mutex_lock(&place.home->lock);
    uint32_t number = shard_find_service(shard, place.hash, id);
    if (number) {
        out->revision = shard_service(shard, number)->revision;
        error = shard_copy_members(shard, shard_service(shard, number), true, &out->instances,
                                   &out->count);
    }
    pthread_mutex_unlock(&place.home->lock);
    return error;
}

void registry_members_free(struct registry_members *members)
{
    shard_free_members(members->instances, members->count);
    *members = (struct registry_members){0};
}
