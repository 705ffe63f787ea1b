/* SPDX-License-Identifier: Apache-2.0
 *
 * Anti-entropy: compares this node with a peer by 1,024 bucket digests, then key by key in the
 * buckets that differ. Newer records there are fetched. Newer records here go into the outbox of
 * the peer, which may send them after the round.
 *
 * A round counts as a comparison only if this node has taken every record that is newer there:
 *   - If more than fetch_max keys of a list are to be fetched, these are fetched first. Then the
 *     same buckets are listed again, fewer at a time. What was fetched does not differ any more.
 *     In a list of a single bucket, as many keys are skipped as were fetched in vain: the others
 *     follow them.
 *   - A peer leaves out records beyond the size limit of its response. It sends records in the
 *     order of the request, so what follows the last one is fetched again.
 *   - If a record is refused, or memory is short, the round does not count.
 *   - Neither does one that takes longer than a snapshot may: it ends, and what it has taken does
 *     not differ in the next one. A peer whose lists never end would keep this node busy.
 */
#include "artemis-server/replication/replicator_internal.h"

#include <stdlib.h>
#include <string.h>

#include "artemis-core/base/sim_bug.h"
#include "artemis-core/model/record_order.h"

static void free_own(struct round *round)
{
    for (size_t i = 0; i < round->own_count; i++)
        record_copy_unref(&round->own[i]);
    free(round->own);
    free(round->seen);
    round->own = NULL;
    round->seen = NULL;
    round->own_count = 0;
}

void round_reset(struct round *round)
{
    free_own(round);
    for (size_t i = 0; i < round->to_fetch_count; i++)
        record_copy_unref(&round->to_fetch[i]);
    free(round->to_fetch);
    *round = (struct round){.next_ms = round->next_ms};
}

/* Ends the round, complete or not, and schedules the next one. */
static void end_round(struct replicator *replicator, struct peer *peer, struct moment now)
{
    round_reset(&peer->round);
    uint64_t interval_ms = replicator->options.anti_entropy_ms;
    /* The jitter keeps nodes that started together from comparing at the same moment. */
    peer->round.next_ms =
        now.mono_ms + interval_ms - replicator_random(replicator, interval_ms / 8 + 1);
}

/* --- sending ---------------------------------------------------------------------------------- */

static struct message *fetch_message(struct replicator *replicator, struct peer *peer,
                                     struct moment now)
{
    struct round *round = &peer->round;
    size_t count =
        round->to_fetch_count < FETCH_ITEMS_MAX ? round->to_fetch_count : FETCH_ITEMS_MAX;
    struct message *message = message_create(replicator, peer, MESSAGE_FETCH, count, now);
    if (!message)
        return NULL;
    round->to_fetch_count -= count;
    memcpy(message->items, round->to_fetch + round->to_fetch_count,
           count * sizeof(*message->items));
    message->count = count;
    qsort(message->items, count, sizeof(*message->items), record_copy_compare); /* for find_item */
    round->fetched_count = 0;
    round->step = ROUND_FETCH;
    return message;
}

/* Asks for the keys of the next buckets that differ. */
static struct message *list_message(struct replicator *replicator, struct peer *peer,
                                    struct moment now)
{
    struct round *round = &peer->round;
    struct message *message = message_create(replicator, peer, MESSAGE_LIST, 0, now);
    if (!message)
        return NULL;
    uint32_t max = round->buckets_max ? round->buckets_max : ANTI_ENTROPY_BUCKETS_MAX;
    uint32_t taken = 0;
    for (uint32_t bucket = 0; bucket < DIGEST_BUCKETS && taken < max; bucket++) {
        if (!bucket_set_has(&round->differ, bucket))
            continue;
        bucket_set_add(&message->buckets, bucket);
        round->differ.bits[bucket / 64] &= ~((uint64_t)1 << (bucket % 64));
        taken++;
    }
    round->buckets_max = taken;
    round->is_incomplete |= round->skip != 0;
    round->skipped = 0;
    round->is_cut = false;
    round->step = ROUND_LIST;
    return message;
}

static bool any_differ(const struct round *round)
{
    for (int i = 0; i < DIGEST_BUCKETS / 64; i++)
        if (round->differ.bits[i])
            return true;
    return false;
}

static bool has_message_in_flight(const struct peer *peer)
{
    return peer->in_flight[MESSAGE_DIGEST] || peer->in_flight[MESSAGE_LIST] ||
           peer->in_flight[MESSAGE_FETCH];
}

uint64_t anti_entropy_due_ms(const struct replicator *replicator, const struct peer *peer)
{
    bool has_something = replicator->ready || replicator->snapshot_ms;
    if (peer->is_legacy || has_message_in_flight(peer) || replicator->flushing || !has_something ||
        !peer->is_ready)
        return UINT64_MAX;
    return peer->round.next_ms;
}

