/* SPDX-License-Identifier: Apache-2.0
 *
 * replicator_internal - what the files of the replicator share. Not for other modules.
 *
 *   replicator.c              peers, their health, failures and backoff, and the order of messages
 *   replicator_batch.c        changes and renewals: from the dirty lists to the peers
 *   anti_entropy.c            the comparison with a peer
 *   replicator_bootstrap.c    from the start until this node is ready
 *   replicator_lease_check.c  confirms the expiry of leases with the peers
 *   replicator_orders.c       releases of guards, and the exchange of block lists
 *   replicator_events.c       events of topics
 */
#pragma once

#include <sys/queue.h>

#include "artemis-server/replication/outbox.h"
#include "artemis-server/replication/replicator.h"

/* A comparison with one peer, for anti-entropy. */
enum comparison_step { COMPARISON_IDLE, COMPARISON_DIGEST, COMPARISON_LIST, COMPARISON_FETCH };

struct comparison {
    enum comparison_step step;
    uint64_t next_ms;         /* when the next one starts */
    uint64_t started_ms;      /* when this one did */
    struct bucket_set differ; /* buckets that differ and are not listed yet */
    uint32_t differing;       /* number of buckets that differed in the digests */
    struct record_copy *own;  /* this node's records in the buckets being listed, sorted by key */
    size_t own_count;
    bool *seen;                   /* which of them the peer listed */
    bool out_of_memory;           /* the comparison ends */
    bool is_incomplete;           /* a record that differed was not taken */
    struct record_copy *to_fetch; /* keys */
    size_t to_fetch_count;
    size_t to_fetch_capacity;
    bool is_cut;          /* more keys of this list differ than may be fetched after it */
    uint32_t buckets_max; /* in a list; 0: as many as the peer's limits allow */
    size_t skip;          /* keys of a bucket that were fetched in vain, and come first in it */
    size_t skipped;       /* of them, in this list */
    size_t fetched_count; /* items of this fetch, up to the last one that the peer sent */
};

/* How much one message with a peer carries. */
struct message_limits {
    uint32_t items_max;
    uint32_t register_bytes_max; /* of the instances in a MESSAGE_REGISTER */
    uint32_t buckets_max;        /* in a MESSAGE_LIST */
    uint32_t fetch_items_max;
    uint64_t lease_check_ms; /* timeout of a lease check; more if its round trips are slow */
};

struct peer {
    bool joined;
    uint64_t membership; /* counts joins: results of an earlier membership are ignored */
    enum peer_health health;
    bool is_ready;
    bool is_comparing;  /* not ready, since a stall */
    bool started_empty; /* as health_response.started_empty */
    bool is_legacy;
    bool is_remote;
    uint64_t epoch;   /* as health_response.epoch */
    bool has_started; /* this process of the peer has been ready */
    bool in_flight[MESSAGE_KINDS];
    uint64_t round_trip_ms; /* moving average; 0: not measured */
    uint32_t lease_checks;  /* in flight */
    uint64_t health_due_ms;
    bool health_outdated;    /* since a stall; until the next result of a health message */
    uint32_t failures;       /* in a row */
    uint64_t failed_ms;      /* time of the last counted failure */
    uint64_t retry_ms;       /* end of the backoff; nothing but health is sent before */
    uint64_t renew_due_ms;   /* of a remote peer: no renewals are sent before */
    uint32_t renew_batch;    /* renewals per message; adapts to the number of pending ones */
    uint32_t register_batch; /* registrations per message; halved after SEND_TOO_LARGE */
    bool goodbye_sent;
    bool was_ready;           /* when it last responded to a health check */
    bool update_accepted;     /* since it was last up */
    uint32_t rejections;      /* of updates in a row */
    uint64_t incompatible_ms; /* when it became incompatible or unauthorized */
    uint32_t times_down;      /* that messages other than /health brought it down, since it accepted
                                 one */
    bool has_failed;          /* the last message other than /health has */
    bool snapshot_tried;      /* its snapshot was read or cannot be had */
    bool snapshot_is_ahead;   /* a record of it was refused: ahead of the clocks of all members */
    uint32_t snapshot_failures;
    uint64_t releases_sent;          /* number of the next release of a guard that the peer gets */
    uint64_t release_due_ms;         /* after a failure: when it is sent again */
    bool is_blocking;                /* it refuses this node, which is blocked */
    bool has_blocks;                 /* it exchanges its block list, */
    uint64_t blocks_hash;            /* which had this hash */
    bool blocks_due;                 /* the lists may differ since the last exchange */
    uint64_t events_next;            /* position of the next event in the ring */
    struct event_batch events_retry; /* sent before it; the message failed */
    size_t events_max;               /* per message; halved after SEND_TOO_LARGE, raised by
                                      * each full message that is delivered; 0: no limit */
    uint64_t events_due_ms;          /* after a refused message: when the next one is sent */
    /* Changes and renewals that the peer has not acknowledged; see replicator_view. */
    struct {
        uint64_t sent_ms;     /* the oldest of the message on the way; 0: none */
        uint64_t returned_ms; /* the oldest that were put back into the outbox; 0: none */
    } oldest[QUEUE_COUNT];
    uint64_t missing_ms; /* the oldest that was dropped or not kept for it, because it was not up,
                            until the next comparison; 0: none */
    struct outbox outbox;
    struct comparison comparison;
    struct peer_view view; /* counters; replicator_view fills in the rest */
};

