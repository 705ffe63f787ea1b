/* SPDX-License-Identifier: Apache-2.0
 *
 * Anti-entropy: compares this node with a peer by 1,024 bucket digests, then key by key in the
 * buckets that differ. Newer records there are fetched. Newer records here go into the outbox of
 * the peer, which may send them after the comparison.
 *
 * A comparison counts only if this node has taken every record that is newer there:
 *   - If more than fetch_max keys of a list are to be fetched, these are fetched first. Then the
 *     same buckets are listed again, fewer at a time. What was fetched does not differ any more.
 *     In a list of a single bucket, as many keys are skipped as were fetched in vain: the others
 *     follow them.
 *   - A peer leaves out records beyond the size limit of its response. It sends records in the
 *     order of the request, so what follows the last one is fetched again.
 *   - If a record is refused, or memory is short, the comparison does not count.
 *   - Neither does one that takes longer than a snapshot may: it ends, and what it has taken does
 *     not differ in the next one. A peer whose lists never end would keep this node busy.
 */
#include "artemis-server/replication/replicator_internal.h"

#include <stdlib.h>
#include <string.h>

#include "artemis-core/base/sim_bug.h"
#include "artemis-core/model/record_order.h"

static void free_own(struct comparison *comparison)
{
    for (size_t i = 0; i < comparison->own_count; i++)
        record_copy_unref(&comparison->own[i]);
    free(comparison->own);
    free(comparison->seen);
    comparison->own = NULL;
    comparison->seen = NULL;
    comparison->own_count = 0;
}

void comparison_reset(struct comparison *comparison)
{
    free_own(comparison);
    for (size_t i = 0; i < comparison->to_fetch_count; i++)
        record_copy_unref(&comparison->to_fetch[i]);
    free(comparison->to_fetch);
    *comparison = (struct comparison){.next_ms = comparison->next_ms};
}

/* Ends the comparison, complete or not, and schedules the next one. */
static void end_comparison(struct replicator *replicator, struct peer *peer, struct moment now)
{
    comparison_reset(&peer->comparison);
    uint64_t interval_ms = replicator->options.anti_entropy_ms;
    /* The jitter keeps nodes that started together from comparing at the same moment. */
    peer->comparison.next_ms =
        now.mono_ms + interval_ms - replicator_random(replicator, interval_ms / 8 + 1);
}

/* --- keys ------------------------------------------------------------------------------------- */

