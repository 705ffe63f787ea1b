/* SPDX-License-Identifier: Apache-2.0
 *
 * Bootstrap: from the start until this node is ready. It copies the snapshot of one ready peer,
 * then compares itself with every other ready peer, for at most BOOTSTRAP_COMPARE_MS.
 */
#include "artemis-server/replication/replicator_internal.h"

#include <stdlib.h>

#include "artemis-core/base/sim_bug.h"

/* --- the start -------------------------------------------------------------------------------- */

/* A peer whose snapshot may still be had. A peer that is starting itself has none. */
static bool may_have_snapshot(const struct peer *peer)
{
    if (!peer->joined || peer->snapshot_tried)
        return false;
    return peer->health == PEER_NEW || peer->in_flight[MESSAGE_SNAPSHOT] ||
           (peer->health == PEER_UP && peer->is_ready);
}

struct message *bootstrap_next(struct replicator *replicator, struct peer *peer, struct moment now)
{
    bool has_snapshot = replicator->snapshot_ms != 0;
    if (replicator->ready || peer->snapshot_tried || !peer->is_ready ||
        (has_snapshot && !peer->is_legacy))
        return NULL;
    for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX; i++) {
        const struct peer *other = &replicator->peers[i];
        if (other->joined && other->in_flight[MESSAGE_SNAPSHOT])
            return NULL; /* one snapshot at a time */
        if (!has_snapshot && peer->is_legacy && !other->is_legacy && may_have_snapshot(other))
            return NULL; /* legacy peers come last, and add what no other peer knows */
    }
    struct message *message = message_create(replicator, peer, MESSAGE_SNAPSHOT, 0, now);
    if (message)
        message->timeout_ms = replicator->options.snapshot_timeout_ms;
    return message;
}

void bootstrap_on_record(struct replicator *replicator, const struct wire_record *record,
                         struct moment now)
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
}

static void become_ready(struct replicator *replicator, struct moment now)
{
    replicator->ready = true;
    replicator->stats.bootstrap_ms = now.mono_ms - replicator->started.mono_ms;
}

void bootstrap_on_result(struct replicator *replicator, struct peer *peer,
                         const struct message *message, enum send_result result, struct moment now)
{
    if (result == SEND_DELIVERED) {
        peer->snapshot_tried = true;
        if (!replicator->snapshot_ms)
            replicator->snapshot_ms = now.mono_ms;
        return;
    }
    peer->snapshot_failures++;
    bool is_too_slow = now.mono_ms >= message->sent_ms + replicator->options.snapshot_timeout_ms;
    if (result != SEND_RETRYABLE || is_too_slow ||
        peer->snapshot_failures > replicator->options.max_retries)
        peer->snapshot_tried = true;
}

/* The peer that sent the snapshot may have been separated from others until a moment ago, so
 * this node compares itself with every ready peer before it is ready; of a legacy peer it reads
 * the list. Peers with failures are skipped. */
static bool needs_comparison(const struct peer *peer)
{
    if (!peer->joined || peer->failures)
        return false;
    bool is_compared = peer->is_legacy ? peer->snapshot_tried : peer->view.compared_ms != 0;
    return peer->health == PEER_NEW || (peer->health == PEER_UP && peer->is_ready && !is_compared);
}

void bootstrap_check_ready(struct replicator *replicator, struct moment now)
{
    bool has_snapshot = replicator->snapshot_ms != 0;
    if (replicator->ready)
        return;
    for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX; i++) {
        const struct peer *peer = &replicator->peers[i];
        if (SIM_BUG(6))
            break; /* ready before the snapshot */
        if (has_snapshot ? needs_comparison(peer) && now.mono_ms < bootstrap_deadline_ms(replicator)
                         : may_have_snapshot(peer))
            return;
    }
    become_ready(replicator, now);
}

uint64_t bootstrap_deadline_ms(const struct replicator *replicator)
{
    if (replicator->ready || !replicator->snapshot_ms)
        return UINT64_MAX;
    return replicator->snapshot_ms + BOOTSTRAP_COMPARE_MS;
}

bool replicator_is_ready(const struct replicator *replicator)
{
    return replicator->ready;
}
