/* SPDX-License-Identifier: Apache-2.0
 *
 * blocks - the block list of this node (block_list.h), for all threads.
 *
 * Operators and peers change it. The hashes of two nodes show whether their lists differ; the text
 * is what they exchange (codec_blocks.h). Without a blocked node, blocks_has_node and
 * blocks_has_address take no lock. The lock is held for copies and searches alone.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "artemis-core/base/moment.h"
#include "artemis-core/json/codec_blocks.h"

struct blocks {
    pthread_mutex_t lock;
    struct block_list list;
    _Atomic uint64_t hash;  /* of the text of the list; 0: the list is empty */
    _Atomic size_t blocked; /* blocked entries */
    /* Of storage/block_file.h: */
    _Atomic uint64_t stored; /* the hash of what is in the file */
    bool store_fails;
};

void blocks_init(struct blocks *blocks);
void blocks_free(struct blocks *blocks);

/* Any thread. */
static inline uint64_t blocks_hash(const struct blocks *blocks)
{
    return atomic_load(&blocks->hash);
}
/* Whether a node with this id, or at this address or url, is blocked. */
bool blocks_has_node(struct blocks *blocks, const char *node_id);
bool blocks_has_address(struct blocks *blocks, const char *url);
void blocks_list(struct blocks *blocks, struct block_list *out);
/* Appends the text of the list. */
void blocks_write(struct blocks *blocks, struct text *out);

/* The orders of operators, as in block_list.h. Nothing has changed after an error.
 * ERR_TOO_MANY_ITEMS, ERR_NO_MEMORY. */
MUST_USE enum error blocks_block(struct blocks *blocks, struct block *block, uint64_t now_ms);
/* *count: how many entries were unblocked. */
MUST_USE enum error blocks_unblock(struct blocks *blocks, const char *node,
                                   const struct block *order, uint64_t now_ms, size_t *count);
/* Merges the list of a peer. *newest is the newest change; its stamp is 0 if nothing has changed.
 * *hash is that of the peer's list. The errors of codec_read_blocks. */
MUST_USE enum error blocks_merge(struct blocks *blocks, struct slice text, uint64_t highest_ms,
                                 struct block *newest, uint64_t *hash, char message[MESSAGE_BYTES]);