int packed_key_compare(struct slice a, struct slice b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = memcmp(a.data, b.data, size);
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

int record_copy_compare(const void *a, const void *b)
{
    return packed_key_compare(instance_packed_key(((const struct record_copy *)a)->instance),
                              instance_packed_key(((const struct record_copy *)b)->instance));
}

/* --- sending ---------------------------------------------------------------------------------- */

static struct message *fetch_message(struct replicator *replicator, struct peer *peer,
                                     struct moment now)
{
    struct comparison *comparison = &peer->comparison;
    size_t max = peer_limits(peer)->fetch_items_max;
    size_t count = comparison->to_fetch_count < max ? comparison->to_fetch_count : max;
    struct message *message = message_create(replicator, peer, MESSAGE_FETCH, count, now);
    if (!message)
        return NULL;
    comparison->to_fetch_count -= count;
    memcpy(message->items, comparison->to_fetch + comparison->to_fetch_count,
           count * sizeof(*message->items));
    message->count = count;
    qsort(message->items, count, sizeof(*message->items), record_copy_compare); /* for find_item */
    comparison->fetched_count = 0;
    comparison->step = COMPARISON_FETCH;
    return message;
}

/* Asks for the keys of the next buckets that differ. */
static struct message *list_message(struct replicator *replicator, struct peer *peer,
                                    struct moment now)
{
    struct comparison *comparison = &peer->comparison;
    struct message *message = message_create(replicator, peer, MESSAGE_LIST, 0, now);
    if (!message)
        return NULL;
    uint32_t max =
        comparison->buckets_max ? comparison->buckets_max : peer_limits(peer)->buckets_max;
    uint32_t taken = 0;
    for (uint32_t bucket = 0; bucket < DIGEST_BUCKETS && taken < max; bucket++) {
        if (!bucket_set_has(&comparison->differ, bucket))
            continue;
        bucket_set_add(&message->buckets, bucket);
        comparison->differ.bits[bucket / 64] &= ~((uint64_t)1 << (bucket % 64));
        taken++;
    }
    comparison->buckets_max = taken;
    comparison->is_incomplete |= comparison->skip != 0;
    comparison->skipped = 0;
    comparison->is_cut = false;
    comparison->step = COMPARISON_LIST;
    return message;
}

static bool any_differ(const struct comparison *comparison)
{
    for (int i = 0; i < DIGEST_BUCKETS / 64; i++)
        if (comparison->differ.bits[i])
            return true;
    return false;
}

static bool has_message_in_flight(const struct peer *peer)
{
    return peer->in_flight[MESSAGE_DIGEST] || peer->in_flight[MESSAGE_LIST] ||
           peer->in_flight[MESSAGE_FETCH];
}

/* A ready peer is compared with once this node has a snapshot. Nodes that start together without
 * data compare themselves meanwhile: what clients register or renew at one of them gets to those
 * that only others reach. A node with loaded records takes no part, since peers may have evicted
 * them. */
static bool is_comparable(const struct replicator *replicator, const struct peer *peer)
{
    bool has_something = replicator->ready || replicator->snapshot_ms;
    if (peer->is_ready)
        return has_something;
    return !has_something && replicator->options.starts_empty && peer->started_empty;
}

uint64_t anti_entropy_due_ms(const struct replicator *replicator, const struct peer *peer)
{
    if (peer->is_legacy || has_message_in_flight(peer) || replicator->flushing ||
        !is_comparable(replicator, peer))
        return UINT64_MAX;
    return peer->comparison.next_ms;
}

struct message *anti_entropy_next(struct replicator *replicator, struct peer *peer,
                                  struct moment now)
{
    struct comparison *comparison = &peer->comparison;
    if (peer->is_legacy || has_message_in_flight(peer) || replicator->flushing)
        return NULL;
    if (comparison->to_fetch_count)
        return fetch_message(replicator, peer, now);
    if (any_differ(comparison))
        return list_message(replicator, peer, now);
    if (now.mono_ms < anti_entropy_due_ms(replicator, peer))
        return NULL;
    struct message *message = message_create(replicator, peer, MESSAGE_DIGEST, 0, now);
    if (message) {
        comparison->step = COMPARISON_DIGEST;
        comparison->started_ms = now.mono_ms;
        registry_begin_sharing(replicator->registry, message->peer + 1, now);
    }
    return message;
}

/* --- responses -------------------------------------------------------------------------------- */

void anti_entropy_on_digests(struct replicator *replicator, struct peer *peer,
                             const uint64_t digests[DIGEST_BUCKETS])
{
    struct comparison *comparison = &peer->comparison;
    uint64_t own[DIGEST_BUCKETS];
    if (comparison->step != COMPARISON_DIGEST)
        return;
    registry_digests(replicator->registry, own);
    comparison->differing = 0;
    struct bucket_set equal = {0};
    for (uint32_t bucket = 0; bucket < DIGEST_BUCKETS; bucket++) {
        if (own[bucket] == digests[bucket] || SIM_BUG(8)) {
            bucket_set_add(&equal, bucket);
            continue;
        }
        bucket_set_add(&comparison->differ, bucket);
        comparison->differing++;
    }
    if (!replicator->was_ready)
        registry_note_equal_buckets(replicator->registry, &equal);
    replicator->stats.differences += comparison->differing;
    peer->view.differing = comparison->differing;
}

static bool load_own(struct replicator *replicator, struct comparison *comparison,
                     const struct message *message)
{
    if (comparison->seen)
        return true;
    if (comparison->out_of_memory)
        return false;
    comparison->out_of_memory =
        registry_list_buckets(replicator->registry, &message->buckets, &comparison->own,
                              &comparison->own_count) != ERR_NONE;
    if (!comparison->out_of_memory) {
        comparison->seen = calloc(comparison->own_count + 1, sizeof(*comparison->seen));
        comparison->out_of_memory = !comparison->seen;
    }
    if (comparison->out_of_memory) {
        free_own(comparison);
        return false;
    }
    if (comparison->own_count)
        qsort(comparison->own, comparison->own_count, sizeof(*comparison->own),
              record_copy_compare);
    return true;
}

static struct record_copy *find_own(struct comparison *comparison, const struct instance *key_only)
{
    struct record_copy to_fetch = {.instance = (struct instance *)key_only};
    return comparison->own_count ? bsearch(&to_fetch, comparison->own, comparison->own_count,
                                           sizeof(*comparison->own), record_copy_compare)
                                 : NULL;
}

/* False: out of memory. */
static bool reserve_to_fetch(struct comparison *comparison)
{
    if (comparison->to_fetch_count < comparison->to_fetch_capacity)
        return true;
    size_t capacity = comparison->to_fetch_capacity ? comparison->to_fetch_capacity * 2 : 64;
    struct record_copy *grown = realloc(comparison->to_fetch, capacity * sizeof(*grown));
    if (!grown) {
        comparison->out_of_memory = true;
        return false;
    }
    comparison->to_fetch = grown;
    comparison->to_fetch_capacity = capacity;
    return true;
}

static void add_to_fetch(const struct replicator *replicator, struct comparison *comparison,
                         struct instance *key_only)
{
    if (comparison->skipped < comparison->skip) {
        comparison->skipped++;
        return;
    }
    if (comparison->to_fetch_count >= replicator->options.fetch_max) {
        comparison->is_cut = true;
        return;
    }
    if (reserve_to_fetch(comparison))
        comparison->to_fetch[comparison->to_fetch_count++] =
            (struct record_copy){.instance = instance_ref(key_only)};
}

/* Counts what this node has taken from the peer, or failed to take. */
static void count_fetched(enum error error, struct replicator *replicator,
                          struct comparison *comparison, struct moment now)
{
    if (error == ERR_VERSION_AHEAD)
        replicator_check_clocks(replicator, now);
    if (error) {
        comparison->is_incomplete = true;
        return;
    }
    replicator->stats.fetched++;
    replicator->fetched_ms = now.mono_ms;
}

/* An instance whose lease has ended, and that no guard of its node keeps. */
static bool has_ended(const struct replicator *replicator, const struct wire_record *record)
{
    return !record->deleted && !record->is_guarded &&
           record->age_ms >= registry_ttl_ms(replicator->registry);
}

static void note_unshared(struct replicator *replicator, const struct peer *peer,
                          const struct record_copy *own)
{
    if (!own->deleted)
        registry_note_unshared(replicator->registry, replicator_peer_number(replicator, peer) + 1,
                               own->hlc);
}

/* The peer lacks this record, or has an older one. */
static void repair(struct replicator *replicator, struct peer *peer, const struct record_copy *own)
{
    note_unshared(replicator, peer, own);
    batch_repair(replicator, peer, instance_packed_key(own->instance));
}

/* Compares the peer's record of one key with this node's. An unknown one whose lease has ended is
 * left to the lease check of the peer: if this node has evicted it, the instance would return until
 * that check ends. A node that is starting takes it from a ready peer, to serve what it serves. */
static void compare_record(struct replicator *replicator, struct peer *peer,
                           struct instance *key_only, const struct wire_record *theirs,
                           struct moment now)
{
    struct comparison *comparison = &peer->comparison;
    struct record_copy *own_record = find_own(comparison, key_only);
    if (own_record)
        comparison->seen[own_record - comparison->own] = true;
    int order = -1; /* of this node's record to the peer's */
    bool lacks_weight = false;
    bool takes_ended = !replicator->ready && peer->is_ready;
    if (own_record) {
        struct wire_record own = registry_wire_record(replicator->registry, own_record, now);
        order = record_order_compare(record_order_of(&own), record_order_of(theirs));
        lacks_weight = theirs->has_weight && !own.has_weight;
    }
    if (order > 0) {
        repair(replicator, peer, own_record);
        if (!theirs->deleted && registry_apply_renewal(replicator->registry, theirs, now))
            return; /* it was removed meanwhile */
    } else if (theirs->deleted) {
        if (order < 0)
            count_fetched(registry_apply_unregister(replicator->registry, theirs, now), replicator,
                          comparison, now);
    } else if (order == 0) {
        if (registry_apply_renewal(replicator->registry, theirs, now) || lacks_weight)
            add_to_fetch(replicator, comparison, key_only); /* or it was removed meanwhile */
    } else if (own_record || takes_ended || !has_ended(replicator, theirs)) {
        add_to_fetch(replicator, comparison, key_only);
    }
}

/* The number of a key among the items of a fetch; the count of items: it is none of them. */
static size_t find_item(const struct message *message, struct instance *key_only)
{
    struct record_copy wanted = {.instance = key_only};
    const struct record_copy *item = bsearch(&wanted, message->items, message->count,
                                             sizeof(*message->items), record_copy_compare);
    return item ? (size_t)(item - message->items) : message->count;
}

static void take_fetched(struct replicator *replicator, struct comparison *comparison,
                         const struct message *message, const struct wire_record *record,
                         struct moment now)
{
    size_t number = record->instance ? find_item(message, record->instance) : message->count;
    if (number == message->count || record->deleted)
        return;
    enum error error = registry_apply(replicator->registry, record, now);
    count_fetched(error, replicator, comparison, now);
    if (number < comparison->fetched_count)
        return; /* the peer repeats it */
    comparison->fetched_count = number + 1;
    if (!error && comparison->skip)
        comparison->skip--;
}

void anti_entropy_on_record(struct replicator *replicator, struct peer *peer,
                            const struct message *message, const struct wire_record *record,
                            struct moment now)
{
    if (message->kind == MESSAGE_FETCH) {
        if (peer->comparison.step == COMPARISON_FETCH)
            take_fetched(replicator, &peer->comparison, message, record, now);
        return;
    }
    if (peer->comparison.step != COMPARISON_LIST ||
        !load_own(replicator, &peer->comparison, message))
        return;
    struct instance *key_only = instance_of_key(wire_record_key(record), 0);
    if (!key_only) {
        peer->comparison.out_of_memory = true;
        return;
    }
    compare_record(replicator, peer, key_only, record, now);
    instance_unref(key_only);
}

/* Sends the peer what it did not list. It stores a tombstone of a key that it does not know, so
 * that a late registration does not bring the instance back. */
static void repair_missing(struct replicator *replicator, struct peer *peer,
                           const struct message *message, struct moment now)
{
    struct comparison *comparison = &peer->comparison;
    if (!load_own(replicator, comparison, message))
        return;
    for (size_t i = 0; i < comparison->own_count; i++) {
        struct wire_record own =
            registry_wire_record(replicator->registry, &comparison->own[i], now);
        if (comparison->seen[i])
            continue;
        if (has_ended(replicator, &own)) /* it may be renewed here later */
            note_unshared(replicator, peer, &comparison->own[i]);
        else
            repair(replicator, peer, &comparison->own[i]);
    }
}

/* Chooses the buckets of the next list: after a list with too many keys to fetch, the same ones
 * again, fewer at a time. */
static void end_list(struct replicator *replicator, struct comparison *comparison,
                     const struct message *message)
{
    if (!comparison->is_cut) {
        comparison->skip = 0;
        comparison->buckets_max *= 2;
        if (comparison->buckets_max > ANTI_ENTROPY_BUCKETS_MAX)
            comparison->buckets_max = ANTI_ENTROPY_BUCKETS_MAX;
        return;
    }
    replicator->stats.lists_cut++;
    for (int i = 0; i < DIGEST_BUCKETS / 64; i++)
        comparison->differ.bits[i] |= message->buckets.bits[i];
    if (comparison->buckets_max > 1)
        comparison->buckets_max /= 2;
    else
        comparison->skip += comparison->to_fetch_count; /* less those that will be taken */
}

/* Fetches again what follows the last record that the peer sent. If it sent none, it has none. */
static void end_fetch(struct comparison *comparison, struct message *message)
{
    if (comparison->fetched_count == 0)
        return;
    while (message->count > comparison->fetched_count)
        comparison->to_fetch[comparison->to_fetch_count++] = message->items[--message->count];
}

/* The peer holds this node's records, as the comparison has shown. */
static void share_records(const struct replicator *replicator, const struct peer *peer)
{
    if (replicator->was_ready && peer->epoch)
        registry_end_sharing(replicator->registry, replicator_peer_number(replicator, peer) + 1,
                             peer->epoch);
}

/* Nothing is left to list or to fetch, or it took too long. */
static void complete_comparison(struct replicator *replicator, struct peer *peer, struct moment now)
{
    bool is_incomplete = peer->comparison.is_incomplete;
    if (is_incomplete) {
        replicator->stats.incomplete++;
    } else {
        replicator->stats.comparisons++;
        if (peer->is_ready) /* else another one follows when it is */
            peer->view.compared_ms = now.mono_ms;
        peer->missing_ms = 0;
        share_records(replicator, peer);
    }
    end_comparison(replicator, peer, now);
    if (is_incomplete && !replicator->ready)
        peer->comparison.next_ms = now.mono_ms + BOOTSTRAP_FRESH_MS;
}

void anti_entropy_on_result(struct replicator *replicator, struct peer *peer,
                            struct message *message, enum send_result result, struct moment now)
{
    struct comparison *comparison = &peer->comparison;
    if (comparison->step == COMPARISON_IDLE)
        return; /* the peer went down meanwhile */
    if (message->kind == MESSAGE_LIST && result == SEND_DELIVERED)
        repair_missing(replicator, peer, message, now);
    if (result != SEND_DELIVERED || comparison->out_of_memory) {
        end_comparison(replicator, peer, now);
        if (result == SEND_RETRYABLE)
            comparison->next_ms = peer->retry_ms;
        return;
    }
    if (message->kind == MESSAGE_LIST)
        end_list(replicator, comparison, message);
    if (message->kind == MESSAGE_FETCH)
        end_fetch(comparison, message);
    free_own(comparison);
    bool has_more = comparison->to_fetch_count || any_differ(comparison);
    if (has_more && now.mono_ms < comparison->started_ms + replicator->options.snapshot_timeout_ms)
        return;
    comparison->is_incomplete |= has_more;
    complete_comparison(replicator, peer, now);
}
