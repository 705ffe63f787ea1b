/* SPDX-License-Identifier: Apache-2.0
 *
 * text - borrowed byte ranges (struct slice) and a growing byte buffer (struct text).
 *
 * Appending to a text does not report a failed allocation; the text remembers it. Append, then call
 * `text_failed` once. After a failure the content is undefined and further appends do nothing.
 * Initialize a text with zero; `text_free` frees its memory and makes it empty again.
 *
 * A text belongs to one thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Borrowed bytes, not zero-terminated. `data` may be NULL only when `size` is 0. */
struct slice {
    const char *data;
    size_t size;
};

#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})
struct slice slice_of(const char *terminated); /* NULL: the empty slice */
bool slice_equal(struct slice a, struct slice b);
int slice_compare(struct slice a, struct slice b); /* by bytes, as memcmp; a prefix comes first */
/* Reads a decimal number without sign or blanks. False: it is another text, or exceeds 64 bits. */
bool slice_to_u64(struct slice digits, uint64_t *out);

struct text {
    char *data; /* not zero-terminated; NULL while capacity is 0 */
    size_t size;
    size_t capacity;
    bool failed;
};

void text_free(struct text *text);
void text_clear(struct text *text); /* size 0, no failure; keeps the memory */
bool text_failed(const struct text *text);

/* Grows the capacity to `size` + `more` bytes. Returns where the next byte is written; the caller
 * writes there and adds to `size`. NULL: out of memory. */
char *text_reserve(struct text *text, size_t more);

void text_append(struct text *text, const char *data, size_t size);
void text_append_slice(struct text *text, struct slice slice);
void text_append_string(struct text *text, const char *terminated);
void text_append_char(struct text *text, char c);
void text_append_u64(struct text *text, uint64_t number);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Returns the content with a terminating zero, which `size` does not count; "" when that cannot be
 * allocated. Valid until the text changes. */
const char *text_string(struct text *text);

bool text_is_utf8(struct slice value); /* by RFC 3629 */
/* The number of bytes at the start of `value` that are valid UTF-8: all, if it is valid. */
size_t text_utf8_size(struct slice value);
/* Removes a UTF-8 sequence at the end of a terminated text that was cut off within it. */
void text_drop_partial(char *text);

/* The bytes of the character at the start of `value` if it would end a line, control a terminal or
 * change the direction of writing: C0, DEL, C1, U+061C, U+200E to F, U+2028 to E, U+2066 to 9.
 * 0: it would not. */
size_t text_unsafe_size(struct slice value);
/* Whether no character of `value` is unsafe in that sense. */
bool text_is_safe(struct slice value);

/* Writes `value` for people: in quotes, unsafe characters and invalid bytes escaped, truncated
 * after 64 bytes. The output is valid UTF-8. */
void text_quote(char *out, size_t out_size, struct slice value);
