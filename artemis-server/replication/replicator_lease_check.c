/* SPDX-License-Identifier: Apache-2.0
 *
 * Lease checks: before a lease expires here, all peers that are up are asked for a later renewal,
 * in one check for all leases whose time runs out together. Legacy peers are not asked. A later
 * renewal refutes the expiry. A peer whose own guard keeps the lease makes this node keep it, too.
 *
 * A check has rounds. In the first round a peer responds with what it knows itself. A peer whose
 * own lease of the key has ended is confirming it, and responds with the number of its completed
 * rounds: after its round r it knows the renewals of all nodes that are up to r hops away. So this
 * node completes its round q + 1 when each peer has refuted, does not hold the key, or has
 * completed q rounds; a peer that is behind is asked again. After as many rounds as the longest way
 * to another node can have hops, the expiry is confirmed. That is one round for this node's peers,
 * and one more for each member that it cannot reach.
 *
 * A guard of this node decides by the leases whose renewals it knows. So the peers are also asked
 * about the leases that it keeps: in checks of their own, of one round, which confirm nothing, and
 * at a limited rate.
 *
 * No two nodes wait for each other: of all checks of a key, those with the fewest completed rounds
 * never wait. New checks start while others are in their later rounds, for the same reason.
 */
#include "artemis-server/replication/replicator_internal.h"

#include <stdlib.h>
#include <string.h>

#include "artemis-core/base/sim_bug.h"

enum {
    ASK_AGAIN_MS = 25, /* first interval at which a peer that is behind is asked again; doubles */
    ASK_AGAIN_MAX_MS = 400,
    ROUND_TRIPS = 3,     /* a round waits for a peer at most that many of its round trips */
    NEXT_CHECK_MS = 250, /* then the next check starts, even if one is in its first round */
    IN_FLIGHT_MAX = 3,   /* checks in the first round, and messages to a peer */
    GUARDED_MAX = 1000,  /* leases in a check of guarded ones; then the next one starts after */
    GUARDED_CHECK_MS = 250,
    TURN_MS = 500,   /* maximum interval between two turns while a check is open */
    PAUSE_MS = 1000, /* without a turn for longer, this process did not run */
};

/* --- peers ------------------------------------------------------------------------------------ */

static uint64_t bit_of(const struct replicator *replicator, const struct peer *peer)
{
    return (uint64_t)1 << replicator_peer_number(replicator, peer);
}

/* How long a round waits for a peer. */
static uint64_t limit_ms(const struct peer *peer)
{
    uint64_t ms = ROUND_TRIPS * peer->round_trip_ms;
    uint64_t min_ms = peer_limits(peer)->lease_check_ms;
    return ms > min_ms ? ms : min_ms;
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

/* Members that could take part in checks but did not respond to this one: what they know can only
 * arrive by way of others. */
static uint32_t count_unreachable(const struct replicator *replicator,
                                  const struct lease_check *check)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX; i++) {
        const struct peer *peer = &replicator->peers[i];
        bool is_member = peer->joined && !peer->is_legacy && peer->health != PEER_SELF &&
                         peer->health != PEER_WRONG_CLUSTER && peer->health != PEER_DUPLICATE_ID &&
                         peer->health != PEER_BLOCKED;
        count += is_member && !(check->responded >> i & 1);
    }
    return count;
}

static uint32_t rounds_required(const struct replicator *replicator,
                                const struct lease_check *check)
{
    uint32_t rounds = check->is_guarded ? 1 : 1 + count_unreachable(replicator, check);
    return rounds < LEASE_CHECK_ROUNDS_MAX ? rounds : LEASE_CHECK_ROUNDS_MAX;
}

/* --- checks ----------------------------------------------------------------------------------- */

static void free_check(struct lease_check *check)
{
    for (size_t i = 0; i < check->count; i++)
        record_copy_unref(&check->leases[i].copy);
    free(check->leases);
    free(check);
}

void lease_checks_free(struct replicator *replicator)
{
    struct lease_check *check;
    while ((check = TAILQ_FIRST(&replicator->lease_checks))) {
        TAILQ_REMOVE(&replicator->lease_checks, check, link);
        free_check(check);
    }
}

