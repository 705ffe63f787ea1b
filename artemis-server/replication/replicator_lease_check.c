/* SPDX-License-Identifier: Apache-2.0
 *
 * Lease checks: before a lease expires here, all peers that are up are asked for a later renewal,
 * in one check for all leases that are due together. A later renewal refutes the expiry; when all
 * have responded, or LEASE_CHECK_TIMEOUT_MS has passed, the expiry of the others is confirmed.
 */
#include "artemis-server/replication/replicator_internal.h"

#include <stdlib.h>

#include "artemis-core/base/sim_bug.h"

/* All peers have responded. A check that was too large for one of them is repeated in halves. */
static void finish_check(struct replicator *replicator, struct moment now)
{
    struct lease_check *check = &replicator->lease_check;
    for (size_t i = 0; i < check->count; i++) {
        struct slice key = instance_packed_key(check->items[i].instance);
        if (check->is_too_large)
            registry_retry_lease_check(replicator->registry, key);
        else
            registry_confirm_expiry(replicator->registry, key, now);
        key_state_unref(&check->items[i]);
    }
    if (check->is_too_large)
        replicator->lease_check_max = (uint32_t)(check->count / 2);
    else
        replicator->stats.confirmed += check->count;
    if (!check->is_too_large && replicator->lease_check_max < MESSAGE_ITEMS_MAX)
        replicator->lease_check_max++; /* grows again slowly */
    free(check->items);
    *check = (struct lease_check){0};
}

static uint64_t peers_to_ask(const struct replicator *replicator)
{
    uint64_t bits = 0;
    for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX; i++)
        if (replicator->peers[i].joined && replicator->peers[i].health == PEER_UP &&
            !replicator->peers[i].is_legacy && !SIM_BUG(4))
            bits |= (uint64_t)1 << i;
    return bits;
}

/* One check at a time: leases that become due meanwhile go into the next. */
void lease_check_drain(struct replicator *replicator, struct moment now)
{
    struct lease_check *check = &replicator->lease_check;
    if (now.mono_ms >= check->started_ms + LEASE_CHECK_TIMEOUT_MS)
        check->unsent = 0; /* peers in a backoff are not waited for */
    if (check->count && !check->unanswered && !check->unsent)
        finish_check(replicator, now);
    if (check->count)
        return;
    struct key_state states[64];
    size_t max = replicator->lease_check_max;
    size_t count = registry_drain_lease_checks(replicator->registry, states, max < 64 ? max : 64);
    if (count == 0)
        return;
    check->items = malloc(MESSAGE_ITEMS_MAX * sizeof(*check->items));
    if (!check->items) { /* the registry confirms them by itself after its time limit */
        while (count)
            key_state_unref(&states[--count]);
        return;
    }
    for (size_t i = 0; i < count; i++)
        check->items[i] = states[i];
    check->count = count + registry_drain_lease_checks(replicator->registry, check->items + count,
                                                       max - count);
    check->started_ms = now.mono_ms;
    replicator->stats.lease_checks += check->count;
    check->unsent = peers_to_ask(replicator);
    if (check->unsent == 0)
        finish_check(replicator, now);
}

struct message *lease_check_next(struct replicator *replicator, struct peer *peer,
                                 struct moment now)
{
    struct lease_check *check = &replicator->lease_check;
    uint64_t bit = (uint64_t)1 << replicator_peer_number(replicator, peer);
    if (!(check->unsent & bit) || peer->in_flight[MESSAGE_LEASE_CHECK])
        return NULL;
    struct message *message =
        message_create(replicator, peer, MESSAGE_LEASE_CHECK, check->count, now);
    if (!message)
        return NULL;
    for (size_t i = 0; i < check->count; i++) {
        message->items[i] = check->items[i];
        instance_ref(message->items[i].instance);
    }
    message->count = check->count;
    message->timeout_ms = LEASE_CHECK_TIMEOUT_MS;
    check->unsent &= ~bit;
    check->unanswered |= bit;
    return message;
}

void lease_check_on_record(struct replicator *replicator, const struct wire_record *record,
                           struct moment now)
{
    struct wire_record renewal = *record;
    renewal.stamp = (struct stamp){0}; /* only the renewal counts here */
    if (!registry_apply_renewal(replicator->registry, &renewal, now))
        replicator->stats.refuted++;
}

void lease_check_forget_peer(struct replicator *replicator, const struct peer *peer)
{
    uint64_t bit = (uint64_t)1 << replicator_peer_number(replicator, peer);
    replicator->lease_check.unanswered &= ~bit;
    replicator->lease_check.unsent &= ~bit;
}

void lease_check_close_peer(struct replicator *replicator, struct peer *peer, struct moment now)
{
    struct lease_check *check = &replicator->lease_check;
    if (check->count == 0)
        return;
    lease_check_forget_peer(replicator, peer);
    if (!check->unanswered && !check->unsent)
        finish_check(replicator, now);
}

void lease_check_on_result(struct replicator *replicator, struct peer *peer, bool too_large,
                           struct moment now)
{
    struct lease_check *check = &replicator->lease_check;
    if (!(check->unanswered >> replicator_peer_number(replicator, peer) & 1))
        return; /* of an earlier check */
    if (too_large && check->count > 1)
        check->is_too_large = true;
    lease_check_close_peer(replicator, peer, now);
}
