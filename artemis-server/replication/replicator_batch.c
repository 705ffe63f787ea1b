/* SPDX-License-Identifier: Apache-2.0
 *
 * What was noted in the registry, on its way to the peers.
 */
#include "artemis-server/replication/replicator_internal.h"

const uint64_t lag_bounds_ms[LAG_BOUNDS] = {1,   2,   5,   10,   20,   50,   100,
                                            150, 200, 500, 1000, 5000, 30000};

/* --- gathering -------------------------------------------------------------------------------- */

/* A peer that cannot be told for lack of memory is compared with instead. */
static void tell_peer(struct peer *peer, struct peer_state state, enum outbox_queue queue)
{
    instance_ref(state.instance);
    if (outbox_put(&peer->outbox, &state, queue)) {
        peer_state_drop(&state);
        peer->view.items_dropped++;
        peer->sync.next_ms = 0;
    }
}

static enum outbox_queue queue_of(const struct peer_state *state)
{
    return state->deleted ? QUEUE_UNREGISTER : QUEUE_REGISTER;
}

typedef size_t take_states(struct registry *registry, struct peer_state *out, size_t max);

static void gather(struct replicator *replica, take_states *take, bool renewals)
{
    struct peer_state states[256];
    size_t count;
    while ((count = take(replica->registry, states, 256))) {
        for (uint32_t p = 0; p < REPLICATOR_PEERS_MAX; p++) {
            struct peer *peer = &replica->peers[p];
            if (!peer->joined || peer->health != PEER_UP)
                continue;
            for (size_t i = 0; i < count; i++)
                tell_peer(peer, states[i], renewals ? QUEUE_RENEW : queue_of(&states[i]));
        }
        for (size_t i = 0; i < count; i++)
            peer_state_drop(&states[i]);
    }
}

void replicator_gather(struct replicator *replica, struct moment now)
{
    gather(replica, registry_take_changes, false);
    if (now.mono_ms >= replica->renew_due_ms || replica->draining) {
        gather(replica, registry_take_renewals, true);
        replica->renew_due_ms = now.mono_ms + replica->options.batch_interval_ms;
    }
    question_gather(replica, now);
}

void batch_repair(struct replicator *replica, struct peer *peer, struct slice packed_key)
{
    struct peer_state state;
    if (!registry_read(replica->registry, packed_key, &state))
        return; /* it has gone meanwhile */
    state.is_repair = true;
    peer->view.repairs++;
    if (!outbox_put(&peer->outbox, &state, queue_of(&state)))
        return;
    peer_state_drop(&state);
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

/* How much one message takes. That of renewals doubles while more is pending than it takes, so that
 * load makes messages larger, not more; and comes down again. */
static uint32_t batch_size(const struct replicator *replica, struct peer *peer,
                           enum outbox_queue queue)
{
    uint32_t pending = outbox_count(&peer->outbox, queue);
    if (queue != QUEUE_RENEW)
        return pending < peer->register_batch ? pending : peer->register_batch;
    if (pending > peer->renew_batch)
        peer->renew_batch *= 2;
    else if (pending < peer->renew_batch / 4)
        peer->renew_batch /= 2;
    if (peer->renew_batch < replica->options.batch_size)
        peer->renew_batch = replica->options.batch_size;
    if (peer->renew_batch > peer->register_batch)
        peer->renew_batch = peer->register_batch;
    return pending < peer->renew_batch ? pending : peer->renew_batch;
}

struct message *batch_next(struct replicator *replica, struct peer *peer, struct moment now)
{
    static const enum outbox_queue order[] = {QUEUE_UNREGISTER, QUEUE_REGISTER, QUEUE_RENEW};
    /* Without versions, what comes last wins: one after the other. */
    if (peer->is_legacy && peer_is_being_told(peer))
        return NULL;
    for (size_t i = 0; i < QUEUE_COUNT; i++) {
        enum outbox_queue queue = order[i];
        enum message_kind kind = kind_of_queue[queue];
        if (peer->under_way[kind] || outbox_count(&peer->outbox, queue) == 0)
            continue;
        uint32_t max = batch_size(replica, peer, queue);
        struct message *message = replicator_message(replica, peer, kind, max, now);
        if (!message)
            return NULL;
        message->count = outbox_take(&peer->outbox, queue, message->items, max, MESSAGE_BYTES_MAX);
        peer->view.items[kind] += message->count;
        return message;
    }
    return NULL;
}

/* --- what came of it -------------------------------------------------------------------------- */

static void measure(struct peer *peer, const struct message *message, struct moment now)
{
    for (size_t i = 0; i < message->count; i++) {
        const struct peer_state *state = &message->items[i];
        if (state->is_repair)
            continue;
        uint64_t lag_ms = now.mono_ms > state->touched_ms ? now.mono_ms - state->touched_ms : 0;
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
        peer_state_drop(&message->items[i]);
        peer->view.items_dropped++;
        peer->sync.next_ms = 0;
    }
    message->count = 0; /* their references have moved */
}

void batch_done(struct replicator *replica, struct peer *peer, struct message *message,
                enum send_result fate, struct moment now)
{
    (void)replica;
    if (fate == SEND_DELIVERED) {
        measure(peer, message, now);
        if (peer->register_batch < MESSAGE_ITEMS_MAX)
            peer->register_batch++; /* back to larger messages, slowly */
        return;
    }
    bool is_down = peer->health != PEER_UP;
    bool again = fate == SEND_RETRYABLE || (fate == SEND_TOO_LARGE && message->count > 1);
    if (is_down || !again) {
        peer->view.items_dropped += message->count;
        return; /* a peer that is down is compared with when it comes back */
    }
    if (fate == SEND_TOO_LARGE)
        peer->register_batch = (uint32_t)(message->count / 2);
    put_back(peer, message);
}
