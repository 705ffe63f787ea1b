/* SPDX-License-Identifier: Apache-2.0
 *
 * node_id_table - interns node ids: a record stores a 16-bit number instead of the id.
 *
 * Number 0 is this node, which the table itself holds. Every other number is counted: a record, a
 * copy of one or a caller holds a reference to its number, and the last one gives the number back.
 * A name is valid while its number is held, and does not move. Looking up a name costs the same
 * whatever the size of the table.
 *
 * An id that is new is counted for the peer that sent it: a member that this node has asked, or a
 * caller. Nobody can use up the numbers of the others:
 *   - a peer can have NODE_IDS_OF_PEER_MAX ids in use;
 *   - all callers together can have NODE_IDS_OF_CALLERS_MAX, however many addresses they have;
 *   - the members share the rest equally.
 * What is refused from a member that calls is taken when this node compares itself with it.
 *
 * Thread-safe. A lookup by name and the release of a number take a lock; reading takes none.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "artemis-core/base/error.h"
#include "artemis-core/base/hash_index.h"
#include "artemis-core/base/text.h"

enum {
    NODE_IDS_MAX = 65535,
    NODE_IDS_OF_PEER_MAX = 4096,
    NODE_IDS_OF_CALLERS_MAX = NODE_IDS_MAX / 2,
    NODE_ID_MEMBERS = 64,      /* numbers of members, which are counted one by one */
    NODE_ID_PEER_SLOTS = 1024, /* callers are counted by their hash; some share a count */
    NODE_NUMBER_SELF = 0,
};

struct node_id;

struct node_id_table {
    struct node_id **table; /* by number; an element changes only while nobody holds its number */
    pthread_mutex_t lock;   /* guards what follows */
    struct hash_index index;
    uint16_t *free_numbers; /* that were given back */
    uint32_t free_count;
    uint32_t used;                        /* numbers below it were given at least once */
    uint16_t of_peer[NODE_ID_PEER_SLOTS]; /* ids in use, by the peer that sent them */
    uint32_t of_callers;                  /* the sum of all callers */
    uint32_t members;
    uint64_t hash_seed;       /* nobody can choose names that collide */
    _Atomic uint32_t count;   /* ids in use */
    _Atomic uint64_t refused; /* lookups that failed with ERR_TOO_MANY_ITEMS */
};

/* ERR_NO_MEMORY. */
MUST_USE enum error node_id_table_init(struct node_id_table *node_ids, struct slice self,
                                       uint64_t hash_seed);
/* Ids that are still referenced stay until their last reference is gone. */
void node_id_table_free(struct node_id_table *node_ids);

/* A member, numbered from 1 to NODE_ID_MEMBERS. Ids of a member that is removed are not counted any
 * more. */
void node_id_table_add_peer(struct node_id_table *node_ids, uint32_t peer);
void node_id_table_remove_peer(struct node_id_table *node_ids, uint32_t peer);

/* The number of a name, with a reference. `peer` identifies the sender: a member up to
 * NODE_ID_MEMBERS, above it a caller; 0: this node, without a limit. ERR_NO_MEMORY;
 * ERR_TOO_MANY_ITEMS when the table or the share of the peer is full. */
MUST_USE enum error node_id_table_take(struct node_id_table *node_ids, struct slice name,
                                       uint32_t peer, uint16_t *number);
/* Adds or removes a reference to a number that is held. */
void node_id_table_ref(const struct node_id_table *node_ids, uint16_t number);
void node_id_table_unref(const struct node_id_table *node_ids, uint16_t number);

/* The id of a number that is held. */
struct node_id *node_id_table_id(const struct node_id_table *node_ids, uint16_t number);
struct slice node_id_table_name(const struct node_id_table *node_ids, uint16_t number);
/* A hash of the name that is the same on every node. */
uint64_t node_id_table_hash(const struct node_id_table *node_ids, uint16_t number);

/* References to an id may outlive the table. All accept NULL. */
struct node_id *node_id_ref(struct node_id *id);
void node_id_unref(struct node_id *id);
struct slice node_id_name(const struct node_id *id); /* of NULL: "" */
