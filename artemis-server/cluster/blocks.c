/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/cluster/blocks.h"

#include <xxhash.h>

void blocks_init(struct blocks *blocks)
{
    pthread_mutex_init(&blocks->lock, NULL);
    blocks->list.count = 0;
    atomic_init(&blocks->hash, 0);
    atomic_init(&blocks->blocked, 0);
    atomic_init(&blocks->stored, 0);
    blocks->store_fails = false;
}

void blocks_free(struct blocks *blocks)
{
    pthread_mutex_destroy(&blocks->lock);
}

/* --- reading ---------------------------------------------------------------------------------- */

bool blocks_has_node(struct blocks *blocks, const char *node_id)
{
    if (atomic_load_explicit(&blocks->blocked, memory_order_relaxed) == 0)
        return false;
    pthread_mutex_lock(&blocks->lock);
    bool is_blocked = block_list_find_node(&blocks->list, node_id);
    pthread_mutex_unlock(&blocks->lock);
    return is_blocked;
}

bool blocks_has_address(struct blocks *blocks, const char *url)
{
    if (atomic_load_explicit(&blocks->blocked, memory_order_relaxed) == 0)
        return false;
    pthread_mutex_lock(&blocks->lock);
    bool is_blocked = block_list_find_address(&blocks->list, block_address_of(url));
    pthread_mutex_unlock(&blocks->lock);
    return is_blocked;
}

void blocks_list(struct blocks *blocks, struct block_list *out)
{
    pthread_mutex_lock(&blocks->lock);
    *out = blocks->list;
    pthread_mutex_unlock(&blocks->lock);
}

void blocks_write(struct blocks *blocks, struct text *out)
{
    pthread_mutex_lock(&blocks->lock);
    codec_write_blocks(out, &blocks->list);
    pthread_mutex_unlock(&blocks->lock);
}

/* --- changes ---------------------------------------------------------------------------------- */

/* 0 for an empty list. */
static enum error hash_of(const struct block_list *list, uint64_t *hash)
{
    struct text text = {0};
    *hash = 0;
    if (list->count == 0)
        return ERR_NONE;
    codec_write_blocks(&text, list);
    enum error error = text_failed(&text) ? ERR_NO_MEMORY : ERR_NONE;
    if (!error)
        *hash = XXH3_64bits(text.data, text.size) | 1;
    text_free(&text);
    return error;
}

/* Puts a changed copy into force. The lock is held. */
static enum error replace(struct blocks *blocks, const struct block_list *changed)
{
    uint64_t hash;
    enum error error = hash_of(changed, &hash);
    if (error)
        return error;
    blocks->list = *changed;
    atomic_store(&blocks->blocked, block_list_blocked(changed));
    atomic_store(&blocks->hash, hash);
    return ERR_NONE;
}

enum error blocks_block(struct blocks *blocks, struct block *block, uint64_t now_ms)
{
    pthread_mutex_lock(&blocks->lock);
    struct block_list changed = blocks->list;
    enum error error = block_list_block(&changed, block, now_ms);
    if (!error)
        error = replace(blocks, &changed);
    pthread_mutex_unlock(&blocks->lock);
    return error;
}

enum error blocks_unblock(struct blocks *blocks, const char *node, const struct block *order,
                          uint64_t now_ms, size_t *count)
{
    pthread_mutex_lock(&blocks->lock);
    struct block_list changed = blocks->list;
    *count = block_list_unblock(&changed, node, order, now_ms);
    enum error error = replace(blocks, &changed);
    pthread_mutex_unlock(&blocks->lock);
    return error;
}

enum error blocks_merge(struct blocks *blocks, struct slice text, uint64_t highest_ms,
                        struct block *newest, uint64_t *hash, char message[MESSAGE_BYTES])
{
    struct block_list other;
    *newest = (struct block){0};
    enum error error = codec_read_blocks(text, &other, message);
    if (!error)
        error = hash_of(&other, hash);
    if (error)
        return error;
    pthread_mutex_lock(&blocks->lock);
    struct block_list changed = blocks->list;
    const struct block *change = block_list_merge(&changed, &other, highest_ms);
    if (change)
        error = replace(blocks, &changed);
    if (change && !error)
        *newest = *change;
    pthread_mutex_unlock(&blocks->lock);
    return error;
}
