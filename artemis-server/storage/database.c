/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/storage/database.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* "ARTM": identifies the file as ours, also for file(1). */
#define APPLICATION_ID 0x4152544D
enum { SCHEMA_VERSION = 1, SET_ASIDE_MAX = 10000 };

enum statement {
    STATEMENT_BEGIN,
    STATEMENT_COMMIT,
    STATEMENT_PUT,
    STATEMENT_DELETE,
    STATEMENT_DELETE_ALL,
    STATEMENT_SET_NUMBER,
    STATEMENT_NUMBER,
    STATEMENT_ROWS,
    STATEMENT_COUNT,
};

static const char *const statement_texts[STATEMENT_COUNT] = {
    [STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
    [STATEMENT_COMMIT] = "COMMIT",
    [STATEMENT_PUT] = "INSERT INTO records (key, body, hlc, node, since_ms) VALUES (?1,?2,?3,?4,?5)"
                      " ON CONFLICT (key) DO UPDATE SET body = excluded.body, hlc = excluded.hlc,"
                      " node = excluded.node, since_ms = excluded.since_ms",
    [STATEMENT_DELETE] = "DELETE FROM records WHERE key = ?1",
    [STATEMENT_DELETE_ALL] = "DELETE FROM records",
    [STATEMENT_SET_NUMBER] = "INSERT INTO numbers (name, value) VALUES (?1, ?2)"
                             " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    [STATEMENT_NUMBER] = "SELECT value FROM numbers WHERE name = ?1",
    [STATEMENT_ROWS] = "SELECT key, body, hlc, node, since_ms FROM records",
};

static const char *const number_names[NUMBER_COUNT] = {
    [NUMBER_HLC_BOUND] = "hlc_bound",   [NUMBER_REVISION_BOUND] = "revision_bound",
    [NUMBER_SAVED_MS] = "saved_ms",     [NUMBER_SHARED_EPOCH] = "shared_epoch",
    [NUMBER_SHARED_HLC] = "shared_hlc", [NUMBER_SHARED_AGE_MS] = "shared_age_ms",
    [NUMBER_COMPLETE] = "complete",     [NUMBER_RETENTION_MS] = "retention_ms",
};

struct database {
    sqlite3 *handle;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    bool damaged;
    char problem[DATABASE_PROBLEM_BYTES];
};

/* --- failures --------------------------------------------------------------------------------- */

static enum error fail(struct database *database, int code)
{
    int primary = code & 0xFF;
    if (primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB)
        database->damaged = true;
    snprintf(database->problem, sizeof(database->problem), "%s", sqlite3_errmsg(database->handle));
    return ERR_SYSTEM;
}

/* Runs a statement that returns no row, and resets it. */
static enum error run(struct database *database, enum statement which)
{
    sqlite3_stmt *statement = database->statements[which];
    int code = sqlite3_step(statement);
    enum error error = code == SQLITE_DONE ? ERR_NONE : fail(database, code);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return error;
}

/* --- the folder ------------------------------------------------------------------------------- */

const char *database_state_word(enum database_state state)
{
    static const char *const words[] = {
        [DATABASE_OPENED] = "opened",
        [DATABASE_FOREIGN] = "foreign",
        [DATABASE_NEWER] = "newer",
        [DATABASE_DAMAGED] = "damaged",
        [DATABASE_IN_USE] = "in use",
        [DATABASE_FULL] = "full",
        [DATABASE_UNAVAILABLE] = "unavailable",
    };
    return words[state];
}

enum error database_make_folder(const char *folder, char problem[DATABASE_PROBLEM_BYTES])
{
    if (mkdir(folder, S_IRWXU | S_IRGRP | S_IXGRP) == 0 || errno == EEXIST)
        return ERR_NONE;
    const char *hint = errno == ENOENT ? "; its parent folder must exist" : "";
    snprintf(problem, DATABASE_PROBLEM_BYTES, "%s: %s%s", folder, strerror(errno), hint);
    return ERR_SYSTEM;
}

static bool make_path(const char *folder, const char *suffix, char path[DATABASE_PATH_BYTES])
{
    int size = snprintf(path, DATABASE_PATH_BYTES, "%s/%s%s", folder, DATABASE_FILE, suffix);
    return size > 0 && size < DATABASE_PATH_BYTES;
}

uint64_t database_bytes(const char *folder)
{
    static const char *const suffixes[] = {"", "-wal"};
    uint64_t bytes = 0;
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        char path[DATABASE_PATH_BYTES];
        struct stat status;
        if (make_path(folder, suffixes[i], path) && stat(path, &status) == 0)
            bytes += (uint64_t)status.st_size;
    }
    return bytes;
}

