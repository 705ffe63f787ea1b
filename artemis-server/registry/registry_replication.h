/* SPDX-License-Identifier: Apache-2.0
 *
 * registry_replication - the part of the registry that replication uses.
 *
 * Dirty lists: while the registry is replicating, each local change and renewal puts the number of
 * its record into a dirty list, once, without an allocation. Draining a list returns a copy of the
 * latest record of each key, in turn: a drain goes on where the last one ended. The records of
 * peers are not marked, so nothing is forwarded.
 *
 * Apply: registry_apply... store the records of peers. Of two records of a key the later one stays
 * (record_order.h), in any order and any number of times. A renewal moves a lease to
 * `now - age + ttl`, if that is later. When a client registers identical content at this node, the
 * stamp stays, and the HLC time of the registration is stored in record.reregistered_hlc. If the
 * stamp of a peer's change lies between the stored stamp and that time, the stored content stays:
 * it gets that time as its stamp, and is marked dirty.
 *
 * Tombstones: an unregistered key keeps a tombstone with its stamp for `tombstone_ms`, so that no
 * peer brings the instance back. Responses to clients contain no tombstones.
 *
 * Lease check: while the registry is replicating, a lease whose time runs out is confirming until
 * registry_confirm_expiry, or for registry_lease_check_max_ms and LEASE_CHECK_SLACK_MS after its
 * check has begun (registry_drain_lease_checks). A renewal from a peer refutes the expiry. An
 * eviction leaves no tombstone and is not marked dirty: each node evicts for itself.
 *
 * Digests: 1,024 XOR sums over hashes of key and stamp of the registered instances. They do not
 * cover tombstones: a tombstone matters only against an instance of the same key, and that instance
 * is covered. The lists of buckets and the snapshot contain tombstones.
 *
 * Any thread may call; of the drains of one list, one at a time. A record_copy holds a reference:
 * record_copy_unref it.
 */
#pragma once

#include "artemis-core/model/wire_record.h"
#include "artemis-server/registry/registry.h"
#include "artemis-server/registry/shard.h"

enum {
    /* Limits of the time of a lease check, which is a third of the time-to-live. */
    LEASE_CHECK_MIN_MS = 500,
    LEASE_CHECK_MAX_MS = 4000,
    LEASE_CHECK_SLACK_MS = 500, /* for a check to be started */
    GUARDED_RECHECK_MS = 1000,  /* interval at which guarded leases come up */
};

/* A copy of the latest record of a key: instance or tombstone. */
struct record_copy {
    struct instance *instance; /* a reference; of a tombstone, only its key counts */
    uint64_t hlc;
    uint64_t touched_ms;  /* monotonic: the last renewal (deadline - ttl), or the unregistration */
    struct node_id *node; /* a reference; with hlc, the stamp */
    uint8_t lease_state;
    bool deleted;
    bool is_repair; /* the peer missed it earlier: its age says nothing about the lag */
};

void record_copy_unref(struct record_copy *copy);
/* Another reference to the same copy. */
struct record_copy record_copy_ref(const struct record_copy *copy);
/* The stamp; borrows from the copy. */
struct stamp record_copy_stamp(const struct record_copy *copy);
/* The record in its form for peers; borrows from the copy. */
struct wire_record registry_wire_record(const struct registry *registry,
                                        const struct record_copy *copy, struct moment now);
/* Copies the record of one key, a tombstone too. False: not known. */
bool registry_read_key(struct registry *registry, struct slice packed_key, struct record_copy *out);

/* --- dirty lists ------------------------------------------------------------------------------ */

/* Whether any peer is up. Only then changes and renewals are marked, and a lease whose time has run
 * out is confirming before it expires. Off at first. */
void registry_set_replicating(struct registry *registry, bool on);
/* Called after each change (not renewal) that was marked, without a lock, by the thread that made
 * it. Set it while no other thread changes the registry. */
typedef void registry_dirty_notify(void *context);
void registry_set_dirty_notify(struct registry *registry, registry_dirty_notify *notify,
                               void *context);

/* At most `max` records; 0 when the list is empty. */
size_t registry_drain_changes(struct registry *registry, struct record_copy *out, size_t max);
size_t registry_drain_renewals(struct registry *registry, struct record_copy *out, size_t max);

/* --- peers ------------------------------------------------------------------------------------ */

/* Adds or removes a node of the cluster whose records have this number in wire_record.peer, 1 to
 * NODE_ID_MEMBERS. Each has a share of the node id table; one that is removed leaves its node ids
 * to this node. */
void registry_add_peer(struct registry *registry, uint32_t peer);
void registry_remove_peer(struct registry *registry, uint32_t peer);

/* --- apply ------------------------------------------------------------------------------------ */

