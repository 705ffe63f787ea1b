/* SPDX-License-Identifier: Apache-2.0
 *
 * Anti-entropy: what a node and its peer hold is compared by 1,024 digests, then key by key where
 * they differ. What is newer there is fetched, what is newer here is sent, so one round that ends
 * makes both hold the same.
 */
#include "artemis-server/replication/replicator_internal.h"

#include <stdlib.h>
#include <string.h>

static void drop_mine(struct sync *sync)
{
    for (size_t i = 0; i < sync->mine_count; i++)
        peer_state_drop(&sync->mine[i]);
    free(sync->mine);
    free(sync->seen);
    sync->mine = NULL;
    sync->seen = NULL;
    sync->mine_count = 0;
}

void sync_reset(struct sync *sync)
{
    drop_mine(sync);
    for (size_t i = 0; i < sync->wanted_count; i++)
        peer_state_drop(&sync->wanted[i]);
    free(sync->wanted);
    *sync = (struct sync){.next_ms = sync->next_ms};
}

/* The round has ended, well or not; the next one comes in its time. */
static void end_round(struct replicator *replica, struct peer *peer, struct moment now)
{
    sync_reset(&peer->sync);
    uint64_t interval_ms = replica->options.anti_entropy_ms;
    /* Two nodes that started together need not compare at the same moment. */
    peer->sync.next_ms =
        now.mono_ms + interval_ms - replicator_random(replica, interval_ms / 8 + 1);
}

/* --- sending ---------------------------------------------------------------------------------- */

static struct message *fetch_message(struct replicator *replica, struct peer *peer,
                                     struct moment now)
{
    struct sync *sync = &peer->sync;
    size_t count = sync->wanted_count < FETCH_ITEMS_MAX ? sync->wanted_count : FETCH_ITEMS_MAX;
    struct message *message = replicator_message(replica, peer, MESSAGE_FETCH, count, now);
    if (!message)
        return NULL;
    sync->wanted_count -= count;
    memcpy(message->items, sync->wanted + sync->wanted_count, count * sizeof(*message->items));
    message->count = count;
    sync->step = SYNC_FETCH;
    return message;
}

/* The next buckets that differ, and what we hold in them. */
static struct message *list_message(struct replicator *replica, struct peer *peer,
                                    struct moment now)
{
    struct sync *sync = &peer->sync;
    struct message *message = replicator_message(replica, peer, MESSAGE_LIST, 0, now);
    if (!message)
        return NULL;
    int taken = 0;
    for (uint32_t bucket = 0; bucket < DIGEST_BUCKETS && taken < SYNC_BUCKETS_MAX; bucket++) {
        if (!bucket_set_has(&sync->differ, bucket))
            continue;
        bucket_set_add(&message->buckets, bucket);
        sync->differ.bits[bucket / 64] &= ~((uint64_t)1 << (bucket % 64));
        taken++;
    }
    sync->step = SYNC_LIST;
    return message;
}

static bool any_differ(const struct sync *sync)
{
    for (int i = 0; i < DIGEST_BUCKETS / 64; i++)
        if (sync->differ.bits[i])
            return true;
    return false;
}

static bool is_under_way(const struct peer *peer)
{
    return peer->under_way[MESSAGE_DIGEST] || peer->under_way[MESSAGE_LIST] ||
           peer->under_way[MESSAGE_FETCH];
}

uint64_t sync_due_ms(const struct replicator *replica, const struct peer *peer)
{
    bool has_something = replica->ready || replica->snapshot_ms;
    if (peer->is_legacy || is_under_way(peer) || replica->draining || !has_something ||
        !peer->is_ready)
        return UINT64_MAX;
    return peer->sync.next_ms;
}

struct message *sync_next(struct replicator *replica, struct peer *peer, struct moment now)
{
    struct sync *sync = &peer->sync;
    if (peer->is_legacy || is_under_way(peer) || replica->draining)
        return NULL;
    if (sync->wanted_count)
        return fetch_message(replica, peer, now);
    if (any_differ(sync))
        return list_message(replica, peer, now);
    if (now.mono_ms < sync_due_ms(replica, peer))
        return NULL;
    struct message *message = replicator_message(replica, peer, MESSAGE_DIGEST, 0, now);
    if (message)
        sync->step = SYNC_DIGEST;
    return message;
}

/* --- hearing ---------------------------------------------------------------------------------- */

void sync_told_digests(struct replicator *replica, struct peer *peer,
                       const uint64_t digests[DIGEST_BUCKETS])
{
    struct sync *sync = &peer->sync;
    uint64_t own[DIGEST_BUCKETS];
    if (sync->step != SYNC_DIGEST)
        return;
    registry_digests(replica->registry, own);
    sync->differing = 0;
    for (uint32_t bucket = 0; bucket < DIGEST_BUCKETS; bucket++) {
        if (own[bucket] == digests[bucket])
            continue;
        bucket_set_add(&sync->differ, bucket);
        sync->differing++;
    }
    replica->stats.differences += sync->differing;
    peer->view.differing = sync->differing;
}