/* --- opening ---------------------------------------------------------------------------------- */

static int read_pragma(sqlite3 *handle, const char *text, int64_t *value)
{
    sqlite3_stmt *statement;
    int code = sqlite3_prepare_v2(handle, text, -1, &statement, NULL);
    if (code != SQLITE_OK)
        return code;
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return code == SQLITE_ROW ? SQLITE_OK : code;
}

/* Whose file it is. An empty one becomes ours, and needs the schema. */
static enum database_state identify(sqlite3 *handle, bool *is_empty, int *code)
{
    int64_t application = 0;
    int64_t version = 0;
    int64_t tables = 0;
    *code = read_pragma(handle, "PRAGMA application_id", &application);
    if (*code == SQLITE_OK)
        *code = read_pragma(handle, "PRAGMA user_version", &version);
    if (*code == SQLITE_OK)
        *code = read_pragma(handle, "SELECT count(*) FROM sqlite_schema", &tables);
    if (*code != SQLITE_OK)
        return DATABASE_OPENED;
    *is_empty = application == 0 && version == 0 && tables == 0;
    if (*is_empty)
        return DATABASE_OPENED;
    if (application != APPLICATION_ID)
        return DATABASE_FOREIGN;
    return version > SCHEMA_VERSION ? DATABASE_NEWER : DATABASE_OPENED;
}

/* Writes nothing into a file that has its schema: the records must be readable on a full disk. */
static int prepare_schema(sqlite3 *handle, bool is_empty)
{
    static const char modes[] = "PRAGMA journal_mode = WAL;"
                                "PRAGMA synchronous = FULL;"
                                "PRAGMA journal_size_limit = 67108864;";
    static const char schema[] = "BEGIN IMMEDIATE;"
                                 "CREATE TABLE IF NOT EXISTS numbers ("
                                 " name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
                                 "CREATE TABLE IF NOT EXISTS records ("
                                 " key BLOB PRIMARY KEY, body TEXT, hlc INTEGER NOT NULL,"
                                 " node TEXT NOT NULL, since_ms INTEGER NOT NULL) WITHOUT ROWID;"
                                 "PRAGMA application_id = 0x4152544D;"
                                 "PRAGMA user_version = 1;"
                                 "COMMIT;";
    int code = sqlite3_exec(handle, modes, NULL, NULL, NULL);
    if (code != SQLITE_OK || !is_empty)
        return code;
    return sqlite3_exec(handle, schema, NULL, NULL, NULL);
}

static enum database_state state_of(int code)
{
    switch (code & 0xFF) {
    case SQLITE_OK:
        return DATABASE_OPENED;
    case SQLITE_NOTADB:
        return DATABASE_FOREIGN;
    case SQLITE_CORRUPT:
    case SQLITE_ERROR: /* it is ours, but its tables are not those of the schema */
        return DATABASE_DAMAGED;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return DATABASE_IN_USE;
    case SQLITE_FULL:
        return DATABASE_FULL;
    default:
        return DATABASE_UNAVAILABLE;
    }
}

