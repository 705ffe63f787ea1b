/* SPDX-License-Identifier: Apache-2.0
 *
 * replicator_fixture - a replicator with its registry and virtual time. The messages that it sends
 * are collected; the test responds them as a peer and chooses their results.
 *
 * One rig per test: rig_open in the set-up, rig_close in the tear-down.
 */
#pragma once

#include "artemis-server/replication/replicator.h"
#include "tests/unit/artemis-server/registry/peer_fixture.h"

enum {
    BATCH = 4,
    INTERVAL_MS = 100,
    RETRIES = 3,
    COMPARE_MS = 10000,
    HEALTH_MS = 5000,
    SNAPSHOT_MS = 60000,
    OUT_MAX = 256,
};

struct rig {
    struct registry *node;
    struct replicator *replicator;
    uint64_t now_ms;
    struct message *out[OUT_MAX]; /* in flight, in the order of sending */
    size_t out_count;
};
static struct rig rig;

static inline struct moment rig_now(void)
{
    return at_ms(rig.now_ms);
}

static inline struct replicator_options rig_options(void)
{
    return (struct replicator_options){
        .batch_size = BATCH,
        .batch_interval_ms = INTERVAL_MS,
        .max_retries = RETRIES,
        .anti_entropy_ms = COMPARE_MS,
        .health_interval_ms = HEALTH_MS,
        .snapshot_timeout_ms = SNAPSHOT_MS,
        .seed = 7,
    };
}

static inline void rig_open_as(const struct replicator_options *options)
{
    rig = (struct rig){.node = make_node("self"), .now_ms = 1000};
    assert_int_equal(replicator_create(options, rig.node, rig_now(), &rig.replicator), ERR_NONE);
}

static inline void rig_open_with_options(uint32_t max_retries, uint64_t batch_interval_ms)
{
    struct replicator_options options = rig_options();
    options.max_retries = max_retries;
    options.batch_interval_ms = batch_interval_ms;
    rig_open_as(&options);
}

static inline void rig_open_with(uint32_t max_retries)
{
    rig_open_with_options(max_retries, INTERVAL_MS);
}

static inline void rig_open(void)
{
    rig_open_with(RETRIES);
}

static inline void rig_close(void)
{
    for (size_t i = 0; i < rig.out_count; i++)
        message_free(rig.out[i]);
    replicator_free(rig.replicator);
    registry_validate(rig.node);
    registry_free(rig.node);
    rig = (struct rig){0};
}

/* --- messages --------------------------------------------------------------------------------- */

/* Collects what the replicator sends now. Returns the number of messages. */
static inline size_t pump(void)
{
    struct message *message;
    size_t before = rig.out_count;
    replicator_drain_dirty(rig.replicator, rig_now());
    while ((message = replicator_next(rig.replicator, rig_now()))) {
        assert_true(rig.out_count < OUT_MAX);
        rig.out[rig.out_count++] = message;
    }
    return rig.out_count - before;
}

static inline void pass_ms(uint64_t ms)
{
    rig.now_ms += ms;
}

/* The number of messages of a kind in flight to a peer. */
static inline unsigned in_flight(uint32_t peer, enum message_kind kind)
{
    unsigned count = 0;
    pump();
    for (size_t i = 0; i < rig.out_count; i++)
        count += rig.out[i]->peer == peer && rig.out[i]->kind == kind;
    return count;
}

/* The oldest message of a kind in flight to a peer; NULL: none. */
static inline struct message *sent(uint32_t peer, enum message_kind kind)
{
    pump();
    for (size_t i = 0; i < rig.out_count; i++)
        if (rig.out[i]->peer == peer && rig.out[i]->kind == kind)
            return rig.out[i];
    return NULL;
}

static inline struct message *expect(uint32_t peer, enum message_kind kind)
{
    struct message *message = sent(peer, kind);
    if (!message)
        fail_msg("no message of kind %d to peer %u", (int)kind, (unsigned)peer);
    return message;
}

