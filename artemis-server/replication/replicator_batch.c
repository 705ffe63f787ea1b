/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes and renewals: from the dirty lists of the registry into the outboxes, from there into
 * messages, and back into the outbox when a message failed. Also what is shown of a peer.
 */
#include "artemis-core/base/sim_bug.h"
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

/* Nothing is kept for a peer that is not up. A legacy peer is not compared. */
static bool may_lack_changes(const struct peer *peer)
{
    bool may_return = peer->health == PEER_DOWN || peer->health == PEER_INCOMPATIBLE ||
                      peer->health == PEER_UNAUTHORIZED;
    return peer->joined && may_return && !peer->is_legacy;
}

static void note_missing(struct peer *peer, uint64_t touched_ms)
{
    if (may_lack_changes(peer) && !peer->missing_ms)
        peer->missing_ms = touched_ms;
}

typedef size_t drain_records(struct registry *registry, struct record_copy *out, size_t max);

static void drain(struct replicator *replicator, drain_records *drain_list, bool renewals)
{
    struct record_copy copies[256];
    size_t count;
    while ((count = drain_list(replicator->registry, copies, 256))) {
        for (uint32_t p = 0; p < REPLICATOR_PEERS_MAX; p++) {
            struct peer *peer = &replicator->peers[p];
            if (!peer->joined || peer->health != PEER_UP) {
                note_missing(peer, copies[0].touched_ms);
                continue;
            }
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

const struct message_limits *peer_limits(const struct peer *peer)
{
    static const struct message_limits local = {
        .items_max = MESSAGE_ITEMS_MAX,
        .register_bytes_max = MESSAGE_BYTES_MAX,
        .buckets_max = ANTI_ENTROPY_BUCKETS_MAX,
        .fetch_items_max = FETCH_ITEMS_MAX,
        .lease_check_ms = LEASE_CHECK_TIMEOUT_MS,
    };
    static const struct message_limits remote = {
        .items_max = REMOTE_ITEMS_MAX,
        .register_bytes_max = REMOTE_BYTES_MAX,
        .buckets_max = REMOTE_BUCKETS_MAX,
        .fetch_items_max = REMOTE_FETCH_ITEMS_MAX,
        .lease_check_ms = REMOTE_LEASE_CHECK_TIMEOUT_MS,
    };
    return peer->is_remote ? &remote : &local;
}

/* The number of items of the next message. For renewals it doubles while more are pending than fit,
 * so load makes messages larger instead of more frequent; it shrinks again afterwards. */
static uint32_t batch_size(const struct replicator *replicator, struct peer *peer,
                           enum outbox_queue queue)
{
    uint32_t pending = outbox_count(&peer->outbox, queue);
    uint32_t items_max = peer_limits(peer)->items_max;
    if (peer->register_batch > items_max)
        peer->register_batch = items_max;
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

/* --- renewals of remote peers ----------------------------------------------------------------- */

/* A share of the time-to-live, so that a renewal arrives long before its lease ends there. */
static uint64_t remote_interval_ms(const struct replicator *replicator)
{
    uint64_t max_ms = registry_ttl_ms(replicator->registry) / REMOTE_BATCH_TTL_SHARE;
    uint64_t interval_ms = replicator->options.remote_batch_ms;
    if (SIM_BUG(16)) /* leases end before a renewal reaches them */
        return registry_ttl_ms(replicator->registry);
    return interval_ms < max_ms ? interval_ms : max_ms;
}

uint64_t batch_due_ms(const struct peer *peer)
{
    bool is_waiting = peer->is_remote && !peer->in_flight[MESSAGE_RENEW] &&
                      outbox_count(&peer->outbox, QUEUE_RENEW);
    return is_waiting ? peer->renew_due_ms : UINT64_MAX;
}

/* Renewals wait in the outbox of a remote peer: its interval is longer than that of the dirty
 * lists. All that are pending are sent at its end. */
static bool waits_for_interval(const struct replicator *replicator, const struct peer *peer,
                               enum outbox_queue queue, struct moment now)
{
    return queue == QUEUE_RENEW && peer->is_remote && now.mono_ms < peer->renew_due_ms &&
           !replicator->flushing;
}

static void start_interval(const struct replicator *replicator, struct peer *peer,
                           struct moment now)
{
    if (outbox_count(&peer->outbox, QUEUE_RENEW) == 0)
        peer->renew_due_ms = now.mono_ms + remote_interval_ms(replicator);
}

static uint64_t oldest_of(const struct message *message)
{
    uint64_t oldest_ms = UINT64_MAX;
    for (size_t i = 0; i < message->count; i++)
        if (!message->items[i].is_repair && message->items[i].touched_ms < oldest_ms)
            oldest_ms = message->items[i].touched_ms;
    return oldest_ms == UINT64_MAX ? 0 : oldest_ms;
}

/* What was put back is at the end of its queue: a message that empties it has all of that. A later
 * change of a key takes its older record out of the queue, too. */
static void note_emptied(struct peer *peer, enum outbox_queue queue)
{
    if (outbox_count(&peer->outbox, queue) == 0)
        peer->oldest[queue].returned_ms = 0;
}

static void note_sent(struct peer *peer, enum outbox_queue queue, const struct message *message)
{
    peer->oldest[queue].sent_ms = oldest_of(message);
    note_emptied(peer, queue);
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
        note_emptied(peer, queue);
        if (peer->in_flight[kind] || outbox_count(&peer->outbox, queue) == 0 ||
            waits_for_interval(replicator, peer, queue, now))
            continue;
        uint32_t max = batch_size(replicator, peer, queue);
        struct message *message = message_create(replicator, peer, kind, max, now);
        if (!message)
            return NULL;
        size_t bytes_max =
            queue == QUEUE_REGISTER ? peer_limits(peer)->register_bytes_max : MESSAGE_BYTES_MAX;
        message->count = outbox_take(&peer->outbox, queue, message->items, max, bytes_max);
        if (queue == QUEUE_RENEW)
            start_interval(replicator, peer, now);
        note_sent(peer, queue, message);
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
    uint64_t oldest_ms = oldest_of(message);
    uint64_t *returned_ms = &peer->oldest[queue_of_kind(message->kind)].returned_ms;
    if (oldest_ms && (!*returned_ms || oldest_ms < *returned_ms))
        *returned_ms = oldest_ms;
    for (size_t i = 0; i < message->count; i++) {
        if (!outbox_put_back(&peer->outbox, &message->items[i], queue_of_kind(message->kind)))
            continue;
        record_copy_unref(&message->items[i]);
        peer->view.items_dropped++;
        peer->comparison.next_ms = 0;
    }
    message->count = 0; /* the outbox owns the references now */
    note_emptied(peer, queue_of_kind(message->kind));
}

void batch_on_result(struct replicator *replicator, struct peer *peer, struct message *message,
                     enum send_result result, struct moment now)
{
    (void)replicator;
    peer->oldest[queue_of_kind(message->kind)].sent_ms = 0;
    if (result == SEND_DELIVERED) {
        measure_lag(peer, message, now);
        if (peer->register_batch < peer_limits(peer)->items_max)
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

/* --- status ----------------------------------------------------------------------------------- */

static uint64_t earlier_of(uint64_t a_ms, uint64_t b_ms)
{
    return !a_ms || (b_ms && b_ms < a_ms) ? b_ms : a_ms;
}

/* The time of the oldest change or renewal that the peer has not acknowledged; 0: none. */
static uint64_t oldest_unacknowledged_ms(const struct peer *peer)
{
    uint64_t pending_ms = outbox_oldest_ms(&peer->outbox);
    uint64_t oldest_ms = pending_ms == UINT64_MAX ? 0 : pending_ms;
    for (int queue = 0; queue < QUEUE_COUNT; queue++)
        oldest_ms = earlier_of(
            oldest_ms, earlier_of(peer->oldest[queue].sent_ms, peer->oldest[queue].returned_ms));
    return earlier_of(oldest_ms, peer->missing_ms);
}

void batch_on_peer_down(struct peer *peer)
{
    peer->missing_ms = may_lack_changes(peer) ? oldest_unacknowledged_ms(peer) : 0;
    for (int queue = 0; queue < QUEUE_COUNT; queue++)
        peer->oldest[queue].sent_ms = peer->oldest[queue].returned_ms = 0;
}

/* A peer that is up responds to a health check in each interval. */
static bool is_suspect(const struct replicator *replicator, const struct peer *peer,
                       struct moment now)
{
    uint64_t interval_ms = replicator->options.health_interval_ms;
    return peer->health == PEER_UP && !peer_is_failing(peer) &&
           now.mono_ms >= peer->view.last_response_ms + interval_ms + interval_ms / 2;
}

void replicator_view(const struct replicator *replicator, uint32_t number, struct moment now,
                     struct peer_view *view)
{
    const struct peer *peer = &replicator->peers[number];
    *view = peer->view;
    view->joined = peer->joined;
    view->health = peer->health;
    if (peer->health == PEER_UP && peer_is_incompatible(peer))
        view->health = PEER_INCOMPATIBLE; /* until it accepts an update */
    view->is_failing = peer_is_failing(peer);
    view->is_tried = view->is_failing && peer->health == PEER_UP;
    if (view->is_failing)
        view->health = PEER_DOWN; /* until it accepts a message */
    view->is_ready = peer->is_ready && !view->is_failing;
    view->is_legacy = peer->is_legacy;
    view->is_remote = peer->is_remote;
    view->is_blocking = peer->health == PEER_BLOCKED && peer->is_blocking;
    view->failures = peer->failures;
    view->outbox_bytes = outbox_bytes(&peer->outbox);
    for (int queue = 0; queue < QUEUE_COUNT; queue++)
        view->backlog += outbox_count(&peer->outbox, queue);
    view->is_suspect = is_suspect(replicator, peer, now);
    uint64_t oldest_ms = oldest_unacknowledged_ms(peer);
    view->has_unacknowledged = oldest_ms;
    view->oldest_ms = oldest_ms && oldest_ms < now.mono_ms ? now.mono_ms - oldest_ms : 0;
    view->events_waiting = events_waiting(replicator, peer);
}

void replicator_stats(const struct replicator *replicator, struct replicator_stats *stats)
{
    *stats = replicator->stats;
}

/* --- shutdown --------------------------------------------------------------------------------- */

void replicator_flush(struct replicator *replicator)
{
    for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX && SIM_BUG(18); i++)
        outbox_clear(&replicator->peers[i].outbox); /* what is pending is not sent */
    replicator->flushing = true;
}

bool replicator_is_idle(const struct replicator *replicator)
{
    for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX; i++) {
        const struct peer *peer = &replicator->peers[i];
        if (!peer->joined || peer->health != PEER_UP)
            continue;
        if (peer_has_update_in_flight(peer) || !events_are_idle(replicator, peer))
            return false;
        if (!peer->is_legacy && (!peer->goodbye_sent || peer->in_flight[MESSAGE_GOODBYE]))
            return false;
        for (int queue = 0; queue < QUEUE_COUNT; queue++)
            if (outbox_count(&peer->outbox, queue))
                return false;
    }
    return true;
}
