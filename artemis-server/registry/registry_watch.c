/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/registry/registry_watch.h"

#include "artemis-server/registry/registry_internal.h"

void registry_on_version(struct registry *registry, change_log_waker *wake, void *context)
{
    registry->log.wake = wake;
    registry->log.wake_context = context;
}

bool registry_await(struct registry *registry, uint64_t version)
{
    return change_log_await(&registry->log, version);
}

void registry_dismiss(struct registry *registry)
{
    change_log_dismiss(&registry->log);
}

enum error registry_changes(struct registry *registry, uint64_t version, struct change *out,
                            size_t max, size_t *count)
{
    return change_log_read(&registry->log, version, out, max, count);
}

uint64_t registry_service_version(struct registry *registry, struct slice id)
{
    struct service_place place = registry_place(registry, id);
    pthread_mutex_lock(&place.home->lock);
    uint32_t number = shard_find_service(&place.home->shard, place.hash, id);
    uint64_t version = number ? shard_service(&place.home->shard, number)->version : 0;
    pthread_mutex_unlock(&place.home->lock);
    return version;
}

enum error registry_members(struct registry *registry, struct slice id,
                            struct registry_members *out)
{
    struct service_place place = registry_place(registry, id);
    const struct shard *shard = &place.home->shard;
    enum error error = ERR_NONE;
    *out = (struct registry_members){0};
    pthread_mutex_lock(&place.home->lock);
    uint32_t number = shard_find_service(shard, place.hash, id);
    if (number) {
        out->version = shard_service(shard, number)->version;
        error =
            shard_snapshot(shard, shard_service(shard, number), true, &out->instances, &out->count);
    }
    pthread_mutex_unlock(&place.home->lock);
    return error;
}

void registry_members_free(struct registry_members *members)
{
    shard_snapshot_free(members->instances, members->count);
    *members = (struct registry_members){0};
}