struct message *anti_entropy_next(struct replicator *replicator, struct peer *peer,
                                  struct moment now)
{
    struct round *round = &peer->round;
    if (peer->is_legacy || has_message_in_flight(peer) || replicator->flushing)
        return NULL;
    if (round->to_fetch_count)
        return fetch_message(replicator, peer, now);
    if (any_differ(round))
        return list_message(replicator, peer, now);
    if (now.mono_ms < anti_entropy_due_ms(replicator, peer))
        return NULL;
    struct message *message = message_create(replicator, peer, MESSAGE_DIGEST, 0, now);
    if (message) {
        round->step = ROUND_DIGEST;
        round->started_ms = now.mono_ms;
        registry_begin_sharing(replicator->registry, message->peer + 1, now);
    }
    return message;
}

/* --- responses -------------------------------------------------------------------------------- */

void anti_entropy_on_digests(struct replicator *replicator, struct peer *peer,
                             const uint64_t digests[DIGEST_BUCKETS])
{
    struct round *round = &peer->round;
    uint64_t own[DIGEST_BUCKETS];
    if (round->step != ROUND_DIGEST)
        return;
    registry_digests(replicator->registry, own);
    round->differing = 0;
    struct bucket_set equal = {0};
    for (uint32_t bucket = 0; bucket < DIGEST_BUCKETS; bucket++) {
        if (own[bucket] == digests[bucket] || SIM_BUG(8)) {
            bucket_set_add(&equal, bucket);
            continue;
        }
        bucket_set_add(&round->differ, bucket);
        round->differing++;
    }
    if (!replicator->was_ready)
        registry_note_equal_buckets(replicator->registry, &equal);
    replicator->stats.differences += round->differing;
    peer->view.differing = round->differing;
}

static bool load_own(struct replicator *replicator, struct round *round,
                     const struct message *message)
{
    if (round->seen)
        return true;
    if (round->out_of_memory)
        return false;
    round->out_of_memory = registry_list_buckets(replicator->registry, &message->buckets,
                                                 &round->own, &round->own_count) != ERR_NONE;
    if (!round->out_of_memory) {
        round->seen = calloc(round->own_count + 1, sizeof(*round->seen));
        round->out_of_memory = !round->seen;
    }
    if (round->out_of_memory) {
        free_own(round);
        return false;
    }
    if (round->own_count)
        qsort(round->own, round->own_count, sizeof(*round->own), record_copy_compare);
    return true;
}

static struct record_copy *find_own(struct round *round, const struct instance *key_only)
{
    struct record_copy to_fetch = {.instance = (struct instance *)key_only};
    return round->own_count ? bsearch(&to_fetch, round->own, round->own_count, sizeof(*round->own),
                                      record_copy_compare)
                            : NULL;
}

/* False: out of memory. */
static bool reserve_to_fetch(struct round *round)
{
    if (round->to_fetch_count < round->to_fetch_capacity)
        return true;
    size_t capacity = round->to_fetch_capacity ? round->to_fetch_capacity * 2 : 64;
    struct record_copy *grown = realloc(round->to_fetch, capacity * sizeof(*grown));
    if (!grown) {
        round->out_of_memory = true;
        return false;
    }
    round->to_fetch = grown;
    round->to_fetch_capacity = capacity;
    return true;
}

static void add_to_fetch(const struct replicator *replicator, struct round *round,
                         struct instance *key_only)
{
    if (round->skipped < round->skip) {
        round->skipped++;
        return;
    }
    if (round->to_fetch_count >= replicator->options.fetch_max) {
        round->is_cut = true;
        return;
    }
    if (reserve_to_fetch(round))
        round->to_fetch[round->to_fetch_count++] =
            (struct record_copy){.instance = instance_ref(key_only)};
}

