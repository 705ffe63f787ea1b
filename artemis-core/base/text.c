/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-core/base/text_scan.h"

enum { FIRST_CAPACITY = 256, QUOTE_BYTES_MAX = 64 };

struct slice slice_of(const char *terminated)
{
    return (struct slice){terminated, terminated ? strlen(terminated) : 0};
}

bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

int slice_compare(struct slice a, struct slice b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size ? memcmp(a.data, b.data, size) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

bool slice_to_u64(struct slice digits, uint64_t *out)
{
    uint64_t number = 0;
    for (size_t i = 0; i < digits.size; i++) {
        unsigned digit = (unsigned char)digits.data[i] - (unsigned)'0';
        if (digit > 9 || number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    if (digits.size > 0)
        *out = number;
    return digits.size > 0;
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
    char *to = text_reserve(text, 1);
    if (!to)
        return;
    *to = c;
    text->size++;
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

/* The size of the UTF-8 sequence at `c`, or 0 if it is invalid (RFC 3629: no overlong forms, no
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

size_t text_utf8_size(struct slice value)
{
    size_t at = value.size ? text_plain_size(value.data, value.data + value.size) : 0;
    for (size_t size; at < value.size; at += size) {
        size = sequence_size((const unsigned char *)value.data + at, value.size - at);
        if (size == 0)
            break;
    }
    return at;
}

bool text_is_utf8(struct slice value)
{
    return text_utf8_size(value) == value.size;
}

void text_drop_partial(char *text)
{
    size_t size = strlen(text);
    size_t continued = 0; /* bytes at the end that continue a sequence */
    while (continued < size && continued < 3 && (text[size - continued - 1] & 0xC0) == 0x80)
        continued++;
    if (continued == size)
        return;
    char *first = text + size - continued - 1;
    if (sequence_size((unsigned char *)first, continued + 1) == 0)
        *first = '\0';
}

size_t text_unsafe_size(struct slice value)
{
    static const struct {
        unsigned char size; /* of the character */
        char before[2];     /* all of its bytes but the last one */
        unsigned char first, last;
    } ranges[] = {
        {1, "", 0x00, 0x1F},         {1, "", 0x7F, 0x7F},         {2, "\xC2", 0x80, 0x9F},
        {2, "\xD8", 0x9C, 0x9C},     {3, "\xE2\x80", 0x8E, 0x8F}, {3, "\xE2\x80", 0xA8, 0xAE},
        {3, "\xE2\x81", 0xA6, 0xA9},
    };
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        size_t size = ranges[i].size;
        if (value.size < size || memcmp(value.data, ranges[i].before, size - 1) != 0)
            continue;
        unsigned char last = (unsigned char)value.data[size - 1];
        if (last >= ranges[i].first && last <= ranges[i].last)
            return size;
    }
    return 0;
}

bool text_is_safe(struct slice value)
{
    for (size_t i = 0; i < value.size; i++)
        if (text_unsafe_size((struct slice){value.data + i, value.size - i}) > 0)
            return false;
    return true;
}

/* The code point of a valid sequence of two or three bytes. */
static unsigned code_point(const unsigned char *c, size_t sequence)
{
    return sequence == 2 ? (c[0] & 0x1Fu) << 6 | (c[1] & 0x3Fu)
                         : (c[0] & 0x0Fu) << 12 | (c[1] & 0x3Fu) << 6 | (c[2] & 0x3Fu);
}

/* Writes one character of a value as text_quote shows it. Returns the number of bytes written. */
static size_t write_shown(const unsigned char *c, size_t sequence, char out[8])
{
    if (sequence == 0 || *c < 0x20 || *c == 0x7f)
        return (size_t)snprintf(out, 8, "\\x%02x", *c);
    if (*c == '"' || *c == '\\')
        return (size_t)snprintf(out, 8, "\\%c", *c);
    if (text_unsafe_size((struct slice){(const char *)c, sequence}) > 0)
        return (size_t)snprintf(out, 8, "\\u%04x", code_point(c, sequence));
    memcpy(out, c, sequence);
    return sequence;
}

void text_quote(char *out, size_t out_size, struct slice value)
{
    const size_t tail = sizeof("\"... (18446744073709551615 bytes)");
    out[0] = '\0';
    if (out_size < tail + 2)
        return;
    const unsigned char *bytes = (const unsigned char *)value.data;
    size_t space = out_size - tail;
    size_t shown = 0; /* bytes of the value */
    size_t at = 0;
    out[at++] = '"';
    while (shown < value.size) {
        char piece[8];
        size_t sequence = sequence_size(bytes + shown, value.size - shown);
        size_t size = write_shown(bytes + shown, sequence, piece);
        size_t next = shown + (sequence ? sequence : 1);
        if (next > QUOTE_BYTES_MAX || at + size > space)
            break;
        memcpy(out + at, piece, size);
        at += size;
        shown = next;
    }
    if (shown < value.size)
        snprintf(out + at, out_size - at, "\"... (%zu bytes)", value.size);
    else
        snprintf(out + at, out_size - at, "\"");
}
