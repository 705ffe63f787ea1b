/* SPDX-License-Identifier: Apache-2.0
 *
 * audit - records what operators do, reloads, and failed authentications.
 *
 * A record is a line of the log, and a JSON line of a file in DATA_DIR (audit_file.h), which a
 * thread of its own writes and then syncs: no caller waits for the disk. Without a folder there is
 * only the line of the log.
 *
 * The queue is bounded. While a file cannot be written, the log and the counters say so, its
 * records wait, and the thread tries again each AUDIT_RETRY_MS. Records that do not fit into the
 * queue are dropped and counted, and one record with the count follows when the file can be written
 * again.
 *
 * Clients can cause failures of authentication at any rate: AUDIT_FAILURES_PER_SECOND of them are
 * recorded, and one record for each AUDIT_SUMMARY_MS has the number of the others. They displace no
 * other record: they have a file of their own (AUDIT_FAILURES_NAME), and wait in at most half of
 * the queue.
 *
 * Secrets must not be recorded. The main thread starts, flushes and stops; any thread may call the
 * other functions. All accept NULL, which stands for an engine without an audit log, as in tests.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "artemis-core/base/error.h"
#include "artemis-core/base/moment.h"

struct audit;

enum {
    AUDIT_QUEUE_BYTES_MAX = 1024 * 1024,
    AUDIT_RETRY_MS = 1000,
    AUDIT_FAILURES_PER_SECOND = 5,
    AUDIT_SUMMARY_MS = 10 * 1000,
};

struct audit_options {
    const char *folder;      /* exists; "": no file */
    uint64_t file_bytes_max; /* size at which a file is rotated */
    uint32_t files_max;      /* of audit.log, and of audit-failures.log; the current one counts */
    const char *node_id;     /* borrowed, as long as the audit */
};

/* The cause of a record. */
struct audit_origin {
    const char *token;   /* its name; NULL or "": none */
    const char *address; /* of the client, "signal HUP", or "admin socket uid 0" */
};

/* Texts may be NULL or "": the member is left out. They may come from clients. */
struct audit_event {
    struct audit_origin origin;
    const char *action; /* a constant: "release-guard" */
    const char *object; /* what it is done to: a service, an instance, a setting, a path */
    const char *before;
    const char *after;
    const char *outcome;  /* "done", or why it failed */
    bool is_logged_apart; /* the caller has written a line of the log itself */
};

struct audit_stats {
    bool has_file;
    bool failing; /* a file cannot be written at present */
    uint64_t records;
    uint64_t dropped;  /* did not fit into the queue, or were not written at the end */
    uint64_t left_out; /* failures of authentication without a record of their own */
};

/* ERR_NO_MEMORY, ERR_SYSTEM (no thread). A file that cannot be written is no failure. */
MUST_USE enum error audit_start(const struct audit_options *options, struct audit **out);
/* Waits until what is queued is written, for timeout_ms at most. */
void audit_flush(struct audit *audit, uint64_t timeout_ms);
/* Writes what is queued, for timeout_ms at most, and frees the audit. Accepts NULL. */
void audit_stop(struct audit *audit, uint64_t timeout_ms);

void audit_record(struct audit *audit, const struct audit_event *event, struct moment now);
/* The same for a failure of authentication. False: it was left out, and counted. The caller writes
 * a line of the log if it is true. */
bool audit_record_failure(struct audit *audit, const struct audit_event *event, struct moment now);

void audit_stats(const struct audit *audit, struct audit_stats *out);
