/* SPDX-License-Identifier: Apache-2.0
 *
 * block_list - the nodes that operators have blocked: a small set of which every node has a copy.
 *
 * An entry names a node by its id, its address for peers, or both, and says whether it is blocked.
 * Of two versions of an entry the one with the higher stamp stays (clock_ms, then origin). A peer
 * can send other contents with an equal stamp: then the blocked version stays, then the one with
 * the higher texts. So lists that are merged in any order become equal. An entry that was unblocked
 * stays as such: an older copy of it must not return. With more than BLOCKS_MAX entries, the oldest
 * of those that are not blocked are dropped first.
 *
 * Pure. Not thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "artemis-core/base/error.h"

enum {
    BLOCKS_MAX = 64,
    BLOCK_NODE_BYTES = 256,
    BLOCK_ADDRESS_BYTES = 320,
    BLOCK_TEXT_BYTES = 128,
};

struct block {
    char node_id[BLOCK_NODE_BYTES];    /* "": not known */
    char address[BLOCK_ADDRESS_BYTES]; /* "host:port", without a scheme; "": not known */
    bool is_blocked;
    uint64_t clock_ms;             /* on the clock of the cluster */
    char origin[BLOCK_NODE_BYTES]; /* the node where it was ordered */
    char by[BLOCK_TEXT_BYTES];     /* the name of the operator's token; "": none */
    char reason[BLOCK_TEXT_BYTES]; /* "": none */
};

struct block_list {
    size_t count;
    struct block items[BLOCKS_MAX]; /* sorted by node id, then address; each pair once */
};

/* "http://10.0.0.7:8080" and "10.0.0.7:8080" are the same address: the part after the scheme. */
const char *block_address_of(const char *url);

/* Adds an entry, or replaces an older version of it. True: the list has changed. */
bool block_list_put(struct block_list *list, const struct block *block);
/* Puts all entries of another list, except those with a stamp above highest_ms. Returns the newest
 * of those that have changed the list; NULL: it has not changed. */
const struct block *block_list_merge(struct block_list *list, const struct block_list *other,
                                     uint64_t highest_ms);
/* The blocked entry with this node id, or with this address; NULL: there is none. An empty text
 * matches nothing. */
const struct block *block_list_find_node(const struct block_list *list, const char *node_id);
const struct block *block_list_find_address(const struct block_list *list, const char *address);
/* The number of blocked entries. */
size_t block_list_blocked(const struct block_list *list);

/* An operator's order. `block` lacks clock_ms, which becomes now_ms, or a little more if the clock
 * is behind an earlier order. ERR_TOO_MANY_ITEMS: BLOCKS_MAX nodes are blocked. */
MUST_USE enum error block_list_block(struct block_list *list, struct block *block, uint64_t now_ms);
/* Unblocks each entry that blocks this node, which an id or an address names: the entries with that
 * id or address, others with the same node id, and those with an address of one of these. So no
 * entry with the id alone, or with another address, keeps the node blocked. `order` has origin, by
 * and reason. Returns the number of entries. */
size_t block_list_unblock(struct block_list *list, const char *node, const struct block *order,
                          uint64_t now_ms);
