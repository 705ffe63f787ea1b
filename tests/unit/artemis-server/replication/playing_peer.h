/* SPDX-License-Identifier: Apache-2.0
 *
 * playing_peer - a peer with a real registry, which responds to the messages of the replicator.
 *
 * A test that plays a part of the messages itself passes the others to play_as.
 */
#pragma once

#include "tests/unit/artemis-server/replication/replicator_fixture.h"

/* Ids whose keys are in the same bucket as that of "a". */
static inline void find_ids_in_one_bucket(char ids[][16], size_t count)
{
    struct instance_key key = make_key("s", "a");
    uint32_t bucket = registry_bucket(instance_key_packed(&key));
    for (unsigned number = 0; count; number++) {
        snprintf(ids[count - 1], 16, "b%u", number);
        key = make_key("s", ids[count - 1]);
        count -= registry_bucket(instance_key_packed(&key)) == bucket;
    }
}

/* Without memory a record is left out; the next comparison finds it. */
static inline void play_update(const struct message *message, struct registry *peer)
{
    for (size_t i = 0; i < message->count; i++) {
        struct wire_record record = registry_wire_record(rig.node, &message->items[i], rig_now());
        enum error error = record.deleted ? registry_apply_unregister(peer, &record, rig_now())
                                          : registry_apply(peer, &record, rig_now());
        assert_true(error == ERR_NONE || error == ERR_NO_MEMORY);
    }
}

static inline void play_record(const struct message *message, struct registry *peer,
                               struct record_copy *state)
{
    struct wire_record record = registry_wire_record(peer, state, rig_now());
    replicator_on_record(rig.replicator, message, &record, rig_now());
    record_copy_unref(state);
}

static inline void play_list(const struct message *message, struct registry *peer)
{
    struct record_copy *states = NULL;
    size_t count = 0;
    if (registry_list_buckets(peer, &message->buckets, &states, &count))
        return;
    for (size_t i = 0; i < count; i++)
        play_record(message, peer, &states[i]);
    free(states);
}

/* Leaves out what is beyond the limit of its response (0: none), as a real peer. */
static inline void play_fetch(const struct message *message, struct registry *peer,
                              size_t response_max)
{
    size_t records = 0;
    for (size_t i = 0; i < message->count; i++) {
        struct record_copy state;
        if (response_max && records == response_max)
            return;
        if (!registry_read_key(peer, instance_packed_key(message->items[i].instance), &state))
            continue;
        play_record(message, peer, &state);
        records++;
    }
}

/* Sends at most `max` records of the snapshot. */
static inline void play_snapshot(const struct message *message, struct registry *peer, size_t max)
{
    struct registry_cursor cursor = {0};
    char buffer[ID_BYTES_MAX];
    struct slice id;
    struct record_copy *states;
    size_t count;
    do {
        assert_int_equal(registry_snapshot_next(peer, &cursor, buffer, &id, &states, &count),
                         ERR_NONE);
        for (size_t i = 0; i < count; i++) {
            if (max)
                play_record(message, peer, &states[i]);
            else
                record_copy_unref(&states[i]);
            max -= max > 0;
        }
        free(states);
    } while (count);
}

/* Responds completely. */
static inline void play_as(struct message *message, struct registry *peer, size_t response_max)
{
    switch (message->kind) {
    case MESSAGE_HEALTH:
        respond_health(message->peer, (struct health_response){.is_ready = true});
        return;
    case MESSAGE_DIGEST:
        respond_digests_of(message->peer, peer);
        return;
    case MESSAGE_LIST:
        play_list(message, peer);
        break;
    case MESSAGE_FETCH:
        play_fetch(message, peer, response_max);
        break;
    case MESSAGE_SNAPSHOT:
        play_snapshot(message, peer, SIZE_MAX);
        break;
    default:
        play_update(message, peer);
    }
    finish_message(message, SEND_DELIVERED);
}

/* Responds as peer 0 until no message is in flight. */
static inline void play_all_as(struct registry *peer, size_t response_max)
{
    while (pump(), rig.out_count)
        play_as(rig.out[0], peer, response_max);
}

static inline void assert_agrees(struct registry *peer)
{
    assert_true(same_digests(rig.node, peer));
    assert_true(same_holdings(rig.node, peer));
}
