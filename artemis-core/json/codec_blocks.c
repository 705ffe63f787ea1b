/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/json/codec_blocks.h"

#include <stdio.h>
#include <string.h>

#include "artemis-core/json/codec_internal.h"

static void write_member(struct json_writer *w, const char *name, const char *value)
{
    if (!value[0])
        return;
    jw_name(w, name);
    jw_string(w, value);
}

void codec_write_blocks(struct text *out, const struct block_list *list)
{
    struct json_writer w = jw_to(out, CASING_SNAKE);
    jw_open(&w, '{');
    jw_name(&w, "blocks");
    jw_open(&w, '[');
    for (size_t i = 0; i < list->count; i++) {
        const struct block *block = &list->items[i];
        jw_open(&w, '{');
        write_member(&w, "node_id", block->node_id);
        write_member(&w, "address", block->address);
        jw_name(&w, "blocked");
        jw_bool(&w, block->is_blocked);
        jw_name(&w, "clock_ms");
        jw_u64(&w, block->clock_ms);
        write_member(&w, "origin", block->origin);
        write_member(&w, "by", block->by);
        write_member(&w, "reason", block->reason);
        jw_close(&w, '}');
    }
    jw_close(&w, ']');
    jw_close(&w, '}');
}

bool block_text_is_valid(struct slice text, size_t size)
{
    if (text.size >= size || !text_is_utf8(text))
        return false;
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f)
            return false;
    return true;
}

/* An absent member is "". */
static bool read_text(const json_t *item, const char *name, char *out, size_t size)
{
    const json_t *value = json_object_get(item, name);
    struct slice text = {json_string_value(value), json_string_length(value)};
    out[0] = '\0';
    if (!value)
        return true;
    if (!text.data || !block_text_is_valid(text, size))
        return false;
    memcpy(out, text.data, text.size);
    out[text.size] = '\0';
    return true;
}

static bool read_block(const json_t *item, struct block *block)
{
    json_int_t clock_ms = json_integer_value(json_object_get(item, "clock_ms"));
    *block = (struct block){
        .is_blocked = json_is_true(json_object_get(item, "blocked")),
        .clock_ms = (uint64_t)clock_ms,
    };
    return clock_ms > 0 && read_text(item, "node_id", block->node_id, sizeof(block->node_id)) &&
           read_text(item, "address", block->address, sizeof(block->address)) &&
           read_text(item, "origin", block->origin, sizeof(block->origin)) &&
           read_text(item, "by", block->by, sizeof(block->by)) &&
           read_text(item, "reason", block->reason, sizeof(block->reason)) && block->origin[0] &&
           (block->node_id[0] || block->address[0]);
}

enum error codec_read_blocks(struct slice body, struct block_list *out, char message[MESSAGE_BYTES])
{
    struct document document;
    struct block block;
    enum error error = document_open(body, &document, message);
    if (error)
        return error;
    const json_t *blocks = json_object_get(document.root, "blocks");
    if (!json_is_array(blocks)) {
        snprintf(message, MESSAGE_BYTES, "blocks: is required, and must be a list");
        error = ERR_INVALID_FIELD;
    } else if (json_array_size(blocks) > BLOCKS_MAX) {
        snprintf(message, MESSAGE_BYTES, "blocks: must have at most %d items, has %zu", BLOCKS_MAX,
                 json_array_size(blocks));
        error = ERR_TOO_MANY_ITEMS;
    }
    if (!error) {
        out->count = 0;
        for (size_t i = 0; i < json_array_size(blocks); i++)
            if (read_block(json_array_get(blocks, i), &block))
                (void)block_list_put(out, &block);
    }
    document_close(&document);
    return error;
}