static struct slice key_of(const struct checked_lease *lease)
{
    return instance_packed_key(lease->copy.instance);
}

static struct checked_lease *find_lease(const struct lease_check *check, struct slice packed_key)
{
    size_t from = 0;
    size_t until = check->count;
    while (from < until) {
        size_t middle = (from + until) / 2;
        int order = packed_key_compare(key_of(&check->leases[middle]), packed_key);
        if (order == 0)
            return &check->leases[middle];
        if (order < 0)
            from = middle + 1;
        else
            until = middle;
    }
    return NULL;
}

/* The open check that this message belongs to; NULL: it has ended. */
static struct lease_check *find_check(const struct replicator *replicator,
                                      const struct message *message)
{
    struct lease_check *check;
    TAILQ_FOREACH (check, &replicator->lease_checks, link)
        if (check->number == message->check)
            return check;
    return NULL;
}

/* No response of these peers is needed in this round any more. */
static void stop_waiting(struct lease_check *check, uint64_t bits)
{
    if (!(check->needed & bits))
        return;
    check->needed &= ~bits;
    for (size_t i = 0; i < check->count; i++)
        check->leases[i].needed &= ~bits;
}

static void update_needed(struct lease_check *check)
{
    check->needed = 0;
    for (size_t i = 0; i < check->count; i++)
        check->needed |= check->leases[i].needed;
}

/* The expiry of the leases that are left is confirmed, unless they are guarded. */
static void finish_check(struct replicator *replicator, struct lease_check *check,
                         struct moment now)
{
    for (size_t i = 0; i < check->count && !check->is_guarded; i++) {
        if (check->leases[i].is_resolved)
            continue;
        registry_confirm_expiry(replicator->registry, key_of(&check->leases[i]), now);
        replicator->stats.confirmed++;
    }
    TAILQ_REMOVE(&replicator->lease_checks, check, link);
    free_check(check);
}

static void start_round(struct replicator *replicator, struct lease_check *check, struct moment now)
{
    uint64_t ask = peers_to_ask(replicator) & ~check->excluded;
    check->round_ms = now.mono_ms;
    check->needed = 0;
    memset(check->again_ms, 0, sizeof(check->again_ms));
    memset(check->interval_ms, 0, sizeof(check->interval_ms));
    for (size_t i = 0; i < check->count; i++) {
        struct checked_lease *lease = &check->leases[i];
        if (!lease->is_resolved && check->rounds > 0)
            lease->is_resolved =
                !registry_complete_round(replicator->registry, key_of(lease), check->rounds);
        lease->needed = lease->is_resolved ? 0 : ask & ~lease->not_held;
        check->needed |= lease->needed;
    }
}

/* The check goes on without the peer, which has not responded. */
static void exclude_peer(const struct replicator *replicator, struct lease_check *check,
                         const struct peer *peer)
{
    uint64_t bit = bit_of(replicator, peer);
    stop_waiting(check, bit);
    check->responded &= ~bit;
    check->excluded |= bit;
}

/* Excludes the peers that have not responded to this round in time. A peer that has responded and
 * is behind is asked again until the check ends. */
static void exclude_slow_peers(struct replicator *replicator, struct lease_check *check,
                               struct moment now)
{
    for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX && check->needed; i++) {
        const struct peer *peer = &replicator->peers[i];
        if (check->needed >> i & 1 && !check->again_ms[i] &&
            now.mono_ms >= check->round_ms + limit_ms(peer))
            exclude_peer(replicator, check, peer);
    }
}

/* Moves a check on as far as it goes without further responses; true: it has ended. */
static bool advance(struct replicator *replicator, struct lease_check *check, struct moment now)
{
    uint64_t max_ms = registry_lease_check_max_ms(replicator->registry);
    exclude_slow_peers(replicator, check, now);
    while (!check->needed && check->rounds < rounds_required(replicator, check)) {
        check->rounds++;
        if (check->rounds < rounds_required(replicator, check))
            start_round(replicator, check, now);
    }
    if (check->needed && now.mono_ms < check->started_ms + max_ms)
        return false;
    finish_check(replicator, check, now);
    return true;
}