/* Whether a change or a renewal is in flight to the peer. */
static inline bool peer_has_update_in_flight(const struct peer *peer)
{
    return peer->in_flight[MESSAGE_REGISTER] || peer->in_flight[MESSAGE_UNREGISTER] ||
           peer->in_flight[MESSAGE_RENEW];
}

/* A lease whose expiry is being confirmed. Bit sets of peers. */
struct checked_lease {
    struct record_copy copy; /* first: see record_copy_compare */
    uint64_t needed;         /* peers whose response to this round is missing */
    uint64_t not_held;       /* peers that do not hold the key */
    uint64_t listed;         /* peers that listed the key in the response that is being read */
    bool is_resolved;        /* the check of this lease has ended */
};

/* A check of leases whose time ran out together; see replicator_lease_check.c. */
struct lease_check {
    TAILQ_ENTRY(lease_check) link;
    uint64_t number;
    bool is_guarded;              /* of leases that a guard of this node keeps */
    struct checked_lease *leases; /* sorted by key */
    size_t count;
    uint32_t rounds; /* completed */
    uint64_t started_ms;
    uint64_t round_ms;  /* when the present round began */
    uint64_t needed;    /* bit set of peers whose response to this round is missing */
    uint64_t in_flight; /* bit set of peers that have a message of this check */
    uint64_t responded; /* bit set of peers that have responded to this check */
    uint64_t excluded;  /* bit set of peers that are not asked any more */
    uint64_t again_ms[REPLICATOR_PEERS_MAX];    /* when a peer is asked again; 0: not asked yet */
    uint32_t interval_ms[REPLICATOR_PEERS_MAX]; /* before the time after that */
};
TAILQ_HEAD(lease_checks, lease_check);

/* The events that peers may still get, by position; those of a ring begin at 0. */
struct event_ring {
    struct event *items[EVENTS_WAITING_MAX];
    uint64_t first, end;
};

struct replicator {
    struct replicator_options options;
    struct registry *registry;
    uint64_t random;
    struct moment started;
    uint64_t renew_due_ms;  /* when dirty renewals are drained next */
    uint32_t next_peer;     /* where replicator_next starts: round robin */
    uint64_t snapshot_ms;   /* when the snapshot was complete; 0: not yet */
    uint64_t fetched_ms;    /* when a comparison last brought a record */
    uint64_t refill_ms;     /* since when clients register again, as no peer has data; 0: not now */
    bool has_refilled;      /* refill_ms was set at least once */
    uint64_t stall_ms;      /* end of the last stall; 0: none */
    uint64_t clocks_due_ms; /* replicator_check_clocks does nothing before */
    bool has_topology;      /* see replicator_on_topology */
    bool ready;
    bool was_ready;
    bool recomparing;  /* not ready again: see replicator_recompare */
    bool has_repeated; /* the comparisons that were old when the last one ended */
    bool flushing;
    struct lease_checks lease_checks;
    uint64_t lease_check_number;  /* of the last one */
    uint64_t guarded_check_ms;    /* start of the last one of guarded leases */
    uint64_t lease_check_turn_ms; /* of the last turn; see restart_after_pause */
    uint32_t lease_check_max;     /* leases per message; halved after SEND_TOO_LARGE */
    struct release_list releases;
    uint64_t blocks_hash;
    struct event_ring events;
    struct peer peers[REPLICATOR_PEERS_MAX];
    struct replicator_stats stats;
};

/* --- replicator.c ----------------------------------------------------------------------------- */
uint64_t replicator_random(struct replicator *replicator, uint64_t below);
uint32_t replicator_peer_number(const struct replicator *replicator, const struct peer *peer);
/* A message for a peer; marks its kind as in flight. NULL: out of memory. */
struct message *message_create(struct replicator *replicator, struct peer *peer,
                               enum message_kind kind, size_t items_max, struct moment now);

/* It rejects every update, and has accepted none since it was up. */
static inline bool peer_is_incompatible(const struct peer *peer)
{
    return !peer->update_accepted && peer->rejections >= INCOMPATIBLE_REJECTIONS;
}

/* It responds to /health alone. It may have been down once for another reason. */
static inline bool peer_is_failing(const struct peer *peer)
{
    return peer->times_down > 1 && (peer->health == PEER_UP || peer->health == PEER_DOWN);
}

/* --- replicator_batch.c ----------------------------------------------------------------------- */
const struct message_limits *peer_limits(const struct peer *peer);
/* When pending renewals of a remote peer are sent next; UINT64_MAX: only after another event. */
uint64_t batch_due_ms(const struct peer *peer);
struct message *batch_next(struct replicator *replicator, struct peer *peer, struct moment now);
void batch_on_result(struct replicator *replicator, struct peer *peer, struct message *message,
                     enum send_result result, struct moment now);
