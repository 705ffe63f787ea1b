/* SPDX-License-Identifier: Apache-2.0
 *
 * replicator_internal - what the files of the replica share. Not for other rooms.
 *
 *   replica.c         peers, their health and circuit, and which message comes next
 *   replicator_batch.c   what was noted, on its way to the peers
 *   replicator_sync.c    anti-entropy
 *   replicator_node.c    this node: how it starts, and what it asks before a lease ends
 */
#pragma once

#include "artemis-server/replication/outbox.h"
#include "artemis-server/replication/replicator.h"

enum sync_step { SYNC_IDLE, SYNC_DIGEST, SYNC_LIST, SYNC_FETCH };

/* A comparison with one peer. */
struct sync {
    enum sync_step step;
    uint64_t next_ms;         /* when the next one is due */
    struct bucket_set differ; /* buckets yet to be listed */
    uint32_t differing;       /* how many differed at first */
    struct peer_state *mine;  /* what we hold in the buckets that are being listed, by key */
    size_t mine_count;
    bool *seen;                /* which of them the peer has named */
    bool mine_failed;          /* out of memory: the round is given up */
    struct peer_state *wanted; /* keys to fetch */
    size_t wanted_count;
    size_t wanted_capacity;
};

struct peer {
    bool joined;
    uint64_t membership; /* counts joins: the fate of older messages is of no interest */
    enum peer_health health;
    bool is_ready;
    bool is_legacy;
    bool under_way[MESSAGE_KINDS];
    uint64_t health_due_ms;
    uint32_t failures;
    uint64_t failed_ms; /* when the last one that counts came */
    uint64_t retry_ms;
    uint32_t renew_batch;    /* renewals in one message; follows what is pending */
    uint32_t register_batch; /* halved when the peer finds a message too large */
    bool said_goodbye;
    bool snapshot_tried; /* this node has all it can get from it */
    uint32_t snapshot_failures;
    struct outbox outbox;
    struct sync sync;
    struct peer_view view; /* its counters; the rest is filled in when it is asked for */
};

/* A change or a renewal is under way to it. */
static inline bool peer_is_being_told(const struct peer *peer)
{
    return peer->under_way[MESSAGE_REGISTER] || peer->under_way[MESSAGE_UNREGISTER] ||
           peer->under_way[MESSAGE_RENEW];
}

/* Leases that have ended here, and that peers are asked about. */
struct question {
    struct peer_state *items;
    size_t count;      /* 0: none is open */
    bool is_too_large; /* a peer would not read so many at once */
    uint64_t opened_ms;
    uint64_t to_ask; /* bits: the peers that have yet to be asked */
    uint64_t asked;  /* bits: the peers that have yet to answer */
};

struct replicator {
    struct replicator_options options;
    struct registry *registry;
    uint64_t random;
    struct moment started;
    uint64_t renew_due_ms; /* when renewals are taken up again */
    uint32_t next_peer;    /* who is served first */
    uint64_t snapshot_ms;  /* when it had one; 0: not yet */
    bool ready;
    bool draining;
    struct question question;
    uint32_t question_max; /* leases in one; halved when a peer finds it too large */
    struct peer peers[REPLICATOR_PEERS_MAX];
    struct replicator_stats stats;
};

/* --- replica.c --- */
uint64_t replicator_random(struct replicator *replica, uint64_t below);
uint32_t replicator_number(const struct replicator *replica, const struct peer *peer);
/* A message for a peer, its kind marked as under way; NULL: out of memory. */
struct message *replicator_message(struct replicator *replica, struct peer *peer,
                                   enum message_kind kind, size_t items_max, struct moment now);

/* --- replicator_batch.c --- */
struct message *batch_next(struct replicator *replica, struct peer *peer, struct moment now);
void batch_done(struct replicator *replica, struct peer *peer, struct message *message,
                enum send_result fate, struct moment now);
/* Tells a peer what is known here of a key, as it is now: it lacks that, or has something older. */
void batch_repair(struct replicator *replica, struct peer *peer, struct slice packed_key);

/* --- replicator_sync.c --- */
struct message *sync_next(struct replicator *replica, struct peer *peer, struct moment now);
/* When the next round may begin; UINT64_MAX: not before something else happens. */
uint64_t sync_due_ms(const struct replicator *replica, const struct peer *peer);
void sync_told(struct replicator *replica, struct peer *peer, const struct message *message,
               const struct wire_record *record, struct moment now);
void sync_told_digests(struct replicator *replica, struct peer *peer,
                       const uint64_t digests[DIGEST_BUCKETS]);
void sync_done(struct replicator *replica, struct peer *peer, const struct message *message,
               enum send_result fate, struct moment now);
void sync_reset(struct sync *sync);

/* --- replicator_node.c --- */
struct message *start_next(struct replicator *replica, struct peer *peer, struct moment now);
void start_told(struct replicator *replica, const struct wire_record *record, struct moment now);
void start_done(struct replicator *replica, struct peer *peer, enum send_result fate,
                struct moment now);
/* Ready, when nobody is left to learn from. */
void start_check(struct replicator *replica, struct moment now);
/* When it stops to compare before it is ready; UINT64_MAX: it does not. */
uint64_t start_deadline_ms(const struct replicator *replica);
struct message *question_next(struct replicator *replica, struct peer *peer, struct moment now);
void question_gather(struct replicator *replica, struct moment now);
void question_told(struct replicator *replica, const struct wire_record *record, struct moment now);
/* A peer has answered, or will not. */
void question_closed(struct replicator *replica, struct peer *peer, struct moment now);
/* What was asked of it has its fate; perhaps in an earlier question, which is of no interest. What
 * it finds too large is asked again in halves. */
void question_done(struct replicator *replica, struct peer *peer, bool too_large,
                   struct moment now);
/* A peer is no member any more: nobody waits for it, from the next question_gather on. */
void question_forget(struct replicator *replica, const struct peer *peer);
