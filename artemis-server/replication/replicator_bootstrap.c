/* SPDX-License-Identifier: Apache-2.0
 *
 * Bootstrap: from the start until this node is ready. It copies the snapshot of one ready peer,
 * then compares itself with every ready peer, until no comparison has brought a record for
 * BOOTSTRAP_COMPARE_MS, for at most snapshot_timeout_ms. Where no peer has data, it waits until
 * clients have registered again: for bootstrap_refill_ms, from the moment at which every peer has
 * responded, or at the end of the grace. A node without any list of peers waits for one first, also
 * where it has loaded records.
 */
#include "artemis-server/replication/replicator_internal.h"

#include <stdlib.h>

#include "artemis-core/base/sim_bug.h"

/* --- the start -------------------------------------------------------------------------------- */

/* A ready peer refuses the token of this node, which waits: without the data of the cluster it
 * would serve empty lists. A peer that is starting has no data. One that became ready after clients
 * could register here has no more than this node. */
static bool blocks_unauthorized(const struct replicator *replicator, const struct peer *peer)
{
    return peer->health == PEER_UNAUTHORIZED && peer->was_ready && !replicator->has_refilled;
}

/* A peer whose snapshot may still be had. A peer that is starting itself has none. One that
 * compares itself after a stall has one soon. */
static bool may_have_snapshot(const struct replicator *replicator, const struct peer *peer)
{
    if (!peer->joined || peer->snapshot_tried)
        return false;
    return peer->health == PEER_NEW || peer->health_outdated || peer->in_flight[MESSAGE_SNAPSHOT] ||
           (peer->health == PEER_UP && (peer->is_ready || peer->is_comparing)) ||
           blocks_unauthorized(replicator, peer);
}

static bool has_snapshot_ready(const struct peer *peer)
{
    return peer->joined && !peer->is_legacy && peer->health == PEER_UP && peer->is_ready &&
           !peer->snapshot_tried;
}

struct message *bootstrap_next(struct replicator *replicator, struct peer *peer, struct moment now)
{
    bool has_snapshot = replicator->snapshot_ms != 0;
    if (replicator->was_ready || peer->snapshot_tried || !peer->is_ready ||
        (has_snapshot && !peer->is_legacy))
        return NULL;
    for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX; i++) {
        const struct peer *other = &replicator->peers[i];
        if (other->joined && other->in_flight[MESSAGE_SNAPSHOT])
            return NULL; /* one snapshot at a time */
        if (!has_snapshot && peer->is_legacy && !other->is_legacy &&
            may_have_snapshot(replicator, other))
            return NULL; /* legacy peers come last, and add what no other peer knows */
        if (!has_snapshot && peer->is_remote && !other->is_remote && has_snapshot_ready(other))
            return NULL; /* the snapshot does not travel between regions */
    }
    struct message *message = message_create(replicator, peer, MESSAGE_SNAPSHOT, 0, now);
    if (message)
        message->timeout_ms = replicator->options.snapshot_timeout_ms;
    return message;
}

void bootstrap_on_record(struct replicator *replicator, struct peer *peer,
                         const struct wire_record *record, struct moment now)
{
    struct registry *registry = replicator->registry;
    enum error error;
    if (record->deleted)
        error = registry_apply_unregister(registry, record, now);
    else if (record->stamp.hlc == 0)
        error = registry_apply_unstamped(registry, record, now);
    else
        error = registry_apply(registry, record, now);
    if (!error)
        replicator->stats.snapshot_records++;
    if (error == ERR_VERSION_AHEAD)
        peer->snapshot_is_ahead = true;
}

/* The peer that held the loaded records has said what it holds now. */
static bool has_sharer(const struct replicator *replicator)
{
    uint64_t epoch = registry_shared(replicator->registry).epoch;
    for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX; i++) {
        const struct peer *peer = &replicator->peers[i];
        if (epoch && peer->joined && peer->health == PEER_UP && peer->is_ready &&
            peer->epoch == epoch && peer->view.compared_ms)
            return true;
    }
    return false;
}

static void become_ready(struct replicator *replicator, struct moment now)
{
    replicator->ready = true;
    if (!replicator->was_ready) {
        replicator->stats.bootstrap_ms = now.mono_ms - replicator->started.mono_ms;
        replicator->stats.has_sharer = has_sharer(replicator);
    }
    replicator->was_ready = true;
    replicator->recomparing = false;
}