static void advance_all(struct replicator *replicator, struct moment now)
{
    struct lease_check *next;
    for (struct lease_check *check = TAILQ_FIRST(&replicator->lease_checks); check; check = next) {
        next = TAILQ_NEXT(check, link);
        advance(replicator, check, now);
    }
}

/* Leases whose time runs out in the first round of a check go into the next one, for a time. */
static bool may_start(const struct replicator *replicator, struct moment now)
{
    const struct lease_check *check;
    unsigned count = 0;
    TAILQ_FOREACH (check, &replicator->lease_checks, link) {
        if (check->rounds > 0 || check->is_guarded)
            continue;
        if (now.mono_ms < check->started_ms + NEXT_CHECK_MS)
            return false;
        count++;
    }
    return count < IN_FLIGHT_MAX;
}

/* --- pauses ----------------------------------------------------------------------------------- */

/* Begins again, as if its leases had just come up: its messages and time limits passed while this
 * process did not run. Late responses to them still refute. */
static void restart_check(struct replicator *replicator, struct lease_check *check,
                          struct moment now)
{
    check->number = ++replicator->lease_check_number;
    check->started_ms = now.mono_ms;
    check->rounds = 0;
    check->in_flight = check->responded = check->excluded = 0;
    for (size_t i = 0; i < check->count; i++) {
        struct checked_lease *lease = &check->leases[i];
        lease->not_held = lease->listed = 0;
        if (!lease->is_resolved)
            lease->is_resolved = !registry_complete_round(replicator->registry, key_of(lease), 0);
    }
    start_round(replicator, check, now);
}

/* Called first in each turn. */
static void restart_after_pause(struct replicator *replicator, struct moment now)
{
    bool was_paused = now.mono_ms > replicator->lease_check_turn_ms + PAUSE_MS;
    struct lease_check *check;
    replicator->lease_check_turn_ms = now.mono_ms;
    if (was_paused)
        TAILQ_FOREACH (check, &replicator->lease_checks, link)
            restart_check(replicator, check, now);
}

/* --- the start -------------------------------------------------------------------------------- */

static size_t take_leases(struct replicator *replicator, bool guarded, struct record_copy *out,
                          size_t max, struct moment now)
{
    return guarded ? registry_drain_guarded(replicator->registry, out, max)
                   : registry_drain_lease_checks(replicator->registry, out, max, now);
}

/* A check of the leases that are confirming and in no check yet, or of guarded ones. NULL: there
 * are none, or no memory; then the registry confirms them by itself after its time limit. */
static struct lease_check *create_check(struct replicator *replicator, bool guarded,
                                        struct moment now)
{
    struct record_copy copies[64];
    size_t left = replicator->options.check_max;
    if (guarded && left > GUARDED_MAX)
        left = GUARDED_MAX;
    size_t taken = take_leases(replicator, guarded, copies, left < 64 ? left : 64, now);
    if (taken == 0)
        return NULL;
    struct lease_check *check = calloc(1, sizeof(*check));
    size_t capacity = 0;
    while (check && taken) {
        if (!check->leases || check->count + taken > capacity) {
            capacity = 2 * (check->count + taken);
            struct checked_lease *leases = realloc(check->leases, capacity * sizeof(*leases));
            if (!leases)
                break;
            check->leases = leases;
        }
        for (size_t i = 0; i < taken; i++)
            check->leases[check->count++] = (struct checked_lease){.copy = copies[i]};
        left -= taken;
        taken = take_leases(replicator, guarded, copies, left < 64 ? left : 64, now);
    }
    while (taken)
        record_copy_unref(&copies[--taken]);
    return check;
}

static void start_check(struct replicator *replicator, struct lease_check *check, struct moment now)
{
    check->number = ++replicator->lease_check_number;
    check->started_ms = now.mono_ms;
    if (check->count)
        qsort(check->leases, check->count, sizeof(*check->leases), record_copy_compare);
    if (!check->is_guarded)
        replicator->stats.lease_checks += check->count;
    TAILQ_INSERT_TAIL(&replicator->lease_checks, check, link);
    start_round(replicator, check, now);
    advance(replicator, check, now);
}

static bool has_guarded_check(const struct replicator *replicator)
{
    const struct lease_check *check;
    TAILQ_FOREACH (check, &replicator->lease_checks, link)
        if (check->is_guarded)
            return true;
    return false;
}

