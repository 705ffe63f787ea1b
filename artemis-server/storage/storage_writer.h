/* SPDX-License-Identifier: Apache-2.0
 *
 * storage_writer - writes what has changed in the registry into the database, one transaction for
 * each commit.
 *
 * A commit writes the latest record of each changed key, deletes the removed keys, and moves the
 * bounds of stamps and revisions ahead; the last commit stores them exactly. The bounds are written
 * at least every BOUNDS_INTERVAL_MS, also when nothing has changed, and when the stamps of peers
 * have moved those of this node close to the bound. They include a time, from which the next
 * process computes the age of loaded leases (NUMBER_SAVED_MS). For one time-to-live after a load,
 * commits keep the stored time. A node that restarts again and again therefore does not make the
 * leases younger.
 *
 * The age of tombstones is counted by the retention clock. It continues from the last commit of the
 * process before, and advances by the monotonic clock. So it stands still while the node does not
 * run, and does not follow the wall clock: no tombstone ends early.
 *
 * After a failure nothing of the transaction is stored. The registry goes on in memory, and the
 * next commit waits (backoff.h). It writes everything again. A damaged file is set aside first; the
 * owner logs it (files_set_aside).
 *
 * One thread; no clock is read.
 */
#pragma once

#include "artemis-server/registry/registry_storage.h"
#include "artemis-server/storage/database.h"

enum {
    BOUNDS_INTERVAL_MS = 5000,
    BOUND_AHEAD_MS = 10000,           /* how far a new bound of stamps is ahead of the clock */
    BOUND_AHEAD_MIN_MS = 4000,        /* nearer to the clock, the bound is written again */
    BOUND_AHEAD_REVISIONS = 10000000, /* how far a new bound of revisions is ahead */
};

struct storage_writer {
    const char *folder;
    struct registry *registry;
    struct database *database;  /* owned; NULL: the file could not be opened again */
    struct text body;           /* of the row that is being written */
    bool rewrite_needed;        /* the next commit writes everything */
    bool is_complete;           /* the registry is; see storage_set_complete */
    uint64_t loaded_saved_ms;   /* NUMBER_SAVED_MS of what was loaded; 0: nothing was */
    uint64_t loaded_until_ms;   /* monotonic: loaded leases are renewed or evicted by then */
    uint64_t retention_base_ms; /* the retention clock minus the monotonic one */
    unsigned failures;          /* in a row */
    uint64_t retry_ms;          /* monotonic: not before */
    uint64_t bounds_ms;         /* monotonic: when the bounds were last written; 0: never */
    uint64_t bound_ms;          /* the time of the bound of stamps */
    uint64_t committed_ms;      /* monotonic: the last commit; 0: none */
    uint64_t commits;           /* since the start, as the next */
    uint64_t rows_written;
    uint64_t rewrites;
    uint64_t failed_commits;
    uint64_t files_set_aside;
    char set_aside_reason[DATABASE_PROBLEM_BYTES]; /* of the last file that was set aside */
    char set_aside_name[DATABASE_PATH_BYTES];      /* its new name */
    char problem[DATABASE_PROBLEM_BYTES];          /* of the last failure */
};

/* Takes over the database. NULL: it could not be opened yet; each commit tries it. */
void storage_writer_init(struct storage_writer *writer, const char *folder,
                         struct database *database, struct registry *registry);
void storage_writer_free(struct storage_writer *writer);

/* Commits what has changed. Does nothing if that is nothing, or while it waits after a failure,
 * unless `is_last`. ERR_SYSTEM, ERR_NO_MEMORY; writer->problem says why. */
MUST_USE enum error storage_writer_commit(struct storage_writer *writer, struct moment now,
                                          bool is_last);
