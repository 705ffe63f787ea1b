/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/model/block_list.h"

#include <string.h>

const char *block_address_of(const char *url)
{
    const char *scheme = strstr(url, "://");
    return scheme ? scheme + 3 : url;
}

/* --- the order of entries and versions -------------------------------------------------------- */

static int compare(const struct block *a, const struct block *b)
{
    int order = strcmp(a->node_id, b->node_id);
    return order ? order : strcmp(a->address, b->address);
}

static bool is_newer(const struct block *a, const struct block *b)
{
    if (a->clock_ms != b->clock_ms)
        return a->clock_ms > b->clock_ms;
    int order = strcmp(a->origin, b->origin);
    if (order == 0)
        order = (int)a->is_blocked - (int)b->is_blocked;
    if (order == 0)
        order = strcmp(a->by, b->by);
    if (order == 0)
        order = strcmp(a->reason, b->reason);
    return order > 0;
}

/* Whether `a` is dropped before `b` when the list is full. */
static bool goes_first(const struct block *a, const struct block *b)
{
    if (a->is_blocked != b->is_blocked)
        return b->is_blocked;
    return is_newer(b, a);
}

static size_t find_place(const struct block_list *list, const struct block *block)
{
    size_t place = 0;
    while (place < list->count && compare(&list->items[place], block) < 0)
        place++;
    return place;
}

static void remove_at(struct block_list *list, size_t place)
{
    list->count--;
    memmove(&list->items[place], &list->items[place + 1],
            (list->count - place) * sizeof(list->items[0]));
}

/* Makes a place in a full list. False: the new entry itself is the first to go. */
static bool drop_one(struct block_list *list, const struct block *added)
{
    size_t first = 0;
    for (size_t i = 1; i < list->count; i++)
        if (goes_first(&list->items[i], &list->items[first]))
            first = i;
    if (goes_first(added, &list->items[first]))
        return false;
    remove_at(list, first);
    return true;
}

/* --- changes ---------------------------------------------------------------------------------- */

bool block_list_put(struct block_list *list, const struct block *block)
{
    size_t place = find_place(list, block);
    if (place < list->count && compare(&list->items[place], block) == 0) {
        bool is_change = is_newer(block, &list->items[place]);
        if (is_change)
            list->items[place] = *block;
        return is_change;
    }
    if (list->count == BLOCKS_MAX && !drop_one(list, block))
        return false;
    place = find_place(list, block);
    memmove(&list->items[place + 1], &list->items[place],
            (list->count - place) * sizeof(list->items[0]));
    list->items[place] = *block;
    list->count++;
    return true;
}

const struct block *block_list_merge(struct block_list *list, const struct block_list *other,
                                     uint64_t highest_ms)
{
    const struct block *newest = NULL;
    for (size_t i = 0; i < other->count; i++) {
        const struct block *block = &other->items[i];
        bool is_put = block->clock_ms <= highest_ms && block_list_put(list, block);
        if (is_put && (!newest || is_newer(block, newest)))
            newest = block;
    }
    return newest;
}

/* --- what is blocked -------------------------------------------------------------------------- */

static bool matches(const char *text, const char *wanted)
{
    return wanted[0] && strcmp(text, wanted) == 0;
}

const struct block *block_list_find_node(const struct block_list *list, const char *node_id)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].is_blocked && matches(list->items[i].node_id, node_id))
            return &list->items[i];
    return NULL;
}

const struct block *block_list_find_address(const struct block_list *list, const char *address)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].is_blocked && matches(list->items[i].address, address))
            return &list->items[i];
    return NULL;
}

size_t block_list_blocked(const struct block_list *list)
{
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++)
        count += list->items[i].is_blocked;
    return count;
}

/* --- orders ----------------------------------------------------------------------------------- */

static uint64_t later(uint64_t now_ms, const struct block *before)
{
    return now_ms > before->clock_ms ? now_ms : before->clock_ms + 1;
}

enum error block_list_block(struct block_list *list, struct block *block, uint64_t now_ms)
{
    size_t place = find_place(list, block);
    bool is_known = place < list->count && compare(&list->items[place], block) == 0;
    bool is_counted = is_known && list->items[place].is_blocked;
    if (!is_counted && block_list_blocked(list) == BLOCKS_MAX)
        return ERR_TOO_MANY_ITEMS;
    block->is_blocked = true;
    block->clock_ms = is_known ? later(now_ms, &list->items[place]) : now_ms;
    (void)block_list_put(list, block);
    return ERR_NONE;
}

/* Marks the blocked entries that have the id or address of one that is marked. */
static void mark_same(const struct block_list *list, size_t offset, bool marked[BLOCKS_MAX])
{
    for (size_t i = 0; i < list->count; i++) {
        const char *text = (const char *)&list->items[i] + offset;
        for (size_t j = 0; j < list->count && list->items[i].is_blocked && !marked[i]; j++)
            marked[i] = marked[j] && matches(text, (const char *)&list->items[j] + offset);
    }
}

/* Marks the entries that block the node: those with its id, and those with one of its addresses. */
static void mark_node(const struct block_list *list, const char *node, bool marked[BLOCKS_MAX])
{
    for (size_t i = 0; i < list->count; i++) {
        const struct block *block = &list->items[i];
        marked[i] =
            block->is_blocked && (matches(block->node_id, node) || matches(block->address, node));
    }
    mark_same(list, offsetof(struct block, node_id), marked);
    mark_same(list, offsetof(struct block, address), marked);
}

size_t block_list_unblock(struct block_list *list, const char *node, const struct block *order,
                          uint64_t now_ms)
{
    bool marked[BLOCKS_MAX] = {false};
    size_t count = 0;
    mark_node(list, node, marked);
    for (size_t i = 0; i < list->count; i++) {
        struct block *block = &list->items[i];
        if (!marked[i])
            continue;
        block->is_blocked = false;
        block->clock_ms = later(now_ms, block);
        memcpy(block->origin, order->origin, sizeof(block->origin));
        memcpy(block->by, order->by, sizeof(block->by));
        memcpy(block->reason, order->reason, sizeof(block->reason));
        count++;
    }
    return count;
}
