/* SPDX-License-Identifier: Apache-2.0
 *
 * registry_storage - the part of the registry that storage uses: it lists what must be stored, and
 * loads what was stored.
 *
 * With registry_options.storing, each change of content or stamp, local or from a peer, puts the
 * number of its record into a dirty list. Renewals do not. The key of a record that is removed
 * (evicted, or a tombstone that ended) goes into a bounded list.
 *
 * One thread at a time may call the drains; registry_load is called before other threads use the
 * registry.
 */
#pragma once

#include "artemis-server/registry/registry_replication.h"

/* At most `max` records that are to be stored; 0 when the list is empty. */
size_t registry_drain_stored(struct registry *registry, struct record_copy *out, size_t max);
/* At most `max` keys whose record was removed, as references; 0 when the list is empty. The key may
 * have a record again: see registry_read_key. Sets *overflowed if keys are missing; then everything
 * must be stored again. */
size_t registry_drain_removed(struct registry *registry, struct instance **out, size_t max,
                              bool *overflowed);
/* About how many records and keys the lists hold. */
uint64_t registry_unstored(struct registry *registry);

/* Stores a loaded record without a change in the log. The lease of an instance is LEASE_LOADED: it
 * is served, can be renewed, and its time runs out one time-to-live after `now`. The guards do not
 * count it as ended before. record->age_ms of an instance is the time since the last process was
 * known to run. It and `now` must be the same for all instances that are loaded: a loaded lease
 * that nobody has renewed is recognised by the deadline that follows from them. A tombstone ends
 * tombstone_ms after it was made. Tombstones are kept in the order of the load, and a cleanup stops
 * at the first that has not ended. Does nothing if the key is known. ERR_NO_MEMORY,
 * ERR_TOO_MANY_ITEMS (node ids), ERR_VERSION_AHEAD. */
MUST_USE enum error registry_load(struct registry *registry, const struct wire_record *record,
                                  struct moment now);
/* Peers get the loaded instances that nobody has renewed yet, as guarded leases, from now on: this
 * node has compared itself with its peers. */
void registry_share_loaded(struct registry *registry);
/* Evicts the loaded instances with a stamp up to hlc_max that no client has renewed since, and that
 * no peer holds with which this node has compared itself. Returns their number. The thread of the
 * replicator calls it. */
uint64_t registry_evict_loaded(struct registry *registry, uint64_t hlc_max, struct moment now);
