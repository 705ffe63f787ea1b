/* SPDX-License-Identifier: Apache-2.0
 *
 * text - slices of bytes that somebody else owns, and a buffer that grows.
 *
 * A `struct text` remembers that an allocation failed instead of reporting it at each append:
 * append freely, then ask `text_failed` once. After a failure the content is worthless, never half
 * of it. A text belongs to one thread at a time. Zero-initialize it; `text_free` makes it empty
 * again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes borrowed from elsewhere, not terminated. data may be NULL only when size is 0. */
struct slice {
    const char *data;
    size_t size;
};

#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})
struct slice slice_of(const char *terminated); /* NULL gives the empty slice */
bool slice_equal(struct slice a, struct slice b);

struct text {
    char *data; /* not terminated; NULL while capacity is 0 */
    size_t size;
    size_t capacity;
    bool failed;
};

void text_free(struct text *text);
void text_clear(struct text *text); /* keeps the memory; forgets a failure */
bool text_failed(const struct text *text);

/* Makes room for `more` bytes beyond `size`. NULL when that fails; else where they may be written.
 */
char *text_reserve(struct text *text, size_t more);

void text_append(struct text *text, const char *data, size_t size);
void text_append_slice(struct text *text, struct slice slice);
void text_append_string(struct text *text, const char *terminated);
void text_append_char(struct text *text, char c);
void text_append_u64(struct text *text, uint64_t number);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Terminates the content (not counted in size) and lends it, "" when nothing could be allocated. */
const char *text_string(struct text *text);

bool text_is_utf8(struct slice value);

/* Copies `value` as it may be shown to people: escaped, in quotes, cut at about 64 bytes, and
 * always valid UTF-8. */
void text_quote(char *out, size_t out_size, struct slice value);
