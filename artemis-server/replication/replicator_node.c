/* SPDX-License-Identifier: Apache-2.0
 *
 * This node among its peers: how it starts, and what it asks before a lease ends.
 */
#include "artemis-server/replication/replicator_internal.h"

#include <stdlib.h>

/* --- the start -------------------------------------------------------------------------------- */

struct message *start_next(struct replicator *replica, struct peer *peer, struct moment now)
{
    if (replica->ready || replica->snapshot_ms || peer->snapshot_tried || !peer->is_ready)
        return NULL;
    for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX; i++)
        if (replica->peers[i].joined && replica->peers[i].under_way[MESSAGE_SNAPSHOT])
            return NULL; /* one at a time is enough */
    return replicator_message(replica, peer, MESSAGE_SNAPSHOT, 0, now);
}

void start_told(struct replicator *replica, const struct wire_record *record, struct moment now)
{
    enum error error = record->deleted ? registry_apply_unregister(replica->registry, record, now)
                                       : registry_apply(replica->registry, record, now);
    if (!error)
        replica->stats.snapshot_records++;
}

static void become_ready(struct replicator *replica, struct moment now)
{
    replica->ready = true;
    replica->stats.started_in_ms = now.mono_ms - replica->started.mono_ms;
}

void start_done(struct replicator *replica, struct peer *peer, enum send_result fate,
                struct moment now)
{
    if (fate == SEND_DELIVERED) {
        peer->snapshot_tried = true;
        if (!replica->snapshot_ms)
            replica->snapshot_ms = now.mono_ms;
        return;
    }
    peer->snapshot_failures++;
    if (fate != SEND_RETRYABLE || peer->snapshot_failures > replica->options.max_retries)
        peer->snapshot_tried = true;
}

/* A peer that may yet give this node what it needs. One that is starting itself has nothing. */
static bool may_help(const struct peer *peer)
{
    if (!peer->joined || peer->snapshot_tried)
        return false;
    return peer->health == PEER_NEW || peer->under_way[MESSAGE_SNAPSHOT] ||
           (peer->health == PEER_UP && peer->is_ready);
}

/* The peer with the snapshot may itself have been cut off from another until a moment ago: this
 * node compares with everyone before it speaks for them. One that is in trouble is not waited
 * for. */
static bool is_to_be_compared(const struct peer *peer)
{
    if (!peer->joined || peer->failures)
        return false;
    return peer->health == PEER_NEW || (peer->health == PEER_UP && peer->is_ready &&
                                        !peer->is_legacy && !peer->view.compared_ms);
}

void start_check(struct replicator *replica, struct moment now)
{
    bool has_snapshot = replica->snapshot_ms != 0;
    if (replica->ready)
        return;
    for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX; i++) {
        const struct peer *peer = &replica->peers[i];
        if (has_snapshot ? is_to_be_compared(peer) && now.mono_ms < start_deadline_ms(replica)
                         : may_help(peer))
            return;
    }
    become_ready(replica, now);
}

uint64_t start_deadline_ms(const struct replicator *replica)
{
    if (replica->ready || !replica->snapshot_ms)
        return UINT64_MAX;
    return replica->snapshot_ms + START_COMPARE_MS;
}

bool replicator_is_ready(const struct replicator *replica)
{
    return replica->ready;
}

/* --- questions -------------------------------------------------------------------------------- */

/* All have answered. What one of them could not read is asked again, in halves. */
static void settle(struct replicator *replica, struct moment now)
{
    struct question *question = &replica->question;
    for (size_t i = 0; i < question->count; i++) {
        struct slice key = instance_packed_key(question->items[i].instance);
        if (question->is_too_large)
            registry_ask_again(replica->registry, key);
        else
            registry_settle(replica->registry, key, now);
        peer_state_drop(&question->items[i]);
    }
    if (question->is_too_large)
        replica->question_max = (uint32_t)(question->count / 2);
    else
        replica->stats.settled += question->count;
    if (!question->is_too_large && replica->question_max < MESSAGE_ITEMS_MAX)
        replica->question_max++; /* back to larger ones, slowly */
    free(question->items);
    *question = (struct question){0};
}

static uint64_t peers_that_are_up(const struct replicator *replica)
{
    uint64_t bits = 0;
    for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX; i++)
        if (replica->peers[i].joined && replica->peers[i].health == PEER_UP &&
            !replica->peers[i].is_legacy)
            bits |= (uint64_t)1 << i;
    return bits;
}

/* One question at a time: what ends meanwhile goes into the next. */
void question_gather(struct replicator *replica, struct moment now)
{
    struct question *question = &replica->question;
    if (now.mono_ms >= question->opened_ms + QUESTION_TIMEOUT_MS)
        question->to_ask = 0; /* those that could not be asked yet are in trouble themselves */
    if (question->count && !question->asked && !question->to_ask)
        settle(replica, now);
    if (question->count)
        return;
    struct peer_state states[64];
    size_t max = replica->question_max;
    size_t count = registry_take_questions(replica->registry, states, max < 64 ? max : 64);
    if (count == 0)
        return;
    question->items = malloc(MESSAGE_ITEMS_MAX * sizeof(*question->items));
    if (!question->items) { /* the patience of the registry ends them */
        while (count)
            peer_state_drop(&states[--count]);
        return;
    }
    for (size_t i = 0; i < count; i++)
        question->items[i] = states[i];
    question->count =
        count + registry_take_questions(replica->registry, question->items + count, max - count);
    question->opened_ms = now.mono_ms;
    replica->stats.questions += question->count;
    question->to_ask = peers_that_are_up(replica);
    if (question->to_ask == 0)
        settle(replica, now);
}

struct message *question_next(struct replicator *replica, struct peer *peer, struct moment now)
{
    struct question *question = &replica->question;
    uint64_t bit = (uint64_t)1 << replicator_number(replica, peer);
    if (!(question->to_ask & bit) || peer->under_way[MESSAGE_LEASE_CHECK])
        return NULL;
    struct message *message =
        replicator_message(replica, peer, MESSAGE_LEASE_CHECK, question->count, now);
    if (!message)
        return NULL;
    for (size_t i = 0; i < question->count; i++) {
        message->items[i] = question->items[i];
        instance_ref(message->items[i].instance);
    }
    message->count = question->count;
    message->timeout_ms = QUESTION_TIMEOUT_MS;
    question->to_ask &= ~bit;
    question->asked |= bit;
    return message;
}

void question_told(struct replicator *replica, const struct wire_record *record, struct moment now)
{
    struct wire_record renewal = *record;
    renewal.stamp = (struct stamp){0}; /* only the lease is of interest here */
    if (!registry_apply_renewal(replica->registry, &renewal, now))
        replica->stats.refuted++;
}

void question_forget(struct replicator *replica, const struct peer *peer)
{
    uint64_t bit = (uint64_t)1 << replicator_number(replica, peer);
    replica->question.asked &= ~bit;
    replica->question.to_ask &= ~bit;
}

void question_closed(struct replicator *replica, struct peer *peer, struct moment now)
{
    struct question *question = &replica->question;
    if (question->count == 0)
        return;
    question_forget(replica, peer);
    if (!question->asked && !question->to_ask)
        settle(replica, now);
}

void question_done(struct replicator *replica, struct peer *peer, bool too_large, struct moment now)
{
    struct question *question = &replica->question;
    if (!(question->asked >> replicator_number(replica, peer) & 1))
        return; /* of an earlier question */
    if (too_large && question->count > 1)
        question->is_too_large = true;
    question_closed(replica, peer, now);
}
