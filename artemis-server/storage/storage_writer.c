/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/storage/storage_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-core/base/backoff.h"
#include "artemis-core/base/sim_bug.h"
#include "artemis-core/json/codec_stored.h"
#include "artemis-core/model/stamp.h"

enum { COPIES_PER_DRAIN = 256 };

void storage_writer_init(struct storage_writer *writer, const char *folder,
                         struct database *database, struct registry *registry)
{
    *writer = (struct storage_writer){.folder = folder, .registry = registry, .database = database};
    if (database)
        return;
    writer->failures = 1;
    writer->rewrite_needed = true;
    snprintf(writer->problem, sizeof(writer->problem), "the disk is full");
}

void storage_writer_free(struct storage_writer *writer)
{
    database_close(writer->database);
    text_free(&writer->body);
}

/* --- rows ------------------------------------------------------------------------------------- */

static uint64_t retention_ms(const struct storage_writer *writer, struct moment now)
{
    return now.mono_ms + writer->retention_base_ms; /* modulo 2^64 */
}

static enum error put(struct storage_writer *writer, const struct record_copy *copy,
                      struct moment now)
{
    uint64_t clock_ms = retention_ms(writer, now);
    struct wire_record record = registry_wire_record(writer->registry, copy, now);
    text_clear(&writer->body);
    if (!copy->deleted)
        codec_write_stored(&writer->body, copy->instance);
    else if (record.client_revision)
        codec_write_stored_revision(&writer->body, record.client_revision);
    if (text_failed(&writer->body))
        return ERR_NO_MEMORY;
    struct database_row row = {
        .key = instance_packed_key(copy->instance),
        .body = {writer->body.data, writer->body.size},
        .hlc = copy->hlc,
        .node = record.stamp.node_id,
        .since_ms = copy->deleted && clock_ms > record.age_ms ? clock_ms - record.age_ms : 0,
    };
    enum error error = database_put(writer->database, &row);
    writer->rows_written += !error;
    return error;
}

/* Writes copies and releases them. */
static enum error put_all(struct storage_writer *writer, struct record_copy *copies, size_t count,
                          struct moment now)
{
    enum error error = ERR_NONE;
    for (size_t i = 0; i < count; i++) {
        if (!error)
            error = put(writer, &copies[i], now);
        record_copy_unref(&copies[i]);
    }
    return error;
}

static enum error put_changed(struct storage_writer *writer, struct moment now)
{
    struct record_copy copies[COPIES_PER_DRAIN];
    enum error error = ERR_NONE;
    size_t count;
    while (!error && (count = registry_drain_stored(writer->registry, copies, COPIES_PER_DRAIN)))
        error = put_all(writer, copies, count, now);
    return error;
}

/* Writes the present state of a key whose record was removed. */
static enum error put_or_delete(struct storage_writer *writer, const struct instance *removed,
                                struct moment now)
{
    struct slice key = instance_packed_key(removed);
    struct record_copy copy;
    if (!registry_read_key(writer->registry, key, &copy))
        return database_delete(writer->database, key);
    return put_all(writer, &copy, 1, now);
}

static enum error delete_removed(struct storage_writer *writer, struct moment now)
{
    struct instance *removed[COPIES_PER_DRAIN];
    enum error error = ERR_NONE;
    size_t count;
    while (!error && (count = registry_drain_removed(writer->registry, removed, COPIES_PER_DRAIN,
                                                     &writer->rewrite_needed)))
        for (size_t i = 0; i < count; i++) {
            if (!error)
                error = put_or_delete(writer, removed[i], now);
            instance_unref(removed[i]);
        }
    return error;
}

/* Empties the lists, for a commit that writes everything. */
static void drop_lists(struct storage_writer *writer)
{
    struct record_copy copies[COPIES_PER_DRAIN];
    struct instance *removed[COPIES_PER_DRAIN];
    bool overflowed = false;
    size_t count;
    while ((count = registry_drain_stored(writer->registry, copies, COPIES_PER_DRAIN)))
        for (size_t i = 0; i < count; i++)
            record_copy_unref(&copies[i]);
    while (
        (count = registry_drain_removed(writer->registry, removed, COPIES_PER_DRAIN, &overflowed)))
        for (size_t i = 0; i < count; i++)
            instance_unref(removed[i]);
}

/* What changes during the walk is in the lists again, and so in the next commit. */
static enum error rewrite(struct storage_writer *writer, struct moment now)
{
    drop_lists(writer);
    enum error error = database_delete_all(writer->database);
    struct registry_cursor cursor = {0};
    char id_buffer[ID_BYTES_MAX];
    struct slice id;
    struct record_copy *copies;
    size_t count = 1;
    while (!error && count) {
        error = registry_snapshot_next(writer->registry, &cursor, id_buffer, &id, &copies, &count);
        if (!error)
            error = put_all(writer, copies, count, now);
        free(copies);
    }
    return error;
}

/* --- a commit --------------------------------------------------------------------------------- */

static uint64_t saved_ms(const struct storage_writer *writer, struct moment now)
{
    bool is_renewed = !writer->loaded_saved_ms || now.mono_ms >= writer->loaded_until_ms;
    return is_renewed ? now.wall_ms : writer->loaded_saved_ms;
}

