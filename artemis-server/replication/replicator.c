/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/replication/replicator.h"

#include <assert.h>
#include <stdlib.h>

#include "artemis-server/replication/replicator_internal.h"

/* --- small things ----------------------------------------------------------------------------- */

/* xorshift64*: enough for jitter, and the same for the same seed. */
uint64_t replicator_random(struct replicator *replica, uint64_t below)
{
    replica->random ^= replica->random >> 12;
    replica->random ^= replica->random << 25;
    replica->random ^= replica->random >> 27;
    return replica->random * 0x2545F4914F6CDD1D % below;
}

static uint64_t earlier(uint64_t a_ms, uint64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

uint32_t replicator_number(const struct replicator *replica, const struct peer *peer)
{
    return (uint32_t)(peer - replica->peers);
}

struct message *replicator_message(struct replicator *replica, struct peer *peer,
                                   enum message_kind kind, size_t items_max, struct moment now)
{
    struct message *message = calloc(1, sizeof(*message));
    if (!message)
        return NULL;
    message->kind = kind;
    message->peer = replicator_number(replica, peer);
    message->sent_ms = now.mono_ms;
    message->membership = peer->membership;
    if (items_max) {
        message->items = malloc(items_max * sizeof(*message->items));
        if (!message->items) {
            free(message);
            return NULL;
        }
    }
    peer->under_way[kind] = true;
    peer->view.sent[kind]++;
    return message;
}

void replicator_drop_message(struct message *message)
{
    for (size_t i = 0; i < message->count; i++)
        peer_state_drop(&message->items[i]);
    free(message->items);
    free(message);
}

/* --- life ------------------------------------------------------------------------------------- */

enum error replicator_create(const struct replicator_options *options, struct registry *registry,
                             struct moment now, struct replicator **out)
{
    struct replicator *replica = calloc(1, sizeof(*replica));
    if (!replica)
        return ERR_NO_MEMORY;
    replica->options = *options;
    replica->registry = registry;
    replica->random = options->seed | 1;
    replica->started = now;
    replica->question_max = MESSAGE_ITEMS_MAX;
    for (int i = 0; i < REPLICATOR_PEERS_MAX; i++)
        outbox_init(&replica->peers[i].outbox, options->seed);
    *out = replica;
    return ERR_NONE;
}

void replicator_free(struct replicator *replica)
{
    if (!replica)
        return;
    for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX; i++)
        if (replica->peers[i].joined)
            replicator_leave(replica, i);
    for (size_t i = 0; i < replica->question.count; i++)
        peer_state_drop(&replica->question.items[i]);
    free(replica->question.items);
    free(replica);
}

/* While some peer is up, what changes is noted for it. */
static void follow_peers(struct replicator *replica)
{
    bool any_up = false;
    for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX; i++)
        any_up |= replica->peers[i].joined && replica->peers[i].health == PEER_UP;
    registry_set_gathering(replica->registry, any_up);
}

void replicator_join(struct replicator *replica, uint32_t number, struct moment now)
{
    assert(number < REPLICATOR_PEERS_MAX && !replica->peers[number].joined);
    struct peer *peer = &replica->peers[number];
    *peer = (struct peer){
        .joined = true,
        .membership = peer->membership + 1,
        .health_due_ms = now.mono_ms,
        .renew_batch = replica->options.batch_size,
        .register_batch = MESSAGE_ITEMS_MAX,
        .outbox = peer->outbox,
    };
}

void replicator_leave(struct replicator *replica, uint32_t number)
{
    struct peer *peer = &replica->peers[number];
    assert(number < REPLICATOR_PEERS_MAX && peer->joined);
    outbox_clear(&peer->outbox);
    sync_reset(&peer->sync);
    question_forget(replica, peer);
    peer->joined = false;
    follow_peers(replica);
}

/* --- health ----------------------------------------------------------------------------------- */

