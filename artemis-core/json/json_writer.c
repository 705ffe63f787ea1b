/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/json/json_writer.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "artemis-core/base/text_scan.h"

struct json_writer jw_to(struct text *out, enum casing casing)
{
    return (struct json_writer){.out = out, .casing = casing};
}

static void separate(struct json_writer *w)
{
    if (w->comma)
        text_append_char(w->out, ',');
}

void jw_open(struct json_writer *w, char bracket)
{
    separate(w);
    text_append_char(w->out, bracket);
    w->comma = false;
}

void jw_close(struct json_writer *w, char bracket)
{
    text_append_char(w->out, bracket);
    w->comma = true;
}

size_t jw_camel(char *out, const char *snake_case)
{
    size_t size = 0;
    for (const char *c = snake_case; *c; c++) {
        if (*c == '_' && c[1] >= 'a' && c[1] <= 'z')
            out[size++] = (char)(*++c - 'a' + 'A');
        else
            out[size++] = *c;
    }
    return size;
}

void jw_name(struct json_writer *w, const char *snake_case)
{
    separate(w);
    size_t size = strlen(snake_case);
    char *to = text_reserve(w->out, size + 3);
    if (!to)
        return;
    to[0] = '"';
    if (w->casing == CASING_CAMEL)
        size = jw_camel(to + 1, snake_case);
    else
        memcpy(to + 1, snake_case, size);
    to[size + 1] = '"';
    to[size + 2] = ':';
    w->out->size += size + 3;
    w->comma = false;
}

static void escape(struct text *out, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    switch (c) {
    case '"':
        text_append(out, "\\\"", 2);
        return;
    case '\\':
        text_append(out, "\\\\", 2);
        return;
    case '\n':
        text_append(out, "\\n", 2);
        return;
    case '\r':
        text_append(out, "\\r", 2);
        return;
    case '\t':
        text_append(out, "\\t", 2);
        return;
    default: {
        const char code[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        text_append(out, code, sizeof(code));
    }
    }
}

/* The number of bytes at the start of `value` that need no escape. */
static size_t plain_size(struct slice value)
{
    size_t size = 0;
    for (;; size++) {
        size += text_plain_size(value.data + size, value.data + value.size);
        if (size == value.size || (unsigned char)value.data[size] < 0x7F)
            return size;
    }
}

static void append_escaped(struct text *out, struct slice value)
{
    char *to = text_reserve(out, value.size + 2);
    if (!to)
        return;
    size_t plain = plain_size(value);
    *to++ = '"';
    if (plain)
        memcpy(to, value.data, plain);
    out->size += 1 + plain;
    while (plain < value.size) {
        escape(out, (unsigned char)value.data[plain]);
        value = (struct slice){value.data + plain + 1, value.size - plain - 1};
        plain = plain_size(value);
        text_append(out, value.data, plain);
    }
    text_append_char(out, '"');
}

void jw_verbatim_name(struct json_writer *w, struct slice name)
{
    separate(w);
    append_escaped(w->out, name);
    text_append_char(w->out, ':');
    w->comma = false;
}

void jw_text(struct json_writer *w, struct slice value)
{
    separate(w);
    append_escaped(w->out, value);
    w->comma = true;
}

void jw_string(struct json_writer *w, const char *terminated)
{
    jw_text(w, slice_of(terminated));
}

void jw_foreign(struct json_writer *w, const char *terminated)
{
    struct text valid = {0};
    struct slice left = slice_of(terminated);
    size_t size = text_utf8_size(left);
    if (size == left.size) {
        jw_text(w, left);
        return;
    }
    while (size < left.size) {
        text_append(&valid, left.data, size);
        text_append_string(&valid, "\xef\xbf\xbd");
        left = (struct slice){left.data + size + 1, left.size - size - 1};
        size = text_utf8_size(left);
    }
    text_append_slice(&valid, left);
    jw_text(w, (struct slice){valid.data, valid.size});
    w->out->failed |= text_failed(&valid);
    text_free(&valid);
}

void jw_raw(struct json_writer *w, struct slice value)
{
    separate(w);
    text_append_slice(w->out, value);
    w->comma = true;
}

void jw_u64(struct json_writer *w, uint64_t value)
{
    separate(w);
    text_append_u64(w->out, value);
    w->comma = true;
}

void jw_bool(struct json_writer *w, bool value)
{
    jw_raw(w, value ? SLICE("true") : SLICE("false"));
}

void jw_null(struct json_writer *w)
{
    jw_raw(w, SLICE("null"));
}

void jw_rfc3339(struct json_writer *w, uint64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc;
    char date[32] = "";
    if (gmtime_r(&seconds, &utc))
        strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
    char stamp[48];
    snprintf(stamp, sizeof(stamp), "%s.%03uZ", date, (unsigned)(wall_ms % 1000));
    jw_string(w, stamp);
}