static int by_key(const void *a, const void *b)
{
    struct slice left = instance_packed_key(((const struct peer_state *)a)->instance);
    struct slice right = instance_packed_key(((const struct peer_state *)b)->instance);
    size_t size = left.size < right.size ? left.size : right.size;
    int order = memcmp(left.data, right.data, size);
    return order ? order : (left.size > right.size) - (left.size < right.size);
}

static bool prepare_mine(struct replicator *replica, struct sync *sync,
                         const struct message *message)
{
    if (sync->seen)
        return true;
    if (sync->mine_failed)
        return false;
    sync->mine_failed = registry_list_buckets(replica->registry, &message->buckets, &sync->mine,
                                              &sync->mine_count) != ERR_NONE;
    if (!sync->mine_failed) {
        sync->seen = calloc(sync->mine_count + 1, sizeof(*sync->seen));
        sync->mine_failed = !sync->seen;
    }
    if (sync->mine_failed) {
        drop_mine(sync);
        return false;
    }
    if (sync->mine_count)
        qsort(sync->mine, sync->mine_count, sizeof(*sync->mine), by_key);
    return true;
}

static struct peer_state *find_mine(struct sync *sync, const struct instance *key_only)
{
    struct peer_state wanted = {.instance = (struct instance *)key_only};
    return sync->mine_count
               ? bsearch(&wanted, sync->mine, sync->mine_count, sizeof(*sync->mine), by_key)
               : NULL;
}

static void want(struct sync *sync, struct instance *key_only)
{
    if (sync->wanted_count == sync->wanted_capacity) {
        size_t capacity = sync->wanted_capacity ? sync->wanted_capacity * 2 : 64;
        struct peer_state *grown = NULL;
        if (capacity <= 2 * (size_t)SYNC_FETCH_MAX)
            grown = realloc(sync->wanted, capacity * sizeof(*grown));
        if (!grown)
            return; /* the next round finds it again */
        sync->wanted = grown;
        sync->wanted_capacity = capacity;
    }
    if (sync->wanted_count < SYNC_FETCH_MAX)
        sync->wanted[sync->wanted_count++] =
            (struct peer_state){.instance = instance_ref(key_only)};
}

static void apply_quietly(enum error error, struct replicator *replica)
{
    if (!error)
        replica->stats.fetched++;
}

/* One key that the peer holds, in a bucket that differs. */
static void compare_one(struct replicator *replica, struct peer *peer, struct instance *key_only,
                        const struct wire_record *theirs, struct moment now)
{
    struct sync *sync = &peer->sync;
    struct peer_state *mine = find_mine(sync, key_only);
    if (mine)
        sync->seen[mine - sync->mine] = true;
    int order = -1; /* of ours to theirs */
    if (mine) {
        struct stamp own = {mine->stamp, registry_origin(replica->registry, mine->origin)};
        order = stamp_compare(own, theirs->stamp);
    }
    if (order > 0) {
        batch_repair(replica, peer, instance_packed_key(key_only));
    } else if (theirs->deleted) {
        if (order < 0)
            apply_quietly(registry_apply_unregister(replica->registry, theirs, now), replica);
    } else if (order == 0) {
        if (registry_apply_renewal(replica->registry, theirs, now))
            want(sync, key_only); /* it has gone meanwhile */
    } else {
        want(sync, key_only);
    }
}

void sync_told(struct replicator *replica, struct peer *peer, const struct message *message,
               const struct wire_record *record, struct moment now)
{
    if (message->kind == MESSAGE_FETCH) {
        if (record->instance && !record->deleted)
            apply_quietly(registry_apply(replica->registry, record, now), replica);
        return;
    }
    if (peer->sync.step != SYNC_LIST || !prepare_mine(replica, &peer->sync, message))
        return;
    struct instance *key_only = instance_of_key(wire_record_key(record));
    if (!key_only)
        return; /* the next round finds it again */
    compare_one(replica, peer, key_only, record, now);
    instance_unref(key_only);
}

/* What we hold and the peer has not named, it lacks. Tombstones of what it does not know are kept
 * to ourselves. */
static void send_unseen(struct replicator *replica, struct peer *peer,
                        const struct message *message)
{
    struct sync *sync = &peer->sync;
    if (!prepare_mine(replica, sync, message))
        return;
    for (size_t i = 0; i < sync->mine_count; i++) {
        if (!sync->seen[i] && !sync->mine[i].deleted)
            batch_repair(replica, peer, instance_packed_key(sync->mine[i].instance));
    }
}

void sync_done(struct replicator *replica, struct peer *peer, const struct message *message,
               enum send_result fate, struct moment now)
{
    struct sync *sync = &peer->sync;
    if (sync->step == SYNC_IDLE)
        return; /* the peer went down meanwhile */
    if (message->kind == MESSAGE_LIST && fate == SEND_DELIVERED)
        send_unseen(replica, peer, message);
    if (fate != SEND_DELIVERED || sync->mine_failed) {
        end_round(replica, peer, now);
        if (fate == SEND_RETRYABLE)
            sync->next_ms = peer->retry_ms;
        return;
    }
    drop_mine(sync);
    if (sync->wanted_count || any_differ(sync))
        return;
    replica->stats.rounds++;
    peer->view.compared_ms = now.mono_ms;
    end_round(replica, peer, now);
}
