/* SPDX-License-Identifier: Apache-2.0
 *
 * database - the file in which a node keeps its records over a restart: SQLite behind a few calls.
 *
 * One file, artemis.db in the data folder, in WAL mode. A commit is on the disk when
 * database_commit returns, also after a power failure. The file is locked while it is open, so two
 * processes cannot share a folder.
 *
 * Rows are written inside of a transaction: database_begin, any number of put, delete and set
 * calls, database_commit. After a failure call database_rollback; nothing of the transaction is
 * stored then. Failures return ERR_SYSTEM; database_problem describes the last one for people.
 *
 * A file that is not ours, of a newer version, or damaged is never changed or deleted:
 * database_set_aside gives it a new name. Damage that SQLite finds later, while rows are read,
 * makes database_is_damaged true.
 *
 * One thread at a time. Knows nothing of the registry; storage.h connects the two.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"

enum { DATABASE_PATH_BYTES = 1024, DATABASE_PROBLEM_BYTES = DATABASE_PATH_BYTES + 256 };

#define DATABASE_FILE "artemis.db"

struct database;

enum database_state {
    DATABASE_OPENED,
    DATABASE_FOREIGN, /* not a database of Artemis, or not a database at all */
    DATABASE_NEWER,   /* written by a later version of Artemis */
    DATABASE_DAMAGED,
    DATABASE_IN_USE,      /* by another process */
    DATABASE_FULL,        /* there is no space for a new file */
    DATABASE_UNAVAILABLE, /* the folder or the file cannot be used; see the problem */
};

/* "foreign": for names and messages. */
const char *database_state_word(enum database_state state);
/* Creates the folder if it does not exist; its parent must. ERR_SYSTEM with *problem. */
MUST_USE enum error database_make_folder(const char *folder, char problem[DATABASE_PROBLEM_BYTES]);
/* Bytes of the file and its WAL on the disk. */
uint64_t database_bytes(const char *folder);
/* Opens or creates the file in an existing folder. *problem is filled unless the result is
 * DATABASE_OPENED. ERR_NO_MEMORY is reported as DATABASE_UNAVAILABLE. */
MUST_USE enum database_state database_open(const char *folder, struct database **out,
                                           char problem[DATABASE_PROBLEM_BYTES]);
/* Accepts NULL. Uncommitted rows are not stored. */
void database_close(struct database *database);
/* Renames the (closed) file and its WAL to artemis.db.REASON-NUMBER; `name` receives the new path.
 * ERR_SYSTEM with *problem. */
MUST_USE enum error database_set_aside(const char *folder, const char *reason,
                                       char name[DATABASE_PATH_BYTES],
                                       char problem[DATABASE_PROBLEM_BYTES]);

/* --- rows ------------------------------------------------------------------------------------- */

/* One key. Slices are borrowed. */
struct database_row {
    struct slice key;  /* packed, see instance.h */
    struct slice body; /* JSON of the instance or of the tombstone; empty: a plain tombstone */
    uint64_t hlc;      /* its stamp */
    struct slice node; /* the node id of the stamp */
    uint64_t since_ms; /* of a tombstone: when the key was unregistered, on the retention clock */
};

/* Numbers that are stored in addition to the rows. */
enum database_number {
    NUMBER_HLC_BOUND,      /* no stamp above it has been issued */
    NUMBER_REVISION_BOUND, /* no revision above it has been issued */
    NUMBER_SAVED_MS,       /* time of the last commit, ms since 1970; kept after a load, see
                              storage_writer.h */
    NUMBER_SHARED_EPOCH,   /* struct shared_records, in registry_replication.h */
    NUMBER_SHARED_HLC,
    NUMBER_SHARED_AGE_MS, /* from the comparison to the commit */
    NUMBER_RETENTION_MS,  /* time of the retention clock at the last commit; see storage_writer.h */
    NUMBER_COMPLETE,      /* 1: the records are all that the node held when it was ready */
    NUMBER_COUNT,
};

MUST_USE enum error database_begin(struct database *database);
MUST_USE enum error database_put(struct database *database, const struct database_row *row);
MUST_USE enum error database_delete(struct database *database, struct slice key);
MUST_USE enum error database_delete_all(struct database *database);
MUST_USE enum error database_set_number(struct database *database, enum database_number which,
                                        uint64_t value);
MUST_USE enum error database_commit(struct database *database);
void database_rollback(struct database *database);

/* Calls `visit` for each row, in the order of the keys. A visitor's error ends the walk and is
 * returned. */
typedef enum error database_visit(void *context, const struct database_row *row);
MUST_USE enum error database_each_row(struct database *database, database_visit *visit,
                                      void *context);
/* 0 if it was never set. */
MUST_USE enum error database_number(struct database *database, enum database_number which,
                                    uint64_t *value);

const char *database_problem(const struct database *database); /* of the last failure */
bool database_is_damaged(const struct database *database);
