/* SPDX-License-Identifier: Apache-2.0
 *
 * What another node compares or copies: digests, the records of buckets, the snapshot.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-core/base/sim_bug.h"
#include "artemis-server/registry/registry_internal.h"

enum {
    RECORDS_PER_LOCK = 512,
    VISITS_PER_LOCK = 4096,
    TOMBSTONES_PER_STEP = 1024,
};

uint32_t registry_bucket(struct slice packed_key)
{
    return bucket_of_key(packed_key);
}

void registry_digests(const struct registry *registry, uint64_t out[DIGEST_BUCKETS])
{
    for (int i = 0; i < DIGEST_BUCKETS; i++)
        out[i] = atomic_load_explicit(&registry->digests[i], memory_order_relaxed) >> 11;
}

void registry_digests_tag(const uint64_t digests[DIGEST_BUCKETS], char out[DIGESTS_TAG_BYTES])
{
    uint64_t hash = 0;
    for (int i = 0; i < DIGEST_BUCKETS; i++)
        hash = ((hash ^ digests[i]) << 29 | (hash ^ digests[i]) >> 35) * 0x9E3779B97F4A7C15;
    snprintf(out, DIGESTS_TAG_BYTES, "\"d%016llx\"", (unsigned long long)hash);
}

/* --- shared records --------------------------------------------------------------------------- */

void registry_set_shared(struct registry *registry, struct shared_records shared)
{
    pthread_mutex_lock(&registry->shared.lock);
    registry->shared.value = shared;
    registry->shared.peer = 0;
    pthread_mutex_unlock(&registry->shared.lock);
}

struct shared_records registry_shared(struct registry *registry)
{
    pthread_mutex_lock(&registry->shared.lock);
    struct shared_records shared = registry->shared.value;
    pthread_mutex_unlock(&registry->shared.lock);
    return shared;
}

static void lower(struct shared_records *shared, uint64_t hlc)
{
    if (shared->hlc >= hlc)
        shared->hlc = hlc - 1;
}

void registry_begin_sharing(struct registry *registry, uint32_t peer, struct moment now)
{
    uint64_t next_hlc = registry_highest_hlc(registry, now);
    pthread_mutex_lock(&registry->shared.lock);
    registry->shared.open[peer] =
        (struct shared_records){.hlc = next_hlc - 1, .compared_ms = now.mono_ms};
    pthread_mutex_unlock(&registry->shared.lock);
}

void registry_note_unshared(struct registry *registry, uint32_t peer, uint64_t hlc)
{
    pthread_mutex_lock(&registry->shared.lock);
    lower(&registry->shared.open[peer], hlc);
    pthread_mutex_unlock(&registry->shared.lock);
}

void registry_end_sharing(struct registry *registry, uint32_t peer, uint64_t epoch)
{
    pthread_mutex_lock(&registry->shared.lock);
    struct shared_records *open = &registry->shared.open[peer];
    if (open->hlc) {
        registry->shared.value = (struct shared_records){epoch, open->hlc, open->compared_ms};
        registry->shared.peer = peer;
    }
    open->hlc = 0;
    pthread_mutex_unlock(&registry->shared.lock);
}

void registry_note_received(struct registry *registry, uint32_t peer, uint64_t hlc)
{
    if (SIM_BUG(14)) /* what other nodes send counts as shared */
        return;
    pthread_mutex_lock(&registry->shared.lock);
    if (!peer || registry->shared.peer != peer)
        lower(&registry->shared.value, hlc);
    for (uint32_t other = 1; other <= NODE_ID_MEMBERS; other++)
        if (other != peer)
            lower(&registry->shared.open[other], hlc);
    pthread_mutex_unlock(&registry->shared.lock);
}

void registry_note_equal_buckets(struct registry *registry, const struct bucket_set *equal)
{
    for (int i = 0; i < DIGEST_BUCKETS / 64; i++)
        registry->loaded.equal.bits[i] |= equal->bits[i];
}

/* --- buckets ---------------------------------------------------------------------------------- */

struct copy_list {
    struct record_copy *copies;
    size_t count;
    size_t capacity;
};

static bool add_copy(struct copy_list *list, struct record_copy copy)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 256;
        struct record_copy *copies = realloc(list->copies, capacity * sizeof(*copies));
        if (!copies) {
            record_copy_unref(&copy);
            return false;
        }
        list->copies = copies;
        list->capacity = capacity;
    }
    list->copies[list->count++] = copy;
    return true;
}

static void free_copies(struct copy_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        record_copy_unref(&list->copies[i]);
    free(list->copies);
    *list = (struct copy_list){0};
}

static bool list_bucket(const struct registry *registry, struct shard *shard, uint32_t bucket,
                        struct copy_list *list)
{
    for (uint32_t number = shard->buckets[bucket]; number;) {
        const struct record *record = shard_record(shard, number);
        shard->counters.visited++;
        if (!add_copy(list, registry_copy_record(registry, record)))
            return false;
        number = record->bucket_next;
    }
    return true;
}

