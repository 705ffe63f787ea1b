/* SPDX-License-Identifier: Apache-2.0
 *
 * log_writer - writes lines to stderr from a thread of its own, through a bounded queue.
 *
 * A caller never waits for the reader of stderr: a line that does not fit into the queue is dropped
 * and counted. When the reader has caught up, one more line reports the number of dropped lines.
 * Lines are written whole and in the order of the calls.
 *
 * Before log_writer_start and after log_writer_stop the caller writes its line itself and waits for
 * the reader, for at most LOG_WRITE_MS. On SIGABRT the queue is flushed first, for at most
 * LOG_ABORT_MS.
 */
#pragma once

#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"

enum {
    LOG_QUEUE_BYTES_MAX = 1024 * 1024, /* of lines that are not written yet */
    LOG_WRITE_MS = 1000,
    LOG_ABORT_MS = 200,
};

/* Appends to *line the line that reports dropped lines. Called by the thread of the writer. */
typedef void log_report_dropped(uint64_t count, struct text *line);

/* Called by the main thread. ERR_SYSTEM. */
MUST_USE enum error log_writer_start(log_report_dropped *report);
/* Writes what is queued, for at most timeout_ms, and ends the thread. Does nothing when there is
 * none. */
void log_writer_stop(uint64_t timeout_ms);

/* Queues or writes one line, its line break included. */
void log_writer_put(struct slice line);
/* The number of dropped lines since the start of the process. */
uint64_t log_writer_dropped(void);