/* A registration. One whose lease has ended is stored if the peer guards or confirms it, and is
 * then confirmed here. ERR_NONE also if the record here is newer; ERR_NO_MEMORY and
 * ERR_TOO_MANY_ITEMS (node ids) change nothing; ERR_VERSION_AHEAD: the stamp is further ahead
 * of the clocks of all members than max_clock_skew_ms. */
MUST_USE enum error registry_apply(struct registry *registry, const struct wire_record *record,
                                   struct moment now);
/* A registration in the list of a legacy node, which may have been made at any time. It is stored
 * if the key is not known, with a stamp below those of all clocks. ERR_NO_MEMORY. */
MUST_USE enum error registry_apply_unstamped(struct registry *registry,
                                             const struct wire_record *record, struct moment now);
/* A renewal. ERR_INSTANCE_NOT_FOUND: the key is not known here, or its record is older here; the
 * peer sends the record then. */
MUST_USE enum error registry_apply_renewal(struct registry *registry,
                                           const struct wire_record *record, struct moment now);
/* The same for up to REGISTRY_KEYS_MAX records with `key`; locks each shard once. errors[i] is that
 * of a record. */
void registry_apply_renewals(struct registry *registry, const struct wire_record records[],
                             size_t count, struct moment now, enum error errors[]);
/* An unregistration. Errors as registry_apply. */
MUST_USE enum error registry_apply_unregister(struct registry *registry,
                                              const struct wire_record *record, struct moment now);

/* The release of a guard at another node, as registry_release_guard. It was made when the clock of
 * the cluster (registry_clock_ms) showed clock_ms; 0: now. A guard that has engaged since, for
 * leases that have ended since, stays engaged; a lease check after that time counts as that time.
 * It ends one time-to-live after that, on all nodes at the same time, so a late one has no effect.
 * True: it has an effect here. */
bool registry_apply_release(struct registry *registry, struct slice id, uint64_t clock_ms,
                            struct moment now);
/* The time of a release, as this node takes it: at most that of its own clock. One that is ahead
 * would replace all later ones. */
uint64_t registry_release_clock_ms(const struct registry *registry, uint64_t clock_ms,
                                   struct moment now);
/* The monotonic time at which a release ends that was made then. */
uint64_t registry_release_until_ms(const struct registry *registry, uint64_t clock_ms,
                                   struct moment now);

/* The result of registry_restore for a record. */
enum restore_result {
    RESTORE_TAKEN,
    RESTORE_NEWER, /* the record or tombstone here is as new or newer */
    RESTORE_ENDED, /* a tombstone without effect: its retention has ended, and no record is there */
    RESTORE_RESULTS,
};
/* Merges a record of a snapshot file, or a tombstone. The later one stays. An instance that is
 * taken starts a new lease, so that its client can renew it, and is sent to all peers. With
 * `dry_run` nothing changes. Errors as registry_apply; ERR_INVALID_FIELD: no stamp. */
MUST_USE enum error registry_restore(struct registry *registry, const struct wire_record *record,
                                     bool dry_run, struct moment now, enum restore_result *result);

/* The time of the HLC, in ms since 1970, and the highest clock of all members that is known
 * here. */
uint64_t registry_clock_ms(const struct registry *registry, struct moment now);
uint64_t registry_members_clock_ms(const struct registry *registry, struct moment now);
/* Catches up with both clocks of a member that this node has asked. 0: not sent. */
void registry_observe_clocks(struct registry *registry, uint64_t clock_ms,
                             uint64_t members_clock_ms, struct moment now);
/* Catches up with the first of them only. False: a stamp of that time would be refused. */
bool registry_observe_clock(struct registry *registry, uint64_t clock_ms, struct moment now);
/* No stamp above it has been issued or observed up to `now`. */
uint64_t registry_highest_hlc(const struct registry *registry, struct moment now);
/* Issues stamps above that of a member, unless it would be refused. 0: not sent. */
void registry_observe_hlc(struct registry *registry, uint64_t hlc, struct moment now);
/* How long a message was in transit that another node sent when its clock showed clock_ms. Add it
 * to the ages in the message. 0: the sender's clock is ahead, or not given. */
uint64_t registry_transit_ms(const struct registry *registry, uint64_t clock_ms, struct moment now);

/* --- lease check ------------------------------------------------------------------------------ */

/* Leases that have started a lease check; as registry_drain_changes. The time limit of the check
 * begins now. While a caller drains at least every registry_lease_check_max_ms, the others wait for
 * their check. */
size_t registry_drain_lease_checks(struct registry *registry, struct record_copy *out, size_t max,
                                   struct moment now);
/* Leases that a guard of this node keeps, each at most once in GUARDED_RECHECK_MS; as
 * registry_drain_changes. A peer may know a later renewal (registry_refute_expiry). */
