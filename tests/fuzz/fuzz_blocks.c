/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzes the lists of blocked nodes that peers exchange. What is read keeps its limits, is sorted,
 * and is read again as it is written. Two lists, with a byte 0xff between them, become equal at
 * both peers.
 */
#include "artemis-core/json/codec_blocks.h"

#include <string.h>

#include "tests/fuzz/support/fuzz.h"

static void check_text(const char *text, size_t size)
{
    assert(strlen(text) < size);
    assert(block_text_is_valid((struct slice){text, strlen(text)}, size));
}

static int compare(const struct block *a, const struct block *b)
{
    int order = strcmp(a->node_id, b->node_id);
    return order ? order : strcmp(a->address, b->address);
}

static void check_list(const struct block_list *list)
{
    assert(list->count <= BLOCKS_MAX);
    for (size_t i = 0; i < list->count; i++) {
        const struct block *block = &list->items[i];
        check_text(block->node_id, sizeof block->node_id);
        check_text(block->address, sizeof block->address);
        check_text(block->origin, sizeof block->origin);
        check_text(block->by, sizeof block->by);
        check_text(block->reason, sizeof block->reason);
        assert(block->node_id[0] || block->address[0]);
        assert(block->origin[0] && block->clock_ms > 0);
        assert(i == 0 || compare(&list->items[i - 1], block) < 0);
    }
}

static bool are_equal(const struct block_list *a, const struct block_list *b)
{
    struct text texts[2] = {{0}, {0}};
    codec_write_blocks(&texts[0], a);
    codec_write_blocks(&texts[1], b);
    bool result =
        texts[0].size == texts[1].size && memcmp(texts[0].data, texts[1].data, texts[0].size) == 0;
    fuzz_check_response(&texts[0]);
    fuzz_check_response(&texts[1]);
    return result;
}

/* Leaves an empty list where the body is refused. */
static void read_list(struct slice body, struct block_list *list)
{
    char message[MESSAGE_BYTES] = "";
    list->count = BLOCKS_MAX + 1;
    if (codec_read_blocks(body, list, message)) {
        assert(list->count == BLOCKS_MAX + 1 && message[0]); /* unchanged, with a reason */
        list->count = 0;
    }
    check_list(list);
}

static void check_round_trip(const struct block_list *list)
{
    static struct block_list again;
    char message[MESSAGE_BYTES];
    struct text text = {0};
    codec_write_blocks(&text, list);
    enum error error = codec_read_blocks((struct slice){text.data, text.size}, &again, message);
    text_free(&text);
    assert(!error && are_equal(list, &again));
}

static void check_merge(const struct block_list *a, const struct block_list *b)
{
    static struct block_list here;
    static struct block_list there;
    here = *a;
    there = *b;
    (void)block_list_merge(&here, b, INT64_MAX);
    (void)block_list_merge(&there, a, INT64_MAX);
    check_list(&here);
    check_list(&there);
    if (a->count + b->count <= BLOCKS_MAX)
        assert(are_equal(&here, &there));
    assert(!block_list_merge(&here, &here, INT64_MAX)); /* a list adds nothing to itself */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct block_list lists[2];
    const uint8_t *middle = size ? memchr(data, 0xff, size) : NULL;
    size_t first = middle ? (size_t)(middle - data) : size;
    read_list(fuzz_slice(data, first), &lists[0]);
    read_list(middle ? fuzz_slice(middle + 1, size - first - 1) : (struct slice){"", 0}, &lists[1]);
    check_round_trip(&lists[0]);
    check_merge(&lists[0], &lists[1]);
    return 0;
}
