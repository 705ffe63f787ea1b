/* SPDX-License-Identifier: Apache-2.0
 *
 * replicator - decides which replication message goes to which peer: a pure state machine.
 *
 * The path of a replication message:
 *   1. A request thread changes or renews a record, and the shard adds the key to a dirty list. A
 *      change wakes the replication thread (registry_set_dirty_notify); a renewal waits for the
 *      interval.
 *   2. replicator_drain_dirty takes the keys from the dirty lists and puts the latest record of
 *      each into the outbox of every peer that is up (outbox.h).
 *   3. replicator_next takes a batch out of an outbox and returns it as a struct message.
 *   4. The peer client (peer_client.h) or the simulator sends it. The peer's handlers apply it to
 *      their registry (registry_replication.h); nothing is forwarded, except releases of guards.
 *   5. The items of the response arrive by replicator_on_record, on_digests and on_health.
 *   6. replicator_on_result receives the send result and frees the message. Retryable: the items
 *      return to the outbox and are sent again after a backoff. Rejected: they are counted and
 *      dropped; anti-entropy repairs what is missing.
 *
 * Schedule for each peer:
 *   health        every health_interval_ms; every second while the peer is not ready
 *   changes       at once; one message carries all that is pending, up to MESSAGE_ITEMS_MAX
 *   renewals      every batch_interval_ms, to a remote peer every remote_batch_ms; the batch grows
 *                 with the number of pending renewals
 *   repair        the peer lacks a renewed record: the whole record follows
 *   failures      more than max_retries in a row: the peer is down and its outbox is dropped. If
 *                 it responds to /health alone, it is shown as down until it accepts a message
 *   anti-entropy  every anti_entropy_ms and when the peer comes up: digests, then the keys of the
 *                 buckets that differ, then the records that differ, in both directions. Two
 *                 nodes that start without data do so too, while they wait for data
 * A peer of another region is remote: the link to it may be slow. Its messages are smaller, so that
 * each arrives before its timeout, and there are fewer of them.
 * For this node: bootstrap (the snapshot of one peer, then a comparison with every other ready
 * peer) and lease checks (before a lease expires, its expiry is confirmed with the peers).
 *
 * The replicator has no thread, socket, clock or JSON. At most one message of a kind is in flight
 * to a peer, of lease checks at most three. Memory is bounded by the number of instances. One
 * thread calls at a time.
 */
#pragma once

#include "artemis-core/base/backoff.h"
#include "artemis-core/base/moment.h"
#include "artemis-server/cluster/release_list.h"
#include "artemis-server/events/event_hub.h"
#include "artemis-server/registry/registry_replication.h"

enum {
    REPLICATOR_PEERS_MAX = 64,
    DOWN_PROBE_MS = 1000,         /* interval of health messages to a peer that is down */
    LEASE_CHECK_TIMEOUT_MS = 500, /* of a round with one peer; more if its round trips are slow */
    REMOTE_LEASE_CHECK_TIMEOUT_MS = 1000, /* the same: time for a new connection with TLS */
    LEASE_CHECK_ROUNDS_MAX = 8,
    LEASE_CHECK_INTERVAL_MS = 100, /* interval at which confirming leases are drained */
    INCOMPATIBLE_REJECTIONS = 3,   /* in a row, without an accepted update since it was up */
    INCOMPATIBLE_RETRY_MS = 60000, /* then the peer gets updates again */
    UNAUTHORIZED_RETRY_MS = 30000, /* the same: it may have got other tokens */
    CLOCK_RAISED_MS = 1000,        /* a smaller rise of a member's clock may be a wrong reading */
    BOOTSTRAP_COMPARE_MS = 5000,   /* limit for the comparisons after the snapshot: since it was
                                      complete, or since a comparison last brought a record */
    BOOTSTRAP_FRESH_MS = 500, /* older comparisons are repeated once, before the node is ready */
    MESSAGE_ITEMS_MAX = 10000,
    MESSAGE_BYTES_MAX = 1024 * 1024, /* of the instances in one message */
    ANTI_ENTROPY_BUCKETS_MAX = 128,  /* buckets in one MESSAGE_LIST */
    ANTI_ENTROPY_FETCH_MAX = 10000,  /* records fetched after one MESSAGE_LIST */
    FETCH_ITEMS_MAX = 1000,          /* records in one MESSAGE_FETCH */
    /* The same, with a remote peer: */
    REMOTE_ITEMS_MAX = 5000,
    REMOTE_BYTES_MAX = 256 * 1024, /* of the instances in one MESSAGE_REGISTER */
    REMOTE_BUCKETS_MAX = 32,
    REMOTE_FETCH_ITEMS_MAX = 250,
    REMOTE_BATCH_TTL_SHARE = 6, /* remote_batch_ms is at most a sixth of the time-to-live */
};

