/* SPDX-License-Identifier: Apache-2.0
 *
 * client_table - a token bucket for each client and kind of call, for a bounded number of clients.
 *
 * The table has CLIENTS_MAX entries in sets of CLIENTS_PER_SET. A client belongs to the set of its
 * hash. A new client replaces the one of its set that was used least recently; that client starts
 * with a full bucket when it returns. A call takes one of CLIENT_LOCKS locks, which some sets
 * share, and makes at most CLIENTS_PER_SET comparisons. While the limit is off, no client is added
 * for a request that is admitted.
 *
 * The table also counts the refused requests of each client, for the log.
 *
 * Any thread may call. Times are milliseconds of the monotonic clock.
 */
#pragma once

#include <pthread.h>

#include "artemis-server/limits/client.h"
#include "artemis-server/limits/rate_limiter.h"

enum {
    CLIENTS_MAX = 4096,
    CLIENTS_PER_SET = 8,
    CLIENT_SETS = CLIENTS_MAX / CLIENTS_PER_SET,
    CLIENT_LOCKS = 64,
    CLIENT_BUCKETS = 4, /* one for each kind of call */
};

/* Zero: not in use. */
struct client_entry {
    bool is_used;
    struct client_id id;
    uint64_t hash;
    uint64_t used_ms;
    uint64_t full_at_ns[CLIENT_BUCKETS];
    uint64_t refused; /* since the last client_table_take_heaviest */
};

struct client_table {
    struct rate_limit limit;
    uint64_t hash_seed;
    _Atomic uint64_t count;    /* entries in use */
    _Atomic uint64_t replaced; /* clients that were replaced by another one */
    struct {
        pthread_mutex_t locks[CLIENT_LOCKS]; /* set n has locks[n % CLIENT_LOCKS] */
        struct client_entry sets[CLIENT_SETS][CLIENTS_PER_SET];
    } _shared;
};

/* Initialises a table that is all zero; most of it is not touched. The limit is off. */
void client_table_init(struct client_table *table, uint64_t hash_seed);
void client_table_free(struct client_table *table);
/* Changes the limit; 0: off. Fills all buckets if it differs. */
void client_table_set(struct client_table *table, uint32_t requests_per_second,
                      uint32_t burst_size);
static inline bool client_table_is_on(const struct client_table *table)
{
    return rate_limit_is_on(&table->limit);
}

/* Takes a token of a client; counts the request as refused and returns false when its bucket is
 * empty. */
bool client_table_admit(struct client_table *table, const struct client *client, unsigned bucket,
                        uint64_t now_ms);
/* Counts a request that was refused for another reason. */
void client_table_add_refused(struct client_table *table, const struct client *client,
                              uint64_t now_ms);
/* Writes the client with the most refused requests since the last call, and returns their number;
 * 0: none. */
uint64_t client_table_take_heaviest(struct client_table *table, char name[CLIENT_NAME_BYTES]);
