/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/replication/replicator.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-core/base/sim_bug.h"
#include "artemis-server/replication/replicator_internal.h"

/* --- messages --------------------------------------------------------------------------------- */

/* xorshift64*: reproducible for one seed. */
uint64_t replicator_random(struct replicator *replicator, uint64_t below)
{
    replicator->random ^= replicator->random >> 12;
    replicator->random ^= replicator->random << 25;
    replicator->random ^= replicator->random >> 27;
    return replicator->random * 0x2545F4914F6CDD1D % below;
}

static uint64_t earlier(uint64_t a_ms, uint64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

uint32_t replicator_peer_number(const struct replicator *replicator, const struct peer *peer)
{
    return (uint32_t)(peer - replicator->peers);
}

struct message *message_create(struct replicator *replicator, struct peer *peer,
                               enum message_kind kind, size_t items_max, struct moment now)
{
    struct message *message = calloc(1, sizeof(*message));
    if (!message)
        return NULL;
    message->kind = kind;
    message->peer = replicator_peer_number(replicator, peer);
    message->sent_ms = now.mono_ms;
    message->membership = peer->membership;
    if (items_max) {
        message->items = malloc(items_max * sizeof(*message->items));
        if (!message->items) {
            free(message);
            return NULL;
        }
    }
    peer->in_flight[kind] = true;
    peer->view.sent[kind]++;
    return message;
}

void message_free(struct message *message)
{
    if (!message)
        return;
    for (size_t i = 0; i < message->count; i++)
        record_copy_unref(&message->items[i]);
    free(message->items);
    free((char *)message->service_id.data);
    event_batch_free(&message->events);
    free(message);
}

/* --- create, add and remove ------------------------------------------------------------------- */

enum error replicator_create(const struct replicator_options *options, struct registry *registry,
                             struct moment now, struct replicator **out)
{
    struct replicator *replicator = calloc(1, sizeof(*replicator));
    if (!replicator)
        return ERR_NO_MEMORY;
    replicator->options = *options;
    if (!options->fetch_max)
        replicator->options.fetch_max = ANTI_ENTROPY_FETCH_MAX;
    if (!options->check_max)
        replicator->options.check_max = MESSAGE_ITEMS_MAX;
    replicator->registry = registry;
    replicator->random = options->seed | 1;
    replicator->started = now;
    replicator->lease_check_max = MESSAGE_ITEMS_MAX;
    TAILQ_INIT(&replicator->lease_checks);
    for (int i = 0; i < REPLICATOR_PEERS_MAX; i++)
        outbox_init(&replicator->peers[i].outbox, options->seed);
    *out = replicator;
    return ERR_NONE;
}

void replicator_free(struct replicator *replicator)
{
    if (!replicator)
        return;
    for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX; i++)
        if (replicator->peers[i].joined)
            replicator_remove_peer(replicator, i);
    lease_checks_free(replicator);
    events_free(replicator);
    free(replicator);
}

/* Dirty lists are kept only while a peer is up. */
static void update_dirty_lists(struct replicator *replicator)
{
    bool any_up = false;
    for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX; i++)
        any_up |= replicator->peers[i].joined && replicator->peers[i].health == PEER_UP;
    registry_set_replicating(replicator->registry, any_up);
    blocks_on_change(replicator);
}

void replicator_add_peer(struct replicator *replicator, uint32_t number, struct moment now)
{
    assert(number < REPLICATOR_PEERS_MAX && !replicator->peers[number].joined);
    struct peer *peer = &replicator->peers[number];
    *peer = (struct peer){
        .joined = true,
        .membership = peer->membership + 1,
        /* bug 17: a peer that joins later gets no health check */
        .health_due_ms = SIM_BUG(17) && replicator->ready ? UINT64_MAX : now.mono_ms,
        .renew_batch = replicator->options.batch_size,
        .register_batch = MESSAGE_ITEMS_MAX,
        .outbox = peer->outbox,
        .events_next = replicator->events.end,
    };
    registry_add_peer(replicator->registry, number + 1);
}

void replicator_remove_peer(struct replicator *replicator, uint32_t number)
{
    struct peer *peer = &replicator->peers[number];
    assert(number < REPLICATOR_PEERS_MAX && peer->joined);
    outbox_clear(&peer->outbox);
    comparison_reset(&peer->comparison);
    lease_check_forget_peer(replicator, peer);
    events_drop_all(replicator, peer);
    peer->joined = false;
    registry_remove_peer(replicator->registry, number + 1);
    update_dirty_lists(replicator);
}

