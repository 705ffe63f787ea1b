/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/terminal/terminal_text.h"

#include "artemis-core/base/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#define MESSAGE_MAX 2048

#define NOT_UTF8 UINT32_MAX

/* Reads one code point of at most `available` bytes. *length is 1 for a byte that starts none. */
static uint32_t read_code_point(const unsigned char *at, size_t available, size_t *length)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    *length = 1;
    if (at[0] < 0x80)
        return at[0];
    size_t need = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    if (at[0] < 0xc2 || at[0] > 0xf4 || need > available)
        return NOT_UTF8;
    uint32_t code_point = at[0] & (0x7fu >> need);
    for (size_t i = 1; i < need; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return NOT_UTF8;
        code_point = code_point << 6 | (at[i] & 0x3f);
    }
    bool surrogate = code_point >= 0xd800 && code_point <= 0xdfff;
    if (code_point < smallest[need] || code_point > 0x10ffff || surrogate)
        return NOT_UTF8;
    *length = need;
    return code_point;
}

size_t terminal_text_piece(const char **at, size_t available, char piece[TERMINAL_PIECE_MAX])
{
    size_t length = 0;
    const unsigned char *bytes = (const unsigned char *)*at;
    uint32_t code_point = read_code_point(bytes, available, &length);
    *at += length;
    if (code_point == NOT_UTF8)
        return (size_t)snprintf(piece, TERMINAL_PIECE_MAX, "\\x%02x", bytes[0]);
    if (code_point == '\n')
        return (size_t)snprintf(piece, TERMINAL_PIECE_MAX, "\\n");
    if (code_point == '\t')
        return (size_t)snprintf(piece, TERMINAL_PIECE_MAX, "\\t");
    if (text_unsafe_size((struct slice){(const char *)bytes, length}) > 0) {
        const char *format = code_point < 0x80 ? "\\x%02x" : "\\u%04x";
        return (size_t)snprintf(piece, TERMINAL_PIECE_MAX, format, (unsigned)code_point);
    }
    memcpy(piece, bytes, length);
    piece[length] = '\0';
    return 1;
}

size_t terminal_text_width(const char *text)
{
    char piece[TERMINAL_PIECE_MAX];
    size_t columns = 0;
    for (const char *end = text + strlen(text); text < end;)
        columns += terminal_text_piece(&text, (size_t)(end - text), piece);
    return columns;
}

size_t terminal_text_print(FILE *out, const char *text, size_t columns_max)
{
    char piece[TERMINAL_PIECE_MAX];
    bool cut = columns_max > 0 && terminal_text_width(text) > columns_max;
    size_t limit = cut ? columns_max - 1 : SIZE_MAX;
    size_t columns = 0;
    for (const char *end = text + strlen(text); text < end;) {
        size_t width = terminal_text_piece(&text, (size_t)(end - text), piece);
        if (columns + width > limit)
            break;
        fputs(piece, out);
        columns += width;
    }
    if (!cut)
        return columns;
    fputs("…", out);
    return columns + 1;
}

/* Where the line that begins at `text` ends: at the last blank within `columns_max` columns, or
 * after as many characters as fit, one at least. */
static const char *line_end(const char *text, const char *end, size_t columns_max)
{
    char piece[TERMINAL_PIECE_MAX];
    const char *blank = NULL;
    size_t columns = 0;
    for (const char *at = text; at < end;) {
        const char *next = at;
        columns += terminal_text_piece(&next, (size_t)(end - at), piece);
        blank = *at == ' ' && at > text ? at : blank;
        if (columns > columns_max && at > text)
            return blank ? blank : at;
        at = next;
    }
    return end;
}

void terminal_text_wrap(FILE *out, const char *text, size_t indent, size_t columns_max)
{
    char piece[TERMINAL_PIECE_MAX];
    size_t limit = columns_max == 0 ? SIZE_MAX : columns_max > indent ? columns_max - indent : 1;
    for (const char *end = text + strlen(text); text < end; text += strspn(text, " ")) {
        const char *stop = line_end(text, end, limit);
        for (size_t i = 0; i < indent; i++)
            fputc(' ', out);
        while (text < stop) {
            (void)terminal_text_piece(&text, (size_t)(stop - text), piece);
            fputs(piece, out);
        }
        fputc('\n', out);
    }
}

void terminal_text_print_json(FILE *out, const char *json, size_t size_bytes)
{
    const char *end = json + size_bytes;
    while (end > json && strchr(" \t\r\n", end[-1]))
        end--;
    while (json < end) {
        size_t length = 0;
        uint32_t code_point =
            read_code_point((const unsigned char *)json, (size_t)(end - json), &length);
        if (code_point < 0x20)
            fputc(' ', out); /* JSON has raw control characters between values only */
        else if (code_point == NOT_UTF8 || text_unsafe_size((struct slice){json, length}) > 0)
            fprintf(out, "\\u%04x", code_point == NOT_UTF8 ? 0xfffdu : (unsigned)code_point);
        else
            fwrite(json, 1, length, out);
        json += length;
    }
    fputc('\n', out);
}

const char *terminal_text_count(uint64_t count, char text[VIEW_COUNT_MAX])
{
    char digits[VIEW_COUNT_MAX];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, count);
    char *to = text;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
    return text;
}

void terminal_text_print_error(FILE *out, const char *hint, const char *format, ...)
{
    char message[MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);

    flockfile(out); /* the thread of the client library prints too */
    fputs("artemis: ", out);
    terminal_text_print(out, message, 0);
    fputc('\n', out);
    if (hint) {
        fputs("  ", out);
        terminal_text_print(out, hint, 0);
        fputc('\n', out);
    }
    funlockfile(out);
}
