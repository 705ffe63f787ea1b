/* SPDX-License-Identifier: Apache-2.0
 *
 * Copies of instances, and common texts that instances share.
 */
#include <stdlib.h>

#include "artemis-core/model/instance_internal.h"

/* Copies the header, and the first bytes, to an instance with one reference. */
static void copy_held(struct instance *copy, const struct instance *instance, size_t bytes)
{
    const size_t from = offsetof(struct instance, port);
    atomic_init(&copy->refs, 1);
    memcpy((char *)copy + from, (const char *)instance + from,
           offsetof(struct instance, bytes) - from + bytes);
}

struct instance *instance_with_client_revision(const struct instance *instance,
                                               uint64_t client_revision)
{
    size_t kept = held_size(instance);
    struct instance *copy = malloc(sizeof(*copy) + kept + sizeof(client_revision));
    if (!copy)
        return NULL;
    copy_held(copy, instance, kept);
    if (copy->is_sharing)
        instance_ref(common_holder(copy));
    copy->size = (uint16_t)(common_end(instance) + sizeof(client_revision));
    set_client_revision(copy, client_revision);
    return copy;
}

struct instance *instance_keep(struct instance *instance)
{
    if (atomic_load_explicit(&instance->refs, memory_order_relaxed))
        return instance_ref(instance);
    struct instance *copy = malloc(instance_size(instance));
    if (copy)
        copy_held(copy, instance, instance->size);
    return copy;
}

struct slice instance_common_texts(const struct instance *instance)
{
    return (struct slice){common_texts(instance), common_size(instance)};
}

bool instance_is_sharing(const struct instance *instance)
{
    return instance->is_sharing;
}

struct instance *instance_share(const struct instance *instance, struct instance *holder)
{
    assert(!instance->is_sharing && !holder->is_sharing);
    size_t kept = common_start(instance);
    struct instance *copy =
        malloc(sizeof(*copy) + kept + sizeof(holder) + client_revision_size(instance));
    if (!copy)
        return NULL;
    copy_held(copy, instance, kept);
    copy->is_sharing = true;
    instance_ref(holder);
    memcpy(copy->bytes + kept, &holder, sizeof(holder));
    if (copy->has_client_revision)
        set_client_revision(copy, instance_client_revision(instance));
    return copy;
}

size_t instance_kept_size(const struct instance *instance)
{
    if (!instance->is_sharing)
        return instance_size(instance);
    return sizeof(*instance) + held_size(instance) + client_revision_size(instance) +
           instance_size(common_holder(instance));
}
