/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 256, QUOTE_BYTES_MAX = 64 };

struct slice slice_of(const char *terminated)
{
    return (struct slice){terminated, terminated ? strlen(terminated) : 0};
}

bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

void text_free(struct text *text)
{
    free(text->data);
    *text = (struct text){0};
}

void text_clear(struct text *text)
{
    text->size = 0;
    text->failed = false;
}

bool text_failed(const struct text *text)
{
    return text->failed;
}

static bool grow(struct text *text, size_t needed)
{
    size_t capacity = text->capacity ? text->capacity : FIRST_CAPACITY;
    while (capacity < needed)
        capacity *= 2;
    char *data = realloc(text->data, capacity);
    if (!data)
        return false;
    text->data = data;
    text->capacity = capacity;
    return true;
}

char *text_reserve(struct text *text, size_t more)
{
    if (text->failed)
        return NULL;
    if (more > text->capacity - text->size &&
        (more > SIZE_MAX / 4 - text->size || !grow(text, text->size + more))) {
        text->failed = true;
        return NULL;
    }
    return text->data + text->size;
}

void text_append(struct text *text, const char *data, size_t size)
{
    if (size == 0)
        return;
    char *to = text_reserve(text, size);
    if (!to)
        return;
    memcpy(to, data, size);
    text->size += size;
}

void text_append_slice(struct text *text, struct slice slice)
{
    text_append(text, slice.data, slice.size);
}

void text_append_string(struct text *text, const char *terminated)
{
    text_append(text, terminated, strlen(terminated));
}

void text_append_char(struct text *text, char c)
{
    text_append(text, &c, 1);
}

void text_append_u64(struct text *text, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    text_append(text, digits + at, sizeof(digits) - at);
}

void text_printf(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *to = size < 0 ? NULL : text_reserve(text, (size_t)size + 1);
    if (!to) {
        text->failed = true;
        return;
    }
    va_start(arguments, format);
    vsnprintf(to, (size_t)size + 1, format, arguments);
    va_end(arguments);
    text->size += (size_t)size;
}

const char *text_string(struct text *text)
{
    char *end = text_reserve(text, 1);
    if (!end)
        return "";
    *end = '\0';
    return text->data;
}

/* The size of the UTF-8 sequence at `c`, or 0 where there is none (RFC 3629: no overlong forms, no
 * surrogates, nothing above U+10FFFF). */
static size_t sequence_size(const unsigned char *c, size_t left)
{
    if (c[0] < 0x80)
        return 1;
    size_t size = c[0] >= 0xF0 ? 4 : c[0] >= 0xE0 ? 3 : 2;
    if (c[0] < 0xC2 || c[0] > 0xF4 || size > left)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((c[i] & 0xC0) != 0x80)
            return 0;
    if ((c[0] == 0xE0 && c[1] < 0xA0) || (c[0] == 0xED && c[1] > 0x9F) ||
        (c[0] == 0xF0 && c[1] < 0x90) || (c[0] == 0xF4 && c[1] > 0x8F))
        return 0;
    return size;
}

bool text_is_utf8(struct slice value)
{
    for (size_t at = 0, size; at < value.size; at += size) {
        size = sequence_size((const unsigned char *)value.data + at, value.size - at);
        if (size == 0)
            return false;
    }
    return true;
}

void text_quote(char *out, size_t out_size, struct slice value)
{
    size_t at = 0;
    bool ascii_only = !text_is_utf8(value);
    size_t shown = value.size < QUOTE_BYTES_MAX ? value.size : QUOTE_BYTES_MAX;
    /* Never cut a UTF-8 sequence in two. */
    while (shown < value.size && shown > 0 && ((unsigned char)value.data[shown] & 0xC0) == 0x80)
        shown--;
    const size_t tail = sizeof("\"... (18446744073709551615 bytes)");
    if (out_size < tail + 8) {
        out[0] = '\0';
        return;
    }
    out[at++] = '"';
    for (size_t i = 0; i < shown && at + tail + 6 < out_size; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if (c == '"' || c == '\\')
            at += (size_t)snprintf(out + at, out_size - at, "\\%c", c);
        else if (c < 0x20 || c == 0x7f || (ascii_only && c >= 0x80))
            at += (size_t)snprintf(out + at, out_size - at, "\\x%02x", c);
        else
            out[at++] = (char)c;
    }
    if (shown < value.size)
        snprintf(out + at, out_size - at, "\"... (%zu bytes)", value.size);
    else
        snprintf(out + at, out_size - at, "\"");
}
