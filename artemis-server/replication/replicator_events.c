/* SPDX-License-Identifier: Apache-2.0
 *
 * Events of topics: what this node publishes is sent to every peer that is up, each event at most
 * once to each process of a peer, in order.
 *
 * The events wait in one ring that all peers share; each peer has a position in it. A peer that is
 * behind by more than the ring holds loses the oldest. At most one message with events is in flight
 * to a peer; while one is, the next ones wait and are sent together. A message that failed is sent
 * again as it is, before later events, and the peer admits each event of it once (event_order.h).
 * It is not sent to another process of the peer: the earlier one may have delivered it. A peer that
 * is not up gets no events, not even later: what was published meanwhile is dropped. A message that
 * the peer refuses, as an older node does, is dropped too; one that is too large for it is sent in
 * halves, and the next ones grow again. All that is dropped is counted.
 */
#include "artemis-server/replication/replicator_internal.h"

#include <stdlib.h>
#include <string.h>

#include "artemis-core/base/sim_bug.h"

enum {
    EVENTS_REFUSED_PAUSE_MS = 1000, /* after a refused message; the health is checked meanwhile */
    EVENT_MESSAGE_BYTES_MAX = 256 * 1024,
};

static struct event **place(struct replicator *replicator, uint64_t position)
{
    return &replicator->events.items[position % EVENTS_WAITING_MAX];
}

static void drop(struct peer *peer, enum event_drop reason, uint64_t count)
{
    /* This node itself, blocked nodes and those of other clusters are no peers that lack events. */
    if (peer->health != PEER_SELF && peer->health != PEER_WRONG_CLUSTER &&
        peer->health != PEER_DUPLICATE_ID && peer->health != PEER_BLOCKED)
        peer->view.events_dropped[reason] += count;
}

static size_t batch_size(const struct event_batch *batch)
{
    return batch->count + batch->rest;
}

static void free_batch(struct event_batch *batch)
{
    for (size_t i = 0; i < batch_size(batch); i++)
        event_unref(batch->items[i]);
    free(batch->items);
    *batch = (struct event_batch){0};
}

/* Removes what no peer needs any more. */
static void trim(struct replicator *replicator)
{
    struct event_ring *events = &replicator->events;
    uint64_t needed = events->end;
    for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX; i++) {
        const struct peer *peer = &replicator->peers[i];
        if (peer->joined && peer->events_next < needed)
            needed = peer->events_next;
    }
    while (events->first < needed)
        event_unref(*place(replicator, events->first++));
}

/* --- events of this node ---------------------------------------------------------------------- */

/* Makes a place for another event. */
static void drop_oldest(struct replicator *replicator)
{
    struct event_ring *events = &replicator->events;
    for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX; i++) {
        struct peer *peer = &replicator->peers[i];
        if (!peer->joined || peer->events_next > events->first)
            continue;
        drop(peer, EVENT_DROP_QUEUE_FULL, 1);
        peer->events_next = events->first + 1;
    }
    event_unref(*place(replicator, events->first++));
}

void replicator_put_event(struct replicator *replicator, struct event *event)
{
    struct event_ring *events = &replicator->events;
    trim(replicator);
    if (events->end - events->first == EVENTS_WAITING_MAX)
        drop_oldest(replicator);
    *place(replicator, events->end++) = event;
    for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX; i++) {
        struct peer *peer = &replicator->peers[i];
        if (!peer->joined || (peer->health == PEER_UP && !peer->is_legacy))
            continue;
        drop(peer, peer->is_legacy ? EVENT_DROP_REFUSED : EVENT_DROP_PEER_DOWN, 1);
        peer->events_next = events->end;
    }
}

void events_drop_all(struct replicator *replicator, struct peer *peer)
{
    drop(peer, EVENT_DROP_PEER_DOWN, batch_size(&peer->events_retry));
    if (!SIM_BUG(21)) /* a loss is not counted */
        drop(peer, EVENT_DROP_PEER_DOWN, replicator->events.end - peer->events_next);
    free_batch(&peer->events_retry);
    peer->events_max = 0;
    peer->events_next = replicator->events.end;
}

void events_free(struct replicator *replicator)
{
    for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX; i++)
        free_batch(&replicator->peers[i].events_retry);
    while (replicator->events.first < replicator->events.end)
        event_unref(*place(replicator, replicator->events.first++));
}

/* --- sending ---------------------------------------------------------------------------------- */

static bool has_waiting(const struct replicator *replicator, const struct peer *peer)
{
    return peer->events_retry.count || peer->events_next < replicator->events.end;
}

bool events_are_idle(const struct replicator *replicator, const struct peer *peer)
{
    return !has_waiting(replicator, peer) && !peer->in_flight[MESSAGE_EVENTS];
}

uint64_t events_due_ms(const struct replicator *replicator, const struct peer *peer)
{
    bool may_send = has_waiting(replicator, peer) && !peer->in_flight[MESSAGE_EVENTS];
    return may_send ? peer->events_due_ms : UINT64_MAX;
}

