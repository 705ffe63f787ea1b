/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "artemis-core/json/json_writer.h"
#include "artemis-server/clock.h"

enum { LIMITED_LINES = 5, LINE_BYTES_MAX = 2048 };

static _Atomic int minimum_level = LOG_LEVEL_INFO;
static _Atomic int line_format = LOG_FORMAT_TEXT;

static const char *const level_words[] = {
    [LOG_LEVEL_DEBUG] = "debug",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_WARN] = "warn",
    [LOG_LEVEL_ERROR] = "error",
};

void log_setup(enum log_level level, enum log_format format)
{
    atomic_store(&minimum_level, (int)level);
    atomic_store(&line_format, (int)format);
}

bool log_enabled(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&minimum_level, memory_order_relaxed);
}

/* A line break in a message would look like a second line. */
static void keep_on_one_line(char *message)
{
    for (char *c = message; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
}

static void write_json(struct text *line, enum log_level level, const char *message)
{
    struct json_writer w = jw_to(line, CASING_SNAKE);
    jw_open(&w, '{');
    jw_name(&w, "time");
    jw_rfc3339(&w, clock_now().wall_ms);
    jw_name(&w, "level");
    jw_string(&w, level_words[level]);
    jw_name(&w, "message");
    jw_string(&w, message);
    jw_close(&w, '}');
}

static void write_text(struct text *line, enum log_level level, const char *message)
{
    struct text stamp = {0};
    struct json_writer w = jw_to(&stamp, CASING_SNAKE);
    jw_rfc3339(&w, clock_now().wall_ms);
    if (stamp.size > 2) /* without the quotes */
        text_append(line, stamp.data + 1, stamp.size - 2);
    text_printf(line, " %-5s %s", level_words[level], message);
    text_free(&stamp);
}

static void write_line(enum log_level level, const char *format, va_list arguments)
{
    char message[LINE_BYTES_MAX];
    vsnprintf(message, sizeof(message), format, arguments);
    keep_on_one_line(message);

    struct text line = {0};
    if (atomic_load(&line_format) == LOG_FORMAT_JSON)
        write_json(&line, level, message);
    else
        write_text(&line, level, message);
    text_append_char(&line, '\n');
    if (!text_failed(&line)) {
        ssize_t written = write(STDERR_FILENO, line.data, line.size);
        (void)written; /* there is no other place to report it */
    }
    text_free(&line);
}

void log_line(enum log_level level, const char *format, ...)
{
    if (!log_enabled(level))
        return;
    va_list arguments;
    va_start(arguments, format);
    write_line(level, format, arguments);
    va_end(arguments);
}

void log_limited(enum log_level level, const char *format, ...)
{
    static _Atomic uint64_t second; /* in which `lines` were counted */
    static _Atomic unsigned lines;
    if (!log_enabled(level))
        return;
    uint64_t now = clock_now().mono_ms / 1000;
    if (atomic_exchange(&second, now) != now) {
        unsigned before = atomic_exchange(&lines, 0);
        if (before > LIMITED_LINES)
            log_line(level, "%u similar lines were suppressed in the last second",
                     before - LIMITED_LINES);
    }
    if (atomic_fetch_add(&lines, 1) >= LIMITED_LINES)
        return;
    va_list arguments;
    va_start(arguments, format);
    write_line(level, format, arguments);
    va_end(arguments);
}
