/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/cluster/release_list.h"

#include <assert.h>
#include <string.h>

static struct slice id_of(const struct guard_release *release)
{
    return (struct slice){release->service_id, release->id_size};
}

/* Whether a release of this service, or of all, at this time does what the other one does. */
static bool covers(struct slice service_id, uint64_t clock_ms, struct slice other_id,
                   uint64_t other_clock_ms)
{
    bool is_included = service_id.size == 0 || slice_equal(service_id, other_id);
    return is_included && clock_ms >= other_clock_ms;
}

static bool is_covered(const struct release_list *list, struct slice service_id, uint64_t clock_ms)
{
    for (size_t i = 0; i < list->count; i++)
        if (covers(id_of(&list->items[i]), list->items[i].clock_ms, service_id, clock_ms))
            return true;
    return false;
}

/* The release is not needed any more when this one is added. */
static bool is_replaced(const struct guard_release *release, struct slice service_id,
                        uint64_t clock_ms, uint64_t now_ms)
{
    return release->until_ms <= now_ms ||
           covers(service_id, clock_ms, id_of(release), release->clock_ms);
}

bool release_list_can_put(const struct release_list *list, struct slice service_id,
                          uint64_t clock_ms, uint64_t now_ms)
{
    if (list->count < RELEASES_MAX || is_covered(list, service_id, clock_ms))
        return true;
    for (size_t i = 0; i < list->count; i++)
        if (is_replaced(&list->items[i], service_id, clock_ms, now_ms))
            return true;
    return false;
}

enum error release_list_put(struct release_list *list, struct slice service_id, uint64_t clock_ms,
                            uint64_t until_ms, uint64_t now_ms)
{
    assert(service_id.size <= ID_BYTES_MAX);
    if (until_ms <= now_ms || is_covered(list, service_id, clock_ms))
        return ERR_NONE;
    if (!release_list_can_put(list, service_id, clock_ms, now_ms))
        return ERR_TOO_MANY_RELEASES;
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++)
        if (!is_replaced(&list->items[i], service_id, clock_ms, now_ms))
            list->items[kept++] = list->items[i];
    struct guard_release *release = &list->items[kept];
    list->count = kept + 1;
    release->id_size = service_id.size;
    if (service_id.size)
        memcpy(release->service_id, service_id.data, service_id.size);
    release->clock_ms = clock_ms;
    release->until_ms = until_ms;
    release->number = ++list->last;
    return ERR_NONE;
}

const struct guard_release *release_list_next(const struct release_list *list, uint64_t number,
                                              uint64_t now_ms)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].number >= number && list->items[i].until_ms > now_ms)
            return &list->items[i];
    return NULL;
}