/* --- health ----------------------------------------------------------------------------------- */

/* A peer that is not up has no outbox: anti-entropy brings it up to date when it returns. */
static void set_health(struct replicator *replicator, struct peer *peer, enum peer_health health,
                       struct moment now)
{
    if (peer->health == health)
        return;
    peer->health = health;
    if (health == PEER_UP) {
        peer->failures = 0;
        peer->has_failed = false;
        peer->retry_ms = 0;
        peer->comparison.next_ms = now.mono_ms;
        bootstrap_on_peer_up(replicator, peer, now);
    } else {
        batch_on_peer_down(peer);
        if (!SIM_BUG(5))
            outbox_clear(&peer->outbox);
        comparison_reset(&peer->comparison);
        events_drop_all(replicator, peer);
        peer->is_ready = false;
        peer->health_due_ms = earlier(peer->health_due_ms, now.mono_ms + DOWN_PROBE_MS);
        lease_check_on_peer_down(replicator, peer, now);
        peer->update_accepted = false;
        if (health != PEER_INCOMPATIBLE)
            peer->rejections = 0;
    }
    update_dirty_lists(replicator);
}

static void schedule_health(struct replicator *replicator, struct peer *peer, struct moment now)
{
    if (peer->health == PEER_UP && now.mono_ms < peer->retry_ms) {
        peer->health_due_ms = peer->retry_ms; /* check health as soon as the backoff ends */
        return;
    }
    bool is_stable = (peer->health == PEER_UP && peer->is_ready) ||
                     peer->health == PEER_INCOMPATIBLE || peer->health == PEER_UNAUTHORIZED;
    uint64_t interval_ms = replicator->options.health_interval_ms;
    if (!is_stable && peer->health != PEER_SELF && interval_ms > DOWN_PROBE_MS)
        interval_ms = DOWN_PROBE_MS;
    peer->health_due_ms = now.mono_ms + interval_ms;
}

/* A peer may respond to /health and fail at everything else: an overload, a proxy. */
static void bring_down(struct replicator *replicator, struct peer *peer,
                       const struct message *message, struct moment now)
{
    if (message->kind != MESSAGE_HEALTH && peer->health == PEER_UP)
        peer->times_down++;
    set_health(replicator, peer, PEER_DOWN, now);
}

/* Counts a retryable failure. Failures of messages that were in flight together count once. */
static void count_failure(struct replicator *replicator, struct peer *peer,
                          const struct message *message, enum send_result result, struct moment now)
{
    if (result == SEND_UNREACHABLE) {
        bring_down(replicator, peer, message, now);
        return;
    }
    if (message->sent_ms < peer->failed_ms)
        return;
    peer->failures++;
    peer->failed_ms = now.mono_ms;
    peer->has_failed |= message->kind != MESSAGE_HEALTH;
    if (peer->failures > replicator->options.max_retries || peer_is_failing(peer)) {
        bring_down(replicator, peer, message, now);
        return;
    }
    uint64_t random = replicator_random(replicator, UINT64_MAX);
    peer->retry_ms = now.mono_ms + backoff_ms(peer->failures, random);
    if (peer->health == PEER_NEW)
        peer->health_due_ms = peer->retry_ms;
}

/* A peer that rejects all messages is incompatible. It gets only health checks for
 * INCOMPATIBLE_RETRY_MS; then it is up again, until its next rejection. */
static void count_rejection(struct replicator *replicator, struct peer *peer,
                            const struct message *message, enum send_result result,
                            struct moment now)
{
    enum message_kind kind = message->kind;
    bool is_peer_call = kind != MESSAGE_HEALTH && kind != MESSAGE_SNAPSHOT &&
                        kind != MESSAGE_RELEASE && kind != MESSAGE_BLOCKS &&
                        kind != MESSAGE_EVENTS && kind != MESSAGE_GOODBYE;
    if (!is_peer_call || peer->health != PEER_UP)
        return;
    if (result == SEND_DELIVERED) {
        peer->update_accepted = true;
        peer->rejections = 0;
    }
    if (result == SEND_REJECTED)
        peer->rejections++;
    if (!peer_is_incompatible(peer))
        return;
    peer->incompatible_ms = now.mono_ms;
    set_health(replicator, peer, PEER_INCOMPATIBLE, now);
}