/* Counts what this node has taken from the peer, or failed to take. */
static void count_fetched(enum error error, struct replicator *replicator, struct round *round,
                          struct moment now)
{
    if (error == ERR_VERSION_AHEAD)
        replicator_check_clocks(replicator, now);
    if (error) {
        round->is_incomplete = true;
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
 * that check ends. A node that is starting takes it, to serve what its peers serve. */
static void compare_record(struct replicator *replicator, struct peer *peer,
                           struct instance *key_only, const struct wire_record *theirs,
                           struct moment now)
{
    struct round *round = &peer->round;
    struct record_copy *own_record = find_own(round, key_only);
    if (own_record)
        round->seen[own_record - round->own] = true;
    int order = -1; /* of this node's record to the peer's */
    if (own_record) {
        struct wire_record own = registry_wire_record(replicator->registry, own_record, now);
        order = record_order_compare(record_order_of(&own), record_order_of(theirs));
    }
    if (order > 0) {
        repair(replicator, peer, own_record);
        if (!theirs->deleted && registry_apply_renewal(replicator->registry, theirs, now))
            return; /* it was removed meanwhile */
    } else if (theirs->deleted) {
        if (order < 0)
            count_fetched(registry_apply_unregister(replicator->registry, theirs, now), replicator,
                          round, now);
    } else if (order == 0) {
        if (registry_apply_renewal(replicator->registry, theirs, now))
            add_to_fetch(replicator, round, key_only); /* it was removed meanwhile */
    } else if (own_record || !replicator->ready || !has_ended(replicator, theirs)) {
        add_to_fetch(replicator, round, key_only);
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

static void take_fetched(struct replicator *replicator, struct round *round,
                         const struct message *message, const struct wire_record *record,
                         struct moment now)
{
    size_t number = record->instance ? find_item(message, record->instance) : message->count;
    if (number == message->count || record->deleted)
        return;
    enum error error = registry_apply(replicator->registry, record, now);
    count_fetched(error, replicator, round, now);
    if (number < round->fetched_count)
        return; /* the peer repeats it */
    round->fetched_count = number + 1;
    if (!error && round->skip)
        round->skip--;
}

void anti_entropy_on_record(struct replicator *replicator, struct peer *peer,
                            const struct message *message, const struct wire_record *record,
                            struct moment now)
{
    if (message->kind == MESSAGE_FETCH) {
        if (peer->round.step == ROUND_FETCH)
            take_fetched(replicator, &peer->round, message, record, now);
        return;
    }
    if (peer->round.step != ROUND_LIST || !load_own(replicator, &peer->round, message))
        return;
    struct instance *key_only = instance_of_key(wire_record_key(record), 0);
    if (!key_only) {
        peer->round.out_of_memory = true;
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
    struct round *round = &peer->round;
    if (!load_own(replicator, round, message))
        return;
    for (size_t i = 0; i < round->own_count; i++) {
        struct wire_record own = registry_wire_record(replicator->registry, &round->own[i], now);
        if (round->seen[i])
            continue;
        if (has_ended(replicator, &own)) /* it may be renewed here later */
            note_unshared(replicator, peer, &round->own[i]);
        else
            repair(replicator, peer, &round->own[i]);
    }
}

/* Chooses the buckets of the next list: after a list with too many keys to fetch, the same ones
 * again, fewer at a time. */
static void end_list(struct replicator *replicator, struct round *round,
                     const struct message *message)
{
    if (!round->is_cut) {
        round->skip = 0;
        round->buckets_max *= 2;
        if (round->buckets_max > ANTI_ENTROPY_BUCKETS_MAX)
            round->buckets_max = ANTI_ENTROPY_BUCKETS_MAX;
        return;
    }
    replicator->stats.lists_cut++;
    for (int i = 0; i < DIGEST_BUCKETS / 64; i++)
        round->differ.bits[i] |= message->buckets.bits[i];
    if (round->buckets_max > 1)
        round->buckets_max /= 2;
    else
        round->skip += round->to_fetch_count; /* less those that will be taken */
}

/* Fetches again what follows the last record that the peer sent. If it sent none, it has none. */
static void end_fetch(struct round *round, struct message *message)
{
    if (round->fetched_count == 0)
        return;
    while (message->count > round->fetched_count)
        round->to_fetch[round->to_fetch_count++] = message->items[--message->count];
}

/* The peer holds this node's records, as the round has shown. */
static void share_records(const struct replicator *replicator, const struct peer *peer)
{
    if (replicator->was_ready && peer->epoch)
        registry_end_sharing(replicator->registry, replicator_peer_number(replicator, peer) + 1,
                             peer->epoch);
}

/* Nothing is left to list or to fetch, or it took too long. */
static void complete_round(struct replicator *replicator, struct peer *peer, struct moment now)
{
    bool is_incomplete = peer->round.is_incomplete;
    if (is_incomplete) {
        replicator->stats.incomplete++;
    } else {
        replicator->stats.rounds++;
        peer->view.compared_ms = now.mono_ms;
        share_records(replicator, peer);
    }
    end_round(replicator, peer, now);
    if (is_incomplete && !replicator->ready)
        peer->round.next_ms = now.mono_ms + BOOTSTRAP_FRESH_MS;
}

void anti_entropy_on_result(struct replicator *replicator, struct peer *peer,
                            struct message *message, enum send_result result, struct moment now)
{
    struct round *round = &peer->round;
    if (round->step == ROUND_IDLE)
        return; /* the peer went down meanwhile */
    if (message->kind == MESSAGE_LIST && result == SEND_DELIVERED)
        repair_missing(replicator, peer, message, now);
    if (result != SEND_DELIVERED || round->out_of_memory) {
        end_round(replicator, peer, now);
        if (result == SEND_RETRYABLE)
            round->next_ms = peer->retry_ms;
        return;
    }
    if (message->kind == MESSAGE_LIST)
        end_list(replicator, round, message);
    if (message->kind == MESSAGE_FETCH)
        end_fetch(round, message);
    free_own(round);
    bool has_more = round->to_fetch_count || any_differ(round);
    if (has_more && now.mono_ms < round->started_ms + replicator->options.snapshot_timeout_ms)
        return;
    round->is_incomplete |= has_more;
    complete_round(replicator, peer, now);
}