void bootstrap_on_result(struct replicator *replicator, struct peer *peer,
                         const struct message *message, enum send_result result, struct moment now)
{
    bool is_ahead = peer->snapshot_is_ahead;
    peer->snapshot_is_ahead = false;
    if (is_ahead) /* another member's clock may be ahead, as the next health response shows */
        peer->health_due_ms = now.mono_ms;
    if (result == SEND_DELIVERED && !is_ahead) {
        peer->snapshot_tried = true;
        replicator->stats.has_snapshot = true;
        if (!replicator->snapshot_ms)
            replicator->snapshot_ms = now.mono_ms;
        return;
    }
    if (result == SEND_UNAUTHORIZED) {
        peer->snapshot_tried = replicator->has_refilled; /* else it may accept this node later */
        return;
    }
    peer->snapshot_failures++;
    bool is_too_slow = now.mono_ms >= message->sent_ms + replicator->options.snapshot_timeout_ms;
    if ((result != SEND_RETRYABLE && !is_ahead) || is_too_slow ||
        peer->snapshot_failures > replicator->options.max_retries)
        peer->snapshot_tried = true;
}

/* The peer that sent the snapshot may have been separated from others until a moment ago, so
 * this node compares itself with every ready peer before it is ready; of a legacy peer it reads
 * the list. A comparison that fails is repeated, until the peer is down. A peer that has never
 * responded is skipped after its first failure, but not after a stall, when calls that were in
 * flight have failed. */
static bool needs_comparison(const struct replicator *replicator, const struct peer *peer)
{
    if (!peer->joined)
        return false;
    if (peer->health == PEER_NEW)
        return !peer->failures || replicator->recomparing;
    bool is_compared = peer->is_legacy ? peer->snapshot_tried || replicator->was_ready
                                       : peer->view.compared_ms != 0;
    return peer->health_outdated || (peer->health == PEER_UP && peer->is_ready && !is_compared);
}

/* Comparisons may take longer while they bring records: without these, this node would serve a part
 * of what its peers serve. */
static uint64_t compare_end_ms(const struct replicator *replicator)
{
    uint64_t start_ms = replicator->snapshot_ms;
    uint64_t limit_ms = start_ms + replicator->options.snapshot_timeout_ms;
    if (start_ms < replicator->fetched_ms)
        start_ms = replicator->fetched_ms;
    uint64_t end_ms = start_ms + BOOTSTRAP_COMPARE_MS;
    return end_ms < limit_ms ? end_ms : limit_ms;
}

static bool any_needs_comparison(const struct replicator *replicator)
{
    for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX; i++)
        if (needs_comparison(replicator, &replicator->peers[i]))
            return true;
    return false;
}

/* While this node waited for a peer that did not respond, the others may have received records from
 * a peer that does not reach this node. They do not forward them. */
static void repeat_old_comparisons(struct replicator *replicator, struct moment now)
{
    for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX; i++) {
        struct peer *peer = &replicator->peers[i];
        if (!peer->view.compared_ms || now.mono_ms - peer->view.compared_ms < BOOTSTRAP_FRESH_MS)
            continue;
        peer->view.compared_ms = 0;
        peer->comparison.next_ms = now.mono_ms;
    }
}

static bool is_compared(struct replicator *replicator, struct moment now)
{
    if (now.mono_ms >= compare_end_ms(replicator))
        return true;
    if (any_needs_comparison(replicator))
        return false;
    if (!replicator->has_repeated)
        repeat_old_comparisons(replicator, now);
    replicator->has_repeated = true;
    return !any_needs_comparison(replicator);
}

/* The membership providers have failed so far, and may find peers that have data. */
static bool lacks_topology(const struct replicator *replicator)
{
    return replicator->options.list_grace_ms && !replicator->has_topology;
}

/* A peer that cannot be reached or is not known yet may have data: it is waited for in the first
 * part of the grace. */
static uint64_t search_end_ms(const struct replicator *replicator)
{
    const struct replicator_options *options = &replicator->options;
    uint64_t grace_ms =
        lacks_topology(replicator) ? options->list_grace_ms : options->bootstrap_grace_ms;
    return replicator->started.mono_ms + grace_ms - options->bootstrap_refill_ms;
}

