/* SPDX-License-Identifier: Apache-2.0
 *
 * registry_replication - the side of the registry that other nodes see.
 *
 * Outgoing: while somebody gathers, each local change and renewal is noted beside its record, once
 * however often it happens, without an allocation on the way of a heartbeat. registry_drain_changes
 * and registry_drain_renewals hand out the latest state of what was noted. What came from a peer is
 * never noted, so nothing is forwarded.
 *
 * Incoming: registry_apply_... take what a peer says. The higher version wins, in any order and any
 * number of times; a renewal moves a lease to `now - age + ttl` if that is later.
 *
 * Unregistering leaves a tombstone: the key with its version, for `tombstone_ms`, so that no peer
 * brings the instance back. Tombstones are in no response.
 *
 * Digests: 1,024 sums over key and version of all registered instances, which two nodes compare.
 *
 * Refutation: while peers can be asked, a lease that ends waits until registry_confirm_expiry says
 * that nobody knows a later renewal, or until a second has passed; registry_drain_lease_checks
 * hands out which.
 *
 * Any thread may call. States that are handed out hold references: key_state_unref them.
 */
#pragma once

#include "artemis-core/model/wire_record.h"
#include "artemis-server/registry/registry.h"

enum {
    DIGEST_BUCKETS = 1024,
    TOMBSTONES_MAX = 1 << 20,  /* of a node; beyond it the oldest of a shard goes early */
    LEASE_CHECK_MAX_MS = 1000, /* an ended lease waits no longer for the response of a peer */
};

/* The latest state of a key, as it may be told to a peer. */
struct key_state {
    struct instance *instance; /* a reference; of a tombstone, only its key counts */
    uint64_t hlc;
    uint64_t touched_ms; /* monotonic: the last renewal, or when it was unregistered */
    uint16_t node;       /* see registry_node_id */
    bool deleted;
    bool is_repair; /* the peer missed it earlier: its age says nothing about the lag */
};

void key_state_unref(struct key_state *state);
/* The name of the node that gave a version; lives as long as the registry. */
struct slice registry_node_id(const struct registry *registry, uint16_t node);
/* As the peer is told; borrows from the state and the registry. */
struct wire_record registry_wire_record(const struct registry *registry,
                                        const struct key_state *state, struct moment now);

/* --- outgoing --------------------------------------------------------------------------------- */

/* Whether changes and renewals are noted, and whether ended leases wait for peers. Off at first. */
void registry_set_replicating(struct registry *registry, bool on);
/* Called after each noted change, outside of any lock, by the thread that made it. Set it before
 * there are other threads. */
typedef void registry_changed(void *context);
void registry_on_change(struct registry *registry, registry_changed *notify, void *context);

/* At most `max` states; 0 when there are no more. */
size_t registry_drain_changes(struct registry *registry, struct key_state *out, size_t max);
size_t registry_drain_renewals(struct registry *registry, struct key_state *out, size_t max);
size_t registry_drain_lease_checks(struct registry *registry, struct key_state *out, size_t max);
/* The question about this key did not get through: it is handed out again, if it is still open. */
void registry_retry_lease_check(struct registry *registry, struct slice packed_key);
/* No peer knows a later renewal of this key: its lease may end now, if it still is at its end. */
void registry_confirm_expiry(struct registry *registry, struct slice packed_key, struct moment now);

/* --- incoming --------------------------------------------------------------------------------- */

/* A registration. ERR_NONE also where what is known here is newer; ERR_NO_MEMORY and
 * ERR_TOO_MANY_ITEMS (node_ids) change nothing; ERR_VERSION_AHEAD: a stamp
 * that no clock gave. */
MUST_USE enum error registry_apply(struct registry *registry, const struct wire_record *record,
                                   struct moment now);
/* A renewal. ERR_INSTANCE_NOT_FOUND: unknown here, or older here: send the record. */
MUST_USE enum error registry_apply_renewal(struct registry *registry,
                                           const struct wire_record *record, struct moment now);
/* An unregistration. As registry_apply. */
MUST_USE enum error registry_apply_unregister(struct registry *registry,
                                              const struct wire_record *record, struct moment now);

/* The clock of the versions (version_clock.h), and that of another node. */
uint64_t registry_clock_ms(const struct registry *registry, struct moment now);
void registry_observe_clock(struct registry *registry, uint64_t clock_ms, struct moment now);

/* --- comparing -------------------------------------------------------------------------------- */

/* The state of one key, tombstones included. False: unknown. */
bool registry_read_key(struct registry *registry, struct slice packed_key, struct key_state *out);
uint32_t registry_bucket(struct slice packed_key);
/* 53 bits each, so that every reader of JSON takes them whole. */
void registry_digests(const struct registry *registry, uint64_t out[DIGEST_BUCKETS]);
/* The states of all keys in the chosen buckets, tombstones included, in a new array for free().
 * ERR_NO_MEMORY. */
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
MUST_USE enum error registry_list_buckets(struct registry *registry, const struct bucket_set *set,
                                          struct key_state **out, size_t *count);

/* Walks over everything, for a node that starts: service by service, then the tombstones, shard by
 * shard. Start with a zeroed cursor. *id is the service's (into id_room), empty for tombstones; a
 * new array each time, for free(). *count 0: the end. ERR_NO_MEMORY: may be called again. */
struct registry_cursor {
    uint32_t shard;
    uint32_t service; /* the number after which to go on */
    bool tombstones;  /* all services are done */
};
MUST_USE enum error registry_walk(struct registry *registry, struct registry_cursor *cursor,
                                  char id_room[ID_BYTES_MAX], struct slice *id,
                                  struct key_state **out, size_t *count);
