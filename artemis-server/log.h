/* SPDX-License-Identifier: Apache-2.0
 *
 * log - lines to stderr, as text or as JSON, one write a line. Any thread.
 *
 * The one piece of state that belongs to the process: its stderr has one format and one level. What
 * a client sent is shown escaped; secrets are never handed here.
 */
#pragma once

#include "artemis-core/config/config.h"

void log_setup(enum log_level level, enum log_format format);
bool log_enabled(enum log_level level); /* ask before preparing a costly line */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* For what a stranger can cause as often as it likes: a few lines a second, the rest is counted. */
void log_limited(enum log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
