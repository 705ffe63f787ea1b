/* SPDX-License-Identifier: Apache-2.0
 *
 * replicator - how this node and its peers come to hold the same: a pure state machine.
 *
 * What happens goes in: peers that join and leave, the passing of time, and the fate of what was
 * sent. Messages to send come out. There is no thread, socket, clock or JSON in here; the worker
 * brings it together with libcurl, and the simulator with a seed. What peers say to *us* does not
 * pass through here: it is applied to the registry (registry_peers.h).
 *
 * What it does for each peer:
 *   health       asks every health_interval_ms, and every second while the peer is down
 *   changes      at once, in batches of what is pending
 *   renewals     every batch_interval_ms, in batches that grow with what is pending
 *   repair       a renewal that the peer refuses is followed by the whole record
 *   failures     temporary: kept, retried with back-off and jitter; permanent: counted, dropped.
 *                More than max_retries in a row: the peer is down, and its outbox is dropped
 *   anti-entropy every anti_entropy_ms, and when a peer comes back: digests, then the keys of the
 *                buckets that differ, then the records that differ, both ways
 * and for this node: the snapshot it starts from, which it compares with every other peer before it
 * is ready; and the question to all peers before a lease ends.
 *
 * At most one message of each kind is under way to a peer. Memory is bounded by the number of
 * instances, whatever a peer does. One thread at a time.
 */
#pragma once

#include "artemis-core/base/moment.h"
#include "artemis-server/registry/registry_replication.h"

enum {
    REPLICATOR_PEERS_MAX = 64,
    BACKOFF_MIN_MS = 100,
    BACKOFF_MAX_MS = 10000,
    DOWN_PROBE_MS = 1000, /* a peer that is down is asked for its health so often */
    QUESTION_TIMEOUT_MS = 500,
    QUESTION_LOOK_MS = 100, /* so often it is looked whether a lease has ended */
    START_COMPARE_MS =
        5000, /* a node with a snapshot waits no longer for the comparison with all */
    MESSAGE_ITEMS_MAX = 10000,
    MESSAGE_BYTES_MAX = 1024 * 1024, /* of instances in one message */
    SYNC_BUCKETS_MAX = 128,          /* that are compared in one message */
    SYNC_FETCH_MAX = 10000, /* records that are fetched after it; the rest in the next round */
    FETCH_ITEMS_MAX = 1000, /* of them in one message */
};

struct replicator_options {
    uint32_t batch_size;
    uint64_t batch_interval_ms;
    uint32_t max_retries;
    uint64_t anti_entropy_ms;
    uint64_t health_interval_ms;
    uint64_t seed; /* for jitter and for hashes */
};

enum message_kind {
    MESSAGE_HEALTH,      /* how are you */
    MESSAGE_REGISTER,    /* items: registrations */
    MESSAGE_UNREGISTER,  /* items: keys */
    MESSAGE_RENEW,       /* items: keys; the answer names those to send whole */
    MESSAGE_LEASE_CHECK, /* items: keys; the answer names those that live there */
    MESSAGE_DIGEST,      /* the answer is the peer's digests */
    MESSAGE_LIST,        /* buckets; the answer is the peer's keys in them */
    MESSAGE_FETCH,       /* items: keys; the answer is their records */
    MESSAGE_SNAPSHOT,    /* the answer is everything, as a stream */
    MESSAGE_GOODBYE,     /* this node leaves */
    MESSAGE_KINDS,
};

/* A message belongs to whoever took it, until replicator_done takes it back. */
struct message {
    enum message_kind kind;
    uint32_t peer;       /* as given to replicator_join */
    uint64_t timeout_ms; /* 0: the usual one */
    struct bucket_set buckets;
    struct peer_state *items;
    size_t count;
    uint64_t sent_ms;    /* private to replica, like what follows */
    uint64_t membership; /* of the peer when it was sent */
};

/* What became of a message. */
enum send_result {
    SEND_DELIVERED,
    SEND_RETRYABLE,     /* timeout, broken connection, 429, 503: worth another try */
    SEND_UNREACHABLE,   /* connection refused: nobody is there */
    SEND_REJECTED,      /* any other refusal: the same would be refused again */
    SEND_TOO_LARGE,     /* 413: half of it may pass */
    SEND_WRONG_CLUSTER, /* another cluster's node */
    SEND_RESULTS,
};

enum peer_health {
    PEER_NEW, /* not yet asked */
    PEER_UP,
    PEER_DOWN,
    PEER_WRONG_CLUSTER, /* it is of another cluster, or refuses us for that */
    PEER_DUPLICATE_ID,  /* another process with our own node id */
    PEER_SELF,          /* this very node: left out */
};