size_t registry_drain_guarded(struct registry *registry, struct record_copy *out, size_t max);
uint64_t registry_ttl_ms(const struct registry *registry);
/* How long a check may take. */
uint64_t registry_lease_check_max_ms(const struct registry *registry);
/* Applies a renewal that a peer knows. True: it is later than that of a lease whose time has run
 * out, which is active again. */
bool registry_refute_expiry(struct registry *registry, const struct wire_record *renewal,
                            struct moment now);
/* The check of this key has completed `rounds` rounds. False: it is not confirming any more. */
bool registry_complete_round(struct registry *registry, struct slice packed_key, uint32_t rounds);
/* A guard of a peer keeps this key: so does this node, which asks again a second later. False: it
 * does not, because the key is not confirming any more or has ended too long ago. */
bool registry_guard_for_peer(struct registry *registry, struct slice packed_key, struct moment now);
/* No peer knows a later renewal of this key: its lease becomes due, if it is still confirming. */
void registry_confirm_expiry(struct registry *registry, struct slice packed_key, struct moment now);

/* What this node responds to the lease check of a peer. False: nothing, it does not hold the key or
 * its lease is about to be evicted. Otherwise *out is filled, without the key; its stamp borrows
 * from *node, a reference: node_id_unref it. */
bool registry_respond_lease_check(struct registry *registry, struct slice packed_key,
                                  struct moment now, struct wire_record *out,
                                  struct node_id **node);

/* --- digests ---------------------------------------------------------------------------------- */

uint32_t registry_bucket(struct slice packed_key);
/* 53 bits each, so that every JSON reader keeps them exactly. */
void registry_digests(const struct registry *registry, uint64_t out[DIGEST_BUCKETS]);
/* Writes the entity tag of digests: nodes whose records are equal have equal tags. */
enum { DIGESTS_TAG_BYTES = 24 };
void registry_digests_tag(const uint64_t digests[DIGEST_BUCKETS], char out[DIGESTS_TAG_BYTES]);

struct bucket_set {
    uint64_t bits[DIGEST_BUCKETS / 64];
};
static inline void bucket_set_add(struct bucket_set *set, uint32_t bucket)
{
    set->bits[bucket / 64] |= (uint64_t)1 << (bucket % 64);
}
static inline bool bucket_set_has(const struct bucket_set *set, uint32_t bucket)
{
    return set->bits[bucket / 64] >> (bucket % 64) & 1;
}
/* The records of all keys in the chosen buckets, tombstones included, in a new array for free().
 * Costs the records of these buckets. ERR_NO_MEMORY. */
MUST_USE enum error registry_list_buckets(struct registry *registry, const struct bucket_set *set,
                                          struct record_copy **out, size_t *count);

/* --- shared records --------------------------------------------------------------------------- */

/* All records with a stamp up to hlc were held by a peer too, in the process that this epoch
 * identifies. If that process does not hold one of them any more, it has evicted it. Epoch 0: of no
 * peer. */
struct shared_records {
    uint64_t epoch;
    uint64_t hlc;
    uint64_t compared_ms; /* monotonic: when the comparison with the peer began. Of one before the
                             start: `now` less its age, which may be below 0 and wrap */
};
/* Storage keeps the last one over a restart. Any thread may call both. */
void registry_set_shared(struct registry *registry, struct shared_records shared);
struct shared_records registry_shared(struct registry *registry);
/* A comparison with a peer (its number in wire_record.peer): what this node holds when it begins is
 * shared at its end. A record that this node gets later, and not from that peer, lowers the bound
 * if its stamp is not above it. The thread of the replicator calls these. */
void registry_begin_sharing(struct registry *registry, uint32_t peer, struct moment now);
void registry_end_sharing(struct registry *registry, uint32_t peer, uint64_t epoch);
/* The peer lacks a record with this stamp, or has an older one. */
void registry_note_unshared(struct registry *registry, uint32_t peer, uint64_t hlc);
/* Before this node is ready: a ready peer holds the same records in these buckets. */
void registry_note_equal_buckets(struct registry *registry, const struct bucket_set *equal);

/* --- snapshot --------------------------------------------------------------------------------- */

/* Walks over everything, for a node that bootstraps: service by service, then the tombstones. Start
 * with a zeroed cursor. *id is the service's (stored in id_buffer), empty for tombstones; *out is a
 * new array each time, for free(). *count 0: the end. ERR_NO_MEMORY: *count is 0; call again. */
MUST_USE enum error registry_snapshot_next(struct registry *registry,
                                           struct registry_cursor *cursor,
                                           char id_buffer[ID_BYTES_MAX], struct slice *id,
                                           struct record_copy **out, size_t *count);