void replicator_on_topology(struct replicator *replicator)
{
    replicator->has_topology = true;
}

/* After the first part of the grace, a peer that fails again and again does not block the node. */
void bootstrap_on_peer_up(const struct replicator *replicator, struct peer *peer, struct moment now)
{
    if (replicator->was_ready || now.mono_ms >= search_end_ms(replicator))
        return;
    peer->snapshot_tried = false;
    peer->snapshot_failures = 0;
}

static uint64_t refill_end_ms(const struct replicator *replicator)
{
    return replicator->refill_ms + replicator->options.bootstrap_refill_ms;
}

/* Returns true when no peer has data, and clients had the time to register again: before that,
 * this node would serve empty lists. */
static bool is_refilled(struct replicator *replicator, struct moment now)
{
    bool is_searching = now.mono_ms < search_end_ms(replicator);
    bool any_down = lacks_topology(replicator);
    bool any_failing = false;
    for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX; i++) {
        const struct peer *peer = &replicator->peers[i];
        if (may_have_snapshot(replicator, peer)) {
            replicator->refill_ms = 0;
            return false;
        }
        any_down |= peer->joined && peer->health == PEER_DOWN;
        any_failing |= peer->joined && peer->failures > 0;
    }
    if (is_searching && any_down)
        replicator->refill_ms = 0;
    else if (!replicator->refill_ms)
        replicator->refill_ms = now.mono_ms;
    if (!replicator->refill_ms)
        return false;
    replicator->has_refilled = true;
    /* A peer that was starting and has failed since may have got data. */
    return now.mono_ms >= refill_end_ms(replicator) && !(is_searching && any_failing);
}

void bootstrap_check_ready(struct replicator *replicator, struct moment now)
{
    if (replicator->ready)
        return;
    bool is_done =
        replicator->snapshot_ms ? is_compared(replicator, now) : is_refilled(replicator, now);
    if (is_done || SIM_BUG(6)) /* ready before the snapshot */
        become_ready(replicator, now);
}

void bootstrap_on_health_result(const struct replicator *replicator, struct peer *peer,
                                const struct message *message, struct moment now)
{
    if (message->sent_ms >= replicator->stall_ms)
        peer->health_outdated = false;
    else if (peer->health_outdated)
        peer->health_due_ms = now.mono_ms; /* sent before the stall: again */
}

void replicator_recompare(struct replicator *replicator, struct moment now)
{
    replicator->stall_ms = now.mono_ms;
    for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX; i++) {
        struct peer *peer = &replicator->peers[i];
        peer->health_outdated = true;
        peer->health_due_ms = now.mono_ms;
        peer->retry_ms = now.mono_ms;
        peer->view.compared_ms = 0;
        comparison_reset(&peer->comparison); /* the response to an open one may be older */
        peer->comparison.next_ms = now.mono_ms;
    }
    replicator->refill_ms = 0; /* clients could not register meanwhile */
    if (!replicator->ready && !replicator->snapshot_ms)
        return;
    replicator->ready = false;
    replicator->recomparing = true;
    replicator->has_repeated = false;
    replicator->snapshot_ms = now.mono_ms; /* the comparisons are limited from now on */
}

uint64_t bootstrap_due_ms(const struct replicator *replicator, struct moment now)
{
    if (replicator->ready)
        return UINT64_MAX;
    if (replicator->snapshot_ms)
        return compare_end_ms(replicator);
    if (replicator->refill_ms && now.mono_ms < refill_end_ms(replicator))
        return refill_end_ms(replicator);
    uint64_t end_ms = search_end_ms(replicator);
    return now.mono_ms < end_ms ? end_ms : UINT64_MAX;
}

bool replicator_is_ready(const struct replicator *replicator)
{
    return replicator->ready;
}

enum bootstrap_phase replicator_phase(const struct replicator *replicator)
{
    if (replicator->ready)
        return BOOTSTRAP_READY;
    return replicator->refill_ms && !replicator->snapshot_ms ? BOOTSTRAP_REFILLING
                                                             : BOOTSTRAP_COPYING;
}