/* What waits for a peer that is not up is dropped: it is compared with when it comes back. */
static void set_health(struct replicator *replica, struct peer *peer, enum peer_health health,
                       struct moment now)
{
    if (peer->health == health)
        return;
    peer->health = health;
    if (health == PEER_UP) {
        peer->failures = 0;
        peer->retry_ms = 0;
        peer->sync.next_ms = now.mono_ms;
    } else {
        outbox_clear(&peer->outbox);
        sync_reset(&peer->sync);
        peer->is_ready = false;
        peer->health_due_ms = earlier(peer->health_due_ms, now.mono_ms + DOWN_PROBE_MS);
        question_closed(replica, peer, now);
    }
    follow_peers(replica);
}

static void schedule_health(struct replicator *replica, struct peer *peer, struct moment now)
{
    if (peer->health == PEER_UP && peer->failures) {
        peer->health_due_ms = peer->retry_ms; /* something is wrong: find out soon */
        return;
    }
    bool settled = peer->health == PEER_UP && peer->is_ready;
    uint64_t interval_ms = replica->options.health_interval_ms;
    if (!settled && peer->health != PEER_SELF && interval_ms > DOWN_PROBE_MS)
        interval_ms = DOWN_PROBE_MS;
    peer->health_due_ms = now.mono_ms + interval_ms;
}

/* A failure that is worth another try. Several messages that fail together count once. */
static void count_failure(struct replicator *replica, struct peer *peer,
                          const struct message *message, enum send_result fate, struct moment now)
{
    if (fate == SEND_UNREACHABLE) {
        set_health(replica, peer, PEER_DOWN, now);
        return;
    }
    if (message->sent_ms < peer->failed_ms)
        return;
    peer->failures++;
    peer->failed_ms = now.mono_ms;
    if (peer->failures > replica->options.max_retries) {
        set_health(replica, peer, PEER_DOWN, now);
        return;
    }
    uint64_t delay_ms = BACKOFF_MIN_MS;
    for (uint32_t i = 1; i < peer->failures && delay_ms < BACKOFF_MAX_MS; i++)
        delay_ms *= 2;
    if (delay_ms > BACKOFF_MAX_MS)
        delay_ms = BACKOFF_MAX_MS;
    peer->retry_ms = now.mono_ms + delay_ms / 2 + replicator_random(replica, delay_ms / 2 + 1);
    if (peer->health == PEER_NEW)
        peer->health_due_ms = peer->retry_ms;
}

void replicator_on_health(struct replicator *replica, const struct message *message,
                          const struct health_answer *health, struct moment now)
{
    struct peer *peer = &replica->peers[message->peer];
    if (!peer->joined || peer->membership != message->membership)
        return;
    enum peer_health verdict = PEER_UP;
    if (health->is_wrong_cluster)
        verdict = PEER_WRONG_CLUSTER;
    else if (health->is_self)
        verdict = PEER_SELF;
    else if (health->has_our_name)
        verdict = PEER_DUPLICATE_ID;
    else if (health->is_leaving)
        verdict = PEER_DOWN;
    if (verdict == PEER_UP)
        registry_hear_clock(replica->registry, health->clock_ms, now);
    set_health(replica, peer, verdict, now);
    peer->is_legacy = health->is_legacy;
    bool became_ready = verdict == PEER_UP && health->is_ready && !peer->is_ready;
    peer->is_ready = verdict == PEER_UP && health->is_ready;
    if (became_ready)
        peer->sync.next_ms = now.mono_ms;
}

void replicator_peer_leaves(struct replicator *replica, uint32_t number, struct moment now)
{
    struct peer *peer = &replica->peers[number];
    if (peer->joined && peer->health == PEER_UP)
        set_health(replica, peer, PEER_DOWN, now);
}

/* --- what comes next -------------------------------------------------------------------------- */

static bool is_tried_again_later(const struct peer *peer, struct moment now)
{
    return now.mono_ms < peer->retry_ms;
}

