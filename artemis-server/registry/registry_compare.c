/* SPDX-License-Identifier: Apache-2.0
 *
 * How two nodes compare what they hold, and how one reads all of it to the other.
 */
#include "artemis-server/registry/registry_replication.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "artemis-server/registry/registry_internal.h"

uint32_t registry_bucket(struct slice packed_key)
{
    return (uint32_t)(XXH3_64bits(packed_key.data, packed_key.size) % DIGEST_BUCKETS);
}

void registry_digests(const struct registry *registry, uint64_t out[DIGEST_BUCKETS])
{
    for (int i = 0; i < DIGEST_BUCKETS; i++)
        out[i] = atomic_load_explicit(&registry->digests[i], memory_order_relaxed) >> 11;
}

/* --- buckets ---------------------------------------------------------------------------------- */

struct state_list {
    struct key_state *states;
    size_t count;
    size_t capacity;
};

static bool add_state(struct state_list *list, struct key_state state)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 256;
        struct key_state *states = realloc(list->states, capacity * sizeof(*states));
        if (!states) {
            key_state_unref(&state);
            return false;
        }
        list->states = states;
        list->capacity = capacity;
    }
    list->states[list->count++] = state;
    return true;
}

static void free_states(struct state_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        key_state_unref(&list->states[i]);
    free(list->states);
    *list = (struct state_list){0};
}

/* Looks at the records of a chunk of the slab: 48 bytes each, in the order of memory. */
static bool list_range(struct registry *registry, struct shard *shard, uint32_t from, uint32_t to,
                       const struct bucket_set *set, struct state_list *list)
{
    for (uint32_t number = from; number < to; number++) {
        const struct record *record = shard_record(shard, number);
        if (record->instance && bucket_set_has(set, record->bucket) &&
            !add_state(list, registry_key_state(registry, record)))
            return false;
    }
    return true;
}

enum error registry_list_buckets(struct registry *registry, const struct bucket_set *set,
                                 struct key_state **out, size_t *count)
{
    enum { RECORDS_PER_LOCK = 4096 };
    struct state_list list = {0};
    for (int i = 0; i < SHARD_COUNT; i++) {
        struct locked_shard *home = &registry->shards[i];
        bool more = true;
        for (uint32_t from = 1; more; from += RECORDS_PER_LOCK) {
            pthread_mutex_lock(&home->lock);
            uint32_t end = home->shard.records.end;
            uint32_t to = end - from > RECORDS_PER_LOCK ? from + RECORDS_PER_LOCK : end;
            bool listed = from >= end || list_range(registry, &home->shard, from, to, set, &list);
            more = to < end;
            pthread_mutex_unlock(&home->lock);
            if (!listed) {
                free_states(&list);
                return ERR_NO_MEMORY;
            }
        }
    }
    *out = list.states;
    *count = list.count;
    return ERR_NONE;
}

/* --- everything ------------------------------------------------------------------------------- */

static enum error copy_service(struct registry *registry, struct shard *shard, uint32_t number,
                               char id_room[ID_BYTES_MAX], struct slice *id, struct key_state **out,
                               size_t *count)
{
    const struct service *service = shard_service(shard, number);
    struct key_state *states = malloc(service->member_count * sizeof(*states));
    if (!states)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < service->member_count; i++)
        states[i] = registry_key_state(registry, shard_record(shard, service->members[i]));
    memcpy(id_room, service->id, service->id_size);
    *id = (struct slice){id_room, service->id_size};
    *out = states;
    *count = service->member_count;
    return ERR_NONE;
}

static enum error copy_tombstones(struct registry *registry, struct shard *shard,
                                  struct key_state **out, size_t *count)
{
    struct key_state *states = malloc(shard->tombstones.count * sizeof(*states));
    if (!states)
        return ERR_NO_MEMORY;
    size_t taken = 0;
    for (uint32_t number = shard->tombstones.first; number;
         number = shard_record(shard, number)->lease.next)
        states[taken++] = registry_key_state(registry, shard_record(shard, number));
    *out = states;
    *count = taken;
    return ERR_NONE;
}

/* The next service of a shard. *count stays 0 where it has no more. */
static enum error walk_services(struct registry *registry, struct shard *shard,
                                struct registry_cursor *cursor, char id_room[ID_BYTES_MAX],
                                struct slice *id, struct key_state **out, size_t *count)
{
    for (uint32_t number = cursor->service + 1; number < shard->services.end; number++) {
        const struct service *service = shard_service(shard, number);
        if (!service->id || service->member_count == 0)
            continue;
        enum error error = copy_service(registry, shard, number, id_room, id, out, count);
        if (!error)
            cursor->service = number;
        return error;
    }
    return ERR_NONE;
}

static bool next_shard(struct registry_cursor *cursor)
{
    cursor->shard++;
    cursor->service = 0;
    if (cursor->shard < SHARD_COUNT)
        return true;
    bool more = !cursor->tombstones;
    if (more)
        *cursor = (struct registry_cursor){.tombstones = true};
    return more;
}

enum error registry_walk(struct registry *registry, struct registry_cursor *cursor,
                         char id_room[ID_BYTES_MAX], struct slice *id, struct key_state **out,
                         size_t *count)
{
    enum error error = ERR_NONE;
    *out = NULL;
    *count = 0;
    *id = (struct slice){id_room, 0};
    if (cursor->shard == SHARD_COUNT)
        return ERR_NONE; /* it has ended before */
    do {
        struct locked_shard *home = &registry->shards[cursor->shard];
        pthread_mutex_lock(&home->lock);
        if (!cursor->tombstones)
            error = walk_services(registry, &home->shard, cursor, id_room, id, out, count);
        else if (home->shard.tombstones.count)
            error = copy_tombstones(registry, &home->shard, out, count);
        pthread_mutex_unlock(&home->lock);
    } while (!error && (*count == 0 || cursor->tombstones) && next_shard(cursor) && *count == 0);
    return error;
}
