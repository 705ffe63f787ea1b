/* SPDX-License-Identifier: Apache-2.0
 *
 * cache - the instances that are known of a service (or of all), and what differs from them.
 *
 * A sorted array of records. Changes go in one by one; a whole new state goes in at once, and what
 * really differs comes out: so a client that was away hears of every difference, and of nothing
 * twice.
 *
 * Pure. Zeros are an empty cache; cache_clear makes it that again.
 */
#pragma once

#include "libartemis/record.h"

struct cache {
    struct record **records; /* each with a reference, in the order of record_compare */
    size_t count, capacity;
};

/* Hears of a difference before it is made; `before` is NULL for new, `now` for delete, and both are
 * borrowed for the call. An error keeps all as it was, and becomes that of the caller. */
typedef enum error cache_difference(void *context, enum artemis_change_type type,
                                    struct record *before, struct record *now);

/* Puts the record in (takes a reference). ERR_NO_MEMORY, and what `told` returns. */
MUST_USE enum error cache_put(struct cache *cache, struct record *record, cache_difference *told,
                              void *context);
/* Takes the one of this identity out, if it is there. What `told` returns. */
MUST_USE enum error cache_remove(struct cache *cache, const struct record *key,
                                 cache_difference *told, void *context);

/* The state is this from now on: of the service, or of all if that is NULL. Sorts `records`, of
 * which one of each identity counts, and takes references. ERR_NO_MEMORY, and what `told` returns;
 * what was told until then did not come to pass. */
MUST_USE enum error cache_replace(struct cache *cache, const char *service_id,
                                  struct record **records, size_t count, cache_difference *told,
                                  void *context);
void cache_clear(struct cache *cache);
