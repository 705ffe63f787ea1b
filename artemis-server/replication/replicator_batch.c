/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes and renewals: from the dirty lists of the registry into the outboxes, from there into
 * messages, and back into the outbox when a message failed.
 */
#include "artemis-server/replication/replicator_internal.h"

const uint64_t lag_bounds_ms[LAG_BOUNDS] = {1,   2,   5,   10,   20,   50,   100,
                                            150, 200, 500, 1000, 5000, 30000};

/* --- from the dirty lists to the outboxes ----------------------------------------------------- */

/* Without memory the record is left to anti-entropy. */
static void add_to_outbox(struct peer *peer, struct record_copy copy, enum outbox_queue queue)
{
    copy = record_copy_ref(&copy);
    if (outbox_put(&peer->outbox, &copy, queue)) {
        record_copy_unref(&copy);
        peer->view.items_dropped++;
        peer->comparison.next_ms = 0;
    }
}

static enum outbox_queue queue_of(const struct record_copy *copy)
{
    return copy->deleted ? QUEUE_UNREGISTER : QUEUE_REGISTER;
}

typedef size_t drain_records(struct registry *registry, struct record_copy *out, size_t max);

static void drain(struct replicator *replicator, drain_records *drain_list, bool renewals)
{
    struct record_copy copies[256];
    size_t count;
    while ((count = drain_list(replicator->registry, copies, 256))) {
        for (uint32_t p = 0; p < REPLICATOR_PEERS_MAX; p++) {
            struct peer *peer = &replicator->peers[p];
            if (!peer->joined || peer->health != PEER_UP)
                continue;
            for (size_t i = 0; i < count; i++)
                add_to_outbox(peer, copies[i], renewals ? QUEUE_RENEW : queue_of(&copies[i]));
        }
        for (size_t i = 0; i < count; i++)
            record_copy_unref(&copies[i]);
    }
}

void replicator_drain_dirty(struct replicator *replicator, struct moment now)
{
    drain(replicator, registry_drain_changes, false);
    if (now.mono_ms >= replicator->renew_due_ms || replicator->flushing) {
        drain(replicator, registry_drain_renewals, true);
        replicator->renew_due_ms = now.mono_ms + replicator->options.batch_interval_ms;
    }
    lease_check_drain(replicator, now);
}

void batch_repair(struct replicator *replicator, struct peer *peer, struct slice packed_key)
{
    struct record_copy copy;
    if (!registry_read_key(replicator->registry, packed_key, &copy))
        return; /* it was removed meanwhile */
    copy.is_repair = true;
    peer->view.repairs++;
    if (!outbox_put(&peer->outbox, &copy, queue_of(&copy)))
        return;
    record_copy_unref(&copy);
    peer->view.items_dropped++;
}

/* --- sending ---------------------------------------------------------------------------------- */

static const enum message_kind kind_of_queue[QUEUE_COUNT] = {
    [QUEUE_REGISTER] = MESSAGE_REGISTER,
    [QUEUE_UNREGISTER] = MESSAGE_UNREGISTER,
    [QUEUE_RENEW] = MESSAGE_RENEW,
};

static enum outbox_queue queue_of_kind(enum message_kind kind)
{
    switch (kind) {
    case MESSAGE_REGISTER:
        return QUEUE_REGISTER;
    case MESSAGE_UNREGISTER:
        return QUEUE_UNREGISTER;
    default:
        return QUEUE_RENEW;
    }
}

/* The number of items of the next message. For renewals it doubles while more are pending than fit,
 * so load makes messages larger instead of more frequent; it shrinks again afterwards. */
static uint32_t batch_size(const struct replicator *replicator, struct peer *peer,
                           enum outbox_queue queue)
{
    uint32_t pending = outbox_count(&peer->outbox, queue);
    if (queue != QUEUE_RENEW)
        return pending < peer->register_batch ? pending : peer->register_batch;
    if (pending > peer->renew_batch)
        peer->renew_batch *= 2;
    else if (pending < peer->renew_batch / 4)
        peer->renew_batch /= 2;
    if (peer->renew_batch < replicator->options.batch_size)
        peer->renew_batch = replicator->options.batch_size;
    if (peer->renew_batch > peer->register_batch)
        peer->renew_batch = peer->register_batch;
    return pending < peer->renew_batch ? pending : peer->renew_batch;
}

struct message *batch_next(struct replicator *replicator, struct peer *peer, struct moment now)
{
    static const enum outbox_queue order[] = {QUEUE_UNREGISTER, QUEUE_REGISTER, QUEUE_RENEW};
    /* A legacy peer knows no stamps: the last message wins, so messages go one at a time. */
    if (peer->is_legacy && peer_has_update_in_flight(peer))
        return NULL;
    for (size_t i = 0; i < QUEUE_COUNT; i++) {
        enum outbox_queue queue = order[i];
        enum message_kind kind = kind_of_queue[queue];
        if (peer->in_flight[kind] || outbox_count(&peer->outbox, queue) == 0)
            continue;
        uint32_t max = batch_size(replicator, peer, queue);
        struct message *message = message_create(replicator, peer, kind, max, now);
        if (!message)
            return NULL;
        message->count = outbox_take(&peer->outbox, queue, message->items, max, MESSAGE_BYTES_MAX);
        peer->view.items[kind] += message->count;
        return message;
    }
    return NULL;
}

/* --- results ---------------------------------------------------------------------------------- */

static void measure_lag(struct peer *peer, const struct message *message, struct moment now)
{
    for (size_t i = 0; i < message->count; i++) {
        const struct record_copy *copy = &message->items[i];
        if (copy->is_repair)
            continue;
        uint64_t lag_ms = now.mono_ms > copy->touched_ms ? now.mono_ms - copy->touched_ms : 0;
        int bound = 0;
        while (bound < LAG_BOUNDS && lag_ms > lag_bounds_ms[bound])
            bound++;
        peer->view.lag[bound]++;
        peer->view.lag_sum_ms += lag_ms;
        peer->view.last_lag_ms = lag_ms;
    }
}

static void put_back(struct peer *peer, struct message *message)
{
    for (size_t i = 0; i < message->count; i++) {
        if (!outbox_put_back(&peer->outbox, &message->items[i], queue_of_kind(message->kind)))
            continue;
        record_copy_unref(&message->items[i]);
        peer->view.items_dropped++;
        peer->comparison.next_ms = 0;
    }
    message->count = 0; /* the outbox owns the references now */
}

void batch_on_result(struct replicator *replicator, struct peer *peer, struct message *message,
                     enum send_result result, struct moment now)
{
    (void)replicator;
    if (result == SEND_DELIVERED) {
        measure_lag(peer, message, now);
        if (peer->register_batch < MESSAGE_ITEMS_MAX)
            peer->register_batch++; /* grows again slowly */
        return;
    }
    bool is_down = peer->health != PEER_UP;
    bool retry = result == SEND_RETRYABLE || (result == SEND_TOO_LARGE && message->count > 1);
    if (is_down || !retry) {
        peer->view.items_dropped += message->count;
        if (result == SEND_REJECTED || result == SEND_TOO_LARGE)
            peer->view.items_rejected += message->count;
        return; /* anti-entropy brings a peer that was down up to date */
    }
    if (result == SEND_TOO_LARGE)
        peer->register_batch = (uint32_t)(message->count / 2);
    put_back(peer, message);
}