struct replicator_options {
    uint32_t batch_size; /* initial limit of renewals per message */
    uint64_t batch_interval_ms;
    uint64_t remote_batch_ms; /* the same for remote peers, if it is longer */
    uint32_t max_retries;
    uint64_t anti_entropy_ms;
    uint32_t fetch_max; /* 0: ANTI_ENTROPY_FETCH_MAX */
    uint32_t check_max; /* leases in a lease check. 0: MESSAGE_ITEMS_MAX */
    uint64_t health_interval_ms;
    uint64_t snapshot_timeout_ms; /* of one snapshot, then the next peer is asked; of all
                                     comparisons after it; and of each later comparison */
    uint64_t bootstrap_grace_ms;  /* how long this node waits for a peer that has data */
    uint64_t list_grace_ms;       /* the same while there is no list of peers; 0: there is one */
    uint64_t bootstrap_refill_ms; /* the last part of it, in which clients register again */
    bool starts_empty;            /* this node has loaded no records from storage */
    uint64_t seed;                /* for jitter and for hashes */
};

enum bootstrap_phase {
    BOOTSTRAP_COPYING,   /* peers may hold instances that this node lacks */
    BOOTSTRAP_REFILLING, /* no peer has data; clients register again */
    BOOTSTRAP_READY,
};

enum message_kind {
    MESSAGE_HEALTH,      /* GET /health */
    MESSAGE_REGISTER,    /* items: registrations */
    MESSAGE_UNREGISTER,  /* items: keys */
    MESSAGE_RENEW,       /* items: keys; the response names those whose record the peer lacks */
    MESSAGE_LEASE_CHECK, /* items: keys; the response names those whose lease goes on there, and
                            those that are being confirmed there */
    MESSAGE_DIGEST,      /* the response is the peer's digests */
    MESSAGE_LIST,        /* buckets; the response is the peer's keys in them */
    MESSAGE_FETCH,       /* items: keys; the response is their records */
    MESSAGE_SNAPSHOT,    /* the response is everything the peer holds, as a stream */
    MESSAGE_RELEASE,     /* an operator has released the guard of service_id; "": of everything */
    MESSAGE_BLOCKS,      /* the list of blocked nodes; the response is that of the peer */
    MESSAGE_EVENTS,      /* events of topics that this node has published */
    MESSAGE_GOODBYE,     /* this node shuts down */
    MESSAGE_KINDS,
};

/* Events for one process of a peer; references. */
struct event_batch {
    struct event **items; /* NULL while there are none; `count`, then `rest` */
    size_t count;
    size_t rest;       /* sent after them, since all together were too large */
    uint64_t to_epoch; /* of the process; 0: not known */
};

/* Owned by the caller of replicator_next until it calls replicator_on_result or message_free. */
struct message {
    enum message_kind kind;
    uint32_t peer;       /* the number given to replicator_add_peer */
    uint64_t timeout_ms; /* 0: the client's default */
    struct bucket_set buckets;
    struct record_copy *items;
    size_t count;
    struct slice service_id; /* of MESSAGE_RELEASE; owned */
    uint64_t sent_ms;        /* private to the replicator */
    uint64_t membership;     /* private to the replicator: the peer's membership when it was sent */
    uint64_t check;          /* private to the replicator: number of the lease check */
    uint64_t release;        /* private to the replicator: number of the release */
    uint64_t release_clock_ms; /* of MESSAGE_RELEASE: the clock of the cluster when it was made */
    struct event_batch events; /* of MESSAGE_EVENTS */
};

enum send_result {
    SEND_DELIVERED,
    SEND_RETRYABLE,     /* timeout, broken connection, 408, 429, 5xx: sent again after a backoff */
    SEND_UNREACHABLE,   /* connection refused: the peer is down */
    SEND_REJECTED,      /* any other status: the same message would be rejected again */
    SEND_TOO_LARGE,     /* 413: sent again in halves */
    SEND_WRONG_CLUSTER, /* 403: the peer has another cluster id */
    SEND_UNAUTHORIZED,  /* 401, or 403: the peer refuses the token of this node */
    SEND_BLOCKED,       /* 403: this node is blocked */
    SEND_RESULTS,
};