static struct message *goodbye_next(struct replicator *replica, struct peer *peer,
                                    struct moment now)
{
    if (!replica->draining || peer->said_goodbye || peer->is_legacy || peer_is_being_told(peer))
        return NULL;
    peer->said_goodbye = true;
    return replicator_message(replica, peer, MESSAGE_GOODBYE, 0, now);
}

static struct message *next_for(struct replicator *replica, struct peer *peer, struct moment now)
{
    if (!peer->joined)
        return NULL;
    if (now.mono_ms >= peer->health_due_ms && !peer->under_way[MESSAGE_HEALTH])
        return replicator_message(replica, peer, MESSAGE_HEALTH, 0, now);
    if (peer->health != PEER_UP || is_tried_again_later(peer, now))
        return NULL;
    struct message *message = question_next(replica, peer, now);
    if (!message)
        message = batch_next(replica, peer, now);
    if (!message)
        message = start_next(replica, peer, now);
    if (!message)
        message = sync_next(replica, peer, now);
    return message ? message : goodbye_next(replica, peer, now);
}

struct message *replicator_next(struct replicator *replica, struct moment now)
{
    start_check(replica, now);
    for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX; i++) {
        uint32_t number = (replica->next_peer + i) % REPLICATOR_PEERS_MAX;
        struct message *message = next_for(replica, &replica->peers[number], now);
        if (message) {
            replica->next_peer = number + 1; /* everyone in turn */
            return message;
        }
    }
    return NULL;
}

static uint64_t due_of(const struct replicator *replica, const struct peer *peer, struct moment now)
{
    uint64_t due_ms = peer->under_way[MESSAGE_HEALTH] ? UINT64_MAX : peer->health_due_ms;
    if (peer->health != PEER_UP)
        return due_ms;
    /* However long renewals are collected: a lease that ends waits for nobody who sleeps. */
    due_ms = earlier(due_ms, earlier(replica->renew_due_ms, now.mono_ms + QUESTION_LOOK_MS));
    /* What waits for its turn comes as soon as the pause after a failure is over. */
    return earlier(due_ms,
                   is_tried_again_later(peer, now) ? peer->retry_ms : sync_due_ms(replica, peer));
}

uint64_t replicator_due_ms(const struct replicator *replica, struct moment now)
{
    uint64_t due_ms = start_deadline_ms(replica);
    for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX; i++)
        if (replica->peers[i].joined)
            due_ms = earlier(due_ms, due_of(replica, &replica->peers[i], now));
    if (replica->question.to_ask)
        due_ms = earlier(due_ms, replica->question.opened_ms + QUESTION_TIMEOUT_MS);
    return due_ms > now.mono_ms ? due_ms : now.mono_ms + 1;
}

/* --- what came of it -------------------------------------------------------------------------- */

void replicator_on_record(struct replicator *replica, const struct message *message,
                          const struct wire_record *record, struct moment now)
{
    struct peer *peer = &replica->peers[message->peer];
    switch (message->kind) {
    case MESSAGE_RENEW:
        if (peer->joined && peer->membership == message->membership && peer->health == PEER_UP)
            batch_repair(replica, peer, wire_record_key(record));
        return;
    case MESSAGE_LEASE_CHECK:
        question_told(replica, record, now);
        return;
    case MESSAGE_LIST:
    case MESSAGE_FETCH:
        if (peer->joined && peer->membership == message->membership)
            sync_told(replica, peer, message, record, now);
        return;
    case MESSAGE_SNAPSHOT:
        start_told(replica, record, now);
        return;
    default:
        return;
    }
}

void replicator_on_digests(struct replicator *replica, const struct message *message,
                           const uint64_t digests[DIGEST_BUCKETS], struct moment now)
{
    (void)now;
    struct peer *peer = &replica->peers[message->peer];
    if (peer->joined && peer->membership == message->membership)
        sync_told_digests(replica, peer, digests);
}