static void start_guarded_check(struct replicator *replicator, struct moment now)
{
    if (now.mono_ms < replicator->guarded_check_ms + GUARDED_CHECK_MS ||
        has_guarded_check(replicator))
        return;
    struct lease_check *check = create_check(replicator, true, now);
    if (!check)
        return;
    replicator->guarded_check_ms = now.mono_ms;
    check->is_guarded = true;
    start_check(replicator, check, now);
}

void lease_check_drain(struct replicator *replicator, struct moment now)
{
    restart_after_pause(replicator, now);
    advance_all(replicator, now);
    struct lease_check *check =
        may_start(replicator, now) ? create_check(replicator, false, now) : NULL;
    if (check)
        start_check(replicator, check, now);
    start_guarded_check(replicator, now);
}

/* --- messages --------------------------------------------------------------------------------- */

static struct message *message_for(struct replicator *replicator, struct peer *peer,
                                   struct lease_check *check, struct moment now)
{
    uint64_t bit = bit_of(replicator, peer);
    size_t max =
        check->count < replicator->lease_check_max ? check->count : replicator->lease_check_max;
    struct message *message = message_create(replicator, peer, MESSAGE_LEASE_CHECK, max, now);
    if (!message)
        return NULL;
    for (size_t i = 0; i < check->count && message->count < max; i++) {
        if (!(check->leases[i].needed & bit))
            continue;
        message->items[message->count++] = record_copy_ref(&check->leases[i].copy);
    }
    message->check = check->number;
    message->timeout_ms = limit_ms(peer);
    check->in_flight |= bit;
    peer->lease_checks++;
    return message;
}

struct message *lease_check_next(struct replicator *replicator, struct peer *peer,
                                 struct moment now)
{
    uint32_t number = replicator_peer_number(replicator, peer);
    struct lease_check *check;
    if (peer->lease_checks == IN_FLIGHT_MAX)
        return NULL;
    TAILQ_FOREACH (check, &replicator->lease_checks, link)
        if ((check->needed & ~check->in_flight) >> number & 1 &&
            now.mono_ms >= check->again_ms[number])
            return message_for(replicator, peer, check, now);
    return NULL;
}

/* When a check goes on with a peer that has responded and is behind. */
static uint64_t again_ms(const struct lease_check *check, const struct peer *peer, uint32_t number,
                         uint64_t end_ms)
{
    /* Its response to a message that is in flight is the next event. */
    if (check->in_flight >> number & 1 || peer->lease_checks == IN_FLIGHT_MAX)
        return end_ms;
    /* Nothing is sent before its backoff ends. */
    return check->again_ms[number] > peer->retry_ms ? check->again_ms[number] : peer->retry_ms;
}

uint64_t lease_check_due_ms(const struct replicator *replicator)
{
    const struct lease_check *check;
    uint64_t due_ms = UINT64_MAX;
    if (!TAILQ_EMPTY(&replicator->lease_checks))
        due_ms = replicator->lease_check_turn_ms + TURN_MS;
    TAILQ_FOREACH (check, &replicator->lease_checks, link) {
        uint64_t end_ms = check->started_ms + registry_lease_check_max_ms(replicator->registry);
        for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX; i++) {
            const struct peer *peer = &replicator->peers[i];
            if (!(check->needed >> i & 1))
                continue;
            uint64_t event_ms = check->again_ms[i] ? again_ms(check, peer, i, end_ms)
                                                   : check->round_ms + limit_ms(peer);
            due_ms = event_ms < due_ms ? event_ms : due_ms;
        }
        due_ms = end_ms < due_ms ? end_ms : due_ms;
    }
    return due_ms;
}

/* --- responses -------------------------------------------------------------------------------- */

/* A peer listed this key. Whether it has said all that this round needs. */
static bool is_round_answered(const struct lease_check *check, const struct wire_record *record)
{
    /* A lease that is active there, but not longer than here, is about to be confirmed there. */
    return record->is_guarded || check->rounds <= (record->is_confirming ? record->rounds : 0);
}