/* A record that was refused before may be accepted now: this node compares itself with the peer. */
static void observe_clocks(struct replicator *replicator, struct peer *peer,
                           const struct health_response *health, struct moment now)
{
    uint64_t before_ms = registry_members_clock_ms(replicator->registry, now);
    registry_observe_clocks(replicator->registry, health->clock_ms, health->members_clock_ms, now);
    if (!SIM_BUG(10)) /* a node that does not know the highest stamp issues lower ones */
        registry_observe_hlc(replicator->registry, health->highest_hlc, now);
    if (registry_members_clock_ms(replicator->registry, now) > before_ms + CLOCK_RAISED_MS)
        peer->comparison.next_ms = now.mono_ms;
}

void replicator_check_clocks(struct replicator *replicator, struct moment now)
{
    if (now.mono_ms < replicator->clocks_due_ms)
        return;
    replicator->clocks_due_ms = now.mono_ms + DOWN_PROBE_MS;
    for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX; i++) {
        struct peer *peer = &replicator->peers[i];
        peer->health_due_ms = earlier(peer->health_due_ms, now.mono_ms);
    }
}

void replicator_on_health(struct replicator *replicator, const struct message *message,
                          const struct health_response *health, struct moment now)
{
    struct peer *peer = &replicator->peers[message->peer];
    if (!replicator_is_current(replicator, message))
        return;
    enum peer_health new_health = PEER_UP;
    if (health->is_wrong_cluster)
        new_health = PEER_WRONG_CLUSTER;
    else if (health->is_self)
        new_health = PEER_SELF;
    else if (health->has_own_node_id)
        new_health = PEER_DUPLICATE_ID;
    else if (health->is_blocked || health->is_blocking)
        new_health = PEER_BLOCKED;
    else if (health->is_leaving)
        new_health = PEER_DOWN;
    else if (peer->health == PEER_INCOMPATIBLE &&
             now.mono_ms < peer->incompatible_ms + INCOMPATIBLE_RETRY_MS)
        new_health = PEER_INCOMPATIBLE;
    else if (peer->health == PEER_UNAUTHORIZED &&
             now.mono_ms < peer->incompatible_ms + UNAUTHORIZED_RETRY_MS)
        new_health = PEER_UNAUTHORIZED;
    if (new_health == PEER_UP)
        observe_clocks(replicator, peer, health, now);
    blocks_on_health(peer, health);
    set_health(replicator, peer, new_health, now);
    peer->is_legacy = health->is_legacy;
    peer->is_remote = health->is_remote;
    bool has_restarted = peer->epoch != health->epoch;
    if (has_restarted) /* what it said before may be of its last process */
        comparison_reset(&peer->comparison);
    if (has_restarted || health->is_legacy) /* a legacy peer may get no message to accept */
        peer->times_down = 0;
    peer->epoch = health->epoch;
    peer->was_ready = health->is_ready;
    bool became_ready = new_health == PEER_UP && health->is_ready && !peer->is_ready;
    peer->is_ready = new_health == PEER_UP && health->is_ready;
    peer->is_comparing = new_health == PEER_UP && health->is_comparing;
    peer->started_empty = health->started_empty;
    if (became_ready) {
        comparison_reset(&peer->comparison); /* what an open one has read may be a part */
        peer->comparison.next_ms = now.mono_ms;
    }
    blocks_on_change(replicator);
    /* A process that starts may copy guarded leases. One that was cut off got them before, and its
     * guards may have engaged since. */
    if (has_restarted || (became_ready && !peer->has_started))
        peer->releases_sent = 0;
    peer->has_started = peer->is_ready || (peer->has_started && !has_restarted);
}

void replicator_on_goodbye(struct replicator *replicator, uint32_t number, struct moment now)
{
    struct peer *peer = &replicator->peers[number];
    if (peer->joined && peer->health == PEER_UP)
        set_health(replicator, peer, PEER_DOWN, now);
}

/* --- the next message ------------------------------------------------------------------------- */

static bool is_in_backoff(const struct peer *peer, struct moment now)
{
    return now.mono_ms < peer->retry_ms;
}

static struct message *goodbye_next(struct replicator *replicator, struct peer *peer,
                                    struct moment now)
{
    if (!replicator->flushing || peer->goodbye_sent || peer->is_legacy ||
        peer_has_update_in_flight(peer))
        return NULL;
    peer->goodbye_sent = true;
    return message_create(replicator, peer, MESSAGE_GOODBYE, 0, now);
}

