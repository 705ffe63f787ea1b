/* SPDX-License-Identifier: Apache-2.0
 *
 * log - lines on stderr, as text or as JSON. Any thread.
 *
 * Level and format belong to the process. An event has a constant message and typed fields: the
 * text line appends them as name=value, the JSON line has them as members beside the message.
 * Fields have the same names everywhere: node (this node, in JSON only), peer, url, service,
 * instance, client, reason, duration_ms.
 *
 * Between log_start and log_stop a thread writes the lines (log_writer.h), so that no caller waits
 * for the reader of stderr. Before and after, the caller writes them.
 *
 * Text from clients is escaped. Secrets must not be logged.
 */
#pragma once

#include "artemis-core/config/config.h"

/* Sets level and format. `node_id` (borrowed; NULL: none) becomes the field `node` of JSON
 * lines. */
void log_setup(enum log_level level, enum log_format format, const char *node_id);
bool log_enabled(enum log_level level); /* to skip the preparation of a costly line */

/* Starts and stops the thread that writes the lines; the main thread calls them. log_stop waits
 * until the lines are written, for at most LOG_FLUSH_MS. ERR_SYSTEM. */
enum { LOG_FLUSH_MS = 2000 };
MUST_USE enum error log_start(void);
void log_stop(void);
/* Lines that were dropped because the reader of stderr was too slow. */
uint64_t log_dropped(void);

struct log_field {
    const char *name; /* in snake_case */
    const char *text; /* used where `is_number` is false; NULL or "": the field is left out */
    uint64_t number;
    bool is_number;
};
#define LOG_TEXT(name, value)   ((struct log_field){(name), (value), 0, false})
#define LOG_NUMBER(name, value) ((struct log_field){(name), NULL, (value), true})

/* log_event(LOG_LEVEL_WARN, "peer is down", LOG_TEXT("peer", id), LOG_TEXT("reason", why)); */
#define log_event(level, message, ...)                                                             \
    log_fields(level, message, (const struct log_field[]){__VA_ARGS__},                            \
               sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))
void log_fields(enum log_level level, const char *message, const struct log_field *fields,
                size_t count);
/* A line without an object. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* For lines that clients or peers can cause at any rate: true for the first few of a second. The
 * number of the suppressed lines is logged in the next second that has such a line. */
MUST_USE bool log_admit(enum log_level level);