/* Ends a collected message with this result. */
static inline void finish_message(struct message *message, enum send_result result)
{
    for (size_t i = 0; i < rig.out_count; i++) {
        if (rig.out[i] != message)
            continue;
        memmove(&rig.out[i], &rig.out[i + 1], (rig.out_count - i - 1) * sizeof(rig.out[0]));
        rig.out_count--;
        replicator_on_result(rig.replicator, message, result, rig_now());
        return;
    }
    fail_msg("not under way");
}

static inline void finish(uint32_t peer, enum message_kind kind, enum send_result result)
{
    finish_message(expect(peer, kind), result);
}

static inline struct peer_view view_of(uint32_t peer)
{
    struct peer_view view;
    replicator_view(rig.replicator, peer, rig_now(), &view);
    return view;
}

static inline struct replicator_stats replicator_stats_now(void)
{
    struct replicator_stats stats;
    replicator_stats(rig.replicator, &stats);
    return stats;
}

/* --- responses of peers ----------------------------------------------------------------------- */

/* One record in the response to a message. */
static inline void respond_record(const struct message *message, struct word word)
{
    struct instance *instance =
        make_instance((struct brief){.service = word.service ? word.service : "s",
                                     .id = word.id ? word.id : "a",
                                     .machine = word.machine});
    struct wire_record record = {.instance = instance,
                                 .stamp = word_stamp(&word),
                                 .age_ms = word.age_ms,
                                 .deleted = word.deleted};
    replicator_on_record(rig.replicator, message, &record, rig_now());
    instance_unref(instance);
}

/* One key in the response to a message. */
static inline void respond_key(const struct message *message, struct word word)
{
    struct instance_key key = make_key(word.service ? word.service : "s", word.id ? word.id : "a");
    struct wire_record record = {
        .key = &key, .stamp = word_stamp(&word), .age_ms = word.age_ms, .deleted = word.deleted};
    replicator_on_record(rig.replicator, message, &record, rig_now());
}

static inline void respond_health(uint32_t peer, struct health_response response)
{
    struct message *message = expect(peer, MESSAGE_HEALTH);
    replicator_on_health(rig.replicator, message, &response, rig_now());
    finish_message(message, SEND_DELIVERED);
}

/* The digests of a peer that holds exactly what this node holds. */
static inline void respond_same_digests(uint32_t peer)
{
    static uint64_t digests[DIGEST_BUCKETS];
    struct message *message = expect(peer, MESSAGE_DIGEST);
    registry_digests(rig.node, digests);
    replicator_on_digests(rig.replicator, message, digests, rig_now());
    finish_message(message, SEND_DELIVERED);
}

/* The digests of a peer that holds what `other` holds. */
static inline void respond_digests_of(uint32_t peer, struct registry *other)
{
    static uint64_t digests[DIGEST_BUCKETS];
    struct message *message = expect(peer, MESSAGE_DIGEST);
    registry_digests(other, digests);
    replicator_on_digests(rig.replicator, message, digests, rig_now());
    finish_message(message, SEND_DELIVERED);
}

/* --- shortcuts -------------------------------------------------------------------------------- */

static inline void join(uint32_t peer)
{
    replicator_add_peer(rig.replicator, peer, rig_now());
}

/* Adds a peer that is up, ready and holds the same as this node. */
static inline void join_up(uint32_t peer)
{
    join(peer);
    respond_health(peer, (struct health_response){.is_ready = true});
    if (!replicator_is_ready(rig.replicator) && sent(peer, MESSAGE_SNAPSHOT))
        finish(peer, MESSAGE_SNAPSHOT, SEND_DELIVERED);
    if (sent(peer, MESSAGE_DIGEST))
        respond_same_digests(peer);
    pump();
}

static inline void register_here(const char *id, const char *machine)
{
    put_as(rig.node, (struct brief){.service = "s", .id = id, .machine = machine}, rig_now());
}

static inline void unregister_here(const char *id)
{
    take_out(rig.node, "s", id, rig_now());
}

static inline void renew_here(const char *id)
{
    assert_int_equal(renew(rig.node, "s", id, rig_now()), ERR_NONE);
}

static inline bool contains(const struct message *message, const char *id)
{
    for (size_t i = 0; i < message->count; i++)
        if (slice_equal(instance_text(message->items[i].instance, FIELD_INSTANCE), slice_of(id)))
            return true;
    return false;
}
