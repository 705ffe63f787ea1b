/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/watch/instance_set.h"

#include <stdlib.h>
#include <string.h>

/* The index of the instance with this identity, or the index at which to insert it. */
static size_t find(const struct instance_set *set, const struct shared_instance *key, bool *found)
{
    size_t low = 0;
    size_t high = set->count;
    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = shared_instance_compare(set->each[middle], key);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static enum error reserve_one(struct instance_set *set)
{
    if (set->count < set->capacity)
        return ERR_NONE;
    size_t capacity = set->capacity ? set->capacity * 2 : 8;
    struct shared_instance **instances =
        realloc(set->each, capacity * sizeof(struct shared_instance *));
    if (!instances)
        return ERR_NO_MEMORY;
    set->each = instances;
    set->capacity = capacity;
    return ERR_NONE;
}

enum error instance_set_put(struct instance_set *set, struct shared_instance *instance,
                            instance_set_difference *on_difference, void *context)
{
    bool found = false;
    size_t index = find(set, instance, &found);
    struct shared_instance *before = found ? set->each[index] : NULL;
    if (before && shared_instance_equal(before, instance))
        return ERR_NONE;
    enum error error = found ? ERR_NONE : reserve_one(set);
    if (!error)
        error = on_difference(context, found ? ARTEMIS_CHANGE : ARTEMIS_NEW, before, instance);
    if (error)
        return error;
    if (!found) {
        memmove(set->each + index + 1, set->each + index,
                (set->count - index) * sizeof(struct shared_instance *));
        set->count++;
    }
    set->each[index] = shared_instance_ref(instance);
    shared_instance_unref(before);
    return ERR_NONE;
}

enum error instance_set_remove(struct instance_set *set, const struct shared_instance *key,
                               instance_set_difference *on_difference, void *context)
{
    bool found = false;
    size_t index = find(set, key, &found);
    if (!found)
        return ERR_NONE;
    struct shared_instance *before = set->each[index];
    enum error error = on_difference(context, ARTEMIS_DELETE, before, NULL);
    if (error)
        return error;
    set->count--;
    memmove(set->each + index, set->each + index + 1,
            (set->count - index) * sizeof(struct shared_instance *));
    shared_instance_unref(before);
    return ERR_NONE;
}

/* --- complete states -------------------------------------------------------------------------- */

static int by_identity(const void *a, const void *b)
{
    return shared_instance_compare(*(struct shared_instance *const *)a,
                                   *(struct shared_instance *const *)b);
}

/* Moves the first instance of each identity to the front, in order, and returns their number. The
 * caller still owns all of them. */
static size_t move_duplicates_back(struct shared_instance **instances, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && shared_instance_compare(instances[kept - 1], instances[i]) == 0)
            continue;
        struct shared_instance *first = instances[i];
        instances[i] = instances[kept];
        instances[kept++] = first;
    }
    return kept;
}

struct merge {
    struct instance_set merged;
    instance_set_difference *on_difference;
    void *context;
};

static void keep(struct merge *merge, struct shared_instance *instance)
{
    merge->merged.each[merge->merged.count++] = shared_instance_ref(instance);
}

/* Merges one identity: `old` was known, `new` is in the new state; either may be NULL. */
static enum error merge_one(struct merge *merge, struct shared_instance *old,
                            struct shared_instance *new, bool replaced)
{
    if (!new && !replaced) {
        keep(merge, old);
        return ERR_NONE;
    }
    if (!new)
        return merge->on_difference(merge->context, ARTEMIS_DELETE, old, NULL);
    if (old && shared_instance_equal(old, new)) {
        keep(merge, old); /* published services keep sharing it */
        return ERR_NONE;
    }
    keep(merge, new);
    return merge->on_difference(merge->context, old ? ARTEMIS_CHANGE : ARTEMIS_NEW, old, new);
}

static int order_of(const struct instance_set *set, size_t old,
                    struct shared_instance *const *instances, size_t new, size_t count)
{
    if (old == set->count)
        return 1;
    return new == count ? -1 : shared_instance_compare(set->each[old], instances[new]);
}

enum error instance_set_replace(struct instance_set *set, const char *service_id,
                                struct shared_instance **instances, size_t count,
                                instance_set_difference *on_difference, void *context)
{
    if (count > 1)
        qsort(instances, count, sizeof *instances, by_identity);
    size_t distinct = move_duplicates_back(instances, count);
    struct merge merge = {.on_difference = on_difference, .context = context};
    merge.merged.capacity = set->count + distinct + 1;
    merge.merged.each = calloc(merge.merged.capacity, sizeof(struct shared_instance *));
    enum error error = merge.merged.each ? ERR_NONE : ERR_NO_MEMORY;
    for (size_t old = 0, new = 0; !error && (old < set->count || new < distinct);) {
        int order = order_of(set, old, instances, new, distinct);
        struct shared_instance *a = order <= 0 ? set->each[old++] : NULL;
        struct shared_instance *b = order >= 0 ? instances[new ++] : NULL;
        bool replaced = !service_id || (a && strcmp(a->view.service_id, service_id) == 0);
        error = merge_one(&merge, a, b, replaced);
    }
    if (error) {
        instance_set_clear(&merge.merged);
        return error;
    }
    instance_set_clear(set);
    *set = merge.merged;
    return ERR_NONE;
}

void instance_set_clear(struct instance_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        shared_instance_unref(set->each[i]);
    free(set->each);
    *set = (struct instance_set){0};
}