static bool is_guarded_by_peer(struct replicator *replicator, const struct wire_record *record,
                               struct moment now)
{
    return record->is_guarded &&
           registry_guard_for_peer(replicator->registry, wire_record_key(record), now);
}

/* Not any more, if a call or another message has renewed the lease since the round began. */
static bool is_confirming(struct replicator *replicator, const struct lease_check *check,
                          const struct checked_lease *lease)
{
    return registry_complete_round(replicator->registry, key_of(lease), check->rounds);
}

/* No peer is asked about the lease any more: the others of the check would wait for that. */
static void resolve(struct checked_lease *lease)
{
    lease->is_resolved = true;
    lease->needed = 0;
}

void lease_check_on_record(struct replicator *replicator, const struct message *message,
                           const struct wire_record *record, struct moment now)
{
    struct wire_record renewal = *record;
    renewal.stamp = (struct stamp){0}; /* only the renewal counts here */
    bool is_refuted = registry_refute_expiry(replicator->registry, &renewal, now);
    replicator->stats.refuted += is_refuted;
    struct lease_check *check = find_check(replicator, message);
    struct checked_lease *lease = check ? find_lease(check, wire_record_key(record)) : NULL;
    uint64_t bit = (uint64_t)1 << message->peer;
    if (!lease)
        return;
    lease->listed |= bit;
    bool is_over = is_refuted || is_guarded_by_peer(replicator, record, now);
    if (!is_over && is_round_answered(check, record))
        lease->needed &= ~bit;
    else if (is_over || !is_confirming(replicator, check, lease))
        resolve(lease);
}

/* The peer does not hold the leases of the message that it did not list. */
static void note_missing(struct lease_check *check, const struct message *message, uint64_t bit)
{
    for (size_t i = 0; i < message->count; i++) {
        struct checked_lease *lease =
            find_lease(check, instance_packed_key(message->items[i].instance));
        if (!lease)
            continue;
        if (!(lease->listed & bit)) {
            lease->not_held |= bit;
            lease->needed &= ~bit;
        }
        lease->listed &= ~bit;
    }
}

static void on_response(struct replicator *replicator, struct lease_check *check,
                        const struct message *message, struct moment now)
{
    uint32_t number = message->peer;
    uint64_t bit = (uint64_t)1 << number;
    check->responded |= bit;
    note_missing(check, message, bit);
    uint64_t interval_ms = check->interval_ms[number] ? 2 * check->interval_ms[number] : 0;
    if (interval_ms == 0)
        interval_ms = ASK_AGAIN_MS;
    if (interval_ms > ASK_AGAIN_MAX_MS)
        interval_ms = ASK_AGAIN_MAX_MS;
    bool has_more = message->count == replicator->lease_check_max; /* the next part at once */
    check->interval_ms[number] = (uint32_t)interval_ms;
    check->again_ms[number] = now.mono_ms + (has_more ? 0 : interval_ms);
    if (replicator->lease_check_max < MESSAGE_ITEMS_MAX)
        replicator->lease_check_max++; /* grows again slowly */
}

void lease_check_on_result(struct replicator *replicator, struct peer *peer,
                           const struct message *message, enum send_result result,
                           struct moment now)
{
    restart_after_pause(replicator, now);
    struct lease_check *check = find_check(replicator, message);
    uint64_t bit = bit_of(replicator, peer);
    peer->lease_checks--;
    if (!check)
        return; /* it has ended */
    check->in_flight &= ~bit;
    if (result == SEND_DELIVERED) {
        on_response(replicator, check, message, now);
        update_needed(check);
    } else if (result == SEND_TOO_LARGE && message->count > 1) {
        replicator->lease_check_max = (uint32_t)(message->count / 2);
    } else {
        exclude_peer(replicator, check, peer);
    }
    advance(replicator, check, now);
}

void lease_check_on_peer_down(struct replicator *replicator, const struct peer *peer,
                              struct moment now)
{
    restart_after_pause(replicator, now);
    lease_check_forget_peer(replicator, peer);
    advance_all(replicator, now);
}

void lease_check_forget_peer(struct replicator *replicator, const struct peer *peer)
{
    struct lease_check *check;
    TAILQ_FOREACH (check, &replicator->lease_checks, link)
        exclude_peer(replicator, check, peer);
}