static struct message *next_for(struct replicator *replicator, struct peer *peer, struct moment now)
{
    if (!peer->joined)
        return NULL;
    if (now.mono_ms >= peer->health_due_ms && !peer->in_flight[MESSAGE_HEALTH])
        return message_create(replicator, peer, MESSAGE_HEALTH, 0, now);
    if (peer->health != PEER_UP || replicator->stats.is_blocked || is_in_backoff(peer, now))
        return NULL;
    struct message *message = release_next(replicator, peer, now);
    if (!message)
        message = blocks_next(replicator, peer, now);
    if (!message)
        message = lease_check_next(replicator, peer, now);
    if (!message)
        message = batch_next(replicator, peer, now);
    if (!message)
        message = events_next(replicator, peer, now);
    if (!message)
        message = bootstrap_next(replicator, peer, now);
    if (!message)
        message = anti_entropy_next(replicator, peer, now);
    return message ? message : goodbye_next(replicator, peer, now);
}

struct message *replicator_next(struct replicator *replicator, struct moment now)
{
    bootstrap_check_ready(replicator, now);
    for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX; i++) {
        uint32_t number = (replicator->next_peer + i) % REPLICATOR_PEERS_MAX;
        struct message *message = next_for(replicator, &replicator->peers[number], now);
        if (message) {
            replicator->next_peer = number + 1; /* round robin */
            return message;
        }
    }
    return NULL;
}

static uint64_t due_of(const struct replicator *replicator, const struct peer *peer,
                       struct moment now)
{
    uint64_t due_ms = peer->in_flight[MESSAGE_HEALTH] ? UINT64_MAX : peer->health_due_ms;
    if (peer->health != PEER_UP)
        return due_ms;
    /* The time of a lease can run out at any moment: lease checks are drained at their own
     * interval, even if batch_interval_ms is longer. */
    due_ms =
        earlier(due_ms, earlier(replicator->renew_due_ms, now.mono_ms + LEASE_CHECK_INTERVAL_MS));
    if (replicator->stats.is_blocked) /* nothing but health is sent */
        return due_ms;
    /* During a backoff, pending messages are sent as soon as it ends. */
    if (is_in_backoff(peer, now))
        return earlier(due_ms, peer->retry_ms);
    due_ms = earlier(due_ms, batch_due_ms(peer));
    due_ms = earlier(due_ms, events_due_ms(replicator, peer));
    return earlier(due_ms, anti_entropy_due_ms(replicator, peer));
}

uint64_t replicator_due_ms(const struct replicator *replicator, struct moment now)
{
    uint64_t due_ms = bootstrap_due_ms(replicator, now);
    for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX; i++)
        if (replicator->peers[i].joined)
            due_ms = earlier(due_ms, due_of(replicator, &replicator->peers[i], now));
    due_ms = earlier(due_ms, lease_check_due_ms(replicator));
    return due_ms > now.mono_ms ? due_ms : now.mono_ms + 1;
}

/* --- responses and results -------------------------------------------------------------------- */

bool replicator_is_current(const struct replicator *replicator, const struct message *message)
{
    const struct peer *peer = &replicator->peers[message->peer];
    return peer->joined && peer->membership == message->membership;
}

void replicator_on_record(struct replicator *replicator, const struct message *message,
                          const struct wire_record *received, struct moment now)
{
    struct peer *peer = &replicator->peers[message->peer];
    struct wire_record own = *received;
    const struct wire_record *record = &own;
    static_assert((int)REPLICATOR_PEERS_MAX == (int)NODE_ID_MEMBERS, "a member has a share");
    own.peer = message->peer + 1;
    if (!replicator_is_current(replicator, message))
        return;
    switch (message->kind) {
    case MESSAGE_RENEW:
        if (peer->health == PEER_UP)
            batch_repair(replicator, peer, wire_record_key(record));
        return;
    case MESSAGE_LEASE_CHECK:
        lease_check_on_record(replicator, message, record, now);
        return;
    case MESSAGE_LIST:
    case MESSAGE_FETCH:
        anti_entropy_on_record(replicator, peer, message, record, now);
        return;
    case MESSAGE_SNAPSHOT:
        bootstrap_on_record(replicator, peer, record, now);
        return;
    default:
        return;
    }
}