/* Opens the file, takes its lock and prepares the statements. */
static enum database_state start(struct database *database, const char *path)
{
    int code =
        sqlite3_open_v2(path, &database->handle,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(database->handle,
                            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA cell_size_check = ON;"
                            "PRAGMA trusted_schema = OFF",
                            NULL, NULL, NULL);
    enum database_state state = DATABASE_OPENED;
    bool is_empty = false;
    if (code == SQLITE_OK)
        state = identify(database->handle, &is_empty, &code);
    if (code == SQLITE_OK && state == DATABASE_OPENED)
        code = prepare_schema(database->handle, is_empty);
    for (int i = 0; i < STATEMENT_COUNT && code == SQLITE_OK && state == DATABASE_OPENED; i++)
        code = sqlite3_prepare_v3(database->handle, statement_texts[i], -1,
                                  SQLITE_PREPARE_PERSISTENT, &database->statements[i], NULL);
    return code == SQLITE_OK ? state : state_of(code);
}

static void describe(const struct database *database, enum database_state state, const char *path,
                     char problem[DATABASE_PROBLEM_BYTES])
{
    const char *why = sqlite3_errmsg(database->handle); /* accepts NULL */
    switch (state) {
    case DATABASE_FOREIGN:
        snprintf(problem, DATABASE_PROBLEM_BYTES, "%s is not a database of Artemis", path);
        return;
    case DATABASE_NEWER:
        snprintf(problem, DATABASE_PROBLEM_BYTES, "%s was written by a later version of Artemis",
                 path);
        return;
    case DATABASE_IN_USE:
        snprintf(problem, DATABASE_PROBLEM_BYTES, "%s is in use by another process", path);
        return;
    default:
        snprintf(problem, DATABASE_PROBLEM_BYTES, "%s: %s", path, why);
        return;
    }
}

enum database_state database_open(const char *folder, struct database **out,
                                  char problem[DATABASE_PROBLEM_BYTES])
{
    char path[DATABASE_PATH_BYTES];
    if (!make_path(folder, "", path)) {
        snprintf(problem, DATABASE_PROBLEM_BYTES, "the path of the data folder is too long");
        return DATABASE_UNAVAILABLE;
    }
    struct database *database = calloc(1, sizeof(*database));
    if (!database) {
        snprintf(problem, DATABASE_PROBLEM_BYTES, "out of memory");
        return DATABASE_UNAVAILABLE;
    }
    enum database_state state = start(database, path);
    if (state != DATABASE_OPENED) {
        describe(database, state, path, problem);
        database_close(database);
        return state;
    }
    *out = database;
    return DATABASE_OPENED;
}

void database_close(struct database *database)
{
    if (!database)
        return;
    for (int i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(database->statements[i]); /* accepts NULL */
    sqlite3_close(database->handle);
    free(database);
}

/* --- setting aside ---------------------------------------------------------------------------- */

/* The name under which nothing is there yet. */
static bool free_name(const char *folder, const char *reason, char name[DATABASE_PATH_BYTES])
{
    for (int i = 1; i <= SET_ASIDE_MAX; i++) {
        struct stat status;
        char suffix[128];
        snprintf(suffix, sizeof(suffix), ".%s-%d", reason, i);
        if (!make_path(folder, suffix, name))
            return false;
        if (lstat(name, &status) != 0 && errno == ENOENT)
            return true;
    }
    return false;
}

enum error database_set_aside(const char *folder, const char *reason,
                              char name[DATABASE_PATH_BYTES], char problem[DATABASE_PROBLEM_BYTES])
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char path[DATABASE_PATH_BYTES];
    char target[DATABASE_PATH_BYTES + 8];
    if (!free_name(folder, reason, name)) {
        snprintf(problem, DATABASE_PROBLEM_BYTES, "no free name for a %s file in %s", reason,
                 folder);
        return ERR_SYSTEM;
    }
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        if (!make_path(folder, suffixes[i], path))
            return ERR_SYSTEM;
        snprintf(target, sizeof(target), "%s%s", name, suffixes[i]);
        if (rename(path, target) != 0 && errno != ENOENT) {
            snprintf(problem, DATABASE_PROBLEM_BYTES, "rename %s: %s", path, strerror(errno));
            return ERR_SYSTEM;
        }
    }
    return ERR_NONE;
}