enum peer_health {
    PEER_NEW, /* no response yet */
    PEER_UP,
    PEER_DOWN,
    PEER_INCOMPATIBLE,  /* it is up and rejects every update */
    PEER_UNAUTHORIZED,  /* it is up and refuses the token of this node */
    PEER_WRONG_CLUSTER, /* its cluster id differs from this node's */
    PEER_DUPLICATE_ID,  /* another process with this node's id */
    PEER_BLOCKED,       /* it is blocked, or refuses this node because that is blocked */
    PEER_SELF,          /* this process itself: excluded */
};

struct replicator;

/* Reads and writes the registry, which must outlive it. ERR_NO_MEMORY. */
MUST_USE enum error replicator_create(const struct replicator_options *options,
                                      struct registry *registry, struct moment now,
                                      struct replicator **out);
void replicator_free(struct replicator *replicator); /* accepts NULL */

/* --- events ----------------------------------------------------------------------------------- */

/* Adds or removes the peer with this number, which the caller chooses below REPLICATOR_PEERS_MAX.
 * replicator_add_peer: it must be free; replicator_remove_peer: it must be in use. */
void replicator_add_peer(struct replicator *replicator, uint32_t peer, struct moment now);
void replicator_remove_peer(struct replicator *replicator, uint32_t peer);

/* There is a list of peers now, which may be empty. */
void replicator_on_topology(struct replicator *replicator);

/* Moves the registry's dirty keys into the outboxes. Also starts lease checks, and ends those that
 * are complete or have timed out. */
void replicator_drain_dirty(struct replicator *replicator, struct moment now);
/* The next message to send; NULL: none now. Call replicator_drain_dirty, then this until it returns
 * NULL: after each event, when the registry notifies of a change, and at replicator_due_ms. */
struct message *replicator_next(struct replicator *replicator, struct moment now);
/* The monotonic time at which replicator_next may return a message without an earlier event. */
uint64_t replicator_due_ms(const struct replicator *replicator, struct moment now);

/* One item of a response; called before replicator_on_result. Its meaning follows from the kind of
 * the message. */
void replicator_on_record(struct replicator *replicator, const struct message *message,
                          const struct wire_record *record, struct moment now);
void replicator_on_digests(struct replicator *replicator, const struct message *message,
                           const uint64_t digests[DIGEST_BUCKETS], struct moment now);
struct health_response {
    bool is_self;              /* the response comes from this process */
    bool has_own_node_id;      /* another process with this node's id */
    bool is_wrong_cluster;     /* another cluster id */
    bool is_legacy;            /* an older Artemis: no stamps, no digests, no lease checks */
    bool is_remote;            /* in another region than this node */
    bool is_ready;             /* it serves discovery */
    bool is_comparing;         /* it has data, and will be ready when it has compared itself */
    bool started_empty;        /* it has loaded no records from storage; false: it may have */
    bool is_leaving;           /* it is draining */
    bool is_blocked;           /* its node id is in this node's block list, or it says that it is
                                  blocked */
    bool is_blocking;          /* this node is in the block list of the peer */
    bool has_blocks;           /* it exchanges its block list, */
    uint64_t blocks_hash;      /* which has this hash; 0: the list is empty */
    uint64_t epoch;            /* identifies its process; 0: not sent */
    uint64_t clock_ms;         /* its HLC; 0: not sent */
    uint64_t members_clock_ms; /* the highest clock of all members that it knows; 0: not sent */
    uint64_t highest_hlc;      /* no stamp that it knows is above it; 0: not sent */
};
void replicator_on_health(struct replicator *replicator, const struct message *message,
                          const struct health_response *health, struct moment now);
/* False: the peer was removed after the message was sent. */
bool replicator_is_current(const struct replicator *replicator, const struct message *message);
/* The send result of a message; frees it. A snapshot counts as delivered only if its end marker
 * was read. */
void replicator_on_result(struct replicator *replicator, struct message *message,
                          enum send_result result, struct moment now);
/* Sends a health check to every peer at once, at most once a second: a record or the clock of a
 * response was refused as too far ahead, and the clock of a member may be higher than this node
 * knows. */
void replicator_check_clocks(struct replicator *replicator, struct moment now);
void message_free(struct message *message); /* one that gets no result any more; accepts NULL */
/* The peer announced its shutdown: it is down. Only health checks are sent until its next health
 * response. */
void replicator_on_goodbye(struct replicator *replicator, uint32_t peer, struct moment now);

/* The hash of this node's block list (cluster/blocks.h). A peer whose list has another hash gets a
 * MESSAGE_BLOCKS: at once when this one has changed, and after each of its health responses. */
void replicator_set_blocks(struct replicator *replicator, uint64_t hash);
/* The response of a MESSAGE_BLOCKS: the peer's list has this hash. Called before
 * replicator_on_result. */