struct replicator;

/* Reads and writes the registry, which must outlive it. ERR_NO_MEMORY. */
MUST_USE enum error replicator_create(const struct replicator_options *options,
                                      struct registry *registry, struct moment now,
                                      struct replicator **out);
void replicator_free(struct replicator *replica);

/* --- what happens ----------------------------------------------------------------------------- */

/* A peer by a number of the caller's, below REPLICATOR_PEERS_MAX. It must not be there yet, or
 * must. */
void replicator_join(struct replicator *replica, uint32_t peer, struct moment now);
void replicator_leave(struct replicator *replica, uint32_t peer);

/* Takes up what the registry noted. Then, replicator_next: the next message to send now, or
 * NULL. Call
 * both, the latter until it is NULL, after each event, when registry_on_change tells of a change,
 * and when replicator_due_ms has come. */
void replicator_gather(struct replicator *replica, struct moment now);
struct message *replicator_next(struct replicator *replica, struct moment now);
/* The monotonic time at which replicator_next may have something, if nothing happens before. */
uint64_t replicator_due_ms(const struct replicator *replica, struct moment now);

/* What the answer to a message said, item by item, before its fate. What an item means follows from
 * the kind of the message. */
void replicator_on_record(struct replicator *replica, const struct message *message,
                          const struct wire_record *record, struct moment now);
void replicator_on_digests(struct replicator *replica, const struct message *message,
                           const uint64_t digests[DIGEST_BUCKETS], struct moment now);
struct health_answer {
    bool is_self;          /* the very process */
    bool has_our_name;     /* our node id, but not us */
    bool is_wrong_cluster; /* another cluster's id */
    bool is_legacy;        /* an older Artemis: it knows no versions, digests or questions */
    bool is_ready;         /* it serves discovery */
    bool is_leaving;       /* it is draining */
    uint64_t clock_ms;     /* of its versions; 0: it did not say */
};
void replicator_on_health(struct replicator *replica, const struct message *message,
                          const struct health_answer *health, struct moment now);
void replicator_drop_message(struct message *message); /* one that has no fate any more */
/* The fate of a message; frees it. A snapshot was delivered only if its end marker was read. */
void replicator_done(struct replicator *replica, struct message *message, enum send_result fate,
                     struct moment now);
/* A peer said itself that it leaves: nothing more is sent until it answers again. */
void replicator_peer_leaves(struct replicator *replica, uint32_t peer, struct moment now);

/* --- this node -------------------------------------------------------------------------------- */

/* True once it holds what the cluster holds, or every peer was tried and none had data. */
bool replicator_is_ready(const struct replicator *replica);
/* From now on all that is pending leaves at once, and nothing is compared any more. */
void replicator_drain(struct replicator *replica);
/* Nothing is pending or under way to a peer that is up. */
bool replicator_is_idle(const struct replicator *replica);

/* --- what operators see ----------------------------------------------------------------------- */

enum { LAG_BOUNDS = 13 };
extern const uint64_t lag_bounds_ms[LAG_BOUNDS]; /* upper bounds; a last one is infinite */

struct peer_view {
    bool joined;
    enum peer_health health;
    bool is_ready;
    bool is_legacy;
    uint32_t failures; /* in a row */
    uint64_t backlog;  /* keys in its outbox */
    uint64_t outbox_bytes;
    uint64_t oldest_ms;   /* how long the oldest change or renewal has been waiting */
    uint64_t last_lag_ms; /* of what was last delivered: from the change to the answer */
    uint64_t heard_ms;    /* monotonic: the last answer; 0: never */
    uint64_t compared_ms; /* monotonic: the last comparison that ended; 0: never */
    uint32_t differing;   /* buckets that differed then */
    /* since the start */
    uint64_t sent[MESSAGE_KINDS], delivered[MESSAGE_KINDS];
    uint64_t failed[SEND_RESULTS]; /* by fate */
    uint64_t items[MESSAGE_KINDS]; /* that were in the messages sent */
    uint64_t items_dropped, repairs;
    uint64_t lag[LAG_BOUNDS + 1], lag_sum_ms;
};
void replicator_view(const struct replicator *replica, uint32_t peer, struct moment now,
                     struct peer_view *view);

struct replicator_stats {
    uint64_t questions, refuted, settled; /* leases asked about, kept alive, ended */
    uint64_t rounds, differences;         /* of anti-entropy */
    uint64_t fetched;                     /* records taken over from peers by it */
    uint64_t snapshot_records, started_in_ms;
};
void replicator_stats(const struct replicator *replica, struct replicator_stats *stats);
