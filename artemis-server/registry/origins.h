/* SPDX-License-Identifier: Apache-2.0
 *
 * origins - the names of the nodes that gave versions, each by a 16-bit number, so that a record
 * pays two bytes for its origin.
 *
 * Number 0 is this node. Names are never forgotten, and stay where they are: a slice of one is good
 * as long as the table. A cluster has few nodes; 65,535 different ones in one run of a node are
 * refused. Thread-safe; reading takes no lock.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "artemis-core/error.h"
#include "artemis-core/text.h"

enum { ORIGINS_MAX = 65535, ORIGIN_SELF = 0 };

struct origin;

struct origins {
    struct origin **table; /* by number; an entry is written once, before `count` shows it */
    _Atomic uint32_t count;
    pthread_mutex_t adding;
};

/* ERR_NO_MEMORY. */
MUST_USE enum error origins_init(struct origins *origins, struct slice self);
void origins_free(struct origins *origins);

/* The number of a name. ERR_NO_MEMORY; ERR_TOO_MANY_ITEMS when the table is full. */
MUST_USE enum error origins_number(struct origins *origins, struct slice name, uint16_t *out);
struct slice origins_name(const struct origins *origins, uint16_t number);
/* A hash of the name that is the same on every node. */
uint64_t origins_hash(const struct origins *origins, uint16_t number);