/* The peer is not up any more: what it has not acknowledged is dropped. Called with its new
 * health. */
void batch_on_peer_down(struct peer *peer);
/* Puts the current record of a key into the peer's outbox: the peer lacks it or has an older
 * one. */
void batch_repair(struct replicator *replicator, struct peer *peer, struct slice packed_key);

/* --- anti_entropy.c --------------------------------------------------------------------------- */
/* Orders packed keys; and records by their keys, for qsort and bsearch: pointers to a struct
 * record_copy, or to a struct that begins with one. */
int packed_key_compare(struct slice a, struct slice b);
int record_copy_compare(const void *a, const void *b);
struct message *anti_entropy_next(struct replicator *replicator, struct peer *peer,
                                  struct moment now);
/* When the next comparison may start; UINT64_MAX: only after another event. */
uint64_t anti_entropy_due_ms(const struct replicator *replicator, const struct peer *peer);
void anti_entropy_on_record(struct replicator *replicator, struct peer *peer,
                            const struct message *message, const struct wire_record *record,
                            struct moment now);
void anti_entropy_on_digests(struct replicator *replicator, struct peer *peer,
                             const uint64_t digests[DIGEST_BUCKETS]);
void anti_entropy_on_result(struct replicator *replicator, struct peer *peer,
                            struct message *message, enum send_result result, struct moment now);
/* Ends the comparison without a result; keeps next_ms. */
void comparison_reset(struct comparison *comparison);

/* --- replicator_bootstrap.c ------------------------------------------------------------------- */
struct message *bootstrap_next(struct replicator *replicator, struct peer *peer, struct moment now);
void bootstrap_on_record(struct replicator *replicator, struct peer *peer,
                         const struct wire_record *record, struct moment now);
void bootstrap_on_result(struct replicator *replicator, struct peer *peer,
                         const struct message *message, enum send_result result, struct moment now);
/* The health of a peer is outdated after a stall, until a message that was sent since then ends. */
void bootstrap_on_health_result(const struct replicator *replicator, struct peer *peer,
                                const struct message *message, struct moment now);
/* A peer that returns may send its snapshot, although it failed to do so before. */
void bootstrap_on_peer_up(const struct replicator *replicator, struct peer *peer,
                          struct moment now);
/* Makes this node ready when no peer is left to copy from or to compare with. */
void bootstrap_check_ready(struct replicator *replicator, struct moment now);
/* When bootstrap_check_ready may make this node ready without an earlier event; UINT64_MAX: only
 * after one. */
uint64_t bootstrap_due_ms(const struct replicator *replicator, struct moment now);

/* --- replicator_orders.c ---------------------------------------------------------------------- */
struct message *release_next(struct replicator *replicator, struct peer *peer, struct moment now);
void release_on_result(struct peer *peer, const struct message *message, enum send_result result,
                       struct moment now);
struct message *blocks_next(struct replicator *replicator, struct peer *peer, struct moment now);
void blocks_on_health(struct peer *peer, const struct health_response *health);
/* The health of a peer has changed, or it was removed. */
void blocks_on_change(struct replicator *replicator);

/* --- replicator_events.c ---------------------------------------------------------------------- */
struct message *events_next(struct replicator *replicator, struct peer *peer, struct moment now);
void events_on_result(struct peer *peer, struct message *message, enum send_result result,
                      struct moment now);
/* When events_next may return a message; UINT64_MAX: only after another event. */
uint64_t events_due_ms(const struct replicator *replicator, const struct peer *peer);
/* Whether nothing waits or is in flight. */
bool events_are_idle(const struct replicator *replicator, const struct peer *peer);
uint64_t events_waiting(const struct replicator *replicator, const struct peer *peer);
/* The peer is not up any more. */
void events_drop_all(struct replicator *replicator, struct peer *peer);
void events_free(struct replicator *replicator);
void event_batch_free(struct event_batch *batch);

/* --- replicator_lease_check.c ----------------------------------------------------------------- */
struct message *lease_check_next(struct replicator *replicator, struct peer *peer,
                                 struct moment now);
/* Ends checks that are complete, and starts the next with the leases that are confirming. */
void lease_check_drain(struct replicator *replicator, struct moment now);
/* When lease_check_next or lease_check_drain may do something without another event. */
uint64_t lease_check_due_ms(const struct replicator *replicator);
void lease_check_on_record(struct replicator *replicator, const struct message *message,
                           const struct wire_record *record, struct moment now);
/* A lease check to this peer has its result. */
void lease_check_on_result(struct replicator *replicator, struct peer *peer,
                           const struct message *message, enum send_result result,
                           struct moment now);
/* The peer will not respond. */
void lease_check_on_peer_down(struct replicator *replicator, const struct peer *peer,
                              struct moment now);
/* The peer is no member any more: checks do not wait for it, from the next drain on. */
void lease_check_forget_peer(struct replicator *replicator, const struct peer *peer);
void lease_checks_free(struct replicator *replicator);
