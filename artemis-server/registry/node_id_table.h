/* SPDX-License-Identifier: Apache-2.0
 *
 * node_id_table - the names of the nodes that gave versions, each by a 16-bit number, so that a
 * record
 * pays two bytes for its node.
 *
 * Number 0 is this node. Names are never forgotten, and stay where they are: a slice of one is good
 * as long as the table. A cluster has few nodes; 65,535 different ones in one run of a node are
 * refused. Thread-safe; reading takes no lock.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"

enum { NODE_IDS_MAX = 65535, NODE_NUMBER_SELF = 0 };

struct node;

struct node_id_table {
    struct node **table; /* by number; an entry is written once, before `count` shows it */
    _Atomic uint32_t count;
    pthread_mutex_t adding;
};

/* ERR_NO_MEMORY. */
MUST_USE enum error node_id_table_init(struct node_id_table *node_ids, struct slice self);
void node_id_table_free(struct node_id_table *node_ids);

/* The number of a name. ERR_NO_MEMORY; ERR_TOO_MANY_ITEMS when the table is full. */
MUST_USE enum error node_id_table_number(struct node_id_table *node_ids, struct slice name,
                                         uint16_t *out);
struct slice node_id_table_name(const struct node_id_table *node_ids, uint16_t number);
/* A hash of the name that is the same on every node. */
uint64_t node_id_table_hash(const struct node_id_table *node_ids, uint16_t number);
