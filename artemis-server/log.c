/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "artemis-core/json/json_writer.h"
#include "artemis-server/clock.h"
#include "artemis-server/log_writer.h"

enum { LINES_PER_SECOND = 5, LINE_BYTES_MAX = 2048 };

static _Atomic int minimum_level = LOG_LEVEL_INFO;
static _Atomic int line_format = LOG_FORMAT_TEXT;
static const char *_Atomic own_node_id;

static const char *const level_words[] = {
    [LOG_LEVEL_DEBUG] = "debug",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_WARN] = "warn",
    [LOG_LEVEL_ERROR] = "error",
};

void log_setup(enum log_level level, enum log_format format, const char *node_id)
{
    atomic_store(&minimum_level, (int)level);
    atomic_store(&line_format, (int)format);
    atomic_store(&own_node_id, node_id);
}

bool log_enabled(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&minimum_level, memory_order_relaxed);
}

/* --- lines ------------------------------------------------------------------------------------ */

/* Copies a text so that it stays on one line, does not control a terminal or change the direction
 * of writing, and is valid UTF-8. It may come from a client, or be cut. */
static struct slice clean(char out[LINE_BYTES_MAX], const char *text)
{
    size_t size = strnlen(text, LINE_BYTES_MAX - 1);
    memcpy(out, text, size);
    bool is_utf8 = text_is_utf8((struct slice){out, size});
    for (size_t i = 0; i < size; i++) {
        size_t unsafe = text_unsafe_size((struct slice){out + i, size - i});
        if (!is_utf8 && (unsigned char)out[i] >= 0x80)
            out[i] = '?';
        else if (unsafe > 0)
            memset(out + i, ' ', unsafe);
    }
    return (struct slice){out, size};
}

static bool is_left_out(const struct log_field *field)
{
    return !field->is_number && (!field->text || !field->text[0]);
}

static void write_json(struct text *line, enum log_level level, const char *message,
                       const struct log_field *fields, size_t count)
{
    char buffer[LINE_BYTES_MAX];
    const char *node_id = atomic_load(&own_node_id);
    struct json_writer w = jw_to(line, CASING_SNAKE);
    jw_open(&w, '{');
    jw_name(&w, "time");
    jw_rfc3339(&w, clock_now().wall_ms);
    jw_name(&w, "level");
    jw_string(&w, level_words[level]);
    jw_name(&w, "message");
    jw_text(&w, clean(buffer, message));
    if (node_id) {
        jw_name(&w, "node");
        jw_text(&w, clean(buffer, node_id));
    }
    for (size_t i = 0; i < count; i++) {
        if (is_left_out(&fields[i]))
            continue;
        jw_name(&w, fields[i].name);
        if (fields[i].is_number)
            jw_u64(&w, fields[i].number);
        else
            jw_text(&w, clean(buffer, fields[i].text));
    }
    jw_close(&w, '}');
}

/* A value with a blank, an equals sign or a quote is written as a JSON string. */
static void write_value(struct text *line, struct slice value)
{
    bool plain = true;
    for (size_t i = 0; i < value.size; i++)
        plain = plain && !strchr(" =\"\\", value.data[i]);
    if (plain) {
        text_append_slice(line, value);
        return;
    }
    struct json_writer w = jw_to(line, CASING_SNAKE);
    jw_text(&w, value);
}

static void write_text(struct text *line, enum log_level level, const char *message,
                       const struct log_field *fields, size_t count)
{
    char buffer[LINE_BYTES_MAX];
    struct text time = {0};
    struct json_writer w = jw_to(&time, CASING_SNAKE);
    jw_rfc3339(&w, clock_now().wall_ms);
    if (time.size > 2) /* without the quotes */
        text_append(line, time.data + 1, time.size - 2);
    text_printf(line, " %-5s ", level_words[level]);
    text_append_slice(line, clean(buffer, message));
    for (size_t i = 0; i < count; i++) {
        if (is_left_out(&fields[i]))
            continue;
        text_printf(line, " %s=", fields[i].name);
        if (fields[i].is_number)
            text_append_u64(line, fields[i].number);
        else
            write_value(line, clean(buffer, fields[i].text));
    }
    text_free(&time);
}

static void format_line(struct text *line, enum log_level level, const char *message,
                        const struct log_field *fields, size_t count)
{
    if (atomic_load(&line_format) == LOG_FORMAT_JSON)
        write_json(line, level, message, fields, count);
    else
        write_text(line, level, message, fields, count);
    text_append_char(line, '\n');
}

void log_fields(enum log_level level, const char *message, const struct log_field *fields,
                size_t count)
{
    struct text line = {0};
    if (!log_enabled(level))
        return;
    format_line(&line, level, message, fields, count);
    if (!text_failed(&line))
        log_writer_put((struct slice){line.data, line.size});
    text_free(&line);
}

static void log_message(enum log_level level, const char *format, va_list arguments)
{
    char message[LINE_BYTES_MAX];
    vsnprintf(message, sizeof(message), format, arguments);
    log_fields(level, message, NULL, 0);
}

void log_line(enum log_level level, const char *format, ...)
{
    va_list arguments;
    if (!log_enabled(level))
        return;
    va_start(arguments, format);
    log_message(level, format, arguments);
    va_end(arguments);
}

bool log_admit(enum log_level level)
{
    static _Atomic uint64_t second; /* in which `lines` were counted */
    static _Atomic uint64_t lines;
    if (!log_enabled(level))
        return false;
    uint64_t now = clock_now().mono_ms / 1000;
    if (atomic_exchange(&second, now) != now) {
        uint64_t before = atomic_exchange(&lines, 0);
        if (before > LINES_PER_SECOND)
            log_event(level, "similar lines were suppressed",
                      LOG_NUMBER("lines", before - LINES_PER_SECOND));
    }
    return atomic_fetch_add(&lines, 1) < LINES_PER_SECOND;
}

/* --- the writer ------------------------------------------------------------------------------- */

static void report_dropped(uint64_t count, struct text *line)
{
    const struct log_field lines = LOG_NUMBER("lines", count);
    format_line(line, LOG_LEVEL_WARN, "log lines were dropped: stderr was not read in time", &lines,
                1);
}

enum error log_start(void)
{
    return log_writer_start(report_dropped);
}

void log_stop(void)
{
    log_writer_stop(LOG_FLUSH_MS);
}

uint64_t log_dropped(void)
{
    return log_writer_dropped();
}