/* After the last commit no stamp or revision is issued: the bounds are exact. */
static enum error write_bounds(struct storage_writer *writer, struct moment now, bool is_last)
{
    struct registry *registry = writer->registry;
    uint64_t highest = registry_highest_hlc(registry, now);
    uint64_t hlc = is_last ? highest : hlc_after(0, hlc_to_ms(highest) + BOUND_AHEAD_MS);
    uint64_t revision = registry_revision(registry) + (is_last ? 0 : BOUND_AHEAD_REVISIONS);
    struct shared_records shared = registry_shared(registry);
    writer->bound_ms = hlc_to_ms(hlc);
    if (SIM_BUG(12)) /* after a restart stamps follow the wall clock, also back */
        hlc = 0;
    enum error error = database_set_number(writer->database, NUMBER_HLC_BOUND, hlc);
    if (!error)
        error = database_set_number(writer->database, NUMBER_REVISION_BOUND, revision);
    if (!error)
        error = database_set_number(writer->database, NUMBER_SAVED_MS, saved_ms(writer, now));
    if (!error)
        error = database_set_number(writer->database, NUMBER_SHARED_EPOCH, shared.epoch);
    if (!error)
        error = database_set_number(writer->database, NUMBER_SHARED_HLC, shared.hlc);
    if (!error)
        error = database_set_number(writer->database, NUMBER_SHARED_AGE_MS,
                                    now.mono_ms - shared.compared_ms);
    if (!error)
        error =
            database_set_number(writer->database, NUMBER_RETENTION_MS, retention_ms(writer, now));
    if (!error)
        error = database_set_number(writer->database, NUMBER_COMPLETE, writer->is_complete);
    return error;
}

static enum error write_transaction(struct storage_writer *writer, struct moment now, bool is_last)
{
    enum error error = database_begin(writer->database);
    if (!error && !writer->rewrite_needed && !SIM_BUG(11)) /* changes are not stored */
        error = put_changed(writer, now);
    if (!error && !writer->rewrite_needed)
        error = delete_removed(writer, now);
    bool is_rewrite = writer->rewrite_needed; /* delete_removed may have found it */
    if (!error && is_rewrite)
        error = rewrite(writer, now);
    if (!error)
        error = write_bounds(writer, now, is_last);
    if (!error)
        error = database_commit(writer->database);
    if (error)
        return error;
    writer->rewrites += is_rewrite;
    writer->rewrite_needed = false;
    return ERR_NONE;
}

/* Gives the closed file a new name; writer->problem says why. */
static enum error set_aside(struct storage_writer *writer, enum database_state state)
{
    char reason[DATABASE_PROBLEM_BYTES];
    char name[DATABASE_PATH_BYTES];
    memcpy(reason, writer->problem, sizeof(reason));
    if (database_set_aside(writer->folder, database_state_word(state), name, writer->problem))
        return ERR_SYSTEM;
    memcpy(writer->set_aside_reason, reason, sizeof(reason));
    memcpy(writer->set_aside_name, name, sizeof(name));
    writer->files_set_aside++;
    return ERR_NONE;
}

/* Opens the file again; one that cannot be used is set aside for a new one. */
static enum error reopen(struct storage_writer *writer)
{
    database_close(writer->database);
    writer->database = NULL;
    enum database_state state = database_open(writer->folder, &writer->database, writer->problem);
    if (state == DATABASE_DAMAGED || state == DATABASE_FOREIGN || state == DATABASE_NEWER) {
        if (set_aside(writer, state))
            return ERR_SYSTEM;
        state = database_open(writer->folder, &writer->database, writer->problem);
    }
    return state == DATABASE_OPENED ? ERR_NONE : ERR_SYSTEM;
}

/* Sets a file aside in which SQLite has found damage. */
static enum error replace_damaged(struct storage_writer *writer)
{
    snprintf(writer->problem, sizeof(writer->problem), "%s", database_problem(writer->database));
    database_close(writer->database);
    writer->database = NULL;
    return set_aside(writer, DATABASE_DAMAGED);
}

static enum error fail(struct storage_writer *writer, enum error error, struct moment now)
{
    if (error == ERR_NO_MEMORY)
        snprintf(writer->problem, sizeof(writer->problem), "out of memory");
    else if (writer->database)
        snprintf(writer->problem, sizeof(writer->problem), "%s",
                 database_problem(writer->database));
    if (writer->database)
        database_rollback(writer->database);
    writer->rewrite_needed = !SIM_BUG(15); /* what a commit has taken that failed is lost */
    writer->failures++;
    writer->failed_commits++;
    writer->retry_ms = now.mono_ms + backoff_ms(writer->failures, 0);
    return error;
}

/* Peers with higher stamps have moved those of this node close to the bound. */
static bool is_near_bound(const struct storage_writer *writer, struct moment now)
{
    uint64_t highest_ms = hlc_to_ms(registry_highest_hlc(writer->registry, now));
    return highest_ms + BOUND_AHEAD_MIN_MS > writer->bound_ms;
}

static bool is_due(const struct storage_writer *writer, struct moment now)
{
    if (writer->failures)
        return now.mono_ms >= writer->retry_ms;
    return writer->rewrite_needed || !writer->bounds_ms ||
           now.mono_ms >= writer->bounds_ms + BOUNDS_INTERVAL_MS || is_near_bound(writer, now) ||
           registry_unstored(writer->registry);
}

enum error storage_writer_commit(struct storage_writer *writer, struct moment now, bool is_last)
{
    if (!is_last && !is_due(writer, now)) {
        if (writer->failures)
            drop_lists(writer); /* everything is written again; the lists stay short meanwhile */
        return ERR_NONE;
    }
    enum error error = ERR_NONE;
    if (writer->database && database_is_damaged(writer->database))
        error = replace_damaged(writer);
    if (!error && (!writer->database || writer->failures))
        error = reopen(writer);
    if (!error)
        error = write_transaction(writer, now, is_last);
    if (error)
        return fail(writer, error, now);
    writer->failures = 0;
    writer->bounds_ms = now.mono_ms;
    writer->committed_ms = now.mono_ms;
    writer->commits++;
    return ERR_NONE;
}