static bool list_shard(const struct registry *registry, struct locked_shard *locked,
                       const struct bucket_set *set, struct copy_list *list)
{
    bool listed = true;
    uint32_t bucket = 0;
    while (listed && bucket < DIGEST_BUCKETS) {
        size_t pause_at = list->count + RECORDS_PER_LOCK;
        pthread_mutex_lock(&locked->lock);
        for (; listed && bucket < DIGEST_BUCKETS && list->count < pause_at; bucket++)
            if (bucket_set_has(set, bucket))
                listed = list_bucket(registry, &locked->shard, bucket, list);
        pthread_mutex_unlock(&locked->lock);
    }
    return listed;
}

enum error registry_list_buckets(struct registry *registry, const struct bucket_set *set,
                                 struct record_copy **out, size_t *count)
{
    struct copy_list list = {0};
    for (int i = 0; i < SHARD_COUNT; i++) {
        if (!list_shard(registry, &registry->shards[i], set, &list)) {
            free_copies(&list);
            return ERR_NO_MEMORY;
        }
    }
    *out = list.copies;
    *count = list.count;
    return ERR_NONE;
}

/* --- snapshot --------------------------------------------------------------------------------- */

static enum error copy_service(const struct registry *registry, const struct shard *shard,
                               const struct service *service, char id_buffer[ID_BYTES_MAX],
                               struct slice *id, struct record_copy **out, size_t *count)
{
    struct record_copy *copies = malloc(service->member_count * sizeof(*copies));
    if (!copies)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < service->member_count; i++) {
        const struct record *record = shard_record(shard, service->members[i]);
        copies[i] = registry_copy_record(registry, record);
        /* The starting node stores what is guarded for a peer too, and asks that peer itself. */
        if (record->lease_state == LEASE_PEER_GUARDED)
            copies[i].lease_state = LEASE_GUARDED;
    }
    memcpy(id_buffer, service->id, service->id_size);
    *id = (struct slice){id_buffer, service->id_size};
    *out = copies;
    *count = service->member_count;
    return ERR_NONE;
}

/* The next service of a shard with members; *count stays 0 if none was among those visited. True:
 * there may be more. */
static bool next_service(const struct registry *registry, struct shard *shard,
                         struct registry_cursor *cursor, char id_buffer[ID_BYTES_MAX],
                         struct slice *id, struct record_copy **out, size_t *count,
                         enum error *error)
{
    uint32_t end = slab_end(&shard->services);
    for (int i = 0; i < VISITS_PER_LOCK && cursor->number + 1 < end; i++) {
        const struct service *service = shard_live_service(shard, cursor->number + 1);
        if (service && service->member_count) {
            *error = copy_service(registry, shard, service, id_buffer, id, out, count);
            cursor->number += *error ? 0 : 1;
            return true;
        }
        cursor->number++;
    }
    return cursor->number + 1 < end;
}

/* The next tombstones of a shard; as next_service. */
static bool next_tombstones(const struct registry *registry, struct shard *shard,
                            struct registry_cursor *cursor, struct record_copy **out, size_t *count,
                            enum error *error)
{
    uint32_t end = shard->tombstones.count ? slab_end(&shard->records) : 0;
    if (cursor->number + 1 >= end)
        return false;
    struct record_copy *copies = malloc(TOMBSTONES_PER_STEP * sizeof(*copies));
    if (!copies) {
        *error = ERR_NO_MEMORY;
        return true;
    }
    size_t found = 0;
    for (int i = 0; i < VISITS_PER_LOCK && cursor->number + 1 < end && found < TOMBSTONES_PER_STEP;
         i++) {
        const struct record *record = slab_find(&shard->records, ++cursor->number);
        if (record && record->instance && record_is_tombstone(record))
            copies[found++] = registry_copy_record(registry, record);
    }
    if (!found)
        free(copies);
    else
        *out = copies;
    *count = found;
    return cursor->number + 1 < end;
}

/* Moves to the next shard; after the last one, to the tombstones of the first. False: the end. */
static bool next_shard(struct registry_cursor *cursor)
{
    cursor->shard++;
    cursor->number = 0;
    if (cursor->shard == SHARD_COUNT && !cursor->tombstones)
        *cursor = (struct registry_cursor){.tombstones = true};
    return cursor->shard < SHARD_COUNT;
}

enum error registry_snapshot_next(struct registry *registry, struct registry_cursor *cursor,
                                  char id_buffer[ID_BYTES_MAX], struct slice *id,
                                  struct record_copy **out, size_t *count)
{
    enum error error = ERR_NONE;
    *out = NULL;
    *count = 0;
    *id = (struct slice){id_buffer, 0};
    while (!error && *count == 0 && cursor->shard < SHARD_COUNT) {
        struct locked_shard *locked = &registry->shards[cursor->shard];
        pthread_mutex_lock(&locked->lock);
        bool more =
            cursor->tombstones
                ? next_tombstones(registry, &locked->shard, cursor, out, count, &error)
                : next_service(registry, &locked->shard, cursor, id_buffer, id, out, count, &error);
        pthread_mutex_unlock(&locked->lock);
        if (!more && !next_shard(cursor))
            break;
    }
    return error;
}
