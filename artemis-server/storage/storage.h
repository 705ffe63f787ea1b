/* SPDX-License-Identifier: Apache-2.0
 *
 * storage - keeps the registry of a node over a restart and a power failure.
 *
 *     storage_open     opens the file in the data folder; the bounds are known
 *     registry_create  with these bounds as floors, and `storing`
 *     storage_load     loads the records
 *     storage_start    the thread `storage` commits the changes, every commit_interval_ms
 *     storage_close    commits the rest, with exact bounds
 *
 * No request waits for the disk: a change is on the disk within about one interval. Renewals are
 * not stored, so a loaded lease lasts for one time-to-live after the start (registry_storage.h).
 *
 * A file that is damaged, written by a later version, or not ours is set aside under a new name,
 * and the node starts without records. A folder that cannot be used, or is in use, makes the start
 * fail; a full disk does not. When a commit fails later, or the disk has no space for a new file,
 * the node goes on in memory, logs it once, and tries again.
 *
 * The main thread opens, loads, starts, stops and closes; the replication thread calls
 * storage_evict_loaded. Any thread may call the other functions.
 */
#pragma once

#include "artemis-core/base/moment.h"
#include "artemis-server/registry/registry_replication.h"
#include "artemis-server/storage/database.h"

struct storage;

/* `folder` is borrowed. ERR_SYSTEM, ERR_NO_MEMORY; both fill *problem. */
MUST_USE enum error storage_open(const char *folder, uint32_t commit_interval_ms,
                                 struct storage **out, char problem[DATABASE_PROBLEM_BYTES]);
/* Stops the thread and commits what is left. The registry must still exist. `is_last`: as for
 * storage_commit. */
void storage_stop(struct storage *storage, bool is_last);
/* The same with is_last, and frees. Accepts NULL. */
void storage_close(struct storage *storage);

/* What the last process stored; 0: nothing. */
struct storage_bounds {
    uint64_t hlc;      /* no stamp above it was issued */
    uint64_t revision; /* no revision above it was issued */
    uint64_t saved_ms; /* ms since 1970: the age of loaded leases counts from it */
    struct shared_records shared;
    uint64_t retention_ms;  /* the retention clock at the last commit (storage_writer.h) */
    uint64_t shared_age_ms; /* from the comparison with that peer to the last commit */
    bool is_complete; /* it was ready: its records are a whole list, not a part of a snapshot */
};
struct storage_bounds storage_bounds(const struct storage *storage);

/* Loads all records into an empty registry, which must outlive the storage. ERR_NO_MEMORY,
 * ERR_SYSTEM (the file cannot be read, or not be set aside). `ttl_ms` is that of the registry. */
MUST_USE enum error storage_load(struct storage *storage, struct registry *registry,
                                 uint64_t ttl_ms, struct moment now);
/* Commits once, so that no stamp is issued above the stored bound, and starts the thread. A commit
 * that fails does not make the start fail. ERR_SYSTEM. */
MUST_USE enum error storage_start(struct storage *storage);
/* One commit, as the thread makes it in each interval. `is_last`: it stores the bounds exactly, so
 * no stamp or revision may be issued after it. For programs without that thread. */
void storage_commit(struct storage *storage, bool is_last);

/* The registry holds everything that a ready node holds. Before that, a file without records, or
 * with a part of a peer's snapshot, must not count as a whole list at the next start. Any
 * thread. */
void storage_set_complete(struct storage *storage);

/* Instances were loaded, and they are a whole list. */
bool storage_has_data(struct storage *storage);
/* Evicts the loaded instances that the peers have evicted while this node was away; returns their
 * number. Called once, when this node holds all records of a peer: a part of a snapshot says
 * nothing about the others. `has_sharer` is that of replicator_stats; `interval_ms` is that of
 * anti-entropy. */
uint64_t storage_evict_loaded(struct storage *storage, bool has_sharer, uint64_t interval_ms,
                              struct moment now);

struct storage_status {
    bool up;           /* the last commit succeeded */
    uint64_t unstored; /* about how many changes wait for a commit; 0: none that was made before */
    uint64_t bytes;    /* of the file and its WAL */
    uint64_t commits;  /* since the start, as the next */
    uint64_t rows_written;
    uint64_t failed_commits;
    uint64_t rewrites;        /* commits that wrote everything */
    uint64_t files_set_aside; /* damaged or foreign files that got a new name, at the start too */
    uint64_t committed_ms;    /* monotonic: the last commit; 0: none */
    uint64_t loaded_instances;
    uint64_t loaded_tombstones;
    bool loaded_complete;                 /* the loaded records are a whole list */
    uint64_t invalid_rows;                /* that were not loaded */
    uint64_t load_ms;                     /* how long the load took */
    uint64_t away_ms;                     /* from saved_ms to the start; 0: nothing was stored */
    bool is_away_known;                   /* false: the wall clock is behind saved_ms */
    char problem[DATABASE_PROBLEM_BYTES]; /* of the last failure; "" while `up` */
};
void storage_status(struct storage *storage, struct storage_status *out);
