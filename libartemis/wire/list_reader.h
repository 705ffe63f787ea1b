/* SPDX-License-Identifier: Apache-2.0
 *
 * list_reader - reads a JSON document in pieces: hands over the objects of its long lists one by
 * one, and keeps the rest.
 *
 * A document of any length therefore needs the memory of one list item and of the rest, both of
 * which have limits. The rest is the document without the content of its arrays:
 * {"version":7,"service":{"instances":[]}}. With `only_top`, the lists are members of the document
 * itself, and the rest has the content of all other arrays. The reader finds where items begin and
 * end; the caller parses them, and the rest, which proves that they are valid JSON.
 *
 * Pure; one thread at a time. Zero-initialize, then set `lists`, `on_item` and `context`.
 */
#pragma once

#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"

enum {
    LIST_READER_ITEM_BYTES_MAX = 256 * 1024,
    LIST_READER_REST_BYTES_MAX = 64 * 1024,
    LIST_READER_DEPTH_MAX = 40, /* outside of items; the payload of an event has 32 */
    LIST_READER_NAME_BYTES = 32,
};

/* One object of a list, borrowed for the call. An error ends the reading. */
typedef enum error list_reader_item(void *context, struct slice item);

struct list_reader {
    const char *const *lists; /* member names of the arrays; ends with NULL */
    bool only_top;
    list_reader_item *on_item;
    void *context;

    size_t depth; /* open brackets */
    char open[LIST_READER_DEPTH_MAX];
    bool is_list[LIST_READER_DEPTH_MAX];
    size_t array_depth; /* of the outermost open array without content in the rest; 0: none */
    size_t item_depth;  /* brackets inside the current item; 0: no item */
    bool in_string, escaped;
    char name[LIST_READER_NAME_BYTES]; /* the last string outside of items */
    size_t name_size;
    struct text item;
    struct text rest;
    bool ended;
};

/* Reads the next piece. ERR_INVALID_JSON; ERR_BODY_TOO_LARGE: an item or the rest is too large;
 * ERR_NO_MEMORY; errors of `on_item`. */
MUST_USE enum error list_reader_feed(struct list_reader *reader, struct slice piece);
/* After the last piece: the rest, borrowed from the reader. ERR_INVALID_JSON: incomplete. */
MUST_USE enum error list_reader_end(struct list_reader *reader, struct slice *rest);
void list_reader_free(struct list_reader *reader);