void replicator_on_digests(struct replicator *replicator, const struct message *message,
                           const uint64_t digests[DIGEST_BUCKETS], struct moment now)
{
    (void)now;
    struct peer *peer = &replicator->peers[message->peer];
    if (replicator_is_current(replicator, message))
        anti_entropy_on_digests(replicator, peer, digests);
}

/* A lease check has a short timeout: a late response is no failure of the peer. The list of
 * releases of a peer may be full. */
static bool is_failure_of_peer(const struct message *message, enum send_result result)
{
    if (message->kind == MESSAGE_LEASE_CHECK)
        return false;
    bool is_extra = message->kind == MESSAGE_RELEASE || message->kind == MESSAGE_BLOCKS;
    return !is_extra || result == SEND_UNREACHABLE;
}

static void update_health(struct replicator *replicator, struct peer *peer,
                          const struct message *message, enum send_result result, struct moment now)
{
    switch (result) {
    case SEND_DELIVERED:
        if (message->kind != MESSAGE_HEALTH)
            peer->times_down = peer->has_failed = 0;
        peer->failures = peer->has_failed ? peer->failures : 0;
        peer->retry_ms = 0;
        peer->view.last_response_ms = now.mono_ms;
        return;
    case SEND_RETRYABLE:
    case SEND_UNREACHABLE:
        if (is_failure_of_peer(message, result))
            count_failure(replicator, peer, message, result, now);
        return;
    case SEND_WRONG_CLUSTER:
        set_health(replicator, peer, PEER_WRONG_CLUSTER, now);
        return;
    case SEND_UNAUTHORIZED:
        peer->incompatible_ms = now.mono_ms;
        set_health(replicator, peer, PEER_UNAUTHORIZED, now);
        return;
    case SEND_BLOCKED:
        peer->is_blocking = true;
        set_health(replicator, peer, PEER_BLOCKED, now);
        return;
    default:
        return;
    }
}

/* Follows a slower round trip faster than a shorter one. */
static void measure_round_trip(struct peer *peer, const struct message *message, struct moment now)
{
    uint64_t ms = now.mono_ms - message->sent_ms;
    bool is_large = message->kind == MESSAGE_LIST || message->kind == MESSAGE_FETCH ||
                    message->kind == MESSAGE_SNAPSHOT;
    if (is_large)
        return;
    if (ms > peer->round_trip_ms)
        peer->round_trip_ms += (ms - peer->round_trip_ms + 1) / 2;
    else
        peer->round_trip_ms -= (peer->round_trip_ms - ms + 3) / 4;
}

static void finish(struct replicator *replicator, struct peer *peer, struct message *message,
                   enum send_result result, struct moment now)
{
    switch (message->kind) {
    case MESSAGE_HEALTH:
        if (result == SEND_REJECTED || result == SEND_TOO_LARGE)
            set_health(replicator, peer, PEER_DOWN, now);
        if (peer->health != PEER_NEW || result == SEND_DELIVERED)
            schedule_health(replicator, peer, now);
        bootstrap_on_health_result(replicator, peer, message, now);
        return;
    case MESSAGE_REGISTER:
    case MESSAGE_UNREGISTER:
    case MESSAGE_RENEW:
        batch_on_result(replicator, peer, message, result, now);
        return;
    case MESSAGE_LEASE_CHECK:
        lease_check_on_result(replicator, peer, message, result, now);
        return;
    case MESSAGE_DIGEST:
    case MESSAGE_LIST:
    case MESSAGE_FETCH:
        anti_entropy_on_result(replicator, peer, message, result, now);
        return;
    case MESSAGE_RELEASE:
        release_on_result(peer, message, result, now);
        return;
    case MESSAGE_EVENTS:
        events_on_result(peer, message, result, now);
        return;
    case MESSAGE_SNAPSHOT:
        bootstrap_on_result(replicator, peer, message, result, now);
        return;
    default:
        return;
    }
}

void replicator_on_result(struct replicator *replicator, struct message *message,
                          enum send_result result, struct moment now)
{
    struct peer *peer = &replicator->peers[message->peer];
    if (replicator_is_current(replicator, message)) {
        peer->in_flight[message->kind] = false;
        if (result == SEND_DELIVERED) {
            peer->view.delivered[message->kind]++;
            measure_round_trip(peer, message, now);
        } else {
            peer->view.failed[result]++;
        }
        update_health(replicator, peer, message, result, now);
        count_rejection(replicator, peer, message, result, now);
        finish(replicator, peer, message, result, now);
    }
    message_free(message);
}
