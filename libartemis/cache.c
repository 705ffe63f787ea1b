/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/cache.h"

#include <stdlib.h>
#include <string.h>

/* Where the record of this identity is, or would be. */
static size_t find(const struct cache *cache, const struct record *key, bool *found)
{
    size_t low = 0;
    size_t high = cache->count;
    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = record_compare(cache->records[middle], key);
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

static enum error make_room(struct cache *cache)
{
    if (cache->count < cache->capacity)
        return ERR_NONE;
    size_t capacity = cache->capacity ? cache->capacity * 2 : 8;
    struct record **records = realloc(cache->records, capacity * sizeof(struct record *));
    if (!records)
        return ERR_NO_MEMORY;
    cache->records = records;
    cache->capacity = capacity;
    return ERR_NONE;
}

enum error cache_put(struct cache *cache, struct record *record, cache_difference *told,
                     void *context)
{
    bool found = false;
    size_t index = find(cache, record, &found);
    struct record *before = found ? cache->records[index] : NULL;
    if (before && record_same(before, record))
        return ERR_NONE;
    enum error error = found ? ERR_NONE : make_room(cache);
    if (!error)
        error = told(context, found ? ARTEMIS_CHANGE : ARTEMIS_NEW, before, record);
    if (error)
        return error;
    if (!found) {
        memmove(cache->records + index + 1, cache->records + index,
                (cache->count - index) * sizeof(struct record *));
        cache->count++;
    }
    cache->records[index] = record_ref(record);
    record_unref(before);
    return ERR_NONE;
}

enum error cache_remove(struct cache *cache, const struct record *key, cache_difference *told,
                        void *context)
{
    bool found = false;
    size_t index = find(cache, key, &found);
    if (!found)
        return ERR_NONE;
    struct record *before = cache->records[index];
    enum error error = told(context, ARTEMIS_DELETE, before, NULL);
    if (error)
        return error;
    cache->count--;
    memmove(cache->records + index, cache->records + index + 1,
            (cache->count - index) * sizeof(struct record *));
    record_unref(before);
    return ERR_NONE;
}

/* --- a whole new state ------------------------------------------------------------------------ */

static int by_identity(const void *a, const void *b)
{
    return record_compare(*(struct record *const *)a, *(struct record *const *)b);
}

/* The first of each identity comes before the others, in order; returns how many those are. None is
 * lost: they are the caller's. */
static size_t move_doubles_back(struct record **records, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && record_compare(records[kept - 1], records[i]) == 0)
            continue;
        struct record *first = records[i];
        records[i] = records[kept];
        records[kept++] = first;
    }
    return kept;
}

struct merge {
    struct cache merged;
    cache_difference *told;
    void *context;
};

static void keep(struct merge *merge, struct record *record)
{
    merge->merged.records[merge->merged.count++] = record_ref(record);
}

/* One identity: what was known of it, and what is now; NULL for nothing. */
static enum error merge_one(struct merge *merge, struct record *old, struct record *new,
                            bool replaced)
{
    if (!new && !replaced) {
        keep(merge, old);
        return ERR_NONE;
    }
    if (!new)
        return merge->told(merge->context, ARTEMIS_DELETE, old, NULL);
    if (old && record_same(old, new)) {
        keep(merge, old); /* what was given out and what is known share it */
        return ERR_NONE;
    }
    keep(merge, new);
    return merge->told(merge->context, old ? ARTEMIS_CHANGE : ARTEMIS_NEW, old, new);
}

static int order_of(const struct cache *cache, size_t old, struct record *const *records,
                    size_t new, size_t count)
{
    if (old == cache->count)
        return 1;
    return new == count ? -1 : record_compare(cache->records[old], records[new]);
}

enum error cache_replace(struct cache *cache, const char *service_id, struct record **records,
                         size_t count, cache_difference *told, void *context)
{
    if (count > 1)
        qsort(records, count, sizeof *records, by_identity);
    size_t distinct = move_doubles_back(records, count);
    struct merge merge = {.told = told, .context = context};
    merge.merged.capacity = cache->count + distinct + 1;
    merge.merged.records = calloc(merge.merged.capacity, sizeof(struct record *));
    enum error error = merge.merged.records ? ERR_NONE : ERR_NO_MEMORY;
    for (size_t old = 0, new = 0; !error && (old < cache->count || new < distinct);) {
        int order = order_of(cache, old, records, new, distinct);
        struct record *a = order <= 0 ? cache->records[old++] : NULL;
        struct record *b = order >= 0 ? records[new ++] : NULL;
        bool replaced = !service_id || (a && strcmp(a->view.service_id, service_id) == 0);
        error = merge_one(&merge, a, b, replaced);
    }
    if (error) {
        cache_clear(&merge.merged);
        return error;
    }
    cache_clear(cache);
    *cache = merge.merged;
    return ERR_NONE;
}

void cache_clear(struct cache *cache)
{
    for (size_t i = 0; i < cache->count; i++)
        record_unref(cache->records[i]);
    free(cache->records);
    *cache = (struct cache){0};
}