static void settle_circuit(struct replicator *replica, struct peer *peer,
                           const struct message *message, enum send_result fate, struct moment now)
{
    switch (fate) {
    case SEND_DELIVERED:
        peer->failures = 0;
        peer->retry_ms = 0;
        peer->view.heard_ms = now.mono_ms;
        return;
    case SEND_RETRYABLE:
    case SEND_UNREACHABLE:
        /* A question is impatient: that one was late says little about the peer. */
        if (message->kind != MESSAGE_LEASE_CHECK)
            count_failure(replica, peer, message, fate, now);
        return;
    case SEND_WRONG_CLUSTER:
        set_health(replica, peer, PEER_WRONG_CLUSTER, now);
        return;
    default:
        return;
    }
}

static void finish(struct replicator *replica, struct peer *peer, struct message *message,
                   enum send_result fate, struct moment now)
{
    switch (message->kind) {
    case MESSAGE_HEALTH:
        if (fate == SEND_REJECTED || fate == SEND_TOO_LARGE)
            set_health(replica, peer, PEER_DOWN, now);
        if (peer->health != PEER_NEW || fate == SEND_DELIVERED)
            schedule_health(replica, peer, now);
        return;
    case MESSAGE_REGISTER:
    case MESSAGE_UNREGISTER:
    case MESSAGE_RENEW:
        batch_done(replica, peer, message, fate, now);
        return;
    case MESSAGE_LEASE_CHECK:
        question_done(replica, peer, fate == SEND_TOO_LARGE, now);
        return;
    case MESSAGE_DIGEST:
    case MESSAGE_LIST:
    case MESSAGE_FETCH:
        sync_done(replica, peer, message, fate, now);
        return;
    case MESSAGE_SNAPSHOT:
        start_done(replica, peer, fate, now);
        return;
    default:
        return;
    }
}

void replicator_done(struct replicator *replica, struct message *message, enum send_result fate,
                     struct moment now)
{
    struct peer *peer = &replica->peers[message->peer];
    if (peer->joined && peer->membership == message->membership) {
        peer->under_way[message->kind] = false;
        if (fate == SEND_DELIVERED)
            peer->view.delivered[message->kind]++;
        else
            peer->view.failed[fate]++;
        settle_circuit(replica, peer, message, fate, now);
        finish(replica, peer, message, fate, now);
    }
    replicator_drop_message(message);
}

/* --- shutting down, looking in ---------------------------------------------------------------- */

void replicator_drain(struct replicator *replica)
{
    replica->draining = true;
}

bool replicator_is_idle(const struct replicator *replica)
{
    for (uint32_t i = 0; i < REPLICATOR_PEERS_MAX; i++) {
        const struct peer *peer = &replica->peers[i];
        if (!peer->joined || peer->health != PEER_UP)
            continue;
        if (peer_is_being_told(peer))
            return false;
        if (!peer->is_legacy && (!peer->said_goodbye || peer->under_way[MESSAGE_GOODBYE]))
            return false;
        for (int queue = 0; queue < QUEUE_COUNT; queue++)
            if (outbox_count(&peer->outbox, queue))
                return false;
    }
    return true;
}

void replicator_view(const struct replicator *replica, uint32_t number, struct moment now,
                     struct peer_view *view)
{
    const struct peer *peer = &replica->peers[number];
    *view = peer->view;
    view->joined = peer->joined;
    view->health = peer->health;
    view->is_ready = peer->is_ready;
    view->is_legacy = peer->is_legacy;
    view->failures = peer->failures;
    view->outbox_bytes = outbox_bytes(&peer->outbox);
    for (int queue = 0; queue < QUEUE_COUNT; queue++)
        view->backlog += outbox_count(&peer->outbox, queue);
    uint64_t oldest_ms = outbox_oldest_ms(&peer->outbox);
    view->oldest_ms = oldest_ms < now.mono_ms ? now.mono_ms - oldest_ms : 0;
}

void replicator_stats(const struct replicator *replica, struct replicator_stats *stats)
{
    *stats = replica->stats;
}