void replicator_on_blocks(struct replicator *replicator, const struct message *message,
                          uint64_t hash);

/* Sends an event of this node to the peers that are up; takes over the reference. See
 * replicator_events.c. */
void replicator_put_event(struct replicator *replicator, struct event *event);
/* The releases of guards that the peers get, each once. Copies the list, which has changed since
 * the last call. */
void replicator_set_releases(struct replicator *replicator, const struct release_list *list);

/* --- this node -------------------------------------------------------------------------------- */

/* True once this node holds what the cluster holds, or every peer was tried and none had data, and
 * clients had the time to register again. */
bool replicator_is_ready(const struct replicator *replicator);
enum bootstrap_phase replicator_phase(const struct replicator *replicator);
/* After a stall of this process: it is not ready until it has been compared with every ready peer,
 * with the same limits as after a snapshot. Where no peer has data, clients get the whole time
 * again in which they register. */
void replicator_recompare(struct replicator *replicator, struct moment now);
/* Before a shutdown: pending changes and renewals are sent at once, anti-entropy stops, and each
 * peer gets a goodbye. */
void replicator_flush(struct replicator *replicator);
/* True when nothing is pending or in flight to a peer that is up. */
bool replicator_is_idle(const struct replicator *replicator);

/* --- status ----------------------------------------------------------------------------------- */

enum { LAG_BOUNDS = 13 };
extern const uint64_t lag_bounds_ms[LAG_BOUNDS]; /* upper bounds; one more bucket is unbounded */

/* Why an event is not sent to a peer. */
enum event_drop {
    EVENT_DROP_PEER_DOWN,      /* the peer is not up */
    EVENT_DROP_QUEUE_FULL,     /* EVENTS_WAITING_MAX later ones wait for it */
    EVENT_DROP_REFUSED,        /* the peer refused it: an older node, for one */
    EVENT_DROP_PEER_RESTARTED, /* an earlier process of the peer may have delivered it */
    EVENT_DROPS,
};
const char *event_drop_word(enum event_drop reason);

struct peer_view {
    bool joined;
    enum peer_health health;
    bool is_ready;
    bool is_legacy;
    bool is_remote;
    bool is_blocking;  /* it refuses this node, which is blocked */
    bool is_failing;   /* shown as down: it responds to /health, and every other message fails */
    bool is_tried;     /* is_failing, and it gets messages since its last health response */
    uint32_t failures; /* in a row */
    uint64_t backlog;  /* keys in its outbox */
    uint64_t outbox_bytes;
    bool is_suspect;           /* up, and silent for longer than it should be */
    bool has_unacknowledged;   /* changes or renewals, in the outbox or on the way */
    uint64_t oldest_ms;        /* age of the oldest of them; 0: none */
    uint64_t last_lag_ms;      /* of the last delivered item: from the change to the response */
    uint64_t last_response_ms; /* monotonic; 0: never */
    uint64_t compared_ms;      /* monotonic: the last complete comparison; 0: never */
    uint32_t differing;        /* buckets that differed in it */
    /* counters since the start */
    uint64_t sent[MESSAGE_KINDS], delivered[MESSAGE_KINDS];
    uint64_t failed[SEND_RESULTS];
    uint64_t items[MESSAGE_KINDS]; /* in the messages sent */
    uint64_t items_rejected;       /* by the peer */
    uint64_t items_dropped;        /* those, and what was left to anti-entropy */
    uint64_t repairs;
    uint64_t lag[LAG_BOUNDS + 1], lag_sum_ms;
    uint64_t events_waiting; /* now */
    uint64_t events_delivered, events_dropped[EVENT_DROPS];
};
void replicator_view(const struct replicator *replicator, uint32_t peer, struct moment now,
                     struct peer_view *view);

struct replicator_stats {
    uint64_t lease_checks, refuted, confirmed; /* checked leases; kept; not refuted */
    uint64_t comparisons, differences;         /* of anti-entropy; buckets that differed */
    uint64_t fetched;                          /* records taken from peers by anti-entropy */
    uint64_t lists_cut;                        /* lists with more than fetch_max keys to fetch */
    uint64_t incomplete;       /* comparisons that lack a record: it was refused, or not sent */
    uint64_t snapshot_records; /* taken from snapshots */
    bool has_snapshot;         /* one of them was complete */
    bool has_sharer; /* when this node became ready, the process that registry_shared named was a
                        ready peer and had been compared */
    uint64_t bootstrap_ms; /* from the start until ready */
    bool is_blocked;       /* more peers refuse this node as blocked than accept it */
};
void replicator_stats(const struct replicator *replicator, struct replicator_stats *stats);