/* --- writing ---------------------------------------------------------------------------------- */

enum error database_begin(struct database *database)
{
    return run(database, STATEMENT_BEGIN);
}

enum error database_put(struct database *database, const struct database_row *row)
{
    sqlite3_stmt *put = database->statements[STATEMENT_PUT];
    sqlite3_bind_blob(put, 1, row->key.data, (int)row->key.size, SQLITE_STATIC);
    if (row->body.size)
        sqlite3_bind_text(put, 2, row->body.data, (int)row->body.size, SQLITE_STATIC);
    sqlite3_bind_int64(put, 3, (int64_t)row->hlc);
    sqlite3_bind_text(put, 4, row->node.data ? row->node.data : "", (int)row->node.size,
                      SQLITE_STATIC);
    sqlite3_bind_int64(put, 5, (int64_t)row->since_ms);
    return run(database, STATEMENT_PUT);
}

enum error database_delete(struct database *database, struct slice key)
{
    sqlite3_bind_blob(database->statements[STATEMENT_DELETE], 1, key.data, (int)key.size,
                      SQLITE_STATIC);
    return run(database, STATEMENT_DELETE);
}

enum error database_delete_all(struct database *database)
{
    return run(database, STATEMENT_DELETE_ALL);
}

enum error database_set_number(struct database *database, enum database_number which,
                               uint64_t value)
{
    sqlite3_stmt *set = database->statements[STATEMENT_SET_NUMBER];
    sqlite3_bind_text(set, 1, number_names[which], -1, SQLITE_STATIC);
    sqlite3_bind_int64(set, 2, (int64_t)value);
    return run(database, STATEMENT_SET_NUMBER);
}

enum error database_commit(struct database *database)
{
    return run(database, STATEMENT_COMMIT);
}

void database_rollback(struct database *database)
{
    if (!sqlite3_get_autocommit(database->handle)) /* SQLite may have rolled back by itself */
        sqlite3_exec(database->handle, "ROLLBACK", NULL, NULL, NULL);
}

/* --- reading ---------------------------------------------------------------------------------- */

static struct slice column(sqlite3_stmt *statement, int index)
{
    const char *data = sqlite3_column_blob(statement, index);
    return (struct slice){data, data ? (size_t)sqlite3_column_bytes(statement, index) : 0};
}

enum error database_each_row(struct database *database, database_visit *visit, void *context)
{
    sqlite3_stmt *rows = database->statements[STATEMENT_ROWS];
    enum error error = ERR_NONE;
    int code;
    while (!error && (code = sqlite3_step(rows)) != SQLITE_DONE) {
        if (code != SQLITE_ROW) {
            error = fail(database, code);
            break;
        }
        struct database_row row = {
            .key = column(rows, 0),
            .body = column(rows, 1),
            .hlc = (uint64_t)sqlite3_column_int64(rows, 2),
            .node = column(rows, 3),
            .since_ms = (uint64_t)sqlite3_column_int64(rows, 4),
        };
        error = visit(context, &row);
    }
    sqlite3_reset(rows);
    return error;
}

enum error database_number(struct database *database, enum database_number which, uint64_t *value)
{
    sqlite3_stmt *number = database->statements[STATEMENT_NUMBER];
    sqlite3_bind_text(number, 1, number_names[which], -1, SQLITE_STATIC);
    int code = sqlite3_step(number);
    enum error error = ERR_NONE;
    if (code == SQLITE_ROW)
        *value = (uint64_t)sqlite3_column_int64(number, 0);
    else if (code == SQLITE_DONE)
        *value = 0;
    else
        error = fail(database, code);
    sqlite3_reset(number);
    return error;
}

const char *database_problem(const struct database *database)
{
    return database->problem;
}

bool database_is_damaged(const struct database *database)
{
    return database->damaged;
}
