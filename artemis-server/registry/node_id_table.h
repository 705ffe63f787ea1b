/* SPDX-License-Identifier: Apache-2.0
 *
 * node_id_table - interns node ids: a record stores a 16-bit number instead of the id.
 *
 * Number 0 is this node. Ids are never removed and do not move: a slice of one is valid as long as
 * the table. More than 65,535 different ids in one run of a node are refused. Thread-safe; reading
 * takes no lock.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"

enum { NODE_IDS_MAX = 65535, NODE_NUMBER_SELF = 0 };

struct node_id;

struct node_id_table {
    struct node_id **table; /* by number; an element is written once, before `count` covers it */
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