/* The limit of a message to the peer, where so many events wait. */
static size_t limit_of(const struct peer *peer, uint64_t waiting)
{
    uint64_t max = peer->events_max ? peer->events_max : EVENTS_PER_MESSAGE_MAX;
    return (size_t)(waiting < max ? waiting : max);
}

/* Moves the next events of a peer into a batch. False: no memory. */
static bool take_batch(struct replicator *replicator, struct peer *peer, struct event_batch *batch)
{
    size_t max = limit_of(peer, replicator->events.end - peer->events_next);
    size_t bytes = 0;
    *batch =
        (struct event_batch){.items = malloc(max * sizeof(*batch->items)), .to_epoch = peer->epoch};
    if (!batch->items)
        return false;
    while (batch->count < max && bytes < EVENT_MESSAGE_BYTES_MAX) {
        struct event *event = *place(replicator, peer->events_next++);
        batch->items[batch->count++] = event_ref(event);
        bytes += event->topic.size + event->payload.size;
    }
    return true;
}

/* The earlier process of the peer may have delivered the events. */
static void drop_of_earlier_process(struct peer *peer)
{
    if (!peer->events_retry.count || peer->events_retry.to_epoch == peer->epoch)
        return;
    drop(peer, EVENT_DROP_PEER_RESTARTED, batch_size(&peer->events_retry));
    free_batch(&peer->events_retry);
}

struct message *events_next(struct replicator *replicator, struct peer *peer, struct moment now)
{
    if (peer->in_flight[MESSAGE_EVENTS] || now.mono_ms < peer->events_due_ms)
        return NULL;
    drop_of_earlier_process(peer);
    if (!has_waiting(replicator, peer))
        return NULL;
    if (!peer->events_retry.count && !take_batch(replicator, peer, &peer->events_retry))
        return NULL;
    struct message *message = message_create(replicator, peer, MESSAGE_EVENTS, 0, now);
    if (!message)
        return NULL; /* the batch is sent later */
    message->events = peer->events_retry;
    peer->events_retry = (struct event_batch){0};
    trim(replicator);
    return message;
}

/* Takes the events of a message back; the first `count` of them are sent next. */
static void send_again(struct peer *peer, struct message *message, size_t count)
{
    peer->events_retry = message->events;
    peer->events_retry.rest = batch_size(&message->events) - count;
    peer->events_retry.count = count;
    message->events = (struct event_batch){0};
}

/* The peer has taken a message with so many events. The limit grows by one with each message that
 * had it: one event that is too large by itself must not slow down all later ones. */
static void raise_limit(struct peer *peer, size_t count)
{
    if (peer->events_max && count >= peer->events_max)
        peer->events_max = count + 1 < EVENTS_PER_MESSAGE_MAX ? count + 1 : 0;
}

/* The events of the message are done with. */
static void send_rest(struct peer *peer, struct message *message)
{
    struct event_batch *batch = &message->events;
    for (size_t i = 0; i < batch->count; i++)
        event_unref(batch->items[i]);
    memmove(batch->items, batch->items + batch->count, batch->rest * sizeof(*batch->items));
    batch->count = 0;
    if (batch->rest)
        send_again(peer, message, limit_of(peer, batch->rest));
}

void events_on_result(struct peer *peer, struct message *message, enum send_result result,
                      struct moment now)
{
    size_t count = message->events.count;
    if (peer->health != PEER_UP) {
        peer->view.events_delivered += result == SEND_DELIVERED ? count : 0;
        drop(peer, EVENT_DROP_PEER_DOWN,
             message->events.rest + (result == SEND_DELIVERED ? 0 : count));
        return;
    }
    if (result == SEND_DELIVERED) {
        peer->view.events_delivered += count;
        raise_limit(peer, count);
        send_rest(peer, message);
        return;
    }
    if (result == SEND_RETRYABLE) {
        send_again(peer, message, count);
        return;
    }
    if (result == SEND_TOO_LARGE && count > 1) {
        peer->events_max = count / 2;
        send_again(peer, message, count / 2);
        return;
    }
    drop(peer, EVENT_DROP_REFUSED, count);
    send_rest(peer, message);
    peer->events_due_ms = now.mono_ms + EVENTS_REFUSED_PAUSE_MS;
    if (now.mono_ms < peer->health_due_ms) /* it may be another process by now */
        peer->health_due_ms = now.mono_ms;
}

uint64_t events_waiting(const struct replicator *replicator, const struct peer *peer)
{
    return replicator->events.end - peer->events_next + batch_size(&peer->events_retry);
}

void event_batch_free(struct event_batch *batch)
{
    free_batch(batch);
}

const char *event_drop_word(enum event_drop reason)
{
    static const char *const words[EVENT_DROPS] = {
        [EVENT_DROP_PEER_DOWN] = "peer-down",
        [EVENT_DROP_QUEUE_FULL] = "queue-full",
        [EVENT_DROP_REFUSED] = "refused",
        [EVENT_DROP_PEER_RESTARTED] = "peer-restarted",
    };
    return words[reason];
}
