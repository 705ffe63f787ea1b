/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/wire/list_reader.h"

#include <string.h>

/* --- copies ----------------------------------------------------------------------------------- */

static enum error append(struct text *to, size_t limit, struct slice bytes)
{
    if (bytes.size > limit - to->size)
        return ERR_BODY_TOO_LARGE;
    text_append_slice(to, bytes);
    return text_failed(to) ? ERR_NO_MEMORY : ERR_NONE;
}

/* Copies bytes that belong together: to the item, to the rest, or nowhere in an array. */
static enum error copy(struct list_reader *reader, struct slice bytes)
{
    if (reader->item_depth > 0)
        return append(&reader->item, LIST_READER_ITEM_BYTES_MAX, bytes);
    if (reader->array_depth > 0)
        return ERR_NONE;
    return append(&reader->rest, LIST_READER_REST_BYTES_MAX, bytes);
}

/* --- strings ---------------------------------------------------------------------------------- */

static void keep_name(struct list_reader *reader, const char *data, size_t size)
{
    size_t space = LIST_READER_NAME_BYTES - reader->name_size;
    size_t kept = size < space ? size : space;
    memcpy(reader->name + reader->name_size, data, kept);
    reader->name_size += kept;
}

/* Returns the number of bytes from `at` that belong to the open string. */
static size_t read_string(struct list_reader *reader, const char *at, const char *end)
{
    const char *start = at;
    for (; at < end && reader->in_string; at++) {
        if (reader->escaped)
            reader->escaped = false;
        else if (*at == '\\')
            reader->escaped = true;
        else if (*at == '"')
            reader->in_string = false;
    }
    size_t size = (size_t)(at - start);
    if (reader->item_depth == 0)
        keep_name(reader, start, reader->in_string ? size : size - 1);
    return size;
}

/* --- brackets --------------------------------------------------------------------------------- */

/* Whether the array that is opened is a list. */
static bool opens_list(const struct list_reader *reader)
{
    if (reader->only_top && reader->depth != 1)
        return false;
    struct slice name = {reader->name, reader->name_size};
    for (const char *const *list = reader->lists; *list; list++)
        if (slice_equal(name, slice_of(*list)))
            return true;
    return false;
}

static enum error open_bracket(struct list_reader *reader, char bracket)
{
    bool is_item = reader->depth > 0 && reader->is_list[reader->depth - 1] && bracket == '{';
    if (reader->item_depth > 0 || is_item) {
        reader->item_depth++;
        return copy(reader, (struct slice){&bracket, 1});
    }
    if (reader->depth == LIST_READER_DEPTH_MAX)
        return ERR_INVALID_JSON;
    enum error error = copy(reader, (struct slice){&bracket, 1});
    reader->open[reader->depth] = bracket;
    bool is_list = bracket == '[' && opens_list(reader);
    reader->is_list[reader->depth] = is_list;
    reader->depth++;
    reader->name_size = 0;
    bool is_dropped = is_list || (bracket == '[' && !reader->only_top);
    if (is_dropped && reader->array_depth == 0)
        reader->array_depth = reader->depth;
    return error;
}

static enum error end_item(struct list_reader *reader)
{
    enum error error = copy(reader, SLICE("}"));
    reader->item_depth = 0;
    if (!error)
        error =
            reader->on_item(reader->context, (struct slice){reader->item.data, reader->item.size});
    text_clear(&reader->item);
    return error;
}

static enum error close_bracket(struct list_reader *reader, char bracket)
{
    if (reader->item_depth == 1)
        return bracket == '}' ? end_item(reader) : ERR_INVALID_JSON;
    if (reader->item_depth > 1) {
        enum error error = copy(reader, (struct slice){&bracket, 1});
        reader->item_depth--;
        return error;
    }
    char opened = bracket == '}' ? '{' : '[';
    if (reader->depth == 0 || reader->open[reader->depth - 1] != opened)
        return ERR_INVALID_JSON;
    if (reader->array_depth == reader->depth)
        reader->array_depth = 0;
    reader->depth--;
    reader->ended = reader->depth == 0;
    reader->name_size = 0;
    return copy(reader, (struct slice){&bracket, 1});
}

/* --- reader ----------------------------------------------------------------------------------- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Reads one byte outside of strings that is a quote or a bracket. */
static enum error read_mark(struct list_reader *reader, char mark)
{
    switch (mark) {
    case '"':
        reader->in_string = true;
        if (reader->item_depth == 0)
            reader->name_size = 0;
        return copy(reader, SLICE("\""));
    case '{':
    case '[':
        return open_bracket(reader, mark);
    default:
        return close_bracket(reader, mark);
    }
}

/* Returns the number of bytes from `at` up to the next quote or bracket. */
static size_t count_plain(const char *at, const char *end)
{
    const char *start = at;
    while (at < end && *at != '"' && *at != '{' && *at != '[' && *at != '}' && *at != ']')
        at++;
    return (size_t)(at - start);
}

enum error list_reader_feed(struct list_reader *reader, struct slice piece)
{
    if (piece.size == 0)
        return ERR_NONE;
    const char *at = piece.data;
    const char *end = piece.data + piece.size;
    enum error error = ERR_NONE;
    while (at < end && !error) {
        if (reader->depth == 0 && is_space(*at)) {
            at++;
            continue;
        }
        if (reader->ended || (reader->depth == 0 && *at != '{'))
            return ERR_INVALID_JSON;
        bool is_string = reader->in_string;
        size_t size = is_string ? read_string(reader, at, end) : count_plain(at, end);
        if (size > 0)
            error = copy(reader, (struct slice){at, size});
        at += size;
        if (!error && at < end && !is_string)
            error = read_mark(reader, *at++);
    }
    return error;
}

enum error list_reader_end(struct list_reader *reader, struct slice *rest)
{
    if (!reader->ended)
        return ERR_INVALID_JSON;
    *rest = (struct slice){reader->rest.data, reader->rest.size};
    return ERR_NONE;
}

void list_reader_free(struct list_reader *reader)
{
    text_free(&reader->item);
    text_free(&reader->rest);
}
